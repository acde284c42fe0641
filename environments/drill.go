package environments

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
)

// Drill is one rebuild from nothing: what disaster recovery would have been.
// Times are real, whatever clock the schedules go by.
type Drill struct {
	Run         string `json:"run"`
	Environment string `json:"environment"`
	Passed      bool   `json:"passed"`
	Commit      string `json:"commit,omitempty"`
	// FellBackFrom is the commit that could not be built, and Reason why.
	FellBackFrom string      `json:"fell_back_from,omitempty"`
	Reason       string      `json:"reason,omitempty"`
	Failure      string      `json:"failure,omitempty"` // why it did not pass
	Step         string      `json:"step,omitempty"`    // where it stopped
	Lines        []string    `json:"lines,omitempty"`
	Steps        []DrillStep `json:"steps"`
	StartedAt    time.Time   `json:"started_at"`
	FinishedAt   time.Time   `json:"finished_at"`
	// Scratch is the name that it was built under beside the environment
	// itself; "" for a rebuild of the environment. It has no services and no
	// logins, so its time is not one of a recovery's.
	Scratch string `json:"scratch,omitempty"`
	// At is when it ended by the schedules' clock; zero for one of an older
	// version.
	At     time.Time     `json:"-"`
	Budget time.Duration `json:"-"`
}

// DrillStep is how long one step took.
type DrillStep struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	State   string  `json:"state"`
	// Lines are what proved it, for the step that probes: who answered what.
	Lines []string `json:"lines,omitempty"`
}

// Took is the recovery time.
func (d Drill) Took() time.Duration { return d.FinishedAt.Sub(d.StartedAt) }

// recentDrills is how many rebuilds percentiles are taken from.
const recentDrills = 20

// drillOf reads a drill out of the run that it was.
func drillOf(r *run.Run, commit string, now time.Time) Drill {
	d := Drill{Run: r.ID, Environment: r.Subject.ID, Commit: commit, StartedAt: r.CreatedAt, FinishedAt: now, Failure: r.Message, Steps: []DrillStep{}}
	if !r.StartedAt.IsZero() {
		d.StartedAt = r.StartedAt
	}
	for _, s := range r.Steps {
		if s.StartedAt.IsZero() {
			continue
		}
		step := DrillStep{Name: s.Name, State: string(s.State)}
		if !s.FinishedAt.IsZero() {
			step.Seconds = s.FinishedAt.Sub(s.StartedAt).Seconds()
		}
		if s.Kind == stepProbe {
			step.Lines = s.Lines
		}
		d.Steps = append(d.Steps, step)
		// The first thing that went wrong is the cause; what was not begun
		// because of it is not.
		if s.State == run.Failed && !strings.HasPrefix(s.Message, "not begun") && d.Step == "" {
			d.Step, d.Lines, d.Reason = s.Name, s.Lines, s.Name+": "+s.Message
		}
		var out planned
		if s.Kind == stepFetch && !isAgain(s) && json.Unmarshal(s.Output, &out) == nil && out.Commit != commit && r.Step("fetch again") != nil {
			d.FellBackFrom = out.Commit
		}
	}
	return d
}

func (d Drill) passed(e nightporter.Evidence) nightporter.DrillPassed {
	return nightporter.DrillPassed{
		Environment: d.Environment, Run: d.Run, Commit: d.Commit, StartedAt: d.StartedAt, FinishedAt: d.FinishedAt, Budget: d.Budget,
		FellBackFrom: d.FellBackFrom, Reason: d.Reason, Lines: d.Lines, Scratch: d.Scratch, Evidence: e,
	}
}

func (d Drill) failed() nightporter.DrillFailed {
	return nightporter.DrillFailed{
		Environment: d.Environment, Run: d.Run, Commit: d.Commit, StartedAt: d.StartedAt, FinishedAt: d.FinishedAt, Budget: d.Budget,
		Step: d.Step, Reason: d.Failure, Lines: d.Lines, Scratch: d.Scratch,
	}
}

func keepDrill(ctx context.Context, tx *store.Tx, d Drill) error {
	steps, err := json.Marshal(d.Steps)
	if err != nil {
		return fmt.Errorf("encode a drill of %s: %w", d.Environment, err)
	}
	reason := d.Reason
	if !d.Passed {
		reason = d.Failure
	}
	_, err = tx.Exec(ctx, `INSERT INTO environment_drill (run_id, environment, passed, commit_id, fell_back_from, reason, step, lines, steps,
		started_at, finished_at, clock_at, scratch) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		d.Run, d.Environment, store.Bool(d.Passed), d.Commit, d.FellBackFrom, reason, d.Step, strings.Join(d.Lines, "\n"), string(steps),
		store.Micros(d.StartedAt), store.Micros(d.FinishedAt), store.Micros(d.At), d.Scratch)
	if err != nil {
		return fmt.Errorf("write a drill of %s: %w", d.Environment, err)
	}
	return nil
}

// Drills reads an environment's drills, newest first.
func Drills(ctx context.Context, tx *store.Tx, name string, limit int) ([]Drill, error) {
	return drillsWhere(ctx, tx, `environment = ? ORDER BY finished_at DESC, run_id DESC LIMIT ?`, name, limit)
}

func drillsWhere(ctx context.Context, tx *store.Tx, where string, args ...any) ([]Drill, error) {
	all := []Drill{}
	err := tx.Each(ctx, `SELECT run_id, environment, passed, commit_id, fell_back_from, reason, step, lines, steps, started_at, finished_at, clock_at, scratch
		FROM environment_drill WHERE `+where, args,
		func(scan func(...any) error) error {
			var d Drill
			var passed, started, finished, at int64
			var lines, steps, reason string
			if err := scan(&d.Run, &d.Environment, &passed, &d.Commit, &d.FellBackFrom, &reason, &d.Step, &lines, &steps, &started, &finished, &at, &d.Scratch); err != nil {
				return err
			}
			d.Passed, d.StartedAt, d.FinishedAt = passed != 0, store.Time(started), store.Time(finished)
			d.At = store.Time(at)
			if d.Reason = reason; !d.Passed {
				d.Reason, d.Failure = "", reason
			}
			if lines != "" {
				d.Lines = strings.Split(lines, "\n")
			}
			all = append(all, d)
			return json.Unmarshal([]byte(steps), &all[len(all)-1].Steps)
		})
	if err != nil {
		return nil, fmt.Errorf("read the drills of %v: %w", args[0], err)
	}
	return all, nil
}

// rebuilds are how long the last passed rebuilds took, oldest first. Drills beside
// an environment are none: they have less to do.
func rebuilds(ctx context.Context, tx *store.Tx, name string, n int) ([]time.Duration, error) {
	var took []time.Duration
	err := tx.Each(ctx, `SELECT finished_at - started_at FROM environment_drill WHERE environment = ? AND passed = 1 AND scratch = ''
		ORDER BY finished_at DESC LIMIT ?`, []any{name, n}, func(scan func(...any) error) error {
		var us int64
		err := scan(&us)
		took = append(took, time.Duration(us)*time.Microsecond)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the rebuilds of %s: %w", name, err)
	}
	slices.Reverse(took)
	return took, nil
}

// Recovery says how well an environment comes back.
type Recovery struct {
	Drills       int       `json:"drills"` // of the last 20
	Passed       int       `json:"passed"`
	P50          string    `json:"p50,omitempty"`
	P95          string    `json:"p95,omitempty"`
	Budget       string    `json:"budget,omitempty"`
	LastPassedAt time.Time `json:"last_passed_at,omitzero"` // real time
}

// recovery sums rebuilds up.
func recovery(drills []Drill, budget time.Duration) Recovery {
	r := Recovery{}
	var took []time.Duration
	for _, d := range drills {
		if d.Scratch != "" {
			continue
		}
		r.Drills++
		if d.Passed {
			r.Passed++
			took = append(took, d.Took())
			if d.FinishedAt.After(r.LastPassedAt) {
				r.LastPassedAt = d.FinishedAt
			}
		}
	}
	slices.Sort(took)
	if n := len(took); n > 0 {
		// Nearest rank, as the early start takes it.
		r.P50, r.P95 = duration(took[(n*50+99)/100-1]), duration(took[(n*95+99)/100-1])
	}
	if budget > 0 {
		r.Budget = duration(budget)
	}
	return r
}

func duration(d time.Duration) string {
	if d < time.Minute {
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
