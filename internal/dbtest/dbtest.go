// Package dbtest starts real PostgreSQL and MariaDB servers for tests.
//
// A test asks for [Postgres] or [MariaDB] and gets a server that the whole test
// binary shares, then makes itself a database with [Server.Database]. Servers
// listen on loopback, keep their files in a temporary folder, and are made for
// speed: they do not sync to disk. A benchmark that compares with somebody
// else's figures asks for [DurablePostgres] or [DurableMariaDB], which run with
// the settings they were installed with.
//
// A server ends with its test binary, however that ends, and its folder goes
// with it: a small shell stands between them and waits for the end of a pipe.
//
// Environment:
//
//	NIGHTPORTER_TEST_POSTGRES  use this server instead: postgres://user:password@host:port/db
//	NIGHTPORTER_TEST_MARIADB   use this server instead: user:password@tcp(host:port)/db
//	NIGHTPORTER_DATABASES      "required": a missing server is a failure, not a skip
//	CI                         "true": the same
//
// It is for tests and the demo only, and imports nothing of ours.
package dbtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Engine names a kind of database server.
type Engine string

// The engines that tests run on.
const (
	PostgreSQL    Engine = "postgresql"
	MariaDBEngine Engine = "mariadb"
)

// patience is how long a server may take to start, or to answer.
const patience = 60 * time.Second

// Server is a running database server and its administrator.
type Server struct {
	Engine Engine
	// Addr is host:port on loopback.
	Addr string
	// User and Password belong to a superuser.
	User     string
	Password string
	// CA is the PEM certificate that signed the server's own, for tests of TLS.
	// Nil when the environment named the server.
	CA []byte

	leash *os.File // the server ends when the last copy of this is closed
	home  string   // its folder, which goes with it
}

// Close ends a server that [StartPostgres] started, and returns when it and its
// folder are gone.
func (s *Server) Close() error {
	if err := s.leash.Close(); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(s.home); os.IsNotExist(err) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the server's folder %s is left", s.home)
		}
	}
}

// DSN is the administrator's connection string for db, in the form that the
// engine's driver takes. An empty db means the maintenance database.
func (s *Server) DSN(db string) string {
	return s.DSNFor(s.User, s.Password, db)
}

// DSNFor is the connection string of any login.
func (s *Server) DSNFor(user, password, db string) string {
	if s.Engine == MariaDBEngine {
		c := mysql.NewConfig()
		c.User, c.Passwd, c.Net, c.Addr, c.DBName = user, password, "tcp", s.Addr, db
		c.ParseTime = true
		return c.FormatDSN()
	}
	if db == "" {
		db = "postgres"
	}
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(user, password),
		Host:     s.Addr,
		Path:     "/" + db,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Database makes an empty database that lives as long as t, and returns its
// name.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := "dbtest_" + randomHex(6)
	s.Exec(t, "", "CREATE DATABASE "+name)
	t.Cleanup(func() {
		drop := "DROP DATABASE IF EXISTS " + name
		if s.Engine == PostgreSQL {
			drop += " WITH (FORCE)"
		}
		s.Exec(t, "", drop)
	})
	return name
}

// Exec runs statements as the administrator, one at a time, and fails t when
// one does not work.
func (s *Server) Exec(t testing.TB, db string, statements ...string) {
	t.Helper()
	err := s.with(db, func(ctx context.Context, c *sql.DB) error {
		for _, statement := range statements {
			if _, err := c.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal("dbtest:", err)
	}
}

// Column returns the first column of a query that the administrator runs, as
// text. It is how a test asks the database itself what is true.
func (s *Server) Column(t testing.TB, db, query string, args ...any) []string {
	t.Helper()
	var values []string
	err := s.with(db, func(ctx context.Context, c *sql.DB) error {
		rows, err := c.QueryContext(ctx, query, args...)
		if err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
		defer rows.Close()
		for rows.Next() {
			var value sql.NullString
			if err := rows.Scan(&value); err != nil {
				return fmt.Errorf("%s: %w", query, err)
			}
			values = append(values, value.String)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal("dbtest:", err)
	}
	return values
}

// Login tries a user's name and password, and returns the database's answer.
func (s *Server) Login(user, password, db string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := s.Open(user, password, db)
	if err != nil {
		return err
	}
	return errors.Join(c.PingContext(ctx), c.Close())
}

// Open returns connections for any login. The caller closes them.
func (s *Server) Open(user, password, db string) (*sql.DB, error) {
	dsn := s.DSNFor(user, password, db)
	if s.Engine == MariaDBEngine {
		c, err := mysql.ParseDSN(dsn)
		if err != nil {
			return nil, err
		}
		connector, err := mysql.NewConnector(c)
		if err != nil {
			return nil, err
		}
		return sql.OpenDB(connector), nil
	}
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	return stdlib.OpenDB(*c), nil
}

func (s *Server) with(db string, do func(context.Context, *sql.DB) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := s.Open(s.User, s.Password, db)
	if err != nil {
		return err
	}
	c.SetMaxOpenConns(1)
	return errors.Join(do(ctx, c), c.Close())
}

// missing ends a test that has no server to run on: a failure where databases
// are required, otherwise a skip that says what to do.
func missing(t testing.TB, engine Engine, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" || os.Getenv("NIGHTPORTER_DATABASES") == "required" {
		t.Fatalf("dbtest: no %s server: %v", engine, err)
	}
	t.Skipf("SKIPPED, NOTHING WAS PROVEN: no %s server: %v. Install it, or name a server in the environment (see package dbtest)", engine, err)
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b)
}

// lastLines keeps error messages readable: a server's log can be long.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}
