// Package storetest runs tests on both databases.
package storetest

import (
	"context"
	"path/filepath"
	"testing"

	"nightporter.dev/nightporter/internal/dbtest"
	"nightporter.dev/nightporter/internal/store"
)

// Each runs test once on SQLite and once on a real PostgreSQL, each time on an
// empty store that has the given migrations.
func Each(t *testing.T, migrations []store.Migration, test func(t *testing.T, db *store.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, SQLite(t, migrations))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, Postgres(t, migrations))
	})
}

// SQLite opens an empty store in a file of the test's own folder.
func SQLite(t testing.TB, migrations []store.Migration) *store.DB {
	t.Helper()
	return open(t, "sqlite:"+filepath.Join(t.TempDir(), "store.db"), migrations)
}

// Postgres opens an empty store in a database of its own on a real server.
func Postgres(t testing.TB, migrations []store.Migration) *store.DB {
	t.Helper()
	server := dbtest.Postgres(t)
	return open(t, server.DSN(server.Database(t)), migrations)
}

func open(t testing.TB, url string, migrations []store.Migration) *store.DB {
	t.Helper()
	ctx := context.Background()
	db, err := store.Open(ctx, store.Config{URL: url, Ephemeral: true})
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.Migrate(ctx, migrations); err != nil {
		t.Fatalf("migrate the store: %v", err)
	}
	return db
}
