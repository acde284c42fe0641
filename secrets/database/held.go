package database

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/store"
	provider "nightporter.dev/nightporter/provider/database"
)

// Sight is what somebody may see of the logins. The zero value sees none.
type Sight struct {
	// All is for those who may end any of them.
	All bool
	// Person sees what tokens of this person asked for; "" is nobody.
	Person string
	// Paths are roles whose logins are seen, whoever has them:
	// "database/creds/ledger".
	Paths []string
}

// Sees says whether a login is within the sight. mine is whether a token of the
// person asked for it.
func (s Sight) Sees(path string, mine bool) bool {
	return s.All || mine && s.Person != "" || slices.Contains(s.Paths, path)
}

// HeldFilter chooses of what is held. Empty fields choose all that Sight sees.
type HeldFilter struct {
	Sight
	Environment, Database, Owner string
	// Skip and Limit are of pages. Limit 0 is 100.
	Skip, Limit int
}

// Held is who can log in to what, the most pressing first: what does not end
// although it should, what is being ended, then what ends soonest.
type Held struct {
	Logins []Login
	Total  int // of all pages
	Ending int // of all pages: due to go, and not confirmed to be gone
	Stuck  int // of those, tried without success
}

// heldRows joins the journal with the leases: every name that a database has, or
// may have, from us. A login that was found without a lease has none.
const heldRows = ` FROM database_login j JOIN database_connection c ON c.id = j.connection LEFT JOIN lease l ON l.id = j.lease
	WHERE j.state <> 'intended' AND j.state <> 'buried'`

const mine = `(l.parent <> '' AND EXISTS (SELECT 1 FROM token t WHERE t.accessor = l.parent AND t.actor_kind = 'person' AND t.actor = ?)
	OR l.owner = ? AND j.role = ?)`

// Held lists logins within a snapshot.
func (e *Engine) Held(ctx context.Context, tx *store.Tx, f HeldFilter) (h Held, err error) {
	where, args := heldRows, []any(nil)
	and := func(condition string, values ...any) {
		where += " AND " + condition
		args = append(args, values...)
	}
	if !f.All {
		condition, values := `1 = 0`, []any(nil)
		if f.Person != "" {
			condition, values = condition+` OR `+mine, append(values, f.Person, f.Person, f.Person)
		}
		if len(f.Paths) > 0 {
			condition += ` OR l.path IN (` + store.In(len(f.Paths)) + `)`
			for _, p := range f.Paths {
				values = append(values, p)
			}
		}
		and("("+condition+")", values...)
	}
	if f.Environment != "" {
		and(`l.environment = ?`, f.Environment)
	}
	if f.Owner != "" {
		and(`l.owner = ?`, f.Owner)
	}
	if f.Database != "" {
		and(`c.path || c.name = ?`, f.Database)
	}
	const ends = `(j.state = 'unwanted' OR l.state = 'doomed')`
	err = tx.QueryRow(ctx, `SELECT COUNT(*), COALESCE(SUM(CASE WHEN `+ends+` THEN 1 ELSE 0 END), 0)`+where, args...).Scan(&h.Total, &h.Ending)
	if err != nil {
		return h, fmt.Errorf("count the logins: %w", err)
	}
	// What ends is in every answer: a page must not hide the login that does not
	// go behind those that are about to.
	if h.Ending > 0 {
		going, err := e.held(ctx, tx, where+` AND `+ends+` ORDER BY COALESCE(l.doomed_at, 0), j.lease LIMIT 1000`, args)
		if err != nil {
			return h, err
		}
		slices.SortStableFunc(going, func(a, b Login) int { return min(1, len(b.Error)) - min(1, len(a.Error)) })
		for _, l := range going {
			if l.Error != "" {
				h.Stuck++
			}
		}
		h.Logins = going[min(f.Skip, len(going)):]
	}
	if f.Limit == 0 {
		f.Limit = 100
	}
	if len(h.Logins) >= f.Limit {
		h.Logins = h.Logins[:f.Limit]
		return h, nil
	}
	rest, err := e.held(ctx, tx, where+` AND NOT `+ends+` ORDER BY l.expires_at, j.lease LIMIT ? OFFSET ?`,
		append(args, f.Limit-len(h.Logins), max(0, f.Skip-h.Ending)))
	h.Logins = append(h.Logins, rest...)
	return h, err
}

func (e *Engine) held(ctx context.Context, tx *store.Tx, rest string, args []any) ([]Login, error) {
	var list []Login
	err := tx.Each(ctx, `SELECT j.lease, c.path, c.name, j.connection, j.username, j.role, j.state, j.made_at, COALESCE(l.path, ''), COALESCE(l.owner, ''),
		COALESCE(l.environment, ''), COALESCE(l.parent, ''), COALESCE(l.state, ''), COALESCE(l.issued_at, 0), COALESCE(l.expires_at, 0),
		COALESCE(l.renewed_at, 0), COALESCE(l.doomed_at, 0), COALESCE(l.reason, '')`+rest, args, func(scan func(...any) error) error {
		var l Login
		var mount, name, connection, state string
		var made, issued, expires, renewed, doomed int64
		err := scan(&l.Lease, &mount, &name, &connection, &l.Username, &l.Role, &state, &made, &l.Path, &l.Owner, &l.Environment, &l.Parent, &l.State,
			&issued, &expires, &renewed, &doomed, &l.Reason)
		l.Database, l.Issued, l.Expires, l.Renewed, l.Doomed = mount+name, store.Time(issued), store.Time(expires), store.Time(renewed), store.Time(doomed)
		if l.Issued.IsZero() {
			l.Issued = store.Time(made)
		}
		if loginState(state) == unwanted {
			l.State = string(lease.Doomed)
		}
		if l.Environment == "" {
			l.Environment = e.cfg.Binding(l.Database).Environment
		}
		if l.State == string(lease.Doomed) {
			if why := e.server(connection).hinders(l.Username); why != nil {
				l.Error = message(why)
			}
		}
		list = append(list, l)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the logins: %w", err)
	}
	return list, nil
}

// HeldPaths are the paths that logins were asked for at: what a policy can tell
// apart.
func HeldPaths(ctx context.Context, tx *store.Tx) ([]string, error) {
	var paths []string
	err := tx.Each(ctx, `SELECT DISTINCT path FROM lease WHERE kind = ? ORDER BY path`, []any{string(Kind)}, func(scan func(...any) error) error {
		var p string
		err := scan(&p)
		paths = append(paths, p)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the paths of logins: %w", err)
	}
	return paths, nil
}

// End takes a login away because somebody asked for it: from its commit on the
// lease is dead, and the keeper of the database takes over. Whether it is gone is
// for [Engine.Story] to say. Ending what is ending changes nothing. Errors:
// not_found for what is not there any more.
func (e *Engine) End(ctx context.Context, action nightporter.Action, id, reason string) error {
	return e.cfg.Gate.Do(ctx, action, nightporter.Resource{Kind: "lease", ID: id}, func(tx *gate.Tx) error {
		l, err := lease.Get(ctx, tx.Tx, id)
		if err == nil && l.Kind != Kind {
			err = nightporter.E(nightporter.NotFound, "there is no such login")
		}
		if err != nil || l.State == lease.Doomed {
			return err
		}
		en, err := entries(ctx, tx.Tx, `WHERE j.lease = ?`, id)
		if err != nil {
			return err
		}
		why := "revoked by " + nightporter.ActorFrom(ctx).Cause()
		if reason != "" {
			why += ": " + reason
			tx.Detail("reason", reason)
		}
		for _, one := range en {
			tx.Detail("login", one.username)
			tx.AfterCommit(func() { e.server(one.connection).poke() })
		}
		return lease.Doom(ctx, tx.Tx, id, why, tx.Now())
	})
}

// sessionPatience bounds how long somebody who looks at a login waits for its
// database.
const sessionPatience = 2 * time.Second

// Sessions asks a login's database which sessions it has. Errors: unavailable for
// a database that does not answer in two seconds, invalid for one that cannot
// tell.
func (e *Engine) Sessions(ctx context.Context, id string) ([]provider.Session, error) {
	var connection, username string
	err := e.look(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(ctx, `SELECT connection, username FROM database_login WHERE lease = ?`, id).Scan(&connection, &username)
	})
	if store.IsNotFound(err) {
		return nil, nightporter.E(nightporter.NotFound, "there is no such login")
	}
	if err != nil {
		return nil, err
	}
	if dark, err := e.isDark(ctx, connection); err != nil || dark {
		return nil, err // what is gone has no sessions
	}
	ctx, cancel := context.WithTimeout(ctx, sessionPatience)
	defer cancel()
	db, done, err := e.server(connection).use(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	lister, ok := db.Database.(provider.SessionLister)
	if !ok {
		return nil, nightporter.E(nightporter.Invalid, "this kind of database does not tell its sessions")
	}
	list, err := lister.Sessions(ctx, username)
	if err != nil && ctx.Err() != nil {
		return nil, nightporter.Wrap(err, nightporter.Unavailable, "the database did not answer in %s", strings.TrimSuffix(sessionPatience.String(), "0s"))
	}
	return list, err
}
