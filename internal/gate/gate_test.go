package gate_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
)

var migrations = append(append([]store.Migration{{Name: "test/0001", SQL: `
CREATE TABLE thing (name TEXT PRIMARY KEY, n BIGINT NOT NULL);
`}}, audit.Migrations...), outbox.Migrations...)

// deciderFunc makes a function a Decider.
type deciderFunc func(nightporter.Actor, nightporter.Action) nightporter.Decision

func (f deciderFunc) Decide(_ context.Context, actor nightporter.Actor, action nightporter.Action) nightporter.Decision {
	return f(actor, action)
}

func allowAll(nightporter.Actor, nightporter.Action) nightporter.Decision {
	return nightporter.Decision{Allowed: true, Policy: "test"}
}

func newGate(t testing.TB, db *store.DB, decide deciderFunc) *gate.Gate {
	t.Helper()
	g, err := gate.New(gate.Config{DB: db, Bus: outbox.NewBus(), Decider: decide})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

func as(name string) context.Context {
	return nightporter.WithActor(context.Background(), nightporter.Actor{Kind: nightporter.Person, Name: name})
}

var write = nightporter.Action{Name: "thing.write", Capability: nightporter.Update, Path: "api/things"}

func thing(name string) nightporter.Resource { return nightporter.Resource{Kind: "thing", ID: name} }

func insert(ctx context.Context, name string) func(*gate.Tx) error {
	return func(tx *gate.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO thing (name, n) VALUES (?, 1)`, name)
		return err
	}
}

func count(t *testing.T, db *store.DB, query string, args ...any) int {
	t.Helper()
	var n int
	if err := db.View(context.Background(), func(tx *store.Tx) error {
		return tx.QueryRow(context.Background(), query, args...).Scan(&n)
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestDo(t *testing.T) {
	t.Parallel()
	storetest.Each(t, migrations, func(t *testing.T, db *store.DB) {
		t.Run("a change is committed with its audit entry and its events", func(t *testing.T) {
			g := newGate(t, db, allowAll)
			ctx := nightporter.WithRequestID(as("ana"), "req1")
			err := g.Do(ctx, write, thing("a"), func(tx *gate.Tx) error {
				tx.Detail("size", 3)
				tx.Publish(nightporter.VersionCut{Repo: nightporter.Repo{Forge: "f", Name: "a"}})
				return insert(ctx, "a")(tx)
			})
			if err != nil {
				t.Fatal(err)
			}
			var entries []audit.Entry
			if err := db.View(ctx, func(tx *store.Tx) error {
				entries, err = audit.List(ctx, tx, audit.Filter{})
				return err
			}); err != nil {
				t.Fatal(err)
			}
			if len(entries) != 1 {
				t.Fatalf("got %d entries, want 1", len(entries))
			}
			e := entries[0]
			got := []string{e.Actor.Name, e.Action, e.Resource.String(), e.Decision, e.RequestID, string(e.Detail)}
			want := []string{"ana", "thing.write", "thing/a", "allowed", "req1", `{"size":3}`}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("entry (-want +got):\n%s", diff)
			}
			if n := count(t, db, `SELECT COUNT(*) FROM event WHERE name = 'VersionCut' AND cause = 'ana'`); n != 1 {
				t.Errorf("got %d events, want 1", n)
			}
		})
		t.Run("an error of the change leaves nothing behind", func(t *testing.T) {
			g := newGate(t, db, allowAll)
			before := count(t, db, `SELECT COUNT(*) FROM audit_entry`)
			broken := errors.New("no")
			err := g.Do(as("ana"), write, thing("b"), func(tx *gate.Tx) error {
				tx.Publish(nightporter.VersionCut{})
				if err := insert(context.Background(), "b")(tx); err != nil {
					return err
				}
				return broken
			})
			if !errors.Is(err, broken) {
				t.Errorf("got %v, want the change's own error", err)
			}
			if n := count(t, db, `SELECT COUNT(*) FROM thing WHERE name = 'b'`); n != 0 {
				t.Error("the refused change stayed")
			}
			if after := count(t, db, `SELECT COUNT(*) FROM audit_entry`); after != before {
				t.Errorf("got %d entries, want %d", after, before)
			}
		})
		t.Run("a panic in a change is its error and nobody else's", func(t *testing.T) {
			g := newGate(t, db, allowAll)
			if err := g.Do(as("ana"), write, thing("p"), func(*gate.Tx) error { panic("oh") }); err == nil {
				t.Error("got no error")
			}
			if err := g.Do(as("ana"), write, thing("p"), insert(context.Background(), "p")); err != nil {
				t.Errorf("the next change: %v", err)
			}
		})
		t.Run("a refusal is audited and changes nothing", func(t *testing.T) {
			g := newGate(t, db, func(nightporter.Actor, nightporter.Action) nightporter.Decision {
				return nightporter.Decision{Reason: "not today"}
			})
			err := g.Do(as("sam"), write, thing("c"), insert(context.Background(), "c"))
			if nightporter.CodeOf(err) != nightporter.Denied || nightporter.MessageOf(err) != "not today" {
				t.Errorf("got %v, want a refusal with the policy's reason", err)
			}
			if n := count(t, db, `SELECT COUNT(*) FROM thing WHERE name = 'c'`); n != 0 {
				t.Error("the change was made")
			}
			if n := count(t, db, `SELECT COUNT(*) FROM audit_entry WHERE actor = 'sam' AND decision = 'denied'`); n != 1 {
				t.Errorf("got %d refusals in the register, want 1", n)
			}
		})
		t.Run("a refusal by the workflow's own rules is audited too", func(t *testing.T) {
			g := newGate(t, db, allowAll)
			err := g.Do(as("kim"), write, thing("own"), func(tx *gate.Tx) error {
				if err := insert(context.Background(), "own")(tx); err != nil {
					return err
				}
				return nightporter.E(nightporter.OwnChange, "kim is an author")
			})
			if nightporter.CodeOf(err) != nightporter.OwnChange {
				t.Errorf("got %v, want own_change", err)
			}
			if n := count(t, db, `SELECT COUNT(*) FROM thing WHERE name = 'own'`); n != 0 {
				t.Error("the change was made")
			}
			if n := count(t, db, `SELECT COUNT(*) FROM audit_entry WHERE actor = 'kim' AND decision = 'denied' AND detail LIKE '%own_change%'`); n != 1 {
				t.Errorf("got %d refusals in the register, want 1", n)
			}
		})
		t.Run("nobody may do nothing, and it is not written down", func(t *testing.T) {
			g := newGate(t, db, allowAll)
			before := count(t, db, `SELECT COUNT(*) FROM audit_entry`)
			err := g.Do(context.Background(), write, thing("d"), insert(context.Background(), "d"))
			if nightporter.CodeOf(err) != nightporter.Unauthenticated {
				t.Errorf("got %v, want unauthenticated", err)
			}
			if after := count(t, db, `SELECT COUNT(*) FROM audit_entry`); after != before {
				t.Error("a stranger wrote into the register")
			}
		})
	})
}

// One of the three hardest neighbours: many callers share a commit, one of them
// is refused inside its function, and only that one is undone.
func TestABatchOf256ChangesWithOneRefused(t *testing.T) {
	t.Parallel()
	storetest.Each(t, migrations, func(t *testing.T, db *store.DB) {
		g := newGate(t, db, allowAll)
		// The first change holds the committer until all others wait, so that
		// they are one batch.
		hold, held := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			err := g.Do(as("ana"), write, thing("first"), func(*gate.Tx) error {
				close(held)
				<-hold
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		<-held
		const refused = 100
		errs := make([]error, 256)
		for i := range errs {
			wg.Go(func() {
				name := fmt.Sprint("t", i)
				errs[i] = g.Do(as("ana"), write, thing(name), func(tx *gate.Tx) error {
					tx.Publish(nightporter.VersionCut{Repo: nightporter.Repo{Forge: "f", Name: name}})
					if err := insert(context.Background(), name)(tx); err != nil {
						return err
					}
					if i == refused {
						return nightporter.E(nightporter.Conflict, "this one is not possible")
					}
					return nil
				})
			})
		}
		close(hold)
		wg.Wait()
		for i, err := range errs {
			if want := i == refused; (nightporter.CodeOf(err) == nightporter.Conflict) != want {
				t.Errorf("change %d: got %v", i, err)
			}
		}
		if n := count(t, db, `SELECT COUNT(*) FROM thing`); n != 255 {
			t.Errorf("got %d things, want 255", n)
		}
		if n := count(t, db, `SELECT COUNT(*) FROM event`); n != 255 {
			t.Errorf("got %d events, want 255", n)
		}
		if n := count(t, db, `SELECT COUNT(*) FROM audit_entry`); n != 256 {
			t.Errorf("got %d entries, want 256 (the holder's and 255)", n)
		}
		verifyAudit(t, db)
	})
}

func verifyAudit(t *testing.T, db *store.DB) {
	t.Helper()
	ctx := context.Background()
	if err := db.View(ctx, func(tx *store.Tx) error {
		r, err := audit.Verify(ctx, tx, "")
		if err == nil && len(r.Damage) > 0 {
			t.Errorf("the audit log is damaged: %v", r.Damage)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// The figures of docs/design.md: audited changes per second, durable, by how
// many callers wait at once.
func BenchmarkDo(b *testing.B) {
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) { benchmark(b, callers, (*gate.Gate).Do) })
	}
}

// Reads of secrets: written before the answer, synced within a second.
func BenchmarkRead(b *testing.B) {
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			benchmark(b, callers, func(g *gate.Gate, ctx context.Context, a nightporter.Action, r nightporter.Resource, _ func(*gate.Tx) error) error {
				return g.Read(ctx, a, r, func(*store.Tx) error { return nil })
			})
		})
	}
}

func benchmark(b *testing.B, callers int, do func(*gate.Gate, context.Context, nightporter.Action, nightporter.Resource, func(*gate.Tx) error) error) {
	ctx := as("ana")
	db, err := store.Open(ctx, store.Config{URL: "sqlite:" + b.TempDir() + "/store.db"})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(ctx, migrations); err != nil {
		b.Fatal(err)
	}
	g := newGate(b, db, allowAll)
	defer g.Close()
	if err := g.Do(ctx, write, thing("x"), insert(ctx, "x")); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	var wg sync.WaitGroup
	work := make(chan struct{}, callers)
	for range callers {
		wg.Go(func() {
			for range work {
				err := do(g, ctx, write, thing("x"), func(tx *gate.Tx) error {
					_, err := tx.Exec(ctx, `UPDATE thing SET n = n + 1 WHERE name = ?`, "x")
					return err
				})
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
