package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

// patience is how long a verb stays with the work that it started.
type patience struct {
	timeout time.Duration
	detach  bool
}

func (p *patience) flags(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&p.timeout, "timeout", 30*time.Minute, "wait at most this `long`; then exit 6, and the work goes on")
	cmd.Flags().BoolVar(&p.detach, "detach", false, "do not wait: print the run's id")
}

// settle is how long a run that waits for an approval is still looked at after
// the approval was given: the server takes a moment to go on.
const settle = 10

// lastLines is how much of a failed step's output is shown.
const lastLines = 20

// follow looks at a run until it is over, or waits for a person, and shows how it
// goes. polls is how many looks a wait for a person may last; 0 ends at the
// first.
func (c *CLI) follow(ctx context.Context, api *client.Client, id string, timeout time.Duration, polls int) (*client.Run, error) {
	outer := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	show := &progress{c: c, seen: map[string]string{}}
	defer show.clear()
	var run *client.Run
	for {
		next, err := api.Run(ctx, id)
		switch {
		case ctx.Err() != nil:
			return run, c.leave(outer, id, timeout)
		case nightporter.CodeOf(err) == nightporter.Unavailable:
			show.note(err.Error() + "; trying again") // the server starts anew, say
		case err != nil:
			return run, err
		default:
			run = next
			show.run(run)
			if run.Over() {
				return run, nil
			}
			if waitsForPerson(run) {
				if polls--; polls < 0 {
					return run, nil
				}
			}
		}
		select {
		case <-ctx.Done():
			return run, c.leave(outer, id, timeout)
		case <-time.After(c.cfg.Poll):
		}
	}
}

// leave is the error of who stops following: interrupted, or out of time.
func (c *CLI) leave(outer context.Context, id string, timeout time.Duration) error {
	again := "follow it again with: nightporter run follow " + id
	if errors.Is(outer.Err(), context.Canceled) {
		return (&exit{code: exitInterrupted, message: "interrupted; the work goes on"}).hint("%s", again)
	}
	return (&exit{code: exitTimedOut, message: fmt.Sprintf("not over after %s; the work goes on", timeout)}).hint("%s", again)
}

// waitsForPerson says that nothing will happen until somebody decides.
func waitsForPerson(run *client.Run) bool {
	waits := false
	for i := range run.Steps {
		switch s := &run.Steps[i]; s.State {
		case "running", "starting":
			return false
		case "waiting":
			waits = waits || approves(s)
		}
	}
	return waits
}

// approves says that a step is a gate where people decide.
func approves(s *client.Step) bool { return strings.HasPrefix(s.Name, "approve ") }

// progress shows a run that is followed: one line that changes on a terminal,
// a line for each change elsewhere.
type progress struct {
	c     *CLI
	seen  map[string]string
	said  string
	drawn bool
	told  time.Time
}

func (p *progress) run(run *client.Run) {
	if p.c.talk.terminal {
		p.draw(p.line(run))
		return
	}
	now := p.c.cfg.Now()
	changed := false
	for i := range run.Steps {
		s := &run.Steps[i]
		if s.State == "pending" || p.seen[s.Name] == s.State {
			continue
		}
		p.seen[s.Name], changed = s.State, true
		p.c.sayf("%s", clean(p.stepLine(s)))
	}
	// Something on the screen now and then, so that nobody takes silence for death.
	if s := current(run); s != nil && !changed && now.Sub(p.told) >= 10*time.Second {
		p.c.sayf("%s  still %s after %s", clean(s.Name), clean(s.State), clockwise(now.Sub(s.StartedAt)))
		changed = true
	}
	if changed {
		p.told = now
	}
}

func (p *progress) stepLine(s *client.Step) string {
	line := s.Name + "  " + strings.ReplaceAll(s.State, "_", " ")
	if s.Over() && !s.StartedAt.IsZero() && !s.FinishedAt.IsZero() {
		line += " in " + clockwise(s.FinishedAt.Sub(s.StartedAt))
	}
	if s.Message != "" {
		line += ": " + s.Message
	}
	return line
}

// line is a run in one line: "▸ deploy prod  step 4 of 5  0:42 of about 1:10".
func (p *progress) line(run *client.Run) string {
	s := current(run)
	if s == nil {
		return lookOf(run.State).icon + " " + run.State
	}
	line := fmt.Sprintf("%s %s  step %d of %d", lookOf(s.State).icon, clean(s.Name), place(run, s), len(run.Steps))
	if !s.StartedAt.IsZero() {
		line += "  " + clockwise(p.c.cfg.Now().Sub(s.StartedAt))
		if s.Expected > 0 {
			line += " of about " + clockwise(time.Duration(s.Expected))
		}
	}
	if s.Attempts > 1 {
		line += fmt.Sprintf("  attempt %d", s.Attempts)
	}
	return line
}

// note says something once.
func (p *progress) note(text string) {
	if p.said == text {
		return
	}
	p.said = text
	p.clear()
	p.c.sayf("%s", clean(text))
}

func (p *progress) draw(line string) {
	if w := p.c.talk.width; w > 1 {
		line = cut(line, w-1)
	}
	_, _ = fmt.Fprintf(p.c.cfg.Stderr, "\r\x1b[2K%s", line)
	p.drawn = true
}

func (p *progress) clear() {
	if p.drawn {
		_, _ = fmt.Fprint(p.c.cfg.Stderr, "\r\x1b[2K")
		p.drawn = false
	}
}

// current is the step that a run is at: one at work before one that waits.
func current(run *client.Run) *client.Step {
	var waits *client.Step
	for i := range run.Steps {
		switch s := &run.Steps[i]; s.State {
		case "running", "starting":
			return s
		case "waiting":
			waits = s
		}
	}
	return waits
}

func place(run *client.Run, s *client.Step) int {
	for i := range run.Steps {
		if &run.Steps[i] == s {
			return i + 1
		}
	}
	return 0
}

// runError is the error of a run that ended badly, with the end of the output of
// the step that failed; nil for one that did not.
func runError(run *client.Run, what string) error {
	if run.State != "failed" && run.State != "cancelled" {
		return nil
	}
	message := run.Message
	var lines []string
	for i := range run.Steps {
		if s := &run.Steps[i]; s.State == "failed" {
			message = first(message, s.Name+": "+s.Message)
			lines = s.Lines[max(0, len(s.Lines)-lastLines):]
			break
		}
	}
	err := failed("%s %s", what, run.State)
	if message != "" {
		err.message += ": " + message
	}
	err.lines = lines
	return err.hint("nightporter run show %s", run.ID)
}
