package run

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
)

// Get reads one run with its steps; not_found when there is none.
func Get(ctx context.Context, tx *store.Tx, id string) (*Run, error) {
	runs, err := list(ctx, tx, `WHERE id = ?`, id)
	if err != nil {
		return nil, err
	}
	if len(runs) == 0 {
		return nil, nightporter.E(nightporter.NotFound, "there is no run %s", id)
	}
	r := runs[0]
	r.Steps, err = steps(ctx, tx, id)
	return r, err
}

// Of lists the runs of a subject, newest first, without their steps.
func Of(ctx context.Context, tx *store.Tx, subject nightporter.Resource, limit int) ([]*Run, error) {
	return list(ctx, tx, `WHERE subject_kind = ? AND subject_id = ? ORDER BY created_at DESC LIMIT ?`, subject.Kind, subject.ID, limit)
}

// Unfinished lists the runs that are not over, oldest first, without their steps.
func Unfinished(ctx context.Context, tx *store.Tx) ([]*Run, error) {
	return list(ctx, tx, `WHERE state IN ('queued', 'running', 'waiting', 'paused') ORDER BY created_at, id`)
}

func list(ctx context.Context, tx *store.Tx, where string, args ...any) ([]*Run, error) {
	var out []*Run
	err := tx.Each(ctx, `SELECT id, kind, subject_kind, subject_id, state, message, cause, request_id,
		created_at, started_at, finished_at FROM run `+where, args, func(scan func(...any) error) error {
		var r Run
		var created, started, finished int64
		if err := scan(&r.ID, &r.Kind, &r.Subject.Kind, &r.Subject.ID, &r.State, &r.Message, &r.Cause, &r.RequestID,
			&created, &started, &finished); err != nil {
			return err
		}
		r.CreatedAt, r.StartedAt, r.FinishedAt = store.Time(created), store.Time(started), store.Time(finished)
		out = append(out, &r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read runs: %w", err)
	}
	return out, nil
}

func steps(ctx context.Context, tx *store.Tx, id string) ([]Step, error) {
	var out []Step
	err := tx.Each(ctx, `SELECT n, name, kind, input, after, holds, within, attempts, always, state, attempt, token, message,
		lines, output, not_before, signals, started_at, finished_at FROM run_step WHERE run_id = ? ORDER BY n`,
		[]any{id}, func(scan func(...any) error) error {
			var s Step
			var input, after, holds, lines, output string
			var always, notBefore, started, finished int64
			if err := scan(&s.N, &s.Name, &s.Kind, &input, &after, &holds, (*int64)(&s.Within), &s.Attempts, &always, &s.State, &s.Attempt,
				&s.Token, &s.Message, &lines, &output, &notBefore, &s.signals, &started, &finished); err != nil {
				return err
			}
			s.Input, s.Output, s.Always = raw(input), raw(output), always == 1
			if err := json.Unmarshal([]byte(holds), &s.Holds); err != nil {
				return err
			}
			s.After, s.Lines = split(after), split(lines)
			s.NotBefore, s.StartedAt, s.FinishedAt = store.Time(notBefore), store.Time(started), store.Time(finished)
			out = append(out, s)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("read the steps of run %s: %w", id, err)
	}
	return out, nil
}

func raw(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	return json.RawMessage(s)
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

func insertSteps(ctx context.Context, tx *store.Tx, id string, first int, specs []StepSpec) error {
	for i, s := range specs {
		input, err := json.Marshal(s.Input)
		if err != nil {
			return fmt.Errorf("encode the input of step %q: %w", s.Name, err)
		}
		holds, err := json.Marshal(s.Holds)
		if err != nil {
			return fmt.Errorf("encode the holds of step %q: %w", s.Name, err)
		}
		_, err = tx.Exec(ctx, `INSERT INTO run_step (run_id, n, name, kind, input, after, holds, within, attempts, always, state, attempt,
			token, message, lines, output, not_before, signals, started_at, finished_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending', 0, '', '', '', '', 0, 0, 0, 0)`,
			id, first+i, s.Name, s.Kind, string(input), strings.Join(s.After, "\n"), string(holds), int64(s.Within), max(s.Attempts, 1), store.Bool(s.Always))
		if err != nil {
			return fmt.Errorf("write step %q: %w", s.Name, err)
		}
	}
	return nil
}

// take takes all holds for a run (step -1) or a step, or none: blocker then
// names what is in the way. A run never blocks itself.
func take(ctx context.Context, tx *store.Tx, id string, step int, holds []Hold) (blocker string, err error) {
	for _, h := range holds {
		var other string
		err := tx.QueryRow(ctx, `SELECT run_id FROM run_hold WHERE name = ? AND run_id <> ? AND (shared = 0 OR ? = 0) LIMIT 1`,
			h.Name, id, store.Bool(h.Shared)).Scan(&other)
		if err == nil {
			return fmt.Sprintf("waiting for %s, which run %s holds", h.Name, other), nil
		}
		if !store.IsNotFound(err) {
			return "", fmt.Errorf("look at hold %s: %w", h.Name, err)
		}
	}
	for _, h := range holds {
		_, err := tx.Exec(ctx, `INSERT INTO run_hold (name, run_id, step, shared) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			h.Name, id, step, store.Bool(h.Shared))
		if err != nil {
			return "", fmt.Errorf("take hold %s: %w", h.Name, err)
		}
	}
	return "", nil
}

// setStep writes what the engine changes of a step.
func setStep(ctx context.Context, tx *store.Tx, id string, s *Step) error {
	_, err := tx.Exec(ctx, `UPDATE run_step SET state = ?, attempt = ?, token = ?, message = ?, lines = ?, output = ?,
		not_before = ?, started_at = ?, finished_at = ? WHERE run_id = ? AND n = ?`,
		s.State, s.Attempt, s.Token, s.Message, strings.Join(s.Lines, "\n"), string(s.Output),
		store.Micros(s.NotBefore), store.Micros(s.StartedAt), store.Micros(s.FinishedAt), id, s.N)
	if err != nil {
		return fmt.Errorf("write step %q of run %s: %w", s.Name, id, err)
	}
	return nil
}

func setRun(ctx context.Context, tx *store.Tx, r *Run) error {
	_, err := tx.Exec(ctx, `UPDATE run SET state = ?, message = ?, started_at = ?, finished_at = ? WHERE id = ?`,
		r.State, r.Message, store.Micros(r.StartedAt), store.Micros(r.FinishedAt), r.ID)
	if err != nil {
		return fmt.Errorf("write run %s: %w", r.ID, err)
	}
	return nil
}

// Expect fills in how long the steps of r usually take: the median of the last ten
// of the same kind of run and the same step. How long a person takes is nothing to
// expect.
func Expect(ctx context.Context, tx *store.Tx, r *Run) error {
	for i := range r.Steps {
		s := &r.Steps[i]
		if s.State == Waiting {
			continue
		}
		var took []int64
		err := tx.Each(ctx, `SELECT s.finished_at - s.started_at FROM run_step s JOIN run r ON r.id = s.run_id
			WHERE r.kind = ? AND s.name = ? AND s.state = 'succeeded' ORDER BY s.finished_at DESC LIMIT 10`,
			[]any{r.Kind, s.Name}, func(scan func(...any) error) error {
				var us int64
				if err := scan(&us); err != nil {
					return err
				}
				took = append(took, us)
				return nil
			})
		if err != nil {
			return fmt.Errorf("read how long %q takes: %w", s.Name, err)
		}
		s.Expected = median(took)
	}
	return nil
}

// newID makes an id that sorts after every earlier one. It belongs to the gate's
// committer: only functions of changes call it.
func (e *Engine) newID(now time.Time) string {
	e.lastID = max(e.lastID+1, now.UnixMicro())
	var b [3]byte
	rand.Read(b[:])
	return fmt.Sprintf("run_%014x%x", e.lastID, b)
}

// insertRun writes a new run.
func insertRun(ctx context.Context, tx *gate.Tx, r *Run, fence int64) error {
	_, err := tx.Exec(ctx, `INSERT INTO run (id, kind, subject_kind, subject_id, state, message, cause, request_id, fence,
		created_at, started_at, finished_at) VALUES (?, ?, ?, ?, ?, '', ?, ?, ?, ?, 0, 0)`,
		r.ID, r.Kind, r.Subject.Kind, r.Subject.ID, r.State, r.Cause, r.RequestID, fence, store.Micros(r.CreatedAt))
	if err != nil {
		return fmt.Errorf("write run %s: %w", r.ID, err)
	}
	return nil
}

// Held lists the names that runs and steps have taken for themselves alone: what
// somebody is at work on.
func Held(ctx context.Context, tx *store.Tx) (map[string]bool, error) {
	out := map[string]bool{}
	err := tx.Each(ctx, `SELECT DISTINCT name FROM run_hold WHERE shared = 0`, nil, func(scan func(...any) error) error {
		var name string
		if err := scan(&name); err != nil {
			return err
		}
		out[name] = true
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what runs hold: %w", err)
	}
	return out, nil
}
