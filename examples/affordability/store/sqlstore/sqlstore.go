package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/go-sql-driver/mysql"

	"example.org/affordability/store"
)

// Store implements [store.Store] on a database.
type Store struct{ p *pools }

var _ store.Store = (*Store)(nil)

// Open connects and makes the table when it is missing. A login that may not make tables needs [Store.Migrate] to be
// run with one that may, before.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	p, err := open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	s := &Store{p}
	if err := s.ready(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// broken reports a connection that ended under a query.
func broken(err error) bool {
	var n net.Error
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.As(err, &n) || isInvalidConn(err)
}

func (s *Store) ready(ctx context.Context) error {
	err := s.p.do(ctx, func(db *sql.DB) error {
		var n int
		return db.QueryRowContext(ctx, "SELECT 1 FROM affordability_records WHERE kind = 'none'").Scan(&n)
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case s.p.dialect.missingTable(err):
		return s.Migrate(ctx)
	}
	return err
}

// Migrate makes the table. It may be repeated.
func (s *Store) Migrate(ctx context.Context) error {
	err := s.p.do(ctx, func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, s.p.dialect.schema())
		return err
	})
	if err != nil {
		return fmt.Errorf("making the table: %w", err)
	}
	return nil
}

func (postgres) schema() string {
	return `CREATE TABLE IF NOT EXISTS affordability_records (
	kind TEXT NOT NULL, id TEXT NOT NULL, owner TEXT NOT NULL, lookup TEXT, made BIGINT NOT NULL, body BYTEA NOT NULL,
	PRIMARY KEY (kind, id), UNIQUE (kind, lookup));
CREATE INDEX IF NOT EXISTS affordability_owner ON affordability_records (owner, kind)`
}

func (postgres) upsert() string {
	return `INSERT INTO affordability_records (kind, id, owner, lookup, made, body) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, id) DO UPDATE SET lookup = EXCLUDED.lookup, made = EXCLUDED.made, body = EXCLUDED.body WHERE affordability_records.owner = EXCLUDED.owner`
}

func (mariadb) schema() string {
	return `CREATE TABLE IF NOT EXISTS affordability_records (
	kind VARCHAR(16) NOT NULL, id VARCHAR(64) NOT NULL, owner VARCHAR(64) NOT NULL, lookup VARCHAR(96), made BIGINT NOT NULL, body LONGBLOB NOT NULL,
	PRIMARY KEY (kind, id), UNIQUE (kind, lookup), KEY affordability_owner (owner, kind))`
}

func (mariadb) upsert() string {
	return `INSERT INTO affordability_records (kind, id, owner, lookup, made, body) VALUES (?, ?, ?, ?, ?, ?)
ON DUPLICATE KEY UPDATE lookup = IF(owner = VALUES(owner), VALUES(lookup), lookup), made = IF(owner = VALUES(owner), VALUES(made), made), body = IF(owner = VALUES(owner), VALUES(body), body)`
}

func (s *Store) exec(ctx context.Context, query string, args ...any) error {
	return s.p.do(ctx, func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, s.p.dialect.placeholders(query), args...)
		return err
	})
}

// Put implements [store.Store].
func (s *Store) Put(ctx context.Context, r store.Record) error {
	lookup := sql.NullString{String: r.Lookup, Valid: r.Lookup != ""}
	return s.exec(ctx, s.p.dialect.upsert(), string(r.Kind), r.ID, r.Owner, lookup, r.Made, r.Body)
}

const columns = "SELECT kind, id, owner, lookup, made, body FROM affordability_records WHERE "

func (s *Store) rows(ctx context.Context, where string, args ...any) (list []store.Record, err error) {
	err = s.p.do(ctx, func(db *sql.DB) error {
		list = nil
		rows, err := db.QueryContext(ctx, s.p.dialect.placeholders(columns+where), args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var r store.Record
			var kind string
			var lookup sql.NullString
			if err := rows.Scan(&kind, &r.ID, &r.Owner, &lookup, &r.Made, &r.Body); err != nil {
				return err
			}
			r.Kind, r.Lookup = store.Kind(kind), lookup.String
			list = append(list, r)
		}
		return rows.Err()
	})
	return list, err
}

func one(list []store.Record, err error) (store.Record, error) {
	if err != nil {
		return store.Record{}, err
	}
	if len(list) == 0 {
		return store.Record{}, store.ErrNotFound
	}
	return list[0], nil
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, kind store.Kind, owner, id string) (store.Record, error) {
	return one(s.rows(ctx, "kind = ? AND owner = ? AND id = ?", string(kind), owner, id))
}

// Find implements [store.Store].
func (s *Store) Find(ctx context.Context, kind store.Kind, lookup string) (store.Record, error) {
	if lookup == "" {
		return store.Record{}, store.ErrNotFound
	}
	return one(s.rows(ctx, "kind = ? AND lookup = ?", string(kind), lookup))
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, kind store.Kind, owner string) ([]store.Record, error) {
	return s.rows(ctx, "kind = ? AND owner = ? ORDER BY made, id", string(kind), owner)
}

// Delete implements [store.Store].
func (s *Store) Delete(ctx context.Context, kind store.Kind, owner, id string) error {
	return s.exec(ctx, "DELETE FROM affordability_records WHERE kind = ? AND owner = ? AND id = ?", string(kind), owner, id)
}

// DeleteOwner implements [store.Store].
func (s *Store) DeleteOwner(ctx context.Context, owner string) error {
	return s.exec(ctx, "DELETE FROM affordability_records WHERE owner = ?", owner)
}

// Ping implements [store.Store]. It waits for a new login as every query does, as long as its context allows: a login
// that is being replaced is no reason to send visitors elsewhere.
func (s *Store) Ping(ctx context.Context) error {
	return s.p.do(ctx, func(db *sql.DB) error { return db.PingContext(ctx) })
}

// Swaps counts logins used since the start, for the metrics.
func (s *Store) Swaps() int64 { return s.p.swaps.Load() }

// Close implements [store.Store].
func (s *Store) Close() error { return s.p.close() }

// isInvalidConn names the MySQL driver's own word for a broken connection.
func isInvalidConn(err error) bool { return errors.Is(err, mysql.ErrInvalidConn) }
