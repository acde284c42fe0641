package database

import (
	"context"
	"crypto/rand"
	"regexp"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	provider "nightporter.dev/nightporter/provider/database"
)

// A password that was found where it should not be is tried on the databases that
// are known here, and nowhere else; and when it opens one, its account gets another
// password, which only this house knows, and whoever used it is offered leases.

// Leak is a login that was found somewhere. The password is used and forgotten.
type Leak struct {
	// Kind is "postgres" or "mysql"; "" when the place did not say.
	Kind string
	// User is "" when the place did not say: then every account is tried that is
	// not a lease's, up to twenty.
	User     string
	Password string
	// Database chooses among several of one server, whose accounts are the same.
	Database string
}

// Tried is what one database said to a login that was found.
type Tried struct {
	Database string `json:"database"` // mount and name
	User     string `json:"user"`
	// State is live (it logged in), refused, or unknown: the database did not
	// answer, or lets everybody in.
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"` // of unknown
}

// The states of a login that was tried.
const (
	LeakLive    = "live"
	LeakRefused = "refused"
	LeakUnknown = "unknown"
)

// maxTried bounds how many accounts a password without a name is tried on, and how
// many databases.
const (
	maxTriedUsers     = 20
	maxTriedDatabases = 50
)

// TryLeak logs in with a login that was found, at every server of its kind.
func (e *Engine) TryLeak(ctx context.Context, l Leak) ([]Tried, error) {
	var all []*connection
	err := e.look(ctx, func(tx *store.Tx) (err error) {
		all, err = e.connections(ctx, tx, `WHERE retired_at = 0 ORDER BY path, name LIMIT ?`, maxTriedDatabases)
		return err
	})
	if err != nil {
		return nil, err
	}
	var servers []string
	at := map[string]*connection{}
	for _, c := range all {
		if l.Kind != "" && l.Kind != kindOf(c) {
			continue
		}
		server := kindOf(c) + " " + serverOf(c.text("connection_url"))
		if at[server] == nil {
			servers = append(servers, server)
		}
		if at[server] == nil || l.Database != "" && strings.Contains(c.text("connection_url"), "/"+l.Database) {
			at[server] = c
		}
	}
	out := []Tried{}
	for _, server := range servers {
		out = append(out, e.tryAt(ctx, at[server], l)...)
	}
	return out, ctx.Err()
}

func kindOf(c *connection) string {
	if dialect(c.text("plugin_name")) == provider.MySQL {
		return "mysql"
	}
	return "postgres"
}

// tryAt tries a login at one database.
func (e *Engine) tryAt(ctx context.Context, c *connection, l Leak) []Tried {
	unknown := func(err error) []Tried {
		return []Tried{{Database: c.database(), User: l.User, State: LeakUnknown, Reason: message(err)}}
	}
	db, done, err := e.server(c.ID).use(ctx)
	if err != nil {
		return unknown(err)
	}
	defer done()
	users := []string{l.User}
	if l.User == "" {
		if users, err = e.accounts(ctx, db); err != nil {
			return unknown(err)
		}
	}
	var out []Tried
	for _, user := range users {
		t := Tried{Database: c.database(), User: user}
		switch err := db.Try(ctx, user, l.Password); {
		case err == nil:
			t.State = LeakLive
			// A server that asks for no password proves nothing.
			if other := db.Try(ctx, user, rand.Text()); nightporter.CodeOf(other) != nightporter.Denied {
				t.State, t.Reason = LeakUnknown, "it does not refuse a wrong password"
			}
		case nightporter.CodeOf(err) == nightporter.Denied:
			t.State = LeakRefused
		default:
			t.State, t.Reason = LeakUnknown, message(err)
		}
		out = append(out, t)
	}
	return out
}

// accounts are the logins of a server that are no lease's.
func (e *Engine) accounts(ctx context.Context, db *opened) ([]string, error) {
	logins, err := db.Inventory(ctx)
	if err != nil {
		return nil, err
	}
	leased := map[string]bool{}
	err = e.look(ctx, func(tx *store.Tx) error {
		return tx.Each(ctx, `SELECT username FROM database_login WHERE connection = ?`, []any{db.ID}, func(scan func(...any) error) error {
			var name string
			err := scan(&name)
			leased[name] = true
			return err
		})
	})
	var users []string
	for _, l := range logins {
		if !leased[l.Name] && l.CanLogin && !slices.Contains(users, l.Name) && len(users) < maxTriedUsers {
			users = append(users, l.Name)
		}
	}
	return users, err
}

// Repaired is what [Engine.RepairLeak] did.
type Repaired struct {
	Database string `json:"database"`
	User     string `json:"user"`
	// Role is the path at which a login with the same rights is leased; "" when
	// none could be made, and Warning says why.
	Role string `json:"role,omitempty"`
	// Static is the path at which the account's own new password is read by whoever
	// cannot use leases yet; "" for the account that this house logs in with.
	Static  string `json:"static,omitempty"`
	Warning string `json:"warning,omitempty"`
}

// leakPeriod is how often the password of a repaired account changes from then on.
const leakPeriod = 30 * 24 * time.Hour

// plainAccount is a name that can stand in a path and in a statement as it is.
var plainAccount = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,62}$`)

// RepairLeak makes a found password worthless and offers something better: a role
// that leases logins with the account's rights, where the database can say so, and a
// static role that takes the account over, which changes its password at once and
// then every month. It is safe to repeat. database is a mount and a name, as in
// [Tried]. Errors: not_found, invalid, and what the database says.
func (e *Engine) RepairLeak(ctx context.Context, database, user string) (r Repaired, err error) {
	r = Repaired{Database: database, User: user}
	if !plainAccount.MatchString(user) {
		return r, nightporter.E(nightporter.Invalid, "the account %q needs a person: its name cannot stand in a path", user)
	}
	c, err := e.byPath(ctx, database)
	if err != nil {
		return r, err
	}
	if c.text("username") == user {
		r.Warning = "it is the account that this house logs in with: only its password was changed"
		return r, e.server(c.ID).rotate(ctx, func(ctx context.Context, fn func(*gate.Tx) error) error {
			return e.do(ctx, "database.repair", database, fn)
		})
	}
	if r.Role, r.Warning, err = e.leaseFor(ctx, c, user); err != nil {
		return r, err
	}
	name, err := e.takeOver(ctx, c, user)
	if err != nil {
		return r, err
	}
	r.Static = c.Path + "static-creds/" + name
	return r, nil
}

func (e *Engine) byPath(ctx context.Context, database string) (c *connection, err error) {
	err = e.look(ctx, func(tx *store.Tx) error {
		all, err := e.connections(ctx, tx, `WHERE retired_at = 0`)
		if i := slices.IndexFunc(all, func(c *connection) bool { return c.database() == database }); err == nil && i >= 0 {
			c = all[i]
		}
		return err
	})
	if err == nil && c == nil {
		err = nightporter.E(nightporter.NotFound, "there is no database %q", database)
	}
	return c, err
}

// leaseFor makes a role whose logins may do what an account may.
func (e *Engine) leaseFor(ctx context.Context, c *connection, user string) (path, warning string, err error) {
	if kindOf(c) != "postgres" {
		return "", "write a role for it by hand: " + c.Path + "roles/" + user, nil
	}
	known, found, err := e.role(ctx, c.Mount, user)
	if err != nil {
		return "", "", err
	}
	if found {
		if known.DB != c.Name {
			return "", "the role " + user + " is of another database: write one for " + c.Name + " by hand", nil
		}
		return c.Path + "creds/" + user, "", nil
	}
	role := Role{
		Name: user, DB: c.Name, DefaultTTL: time.Hour, MaxTTL: 24 * time.Hour,
		Creation: []string{`CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}' IN ROLE ` + provider.QuoteName(provider.PostgreSQL, user) + `;`},
	}
	if err := e.allow(ctx, c, user); err != nil {
		return "", "", err
	}
	as := func(ctx context.Context, fn func(*gate.Tx) error) error {
		return e.do(ctx, "database.repair", user, fn)
	}
	if err := e.try(ctx, e.server(c.ID), role, as); err != nil {
		return "", "a role for it was tried and does not work: " + message(err), nil
	}
	return c.Path + "creds/" + user, "", e.do(ctx, "role.repair", user, func(tx *gate.Tx) error { return putRole(ctx, tx, c.Mount, role) })
}

// allow lets roles use a connection.
func (e *Engine) allow(ctx context.Context, c *connection, role string) error {
	if c.allows(role) {
		return nil
	}
	c.AllowedRoles = append(c.AllowedRoles, role)
	return e.do(ctx, "database.allow", c.database(), func(tx *gate.Tx) error {
		tx.Detail("role", role)
		return e.put(ctx, tx, c)
	})
}

// takeOver makes an account a static role, or finds it to be one, and changes its
// password now.
func (e *Engine) takeOver(ctx context.Context, c *connection, user string) (name string, err error) {
	name = user + "-account"
	err = e.look(ctx, func(tx *store.Tx) error {
		var names []string
		err := tx.Each(ctx, `SELECT name FROM database_static WHERE mount = ?`, []any{c.Mount}, func(scan func(...any) error) error {
			var n string
			err := scan(&n)
			names = append(names, n)
			return err
		})
		for _, n := range names {
			if s, serr := e.static(ctx, tx, c.Mount, n); serr == nil && s.DB == c.Name && (s.Username == user || s.Alternate == user) {
				name = n
				return err
			}
			if n == name {
				name += "-" + c.Name // another server's account of the same name
			}
		}
		return err
	})
	if err != nil {
		return "", err
	}
	if err := e.allow(ctx, c, name); err != nil {
		return "", err
	}
	taken, err := e.exists(ctx, `SELECT COUNT(*) FROM database_static WHERE mount = ? AND name = ?`, c.Mount, name)
	if err == nil && !taken {
		s := &StaticRole{Name: name, Mount: c.Mount, DB: c.Name, Username: user, Period: leakPeriod}
		err = e.do(ctx, "static_role.repair", name, func(tx *gate.Tx) error {
			tx.Detail("user", user)
			return e.putStatic(ctx, tx, s, e.cfg.Now().Add(time.Minute))
		})
	}
	if err != nil {
		return "", err
	}
	if err := e.rotateOne(ctx, c.Mount, name); err != nil {
		return "", err
	}
	var s *StaticRole
	err = e.look(ctx, func(tx *store.Tx) (err error) {
		s, err = e.static(ctx, tx, c.Mount, name)
		return err
	})
	if err == nil && s.Active != user {
		err = e.rotateOne(ctx, c.Mount, name) // two accounts take turns: it was the other's
	}
	return name, err
}

// Say says in words what databases answered.
func Say(tried []Tried) string {
	var parts []string
	for _, t := range tried {
		part := t.Database + " " + map[string]string{LeakLive: "let it in", LeakRefused: "refused it", LeakUnknown: "could not be asked"}[t.State]
		if t.User != "" {
			part += " as " + t.User
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}
