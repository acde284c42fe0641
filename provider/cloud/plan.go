package cloud

import (
	"slices"
	"strings"

	"nightporter.dev/nightporter"
)

// Order sorts components so that each comes after those that it needs; those that
// need nothing of each other keep their order. It refuses names that are missing,
// used twice or unknown, and cycles, with an Invalid error that names them.
func Order(components []Component) ([]Component, error) {
	at := make(map[string]int, len(components))
	for i, c := range components {
		if err := ValidateName("component", c.Name); err != nil {
			return nil, err
		}
		if _, twice := at[c.Name]; twice {
			return nil, nightporter.E(nightporter.Invalid, "two components are called %q", c.Name)
		}
		at[c.Name] = i
	}
	for _, c := range components {
		for _, need := range c.Needs {
			if _, ok := at[need]; !ok {
				return nil, nightporter.E(nightporter.Invalid, "%s needs %q, which is no component", c.Name, need).
					WithHint("components: %s", names(components))
			}
		}
	}
	sorted := make([]Component, 0, len(components))
	done := map[string]bool{}
	var path []string
	var visit func(c Component) error
	visit = func(c Component) error {
		if done[c.Name] {
			return nil
		}
		if i := slices.Index(path, c.Name); i >= 0 {
			return nightporter.E(nightporter.Invalid, "components need each other in a circle: %s", strings.Join(append(path[i:], c.Name), " → "))
		}
		path = append(path, c.Name)
		for _, need := range c.Needs {
			if err := visit(components[at[need]]); err != nil {
				return err
			}
		}
		path = path[:len(path)-1]
		done[c.Name] = true
		sorted = append(sorted, c)
		return nil
	}
	for _, c := range components {
		if err := visit(c); err != nil {
			return nil, err
		}
	}
	return sorted, nil
}

// NeededBy names the components that need the named one directly.
func NeededBy(components []Component, name string) []string {
	var out []string
	for _, c := range components {
		if slices.Contains(c.Needs, name) {
			out = append(out, c.Name)
		}
	}
	return out
}

// Alive are the resources that a dark environment must not have.
func Alive(resources []Resource) []Resource {
	var out []Resource
	for _, r := range resources {
		if !r.Kept {
			out = append(out, r)
		}
	}
	return out
}

func names(components []Component) string {
	all := make([]string, len(components))
	for i, c := range components {
		all[i] = c.Name
	}
	return strings.Join(all, ", ")
}

// ValidateName checks a name that providers turn into file names, marks and
// object names.
func ValidateName(kind, s string) error {
	good := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_'
	}
	if s == "" || len(s) > 63 || strings.ContainsAny(s[:1], "-._") || strings.ContainsFunc(s, func(c rune) bool { return !good(c) }) {
		return nightporter.E(nightporter.Invalid, "%q cannot name the %s", s, kind).
			WithHint("use lower-case letters, digits, hyphens, dots and underscores, at most 63, starting with a letter or digit")
	}
	return nil
}

// Validate checks what every provider needs. Providers call it first.
func (r Request) Validate() error {
	if err := ValidateName("environment", r.Environment); err != nil {
		return err
	}
	if r.Key == "" || len(r.Key) > 200 || strings.ContainsFunc(r.Key, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return nightporter.E(nightporter.Invalid, "the key %q is not 1 to 200 printable characters", r.Key)
	}
	if r.Component == Rest {
		return nil
	}
	return ValidateName("component", r.Component)
}
