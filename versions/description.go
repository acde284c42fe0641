package versions

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Description is what a pull request's description must have. The zero Description
// demands nothing.
type Description struct {
	// Sections are headings that must be there with some text below them, in
	// upper or lower case.
	Sections []string
	// Minimum is how many letters and digits there must be at least, headings
	// and comments not counted.
	Minimum int
}

// Any says whether anything is demanded.
func (d Description) Any() bool { return len(d.Sections) > 0 || d.Minimum > 0 }

// maxBody is how much of a description is looked at. GitHub takes 65,536
// characters.
const maxBody = 256 << 10

var (
	comment = regexp.MustCompile(`(?s)<!--.*?(-->|$)`)
	heading = regexp.MustCompile(`^(?:#{1,6}\s+(.+?)\s*#*|\*\*(.+?)\*\*:?)$`)
)

// Problems says what a description lacks, for its author. What stands in comments,
// as in an unfilled template, does not count.
func (d Description) Problems(body string) (problems []string) {
	if !d.Any() {
		return nil
	}
	body = comment.ReplaceAllString(body[:min(len(body), maxBody)], "")
	letters, all, current := map[string]int{}, 0, ""
	there := map[string]bool{}
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if m := heading.FindStringSubmatch(line); m != nil {
			current = strings.ToLower(strings.TrimRight(m[1]+m[2], ": "))
			there[current] = true
			continue
		}
		n := count(line)
		letters[current] += n
		all += n
	}
	for _, s := range d.Sections {
		switch name := strings.ToLower(strings.TrimSpace(s)); {
		case !there[name]:
			problems = append(problems, fmt.Sprintf("the description has no section %q", s))
		case letters[name] == 0:
			problems = append(problems, fmt.Sprintf("the section %q is empty", s))
		}
	}
	if all < d.Minimum {
		problems = append(problems, fmt.Sprintf("the description has %d letters of at least %d", all, d.Minimum))
	}
	return problems
}

// count counts letters and digits: a line of dashes and an unticked box say
// nothing.
func count(line string) (n int) {
	line = strings.TrimPrefix(strings.TrimPrefix(line, "- [ ]"), "- [x]")
	for _, r := range line {
		if r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsNumber(r)) {
			n++
		}
	}
	return n
}
