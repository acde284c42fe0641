package mysql

import (
	"context"
	"slices"
	"strings"

	"nightporter.dev/nightporter/provider/database"
)

// Exists tells whether there is a login of that name, from any host.
func (db *DB) Exists(ctx context.Context, username string) (bool, error) {
	var found []account
	err := db.session(ctx, func(ctx context.Context, c *conn) (err error) {
		found, err = accounts(ctx, c, []string{username})
		return err
	})
	return len(found) > 0, err
}

// Inventory lists every login of the server, with the accounts of all its hosts
// as one.
func (db *DB) Inventory(ctx context.Context) ([]database.Login, error) {
	var logins []database.Login
	err := db.session(ctx, func(ctx context.Context, c *conn) (err error) {
		logins, err = inventory(ctx, c, nil)
		return err
	})
	return logins, err
}

const (
	// mariaLogins reads MariaDB's own table: its mysql.user does not say who is
	// locked.
	mariaLogins = `
		SELECT u.User, u.Host, u.is_role = 'Y', coalesce(JSON_VALUE(g.Priv, '$.account_locked') = '1' OR JSON_VALUE(g.Priv, '$.account_locked') = 'true', 0), u.Super_priv = 'Y'
		FROM mysql.user u JOIN mysql.global_priv g ON g.User = u.User AND g.Host = u.Host`
	mysqlLogins = `
		SELECT u.User, u.Host, 0, u.account_locked = 'Y', u.Super_priv = 'Y'
		FROM mysql.user u`

	mariaRoles = "SELECT User, Role FROM mysql.roles_mapping"
	mysqlRoles = "SELECT TO_USER, FROM_USER FROM mysql.role_edges"
)

// inventory reads the named logins, or all of them when there are no names.
func inventory(ctx context.Context, c *conn, names []string) ([]database.Login, error) {
	version, err := column[string](ctx, c, "SELECT VERSION()")
	if err != nil {
		return nil, err
	}
	query, roles := mysqlLogins, mysqlRoles
	if strings.Contains(version[0], "MariaDB") {
		query, roles = mariaLogins, mariaRoles
	}
	if len(names) > 0 {
		query += " WHERE u.User IN (" + quoteAll(names) + ")"
	}
	byName := map[string]*database.Login{}
	err = each(ctx, c, query, func(scan func(...any) error) error {
		var name, host string
		var role, locked, super bool
		if err := scan(&name, &host, &role, &locked, &super); err != nil {
			return err
		}
		l := byName[name]
		if l == nil {
			l = &database.Login{Name: name}
			byName[name] = l
		}
		l.Hosts = append(l.Hosts, host)
		l.CanLogin = l.CanLogin || !role && !locked
		l.Superuser = l.Superuser || super
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = each(ctx, c, roles, func(scan func(...any) error) error {
		var name, role string
		if err := scan(&name, &role); err != nil {
			return err
		}
		if l := byName[name]; l != nil && !slices.Contains(l.MemberOf, role) {
			l.MemberOf = append(l.MemberOf, role)
		}
		return nil
	})
	if err != nil && !isNumber(err, errNoSuchTable) { // MySQL 5.7 has no roles
		return nil, err
	}
	err = each(ctx, c, "SELECT USER, COUNT(*) FROM information_schema.PROCESSLIST GROUP BY USER", func(scan func(...any) error) error {
		var name string
		var sessions int
		if err := scan(&name, &sessions); err != nil {
			return err
		}
		if l := byName[name]; l != nil {
			l.Sessions = sessions
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	logins := make([]database.Login, 0, len(byName))
	for _, l := range byName {
		slices.Sort(l.Hosts)
		slices.Sort(l.MemberOf)
		logins = append(logins, *l)
	}
	slices.SortFunc(logins, func(a, b database.Login) int { return strings.Compare(a.Name, b.Name) })
	return logins, nil
}

func each(ctx context.Context, c *conn, query string, do func(scan func(...any) error) error) error {
	rows, err := c.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
