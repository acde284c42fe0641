// Package store opens the one database that everything is kept in: SQLite by
// default, PostgreSQL when a team outgrows one machine.
//
// There is exactly one writer. On SQLite it is one connection in WAL mode with
// readers beside it; on PostgreSQL it is one connection that also holds an
// advisory lock, so that of several copies of the server one is active. Only
// internal/gate writes; everything else reads through [DB.View].
//
// SQL is written once for both: placeholders are "?", times are microseconds
// since 1970 ([Micros]), booleans are 0 and 1, and DDL uses BIGINT, TEXT, BYTEA
// and DOUBLE PRECISION, which SQLite reads by affinity.
package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // driver "pgx"
	_ "modernc.org/sqlite"             // driver "sqlite"

	"nightporter.dev/nightporter"
)

// Dialect says which database a [DB] talks to.
type Dialect string

// The dialects.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// Config says where the store is.
type Config struct {
	// URL is "sqlite:PATH", relative to the working directory, or
	// "postgres://…" with pgx's parameters. Required.
	URL string
	// Readers is how many reads run at once. 0 means 8.
	Readers int
	// Ephemeral gives up durability for speed: for --dev and tests, whose
	// files nobody opens again.
	Ephemeral bool
}

// DB is an open store. It is safe for concurrent use.
type DB struct {
	dialect Dialect
	path    string // SQLite's file
	readers *sql.DB
	writers *sql.DB
	lock    *os.File

	reading chan struct{} // a place for each reader at work
	idleMu  sync.Mutex
	idle    []*session // SQLite's readers that are not at work, with their statements
	closed  bool

	mu     sync.Mutex // guards the writer
	writer *session
	full   bool // the writer's present durability class
	lost   bool // another process is the writer now
	eph    bool

	fence int64
}

const defaultReaders = 8

// Open opens or creates the store. It takes the writer's place at once: a second
// process on the same SQLite file gets a conflict; on PostgreSQL, Open waits for
// the advisory lock until ctx ends.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	kind, rest, ok := strings.Cut(cfg.URL, ":")
	if cfg.Readers == 0 {
		cfg.Readers = defaultReaders
	}
	switch {
	case ok && kind == "sqlite":
		return openSQLite(ctx, cfg, rest)
	case ok && (kind == "postgres" || kind == "postgresql"):
		return openPostgres(ctx, cfg)
	}
	return nil, nightporter.E(nightporter.Invalid, "the store's URL must start with sqlite: or postgres:").
		WithHint("store: sqlite:data/nightporter.db")
}

func openSQLite(ctx context.Context, cfg Config, path string) (*DB, error) {
	// Others may pass through to folders beside the store, which a run_as user
	// needs, and may read nothing: the files are 0600.
	if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil {
		return nil, fmt.Errorf("make the store's folder: %w", err)
	}
	lock, err := lockFile(ctx, path+".lock")
	if err != nil {
		return nil, err
	}
	sync := "FULL"
	if cfg.Ephemeral {
		sync = "OFF"
	}
	dsn := func(extra ...string) string {
		q := url.Values{"_pragma": append([]string{
			"busy_timeout(10000)", "journal_mode(WAL)", "foreign_keys(1)", "synchronous(" + sync + ")",
			"cache_size(-8192)", "temp_store(MEMORY)", "secure_delete(1)",
		}, extra...)}
		return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
	}
	db := &DB{dialect: SQLite, path: path, lock: lock, full: true, eph: cfg.Ephemeral, reading: make(chan struct{}, cfg.Readers)}
	if db.writers, err = sql.Open("sqlite", dsn()); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.writers.SetMaxOpenConns(1)
	if err := db.connectWriter(ctx); err != nil {
		db.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		db.Close()
		return nil, fmt.Errorf("protect %s: %w", path, err)
	}
	if db.readers, err = sql.Open("sqlite", dsn("query_only(1)")); err != nil {
		db.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.readers.SetMaxOpenConns(cfg.Readers)
	db.readers.SetMaxIdleConns(cfg.Readers)
	return db, db.begin(ctx)
}

// OpenCopy opens a store to read it: a backup, or a copy of a running one's file.
// It takes no lock and writes nothing; Write fails.
func OpenCopy(ctx context.Context, address string) (*DB, error) {
	kind, rest, _ := strings.Cut(address, ":")
	db := &DB{dialect: Postgres, reading: make(chan struct{}, defaultReaders)}
	driver, dsn := "pgx", address
	if kind == "sqlite" {
		if _, err := os.Stat(rest); err != nil {
			return nil, nightporter.Wrap(err, nightporter.NotFound, "there is no store at %s", rest)
		}
		db.dialect, db.path, driver = SQLite, rest, "sqlite"
		dsn = "file:" + (&url.URL{Path: rest}).EscapedPath() + "?mode=ro&_pragma=query_only(1)"
	}
	var err error
	if db.readers, err = sql.Open(driver, dsn); err != nil {
		return nil, fmt.Errorf("open the copy: %w", err)
	}
	if err := db.readers.PingContext(ctx); err != nil {
		db.Close()
		return nil, nightporter.Wrap(err, nightporter.Unavailable, "the copy cannot be opened")
	}
	return db, nil
}

// advisoryKey is the lock that the active copy holds: "nightport" in ASCII.
const advisoryKey = 0x6e69676874706f

func openPostgres(ctx context.Context, cfg Config) (*DB, error) {
	db := &DB{dialect: Postgres, full: true, eph: cfg.Ephemeral, reading: make(chan struct{}, cfg.Readers)}
	var err error
	if db.writers, err = sql.Open("pgx", cfg.URL); err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	db.writers.SetMaxOpenConns(1)
	if db.readers, err = sql.Open("pgx", cfg.URL); err != nil {
		db.Close()
		return nil, fmt.Errorf("open the store: %w", err)
	}
	db.readers.SetMaxOpenConns(cfg.Readers)
	if err := db.connectWriter(ctx); err != nil {
		db.Close()
		return nil, nightporter.Wrap(err, nightporter.Unavailable, "the store's database does not answer")
	}
	if _, err := db.writer.conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(advisoryKey)); err != nil {
		db.Close()
		return nil, fmt.Errorf("wait to become the active copy: %w", err)
	}
	return db, db.begin(ctx)
}

// begin starts this process's time as the writer: a new fencing number, which
// everything that another process started is older than.
func (db *DB) begin(ctx context.Context) error {
	err := db.Write(ctx, Full, func(tx *Tx) error {
		if _, err := tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS writer (id BIGINT PRIMARY KEY, fence BIGINT NOT NULL)`); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `INSERT INTO writer (id, fence) VALUES (1, 1)
			ON CONFLICT (id) DO UPDATE SET fence = writer.fence + 1 RETURNING fence`).Scan(&db.fence)
	})
	if err != nil {
		db.Close()
		return fmt.Errorf("take the writer's place: %w", err)
	}
	return nil
}

func (db *DB) connectWriter(ctx context.Context) error {
	conn, err := db.writers.Conn(ctx)
	if err != nil {
		return err
	}
	db.writer = newSession(conn, db.dialect)
	return nil
}

// Fence is this process's number as the writer. It grows with every start.
func (db *DB) Fence() int64 { return db.fence }

// Dialect says which database this is.
func (db *DB) Dialect() Dialect { return db.dialect }

// Path is SQLite's file, or "" on PostgreSQL.
func (db *DB) Path() string { return db.path }

// Close ends all connections and gives up the writer's place.
func (db *DB) Close() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.writer != nil {
		db.writer.close()
		db.writer = nil
	}
	db.idleMu.Lock()
	for _, s := range db.idle {
		s.close()
	}
	db.idle, db.closed = nil, true
	db.idleMu.Unlock()
	var first error
	for _, pool := range []*sql.DB{db.readers, db.writers} {
		if pool != nil {
			if err := pool.Close(); err != nil && first == nil {
				first = err
			}
		}
	}
	if db.lock != nil {
		db.lock.Close() // releases the lock
	}
	return first
}

// Micros is how the store writes a time. The zero time is 0.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time reads what [Micros] wrote, in UTC.
func Time(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// Bool is how the store writes a truth.
func Bool(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
