package identity

import (
	"context"
	"crypto/rand"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/store"
)

// Touch keeps a session in use alive. It writes at most every ten minutes.
func (i *Identity) Touch(ctx context.Context, info Info) error {
	left := info.Lease.ExpiresAt.Sub(i.cfg.Now())
	if info.Kind != Session || left > SessionIdle-10*time.Minute {
		return nil
	}
	return i.gate.Keep(ctx, "session.touch", func(tx *store.Tx) error {
		tx.AfterCommit(func() { i.living.forget(info.Accessor) })
		_, _, err := lease.Renew(ctx, tx, info.Accessor, SessionIdle, i.cfg.Now())
		return err
	})
}

// codeLife is how long a one-time code can be used.
const codeLife = time.Minute

// NewCode makes a one-time code with which a browser on this machine signs in as
// a person: for `make demo` and `nightporter init`. The caller must have made
// sure that the request comes from loopback.
func (i *Identity) NewCode(ctx context.Context, person string) (string, error) {
	code := rand.Text()
	action := nightporter.Action{Name: "login.code", Capability: nightporter.Update, Path: "auth/token/create", Sudo: true}
	err := i.gate.Do(ctx, action, nightporter.Resource{Kind: "person", ID: person}, func(tx *gate.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO login_code (hash, person, expires_at) VALUES (?, ?, ?)`,
			hash(code), person, store.Micros(tx.Now().Add(codeLife)))
		return err
	})
	return code, err
}

// Redeem turns a one-time code into a session. A code works once.
func (i *Identity) Redeem(ctx context.Context, code, remote string) (token string, info Info, err error) {
	if err := i.limits.try("source:"+remote, 30, "codes", 60); err != nil {
		return "", info, err
	}
	person := ""
	sctx := nightporter.WithActor(ctx, nightporter.SystemActor("identity", ""))
	err = i.gate.Do(sctx, nightporter.Action{Name: "login.redeem"}, nightporter.Resource{Kind: "code", ID: "one-time"}, func(tx *gate.Tx) error {
		var expires int64
		err := tx.QueryRow(ctx, `DELETE FROM login_code WHERE hash = ? RETURNING person, expires_at`, hash(code)).Scan(&person, &expires)
		if store.IsNotFound(err) || err == nil && expires < store.Micros(tx.Now()) {
			return nightporter.E(nightporter.Unauthenticated, "this sign-in link was used, or is older than a minute")
		}
		return err
	})
	if err != nil {
		return "", info, err
	}
	return i.Open(ctx, Spec{Kind: Session, ActorKind: i.KindOf(person), Actor: person, Method: "code", Path: "auth/code"})
}
