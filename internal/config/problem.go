package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
)

// Problem is one thing that is wrong with a file, and where.
type Problem struct {
	File   string
	Line   int // from 1; 0 when the place is not known
	Column int // from 1
	// Path says where in words: "services[2].owner".
	Path     string
	Message  string
	Hint     string // what to do about it, or ""
	Severity catalog.Severity
	// Excerpt is the line itself, with what could be a secret left out.
	Excerpt string
}

// String is the problem in the form that editors understand, with the line it is
// on and the hint:
//
//	nightporter.yaml:12:5: unknown key "timezome" in environments.dev
//	   12 |     timezome: Europe/London
//	      |     ^
//	hint: did you mean "timezone"?
func (p Problem) String() string {
	var text strings.Builder
	text.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&text, ":%d:%d", p.Line, p.Column)
	}
	text.WriteString(": ")
	if p.Severity == catalog.Warning {
		text.WriteString("warning: ")
	}
	text.WriteString(p.Message)
	if p.Excerpt != "" {
		fmt.Fprintf(&text, "\n%5d | %s", p.Line, p.Excerpt)
		fmt.Fprintf(&text, "\n      | %s^", blank(p.Excerpt, p.Column-1))
	}
	if p.Hint != "" {
		text.WriteString("\nhint: " + p.Hint)
	}
	return text.String()
}

// blank is n columns of space that keep the tabs of line, so that the caret
// stands below its letter.
func blank(line string, n int) string {
	var space strings.Builder
	for _, r := range line {
		if n--; n < 0 {
			break
		}
		if r == '\t' {
			space.WriteRune('\t')
		} else {
			space.WriteByte(' ')
		}
	}
	return space.String()
}

// Error is a file that was refused, with all the reasons.
type Error struct {
	Problems []Problem // never empty; sorted by line
}

func sortProblems(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// Error is the problems, each with its line.
func (e *Error) Error() string {
	texts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		texts[i] = p.String()
	}
	return strings.Join(texts, "\n\n")
}

// Unwrap gives the error its code, [nightporter.Invalid], and its message.
func (e *Error) Unwrap() error {
	return nightporter.E(nightporter.Invalid, "%s", e.Error())
}

var (
	// secretKey finds a key that may hold a secret, and the start of its value.
	secretKey = regexp.MustCompile(`(?i)[\w-]*(token|secret|pass|pwd|key|webhook|credential|bearer|auth)[\w-]*["']?\s*:\s*["']?`)
	// userInfo finds a password in a URL.
	userInfo = regexp.MustCompile(`(://[^\s/:@]*):[^\s/@]*@`)
)

// excerpt is a line that is safe to show. Somebody may have put a secret where a
// reference belongs, and errors end up in logs and tickets: the value of anything
// that sounds like a secret is cut off with the rest of the line.
func excerpt(line string) string {
	const longest = 160
	line = userInfo.ReplaceAllString(line, "$1:…@")
	if at := secretKey.FindStringIndex(line); at != nil {
		line = line[:at[1]] + "…"
	}
	line = printable(line)
	if r := []rune(line); len(r) > longest {
		line = string(r[:longest]) + "…"
	}
	return line
}

// printable takes out what a terminal would obey.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// followsFrom tells whether p may only be there because the shape of something was
// wrong: an unknown key "ownr" makes "owner" missing, and an unknown section "team"
// makes every owner unknown.
func followsFrom(p Problem, shape []Problem) bool {
	return slices.ContainsFunc(shape, func(s Problem) bool {
		around := parent(s.Path)
		return around == "" || p.Path == around || strings.HasPrefix(p.Path, around+".") || strings.HasPrefix(p.Path, around+"[")
	})
}

// parent is the path of what holds path, "" for the whole file.
func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}
