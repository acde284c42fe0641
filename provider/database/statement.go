package database

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"nightporter.dev/nightporter"
)

// maxStatement bounds one item of a statement list.
const maxStatement = 64 << 10

// Values fill the placeholders of a statement: {{name}} and {{username}},
// {{password}}, {{expiration}}.
type Values struct {
	Username   string
	Password   string
	Expiration time.Time
}

func (v Values) of(placeholder string) (string, bool) {
	switch placeholder {
	case "name", "username":
		return v.Username, true
	case "password":
		return v.Password, true
	case "expiration":
		return v.Expiration.Format("2006-01-02 15:04:05-0700"), true // Vault's layout
	}
	return "", false
}

var placeholders = regexp.MustCompile(`\{\{\s*([A-Za-z_]+)\s*\}\}`)

// Statements cuts the items of a statement list into single statements, as Vault
// does: at each semicolon, except that a PostgreSQL item with the word END in it
// is a block and stays whole. A semicolon inside quotes, dollar quotes or a
// comment does not cut. Pieces without SQL are dropped.
func Statements(d Dialect, items []string) ([]string, error) {
	var statements []string
	for i, item := range items {
		pieces, err := split(d, item)
		if err != nil {
			return nil, nightporter.Wrap(err, nightporter.Invalid, "statement %d: %s", i+1, nightporter.MessageOf(err))
		}
		statements = append(statements, pieces...)
	}
	return statements, nil
}

func split(d Dialect, item string) ([]string, error) {
	switch {
	case len(item) > maxStatement:
		return nil, nightporter.E(nightporter.Invalid, "it is longer than %d bytes", maxStatement)
	case strings.ContainsRune(item, 0):
		return nil, nightporter.E(nightporter.Invalid, "it holds a NUL")
	}
	tokens, err := lex(d, item)
	if err != nil {
		return nil, err
	}
	for _, name := range placeholders.FindAllStringSubmatch(item, -1) {
		if _, known := (Values{}).of(name[1]); !known {
			return nil, nightporter.E(nightporter.Invalid, "there is no placeholder {{%s}}: only name, username, password and expiration", name[1])
		}
	}
	var pieces []string
	var piece strings.Builder
	says := false // piece holds more than space and comments
	end := func() {
		if says {
			pieces = append(pieces, strings.TrimSpace(piece.String()))
		}
		piece.Reset()
		says = false
	}
	whole := d == PostgreSQL && isBlock(tokens)
	for _, t := range tokens {
		if t.kind != bare {
			piece.WriteString(t.text)
			says = says || t.kind != commentary || strings.HasPrefix(t.text, "/*!") // MySQL runs those
			continue
		}
		parts := []string{t.text}
		if !whole {
			parts = strings.Split(t.text, ";")
		}
		for i, part := range parts {
			if i > 0 {
				end()
			}
			piece.WriteString(part)
			says = says || strings.TrimSpace(part) != ""
		}
	}
	end()
	return pieces, nil
}

// isBlock recognises a body that holds semicolons of its own, by Vault's rule:
// the word END between spaces and outside of quotes. BEGIN ATOMIC is the body of
// an SQL function (PostgreSQL 14), whose END is often the last word.
func isBlock(tokens []token) bool {
	for _, t := range tokens {
		if t.kind == bare && (strings.Contains(t.text, " END ") || strings.Contains(strings.ToUpper(t.text), "BEGIN ATOMIC")) {
			return true
		}
	}
	return false
}

// Fill puts values into one statement. A value is escaped for the place where it
// stands, so that it always stays one string or one name; where that is not
// possible it must be harmless as it is, or the statement is refused.
func Fill(d Dialect, statement string, values Values) (string, error) {
	tokens, err := lex(d, statement)
	if err != nil {
		return "", err
	}
	var filled strings.Builder
	for _, t := range tokens {
		if t.kind == commentary {
			filled.WriteString(t.text)
			continue
		}
		last := 0
		for _, m := range placeholders.FindAllStringSubmatchIndex(t.text, -1) {
			name := t.text[m[2]:m[3]]
			value, known := values.of(name)
			if !known {
				return "", nightporter.E(nightporter.Invalid, "there is no placeholder {{%s}}: only name, username, password and expiration", name)
			}
			escaped, err := escapeFor(d, t.kind, name, value)
			if err != nil {
				return "", err
			}
			filled.WriteString(t.text[last:m[0]])
			filled.WriteString(escaped)
			last = m[1]
		}
		filled.WriteString(t.text[last:])
	}
	return filled.String(), nil
}

var (
	bareWord = regexp.MustCompile(`^[A-Za-z0-9_]+$`)
	harmless = regexp.MustCompile(`^[A-Za-z0-9_ :+./=@-]*$`)
)

func escapeFor(d Dialect, kind tokenKind, name, value string) (string, error) {
	if strings.ContainsRune(value, 0) {
		return "", nightporter.E(nightporter.Invalid, "{{%s}} would be filled with a NUL", name)
	}
	switch kind {
	case single, escape, double, backtick:
		quote := map[tokenKind]string{single: "'", escape: "'", double: `"`, backtick: "`"}[kind]
		if kind == escape || d == MySQL && kind != backtick {
			value = strings.ReplaceAll(value, `\`, `\\`)
		}
		return strings.ReplaceAll(value, quote, quote+quote), nil
	case bare:
		// A hyphen could begin a comment, and no database takes it unquoted.
		if !bareWord.MatchString(value) {
			return "", nightporter.E(nightporter.Invalid, `{{%s}} must stand in quotes: "{{name}}" in PostgreSQL, '{{name}}' in MySQL, '{{password}}' and '{{expiration}}' in both`, name)
		}
	default:
		// Inside a dollar quote the text is code of some language, so nothing can be
		// escaped for it.
		if !harmless.MatchString(value) || strings.Contains(value, "--") {
			return "", nightporter.E(nightporter.Invalid, "{{%s}} cannot stand in a dollar quote with this value: letters, digits and _ :+./=@- only", name)
		}
	}
	return value, nil
}

// QuoteName returns a name of any characters as one quoted SQL identifier, and
// QuoteString a text as one string literal. Neither may hold a NUL.
func QuoteName(d Dialect, name string) string {
	if d == MySQL {
		return "`" + strings.ReplaceAll(name, "`", "``") + "`"
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// QuoteString returns text as one string literal, for connections that were made
// with standard_conforming_strings on (PostgreSQL) or NO_BACKSLASH_ESCAPES off
// (MySQL).
func QuoteString(d Dialect, text string) string {
	if d == MySQL {
		text = strings.ReplaceAll(text, `\`, `\\`)
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

var directGrant = regexp.MustCompile(`(?is)^\s*GRANT\s.*\sON\s.*\{\{\s*(name|username)\s*\}\}`)

// Warnings reads creation statements and says what will hurt later. The caller
// shows it when a role is written.
func Warnings(d Dialect, items []string) []string {
	statements, err := Statements(d, items)
	if err != nil {
		return []string{nightporter.MessageOf(err)}
	}
	var warnings []string
	login, password := false, false
	for i, s := range statements {
		if d == PostgreSQL && directGrant.MatchString(s) {
			// About 2,440 such grants fill a table's row in pg_class.
			warnings = append(warnings, fmt.Sprintf("statement %d grants a right to each login itself, and PostgreSQL fits only some 2,400 of those on one table: "+
				`grant it to a role once, and make logins with IN ROLE`, i+1))
		}
		for _, m := range placeholders.FindAllStringSubmatch(s, -1) {
			login = login || m[1] == "name" || m[1] == "username"
			password = password || m[1] == "password"
		}
	}
	if len(statements) > 0 && !login {
		warnings = append(warnings, "no statement uses {{name}}")
	}
	if len(statements) > 0 && !password {
		warnings = append(warnings, "no statement uses {{password}}")
	}
	return warnings
}

// Scrub removes a password from what a database said: an error message quotes the
// statement around the fault. Pieces of it count too, since a message may stop at
// a hyphen.
func Scrub(text, password string) string {
	if password == "" {
		return text
	}
	text = strings.ReplaceAll(text, password, "[password]")
	for _, piece := range strings.FieldsFunc(password, func(r rune) bool { return !isWord(byte(min(r, 0x80))) }) {
		if len(piece) > 2 {
			text = strings.ReplaceAll(text, piece, "[password]")
		}
	}
	return text
}
