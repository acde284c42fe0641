// Package mysql hands out logins of a MySQL or MariaDB server.
//
// These servers have no transactions for logins, so a creation that fails half
// way is undone by hand. While a login is changed its connection holds a named
// lock, so that a caller who never got an answer can find that connection and kill
// it, before a delayed CREATE USER arrives.
//
// A login is taken away many at a time: locked, its connections killed, dropped.
//
// The administrator needs CREATE USER with GRANT OPTION, SELECT on mysql.*, and,
// to end sessions, PROCESS and CONNECTION ADMIN (before MySQL 8 and MariaDB 10.5:
// SUPER). Without PROCESS a server hides other people's sessions from us.
package mysql

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	gomysql "github.com/go-sql-driver/mysql"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/database"
)

// DB is one MySQL or MariaDB server.
type DB struct {
	config  database.Config
	connect *gomysql.Config
	pool    *sql.DB
}

var _ database.Database = (*DB)(nil)

// Open prepares connections to a server. It does not connect: see [DB.Verify].
func Open(c database.Config) (*DB, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	c = c.WithDefaults()
	if c.Plugin == "" {
		c.Plugin = database.PluginMySQL
	}
	if c.PasswordAuthentication != database.PlainPassword {
		return nil, nightporter.E(nightporter.Invalid, "password_authentication %q is for PostgreSQL", c.PasswordAuthentication)
	}
	connect, err := connectConfig(c)
	if err != nil {
		return nil, err
	}
	connector, err := gomysql.NewConnector(connect)
	if err != nil {
		return nil, nightporter.E(nightporter.Invalid, "connection_url does not describe a connection")
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(c.MaxOpenConnections)
	pool.SetMaxIdleConns(c.MaxIdleConnections)
	pool.SetConnMaxLifetime(c.MaxConnectionLifetime)
	return &DB{config: c, connect: connect, pool: pool}, nil
}

var (
	usernameMark = regexp.MustCompile(`\{\{\s*username\s*\}\}`)
	passwordMark = regexp.MustCompile(`\{\{\s*password\s*\}\}`)
)

// connectConfig reads the connection_url. The real user name and password never
// go through its text, so no character of them needs escaping, and no parse error
// can show them.
func connectConfig(c database.Config) (*gomysql.Config, error) {
	text := usernameMark.ReplaceAllLiteralString(c.ConnectionURL, "nightporter")
	text = passwordMark.ReplaceAllLiteralString(text, "x")
	connect, err := gomysql.ParseDSN(text)
	if err != nil {
		// The cause may quote the URL, and with it a password: it is dropped.
		return nil, nightporter.E(nightporter.Invalid, "connection_url is not of the form {{username}}:{{password}}@tcp(host:3306)/")
	}
	switch {
	case connect.AllowAllFiles:
		// A hostile server could then ask for any file of ours.
		return nil, nightporter.E(nightporter.Invalid, "connection_url cannot use allowAllFiles")
	case connect.MultiStatements:
		return nil, nightporter.E(nightporter.Invalid, "connection_url cannot use multiStatements: give a list of statements")
	}
	if usernameMark.MatchString(c.ConnectionURL) {
		connect.User = c.Username
	}
	if passwordMark.MatchString(c.ConnectionURL) {
		connect.Passwd = c.Password
	}
	if c.WantsTLS() {
		host, _, err := net.SplitHostPort(connect.Addr)
		if err != nil {
			host = connect.Addr
		}
		if connect.TLS, err = c.TLS(host); err != nil {
			return nil, err
		}
		connect.AllowFallbackToPlaintext = false
	}
	if c.Dial != nil {
		connect.DialFunc = c.Dial
	}
	if connect.Timeout == 0 || connect.Timeout > c.Timeout {
		connect.Timeout = min(c.Timeout, 10*time.Second)
	}
	if connect.Params == nil {
		connect.Params = map[string]string{}
	}
	// Fill and QuoteString count on backslashes that escape, and on "..." that is a
	// string.
	connect.Params["sql_mode"] = "'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'"
	connect.InterpolateParams = true
	connect.Logger = &gomysql.NopLogger{} // what it would print is in the errors too
	return connect, nil
}

// Close closes the connections.
func (db *DB) Close() error { return db.pool.Close() }

// Verify logs in as the administrator.
func (db *DB) Verify(ctx context.Context) error {
	return db.session(ctx, func(ctx context.Context, c *conn) error { return c.PingContext(ctx) })
}

// Try logs in as somebody else, over a connection of its own. It uses no
// database, which the login may have no right to.
func (db *DB) Try(ctx context.Context, username, password string) error {
	ctx, cancel := context.WithTimeout(ctx, db.config.Timeout)
	defer cancel()
	connect := db.connect.Clone()
	connect.User, connect.Passwd, connect.DBName = username, password, ""
	connector, err := gomysql.NewConnector(connect)
	if err != nil {
		return explain(err, password)
	}
	c, err := connector.Connect(ctx)
	if err != nil {
		return explain(err, password)
	}
	return explain(c.Close(), password)
}

// session runs do on one connection of the pool, within the timeout.
func (db *DB) session(ctx context.Context, do func(context.Context, *conn) error) error {
	return explain(db.borrow(ctx, do), db.connect.Passwd)
}

// borrow is session with the driver's own error, which may quote a statement.
func (db *DB) borrow(ctx context.Context, do func(context.Context, *conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, db.config.Timeout)
	defer cancel()
	pooled, err := db.pool.Conn(ctx)
	if err != nil {
		return err
	}
	c := &conn{Conn: pooled}
	err = do(ctx, c)
	if err != nil || c.spoilt {
		// This is how database/sql is told; the error is the request itself.
		_ = pooled.Raw(func(any) error { return driver.ErrBadConn })
		return err
	}
	return pooled.Close()
}

// conn is one connection of the pool.
type conn struct {
	*sql.Conn
	// spoilt is set when the connection must not go back to the pool. The server
	// then frees its locks and forgets its settings.
	spoilt bool
}

// lockName is the named lock that a connection holds while it changes a login.
// Names of locks have up to 64 characters, and do not tell capitals apart.
func lockName(username string) string {
	sum := sha256.Sum256([]byte(username))
	return "nightporter:" + hex.EncodeToString(sum[:16])
}

// column runs a query and returns its first column.
func column[T any](ctx context.Context, c *conn, query string, args ...any) ([]T, error) {
	rows, err := c.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var values []T
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, rows.Err()
}

// account is one login from one host. A login of ours may have several.
type account struct{ user, host string }

func (a account) quoted() string { return quote(a.user) + "@" + quote(a.host) }

// accounts reads which of the logins exist, from which hosts.
func accounts(ctx context.Context, c *conn, usernames []string) ([]account, error) {
	if len(usernames) == 0 {
		return nil, nil
	}
	rows, err := c.QueryContext(ctx, "SELECT User, Host FROM mysql.user WHERE User IN ("+quoteAll(usernames)+") ORDER BY User, Host")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []account
	for rows.Next() {
		var a account
		if err := rows.Scan(&a.user, &a.host); err != nil {
			return nil, err
		}
		found = append(found, a)
	}
	return found, rows.Err()
}

func quote(text string) string { return database.QuoteString(database.MySQL, text) }

func quoteAll(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = quote(t)
	}
	return strings.Join(quoted, ", ")
}

// untilNone kills the connections that a query finds, until it finds none.
func untilNone(ctx context.Context, c *conn, query, otherwise string) error {
	const patience = 5 * time.Second
	pause := time.Millisecond
	for start := time.Now(); ; {
		ids, err := column[int64](ctx, c, query)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return nil
		}
		for _, id := range ids {
			_, err := c.ExecContext(ctx, fmt.Sprintf("KILL CONNECTION %d", id))
			if err != nil && !isNumber(err, errNoSuchThread) {
				return err
			}
		}
		if time.Since(start) > patience {
			return nightporter.Wrap(fmt.Errorf("%d connections are left", len(ids)), nightporter.Unavailable, "%s", otherwise)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
			pause = min(2*pause, 100*time.Millisecond)
		}
	}
}

// Settle kills the connections that are still changing one of these logins.
// Without it, a CREATE USER that was delayed in the network could make a login
// appear after the catalogue said that there is none.
func (db *DB) Settle(ctx context.Context, usernames ...string) error {
	return db.session(ctx, func(ctx context.Context, c *conn) error { return settle(ctx, c, usernames) })
}

func settle(ctx context.Context, c *conn, usernames []string) error {
	if len(usernames) == 0 {
		return nil
	}
	holders := make([]string, len(usernames))
	for i, name := range usernames {
		holders[i] = "SELECT IS_USED_LOCK(" + quote(lockName(name)) + ") AS id"
	}
	query := "SELECT id FROM (" + strings.Join(holders, " UNION ") + ") AS holders WHERE id IS NOT NULL AND id <> CONNECTION_ID()"
	return untilNone(ctx, c, query, "a change of the login is still in progress")
}

// takeLock begins a change of a login. A server that has no such locks (some
// clusters refuse them) cannot be settled, but it can be used.
func takeLock(ctx context.Context, c *conn, username string) error {
	var got sql.NullInt64
	err := c.QueryRowContext(ctx, "SELECT GET_LOCK("+quote(lockName(username))+", 5)").Scan(&got)
	if err != nil && !answered(err) {
		return err
	}
	if err == nil && got.Int64 != 1 {
		return nightporter.E(nightporter.Unavailable, "another change of %q is in progress", username)
	}
	return nil
}

func freeLock(ctx context.Context, c *conn, username string) error {
	_, err := c.ExecContext(ctx, "DO RELEASE_LOCK("+quote(lockName(username))+")")
	if err != nil && answered(err) {
		return nil
	}
	return err
}

var errBroken = errors.New("the connection broke")
