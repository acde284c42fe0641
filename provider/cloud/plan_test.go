package cloud_test

import (
	"slices"
	"strings"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/cloud"
)

// parts reads "app:db,cache db cache".
func parts(text string) []cloud.Component {
	var out []cloud.Component
	for word := range strings.FieldsSeq(text) {
		name, needs, _ := strings.Cut(word, ":")
		c := cloud.Component{Name: name}
		if needs != "" {
			c.Needs = strings.Split(needs, ",")
		}
		out = append(out, c)
	}
	return out
}

func TestOrder(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"b a", "b a"},
		{"app:db db", "db app"},
		{"web:app,cache app:db cache db", "db app cache web"},
	} {
		sorted, err := cloud.Order(parts(tt.in))
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
		}
		var got []string
		for _, c := range sorted {
			got = append(got, c.Name)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%q: got %v, want %s", tt.in, got, tt.want)
		}
	}
	for in, want := range map[string]string{
		"a:b b:c c:a": "components need each other in a circle: a → b → c → a",
		"a:a":         "components need each other in a circle: a → a",
		"a:b":         `a needs "b", which is no component`,
		"a a":         `two components are called "a"`,
		"A":           `"A" cannot name the component`,
		"..":          `".." cannot name the component`,
	} {
		_, err := cloud.Order(parts(in))
		if nightporter.CodeOf(err) != nightporter.Invalid || nightporter.MessageOf(err) != want {
			t.Errorf("%q: got %v, want %s", in, err, want)
		}
	}
}

// FuzzOrder: what is accepted comes after what it needs, each once.
func FuzzOrder(f *testing.F) {
	f.Add("app:db db")
	f.Add("a:b b:a")
	f.Fuzz(func(t *testing.T, text string) {
		in := parts(text)
		out, err := cloud.Order(in)
		if err != nil {
			return
		}
		if len(out) != len(in) {
			t.Fatalf("%d of %d", len(out), len(in))
		}
		seen := []string{}
		for _, c := range out {
			for _, n := range c.Needs {
				if !slices.Contains(seen, n) {
					t.Fatalf("%s before %s", c.Name, n)
				}
			}
			seen = append(seen, c.Name)
		}
	})
}
