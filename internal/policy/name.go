package policy

import (
	"strings"
	"unicode"

	"nightporter.dev/nightporter"
)

// The names that the product itself gives a meaning.
const (
	// RootName is the policy that allows everything. It has no text and cannot
	// be written or deleted.
	RootName = "root"
	// DefaultName is the policy that every token gets unless it was made
	// without it.
	DefaultName = "default"
	// WrappingName is the policy of a response-wrapping token.
	WrappingName = "response-wrapping"
)

// maxName is the longest name of a policy in bytes.
const maxName = 128

// Name brings the name of a policy into its only form: trimmed and in lower
// case. Call it once, where a name enters the product (a request, the
// configuration), and compare, store and look up only its result. Behind that
// edge names are opaque: nothing folds them a second time, so nothing can fold
// them differently. The originals compared one form and used another, which
// gave root away (CVE-2025-5999, CVE-2025-64761).
func Name(s string) (string, error) {
	name := strings.ToLower(strings.TrimSpace(s))
	switch {
	case name == "":
		return "", nightporter.E(nightporter.Invalid, "a policy needs a name")
	case len(name) > maxName:
		return "", nightporter.E(nightporter.Invalid, "a policy's name has at most %d bytes", maxName)
	}
	for _, r := range name {
		// A slash would make api/policies/<name> two names; a comma would make
		// one name two in "a,b" lists.
		if r == '/' || r == ',' || r == unicode.ReplacementChar || unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return "", nightporter.E(nightporter.Invalid, "%q is not a name for a policy", s).
				WithHint("use letters, digits, dots, hyphens and underscores")
		}
	}
	return name, nil
}

// Names brings a list of names into their only form, without duplicates and in
// the order given.
func Names(list []string) ([]string, error) {
	out := make([]string, 0, len(list))
	seen := make(map[string]bool, len(list))
	for _, s := range list {
		name, err := Name(s)
		if err != nil {
			return nil, err
		}
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out, nil
}
