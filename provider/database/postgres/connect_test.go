package postgres_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/dbtest"
	"nightporter.dev/nightporter/provider/database"
	"nightporter.dev/nightporter/provider/database/databasetest"
	"nightporter.dev/nightporter/provider/database/postgres"
)

func TestTheAdministratorsPasswordMayHoldAnything(t *testing.T) {
	t.Parallel()
	s := dbtest.Postgres(t)
	admin := databasetest.Name() + ` @:/'"`
	const password = `p@ss:w/o?r&d #%41'"\ ü`
	s.Exec(t, "", fmt.Sprintf(`CREATE ROLE %s SUPERUSER LOGIN PASSWORD %s`,
		database.QuoteName(database.PostgreSQL, admin), database.QuoteString(database.PostgreSQL, password)))
	t.Cleanup(func() { s.Exec(t, "", "DROP ROLE "+database.QuoteName(database.PostgreSQL, admin)) })

	c := config(s, "postgres")
	c.Username, c.Password = admin, password
	for name, address := range map[string]string{
		"a URL":              c.ConnectionURL,
		"key=value pairs":    "host=127.0.0.1 port=" + strings.TrimPrefix(s.Addr, "127.0.0.1:") + " user={{username}} password={{password}} dbname=postgres sslmode=disable",
		"spaces in the mark": strings.ReplaceAll(c.ConnectionURL, "{{password}}", "{{ password }}"),
	} {
		c.ConnectionURL = address
		if err := openDB(t, c).Verify(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	c = config(s, "postgres")
	c.Username, c.Password, c.DisableEscaping = url.PathEscape(admin), url.PathEscape(password), true
	if err := openDB(t, c).Verify(t.Context()); err != nil {
		t.Errorf("escaped already: %v", err)
	}
}

func TestConnectionURLs(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"postgres://{{username}}:{{password}}@db/x?passfile=/etc/shadow",
		"postgres://{{username}}:{{password}}@db/x?sslmode=require&sslkey=/etc/ssl/private/key.pem",
		"host=db servicefile=/etc/passwd service=a",
		"postgres://{{username}}:Secret-1@db:port/x",
		"not a connection : Secret-1",
	} {
		_, err := postgres.Open(database.Config{Plugin: database.PluginPostgreSQL, ConnectionURL: address})
		if nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("%s: got %v, want invalid", address, err)
		} else if strings.Contains(err.Error(), "Secret-1") {
			t.Errorf("%s: the error holds the password: %v", address, err)
		}
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s := dbtest.Postgres(t)
	if s.CA == nil {
		t.Skip("SKIPPED, NOTHING WAS PROVEN: the server that the environment names has no certificate of ours")
	}
	c := config(s, "postgres") // its connection_url says sslmode=disable
	c.TLSCA = string(s.CA)
	db := openDB(t, c)
	name, password := create(t, db)
	if err := db.Verify(t.Context()); err != nil {
		t.Errorf("with the authority: %v", err)
	}
	if got := s.Column(t, "", "SELECT DISTINCT ssl::text FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'nightporter' AND ssl"); !slices.Equal(got, []string{"true"}) {
		t.Errorf("connections with TLS: %v", got)
	}
	if err := db.Try(t.Context(), name, password); err != nil {
		t.Errorf("trying over TLS: %v", err)
	}
	revoke(t, db, database.Gone, database.Revoke{Username: name})

	c.TLSServerName = "db.example.test"
	if err := openDB(t, c).Verify(t.Context()); nightporter.CodeOf(err) != nightporter.Unavailable {
		t.Errorf("another name in the certificate: %v", err)
	}
	c = config(s, "postgres")
	c.TLSServerName = "127.0.0.1"
	if err := openDB(t, c).Verify(t.Context()); nightporter.CodeOf(err) != nightporter.Unavailable {
		t.Errorf("an authority that nobody trusts: %v", err)
	}
}

// TestScram reads what the server was sent from its own statistics of the running
// statement: a verifier, which the server then accepts as its own.
func TestScram(t *testing.T) {
	t.Parallel()
	s := dbtest.Postgres(t)
	c := config(s, "postgres")
	c.PasswordAuthentication = database.ScramPassword
	db := openDB(t, c)
	name, password := create(t, db)
	if err := s.Login(name, password, ""); err != nil {
		t.Errorf("logging in: %v", err)
	}
	const changed = "another-Password-2"
	if err := db.ChangePassword(t.Context(), database.Change{Username: name, Password: changed}); err != nil {
		t.Fatal(err)
	}
	if err := s.Login(name, changed, ""); err != nil {
		t.Errorf("logging in after the change: %v", err)
	}
	if err := db.ChangePassword(t.Context(), database.Change{Username: name, Password: "ünï"}); nightporter.CodeOf(err) != nightporter.Invalid {
		t.Errorf("a password that would need preparing: %v", err)
	}
	// A statement that raises what it was given shows what the server saw.
	err := db.CreateUser(t.Context(), database.Create{
		Username: databasetest.Name(), Password: password, Statements: []string{`SELECT '{{password}}'::int`},
	})
	if err == nil || !strings.Contains(err.Error(), "SCRAM-SHA-256$4096:") {
		t.Errorf("the server was sent something else than a verifier: %v", err)
	}
	revoke(t, db, database.Gone, database.Revoke{Username: name})
}

func TestStatementsLeaveNothingOnAConnection(t *testing.T) {
	t.Parallel()
	s := dbtest.Postgres(t)
	c := config(s, "postgres")
	c.MaxOpenConnections = 1
	db := openDB(t, c)
	name, _ := create(t, db, "SET search_path TO nowhere", `SET ROLE "{{name}}"`, "RESET ROLE", `SET SESSION AUTHORIZATION DEFAULT`)
	second, _ := create(t, db)
	revoke(t, db, database.Gone, database.Revoke{Username: name}, database.Revoke{Username: second})
}

func TestStatementsCannotEndTheirTransaction(t *testing.T) {
	t.Parallel()
	s := dbtest.Postgres(t)
	db := openDB(t, config(s, "postgres"))
	name := databasetest.Name()
	err := db.CreateUser(t.Context(), database.Create{
		Username: name, Password: "P-1", Expiration: time.Now(), Statements: []string{creation, "COMMIT"},
	})
	if nightporter.CodeOf(err) != nightporter.Invalid {
		t.Errorf("got %v, want invalid", err)
	}
	revoke(t, db, database.Gone, database.Revoke{Username: name})
}

func TestExpirationIsInTheCatalogue(t *testing.T) {
	t.Parallel()
	s := dbtest.Postgres(t)
	db := openDB(t, config(s, "postgres"))
	name, _ := create(t, db)
	until := time.Now().Add(5 * time.Hour).Truncate(time.Second)
	if err := db.RenewUser(t.Context(), database.Renew{Username: name, Expiration: until}); err != nil {
		t.Fatal(err)
	}
	got := s.Column(t, "", "SELECT extract(epoch FROM rolvaliduntil)::bigint::text FROM pg_roles WHERE rolname = $1", name)
	if want := fmt.Sprint(until.Unix()); !slices.Equal(got, []string{want}) {
		t.Errorf("valid until: got %v, want %s", got, want)
	}
	logins, err := db.Inventory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(logins, func(l database.Login) bool { return l.Name == name })
	if i < 0 || !logins[i].ValidUntil.Equal(until) {
		t.Errorf("the inventory says %+v", logins[i])
	}
	revoke(t, db, database.Gone, database.Revoke{Username: name})
}

// TestWildRoleNames changes passwords of roles that somebody else made, judged by
// a login of the real server.
func TestWildRoleNames(t *testing.T) {
	t.Parallel()
	s := dbtest.Postgres(t)
	db := openDB(t, config(s, "postgres"))
	for _, suffix := range []string{`"quoted"`, `it's`, `a\b`, "ünï имя", "a;b -- c", "{{password}}", "$$", "%s", "new\nline"} {
		name := databasetest.Name() + suffix
		s.Exec(t, "", "CREATE ROLE "+database.QuoteName(database.PostgreSQL, name)+" LOGIN")
		for i, statements := range [][]string{nil, {`ALTER USER "{{name}}" PASSWORD '{{password}}'`}} {
			password := fmt.Sprintf(`%d'"\;--`, i)
			if err := db.ChangePassword(t.Context(), database.Change{Username: name, Password: password, Statements: statements}); err != nil {
				t.Errorf("%q: %v", name, err)
			} else if err := s.Login(name, password, ""); err != nil {
				t.Errorf("%q does not log in: %v", name, err)
			}
		}
		revoke(t, db, database.Gone, database.Revoke{Username: name})
	}
	long := strings.Repeat("x", 63)
	s.Exec(t, "", "CREATE ROLE "+long+" LOGIN")
	// PostgreSQL would cut this name to the one above.
	err := db.ChangePassword(t.Context(), database.Change{Username: long + "y", Password: "P-1"})
	if nightporter.CodeOf(err) != nightporter.NotFound {
		t.Errorf("a name of 64 bytes: %v", err)
	}
	revoke(t, db, database.Gone, database.Revoke{Username: long + "y"})
	if got := roles(t, s, long); len(got) != 1 {
		t.Error("revoking a name of 64 bytes dropped the role of the first 63")
	}
	revoke(t, db, database.Gone, database.Revoke{Username: long})
}
