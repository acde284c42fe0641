// Package lease knows everything that must end: tokens, sessions, and logins that
// were made on request. They stand in one table, each with the token that asked
// for it as its parent.
//
// A lease is dead when it or any ancestor is: whoever asks [Alive] gets that
// answer at once, so ending a token ends its whole tree in one row. What the dead
// leave behind is then finished by a [Revoker] of their kind, in batches, never
// given up.
//
// Expiry is an index in the table, not a timer in memory, so a restart with
// twenty thousand leases is ready at once.
package lease

import (
	"context"
	"fmt"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
)

// Migrations are the table of leases.
var Migrations = []store.Migration{{Name: "lease/0001", SQL: `
CREATE TABLE lease (
	id TEXT PRIMARY KEY,
	kind TEXT NOT NULL,
	parent TEXT NOT NULL,
	path TEXT NOT NULL,
	owner TEXT NOT NULL,
	environment TEXT NOT NULL,
	state TEXT NOT NULL,
	issued_at BIGINT NOT NULL,
	renewed_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	max_at BIGINT NOT NULL,
	ttl BIGINT NOT NULL,
	renewable BIGINT NOT NULL,
	doomed_at BIGINT NOT NULL,
	reason TEXT NOT NULL,
	attempts BIGINT NOT NULL,
	not_before BIGINT NOT NULL,
	error TEXT NOT NULL,
	data BYTEA
);
CREATE INDEX lease_expiry ON lease (state, expires_at);
CREATE INDEX lease_parent ON lease (parent);
CREATE INDEX lease_doomed ON lease (state, kind, not_before);
CREATE INDEX lease_path ON lease (path, id);
`}}

// State is where a lease stands.
type State string

// The states. A lease whose ancestor is dead is still Live in its row until the
// [Reaper] comes by; [Alive] knows better.
const (
	Intended State = "intended" // its name is committed, the thing may or may not exist
	Live     State = "live"
	Doomed   State = "doomed" // dead; what it left behind is being ended
)

// Kind says which [Revoker] ends what a lease stands for.
type Kind string

// Token leases stand for a row of internal/identity.
const Token Kind = "token"

// Lease is one thing that must end.
type Lease struct {
	ID     string `json:"id"`
	Kind   Kind   `json:"kind"`
	Parent string `json:"parent,omitempty"` // the lease of the token that asked for it
	Path   string `json:"path"`             // where it was asked for
	// Owner is who has it: a person, a CI job, a service.
	Owner       string    `json:"owner"`
	Environment string    `json:"environment,omitempty"`
	State       State     `json:"state"`
	IssuedAt    time.Time `json:"issued_at"`
	RenewedAt   time.Time `json:"renewed_at,omitzero"`
	ExpiresAt   time.Time `json:"expires_at,omitzero"` // zero: never by itself
	MaxAt       time.Time `json:"max_at,omitzero"`     // zero: may be renewed for ever
	Renewable   bool      `json:"renewable"`
	DoomedAt    time.Time `json:"doomed_at,omitzero"`
	Reason      string    `json:"reason,omitempty"`
	Attempts    int       `json:"attempts,omitempty"`
	Error       string    `json:"error,omitempty"`
	// Data belongs to the kind. It is sealed by its owner where it is secret.
	Data []byte `json:"-"`

	ttl int64 // as it was made, in microseconds
}

// TTL is how long the lease was given at first.
func (l Lease) TTL() time.Duration { return time.Duration(l.ttl) * time.Microsecond }

// Create writes a lease within the caller's change.
func Create(ctx context.Context, tx *store.Tx, l Lease) error {
	if l.State == "" {
		l.State = Live
	}
	ttl := int64(0)
	if !l.ExpiresAt.IsZero() {
		ttl = l.ExpiresAt.Sub(l.IssuedAt).Microseconds()
	}
	_, err := tx.Exec(ctx, `INSERT INTO lease (id, kind, parent, path, owner, environment, state, issued_at, renewed_at, expires_at,
		max_at, ttl, renewable, doomed_at, reason, attempts, not_before, error, data)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, 0, '', 0, 0, '', ?)`,
		l.ID, string(l.Kind), l.Parent, l.Path, l.Owner, l.Environment, string(l.State), store.Micros(l.IssuedAt),
		store.Micros(l.ExpiresAt), store.Micros(l.MaxAt), ttl, store.Bool(l.Renewable), l.Data)
	if err != nil {
		return fmt.Errorf("write lease %s: %w", l.ID, err)
	}
	return nil
}

const columns = `id, kind, parent, path, owner, environment, state, issued_at, renewed_at, expires_at, max_at, ttl, renewable,
	doomed_at, reason, attempts, error, data`

// Get reads a lease; not_found when there is none, or it has ended.
func Get(ctx context.Context, tx *store.Tx, id string) (Lease, error) {
	list, err := Query(ctx, tx, `WHERE id = ?`, id)
	if err != nil {
		return Lease{}, err
	}
	if len(list) == 0 {
		return Lease{}, nightporter.E(nightporter.NotFound, "there is no lease %s", id)
	}
	return list[0], nil
}

// Query reads leases by a WHERE clause of this package's columns.
func Query(ctx context.Context, tx *store.Tx, where string, args ...any) ([]Lease, error) {
	var out []Lease
	err := tx.Each(ctx, `SELECT `+columns+` FROM lease `+where, args, func(scan func(...any) error) error {
		var l Lease
		var issued, renewed, expires, maxAt, renewable, doomed int64
		if err := scan(&l.ID, &l.Kind, &l.Parent, &l.Path, &l.Owner, &l.Environment, &l.State, &issued, &renewed, &expires, &maxAt,
			&l.ttl, &renewable, &doomed, &l.Reason, &l.Attempts, &l.Error, &l.Data); err != nil {
			return err
		}
		l.IssuedAt, l.RenewedAt, l.ExpiresAt = store.Time(issued), store.Time(renewed), store.Time(expires)
		l.MaxAt, l.DoomedAt, l.Renewable = store.Time(maxAt), store.Time(doomed), renewable == 1
		out = append(out, l)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read leases: %w", err)
	}
	return out, nil
}

// maxDepth bounds a token's ancestors: a chain longer than this is nobody's
// honest use.
const maxDepth = 64

// Chain is a lease with its ancestors.
type Chain struct {
	IDs []string // the lease itself, then its parent, and so on
	// Until is when the first of them ends by itself; zero is never.
	Until time.Time
}

// Alive says whether the chain lives at now, if none of it was ended since it
// was read.
func (c Chain) Alive(now time.Time) bool {
	return len(c.IDs) > 0 && (c.Until.IsZero() || now.Before(c.Until))
}

// Ancestry reads a lease's chain. It answers not_found when any of it is dead at
// now, gone, or was never there.
func Ancestry(ctx context.Context, tx *store.Tx, id string, now time.Time) (Chain, error) {
	var c Chain
	us, until := store.Micros(now), int64(0)
	for range maxDepth {
		var parent, state string
		var expires int64
		err := tx.QueryRow(ctx, `SELECT parent, state, expires_at FROM lease WHERE id = ?`, id).Scan(&parent, &state, &expires)
		if err != nil && !store.IsNotFound(err) {
			return Chain{}, fmt.Errorf("look at lease %s: %w", id, err)
		}
		if err != nil || State(state) != Live || expires > 0 && expires <= us {
			break
		}
		c.IDs = append(c.IDs, id)
		if expires > 0 && (until == 0 || expires < until) {
			until = expires
		}
		if parent == "" {
			c.Until = store.Time(until)
			return c, nil
		}
		id = parent
	}
	return Chain{}, nightporter.E(nightporter.NotFound, "this lease is not alive")
}

// Alive says whether a lease and all its ancestors live at now.
func Alive(ctx context.Context, tx *store.Tx, id string, now time.Time) (bool, error) {
	_, err := Ancestry(ctx, tx, id, now)
	if nightporter.CodeOf(err) == nightporter.NotFound {
		return false, nil
	}
	return err == nil, err
}

// Doom ends a lease within the caller's change; with it, its whole tree is dead.
// Dooming what is doomed or gone changes nothing. Tokens are ended through
// internal/identity, which remembers living ones.
func Doom(ctx context.Context, tx *store.Tx, id, reason string, now time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE lease SET state = 'doomed', doomed_at = ?, reason = ?, not_before = 0 WHERE id = ? AND state <> 'doomed'`,
		store.Micros(now), reason, id)
	if err != nil {
		return fmt.Errorf("end lease %s: %w", id, err)
	}
	return nil
}

// Renew moves a live lease's end to now+increment, not past its maximum, and
// returns the new end; capped says that the maximum decided. Errors: not_found,
// conflict for one that is dead or not renewable.
func Renew(ctx context.Context, tx *store.Tx, id string, increment time.Duration, now time.Time) (end time.Time, capped bool, err error) {
	l, err := Get(ctx, tx, id)
	if err != nil {
		return end, false, err
	}
	alive, err := Alive(ctx, tx, id, now)
	switch {
	case err != nil:
		return end, false, err
	case !alive:
		return end, false, nightporter.E(nightporter.NotFound, "there is no lease %s", id)
	case !l.Renewable:
		return end, false, nightporter.E(nightporter.Conflict, "lease %s is not renewable", id)
	}
	end = now.Add(increment)
	if !l.MaxAt.IsZero() && end.After(l.MaxAt) {
		end, capped = l.MaxAt, true
	}
	_, err = tx.Exec(ctx, `UPDATE lease SET expires_at = ?, renewed_at = ? WHERE id = ?`, store.Micros(end), store.Micros(now), id)
	if err != nil {
		return end, false, fmt.Errorf("renew lease %s: %w", id, err)
	}
	return end, capped, nil
}
