package dashboard

import (
	"html"
	"regexp"
	"strings"
)

// textHTML makes HTML of a text panel. All of it is escaped first; what comes back
// as tags is made here, from a short list, without attributes other than the
// address of a link. A panel's own HTML keeps its words and structure, nothing else.
func textHTML(format, content string) string {
	const limit = 64 << 10
	if len(content) > limit {
		content = strings.ToValidUTF8(content[:limit], "") + "…"
	}
	switch format {
	case "html":
		return cleanHTML(content)
	case "markdown":
		return markdown(content)
	}
	return "<pre>" + html.EscapeString(content) + "</pre>"
}

var (
	tagForm    = regexp.MustCompile(`(?s)<!--.*?-->|<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:[^>"']|"[^"]*"|'[^']*')*)>`)
	dropForm   = regexp.MustCompile(`(?is)<(script|style|iframe|object|template|noscript|title|head)\b.*?(?:</(?:script|style|iframe|object|template|noscript|title|head)\s*>|$)`)
	hrefForm   = regexp.MustCompile(`(?i)\bhref\s*=\s*("([^"]*)"|'([^']*)'|([^\s>]+))`)
	allowedTag = map[string]string{
		"p": "p", "div": "div", "span": "span", "b": "strong", "strong": "strong", "i": "em", "em": "em", "u": "span", "code": "code", "pre": "pre", "ul": "ul", "ol": "ol",
		"li": "li", "h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6", "h6": "h6", "br": "br", "hr": "hr", "a": "a", "blockquote": "blockquote", "small": "small",
		"table": "table", "thead": "thead", "tbody": "tbody", "tr": "tr", "td": "td", "th": "th", "center": "div", "kbd": "kbd", "sup": "sup", "sub": "sub", "dl": "dl", "dt": "dt", "dd": "dd",
	}
)

// cleanHTML writes a text anew with allowed tags only, each closed where it must be.
func cleanHTML(source string) string {
	source = dropForm.ReplaceAllString(source, "")
	var b strings.Builder
	var open []string
	at := 0
	words := func(s string) { b.WriteString(html.EscapeString(html.UnescapeString(s))) }
	for _, m := range tagForm.FindAllStringSubmatchIndex(source, 5000) {
		words(source[at:m[0]])
		at = m[1]
		if m[4] < 0 {
			continue
		}
		tag, ok := allowedTag[strings.ToLower(source[m[4]:m[5]])]
		if !ok {
			continue
		}
		if m[2] != m[3] { // </tag>
			for i := len(open) - 1; i >= 0; i-- {
				if open[i] != tag {
					continue
				}
				for len(open) > i {
					b.WriteString("</" + open[len(open)-1] + ">")
					open = open[:len(open)-1]
				}
				break
			}
			continue
		}
		switch tag {
		case "br", "hr":
			b.WriteString("<" + tag + ">")
			continue
		case "a":
			address := ""
			if h := hrefForm.FindStringSubmatch(source[m[6]:m[7]]); h != nil {
				address = safeLink(html.UnescapeString(h[2] + h[3] + h[4]))
			}
			b.WriteString(anchor(address))
		default:
			b.WriteString("<" + tag + ">")
		}
		if len(open) < 100 {
			open = append(open, tag)
		} else {
			b.WriteString("</" + tag + ">")
		}
	}
	words(source[at:])
	for i := len(open) - 1; i >= 0; i-- {
		b.WriteString("</" + open[i] + ">")
	}
	return b.String()
}

func anchor(address string) string {
	if address == "" {
		return "<a>"
	}
	return `<a href="` + html.EscapeString(address) + `" rel="noopener noreferrer nofollow">`
}

var (
	heading   = regexp.MustCompile(`^(#{1,6})\s+(.*?)\s*#*$`)
	bullet    = regexp.MustCompile(`^\s*[-*+]\s+(.*)$`)
	numbered  = regexp.MustCompile(`^\s*\d+[.)]\s+(.*)$`)
	rule      = regexp.MustCompile(`^\s*(?:-{3,}|\*{3,}|_{3,})\s*$`)
	tableRule = regexp.MustCompile(`^\s*\|?[\s:|-]*-[\s:|-]*\|[\s:|-]*$`)
	codeSpan  = regexp.MustCompile("`([^`]+)`")
	mdImage   = regexp.MustCompile(`!\[([^\]]*)\]\([^)]*\)`)
	mdLink    = regexp.MustCompile(`\[([^\]]+)\]\(([^)\s]+)(?:\s+&#34;[^)]*&#34;)?\)`)
	bareLink  = regexp.MustCompile(`(^|[\s(])(https?://[^\s<)]+)`)
	strong    = regexp.MustCompile(`\*\*([^*]+)\*\*|__([^_]+)__`)
	emphasis  = regexp.MustCompile(`(^|[^\w*])\*([^*\s][^*]*)\*|(^|[^\w])_([^_\s][^_]*)_`)
)

// markdown renders the part of Markdown that dashboards use: headings, lists,
// tables, code, links and emphasis. HTML between it is cleaned.
func markdown(source string) string {
	if tagForm.MatchString(source) {
		// A block of HTML is what most text panels are; both together are rare.
		if trimmed := strings.TrimSpace(source); strings.HasPrefix(trimmed, "<") {
			return cleanHTML(source)
		}
		source = html.UnescapeString(tagForm.ReplaceAllString(dropForm.ReplaceAllString(source, ""), ""))
	}
	var b strings.Builder
	var paragraph []string
	list, fenced := "", false
	flush := func() {
		if len(paragraph) > 0 {
			b.WriteString("<p>" + inline(strings.Join(paragraph, "\n")) + "</p>")
			paragraph = nil
		}
	}
	closeList := func() {
		if list != "" {
			b.WriteString("</" + list + ">")
			list = ""
		}
	}
	item := func(kind, text string) {
		flush()
		if list != kind {
			closeList()
			b.WriteString("<" + kind + ">")
			list = kind
		}
		b.WriteString("<li>" + inline(text) + "</li>")
	}
	lines := strings.Split(strings.ReplaceAll(source, "\r", ""), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			flush()
			closeList()
			if fenced {
				b.WriteString("</code></pre>")
			} else {
				b.WriteString("<pre><code>")
			}
			fenced = !fenced
			continue
		}
		if fenced {
			b.WriteString(html.EscapeString(line) + "\n")
			continue
		}
		switch {
		case strings.TrimSpace(line) == "":
			flush()
			closeList()
		case heading.MatchString(line):
			flush()
			closeList()
			m := heading.FindStringSubmatch(line)
			tag := allowedTag["h"+string(rune('0'+len(m[1])))]
			b.WriteString("<" + tag + ">" + inline(m[2]) + "</" + tag + ">")
		case rule.MatchString(line):
			flush()
			closeList()
			b.WriteString("<hr>")
		case bullet.MatchString(line):
			item("ul", bullet.FindStringSubmatch(line)[1])
		case numbered.MatchString(line):
			item("ol", numbered.FindStringSubmatch(line)[1])
		case strings.Contains(line, "|") && i+1 < len(lines) && tableRule.MatchString(lines[i+1]):
			flush()
			closeList()
			b.WriteString("<table><thead>" + tableRow(line, "th") + "</thead><tbody>")
			for i += 2; i < len(lines) && strings.Contains(lines[i], "|"); i++ {
				b.WriteString(tableRow(lines[i], "td"))
			}
			i--
			b.WriteString("</tbody></table>")
		default:
			closeList()
			paragraph = append(paragraph, line)
		}
	}
	flush()
	closeList()
	if fenced {
		b.WriteString("</code></pre>")
	}
	return b.String()
}

func tableRow(line, tag string) string {
	var b strings.Builder
	b.WriteString("<tr>")
	for _, cell := range strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|") {
		b.WriteString("<" + tag + ">" + inline(strings.TrimSpace(cell)) + "</" + tag + ">")
	}
	b.WriteString("</tr>")
	return b.String()
}

// inline renders what stands within a line. Code is set aside first, so that
// nothing in it is taken for emphasis.
func inline(text string) string {
	var kept []string
	keep := func(s string) string {
		kept = append(kept, s)
		return "\x00" + string(rune(0xE000+len(kept)-1)) + "\x00"
	}
	text = html.EscapeString(strings.ReplaceAll(text, "\x00", ""))
	text = codeSpan.ReplaceAllStringFunc(text, func(m string) string { return keep("<code>" + strings.Trim(m, "`") + "</code>") })
	text = mdImage.ReplaceAllString(text, "$1")
	text = mdLink.ReplaceAllStringFunc(text, func(m string) string {
		p := mdLink.FindStringSubmatch(m)
		return keep(anchor(safeLink(html.UnescapeString(p[2])))) + p[1] + keep("</a>")
	})
	text = bareLink.ReplaceAllStringFunc(text, func(m string) string {
		p := bareLink.FindStringSubmatch(m)
		return p[1] + keep(anchor(safeLink(html.UnescapeString(p[2])))+p[2]+"</a>")
	})
	text = strong.ReplaceAllString(text, "<strong>$1$2</strong>")
	text = emphasis.ReplaceAllString(text, "$1$3<em>$2$4</em>")
	for i, s := range kept {
		text = strings.Replace(text, "\x00"+string(rune(0xE000+i))+"\x00", s, 1)
	}
	return text
}
