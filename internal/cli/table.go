package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// column is one column of a table.
type column struct {
	head string
	// spare says that the column goes when a terminal is too narrow; the
	// highest goes first, 0 never does.
	spare int
	right bool // numbers
}

// cell is a text with the reason for its colour. Make those of foreign text with
// text.
type cell struct {
	text    string
	meaning meaning
}

func text(s string) cell { return cell{clean(s), plain} }

func dim(s string) cell { return cell{clean(s), quiet} }

// table is columns of aligned text.
type table struct {
	columns []column
	rows    [][]cell
}

func (t *table) add(cells ...cell) { t.rows = append(t.rows, cells) }

const gap = 2 // columns between columns

// write lays the table out. On a terminal that is too narrow spare columns go,
// and then the widest cells are cut; elsewhere everything is written.
func (t *table) write(w io.Writer, s style) {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = utf8.RuneCountInString(c.head)
		for _, row := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i].text))
		}
	}
	shown := make([]bool, len(t.columns))
	for i := range shown {
		shown[i] = true
	}
	if s.terminal && s.width > 0 {
		t.fit(s.width, widths, shown)
	}
	heads := make([]cell, len(t.columns))
	for i, c := range t.columns {
		heads[i] = cell{c.head, quiet}
	}
	for _, row := range append([][]cell{heads}, t.rows...) {
		t.line(w, s, row, widths, shown)
	}
}

// fit hides spare columns and cuts the widest until the table is width wide.
func (t *table) fit(width int, widths []int, shown []bool) {
	total := func() (n int) {
		for i := range widths {
			if shown[i] {
				n += widths[i] + gap
			}
		}
		return n - gap
	}
	for total() > width {
		next := -1
		for i, c := range t.columns {
			if shown[i] && c.spare > 0 && (next < 0 || c.spare > t.columns[next].spare) {
				next = i
			}
		}
		if next < 0 {
			break
		}
		shown[next] = false
	}
	for over := total() - width; over > 0; over = total() - width {
		widest := 0
		for i := range widths {
			if shown[i] && (!shown[widest] || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widths[widest] <= 12 {
			return // better too wide than unreadable
		}
		widths[widest] = max(12, widths[widest]-over)
	}
}

func (t *table) line(w io.Writer, s style, row []cell, widths []int, shown []bool) {
	var b strings.Builder
	pending := 0
	for i, c := range row {
		if !shown[i] {
			continue
		}
		word := cut(c.text, widths[i])
		space := widths[i] - utf8.RuneCountInString(word)
		before, after := 0, space
		if t.columns[i].right {
			before, after = space, 0
		}
		if word != "" {
			b.WriteString(strings.Repeat(" ", pending+before))
			b.WriteString(s.paint(c.meaning, word))
			pending = 0
		} else {
			pending += before
		}
		pending += after + gap
	}
	_, _ = fmt.Fprintln(w, b.String()) // no spaces at the end
}

// cut shortens s to n characters.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:max(n-1, 0)]) + "…"
}

// pairs writes names and values, one a line. Empty values are left out.
func pairs(w io.Writer, s style, list ...[2]string) {
	width := 0
	for _, p := range list {
		if p[1] != "" {
			width = max(width, utf8.RuneCountInString(p[0]))
		}
	}
	for _, p := range list {
		if p[1] == "" {
			continue
		}
		space := strings.Repeat(" ", width-utf8.RuneCountInString(p[0])+gap)
		_, _ = fmt.Fprintf(w, "%s%s%s\n", s.paint(quiet, p[0]), space, p[1])
	}
}

// items is how every list is printed as JSON.
type items[T any] struct {
	Items []T `json:"items"`
}

// printJSON writes v to stdout.
func (c *CLI) printJSON(v any) error {
	enc := json.NewEncoder(c.cfg.Stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return nil
}

// printf writes to stdout.
func (c *CLI) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(c.cfg.Stdout, format, args...)
}

// printList writes a list as a table, or as JSON. empty is said instead of a
// table without rows.
func printList[T any](c *CLI, list []T, empty string, columns []column, row func(T) []cell) error {
	if c.json {
		if list == nil {
			list = []T{}
		}
		return c.printJSON(items[T]{list})
	}
	if len(list) == 0 {
		c.sayf("%s", empty)
		return nil
	}
	t := table{columns: columns}
	for _, item := range list {
		t.add(row(item)...)
	}
	t.write(c.cfg.Stdout, c.out)
	return nil
}
