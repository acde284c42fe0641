package releases

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
)

// world declares n services in three environments.
func world(tb testing.TB, n int) *catalog.World {
	tb.Helper()
	var c catalog.Catalog
	w, err := c.Load(declared(n))
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

func declared(n int) catalog.Snapshot {
	s := catalog.Snapshot{
		Forges: []catalog.Forge{{Name: "hub", Kind: "mem"}},
		People: []catalog.Person{{Name: "ana"}}, Teams: []catalog.Team{{Name: "payments", Members: []string{"ana"}}},
		Pipeline: [][]string{{"dev", "preprod"}, {"prod"}},
	}
	for _, e := range []nightporter.Environment{
		{Name: "dev", Kind: nightporter.Development}, {Name: "preprod", Kind: nightporter.Staging}, {Name: "prod", Kind: nightporter.Production},
	} {
		declared := catalog.Environment{Environment: e, WhenDark: catalog.Wait}
		if e.Kind == nightporter.Production {
			declared.Approval = catalog.Approval{Count: 1, From: []string{catalog.Owner}, Author: catalog.Reviewed}
		}
		s.Environments = append(s.Environments, declared)
	}
	for i := range n {
		name := fmt.Sprintf("s%04d", i)
		s.Services = append(s.Services, catalog.Service{
			Service: nightporter.Service{Name: name, Owner: "payments", Repo: nightporter.Repo{Forge: "hub", Name: name}},
			Deploy:  catalog.Deploy{Kind: "mem", Run: []string{name}},
		})
	}
	return s
}

// fill writes what n services run: everything in dev at place 9, prod at place 7
// of every second service, and nothing in prod of every tenth.
func fill(tb testing.TB, db *store.DB, w *catalog.World) {
	tb.Helper()
	ctx := context.Background()
	err := db.Write(ctx, store.Relaxed, func(tx *store.Tx) error {
		for i, s := range w.Services() {
			for place := int64(1); place <= 9; place++ {
				m := nightporter.Merged{
					Repo: s.Repo, Commit: fmt.Sprintf("%s-%d", s.Name, place), Order: place, PullRequest: int(place),
					Title: "a change", Authors: []string{"ana-gh"}, MergedAt: time.Unix(1_000_000+place, 0),
				}
				b, err := json.Marshal(m)
				if err != nil {
					return err
				}
				if _, err := tx.Exec(ctx, `INSERT INTO release_merge (repo, commit_id, place, version, merged_at, merge) VALUES (?, ?, ?, ?, ?, ?)`,
					s.Repo.String(), m.Commit, place, fmt.Sprintf("1.0.%d", place), store.Micros(m.MergedAt), string(b)); err != nil {
					return err
				}
			}
			prod := int64(9)
			if i%2 == 1 {
				prod = 7
			}
			for env, place := range map[string]int64{"dev": 9, "preprod": 9, "prod": prod} {
				if env == "prod" && i%10 == 9 {
					continue
				}
				if _, err := tx.Exec(ctx, `INSERT INTO release_placement (service, environment, repo, version, commit_id, place, release_id, address, since, observed_at, source, asleep)
					VALUES (?, ?, ?, ?, ?, ?, 'rel_1', '', 1, 1, 'test', 0)`, s.Name, env, s.Repo.String(), fmt.Sprintf("1.0.%d", place),
					fmt.Sprintf("%s-%d", s.Name, place), place); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}

var tables = slices.Concat(run.Migrations, Migrations)

func read(tb testing.TB, db *store.DB, w *catalog.World) (rows []Row) {
	tb.Helper()
	ctx := context.Background()
	if err := db.View(ctx, func(tx *store.Tx) (err error) {
		rows, err = Board(ctx, tx, w)
		return err
	}); err != nil {
		tb.Fatal(err)
	}
	return rows
}

func TestBoard(t *testing.T) {
	t.Parallel()
	storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
		w := world(t, 20)
		fill(t, db, w)
		rows := read(t, db, w)
		if len(rows) != 20 {
			t.Fatalf("got %d rows, want 20", len(rows))
		}
		for i, row := range rows {
			behind, released := 0, i%10 != 9
			switch {
			case !released:
				behind = 9 // never in production: every merge we saw is missing
			case i%2 == 1:
				behind = 2
			}
			p := row.Production
			if p.Behind != behind || p.Released != released || len(p.Changes) != behind {
				t.Errorf("%s: got %d behind with %d changes, released %v; want %d, %v", row.Service, p.Behind, len(p.Changes), p.Released, behind, released)
			}
			if behind > 0 && p.Changes[0].PullRequest != 10-behind {
				t.Errorf("%s: the oldest change is #%d, want #%d", row.Service, p.Changes[0].PullRequest, 10-behind)
			}
			if got := row.Environments["dev"]; got.Version != "1.0.9" || got.State != "healthy" {
				t.Errorf("%s: dev is %+v", row.Service, got)
			}
		}
		if got := rows[9].Environments["prod"].State; got != "none" {
			t.Errorf("prod of a service that was never released is %q, want none", got)
		}
	})
}

func TestRung(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	ladder := []catalog.Reminder{{After: 4 * time.Hour, Who: "owner"}, {After: 24 * time.Hour, Who: "operators"}}
	for n, want := range []struct {
		who   string
		after time.Duration
	}{{"owner", 4 * time.Hour}, {"operators", 24 * time.Hour}, {"operators", 48 * time.Hour}, {"operators", 72 * time.Hour}} {
		who, at := rung(ladder, since, n)
		if who != want.who || at != since.Add(want.after) {
			t.Errorf("reminder %d: %s at %s, want %s after %s", n, who, at, want.who, want.after)
		}
	}
	if who, at := rung(nil, since, 0); who != "owner" || at != since.Add(4*time.Hour) {
		t.Errorf("without a ladder: %s at %s, want the owner after four hours", who, at)
	}
}

// The budget of docs/design.md: a page of 1,000 services in under 50 ms. This is
// the board's own share of it.
func BenchmarkBoard(b *testing.B) {
	db := storetest.SQLite(b, tables)
	w := world(b, 1000)
	fill(b, db, w)
	for b.Loop() {
		if rows := read(b, db, w); len(rows) != 1000 {
			b.Fatal(len(rows))
		}
	}
}
