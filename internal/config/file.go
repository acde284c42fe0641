package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"nightporter.dev/nightporter/internal/catalog"
)

// file is a YAML file while it is read: its lines, where each value stands, and
// what was wrong with it.
type file struct {
	name     string
	lines    []string
	at       map[string]position // path → place
	hidden   map[int]int         // line → how many of its letters may be shown
	problems []Problem
}

type position struct{ line, column int }

// readFile parses src. The node is nil when there is nothing in it, or nothing
// that can be understood; the file then knows why.
//
// YAML is more than a configuration needs. Anchors, aliases, tags, merge keys and
// complex keys are refused: they hide where a value comes from, and let a small
// file grow without bound.
//
// At most maxTokens words and signs are read: the parser's time grows with the
// square of the keys in one map.
func readFile(src []byte, name string, maxTokens int) (*file, ast.Node) {
	f := &file{name: name, at: map[string]position{}, hidden: map[int]int{}}
	text := strings.TrimPrefix(string(src), "\ufeff")
	f.lines = strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	tokens := lexer.Tokenize(text)
	if len(tokens) > maxTokens {
		f.fail("", position{}, "", "the file holds more than %d words and signs", maxTokens)
		return f, nil
	}
	if !f.plain(tokens) {
		return f, nil
	}
	tree, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		f.syntax(err)
		return f, nil
	}
	var root ast.Node
	for _, doc := range tree.Docs {
		switch {
		case doc == nil || doc.Body == nil:
		case root != nil:
			f.fail("", place(doc.Body), "keep one", "the file holds more than one document")
			return f, nil
		default:
			root = doc.Body
		}
	}
	return f, root
}

// maxDepth bounds how deep lists and maps nest, so that a file from somewhere else
// cannot exhaust the parser's stack. The configuration itself needs 7 levels.
const maxDepth = 32

func (f *file) plain(tokens token.Tokens) bool {
	brackets, dashes, line := 0, 0, 0
	for _, t := range tokens {
		at := position{t.Position.Line, t.Position.Column}
		refuse := ""
		switch t.Type {
		case token.AnchorType, token.AliasType:
			refuse = "anchors and aliases are not used here"
		case token.TagType:
			refuse = "tags are not used here"
		case token.MergeKeyType:
			refuse = "merge keys are not used here"
		case token.MappingKeyType:
			refuse = "complex keys are not used here"
		case token.DirectiveType:
			refuse = "directives are not used here"
		case token.InvalidType:
			f.fail("", at, "", "this is not YAML: %s", oneLine(t.Error))
			return false
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.SequenceEntryType:
			if at.line != line {
				dashes, line = 0, at.line
			}
			dashes++
		}
		if refuse != "" {
			f.fail("", at, "write the value out", "%s", refuse)
			return false
		}
		// The indentation of a line bounds how deep its block can be.
		if brackets > maxDepth || dashes > maxDepth || at.column > 2000 && t.Type == token.SequenceEntryType {
			f.fail("", at, "", "lists and maps nest too deep")
			return false
		}
	}
	return f.shallow()
}

// shallow bounds the depth of block style: each level is indented further than
// the one around it, so a deep file shows in its widths of indentation.
func (f *file) shallow() bool {
	var open []int
	for i, line := range f.lines {
		trimmed := strings.TrimLeft(line, " ")
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		width := len(line) - len(trimmed)
		for len(open) > 0 && open[len(open)-1] >= width {
			open = open[:len(open)-1]
		}
		if open = append(open, width); len(open) > maxDepth {
			f.fail("", position{i + 1, width + 1}, "", "lists and maps nest too deep")
			return false
		}
	}
	return true
}

func (f *file) syntax(err error) {
	var wrong *yaml.SyntaxError
	if errors.As(err, &wrong) && wrong.Token != nil {
		f.fail("", position{wrong.Token.Position.Line, wrong.Token.Position.Column}, "",
			"this is not YAML: %s", oneLine(wrong.Message))
		return
	}
	f.fail("", position{}, "", "this is not YAML")
}

// oneLine is the library's message without the piece of the file that it may
// quote.
func oneLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return printable(strings.ReplaceAll(s, "\t", `\t`))
}

// maxProblems is how many mistakes are worth reading at once.
const maxProblems = 100

// fail records a problem at a place.
func (f *file) fail(path string, at position, hint, format string, args ...any) {
	if len(f.problems) >= maxProblems {
		return
	}
	f.problems = append(f.problems, f.problem(path, at, hint, fmt.Sprintf(format, args...)))
}

func (f *file) problem(path string, at position, hint, message string) Problem {
	p := Problem{
		File: f.name, Line: at.line, Column: at.column,
		Path: path, Message: message, Hint: hint, Severity: catalog.Fatal,
	}
	if at.line > 0 && at.line <= len(f.lines) {
		p.Excerpt = excerpt(f.lines[at.line-1])
	}
	return p
}

// hide keeps all but the first letters of a line out of every error.
func (f *file) hide(line, letters int) {
	if n, ok := f.hidden[line]; !ok || letters < n {
		f.hidden[line] = letters
	}
}

// refuse is the error of a file with problems.
func (f *file) refuse(problems []Problem) *Error {
	for i, p := range problems {
		if n, ok := f.hidden[p.Line]; ok {
			if r := []rune(p.Excerpt); n < len(r) {
				problems[i].Excerpt = string(r[:n]) + ": …"
			}
		}
	}
	sortProblems(problems)
	return &Error{Problems: problems}
}

// find is where path stands, or the nearest thing around it that the file says.
func (f *file) find(path string) position {
	for path != "" {
		if at, ok := f.at[path]; ok {
			return at
		}
		path = parent(path)
	}
	return position{}
}

// locate turns a problem of the catalog into one with a line.
func (f *file) locate(p catalog.Problem) Problem {
	located := f.problem(p.Path, f.find(p.Path), p.Hint, p.Message)
	located.Severity = p.Severity
	if p.Severity == "" {
		located.Severity = catalog.Fatal
	}
	if located.Line == 0 && p.Path != "" {
		located.Message = p.Path + ": " + p.Message
	}
	return located
}

// place is where a node starts.
func place(n ast.Node) position {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return place(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return place(n.Key)
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return position{t.Position.Line, t.Position.Column}
	}
	return position{}
}

// readBounded reads a file that may hold at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("larger than %d MiB", limit>>20)
	}
	return b, nil
}
