package dashboard

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// reference finds $name, ${name}, ${name:format}, ${name.path} and [[name:format]].
var reference = regexp.MustCompile(`\$(\w+)|\$\{(\w+)((?:\.[^:}]+)*)(?::([^}]+))?\}|\[\[(\w+)(?::([^\]]+))?\]\]`)

// value is what a variable stands for now.
type value struct {
	texts  []string
	values []string
	// many is true for variables that may hold several values: they are written as
	// a regular expression in queries.
	many bool
	// raw is a custom "all" value, written as it is.
	raw bool
}

// scope resolves the names in queries and titles.
type scope map[string]value

// expand replaces the references that the scope knows; others stay, so that what
// is not a reference (a shell script in a text panel) survives.
func (s scope) expand(text string, format func(value, string) string) string {
	if !strings.ContainsAny(text, "$[") {
		return text
	}
	return reference.ReplaceAllStringFunc(text, func(match string) string {
		m := reference.FindStringSubmatch(match)
		name := m[1] + m[2] + m[5]
		v, ok := s[name]
		if !ok {
			// $__rate_interval_extra is no name, but ${x} with letters after $x is; a
			// reference in front of letters is the longest known name, as in Grafana.
			return match
		}
		return format(v, m[4]+m[6])
	})
}

// expr expands a PromQL expression. A value is escaped for the quotes that it
// stands in, so that it cannot end them.
func (s scope) expr(text string) string {
	if !strings.ContainsAny(text, "$[") {
		return text
	}
	var b strings.Builder
	at, quote := 0, byte(0)
	for _, m := range reference.FindAllStringIndex(text, -1) {
		quote = quoteAfter(text[at:m[0]], quote)
		b.WriteString(text[at:m[0]])
		at = m[1]
		b.WriteString(s.expand(text[m[0]:m[1]], func(v value, format string) string { return promFormat(v, format, quote) }))
	}
	b.WriteString(text[at:])
	return b.String()
}

// quoteAfter is the quote that a PromQL string is open with behind text, which
// began within quote; 0 for none.
func quoteAfter(text string, quote byte) byte {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote == 0 && (c == '"' || c == '\'' || c == '`'):
			quote = c
		case quote != 0 && quote != '`' && c == '\\':
			i++
		case c == quote:
			quote = 0
		}
	}
	return quote
}

// text expands words for people.
func (s scope) text(text string) string {
	return s.expand(text, func(v value, format string) string {
		if format == "" {
			return strings.Join(v.texts, " + ")
		}
		return formatted(v, format)
	})
}

// link expands an address: values are escaped.
func (s scope) link(text string) string {
	return s.expand(text, func(v value, format string) string {
		if format == "" {
			format = "percentencode"
		}
		return formatted(v, format)
	})
}

// names returns the variables that a text refers to.
func names(texts ...string) []string {
	var found []string
	for _, text := range texts {
		for _, m := range reference.FindAllStringSubmatch(text, -1) {
			found = append(found, m[1]+m[2]+m[5])
		}
	}
	return found
}

// promFormat writes a value into PromQL: one value of a plain variable as it is,
// several as a regular expression. A format that the dashboard names holds as it
// does in Grafana.
func promFormat(v value, format string, quote byte) string {
	if format != "" {
		return formatted(v, format)
	}
	if v.raw || len(v.values) == 0 {
		return strings.Join(v.values, "|")
	}
	if !v.many {
		return quoted(v.values[0], quote)
	}
	if len(v.values) == 1 {
		return quoted(special.ReplaceAllString(v.values[0], `\$0`), quote)
	}
	escaped := make([]string, len(v.values))
	for i, one := range v.values {
		escaped[i] = quoted(special.ReplaceAllString(one, `\$0`), quote)
	}
	return "(" + strings.Join(escaped, "|") + ")"
}

// special are the characters that mean something in a regular expression.
var special = regexp.MustCompile(`[$^*{}\[\]+?.()|\\]`)

// quoted escapes text for a PromQL string in these quotes. Backquoted strings know
// no escapes, and outside of quotes there is nothing to escape.
func quoted(text string, quote byte) string {
	switch quote {
	case '"', '\'':
		return strings.NewReplacer(`\`, `\\`, string(quote), `\`+string(quote), "\n", `\n`).Replace(text)
	case '`':
		return strings.ReplaceAll(text, "`", "")
	}
	return text
}

// formatted writes a value in one of Grafana's formats.
func formatted(v value, format string) string {
	name, argument, _ := strings.Cut(format, ":")
	each := func(separator string, f func(string) string) string {
		parts := make([]string, len(v.values))
		for i, one := range v.values {
			parts[i] = f(one)
		}
		return strings.Join(parts, separator)
	}
	same := func(s string) string { return s }
	switch name {
	case "raw":
		return each(",", same)
	case "csv":
		return each(",", same)
	case "pipe":
		return each("|", same)
	case "glob":
		if len(v.values) > 1 {
			return "{" + each(",", same) + "}"
		}
		return each("", same)
	case "regex":
		if len(v.values) > 1 {
			return "(" + each("|", regexp.QuoteMeta) + ")"
		}
		return each("", regexp.QuoteMeta)
	case "json":
		var out []byte
		if len(v.values) == 1 {
			out, _ = json.Marshal(v.values[0])
		} else {
			out, _ = json.Marshal(v.values)
		}
		return string(out)
	case "doublequote":
		return each(",", func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` })
	case "singlequote":
		return each(",", func(s string) string { return `'` + strings.ReplaceAll(s, `'`, `\'`) + `'` })
	case "sqlstring":
		return each(",", func(s string) string { return `'` + strings.ReplaceAll(s, `'`, `''`) + `'` })
	case "percentencode", "uriencode":
		return each(",", url.PathEscape)
	case "queryparam":
		return each("&", func(s string) string { return "var-" + argument + "=" + url.QueryEscape(s) })
	case "join":
		return each(argument, same)
	case "text":
		return strings.Join(v.texts, " + ")
	case "date":
		return dateOf(v, argument)
	}
	return each(",", same)
}

// dateOf writes ${__from:date} and its relatives.
func dateOf(v value, form string) string {
	if len(v.values) != 1 {
		return ""
	}
	ms, err := strconv.ParseInt(v.values[0], 10, 64)
	if err != nil {
		return v.values[0]
	}
	at := time.UnixMilli(ms).UTC()
	switch form {
	case "", "iso":
		return at.Format("2006-01-02T15:04:05.000Z")
	case "seconds":
		return strconv.FormatInt(at.Unix(), 10)
	}
	return at.Format(layout(form))
}

// single makes a value of one text.
func single(text string) value { return value{texts: []string{text}, values: []string{text}} }
