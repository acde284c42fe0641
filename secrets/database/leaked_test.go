package database_test

import (
	"slices"
	"strings"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/secrets/database"
)

// The judge is PostgreSQL: it lets somebody in or does not, and says what a login
// may do.
func TestLeakedPassword(t *testing.T) {
	t.Parallel()
	h, pg, admin := onPostgres(t, options{})
	app := strings.Replace(admin, "admin_", "aaa_", 1)
	pg.Exec(t, "", `CREATE ROLE `+app+` LOGIN PASSWORD 'Maple7713!'`)
	t.Cleanup(func() { pg.Exec(t, "", `DROP ROLE IF EXISTS `+app) })
	leak := database.Leak{Kind: "postgres", User: app, Password: "Maple7713!"}
	states := func(l database.Leak) string {
		t.Helper()
		tried, err := h.engine.TryLeak(system(), l)
		must(t, err)
		var list []string
		for _, tr := range tried {
			if tr.Database == "database/db" && tr.User == app {
				list = append(list, tr.State)
			}
		}
		return strings.Join(list, " ")
	}
	for _, c := range []struct {
		what, want string
		leak       database.Leak
	}{
		{"a password that works is live", "live", leak},
		{"one that does not is refused", "refused", database.Leak{Kind: "postgres", User: app, Password: "Maple7714!"}},
		{"one without a name is tried on the accounts that are no lease's", "live", database.Leak{Password: "Maple7713!"}},
		{"one of another kind of database is not tried", "", database.Leak{Kind: "mysql", User: app, Password: "Maple7713!"}},
	} {
		if got := states(c.leak); got != c.want {
			t.Errorf("%s: got %q, want %q", c.what, got, c.want)
		}
	}

	r, err := h.engine.RepairLeak(system(), "database/db", app)
	must(t, err)
	if r.Role != "database/creds/"+app || r.Static != "database/static-creds/"+app+"-account" || r.Warning != "" {
		t.Errorf("repaired: %+v", r)
	}
	if pg.Login(app, "Maple7713!", "") == nil || states(leak) != "refused" {
		t.Error("the old password still works")
	}
	lent := h.creds("root", app)
	if err := pg.Login(lent.username, lent.password, ""); err != nil {
		t.Errorf("the login that is leased instead: %v", err)
	}
	if got := pg.Column(t, "", `SELECT pg_has_role($1, $2, 'USAGE')::text`, lent.username, app); !slices.Equal(got, []string{"true"}) {
		t.Errorf("it may do what the account may: %q", got)
	}
	own := h.want(200, "root", "GET", "database/static-creds/"+app+"-account", nil)
	if err := pg.Login(own.text("data", "username"), own.text("data", "password"), ""); err != nil || own.text("data", "username") != app {
		t.Errorf("the account's new password: %v", err)
	}

	t.Run("again changes the password again, and nothing else", func(t *testing.T) {
		must(t, pg.Login(app, own.text("data", "password"), ""))
		again, err := h.engine.RepairLeak(system(), "database/db", app)
		must(t, err)
		if again != r || pg.Login(app, own.text("data", "password"), "") == nil {
			t.Errorf("got %+v", again)
		}
	})
	t.Run("of the account that this house logs in with is rotated", func(t *testing.T) {
		if _, err := h.engine.RepairLeak(system(), "database/db", admin); err != nil {
			t.Fatal(err)
		}
		if pg.Login(admin, "Admin-1", "") == nil {
			t.Error("the old password still works")
		}
		h.creds("root", "app")
	})
	t.Run("of an account whose name means something else is refused", func(t *testing.T) {
		for _, name := range []string{`a"; DROP ROLE x`, "a/b", "", "../x"} {
			if _, err := h.engine.RepairLeak(system(), "database/db", name); nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("%q: got %v", name, err)
			}
		}
	})
}

// A server with several databases is asked once: its accounts are the same.
func TestLeakIsTriedOncePerServer(t *testing.T) {
	t.Parallel()
	h, _ := inMemory(t, options{})
	for name, url := range map[string]string{
		"ledger-dev": "postgres://{{username}}:{{password}}@pg.acme.test:5432/ledger_dev", "ledger-prod": "postgres://{{username}}:{{password}}@pg.acme.test:5432/ledger_prod",
		"other": "postgres://{{username}}:{{password}}@other.acme.test/ledger_dev",
	} {
		h.want(204, "root", "POST", "database/config/"+name, m{
			"plugin_name": "postgresql-database-plugin", "connection_url": url, "username": "admin", "password": "Admin-1", "verify_connection": false,
		})
	}
	tried, err := h.engine.TryLeak(system(), database.Leak{Kind: "postgres", User: "app", Password: "x", Database: "ledger_prod"})
	must(t, err)
	var at []string
	for _, tr := range tried {
		at = append(at, tr.Database)
	}
	if want := []string{"database/db", "database/ledger-prod", "database/other"}; !slices.Equal(at, want) {
		t.Errorf("tried %q, want %q", at, want)
	}
}
