package sqlstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"example.org/affordability/credentials"
	"example.org/affordability/store"
	"example.org/affordability/store/sqlstore"
)

// suite is what every store must do.
func suite(t *testing.T, s store.Store) {
	ctx := t.Context()
	rec := store.Record{Kind: store.Consent, ID: "1", Owner: "ana", Lookup: "l1", Made: 5, Body: []byte{0, 255, 1}}
	put := func(r store.Record) {
		t.Helper()
		if err := s.Put(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	put(rec)
	t.Run("a record comes back as it was put", func(t *testing.T) {
		got, err := s.Get(ctx, store.Consent, "ana", "1")
		if err != nil || got.Lookup != "l1" || got.Made != 5 || !bytes.Equal(got.Body, rec.Body) {
			t.Errorf("%+v, %v", got, err)
		}
		if got, err := s.Find(ctx, store.Consent, "l1"); err != nil || got.ID != "1" {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("nobody reads, overwrites or deletes another's record", func(t *testing.T) {
		if _, err := s.Get(ctx, store.Consent, "ben", "1"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("read: %v", err)
		}
		theft := rec
		theft.Owner, theft.Body = "ben", []byte("stolen")
		_ = s.Put(ctx, theft) // refused or ignored: what counts is what is there
		if err := s.Delete(ctx, store.Consent, "ben", "1"); err != nil {
			t.Errorf("delete: %v", err)
		}
		if got, err := s.Get(ctx, store.Consent, "ana", "1"); err != nil || !bytes.Equal(got.Body, rec.Body) {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("putting again overwrites, listing is oldest first, empty lookups do not collide", func(t *testing.T) {
		put(store.Record{Kind: store.Profile, ID: "b", Owner: "ana", Made: 2, Body: []byte("x")})
		put(store.Record{Kind: store.Profile, ID: "a", Owner: "ana", Made: 3, Body: []byte("y")})
		put(store.Record{Kind: store.Profile, ID: "b", Owner: "ana", Made: 2, Body: bytes.Repeat([]byte("z"), 1<<20)})
		list, err := s.List(ctx, store.Profile, "ana")
		if err != nil || len(list) != 2 || list[0].ID != "b" || len(list[0].Body) != 1<<20 {
			t.Errorf("%d records, %v", len(list), err)
		}
		if _, err := s.Find(ctx, store.Profile, ""); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an empty lookup found something: %v", err)
		}
	})
	t.Run("deleting an owner leaves nothing of them and everything of others", func(t *testing.T) {
		put(store.Record{Kind: store.Profile, ID: "c", Owner: "ben", Made: 1, Body: []byte("b")})
		if err := s.DeleteOwner(ctx, "ana"); err != nil {
			t.Fatal(err)
		}
		if list, _ := s.List(ctx, store.Profile, "ana"); len(list) != 0 {
			t.Errorf("%d records are left", len(list))
		}
		if _, err := s.Get(ctx, store.Profile, "ben", "c"); err != nil {
			t.Errorf("another's record: %v", err)
		}
	})
}

func TestMemory(t *testing.T) {
	t.Parallel()
	suite(t, store.NewMemory())
}

// login writes the file that a platform would replace. It is replaced in one step, as files should be.
func login(t *testing.T, path, name string) {
	t.Helper()
	next := path + ".next"
	if err := os.WriteFile(next, fmt.Appendf(nil, `{"data":{"username":%q,"password":%q}}`, name, "pw-"+name), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

func TestDatabases(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *server{"postgres": startPostgres, "mariadb": startMariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sv := start(t)
			file := filepath.Join(t.TempDir(), "login")
			sv.grant(t, "u0")
			login(t, file, "u0")
			log := &bytes.Buffer{}
			s, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: sv.url, Credentials: credentials.File(file), Log: slog.New(slog.NewTextHandler(log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			t.Run("it keeps records as the memory store does", func(t *testing.T) { suite(t, s) })
			t.Run("logins are replaced and revoked under load and no query fails", func(t *testing.T) { rotate(t, sv, s, file) })
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			for n := range 6 {
				if strings.Contains(log.String(), fmt.Sprintf("pw-u%d", n)) {
					t.Error("a password is in the log")
				}
			}
		})
	}
}

// rotate revokes the login in use five times under load. The judge is the server's own list of users.
func rotate(t *testing.T, sv *server, s *sqlstore.Store, file string) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var queries, failures atomic.Int64
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				id := fmt.Sprintf("%d-%d", w, i%50)
				err := s.Put(t.Context(), store.Record{Kind: store.Lines, ID: id, Owner: "load", Made: int64(i), Body: []byte("row")})
				if err == nil {
					_, err = s.Get(t.Context(), store.Lines, "load", id)
				}
				if err == nil && i%10 == 0 {
					err = s.Ping(t.Context())
				}
				queries.Add(1)
				if err != nil {
					failures.Add(1)
					t.Errorf("query %d: %v", i, err)
					return
				}
			}
		})
	}
	more := func(n int64) {
		for want := queries.Load() + n; queries.Load() < want && failures.Load() == 0; {
			pause(sliver)
		}
	}
	for n := 1; n <= 5; n++ {
		more(100)
		next := fmt.Sprintf("u%d", n)
		if n%2 == 0 { // now and then the old login is gone before the new one is there
			sv.revoke(t, fmt.Sprintf("u%d", n-1))
			pause(20 * sliver)
			sv.grant(t, next)
			login(t, file, next)
		} else {
			sv.grant(t, next)
			login(t, file, next)
			sv.revoke(t, fmt.Sprintf("u%d", n-1))
		}
		more(100)
	}
	stop()
	workers.Wait()
	if s.Swaps() < 6 {
		t.Errorf("%d logins were used, want 6", s.Swaps())
	}
	query := "SELECT count(*) FROM mysql.user WHERE user LIKE 'u_'"
	if sv.kind == "postgres" {
		query = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'u_'"
	}
	var left int
	if err := sv.admin.QueryRow(query).Scan(&left); err != nil || left != 1 {
		t.Errorf("the server knows %d logins, want the last one: %v", left, err)
	}
	t.Logf("%d writes and reads over %d logins, %d failed", queries.Load(), s.Swaps(), failures.Load())
}

const sliver = 5_000_000 // nanoseconds

func TestOpenRefusesAUserInTheURL(t *testing.T) {
	t.Parallel()
	_, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: "postgres://ana:secret@127.0.0.1:1/db", Credentials: credentials.Fixed{User: "a", Password: "b"}})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}
