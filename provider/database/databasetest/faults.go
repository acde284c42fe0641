package databasetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/database"
	"nightporter.dev/nightporter/provider/database/faultproxy"
)

// RunFaults loses each message of each change once, in every way that the proxy
// knows, and asks the judge what the database made of it. It is for
// implementations that talk to a server at address.
func RunFaults(t *testing.T, address string, start func(t testing.TB) Harness) {
	h := start(t)
	for name, test := range map[string]func(*testing.T, Harness, fault) bool{
		"create, then revoke":          faultyCreate,
		"revoke":                       faultyRevoke,
		"change the password":          faultyChange,
		"renew":                        faultyRenew,
		"create and revoke on one run": faultyPair,
	} {
		for _, f := range faultproxy.Faults() {
			t.Run(name+"/"+string(f), func(t *testing.T) {
				t.Parallel()
				for nth := 1; ; nth++ {
					if nth > 60 {
						t.Fatal("still striking at the 60th message")
					}
					var struck bool
					ok := t.Run(fmt.Sprintf("message %d", nth), func(t *testing.T) {
						p, err := faultproxy.New(address)
						if err != nil {
							t.Fatal(err)
						}
						t.Cleanup(func() {
							if err := p.Close(); err != nil {
								t.Error(err)
							}
						})
						struck = test(t, h, fault{proxy: p, kind: f, nth: nth})
					})
					if !struck || !ok {
						break
					}
				}
			})
		}
	}
	t.Run("a server that hangs is waited for no longer than the timeout", func(t *testing.T) {
		t.Parallel()
		p, err := faultproxy.New(address)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		h := h
		h.Config.Timeout = 50 * time.Millisecond
		p.Inject(faultproxy.Hang, 1)
		db := fault{proxy: p}.through(t, h)
		wantCode(t, db.Verify(t.Context()), nightporter.Unavailable)
		wantStates(t, db.RevokeUsers(t.Context(), []database.Revoke{{Username: Name()}}), database.Failed)
	})
}

// fault is what strikes, and when.
type fault struct {
	proxy *faultproxy.Proxy
	kind  faultproxy.Fault
	nth   int
}

// through opens a database behind the proxy.
func (f fault) through(t testing.TB, h Harness) database.Database {
	h.Config.Dial = f.proxy.Dial
	return h.open(t)
}

// inject lets the fault strike at its message. Where nothing would come back any
// more, the context ends then: it stands for the timeout, without the wait.
func (f fault) inject(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	f.proxy.Inject(f.kind, f.nth)
	if f.kind == faultproxy.Hang || f.kind == faultproxy.Late {
		struck := f.proxy.Strike()
		go func() {
			select {
			case <-struck:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	return ctx
}

// wantHonest checks that nobody was told that a login is gone while it is not.
func wantHonest(t testing.TB, h Harness, outcomes []database.Outcome) {
	t.Helper()
	for _, o := range outcomes {
		if o.State == database.Gone {
			wantLogin(t, h, o.Username, false)
		}
	}
}

// faultyCreate is what the secrets engine does with an intent that was not
// answered: it revokes the name, over a connection that works. After Gone nothing
// may appear, not even what was still on its way.
func faultyCreate(t *testing.T, h Harness, f fault) (struck bool) {
	name, password := Name(), NewPassword(t)
	db := f.through(t, h)
	ctx := f.inject(t)
	err := db.CreateUser(ctx, h.create(name, password))
	if err == nil {
		if login := h.Judge.Login(name, password); login != nil {
			t.Errorf("created without an error, but: %v", login)
		}
	} else {
		wantCode(t, err, nightporter.Unavailable)
	}
	struck = f.proxy.Struck()
	wantStates(t, h.open(t).RevokeUsers(t.Context(), []database.Revoke{{Username: name}}), database.Gone)
	f.proxy.Heal()
	wantLogin(t, h, name, false)
	return struck
}

func faultyRevoke(t *testing.T, h Harness, f fault) (struck bool) {
	direct := h.open(t)
	first, _ := made(t, h, direct)
	second, _ := made(t, h, direct)
	users := []database.Revoke{{Username: first}, {Username: second}}
	db := f.through(t, h)
	ctx := f.inject(t)
	outcomes := db.RevokeUsers(ctx, users)
	wantHonest(t, h, outcomes)
	struck = f.proxy.Struck()
	if !struck {
		wantStates(t, outcomes, database.Gone, database.Gone)
	}
	f.proxy.Heal()
	wantHonest(t, h, outcomes)
	wantStates(t, db.RevokeUsers(t.Context(), users), database.Gone, database.Gone)
	wantLogin(t, h, first, false)
	wantLogin(t, h, second, false)
	return struck
}

// faultyChange is a rotation: whatever happens, one of the two passwords works,
// and after Settle it stays that one.
func faultyChange(t *testing.T, h Harness, f fault) (struck bool) {
	direct := h.open(t)
	name, old := made(t, h, direct)
	password := NewPassword(t)
	db := f.through(t, h)
	ctx := f.inject(t)
	err := db.ChangePassword(ctx, database.Change{Username: name, Password: password})
	struck = f.proxy.Struck()
	if settled := direct.Settle(t.Context(), name); settled != nil {
		t.Errorf("settling: %v", settled)
	}
	works := func() string {
		oldErr, newErr := direct.Try(t.Context(), name, old), direct.Try(t.Context(), name, password)
		if (oldErr == nil) == (newErr == nil) {
			t.Errorf("want one password that works: old: %v, new: %v", oldErr, newErr)
		}
		if newErr == nil {
			return "new"
		}
		return "old"
	}
	before := works()
	if err == nil && before != "new" {
		t.Error("changed without an error, but the old password works")
	}
	f.proxy.Heal()
	if after := works(); after != before {
		t.Errorf("after settling the %s password worked, later the %s one", before, after)
	}
	return struck
}

func faultyRenew(t *testing.T, h Harness, f fault) (struck bool) {
	name, password := made(t, h, h.open(t))
	db := f.through(t, h)
	ctx := f.inject(t)
	renew := database.Renew{Username: name, Expiration: time.Now().Add(3 * time.Hour)}
	if err := db.RenewUser(ctx, renew); err != nil {
		wantCode(t, err, nightporter.Unavailable)
	}
	struck = f.proxy.Struck()
	f.proxy.Heal()
	if err := db.RenewUser(t.Context(), renew); err != nil {
		t.Errorf("renewing again: %v", err)
	}
	if err := h.Judge.Login(name, password); err != nil {
		t.Errorf("after the renewals: %v", err)
	}
	return struck
}

// faultyPair uses one pool for both, so that the fault can strike the second
// change on a connection that has worked.
func faultyPair(t *testing.T, h Harness, f fault) (struck bool) {
	name, password := Name(), NewPassword(t)
	cleanUp(t, h, name)
	db := f.through(t, h)
	if err := db.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx := f.inject(t)
	if err := db.CreateUser(ctx, h.create(name, password)); err != nil {
		wantCode(t, err, nightporter.Unavailable)
	}
	outcomes := db.RevokeUsers(ctx, []database.Revoke{{Username: name}})
	struck = f.proxy.Struck()
	f.proxy.Heal()
	wantHonest(t, h, outcomes)
	return struck
}
