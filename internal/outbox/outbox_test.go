package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
)

var migrations = slices.Concat(audit.Migrations, outbox.Migrations)

type allowAll struct{}

func (allowAll) Decide(context.Context, nightporter.Actor, nightporter.Action) nightporter.Decision {
	return nightporter.Decision{Allowed: true}
}

// ear is a listener that remembers what it heard and answers as it is told.
type ear struct {
	mu     sync.Mutex
	heard  []string
	answer func(commit string, n int) error // n counts the tries of a commit
	tries  map[string]int
}

func (e *ear) hear(_ context.Context, m nightporter.Merged) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.tries == nil {
		e.tries = map[string]int{}
	}
	e.tries[m.Commit]++
	if e.answer != nil {
		if err := e.answer(m.Commit, e.tries[m.Commit]); err != nil {
			return err
		}
	}
	e.heard = append(e.heard, m.Repo.Name+" "+m.Commit)
	return nil
}

func (e *ear) of(repo string) (out []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, h := range e.heard {
		if commit, ok := strings.CutPrefix(h, repo+" "); ok {
			out = append(out, commit)
		}
	}
	return out
}

func (e *ear) tried(commit string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.tries[commit]
}

// house is one process: a gate and a dispatcher on a store.
type house struct {
	t    *testing.T
	db   *store.DB
	gate *gate.Gate
	stop func()
}

func open(t *testing.T, db *store.DB, listen func(*outbox.Bus)) *house {
	t.Helper()
	bus := outbox.NewBus()
	listen(bus)
	h := &house{t: t, db: db}
	var d *outbox.Dispatcher
	var err error
	h.gate, err = gate.New(gate.Config{DB: db, Bus: bus, Decider: allowAll{}, Committed: func() { d.Wake() }})
	if err != nil {
		t.Fatal(err)
	}
	d = outbox.NewDispatcher(outbox.DispatcherConfig{Bus: bus, DB: db, Gate: h.gate, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { d.Run(ctx) })
	h.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		h.gate.Close()
	})
	return h
}

func as(name string) context.Context {
	return nightporter.WithActor(context.Background(), nightporter.Actor{Kind: nightporter.Person, Name: name})
}

func (h *house) change(fn func(ctx context.Context, tx *gate.Tx) error) {
	h.t.Helper()
	ctx := as("ana")
	err := h.gate.Do(ctx, nightporter.Action{Name: "test"}, nightporter.Resource{Kind: "test", ID: "1"}, func(tx *gate.Tx) error { return fn(ctx, tx) })
	if err != nil {
		h.t.Fatal(err)
	}
}

// merge tells of merges in one change.
func (h *house) merge(repo string, commits ...string) {
	h.t.Helper()
	h.change(func(_ context.Context, tx *gate.Tx) error {
		for _, c := range commits {
			tx.Publish(nightporter.Merged{Repo: nightporter.Repo{Forge: "hub", Name: repo}, Commit: c})
		}
		return nil
	})
}

func (h *house) parked() (out []outbox.Parked) {
	h.t.Helper()
	err := h.db.View(context.Background(), func(tx *store.Tx) (err error) {
		out, err = outbox.ListParked(context.Background(), tx)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

func (h *house) count(query string) (n int) {
	h.t.Helper()
	err := h.db.View(context.Background(), func(tx *store.Tx) error { return tx.QueryRow(context.Background(), query).Scan(&n) })
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// inBubble plays a story in fake time on SQLite.
func inBubble(t *testing.T, story func(t *testing.T, db *store.DB)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		db, err := store.Open(ctx, store.Config{URL: "sqlite:" + path, Ephemeral: true})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.Migrate(ctx, migrations); err != nil {
			t.Fatal(err)
		}
		story(t, db)
	})
}

func pass(d time.Duration) {
	time.Sleep(d) // fake time
	synctest.Wait()
}

func TestDelivery(t *testing.T) {
	t.Parallel()
	t.Run("every event reaches every listener, in order for each subject", func(t *testing.T) {
		t.Parallel()
		storetest.Each(t, migrations, func(t *testing.T, db *store.DB) {
			const repos, each = 20, 25
			var one, two ear
			all := make(chan struct{}, 2*repos*each)
			listen := func(e *ear) func(context.Context, nightporter.Merged) error {
				return func(ctx context.Context, m nightporter.Merged) error {
					defer func() { all <- struct{}{} }()
					return e.hear(ctx, m)
				}
			}
			h := open(t, db, func(b *outbox.Bus) {
				outbox.On(b, "one", listen(&one))
				outbox.On(b, "two", listen(&two))
			})
			defer h.stop()
			var want []string
			for n := range each {
				want = append(want, fmt.Sprint("c", n))
				for r := range repos {
					h.merge(fmt.Sprint("repo", r), want[n])
				}
			}
			timeout := time.After(30 * time.Second)
			for range 2 * repos * each {
				select {
				case <-all:
				case <-timeout:
					t.Fatal("not everything was delivered")
				}
			}
			for r := range repos {
				for _, e := range []*ear{&one, &two} {
					if diff := cmp.Diff(want, e.of(fmt.Sprint("repo", r))); diff != "" {
						t.Errorf("order (-want +got):\n%s", diff)
					}
				}
			}
		})
	})
	t.Run("a listener acts as itself, for whoever caused the event, in the same request", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, db *store.DB) {
			var got []string
			h := open(t, db, func(b *outbox.Bus) {
				outbox.On(b, "versions.cut", func(ctx context.Context, _ nightporter.Merged) error {
					a := nightporter.ActorFrom(ctx)
					got = []string{string(a.Kind), a.Name, a.OnBehalfOf, nightporter.RequestIDFrom(ctx)}
					return nil
				})
			})
			defer h.stop()
			ctx := nightporter.WithRequestID(as("ana"), "req1")
			if err := h.gate.Do(ctx, nightporter.Action{Name: "test"}, nightporter.Resource{}, func(tx *gate.Tx) error {
				tx.Publish(nightporter.Merged{})
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
			if diff := cmp.Diff([]string{string(nightporter.System), "versions.cut", "ana", "req1"}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	})
	t.Run("a process that dies before it noted a delivery makes it again after its start", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, db *store.DB) {
			var e ear
			hearing := make(chan struct{})
			first := open(t, db, func(b *outbox.Bus) {
				outbox.On(b, "one", func(ctx context.Context, m nightporter.Merged) error {
					if err := e.hear(ctx, m); err != nil {
						return err
					}
					close(hearing)
					<-ctx.Done()
					return nil
				})
			})
			first.merge("ledger", "a", "b")
			<-hearing
			first.stop()
			second := open(t, db, func(b *outbox.Bus) { outbox.On(b, "one", e.hear) })
			defer second.stop()
			pass(time.Minute)
			if diff := cmp.Diff([]string{"a", "a", "b"}, e.of("ledger")); diff != "" {
				t.Errorf("at least once, in order (-want +got):\n%s", diff)
			}
		})
	})
	t.Run("a listener that a new version no longer has holds nobody up", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, db *store.DB) {
			refuses := ear{answer: func(string, int) error { return errors.New("not today") }}
			var e ear
			first := open(t, db, func(b *outbox.Bus) { outbox.On(b, "old", refuses.hear) })
			first.merge("ledger", "a", "b")
			pass(time.Second)
			first.stop()
			second := open(t, db, func(b *outbox.Bus) { outbox.On(b, "new", e.hear) })
			defer second.stop()
			second.merge("ledger", "c")
			pass(time.Hour)
			if diff := cmp.Diff([]string{"c"}, e.of("ledger")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if n := second.count(`SELECT COUNT(*) FROM delivery`); n != 0 {
				t.Errorf("%d deliveries wait for nobody", n)
			}
		})
	})
	t.Run("a panic of a listener is a refusal", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, db *store.DB) {
			e := ear{answer: func(_ string, n int) error {
				if n < 3 {
					panic("nil map")
				}
				return nil
			}}
			h := open(t, db, func(b *outbox.Bus) { outbox.On(b, "one", e.hear) })
			defer h.stop()
			h.merge("ledger", "a")
			pass(time.Minute)
			if diff := cmp.Diff([]string{"a"}, e.of("ledger")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	})
	t.Run("listeners that hang hold up neither others nor other subjects for long", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, db *store.DB) {
			var e ear
			release := make(chan struct{})
			h := open(t, db, func(b *outbox.Bus) {
				outbox.On(b, "forge", func(context.Context, nightporter.Merged) error {
					<-release // a forge that does not answer
					return nil
				})
				outbox.On(b, "board", e.hear)
			})
			defer h.stop()
			defer close(release)
			for r := range 200 {
				h.merge(fmt.Sprint("repo", r), "a", "b")
			}
			pass(time.Second)
			for r := range 200 {
				if diff := cmp.Diff([]string{"a", "b"}, e.of(fmt.Sprint("repo", r))); diff != "" {
					t.Fatalf("repo%d on the board (-want +got):\n%s", r, diff)
				}
			}
		})
	})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	t.Run("after eight an event is parked, shown, and holds up its own subject alone", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, db *store.DB) {
			e := ear{answer: func(commit string, _ int) error {
				if commit == "poison" {
					return nightporter.E(nightporter.Invalid, "this cannot be read")
				}
				return nil
			}}
			h := open(t, db, func(b *outbox.Bus) { outbox.On(b, "one", e.hear) })
			defer h.stop()
			h.merge("ledger", "poison", "next")
			h.merge("portal", "fine")
			pass(time.Hour)
			if n := e.tried("poison"); n != 8 {
				t.Errorf("it was tried %d times, want 8", n)
			}
			want := []outbox.Parked{{EventID: 1, Name: "Merged", Subject: "repo/hub/ledger", Listener: "one", Attempts: 8, Error: "this cannot be read"}}
			if diff := cmp.Diff(want, h.parked()); diff != "" {
				t.Errorf("parked (-want +got):\n%s", diff)
			}
			if got := e.of("ledger"); got != nil {
				t.Errorf("%v overtook what came before", got)
			}
			if diff := cmp.Diff([]string{"fine"}, e.of("portal")); diff != "" {
				t.Errorf("another subject waited (-want +got):\n%s", diff)
			}

			// A person looks, repairs, and has it tried again.
			e.mu.Lock()
			e.answer = nil
			e.mu.Unlock()
			h.change(func(ctx context.Context, tx *gate.Tx) error { return outbox.Retry(ctx, tx.Tx, 1, "one") })
			pass(2 * time.Minute)
			if diff := cmp.Diff([]string{"poison", "next"}, e.of("ledger")); diff != "" {
				t.Errorf("after the retry (-want +got):\n%s", diff)
			}
			if got := h.parked(); got != nil {
				t.Errorf("still parked: %v", got)
			}
		})
	})
	t.Run("what was put off by a clock that was ahead is heard when the clock is right again", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, db *store.DB) {
			e := ear{answer: func(_ string, n int) error {
				if n == 1 {
					return nightporter.E(nightporter.Unavailable, "the forge does not answer")
				}
				return nil
			}}
			first := open(t, db, func(b *outbox.Bus) { outbox.On(b, "one", e.hear) })
			first.merge("ledger", "a")
			first.stop()
			h := open(t, db, func(b *outbox.Bus) { outbox.On(b, "one", e.hear) })
			defer h.stop()
			h.change(func(ctx context.Context, tx *gate.Tx) error {
				_, err := tx.Exec(ctx, `UPDATE delivery SET not_before = ?`, store.Micros(time.Now().Add(24*time.Hour)))
				return err
			})
			pass(2 * time.Minute)
			if diff := cmp.Diff([]string{"a"}, e.of("ledger")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	})
	t.Run("what is unavailable is never parked, and heard when it is back", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, db *store.DB) {
			back := time.Now().Add(6 * time.Hour)
			e := ear{answer: func(string, int) error {
				if time.Now().Before(back) {
					return nightporter.E(nightporter.Unavailable, "the forge does not answer")
				}
				return nil
			}}
			h := open(t, db, func(b *outbox.Bus) { outbox.On(b, "one", e.hear) })
			defer h.stop()
			h.merge("ledger", "a")
			pass(5 * time.Hour)
			if got := h.parked(); got != nil {
				t.Errorf("parked: %v", got)
			}
			if n := e.tried("a"); n < 250 || n > 350 {
				t.Errorf("it was tried %d times in five hours, want about one a minute", n)
			}
			pass(time.Hour + time.Minute)
			if diff := cmp.Diff([]string{"a"}, e.of("ledger")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	})
	t.Run("retrying what is not parked is not found", func(t *testing.T) {
		t.Parallel()
		storetest.Each(t, migrations, func(t *testing.T, db *store.DB) {
			err := db.Write(t.Context(), store.Full, func(tx *store.Tx) error { return outbox.Retry(t.Context(), tx, 7, "one") })
			if nightporter.CodeOf(err) != nightporter.NotFound {
				t.Errorf("got %v, want not_found", err)
			}
		})
	})
}

func TestPrune(t *testing.T) {
	t.Parallel()
	storetest.Each(t, migrations, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		bus := outbox.NewBus()
		outbox.On(bus, "one", func(context.Context, nightporter.Merged) error { return nil })
		writer := outbox.NewWriter(bus)
		tell := func(at time.Time, n int) {
			t.Helper()
			var records []outbox.Record
			for range n {
				r, err := outbox.NewRecord(nightporter.Merged{}, at, "", "")
				if err != nil {
					t.Fatal(err)
				}
				records = append(records, r)
			}
			if err := db.Write(ctx, store.Full, func(tx *store.Tx) error { return writer.Append(ctx, tx, records) }); err != nil {
				t.Fatal(err)
			}
		}
		old, young := now.Add(-outbox.Keep-time.Minute), now.Add(-outbox.Keep+time.Minute)
		tell(old, 700)
		exec := func(query string) {
			t.Helper()
			if err := db.Write(ctx, store.Full, func(tx *store.Tx) error {
				_, err := tx.Exec(ctx, query)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		exec(`DELETE FROM delivery WHERE event_id <> 3`)
		prune := func() (n int64) {
			t.Helper()
			err := db.Write(ctx, store.Relaxed, func(tx *store.Tx) (err error) {
				n, err = outbox.Prune(ctx, tx, now)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		left := func() (ids []int64) {
			t.Helper()
			err := db.View(ctx, func(tx *store.Tx) error {
				records, err := outbox.Since(ctx, tx, 0, 10_000)
				for _, r := range records {
					ids = append(ids, r.ID)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return ids
		}
		if got := []int64{prune(), prune(), prune()}; !slices.Equal(got, []int64{500, 198, 0}) {
			t.Errorf("pruned %v, want 500, 198 and none", got)
		}
		if diff := cmp.Diff([]int64{3, 700}, left()); diff != "" {
			t.Errorf("what is undelivered stays, and the newest (-want +got):\n%s", diff)
		}
		// Numbers are never given twice, also after a restart.
		writer.Reset()
		tell(young, 1)
		if n := prune(); n != 1 {
			t.Errorf("pruned %d, want the one that was newest before", n)
		}
		if diff := cmp.Diff([]int64{3, 701}, left()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	ctx := b.Context()
	db, err := store.Open(ctx, store.Config{URL: "sqlite:" + filepath.Join(b.TempDir(), "store.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(ctx, migrations); err != nil {
		b.Fatal(err)
	}
	bus := outbox.NewBus()
	outbox.On(bus, "one", func(context.Context, nightporter.Merged) error { return nil })
	w := outbox.NewWriter(bus)
	r, err := outbox.NewRecord(nightporter.Merged{}, time.Now(), "", "")
	if err != nil {
		b.Fatal(err)
	}
	batch := slices.Repeat([]outbox.Record{r}, 64)
	for b.Loop() {
		if err := db.Write(ctx, store.Full, func(tx *store.Tx) error { return w.Append(ctx, tx, batch) }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*64/b.Elapsed().Seconds(), "events/s")
}
