package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"nightporter.dev/nightporter/provider/database"
)

// Exists tells whether there is a role of that name.
func (db *DB) Exists(ctx context.Context, username string) (bool, error) {
	if strings.ContainsRune(username, 0) {
		return false, nil
	}
	var exists bool
	err := db.session(ctx, func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", username).Scan(&exists)
	})
	return exists, err
}

// Inventory lists every role of the cluster but PostgreSQL's own.
func (db *DB) Inventory(ctx context.Context) ([]database.Login, error) {
	var logins []database.Login
	err := db.session(ctx, func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, `
			SELECT r.rolname, r.rolcanlogin, r.rolsuper,
				CASE WHEN isfinite(r.rolvaliduntil) THEN r.rolvaliduntil END,
				coalesce(m.groups, '{}'), coalesce(d.description, ''), coalesce(a.sessions, 0)
			FROM pg_roles r
			LEFT JOIN (
				SELECT member, array_agg(DISTINCT g.rolname::text ORDER BY g.rolname::text) AS groups
				FROM pg_auth_members JOIN pg_roles g ON g.oid = roleid GROUP BY member
			) m ON m.member = r.oid
			LEFT JOIN pg_shdescription d ON d.objoid = r.oid AND d.classoid = 'pg_authid'::regclass
			LEFT JOIN (SELECT usesysid, count(*) AS sessions FROM pg_stat_activity GROUP BY usesysid) a ON a.usesysid = r.oid
			WHERE r.rolname !~ '^pg_'
			ORDER BY r.rolname COLLATE "C"`)
		if err != nil {
			return err
		}
		logins, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (database.Login, error) {
			var l database.Login
			var until *time.Time
			var note string
			err := row.Scan(&l.Name, &l.CanLogin, &l.Superuser, &until, &l.MemberOf, &note, &l.Sessions)
			if until != nil {
				l.ValidUntil = until.UTC()
			}
			if name, ours := strings.CutPrefix(note, notePrefix); ours {
				l.MadeAs = name
			}
			return l, err
		})
		return err
	})
	return logins, err
}
