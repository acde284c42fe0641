package postgres_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"nightporter.dev/nightporter/internal/dbtest"
	"nightporter.dev/nightporter/provider/database"
	"nightporter.dev/nightporter/provider/database/databasetest"
	"nightporter.dev/nightporter/provider/database/postgres"
)

// These run on PostgreSQL's installed settings, which sync every commit. OpenBao
// on an almost quiet machine of this size issued 157 logins a second at 8 clients,
// and revoked 33 to 46 a second until they were really gone: figures of another
// run and another layer, since its own include HTTP and storage.

const users = 150

// tutorial is the role of Vault's tutorial: a direct grant to each login.
var tutorial = []string{creation, `GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{name}}"`}

func benchmarkDB(b *testing.B) (*dbtest.Server, *postgres.DB) {
	b.Helper()
	s := dbtest.DurablePostgres(b)
	in := s.Database(b)
	s.Exec(b, in, "CREATE TABLE ledger (n INT)")
	return s, openDB(b, config(s, in))
}

// issue makes n logins at 8 clients.
func issue(b *testing.B, db *postgres.DB, n int, statements []string) []database.Revoke {
	b.Helper()
	made := make([]database.Revoke, n)
	next := make(chan int)
	var working sync.WaitGroup
	for range 8 {
		working.Go(func() {
			for i := range next {
				made[i].Username = databasetest.Name()
				err := db.CreateUser(b.Context(), database.Create{
					Username: made[i].Username, Password: "Password-1", Expiration: time.Now().Add(time.Hour), Statements: statements,
				})
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	working.Wait()
	return made
}

func revokeAll(b *testing.B, s *dbtest.Server, db *postgres.DB, made []database.Revoke) {
	b.Helper()
	for _, o := range db.RevokeUsers(b.Context(), made) {
		if o.State != database.Gone {
			b.Errorf("%s is %s: %s", o.Username, o.State, o.Reason)
		}
	}
}

func eachRole(b *testing.B, run func(b *testing.B, statements []string)) {
	b.Run("login", func(b *testing.B) { run(b, []string{creation}) })
	b.Run("login with a direct grant", func(b *testing.B) { run(b, tutorial) })
}

// BenchmarkIssue is one login, of 150 that 8 clients ask for.
func BenchmarkIssue(b *testing.B) {
	eachRole(b, func(b *testing.B, statements []string) {
		s, db := benchmarkDB(b)
		for b.Loop() {
			made := issue(b, db, users, statements)
			b.StopTimer()
			revokeAll(b, s, db, made)
			b.StartTimer()
		}
		b.ReportMetric(float64(users*b.N)/b.Elapsed().Seconds(), "users/s")
	})
}

// BenchmarkRevoke takes 150 logins away and asks the catalogue whether they are
// really gone.
func BenchmarkRevoke(b *testing.B) {
	eachRole(b, func(b *testing.B, statements []string) {
		s, db := benchmarkDB(b)
		for b.Loop() {
			b.StopTimer()
			made := issue(b, db, users, statements)
			b.StartTimer()
			revokeAll(b, s, db, made)
			names := make([]string, len(made))
			for i, u := range made {
				names[i] = u.Username
			}
			left := s.Column(b, "", "SELECT rolname FROM pg_roles WHERE rolname = ANY($1)", names)
			if slices.Contains(left, names[0]) || len(left) > 0 {
				b.Errorf("%d logins are left", len(left))
			}
		}
		b.ReportMetric(float64(users*b.N)/b.Elapsed().Seconds(), "users/s")
	})
}

// BenchmarkRevokeOne takes logins away one at a time, at 8 clients.
func BenchmarkRevokeOne(b *testing.B) {
	s, db := benchmarkDB(b)
	for b.Loop() {
		b.StopTimer()
		made := issue(b, db, users, []string{creation})
		b.StartTimer()
		var working sync.WaitGroup
		for part := range slices.Chunk(made, users/8+1) {
			working.Go(func() {
				for i := range part {
					revokeAll(b, s, db, part[i:i+1])
				}
			})
		}
		working.Wait()
	}
	b.ReportMetric(float64(users*b.N)/b.Elapsed().Seconds(), "users/s")
}
