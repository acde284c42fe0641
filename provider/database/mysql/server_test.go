package mysql_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/dbtest"
	"nightporter.dev/nightporter/provider/database"
	"nightporter.dev/nightporter/provider/database/databasetest"
	"nightporter.dev/nightporter/provider/database/mysql"
)

func openDB(t testing.TB, c database.Config) *mysql.DB {
	t.Helper()
	db, err := mysql.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// create makes a login with more statements than its own creation.
func create(t testing.TB, db *mysql.DB, more ...string) (name, password string) {
	t.Helper()
	name, password = databasetest.Name(), databasetest.NewPassword(t)
	err := db.CreateUser(t.Context(), database.Create{
		Username: name, Password: password, Expiration: time.Now().Add(time.Hour),
		Statements: append([]string{creation}, more...),
	})
	if err != nil {
		t.Fatalf("creating %s: %v", name, err)
	}
	return name, password
}

func revoke(t testing.TB, db *mysql.DB, want database.State, users ...database.Revoke) []database.Outcome {
	t.Helper()
	outcomes := db.RevokeUsers(t.Context(), users)
	for _, o := range outcomes {
		if o.State != want {
			t.Errorf("%s is %s, want %s: %s (%v)", o.Username, o.State, want, o.Reason, o.Err)
		}
	}
	return outcomes
}

func TestALoginFromSeveralHostsIsOne(t *testing.T) {
	t.Parallel()
	s := dbtest.MariaDB(t)
	db := openDB(t, config(s, ""))
	name, _ := create(t, db, `CREATE USER '{{name}}'@'127.0.0.1' IDENTIFIED BY '{{password}}'`)
	logins, err := db.Inventory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(logins, func(l database.Login) bool { return l.Name == name })
	if i < 0 || !slices.Equal(logins[i].Hosts, []string{"%", "127.0.0.1"}) {
		t.Errorf("the inventory says %+v", logins)
	}
	// MariaDB lets 127.0.0.1 win over %: both must have changed.
	if err := db.ChangePassword(t.Context(), database.Change{Username: name, Password: "Changed-1"}); err != nil {
		t.Fatal(err)
	}
	if got := s.Column(t, "", "SELECT DISTINCT authentication_string FROM mysql.user WHERE User = ?", name); len(got) != 1 {
		t.Errorf("the accounts have %d passwords, want one", len(got))
	}
	if err := s.Login(name, "Changed-1", ""); err != nil {
		t.Error(err)
	}
	revoke(t, db, database.Gone, database.Revoke{Username: name})
	if got := s.Column(t, "", "SELECT Host FROM mysql.user WHERE User = ?", name); len(got) > 0 {
		t.Errorf("accounts are left for %v", got)
	}
}

func TestInventoryKnowsRolesAndLocks(t *testing.T) {
	t.Parallel()
	s := dbtest.MariaDB(t)
	db := openDB(t, config(s, ""))
	role := databasetest.Name()
	s.Exec(t, "", fmt.Sprintf("CREATE ROLE `%s`", role))
	t.Cleanup(func() { s.Exec(t, "", fmt.Sprintf("DROP ROLE `%s`", role)) })
	member, _ := create(t, db, fmt.Sprintf("GRANT `%s` TO '{{name}}'@'%%'", role))
	locked, _ := create(t, db, "ALTER USER '{{name}}'@'%' ACCOUNT LOCK")
	logins, err := db.Inventory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]database.Login{
		role:   {Name: role, Hosts: []string{""}},
		member: {Name: member, CanLogin: true, MemberOf: []string{role}, Hosts: []string{"%"}},
		locked: {Name: locked, Hosts: []string{"%"}},
	} {
		i := slices.IndexFunc(logins, func(l database.Login) bool { return l.Name == name })
		if i < 0 {
			t.Errorf("no %s in the inventory", name)
			continue
		}
		// Who made the role is a member of it as well, so MemberOf is compared by hand.
		if got := logins[i]; got.CanLogin != want.CanLogin || !slices.Equal(got.MemberOf, want.MemberOf) || !slices.Equal(got.Hosts, want.Hosts) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	revoke(t, db, database.Gone, database.Revoke{Username: member}, database.Revoke{Username: locked})
}

func TestRollbackStatementsUndoAHalfCreation(t *testing.T) {
	t.Parallel()
	s := dbtest.MariaDB(t)
	db := openDB(t, config(s, ""))
	in := s.Database(t)
	name := databasetest.Name()
	err := db.CreateUser(t.Context(), database.Create{
		Username: name, Password: "P-1", Expiration: time.Now(),
		Statements:         []string{fmt.Sprintf("CREATE TABLE %s.t (n INT)", in), creation, "NONSENSE"},
		RollbackStatements: []string{fmt.Sprintf("DROP TABLE %s.t", in), "DROP USER '{{name}}'@'%'"},
	})
	if nightporter.CodeOf(err) != nightporter.Invalid {
		t.Errorf("got %v, want invalid", err)
	}
	if got := s.Column(t, in, "SHOW TABLES"); len(got) > 0 {
		t.Errorf("tables are left: %v", got)
	}
	if got := s.Column(t, "", "SELECT Host FROM mysql.user WHERE User = ?", name); len(got) > 0 {
		t.Error("the login is left")
	}
}

func TestRevokeEndsASessionInsideATransaction(t *testing.T) {
	t.Parallel()
	s := dbtest.MariaDB(t)
	in := s.Database(t)
	s.Exec(t, in, "CREATE TABLE t (n INT) ENGINE=InnoDB", "INSERT INTO t VALUES (1)")
	db := openDB(t, config(s, ""))
	name, password := create(t, db, fmt.Sprintf("GRANT ALL ON %s.* TO '{{name}}'@'%%'", in))
	login, err := s.Open(name, password, in)
	if err != nil {
		t.Fatal(err)
	}
	defer login.Close()
	tx, err := login.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "UPDATE t SET n = 2"); err != nil {
		t.Fatal(err)
	}
	revoke(t, db, database.Gone, database.Revoke{Username: name})
	if err := tx.Commit(); err == nil {
		t.Error("the session still commits")
	}
	if got := s.Column(t, in, "SELECT n FROM t"); !slices.Equal(got, []string{"1"}) {
		t.Errorf("the table holds %v", got)
	}
}

func TestConnectionURLs(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"{{username}}:{{password}}@tcp(db:3306)/?allowAllFiles=true",
		"{{username}}:{{password}}@tcp(db:3306)/?multiStatements=true",
		"{{username}}:{{password}}@tcp(db:3306)/?tls=custom",
		"{{username}}:Secret-1@tcp(db:3306",
	} {
		_, err := mysql.Open(database.Config{Plugin: database.PluginMySQL, ConnectionURL: address})
		if nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("%s: got %v, want invalid", address, err)
		} else if strings.Contains(err.Error(), "Secret-1") {
			t.Errorf("%s: the error holds the password: %v", address, err)
		}
	}
}

func TestTheAdministratorsPasswordMayHoldAnything(t *testing.T) {
	t.Parallel()
	s := dbtest.MariaDB(t)
	admin := databasetest.Name() + `@:/'`
	const password = `p@ss:w/o?r&d #%41'"\ ü)(`
	s.Exec(t, "", fmt.Sprintf("CREATE USER %s@'%%' IDENTIFIED BY %s",
		database.QuoteString(database.MySQL, admin), database.QuoteString(database.MySQL, password)))
	t.Cleanup(func() { s.Exec(t, "", "DROP USER "+database.QuoteString(database.MySQL, admin)+"@'%'") })
	c := config(s, "")
	c.Username, c.Password = admin, password
	if err := openDB(t, c).Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s := dbtest.MariaDB(t)
	if s.CA == nil {
		t.Skip("SKIPPED, NOTHING WAS PROVEN: the server that the environment names has no certificate of ours")
	}
	c := config(s, "")
	c.TLSCA = string(s.CA)
	db := openDB(t, c)
	// The server refuses this login without TLS.
	name, password := create(t, db, "ALTER USER '{{name}}'@'%' REQUIRE SSL")
	if err := db.Try(t.Context(), name, password); err != nil {
		t.Errorf("trying over TLS: %v", err)
	}
	if err := s.Login(name, password, ""); err == nil {
		t.Error("the login works without TLS, so this test proves nothing")
	}
	revoke(t, db, database.Gone, database.Revoke{Username: name})
	c.TLSServerName = "db.example.test"
	if err := openDB(t, c).Verify(t.Context()); nightporter.CodeOf(err) != nightporter.Unavailable {
		t.Errorf("another name in the certificate: %v", err)
	}
}

// TestWildLoginNames changes passwords of logins that somebody else made, judged
// by a login of the real server.
func TestWildLoginNames(t *testing.T) {
	t.Parallel()
	s := dbtest.MariaDB(t)
	db := openDB(t, config(s, ""))
	for _, suffix := range []string{`"quoted"`, `it's`, `a\b`, "ünï", "a;b -- c", "{{password}}", "`tick`", "%s", "new\nline"} {
		name := databasetest.Name() + suffix
		s.Exec(t, "", "CREATE USER "+database.QuoteString(database.MySQL, name)+"@'%'")
		for i, statements := range [][]string{nil, {`ALTER USER '{{name}}'@'%' IDENTIFIED BY "{{password}}"`}, {"ALTER USER `{{name}}`@'%' IDENTIFIED BY '{{password}}'"}} {
			password := fmt.Sprintf(`%d'"\;--`, i)
			if err := db.ChangePassword(t.Context(), database.Change{Username: name, Password: password, Statements: statements}); err != nil {
				t.Errorf("%q: %v", name, err)
			} else if err := s.Login(name, password, ""); err != nil {
				t.Errorf("%q does not log in: %v", name, err)
			}
		}
		revoke(t, db, database.Gone, database.Revoke{Username: name})
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	s := dbtest.MariaDB(t)
	in := s.Database(t)
	db := openDB(t, config(s, ""))
	var working sync.WaitGroup
	for range 8 {
		working.Go(func() {
			for range 5 {
				name := databasetest.Name()
				err := db.CreateUser(t.Context(), database.Create{
					Username: name, Password: "P-1", Expiration: time.Now(),
					Statements: []string{creation, fmt.Sprintf("GRANT SELECT ON %s.* TO '{{name}}'@'%%'", in)},
				})
				if err != nil {
					t.Errorf("creating: %v", err)
				}
				revoke(t, db, database.Gone, database.Revoke{Username: name})
			}
		})
	}
	working.Wait()
}
