package httpapi

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"nightporter.dev/nightporter"
)

// maxPath bounds a path, in bytes as sent.
const maxPath = 4096

// Canonical decodes the path of a request target, which must be as it was sent,
// once and for all: what it returns is what is authorised, routed, logged and
// handed to handlers. It starts with a slash and keeps a trailing one, which
// Vault's LIST gives a meaning.
//
// One resource must have one spelling, so that a policy about it cannot be
// walked around. Everything that some reader might understand as another path is
// therefore refused, not repaired: "." and ".." segments, empty segments,
// backslashes, encoded slashes, backslashes and dots, anything that decodes to
// something encoded again, whatever does not print, and invalid UTF-8. Encodings
// of other characters have one meaning and are decoded.
//
// Its errors have the code invalid and do not repeat the path.
func Canonical(raw string) (string, error) {
	refuse := func(why string) (string, error) {
		return "", nightporter.E(nightporter.Invalid, "the path %s", why).
			WithHint("send one plain spelling: /api/releases/42")
	}
	switch {
	case len(raw) > maxPath:
		return refuse("is too long")
	case !strings.HasPrefix(raw, "/"):
		return refuse("does not start with a slash")
	}
	var b strings.Builder
	b.Grow(len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch c {
		case '\\', '?', '#':
			return refuse("holds a character that must not stand in a path")
		case '%':
			if i+2 >= len(raw) {
				return refuse("ends inside of a percent-encoding")
			}
			hi, lo := unhex(raw[i+1]), unhex(raw[i+2])
			if hi < 0 || lo < 0 {
				return refuse("holds a wrong percent-encoding")
			}
			c = byte(hi<<4 | lo)
			i += 2
			switch c {
			case '/', '\\', '.':
				return refuse("holds an encoded slash, backslash or dot")
			}
		}
		b.WriteByte(c)
	}
	path := b.String()
	if why := unsafePath(path); why != "" {
		return refuse(why)
	}
	return path, nil
}

// unsafePath says what is wrong with a decoded path, or "".
func unsafePath(path string) string {
	if !utf8.ValidString(path) {
		return "is not UTF-8"
	}
	for _, r := range path {
		// Neither controls nor invisible characters: they would let two
		// different paths look the same in a policy, a log or an approval.
		if !unicode.IsPrint(r) {
			return "holds a character that does not print"
		}
	}
	for i := 0; i+2 < len(path); i++ {
		if path[i] == '%' && unhex(path[i+1]) >= 0 && unhex(path[i+2]) >= 0 {
			return "is encoded twice"
		}
	}
	rest := path[1:]
	if rest == "" {
		return ""
	}
	for segment := range strings.SplitSeq(strings.TrimSuffix(rest, "/"), "/") {
		switch segment {
		case "":
			return "holds an empty segment"
		case ".", "..":
			return "holds a . or .. segment"
		}
	}
	return ""
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// rawPath returns the path as the client sent it. EscapedPath alone would not
// do: when the sent form holds a character that it does not like, it encodes the
// decoded path anew, and an encoded slash turns into a real one unseen.
func rawPath(r *http.Request) string {
	if r.URL.RawPath != "" {
		return r.URL.RawPath
	}
	return r.URL.EscapedPath()
}

// canonicalise sets the request's path to its canonical form, so that the router
// and the handlers read the very string that is authorised.
func canonicalise(r *http.Request) error {
	path, err := Canonical(rawPath(r))
	if err != nil {
		return err
	}
	u := *r.URL
	u.Path, u.RawPath = path, ""
	r.URL = &u
	return nil
}
