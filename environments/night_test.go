package environments_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter/environments"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
	"nightporter.dev/nightporter/provider/cloud/mem"
)

func TestANight(t *testing.T) {
	t.Parallel()
	storetest.Each(t, migrations, func(t *testing.T, db *store.DB) {
		w := newWorld(t)
		h := open(t, db, w, options{})
		defer h.stop()
		h.is(environments.Up)
		wantAlive(t, w, allParts()...)
		w.cloud.SetData("dev", "db", "forty-two rows")
		w.cloud.Forget()

		w.clock.Set(dusk)
		h.is(environments.Down)
		wantAlive(t, w)
		ledger := w.cloud.Ledger()
		for _, order := range [][2]string{
			{"down dev/gateway", "down dev/bus"}, {"down dev/gateway", "down dev/cache"}, {"down dev/bus", "capture dev/db"}, {"capture dev/db", "down dev/db"},
		} {
			if a, b := slices.Index(ledger, order[0]), slices.Index(ledger, order[1]); a < 0 || b < a {
				t.Errorf("%s must come before %s: %v", order[0], order[1], ledger)
			}
		}

		w.push("bbbbbbbb", append(acme(), mem.Definition{Component: component("search", "db")})...)
		w.cloud.Forget()
		w.clock.Set(dawn)
		d := h.is(environments.Up)
		wantAlive(t, w, "bus", "cache", "db", "gateway", "search")
		if data, _ := w.cloud.Data("dev", "db"); data != "forty-two rows" {
			t.Errorf("db holds %q", data)
		}
		if d.Commit != "bbbbbbbb" || d.GoodCommit != "bbbbbbbb" {
			t.Errorf("runs %s, good is %s", d.Commit, d.GoodCommit)
		}
		ledger = w.cloud.Ledger()
		for _, order := range [][2]string{{"up dev/db", "restore dev/db"}, {"restore dev/db", "up dev/bus"}, {"up dev/bus", "up dev/gateway"}, {"up dev/cache", "up dev/gateway"}} {
			if a, b := slices.Index(ledger, order[0]), slices.Index(ledger, order[1]); a < 0 || b < a {
				t.Errorf("%s must come before %s: %v", order[0], order[1], ledger)
			}
		}
		// The first morning built from nothing too.
		if len(d.Drills) != 2 || !d.Drills[0].Passed || d.Drills[0].Took() <= 0 || d.Recovery.P95 == "" || len(d.Drills[0].Steps) == 0 {
			t.Errorf("the drill is not on record: %+v", d.Drills)
		}
		want := []string{"EnvironmentUp", "DrillPassed", "EnvironmentClosing", "EnvironmentDown", "EnvironmentUp", "DrillPassed"}
		if diff := cmp.Diff(want, h.events()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if w.count("undeploy") != 1 || w.count("drain") != 1 || w.count("enrol") != 2 || w.count("redeploy") != 2 {
			t.Errorf("neighbours did %v", w.log)
		}
	})
}

func TestTheFirstNightOnlyShows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := open(t, storetest.SQLite(t, migrations), w, options{env: func(e *catalog.Environment) { e.Schedule.FirstNight = "plan" }})
	defer h.stop()
	h.is(environments.Up)
	w.clock.Set(dusk)
	d := h.until("rehearsed", func(d *environments.Detail) bool { return !d.RehearsedAt.IsZero() })
	if d.State != environments.Up || !d.SparedUntil.Equal(dawn) {
		t.Errorf("%s, spared until %s", d.State, d.SparedUntil)
	}
	w.clock.Set(night)
	h.Tick(t.Context())
	wantAlive(t, w, allParts()...)
	w.clock.Set(dawn)
	h.Tick(t.Context())
	w.clock.Set(dusk.AddDate(0, 0, 1))
	h.is(environments.Down)
	wantAlive(t, w)
}
