package database

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/vault"
	provider "nightporter.dev/nightporter/provider/database"
)

// Kinds of a [Finding].
const (
	// Orphan: a login bears our mark, and the journal does not know it. It is taken
	// away.
	Orphan = "orphan"
	// Missing: a lease stands for a login that the database does not have. The
	// lease is ended.
	Missing = "missing"
	// Renamed: somebody renamed a login of ours. It is taken away under its new
	// name.
	Renamed = "renamed"
	// Foreign: another Nightporter made the login, or Vault's names are used by
	// somebody else. It is never touched.
	Foreign = "foreign"
)

// Finding is a difference between a database and the leases.
type Finding struct {
	Database string    `json:"database"` // mount and name
	Username string    `json:"username"`
	Kind     string    `json:"kind"`
	Detail   string    `json:"detail"`
	Repaired string    `json:"repaired,omitempty"` // what was done about it
	First    time.Time `json:"first_seen"`
	Last     time.Time `json:"last_seen"`

	connection string
	inventory  provider.Login
}

// Reconcile compares the logins of every database with the journal, writes down
// what differs, and repairs it. A database that does not answer is left for the
// next time; its error is joined to the others.
func (e *Engine) Reconcile(ctx context.Context) error {
	ctx = e.as(ctx, nightporter.ActorFrom(ctx).Cause())
	var list []*connection
	err := e.look(ctx, func(tx *store.Tx) (err error) {
		list, err = e.connections(ctx, tx, ``)
		return err
	})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	slots := make(chan struct{}, 8)
	for _, c := range list {
		if dark, err := e.isDark(ctx, c.ID); err != nil || dark {
			failed = errors.Join(failed, err)
			continue
		}
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			s := e.server(c.ID)
			err := s.reconcile(ctx)
			s.noteCompared(err)
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = errors.Join(failed, fmt.Errorf("compare the logins of %s: %w", c.database(), err))
			}
		})
	}
	wg.Wait()
	return failed
}

// noteCompared keeps when a comparison came to its end, and why the last did not.
// It is in memory alone: the next one comes with the start.
func (s *server) noteCompared(err error) {
	s.keeper.mu.Lock()
	defer s.keeper.mu.Unlock()
	s.keeper.incomparable = err
	if err == nil {
		s.keeper.compared = s.e.cfg.Now()
	}
}

// seen is when the logins were last compared with the leases and when the database
// last did what it was asked, zero for not since the start, and why the last
// comparison came to nothing.
func (s *server) seen() (compared, answered time.Time, err error) {
	k := &s.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	answered = k.answered
	if k.compared.After(answered) {
		answered = k.compared
	}
	return k.compared, answered, k.incomparable
}

// reconcile compares one database. The journal is read before and after the
// inventory: a login of ours is in the journal before it is in the database, and
// leaves it in the other order.
func (s *server) reconcile(ctx context.Context) error {
	before, err := s.e.known(ctx, s.id)
	if err != nil {
		return err
	}
	others, err := s.e.knownElsewhere(ctx, s.id, "")
	if err != nil {
		return err
	}
	db, done, err := s.use(ctx)
	if err != nil {
		return err
	}
	defer done()
	logins, err := db.Inventory(ctx)
	if err != nil {
		return err
	}
	after, err := s.e.known(ctx, s.id)
	if err != nil {
		return err
	}
	made, err := s.e.knownElsewhere(ctx, s.id, "")
	if err != nil {
		return err
	}
	// A login that another connection looks after is not ours to judge: several
	// databases of one server share their logins.
	logins = slices.DeleteFunc(logins, func(l provider.Login) bool {
		_, is := after[l.Name]
		return !is && (others[l.Name] || made[l.Name])
	})
	if err := s.noteStanding(ctx, db.connection, logins, after); err != nil {
		return err
	}
	findings := compare(db, logins, before, after)
	for i := range findings {
		findings[i].connection = s.id
	}
	if err := s.report(ctx, findings); err != nil {
		return err
	}
	return s.repair(ctx, db, findings)
}

// known is the journal of a connection, by user name. A login whose lease is
// doomed is unwanted, whether or not its row says so.
func (e *Engine) known(ctx context.Context, id string) (map[string]loginState, error) {
	known := map[string]loginState{}
	err := e.look(ctx, func(tx *store.Tx) error {
		return tx.Each(ctx, `SELECT j.username, CASE WHEN l.state = 'doomed' THEN 'unwanted' ELSE j.state END
			FROM database_login j LEFT JOIN lease l ON l.id = j.lease WHERE j.connection = ?`, []any{id}, func(scan func(...any) error) error {
			var name string
			var state loginState
			err := scan(&name, &state)
			known[name] = state
			return err
		})
	})
	return known, err
}

// knownElsewhere are the logins that other connections look after: those that
// reach the server at an address, or all for "".
func (e *Engine) knownElsewhere(ctx context.Context, id, address string) (map[string]bool, error) {
	names := map[string]bool{}
	err := e.look(ctx, func(tx *store.Tx) error {
		all, err := e.connections(ctx, tx, ``)
		if err != nil {
			return err
		}
		there := map[string]bool{}
		for _, c := range all {
			there[c.ID] = c.ID != id && (address == "" || serverOf(c.text("connection_url")) == address)
		}
		return tx.Each(ctx, `SELECT connection, username FROM database_login WHERE connection <> ? AND state <> ?`, []any{id, string(buried)}, func(scan func(...any) error) error {
			var connection, name string
			err := scan(&connection, &name)
			if there[connection] {
				names[name] = true
			}
			return err
		})
	})
	return names, err
}

// serverOf is the part of a connection's URL that names the server, without who
// logs in and to which database: "db.acme.test:5432" of
// "postgres://{{username}}:{{password}}@db.acme.test:5432/ledger". A text that is
// no URL is taken whole.
func serverOf(url string) string {
	if at := strings.LastIndexByte(url, '@'); at >= 0 {
		url = url[at+1:]
		if end := strings.IndexAny(url, "/?"); end >= 0 {
			url = url[:end]
		}
	}
	return url
}

// compare finds what differs.
func compare(db *opened, logins []provider.Login, before, after map[string]loginState) []Finding {
	var findings []Finding
	there := map[string]bool{}
	for _, l := range logins {
		there[l.Name] = true
	}
	renamed := map[string]bool{}
	for _, l := range logins {
		_, was := before[l.Name]
		state, is := after[l.Name]
		if (was || is) && state != buried {
			continue
		}
		f := Finding{Username: l.Name, inventory: l}
		from, ours := after[l.MadeAs]
		switch {
		case untouchable(db, l):
			continue
		case l.MadeAs != "" && l.MadeAs != l.Name && ours && from != buried && !there[l.MadeAs]:
			f.Kind, f.Detail = Renamed, "it was made as "+l.MadeAs
			renamed[l.MadeAs] = true
		case state == buried || db.namer.Marked(l.Name):
			f.Kind, f.Detail = Orphan, "no lease stands for it"
		case l.MadeAs != "":
			f.Kind, f.Detail = Foreign, "another Nightporter made it, as "+l.MadeAs
		default:
			continue // somebody's own login
		}
		findings = append(findings, f)
	}
	for name, state := range after {
		// One that is being made or taken away may be there or not.
		if before[name] == made && state == made && !there[name] && !renamed[name] {
			findings = append(findings, Finding{Username: name, Kind: Missing, Detail: "the database does not have it"})
		}
	}
	return findings
}

// untouchable are logins that no mistake of ours may take away: the administrator
// and superusers.
func untouchable(db *opened, l provider.Login) bool {
	return l.Superuser || l.Name == db.text("username") || l.Name == ""
}

// report writes the findings down, before anything is done about them.
func (s *server) report(ctx context.Context, findings []Finding) error {
	if len(findings) == 0 {
		return nil
	}
	const most = 200 // of each kind; the rest is found again next time
	return s.e.do(ctx, "login.findings", s.id, func(tx *gate.Tx) error {
		counts := map[string]int{}
		now := store.Micros(tx.Now())
		for _, f := range findings {
			if counts[f.Kind]++; counts[f.Kind] > most {
				continue
			}
			_, err := tx.Exec(ctx, `INSERT INTO database_finding (connection, username, kind, detail, repaired, first_at, last_at)
				VALUES (?, ?, ?, ?, '', ?, ?) ON CONFLICT (connection, username, kind) DO UPDATE SET last_at = excluded.last_at, detail = excluded.detail`,
				s.id, f.Username, f.Kind, f.Detail, now, now)
			if err != nil {
				return err
			}
		}
		for kind, n := range counts {
			tx.Detail(kind, n)
		}
		return nil
	})
}

// repair does what the kinds say.
func (s *server) repair(ctx context.Context, db *opened, findings []Finding) error {
	for _, f := range findings {
		var err error
		var what string
		switch f.Kind {
		case Orphan:
			what, err = "taken away", s.claim(ctx, "no lease stands for it", f.inventory)
		case Renamed:
			what = "taken away under its new name"
			if err = s.claim(ctx, "it was renamed", f.inventory); err == nil {
				err = s.e.unwant(ctx, "its login was renamed in the database", login{s.id, f.inventory.MadeAs})
			}
		case Missing:
			// The inventory may be older than the login.
			exists, xerr := db.Exists(ctx, f.Username)
			if err = xerr; err != nil || exists {
				break
			}
			what, err = "its lease was ended", s.e.unwant(ctx, "its login was dropped in the database", login{s.id, f.Username})
		}
		if err != nil {
			return err
		}
		if what == "" {
			continue
		}
		err = s.e.do(ctx, "login.repair", s.id, func(tx *gate.Tx) error {
			tx.Detail("login", f.Username)
			tx.Detail("repair", what)
			_, err := tx.Exec(ctx, `UPDATE database_finding SET repaired = ? WHERE connection = ? AND username = ? AND kind = ?`,
				what, s.id, f.Username, f.Kind)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// claim writes logins that were found into the journal as unwanted: then their
// keeper takes them away.
func (s *server) claim(ctx context.Context, reason string, logins ...provider.Login) error {
	return s.e.do(ctx, "login.claim", s.id, func(tx *gate.Tx) error {
		tx.Detail("reason", reason)
		list := make([]login, len(logins))
		added := int64(0)
		for i, l := range logins {
			list[i] = login{s.id, l.Name}
			n, err := tx.Exec(ctx, `UPDATE database_login SET state = ? WHERE connection = ? AND username = ? AND state = ?`,
				string(unwanted), s.id, l.Name, string(buried))
			if err != nil {
				return err
			}
			if n == 0 {
				n, err = tx.Exec(ctx, `INSERT INTO database_login (connection, username, lease, role, state, fence, made_at, statements)
					VALUES (?, ?, ?, '', ?, ?, ?, '') ON CONFLICT DO NOTHING`,
					s.id, l.Name, "found/"+rand.Text(), string(unwanted), s.e.cfg.Fence, store.Micros(tx.Now()))
				if err != nil {
					return err
				}
			}
			added += n
		}
		tx.Detail("logins", names(list))
		tx.AfterCommit(func() {
			s.e.total.Add(added)
			s.poke()
		})
		return nil
	})
}

// Findings are what the reconciler found, newest first; those of one database, or
// of all for "".
func (e *Engine) Findings(ctx context.Context, database string) (list []Finding, err error) {
	err = e.look(ctx, func(tx *store.Tx) error {
		list, err = e.FindingsIn(ctx, tx, database)
		return err
	})
	return list, err
}

// FindingsIn is Findings within a snapshot that the caller reads more from.
func (e *Engine) FindingsIn(ctx context.Context, tx *store.Tx, database string) (list []Finding, err error) {
	err = tx.Each(ctx, `SELECT c.path, c.name, f.username, f.kind, f.detail, f.repaired, f.first_at, f.last_at
			FROM database_finding f JOIN database_connection c ON c.id = f.connection
			ORDER BY f.last_at DESC, c.path, c.name, f.username LIMIT 1000`, nil, func(scan func(...any) error) error {
		var f Finding
		var path, name string
		var first, last int64
		if err := scan(&path, &name, &f.Username, &f.Kind, &f.Detail, &f.Repaired, &first, &last); err != nil {
			return err
		}
		f.Database, f.First, f.Last = path+name, store.Time(first), store.Time(last)
		if database == "" || database == f.Database {
			list = append(list, f)
		}
		return nil
	})
	return list, err
}

// readOrphans answers the findings of a mount.
func (b *Backend) readOrphans(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	list, err := b.engine.Findings(ctx, "")
	if err != nil {
		return nil, err
	}
	mine := []Finding{}
	for _, f := range list {
		if len(f.Database) > len(r.Mount.Path) && f.Database[:len(r.Mount.Path)] == r.Mount.Path {
			mine = append(mine, f)
		}
	}
	return &vault.Response{Data: map[string]any{"findings": mine}}, nil
}
