package run_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
)

// A signal may come at any instant of a step's going to rest. Whatever the
// instant, the step is looked at again.
func TestSignals(t *testing.T) {
	t.Parallel()
	t.Run("1,000 signals meet 1,000 steps that are just going to rest", func(t *testing.T) {
		t.Parallel()
		db := storetest.SQLite(t, migrations)
		w := &turnstile{open: map[string]bool{}}
		const runs = 1000
		ended := make(chan struct{}, runs)
		h := newHouse(t, db, run.Config{}, run.Kind{Name: "job", Ended: func(_ context.Context, c *run.Change) error {
			c.AfterCommit(func() { ended <- struct{}{} })
			return nil
		}}, map[string]run.Handler{"turnstile": w})
		defer h.stop()
		work := make(chan string, runs)
		var people sync.WaitGroup
		for range 8 {
			people.Go(func() {
				for id := range work {
					w.pass(id)
					h.signal(t, id, "wait")
				}
			})
		}
		for range runs {
			work <- h.begin(t, run.Spec{Steps: []run.StepSpec{{Name: "wait", Kind: "turnstile"}}})
		}
		close(work)
		people.Wait()
		timeout := time.After(2 * time.Minute)
		for n := range runs {
			select {
			case <-ended:
			case <-timeout:
				t.Fatalf("only %d of %d runs ended: a signal was lost", n, runs)
			}
		}
	})
	t.Run("one that comes between a step's rest and the end of its goroutine is heard", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "store.db")
		synctest.Test(t, func(t *testing.T) {
			db := openIn(t, path)
			defer db.Close()
			w := &turnstile{open: map[string]bool{}}
			resting, goOn := make(chan struct{}), make(chan struct{})
			var once sync.Once
			h := newHouse(t, db, run.Config{Changed: func(string) {
				// The step's rest is committed, its goroutine is not over.
				once.Do(func() {
					close(resting)
					<-goOn
				})
			}}, run.Kind{Name: "job"}, map[string]run.Handler{"turnstile": w})
			defer h.stop()
			id := h.begin(t, run.Spec{Steps: []run.StepSpec{{Name: "wait", Kind: "turnstile"}}})
			<-resting
			w.pass(id)
			h.signal(t, id, "wait")
			synctest.Wait() // the engine has looked, and found the step busy
			close(goOn)
			h.wantOver(t, id, run.Succeeded)
		})
	})
}

var thing = nightporter.Resource{Kind: "thing", ID: "1"}

// turnstile is a step that waits until its run may pass.
type turnstile struct {
	mu   sync.Mutex
	open map[string]bool
}

func (w *turnstile) pass(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[id] = true
}

func (w *turnstile) Start(context.Context, run.Task) (string, error) { return "turnstile", nil }

func (w *turnstile) Observe(_ context.Context, t run.Task, _ string) (run.Observation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open[t.Run] {
		return run.Observation{State: run.Succeeded}, nil
	}
	return run.Observation{State: run.Waiting, Message: "closed"}, nil
}

func (w *turnstile) Cancel(context.Context, run.Task, string) error { return nil }

// house is an engine in a bubble of fake time.
type house struct {
	db     *store.DB
	gate   *gate.Gate
	engine *run.Engine
	stop   func()
}

func openIn(t *testing.T, path string) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), store.Config{URL: "sqlite:" + path, Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Migrate(context.Background(), migrations); err != nil {
		t.Fatal(err)
	}
	return db
}

func newHouse(t *testing.T, db *store.DB, cfg run.Config, kind run.Kind, handlers map[string]run.Handler) *house {
	t.Helper()
	h := &house{db: db}
	var err error
	if h.gate, err = gate.New(gate.Config{DB: db, Bus: outbox.NewBus(), Decider: allowAll{}}); err != nil {
		t.Fatal(err)
	}
	cfg.Gate, cfg.Fence = h.gate, db.Fence()
	if h.engine, err = run.New(cfg); err != nil {
		t.Fatal(err)
	}
	h.engine.Add(kind, handlers)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { h.engine.Run(ctx) })
	h.stop = func() {
		cancel()
		wg.Wait()
		h.gate.Close()
	}
	return h
}

func (h *house) do(t *testing.T, fn func(ctx context.Context, tx *gate.Tx) error) {
	t.Helper()
	ctx := as("ana")
	if err := h.gate.Do(ctx, nightporter.Action{Name: "test"}, thing, func(tx *gate.Tx) error { return fn(ctx, tx) }); err != nil {
		t.Fatal(err)
	}
}

func (h *house) begin(t *testing.T, spec run.Spec) (id string) {
	t.Helper()
	spec.Kind, spec.Subject = "job", thing
	h.do(t, func(ctx context.Context, tx *gate.Tx) (err error) {
		id, err = h.engine.Start(ctx, tx, spec)
		return err
	})
	return id
}

func (h *house) signal(t *testing.T, id, step string) {
	t.Helper()
	h.do(t, func(ctx context.Context, tx *gate.Tx) error { return h.engine.Signal(ctx, tx, id, step) })
}

func (h *house) get(t *testing.T, id string) (r *run.Run) {
	t.Helper()
	err := h.db.View(context.Background(), func(tx *store.Tx) (err error) {
		r, err = run.Get(context.Background(), tx, id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// wantOver lets an hour pass: whatever will happen has happened then.
func (h *house) wantOver(t *testing.T, id string, want run.State) {
	t.Helper()
	time.Sleep(time.Hour) // fake time
	synctest.Wait()
	if r := h.get(t, id); r.State != want {
		t.Errorf("the run is %s (%s), want %s; its steps: %+v", r.State, r.Message, want, r.Steps)
	}
}

// Two runs that want the same thing alone must both get it, whatever the instant
// at which the first lets go of it.
func TestAHoldThatIsGivenBackWakesWhoeverWaits(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t, migrations)
	const pairs = 100
	ended := make(chan struct{}, 2*pairs)
	h := newHouse(t, db, run.Config{}, run.Kind{Name: "job", Ended: func(_ context.Context, c *run.Change) error {
		c.AfterCommit(func() { ended <- struct{}{} })
		return nil
	}}, map[string]run.Handler{"work": &flaky{}})
	defer h.stop()
	spec := run.Spec{Steps: []run.StepSpec{{Name: "deploy", Kind: "work", Holds: []run.Hold{{Name: "service/ledger@dev"}}}}}
	for n := range pairs {
		h.begin(t, spec)
		h.begin(t, spec)
		timeout := time.After(30 * time.Second)
		for range 2 {
			select {
			case <-ended:
			case <-timeout:
				t.Fatalf("of pair %d one never got the hold", n)
			}
		}
	}
}

// flaky is a step whose verbs panic, fail or hang as a test says.
type flaky struct {
	start   func(ctx context.Context, t run.Task) (string, error)
	observe func(ctx context.Context, t run.Task) (run.Observation, error)
	mu      sync.Mutex
	cancels []string // tokens
}

func (f *flaky) Start(ctx context.Context, t run.Task) (string, error) {
	if f.start == nil {
		return "token", nil
	}
	return f.start(ctx, t)
}

func (f *flaky) Observe(ctx context.Context, t run.Task, _ string) (run.Observation, error) {
	if f.observe == nil {
		return run.Observation{State: run.Succeeded}, nil
	}
	return f.observe(ctx, t)
}

func (f *flaky) Cancel(_ context.Context, t run.Task, token string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cancels = append(f.cancels, fmt.Sprintf("%s %q", t.Step, token))
	return nil
}
