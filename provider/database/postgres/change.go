package postgres

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/database"
)

const (
	defaultRenew  = `ALTER ROLE "{{name}}" VALID UNTIL '{{expiration}}'`
	defaultChange = `ALTER ROLE "{{username}}" WITH PASSWORD '{{password}}'`

	// notePrefix begins the comment on the roles that we make. It stays with a role
	// that somebody renames, and tells a DBA where the role came from.
	notePrefix = "nightporter login "
)

// CreateUser makes one login in one transaction.
func (db *DB) CreateUser(ctx context.Context, c database.Create) error {
	if !database.ValidName(database.PluginPostgreSQL, c.Username) {
		return nightporter.E(nightporter.Invalid, "a login's name has up to %d letters, digits, _ and -, not %q", maxName, c.Username)
	}
	if len(c.Statements) == 0 {
		return nightporter.E(nightporter.Invalid, "empty creation statements") // Vault's words
	}
	return db.change(ctx, change{
		username: c.Username, password: c.Password, expiration: c.Expiration,
		statements: c.Statements, makes: true,
	})
}

// RenewUser moves the end that the role itself carries.
func (db *DB) RenewUser(ctx context.Context, r database.Renew) error {
	return db.change(ctx, change{
		username: r.Username, expiration: r.Expiration,
		statements: orDefault(r.Statements, defaultRenew),
	})
}

// ChangePassword gives an existing role another password.
func (db *DB) ChangePassword(ctx context.Context, c database.Change) error {
	return db.change(ctx, change{
		username: c.Username, password: c.Password,
		statements: orDefault(c.Statements, defaultChange),
	})
}

func orDefault(statements []string, standard string) []string {
	if len(statements) == 0 {
		return []string{standard}
	}
	return statements
}

// briefly lets the server end a transaction whose client has vanished between its
// two messages, together with the locks that others wait for.
const briefly = "SET LOCAL idle_in_transaction_session_timeout = '10s'"

// grantsDirectly recognises a statement that changes the rights on an object. All
// logins of a role change the same object, and PostgreSQL would let all but one of
// them do their work and then refuse it: they take turns instead.
var grantsDirectly = regexp.MustCompile(`(?is)^\s*GRANT\s.*\sON\s`)

var grantsInTurn = advisoryLock("\x00grants") // no login has such a name

// change is what happens to one role.
type change struct {
	username   string
	password   string
	expiration time.Time
	statements []string
	makes      bool // the role must not exist before
}

func (db *DB) change(ctx context.Context, ch change) error {
	if ch.username == "" || len(ch.username) > maxName || strings.ContainsRune(ch.username, 0) {
		return nightporter.E(nightporter.NotFound, "PostgreSQL has no role of that name: it would be empty, longer than %d bytes, or hold a NUL", maxName)
	}
	statements, err := db.fill(ch)
	if err != nil {
		return err
	}
	noted := ch.makes
	err = explain(db.borrow(ctx, func(ctx context.Context, c *pgx.Conn) error {
		return again(ctx, func() error {
			err := transact(ctx, c, ch, statements, noted)
			if noted && nightporter.CodeOf(explain(err, "")) == nightporter.Denied {
				// Perhaps somebody else's function made the role, and we may not comment
				// on it.
				noted = false
				if err = rollback(ctx, c); err == nil {
					err = transact(ctx, c, ch, statements, noted)
				}
			}
			if err != nil {
				return errors.Join(err, rollback(ctx, c))
			}
			return nil
		})
	}), ch.password)
	if err != nil && !ch.makes && nightporter.CodeOf(err) == nightporter.Invalid {
		if exists, look := db.Exists(ctx, ch.username); look == nil && !exists {
			return nightporter.Wrap(err, nightporter.NotFound, "the database has no role %q", ch.username)
		}
	}
	return err
}

// fill returns the statements with the values in them.
func (db *DB) fill(ch change) ([]string, error) {
	statements, err := database.Statements(database.PostgreSQL, ch.statements)
	if err != nil {
		return nil, err
	}
	if len(statements) == 0 {
		return nil, nightporter.E(nightporter.Invalid, "empty creation statements")
	}
	values := database.Values{Username: ch.username, Password: ch.password, Expiration: ch.expiration}
	if db.config.PasswordAuthentication == database.ScramPassword && ch.password != "" {
		if values.Password, err = scramVerifier(ch.password); err != nil {
			return nil, err
		}
	}
	for i, s := range statements {
		if statements[i], err = database.Fill(database.PostgreSQL, s, values); err != nil {
			return nil, err
		}
	}
	return statements, nil
}

// transact runs the statements in one transaction, and commits it in a message of
// its own, after the server said that all of them worked. A message that gets
// stuck on its way can therefore commit nothing before we have heard from the
// server, and the advisory lock lets settle find a COMMIT that got stuck.
func transact(ctx context.Context, c *pgx.Conn, ch change, statements []string, noted bool) error {
	name := database.QuoteString(database.PostgreSQL, ch.username)
	first := []string{"BEGIN", durably, briefly, advisoryLock(ch.username)}
	if i := slices.IndexFunc(statements, grantsDirectly.MatchString); i >= 0 {
		// Not before: hashing the password takes most of the time.
		statements = slices.Insert(slices.Clone(statements), i, grantsInTurn)
	}
	first = append(first, statements...)
	first = append(first, "SELECT coalesce(pg_catalog.shobj_description(oid, 'pg_authid'), '') FROM pg_catalog.pg_roles WHERE rolname = "+name)
	results, err := script(ctx, c, first...)
	if err != nil {
		return err
	}
	if c.PgConn().TxStatus() != 'T' {
		return nightporter.E(nightporter.Invalid, "the statements end the transaction that they run in")
	}
	rows := results[len(results)-1].Rows
	if len(rows) == 0 {
		if ch.makes {
			return nightporter.E(nightporter.Invalid, "the creation statements made no role %q: write \"{{name}}\", in double quotes", ch.username)
		}
		return nightporter.E(nightporter.NotFound, "the database has no role %q", ch.username)
	}
	last := []string{"COMMIT", afterwards}
	if noted && len(rows[0][0]) == 0 {
		note := database.QuoteString(database.PostgreSQL, notePrefix+ch.username)
		last = append([]string{"COMMENT ON ROLE " + database.QuoteName(database.PostgreSQL, ch.username) + " IS " + note}, last...)
	}
	_, err = script(ctx, c, last...)
	return err
}
