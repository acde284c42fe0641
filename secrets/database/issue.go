package database

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/vault"
	provider "nightporter.dev/nightporter/provider/database"
)

// Credentials are a login, as its holder gets it. They are never written down.
type Credentials struct {
	Username string
	Password string
	Lease    lease.Lease
	Warnings []string
}

// wish is what somebody asks for.
type wish struct {
	role    Role
	display string // goes into the name
	// lease lacks the end of its id, its state and its times.
	lease lease.Lease
	ttl   time.Duration
	max   time.Duration
	limit int // of leases of this path; 0 is none
}

// doer makes the change that a wish begins with, as whoever asked.
type doer func(ctx context.Context, fn func(*gate.Tx) error) error

// issue makes a login: its name is committed, the database makes it, its lease
// starts. Any failure hands the name to the keeper, which takes away what there
// may be of it.
func (e *Engine) issue(ctx context.Context, s *server, w wish, as doer) (c Credentials, err error) {
	db, done, err := s.use(ctx)
	if err != nil {
		return c, err
	}
	defer done()
	if c.Username, err = db.namer.Name(w.display, w.role.Name); err != nil {
		return c, err
	}
	if c.Password, err = e.newPassword(ctx, db.PasswordPolicy); err != nil {
		return c, err
	}
	if err := e.countLogins(ctx); err != nil {
		return c, err
	}
	if e.total.Add(1) > int64(e.cfg.MaxLogins) {
		e.total.Add(-1)
		return c, nightporter.E(nightporter.Limited, "there are %d logins out, which is as many as max_logins allows", e.cfg.MaxLogins)
	}
	en := entry{
		login: login{s.id, c.Username}, Lease: w.lease.ID + "/" + rand.Text()[:24], Role: w.role.Name, State: intended,
		Statements: Statements{Revocation: w.role.Revocation, Renewal: w.role.Renewal},
	}
	defer e.begin(en.login)()
	c.Lease = w.lease
	c.Lease.ID, c.Lease.Kind, c.Lease.State = en.Lease, Kind, lease.Intended
	c.Lease.IssuedAt = e.cfg.Now().UTC().Truncate(time.Microsecond)
	c.Lease.ExpiresAt, c.Lease.MaxAt, c.Lease.Renewable = c.Lease.IssuedAt.Add(w.ttl), c.Lease.IssuedAt.Add(w.max), true
	err = as(ctx, func(tx *gate.Tx) error {
		tx.Detail("lease", en.Lease)
		tx.Detail("login", c.Username)
		tx.Detail("connection", en.connection) // where the register says how it ends
		if err := mayHave(ctx, tx, w, e.cfg.Now()); err != nil {
			return err
		}
		if err := lease.Create(ctx, tx.Tx, c.Lease); err != nil {
			return err
		}
		return e.intend(ctx, tx, en)
	})
	if err != nil {
		e.total.Add(-1)
		return c, err
	}
	e.cfg.Fault("issue:intended")
	err = db.CreateUser(ctx, provider.Create{
		Username: c.Username, Password: c.Password, Expiration: c.Lease.ExpiresAt.Add(leeway),
		Statements: w.role.Creation, RollbackStatements: w.role.Rollback,
	})
	e.cfg.Fault("issue:made")
	own := e.after(ctx)
	if err == nil {
		err = e.do(own, "login.make", en.connection, func(tx *gate.Tx) error {
			tx.Detail("login", en.username)
			return confirm(own, tx, en)
		})
	}
	if err != nil {
		return c, errors.Join(err, e.unwant(own, "it could not be made", en.login))
	}
	e.cfg.Fault("issue:live")
	s.answers()
	c.Lease.State = lease.Live
	return c, nil
}

// mayHave checks, in the transaction of the intent, what another request may have
// changed: that the token lives, that the environment is lit, and that the role has room.
func mayHave(ctx context.Context, tx *gate.Tx, w wish, now time.Time) error {
	if w.lease.Parent != "" {
		// From here on the token's end finds the lease.
		if alive, err := lease.Alive(ctx, tx.Tx, w.lease.Parent, now); err != nil || !alive {
			return errors.Join(err, vault.Denied())
		}
	}
	var n int
	if w.lease.Environment != "" {
		err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM database_dark WHERE environment = ?`, w.lease.Environment).Scan(&n)
		if err == nil && n > 0 {
			err = errDark(w.lease.Environment)
		}
		if err != nil {
			return err
		}
	}
	if w.limit <= 0 {
		return nil
	}
	err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM lease WHERE path = ? AND state <> 'doomed' LIMIT ?) AS t`,
		w.lease.Path, w.limit).Scan(&n)
	if err == nil && n >= w.limit {
		err = nightporter.E(nightporter.Limited, "role %q has %d logins out, which is as many as its max_leases allows", w.role.Name, n)
	}
	return err
}

// newPassword makes a password as Vault does, or by a policy.
func (e *Engine) newPassword(ctx context.Context, policy string) (string, error) {
	if policy == "" {
		return provider.Password()
	}
	return e.cfg.PasswordPolicy(ctx, policy)
}

// readCreds answers creds/:name.
func (b *Backend) readCreds(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	e := b.engine
	role, found, err := e.role(ctx, r.Mount.UUID, r.Vars["name"])
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, vault.Bad("unknown role: %s", r.Vars["name"])
	}
	c, err := e.byName(ctx, r.Mount.UUID, role.DB)
	switch {
	case nightporter.CodeOf(err) == nightporter.NotFound:
		return nil, vault.RefuseIn(http.StatusInternalServerError, "failed to find entry for connection with name: %q", role.DB)
	case err != nil:
		return nil, err
	case !c.allows(role.Name):
		return nil, vault.RefuseIn(http.StatusInternalServerError, "%q is not an allowed role", role.Name)
	}
	w := wish{role: role, limit: role.MaxLeases, lease: lease.Lease{Path: r.Full, ID: r.Full}}
	return b.hand(ctx, r, c, w)
}

// hand issues what a request asked for and writes the answer.
func (b *Backend) hand(ctx context.Context, r *vault.Request, c *connection, w wish) (*vault.Response, error) {
	e := b.engine
	environment, err := e.lit(ctx, c)
	if err != nil {
		return nil, err
	}
	resp := &vault.Response{}
	var capped bool
	if w.ttl, w.max, capped = lives(w.role, r.Mount); capped {
		resp.Warn(cappedWarning(w.role.DefaultTTL, w.max))
	}
	w.lease.Environment = environment
	w.lease.Owner = nightporter.ActorFrom(ctx).Cause()
	w.display = "token"
	if r.Token != nil {
		w.lease.Parent, w.display = r.Token.Accessor, r.Token.DisplayName
		if i, ok := r.Token.Instance(); ok {
			// A service's own: who has it, and where, also in a database that
			// belongs to no environment.
			w.lease.Owner, w.lease.Environment = i.Service, cmp.Or(environment, i.Environment)
		}
	}
	creds, err := e.issue(ctx, e.server(c.ID), w, r.Do)
	if err != nil {
		return nil, issueFailure(err)
	}
	resp.Lease = vault.Lease{ID: creds.Lease.ID, Duration: w.ttl, Renewable: true}
	resp.Data = map[string]any{"username": creds.Username, "password": creds.Password}
	if t := r.TokenEnd(ctx); !t.IsZero() && t.Before(creds.Lease.ExpiresAt) {
		resp.Warn("the token that asked for this lease ends first, at " + t.UTC().Format(time.RFC3339) + ", and the lease with it")
	}
	return resp, nil
}

// issueFailure is how Vault says that a login could not be made.
func issueFailure(err error) error {
	var told *vault.Failure
	switch code := nightporter.CodeOf(err); {
	case errors.As(err, &told), code == nightporter.Limited, code == nightporter.Sealed, code == nightporter.Internal:
		return err
	case code == nightporter.NotFound:
		return vault.RefuseIn(http.StatusInternalServerError, "%s", nightporter.MessageOf(err))
	}
	return vault.RefuseIn(http.StatusInternalServerError, "failed to execute query: %s", nightporter.MessageOf(err))
}

// lives is Vault's arithmetic: the role's TTL or the mount's, at most the smaller
// of the role's maximum and the mount's.
func lives(role Role, m vault.Mount) (ttl, limit time.Duration, capped bool) {
	limit = m.MaxTTL()
	if role.MaxTTL > 0 {
		limit = min(limit, role.MaxTTL)
	}
	if ttl = role.DefaultTTL; ttl == 0 {
		return min(m.DefaultTTL(), limit), limit, false
	}
	return min(ttl, limit), limit, ttl > limit
}
