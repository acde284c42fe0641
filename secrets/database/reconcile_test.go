package database_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	provider "nightporter.dev/nightporter/provider/database"
	"nightporter.dev/nightporter/provider/database/mem"
	"nightporter.dev/nightporter/secrets/database"
)

// plant makes a login behind our back, as the administrator.
func plant(t testing.TB, server *mem.Server, password, name string) {
	t.Helper()
	db, err := server.Open(provider.Config{Plugin: provider.PluginPostgreSQL, ConnectionURL: "mem://", Username: "admin", Password: password})
	must(t, err)
	must(t, db.CreateUser(context.Background(), provider.Create{Username: name, Password: "planted", Expiration: time.Now(), Statements: []string{creation}}))
}

// forget takes a login out of the store, as a store that was restored from a
// backup would.
func (h *house) forget(c creds) {
	h.Helper()
	must(h.TB, h.gate.Do(system(), nightporter.Action{Name: "test.forget"}, nightporter.Resource{}, func(tx *gate.Tx) error {
		if _, err := tx.Exec(system(), `DELETE FROM lease WHERE id = ?`, c.lease); err != nil {
			return err
		}
		_, err := tx.Exec(system(), `DELETE FROM database_login WHERE lease = ?`, c.lease)
		return err
	}))
}

// kinds are the findings about logins that begin with a prefix: tests share the
// server.
func (h *house) kinds(prefix string) (kinds []string) {
	h.Helper()
	list, err := h.engine.Findings(context.Background(), "")
	must(h.TB, err)
	for _, f := range list {
		if strings.HasPrefix(f.Username, prefix) {
			kinds = append(kinds, f.Kind+" "+f.Username)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// OpenBao never looks at the database again.
func TestReconcile(t *testing.T) {
	t.Parallel()

	t.Run("leaves the logins of another database on the same server alone, also when its environment is built again", func(t *testing.T) {
		t.Parallel()
		h, pg, admin := onPostgres(t, options{binding: func(name string) database.Binding {
			if name == "database/db" {
				return database.Binding{Environment: "dev"}
			}
			return database.Binding{}
		}})
		prod := pg.Database(t)
		h.want(204, "root", "POST", "database/config/prod", m{
			"plugin_name": provider.PluginPostgreSQL, "connection_url": "postgresql://{{username}}:{{password}}@" + pg.Addr + "/" + prod + "?sslmode=disable",
			"username": admin, "password": "Admin-1", "allowed_roles": "*", "username_template": prefixOf(admin) + `-{{random 20}}`,
		})
		h.role("prod", m{"db_name": "prod", "creation_statements": creation})
		dev, there := h.creds("root", "app"), h.creds("root", "prod")
		login := func(what string, c creds) {
			t.Helper()
			if err := pg.Login(c.username, c.password, ""); err != nil {
				t.Errorf("%s, the login of the other database: %v", what, err)
			}
		}
		must(t, h.engine.Reconcile(system()))
		if got := h.kinds(prefixOf(admin)); len(got) > 0 {
			t.Errorf("findings %v, want none", got)
		}
		login("after a comparison", dev)
		login("after a comparison", there)

		h.eventually("dev is drained", func() bool { return h.engine.Drain(system(), "dev") == nil })
		must(t, h.engine.Enrol(system(), "dev", nil))
		must(t, h.engine.Reconcile(system()))
		login("after the other one's night", there)
		if left := pg.Column(t, "", `SELECT rolname FROM pg_roles WHERE rolname = $1`, dev.username); len(left) > 0 {
			t.Errorf("dev was drained and %v is left", left)
		}
	})

	t.Run("takes a login of ours away that no lease stands for", func(t *testing.T) {
		t.Parallel()
		h, pg, admin := onPostgres(t, options{})
		lost, kept := h.creds("root", "app"), h.creds("root", "app")
		h.forget(lost)
		must(t, h.engine.Reconcile(system()))
		h.eventually("gone", func() bool {
			return len(pg.Column(t, "", `SELECT rolname FROM pg_roles WHERE rolname = $1`, lost.username)) == 0
		})
		if err := pg.Login(kept.username, kept.password, ""); err != nil {
			t.Errorf("the one with a lease: %v", err)
		}
		if got, want := h.kinds(prefixOf(admin)), []string{"orphan " + lost.username}; !slices.Equal(got, want) {
			t.Errorf("findings %v, want %v", got, want)
		}
		a := h.want(200, "root", "GET", "database/orphans", nil)
		if !strings.Contains(string(a.Raw), `"repaired":"taken away"`) {
			t.Errorf("orphans: %s", a.Raw)
		}
	})

	t.Run("never touches what others made", func(t *testing.T) {
		t.Parallel()
		h, pg, admin := onPostgres(t, options{})
		other := prefixOf(admin) + "-abcdefghijklmnopqrst"
		pg.Exec(t, "", `CREATE ROLE "`+other+`" LOGIN PASSWORD 'x'`, `COMMENT ON ROLE "`+other+`" IS 'nightporter login `+other+`'`)
		t.Cleanup(func() { pg.Exec(t, "", `DROP ROLE "`+other+`"`) })
		must(t, h.engine.Reconcile(system()))
		if got := h.kinds(prefixOf(admin)); !slices.Contains(got, "foreign "+other) {
			t.Errorf("findings %v", got)
		}
		if len(pg.Column(t, "", `SELECT rolname FROM pg_roles WHERE rolname = $1`, other)) != 1 {
			t.Error("another installation's login is gone")
		}
		if n := h.count(`SELECT COUNT(*) FROM database_login`); n != 0 {
			t.Errorf("%d rows in the journal", n)
		}
	})

	t.Run("ends the lease of a login that somebody dropped", func(t *testing.T) {
		t.Parallel()
		h, pg, admin := onPostgres(t, options{})
		c := h.creds("root", "app")
		pg.Exec(t, "", `DROP ROLE "`+c.username+`"`)
		must(t, h.engine.Reconcile(system()))
		h.eventually("ended", func() bool { return h.count(`SELECT COUNT(*) FROM lease WHERE kind = 'database'`) == 0 })
		if got, want := h.kinds(prefixOf(admin)), []string{"missing " + c.username}; !slices.Equal(got, want) {
			t.Errorf("findings %v, want %v", got, want)
		}
	})

	t.Run("a renewal finds a login that somebody dropped", func(t *testing.T) {
		t.Parallel()
		h, pg, _ := onPostgres(t, options{})
		c := h.creds("root", "app")
		pg.Exec(t, "", `DROP ROLE "`+c.username+`"`)
		a := h.want(400, "root", "PUT", "sys/leases/renew", m{"lease_id": c.lease})
		if !strings.Contains(string(a.Raw), "is not in the database any more") {
			t.Errorf("answer: %s", a.Raw)
		}
	})

	t.Run("takes a login away that somebody renamed", func(t *testing.T) {
		t.Parallel()
		h, pg, admin := onPostgres(t, options{})
		c := h.creds("root", "app")
		hidden := "hidden_" + admin
		pg.Exec(t, "", `ALTER ROLE "`+c.username+`" RENAME TO `+hidden)
		must(t, h.engine.Reconcile(system()))
		h.eventually("gone", func() bool {
			return len(pg.Column(t, "", `SELECT rolname FROM pg_roles WHERE rolname = $1`, hidden)) == 0
		})
		h.eventually("ended", func() bool { return h.count(`SELECT COUNT(*) FROM database_login`) == 0 })
	})

	t.Run("does not take the administrator for a renamed login", func(t *testing.T) {
		t.Parallel()
		h, pg, admin := onPostgres(t, options{})
		c := h.creds("root", "app")
		pg.Exec(t, "", `DROP ROLE "`+c.username+`"`, `COMMENT ON ROLE `+admin+` IS 'nightporter login `+c.username+`'`)
		must(t, h.engine.Reconcile(system()))
		if err := pg.Login(admin, "Admin-1", ""); err != nil {
			t.Errorf("the administrator: %v", err)
		}
	})

	t.Run("happens at start", func(t *testing.T) {
		t.Parallel()
		h, server := inMemory(t, options{})
		c := h.creds("root", "app")
		h.forget(c)
		h.again(options{mem: server})
		h.eventually("gone", func() bool { return slices.Equal(server.Logins(), []string{"admin"}) })
	})

	t.Run("finds nothing while logins come and go", func(t *testing.T) {
		t.Parallel()
		h, _, admin := onPostgres(t, options{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 25 {
				a, err := h.try("root", "GET", "database/creds/app", nil)
				if err == nil {
					_, _ = h.try("root", "PUT", "sys/leases/revoke", m{"lease_id": a.text("lease_id")})
				}
			}
		}()
		for busy := true; busy; {
			must(t, h.engine.Reconcile(system()))
			select {
			case <-done:
				busy = false
			default:
			}
		}
		for _, k := range h.kinds(prefixOf(admin)) {
			// A login that went away between the inventory and the journal is taken
			// for an orphan, and found gone: that is harmless.
			if !strings.HasPrefix(k, "orphan ") {
				t.Errorf("found %s", k)
			}
		}
	})
}

func TestEnvironments(t *testing.T) {
	t.Parallel()
	bound := func(name string) database.Binding {
		if name == "database/db" {
			return database.Binding{Environment: "dev", Bootstrap: "terraform.admin"}
		}
		return database.Binding{}
	}
	output := func(password string) database.Output {
		return func(_ context.Context, name string) ([]byte, error) {
			if name != "admin" {
				return nil, nightporter.E(nightporter.NotFound, "no output %s", name)
			}
			return []byte(password), nil
		}
	}

	t.Run("draining ends the logins of an environment and of nothing else", func(t *testing.T) {
		t.Parallel()
		h, server := inMemory(t, options{binding: bound})
		h.want(204, "root", "POST", "database/config/prod", m{
			"plugin_name": provider.PluginPostgreSQL, "connection_url": "mem://", "username": "admin", "password": "Admin-1", "allowed_roles": "*",
		})
		h.role("prod", m{"db_name": "prod", "creation_statements": creation})
		dev, prod := h.creds("root", "app"), h.creds("root", "prod")
		if n := h.count(`SELECT COUNT(*) FROM lease WHERE environment = 'dev' AND owner = 'root'`); n != 1 {
			t.Errorf("%d leases name their environment and owner", n)
		}
		must(t, h.engine.Drain(system(), "dev"))
		if got := server.Logins(); slices.Contains(got, dev.username) || !slices.Contains(got, prod.username) {
			t.Errorf("logins: %v", got)
		}
		a := h.want(503, "root", "GET", "database/creds/app", nil)
		if !strings.Contains(string(a.Raw), "environment dev is dark") {
			t.Errorf("answer: %s", a.Raw)
		}
		h.creds("root", "prod")
		if nightporter.CodeOf(h.engine.Drain(system(), "")) != nightporter.Protected {
			t.Error("production was drained")
		}
	})

	t.Run("a lease closes unconfirmed only when its database is proven gone", func(t *testing.T) {
		t.Parallel()
		h, server := inMemory(t, options{binding: bound})
		h.creds("root", "app")
		server.Set(mem.Down)
		if err := h.engine.Drain(system(), "dev"); nightporter.CodeOf(err) != nightporter.Unavailable {
			t.Errorf("drained a database that does not answer: %v", err)
		}
		if n := h.count(`SELECT COUNT(*) FROM lease WHERE kind = 'database'`); n != 1 {
			t.Fatalf("%d leases: nobody has confirmed anything", n)
		}
		must(t, h.engine.Gone(system(), "dev"))
		if n := h.count(`SELECT COUNT(*) FROM lease WHERE kind = 'database'`); n != 0 {
			t.Errorf("%d leases are left of a database that is gone", n)
		}
	})

	t.Run("dawn drops what the data brought back, and changes the password", func(t *testing.T) {
		t.Parallel()
		h, server := inMemory(t, options{binding: bound})
		h.want(204, "root", "POST", "database/config/db", m{"username_template": `short-{{random 4}}`}) // names without a mark
		c := h.creds("root", "app")
		server.Set(mem.Down)
		_ = h.engine.Drain(system(), "dev") // it could not answer any more
		must(t, h.engine.Gone(system(), "dev"))

		// The rebuilt server has yesterday's data and the build's password.
		rebuilt, err := mem.NewServer(mem.Config{Username: "admin", Password: "Bootstrap-1"})
		must(t, err)
		plant(t, rebuilt, "Bootstrap-1", c.username)
		plant(t, rebuilt, "Bootstrap-1", "service")
		h = h.again(options{mem: rebuilt, binding: bound})
		must(t, h.engine.Enrol(system(), "dev", output("Bootstrap-1")))
		if got, want := rebuilt.Logins(), []string{"admin", "service"}; !slices.Equal(got, want) {
			t.Errorf("logins %v, want %v", got, want)
		}
		if _, err := rebuilt.Login("admin", "Bootstrap-1"); err == nil {
			t.Error("the build's password still works")
		}
		h.creds("root", "app")
		// A step that is asked again changes nothing that works.
		must(t, h.engine.Enrol(system(), "dev", output("Bootstrap-1")))
		h.creds("root", "app")
	})

	t.Run("dawn waits for a database that does not answer yet", func(t *testing.T) {
		t.Parallel()
		h, server := inMemory(t, options{binding: bound})
		must(t, h.engine.Drain(system(), "dev"))
		server.Set(mem.Down)
		if err := h.engine.Enrol(system(), "dev", output("Admin-1")); nightporter.CodeOf(err) != nightporter.Unavailable {
			t.Errorf("got %v", err)
		}
		h.want(503, "root", "GET", "database/creds/app", nil)
		server.Set(mem.Up)
		must(t, h.engine.Enrol(system(), "dev", output(`{"username":"admin","password":"Admin-1"}`)))
		h.creds("root", "app")
	})
}
