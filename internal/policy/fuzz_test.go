package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
)

// FuzzParse: no text makes the parser panic, every refusal says where, and what
// is accepted keeps its meaning when it is parsed again.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "{", "{}", `path "a" {`, DefaultText,
		`path "secret/*" { capabilities = ["read"] }`,
		`path "a" { capabilities = [read] }`,
		`path "a/+*" {}`, `path "{{identity.entity.name}}/*" { policy = "write" }`,
		`{"path":{"x":{"capabilities":["read"],"allowed_parameters":{"a":[true,1,1.5,"x"]}}}}`,
		`{"path":[{"x":{"capabilities":["read"]}},{"y":[{"policy":"read"}]}]}`,
		"path \"a\" {\n denied_parameters = { \"x\" = [99999999999999999999] }\n}",
		"path \"a\" { min_wrapping_ttl = \"1h\" max_wrapping_ttl = 60 }",
		"path \"a\" { expiration = \"2027-01-01T00:00:00Z\" comment = \"x\" }",
		"path <<E\na\nE\n {}", "/* ", "# only a comment", "path \"\\", "a = [[[[[[[[[[[[[",
		`path "${x}" {}`, "path \"a\" {} \x00", "\xff", "name = \"x\"\nname = \"y\"",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse("fuzzed", text)
		if err != nil {
			var where *ParseError
			if !errors.As(err, &where) || where.Line < 1 || where.Column < 1 || where.Problem == "" || where.Original == "" {
				t.Fatalf("error without a place: %v", err)
			}
			if nightporter.CodeOf(err) != nightporter.Invalid {
				t.Fatalf("code %s, want invalid", nightporter.CodeOf(err))
			}
			return
		}
		again, err := Parse("fuzzed", text)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range p.Rules() {
			if got, want := again.Rules()[i].Capabilities(), r.Capabilities(); !slices.Equal(got, want) {
				t.Fatalf("rule %d grants %v, then %v", i, want, got)
			}
		}
	})
}

// FuzzMatcher: the indexed ACL and the reference of reference_test.go decide
// alike. Patterns come one a line; the n-th grants the n-th set.
func FuzzMatcher(f *testing.F) {
	f.Add("a/*\na/+\na/b\n+/b", "a/b")
	f.Add("+\n+/\n*\na*", "a/")
	f.Add("a/+/c\na/b*\na/+/+\n+/b/c", "a/b/c")
	f.Add("a/+b/c\na/+b/+\na+/+/c*", "a/+b/c")
	f.Add("/a\n//a\na//b\na//\n+//b", "//a//b")
	f.Add("a/b/*\na/b\na/*", "a/b/")
	sets := [][]string{
		{"read"}, {"list"}, {"deny"}, {"create", "update"}, {"sudo"}, {"delete", "list"}, {}, {"patch"},
	}
	f.Fuzz(func(t *testing.T, patterns, path string) {
		var policies []*Policy
		for i, pattern := range strings.Split(patterns, "\n") {
			if strings.ContainsAny(pattern, "\"\\${}") || i > 30 {
				return
			}
			caps := strings.Join(sets[i%len(sets)], `", "`)
			text := fmt.Sprintf("path \"%s\" { capabilities = [\"%s\"] }", pattern, caps)
			if len(sets[i%len(sets)]) == 0 {
				text = fmt.Sprintf("path \"%s\" { capabilities = [] }", pattern)
			}
			p, err := Parse(fmt.Sprintf("p%d", i), text)
			if err != nil {
				return
			}
			policies = append(policies, p)
		}
		got := Compile(policies, Identity{}, epoch).Capabilities(path)
		want := newReference(policies).capabilities(path)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q by\n%s\n(-reference +got)\n%s", path, patterns, diff)
		}
	})
}

func TestReferenceAgreesWithTheRecordedServer(t *testing.T) {
	t.Parallel()
	// Every 20th set is enough to trust the reference, which is slow.
	n := 0
	var ref reference
	var of []string
	recordedDecisions(t, func(d recordedDecision, _ *ACL) {
		if n++; n/20%20 != 0 {
			return
		}
		if !slices.Equal(of, d.Policies) {
			of, ref = d.Policies, newReference(parseTexts(t, d.Policies...))
		}
		if diff := cmp.Diff(d.Capabilities, ref.capabilities(d.Path)); diff != "" {
			t.Errorf("%s (-recorded +reference)\n%s", d.Path, diff)
		}
	})
}
