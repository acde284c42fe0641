package database_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter/internal/dbtest"
	provider "nightporter.dev/nightporter/provider/database"
	"nightporter.dev/nightporter/secrets/database"
)

// check asks for a look at "db".
func (h *house) check() database.Check {
	h.Helper()
	a := h.want(200, "root", "POST", "database/check/db", m{})
	var body struct{ Data database.Check }
	must(h.TB, json.Unmarshal(a.Raw, &body))
	return body.Data
}

func TestCheck(t *testing.T) {
	t.Parallel()

	t.Run("makes a login and leaves nothing behind", func(t *testing.T) {
		t.Parallel()
		h, pg, admin := onPostgres(t, options{})
		c := h.check()
		if !c.OK || len(c.Steps) != 3 || c.Unrepaired != 0 || time.Since(c.ComparedAt) > time.Minute || c.Database != "database/db" {
			t.Errorf("got %+v", c)
		}
		if left := pg.Column(t, "", `SELECT rolname FROM pg_roles WHERE rolname LIKE $1`, prefixOf(admin)+"-%"); len(left) > 0 {
			t.Errorf("it left %q", left)
		}
		if n := h.count(`SELECT COUNT(*) FROM database_login`); n != 0 {
			t.Errorf("%d rows are left in the journal", n)
		}
	})

	t.Run("says what the administrator may not do", func(t *testing.T) {
		t.Parallel()
		s := dbtest.Postgres(t)
		h := open(t, options{})
		admin := h.postgres(s, m{})
		s.Exec(t, "", `ALTER ROLE `+admin+` NOSUPERUSER NOCREATEROLE`)
		c := h.check()
		if c.OK || !c.Steps[0].OK || c.Steps[1].OK || !strings.Contains(c.Steps[1].Detail, "permission denied") {
			t.Errorf("got %+v", c)
		}
	})

	t.Run("says when nobody can log in", func(t *testing.T) {
		t.Parallel()
		s := dbtest.Postgres(t)
		h := open(t, options{})
		admin := h.postgres(s, m{})
		s.Exec(t, "", `ALTER ROLE `+admin+` PASSWORD 'another'`)
		c := h.check()
		if c.OK || len(c.Steps) != 1 || c.Steps[0].OK {
			t.Errorf("got %+v", c)
		}
		for _, secret := range []string{"Admin-1", "another"} {
			if strings.Contains(c.Steps[0].Detail, secret) {
				t.Errorf("the answer holds a password: %s", c.Steps[0].Detail)
			}
		}
	})

	t.Run("finds what differs and counts it", func(t *testing.T) {
		t.Parallel()
		h, pg, _ := onPostgres(t, options{})
		lost, dropped := h.creds("root", "app"), h.creds("root", "app")
		h.forget(lost)
		pg.Exec(t, "", `DROP ROLE "`+dropped.username+`"`)
		c := h.check()
		if !c.OK || c.Found[database.Orphan] != 1 || c.Found[database.Missing] != 1 {
			t.Errorf("got %+v, want one orphan and one missing, both repaired", c)
		}
	})

	t.Run("works on MariaDB", func(t *testing.T) {
		t.Parallel()
		s := dbtest.MariaDB(t)
		h := open(t, options{})
		h.want(204, "root", "POST", "database/config/db", m{
			"plugin_name": provider.PluginMySQL, "connection_url": "{{username}}:{{password}}@tcp(" + s.Addr + ")/", "username": s.User, "password": s.Password,
			"allowed_roles": "*",
		})
		if c := h.check(); len(c.Steps) != 3 || !c.Steps[0].OK || !c.Steps[1].OK || !c.Steps[2].OK {
			t.Errorf("got %+v", c)
		}
	})

	t.Run("of a database that is not there is not found", func(t *testing.T) {
		t.Parallel()
		h, _ := inMemory(t, options{})
		h.want(404, "root", "POST", "database/check/nowhere", m{})
		h.want(403, h.token(m{"policies": []string{"default"}}), "POST", "database/check/db", m{})
	})
}
