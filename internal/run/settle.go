package run

import (
	"context"
	"slices"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
)

// do makes a change of a run through the gate, as the system.
func (e *Engine) do(ctx context.Context, action string, r *Run, step string, fn func(*gate.Tx) error) error {
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("run", r.Cause))
	return e.cfg.Gate.Do(ctx, nightporter.Action{Name: action}, nightporter.Resource{Kind: "run", ID: r.ID}, func(tx *gate.Tx) error {
		tx.Detail("step", step)
		tx.Detail("subject", r.Subject.String())
		return fn(tx)
	})
}

// settle brings a run to rest after a change of its steps, within the same
// transaction: steps are appended, needless ones skipped, holds handed over or
// given back, and the run ends when nothing is left to do.
func (e *Engine) settle(ctx context.Context, c *Change) error {
	r := c.Run
	if len(c.appended) > 0 {
		if err := insertSteps(ctx, c.Tx.Tx, r.ID, len(r.Steps), c.appended); err != nil {
			return err
		}
		appended, err := steps(ctx, c.Tx.Tx, r.ID)
		if err != nil {
			return err
		}
		r.Steps = appended
	}
	if r.State == cancelling {
		if err := e.skip(ctx, c, func(*Step) bool { return true }); err != nil {
			return err
		}
	}
	if c.fail != "" && r.State != cancelling {
		r.Message = c.fail
		if err := e.skip(ctx, c, func(s *Step) bool {
			// The appended steps are what the failure still needs: a rollback.
			return !s.Always && !slices.ContainsFunc(c.appended, func(a StepSpec) bool { return a.Name == s.Name })
		}); err != nil {
			return err
		}
	}
	// What stands after a step that did not succeed can never start.
	if err := e.skip(ctx, c, func(s *Step) bool { return hopeless(r, s) }); err != nil {
		return err
	}
	if err := e.release(ctx, c); err != nil {
		return err
	}
	if slices.ContainsFunc(r.Steps, func(s Step) bool { return !s.State.Over() }) {
		if r.State != cancelling {
			r.State = restingState(r)
		}
		return setRun(ctx, c.Tx.Tx, r)
	}
	switch {
	case r.State == cancelling:
		r.State = Cancelled
	case r.Message != "":
		r.State = Failed
	default:
		r.State = Succeeded
	}
	r.FinishedAt = c.Now()
	if _, err := c.Exec(ctx, `DELETE FROM run_hold WHERE run_id = ?`, r.ID); err != nil {
		return err
	}
	if err := setRun(ctx, c.Tx.Tx, r); err != nil {
		return err
	}
	c.AfterCommit(e.LookAll) // somebody may have waited for the holds
	if k := e.kinds[r.Kind]; k.Ended != nil {
		return k.Ended(ctx, c)
	}
	return nil
}

func (e *Engine) skip(ctx context.Context, c *Change, needless func(*Step) bool) error {
	for changed := true; changed; {
		changed = false
		for i := range c.Run.Steps {
			s := &c.Run.Steps[i]
			if s.State != Pending || !needless(s) {
				continue
			}
			s.State, s.FinishedAt, s.Message = Skipped, c.Now(), ""
			if err := setStep(ctx, c.Tx.Tx, c.Run.ID, s); err != nil {
				return err
			}
			changed = true
		}
	}
	return nil
}

func hopeless(r *Run, s *Step) bool {
	for _, name := range s.After {
		if before := r.Step(name); before == nil || before.State.Over() && before.State != Succeeded {
			return true
		}
	}
	return false
}

// release gives back the holds of steps that are over, unless a step that is
// ready now names the same one: it takes it over without letting anybody in
// between.
func (e *Engine) release(ctx context.Context, c *Change) error {
	for i := range c.Run.Steps {
		s := &c.Run.Steps[i]
		if !s.State.Over() || s.StartedAt.IsZero() {
			continue
		}
		for _, h := range s.Holds {
			heir := slices.IndexFunc(c.Run.Steps, func(o Step) bool {
				return !o.State.Over() && ready(c.Run, &o) && slices.ContainsFunc(o.Holds, func(oh Hold) bool { return oh.Name == h.Name })
			})
			if heir >= 0 {
				continue
			}
			n, err := c.Exec(ctx, `DELETE FROM run_hold WHERE name = ? AND run_id = ? AND step = ?`, h.Name, c.Run.ID, s.N)
			if err != nil {
				return err
			}
			if n > 0 {
				c.AfterCommit(e.LookAll)
			}
		}
	}
	return nil
}

// restingState is what an unfinished run shows: waiting when nothing is at work
// or could be.
func restingState(r *Run) State {
	waiting := false
	for i := range r.Steps {
		s := &r.Steps[i]
		switch {
		case s.State == Starting || s.State == Running, s.State == Pending && s.NotBefore.IsZero() && ready(r, s):
			return Running
		case s.State == Waiting, s.State == Pending && !s.NotBefore.IsZero():
			waiting = true
		}
	}
	if waiting {
		return Waiting
	}
	return Running
}

func median(us []int64) time.Duration {
	if len(us) == 0 {
		return 0
	}
	slices.Sort(us)
	return time.Duration(us[len(us)/2]) * time.Microsecond
}
