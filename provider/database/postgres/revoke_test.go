package postgres_test

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
	"nightporter.dev/nightporter/provider/database/postgres"
)

func openDB(t testing.TB, c database.Config) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(c)
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
func create(t testing.TB, db *postgres.DB, more ...string) (name, password string) {
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

func revoke(t testing.TB, db *postgres.DB, want database.State, users ...database.Revoke) []database.Outcome {
	t.Helper()
	outcomes := db.RevokeUsers(t.Context(), users)
	for _, o := range outcomes {
		if o.State != want {
			t.Errorf("%s is %s, want %s: %s (%v)", o.Username, o.State, want, o.Reason, o.Err)
		}
	}
	return outcomes
}

func roles(t testing.TB, s *dbtest.Server, names ...string) []string {
	t.Helper()
	return s.Column(t, "", "SELECT rolname FROM pg_roles WHERE rolname = ANY($1)", names)
}

// TestRevokeFindsEverythingThatHoldsARole is the case in which Vault's and
// OpenBao's default revocation stops with "some objects depend on it", and leaves
// a login that works.
func TestRevokeFindsEverythingThatHoldsARole(t *testing.T) {
	t.Parallel()
	s := dbtest.Postgres(t)
	here, there := s.Database(t), s.Database(t)
	db := openDB(t, config(s, here))
	name, password := create(t, db,
		`GRANT CREATE ON SCHEMA public TO "{{name}}"`,
		fmt.Sprintf(`GRANT CREATE, CONNECT ON DATABASE %s TO "{{name}}"`, here),
		fmt.Sprintf(`GRANT ALL ON DATABASE %s TO "{{name}}"`, there),
		`ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO "{{name}}"`,
	)
	for _, in := range []string{here, there} {
		s.Exec(t, in,
			`CREATE TABLE granted (n INT)`,
			fmt.Sprintf(`GRANT SELECT (n) ON granted TO %q`, name),
			fmt.Sprintf(`CREATE SCHEMA hers AUTHORIZATION %q`, name),
			fmt.Sprintf(`GRANT CREATE, USAGE ON SCHEMA public TO %q`, name),
			`CREATE FUNCTION f() RETURNS INT LANGUAGE sql AS 'SELECT 1'`,
			fmt.Sprintf(`GRANT EXECUTE ON FUNCTION f TO %q`, name),
			fmt.Sprintf(`ALTER DEFAULT PRIVILEGES FOR ROLE %q GRANT SELECT ON TABLES TO PUBLIC`, name),
			`ALTER TABLE granted ENABLE ROW LEVEL SECURITY`,
			fmt.Sprintf(`CREATE POLICY p ON granted TO %q USING (true)`, name),
		)
		login, err := s.Open(name, password, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range []string{
			`CREATE TABLE hers.room (n INT)`, `INSERT INTO hers.room VALUES (12)`, `CREATE TYPE hers.mood AS ENUM ('calm')`,
			`CREATE SEQUENCE hers.s`, `CREATE FUNCTION hers.f() RETURNS INT LANGUAGE sql AS 'SELECT 1'`, `SELECT lo_create(0)`,
		} {
			if _, err := login.ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
		login.Close()
	}
	s.Exec(t, "", fmt.Sprintf("ALTER DATABASE %s OWNER TO %q", there, name))

	revoke(t, db, database.Gone, database.Revoke{Username: name})
	if left := roles(t, s, name); len(left) > 0 {
		t.Errorf("the catalogue still has %v", left)
	}
	for _, in := range []string{here, there} {
		if got := s.Column(t, in, "SELECT n FROM hers.room"); !slices.Equal(got, []string{"12"}) {
			t.Errorf("the table of the login in %s: got %v, want its row", in, got)
		}
		if got := s.Column(t, in, "SELECT tableowner FROM pg_tables WHERE schemaname = 'hers'"); !slices.Equal(got, []string{s.User}) {
			t.Errorf("the table's owner in %s: got %v, want the administrator", in, got)
		}
	}
}

func TestRevokeGivesTablesToTheObjectOwner(t *testing.T) {
	t.Parallel()
	s := dbtest.Postgres(t)
	in := s.Database(t)
	owner := databasetest.Name()
	s.Exec(t, in, fmt.Sprintf("CREATE ROLE %q NOLOGIN", owner))
	t.Cleanup(func() { s.Exec(t, in, fmt.Sprintf("DROP OWNED BY %q", owner), fmt.Sprintf("DROP ROLE %q", owner)) })
	c := config(s, in)
	c.ObjectOwner = owner
	db := openDB(t, c)
	name, _ := create(t, db)
	s.Exec(t, in, "CREATE TABLE hers (n INT)", fmt.Sprintf("ALTER TABLE hers OWNER TO %q", name))
	revoke(t, db, database.Gone, database.Revoke{Username: name})
	if got := s.Column(t, in, "SELECT tableowner FROM pg_tables WHERE tablename = 'hers'"); !slices.Equal(got, []string{owner}) {
		t.Errorf("owner: got %v, want %s", got, owner)
	}
}

// TestRevokeEndsASessionThatHasSetItsRole is the peers' gap: such a session goes on
// reading after its login is gone.
func TestRevokeEndsASessionThatHasSetItsRole(t *testing.T) {
	t.Parallel()
	s := dbtest.Postgres(t)
	in := s.Database(t)
	group := databasetest.Name()
	s.Exec(t, in, fmt.Sprintf("CREATE ROLE %q NOLOGIN", group), "CREATE TABLE secret (n INT)", fmt.Sprintf("GRANT SELECT ON secret TO %q", group))
	t.Cleanup(func() { s.Exec(t, in, fmt.Sprintf("DROP OWNED BY %q", group), fmt.Sprintf("DROP ROLE %q", group)) })
	db := openDB(t, config(s, in))
	name, password := create(t, db, fmt.Sprintf(`GRANT %q TO "{{name}}"`, group))

	login, err := s.Open(name, password, in)
	if err != nil {
		t.Fatal(err)
	}
	defer login.Close()
	session, err := login.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{fmt.Sprintf("SET ROLE %q", group), "BEGIN", "LOCK TABLE secret IN ACCESS SHARE MODE"} {
		if _, err := session.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	revoke(t, db, database.Gone, database.Revoke{Username: name})
	if _, err := session.ExecContext(t.Context(), "SELECT * FROM secret"); err == nil {
		t.Error("the session still reads")
	}
	if got := s.Column(t, "", "SELECT pid::text FROM pg_stat_activity WHERE usename IS NULL AND usesysid IS NOT NULL AND datname = $1", in); len(got) > 0 {
		t.Errorf("sessions of a login that is gone: %v", got)
	}
}

// TestRevokeDisablesWhatItCannotDrop holds a table that the login owns, so that it
// cannot be given away.
func TestRevokeDisablesWhatItCannotDrop(t *testing.T) {
	t.Parallel()
	s := dbtest.Postgres(t)
	in := s.Database(t)
	db := openDB(t, config(s, in))
	held, password := create(t, db)
	free, _ := create(t, db)
	s.Exec(t, in, "CREATE TABLE hers (n INT)", fmt.Sprintf("ALTER TABLE hers OWNER TO %q", held))
	other, err := s.Open(s.User, s.Password, in)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	tx, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "LOCK TABLE hers IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}

	outcomes := db.RevokeUsers(t.Context(), []database.Revoke{{Username: held}, {Username: free}})
	if o := outcomes[0]; o.State != database.Disabled || !strings.Contains(o.Reason, "lock timeout") || nightporter.CodeOf(o.Err) != nightporter.Unavailable {
		t.Errorf("the held one: %s: %s (%v)", o.State, o.Reason, o.Err)
	}
	if o := outcomes[1]; o.State != database.Gone {
		t.Errorf("the free one: %s: %s", o.State, o.Reason)
	}
	if err := s.Login(held, password, in); err == nil {
		t.Error("the password of the held one still works")
	}
	if got := s.Column(t, "", "SELECT rolname FROM pg_authid WHERE rolname = $1 AND NOT rolcanlogin AND rolpassword IS NULL", held); len(got) != 1 {
		t.Error("the held one may log in, or has a password")
	}

	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	revoke(t, db, database.Gone, database.Revoke{Username: held})
}

func TestRevokeFindsARenamedLogin(t *testing.T) {
	t.Parallel()
	s := dbtest.Postgres(t)
	db := openDB(t, config(s, "postgres"))
	name, password := create(t, db)
	renamed := databasetest.Name() + ` "the" renamed; one`
	s.Exec(t, "", fmt.Sprintf(`ALTER ROLE %q RENAME TO "%s"`, name, strings.ReplaceAll(renamed, `"`, `""`)))
	if err := s.Login(renamed, password, ""); err != nil {
		t.Fatalf("the renamed login: %v", err)
	}
	logins, err := db.Inventory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(logins, func(l database.Login) bool { return l.Name == renamed && l.MadeAs == name }) {
		t.Errorf("the inventory does not say that %s was made as %s", renamed, name)
	}
	revoke(t, db, database.Gone, database.Revoke{Username: name})
	if left := roles(t, s, name, renamed); len(left) > 0 {
		t.Errorf("the catalogue still has %v", left)
	}
}

func TestRevokeDoesNotHurryWhereThereIsNothing(t *testing.T) {
	t.Parallel()
	s := dbtest.Postgres(t)
	db := openDB(t, config(s, "postgres"))
	name, _ := create(t, db)
	s.Exec(t, "", fmt.Sprintf("DROP ROLE %q", name)) // by hand
	revoke(t, db, database.Gone, database.Revoke{Username: name})
}

// TestAnAdministratorWithoutSuperuser is how managed databases are administered:
// CREATEROLE and no more.
func TestAnAdministratorWithoutSuperuser(t *testing.T) {
	t.Parallel()
	s := dbtest.Postgres(t)
	in := s.Database(t)
	admin := databasetest.Name()
	s.Exec(t, in, fmt.Sprintf("CREATE ROLE %q LOGIN CREATEROLE PASSWORD 'Admin-1'", admin), fmt.Sprintf("GRANT ALL ON DATABASE %s TO %q", in, admin))
	t.Cleanup(func() {
		s.Exec(t, in, fmt.Sprintf("DROP OWNED BY %q", admin), fmt.Sprintf("DROP ROLE %q", admin))
	})
	c := config(s, in)
	c.Username, c.Password = admin, "Admin-1"
	db := openDB(t, c)
	name, password := create(t, db)
	s.Exec(t, in, "CREATE TABLE hers (n INT)", fmt.Sprintf("ALTER TABLE hers OWNER TO %q", name), fmt.Sprintf("GRANT CREATE ON SCHEMA public TO %q", admin))
	alive := judge{s}.Hold(t, name, password)
	revoke(t, db, database.Gone, database.Revoke{Username: name})
	if alive() {
		t.Error("the session is still there")
	}
	if got := s.Column(t, in, "SELECT tableowner FROM pg_tables WHERE tablename = 'hers'"); !slices.Equal(got, []string{admin}) {
		t.Errorf("owner: got %v, want %s", got, admin)
	}
}

// TestManyAtOnceWithDirectGrants makes and revokes logins whose grants all change
// the same table's row, which PostgreSQL answers with "tuple concurrently updated".
func TestManyAtOnceWithDirectGrants(t *testing.T) {
	t.Parallel()
	s := dbtest.Postgres(t)
	in := s.Database(t)
	s.Exec(t, in, "CREATE TABLE shared (n INT)")
	db := openDB(t, config(s, in))
	var working sync.WaitGroup
	for range 8 {
		working.Go(func() {
			for range 5 {
				name := databasetest.Name()
				err := db.CreateUser(t.Context(), database.Create{
					Username: name, Password: "P-1", Expiration: time.Now(),
					Statements: []string{creation, `GRANT SELECT ON shared TO "{{name}}"`},
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
