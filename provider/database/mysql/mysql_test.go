package mysql_test

import (
	"context"
	"testing"
	"time"

	"nightporter.dev/nightporter/internal/dbtest"
	"nightporter.dev/nightporter/provider/database"
	"nightporter.dev/nightporter/provider/database/databasetest"
	"nightporter.dev/nightporter/provider/database/mysql"
)

// creation is the statement of Vault's tutorial.
const creation = `CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; GRANT USAGE ON *.* TO '{{name}}'@'%';`

// judge asks the server's own tables over connections of its own.
type judge struct{ *dbtest.Server }

func (j judge) Logins(t testing.TB) []string {
	return j.Column(t, "", "SELECT User FROM mysql.user")
}

func (j judge) Login(username, password string) error { return j.Server.Login(username, password, "") }

func (j judge) Hold(t testing.TB, username, password string) func() bool {
	t.Helper()
	db, err := j.Open(username, password, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, err := conn.ExecContext(ctx, "SELECT 1")
		return err == nil
	}
}

func open(c database.Config) (database.Database, error) { return mysql.Open(c) }

func config(s *dbtest.Server, db string) database.Config {
	return database.Config{
		Plugin:        database.PluginMySQL,
		ConnectionURL: "{{username}}:{{password}}@tcp(" + s.Addr + ")/" + db,
		Username:      s.User,
		Password:      s.Password,
	}
}

func harness(t testing.TB) databasetest.Harness {
	s := dbtest.MariaDB(t)
	return databasetest.Harness{
		Config:   config(s, ""),
		Open:     open,
		Judge:    judge{s},
		Creation: []string{creation},
		Quotes:   `'`,
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	databasetest.Run(t, harness)
}

func TestFaults(t *testing.T) {
	t.Parallel()
	databasetest.RunFaults(t, dbtest.MariaDB(t).Addr, harness)
}
