package nightporter

import (
	"fmt"
	"strconv"
	"strings"
)

// Version is a semantic version without build metadata (semver.org 2.0.0).
type Version struct {
	Major, Minor, Patch uint64
	// Pre is the pre-release part without the hyphen: "rc.1". Empty for a
	// normal version.
	Pre string
}

// ParseVersion reads "1.4.0" or "v1.4.0", with an optional pre-release.
func ParseVersion(s string) (Version, error) {
	bad := func() (Version, error) {
		return Version{}, E(Invalid, "%q is not a semantic version", s).WithHint("write three numbers: 1.4.0")
	}
	rest := strings.TrimPrefix(s, "v")
	core, pre, hasPre := strings.Cut(rest, "-")
	if strings.Contains(rest, "+") || hasPre && !validPre(pre) {
		return bad()
	}
	parts := strings.Split(core, ".")
	if len(parts) != 3 {
		return bad()
	}
	var n [3]uint64
	for i, p := range parts {
		if p == "" || len(p) > 1 && p[0] == '0' || strings.Trim(p, "0123456789") != "" {
			return bad()
		}
		v, err := strconv.ParseUint(p, 10, 32)
		if err != nil {
			return bad()
		}
		n[i] = v
	}
	return Version{Major: n[0], Minor: n[1], Patch: n[2], Pre: pre}, nil
}

// validPre checks the dot-separated identifiers of a pre-release (semver.org
// §9): not empty, [0-9A-Za-z-], no leading zero in a number.
func validPre(pre string) bool {
	for id := range strings.SplitSeq(pre, ".") {
		if id == "" {
			return false
		}
		number := true
		for _, c := range []byte(id) {
			digit := c >= '0' && c <= '9'
			if !digit && !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-') {
				return false
			}
			number = number && digit
		}
		if number && len(id) > 1 && id[0] == '0' {
			return false
		}
	}
	return true
}

// String writes the version without a leading v: "1.4.0".
func (v Version) String() string {
	s := fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
	if v.Pre != "" {
		s += "-" + v.Pre
	}
	return s
}

// Tag is the name of the version's git tag: "v1.4.0".
func (v Version) Tag() string { return "v" + v.String() }

// MarshalText writes String, in JSON too.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (v *Version) UnmarshalText(b []byte) error {
	parsed, err := ParseVersion(string(b))
	*v = parsed
	return err
}

// Compare orders versions by precedence (semver.org §11): -1, 0 or 1.
func (v Version) Compare(w Version) int {
	for _, p := range [][2]uint64{{v.Major, w.Major}, {v.Minor, w.Minor}, {v.Patch, w.Patch}} {
		if p[0] != p[1] {
			if p[0] < p[1] {
				return -1
			}
			return 1
		}
	}
	return comparePre(v.Pre, w.Pre)
}

func comparePre(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == "": // a normal version comes after its pre-releases
		return 1
	case b == "":
		return -1
	}
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		an, aerr := strconv.ParseUint(as[i], 10, 64)
		bn, berr := strconv.ParseUint(bs[i], 10, 64)
		switch {
		case as[i] == bs[i]:
			continue
		case aerr == nil && berr == nil:
			if an < bn {
				return -1
			}
			return 1
		case aerr == nil: // numbers come before words
			return -1
		case berr == nil:
			return 1
		}
		return strings.Compare(as[i], bs[i])
	}
	return min(max(len(as)-len(bs), -1), 1)
}

// Bump is how far a change moves a version. It comes from a pull request's label.
type Bump string

// The bumps. Their names are the labels.
const (
	Major     Bump = "major"
	Minor     Bump = "minor"
	PatchBump Bump = "patch"
	NoBump    Bump = "skip-release"
)

// Next is the version after v. While the major number is 0, zeroMajor says what
// a major change does: semver.org §4 lets anything change there, so most teams
// move the minor number ([Minor]); [Major] leaves 0.x.
func (v Version) Next(b Bump, zeroMajor Bump) Version {
	if b == Major && v.Major == 0 {
		b = zeroMajor
	}
	switch b {
	case Major:
		return Version{Major: v.Major + 1}
	case Minor:
		return Version{Major: v.Major, Minor: v.Minor + 1}
	case PatchBump:
		if v.Pre != "" {
			return Version{Major: v.Major, Minor: v.Minor, Patch: v.Patch}
		}
		return Version{Major: v.Major, Minor: v.Minor, Patch: v.Patch + 1}
	}
	return v
}
