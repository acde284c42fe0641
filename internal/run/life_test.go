package run_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/clock"
	"nightporter.dev/nightporter/internal/dbtest"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
)

// inBubble plays a story on one store in fake time.
func inBubble(t *testing.T, story func(t *testing.T, db *store.DB)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	synctest.Test(t, func(t *testing.T) {
		db := openIn(t, path)
		defer db.Close()
		story(t, db)
	})
}

var job = run.Kind{Name: "job"}

// holders asks the store who has a hold.
func holders(t *testing.T, db *store.DB, name string) (out []string) {
	t.Helper()
	ctx := context.Background()
	err := db.View(ctx, func(tx *store.Tx) error {
		return tx.Each(ctx, `SELECT DISTINCT run_id FROM run_hold WHERE name = ?`, []any{name}, func(scan func(...any) error) error {
			var id string
			err := scan(&id)
			out = append(out, id)
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestHolds(t *testing.T) {
	t.Parallel()
	t.Run("a step hands its hold to the next of the same run and lets nobody in between", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, db *store.DB) {
			w := newWorld()
			w.becomes("drain", run.Observation{State: run.Running})
			h := newHouse(t, db, run.Config{}, job, map[string]run.Handler{"work": w})
			defer h.stop()
			dev := []run.Hold{{Name: "environment/dev"}}
			night := h.begin(t, run.Spec{Steps: []run.StepSpec{
				{Name: "drain", Kind: "work", Holds: dev},
				{Name: "destroy", Kind: "work", Holds: dev, After: []string{"drain"}},
				{Name: "tell", Kind: "work", After: []string{"destroy"}},
			}})
			synctest.Wait()
			deploy := h.begin(t, run.Spec{Steps: []run.StepSpec{{Name: "deploy", Kind: "work", Holds: []run.Hold{{Name: "environment/dev", Shared: true}}}}})
			time.Sleep(time.Minute)
			w.becomes("drain", run.Observation{State: run.Succeeded})
			h.wantOver(t, night, run.Succeeded)
			h.wantOver(t, deploy, run.Succeeded)
			if diff := cmp.Diff([]string{"start drain", "start destroy", "start tell", "start deploy"}, w.log); diff != "" && strings.Index(strings.Join(w.log, ","), "start deploy") < strings.Index(strings.Join(w.log, ","), "start destroy") {
				t.Errorf("the deploy came between (-want +got):\n%s", diff)
			}
			if got := holders(t, db, "environment/dev"); got != nil {
				t.Errorf("%v still hold the environment", got)
			}
		})
	})
	t.Run("many share a hold, and who wants it alone waits for all of them", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, db *store.DB) {
			w := newWorld()
			w.becomes("one", run.Observation{State: run.Running})
			w.becomes("two", run.Observation{State: run.Running})
			h := newHouse(t, db, run.Config{}, job, map[string]run.Handler{"work": w})
			defer h.stop()
			shared := []run.Hold{{Name: "environment/dev", Shared: true}}
			one := h.begin(t, run.Spec{Steps: []run.StepSpec{{Name: "one", Kind: "work", Holds: shared}}})
			two := h.begin(t, run.Spec{Steps: []run.StepSpec{{Name: "two", Kind: "work", Holds: shared}}})
			time.Sleep(time.Minute)
			night := h.begin(t, run.Spec{Steps: []run.StepSpec{{Name: "night", Kind: "work", Holds: []run.Hold{{Name: "environment/dev"}}}}})
			for _, step := range []string{"one", "two"} {
				time.Sleep(time.Minute)
				if s := h.get(t, night).Steps[0]; s.State != run.Pending {
					t.Errorf("the night is %s while %s is at work", s.State, step)
				}
				w.becomes(step, run.Observation{State: run.Succeeded})
			}
			for _, id := range []string{one, two, night} {
				h.wantOver(t, id, run.Succeeded)
			}
		})
	})
	t.Run("a run's own holds are there from its first row to its end, and a second run hears no at once", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, db *store.DB) {
			w := newWorld()
			w.becomes("apply", run.Observation{State: run.Running})
			h := newHouse(t, db, run.Config{}, job, map[string]run.Handler{"work": w})
			defer h.stop()
			spec := run.Spec{
				Kind: "job", Subject: thing, Holds: []run.Hold{{Name: "repos"}},
				Steps: []run.StepSpec{{Name: "apply", Kind: "work", Holds: []run.Hold{{Name: "repos"}}}},
			}
			first := h.begin(t, spec)
			ctx := as("ana")
			err := h.gate.Do(ctx, nightporter.Action{Name: "test"}, thing, func(tx *gate.Tx) error {
				_, err := h.engine.Start(ctx, tx, spec)
				return err
			})
			if nightporter.CodeOf(err) != nightporter.Conflict || !strings.Contains(nightporter.MessageOf(err), first) {
				t.Errorf("got %v, want a conflict that names %s", err, first)
			}
			w.becomes("apply", run.Observation{State: run.Failed, Message: "no"})
			h.wantOver(t, first, run.Failed)
			h.wantOver(t, h.begin(t, spec), run.Failed)
		})
	})
	t.Run("a cancelled run gives back everything", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, db *store.DB) {
			w := newWorld()
			w.becomes("deploy", run.Observation{State: run.Running})
			h := newHouse(t, db, run.Config{}, job, map[string]run.Handler{"work": w})
			defer h.stop()
			id := h.begin(t, run.Spec{Holds: []run.Hold{{Name: "a"}}, Steps: []run.StepSpec{{Name: "deploy", Kind: "work", Holds: []run.Hold{{Name: "b"}}}}})
			time.Sleep(time.Minute)
			h.do(t, func(ctx context.Context, tx *gate.Tx) error { return h.engine.Cancel(ctx, tx, id, "no longer") })
			h.wantOver(t, id, run.Cancelled)
			if got := append(holders(t, db, "a"), holders(t, db, "b")...); got != nil {
				t.Errorf("%v still hold something", got)
			}
		})
	})
}

func TestAKindMayBlockAStepThatCouldStart(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, db *store.DB) {
		w := newWorld()
		var block atomic.Pointer[run.Block]
		blocks := func(b run.Block) { block.Store(&b) }
		kind := job
		kind.Ready = func(_ context.Context, _ *gate.Tx, _ *run.Run, s *run.Step) (run.Block, error) {
			if s.Name == "deploy" {
				return *block.Load(), nil
			}
			return run.Block{}, nil
		}
		h := newHouse(t, db, run.Config{}, kind, map[string]run.Handler{"work": w})
		defer func() { h.stop() }()
		spec := run.Spec{Steps: []run.StepSpec{
			{Name: "build", Kind: "work"},
			{Name: "deploy", Kind: "work", After: []string{"build"}, Holds: []run.Hold{{Name: "environment/dev"}}},
		}}
		blocks(run.Block{Reason: "frozen", Until: time.Now().Add(time.Hour)})
		id := h.begin(t, spec)
		time.Sleep(time.Minute)
		r := h.get(t, id)
		if s := r.Step("deploy"); s.State != run.Pending || s.Message != "frozen" || r.State != run.Waiting {
			t.Errorf("the step is %s, %q, and the run %s; want it to wait visibly", s.State, s.Message, r.State)
		}
		if got := holders(t, db, "environment/dev"); got != nil {
			t.Errorf("%v hold the environment: a blocked step must take nothing", got)
		}

		// The time of a block is found by the next process too.
		h.stop()
		h = newHouse(t, db, run.Config{}, kind, map[string]run.Handler{"work": w})
		time.Sleep(58 * time.Minute)
		if s := h.get(t, id).Step("deploy"); s.State != run.Pending {
			t.Errorf("the step is %s before its time", s.State)
		}
		blocks(run.Block{})
		time.Sleep(2 * time.Minute)
		h.wantOver(t, id, run.Succeeded)

		// One without a time is asked again when it is signalled.
		blocks(run.Block{Reason: "until somebody says so"})
		id = h.begin(t, spec)
		time.Sleep(time.Hour)
		if s := h.get(t, id).Step("deploy"); s.State != run.Pending {
			t.Errorf("the step is %s although nobody signalled", s.State)
		}
		blocks(run.Block{})
		h.do(t, func(ctx context.Context, tx *gate.Tx) error { return h.engine.Signal(ctx, tx, id, "deploy") })
		h.wantOver(t, id, run.Succeeded)

		// A cancelled run ends although a step of it is blocked.
		blocks(run.Block{Reason: "until somebody says so"})
		id = h.begin(t, spec)
		time.Sleep(time.Minute)
		h.do(t, func(ctx context.Context, tx *gate.Tx) error { return h.engine.Cancel(ctx, tx, id, "no longer") })
		h.wantOver(t, id, run.Cancelled)
	})
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	t.Run("each attempt has its own, in real time even when schedules run fast", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, db *store.DB) {
			w := newWorld()
			w.becomes("deploy", run.Observation{State: run.Running, Message: "starting"})
			schedule := clock.NewManual(time.Now())
			h := newHouse(t, db, run.Config{Clock: schedule}, job, map[string]run.Handler{"work": w})
			defer h.stop()
			id := h.begin(t, run.Spec{Steps: []run.StepSpec{{Name: "deploy", Kind: "work", Within: time.Minute, Attempts: 2}}})
			time.Sleep(30 * time.Second)
			schedule.Advance(24 * time.Hour)
			synctest.Wait()
			if s := h.get(t, id).Steps[0]; s.State != run.Running {
				t.Errorf("a fast clock ended the step: %s %s", s.State, s.Message)
			}
			time.Sleep(31 * time.Second)
			schedule.Advance(time.Minute) // rests between attempts go by it
			time.Sleep(2 * time.Minute)
			r := h.get(t, id)
			if s := r.Steps[0]; r.State != run.Failed || s.Attempt != 2 || s.Message != "not done within 1m0s: starting" {
				t.Errorf("got %s after %d attempts: %q", r.State, s.Attempt, s.Message)
			}
			for key, n := range w.starts {
				if n != 1 {
					t.Errorf("%s started %d times", key, n)
				}
			}
		})
	})
	t.Run("a wait for a person has none", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, db *store.DB) {
			w := &turnstile{open: map[string]bool{}}
			h := newHouse(t, db, run.Config{}, job, map[string]run.Handler{"turnstile": w})
			defer h.stop()
			id := h.begin(t, run.Spec{Steps: []run.StepSpec{{Name: "approve", Kind: "turnstile", Within: time.Minute}}})
			time.Sleep(6 * time.Hour)
			w.pass(id)
			h.signal(t, id, "approve")
			h.wantOver(t, id, run.Succeeded)
		})
	})
}

func TestCancelDuringStart(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, db *store.DB) {
		started := make(chan struct{})
		f := &flaky{start: func(ctx context.Context, _ run.Task) (string, error) {
			close(started)
			<-ctx.Done() // as an HTTP call would
			return "", ctx.Err()
		}}
		h := newHouse(t, db, run.Config{}, job, map[string]run.Handler{"work": f})
		defer h.stop()
		id := h.begin(t, run.Spec{Steps: []run.StepSpec{{Name: "deploy", Kind: "work"}}})
		<-started
		h.do(t, func(ctx context.Context, tx *gate.Tx) error { return h.engine.Cancel(ctx, tx, id, "superseded") })
		h.wantOver(t, id, run.Cancelled)
		// The handler is told, though no token ever came back: something may
		// have started.
		if diff := cmp.Diff([]string{`deploy ""`}, f.cancels); diff != "" {
			t.Errorf("cancels (-want +got):\n%s", diff)
		}
	})
}

// A process that dies after Start and before its token is kept asks for the same
// start again, under the same key, and the far end has one.
func TestACrashBetweenStartAndItsToken(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, db *store.DB) {
		var mu sync.Mutex
		asked := map[string]int{}
		begun := make(chan struct{}, 1)
		f := &flaky{start: func(ctx context.Context, task run.Task) (string, error) {
			mu.Lock()
			asked[task.Key()]++
			first := asked[task.Key()] == 1
			mu.Unlock()
			if first {
				begun <- struct{}{}
				<-ctx.Done() // the process dies here: no answer reaches it
				return "", ctx.Err()
			}
			return "token", nil
		}}
		first := newHouse(t, db, run.Config{}, job, map[string]run.Handler{"work": f})
		id := first.begin(t, run.Spec{Steps: []run.StepSpec{{Name: "deploy", Kind: "work", Attempts: 3}}})
		<-begun
		first.stop()
		second := newHouse(t, db, run.Config{}, job, map[string]run.Handler{"work": f})
		defer second.stop()
		second.wantOver(t, id, run.Succeeded)
		if diff := cmp.Diff(map[string]int{id + "/deploy/1": 2}, asked); diff != "" {
			t.Errorf("starts by key: a crash is no new attempt (-want +got):\n%s", diff)
		}
	})
}

// A handler that found something out and is about to destroy the evidence must
// find its own verdict again after a crash: it is committed before the next look.
// A new attempt has a verdict of its own.
func TestWhatAHandlerFoundOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, db *store.DB) {
		var mu sync.Mutex
		var saw []string
		destroyed := make(chan struct{})
		f := &flaky{observe: func(ctx context.Context, task run.Task) (run.Observation, error) {
			mu.Lock()
			saw = append(saw, fmt.Sprintf("%d %s", task.Attempt, task.Output))
			n := len(saw)
			mu.Unlock()
			switch {
			case n == 1:
				return run.Observation{State: run.Running, Output: "it exited"}, nil
			case n == 2:
				close(destroyed)
				<-ctx.Done() // the process dies here
				return run.Observation{}, ctx.Err()
			case task.Attempt == 1:
				return run.Observation{State: run.Failed, Retryable: true}, nil
			}
			return run.Observation{State: run.Succeeded}, nil
		}}
		first := newHouse(t, db, run.Config{}, job, map[string]run.Handler{"work": f})
		id := first.begin(t, run.Spec{Steps: []run.StepSpec{{Name: "deploy", Kind: "work", Attempts: 2}}})
		<-destroyed
		first.stop()
		second := newHouse(t, db, run.Config{}, job, map[string]run.Handler{"work": f})
		defer second.stop()
		second.wantOver(t, id, run.Succeeded)
		want := []string{"1 ", `1 "it exited"`, `1 "it exited"`, "2 "}
		if diff := cmp.Diff(want, saw); diff != "" {
			t.Errorf("what the handler was told (-want +got):\n%s", diff)
		}
	})
}

func TestTroubleOfHandlers(t *testing.T) {
	t.Parallel()
	t.Run("a panic is an error like any other, and is tried again", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, db *store.DB) {
			looks := 0
			f := &flaky{observe: func(context.Context, run.Task) (run.Observation, error) {
				if looks++; looks < 3 {
					panic("nil map")
				}
				return run.Observation{State: run.Succeeded}, nil
			}}
			h := newHouse(t, db, run.Config{}, job, map[string]run.Handler{"work": f})
			defer h.stop()
			h.wantOver(t, h.begin(t, run.Spec{Steps: []run.StepSpec{{Name: "deploy", Kind: "work"}}}), run.Succeeded)
		})
	})
	t.Run("an error with a code of refusal fails the step, any other is tried again until the deadline", func(t *testing.T) {
		t.Parallel()
		for name, c := range map[string]struct {
			err   error
			tries bool
		}{
			"invalid":     {nightporter.E(nightporter.Invalid, "no such chart"), false},
			"denied":      {nightporter.E(nightporter.Denied, "no"), false},
			"unavailable": {nightporter.E(nightporter.Unavailable, "registry away"), true},
			"no code":     {errors.New("connection reset"), true},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, db *store.DB) {
					tries := 0
					f := &flaky{start: func(context.Context, run.Task) (string, error) {
						tries++
						return "", c.err
					}}
					h := newHouse(t, db, run.Config{}, job, map[string]run.Handler{"work": f})
					defer h.stop()
					h.wantOver(t, h.begin(t, run.Spec{Steps: []run.StepSpec{{Name: "deploy", Kind: "work", Within: 10 * time.Minute}}}), run.Failed)
					if (tries > 1) != c.tries {
						t.Errorf("it was tried %d times", tries)
					}
					if tries > 60 {
						t.Errorf("%d tries in ten minutes: the pauses do not grow", tries)
					}
				})
			})
		}
	})
}

// Whatever breaks between us and PostgreSQL, and whenever, every run ends, and
// every step once.
func TestTheDatabaseBreaksEveryConnection(t *testing.T) {
	t.Parallel()
	server := dbtest.Postgres(t)
	name := server.Database(t)
	db, err := store.Open(t.Context(), store.Config{URL: server.DSN(name)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(t.Context(), migrations); err != nil {
		t.Fatal(err)
	}
	const runs = 12
	ended := make(chan string, runs)
	kind := run.Kind{Name: "job", Ended: func(_ context.Context, c *run.Change) error {
		id := c.Run.ID
		c.AfterCommit(func() { ended <- id })
		return nil
	}}
	h := newHouse(t, db, run.Config{}, kind, map[string]run.Handler{"work": &flaky{}})
	defer h.stop()
	want := map[string]bool{}
	for range runs {
		spec := run.Spec{Kind: "job", Subject: thing, Steps: []run.StepSpec{
			{Name: "deploy", Kind: "work", Holds: []run.Hold{{Name: "environment/dev"}}}, {Name: "tag", Kind: "work", After: []string{"deploy"}},
		}}
		id, err := "", error(nightporter.E(nightporter.Unavailable, "not asked yet"))
		for give := time.Now().Add(30 * time.Second); nightporter.CodeOf(err) == nightporter.Unavailable && time.Now().Before(give); {
			err = h.gate.Do(as("ana"), nightporter.Action{Name: "test"}, thing, func(tx *gate.Tx) (err error) {
				id, err = h.engine.Start(as("ana"), tx, spec)
				return err
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		want[id] = true
		server.Exec(t, "", `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '`+name+`'`)
	}
	timeout := time.After(60 * time.Second)
	for len(want) > 0 {
		select {
		case id := <-ended:
			delete(want, id)
		case <-timeout:
			t.Fatalf("%d of %d runs never ended", len(want), runs)
		}
	}
}
