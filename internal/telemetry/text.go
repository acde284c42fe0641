package telemetry

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// textHandler writes lines for people: the time of day, the level, the sentence,
// then what it is about.
//
//	21:00:04 INFO  environment is down  environment=dev took=2m3s
//
// Messages and values are quoted when they hold anything that does not print, so
// that nobody outside can fake a line or move the cursor.
type textHandler struct {
	mu     *sync.Mutex // shared by the copies that WithAttrs makes
	w      io.Writer
	level  slog.Leveler
	prefix string // of keys: the open groups, each with a dot
	attrs  []byte // already formatted
}

func newTextHandler(w io.Writer, level slog.Leveler) *textHandler {
	return &textHandler{mu: new(sync.Mutex), w: w, level: level}
}

func (h *textHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

func (h *textHandler) Handle(_ context.Context, r slog.Record) error {
	b := make([]byte, 0, 256)
	if !r.Time.IsZero() {
		b = r.Time.AppendFormat(b, time.TimeOnly)
		b = append(b, ' ')
	}
	level := r.Level.String()
	b = append(b, level...)
	for n := len(level); n < 6; n++ {
		b = append(b, ' ')
	}
	b = appendText(b, r.Message, printable)
	if len(h.attrs) > 0 || r.NumAttrs() > 0 {
		b = append(b, ' ')
	}
	b = append(b, h.attrs...)
	r.Attrs(func(a slog.Attr) bool { b = appendAttr(b, h.prefix, a); return true })
	b = append(b, '\n')

	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.w.Write(b)
	return err
}

func (h *textHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = slices.Clone(h.attrs)
	for _, a := range attrs {
		c.attrs = appendAttr(c.attrs, h.prefix, a)
	}
	return &c
}

func (h *textHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.prefix += name + "."
	return &c
}

func appendAttr(b []byte, prefix string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, g := range v.Group() {
			b = appendAttr(b, prefix, g)
		}
		return b
	}
	if a.Key == "" { // slog: an empty attribute is ignored
		return b
	}
	b = append(b, ' ')
	b = appendText(b, prefix+a.Key, word)
	b = append(b, '=')
	if v.Kind() == slog.KindTime {
		return v.Time().AppendFormat(b, time.RFC3339)
	}
	return appendText(b, v.String(), word)
}

// appendText appends s, quoted unless every rune of it is plain.
func appendText(b []byte, s string, plain func(rune) bool) []byte {
	for _, r := range s {
		if !plain(r) {
			return strconv.AppendQuote(b, s)
		}
	}
	if s == "" {
		return append(b, `""`...)
	}
	return append(b, s...)
}

func printable(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) }

func word(r rune) bool { return printable(r) && r != ' ' && r != '"' && r != '=' }
