package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

// The exit codes. Scripts rely on them; add, never change.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitDiffers     = 3
	exitNotFound    = 4
	exitNotAllowed  = 5
	exitTimedOut    = 6
	exitInterrupted = 130
)

// exitCodes is the table as help shows it.
var exitCodes = []struct {
	code int
	text string
}{
	{exitDone, "done; also work that waits for an approval now"},
	{exitFailed, "failed; also frozen, conflict, and damage in the audit log"},
	{exitUsage, "wrong usage, or a question without a terminal to ask at"},
	{exitDiffers, "the plan has differences"},
	{exitNotFound, "not found"},
	{exitNotAllowed, "not signed in, or not allowed"},
	{exitTimedOut, "timed out; the work goes on"},
	{exitInterrupted, "interrupted"},
}

// exit is an error that knows its exit code. Without a message nothing is
// printed: everything was said already.
type exit struct {
	code    int
	message string
	advice  string
	lines   []string // the end of an output, printed before the error
	cause   error
}

func (e *exit) Error() string { return e.message }
func (e *exit) Unwrap() error { return e.cause }

func (e *exit) hint(format string, args ...any) *exit {
	e.advice = fmt.Sprintf(format, args...)
	return e
}

// usage is the error of a command that was typed wrongly.
func usage(format string, args ...any) *exit {
	return &exit{code: exitUsage, message: fmt.Sprintf(format, args...)}
}

// failed is the error of something that was tried and did not work.
func failed(format string, args ...any) *exit {
	return &exit{code: exitFailed, message: fmt.Sprintf(format, args...)}
}

// exitCode maps an error to the table. What the caller decided comes first, then
// an interrupt, then the error's code.
func exitCode(ctx context.Context, err error) int {
	var e *exit
	if errors.As(err, &e) {
		return e.code
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return exitInterrupted
	}
	switch nightporter.CodeOf(err) {
	case nightporter.NotFound:
		return exitNotFound
	case nightporter.Unauthenticated, nightporter.Denied, nightporter.OwnChange, nightporter.Protected:
		return exitNotAllowed
	}
	return exitFailed
}

// report says what went wrong, what to do, and where to look, in this order.
func (c *CLI) report(ctx context.Context, err error) {
	var e *exit
	said := errors.As(err, &e)
	if said && e.message == "" {
		return
	}
	if !said && errors.Is(ctx.Err(), context.Canceled) {
		c.sayf("%s interrupted", c.talk.paint(bad, "error:"))
		return
	}
	message, advice := err.Error(), nightporter.HintOf(err)
	if said {
		message = e.message
		if e.advice != "" {
			advice = e.advice
		}
		for _, line := range e.lines {
			c.sayf("  %s", c.talk.paint(quiet, "│")+" "+clean(line))
		}
	}
	if advice == "" {
		advice = adviceFor(nightporter.CodeOf(err), said)
	}
	c.sayf("%s %s", c.talk.paint(bad, "error:"), cleanLines(message))
	if advice != "" {
		c.sayf("%s  %s", c.talk.paint(strong, "hint:"), cleanLines(advice))
	}
	if id := client.RequestIDOf(err); id != "" {
		c.sayf("%s", c.talk.paint(quiet, "request: "+clean(id)))
	}
}

// adviceFor is the hint for errors that bring none.
func adviceFor(code nightporter.Code, said bool) string {
	if said {
		return ""
	}
	switch code {
	case nightporter.Unauthenticated:
		return "sign in with: nightporter login NAME; or set NIGHTPORTER_TOKEN"
	case nightporter.Denied:
		return "nightporter token whoami shows your policies"
	case nightporter.Sealed:
		return "unseal it with: vault operator unseal"
	case nightporter.Limited:
		return "wait a moment and try again"
	}
	return ""
}

// sayf writes a line to stderr.
func (c *CLI) sayf(format string, args ...any) {
	_, _ = fmt.Fprintf(c.cfg.Stderr, format+"\n", args...)
}

func upperFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

func lowerFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[n:]
}

// clean takes the power out of text that somebody else wrote: a title of a pull
// request must not move the cursor or write a link over our words.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsControl(r), r == utf8.RuneError:
			return '�'
		case r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069': // turn the direction of what follows
			return '�'
		}
		return r
	}, s)
}

// cleanLines is clean for text of several lines, which stay lines.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = clean(lines[i])
	}
	return strings.Join(lines, "\n")
}
