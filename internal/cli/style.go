package cli

import (
	"strings"
)

// meaning is why a word has a colour. Nothing is coloured for beauty, and nothing
// says something by colour alone.
type meaning int

const (
	plain  meaning = iota
	good           // as it should be
	busy           // at work
	needs          // waits for a person
	bad            // failed
	quiet          // less important
	strong         // more important
)

// sgr are the codes of ECMA-48: the terminal's own palette, so that its owner's
// choice of light and dark holds.
var sgr = map[meaning]string{good: "32", busy: "36", needs: "33", bad: "31", quiet: "2", strong: "1"}

// style is how to write on one stream.
type style struct {
	terminal bool
	colour   bool
	width    int // columns; 0 when unknown
}

func (c *CLI) setStyles() {
	c.out, c.talk = c.styleOf(c.cfg.Stdout), c.styleOf(c.cfg.Stderr)
}

// styleOf decides about colour: --no-color and NO_COLOR (no-color.org) before
// FORCE_COLOR, before TERM=dumb, before whether it is a terminal.
func (c *CLI) styleOf(stream any) style {
	width, ok := c.cfg.Terminal(stream)
	s := style{terminal: ok, width: width}
	switch force := c.cfg.Env("FORCE_COLOR"); {
	case c.noColour || c.cfg.Env("NO_COLOR") != "":
	case force != "" && force != "0":
		s.colour = true
	case c.cfg.Env("TERM") == "dumb":
	default:
		s.colour = ok
	}
	return s
}

func (s style) paint(m meaning, text string) string {
	if !s.colour || m == plain || text == "" {
		return text
	}
	return "\x1b[" + sgr[m] + "m" + text + "\x1b[0m"
}

// look is how a state is shown.
type look struct {
	icon    string
	word    string
	meaning meaning
}

// lookOf knows the states of releases, runs, steps, environments and cells. One
// that it does not know, a newer server's, is shown as it is.
func lookOf(state string) look {
	word := strings.ReplaceAll(state, "_", " ")
	switch state {
	case "healthy", "succeeded", "cut", "up", "on", "pass", "passed":
		return look{"✓", word, good}
	case "building", "deploying", "running", "starting", "queued", "intended", "closing", "verifying":
		return look{"▸", word, busy}
	case "waiting", "waiting_for_artifact":
		return look{"◆", word, needs}
	case "held", "paused":
		return look{"‖", word, needs}
	case "rolled_back":
		return look{"↩", word, bad}
	case "failed", "rejected", "partial", "fail":
		return look{"✗", word, bad}
	case "unknown", "stale":
		return look{"?", word, needs}
	}
	return look{"·", word, quiet}
}

// state shows a state: icon and word on a terminal, the word alone elsewhere.
func (s style) state(state string) cell {
	l := lookOf(state)
	if s.terminal {
		return cell{l.icon + " " + clean(l.word), l.meaning}
	}
	return cell{clean(l.word), l.meaning}
}
