package identity_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/internal/policy"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
)

var tables = slices.Concat(audit.Migrations, outbox.Migrations, lease.Migrations, identity.Migrations)

// desk is an identity with a gate, a catalog and a clock that tests move.
type desk struct {
	*identity.Identity
	t        testing.TB
	ctx      context.Context
	gate     *gate.Gate
	catalog  *catalog.Catalog
	policies *policy.Set

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

func newDesk(t testing.TB, db *store.DB) *desk {
	t.Helper()
	d := &desk{t: t, catalog: &catalog.Catalog{}, now: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)}
	d.ctx = nightporter.WithActor(t.Context(), nightporter.SystemActor("test", ""))
	d.declare("ana")
	var err error
	if d.policies, err = policy.NewSet(policy.Config{Now: d.Now}); err != nil {
		t.Fatal(err)
	}
	d.Identity, err = identity.New(identity.Config{DB: db, Policies: d.policies, Catalog: d.catalog, Now: d.Now})
	if err != nil {
		t.Fatal(err)
	}
	if d.gate, err = gate.New(gate.Config{DB: db, Bus: outbox.NewBus(), Decider: d.Identity, Now: d.Now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.gate.Close)
	d.Bind(d.gate)
	if err := d.LoadPolicies(d.ctx); err != nil {
		t.Fatal(err)
	}
	return d
}

// declare makes a world in which these people are team-a's members.
func (d *desk) declare(members ...string) {
	d.t.Helper()
	_, err := d.catalog.Load(catalog.Snapshot{
		People: []catalog.Person{{Name: "ana"}, {Name: "ben"}}, Teams: []catalog.Team{{Name: "team-a", Members: members}},
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) do(fn func(*gate.Tx) error) {
	d.t.Helper()
	if err := d.gate.Do(d.ctx, nightporter.Action{Name: "test"}, nightporter.Resource{Kind: "token", ID: "x"}, fn); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) token(s identity.Spec) (token string, info identity.Info) {
	d.t.Helper()
	if s.Actor == "" {
		s.ActorKind, s.Actor = nightporter.Machine, "ci"
	}
	d.do(func(tx *gate.Tx) (err error) {
		token, info, err = d.Create(d.ctx, tx, s)
		return err
	})
	return token, info
}

func (d *desk) works(token string) bool {
	d.t.Helper()
	_, _, err := d.Authenticate(d.ctx, token, "192.0.2.1")
	if err != nil && nightporter.CodeOf(err) != nightporter.Unauthenticated {
		d.t.Fatal(err)
	}
	return err == nil
}

func TestATokenEndsInTheSameMomentAsAnythingAboveIt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
		for name, end := range map[string]func(d *desk, parent identity.Info){
			"revoked": func(d *desk, p identity.Info) {
				d.do(func(tx *gate.Tx) error { return d.Revoke(d.ctx, tx, p.Accessor, "test") })
			},
			"expired": func(d *desk, _ identity.Info) { d.advance(time.Hour) },
			"below a path": func(d *desk, p identity.Info) {
				d.do(func(tx *gate.Tx) error { return d.RevokeBelow(d.ctx, tx, "auth/x/", "test") })
			},
			"shortened": func(d *desk, p identity.Info) {
				d.do(func(tx *gate.Tx) error {
					_, _, err := d.Renew(d.ctx, tx, p.Accessor, time.Second)
					return err
				})
				d.advance(time.Second)
			},
		} {
			d := newDesk(t, db)
			parentToken, parent := d.token(identity.Spec{TTL: time.Hour, Path: "auth/x/login"})
			childToken, child := d.token(identity.Spec{TTL: 5 * time.Hour, Parent: parent.Accessor})
			grandchild, _ := d.token(identity.Spec{TTL: 5 * time.Hour, Parent: child.Accessor})
			other, _ := d.token(identity.Spec{TTL: 5 * time.Hour})
			all := []string{parentToken, childToken, grandchild}
			for range 2 { // from the store, and remembered
				for _, token := range append(all, other) {
					if !d.works(token) {
						t.Fatalf("%s: a fresh token does not work", name)
					}
				}
			}
			end(d, parent)
			for i, token := range all {
				if d.works(token) {
					t.Errorf("%s: generation %d still works", name, i)
				}
			}
			if !d.works(other) {
				t.Errorf("%s: another tree ended too", name)
			}
		}
	})
}

// A reader that looked before a revocation must not remember what it saw.
func TestNothingRevokedIsRemembered(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.SQLite(t, tables))
	for range 50 {
		token, info := d.token(identity.Spec{TTL: time.Hour})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { d.works(token) })
		}
		d.do(func(tx *gate.Tx) error { return d.Revoke(d.ctx, tx, info.Accessor, "test") })
		if d.works(token) {
			t.Fatal("a revoked token works")
		}
		wg.Wait()
		if d.works(token) {
			t.Fatal("a revoked token works again")
		}
	}
}

func TestTheUsesOfATokenAreCountedWhoeverAsksAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
		d := newDesk(t, db)
		token, _ := d.token(identity.Spec{TTL: time.Hour, Uses: 5})
		var wg sync.WaitGroup
		var mu sync.Mutex
		good, spent := 0, 0
		for range 20 {
			wg.Go(func() {
				_, info, err := d.Authenticate(d.ctx, token, "")
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					good++
				}
				if err == nil && info.Spent() {
					spent++
				}
			})
		}
		wg.Wait()
		if good != 5 || spent != 1 {
			t.Errorf("used %d times, of which %d were the last; want 5 and 1", good, spent)
		}
	})
}

func TestTheTimesOfANewToken(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.SQLite(t, tables))
	for _, c := range []struct {
		name     string
		spec     identity.Spec
		ttl, max time.Duration // 0 is none
	}{
		{"nothing said", identity.Spec{}, identity.DefaultTTL, identity.DefaultTTL},
		{"a ttl", identity.Spec{TTL: time.Hour}, time.Hour, identity.DefaultTTL},
		{"a ttl beyond its maximum", identity.Spec{TTL: 3 * time.Hour, MaxTTL: time.Hour}, time.Hour, time.Hour},
		{"for ever", identity.Spec{TTL: -1}, 0, 0},
		{"for ever, but with an explicit maximum", identity.Spec{TTL: -1, ExplicitMax: time.Hour}, time.Hour, time.Hour},
		{"a period", identity.Spec{Period: time.Minute, MaxTTL: time.Hour}, time.Minute, 0},
		{"a period with an explicit maximum", identity.Spec{Period: time.Minute, ExplicitMax: time.Hour}, time.Minute, time.Hour},
	} {
		_, info := d.token(c.spec)
		var ttl, limit time.Duration
		if !info.Lease.ExpiresAt.IsZero() {
			ttl = info.Lease.ExpiresAt.Sub(info.Lease.IssuedAt)
		}
		if !info.Lease.MaxAt.IsZero() {
			limit = info.Lease.MaxAt.Sub(info.Lease.IssuedAt)
		}
		if ttl != c.ttl || limit != c.max {
			t.Errorf("%s: ttl %v, at most %v; want %v, %v", c.name, ttl, limit, c.ttl, c.max)
		}
	}
}

func TestAPersonsRightsFollowTheCatalog(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.SQLite(t, tables))
	token, _ := d.token(identity.Spec{ActorKind: nightporter.Person, Actor: "ana", TTL: time.Hour})
	policies := func() []string {
		a, _, err := d.Authenticate(d.ctx, token, "")
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(a.Policies)
		return a.Policies
	}
	if diff := cmp.Diff([]string{"default", "developer", policy.OwnerName("team-a"), "viewer"}, policies()); diff != "" {
		t.Error(diff)
	}
	d.declare("ben")
	if diff := cmp.Diff([]string{"default", "developer", "viewer"}, policies()); diff != "" {
		t.Error("after she left the team: " + diff)
	}
}

func TestATokenIsBoundToItsNetworks(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.SQLite(t, tables))
	token, _ := d.token(identity.Spec{TTL: time.Hour, Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}})
	for remote, want := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "2001:db8::1": true, "11.0.0.1": false, "": false, "nonsense": false} {
		_, _, err := d.Authenticate(d.ctx, token, remote)
		if got := err == nil; got != want {
			t.Errorf("from %q: %v, want %v", remote, got, want)
		}
	}
}

func TestNoiseIsNoToken(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.SQLite(t, tables))
	token, _ := d.token(identity.Spec{TTL: time.Hour})
	for _, bad := range []string{"", "x", strings.Repeat("a", 600), token[:len(token)-1], token + "0", strings.ToUpper(token), "npt_", token[:10] + "!" + token[11:], token + " "} {
		if d.works(bad) {
			t.Errorf("%q works", bad)
		}
	}
	if !strings.HasPrefix(token, "npt_") || len(token) != 55 {
		t.Errorf("a token looks like %q", token)
	}
}

func TestThePasswordOfAUser(t *testing.T) {
	t.Parallel()
	storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
		d := newDesk(t, db)
		if err := d.SetPassword(d.ctx, " Ana ", "correct horse battery", []string{"default"}); err != nil {
			t.Fatal(err)
		}
		_, info, err := d.Login(d.ctx, "ANA", "correct horse battery", "192.0.2.1", identity.Session)
		if err != nil {
			t.Fatal(err)
		}
		if info.Actor != "ana" || info.ActorKind != nightporter.Person || info.Kind != identity.Session {
			t.Errorf("info = %+v", info)
		}
		for range 9 {
			if _, _, err := d.Login(d.ctx, "ana", "wrong", "192.0.2.1", identity.Session); nightporter.CodeOf(err) != nightporter.Unauthenticated {
				t.Errorf("a wrong password: %v", err)
			}
		}
		_, _, unknown := d.Login(d.ctx, "nobody", "wrong", "192.0.2.2", identity.Session)
		_, _, wrong := d.Login(d.ctx, "ana", "wrong", "192.0.2.2", identity.Session)
		if fmt.Sprint(unknown) != fmt.Sprint(wrong) {
			t.Errorf("an unknown user is told %v, a wrong password %v", unknown, wrong)
		}
		if _, _, err := d.Login(d.ctx, "ana", "correct horse battery", "192.0.2.3", identity.Session); nightporter.CodeOf(err) != nightporter.Limited {
			t.Errorf("after ten wrong ones: %v, want limited", err)
		}
		d.advance(2 * time.Minute)
		if _, _, err := d.Login(d.ctx, "ana", "correct horse battery", "192.0.2.3", identity.Session); err != nil {
			t.Errorf("after a pause: %v", err)
		}
		for _, bad := range []string{"", "a/b", "a*", "a+b", "a,b", strings.Repeat("a", 101)} {
			if err := d.SetPassword(d.ctx, bad, "correct horse battery", nil); nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("the user %q: %v, want invalid", bad, err)
			}
		}
	})
}

func TestAOneTimeCodeSignsInOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.SQLite(t, tables))
	code, err := d.NewCode(d.ctx, "ana")
	if err != nil {
		t.Fatal(err)
	}
	token, info, err := d.Redeem(d.ctx, code, "127.0.0.1")
	if err != nil || info.Actor != "ana" || !d.works(token) {
		t.Fatalf("%+v %v", info, err)
	}
	if _, _, err := d.Redeem(d.ctx, code, "127.0.0.1"); nightporter.CodeOf(err) != nightporter.Unauthenticated {
		t.Errorf("the second time: %v", err)
	}
	late, err := d.NewCode(d.ctx, "ana")
	if err != nil {
		t.Fatal(err)
	}
	d.advance(2 * time.Minute)
	if _, _, err := d.Redeem(d.ctx, late, "127.0.0.1"); nightporter.CodeOf(err) != nightporter.Unauthenticated {
		t.Errorf("after two minutes: %v", err)
	}
	// A session that is used stays; one that is not ends after half an hour.
	for range 4 {
		d.advance(25 * time.Minute)
		_, info, err := d.Authenticate(d.ctx, token, "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Touch(d.ctx, info); err != nil {
			t.Fatal(err)
		}
	}
	d.advance(31 * time.Minute)
	if d.works(token) {
		t.Error("an idle session works")
	}
}

func TestAPolicyIsWrittenReadAndForgotten(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.SQLite(t, tables))
	text := `path "kv/*" { capabilities = ["read"] }`
	if err := d.PutPolicy(d.ctx, "App", text); err != nil {
		t.Fatal(err)
	}
	if err := d.PutPolicy(d.ctx, "app", text); err != nil {
		t.Fatal(err)
	}
	p, err := d.Policy(d.ctx, "app")
	if err != nil || p.Text != text || p.Version != 2 {
		t.Errorf("%+v %v", p, err)
	}
	for _, name := range []string{"root", "viewer", policy.OwnerName("team-a")} {
		if err := d.PutPolicy(d.ctx, name, text); nightporter.CodeOf(err) != nightporter.Declared {
			t.Errorf("writing %s: %v, want declared", name, err)
		}
	}
	if err := d.DeletePolicy(d.ctx, "app"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Policy(d.ctx, "app"); nightporter.CodeOf(err) != nightporter.NotFound {
		t.Errorf("after its end: %v", err)
	}
}

func TestNoTokenIsInTheStore(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t, tables)
	d := newDesk(t, db)
	token, _ := d.token(identity.Spec{TTL: time.Hour})
	var hits int
	err := db.View(d.ctx, func(tx *store.Tx) error {
		return tx.QueryRow(d.ctx, `SELECT (SELECT COUNT(*) FROM token WHERE CAST(hash AS TEXT) = ? OR accessor = ? OR meta LIKE ?)
			+ (SELECT COUNT(*) FROM audit_entry WHERE detail LIKE ?) + (SELECT COUNT(*) FROM lease WHERE id = ?)`,
			token, token, "%"+token+"%", "%"+token+"%", token).Scan(&hits)
	})
	if err != nil || hits != 0 {
		t.Errorf("the token stands in %d rows (%v)", hits, err)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	d := newDesk(b, storetest.SQLite(b, tables))
	token, _ := d.token(identity.Spec{TTL: time.Hour})
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := d.Authenticate(d.ctx, token, "192.0.2.1"); err != nil {
			b.Fatal(err)
		}
	}
}

func Example() {
	// In the application: the catalog says who people are, the gate makes the
	// changes, and Authenticate turns what a request carries into an actor.
	fmt.Println(len(identity.NewToken(identity.Service)) > 40, identity.Reserved("hvs.something"))
	// Output: true true
}
