package database_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter/internal/dbtest"
	"nightporter.dev/nightporter/provider/database/faultproxy"
	"nightporter.dev/nightporter/provider/database/mem"
)

// behind starts a fault proxy in front of a server.
func behind(t testing.TB, addr string) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.New(addr)
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	return p
}

func TestRevocation(t *testing.T) {
	t.Parallel()

	// OpenBao gives up after six attempts, about twelve minutes, for ever.
	t.Run("of a database that was down for an hour happens when it answers", func(t *testing.T) {
		t.Parallel()
		h, server := inMemory(t, options{})
		var issued []creds
		for range 5 {
			issued = append(issued, h.creds("root", "app"))
		}
		server.Set(mem.Down)
		a := h.want(400, "root", "PUT", "sys/leases/revoke", m{"lease_id": issued[0].lease})
		if !strings.Contains(string(a.Raw), "the database does not answer") {
			t.Errorf("answer: %s", a.Raw)
		}
		h.want(202, "root", "PUT", "sys/leases/revoke-prefix/database/creds/app", m{"sync": false})
		for range 20 { // every pause of the reaper is over each time
			h.clock.advance(6 * time.Minute)
			before := h.count(`SELECT COALESCE(SUM(attempts), 0) FROM lease WHERE kind = 'database'`)
			h.reaper.Wake()
			h.eventually("tried again", func() bool {
				return h.count(`SELECT COALESCE(SUM(attempts), 0) FROM lease WHERE kind = 'database'`) > before
			})
		}
		if n := h.count(`SELECT COUNT(*) FROM lease WHERE kind = 'database' AND state = 'doomed'`); n != 5 {
			t.Fatalf("%d leases are doomed, want 5: nothing may be forgotten unconfirmed", n)
		}
		a = h.want(200, "root", "PUT", "sys/leases/lookup", m{"lease_id": issued[1].lease})
		if a.text("data", "revoke_error") == "" {
			t.Errorf("the lookup does not say why: %s", a.Raw)
		}
		server.Set(mem.Up)
		h.eventually("gone", func() bool { return slices.Equal(server.Logins(), []string{"admin"}) })
		h.eventually("closed", func() bool { return h.count(`SELECT COUNT(*) FROM lease WHERE kind = 'database'`) == 0 })
	})

	t.Run("of an overdue lease survives a restart while the database is down", func(t *testing.T) {
		t.Parallel()
		h, server := inMemory(t, options{})
		c := h.creds("root", "app")
		server.Set(mem.Down)
		h.want(400, "root", "PUT", "sys/leases/revoke", m{"lease_id": c.lease})
		h = h.again(options{mem: server})
		server.Set(mem.Up)
		h.eventually("gone", func() bool { return !slices.Contains(server.Logins(), c.username) })
	})

	// OpenBao stops a revoke-prefix at the first login that cannot be dropped.
	t.Run("is not held up by a login that cannot be taken away", func(t *testing.T) {
		t.Parallel()
		h, pg, _ := onPostgres(t, options{})
		h.role("held", m{"creation_statements": creation, "revocation_statements": `SELECT 1`})
		held := h.creds("root", "held")
		var others []creds
		for range 3 {
			others = append(others, h.creds("root", "app"))
		}
		a := h.want(400, "root", "PUT", "sys/leases/revoke-prefix/database/creds", m{"sync": true})
		if !strings.Contains(string(a.Raw), "nobody can log in with it any more") {
			t.Errorf("answer: %s", a.Raw)
		}
		for _, c := range others {
			if left := pg.Column(t, "", `SELECT rolname FROM pg_roles WHERE rolname = $1`, c.username); len(left) > 0 {
				t.Errorf("%s is still there", c.username)
			}
		}
		if err := pg.Login(held.username, held.password, ""); err == nil {
			t.Error("the login that is held still logs in")
		}
		// Somebody drops it by hand: then it is gone.
		pg.Exec(t, "", `DROP ROLE "`+held.username+`"`)
		h.eventually("closed", func() bool {
			h.clock.advance(time.Minute)
			h.reaper.Wake()
			return h.count(`SELECT COUNT(*) FROM database_login`) == 0
		})
	})

	t.Run("of one database is not held up by another that hangs", func(t *testing.T) {
		t.Parallel()
		h, pg, admin := onPostgres(t, options{})
		p := behind(t, pg.Addr)
		h.want(204, "root", "POST", "database/config/slow", m{
			"plugin_name": "postgresql-database-plugin", "username": admin, "password": "Admin-1", "allowed_roles": "*", "timeout": "20s",
			"connection_url":    "postgresql://{{username}}:{{password}}@" + p.Addr() + "/postgres?sslmode=disable",
			"username_template": prefixOf(admin) + `-slow-{{random 20}}`,
		})
		h.role("slow", m{"db_name": "slow", "creation_statements": creation})
		slow, fast := h.creds("root", "slow"), h.creds("root", "app")
		p.Inject(faultproxy.Hang, 1)
		h.want(202, "root", "PUT", "sys/leases/revoke-prefix/database/creds/slow", m{"sync": false})
		<-p.Strike()
		there := func(c creds) bool {
			return len(pg.Column(t, "", `SELECT rolname FROM pg_roles WHERE rolname = $1`, c.username)) > 0
		}
		h.want(204, "root", "PUT", "sys/leases/revoke", m{"lease_id": fast.lease})
		if there(fast) || !there(slow) {
			t.Errorf("while one hangs: its login is there %v, the other's %v", there(slow), there(fast))
		}
		p.Heal()
		h.eventually("gone", func() bool { return !there(slow) })
	})

	t.Run("goes on after its database was removed from the configuration", func(t *testing.T) {
		t.Parallel()
		h, server := inMemory(t, options{})
		c := h.creds("root", "app")
		h.want(204, "root", "DELETE", "database/config/db", nil)
		h.want(404, "root", "GET", "database/config/db", nil)
		h.want(500, "root", "GET", "database/creds/app", nil)
		h.want(204, "root", "PUT", "sys/leases/revoke", m{"lease_id": c.lease})
		if slices.Contains(server.Logins(), c.username) {
			t.Error("the login is still there")
		}
		if n := h.count(`SELECT COUNT(*) FROM database_connection`); n != 0 {
			t.Errorf("%d connections are left after the last login", n)
		}
	})

	t.Run("ends everything when the engine is unmounted, also while the database is down", func(t *testing.T) {
		t.Parallel()
		h, server := inMemory(t, options{})
		c := h.creds("root", "app")
		server.Set(mem.Down)
		h.want(204, "root", "DELETE", "sys/mounts/database", nil)
		server.Set(mem.Up)
		h.eventually("gone", func() bool { return !slices.Contains(server.Logins(), c.username) })
	})

	t.Run("of many logins is one transaction for many", func(t *testing.T) {
		t.Parallel()
		h, pg, admin := onPostgres(t, options{})
		for range 60 {
			h.creds("root", "app")
		}
		h.want(204, "root", "PUT", "sys/leases/revoke-prefix/database/creds/app", m{"sync": true})
		if left := pg.Column(t, "", `SELECT rolname FROM pg_roles WHERE rolname LIKE $1`, prefixOf(admin)+"%"); len(left) > 0 {
			t.Errorf("after 204 there are %d logins", len(left))
		}
	})
}

// Every message of issuing, renewing and revoking is lost once in every way.
// Whatever the client is told, the database is what the journal says.
func TestLostMessages(t *testing.T) {
	t.Parallel()
	for _, kind := range faultproxy.Faults() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			pg := dbtest.Postgres(t)
			p := behind(t, pg.Addr)
			h := open(t, options{dial: p.Dial})
			admin := h.postgres(pg, m{"timeout": "500ms"})
			logins := func() []string {
				return pg.Column(t, "", `SELECT rolname FROM pg_roles WHERE rolname LIKE $1`, prefixOf(admin)+"%")
			}
			for step, do := range map[string]func(c creds) answer{
				"issue": func(creds) answer { return h.ask("root", "GET", "database/creds/app", nil) },
				"renew": func(c creds) answer {
					return h.ask("root", "PUT", "sys/leases/renew", m{"lease_id": c.lease, "increment": "2h"})
				},
				"revoke": func(c creds) answer { return h.ask("root", "PUT", "sys/leases/revoke", m{"lease_id": c.lease}) },
			} {
				for nth := 1; nth < 30; nth++ {
					c := h.creds("root", "app")
					p.Inject(kind, nth)
					a := do(c)
					struck := p.Struck()
					if step == "revoke" && a.Status == 204 && slices.Contains(logins(), c.username) {
						t.Fatalf("%s, message %d: confirmed, and %s is there", step, nth, c.username)
					}
					if step == "issue" && a.Status == 200 {
						if err := pg.Login(a.text("data", "username"), a.text("data", "password"), ""); err != nil {
							t.Errorf("%s, message %d: issued, and cannot log in: %v", step, nth, err)
						}
					}
					p.Heal()
					h.ask("root", "GET", "database/creds/app", nil) // it answers again: whatever waits goes now
					h.eventually("settled", func() bool {
						return h.count(`SELECT COUNT(*) FROM database_login j LEFT JOIN lease l ON l.id = j.lease WHERE j.state <> 'made' OR l.state IS NULL OR l.state <> 'live'`) == 0
					})
					if got, want := len(logins()), h.count(`SELECT COUNT(*) FROM database_login`); got != want {
						t.Fatalf("%s, message %d: the database has %d logins, the journal %d", step, nth, got, want)
					}
					if !struck {
						break
					}
				}
			}
			h.want(204, "root", "PUT", "sys/leases/revoke-prefix/database/creds/app", m{"sync": true})
			if left := logins(); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// The same on MariaDB, whose changes are not transactions.
func TestOnMariaDB(t *testing.T) {
	t.Parallel()
	s := dbtest.MariaDB(t)
	p := behind(t, s.Addr)
	h := open(t, options{dial: p.Dial})
	name := s.Database(t)
	prefix := strings.TrimPrefix(name, "dbtest_")
	h.want(204, "root", "POST", "database/config/db", m{
		"plugin_name": "mysql-database-plugin", "connection_url": "{{username}}:{{password}}@tcp(" + s.Addr + ")/" + name,
		"username": s.User, "password": s.Password, "allowed_roles": "*", "timeout": "3s",
		"username_template": prefix + `-{{random 16}}`,
	})
	h.role("app", m{"creation_statements": fmt.Sprintf("CREATE USER '{{name}}'@'%%' IDENTIFIED BY '{{password}}'; GRANT SELECT ON %s.* TO '{{name}}'@'%%';", name)})
	logins := func() []string {
		return s.Column(t, "", `SELECT User FROM mysql.user WHERE User LIKE ?`, prefix+"%")
	}
	c := h.creds("root", "app")
	if err := s.Login(c.username, c.password, name); err != nil {
		t.Errorf("the credentials do not log in: %v", err)
	}
	h.want(200, "root", "PUT", "sys/leases/renew", m{"lease_id": c.lease, "increment": "2h"})
	h.want(204, "root", "PUT", "sys/leases/revoke", m{"lease_id": c.lease})
	for _, kind := range []faultproxy.Fault{faultproxy.Reset, faultproxy.LoseAnswer} {
		for nth := 1; nth < 40; nth++ {
			p.Inject(kind, nth)
			a := h.ask("root", "GET", "database/creds/app", nil)
			if a.Status == 200 {
				if err := s.Login(a.text("data", "username"), a.text("data", "password"), name); err != nil {
					t.Errorf("%s at %d: issued, and cannot log in: %v", kind, nth, err)
				}
			}
			struck := p.Struck()
			p.Heal()
			h.eventually("settled", func() bool { return h.count(`SELECT COUNT(*) FROM database_login WHERE state <> 'made'`) == 0 })
			if got, want := len(logins()), h.count(`SELECT COUNT(*) FROM database_login`); got != want {
				t.Fatalf("%s at message %d: mysql.user has %d logins, the journal %d", kind, nth, got, want)
			}
			if !struck {
				break
			}
		}
	}
	h.want(204, "root", "PUT", "sys/leases/revoke-prefix/database/creds/app", m{"sync": true})
	if left := logins(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
