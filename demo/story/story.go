// Package story plays what happens at acme, from the first merge to the last
// process, and checks every step against the world: git, processes, what services
// answer, what people were told. Nightporter's own word is compared, never taken.
//
// A step is what somebody does and what must then hold:
//
//	s.Step("merged: v0.3.0 is on the merge commit", do, check)
//
// A capability adds its steps in a file of its own and its name to [Chapters].
package story

import (
	"context"
	"fmt"
	"io"
	"time"

	"nightporter.dev/nightporter/demo/judge"
	"nightporter.dev/nightporter/demo/world"
)

// Chapter is the part of one capability.
type Chapter struct {
	Name string
	Tell func(*Story)
}

// Chapters are the story, in order. What is told later builds on what came
// before.
var Chapters = []Chapter{
	{"the first versions", begin},
	{"a merge becomes a version", versions},
	{"a version reaches production", approvals},
	{"a login is lent", secrets},
	{"trouble", trouble},
	{"kill -9", crashes},
	{"nothing is forgotten", reminders},
	{"a person with a browser", browser},
	{"a repository drifts", drift},
	{"the lent login, half a minute later", requests},
	{"a night", night},
	{"a password in a repository", leak},
	{"the register", register},
	{"the end", end},
}

// Begin are the chapters after which the board has something to say.
var Begin = Chapters[:1]

// Meddler may interfere with a step: for sabotage.
type Meddler interface {
	// Before is called before the step, After between what is done and its
	// check.
	Before(step string, w *world.World) error
	After(step string, w *world.World) error
}

// Story is one telling. Use [Tell].
type Story struct {
	*world.World
	Meddler Meddler
	// Patience is how long a check may take to hold.
	Patience time.Duration
	Out      io.Writer

	ctx     context.Context
	steps   int
	skipped int
	fail    *Failure

	// What one chapter leaves for the next: the newest version of the ledger,
	// and the one in production.
	ledger, inProd change
	// The newest version of affordability, and what one chapter began and a
	// later one looks at.
	affordability change
	tenant        *world.Customer // tenant 1 of the bank, in dev
	traffic       *judge.Traffic
	revoked       string // the login that was taken away meanwhile
}

// Failure is a step that did not go as it must.
type Failure struct {
	Step string
	Err  error
}

func (f *Failure) Error() string { return fmt.Sprintf("%s: %v", f.Step, f.Err) }

// Unwrap returns what was wrong.
func (f *Failure) Unwrap() error { return f.Err }

// Tell plays chapters until one step fails, whose [*Failure] it returns.
func (s *Story) Tell(ctx context.Context, chapters []Chapter) error {
	if s.Patience == 0 {
		s.Patience = world.Patience
	}
	s.ctx = ctx
	for _, c := range chapters {
		if s.fail == nil {
			fmt.Fprintf(s.Out, "\n%s\n", c.Name)
			c.Tell(s)
		}
	}
	if s.fail != nil {
		return s.fail
	}
	return nil
}

// Steps is how many steps were played.
func (s *Story) Steps() int { return s.steps }

// Skipped is how many steps were not run, because this machine lacks something.
func (s *Story) Skipped() int { return s.skipped }

// NotRun names steps that cannot be played here, and says why, loudly.
func (s *Story) NotRun(why string, names ...string) {
	if s.fail != nil {
		return
	}
	for _, name := range names {
		s.skipped++
		fmt.Fprintf(s.Out, "   -           NOT RUN %s (%s)\n", name, why)
	}
}

// Step plays one step, unless one before has failed. do is done once; check is
// asked until it holds, for as long as Patience. Either may be nil.
func (s *Story) Step(name string, do, check func(context.Context) error) {
	if s.fail != nil {
		return
	}
	s.steps++
	began := time.Now()
	err := s.play(name, do, check)
	word := "ok    "
	if err != nil {
		word = "FAILED"
		s.fail = &Failure{name, err}
	}
	fmt.Fprintf(s.Out, "%4d  %5.1f s  %s  %s\n", s.steps, time.Since(began).Seconds(), word, name)
}

func (s *Story) play(name string, do, check func(context.Context) error) error {
	if s.Meddler != nil {
		if err := s.Meddler.Before(name, s.World); err != nil {
			return err
		}
	}
	if do != nil {
		if err := do(s.ctx); err != nil {
			return err
		}
	}
	if s.Meddler != nil {
		if err := s.Meddler.After(name, s.World); err != nil {
			return err
		}
	}
	if check == nil {
		return nil
	}
	return world.Until(s.ctx, s.Patience, "it held", check)
}
