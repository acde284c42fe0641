package console_test

import (
	"context"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/clock"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/cloud"
	cloudmem "nightporter.dev/nightporter/provider/cloud/mem"
)

// wednesday is a noon of summer: London is an hour ahead of UTC.
var wednesday = time.Date(2026, 6, 17, 11, 0, 0, 0, time.UTC)

// code is a repository with one commit.
type code string

func (c code) CheckoutAt(context.Context, nightporter.Repo, string) (dir, commit string, done func(), err error) {
	return string(c), "aaaaaaaa", func() {}, nil
}

// openEnvironments makes the capability, over a cloud in memory and a clock that
// the test moves.
func (h *wholeHouse) openEnvironments(runs *run.Engine) {
	h.t.Helper()
	var err error
	if h.cloud, err = cloudmem.New(cloudmem.Config{}); err != nil {
		h.t.Fatal(err)
	}
	h.clock = clock.NewManual(wednesday)
	part := func(name string, needs ...string) cloudmem.Definition {
		return cloudmem.Definition{Component: cloud.Component{Name: name, Needs: needs, Within: 10 * time.Second}}
	}
	h.cloud.Define("dev", "aaaaaaaa", part("db"), part("cache"), part("gateway", "db", "cache"))
	h.envs, err = environments.New(environments.Config{
		Gate: h.gate, Runs: runs, Catalog: h.catalog, Providers: map[string]cloud.Provider{"mem": h.cloud}, Source: code(h.t.TempDir()),
		Clock: h.clock, Prices: func() environments.Prices { return h.prices },
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// nightly is the small world whose dev goes dark at night, and production.
func nightly() catalog.Snapshot {
	w := smallWorld()
	w.Environments[0].Schedule = catalog.Schedule{Windows: "Mon-Fri 07:00-21:00", Timezone: "Europe/London", FirstNight: "act", KeepMax: 12 * time.Hour, RTO: 20 * time.Minute}
	w.Environments[0].Cloud = catalog.Cloud{Kind: "mem", Repo: nightporter.Repo{Forge: "mem", Name: "infra"}, Ref: "main", Dir: "."}
	w.Environments[1].Cloud = catalog.Cloud{Kind: "mem"}
	return w
}

// environment waits until one is in a state and at rest.
func (h *wholeHouse) environment(name string, s environments.State) *environments.Detail {
	h.t.Helper()
	var d *environments.Detail
	h.until(name+" is "+string(s), func(ctx context.Context, tx *store.Tx) bool {
		var err error
		if d, err = h.envs.Show(ctx, tx, name); err != nil {
			h.t.Fatal(err)
		}
		return d.State == s && d.Run == ""
	})
	return d
}

// awake is a whole house on a Wednesday at noon, with dev up.
func awake(t testing.TB) *wholeHouse {
	t.Helper()
	h := openWhole(t, nightly())
	h.environment("dev", environments.Up)
	h.tick(t, wednesday.Add(time.Minute))
	return h
}

// tick moves the schedules' clock, and the real one along with it.
func (h *wholeHouse) tick(t testing.TB, to time.Time) {
	t.Helper()
	h.setTime(to)
	h.clock.Set(to)
}
