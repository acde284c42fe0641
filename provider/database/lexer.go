package database

import (
	"strings"

	"nightporter.dev/nightporter"
)

// Dialect is the lexical grammar of a database's SQL: what is a string, a quoted
// name and a comment.
type Dialect int

// The dialects.
const (
	PostgreSQL Dialect = iota
	MySQL
)

// tokenKind is where a piece of SQL text stands, which decides how a value in it
// must be escaped.
type tokenKind int

const (
	bare       tokenKind = iota // outside of everything below
	single                      // '...'
	escape                      // E'...': PostgreSQL §4.1.2.2, backslashes escape
	unicode                     // U&'...' and U&"...": §4.1.2.3
	double                      // "..."
	backtick                    // `...`, MySQL
	dollar                      // $tag$...$tag$: PostgreSQL §4.1.2.4
	commentary                  // -- , # and /* */
)

// token is a piece of SQL text with its delimiters. All tokens of a text, one
// after the other, are the text.
type token struct {
	kind tokenKind
	text string
}

// lex cuts SQL text into tokens. Text that ends inside one of them is refused:
// what follows it would be read differently by the database and by us.
func lex(d Dialect, text string) ([]token, error) {
	var tokens []token
	start := 0 // of the current bare token
	for i := 0; i < len(text); {
		kind, end := tokenAt(d, text, i)
		if kind == bare {
			i++
			continue
		}
		if end < 0 {
			return nil, nightporter.E(nightporter.Invalid, "a quote or comment is not closed")
		}
		if i > start {
			tokens = append(tokens, token{bare, text[start:i]})
		}
		tokens = append(tokens, token{kind, text[i:end]})
		i, start = end, end
	}
	if start < len(text) {
		tokens = append(tokens, token{bare, text[start:]})
	}
	return tokens, nil
}

// tokenAt says what starts at i, and where it ends. An end of -1 means nowhere.
func tokenAt(d Dialect, text string, i int) (tokenKind, int) {
	rest := text[i:]
	switch c := text[i]; {
	case c == '\'' && d == MySQL:
		return single, closing(text, i+1, '\'', '\\')
	case c == '"' && d == MySQL:
		return double, closing(text, i+1, '"', '\\')
	case c == '`' && d == MySQL:
		return backtick, closing(text, i+1, '`', 0)
	case c == '\'' && prefixed(text, i, "u&"):
		return unicode, closing(text, i+1, '\'', 0)
	case c == '"' && prefixed(text, i, "u&"):
		return unicode, closing(text, i+1, '"', 0)
	case c == '\'' && prefixed(text, i, "e"):
		return escape, closing(text, i+1, '\'', '\\')
	case c == '\'':
		return single, closing(text, i+1, '\'', 0)
	case c == '"':
		return double, closing(text, i+1, '"', 0)
	case c == '$' && d == PostgreSQL && (i == 0 || !isWord(text[i-1])):
		return dollarAt(text, i)
	case strings.HasPrefix(rest, "/*"):
		return commentary, closingComment(d, text, i)
	case strings.HasPrefix(rest, "--") && (d == PostgreSQL || len(rest) == 2 || rest[2] <= ' '),
		c == '#' && d == MySQL:
		if n := strings.IndexByte(rest, '\n'); n >= 0 {
			return commentary, i + n + 1
		}
		return commentary, len(text)
	}
	return bare, 0
}

// closing finds the end of a quoted text. A doubled quote does not end it, nor
// does one behind the escape character.
func closing(text string, i int, quote, escape byte) int {
	for ; i < len(text); i++ {
		switch {
		case escape != 0 && text[i] == escape:
			i++
		case text[i] == quote && i+1 < len(text) && text[i+1] == quote:
			i++
		case text[i] == quote:
			return i + 1
		}
	}
	return -1
}

// closingComment finds the end of a block comment. PostgreSQL's nest (§4.1.5).
func closingComment(d Dialect, text string, i int) int {
	depth := 0
	for i < len(text) {
		switch {
		case strings.HasPrefix(text[i:], "/*") && (depth == 0 || d == PostgreSQL):
			depth++
			i += 2
		case strings.HasPrefix(text[i:], "*/"):
			depth--
			i += 2
			if depth == 0 {
				return i
			}
		default:
			i++
		}
	}
	return -1
}

// dollarAt reads a dollar-quoted text, or finds that the dollar is only a dollar,
// as in $1.
func dollarAt(text string, i int) (tokenKind, int) {
	end := i + 1
	for end < len(text) && isWord(text[end]) {
		end++
	}
	if end == len(text) || text[end] != '$' || (end > i+1 && text[i+1] >= '0' && text[i+1] <= '9') {
		return bare, 0
	}
	delimiter := text[i : end+1]
	n := strings.Index(text[end+1:], delimiter)
	if n < 0 {
		return dollar, -1
	}
	return dollar, end + 1 + n + len(delimiter)
}

// prefixed tells whether the quote at i belongs to a prefix such as E or U&, which
// must itself not be the end of a word.
func prefixed(text string, i int, prefix string) bool {
	start := i - len(prefix)
	return start >= 0 && strings.EqualFold(text[start:i], prefix) && (start == 0 || !isWord(text[start-1]))
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
