package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/dbtest"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
)

var migrations = []store.Migration{{Name: "test/0001", SQL: `
CREATE TABLE thing (name TEXT PRIMARY KEY, n BIGINT NOT NULL, body BYTEA, share DOUBLE PRECISION);
CREATE TABLE part (id BIGINT PRIMARY KEY, thing TEXT NOT NULL REFERENCES thing (name));
`}}

func write(t *testing.T, db *store.DB, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := db.Write(t.Context(), store.Full, fn); err != nil {
		t.Fatal(err)
	}
}

func insert(t *testing.T, tx *store.Tx, name string) error {
	_, err := tx.Exec(t.Context(), `INSERT INTO thing (name, n) VALUES (?, ?)`, name, 1)
	return err
}

// names lists the things as a new reader sees them.
func names(t *testing.T, db *store.DB) (out []string) {
	t.Helper()
	err := db.View(t.Context(), func(tx *store.Tx) (err error) {
		out, err = list(t, tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func list(t *testing.T, tx *store.Tx) (out []string, err error) {
	err = tx.Each(t.Context(), `SELECT name FROM thing ORDER BY name`, nil, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		out = append(out, name)
		return err
	})
	return out, err
}

func TestWrite(t *testing.T) {
	t.Parallel()
	storetest.Each(t, migrations, func(t *testing.T, db *store.DB) {
		t.Run("values come back as they went in", func(t *testing.T) {
			at := time.Date(2026, 11, 22, 12, 34, 56, 789012000, time.UTC)
			write(t, db, func(tx *store.Tx) error {
				_, err := tx.Exec(t.Context(), `INSERT INTO thing (name, n, body, share) VALUES (?, ?, ?, ?)`, "ünïcode'?\"", store.Micros(at), []byte{0, 1, 255}, 0.25)
				return err
			})
			var name string
			var us int64
			var body []byte
			var share float64
			err := db.View(t.Context(), func(tx *store.Tx) error {
				return tx.QueryRow(t.Context(), `SELECT name, n, body, share FROM thing WHERE name = ? AND n = ?`, "ünïcode'?\"", store.Micros(at)).
					Scan(&name, &us, &body, &share)
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]any{"ünïcode'?\"", at, []byte{0, 1, 255}, 0.25}, []any{name, store.Time(us), body, share}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			write(t, db, func(tx *store.Tx) error {
				n, err := tx.Exec(t.Context(), `DELETE FROM thing`)
				if n != 1 {
					t.Errorf("%d rows were changed, want 1", n)
				}
				return err
			})
		})
		t.Run("an error undoes everything and runs nothing after", func(t *testing.T) {
			no := errors.New("no")
			err := db.Write(t.Context(), store.Full, func(tx *store.Tx) error {
				tx.AfterCommit(func() { t.Error("it ran after a commit that never was") })
				if err := insert(t, tx, "a"); err != nil {
					return err
				}
				return no
			})
			if !errors.Is(err, no) || names(t, db) != nil {
				t.Errorf("got %v, and left %v", err, names(t, db))
			}
		})
		t.Run("a statement that fails undoes everything, and the next change works", func(t *testing.T) {
			err := db.Write(t.Context(), store.Full, func(tx *store.Tx) error {
				if err := insert(t, tx, "a"); err != nil {
					return err
				}
				return insert(t, tx, "a")
			})
			if err == nil || names(t, db) != nil {
				t.Errorf("got %v, and left %v", err, names(t, db))
			}
			write(t, db, func(tx *store.Tx) error { return insert(t, tx, "b") })
			write(t, db, func(tx *store.Tx) error {
				_, err := tx.Exec(t.Context(), `DELETE FROM thing`)
				return err
			})
		})
		t.Run("a panic is an error, and the writer is free again", func(t *testing.T) {
			if err := db.Write(t.Context(), store.Full, func(*store.Tx) error { panic("oh") }); err == nil {
				t.Error("no error")
			}
			write(t, db, func(*store.Tx) error { return nil })
		})
		t.Run("a reference to nothing is refused", func(t *testing.T) {
			err := db.Write(t.Context(), store.Full, func(tx *store.Tx) error {
				_, err := tx.Exec(t.Context(), `INSERT INTO part (id, thing) VALUES (1, 'nothing')`)
				return err
			})
			if err == nil {
				t.Error("foreign keys are not enforced")
			}
		})
		t.Run("what is to run after the commit does, in order, and once it can be seen", func(t *testing.T) {
			var order []string
			write(t, db, func(tx *store.Tx) error {
				tx.AfterCommit(func() { order = append(order, "first", fmt.Sprint(names(t, db))) })
				tx.AfterCommit(func() { order = append(order, "second") })
				return insert(t, tx, "seen")
			})
			if diff := cmp.Diff([]string{"first", "[seen]", "second"}, order); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			write(t, db, func(tx *store.Tx) error {
				_, err := tx.Exec(t.Context(), `DELETE FROM thing`)
				return err
			})
		})
		t.Run("a caller whose time is over neither breaks nor stops a change that has begun", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			err := db.Write(ctx, store.Full, func(tx *store.Tx) error {
				if err := insert(t, tx, "one"); err != nil {
					return err
				}
				cancel()
				_, err := tx.Exec(ctx, `INSERT INTO thing (name, n) VALUES ('two', 2)`)
				return err
			})
			if diff := cmp.Diff([]string{"one", "two"}, names(t, db)); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
		t.Run("a closed store says so", func(t *testing.T) {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			err := db.Write(t.Context(), store.Full, func(*store.Tx) error { return nil })
			if nightporter.CodeOf(err) != nightporter.Unavailable {
				t.Errorf("got %v, want unavailable", err)
			}
		})
	})
}

func TestNested(t *testing.T) {
	t.Parallel()
	storetest.Each(t, migrations, func(t *testing.T, db *store.DB) {
		no := errors.New("no")
		var ran []string
		nest := func(tx *store.Tx, name string, inside func() error) error {
			return tx.Nested(t.Context(), func() error {
				tx.AfterCommit(func() { ran = append(ran, name) })
				if err := insert(t, tx, name); err != nil {
					return err
				}
				if inside != nil {
					return inside()
				}
				return nil
			})
		}
		write(t, db, func(tx *store.Tx) error {
			if err := nest(tx, "kept", nil); err != nil {
				t.Error(err)
			}
			if err := nest(tx, "refused", func() error { return no }); !errors.Is(err, no) {
				t.Errorf("got %v, want the refusal itself", err)
			}
			if err := nest(tx, "panics", func() error { panic("oh") }); err == nil || !strings.Contains(err.Error(), "oh") {
				t.Errorf("got %v, want the panic", err)
			}
			if err := nest(tx, "kept", nil); err == nil { // the database itself refuses
				t.Error("one name twice")
			}
			// The outer one is undone with what it carries, and nothing else.
			if err := nest(tx, "outer", func() error {
				if err := nest(tx, "inner", nil); err != nil {
					return err
				}
				return no
			}); !errors.Is(err, no) {
				t.Error(err)
			}
			return nest(tx, "deep", func() error {
				if err := nest(tx, "deeper, refused", func() error { return no }); !errors.Is(err, no) {
					return err
				}
				return nest(tx, "deeper", nil)
			})
		})
		if diff := cmp.Diff([]string{"deep", "deeper", "kept"}, names(t, db)); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"kept", "deep", "deeper"}, ran); diff != "" {
			t.Errorf("after the commit (-want +got):\n%s", diff)
		}
	})
}

func TestView(t *testing.T) {
	t.Parallel()
	storetest.Each(t, migrations, func(t *testing.T, db *store.DB) {
		write(t, db, func(tx *store.Tx) error { return insert(t, tx, "a") })
		t.Run("is one snapshot, whatever is committed meanwhile", func(t *testing.T) {
			err := db.View(t.Context(), func(tx *store.Tx) error {
				before, err := list(t, tx)
				if err != nil {
					return err
				}
				write(t, db, func(w *store.Tx) error { return insert(t, w, "b") })
				after, err := list(t, tx)
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("it moved (-before +after):\n%s", diff)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"a", "b"}, names(t, db)); diff != "" {
				t.Errorf("a later one (-want +got):\n%s", diff)
			}
		})
		t.Run("cannot write", func(t *testing.T) {
			err := db.View(t.Context(), func(tx *store.Tx) error { return insert(t, tx, "c") })
			if err == nil {
				t.Error("a reader wrote")
			}
			if diff := cmp.Diff([]string{"a", "b"}, names(t, db)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
		t.Run("gives its connection back clean when its caller leaves while it begins", func(t *testing.T) {
			var readers sync.WaitGroup
			for range 8 {
				readers.Go(func() {
					for n := range 500 {
						ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n%100)*time.Microsecond)
						_ = db.View(ctx, func(*store.Tx) error { return nil }) // its caller has left
						cancel()
						if err := db.View(t.Context(), func(*store.Tx) error { return nil }); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			readers.Wait()
		})
		t.Run("gives its connection back, whatever happens in it", func(t *testing.T) {
			var readers sync.WaitGroup
			for n := range 100 {
				readers.Go(func() {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					_ = db.View(ctx, func(tx *store.Tx) error {
						if _, err := list(t, tx); err != nil {
							return err
						}
						if n%2 == 0 {
							cancel()
						}
						_, err := tx.Exec(ctx, `no such statement`)
						return err
					})
				})
			}
			readers.Wait()
			if diff := cmp.Diff([]string{"a", "b"}, names(t, db)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	})
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	storetest.Each(t, nil, func(t *testing.T, db *store.DB) {
		one := store.Migration{Name: "a/0001", SQL: "CREATE TABLE a (id BIGINT PRIMARY KEY);\nINSERT INTO a (id) VALUES (1);"}
		two := store.Migration{Name: "a/0002", SQL: "INSERT INTO a (id) VALUES (2);"}
		count := func() (n int) {
			t.Helper()
			err := db.View(t.Context(), func(tx *store.Tx) error { return tx.QueryRow(t.Context(), `SELECT COUNT(*) FROM a`).Scan(&n) })
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		for range 2 { // the second time there is nothing to do
			if err := db.Migrate(t.Context(), []store.Migration{one}); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Migrate(t.Context(), []store.Migration{one, two}); err != nil {
			t.Fatal(err)
		}
		if n := count(); n != 2 {
			t.Errorf("%d rows, want each migration once", n)
		}
		t.Run("a newer store is refused, and it is said what to do", func(t *testing.T) {
			err := db.Migrate(t.Context(), []store.Migration{one})
			want := `the store is newer than this binary: it has "a/0002", which this version does not know`
			if nightporter.CodeOf(err) != nightporter.Conflict || nightporter.MessageOf(err) != want {
				t.Errorf("got %v, want a conflict: %s", err, want)
			}
			var e *nightporter.Error
			if !errors.As(err, &e) || e.Hint == "" {
				t.Error("it has no hint")
			}
		})
		t.Run("one that fails half way leaves nothing, and can be repaired", func(t *testing.T) {
			bad := store.Migration{Name: "a/0003", SQL: "INSERT INTO a (id) VALUES (3);\nINSERT INTO nowhere (id) VALUES (3);"}
			if err := db.Migrate(t.Context(), []store.Migration{one, two, bad}); err == nil || !strings.Contains(err.Error(), "a/0003") {
				t.Errorf("got %v, want an error that names it", err)
			}
			if n := count(); n != 2 {
				t.Errorf("%d rows: half a migration stayed", n)
			}
			bad.SQL = "INSERT INTO a (id) VALUES (3);"
			if err := db.Migrate(t.Context(), []store.Migration{one, two, bad}); err != nil || count() != 3 {
				t.Errorf("repaired: %v, %d rows", err, count())
			}
		})
		t.Run("a name twice is a mistake of ours", func(t *testing.T) {
			if err := db.Migrate(t.Context(), []store.Migration{one, one}); err == nil {
				t.Error("no error")
			}
		})
	})
}

func TestOneWriter(t *testing.T) {
	t.Parallel()
	t.Run("a second process on a SQLite file is refused, until the first is gone", func(t *testing.T) {
		t.Parallel()
		url := "sqlite:" + filepath.Join(t.TempDir(), "a folder", "store.db")
		first, err := store.Open(t.Context(), store.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		_, err = store.Open(t.Context(), store.Config{URL: url})
		if nightporter.CodeOf(err) != nightporter.Conflict || nightporter.MessageOf(err) != "another process has this store open" {
			t.Errorf("got %v, want a conflict", err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		second, err := store.Open(t.Context(), store.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		defer second.Close()
		if second.Fence() <= first.Fence() {
			t.Errorf("the fence went from %d to %d", first.Fence(), second.Fence())
		}
		for name, want := range map[string]os.FileMode{second.Path(): 0o600, filepath.Dir(second.Path()): 0o711} {
			if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s has mode %v, want %v: %v", name, info.Mode().Perm(), want, err)
			}
		}
	})
	t.Run("a child that a killed process was making keeps nobody out", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "store.db")
		// It has a copy of the lock until it becomes its program.
		copied, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Flock(int(copied.Fd()), syscall.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(50*time.Millisecond, func() { _ = copied.Close() })
		if db := openAt(t, "sqlite:"+path); db != nil {
			_ = db.Close()
		}
	})
	t.Run("on PostgreSQL the second waits for the first", func(t *testing.T) {
		t.Parallel()
		url := postgres(t)
		first := openAt(t, url)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := store.Open(ctx, store.Config{URL: url}); err == nil {
			t.Fatal("two copies are active at once")
		}
		waits := make(chan *store.DB)
		go func() { waits <- openAt(t, url) }()
		write(t, first, func(*store.Tx) error { return nil })
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		second := <-waits
		defer second.Close()
		if second.Fence() <= first.Fence() {
			t.Errorf("the fence went from %d to %d", first.Fence(), second.Fence())
		}
	})
	t.Run("an old writer that lost its connection is refused after the takeover, for ever", func(t *testing.T) {
		t.Parallel()
		server := dbtest.Postgres(t)
		name := server.Database(t)
		old := openAt(t, server.DSN(name))
		defer old.Close()
		if err := old.Migrate(t.Context(), migrations); err != nil {
			t.Fatal(err)
		}
		// The network between the old one and the database breaks. The
		// database lets go of its lock, and the next copy takes over.
		server.Exec(t, "", `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '`+name+`'`)
		next := openAt(t, server.DSN(name))
		if err := next.Migrate(t.Context(), migrations); err != nil {
			t.Fatal(err)
		}
		refused := func(when string) {
			t.Helper()
			for range 3 {
				err := old.Write(t.Context(), store.Full, func(tx *store.Tx) error { return insert(t, tx, "from the old one") })
				if nightporter.CodeOf(err) != nightporter.Unavailable {
					t.Errorf("%s the old writer got %v, want unavailable", when, err)
				}
			}
		}
		refused("while the new one is there")
		write(t, next, func(tx *store.Tx) error { return insert(t, tx, "from the new one") })
		if err := next.Close(); err != nil {
			t.Fatal(err)
		}
		// Even alone it is not the writer any more: what it remembers is old.
		refused("when the new one has gone")
		third := openAt(t, server.DSN(name))
		defer third.Close()
		if diff := cmp.Diff([]string{"from the new one"}, names(t, third)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("a writer whose connection broke goes on when nobody took over", func(t *testing.T) {
		t.Parallel()
		server := dbtest.Postgres(t)
		name := server.Database(t)
		db := openAt(t, server.DSN(name))
		defer db.Close()
		if err := db.Migrate(t.Context(), migrations); err != nil {
			t.Fatal(err)
		}
		server.Exec(t, "", `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '`+name+`'`)
		give := time.After(20 * time.Second)
		for {
			err := db.Write(t.Context(), store.Full, func(tx *store.Tx) error { return insert(t, tx, "a") })
			if err == nil {
				return
			}
			select {
			case <-give:
				t.Fatalf("it never came back: %v", err)
			default:
			}
		}
	})
}

func postgres(t *testing.T) string {
	t.Helper()
	server := dbtest.Postgres(t)
	return server.DSN(server.Database(t))
}

func openAt(t *testing.T, url string) *store.DB {
	db, err := store.Open(t.Context(), store.Config{URL: url})
	if err != nil {
		t.Error(err)
		return nil
	}
	return db
}

func TestOpen(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "store.db", "mysql://x", "sqlite3:x"} {
		if _, err := store.Open(t.Context(), store.Config{URL: url}); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("%q: got %v, want invalid", url, err)
		}
	}
	_, err := store.Open(t.Context(), store.Config{URL: "postgres://nobody:secret@127.0.0.1:1/none?connect_timeout=1"})
	if nightporter.CodeOf(err) != nightporter.Unavailable {
		t.Errorf("got %v, want unavailable", err)
	}
	if err != nil && strings.Contains(nightporter.MessageOf(err)+err.Error(), "secret") {
		t.Errorf("the password is in the error: %v", err)
	}
}

// What the databases themselves say they do at a commit.
func TestDurability(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		db, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "store.db")})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		want := map[string]string{"journal_mode": "wal", "foreign_keys": "1", "secure_delete": "1"}
		for d, sync := range map[store.Durability]string{store.Full: "2", store.Relaxed: "1"} {
			want["synchronous"] = sync
			for range 2 {
				if err := db.Write(t.Context(), d, func(tx *store.Tx) error {
					for pragma, v := range want {
						var got string
						if err := tx.QueryRow(t.Context(), `PRAGMA `+pragma).Scan(&got); err != nil || got != v {
							t.Errorf("durability %v: %s is %q, want %q: %v", d, pragma, got, v, err)
						}
					}
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		server := dbtest.DurablePostgres(t) // with the settings it was installed with
		db := openAt(t, server.DSN(server.Database(t)))
		defer db.Close()
		for _, d := range []store.Durability{store.Full, store.Relaxed, store.Full} {
			want := map[store.Durability]string{store.Full: "on", store.Relaxed: "off"}[d]
			if err := db.Write(t.Context(), d, func(tx *store.Tx) error {
				var got string
				err := tx.QueryRow(t.Context(), `SHOW synchronous_commit`).Scan(&got)
				if got != want {
					t.Errorf("durability %v: synchronous_commit is %q, want %q", d, got, want)
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Time{{}, time.UnixMicro(1).UTC(), time.UnixMicro(-1).UTC(), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)} {
		if got := store.Time(store.Micros(at)); !got.Equal(at) {
			t.Errorf("%v comes back as %v", at, got)
		}
	}
	if store.Bool(true) != 1 || store.Bool(false) != 0 {
		t.Error("truths are not 1 and 0")
	}
	if got := store.In(3) + store.In(1) + store.In(0); got != "?,?,??NULL" {
		t.Errorf("lists are %q", got)
	}
}

func ExampleDB_View() {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	db, err := store.Open(ctx, store.Config{URL: "sqlite:" + filepath.Join(dir, "store.db"), Ephemeral: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	err = db.Migrate(ctx, []store.Migration{{Name: "example/0001", SQL: `CREATE TABLE guest (room BIGINT PRIMARY KEY, name TEXT NOT NULL);`}})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = db.Write(ctx, store.Full, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO guest (room, name) VALUES (?, ?)`, 12, "Ms Park")
		return err
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = db.View(ctx, func(tx *store.Tx) error {
		var name string
		err := tx.QueryRow(ctx, `SELECT name FROM guest WHERE room = ?`, 12).Scan(&name)
		fmt.Println(name)
		return err
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output: Ms Park
}
