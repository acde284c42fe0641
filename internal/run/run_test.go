package run_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
)

var migrations = slices.Concat(audit.Migrations, outbox.Migrations, run.Migrations)

type allowAll struct{}

func (allowAll) Decide(context.Context, nightporter.Actor, nightporter.Action) nightporter.Decision {
	return nightporter.Decision{Allowed: true}
}

// world is what the steps act on: it outlives engines, as the outside world
// outlives our process.
type world struct {
	mu     sync.Mutex
	starts map[string]int // by task key
	state  map[string]run.Observation
	log    []string
}

func newWorld() *world {
	return &world{starts: map[string]int{}, state: map[string]run.Observation{}}
}

func (w *world) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

// becomes sets what observing a step answers from now on.
func (w *world) becomes(step string, o run.Observation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state[step] = o
}

func (w *world) Start(_ context.Context, t run.Task) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.starts[t.Key()]++; w.starts[t.Key()] == 1 {
		w.log = append(w.log, "start "+t.Step)
	}
	return "token of " + t.Step, nil
}

func (w *world) Observe(_ context.Context, t run.Task, token string) (run.Observation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if token != "token of "+t.Step {
		return run.Observation{}, nightporter.E(nightporter.Invalid, "a foreign token %q", token)
	}
	if o, ok := w.state[t.Step]; ok {
		return o, nil
	}
	return run.Observation{State: run.Succeeded}, nil
}

func (w *world) Cancel(_ context.Context, t run.Task, _ string) error {
	w.say("cancel %s", t.Step)
	return nil
}

// bundle is one process: a gate and an engine on a store.
type bundle struct {
	t      *testing.T
	db     *store.DB
	gate   *gate.Gate
	engine *run.Engine
	moved  chan string
	stop   func()
}

func start(t *testing.T, db *store.DB, w *world, kinds ...run.Kind) *bundle {
	t.Helper()
	b := &bundle{t: t, db: db, moved: make(chan string, 1000)}
	var err error
	if b.gate, err = gate.New(gate.Config{DB: db, Bus: outbox.NewBus(), Decider: allowAll{}}); err != nil {
		t.Fatal(err)
	}
	b.engine, err = run.New(run.Config{
		Gate: b.gate, Fence: db.Fence(),
		Changed: func(id string) { b.moved <- id },
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(kinds) == 0 {
		kinds = []run.Kind{{Name: "job"}}
	}
	for _, k := range kinds {
		b.engine.Add(k, map[string]run.Handler{"work": w})
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { b.engine.Run(ctx) })
	b.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		b.gate.Close()
	})
	t.Cleanup(b.stop)
	return b
}

func as(name string) context.Context {
	return nightporter.WithActor(context.Background(), nightporter.Actor{Kind: nightporter.Person, Name: name})
}

func (b *bundle) change(fn func(ctx context.Context, tx *gate.Tx) error) {
	b.t.Helper()
	ctx := as("ana")
	err := b.gate.Do(ctx, nightporter.Action{Name: "test"}, nightporter.Resource{Kind: "test", ID: "1"}, func(tx *gate.Tx) error { return fn(ctx, tx) })
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) begin(spec run.Spec) (id string) {
	b.t.Helper()
	spec.Kind, spec.Subject = "job", nightporter.Resource{Kind: "thing", ID: "1"}
	b.change(func(ctx context.Context, tx *gate.Tx) (err error) {
		id, err = b.engine.Start(ctx, tx, spec)
		return err
	})
	return id
}

func (b *bundle) get(id string) *run.Run {
	b.t.Helper()
	var r *run.Run
	if err := b.db.View(context.Background(), func(tx *store.Tx) (err error) {
		r, err = run.Get(context.Background(), tx, id)
		return err
	}); err != nil {
		b.t.Fatal(err)
	}
	return r
}

// until waits for a run to be as holds says; every move of a run is a signal.
func (b *bundle) until(id string, holds func(*run.Run) bool) *run.Run {
	b.t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		r := b.get(id)
		if holds(r) {
			return r
		}
		select {
		case <-b.moved:
		case <-time.After(50 * time.Millisecond): // a pending step's message moves nobody
		case <-timeout:
			b.t.Fatalf("the run stays like this: %+v", r)
		}
	}
}

func over(r *run.Run) bool { return r.State.Over() }

func (b *bundle) states(r *run.Run) map[string]run.State {
	out := map[string]run.State{}
	for _, s := range r.Steps {
		out[s.Name] = s.State
	}
	return out
}

func TestEngine(t *testing.T) {
	t.Parallel()
	storetest.Each(t, migrations, func(t *testing.T, db *store.DB) {
		t.Run("steps run after those they stand after", func(t *testing.T) {
			w := newWorld()
			b := start(t, db, w)
			defer b.stop()
			r := b.until(b.begin(run.Spec{Steps: []run.StepSpec{
				{Name: "build", Kind: "work"},
				{Name: "dev", Kind: "work", After: []string{"build"}},
				{Name: "prod", Kind: "work", After: []string{"dev"}},
			}}), over)
			if r.State != run.Succeeded {
				t.Errorf("got %s (%s), want succeeded", r.State, r.Message)
			}
			if diff := cmp.Diff([]string{"start build", "start dev", "start prod"}, w.log); diff != "" {
				t.Errorf("order (-want +got):\n%s", diff)
			}
			if r.Cause != "ana" {
				t.Errorf("got cause %q, want ana", r.Cause)
			}
		})
		t.Run("a failed step fails the run and skips what stands after it", func(t *testing.T) {
			w := newWorld()
			w.becomes("dev", run.Observation{State: run.Failed, Message: "broken", Lines: []string{"panic"}})
			b := start(t, db, w)
			defer b.stop()
			r := b.until(b.begin(run.Spec{Steps: []run.StepSpec{
				{Name: "dev", Kind: "work"}, {Name: "prod", Kind: "work", After: []string{"dev"}},
			}}), over)
			want := map[string]run.State{"dev": run.Failed, "prod": run.Skipped}
			if diff := cmp.Diff(want, b.states(r)); diff != "" || r.State != run.Failed || r.Message != "dev: broken" {
				t.Errorf("%s %q (-want +got):\n%s", r.State, r.Message, diff)
			}
			if diff := cmp.Diff([]string{"panic"}, r.Step("dev").Lines); diff != "" {
				t.Errorf("the failure lost its last lines: %s", diff)
			}
		})
		t.Run("a retryable failure is a new attempt, up to the number allowed", func(t *testing.T) {
			w := newWorld()
			w.becomes("pull", run.Observation{State: run.Failed, Retryable: true, Message: "registry away"})
			b := start(t, db, w)
			defer b.stop()
			id := b.begin(run.Spec{Steps: []run.StepSpec{{Name: "pull", Kind: "work", Attempts: 2}}})
			r := b.until(id, over)
			if r.State != run.Failed || r.Step("pull").Attempt != 2 {
				t.Errorf("got %s after %d attempts, want failed after 2", r.State, r.Step("pull").Attempt)
			}
			for n := 1; n <= 2; n++ {
				if got := w.starts[fmt.Sprintf("%s/pull/%d", id, n)]; got != 1 {
					t.Errorf("attempt %d started %d times, want once", n, got)
				}
			}
		})
		t.Run("an outcome may append a rollback, which runs though the run has failed", func(t *testing.T) {
			w := newWorld()
			w.becomes("deploy", run.Observation{State: run.Failed, Message: "unhealthy"})
			b := start(t, db, w, run.Kind{Name: "job", Outcome: func(_ context.Context, c *run.Change, s *run.Step) error {
				if s.Name == "deploy" {
					c.Append(run.StepSpec{Name: "roll back", Kind: "work"})
				}
				return nil
			}})
			defer b.stop()
			r := b.until(b.begin(run.Spec{Steps: []run.StepSpec{
				{Name: "deploy", Kind: "work"}, {Name: "prod", Kind: "work", After: []string{"deploy"}},
			}}), over)
			want := map[string]run.State{"deploy": run.Failed, "prod": run.Skipped, "roll back": run.Succeeded}
			if diff := cmp.Diff(want, b.states(r)); diff != "" || r.State != run.Failed {
				t.Errorf("%s (-want +got):\n%s", r.State, diff)
			}
		})
		t.Run("cancelling ends what is at work and never starts the rest", func(t *testing.T) {
			w := newWorld()
			w.becomes("long", run.Observation{State: run.Running})
			b := start(t, db, w)
			defer b.stop()
			id := b.begin(run.Spec{Steps: []run.StepSpec{
				{Name: "long", Kind: "work"}, {Name: "next", Kind: "work", After: []string{"long"}},
			}})
			b.until(id, func(r *run.Run) bool { return r.Step("long").State == run.Running })
			b.change(func(ctx context.Context, tx *gate.Tx) error {
				return b.engine.Cancel(ctx, tx, id, "superseded by 1.5.0")
			})
			r := b.until(id, over)
			want := map[string]run.State{"long": run.Cancelled, "next": run.Cancelled}
			if diff := cmp.Diff(want, b.states(r)); diff != "" || r.State != run.Cancelled {
				t.Errorf("%s (-want +got):\n%s", r.State, diff)
			}
			if !slices.Contains(w.log, "cancel long") {
				t.Errorf("the work was not cancelled outside: %v", w.log)
			}
		})
		t.Run("two runs do not have one hold at once", func(t *testing.T) {
			w := newWorld()
			w.becomes("first", run.Observation{State: run.Running})
			b := start(t, db, w)
			defer b.stop()
			hold := []run.Hold{{Name: "service/ledger@dev"}}
			first := b.begin(run.Spec{Steps: []run.StepSpec{{Name: "first", Kind: "work", Holds: hold}}})
			b.until(first, func(r *run.Run) bool { return r.Steps[0].State == run.Running })
			second := b.begin(run.Spec{Steps: []run.StepSpec{{Name: "second", Kind: "work", Holds: hold}}})
			r := b.until(second, func(r *run.Run) bool { return r.Steps[0].Message != "" })
			if want := "waiting for service/ledger@dev, which run " + first + " holds"; r.Steps[0].Message != want {
				t.Errorf("got %q, want %q", r.Steps[0].Message, want)
			}
			w.becomes("first", run.Observation{State: run.Succeeded})
			if r := b.until(second, over); r.State != run.Succeeded {
				t.Errorf("got %s, want succeeded once the hold is free", r.State)
			}
		})
		t.Run("a step of a kind that a newer binary knows pauses the run visibly", func(t *testing.T) {
			b := start(t, db, newWorld())
			defer b.stop()
			r := b.until(b.begin(run.Spec{Steps: []run.StepSpec{{Name: "x", Kind: "from the future"}}}), func(r *run.Run) bool { return r.State == run.Paused })
			if r.Message == "" {
				t.Error("the pause has no reason")
			}
			b.change(func(ctx context.Context, tx *gate.Tx) error {
				_, err := tx.Exec(ctx, `DELETE FROM run_step WHERE run_id = ?`, r.ID)
				return err
			})
		})
	})
}

// One of the three hardest neighbours: an approval that is given while no
// process is there to hear it, because it died between the person's commit and
// the step's next look.
func TestAnApprovalSurvivesTheDeathOfTheProcess(t *testing.T) {
	t.Parallel()
	storetest.Each(t, migrations, func(t *testing.T, db *store.DB) {
		w := newWorld()
		w.becomes("approve prod", run.Observation{State: run.Waiting, Message: "waiting for an approval"})
		first := start(t, db, w)
		id := first.begin(run.Spec{Steps: []run.StepSpec{
			{Name: "approve prod", Kind: "work"}, {Name: "deploy prod", Kind: "work", After: []string{"approve prod"}},
		}})
		r := first.until(id, func(r *run.Run) bool { return r.Steps[0].State == run.Waiting })
		if r.State != run.Waiting {
			t.Errorf("got %s, want the run to say that it waits", r.State)
		}
		first.stop()

		// Nobody drives runs now; the person's change is committed all the same.
		w.becomes("approve prod", run.Observation{State: run.Succeeded})
		g, err := gate.New(gate.Config{DB: db, Bus: outbox.NewBus(), Decider: allowAll{}})
		if err != nil {
			t.Fatal(err)
		}
		mute, err := run.New(run.Config{Gate: g})
		if err != nil {
			t.Fatal(err)
		}
		ctx := as("ana")
		if err := g.Do(ctx, nightporter.Action{Name: "release.approve"}, nightporter.Resource{Kind: "run", ID: id}, func(tx *gate.Tx) error {
			return mute.Signal(ctx, tx, id, "approve prod")
		}); err != nil {
			t.Fatal(err)
		}
		g.Close()

		second := start(t, db, w)
		if r := second.until(id, over); r.State != run.Succeeded {
			t.Errorf("got %s (%s), want succeeded", r.State, r.Message)
		}
		for key, n := range w.starts {
			if n != 1 {
				t.Errorf("%s started %d times, want once", key, n)
			}
		}
	})
}
