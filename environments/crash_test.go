package environments_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"nightporter.dev/nightporter/environments"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
)

// playNight takes dev through dusk and dawn, on as many processes as it takes:
// each one that dies is followed by the next. It returns the points it passed.
func playNight(t *testing.T, db *store.DB, n int) (points []string) {
	t.Helper()
	w := newWorld(t)
	h := open(t, db, w, options{})
	h.is(environments.Up)
	w.cloud.SetData("dev", "db", "forty-two rows")
	h.stop()
	w.cloud.Forget()
	before := len(h.events())

	c := &crasher{n: n, dead: make(chan struct{})}
	fault := c.fault
	// live runs a process until dev is as wanted, or until it is killed.
	live := func(want environments.State) {
		for {
			h := open(t, db, w, options{fault: fault})
			over, dead, looked := make(chan struct{}), c.dead, make(chan struct{})
			limit := time.After(30 * time.Second) // for what hangs
			go func() {
				defer close(looked)
				for {
					if d := h.show(); d.State == want && d.Run == "" {
						close(over)
						return
					}
					select {
					case <-dead:
						return
					case <-h.moved:
					case <-h.tick():
					}
				}
			}()
			select {
			case <-over:
				stopped := make(chan struct{})
				go func() { h.stop(); close(stopped) }()
				select {
				case <-stopped:
				case <-c.dead: // killed while it stopped
					h.kill()
					fault, c = nil, &crasher{dead: make(chan struct{})}
				}
				return
			case <-limit:
				d := h.show()
				t.Fatalf("killed at %d, never %s: %s %q, run %q, work %+v", n, want, d.State, d.Message, d.Run, d.Work)
			case <-c.dead:
				<-looked
				h.kill()
				// The next process is never killed.
				fault, c = nil, &crasher{dead: make(chan struct{})}
			}
		}
	}
	first := c
	w.clock.Set(dusk)
	live(environments.Down)
	wantAlive(t, w)
	w.clock.Set(dawn)
	live(environments.Up)

	wantAlive(t, w, allParts()...)
	if data, _ := w.cloud.Data("dev", "db"); data != "forty-two rows" {
		t.Errorf("db holds %q", data)
	}
	ledger := w.cloud.Ledger()
	for _, part := range allParts() {
		for _, verb := range []string{"up", "down"} {
			if n := count(ledger, verb+" dev/"+part); n != 1 {
				t.Errorf("%s of %s happened %d times: %v", verb, part, n, ledger)
			}
		}
	}
	d := h.show()
	if len(d.Drills) != 2 || !d.Drills[0].Passed {
		t.Errorf("drills: %+v", d.Drills)
	}
	if got, want := h.events()[before:], []string{"EnvironmentClosing", "EnvironmentDown", "EnvironmentUp", "DrillPassed"}; !slices.Equal(got, want) {
		t.Errorf("events: %v, want %v", got, want)
	}
	for _, what := range []string{"undeploy", "drain", "enrol", "redeploy"} {
		want := 1
		if what == "enrol" || what == "redeploy" {
			want = 2 // the first morning too
		}
		if got := w.count(what); got != want {
			t.Errorf("%s happened in %d runs, want %d", what, got, want)
		}
	}
	return first.points
}

func count(all []string, one string) int {
	n := 0
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

// TestKilledAnywhere kills the process at every fault point of a night, before and
// after each commit. The judge is the far end's own ledger.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		points := playNight(t, storetest.SQLite(t, migrations), 0)
		t.Logf("a night passes %d points", len(points))
		if len(points) < 60 {
			t.Fatalf("only %d points: %v", len(points), points)
		}
		for n := 1; n <= len(points); n++ {
			t.Run(fmt.Sprintf("%d %s", n, points[n-1]), func(t *testing.T) {
				t.Parallel()
				playNight(t, storetest.SQLite(t, migrations), n)
			})
		}
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		for i := range 20 {
			n := 1 + i*7
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				playNight(t, storetest.Postgres(t, migrations), n)
			})
		}
	})
}
