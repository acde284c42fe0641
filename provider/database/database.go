// Package database is the contract with a database server that hands out
// logins: it makes them, keeps them alive, changes their passwords and takes
// them away, and it tells which ones exist.
//
// Three rules hold for every implementation.
//
// The caller chooses the name, and commits it to its journal, before
// [Database.CreateUser]. A crash between the two leaves a name to look for, never
// a login that nobody knows.
//
// An error of a change does not mean that nothing happened: the answer may have
// been lost on the way. The caller revokes the name until an [Outcome] says
// [Gone]. Revoking a name first ends whatever change of it is still in flight
// ([Database.Settle]), so a CREATE that was delayed in the network cannot arrive
// after the answer.
//
// [Gone] means that the database said so. An implementation reads the catalogue
// after it dropped the login, and a broken connection is [Failed].
//
// The plugin names, the configuration fields, the statements and their
// placeholders are those of Vault's database secrets engine.
package database

import (
	"context"
	"time"
)

// The plugin names of the implementations, as in Vault's database/config.
const (
	PluginPostgreSQL  = "postgresql-database-plugin"
	PluginMySQL       = "mysql-database-plugin"
	PluginMySQLAurora = "mysql-aurora-database-plugin"
	PluginMySQLRDS    = "mysql-rds-database-plugin"
	PluginMySQLLegacy = "mysql-legacy-database-plugin" // names of 16 characters: MySQL 5.6 and older
)

// Database is one server, or one cluster, seen through its administrator's
// login. It is safe for concurrent use. No method waits longer than
// [Config.Timeout], whatever the database does.
//
// Errors carry a code: Invalid when the database refused the statements or the
// name, NotFound when the login is not there, Conflict when it is there already,
// Denied when it refused a login or a right, Unavailable when it does not answer.
type Database interface {
	// Verify logs in as the administrator.
	Verify(ctx context.Context) error

	// CreateUser makes one login by running the creation statements. Where the
	// database can, they run in one transaction; where it cannot, the login is
	// dropped again when one of them fails. Statements that do not make a login of
	// exactly that name are an error. After any error the caller revokes the name.
	CreateUser(ctx context.Context, c Create) error

	// RenewUser moves the login's end. NotFound says that somebody dropped it.
	RenewUser(ctx context.Context, r Renew) error

	// RevokeUsers takes logins away, as many per transaction as the database
	// allows, and ends their sessions. It answers for each one, in order. One that
	// cannot be revoked does not hold up the others. Revoking what is not there is
	// Gone.
	RevokeUsers(ctx context.Context, users []Revoke) []Outcome

	// ChangePassword gives an existing login another password. After an error
	// either password may be the valid one: ask Try, and Settle before trusting it.
	ChangePassword(ctx context.Context, c Change) error

	// Try logs in as somebody else, over a connection of its own. Denied means
	// that the database refused; Unavailable proves nothing.
	Try(ctx context.Context, username, password string) error

	// Settle ends every change of these logins that is still in flight. What Try,
	// Exists and Inventory say afterwards is final.
	Settle(ctx context.Context, usernames ...string) error

	// Exists tells whether there is a login of that name.
	Exists(ctx context.Context, username string) (bool, error)

	// Inventory lists every login of the server, ours or not, ordered by name.
	Inventory(ctx context.Context) ([]Login, error)

	// Close closes the connections. Calls in progress end with an error.
	Close() error
}

// Create asks for one login.
type Create struct {
	// Username satisfies [ValidName] and is in the caller's journal already.
	Username string
	Password string
	// Expiration fills {{expiration}}. Vault adds five seconds to the lease's end;
	// that is the caller's to do.
	Expiration time.Time
	// Statements are the creation statements; none is an error.
	Statements []string
	// RollbackStatements undo a creation that failed half way, where the database
	// has no transactions for it. None means that the login is dropped.
	RollbackStatements []string
}

// Renew asks for a later, or earlier, end of a login.
type Renew struct {
	Username   string
	Expiration time.Time
	// Statements are the renew statements. None means the engine's default: VALID
	// UNTIL in PostgreSQL, nothing in MySQL, which knows no such end.
	Statements []string
}

// Change asks for another password.
type Change struct {
	// Username is any existing login, also one that we did not make: the
	// administrator itself, or a static role.
	Username string
	Password string
	// Statements are the rotation statements. None means the engine's default.
	Statements []string
}

// Revoke names a login that has to go.
type Revoke struct {
	Username string
	// Statements are the revocation statements. They replace the engine's default
	// entirely, but a login that still works after them is disabled.
	Statements []string
}

// State is what became of a login that had to go.
type State string

// The states.
const (
	// Gone: the database's catalogue does not know the login.
	Gone State = "gone"
	// Disabled: the login exists, but nobody can use it: no login right, no
	// password, no session. The reason says what holds it.
	Disabled State = "disabled"
	// Failed: the login may still work. Try again.
	Failed State = "failed"
)

// Outcome is the answer for one revoked login.
type Outcome struct {
	Username string
	State    State
	// Reason is one sentence for people. Empty when Gone.
	Reason string
	// Err is what the database said, with a code. Nil when Gone.
	Err error
}

// Login is one login of the server, as its catalogue describes it.
type Login struct {
	Name string
	// CanLogin is false for groups, and for logins that are locked.
	CanLogin bool
	// ValidUntil is when its password ends; zero means never.
	ValidUntil time.Time
	// Superuser may do everything.
	Superuser bool
	// MemberOf are the groups or roles that it belongs to, sorted.
	MemberOf []string
	// Hosts are the hosts it may come from, sorted, where the engine has that
	// idea (MySQL).
	Hosts []string
	// MadeAs is the name under which we made this login, where the engine keeps a
	// note of it (PostgreSQL). It differs from Name when somebody renamed it.
	MadeAs string
	// Sessions is how many connections it has now.
	Sessions int
}
