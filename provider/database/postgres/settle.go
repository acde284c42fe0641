package postgres

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"nightporter.dev/nightporter"
)

// advisoryLock is held by the transaction that changes a role, until it ends.
func advisoryLock(username string) string {
	return "SELECT pg_catalog.pg_advisory_xact_lock(" + strconv.FormatInt(lockKey(username), 10) + ")"
}

// Settle ends the backends that are still changing one of these roles. Without
// it, a COMMIT that was delayed in the network could make a login appear after
// the catalogue said that there is none.
func (db *DB) Settle(ctx context.Context, usernames ...string) error {
	return db.session(ctx, func(ctx context.Context, c *pgx.Conn) error {
		return settle(ctx, c, usernames)
	})
}

func settle(ctx context.Context, c *pgx.Conn, usernames []string) error {
	keys := make([]int64, len(usernames))
	for i, name := range usernames {
		keys[i] = lockKey(name)
	}
	// An advisory lock of one bigint shows as its halves, with objsubid 1
	// (PostgreSQL §54.13, pg_locks).
	return untilNone(ctx, c, `
		SELECT count(*), coalesce(bool_and(pg_terminate_backend(pid)), true) FROM pg_locks
		WHERE locktype = 'advisory' AND objsubid = 1 AND pid <> pg_backend_pid()
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND (classid::bigint << 32) | objid::bigint = ANY($1)`, keys, "a change of the login is still in progress")
}

// endSessions ends every session of the roles, and waits until they are gone.
func endSessions(ctx context.Context, c *pgx.Conn, oids []uint32) error {
	return untilNone(ctx, c, `
		SELECT count(*), coalesce(bool_and(pg_terminate_backend(pid)), true) FROM pg_stat_activity
		WHERE usesysid = ANY($1) AND pid <> pg_backend_pid()`, oids, "its sessions do not end")
}

// untilNone repeats a query that ends backends and counts them, until it finds
// none. A backend ends when it next looks, which is at once unless it is stuck in
// a system call.
func untilNone(ctx context.Context, c *pgx.Conn, query string, arg any, otherwise string) error {
	const patience = 5 * time.Second
	pause := time.Millisecond
	for start := time.Now(); ; {
		var found int
		var ended bool
		if err := c.QueryRow(ctx, query, arg).Scan(&found, &ended); err != nil {
			return err
		}
		if found == 0 {
			return nil
		}
		if time.Since(start) > patience {
			return nightporter.Wrap(fmt.Errorf("%d backends are left", found), nightporter.Unavailable, "%s", otherwise)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
			pause = min(2*pause, 100*time.Millisecond)
		}
	}
}
