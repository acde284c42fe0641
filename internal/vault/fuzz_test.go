package vault

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"", "60", "1h30m", "-5", "2d", "1e3", "999999999999999999", "0.5d", "-9223372036854775808", "NaNd", "Infd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDuration(s)
		if err == nil && (d > maxDuration || d < -maxDuration) {
			t.Errorf("%q is %v", s, d)
		}
		if err != nil && d != 0 {
			t.Errorf("%q is %v and an error", s, d)
		}
	})
}

// Whatever the body is, it is refused or read; what was read can be asked for in
// every form without a panic.
func FuzzFields(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `{"a":"1h","b":["x",2]}`, `{"a":{"b":null}}`, `{"a":"{\"x\":\"y\"}"}`, `[]`, `{"a":1} x`, `{"a":"10.0.0.0/8"}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		data, err := readBody(strings.NewReader(body))
		if err != nil {
			return
		}
		for _, read := range []func(*Fields){
			func(f *Fields) { f.String("a") }, func(f *Fields) { f.Int("a") }, func(f *Fields) { f.Bool("a", false) },
			func(f *Fields) { f.Duration("a") }, func(f *Fields) { f.List("a") }, func(f *Fields) { f.Ints("a") },
			func(f *Fields) { f.Map("a") }, func(f *Fields) { f.Texts("a") }, func(f *Fields) { f.Networks("a") },
		} {
			fields := (&Request{Data: data}).Fields()
			read(fields)
			_ = fields.ignored()
		}
	})
}

func FuzzPasswordPolicy(f *testing.F) {
	f.Add(`length = 20 rule "charset" { charset = "abc" min-chars = 1 }`)
	f.Add(`length = 20 rule "charset" { charset = "äöü" min-chars = 20 } rule "charset" { charset = "x" }`)
	f.Add(`length = -1`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePasswordPolicy(text)
		if err != nil {
			return
		}
		password := []rune(p.generate())
		if len(password) != p.Length {
			t.Fatalf("a password of %d characters, want %d", len(password), p.Length)
		}
		for _, c := range p.Rules {
			n := 0
			for _, ch := range password {
				if strings.ContainsRune(string(c.Chars), ch) {
					n++
				}
			}
			if n < c.Min {
				t.Errorf("%d of %q, want %d", n, string(c.Chars), c.Min)
			}
		}
	})
}

func TestJWTClaimsFitAsWholes(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	role := jwtRole{Audiences: []string{"us"}, Claims: map[string][]string{"/a/b": {"x*"}}, Globs: true}
	for _, c := range []struct {
		claims string
		in     bool
	}{
		{`{"exp":1800000100,"aud":"us","a":{"b":"xyz"}}`, true},
		{`{"exp":1800000100,"aud":["them","us"],"a":{"b":["q","x"]}}`, true},
		{`{"exp":1800000100,"aud":"us","a":{"b":"yx"}}`, false},
		{`{"exp":1800000100,"aud":"use","a":{"b":"x"}}`, false},
		{`{"exp":1800000100,"aud":"us","a":"x"}`, false},
		{`{"exp":1799999000,"aud":"us","a":{"b":"x"}}`, false},
		{`{"exp":-1,"aud":"us","a":{"b":"x"}}`, false},
		{`{"exp":1800000100,"nbf":1800009999,"aud":"us","a":{"b":"x"}}`, false},
	} {
		var claims map[string]any
		d := json.NewDecoder(strings.NewReader(c.claims))
		d.UseNumber()
		if err := d.Decode(&claims); err != nil {
			t.Fatal(err)
		}
		if err := role.admit(claims, now); (err == nil) != c.in {
			t.Errorf("%s: %v, want in = %v", c.claims, err, c.in)
		}
	}
}

func TestKeysComeOverTLSOrFromThisMachine(t *testing.T) {
	t.Parallel()
	for u, want := range map[string]bool{
		"https://issuer.test/jwks": true, "http://127.0.0.1:8080/jwks": true, "http://localhost/jwks": true, "http://[::1]/jwks": true,
		"http://issuer.test/jwks": false, "http://localhost.evil.test/": false, "http://127.0.0.1.evil.test/": false,
		"http://localhost@evil.test/": false, "https://u:p@issuer.test/": false, "file:///etc/passwd": false, "https://": false, "x": false,
	} {
		if got := mayFetch(u); got != want {
			t.Errorf("mayFetch(%q) = %v", u, got)
		}
	}
}

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, name string
		fits          bool
	}{
		{"a", "a", true},
		{"a", "ab", false},
		{"a*", "abc", true},
		{"*c", "abc", true},
		{"a*c", "abbc", true},
		{"a*c", "ac", true},
		{"a*b*c", "aXbYc", true},
		{"a*b*c", "acb", false},
		{"*", "", true},
		{"ab*ba", "aba", false},
		{"", "a", false},
	} {
		if got := glob(c.pattern, c.name); got != c.fits {
			t.Errorf("glob(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}

func TestPathsAnswerWhatTheyDeclare(t *testing.T) {
	t.Parallel()
	say := func(text string) Handler {
		return func(_ context.Context, r *Request) (*Response, error) {
			return &Response{Data: map[string]any{"said": text + r.Vars["name"]}}, nil
		}
	}
	p := NewPaths("test",
		Path{Pattern: "a", Read: say("a"), List: say("list")},
		Path{Pattern: "b", Read: say("b")},
		Path{Pattern: "x/{name}", Read: say("x:")},
		Path{Pattern: "y/{name...}/tune", Read: say("tune:")},
		Path{Pattern: "y/{name...}", Read: say("y:")},
	)
	for _, c := range []struct {
		op         Operation
		path, want string
	}{
		{Read, "a", "a"},
		{List, "a", "list"},
		{List, "a/", "list"},
		{Read, "b", "b"},
		{Read, "b/", "404"},
		{List, "b", "404"},
		{Read, "x/1", "x:1"},
		{Read, "x/1/", "x:1"},
		{Read, "x/1/2", "404"},
		{Delete, "x/1", "405"},
		{Read, "y/1/2", "y:1/2"},
		{Read, "y/1/tune", "tune:1"},
		{Read, "y/1/2/tune", "tune:1/2"},
		{Read, "", "404"},
	} {
		resp, err := p.Handle(t.Context(), &Request{Op: c.op, Path: c.path})
		got := ""
		if err != nil {
			got = map[int]string{404: "404", 405: "405"}[failureOf(err).Status]
		} else {
			got = resp.Data["said"].(string)
		}
		if got != c.want {
			t.Errorf("%s %q = %s, want %s", c.op, c.path, got, c.want)
		}
	}
}
