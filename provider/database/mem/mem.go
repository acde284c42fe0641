package mem

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/database"
)

// DB is a connection to a [Server].
type DB struct {
	server  *Server
	config  database.Config
	dialect database.Dialect
}

var _ database.Database = (*DB)(nil)

// Open connects to the server. The plugin decides which database's words the
// statements use; the connection_url only has to be there.
func (s *Server) Open(c database.Config) (*DB, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	db := &DB{server: s, config: c.WithDefaults(), dialect: database.PostgreSQL}
	if strings.HasPrefix(c.Plugin, "mysql") {
		db.dialect = database.MySQL
	}
	return db, nil
}

var errLost = nightporter.Wrap(errors.New("the server in memory is down"), nightporter.Unavailable, "the database does not answer")

// do runs f as the administrator on a copy of the logins, which it keeps when f
// works.
func (db *DB) do(ctx context.Context, f func(logins map[string]login) error) error {
	if err := ctx.Err(); err != nil {
		return nightporter.Wrap(err, nightporter.Unavailable, "the database does not answer")
	}
	s := db.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mode == Down {
		return errLost
	}
	if err := s.check(db.config.Username, db.config.Password); err != nil {
		return err
	}
	logins := maps.Clone(s.logins)
	if err := f(logins); err != nil {
		return err
	}
	s.logins = logins
	if s.mode == Losing {
		return errLost
	}
	return nil
}

// Verify logs in as the administrator.
func (db *DB) Verify(ctx context.Context) error {
	return db.do(ctx, func(map[string]login) error { return nil })
}

// CreateUser makes one login.
func (db *DB) CreateUser(ctx context.Context, c database.Create) error {
	if !database.ValidName(db.config.Plugin, c.Username) {
		return nightporter.E(nightporter.Invalid, "a login's name has letters, digits, _ and -, not %q", c.Username)
	}
	statements, err := db.fill(c.Statements, database.Values{Username: c.Username, Password: c.Password, Expiration: c.Expiration})
	if err != nil {
		return err
	}
	if len(statements) == 0 {
		return nightporter.E(nightporter.Invalid, "empty creation statements")
	}
	return db.do(ctx, func(logins map[string]login) error {
		for _, s := range statements {
			if err := run(db.dialect, logins, s); err != nil {
				return err
			}
		}
		if _, exists := logins[c.Username]; !exists {
			return nightporter.E(nightporter.Invalid, "the creation statements made no login %q", c.Username)
		}
		return nil
	})
}

// RenewUser moves the login's end.
func (db *DB) RenewUser(ctx context.Context, r database.Renew) error {
	return db.change(ctx, r.Username, r.Statements, database.Values{Username: r.Username, Expiration: r.Expiration}, func(l *login) {
		l.until = r.Expiration.UTC()
	})
}

// ChangePassword gives an existing login another password.
func (db *DB) ChangePassword(ctx context.Context, c database.Change) error {
	return db.change(ctx, c.Username, c.Statements, database.Values{Username: c.Username, Password: c.Password}, func(l *login) {
		l.password = c.Password
	})
}

func (db *DB) change(ctx context.Context, name string, items []string, values database.Values, standard func(*login)) error {
	statements, err := db.fill(items, values)
	if err != nil {
		return err
	}
	return db.do(ctx, func(logins map[string]login) error {
		l, exists := logins[name]
		if !exists {
			return nightporter.E(nightporter.NotFound, "the database has no login %q", name)
		}
		if len(statements) == 0 {
			standard(&l)
			logins[name] = l
		}
		for _, s := range statements {
			if err := run(db.dialect, logins, s); err != nil {
				return err
			}
		}
		return nil
	})
}

// RevokeUsers takes logins away.
func (db *DB) RevokeUsers(ctx context.Context, users []database.Revoke) []database.Outcome {
	outcomes := make([]database.Outcome, len(users))
	for i, user := range users {
		outcomes[i] = db.revoke(ctx, user)
	}
	return outcomes
}

func (db *DB) revoke(ctx context.Context, user database.Revoke) database.Outcome {
	o := database.Outcome{Username: user.Username, State: database.Gone}
	var reason error
	if user.Username == db.server.admin {
		o.Err = nightporter.E(nightporter.Invalid, "%q is the login of this connection itself", user.Username)
	} else {
		o.Err = db.do(ctx, func(logins map[string]login) error {
			l, exists := logins[user.Username]
			if !exists {
				return nil
			}
			if !db.config.KeepSessions {
				db.server.end(user.Username)
			}
			if len(user.Statements) == 0 {
				delete(logins, user.Username)
				return nil
			}
			l.canLogin, l.password = false, ""
			logins[user.Username] = l
			o.State = database.Disabled
			reason = db.ownRevocation(logins, user)
			if _, left := logins[user.Username]; !left {
				o.State = database.Gone
			} else if reason == nil {
				reason = nightporter.E(nightporter.Conflict, "the login is still there after its revocation statements")
			}
			return nil
		})
	}
	if o.Err != nil {
		o.State = database.Failed
	} else if o.State == database.Disabled {
		o.Err = reason
	}
	if o.Err != nil {
		o.Reason = nightporter.MessageOf(o.Err)
	}
	return o
}

// ownRevocation runs a login's revocation statements.
func (db *DB) ownRevocation(logins map[string]login, user database.Revoke) error {
	statements, err := db.fill(user.Statements, database.Values{Username: user.Username})
	for i := 0; err == nil && i < len(statements); i++ {
		err = run(db.dialect, logins, statements[i])
	}
	return err
}

// Try logs in as somebody else.
func (db *DB) Try(ctx context.Context, username, password string) error {
	other := *db
	other.config.Username, other.config.Password = username, password
	return other.Verify(ctx)
}

// Settle does nothing: a change here is over when its call is.
func (db *DB) Settle(ctx context.Context, _ ...string) error { return db.Verify(ctx) }

// Exists tells whether there is a login of that name.
func (db *DB) Exists(ctx context.Context, username string) (exists bool, err error) {
	err = db.do(ctx, func(logins map[string]login) error {
		_, exists = logins[username]
		return nil
	})
	return exists && err == nil, err
}

// Inventory lists every login.
func (db *DB) Inventory(ctx context.Context) ([]database.Login, error) {
	var all []database.Login
	err := db.do(ctx, func(logins map[string]login) error {
		for _, name := range slices.Sorted(maps.Keys(logins)) {
			l := logins[name]
			entry := database.Login{Name: name, CanLogin: l.canLogin, ValidUntil: l.until, Superuser: l.super}
			if l.groups != "" {
				entry.MemberOf = strings.Split(l.groups, ",")
			}
			for session := range db.server.sessions {
				if session.user == name {
					entry.Sessions++
				}
			}
			all = append(all, entry)
		}
		return nil
	})
	return all, err
}

// Close does nothing: the server stays.
func (db *DB) Close() error { return nil }

func (db *DB) fill(items []string, values database.Values) ([]string, error) {
	statements, err := database.Statements(db.dialect, items)
	for i := 0; err == nil && i < len(statements); i++ {
		statements[i], err = database.Fill(db.dialect, statements[i], values)
	}
	return statements, err
}

var _ database.SessionLister = (*DB)(nil)

// Sessions lists a login's sessions. A server in memory knows nothing of where
// they come from.
func (db *DB) Sessions(ctx context.Context, username string) ([]database.Session, error) {
	var sessions []database.Session
	err := db.do(ctx, func(map[string]login) error {
		for c := range db.server.sessions {
			if c.user == username {
				sessions = append(sessions, database.Session{ID: strconv.Itoa(len(sessions) + 1), Program: "mem"})
			}
		}
		return nil
	})
	return sessions, err
}
