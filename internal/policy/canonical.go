package policy

import (
	"strings"
	"unicode/utf8"

	"nightporter.dev/nightporter"
)

// Canonical refuses a path that could mean one thing to a policy and another
// to the handler behind it: a leading slash, empty, "." and ".." segments,
// control characters, backslashes, bytes that are not UTF-8, and percent signs
// that would decode to a slash, a dot or a backslash (class of CVE-2026-3605).
// One slash at the end is part of the path: LIST has it.
//
// The edge of the HTTP server makes paths canonical; [Set.Decide] asks again,
// so that a route that forgot to is refused and not misjudged.
func Canonical(path string) error {
	if problem := nonCanonical(path); problem != "" {
		return nightporter.E(nightporter.Invalid, "the path %q %s", path, problem)
	}
	return nil
}

// nonCanonical says what is wrong with a path, or "". It does not allocate.
func nonCanonical(path string) string {
	if path == "" {
		return "is empty"
	}
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '/' && i == 0:
			return "starts with a slash"
		case c == '/' && path[i-1] == '/':
			return "has an empty segment"
		case c == '.' && (i == 0 || path[i-1] == '/') && isDots(path[i:]):
			return "has a segment of dots"
		case c < 0x20 || c == 0x7f:
			return "holds a control character"
		case c == '\\':
			return "holds a backslash"
		case c == '%' && hidesSyntax(path[i+1:]):
			return "holds an encoded slash, backslash, dot or control character"
		}
	}
	if !utf8.ValidString(path) {
		return "is not valid UTF-8"
	}
	return ""
}

// isDots reports whether the segment at the start of s is "." or "..".
func isDots(s string) bool {
	segment, _, _ := strings.Cut(s, "/")
	return segment == "." || segment == ".."
}

// hidesSyntax reports whether the two characters after a percent sign would
// decode to something that paths give a meaning to, or to another percent sign.
func hidesSyntax(s string) bool {
	if len(s) < 2 {
		return false
	}
	switch s[0] {
	case '0', '1':
		return isHex(s[1]) // control characters
	case '2':
		return s[1] == 'e' || s[1] == 'E' || s[1] == 'f' || s[1] == 'F' || s[1] == '5'
	case '5':
		return s[1] == 'c' || s[1] == 'C'
	}
	return false
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}
