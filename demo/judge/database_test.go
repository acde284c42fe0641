package judge

import (
	"slices"
	"testing"

	"nightporter.dev/nightporter/internal/dbtest"
)

func TestDatabaseTellsWhoCanLogInFromWhoDoes(t *testing.T) {
	t.Parallel()
	server := dbtest.Postgres(t)
	d, ctx := Database{DSN: server.DSN}, t.Context()
	if err := d.Exec(ctx, "CREATE ROLE judged NOLOGIN", "CREATE ROLE judged_a LOGIN PASSWORD 'a' IN ROLE judged", "CREATE ROLE judged_b NOLOGIN IN ROLE judged"); err != nil {
		t.Fatal(err)
	}
	want := func(what string, got []string, err error, want ...string) {
		t.Helper()
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v; want %v", what, got, err, want)
		}
	}
	logins, err := d.Logins(ctx, "judged")
	want("who can log in", logins, err, "judged_a")
	used, err := d.InUse(ctx, "judged")
	want("who does, before", used, err)
	c, err := server.Open("judged_a", "a", "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.PingContext(ctx); err != nil {
		t.Fatal(err)
	}
	used, err = d.InUse(ctx, "judged")
	want("who does", used, err, "judged_a")
	for login, known := range map[string]bool{"judged_a": true, "judged_b": false, "judged_c": false} {
		if got, err := d.Known(ctx, login); err != nil || got != known {
			t.Errorf("%s can log in: %v, %v; want %v", login, got, err, known)
		}
	}
	if n, err := d.Rows(ctx, "", "pg_authid"); err != nil || n < 3 {
		t.Errorf("%d roles, %v; want three and the administrator's", n, err)
	}
	if n, err := d.Rows(ctx, "", "nowhere"); err == nil {
		t.Errorf("a table that is not there has %d rows", n)
	}
}
