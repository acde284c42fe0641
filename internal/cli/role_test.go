package cli

import (
	"strings"
	"testing"

	"nightporter.dev/nightporter/internal/dbtest"
)

// The ready-made statements, typed by hand into real servers: what the login may do
// is the judge.
func TestALoginOfAGrantedRoleMayWhatTheRoleMay(t *testing.T) {
	t.Parallel()
	fill := strings.NewReplacer("{{name}}", "granted_login", "{{password}}", "Made-Up-1", "{{expiration}}", "infinity")

	t.Run("on PostgreSQL", func(t *testing.T) {
		t.Parallel()
		s := dbtest.Postgres(t)
		db := s.Database(t)
		s.Exec(t, db, `CREATE TABLE account (id int)`, `CREATE ROLE "granted-app"`, `GRANT SELECT ON account TO "granted-app"`)
		t.Cleanup(func() {
			s.Exec(t, db, `DROP OWNED BY "granted-app"`, `DROP ROLE IF EXISTS granted_login`, `DROP ROLE "granted-app"`)
		})
		list, err := memberOf("postgresql-database-plugin", "granted-app")
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range list {
			s.Exec(t, db, fill.Replace(statement))
		}
		open, err := s.Open("granted_login", "Made-Up-1", db)
		if err != nil {
			t.Fatal(err)
		}
		defer open.Close()
		if _, err := open.ExecContext(t.Context(), `SELECT * FROM account`); err != nil {
			t.Error(err)
		}
	})

	t.Run("on MariaDB without asking for the role", func(t *testing.T) {
		t.Parallel()
		s := dbtest.MariaDB(t)
		db := s.Database(t)
		s.Exec(t, db, `CREATE TABLE account (id int)`, "CREATE ROLE `granted-app`", "GRANT SELECT ON "+db+".account TO `granted-app`")
		t.Cleanup(func() { s.Exec(t, db, `DROP USER IF EXISTS 'granted_login'@'%'`, "DROP ROLE `granted-app`") })
		list, err := memberOf("mysql-database-plugin", "granted-app")
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range list {
			s.Exec(t, db, fill.Replace(statement))
		}
		open, err := s.Open("granted_login", "Made-Up-1", db)
		if err != nil {
			t.Fatal(err)
		}
		defer open.Close()
		if _, err := open.ExecContext(t.Context(), `SELECT * FROM account`); err != nil {
			t.Error(err)
		}
	})

	t.Run("not by a name that could say more", func(t *testing.T) {
		t.Parallel()
		for _, name := range []string{"", `a"; DROP TABLE x; --`, "a`b", "{{name}}", "a b", "1a", strings.Repeat("a", 64)} {
			if got, err := memberOf("postgresql-database-plugin", name); err == nil {
				t.Errorf("%q: %q", name, got)
			}
		}
	})
}
