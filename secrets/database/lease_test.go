package database_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
	"nightporter.dev/nightporter/provider/database/mem"
	"nightporter.dev/nightporter/secrets/database"
)

func TestCredentials(t *testing.T) {
	t.Parallel()

	t.Run("log in, are renewed, and are gone when their lease is revoked", func(t *testing.T) {
		t.Parallel()
		storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
			h, pg, _ := onPostgres(t, options{db: db})
			c := h.creds("root", "app")
			if err := pg.Login(c.username, c.password, ""); err != nil {
				t.Fatalf("the credentials do not log in: %v", err)
			}
			if !strings.HasPrefix(c.lease, "database/creds/app/") || len(c.lease) != len("database/creds/app/")+24 {
				t.Errorf("the lease is called %q", c.lease)
			}
			a := h.want(200, "root", "PUT", "sys/leases/renew", m{"lease_id": c.lease, "increment": "2h"})
			if a.at("lease_duration").(interface{ String() string }).String() != "7200" {
				t.Errorf("renewed to %v", a.at("lease_duration"))
			}
			until := pg.Column(t, "", `SELECT (rolvaliduntil > now() + interval '119 minutes')::text FROM pg_roles WHERE rolname = $1`, c.username)
			if !slices.Equal(until, []string{"true"}) {
				t.Errorf("PostgreSQL says of VALID UNTIL: %v", until)
			}
			h.want(204, "root", "PUT", "sys/leases/revoke", m{"lease_id": c.lease})
			if left := pg.Column(t, "", `SELECT rolname FROM pg_roles WHERE rolname = $1`, c.username); len(left) > 0 {
				t.Errorf("after 204 pg_roles has %v", left)
			}
			if n := h.count(`SELECT COUNT(*) FROM lease WHERE kind = 'database'`) + h.count(`SELECT COUNT(*) FROM database_login`); n != 0 {
				t.Errorf("%d rows are left in the store", n)
			}
		})
	})

	t.Run("of a lease that expires are gone by themselves", func(t *testing.T) {
		t.Parallel()
		h, server := inMemory(t, options{})
		c := h.creds("root", "app")
		h.clock.advance(61 * time.Minute)
		h.reaper.Wake()
		h.eventually("gone", func() bool { return !slices.Contains(server.Logins(), c.username) })
	})

	t.Run("end with the token that asked for them", func(t *testing.T) {
		t.Parallel()
		h, server := inMemory(t, options{})
		h.want(204, "root", "PUT", "sys/policies/acl/app", m{"policy": `path "database/creds/app" { capabilities = ["read"] }`})
		token := h.token(m{"policies": []string{"app"}, "ttl": "10m"})
		a := h.want(200, token, "GET", "database/creds/app", nil)
		if !strings.Contains(a.warnings(), "the token that asked for this lease ends first") {
			t.Errorf("warnings: %s", a.warnings())
		}
		h.want(204, "root", "POST", "auth/token/revoke", m{"token": token})
		h.eventually("gone", func() bool { return !slices.Contains(server.Logins(), a.text("data", "username")) })
	})

	t.Run("follow Vault's arithmetic", func(t *testing.T) {
		t.Parallel()
		h, _ := inMemory(t, options{})
		h.role("long", m{"creation_statements": creation, "default_ttl": "3h", "max_ttl": "1h"})
		a := h.want(200, "root", "GET", "database/creds/long", nil)
		if got, want := a.warnings(), `TTL of "3h" exceeded the effective max_ttl of "1h"; TTL value is capped accordingly`; got != want {
			t.Errorf("warning %q, want %q", got, want)
		}
		c := h.creds("root", "app")
		h.clock.advance(time.Minute)
		// The increment counts from now, and can shorten.
		if a := h.want(200, "root", "PUT", "sys/leases/renew", m{"lease_id": c.lease, "increment": 600}); a.at("lease_duration") != number("600") {
			t.Errorf("shortened to %v", a.at("lease_duration"))
		}
		a = h.want(200, "root", "PUT", "sys/leases/renew", m{"lease_id": c.lease, "increment": "200h"})
		if !strings.Contains(a.warnings(), `TTL of "200h" exceeded the effective max_ttl of "24h"`) || a.at("lease_duration") != number("86340") {
			t.Errorf("capped: %s %v", a.warnings(), a.at("lease_duration"))
		}
	})

	t.Run("are bounded for each role and in all", func(t *testing.T) {
		t.Parallel()
		h, _ := inMemory(t, options{limit: 4})
		h.role("few", m{"creation_statements": creation, "max_leases": 2})
		first := h.creds("root", "few")
		h.creds("root", "few")
		h.want(429, "root", "GET", "database/creds/few", nil)
		h.want(204, "root", "PUT", "sys/leases/revoke", m{"lease_id": first.lease})
		h.creds("root", "few")
		h.creds("root", "app")
		h.creds("root", "app")
		if a := h.want(429, "root", "GET", "database/creds/app", nil); !strings.Contains(string(a.Raw), "4 logins") {
			t.Errorf("answer: %s", a.Raw)
		}
	})

	t.Run("that the database could not make leave nothing behind", func(t *testing.T) {
		t.Parallel()
		h, pg, admin := onPostgres(t, options{})
		h.role("bad", m{"creation_statements": []string{creation, `GRANT nonsense TO "{{name}}"`}})
		a := h.want(500, "root", "GET", "database/creds/bad", nil)
		if !strings.Contains(string(a.Raw), "failed to execute query") {
			t.Errorf("answer: %s", a.Raw)
		}
		h.eventually("closed", func() bool { return h.count(`SELECT COUNT(*) FROM database_login`) == 0 })
		if left := pg.Column(t, "", `SELECT rolname FROM pg_roles WHERE rolname LIKE $1`, prefixOf(admin)+"%"); len(left) > 0 {
			t.Errorf("pg_roles has %v", left)
		}
	})

	t.Run("whose answer was lost leave nothing behind", func(t *testing.T) {
		t.Parallel()
		h, server := inMemory(t, options{})
		server.Set(mem.Losing)
		h.want(500, "root", "GET", "database/creds/app", nil)
		if n := h.count(`SELECT COUNT(*) FROM database_login`); n != 1 {
			t.Fatalf("without a word of the database the journal must keep the name: %d rows", n)
		}
		server.Set(mem.Up)
		h.eventually("closed", func() bool { return h.count(`SELECT COUNT(*) FROM database_login`) == 0 })
		if got := server.Logins(); !slices.Equal(got, []string{"admin"}) {
			t.Errorf("logins: %v", got)
		}
	})

	// A store that cannot be written between the two is as good as a crash.
	t.Run("that could not be confirmed are taken away when the store works again", func(t *testing.T) {
		t.Parallel()
		h, server := inMemory(t, options{})
		do := func(sql string) {
			must(t, h.gate.Do(system(), nightporter.Action{Name: "test.sql"}, nightporter.Resource{}, func(tx *gate.Tx) error {
				_, err := tx.Exec(system(), sql)
				return err
			}))
		}
		do(`CREATE TRIGGER full BEFORE UPDATE ON database_login BEGIN SELECT RAISE(FAIL, 'disk full'); END`)
		h.want(500, "root", "GET", "database/creds/app", nil)
		if n := h.count(`SELECT COUNT(*) FROM database_login WHERE state = 'intended'`); n != 1 {
			t.Fatalf("%d intents", n)
		}
		do(`DROP TRIGGER full`)
		must(t, h.engine.Recover(system()))
		h.eventually("gone", func() bool { return slices.Equal(server.Logins(), []string{"admin"}) })
	})
}

func TestWhoCanLogInToWhat(t *testing.T) {
	t.Parallel()
	storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
		h, server := inMemory(t, options{db: db})
		c := h.creds("root", "app")
		h.creds("root", "app")
		list, err := h.engine.Logins(t.Context(), database.Filter{Username: c.username})
		must(t, err)
		if len(list) != 1 || list[0].Lease != c.lease || list[0].Database != "database/db" || list[0].Owner != "root" {
			t.Errorf("logins: %+v", list)
		}
		first, err := h.engine.Logins(t.Context(), database.Filter{Role: "app", Limit: 1})
		must(t, err)
		rest, err := h.engine.Logins(t.Context(), database.Filter{Role: "app", After: first[0].Lease})
		must(t, err)
		if len(first) != 1 || len(rest) != 1 {
			t.Errorf("pages of %d and %d", len(first), len(rest))
		}
		server.Set(mem.Down)
		h.want(400, "root", "PUT", "sys/leases/revoke", m{"lease_id": c.lease})
		status, err := h.engine.Databases(t.Context())
		must(t, err)
		for i := range status {
			// The comparison at the start may be over or not.
			status[i].Compared, status[i].Answered = time.Time{}, time.Time{}
		}
		want := []database.Status{{Database: "database/db", Plugin: "postgresql-database-plugin", Logins: 2, Ending: 1, Trouble: "the database does not answer"}}
		if diff := cmp.Diff(want, status); diff != "" {
			t.Errorf("databases (-want +got):\n%s", diff)
		}
		server.Set(mem.Up)
	})
}
