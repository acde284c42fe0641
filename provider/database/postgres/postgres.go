// Package postgres hands out logins of a PostgreSQL cluster.
//
// A login is made in one transaction, in two messages: everything, then COMMIT.
// The transaction holds an advisory lock on the login's name, so that a caller who
// never got an answer can find the backend that may still commit, and end it.
//
// A login is taken away many at a time. First nobody can log in any more, then
// their sessions end, then what they own goes to somebody else and what they were
// granted goes, in every database where the catalogue says there is something,
// then the roles are dropped. If the last steps cannot be done, the first have
// been.
package postgres

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/database"
)

// maxName is PostgreSQL's limit for a name, in bytes (NAMEDATALEN - 1).
const maxName = 63

// DB is one PostgreSQL cluster, seen through one of its databases.
type DB struct {
	config  database.Config
	connect *pgx.ConnConfig
	pool    *sql.DB
}

var _ database.Database = (*DB)(nil)

// Open prepares connections to a cluster. It does not connect: see
// [DB.Verify].
func Open(c database.Config) (*DB, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	c = c.WithDefaults()
	connect, err := connectConfig(c)
	if err != nil {
		return nil, err
	}
	pool := stdlib.OpenDB(*connect)
	pool.SetMaxOpenConns(c.MaxOpenConnections)
	pool.SetMaxIdleConns(c.MaxIdleConnections)
	pool.SetConnMaxLifetime(c.MaxConnectionLifetime)
	return &DB{config: c, connect: connect, pool: pool}, nil
}

var (
	usernameMark = regexp.MustCompile(`\{\{\s*username\s*\}\}`)
	passwordMark = regexp.MustCompile(`\{\{\s*password\s*\}\}`)
	// localFiles are connection parameters that would make the server read a file
	// for whoever may write the configuration.
	localFiles = regexp.MustCompile(`(?i)(^|[\s?&])(service|servicefile|passfile|sslkey|sslcert|sslpassword)\s*=`)
)

// connectConfig reads the connection_url. The real user name and password never
// go through its text, so no character of them needs escaping, and no parse error
// can show them.
func connectConfig(c database.Config) (*pgx.ConnConfig, error) {
	if m := localFiles.FindStringSubmatch(c.ConnectionURL); m != nil {
		return nil, nightporter.E(nightporter.Invalid, "connection_url cannot use %s", m[2]).
			WithHint("give the fields password, tls_certificate and private_key instead")
	}
	text := usernameMark.ReplaceAllLiteralString(c.ConnectionURL, "nightporter")
	text = passwordMark.ReplaceAllLiteralString(text, "x")
	connect, err := pgx.ParseConfig(text)
	if err != nil {
		// The cause may quote the URL, and with it a password: it is dropped.
		return nil, nightporter.E(nightporter.Invalid, "connection_url is not a PostgreSQL URL or a list of key=value pairs")
	}
	user, password := c.Username, c.Password
	if c.DisableEscaping && strings.Contains(text, "://") {
		user, password = unescape(user), unescape(password)
	}
	if usernameMark.MatchString(c.ConnectionURL) {
		connect.User = user
	}
	if passwordMark.MatchString(c.ConnectionURL) {
		connect.Password = password
	}
	if c.WantsTLS() {
		if err := requireTLS(connect, c); err != nil {
			return nil, err
		}
	}
	if c.Dial != nil {
		connect.DialFunc = c.Dial
	}
	if connect.ConnectTimeout == 0 || connect.ConnectTimeout > c.Timeout {
		connect.ConnectTimeout = min(c.Timeout, 10*time.Second)
	}
	// Nothing is prepared: the statements are all different, and a pooler between
	// us and the server may not keep them.
	connect.DefaultQueryExecMode = pgx.QueryExecModeExec
	connect.StatementCacheCapacity = 0
	// QuoteString and Fill count on these two.
	connect.RuntimeParams["standard_conforming_strings"] = "on"
	connect.RuntimeParams["client_encoding"] = "UTF8"
	if connect.RuntimeParams["application_name"] == "" {
		connect.RuntimeParams["application_name"] = "nightporter"
	}
	return connect, nil
}

func unescape(text string) string {
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}

// requireTLS replaces what sslmode said. A fallback without TLS would hand the
// password to whoever refuses TLS, so there is none.
func requireTLS(connect *pgx.ConnConfig, c database.Config) error {
	var err error
	if connect.TLSConfig, err = c.TLS(connect.Host); err != nil {
		return err
	}
	hosts := map[string]bool{fmt.Sprint(connect.Host, connect.Port): true}
	var fallbacks []*pgconn.FallbackConfig
	for _, f := range connect.Fallbacks {
		if key := fmt.Sprint(f.Host, f.Port); !hosts[key] {
			hosts[key] = true
			if f.TLSConfig, err = c.TLS(f.Host); err != nil {
				return err
			}
			fallbacks = append(fallbacks, f)
		}
	}
	connect.Fallbacks = fallbacks
	return nil
}

// Close closes the connections.
func (db *DB) Close() error { return db.pool.Close() }

// Verify logs in as the administrator.
func (db *DB) Verify(ctx context.Context) error {
	return db.session(ctx, func(ctx context.Context, c *pgx.Conn) error {
		return c.Ping(ctx)
	})
}

// Try logs in as somebody else, over a connection of its own.
func (db *DB) Try(ctx context.Context, username, password string) error {
	ctx, cancel := context.WithTimeout(ctx, db.config.Timeout)
	defer cancel()
	connect := db.connect.Copy()
	connect.User, connect.Password = username, password
	c, err := pgx.ConnectConfig(ctx, connect)
	if err != nil {
		return explain(err, password)
	}
	if err := c.Close(ctx); err != nil {
		return explain(err, password)
	}
	return nil
}

// session runs do on one connection of the pool, within the timeout, and explains
// its error.
func (db *DB) session(ctx context.Context, do func(context.Context, *pgx.Conn) error) error {
	return explain(db.borrow(ctx, do), db.connect.Password)
}

// borrow is session with the driver's own error, which may quote a statement. It
// leaves no transaction behind on the connection.
func (db *DB) borrow(ctx context.Context, do func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, db.config.Timeout)
	defer cancel()
	conn, err := db.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Raw(func(driver any) error {
		c := driver.(*stdlib.Conn).Conn()
		return errors.Join(do(ctx, c), rollback(ctx, c))
	})
}

// rollback ends a transaction that went wrong. A connection that cannot even do
// that is closed, which rolls back too.
func rollback(ctx context.Context, c *pgx.Conn) error {
	if c.IsClosed() || c.PgConn().TxStatus() == 'I' {
		return nil
	}
	if _, err := script(ctx, c, "ROLLBACK", afterwards); err != nil {
		return errors.Join(err, c.Close(ctx))
	}
	return nil
}

// script runs statements in one message and returns their results. It is for
// text that holds no parameters.
func script(ctx context.Context, c *pgx.Conn, statements ...string) ([]*pgconn.Result, error) {
	results, err := c.PgConn().Exec(ctx, strings.Join(statements, ";\n")).ReadAll()
	if err != nil {
		return nil, err
	}
	for _, r := range results {
		if r.Err != nil {
			return nil, r.Err
		}
	}
	return results, nil
}

// afterwards undoes what statements of a role may have left on a connection.
const afterwards = "RESET SESSION AUTHORIZATION;\nRESET ALL"

// durably keeps a server that does not sync its commits from losing this one in a
// crash: a login would be back after we said that it is gone.
const durably = "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"

// lockKey is the advisory lock that a transaction holds while it changes a login.
func lockKey(username string) int64 {
	sum := sha256.Sum256([]byte("nightporter login:" + username))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// again runs do until it is not in the way of another transaction any more.
// PostgreSQL gives up at once when two transactions change the rights on the same
// object, or wait for each other.
func again(ctx context.Context, do func() error) error {
	const attempts = 8
	for attempt := 0; ; attempt++ {
		err := do()
		if err == nil || attempt == attempts-1 || !collided(err) {
			return err
		}
		pause := time.Duration(1<<attempt) * 2 * time.Millisecond
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}
