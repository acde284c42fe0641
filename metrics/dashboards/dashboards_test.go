package dashboards_test

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
	"nightporter.dev/nightporter/metrics"
	"nightporter.dev/nightporter/metrics/dashboards"
)

var tables = slices.Concat(audit.Migrations, outbox.Migrations, dashboards.Migrations)

type allowAll struct{}

func (allowAll) Decide(context.Context, nightporter.Actor, nightporter.Action) nightporter.Decision {
	return nightporter.Decision{Allowed: true}
}

type nothing struct{ metrics.Querier }

type house struct {
	t    *testing.T
	ctx  context.Context
	gate *gate.Gate
	*dashboards.Dashboards
}

func newHouse(t *testing.T, db *store.DB) *house {
	t.Helper()
	h := &house{t: t, ctx: nightporter.WithActor(t.Context(), nightporter.Actor{Kind: nightporter.Person, Name: "ana"})}
	var world catalog.Catalog
	_, err := world.Load(catalog.Snapshot{
		Forges: []catalog.Forge{{Name: "hub", Kind: "mem"}}, People: []catalog.Person{{Name: "ana"}}, Teams: []catalog.Team{{Name: "payments", Members: []string{"ana"}}},
		Environments: []catalog.Environment{{Environment: nightporter.Environment{Name: "prod", Kind: nightporter.Production}, WhenDark: catalog.Wait}},
		Services: []catalog.Service{{
			Service: nightporter.Service{Name: "ledger", Owner: "payments", Repo: nightporter.Repo{Forge: "hub", Name: "ledger"}}, Deploy: catalog.Deploy{Kind: "mem"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.gate, err = gate.New(gate.Config{DB: db, Bus: outbox.NewBus(), Decider: allowAll{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.gate.Close)
	h.Dashboards, err = dashboards.New(dashboards.Config{
		Gate: h.gate, Catalog: &world, Querier: nothing{}, Names: func() []string { return []string{"a", "b"} },
		Exists: func(name string) error {
			if name != "a" && name != "b" && name != "nightporter" {
				return nightporter.E(nightporter.NotFound, "no workspace is called %q", name)
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) look(fn func(tx *store.Tx) error) {
	h.t.Helper()
	if err := h.gate.Look(h.ctx, fn); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) export(workspace, uid string, version int64) (raw []byte, err error) {
	e := h.gate.Look(h.ctx, func(tx *store.Tx) (e error) {
		raw, e = h.Export(h.ctx, tx, workspace, uid, version)
		return e
	})
	return raw, e
}

// The judge is the file itself, byte by byte: odd spaces, escapes and an order of
// keys that no encoder would write.
func TestADashboardComesOutAsItWentIn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		odd := []byte("{ \"title\" :\t\"Odd \\u00e9 é <&>\",\r\n\n \"uid\":\"odd\" , \"panels\":[ ],\"z\":1.0e+2, \"a\":100000000000000000001 }\n\n")
		whole, err := os.ReadFile("../dashboard/testdata/panels.json")
		if err != nil {
			t.Fatal(err)
		}
		for uid, raw := range map[string][]byte{"odd": odd, "corpus-panels": whole} {
			if _, err := h.Save(h.ctx, "a", raw, dashboards.Import{}); err != nil {
				t.Fatal(err)
			}
			if got, err := h.export("a", uid, 0); err != nil || !bytes.Equal(got, raw) {
				t.Errorf("%s came out as %d bytes, %v; %d went in", uid, len(got), err, len(raw))
			}
		}
		if _, err := h.export("b", "odd", 0); nightporter.CodeOf(err) != nightporter.NotFound {
			t.Errorf("the other workspace answers %v", err)
		}
		if _, err := h.export("c", "odd", 0); nightporter.CodeOf(err) != nightporter.NotFound {
			t.Errorf("a workspace that is not there answers %v", err)
		}
		next := bytes.Replace(odd, []byte("Odd"), []byte("Even"), 1)
		if _, err := h.Save(h.ctx, "a", next, dashboards.Import{}); nightporter.CodeOf(err) != nightporter.Conflict {
			t.Errorf("a second import of the same uid answers %v, want a conflict", err)
		}
		detail, err := h.Save(h.ctx, "a", next, dashboards.Import{Replace: true})
		if err != nil || detail.Version != 2 || detail.SavedBy != "ana" {
			t.Errorf("the replacement is %+v, %v", detail, err)
		}
		former, _ := h.export("a", "odd", 1)
		newest, _ := h.export("a", "odd", 0)
		if !bytes.Equal(former, odd) || !bytes.Equal(newest, next) {
			t.Error("a replacement lost the former version, or did not become the newest")
		}
		if err := h.Delete(h.ctx, "a", "odd"); err != nil {
			t.Fatal(err)
		}
		if _, err := h.export("a", "odd", 1); nightporter.CodeOf(err) != nightporter.NotFound {
			t.Errorf("after deleting it, a version answers %v", err)
		}
		if err := h.Delete(h.ctx, "a", "odd"); nightporter.CodeOf(err) != nightporter.NotFound {
			t.Errorf("deleting it again answers %v", err)
		}
	})
}

func TestWhatIsNoDashboardIsNotStored(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.SQLite(t, tables))
	for name, c := range map[string]struct {
		raw string
		how dashboards.Import
	}{
		"no JSON": {raw: "<html>"}, "not UTF-8": {raw: "{\"panels\":[],\"title\":\"\xff\"}"}, "a zero byte": {raw: "{\"panels\":[]}\x00"},
		"a uid that is a path": {raw: `{"panels":[]}`, how: dashboards.Import{UID: "../x"}}, "no name at all": {raw: `{"panels":[],"title":"!!"}`},
	} {
		if _, err := h.Save(h.ctx, "a", []byte(c.raw), c.how); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("%s answers %v, want invalid", name, err)
		}
	}
	h.look(func(tx *store.Tx) error {
		all, err := h.List(h.ctx, tx, "a")
		for _, s := range all {
			if s.Source == dashboards.Imported {
				t.Errorf("%s was stored", s.UID)
			}
		}
		return err
	})
}

func TestTheListSaysHowMuchCannotBeDrawn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.SQLite(t, tables))
	raw, err := os.ReadFile("../dashboard/testdata/unsupported.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Save(h.ctx, "a", raw, dashboards.Import{}); err != nil {
		t.Fatal(err)
	}
	h.look(func(tx *store.Tx) error {
		all, err := h.List(h.ctx, tx, "a")
		at := slices.IndexFunc(all, func(s dashboards.Summary) bool { return s.UID == "corpus-unsupported" })
		if at < 0 || all[at].Panels != 6 || all[at].Missing != 5 || all[at].Changed != 1 || !slices.Equal(all[at].Tags, []string{"corpus"}) {
			t.Errorf("the list says %+v", all)
		}
		return err
	})
}

func TestWhatHappenedIsAMarkOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		at := time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC)
		seen := nightporter.Evidence{ObservedAt: at.Add(time.Hour)}
		for range 2 { // events are delivered at least once
			for _, err := range []error{
				h.Deployed(h.ctx, nightporter.Deployed{Release: "r1", Service: "ledger", Environment: "prod", At: at}),
				h.RolledBack(h.ctx, nightporter.ReleaseRolledBack{Release: "r1", Service: "ledger", Environment: "prod", At: at.Add(time.Minute)}),
				h.Down(h.ctx, nightporter.EnvironmentDown{Environment: "dev", Run: "run1", Evidence: seen}),
				h.Passed(h.ctx, nightporter.DrillPassed{Environment: "dev", Run: "run2", StartedAt: at.Add(9 * time.Hour), FinishedAt: at.Add(10 * time.Hour)}),
				h.Missed(h.ctx, nightporter.DrillFailed{Environment: "dev", Run: "run3", FinishedAt: at.Add(34 * time.Hour)}),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		kinds := func(from, to time.Time, service, environment string) string {
			var all []string
			h.look(func(tx *store.Tx) error {
				marks, err := h.Marks(h.ctx, tx, from, to, service, environment)
				for _, m := range marks {
					all = append(all, m.Kind)
				}
				return err
			})
			return strings.Join(all, " ")
		}
		end := at.Add(48 * time.Hour)
		for _, c := range []struct{ service, environment, want string }{
			{"", "", "deploy rollback night morning failure"},
			{"ledger", "", "deploy rollback night morning failure"},
			{"other", "", "night morning failure"},
			{"", "prod", "deploy rollback"},
		} {
			if got := kinds(at, end, c.service, c.environment); got != c.want {
				t.Errorf("of service %q and environment %q the marks are %q, want %q", c.service, c.environment, got, c.want)
			}
		}
		if got := kinds(at.Add(time.Second), at.Add(2*time.Hour), "", ""); got != "rollback night" {
			t.Errorf("within two hours the marks are %q", got)
		}
	})
}

// A generated dashboard is one like any other: it compiles without a remark, can
// be exported, and cannot be replaced or deleted.
func TestGeneratedDashboardsAreWhole(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.SQLite(t, tables))
	h.look(func(tx *store.Tx) error {
		for workspace, want := range map[string][]string{"a": {"nightporter-service", "nightporter-environment"}, "nightporter": {"nightporter-self"}} {
			all, err := h.List(h.ctx, tx, workspace)
			if err != nil {
				return err
			}
			var got []string
			for _, s := range all {
				got = append(got, s.UID)
				_, detail, err := h.Show(h.ctx, tx, workspace, s.UID)
				if err != nil {
					return err
				}
				if len(detail.Issues) > 0 || detail.Panels < 7 || detail.Source != dashboards.Generated {
					t.Errorf("%s is %+v", s.UID, detail)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s has %q, want %q", workspace, got, want)
			}
		}
		return nil
	})
	raw, err := h.export("a", "nightporter-service", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Save(h.ctx, "a", raw, dashboards.Import{Replace: true}); nightporter.CodeOf(err) != nightporter.Conflict {
		t.Errorf("replacing a generated dashboard answers %v", err)
	}
	if err := h.Delete(h.ctx, "a", "nightporter-service"); nightporter.CodeOf(err) != nightporter.Declared {
		t.Errorf("deleting a generated dashboard answers %v", err)
	}
	if _, err := h.Save(h.ctx, "a", raw, dashboards.Import{UID: "ours"}); err != nil {
		t.Errorf("a copy under another name answers %v", err)
	}
}
