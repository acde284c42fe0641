package security_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
	"nightporter.dev/nightporter/security"
)

var tables = slices.Concat(audit.Migrations, outbox.Migrations, security.Migrations)

type allowAll struct{}

func (allowAll) Decide(context.Context, nightporter.Actor, nightporter.Action) nightporter.Decision {
	return nightporter.Decision{Allowed: true}
}

// monday is when the stories of these tests begin.
var monday = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// house is the capability with two services: ledger is the payments team's, and
// web, which nobody has a team for any more.
type house struct {
	t        testing.TB
	db       *store.DB
	gate     *gate.Gate
	catalog  *catalog.Catalog
	security *security.Security
	now      time.Time
}

func newHouse(t testing.TB, db *store.DB) *house {
	t.Helper()
	h := &house{t: t, db: db, now: monday, catalog: &catalog.Catalog{}}
	service := func(name string) catalog.Service {
		return catalog.Service{
			Service: nightporter.Service{Name: name, Owner: "payments", Repo: nightporter.Repo{Forge: "hub", Name: name}},
			Deploy:  catalog.Deploy{Kind: "mem"},
		}
	}
	_, err := h.catalog.Load(catalog.Snapshot{
		Forges: []catalog.Forge{{Name: "hub", Kind: "mem"}}, People: []catalog.Person{{Name: "ana"}, {Name: "ben"}},
		Teams: []catalog.Team{{Name: "payments", Members: []string{"ana"}}},
		Environments: []catalog.Environment{
			{Environment: nightporter.Environment{Name: "dev", Kind: nightporter.Development}, WhenDark: catalog.Wait},
			{Environment: nightporter.Environment{Name: "prod", Kind: nightporter.Production}, WhenDark: catalog.Wait},
		},
		Services: []catalog.Service{service("ledger"), service("web")},
	})
	if err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return h.now }
	if h.gate, err = gate.New(gate.Config{DB: db, Bus: outbox.NewBus(), Decider: allowAll{}, Now: now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.gate.Close)
	if h.security, err = security.New(security.Config{Gate: h.gate, Catalog: h.catalog, Now: now}); err != nil {
		t.Fatal(err)
	}
	return h
}

func as(name string) context.Context {
	return nightporter.WithActor(context.Background(), nightporter.Actor{Kind: nightporter.Person, Name: name})
}

func porter() context.Context {
	return nightporter.WithActor(context.Background(), nightporter.SystemActor("scan", ""))
}

func (h *house) record(findings ...security.Finding) security.Recorded {
	h.t.Helper()
	r, err := h.security.Record(porter(), findings...)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (h *house) finding(key string) security.Finding {
	h.t.Helper()
	var f *security.Finding
	err := h.db.View(context.Background(), func(tx *store.Tx) (err error) {
		f, err = security.GetFinding(context.Background(), tx, security.FindingID(key))
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return *f
}

// events are the names of what was published.
func (h *house) events() (names []string) {
	h.t.Helper()
	err := h.db.View(context.Background(), func(tx *store.Tx) error {
		list, err := outbox.Since(context.Background(), tx, 0, 1000)
		for _, e := range list {
			names = append(names, e.Name)
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return names
}

func leak(key string) security.Finding {
	return security.Finding{
		Key: key, Repo: "hub/ledger", Check: "C1", Rule: "postgres-url", Severity: nightporter.Critical,
		Title: "a database password in the repository", Evidence: "config/app.yaml in 3efba60", Source: "secret scan",
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	t.Run("one that is new belongs to the team of its repository and is due by its severity", func(t *testing.T) {
		t.Parallel()
		storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
			h := newHouse(t, db)
			if r := h.record(leak("k1"), leak("k1")); r.New != 1 {
				t.Errorf("got %+v, want one new finding", r)
			}
			f := h.finding("k1")
			if f.Service != "ledger" || f.Owner != "payments" || f.State != security.Open || !f.Due.Equal(monday.Add(day)) {
				t.Errorf("got %+v, want it open, with payments, due tomorrow", f)
			}
			for severity, due := range map[nightporter.Severity]time.Duration{"high": 7 * day, "medium": 30 * day, "low": 90 * day} {
				one := leak("k-" + string(severity))
				one.Severity = severity
				h.record(one)
				if f := h.finding(one.Key); !f.Due.Equal(monday.Add(due)) {
					t.Errorf("%s is due %s, want %s", severity, f.Due, monday.Add(due))
				}
			}
		})
	})
	t.Run("one that is seen again keeps its date, its owner and what people said", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, storetest.SQLite(t, tables))
		h.record(leak("k1"))
		if _, err := h.security.Triage(as("ana"), h.finding("k1").ID, "ben", "it is real"); err != nil {
			t.Fatal(err)
		}
		h.now = monday.Add(5 * time.Hour)
		if r := h.record(leak("k1")); r != (security.Recorded{Known: 1}) {
			t.Errorf("got %+v, want one known", r)
		}
		f := h.finding("k1")
		if f.State != security.Triaged || f.Owner != "ben" || f.Note != "it is real" || !f.Due.Equal(monday.Add(day)) || !f.LastSeenAt.Equal(h.now) {
			t.Errorf("got %+v", f)
		}
	})
	t.Run("only proof fixes, and what comes back is open again", func(t *testing.T) {
		t.Parallel()
		storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
			h := newHouse(t, db)
			h.record(leak("k1"))
			if err := h.security.Fixed(porter(), "k1", " "); nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("got %v, want invalid without proof", err)
			}
			for range 2 { // a second proof changes nothing
				if err := h.security.Fixed(porter(), "k1", "the login was refused"); err != nil {
					t.Fatal(err)
				}
			}
			if f := h.finding("k1"); f.State != security.Fixed || f.Proof != "the login was refused" || !f.FixedAt.Equal(monday) {
				t.Errorf("got %+v, want it fixed", f)
			}
			if _, err := h.security.Triage(as("ana"), h.finding("k1").ID, "", ""); nightporter.CodeOf(err) != nightporter.Conflict {
				t.Errorf("got %v, want a conflict: nobody but a test reopens what is fixed", err)
			}
			h.now = monday.Add(10 * day)
			if r := h.record(leak("k1")); r.Reopened != 1 {
				t.Errorf("got %+v, want it reopened", r)
			}
			if f := h.finding("k1"); f.State != security.Open || f.Proof != "" || !f.Due.Equal(monday.Add(11*day)) || f.Reopened != 1 {
				t.Errorf("got %+v, want it open and due tomorrow", f)
			}
			if got, want := h.events(), []string{"FindingOpened", "FindingFixed", "FindingOpened"}; !slices.Equal(got, want) {
				t.Errorf("told %q, want %q", got, want)
			}
		})
	})
	t.Run("an acceptance needs a reason and a day, and ends by itself", func(t *testing.T) {
		t.Parallel()
		storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
			h := newHouse(t, db)
			h.record(leak("k1"))
			id := h.finding("k1").ID
			for what, err := range map[string]error{
				"no reason":          second(h.security.Accept(as("ana"), id, monday.Add(day), " ")),
				"a day gone by":      second(h.security.Accept(as("ana"), id, monday, "test data")),
				"more than one year": second(h.security.Accept(as("ana"), id, monday.Add(400*day), "test data")),
			} {
				if nightporter.CodeOf(err) != nightporter.Invalid {
					t.Errorf("%s: got %v, want invalid", what, err)
				}
			}
			f, err := h.security.Accept(as("ana"), id, monday.Add(14*day), "test data")
			if err != nil || f.State != security.Accepted || f.Accepted.By != "ana" {
				t.Fatalf("got %+v, %v", f, err)
			}
			h.now = monday.Add(13 * day)
			h.record(leak("k1"))
			h.look()
			if f := h.finding("k1"); f.State != security.Accepted || f.Accepted == nil {
				t.Errorf("got %+v, want it accepted still", f)
			}
			h.now = monday.Add(14 * day)
			h.look()
			if f := h.finding("k1"); f.State != security.Open || f.Accepted != nil || !f.Due.Equal(monday.Add(15*day)) {
				t.Errorf("got %+v, want it open by itself", f)
			}
		})
	})
	t.Run("a list has what stands, the first due first, in pages", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, storetest.SQLite(t, tables))
		low := leak("low")
		low.Severity = nightporter.Low
		h.record(low, leak("k1"), leak("k2"), leak("gone"))
		if err := h.security.Fixed(porter(), "gone", "looked again"); err != nil {
			t.Fatal(err)
		}
		var got []string
		after := ""
		for range 4 {
			var page []security.Finding
			if err := db(h, func(tx *store.Tx) (err error) {
				page, err = security.Findings(context.Background(), tx, security.FindingFilter{Service: "ledger", Limit: 1, After: after})
				return err
			}); err != nil {
				t.Fatal(err)
			}
			for _, f := range page {
				got = append(got, f.Key)
				after = security.FindingCursor(f)
			}
		}
		first, second := "k1", "k2"
		if security.FindingID(second) < security.FindingID(first) {
			first, second = second, first
		}
		if want := []string{first, second, "low"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("nonsense is refused before anything is written", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, storetest.SQLite(t, tables))
		bad := leak("k2")
		bad.Severity = "awful"
		if _, err := h.security.Record(porter(), leak("k1"), bad); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("got %v, want invalid", err)
		}
		if len(h.events()) != 0 {
			t.Error("something was written")
		}
	})
}

func second[T any](_ T, err error) error { return err }

func db(h *house, fn func(*store.Tx) error) error { return h.db.View(context.Background(), fn) }

// look is what the loop does by itself.
func (h *house) look() {
	h.t.Helper()
	if err := h.security.Look(porter()); err != nil {
		h.t.Fatal(err)
	}
}
