package environments

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/cloud"
)

// scratchName is the name that a drill builds an environment under. It is the same
// for each drill of an environment, so that a drill finds what another one left.
func scratchName(environment string) string { return environment + ".drill" }

// Revision is the code that a drill builds.
type Revision string

// The revisions. The zero value is Head.
const (
	Head Revision = "head" // what the next morning builds
	Good Revision = "good" // what last came up well
)

// Drill builds an environment a second time, beside itself and under another name,
// brings back what was last captured of it, proves it good, takes the time, and
// clears it away. The environment itself is not touched, and may be up or dark.
// It returns the run.
func (e *Environments) Drill(ctx context.Context, name string, of Revision) (runID string, err error) {
	env, err := e.find(name)
	if err != nil {
		return "", err
	}
	scratch := scratchName(name)
	if err := e.scratchable(env, scratch); err != nil {
		return "", err
	}
	if of != "" && of != Head && of != Good {
		return "", nightporter.E(nightporter.Invalid, "%q is no revision to drill", of).WithHint("choose head, which the next morning builds, or good, which last came up")
	}
	err = e.cfg.Gate.Do(ctx, Act(name, "drill", nightporter.Update), resource(name), func(tx *gate.Tx) error {
		in := input{Rev: env.Cloud.Ref, Scratch: scratch, Fresh: true}
		if of == Good {
			r, err := read(ctx, tx.Tx, name)
			if err != nil {
				return err
			}
			if r.GoodCommit == "" {
				return nightporter.E(nightporter.Conflict, "nothing of %s came up well yet", name)
			}
			in.Rev = r.GoodCommit
		}
		at, err := drilling(ctx, tx.Tx, name)
		if err != nil {
			return err
		}
		if at != "" {
			return nightporter.E(nightporter.Conflict, "%s is being drilled", name).WithHint("nightporter run follow %s", at)
		}
		runID, err = e.cfg.Runs.Start(ctx, tx, run.Spec{
			Kind: kindDrill, Subject: resource(name), Holds: []run.Hold{{Name: "drill/" + name}},
			Steps: []run.StepSpec{{Name: "fetch", Kind: stepFetch, Input: in, Within: 3 * time.Minute, Attempts: 2}},
		})
		tx.Detail("run", runID)
		return err
	})
	return runID, err
}

// scratchable says why an environment cannot be built beside itself.
func (e *Environments) scratchable(env found, scratch string) error {
	if protected(env.Environment) {
		return nightporter.E(nightporter.Protected, "%s is production, and nothing is built beside it", env.Name)
	}
	s, ok := env.provider.(cloud.Scratcher)
	if !ok {
		return nightporter.E(nightporter.Invalid, "what %s is made of (%s) cannot be built beside itself", env.Name, env.Cloud.Kind).
			WithHint("each morning is a drill; one now: nightporter env down %s, and env up", env.Name)
	}
	if _, taken := e.cfg.Catalog.Current().Environment(scratch); taken {
		return nightporter.E(nightporter.Conflict, "a drill would be called %s, and so is an environment", scratch)
	}
	if err := cloud.ValidateName("environment", scratch); err != nil {
		return err
	}
	_, err := s.Scratch(env.target, scratch)
	return err
}

// place is where a step works: in its environment, or beside it.
func (e *Environments) place(name string, in input) (found, error) {
	env, err := e.find(name)
	if err != nil || in.Scratch == "" {
		return env, err
	}
	if err := e.scratchable(env, in.Scratch); err != nil {
		return found{}, err
	}
	env.target, err = env.provider.(cloud.Scratcher).Scratch(env.target, in.Scratch)
	env.Name = in.Scratch
	return env, err
}

// drilling is the drill of an environment that is under way, or "".
func drilling(ctx context.Context, tx *store.Tx, name string) (id string, err error) {
	err = tx.QueryRow(ctx, `SELECT id FROM run WHERE subject_kind = ? AND subject_id = ? AND kind = ? AND finished_at = 0 ORDER BY id LIMIT 1`,
		"environment", name, kindDrill).Scan(&id)
	if store.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for a drill of %s: %w", name, err)
	}
	return id, nil
}

// The steps in which a drill takes away what it built.
const (
	stepNameBefore = "clear what an earlier drill left"
	stepNameClear  = "clear"
	stepNameProve  = "prove that nothing is left"
)

// drillSteps build everything beside its original, and look at it once more.
func drillSteps(plan planned, in input) []run.StepSpec {
	steps := []run.StepSpec{{
		Name: stepNameBefore, Kind: stepDestroy, Input: input{Component: cloud.Rest, Scratch: in.Scratch}, Within: 20 * time.Minute, Attempts: 3,
	}}
	builds, good := buildSteps(plan, input{Commit: plan.Commit, Scratch: in.Scratch, Fresh: true}, "", []string{stepNameBefore}, nil)
	return append(append(steps, builds...), run.StepSpec{
		Name: "probe", Kind: stepProbe, Input: input{Components: names(plan), Scratch: in.Scratch}, After: append(good, stepNameBefore),
		Within: 5 * time.Minute, Attempts: 2,
	})
}

// clearSteps take it away again, whatever became of it.
func clearSteps(in input) []run.StepSpec {
	return []run.StepSpec{
		{
			Name: stepNameClear, Kind: stepDestroy, Input: input{Component: cloud.Rest, Scratch: in.Scratch}, Always: true,
			Within: 20 * time.Minute, Attempts: 3,
		},
		{
			Name: stepNameProve, Kind: stepEmpty, Input: input{Scratch: in.Scratch}, After: []string{stepNameClear}, Always: true,
			Within: 5 * time.Minute, Attempts: 2,
		},
	}
}

// drilled moves a drill on when one of its steps is over.
func (e *Environments) drilled(_ context.Context, c *run.Change, s *run.Step) error {
	var in input
	if err := json.Unmarshal(s.Input, &in); err != nil {
		return fmt.Errorf("read the input of step %q: %w", s.Name, err)
	}
	switch {
	case s.Name == stepNameClear || s.Name == stepNameProve || c.Run.Step(stepNameClear) != nil:
		return nil
	case s.Kind == stepFetch:
		var out planned
		if s.State != run.Succeeded {
			return nil // nothing was made
		}
		if err := json.Unmarshal(s.Output, &out); err != nil {
			return fmt.Errorf("read the outcome of step %q: %w", s.Name, err)
		}
		c.Append(drillSteps(out, in)...)
		return nil
	}
	over := s.Kind == stepProbe && s.State == run.Succeeded
	if slices.ContainsFunc(c.Run.Steps, func(o run.Step) bool { return o.State == run.Failed }) {
		// The last of those at work to end lets it be cleared away.
		over = !slices.ContainsFunc(c.Run.Steps, func(o run.Step) bool { return o.N != s.N && !o.State.Over() && o.State != run.Pending })
	}
	if over {
		c.Append(clearSteps(in)...)
	}
	return nil
}

// drillEnded notes what a drill proved. One that was cancelled is cleared away by
// a run of its own.
func (e *Environments) drillEnded(ctx context.Context, c *run.Change) error {
	scratch := scratchName(c.Run.Subject.ID)
	var commit string
	if s := c.Run.Step("fetch"); s != nil {
		var out planned
		if json.Unmarshal(s.Output, &out) == nil {
			commit = out.Commit
		}
	}
	if c.Run.State == run.Cancelled {
		if c.Run.Step(stepNameBefore) == nil {
			return nil // nothing was made
		}
		_, err := e.cfg.Runs.Start(ctx, c.Tx, run.Spec{
			Kind: kindDrill, Subject: c.Run.Subject, Holds: []run.Hold{{Name: "drill/" + c.Run.Subject.ID}},
			Steps: clearSteps(input{Scratch: scratch}),
		})
		return err
	}
	if c.Run.Step("fetch") == nil {
		return nil // only cleared away
	}
	d := drillOf(c.Run, commit, c.Now())
	d.Scratch, d.At = scratch, e.cfg.Clock.Now()
	// It was there once it was probed; what it takes to clear it away is no part
	// of a recovery.
	for _, s := range c.Run.Steps {
		if s.Name != stepNameClear && s.Name != stepNameProve && !s.FinishedAt.IsZero() && s.State != run.Skipped {
			d.FinishedAt = s.FinishedAt
		}
	}
	if env, ok := e.cfg.Catalog.Current().Environment(d.Environment); ok {
		d.Budget = env.Schedule.RTO
	}
	d.Passed = c.Run.State == run.Succeeded
	if took := d.Took(); d.Passed && d.Budget > 0 && took > d.Budget {
		d.Passed, d.Failure = false, fmt.Sprintf("took %s, and may take %s", took.Round(time.Second), d.Budget)
	}
	if strings.HasPrefix(d.Step, stepNameClear) || d.Step == stepNameProve {
		d.Failure = "what it built is still there: " + d.Failure
	}
	if d.Passed {
		c.Publish(d.passed(nightporter.Evidence{ObservedAt: c.Now(), Source: "run " + c.Run.ID + ": " + lastStep(c.Run)}))
	} else {
		c.Publish(d.failed())
	}
	c.AfterCommit(func() { e.forget(d.Environment) })
	return keepDrill(ctx, c.Tx.Tx, d)
}
