package database_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"nightporter.dev/nightporter/internal/dbtest"
	"nightporter.dev/nightporter/provider/database/faultproxy"
	"nightporter.dev/nightporter/provider/database/mem"
)

func TestRotateRoot(t *testing.T) {
	t.Parallel()

	t.Run("changes the password, and nobody knows the new one", func(t *testing.T) {
		t.Parallel()
		h, pg, admin := onPostgres(t, options{})
		h.want(204, "root", "POST", "database/rotate-root/db", nil)
		if pg.Login(admin, "Admin-1", "") == nil {
			t.Error("the old password still works")
		}
		h.creds("root", "app")
		h = h.again(options{})
		h.creds("root", "app")
	})

	t.Run("that the database refuses keeps the old password", func(t *testing.T) {
		t.Parallel()
		h, pg, admin := onPostgres(t, options{})
		h.want(204, "root", "POST", "database/config/db", m{"root_rotation_statements": []string{`ALTER ROLE nobody PASSWORD '{{password}}'`}})
		h.want(500, "root", "POST", "database/rotate-root/db", nil)
		if err := pg.Login(admin, "Admin-1", ""); err != nil {
			t.Errorf("the old password: %v", err)
		}
		h.creds("root", "app")
		if n := h.count(`SELECT COUNT(*) FROM database_rotation`); n != 0 {
			t.Errorf("%d rotations are open", n)
		}
	})

	// The statement works and changes something else: the new password must prove
	// itself.
	t.Run("that changes nothing is not believed", func(t *testing.T) {
		t.Parallel()
		h, _, _ := onPostgres(t, options{})
		h.want(204, "root", "POST", "database/config/db", m{"root_rotation_statements": []string{`SELECT '{{password}}'`}})
		h.ask("root", "POST", "database/rotate-root/db", nil)
		h.creds("root", "app")
	})

	t.Run("whose answer was lost is resolved when the database answers", func(t *testing.T) {
		t.Parallel()
		h, server := inMemory(t, options{})
		server.Set(mem.Losing)
		h.want(500, "root", "POST", "database/rotate-root/db", nil)
		if n := h.count(`SELECT COUNT(*) FROM database_rotation`); n != 1 {
			t.Fatalf("both passwords must stay in the journal: %d rows", n)
		}
		h = h.again(options{mem: server})
		server.Set(mem.Up)
		h.eventually("resolved", func() bool { return h.count(`SELECT COUNT(*) FROM database_rotation`) == 0 })
		h.creds("root", "app")
	})

	for _, kind := range faultproxy.Faults() {
		t.Run("with each message lost once: "+string(kind), func(t *testing.T) {
			t.Parallel()
			pg := dbtest.Postgres(t)
			p := behind(t, pg.Addr)
			h := open(t, options{dial: p.Dial})
			h.postgres(pg, m{"timeout": "1s", "max_idle_connections": -1})
			for nth := 1; nth < 40; nth++ {
				p.Inject(kind, nth)
				h.ask("root", "POST", "database/rotate-root/db", nil)
				struck := p.Struck()
				p.Heal()
				h.eventually("usable", func() bool { return h.ask("root", "GET", "database/creds/app", nil).Status == 200 })
				if !struck {
					return
				}
			}
			t.Error("still striking")
		})
	}

	t.Run("needs a field for the password", func(t *testing.T) {
		t.Parallel()
		pg := dbtest.Postgres(t)
		h := open(t, options{})
		h.want(204, "root", "POST", "database/config/own", m{
			"plugin_name": "postgresql-database-plugin", "connection_url": pg.DSN(""), "allowed_roles": "*",
		})
		h.want(500, "root", "POST", "database/rotate-root/own", nil)
		a := h.want(200, "root", "GET", "database/config/own", nil)
		if url := a.text("data", "connection_details", "connection_url"); url != fmt.Sprintf("postgres://%s:*****@%s/postgres?sslmode=disable", pg.User, pg.Addr) {
			t.Errorf("the read shows %q", url)
		}
	})
}

func TestStaticRoles(t *testing.T) {
	t.Parallel()
	users := func(t *testing.T, pg *dbtest.Server, admin string) (string, string) {
		a, b := admin+"_a", admin+"_b"
		for _, u := range []string{a, b} {
			pg.Exec(t, "", `CREATE ROLE `+u+` LOGIN PASSWORD 'first'`)
			t.Cleanup(func() { pg.Exec(t, "", `DROP ROLE `+u) })
		}
		return a, b
	}
	read := func(h *house) creds {
		a := h.want(200, "root", "GET", "database/static-creds/st", nil)
		return creds{username: a.text("data", "username"), password: a.text("data", "password")}
	}

	t.Run("of one user hold the password that works, and the one before does not", func(t *testing.T) {
		t.Parallel()
		h, pg, admin := onPostgres(t, options{})
		user, _ := users(t, pg, admin)
		h.want(204, "root", "POST", "database/static-roles/st", m{"db_name": "db", "username": user, "rotation_period": "1h"})
		first := read(h)
		if err := pg.Login(first.username, first.password, ""); err != nil {
			t.Error(err)
		}
		h.want(204, "root", "POST", "database/rotate-role/st", nil)
		if pg.Login(first.username, first.password, "") == nil {
			t.Error("the old password still works")
		}
		if now := read(h); pg.Login(now.username, now.password, "") != nil {
			t.Error("the new password does not work")
		}
	})

	// The single-user switch leaves readers with a dead password.
	t.Run("of two users have no moment with a dead password", func(t *testing.T) {
		t.Parallel()
		h, pg, admin := onPostgres(t, options{})
		a, b := users(t, pg, admin)
		h.want(204, "root", "POST", "database/static-roles/st", m{"db_name": "db", "username": a, "alternate_username": b, "rotation_period": "1h"})
		var seen []string
		for range 3 {
			before := read(h)
			h.want(204, "root", "POST", "database/rotate-role/st", nil)
			after := read(h)
			for _, c := range []creds{before, after} {
				if err := pg.Login(c.username, c.password, ""); err != nil {
					t.Errorf("%s: %v", c.username, err)
				}
			}
			seen = append(seen, after.username)
		}
		if want := []string{b, a, b}; !slices.Equal(seen, want) {
			t.Errorf("handed out %v, want %v", seen, want)
		}
	})

	t.Run("keep the old user while the new one cannot log in", func(t *testing.T) {
		t.Parallel()
		h, pg, admin := onPostgres(t, options{})
		a, b := users(t, pg, admin)
		h.want(204, "root", "POST", "database/static-roles/st", m{"db_name": "db", "username": a, "alternate_username": b, "rotation_period": "1h"})
		pg.Exec(t, "", `ALTER ROLE `+b+` NOLOGIN`)
		h.want(500, "root", "POST", "database/rotate-role/st", nil)
		if c := read(h); c.username != a || pg.Login(c.username, c.password, "") != nil {
			t.Errorf("handed out %s", c.username)
		}
	})

	t.Run("rotate by themselves, also after a failure", func(t *testing.T) {
		t.Parallel()
		h, server := inMemory(t, options{})
		plant(t, server, "Admin-1", "stat")
		h.want(204, "root", "POST", "database/static-roles/st", m{"db_name": "db", "username": "stat", "rotation_period": "1h"})
		first := read(h)
		server.Set(mem.Down)
		h.clock.advance(61 * time.Minute)
		h.want(204, "root", "POST", "database/static-roles/st", m{"rotation_period": "1h"}) // wakes the loop
		server.Set(mem.Up)
		h.clock.advance(6 * time.Minute)
		h.want(204, "root", "POST", "database/static-roles/st", m{"rotation_period": "1h"})
		h.eventually("rotated", func() bool { return read(h).password != first.password })
		now := read(h)
		if _, err := server.Login(now.username, now.password); err != nil {
			t.Error(err)
		}
	})

	t.Run("share no name with a dynamic role", func(t *testing.T) {
		t.Parallel()
		h, _ := inMemory(t, options{})
		h.want(400, "root", "POST", "database/static-roles/app", m{"db_name": "db", "username": "x", "rotation_period": "1h"})
	})
}
