package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
)

const (
	lookAgain = 200 * time.Millisecond // between observations of something at work
	firstRest = 250 * time.Millisecond // after an error of a handler
	longRest  = 30 * time.Second
	keptLines = 20
)

// worker takes one step as far as it goes without waiting long.
type worker struct {
	e    *Engine
	run  *Run
	step Step
}

// work returns whether the run should be looked at again. root is the engine's
// context; ctx also ends when the run is cancelled.
func (w *worker) work(root, ctx context.Context) (again bool) {
	h := w.e.handlers[w.step.Kind]
	if w.run.State == cancelling {
		return w.cancel(root, h)
	}
	if w.step.State == Pending {
		if blocked, err := w.intend(ctx); blocked {
			return w.block(ctx)
		} else if err != nil {
			// What is in the way wakes us when it goes. Anything else may
			// be the store, which tells nobody when it is back.
			return !errors.Is(err, errMoved) && sleep(ctx, firstRest)
		}
	}
	rest := firstRest
	for ctx.Err() == nil {
		o, err := w.advance(ctx, h)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			o = w.explain(err)
		}
		switch {
		case o.State == Succeeded || o.State == Failed:
			return w.finish(ctx, o)
		case w.late():
			// Waits for people and clocks have no deadline of their own,
			// so this is work that took too long.
			return w.finish(ctx, Observation{
				State: Failed, Retryable: true, Lines: o.Lines,
				Message: "not done within " + w.step.Within.String() + lastWord(o.Message),
			})
		case o.State == Waiting:
			return w.wait(ctx, o)
		}
		w.note(ctx, o)
		pause := o.Again
		if pause == 0 {
			pause = lookAgain
		}
		if err != nil {
			pause = rest
			rest = min(2*rest, longRest)
		} else {
			rest = firstRest
		}
		if !sleep(ctx, pause) {
			break
		}
	}
	// Cancelled, stopping or fenced off: whoever looks next decides.
	return root.Err() == nil
}

// advance starts the work if that has not happened, and looks at it. A handler
// that panics has met an error: it must not take the house down with it, and
// again after every start.
func (w *worker) advance(ctx context.Context, h Handler) (_ Observation, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in step %q of run %s: %v\n%s", w.step.Name, w.run.ID, p, debug.Stack())
		}
	}()
	t := w.task()
	if w.step.State == Starting {
		token, err := h.Start(ctx, t)
		if err != nil {
			return Observation{}, err
		}
		w.step.State, w.step.Token, w.step.NotBefore = Running, token, time.Time{}
		// A token that a crash loses is given again by the next Start.
		if err := w.keep(ctx); err != nil {
			return Observation{}, err
		}
	}
	o, err := h.Observe(ctx, t, w.step.Token)
	if err == nil && o.State == Running && o.Output != nil {
		err = w.remember(ctx, o)
	}
	return o, err
}

// remember commits what a handler must know at its next look, before that look.
func (w *worker) remember(ctx context.Context, o Observation) error {
	b, err := json.Marshal(o.Output)
	if err != nil {
		return fmt.Errorf("encode what step %q of run %s found: %w", w.step.Name, w.run.ID, err)
	}
	kept := w.step
	w.step.Output, w.step.Message = b, o.Message
	if o.Lines != nil {
		w.step.Lines = lastLines(o.Lines)
	}
	if err := w.keep(ctx); err != nil {
		w.step = kept
		return err
	}
	w.e.cfg.Changed(w.run.ID)
	return nil
}

func (w *worker) task() Task {
	t := Task{
		Run: w.run.ID, Subject: w.run.Subject, Step: w.step.Name, Attempt: w.step.Attempt,
		Input: w.step.Input, Output: w.step.Output, Cause: w.run.Cause,
	}
	if w.step.Within > 0 {
		t.Deadline = w.step.StartedAt.Add(w.step.Within)
	}
	return t
}

func (w *worker) late() bool {
	return w.step.Within > 0 && w.step.State != Waiting && time.Since(w.step.StartedAt) > w.step.Within
}

// explain decides what an error of a handler means: a code says that trying
// again will not help, unless it says that it will.
func (w *worker) explain(err error) Observation {
	switch nightporter.CodeOf(err) {
	case nightporter.Unavailable, nightporter.Internal, nightporter.Limited, nightporter.Sealed:
		w.e.cfg.Log.Warn("a step met an error and tries again", "run", w.run.ID, "step", w.step.Name, "error", err)
		return Observation{State: Running, Message: nightporter.MessageOf(err)}
	}
	return Observation{State: Failed, Message: nightporter.MessageOf(err)}
}

// intend commits that the step is about to start: attempt 1, holds taken. It
// returns true when the run's kind does not let it.
func (w *worker) intend(ctx context.Context) (blocked bool, err error) {
	blocker := ""
	err = w.e.do(ctx, "step.start", w.run, w.step.Name, func(tx *gate.Tx) (err error) {
		blocked = false
		r, err := Get(ctx, tx.Tx, w.run.ID)
		if err != nil {
			return err
		}
		s := &r.Steps[w.step.N]
		if r.State == cancelling || s.State != Pending {
			blocker = "the run moved on"
			return errMoved
		}
		if blocker, err = take(ctx, tx.Tx, r.ID, s.N, s.Holds); err != nil {
			return err
		}
		if blocker != "" {
			return errMoved
		}
		b, err := w.ready(ctx, tx, r, s)
		if err != nil {
			return err
		}
		if blocked = b.Reason != ""; blocked {
			return errMoved
		}
		s.State, s.Attempt, s.StartedAt, s.Message, s.NotBefore = Starting, 1, tx.Now(), "", time.Time{}
		if err := setStep(ctx, tx.Tx, r.ID, s); err != nil {
			return err
		}
		if r.State != Running {
			if r.StartedAt.IsZero() {
				r.StartedAt = tx.Now()
			}
			r.State, r.Message = Running, ""
			if err := setRun(ctx, tx.Tx, r); err != nil {
				return err
			}
		}
		w.run, w.step = r, *s
		return nil
	})
	if blocker != "" && blocker != w.step.Message && w.step.State == Pending {
		// Only a message for people: losing it costs nothing.
		_ = w.e.cfg.Gate.Keep(ctx, "step.keep", func(tx *store.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE run_step SET message = ?, not_before = 0 WHERE run_id = ? AND n = ? AND state = 'pending'`,
				blocker, w.run.ID, w.step.N)
			return err
		})
	}
	return blocked, err
}

func (w *worker) ready(ctx context.Context, tx *gate.Tx, r *Run, s *Step) (Block, error) {
	k := w.e.kinds[r.Kind]
	if k.Ready == nil {
		return Block{}, nil
	}
	return k.Ready(ctx, tx, r, s)
}

// block commits why a step that could start does not, and when to ask again. The
// reason is asked for once more, so that one that went away meanwhile is not
// noted: whoever ends it signals the step after this, or before.
func (w *worker) block(ctx context.Context) (again bool) {
	err := w.e.do(ctx, "step.block", w.run, w.step.Name, func(tx *gate.Tx) error {
		again = false
		r, err := Get(ctx, tx.Tx, w.run.ID)
		if err != nil {
			return err
		}
		s := &r.Steps[w.step.N]
		if r.State == cancelling || s.State != Pending {
			return errMoved
		}
		b, err := w.ready(ctx, tx, r, s)
		if err != nil {
			return err
		}
		if b.Reason == "" {
			again = true
			return errMoved
		}
		if b.Until.IsZero() {
			b.Until = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
		}
		if s.Message == b.Reason && s.NotBefore.Equal(b.Until) {
			return errMoved // noted already
		}
		tx.Detail("message", b.Reason)
		s.Message, s.NotBefore = b.Reason, b.Until
		if err := setStep(ctx, tx.Tx, r.ID, s); err != nil {
			return err
		}
		r.State, r.Message = restingState(r), ""
		return setRun(ctx, tx.Tx, r)
	})
	if err != nil && !errors.Is(err, errMoved) {
		return sleep(ctx, firstRest)
	}
	w.e.cfg.Changed(w.run.ID)
	return again
}

// errMoved undoes an intent that is not possible now. It never leaves the package.
var errMoved = nightporter.E(nightporter.Conflict, "the step cannot start now")

// note keeps progress that people see. Losing it costs nothing.
func (w *worker) note(ctx context.Context, o Observation) {
	lines := w.step.Lines
	if o.Lines != nil {
		lines = lastLines(o.Lines)
	}
	if o.Message == w.step.Message && slices.Equal(lines, w.step.Lines) {
		return
	}
	w.step.Message, w.step.Lines = o.Message, lines
	_ = w.keep(ctx)
	w.e.cfg.Changed(w.run.ID)
}

func (w *worker) keep(ctx context.Context) error {
	return w.e.cfg.Gate.Keep(ctx, "step.keep", func(tx *store.Tx) error {
		return setStep(ctx, tx, w.run.ID, &w.step)
	})
}

// wait parks a step that waits for a person or a clock. A signal that came after
// the step was read is not lost: it is counted, and a changed count means that
// the observation may be old.
func (w *worker) wait(ctx context.Context, o Observation) (again bool) {
	w.step.State, w.step.Message = Waiting, o.Message
	w.step.NotBefore = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	if o.Again > 0 {
		w.step.NotBefore = w.e.cfg.Clock.Now().Add(o.Again)
	}
	err := w.e.cfg.Gate.Keep(ctx, "step.wait", func(tx *store.Tx) error {
		r, err := Get(ctx, tx, w.run.ID)
		if err != nil {
			return err
		}
		if r.Steps[w.step.N].signals != w.step.signals {
			again = true
			w.step.NotBefore = time.Time{}
		}
		r.Steps[w.step.N] = w.step
		if err := setStep(ctx, tx, r.ID, &w.step); err != nil || r.State == cancelling {
			return err
		}
		r.State, r.Message = restingState(r), ""
		return setRun(ctx, tx, r)
	})
	w.e.cfg.Changed(w.run.ID)
	if err != nil {
		return sleep(ctx, firstRest)
	}
	return again
}

// finish commits the outcome of an attempt: another attempt, or the end.
func (w *worker) finish(ctx context.Context, o Observation) (again bool) {
	s := &w.step
	if o.Lines != nil {
		s.Lines = lastLines(o.Lines)
	}
	s.Message = o.Message
	action := "step.done"
	if o.State == Failed {
		action = "step.failed"
	}
	if o.Output != nil {
		b, err := json.Marshal(o.Output)
		if err != nil {
			o.State, s.Message = Failed, "the outcome could not be written down"
		}
		s.Output = b
	}
	for rest := firstRest; ctx.Err() == nil; rest = min(2*rest, longRest) {
		err := w.e.do(ctx, action, w.run, s.Name, func(tx *gate.Tx) error { return w.outcome(ctx, tx, o) })
		if err == nil {
			w.e.cfg.Changed(w.run.ID)
			return true
		}
		w.e.cfg.Log.ErrorContext(ctx, "note a step's outcome", "run", w.run.ID, "step", s.Name, "error", err)
		if !sleep(ctx, rest) {
			break
		}
	}
	return true
}

func (w *worker) outcome(ctx context.Context, tx *gate.Tx, o Observation) error {
	r, err := Get(ctx, tx.Tx, w.run.ID)
	if err != nil {
		return err
	}
	s := &r.Steps[w.step.N]
	if s.State.Over() {
		return nil
	}
	lines, message, output := w.step.Lines, w.step.Message, w.step.Output
	if o.State == Failed && o.Retryable && w.step.Attempt < s.Attempts && r.State != cancelling {
		tx.Detail("attempt", w.step.Attempt)
		tx.Detail("message", message)
		s.State, s.Attempt, s.Token, s.Lines = Starting, w.step.Attempt+1, "", lines
		s.Output = nil
		s.StartedAt, s.Message = tx.Now(), "trying again: "+message
		s.NotBefore = w.e.cfg.Clock.Now().Add(min(time.Second<<w.step.Attempt, longRest))
		return setStep(ctx, tx.Tx, r.ID, s)
	}
	s.State, s.Message, s.Lines, s.Output = o.State, message, lines, output
	s.Attempt, s.Token, s.FinishedAt, s.NotBefore = w.step.Attempt, w.step.Token, tx.Now(), time.Time{}
	tx.Detail("message", message)
	if err := setStep(ctx, tx.Tx, r.ID, s); err != nil {
		return err
	}
	c := &Change{Tx: tx, Run: r}
	if k := w.e.kinds[r.Kind]; k.Outcome != nil && s.State != Cancelled {
		if err := k.Outcome(ctx, c, s); err != nil {
			return err
		}
	}
	if s.State == Failed && !c.goOn && c.fail == "" {
		c.fail = s.Name + ": " + s.Message
	}
	return w.e.settle(ctx, c)
}

// cancel ends the work of a cancelled run's step.
func (w *worker) cancel(ctx context.Context, h Handler) (again bool) {
	ctx = nightporter.WithRequestID(nightporter.WithActor(ctx, nightporter.SystemActor("run", w.run.Cause)), w.run.RequestID)
	if err := h.Cancel(ctx, w.task(), w.step.Token); err != nil {
		w.e.cfg.Log.WarnContext(ctx, "cancel a step", "run", w.run.ID, "step", w.step.Name, "error", err)
		return sleep(ctx, lookAgain)
	}
	return w.finish(ctx, Observation{State: Cancelled, Message: w.run.Message})
}

func lastWord(message string) string {
	if message == "" {
		return ""
	}
	return ": " + message
}

func lastLines(lines []string) []string {
	return lines[max(0, len(lines)-keptLines):]
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
