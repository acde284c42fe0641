package environments

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments/schedule"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
)

// outcome moves an environment's run on when one of its steps is over. It runs in
// the transaction that ends the step.
func (e *Environments) outcome(ctx context.Context, c *run.Change, s *run.Step) error {
	var in input
	if err := json.Unmarshal(s.Input, &in); err != nil {
		return fmt.Errorf("read the input of step %q: %w", s.Name, err)
	}
	r, err := read(ctx, c.Tx.Tx, c.Run.Subject.ID)
	if err != nil {
		return err
	}
	ok := s.State == run.Succeeded
	var out planned
	if len(s.Output) > 0 {
		if err := json.Unmarshal(s.Output, &out); err != nil {
			return fmt.Errorf("read the outcome of step %q: %w", s.Name, err)
		}
	}
	now := e.cfg.Clock.Now()
	switch {
	case s.Kind == stepCheck && ok && len(s.Output) > 0 && !in.Rehearsal:
		c.Append(downSteps(r.Name, out)...)
		c.Publish(nightporter.EnvironmentClosing{Environment: r.Name, Run: c.Run.ID})
		r.becomes(Closing, "being torn down", now)
	case s.Kind == stepFetch && ok && len(s.Output) > 0:
		c.Append(upSteps(r.Name, out, in)...)
		r.Commit = out.Commit
		r.becomes(Building, "being built", now)
	case s.Kind == stepEnrol && ok && !r.Turned:
		r.becomes(Verifying, "built; its services come back", now)
	case buildsInfrastructure(*s) && !in.Again && (!ok || broken(c.Run)):
		// The last of the attempt's components to end decides, whichever of
		// them it was that failed.
		if !e.fallBack(c, s, in, r) {
			return nil
		}
	default:
		return nil
	}
	return write(ctx, c.Tx.Tx, r)
}

// fallBack lets the run build the last good commit when the newest one cannot be
// built: once the other components of the attempt are over, and only when there
// is another commit to build.
func (e *Environments) fallBack(c *run.Change, s *run.Step, in input, r row) bool {
	tried := r.Commit
	if s.Kind == stepFetch {
		tried = ""
		var out planned
		if json.Unmarshal(s.Output, &out) == nil {
			tried = out.Commit
		}
	}
	if r.GoodCommit == "" || r.GoodCommit == tried || r.Turned {
		return false
	}
	c.Continue()
	for _, o := range c.Run.Steps {
		atWork := !o.State.Over() && (o.State != run.Pending || stands(c.Run, o))
		if o.N != s.N && buildsInfrastructure(o) && atWork {
			return false // it will come here too
		}
	}
	fetch := run.StepSpec{
		Name: "fetch again", Kind: stepFetch, Holds: alone(r.Name), Within: 5 * time.Minute, Attempts: 2,
		Input: input{Rev: r.GoodCommit, Again: true, Fresh: in.Fresh},
	}
	if in.Fresh && s.Kind != stepFetch {
		// What the broken commit made has nothing that is worth keeping: the
		// environment was dark.
		c.Append(run.StepSpec{
			Name: "clear again", Kind: stepDestroy, Input: input{Component: "*", Again: true}, Holds: alone(r.Name),
			Within: 20 * time.Minute, Attempts: 3,
		})
		fetch.After = []string{"clear again"}
	}
	c.Append(fetch)
	return true
}

// broken says that a component of the newest commit could not be built, and that
// nothing was done about it yet.
func broken(r *run.Run) bool {
	return r.Step("fetch again") == nil && slices.ContainsFunc(r.Steps, func(s run.Step) bool {
		return buildsInfrastructure(s) && s.State == run.Failed
	})
}

// stands says that everything a step stands after has succeeded.
func stands(r *run.Run, s run.Step) bool {
	return !slices.ContainsFunc(s.After, func(name string) bool {
		before := r.Step(name)
		return before == nil || before.State != run.Succeeded
	})
}

// ended brings an environment to rest when its run is over, whatever way.
func (e *Environments) ended(ctx context.Context, c *run.Change) error {
	r, err := read(ctx, c.Tx.Tx, c.Run.Subject.ID)
	if err != nil || r.Run != c.Run.ID {
		return err
	}
	turned, now := r.Turned, e.cfg.Clock.Now()
	r.Run, r.Turned, r.ObservedAt = "", false, c.Now()
	rehearsal := c.Run.Step("rehearse") != nil
	switch {
	case c.Run.State == run.Cancelled:
		if !rehearsal {
			r.becomes(Partial, "its run was cancelled: "+c.Run.Message, now)
		}
		r.NotBefore = c.Now().Add(time.Hour)
	case c.Run.State == run.Failed:
		err = e.failed(ctx, c, &r, rehearsal)
	case turned:
		r.becomes(Partial, "the run turned round", now)
	case rehearsal:
		r.Rehearsed = now
		r.SparedUntil = e.nextOn(r.Name, now)
	case c.Run.Kind == kindDown:
		err = e.wentDown(ctx, c, &r)
	default:
		err = e.cameUp(ctx, c, &r)
	}
	if err != nil {
		return err
	}
	c.AfterCommit(func() { e.forget(r.Name) })
	return write(ctx, c.Tx.Tx, r)
}

// nextOn is when an environment's next window opens; a day from now when none
// does.
func (e *Environments) nextOn(name string, now time.Time) time.Time {
	w := e.cfg.Catalog.Current()
	if env, ok := w.Environment(name); ok {
		if s, err := e.schedule(w, env); err == nil {
			for _, edge := range s.Next(now, 2, schedule.Overrides{}) {
				if edge.State == schedule.On {
					return edge.At
				}
			}
		}
	}
	return now.Add(24 * time.Hour)
}

// wentDown notes the proof that nothing is left.
func (e *Environments) wentDown(ctx context.Context, c *run.Change, r *row) error {
	now := e.cfg.Clock.Now()
	r.becomes(Down, "", now)
	r.Failures, r.NotBefore, r.Commit, r.EarlyUntil = 0, time.Time{}, "", time.Time{}
	var out planned
	if s := c.Run.Step("check"); s != nil && len(s.Output) > 0 {
		if err := json.Unmarshal(s.Output, &out); err != nil {
			return fmt.Errorf("read what %s cost: %w", r.Name, err)
		}
	}
	if err := dusk(ctx, c.Tx.Tx, r.Name, now, out.Spares); err != nil {
		return err
	}
	c.Publish(nightporter.EnvironmentDown{
		Environment: r.Name, Run: c.Run.ID, Evidence: nightporter.Evidence{ObservedAt: c.Now(), Source: "run " + c.Run.ID + ": " + lastStep(c.Run)},
	})
	return nil
}

// cameUp notes a rebuild and what it proved.
func (e *Environments) cameUp(ctx context.Context, c *run.Change, r *row) error {
	now := e.cfg.Clock.Now()
	r.becomes(Up, "", now)
	r.Failures, r.NotBefore, r.GoodCommit = 0, time.Time{}, r.Commit
	evidence := nightporter.Evidence{ObservedAt: c.Now(), Source: "run " + c.Run.ID + ": " + lastStep(c.Run)}
	if err := dawn(ctx, c.Tx.Tx, r.Name, now); err != nil {
		return err
	}
	c.Publish(nightporter.EnvironmentUp{Environment: r.Name, Run: c.Run.ID, Commit: r.Commit, Evidence: evidence})
	if !wasFresh(c.Run) {
		return nil // a repair proves nothing about a recovery
	}
	d := drillOf(c.Run, r.Commit, c.Now())
	d.At = now
	if env, ok := e.cfg.Catalog.Current().Environment(r.Name); ok {
		d.Budget = env.Schedule.RTO
	}
	if took := d.FinishedAt.Sub(d.StartedAt); d.Budget > 0 && took > d.Budget {
		d.Passed = false
		d.Failure = fmt.Sprintf("took %s, and may take %s", took.Round(time.Second), d.Budget)
		c.Publish(d.failed())
	} else {
		d.Passed = true
		c.Publish(d.passed(evidence))
	}
	return keepDrill(ctx, c.Tx.Tx, d)
}

// failed notes that a run did not get to its end. The second time in a row people
// are told, before they come; the first time it is simply tried again.
func (e *Environments) failed(ctx context.Context, c *run.Change, r *row, rehearsal bool) error {
	if !rehearsal {
		r.becomes(Partial, c.Run.Message, e.cfg.Clock.Now())
	} else {
		r.Message = c.Run.Message
	}
	r.Failures++
	rest := time.Duration(0)
	if r.Failures > 1 {
		rest = min(5*time.Minute<<min(r.Failures-2, 6), time.Hour)
	}
	refused := refusedBy(c.Run)
	if refused {
		// A lock does not open by itself, and nothing was touched.
		rest = time.Hour
		if c.Run.Kind == kindDown && r.State == Partial {
			r.State = Up
		}
	}
	r.NotBefore = c.Now().Add(rest)
	d := drillOf(c.Run, r.Commit, c.Now())
	d.Passed, d.At = false, e.cfg.Clock.Now()
	if c.Run.Kind == kindUp && wasFresh(c.Run) {
		if err := keepDrill(ctx, c.Tx.Tx, d); err != nil {
			return err
		}
	}
	if r.Failures == 2 || refused && r.Failures == 1 {
		c.Publish(d.failed())
	}
	return nil
}

func refusedBy(r *run.Run) bool {
	for _, s := range r.Steps {
		var out planned
		if s.Kind == stepCheck && len(s.Output) > 0 && json.Unmarshal(s.Output, &out) == nil && out.Refused {
			return true
		}
	}
	return false
}

func wasFresh(r *run.Run) bool {
	for _, s := range r.Steps {
		var in input
		if s.Kind == stepFetch && json.Unmarshal(s.Input, &in) == nil {
			return in.Fresh
		}
	}
	return false
}

// lastStep is what the last step that succeeded saw.
func lastStep(r *run.Run) string {
	for _, s := range slices.Backward(r.Steps) {
		if s.State == run.Succeeded {
			return s.Name + ": " + s.Message
		}
	}
	return ""
}

// dusk opens a dark stretch, and dawn ends it.
func dusk(ctx context.Context, tx *store.Tx, name string, at time.Time, s spared) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode what the night of %s spares: %w", name, err)
	}
	// A stretch that is open already goes on: the same night.
	_, err = tx.Exec(ctx, `INSERT INTO environment_dark (environment, dusk, dawn, spared) SELECT ?, ?, 0, ?
		WHERE NOT EXISTS (SELECT 1 FROM environment_dark WHERE environment = ? AND dawn = 0) ON CONFLICT DO NOTHING`,
		name, store.Micros(at), string(b), name)
	if err != nil {
		return fmt.Errorf("note the dusk of %s: %w", name, err)
	}
	return nil
}

func dawn(ctx context.Context, tx *store.Tx, name string, at time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE environment_dark SET dawn = ? WHERE environment = ? AND dawn = 0`, store.Micros(at), name)
	if err != nil {
		return fmt.Errorf("note the dawn of %s: %w", name, err)
	}
	return nil
}

// darkStill says whether an environment has not come up since its last dusk.
func darkStill(ctx context.Context, tx *store.Tx, name string) (bool, error) {
	var n int64
	if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM environment_dark WHERE environment = ? AND dawn = 0`, name).Scan(&n); err != nil {
		return false, fmt.Errorf("read the nights of %s: %w", name, err)
	}
	return n > 0, nil
}
