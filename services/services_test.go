package services_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
	"nightporter.dev/nightporter/services"
)

var tables = slices.Concat(audit.Migrations, outbox.Migrations, services.Migrations)

type allowAll struct{}

func (allowAll) Decide(context.Context, nightporter.Actor, nightporter.Action) nightporter.Decision {
	return nightporter.Decision{Allowed: true}
}

// monday is when the stories of this test begin.
var monday = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// house is the capability with a real outbox: every event is published, and heard.
type house struct {
	t        testing.TB
	db       *store.DB
	gate     *gate.Gate
	services *services.Services
	now      time.Time
	n        int
}

func newHouse(t testing.TB, db *store.DB) *house {
	t.Helper()
	h := &house{t: t, db: db, now: monday}
	var world catalog.Catalog
	_, err := world.Load(catalog.Snapshot{
		Forges: []catalog.Forge{{Name: "hub", Kind: "mem"}}, People: []catalog.Person{{Name: "ana"}},
		Teams:        []catalog.Team{{Name: "payments", Members: []string{"ana"}}},
		Environments: []catalog.Environment{{Environment: nightporter.Environment{Name: "prod", Kind: nightporter.Production}, WhenDark: catalog.Wait}},
		Services: []catalog.Service{{
			Service: nightporter.Service{Name: "ledger", Owner: "payments", Repo: nightporter.Repo{Forge: "hub", Name: "ledger"}},
			Deploy:  catalog.Deploy{Kind: "mem"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return h.now }
	if h.gate, err = gate.New(gate.Config{DB: db, Bus: outbox.NewBus(), Decider: allowAll{}, Now: now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.gate.Close)
	if h.services, err = services.New(services.Config{Gate: h.gate, Catalog: &world, Now: now}); err != nil {
		t.Fatal(err)
	}
	return h
}

func as(name string) context.Context {
	return nightporter.WithActor(context.Background(), nightporter.Actor{Kind: nightporter.Person, Name: name})
}

// happened publishes events at a time and delivers them, twice: at least once is
// what a listener is promised.
func (h *house) happened(after time.Duration, events ...nightporter.Event) {
	h.t.Helper()
	h.now = monday.Add(after)
	ctx := nightporter.WithActor(context.Background(), nightporter.SystemActor("test", ""))
	err := h.gate.Do(ctx, nightporter.Action{Name: "test"}, nightporter.Resource{Kind: "test", ID: "1"}, func(tx *gate.Tx) error {
		tx.Publish(events...)
		return nil
	})
	for range 2 {
		for _, e := range events {
			if err == nil {
				err = h.hear(ctx, e)
			}
		}
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) hear(ctx context.Context, e nightporter.Event) error {
	switch e := e.(type) {
	case nightporter.ReleaseHealthy:
		return h.services.Shipped(ctx, e)
	case nightporter.ReleaseRolledBack:
		return h.services.Failed(ctx, e)
	case nightporter.Deployed:
		return h.services.Recovered(ctx, e)
	}
	return fmt.Errorf("nobody hears %s", e.EventName())
}

// ships tells that production got a release, after the previous one, with merges
// that were committed so long before.
func (h *house) ships(after time.Duration, release, previous string, labels []string, committed ...time.Duration) {
	h.t.Helper()
	at := monday.Add(after)
	e := nightporter.ReleaseHealthy{
		Release: release, Service: "ledger", Environment: "prod", Kind: "merge", PreviousRelease: previous, StartedAt: at.Add(-time.Minute), FinishedAt: at,
	}
	if previous != "" {
		e.Previous = "commit of " + previous
	}
	for _, before := range committed {
		h.n++
		e.Merges = append(e.Merges, nightporter.Merged{
			Repo: nightporter.Repo{Forge: "hub", Name: "ledger"}, Commit: fmt.Sprint("c", h.n), Labels: labels,
			FirstCommitAt: at.Add(-2 * before), CommittedAt: at.Add(-before), MergedAt: at.Add(-before / 2),
		})
	}
	h.happened(after, nightporter.Deployed{Release: release, Service: "ledger", Environment: "prod", At: at}, e)
}

func (h *house) rollsBack(asked, done time.Duration, release, from string) {
	h.t.Helper()
	h.happened(done, nightporter.ReleaseHealthy{
		Release: release, Service: "ledger", Environment: "prod", Kind: "rollback", Previous: "commit of " + from, PreviousRelease: from,
		StartedAt: monday.Add(asked), FinishedAt: monday.Add(done),
	})
}

func (h *house) fails(after time.Duration, release string, served bool) {
	h.t.Helper()
	h.happened(after, nightporter.ReleaseRolledBack{
		Release: release, Service: "ledger", Environment: "prod", Reason: "answers 500", BackTo: "x", Production: true, Served: served, At: monday.Add(after),
	})
}

func (h *house) measure(window, after time.Duration) *services.Dora {
	h.t.Helper()
	var d *services.Dora
	if err := h.db.View(context.Background(), func(tx *store.Tx) (err error) {
		d, err = services.Measure(context.Background(), tx, "ledger", window, monday.Add(after))
		return err
	}); err != nil {
		h.t.Fatal(err)
	}
	return d
}

// is writes a figure as people would: "0.5 of 2".
func is(f services.Figure) string {
	if f.Value == nil {
		return "–"
	}
	return fmt.Sprintf("%.4g of %.4g", *f.Value, f.Denominator)
}

func want(t *testing.T, what string, f services.Figure, figure string, rows ...string) {
	t.Helper()
	if got := is(f); got != figure {
		t.Errorf("%s is %s, want %s", what, got, figure)
	}
	if f.Definition == "" || f.Rows == nil {
		t.Errorf("%s comes without its definition or rows: %+v", what, f)
	}
	if rows != nil && !slices.Equal(f.Rows, rows) {
		t.Errorf("%s is computed from %q, want %q", what, f.Rows, rows)
	}
}

const (
	hour = time.Hour
	day  = 24 * hour
	week = 7 * day
)

func TestNothingHappened(t *testing.T) {
	t.Parallel()
	d := newHouse(t, storetest.SQLite(t, tables)).measure(week, 0)
	want(t, "the frequency", d.DeploymentFrequency, "0 of 7")
	for what, f := range map[string]services.Figure{
		"the lead time": d.ChangeLeadTime, "the fail rate": d.ChangeFailRate, "the recovery time": d.RecoveryTime, "the rework rate": d.ReworkRate,
	} {
		want(t, what, f, "–")
	}
	b, err := json.Marshal(d.ChangeFailRate)
	if err != nil || !bytes.Contains(b, []byte(`"value":null`)) || !bytes.Contains(b, []byte(`"rows":[]`)) {
		t.Errorf("a rate without a denominator is %s, %v; want null", b, err)
	}
}

// story is a week of one service:
//
//	Mon 09:00  rel_1, the first
//	Tue 09:00  rel_2 with two merges, 2 h and 4 h old: good
//	Wed 09:00  rel_3 with one merge, 10 h old: rolled back by a person at 11:00, done at 11:30
//	Wed 15:00  rel_5, the fix, 1 h old: rework
//	Thu 09:00  rel_6 is not healthy and never serves
//	Thu 10:00  rel_7 is not healthy after it took over; rel_5 is back at 10:10
//	Fri 09:00  rel_8, 6 h old, labelled hotfix
//	Fri 10:00  a person opens an incident about it, and closes it at 13:00
func (h *house) story() {
	h.t.Helper()
	h.ships(0, "rel_1", "", nil, 30*hour)
	h.ships(day, "rel_2", "rel_1", nil, 2*hour, 4*hour)
	h.ships(2*day, "rel_3", "rel_2", nil, 10*hour)
	h.rollsBack(2*day+2*hour, 2*day+150*time.Minute, "rel_4", "rel_3")
	h.ships(2*day+6*hour, "rel_5", "rel_4", nil, hour)
	h.fails(3*day, "rel_6", false)
	h.fails(3*day+hour, "rel_7", true)
	h.happened(3*day+70*time.Minute, nightporter.Deployed{
		Release: "rel_5", Service: "ledger", Environment: "prod", At: monday.Add(3*day + 70*time.Minute),
	})
	h.ships(4*day, "rel_8", "rel_5", []string{"patch", "hotfix"}, 6*hour)
	h.now = monday.Add(4*day + hour)
	i, err := h.services.OpenIncident(as("ana"), "ledger", "totals are wrong", "")
	if err != nil {
		h.t.Fatal(err)
	}
	h.now = monday.Add(4*day + 4*hour)
	if _, err := h.services.CloseIncident(as("ana"), "ledger", i.ID); err != nil {
		h.t.Fatal(err)
	}
}

func id(release string, after time.Duration) string {
	return fmt.Sprintf("%s@prod@%d", release, monday.Add(after).UnixMicro())
}

func TestAWeek(t *testing.T) {
	t.Parallel()
	storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		h.story()
		check := func(d *services.Dora) {
			t.Helper()
			r1, r2, r3, r5 := id("rel_1", 0), id("rel_2", day), id("rel_3", 2*day), id("rel_5", 2*day+6*hour)
			r6, r7, r8 := id("rel_6", 3*day), id("rel_7", 3*day+hour), id("rel_8", 4*day)
			want(t, "the frequency", d.DeploymentFrequency, "0.7143 of 7", r1, r2, r3, r5, r8)
			// 1, 2, 4, 6 and 10 hours; nothing of the first deployment.
			want(t, "the lead time", d.ChangeLeadTime, "1.44e+04 of 5", "c2", "c3", "c4", "c5", "c6")
			if p90 := d.ChangeLeadTime.P90; p90 == nil || *p90 != (10*hour).Seconds() {
				t.Errorf("the long end of the lead time is %v, want 10 h", p90)
			}
			if s := d.ChangeLeadTime.Also["from_first_commit"]; s.Median == nil || *s.Median != (8*hour).Seconds() {
				t.Errorf("from the first commit it is %v, want 8 h", s.Median)
			}
			want(t, "the fail rate", d.ChangeFailRate, "0.5714 of 7", r3, r6, r7, r8)
			// 2 h 30, 0, 10 min and 4 h: the two in the middle are 10 min and 150 min.
			want(t, "the recovery time", d.RecoveryTime, "4800 of 4", r3, r6, r7, r8)
			// The fix after the rollback, what came after each failure, the hotfix.
			want(t, "the rework rate", d.ReworkRate, "0.4286 of 7", r5, r7, r8)
		}
		d := h.measure(week, 4*day+5*hour)
		check(d)

		before, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Write(context.Background(), store.Relaxed, func(tx *store.Tx) error {
			for _, stmt := range []string{`UPDATE service_deployment SET healthy = 0`, `DELETE FROM service_change`, `DELETE FROM service_incident`} {
				if _, err := tx.Exec(context.Background(), stmt); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := h.services.Rebuild(nightporter.WithActor(context.Background(), nightporter.SystemActor("test", ""))); err != nil {
			t.Fatal(err)
		}
		d = h.measure(week, 4*day+5*hour)
		check(d)
		after, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(before), string(after)); diff != "" {
			t.Errorf("a rebuild gives other figures (-before +after):\n%s", diff)
		}
	})
}

func TestWindows(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.SQLite(t, tables))
	h.story()
	t.Run("only deployments in it count, and what came before decides about rework", func(t *testing.T) {
		// From Wednesday 14:00 to 16:00: the fix alone.
		d := h.measure(2*hour, 2*day+7*hour)
		want(t, "the frequency", d.DeploymentFrequency, "12 of 0.08333")
		want(t, "the rework rate", d.ReworkRate, "1 of 1", id("rel_5", 2*day+6*hour))
		want(t, "the fail rate", d.ChangeFailRate, "0 of 1")
		want(t, "the recovery time", d.RecoveryTime, "–")
	})
	t.Run("an incident that is open at its end has no recovery time", func(t *testing.T) {
		d := h.measure(2*hour, 4*day+90*time.Minute)
		want(t, "the fail rate", d.ChangeFailRate, "1 of 1", id("rel_8", 4*day))
		want(t, "the recovery time", d.RecoveryTime, "–")
	})
	t.Run("a failure that nobody knew of at its end does not count", func(t *testing.T) {
		d := h.measure(2*hour, 4*day+30*time.Minute)
		want(t, "the fail rate", d.ChangeFailRate, "0 of 1")
	})
}

func TestIncidents(t *testing.T) {
	t.Parallel()
	storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		h.ships(0, "rel_1", "", nil, hour)
		h.ships(day, "rel_2", "rel_1", nil, hour)
		h.now = monday.Add(2 * day)
		for _, c := range []struct{ named, want string }{
			{"", id("rel_2", day)}, {"rel_1", id("rel_1", 0)}, {id("rel_1", 0), id("rel_1", 0)}, {services.NoDeployment, ""},
		} {
			i, err := h.services.OpenIncident(as("ana"), "ledger", "slow", c.named)
			if err != nil {
				t.Fatal(err)
			}
			if i.Deployment != c.want || i.OpenedBy != "ana" {
				t.Errorf("%q: the incident is %+v, want it caused by %q", c.named, i, c.want)
			}
		}
		for what, c := range map[string]struct {
			err  error
			code nightporter.Code
		}{
			"no title":           {second(h.services.OpenIncident(as("ana"), "ledger", " ", "")), nightporter.Invalid},
			"an unknown service": {second(h.services.OpenIncident(as("ana"), "nobody", "slow", "")), nightporter.NotFound},
			"an unknown release": {second(h.services.OpenIncident(as("ana"), "ledger", "slow", "rel_9")), nightporter.NotFound},
			"an unknown id":      {second(h.services.CloseIncident(as("ana"), "ledger", "inc_9")), nightporter.NotFound},
		} {
			if nightporter.CodeOf(c.err) != c.code {
				t.Errorf("%s: got %v, want %s", what, c.err, c.code)
			}
		}
		var list []services.Incident
		page := func(after string) {
			if err := db.View(context.Background(), func(tx *store.Tx) (err error) {
				list, err = services.Incidents(context.Background(), tx, "ledger", after, 3)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		page("")
		if len(list) != 3 {
			t.Fatalf("got %d incidents, want a page of 3", len(list))
		}
		page(fmt.Sprintf("%d~%s", list[2].OpenedAt.UnixMicro(), list[2].ID))
		if len(list) != 1 || list[0].Deployment != id("rel_2", day) {
			t.Errorf("the second page is %+v, want the oldest", list)
		}
		if _, err := h.services.CloseIncident(as("ana"), "ledger", list[0].ID); err != nil {
			t.Fatal(err)
		}
		if _, err := h.services.CloseIncident(as("ana"), "ledger", list[0].ID); nightporter.CodeOf(err) != nightporter.Conflict {
			t.Errorf("closing twice: got %v, want a conflict", err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

// The figures are computed a second time by a program that shares nothing with
// this package.
func TestDoraJQAgrees(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("jq"); err != nil {
		t.Skip("jq is not installed: docs/dora.jq is not compared")
	}
	h := newHouse(t, storetest.SQLite(t, tables))
	h.story()
	for _, d := range []*services.Dora{h.measure(week, 4*day+5*hour), h.measure(3*day, 4*day+90*time.Minute), h.measure(week, -day)} {
		in, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("jq", "-f", "../docs/dora.jq")
		cmd.Stdin = bytes.NewReader(in)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("jq: %v\n%s", err, out)
		}
		var got map[string]*float64
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		want := map[string]*float64{
			"deployment_frequency": d.DeploymentFrequency.Value, "change_lead_time": d.ChangeLeadTime.Value, "change_fail_rate": d.ChangeFailRate.Value,
			"failed_deployment_recovery_time": d.RecoveryTime.Value, "deployment_rework_rate": d.ReworkRate.Value,
		}
		near := cmp.Comparer(func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 })
		if diff := cmp.Diff(want, got, near); diff != "" {
			t.Errorf("jq has other figures (-ours +jq):\n%s", diff)
		}
	}
}

// The budget: a service with 10,000 deployments in under 100 ms.
func BenchmarkMeasure(b *testing.B) {
	h := newHouse(b, storetest.SQLite(b, tables))
	ctx := context.Background()
	for from := 0; from < 10_000; from += 500 {
		if err := h.db.Write(ctx, store.Relaxed, func(tx *store.Tx) error {
			for n := from; n < from+500; n++ {
				at := store.Micros(monday.Add(time.Duration(n) * 4 * time.Minute))
				_, err := tx.Exec(ctx, `INSERT INTO service_deployment (id, service, environment, release_id, version, commit_id, kind, healthy, hotfix, message, finished_at)
					VALUES (?, 'ledger', 'prod', ?, '1.0.0', 'c', 'merge', ?, 0, '', ?)`, fmt.Sprint("d", n), fmt.Sprint("r", n), store.Bool(n%10 != 0), at)
				if err == nil {
					_, err = tx.Exec(ctx, `INSERT INTO service_change (deployment, commit_id, service, repo, pull_request, first_commit_at, committed_at, merged_at, finished_at)
						VALUES (?, ?, 'ledger', 'hub/ledger', 1, ?, ?, ?, ?)`, fmt.Sprint("d", n), fmt.Sprint("c", n), at-3000, at-2000, at-1000, at)
				}
				if err == nil && n%10 == 0 {
					_, err = tx.Exec(ctx, `INSERT INTO service_incident (id, service, environment, deployment, cause, title, opened_by, closed_by, opened_at, closed_at)
						VALUES (?, 'ledger', 'prod', ?, 'unhealthy', '', '', '', ?, ?)`, fmt.Sprint("i", n), fmt.Sprint("d", n), at, at+1000)
				}
				if err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if d := h.measure(30*day, 30*day); len(d.Deployments) < 9_000 {
			b.Fatal(len(d.Deployments))
		}
	}
}
