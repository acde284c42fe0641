package environments_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store/storetest"
	"nightporter.dev/nightporter/provider/cloud"
	"nightporter.dev/nightporter/provider/cloud/mem"
)

// asleep is a house whose dev is down, with rows in the capture of its database.
func asleep(t *testing.T, o options) (*house, *world) {
	t.Helper()
	w := newWorld(t)
	h := open(t, storetest.SQLite(t, migrations), w, o)
	t.Cleanup(h.stop)
	h.is(environments.Up)
	w.cloud.SetData("dev", "db", "forty-two rows")
	w.clock.Set(dusk)
	h.is(environments.Down)
	w.cloud.Forget()
	return h, w
}

// wantGood checks that dev runs the last good commit, whole.
func wantGood(t *testing.T, w *world, d *environments.Detail) {
	t.Helper()
	wantAlive(t, w, allParts()...)
	if d.Commit != "aaaaaaaa" || d.GoodCommit != "aaaaaaaa" {
		t.Errorf("runs %s, good is %s", d.Commit, d.GoodCommit)
	}
	if data, _ := w.cloud.Data("dev", "db"); data != "forty-two rows" {
		t.Errorf("db holds %q", data)
	}
	last := d.Drills[0]
	if !last.Passed || last.FellBackFrom != "cccccccc" || last.Reason == "" {
		t.Errorf("the drill says %+v", last)
	}
}

func TestABrokenCommit(t *testing.T) {
	t.Parallel()
	t.Run("that makes no sense is caught when it is planned", func(t *testing.T) {
		t.Parallel()
		h, w := asleep(t, options{})
		w.push("cccccccc", mem.Definition{Component: component("db", "nothing")})
		w.clock.Set(dawn)
		d := h.is(environments.Up)
		wantGood(t, w, d)
		if !strings.Contains(d.Drills[0].Reason, `db needs "nothing", which is no component`) {
			t.Errorf("the reason is %q", d.Drills[0].Reason)
		}
	})
	t.Run("that cannot be built is cleared away", func(t *testing.T) {
		t.Parallel()
		h, w := asleep(t, options{})
		w.push("cccccccc", append(acme(), mem.Definition{Component: component("search", "db")})...)
		w.cloud.Rule(mem.Rule{Component: "search", Verb: "Up", Behaviour: mem.Behaviour{Fails: "no such image", HalfDone: true, Lines: []string{"pull: 404"}}})
		w.clock.Set(dawn)
		d := h.is(environments.Up)
		wantGood(t, w, d)
		if d.Drills[0].Step != "build search" || !slices.Equal(d.Drills[0].Lines, []string{"pull: 404"}) {
			t.Errorf("the drill says %+v", d.Drills[0])
		}
	})
	t.Run("that never becomes ready counts as broken", func(t *testing.T) {
		t.Parallel()
		h, w := asleep(t, options{})
		w.push("cccccccc", acme()...)
		w.cloud.Rule(mem.Rule{Component: "cache", Verb: "Up", Commit: "cccccccc", Behaviour: mem.Behaviour{NeverReady: true}})
		w.clock.Set(dawn)
		wantGood(t, w, h.until("up", func(d *environments.Detail) bool {
			w.clock.Advance(time.Second) // the second attempt rests by the schedules' clock
			return d.State == environments.Up
		}))
	})
	t.Run("a repository that is gone does not cost a morning", func(t *testing.T) {
		t.Parallel()
		h, w := asleep(t, options{})
		w.mu.Lock()
		w.away = true
		w.mu.Unlock()
		w.clock.Set(dawn)
		// Not even the good commit can be fetched: the run fails, and a later one
		// finds the repository back. How many fail until then is left open: a
		// wish lifts the rest after the second.
		h.until("a run failed", func(d *environments.Detail) bool { return d.Failures > 0 })
		w.mu.Lock()
		w.away = false
		w.mu.Unlock()
		h.until("no run is at work", func(d *environments.Detail) bool { return d.Run == "" })
		if _, err := h.Go(as("ana"), "dev", cloud.Up, environments.Press{Until: dawn.Add(time.Hour)}); err != nil && nightporter.CodeOf(err) != nightporter.Conflict {
			t.Fatal(err)
		}
		h.is(environments.Up)
		wantAlive(t, w, allParts()...)
	})
}

func TestARepairKeepsWhatLives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := open(t, storetest.SQLite(t, migrations), w, options{})
	defer h.stop()
	h.is(environments.Up)
	w.cloud.SetData("dev", "db", "rows of today")
	w.cloud.Remove("dev", "cache") // by hand
	w.push("cccccccc", append(acme(), mem.Definition{Component: component("search", "db")})...)
	w.cloud.Rule(mem.Rule{Component: "search", Verb: "Up", Behaviour: mem.Behaviour{Fails: "no such image", HalfDone: true}})
	if _, err := h.Go(as("ana"), "dev", cloud.Up, environments.Press{}); err != nil {
		t.Fatal(err)
	}
	h.until("repaired", func(d *environments.Detail) bool {
		return d.Run == "" && len(w.alive(t)) == 4 && d.State == environments.Up
	})
	wantAlive(t, w, allParts()...)
	if data, _ := w.cloud.Data("dev", "db"); data != "rows of today" {
		t.Errorf("db holds %q: a repair must not touch what lives", data)
	}
	if d := h.show(); len(d.Drills) != 1 {
		t.Errorf("a repair counts as a drill: %+v", d.Drills)
	}
}

func TestAMorningThatFails(t *testing.T) {
	t.Parallel()
	t.Run("is tried again before people are told, once and with the log", func(t *testing.T) {
		t.Parallel()
		h, w := asleep(t, options{})
		w.cloud.Rule(mem.Rule{Component: "db", Verb: "Up", Behaviour: mem.Behaviour{Fails: "quota exceeded", Lines: []string{"quota: 0 of 0"}}})
		w.clock.Set(dawn)
		d := h.until("failed twice", func(d *environments.Detail) bool { return d.Failures == 2 && d.Run == "" })
		if d.State != environments.Partial || !d.NotBefore.After(time.Now()) {
			t.Errorf("%s, not before %s", d.State, d.NotBefore)
		}
		if n := count(h.events(), "DrillFailed"); n != 1 {
			t.Errorf("people are told %d times: %v", n, h.events())
		}
		if len(d.Drills) < 3 || d.Drills[0].Passed || d.Drills[0].Step != "build db" || !slices.Equal(d.Drills[0].Lines, []string{"quota: 0 of 0"}) {
			t.Errorf("the drill says %+v", d.Drills[0])
		}
		// Somebody who is there does not wait for the rest to end.
		w.cloud.Rule(mem.Rule{})
		if _, err := h.Go(as("ana"), "dev", cloud.Up, environments.Press{}); err != nil {
			t.Fatal(err)
		}
		h.is(environments.Up)
		wantAlive(t, w, allParts()...)
	})
	t.Run("for want of capacity or because of limits goes on by itself", func(t *testing.T) {
		t.Parallel()
		h, w := asleep(t, options{})
		w.cloud.Rule(mem.Rule{Component: "db", Verb: "Up", Times: 1, Behaviour: mem.Behaviour{Fails: "no capacity", Retryable: true}})
		w.cloud.Fault("Probe", 2, nightporter.E(nightporter.Limited, "slow down"))
		w.clock.Set(dawn)
		// The rest before the second attempt goes by the schedules' clock.
		h.until("tried again", func(d *environments.Detail) bool {
			return d.Work != nil && d.Work.Step("build db") != nil && d.Work.Step("build db").Attempt == 2
		})
		w.clock.Advance(time.Minute)
		if d := h.is(environments.Up); d.Failures != 0 || !d.Drills[0].Passed {
			t.Errorf("%d failures, %+v", d.Failures, d.Drills[0])
		}
	})
	t.Run("that takes longer than its budget has failed", func(t *testing.T) {
		t.Parallel()
		h, w := asleep(t, options{env: func(e *catalog.Environment) { e.Schedule.RTO = time.Nanosecond }})
		w.clock.Set(dawn)
		d := h.is(environments.Up)
		if d.Drills[0].Passed || !strings.Contains(d.Drills[0].Failure, "and may take 1ns") {
			t.Errorf("the drill says %+v", d.Drills[0])
		}
	})
	t.Run("because services do not come back says so", func(t *testing.T) {
		t.Parallel()
		h, w := asleep(t, options{})
		w.mu.Lock()
		w.does["redeploy"] = environments.Handover{State: run.Failed, Message: "ledger 1.4.0 is not healthy"}
		w.mu.Unlock()
		w.clock.Set(dawn)
		d := h.until("failed", func(d *environments.Detail) bool {
			w.clock.Advance(time.Second) // each retry rests by the schedules' clock
			return d.Failures > 0
		})
		if !strings.Contains(d.Drills[0].Failure, "ledger 1.4.0 is not healthy") {
			t.Errorf("the drill says %+v", d.Drills[0])
		}
	})
}

func TestPeopleAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := open(t, storetest.SQLite(t, migrations), w, options{env: func(e *catalog.Environment) { e.Schedule.Nudge = 30 * time.Minute }})
	defer h.stop()
	h.is(environments.Up)
	w.clock.Set(dusk.Add(-31 * time.Minute))
	h.Environments.Tick(t.Context())
	if told := w.titles(); len(told) > 0 {
		t.Errorf("too early: %v", told)
	}
	w.clock.Set(dusk.Add(-30 * time.Minute))
	h.until("nudged", func(*environments.Detail) bool { return len(w.titles()) == 1 })
	h.Environments.Tick(t.Context())
	if told := w.titles(); len(told) != 1 || told[0] != "dev goes dark at 21:00 BST" {
		t.Errorf("told %v", told)
	}
	if err := h.TellPassed(t.Context(), nightporter.DrillPassed{Environment: "dev", Run: "r1", Commit: "aaaaaaaa", FellBackFrom: "cccccccc", Reason: "build search: no such image"}); err != nil {
		t.Fatal(err)
	}
	if err := h.TellFailed(t.Context(), nightporter.DrillFailed{Environment: "dev", Run: "r2", Reason: "build db: quota exceeded", Lines: []string{"quota"}}); err != nil {
		t.Fatal(err)
	}
	want := []string{"dev goes dark at 21:00 BST", "dev could not be built from ccccccc; aaaaaaa runs instead", "dev needs a person: build db: quota exceeded"}
	if told := w.titles(); !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

func TestAliveInTheDark(t *testing.T) {
	t.Parallel()
	h, w := asleep(t, options{sweep: time.Nanosecond})
	w.cloud.Plant(cloud.Resource{ID: "i-0started-by-itself", Environment: "dev"})
	h.until("it is found and taken down again", func(d *environments.Detail) bool {
		h.Environments.Tick(t.Context())
		return count(w.cloud.Ledger(), "down dev/i-0started-by-itself") == 1 && d.State == environments.Down
	})
	if n := count(h.events(), "EnvironmentDown"); n != 2 {
		t.Errorf("the environment went down %d times, want again", n)
	}
}

func TestReadyBy(t *testing.T) {
	t.Parallel()
	h, w := asleep(t, options{env: func(e *catalog.Environment) { e.Schedule.ReadyBy = true }})
	d := h.show()
	if len(d.Edges) != 3 || !d.Edges[0].At.Equal(dawn) || !d.Edges[0].StartsAt.Before(dawn) {
		t.Fatalf("edges: %+v", d.Edges)
	}
	w.clock.Set(d.Edges[0].StartsAt.Add(-time.Millisecond))
	h.Environments.Tick(t.Context())
	wantAlive(t, w)
	w.clock.Set(d.Edges[0].StartsAt)
	h.is(environments.Up)
	// It stays up although the window has not opened yet.
	for range 3 {
		h.Environments.Tick(t.Context())
	}
	if d := h.is(environments.Up); d.Desired != "off" {
		t.Errorf("the edge itself moved: desired is %s", d.Desired)
	}
	wantAlive(t, w, allParts()...)
}

func TestDark(t *testing.T) {
	t.Parallel()
	h, w := asleep(t, options{})
	dark, until, err := h.Dark(t.Context(), "dev")
	if err != nil || !dark || !until.Equal(dawn) {
		t.Errorf("asleep: %v until %s, %v", dark, until, err)
	}
	for _, name := range []string{"prod", "nowhere"} {
		if dark, _, err := h.Dark(t.Context(), name); err != nil || dark {
			t.Errorf("%s is dark: %v %v", name, dark, err)
		}
	}
	w.clock.Set(dawn)
	h.is(environments.Up)
	if dark, _, err := h.Dark(t.Context(), "dev"); err != nil || dark {
		t.Errorf("awake: %v %v", dark, err)
	}
}
