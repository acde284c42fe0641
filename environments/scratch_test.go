package environments_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
	"nightporter.dev/nightporter/provider/cloud"
	"nightporter.dev/nightporter/provider/cloud/mem"
)

// drill starts a drill of dev and waits until nothing of it is under way.
func (h *house) drill(of environments.Revision) *environments.Detail {
	h.t.Helper()
	if _, err := h.Drill(as("ana"), "dev", of); err != nil {
		h.t.Fatal(err)
	}
	return h.until("drilled", func(d *environments.Detail) bool { return d.Drilling == nil })
}

// scratchLeft is what the far end has of a drill.
func (w *world) scratchLeft(t testing.TB) []cloud.Resource {
	t.Helper()
	all, err := w.cloud.Inventory(context.Background(), cloud.Target{Environment: "dev.drill"})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// wantNoTrace checks that a drill left nothing and touched nothing. The judge is
// the far end's ledger of effects.
func wantNoTrace(t *testing.T, w *world) {
	t.Helper()
	if left := w.scratchLeft(t); len(left) > 0 {
		t.Errorf("a drill left %+v", left)
	}
	for _, effect := range w.cloud.Ledger() {
		if !strings.Contains(effect, " dev.drill/") {
			t.Errorf("a drill did %q", effect)
		}
	}
}

func TestADrillBesideTheEnvironment(t *testing.T) {
	t.Parallel()
	t.Run("builds the dark one from its capture, and leaves it dark", func(t *testing.T) {
		t.Parallel()
		h, w := asleep(t, options{})
		before := h.show()
		d := h.drill("")
		wantNoTrace(t, w)
		wantAlive(t, w)
		last := d.Drills[0]
		if !last.Passed || last.Scratch != "dev.drill" || last.Commit != "aaaaaaaa" || last.Took() <= 0 {
			t.Errorf("the drill says %+v", last)
		}
		if n := count(w.cloud.Ledger(), "restore dev.drill/db"); n != 1 {
			t.Errorf("the rows came back %d times: %v", n, w.cloud.Ledger())
		}
		if d.State != environments.Down || d.Recovery != before.Recovery {
			t.Errorf("it is %s with %+v, and was down with %+v: a drill beside it is no rebuild", d.State, d.Recovery, before.Recovery)
		}
		if got := h.events(); got[len(got)-1] != "DrillPassed" {
			t.Errorf("events: %v", got)
		}
		// And the morning is the morning.
		w.clock.Set(dawn)
		h.is(environments.Up)
		if data, _ := w.cloud.Data("dev", "db"); data != "forty-two rows" {
			t.Errorf("db holds %q", data)
		}
	})
	t.Run("shows what the next morning would break", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		h := open(t, storetest.SQLite(t, migrations), w, options{})
		defer h.stop()
		h.is(environments.Up)
		w.cloud.Forget()
		w.push("cccccccc", append(acme(), mem.Definition{Component: component("search", "cache")})...)
		w.cloud.Rule(mem.Rule{Component: "search", Verb: "Up", Behaviour: mem.Behaviour{Fails: "no such image", HalfDone: true, Lines: []string{"pull: 404"}}})
		d := h.drill(environments.Head)
		wantNoTrace(t, w)
		last := d.Drills[0]
		if last.Passed || last.Commit != "cccccccc" || last.Step != "build search" || !slices.Equal(last.Lines, []string{"pull: 404"}) {
			t.Errorf("the drill says %+v", last)
		}
		if d.State != environments.Up || d.Commit != "aaaaaaaa" || d.Failures != 0 {
			t.Errorf("dev is %s at %s with %d failures", d.State, d.Commit, d.Failures)
		}
		if got := h.events(); got[len(got)-1] != "DrillFailed" {
			t.Errorf("events: %v", got)
		}
		if d = h.drill(environments.Good); !d.Drills[0].Passed || d.Drills[0].Commit != "aaaaaaaa" {
			t.Errorf("the good commit: %+v", d.Drills[0])
		}
		wantNoTrace(t, w)
	})
	t.Run("that cannot be cleared away has failed, and the next one clears it", func(t *testing.T) {
		t.Parallel()
		h, w := asleep(t, options{})
		w.cloud.Rule(mem.Rule{Environment: "dev.drill", Verb: "Down", Behaviour: mem.Behaviour{Fails: "no, thank you"}})
		d := h.drill("")
		if last := d.Drills[0]; last.Passed {
			t.Errorf("the drill says %+v", last)
		}
		w.cloud.Rule(mem.Rule{Environment: "dev.drill", Verb: "Down"})
		w.cloud.Plant(cloud.Resource{ID: "vm-7", Kind: "vm", Environment: "dev.drill"})
		if d = h.drill(""); !d.Drills[0].Passed {
			t.Errorf("the next one says %+v", d.Drills[0])
		}
		wantNoTrace(t, w)
	})
	t.Run("that takes longer than its budget has failed", func(t *testing.T) {
		t.Parallel()
		h, w := asleep(t, options{env: func(e *catalog.Environment) { e.Schedule.RTO = time.Nanosecond }})
		if last := h.drill("").Drills[0]; last.Passed || !strings.Contains(last.Failure, "and may take 1ns") {
			t.Errorf("the drill says %+v", last)
		}
		wantNoTrace(t, w)
	})
	t.Run("that is cancelled is cleared away", func(t *testing.T) {
		t.Parallel()
		h, w := asleep(t, options{})
		w.cloud.Rule(mem.Rule{Environment: "dev.drill", Component: "bus", Verb: "Up", Behaviour: mem.Behaviour{NeverReady: true}})
		id, err := h.Drill(as("ana"), "dev", "")
		if err != nil {
			t.Fatal(err)
		}
		h.until("at work", func(*environments.Detail) bool { return len(cloud.Alive(w.scratchLeft(t))) > 2 })
		if _, err := h.Drill(as("ana"), "dev", ""); nightporter.CodeOf(err) != nightporter.Conflict {
			t.Errorf("a second one at once: %v, want a conflict", err)
		}
		if err := h.gate.Do(as("ana"), nightporter.Action{Name: "run.cancel"}, nightporter.Resource{Kind: "run", ID: id}, func(tx *gate.Tx) error {
			return h.runs.Cancel(as("ana"), tx, id, "enough")
		}); err != nil {
			t.Fatal(err)
		}
		h.until("cleared away", func(d *environments.Detail) bool { return d.Drilling == nil })
		wantNoTrace(t, w)
	})
	t.Run("is refused where it cannot be, and where it must not", func(t *testing.T) {
		t.Parallel()
		h, _ := asleep(t, options{})
		for name, want := range map[string]nightporter.Code{"prod": nightporter.Protected, "nowhere": nightporter.NotFound} {
			if _, err := h.Drill(as("ana"), name, ""); nightporter.CodeOf(err) != want {
				t.Errorf("a drill of %s: %v, want %s", name, err, want)
			}
		}
		if _, err := h.Drill(as("ana"), "dev", "feature/x"); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("a drill of a branch: %v, want invalid", err)
		}
	})
}

// playDrill drills a dark dev on as many processes as it takes, and returns the
// points that the first of them passed.
func playDrill(t *testing.T, db *store.DB, n int) (points []string) {
	t.Helper()
	w := newWorld(t)
	w.clock.Set(night)
	evening := open(t, db, w, options{})
	evening.is(environments.Down) // nothing of it is there
	evening.stop()

	c := &crasher{n: n, dead: make(chan struct{})}
	h := open(t, db, w, options{fault: c.fault})
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		_, _ = h.Drill(as("ana"), "dev", "") // killed in it: perhaps it was never asked
	}()
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		select {
		case <-asked:
		case <-c.dead:
			return
		}
		for h.show().Drilling != nil {
			select {
			case <-c.dead:
				return
			case <-h.tick():
			}
		}
	}()
	<-looked
	stopped := make(chan struct{})
	go func() { h.stop(); close(stopped) }()
	last := h
	select {
	case <-stopped:
	case <-c.dead:
		h.kill()
		last = open(t, db, w, options{})
		last.until("it is over", func(d *environments.Detail) bool { return d.Drilling == nil && d.Run == "" })
		last.stop()
	}
	wantNoTrace(t, w)
	wantAlive(t, w)
	ledger := w.cloud.Ledger()
	for _, part := range allParts() {
		if up, down := count(ledger, "up dev.drill/"+part), count(ledger, "down dev.drill/"+part); up > 1 || up != down {
			t.Errorf("%s was built %d times and destroyed %d times: %v", part, up, down, ledger)
		}
	}
	if len(ledger) > 0 {
		if d := last.show(); !d.Drills[0].Passed || d.Drills[0].Scratch == "" {
			t.Errorf("the drill says %+v", d.Drills[0])
		}
	}
	return c.points
}

// The judge is the far end's own ledger: whatever a process dies of, nothing of a
// drill stays, and dev is not touched.
func TestKilledAnywhereInADrill(t *testing.T) {
	t.Parallel()
	points := playDrill(t, storetest.SQLite(t, migrations), 0)
	if len(points) < 20 {
		t.Fatalf("only %d points: %v", len(points), points)
	}
	for n := 1; n <= len(points); n++ {
		t.Run(fmt.Sprintf("%d %s", n, points[n-1]), func(t *testing.T) {
			t.Parallel()
			playDrill(t, storetest.SQLite(t, migrations), n)
		})
	}
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		playDrill(t, storetest.Postgres(t, migrations), len(points)/2)
	})
}
