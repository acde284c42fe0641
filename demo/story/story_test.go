package story

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter/demo/world"
)

// notes writes down what happened, in order.
type notes []string

func (n *notes) do(what string, err error) func(context.Context) error {
	return func(context.Context) error {
		*n = append(*n, what)
		return err
	}
}

func (n *notes) Before(step string, _ *world.World) error {
	*n = append(*n, "before "+step)
	return nil
}

func (n *notes) After(step string, _ *world.World) error {
	*n = append(*n, "after "+step)
	return nil
}

func TestAStepIsDoneOnceAndCheckedUntilItHolds(t *testing.T) {
	t.Parallel()
	var n notes
	var out strings.Builder
	s := &Story{Out: &out, Meddler: &n}
	looks := 0
	err := s.Tell(t.Context(), []Chapter{{"one", func(s *Story) {
		s.Step("a", n.do("do a", nil), func(context.Context) error {
			if looks++; looks < 3 {
				return errors.New("not yet")
			}
			n = append(n, "a holds")
			return nil
		})
		s.Step("b", nil, n.do("check b", nil))
	}}})
	if err != nil {
		t.Fatal(err)
	}
	want := "[before a do a after a a holds before b after b check b]"
	if got := fmt.Sprint(n); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if s.Steps() != 2 || !strings.Contains(out.String(), "ok      b\n") {
		t.Errorf("it said, of %d steps:\n%s", s.Steps(), &out)
	}
}

func TestTheStoryEndsAtTheFirstFailure(t *testing.T) {
	t.Parallel()
	wrong := errors.New("prod answers as v0.2.0")
	for name, step := range map[string]func(s *Story, n *notes){
		"in what is done":   func(s *Story, n *notes) { s.Step("bad", n.do("do", wrong), n.do("check", nil)) },
		"in what must hold": func(s *Story, n *notes) { s.Step("bad", n.do("do", nil), n.do("check", wrong)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n notes
			var out strings.Builder
			s := &Story{Out: &out, Patience: time.Millisecond}
			err := s.Tell(t.Context(), []Chapter{
				{"one", func(s *Story) { step(s, &n); s.Step("never", n.do("never", nil), nil) }},
				{"two", func(s *Story) { s.Step("nor this", n.do("never", nil), nil) }},
			})
			var f *Failure
			if !errors.As(err, &f) || f.Step != "bad" || !errors.Is(err, wrong) {
				t.Errorf("got %v, want the failure of step bad", err)
			}
			if strings.Contains(fmt.Sprint(n), "never") {
				t.Errorf("it went on: %v", n)
			}
			if !strings.Contains(out.String(), "FAILED  bad") || strings.Contains(out.String(), "two") {
				t.Errorf("it said:\n%s", &out)
			}
		})
	}
}

func TestAnInterruptEndsAStory(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := &Story{Out: &strings.Builder{}}
	err := s.Tell(ctx, []Chapter{{"one", func(s *Story) {
		s.Step("waits", nil, func(context.Context) error { cancel(); return errors.New("not yet") })
	}}})
	if err == nil {
		t.Error("it went to its end")
	}
}

func TestWhatCannotBePlayedIsNamedLoudlyAndCounted(t *testing.T) {
	t.Parallel()
	var n notes
	var out strings.Builder
	s := &Story{Out: &out}
	err := s.Tell(t.Context(), []Chapter{{"one", func(s *Story) {
		s.NotRun("no database", "a login is lent", "it is taken away")
		s.Step("good", n.do("do", nil), nil)
	}}})
	if err != nil || s.Steps() != 1 || s.Skipped() != 2 {
		t.Errorf("%v, %d steps and %d that were not run; want 1 and 2", err, s.Steps(), s.Skipped())
	}
	for _, want := range []string{"NOT RUN a login is lent (no database)", "NOT RUN it is taken away (no database)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, &out)
		}
	}
}
