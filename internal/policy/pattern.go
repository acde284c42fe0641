package policy

import (
	"cmp"
	"slices"
	"strings"
)

// form says how a pattern matches.
type form uint8

const (
	// exact matches its own text.
	exact form = iota
	// glob matches everything that starts with its text ("secret/*" starts
	// with "secret/").
	glob
	// segmented holds "+" segments, each of which matches one whole segment.
	// It may end in a star as well.
	segmented
)

// pattern is a rule's path before identity values are filled in. Its form is
// fixed by what the author wrote: a value can never turn text into a wildcard
// (GHSA-59w7-v8rr-pr4p).
type pattern struct {
	text  string // without the star at its end
	star  bool
	form  form
	parts []templatePart // nil without templates
}

// parsePattern classifies a path as Vault does. It returns a problem in words,
// or "".
func parsePattern(s string) (pattern, string) {
	if strings.Contains(s, "+*") {
		return pattern{}, "invalid use of wildcards ('+*' is forbidden)"
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return pattern{}, "control characters cannot stand in a path"
	}
	p := pattern{text: s}
	p.text, p.star = strings.CutSuffix(s, "*")
	switch {
	// A plus counts as a wildcard once one stands at the start of a segment,
	// even if the segment goes on ("a/+b"): Vault looks for "/+".
	case s == "+", strings.HasPrefix(s, "+/"), strings.Contains(s, "/+"):
		p.form = segmented
	case p.star:
		p.form = glob
	}
	parts, problem := parseTemplate(p.text)
	p.parts = parts
	return p, problem
}

// String is the pattern as an author writes it.
func (p pattern) String() string {
	if p.star {
		return p.text + "*"
	}
	return p.text
}

// matcher is a glob or segmented pattern, ready to match.
type matcher struct {
	// literal is what every matching path starts with: the text in front of the
	// first wildcard. Its length is Vault's first criterion of priority.
	literal string
	text    string
	star    bool
	// segments is nil for a plain glob.
	segments []string
	pluses   int // segments that are "+"
	grant    *grant
}

func newMatcher(p pattern, g *grant) *matcher {
	m := &matcher{literal: p.text, text: p.text, star: p.star, grant: g}
	if p.form == segmented {
		m.literal = p.text[:strings.IndexByte(p.text, '+')]
		m.segments = strings.Split(p.text, "/")
		for _, s := range m.segments {
			if s == "+" {
				m.pluses++
			}
		}
	}
	return m
}

// matches reports whether m rules path, which starts with m.literal. A star
// after the last segment also covers the segments that follow.
func (m *matcher) matches(path string) bool {
	last := len(m.segments) - 1
	for i, want := range m.segments {
		segment, rest, more := strings.Cut(path, "/")
		switch {
		case want == "+" || want == segment:
		case i == last && m.star && strings.HasPrefix(segment, want):
		default:
			return false
		}
		switch {
		case i == last:
			return m.star || !more
		case !more:
			return false
		}
		path = rest
	}
	return true
}

// coversBelow reports whether m can match a path that starts with prefix, which
// is empty or ends in a slash.
func (m *matcher) coversBelow(prefix string) bool {
	if m.segments == nil {
		return strings.HasPrefix(m.literal, prefix) || strings.HasPrefix(prefix, m.literal)
	}
	have := strings.Split(strings.TrimSuffix(prefix, "/"), "/")
	if prefix == "" {
		return true
	}
	last := len(m.segments) - 1
	for i, segment := range have {
		want := m.segments[i]
		switch {
		case i == last:
			return m.star && (want == "+" || strings.HasPrefix(segment, want))
		case want != "+" && want != segment:
			return false
		}
	}
	return true
}

// byPriority orders patterns with the same literal, the one that wins first.
// The whole order is Vault's, in which a pattern loses if
//
//  1. its first wildcard comes earlier,
//  2. it ends in a star and the other does not,
//  3. it has more "+" segments,
//  4. it is shorter,
//  5. it is smaller in the alphabet.
//
// The first criterion is the length of the literal: the index asks longer
// literals first.
func byPriority(a, b *matcher) int {
	return cmp.Or(
		boolCompare(a.star, b.star),
		cmp.Compare(a.pluses, b.pluses),
		cmp.Compare(len(b.text), len(a.text)),
		cmp.Compare(b.text, a.text),
	)
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// index finds the matcher that rules a path.
//
// The matchers stand grouped by literal, the literals sorted. The longest
// literal that a path starts with is then the one just before the path in that
// order, or a prefix of it: any text between a prefix of the path and the path
// itself starts with that prefix too. So a lookup is one binary search and a
// walk up the prefixes, longest first, which is Vault's first criterion.
type index struct {
	literals []literal
}

type literal struct {
	text string
	// parent is the index of the longest literal that is a proper prefix of
	// this one, or -1.
	parent   int
	matchers []*matcher // by priority
}

func newIndex(matchers []*matcher) index {
	slices.SortFunc(matchers, func(a, b *matcher) int {
		return cmp.Or(cmp.Compare(a.literal, b.literal), byPriority(a, b))
	})
	var ix index
	for _, m := range matchers {
		last := len(ix.literals) - 1
		if last < 0 || ix.literals[last].text != m.literal {
			parent := last
			for parent >= 0 && !strings.HasPrefix(m.literal, ix.literals[parent].text) {
				parent = ix.literals[parent].parent
			}
			ix.literals = append(ix.literals, literal{text: m.literal, parent: parent})
			last++
		}
		ix.literals[last].matchers = append(ix.literals[last].matchers, m)
	}
	return ix
}

// find returns the grant that rules path, or nil.
func (ix index) find(path string) *grant {
	// The last literal that is not greater than path.
	lo, hi := 0, len(ix.literals)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if ix.literals[mid].text <= path {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	for i := lo - 1; i >= 0; i = ix.literals[i].parent {
		l := &ix.literals[i]
		if !strings.HasPrefix(path, l.text) {
			continue
		}
		for _, m := range l.matchers {
			if m.matches(path) {
				return m.grant
			}
		}
	}
	return nil
}
