// Package run does work of many steps that must survive the death of the
// process: releases, nights, conformity applies.
//
// A run is rows: the run and its steps, written in the transaction of whatever
// caused it. A step is started, gives a token, and is observed until it is over:
//
//	intent committed -> Start -> token kept -> Observe … -> outcome committed
//
// Start is idempotent on (run, step, attempt), so a crash anywhere is answered by
// doing the interrupted part again. No verb blocks: long work happens elsewhere
// and is observed. A step that waits for a person or a clock costs nothing: its
// goroutine ends and [Engine.Signal] or its time brings it back.
//
// The lease on runs is the store's writer place: one process has it, every
// transaction checks it, and one heartbeat a process notices its loss, which
// cancels the context of every step at work.
package run

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
)

// Migrations are the tables of runs.
var Migrations = []store.Migration{{Name: "run/0001", SQL: `
CREATE TABLE run (
	id TEXT PRIMARY KEY,
	kind TEXT NOT NULL,
	subject_kind TEXT NOT NULL,
	subject_id TEXT NOT NULL,
	state TEXT NOT NULL,
	message TEXT NOT NULL,
	cause TEXT NOT NULL,
	request_id TEXT NOT NULL,
	fence BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	started_at BIGINT NOT NULL,
	finished_at BIGINT NOT NULL
);
CREATE INDEX run_state ON run (state, created_at);
CREATE INDEX run_subject ON run (subject_kind, subject_id, created_at);
CREATE TABLE run_step (
	run_id TEXT NOT NULL,
	n BIGINT NOT NULL,
	name TEXT NOT NULL,
	kind TEXT NOT NULL,
	input TEXT NOT NULL,
	after TEXT NOT NULL,
	holds TEXT NOT NULL,
	within BIGINT NOT NULL,
	attempts BIGINT NOT NULL,
	always BIGINT NOT NULL,
	state TEXT NOT NULL,
	attempt BIGINT NOT NULL,
	token TEXT NOT NULL,
	message TEXT NOT NULL,
	lines TEXT NOT NULL,
	output TEXT NOT NULL,
	not_before BIGINT NOT NULL,
	signals BIGINT NOT NULL,
	started_at BIGINT NOT NULL,
	finished_at BIGINT NOT NULL,
	PRIMARY KEY (run_id, n)
);
CREATE INDEX run_step_due ON run_step (state, not_before);
CREATE TABLE run_hold (
	name TEXT NOT NULL,
	run_id TEXT NOT NULL,
	step BIGINT NOT NULL,
	shared BIGINT NOT NULL,
	PRIMARY KEY (name, run_id, step)
);
`}}

// State is where a run or a step stands.
type State string

// The states. A run is queued, running, waiting, paused or over; a step is
// pending, starting, running, waiting or over.
const (
	Queued    State = "queued"    // a run that waits for holds of its own
	Pending   State = "pending"   // a step whose turn has not come, or whose holds are taken
	Starting  State = "starting"  // intent committed, Start may or may not have happened
	Running   State = "running"   // something is at work
	Waiting   State = "waiting"   // for a person, a clock or something outside
	Paused    State = "paused"    // this binary does not know a step's kind
	Succeeded State = "succeeded" // over
	Failed    State = "failed"    // over
	Cancelled State = "cancelled" // over
	Skipped   State = "skipped"   // over: a step that the end of its run made needless
)

// Over says that nothing more will happen.
func (s State) Over() bool {
	return s == Succeeded || s == Failed || s == Cancelled || s == Skipped
}

// Hold is a name that steps and runs take so as not to work against each other:
// "environment/dev", "service/ledger@dev".
type Hold struct {
	Name   string `json:"name"`
	Shared bool   `json:"shared,omitempty"` // others may share it, nobody may have it alone
}

// StepSpec says what a step will do.
type StepSpec struct {
	Name string // unique in the run: "deploy dev"
	Kind string // the handler's name: "release.deploy"
	// Input is what the handler needs, encoded as JSON. It must not hold a
	// secret.
	Input any
	// After names steps that must have succeeded.
	After []string
	// Holds are taken in the transaction that starts the step, all or none,
	// and given back when it ends, unless a step that is ready then takes
	// them over.
	Holds []Hold
	// Within bounds one attempt, in real time. 0 means no bound.
	Within time.Duration
	// Attempts is how often a retryable failure is tried in all. 0 means 1.
	Attempts int
	// Always lets the step run, once what it stands after has succeeded, even
	// when the run has failed meanwhile.
	Always bool
}

// Spec says what a run will do.
type Spec struct {
	Kind    string // the run kind's name: "release"
	Subject nightporter.Resource
	// Holds are taken before the first step and given back at the end.
	Holds []Hold
	Steps []StepSpec
}

// Step is a step as it stands.
type Step struct {
	N          int             `json:"n"`
	Name       string          `json:"name"`
	Kind       string          `json:"kind"`
	Input      json.RawMessage `json:"input,omitempty"`
	After      []string        `json:"after,omitempty"`
	Holds      []Hold          `json:"-"`
	Within     time.Duration   `json:"-"`
	Attempts   int             `json:"-"`
	Always     bool            `json:"-"`
	State      State           `json:"state"`
	Attempt    int             `json:"attempts"` // how many were made
	Token      string          `json:"-"`
	Message    string          `json:"message,omitempty"`
	Lines      []string        `json:"lines,omitempty"` // last output
	Output     json.RawMessage `json:"output,omitempty"`
	NotBefore  time.Time       `json:"not_before,omitzero"`
	StartedAt  time.Time       `json:"started_at,omitzero"`
	FinishedAt time.Time       `json:"finished_at,omitzero"`
	// Expected is how long it usually takes; 0 when nobody knows.
	Expected time.Duration `json:"-"`

	signals int64 // how often it was signalled
}

// MarshalJSON writes the step with its expected time as text: "1m10s".
func (s Step) MarshalJSON() ([]byte, error) {
	type plain Step
	out := struct {
		plain
		Expected string `json:"expected,omitempty"`
	}{plain: plain(s)}
	if s.Expected > 0 {
		out.Expected = s.Expected.Round(100 * time.Millisecond).String()
	}
	return json.Marshal(out)
}

// Run is a run as it stands.
type Run struct {
	ID         string               `json:"id"`
	Kind       string               `json:"kind"`
	Subject    nightporter.Resource `json:"subject"`
	State      State                `json:"state"`
	Message    string               `json:"message,omitempty"`
	Cause      string               `json:"cause,omitempty"`
	RequestID  string               `json:"request_id,omitempty"`
	CreatedAt  time.Time            `json:"created_at"`
	StartedAt  time.Time            `json:"started_at,omitzero"`
	FinishedAt time.Time            `json:"finished_at,omitzero"`
	Steps      []Step               `json:"steps"`
}

// Step returns the named step, or nil.
func (r *Run) Step(name string) *Step {
	for i := range r.Steps {
		if r.Steps[i].Name == name {
			return &r.Steps[i]
		}
	}
	return nil
}

// Task is what a handler is asked to do.
type Task struct {
	Run     string
	Subject nightporter.Resource
	Step    string
	Attempt int // from 1
	Input   json.RawMessage
	// Output is what the last observation of this attempt that had one gave.
	Output json.RawMessage
	// Deadline is when this attempt has had its time; zero for none.
	Deadline time.Time
	Cause    string
}

// Key names the attempt: Start of the same key must have one effect.
func (t Task) Key() string { return fmt.Sprintf("%s/%s/%d", t.Run, t.Step, t.Attempt) }

// Decode reads the task's input.
func (t Task) Decode(into any) error {
	if err := json.Unmarshal(t.Input, into); err != nil {
		return fmt.Errorf("read the input of step %q: %w", t.Step, err)
	}
	return nil
}

// Handler does steps of one kind. No verb blocks for more than a few seconds.
// A context that ends means that this process may not act any more: what runs
// in a process group of the handler's must be killed then.
type Handler interface {
	// Start begins the work, or finds it begun: it is idempotent on
	// task.Key(). An error with the code unavailable or without one is tried
	// again within the deadline; any other code fails the step.
	Start(ctx context.Context, task Task) (token string, err error)
	// Observe says how it goes. It may also move the work on, idempotently.
	Observe(ctx context.Context, task Task, token string) (Observation, error)
	// Cancel ends the work of a cancelled run. It is asked once more after
	// a crash, and must not fail when there is nothing to end.
	Cancel(ctx context.Context, task Task, token string) error
}

// Observation is what a handler saw.
type Observation struct {
	// State is Running, Waiting, Succeeded or Failed.
	State State
	// Retryable lets a failure be tried again as a new attempt.
	Retryable bool
	Message   string   // one line for people
	Lines     []string // last lines of output; nil keeps the earlier ones
	// Output is what the outcome's listeners need, encoded as JSON. With the
	// state Running it is what the handler must know when it looks again: it
	// is committed before that, so an effect can follow it (Task.Output).
	Output any
	// Again is when to look again: 0 means 200 ms for Running, and never by
	// itself for Waiting. Waits go by the schedules' clock.
	Again time.Duration
}

// Kind is what the owner of a kind of run does when things happen. The
// functions run inside the transaction that notes it, are short SQL, and may be
// nil. A step that was cancelled has no outcome.
type Kind struct {
	Name string
	// Ready is asked, in the transaction that would start a step, whether it
	// may start now: for rules that a step's place in the run and its holds
	// cannot say. What it writes is kept when the step starts, and when it is
	// newly blocked.
	Ready func(ctx context.Context, tx *gate.Tx, r *Run, step *Step) (Block, error)
	// Outcome is told of every step that ended. It may publish events and
	// append steps. Without it, and unless it calls [Change.Continue], a
	// failed step fails the run.
	Outcome func(ctx context.Context, c *Change, step *Step) error
	// Ended is told once, when the run is over.
	Ended func(ctx context.Context, c *Change) error
}

// Block is what keeps a step from starting. The zero Block does not.
type Block struct {
	// Reason is for people: "frozen until …". "" lets the step start.
	Reason string
	// Until is when to ask again, by the schedules' clock. Zero means only
	// after [Engine.Signal].
	Until time.Time
}

// Change is the transaction in which a run moves on.
type Change struct {
	*gate.Tx
	Run      *Run
	appended []StepSpec
	goOn     bool
	fail     string
}

// Append adds steps to the run.
func (c *Change) Append(steps ...StepSpec) { c.appended = append(c.appended, steps...) }

// Continue lets the run go on although the step failed. What stands after that
// step is skipped.
func (c *Change) Continue() { c.goOn = true }

// Fail ends the run once the steps that are at work, and the appended ones, are
// over.
func (c *Change) Fail(format string, args ...any) { c.fail = fmt.Sprintf(format, args...) }
