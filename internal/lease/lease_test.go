package lease_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
)

var tables = slices.Concat(audit.Migrations, outbox.Migrations, lease.Migrations)

type nobody struct{}

func (nobody) Decide(context.Context, nightporter.Actor, nightporter.Action) nightporter.Decision {
	return nightporter.Decision{}
}

// desk is a gate with leases behind it and a clock that tests move.
type desk struct {
	t    *testing.T
	ctx  context.Context
	gate *gate.Gate

	mu  sync.Mutex
	now time.Time
}

func (d *desk) Now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

func (d *desk) advance(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(by)
}

func newDesk(t *testing.T, db *store.DB) *desk {
	t.Helper()
	d := &desk{t: t, now: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)}
	d.ctx = nightporter.WithActor(t.Context(), nightporter.SystemActor("test", ""))
	g, err := gate.New(gate.Config{DB: db, Bus: outbox.NewBus(), Decider: nobody{}, Now: d.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	d.gate = g
	return d
}

// do makes a change and fails the test when it fails.
func (d *desk) do(fn func(*gate.Tx) error) {
	d.t.Helper()
	if err := d.try(fn); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) try(fn func(*gate.Tx) error) error {
	return d.gate.Do(d.ctx, nightporter.Action{Name: "test"}, nightporter.Resource{Kind: "lease", ID: "x"}, fn)
}

func (d *desk) look(fn func(*store.Tx) error) {
	d.t.Helper()
	if err := d.gate.Look(d.ctx, fn); err != nil {
		d.t.Fatal(err)
	}
}

// lease writes one that ends after ttl, 0 for never.
func (d *desk) lease(id, parent string, ttl time.Duration) {
	d.t.Helper()
	d.do(func(tx *gate.Tx) error {
		l := lease.Lease{ID: id, Kind: "thing", Parent: parent, Path: "db/creds/ro", Owner: "ledger", IssuedAt: tx.Now(), Renewable: true}
		if ttl > 0 {
			l.ExpiresAt, l.MaxAt = tx.Now().Add(ttl), tx.Now().Add(2*ttl)
		}
		return lease.Create(d.ctx, tx.Tx, l)
	})
}

func (d *desk) alive(id string) (alive bool) {
	d.t.Helper()
	d.look(func(tx *store.Tx) (err error) {
		alive, err = lease.Alive(d.ctx, tx, id, d.Now())
		return err
	})
	return alive
}

func (d *desk) ids() (ids []string) {
	d.t.Helper()
	d.look(func(tx *store.Tx) error {
		list, err := lease.Query(d.ctx, tx, `ORDER BY id`)
		for _, l := range list {
			ids = append(ids, l.ID)
		}
		return err
	})
	return ids
}

func TestALeaseIsDeadWithAnyOfItsAncestors(t *testing.T) {
	t.Parallel()
	storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
		d := newDesk(t, db)
		d.lease("grandparent", "", 0)
		d.lease("parent", "grandparent", time.Hour)
		d.lease("child", "parent", 10*time.Hour)
		d.lease("other", "", time.Minute)
		if !d.alive("child") || d.alive("nobody") {
			t.Fatal("a fresh child is dead, or an unknown lease alive")
		}
		d.look(func(tx *store.Tx) error {
			c, err := lease.Ancestry(d.ctx, tx, "child", d.Now())
			want := lease.Chain{IDs: []string{"child", "parent", "grandparent"}, Until: d.Now().Add(time.Hour)}
			if diff := cmp.Diff(want, c); diff != "" {
				t.Error(diff)
			}
			return err
		})
		d.advance(time.Hour)
		if d.alive("child") || d.alive("parent") || !d.alive("grandparent") {
			t.Error("an expired parent leaves its child alive, or took its own parent along")
		}
		d.lease("second", "grandparent", time.Hour)
		d.do(func(tx *gate.Tx) error { return lease.Doom(d.ctx, tx.Tx, "grandparent", "test", tx.Now()) })
		if d.alive("second") {
			t.Error("the child of a doomed lease is alive")
		}
	})
}

func TestAChainWithoutEndIsDead(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.SQLite(t, tables))
	d.lease("a", "b", 0)
	d.lease("b", "a", 0)
	if d.alive("a") {
		t.Error("a lease that is its own ancestor is alive")
	}
}

func TestRenewCountsFromNowAndStopsAtTheMaximum(t *testing.T) {
	t.Parallel()
	storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
		d := newDesk(t, db)
		d.lease("l", "", time.Hour) // two hours at most
		issued := d.Now()
		for _, c := range []struct {
			name      string
			after     time.Duration
			increment time.Duration
			end       time.Duration // since it was issued
			capped    bool
		}{
			{"forward", 30 * time.Minute, time.Hour, 90 * time.Minute, false},
			{"shorter than before", 0, time.Minute, 31 * time.Minute, false},
			{"to the maximum", 0, 5 * time.Hour, 2 * time.Hour, true},
		} {
			d.advance(c.after)
			d.do(func(tx *gate.Tx) error {
				end, capped, err := lease.Renew(d.ctx, tx.Tx, "l", c.increment, tx.Now())
				if got := end.Sub(issued); got != c.end || capped != c.capped {
					t.Errorf("%s: ends after %v (capped %v), want %v (%v)", c.name, got, capped, c.end, c.capped)
				}
				return err
			})
		}
		d.advance(2 * time.Hour)
		err := d.try(func(tx *gate.Tx) error {
			_, _, err := lease.Renew(d.ctx, tx.Tx, "l", time.Hour, tx.Now())
			return err
		})
		if nightporter.CodeOf(err) != nightporter.NotFound {
			t.Errorf("renewing a dead lease: %v, want not_found", err)
		}
	})
}

func TestBelowIsAFolderAndNoPrefixOfAName(t *testing.T) {
	t.Parallel()
	storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
		d := newDesk(t, db)
		for i, path := range []string{"db/creds/ro", "db/creds/ro2", "db/creds/r%", "db/creds", "DB/creds/ro", "dbx/creds/ro", "db/creds/Ünï"} {
			d.do(func(tx *gate.Tx) error {
				return lease.Create(d.ctx, tx.Tx, lease.Lease{ID: fmt.Sprintf("%s/%d", path, i), Kind: "thing", Path: path, IssuedAt: tx.Now()})
			})
		}
		d.do(func(tx *gate.Tx) error {
			return lease.Create(d.ctx, tx.Tx, lease.Lease{ID: "accessor", Kind: lease.Token, Path: "db/creds/ro", IssuedAt: tx.Now()})
		})
		for prefix, want := range map[string][]string{
			"db/creds/ro":   {"db/creds/ro/0"},
			"db/creds/ro/":  {"db/creds/ro/0"},
			"db/creds/r%":   {"db/creds/r%/2"},
			"db/creds/ro/0": {"db/creds/ro/0"},
			"nothing":       nil,
			"db":            {"db/creds/3", "db/creds/r%/2", "db/creds/ro/0", "db/creds/ro2/1", "db/creds/Ünï/6"},
		} {
			var got []string
			d.look(func(tx *store.Tx) error {
				list, err := lease.Below(d.ctx, tx, prefix)
				for _, l := range list {
					got = append(got, l.ID)
				}
				return err
			})
			slices.Sort(got)
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("below %q (-want +got):\n%s", prefix, diff)
			}
		}
		d.do(func(tx *gate.Tx) error {
			ids, err := lease.DoomBelow(d.ctx, tx.Tx, "db/creds/ro", "test", tx.Now())
			if diff := cmp.Diff([]string{"db/creds/ro/0"}, ids); diff != "" {
				t.Error(diff)
			}
			return err
		})
		if d.alive("db/creds/ro/0") || !d.alive("db/creds/ro2/1") || !d.alive("accessor") {
			t.Error("the wrong leases were doomed")
		}
	})
}

// farEnd is a revoker that a test steers.
type farEnd struct {
	mu    sync.Mutex
	down  bool
	asked [][]string
}

func (f *farEnd) Revoke(_ context.Context, leases []lease.Lease) []lease.Outcome {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]lease.Outcome, len(leases))
	var ids []string
	for i, l := range leases {
		ids = append(ids, l.ID)
		if f.down {
			out[i].Err = nightporter.E(nightporter.Unavailable, "the database does not answer")
		}
	}
	f.asked = append(f.asked, ids)
	return out
}

func newReaper(t *testing.T, d *desk, f *farEnd) *lease.Reaper {
	t.Helper()
	r, err := lease.NewReaper(lease.ReaperConfig{Gate: d.gate, Now: d.Now, Revokers: map[lease.Kind]lease.Revoker{"thing": f}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheReaperEndsATreeAndForgetsItWhenTheFarEndConfirmed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
		d := newDesk(t, db)
		f := &farEnd{}
		r := newReaper(t, d, f)
		d.lease("parent", "", time.Hour)
		for i := range 20 {
			d.lease(fmt.Sprintf("child%02d", i), "parent", 10*time.Hour)
		}
		d.lease("other", "", 10*time.Hour)
		d.advance(time.Hour)
		ctx, stop := context.WithCancel(d.ctx)
		done := make(chan struct{})
		go func() { defer close(done); r.Run(ctx) }()
		for len(d.ids()) > 1 { // each look is a read of the store: this waits for it, not for time
			r.Wake()
		}
		stop()
		<-done
		if diff := cmp.Diff([]string{"other"}, d.ids()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestFinishSaysWhyALeaseIsStillThereAndTheReaperGoesOn(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.SQLite(t, tables))
	f := &farEnd{down: true}
	r := newReaper(t, d, f)
	d.lease("l", "", time.Hour)
	d.do(func(tx *gate.Tx) error { return lease.Doom(d.ctx, tx.Tx, "l", "test", tx.Now()) })
	if err := r.Finish(d.ctx, []string{"l", "unknown"}); err == nil || nightporter.CodeOf(err) == "" {
		t.Fatalf("Finish = %v, want the reason", err)
	}
	d.look(func(tx *store.Tx) error {
		l, err := lease.Get(d.ctx, tx, "l")
		if l.Attempts != 1 || l.Error != "the database does not answer" {
			t.Errorf("lease = %+v", l)
		}
		return err
	})
	f.mu.Lock()
	f.down = false
	f.mu.Unlock()
	if err := r.Finish(d.ctx, []string{"l"}); err != nil {
		t.Fatal(err)
	}
	if ids := d.ids(); ids != nil {
		t.Errorf("leases = %v, want none", ids)
	}
}

func TestManyWhoWaitForTheSameLeaseHaveItEndedOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.SQLite(t, tables))
	f := &farEnd{}
	r := newReaper(t, d, f)
	d.lease("l", "", time.Hour)
	d.do(func(tx *gate.Tx) error { return lease.Doom(d.ctx, tx.Tx, "l", "test", tx.Now()) })
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { errs[i] = r.Finish(d.ctx, []string{"l"}) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if len(f.asked) != 1 {
		t.Errorf("the far end was asked %d times", len(f.asked))
	}
}

// A server whose clock was a day ahead, and was set right, must not wait a day.
func TestAClockThatIsSetBackDelaysNoEnd(t *testing.T) {
	t.Parallel()
	storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
		d := newDesk(t, db)
		f := &farEnd{down: true}
		r := newReaper(t, d, f)
		d.lease("l", "", time.Hour)
		d.advance(24 * time.Hour)
		d.do(func(tx *gate.Tx) error { return lease.Doom(d.ctx, tx.Tx, "l", "test", tx.Now()) })
		if err := r.Finish(d.ctx, []string{"l"}); err == nil {
			t.Fatal("it ended at a far end that is down")
		}
		d.advance(-24 * time.Hour)
		f.mu.Lock()
		f.down = false
		f.mu.Unlock()
		ctx, stop := context.WithTimeout(d.ctx, 30*time.Second) // for what hangs
		done := make(chan struct{})
		go func() { defer close(done); r.Run(ctx) }()
		for len(d.ids()) > 0 && ctx.Err() == nil { // each look is a read of the store: this waits for it, not for time
			r.Wake()
		}
		if ctx.Err() != nil {
			t.Errorf("leases = %v, want none", d.ids())
		}
		stop()
		<-done
	})
}

func TestOrphansOutliveTheirParent(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.SQLite(t, tables))
	d.lease("parent", "", time.Hour)
	d.lease("child", "parent", time.Hour)
	d.do(func(tx *gate.Tx) error {
		if err := lease.Orphan(d.ctx, tx.Tx, "parent"); err != nil {
			return err
		}
		return lease.Doom(d.ctx, tx.Tx, "parent", "test", tx.Now())
	})
	if !d.alive("child") {
		t.Error("the orphan is dead")
	}
	d.look(func(tx *store.Tx) error {
		counts, err := lease.Count(d.ctx, tx)
		if counts["db/creds/ro"] != 2 {
			t.Errorf("counts = %v", counts)
		}
		return err
	})
}
