package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"nightporter.dev/nightporter"
)

// Migration is one step forward of the schema. There is no way back: a store
// that a newer binary has touched is refused by an older one.
type Migration struct {
	// Name is unique for ever and starts with the owner: "releases/0001".
	Name string
	// SQL is one or more statements, each ended by ";" at the end of a line.
	SQL string
}

// Migrate brings the store to what the binary knows, each migration in its own
// transaction. It answers conflict when the store knows more than the binary.
func (db *DB) Migrate(ctx context.Context, migrations []Migration) error {
	known := map[string]bool{}
	for _, m := range migrations {
		if known[m.Name] {
			return fmt.Errorf("migration %s is listed twice", m.Name)
		}
		known[m.Name] = true
	}
	done := map[string]bool{}
	err := db.Write(ctx, Full, func(tx *Tx) error {
		if _, err := tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS migration (name TEXT PRIMARY KEY, applied_at BIGINT NOT NULL)`); err != nil {
			return err
		}
		return tx.Each(ctx, `SELECT name FROM migration`, nil, func(scan func(...any) error) error {
			var name string
			if err := scan(&name); err != nil {
				return err
			}
			done[name] = true
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("read the store's schema: %w", err)
	}
	for name := range done {
		if !known[name] {
			return nightporter.E(nightporter.Conflict, "the store is newer than this binary: it has %q, which this version does not know", name).
				WithHint("install the newer nightporter again, or restore a backup from before the upgrade")
		}
	}
	for _, m := range migrations {
		if done[m.Name] {
			continue
		}
		err := db.Write(ctx, Full, func(tx *Tx) error {
			for stmt := range strings.SplitSeq(m.SQL, ";\n") {
				if stmt = strings.TrimSuffix(strings.TrimSpace(stmt), ";"); stmt == "" {
					continue
				}
				if _, err := tx.s.conn.ExecContext(ctx, ddl(db.dialect, stmt)); err != nil {
					return err
				}
			}
			_, err := tx.Exec(ctx, `INSERT INTO migration (name, applied_at) VALUES (?, ?)`, m.Name, Micros(time.Now()))
			return err
		})
		if err != nil {
			return fmt.Errorf("migrate the store with %s: %w", m.Name, err)
		}
	}
	return nil
}

// ddl makes SQLite use its row id as the key: it does so only for the exact
// words INTEGER PRIMARY KEY, which PostgreSQL would make 32 bits wide.
func ddl(d Dialect, stmt string) string {
	if d == SQLite {
		return strings.ReplaceAll(stmt, "BIGINT PRIMARY KEY", "INTEGER PRIMARY KEY")
	}
	return stmt
}
