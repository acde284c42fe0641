package database

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestHidePassword(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"postgresql://{{username}}:{{password}}@localhost:5432/db?sslmode=disable": "postgresql://{{username}}:{{password}}@localhost:5432/db?sslmode=disable",
		"postgres://bob:hunter2@localhost:5432/db":                                 "postgres://bob:*****@localhost:5432/db",
		"postgres://bob:hun@ter2@localhost/db":                                     "postgres://bob:*****@localhost/db",
		"postgres://localhost:5432/db":                                             "postgres://localhost:5432/db",
		"postgres://localhost/db?user=bob&password=hunter2&x=1":                    "postgres://localhost/db?user=bob&password=*****&x=1",
		"host=x password = 'hunter2' user=y":                                       "host=x password = ***** user=y",
		"host=x password={{password}}":                                             "host=x password={{password}}",
		"bob:hunter2@tcp(localhost:3306)/db":                                       "bob:*****@tcp(localhost:3306)/db",
		"{{username}}:{{password}}@tcp(localhost:3306)/db":                         "{{username}}:{{password}}@tcp(localhost:3306)/db",
	} {
		if got := hidePassword(in); got != want {
			t.Errorf("%s\nshows %s\nwant  %s", in, got, want)
		}
	}
}

func FuzzHidePassword(f *testing.F) {
	f.Add("bob", "hunter2", "localhost:5432/db")
	f.Add("", "'", "@")
	f.Fuzz(func(t *testing.T, user, password, rest string) {
		const secret = "SECRET"
		if strings.ContainsAny(user, ":/@") || strings.Contains(user+password+rest, "{{") || strings.Contains(user+rest, secret) {
			return
		}
		for _, address := range []string{"postgres://" + user + ":" + secret + password + "@" + rest, user + ":" + secret + password + "@tcp(" + rest + ")/db"} {
			if strings.Count(address, "://") > 1 || strings.Contains(user, "://") {
				continue
			}
			if shown := hidePassword(address); strings.Contains(shown, secret) {
				t.Errorf("%q shows %q", address, shown)
			}
		}
	})
}

func TestStatements(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		in   any
		want []string
	}{
		"an array":             {[]any{"A b", "C"}, []string{"A b", "C"}},
		"a text":               {"A b; C", []string{"A b; C"}},
		"a text with commas":   {"GRANT a, b", []string{"GRANT a, b"}},
		"an array in a text":   {`["A b", "C"]`, []string{"A b", "C"}},
		"base64":               {"QSBiOyBD", []string{"A b; C"}},
		"an array in base64":   {"WyJBIGIiLCAiQyJd", []string{"A b", "C"}},
		"nothing":              {"", nil},
		"a text like a number": {"1234", []string{"1234"}},
	} {
		got, err := statements(test.in)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, test.want)
		}
	}
	for _, in := range []any{json.Number("1"), []any{1}, map[string]any{}} {
		if _, err := statements(in); err == nil {
			t.Errorf("%v is taken", in)
		}
	}
}

func FuzzStatements(f *testing.F) {
	f.Add("SELECT 1")
	f.Add(`["a","b"]`)
	f.Add("Q1JFQVRFIFJPTEUgeA==")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := statements(text)
		if err != nil || text != "" && len(list) == 0 && text != "[]" && !strings.Contains(text, "W") && strings.TrimSpace(text) != "[]" && strings.TrimSpace(text) != "null" {
			t.Errorf("%q: %q, %v", text, list, err)
		}
	})
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"*", "anything", true},
		{"", "", true},
		{"", "x", false},
		{"app", "app", true},
		{"app", "apps", false},
		{"app*", "apps", true},
		{"*app", "the-app", true},
		{"*app*", "the-apps", true},
		{"a.p", "abp", false},
		{"a*p", "abp", false},
	} {
		if got := matches(test.pattern, test.text); got != test.want {
			t.Errorf("%q matches %q: %v", test.pattern, test.text, got)
		}
	}
}
