package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
)

// epoch is the time at which tests compile.
var epoch = time.Unix(1_800_000_000, 0)

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth)
	for _, c := range []struct {
		name, text   string
		line, column int
		problem      string // part of it
	}{
		{"an unclosed block", "path \"a\" {", 1, 12, "RBRACE"},
		{"a bare word in a list", `path "a" { capabilities = [read] }`, 1, 28, "IDENT"},
		{"an unknown capability", "path \"a\" {\n  capabilities = [\"read\", \"fly\"]\n}", 2, 27, `invalid capability "fly"`},
		{"a capability that is no string", `path "a" { capabilities = [1] }`, 1, 28, `invalid capability "1"`},
		{"an unknown key in a path", "path \"a\" {\n\n  capability = [\"read\"]\n}", 3, 3, `unknown key "capability"`},
		{"an unknown key at the top", "\nrule \"a\" { }", 2, 1, `unknown key "rule"`},
		{"a limit that is not enforced here", `path "a" { pagination_limit = 5 }`, 1, 12, "unknown key"},
		{"capabilities twice", "path \"a\" {\n capabilities = [\"read\"]\n capabilities = [\"deny\"]\n}", 3, 2, "given before"},
		{"capabilities twice in two spellings", "path \"a\" {\n capabilities = [\"read\"]\n \"capabilities\" = [\"deny\"]\n}", 3, 2, "given before"},
		{"parameters twice as blocks", "path \"a\" {\n allowed_parameters { }\n allowed_parameters { }\n}", 3, 2, "given before"},
		{"a parameter twice but for case", `path "a" { denied_parameters = { "Foo" = [], "foo" = ["x"] } }`, 1, 46, "given before"},
		{"the same path twice in JSON", `{"path":{"a":{"capabilities":["read"]},"a":{"capabilities":["deny"]}}}`, 1, 40, "given before"},
		{"capabilities twice in JSON", `{"path":{"a":{"capabilities":["read"],"capabilities":["deny"]}}}`, 1, 39, "given before"},
		{"+*", `path "a/+*" { }`, 1, 6, "'+*' is forbidden"},
		{"a control character in a path", "path \"a\\nb\" { }", 1, 6, "control characters"},
		{"a path without a pattern", "path { }", 1, 1, "needs a pattern"},
		{"a path with two patterns", `path "a" "b" { }`, 1, 10, "one pattern"},
		{"a pattern without a block", `{"path":{"a":"read"}}`, 1, 14, "needs a block"},
		{"wrapping bounds that contradict", "path \"a\" { min_wrapping_ttl = \"2h\"\n max_wrapping_ttl = \"1h\" }", 1, 6, "cannot be less"},
		{"a duration that is none", `path "a" { min_wrapping_ttl = "soon" }`, 1, 31, "duration"},
		{"a negative duration", `path "a" { max_wrapping_ttl = "-1s" }`, 1, 31, "duration"},
		{"a duration that overflows", `path "a" { max_wrapping_ttl = 9223372036854775807 }`, 1, 31, "duration"},
		{"an unknown old policy", `path "a" { policy = "fly" }`, 1, 21, `invalid policy "fly"`},
		{"a number that does not fit", `path "a" { denied_parameters = { x = [99999999999999999999] } }`, 1, 39, "fits"},
		{"a number that does not fit in JSON", `{"path":{"a":{"min_wrapping_ttl":1e999}}}`, 1, 34, "fits"},
		{"values that are no list", `path "a" { allowed_parameters = { x = "y" } }`, 1, 39, "must be a list"},
		{"a value that is a block", `path "a" { allowed_parameters = { x = [{ y = 1 }] } }`, 1, 40, "cannot be a block"},
		{"null as a value", `{"path":{"a":{"allowed_parameters":{"x":[null]}}}}`, 1, 42, "cannot be null"},
		{"an expiration that is no time", `path "a" { expiration = "tomorrow" }`, 1, 25, "expiration must be a time"},
		{"a heredoc", "path \"a\" {\n comment = <<E\nx\nE\n}", 2, 12, "heredoc"},
		{"a template that is not closed", `path "{{identity.entity.name" { }`, 1, 6, "not closed"},
		{"a template nobody knows", `path "{{identity.entity.password}}" { }`, 1, 6, "not known"},
		{"text after JSON", "{}\n x", 2, 2, "more text"},
		{"JSON that ends", `{"path":`, 1, 9, "ends too early"},
		{"JSON with a comma too many", `{"path":{},}`, 1, 12, "invalid character"},
		{"bytes that are no text", "path \"\xff\" { }", 1, 1, "UTF-8"},
		{"a NUL", "path \"a\" { }\x00", 1, 13, "null character"},
		{"deep nesting", "path \"a\" { comment = " + deep + " }", 1, 31, "nest"},
		{"deep nesting in JSON", `{"path":` + strings.Repeat("[", maxDepth), 1, 18, "nest"},
		{"a large text", strings.Repeat(" ", maxText+1), 1, 1, "at most"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("dev", c.text)
			var where *ParseError
			if !errors.As(err, &where) {
				t.Fatalf("got %v, want a ParseError", err)
			}
			if where.Line != c.line || where.Column != c.column || !strings.Contains(where.Problem, c.problem) {
				t.Errorf("got %v, want line %d, column %d: …%s…", where, c.line, c.column, c.problem)
			}
			if code := nightporter.CodeOf(err); code != nightporter.Invalid {
				t.Errorf("code %s, want invalid", code)
			}
			if want := fmt.Sprintf(`policy "dev", line %d, column %d: `, c.line, c.column); !strings.HasPrefix(nightporter.MessageOf(err), want) {
				t.Errorf("message %q, want it to start with %q", nightporter.MessageOf(err), want)
			}
		})
	}
}

// The sentences are recorded answers of an OpenBao server, behind its "failed to
// parse policy: ".
func TestParseHasTheOriginalsSentences(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{`path "a" {`, `At 1:12: object expected closing RBRACE got: EOF`},
		{`path "a" { capabilities = [read] }`, `At 1:28: unexpected token while parsing list: IDENT`},
		{`path "a" { capabilities = ["fly"] }`, `path "a": invalid capability "fly"`},
		{`path "a" { capability = ["read"] }`, "1 error occurred:\n\t* path \"a\": invalid key \"capability\" on line 1\n\n"},
		{`rule "a" { capabilities = ["read"] }`, "1 error occurred:\n\t* invalid key \"rule\" on line 0\n\n"},
		{`path "a/+*" { capabilities = ["read"] }`, `path "a/+*": invalid use of wildcards ('+*' is forbidden)`},
		{"path \"a\" { capabilities = [\"read\"]\n min_wrapping_ttl = \"2h\"\n max_wrapping_ttl = \"1h\" }", `max_wrapping_ttl cannot be less than min_wrapping_ttl`},
		{`path "a" { policy = "fly" }`, `path "a": invalid policy "fly"`},
	} {
		_, err := Parse("e", c.text)
		var where *ParseError
		if !errors.As(err, &where) {
			t.Errorf("%s: got %v, want a ParseError", c.text, err)
			continue
		}
		if diff := cmp.Diff(c.want, where.Original); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.text, diff)
		}
	}
}

func TestParseReadsEveryKeyInBothSyntaxes(t *testing.T) {
	t.Parallel()
	hcl := `
name = "ignored"
# comments are free
path "/secret/*" {
  comment             = "nightly job"
  capabilities        = ["read", "update"]
  policy              = "read"
  allowed_parameters  = { "TTL" = ["1h", 2, 1.5, true], "*" = [] }
  denied_parameters { zone = ["x*"] }
  required_parameters = ["TTL"]
  min_wrapping_ttl    = 60
  max_wrapping_ttl    = "1d"
  expiration          = "2027-02-01T00:00:00Z"
}`
	json := `{"name": "ignored", "path": [{"/secret/*": {
  "comment": "nightly job", "capabilities": ["read", "update"], "policy": "read",
  "allowed_parameters": {"TTL": ["1h", 2, 1.5, true], "*": []}, "denied_parameters": {"zone": ["x*"]},
  "required_parameters": ["TTL"], "min_wrapping_ttl": "60", "max_wrapping_ttl": "24h",
  "expiration": "2027-02-01T00:00:00Z"}}]}`
	want := limits{
		allowed:  map[string][]any{"ttl": {"1h", int64(2), 1.5, true}, "*": {}},
		denied:   map[string][]any{"zone": {"x*"}},
		required: []string{"ttl"},
		wrapping: wrappingTTL{time.Minute, 24 * time.Hour},
	}
	for name, text := range map[string]string{"hcl": hcl, "hcl with CRLF": strings.ReplaceAll(hcl, "\n", "\r\n"), "json": json} {
		p, err := Parse("dev", text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r := p.Rules()[0]
		if diff := cmp.Diff(want, r.limits, cmp.AllowUnexported(limits{}, wrappingTTL{})); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
		if diff := cmp.Diff([]string{"list", "read", "update"}, r.Capabilities()); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
		if r.Pattern != "secret/*" || r.Comment != "nightly job" || r.Expires.Year() != 2027 || p.Text != text && name != "" {
			t.Errorf("%s: read %+v", name, r)
		}
	}
}

func TestParseLeavesADenyingRuleNothingElse(t *testing.T) {
	t.Parallel()
	p, err := Parse("dev", `path "a" { capabilities = ["read", "deny"] required_parameters = ["x"] }`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"deny"}, p.Rules()[0].Capabilities()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestNameHasOneForm(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"dev": "dev", "Dev": "dev", " ROOT\n": "root", "Team-A.b_c": "team-a.b_c", "ÄRZTE": "ärzte",
		"": "", "  ": "", "a/b": "", "a,b": "", "a b": "", "a\x00": "", "a\u200bb": "", "\xff": "", strings.Repeat("a", 129): "",
	} {
		got, err := Name(in)
		if (err != nil) != (want == "") || got != want {
			t.Errorf("Name(%q) = %q, %v; want %q", in, got, err, want)
		}
		if err == nil {
			if again, _ := Name(got); again != got {
				t.Errorf("Name(Name(%q)) = %q, want %q", in, again, got)
			}
		}
	}
	names, err := Names([]string{"B", "a", "b "})
	if diff := cmp.Diff([]string{"b", "a"}, names); diff != "" || err != nil {
		t.Errorf("(-want +got)\n%s%v", diff, err)
	}
}
