package postgres

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"nightporter.dev/nightporter/provider/database"
)

var _ database.SessionLister = (*DB)(nil)

// Sessions lists the backends of a role.
func (db *DB) Sessions(ctx context.Context, username string) ([]database.Session, error) {
	if strings.ContainsRune(username, 0) {
		return nil, nil
	}
	var sessions []database.Session
	err := db.session(ctx, func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, `
			SELECT pid, coalesce(host(client_addr), ''), coalesce(application_name, ''), coalesce(datname, ''), coalesce(state, ''), backend_start
			FROM pg_stat_activity WHERE usename = $1 ORDER BY backend_start, pid`, username)
		if err != nil {
			return err
		}
		sessions, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (database.Session, error) {
			var s database.Session
			var pid int
			var since *time.Time
			err := row.Scan(&pid, &s.Client, &s.Program, &s.Database, &s.State, &since)
			s.ID = strconv.Itoa(pid)
			if since != nil {
				s.Since = since.UTC()
			}
			return s, err
		})
		return err
	})
	return sessions, err
}
