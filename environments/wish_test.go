package environments_test

import (
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments"
	"nightporter.dev/nightporter/environments/schedule"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store/storetest"
	"nightporter.dev/nightporter/provider/cloud"
	"nightporter.dev/nightporter/provider/cloud/mem"
)

func keep(until time.Time) environments.Wish {
	return environments.Wish{State: schedule.On, Until: until, Reason: "load test"}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	t.Run("holds an environment over dusk and ends by itself", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		h := open(t, storetest.SQLite(t, migrations), w, options{})
		defer h.stop()
		h.is(environments.Up)
		until := dusk.Add(2 * time.Hour)
		if _, err := h.Keep(as("ana"), "dev", keep(until)); err != nil {
			t.Fatal(err)
		}
		w.clock.Set(dusk.Add(time.Hour))
		h.Environments.Tick(t.Context())
		d := h.is(environments.Up)
		if d.Override == nil || d.Override.Person != "ana" || d.Override.Reason != "load test" || !d.Override.Until.Equal(until) {
			t.Errorf("the wish is not shown: %+v", d.Override)
		}
		w.clock.Set(until)
		h.is(environments.Down)
		wantAlive(t, w)
	})
	t.Run("taken back lets dusk come", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		h := open(t, storetest.SQLite(t, migrations), w, options{})
		defer h.stop()
		h.is(environments.Up)
		if _, err := h.Keep(as("ana"), "dev", keep(dusk.Add(2*time.Hour))); err != nil {
			t.Fatal(err)
		}
		w.clock.Set(dusk.Add(time.Minute))
		if err := h.Unkeep(as("ana"), "dev"); err != nil {
			t.Fatal(err)
		}
		h.is(environments.Down)
	})
	t.Run("off sends it to sleep at noon", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		h := open(t, storetest.SQLite(t, migrations), w, options{})
		defer h.stop()
		h.is(environments.Up)
		if _, err := h.Keep(as("ana"), "dev", environments.Wish{State: schedule.Off, Until: noon.Add(time.Hour), Reason: "holiday"}); err != nil {
			t.Fatal(err)
		}
		h.is(environments.Down)
		w.clock.Set(noon.Add(time.Hour))
		h.is(environments.Up)
	})
	t.Run("has caps and needs a reason", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		h := open(t, storetest.SQLite(t, migrations), w, options{})
		defer h.stop()
		for name, wish := range map[string]environments.Wish{
			"too long":    keep(noon.Add(13 * time.Hour)),
			"over":        keep(noon),
			"no reason":   {State: schedule.On, Until: noon.Add(time.Hour)},
			"no state":    {Until: noon.Add(time.Hour), Reason: "x"},
			"off forever": {State: schedule.Off, Until: noon.AddDate(1, 0, 0), Reason: "x"},
		} {
			if _, err := h.Keep(as("ana"), "dev", wish); nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("%s: %v, want invalid", name, err)
			}
		}
		if _, err := h.Keep(as("ana"), "prod", environments.Wish{State: schedule.Off, Until: noon.Add(time.Hour), Reason: "x"}); nightporter.CodeOf(err) != nightporter.Protected {
			t.Errorf("production: %v, want protected", err)
		}
	})
}

func TestARunTurnsRound(t *testing.T) {
	t.Parallel()
	t.Run("when somebody keeps what is being torn down", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.cloud.Rule(mem.Rule{Component: "gateway", Verb: "Down", Times: 1, Behaviour: mem.Behaviour{Looks: 2}})
		h := open(t, storetest.SQLite(t, migrations), w, options{})
		defer h.stop()
		h.is(environments.Up)
		w.cloud.SetData("dev", "db", "rows of today")
		w.cloud.Forget()
		w.clock.Set(dusk)
		// It is in the middle of one component.
		h.until("gateway is being destroyed", func(d *environments.Detail) bool {
			return d.Work != nil && d.Work.Step("destroy gateway") != nil && d.Work.Step("destroy gateway").State == run.Running
		})
		if _, err := h.Keep(as("ana"), "dev", keep(dusk.Add(2*time.Hour))); err != nil {
			t.Fatal(err)
		}
		h.is(environments.Up)
		wantAlive(t, w, allParts()...)
		ledger := strings.Join(w.cloud.Ledger(), ", ")
		if ledger != "down dev/gateway, up dev/gateway" {
			t.Errorf("what happened: %s; want the current step finished and nothing else torn down", ledger)
		}
		if data, _ := w.cloud.Data("dev", "db"); data != "rows of today" {
			t.Errorf("db holds %q", data)
		}
	})
	t.Run("when somebody sends to sleep what is being built", func(t *testing.T) {
		t.Parallel()
		h, w := asleep(t, options{})
		w.cloud.Rule(mem.Rule{Component: "db", Verb: "Up", Times: 1, Behaviour: mem.Behaviour{Looks: 2}})
		w.clock.Set(dawn)
		h.until("db is being built", func(d *environments.Detail) bool {
			return d.Work != nil && d.Work.Step("build db") != nil && d.Work.Step("build db").State == run.Running
		})
		if _, err := h.Go(as("ana"), "dev", cloud.Down, environments.Press{Until: dawn.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		h.is(environments.Down)
		wantAlive(t, w)
	})
}
