package judge

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Database asks a PostgreSQL server itself who can log in and who has.
type Database struct {
	// DSN is its administrator's connection string for a database; "" is the
	// one for maintenance.
	DSN func(db string) string
}

// Exec runs statements as the administrator.
func (d Database) Exec(ctx context.Context, statements ...string) error {
	return d.with(ctx, "", func(c *pgx.Conn) error {
		for _, s := range statements {
			if _, err := c.Exec(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
}

// Logins are the roles that can log in and are members of a group, by name.
func (d Database) Logins(ctx context.Context, group string) ([]string, error) {
	return d.names(ctx, `SELECT m.rolname FROM pg_roles m JOIN pg_auth_members a ON a.member = m.oid JOIN pg_roles g ON g.oid = a.roleid
		WHERE g.rolname = $1 AND m.rolcanlogin ORDER BY m.rolname`, group)
}

// Known says whether a role of that name can log in.
func (d Database) Known(ctx context.Context, login string) (bool, error) {
	found, err := d.names(ctx, `SELECT rolname FROM pg_roles WHERE rolname = $1 AND rolcanlogin`, login)
	return len(found) > 0, err
}

// InUse are the members of a group that are connected now, by name.
func (d Database) InUse(ctx context.Context, group string) ([]string, error) {
	return d.names(ctx, `SELECT DISTINCT s.usename FROM pg_stat_activity s JOIN pg_roles m ON m.rolname = s.usename
		JOIN pg_auth_members a ON a.member = m.oid JOIN pg_roles g ON g.oid = a.roleid WHERE g.rolname = $1 ORDER BY s.usename`, group)
}

// Rows is how many rows a table of a database has.
func (d Database) Rows(ctx context.Context, db, table string) (n int, err error) {
	err = d.with(ctx, db, func(c *pgx.Conn) error {
		return c.QueryRow(ctx, "SELECT count(*) FROM "+pgx.Identifier{table}.Sanitize()).Scan(&n)
	})
	return n, err
}

func (d Database) names(ctx context.Context, query string, args ...any) (names []string, err error) {
	err = d.with(ctx, "", func(c *pgx.Conn) error {
		rows, err := c.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return names, err
}

func (d Database) with(ctx context.Context, db string, do func(*pgx.Conn) error) error {
	c, err := pgx.Connect(ctx, d.DSN(db))
	if err != nil {
		return fmt.Errorf("ask the database: %w", err)
	}
	defer c.Close(context.WithoutCancel(ctx))
	return do(c)
}
