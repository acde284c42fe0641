package mem_test

import (
	"slices"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/database"
	"nightporter.dev/nightporter/provider/database/databasetest"
	"nightporter.dev/nightporter/provider/database/mem"
)

const creation = `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';`

// judge looks at the server itself, past the connections.
type judge struct{ *mem.Server }

func (j judge) Logins(testing.TB) []string { return j.Server.Logins() }

func (j judge) Login(username, password string) error {
	_, err := j.Server.Login(username, password)
	return err
}

func (j judge) Hold(t testing.TB, username, password string) func() bool {
	t.Helper()
	s, err := j.Server.Login(username, password)
	if err != nil {
		t.Fatal(err)
	}
	return s.Alive
}

func setup(t testing.TB) (*mem.Server, database.Config) {
	t.Helper()
	s, err := mem.NewServer(mem.Config{Username: "admin", Password: "Admin-1", Groups: []string{"readers"}})
	if err != nil {
		t.Fatal(err)
	}
	return s, database.Config{
		Plugin: database.PluginPostgreSQL, ConnectionURL: "mem://", Username: "admin", Password: "Admin-1",
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, words := range map[string]struct {
		plugin, creation, quotes string
	}{
		"in PostgreSQL's words": {database.PluginPostgreSQL, creation, `"`},
		"in MySQL's words":      {database.PluginMySQL, `CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; GRANT SELECT ON a.* TO '{{name}}'@'%';`, `'`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			databasetest.Run(t, func(t testing.TB) databasetest.Harness {
				s, config := setup(t)
				config.Plugin = words.plugin
				return databasetest.Harness{
					Config:   config,
					Open:     func(c database.Config) (database.Database, error) { return s.Open(c) },
					Judge:    judge{s},
					Creation: []string{words.creation},
					Quotes:   words.quotes,
				}
			})
		})
	}
}

func TestServer(t *testing.T) {
	t.Parallel()

	t.Run("keeps its logins when connections close", func(t *testing.T) {
		t.Parallel()
		s, config := setup(t)
		for _, name := range []string{"first", "second"} {
			db, err := s.Open(config)
			if err != nil {
				t.Fatal(err)
			}
			if err := db.CreateUser(t.Context(), database.Create{Username: name, Password: "P", Expiration: time.Now(), Statements: []string{creation}}); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
		if got, want := s.Logins(), []string{"admin", "first", "readers", "second"}; !slices.Equal(got, want) {
			t.Errorf("logins: got %v, want %v", got, want)
		}
	})

	t.Run("does nothing while it is down", func(t *testing.T) {
		t.Parallel()
		s, config := setup(t)
		db, err := s.Open(config)
		if err != nil {
			t.Fatal(err)
		}
		s.Set(mem.Down)
		err = db.CreateUser(t.Context(), database.Create{Username: "x", Password: "P", Statements: []string{creation}})
		if nightporter.CodeOf(err) != nightporter.Unavailable || slices.Contains(s.Logins(), "x") {
			t.Errorf("got %v and logins %v", err, s.Logins())
		}
	})

	t.Run("does everything while it loses answers", func(t *testing.T) {
		t.Parallel()
		s, config := setup(t)
		db, err := s.Open(config)
		if err != nil {
			t.Fatal(err)
		}
		s.Set(mem.Losing)
		err = db.CreateUser(t.Context(), database.Create{Username: "x", Password: "P", Statements: []string{creation, `GRANT readers TO "{{name}}"`}})
		if nightporter.CodeOf(err) != nightporter.Unavailable || !slices.Contains(s.Logins(), "x") {
			t.Errorf("got %v and logins %v", err, s.Logins())
		}
		if o := db.RevokeUsers(t.Context(), []database.Revoke{{Username: "x"}}); o[0].State != database.Failed {
			t.Errorf("a lost revocation is %s", o[0].State)
		}
		s.Set(mem.Up)
		if o := db.RevokeUsers(t.Context(), []database.Revoke{{Username: "x"}}); o[0].State != database.Gone {
			t.Errorf("the second revocation is %s", o[0].State)
		}
	})
}
