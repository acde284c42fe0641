package repos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/repos/standard"
)

// An apply is a run: look again, write in batches, look once more.
const (
	applyKind  = "repos.apply"
	kindLook   = "repos.look"
	kindWrite  = "repos.write"
	kindFinish = "repos.finish"
)

// WriteState is how far a write has come.
type WriteState string

// The states of a write. One that was started may or may not have happened: it is
// looked at before anybody makes it again.
const (
	Pending WriteState = "pending"
	Started WriteState = "started"
	Done    WriteState = "done"
	Failed  WriteState = "failed"  // the forge refused; the message says why
	Dropped WriteState = "dropped" // not needed any more, or not what was planned
)

// applyInput is what every step of an apply is given.
type applyInput struct {
	Plan  string `json:"plan"`
	Forge string `json:"forge"`
	First int    `json:"first,omitempty"` // writes First to End-1
	End   int    `json:"end,omitempty"`
	Total int    `json:"total,omitempty"`
}

// Apply starts to make a plan's writes and returns the run. The caller has asked
// the policy. Errors: not_found, and conflict while another apply of the forge is
// under way.
func (r *Repos) Apply(ctx context.Context, plan string) (runID string, err error) {
	if r.cfg.Runs == nil {
		return "", nightporter.E(nightporter.Invalid, "nothing can be applied without a server")
	}
	cause := nightporter.ActorFrom(ctx).Cause()
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("repos", cause))
	err = r.cfg.Gate.Do(ctx, nightporter.Action{Name: "repo.apply"}, nightporter.Resource{Kind: "plan", ID: plan}, func(tx *gate.Tx) error {
		var forgeName, before string
		err := tx.QueryRow(ctx, `SELECT forge, run_id FROM repo_plan WHERE id = ?`, plan).Scan(&forgeName, &before)
		if store.IsNotFound(err) {
			return nightporter.E(nightporter.NotFound, "there is no plan %q", plan)
		}
		if err != nil {
			return err
		}
		in := applyInput{Plan: plan, Forge: forgeName}
		runID, err = r.cfg.Runs.Start(ctx, tx, run.Spec{
			Kind: applyKind, Subject: nightporter.Resource{Kind: "plan", ID: plan},
			Holds: []run.Hold{{Name: "repos/" + forgeName}},
			Steps: []run.StepSpec{{Name: "look again", Kind: kindLook, Input: in, Within: 10 * time.Minute, Attempts: 3}},
		})
		if err != nil {
			return err
		}
		tx.Detail("run", runID)
		_, err = tx.Exec(ctx, `UPDATE repo_plan SET run_id = ? WHERE id = ?`, runID, plan)
		return err
	})
	return runID, err
}

// applied adds the batches when the look before them is over. It runs in the
// transaction that ends the look.
func (r *Repos) applied(ctx context.Context, c *run.Change, s *run.Step) error {
	if s.Kind != kindLook || s.State != run.Succeeded {
		return nil
	}
	var in applyInput
	if err := json.Unmarshal(s.Input, &in); err != nil {
		return fmt.Errorf("read the input of step %q: %w", s.Name, err)
	}
	var left []int
	err := c.Each(ctx, `SELECT n FROM repo_plan_write WHERE plan = ? AND state IN (?, ?) ORDER BY n`, []any{in.Plan, Pending, Started}, func(scan func(...any) error) error {
		var n int
		err := scan(&n)
		left = append(left, n)
		return err
	})
	if err != nil {
		return err
	}
	after := s.Name
	for i := 0; i < len(left); i += forge.MaxBatch {
		end := min(i+forge.MaxBatch, len(left))
		step := in
		step.First, step.End, step.Total = left[i], left[end-1]+1, len(left)
		name := fmt.Sprintf("writes %d to %d of %d", i+1, end, len(left))
		c.Append(run.StepSpec{Name: name, Kind: kindWrite, Input: step, After: []string{after}})
		after = name
	}
	c.Append(run.StepSpec{Name: "look at what came of it", Kind: kindFinish, Input: in, After: []string{after}, Within: 10 * time.Minute, Attempts: 3})
	return nil
}

// limited turns a forge's wish that we wait into a step that waits, and shows it.
func (r *Repos) limited(err error) (run.Observation, bool) {
	var limit *forge.RateLimitedError
	if !errors.As(err, &limit) {
		return run.Observation{}, false
	}
	return run.Observation{
		State: run.Waiting, Again: max(time.Second, limit.Until.Sub(r.cfg.Now())),
		Message: "the forge's quota is used up; goes on at " + limit.Until.UTC().Format("15:04:05 MST"),
	}, true
}

// looker looks again before the first write: a plan may be old, and half applied.
type looker struct{ r *Repos }

func (looker) Start(context.Context, run.Task) (string, error) { return "", nil }

// Observe takes as long as a survey does, some seconds in a large organisation.
func (l looker) Observe(ctx context.Context, t run.Task, _ string) (run.Observation, error) {
	var in applyInput
	if err := t.Decode(&in); err != nil {
		return run.Observation{}, err
	}
	fresh, err := l.r.again(ctx, in.Plan)
	if err != nil {
		if o, ok := l.r.limited(err); ok {
			return o, nil
		}
		return run.Observation{}, err
	}
	left, dropped, err := l.r.narrow(ctx, in.Plan, fresh)
	if err != nil {
		return run.Observation{}, err
	}
	message := fmt.Sprintf("%d writes to make", left)
	if dropped > 0 {
		message += fmt.Sprintf(", %d not needed any more or not as planned", dropped)
	}
	return run.Observation{State: run.Succeeded, Message: message}, nil
}

func (looker) Cancel(context.Context, run.Task, string) error { return nil }

// narrow keeps of a plan's writes those that a fresh look wants too, with what
// the fresh look knows. Everything else is dropped: it is so already, or somebody
// changed it since, and nobody has agreed to that.
func (r *Repos) narrow(ctx context.Context, plan string, fresh *standard.Plan) (left, dropped int, err error) {
	wanted := map[string]standard.Write{}
	for _, w := range fresh.Writes {
		wanted[writeKey(w)] = w
	}
	rows, err := r.planWrites(ctx, plan, 0, 0)
	if err != nil {
		return 0, 0, err
	}
	var changed []PlannedWrite
	for _, row := range rows {
		if row.State != Pending && row.State != Started {
			continue
		}
		now, ok := wanted[writeKey(row.Write)]
		switch {
		case !ok:
			row.State, row.Message = Dropped, "it is so already, or was changed since the plan was made"
			dropped++
		default:
			now.N = row.N
			row.Write, row.State = now, Pending
			left++
		}
		changed = append(changed, row)
	}
	return left, dropped, r.setWrites(ctx, plan, changed)
}

// writeKey tells writes apart by what they do, whatever ids the forge gave.
func writeKey(w standard.Write) string {
	key := w.Kind() + " " + w.Repo + " " + w.Text()
	if w.Settings != nil {
		b, _ := json.Marshal(w.Settings) // strings and bools always encode
		key += string(b)
	}
	if w.Label != nil {
		key += " " + w.Label.Label.Color + " " + w.Label.Label.Description
	}
	return key
}

// finisher looks once more and says what came of it.
type finisher struct{ r *Repos }

func (finisher) Start(context.Context, run.Task) (string, error) { return "", nil }

func (f finisher) Observe(ctx context.Context, t run.Task, _ string) (run.Observation, error) {
	var in applyInput
	if err := t.Decode(&in); err != nil {
		return run.Observation{}, err
	}
	rows, err := f.r.planWrites(ctx, in.Plan, 0, 0)
	if err != nil {
		return run.Observation{}, err
	}
	count, lines := map[WriteState]int{}, []string{}
	for _, row := range rows {
		count[row.State]++
		if row.State == Failed {
			lines = append(lines, row.Repo+": "+row.Text()+": "+row.Message)
		}
	}
	if count[Done] > 0 { // otherwise nothing can have changed
		p, err := f.r.compare(ctx, in.Forge, "")
		if err == nil {
			err = f.r.observe(ctx, p)
		}
		if o, ok := f.r.limited(err); ok {
			return o, nil
		}
		if err != nil {
			return run.Observation{}, err
		}
	}
	o := run.Observation{State: run.Succeeded, Message: fmt.Sprintf("%d writes made", count[Done]), Output: count, Lines: lines}
	if count[Failed] > 0 {
		o.State, o.Message = run.Failed, fmt.Sprintf("%d writes made, %d refused by the forge", count[Done], count[Failed])
	}
	return o, nil
}

func (finisher) Cancel(context.Context, run.Task, string) error { return nil }
