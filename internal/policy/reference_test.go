package policy

import (
	"regexp"
	"slices"
	"strings"
)

// reference is the same decision, written from the documentation of Vault's
// priority rules, with regular expressions and without an index. It is slow and
// meant to be obviously right; the fuzz target compares the two.
type reference struct {
	granted map[string]map[string]bool // pattern → capabilities
}

func newReference(policies []*Policy) reference {
	r := reference{granted: map[string]map[string]bool{}}
	for _, p := range policies {
		for _, rule := range p.Rules() {
			if r.granted[rule.Pattern] == nil {
				r.granted[rule.Pattern] = map[string]bool{}
			}
			for _, c := range rule.Capabilities() {
				r.granted[rule.Pattern][c] = true
			}
		}
	}
	return r
}

func (r reference) capabilities(path string) []string {
	path = strings.TrimLeft(path, "/")
	tries := []string{path}
	if strings.HasSuffix(path, "/") {
		tries = append(tries, strings.TrimSuffix(path, "/"))
	}
	for _, wild := range []bool{false, true} {
		for _, p := range tries {
			if best, ok := r.best(p, wild); ok {
				return answer(r.granted[best])
			}
		}
	}
	return []string{"deny"}
}

func answer(can map[string]bool) []string {
	if can["deny"] || len(can) == 0 {
		return []string{"deny"}
	}
	var names []string
	for c := range can {
		names = append(names, c)
	}
	slices.Sort(names)
	return names
}

// best is the matching pattern that no other matching pattern beats.
func (r reference) best(path string, wild bool) (string, bool) {
	best, found := "", false
	for p := range r.granted {
		if isWild(p) != wild || !regexp.MustCompile("^"+expression(p)+"$").MatchString(path) {
			continue
		}
		if !found || beats(p, best) {
			best, found = p, true
		}
	}
	return best, found
}

func hasPlus(p string) bool {
	return p == "+" || strings.HasPrefix(p, "+/") || strings.Contains(p, "/+")
}

func isWild(p string) bool { return strings.HasSuffix(p, "*") || hasPlus(p) }

func expression(p string) string {
	body, star := strings.CutSuffix(p, "*")
	if !isWild(p) {
		return regexp.QuoteMeta(p)
	}
	if hasPlus(p) {
		segments := strings.Split(body, "/")
		for i, s := range segments {
			if s == "+" {
				segments[i] = "[^/]*"
			} else {
				segments[i] = regexp.QuoteMeta(s)
			}
		}
		body = strings.Join(segments, "/")
	} else {
		body = regexp.QuoteMeta(body)
	}
	if star {
		body += "(?s:.*)"
	}
	return body
}

// beats follows the list in the documentation line by line: P1 loses if …
func beats(p1, p2 string) bool {
	first := func(p string) int {
		if hasPlus(p) {
			return strings.Index(p, "+")
		}
		return len(p) - 1 // the star
	}
	if a, b := first(p1), first(p2); a != b { // … its first wildcard is earlier
		return a > b
	}
	star := func(p string) bool { return strings.HasSuffix(p, "*") }
	if a, b := star(p1), star(p2); a != b { // … it ends in a star
		return b
	}
	pluses := func(p string) (n int) {
		for s := range strings.SplitSeq(strings.TrimSuffix(p, "*"), "/") {
			if s == "+" {
				n++
			}
		}
		return n
	}
	if a, b := pluses(p1), pluses(p2); a != b { // … it has more segments of "+"
		return a < b
	}
	if len(p1) != len(p2) { // … it is shorter
		return len(p1) > len(p2)
	}
	return strings.TrimSuffix(p1, "*") > strings.TrimSuffix(p2, "*") // … it is smaller
}
