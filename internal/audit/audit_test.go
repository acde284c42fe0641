package audit_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// entries makes n entries that differ in every column.
func entries(from, n int) []audit.Entry {
	out := make([]audit.Entry, n)
	for i := range out {
		k := from + i
		out[i] = audit.Entry{
			At: noon.Add(time.Duration(k) * time.Millisecond),
			Actor: nightporter.Actor{
				Kind: nightporter.Person, Name: fmt.Sprint("ana", k), Method: fmt.Sprint("token", k), Accessor: fmt.Sprint("acc", k),
				OnBehalfOf: fmt.Sprint("sam", k), Remote: fmt.Sprint("192.0.2.", k%256),
			},
			Action: fmt.Sprint("release.approve", k), Resource: nightporter.Resource{Kind: fmt.Sprint("release", k), ID: fmt.Sprint("r", k)},
			Decision: audit.Allowed, Policy: fmt.Sprint("developer", k), RequestID: fmt.Sprint("req", k),
			Detail: json.RawMessage(fmt.Sprintf(`{"n":%d}`, k)),
		}
	}
	return out
}

type tb interface {
	Helper()
	Fatal(...any)
}

func write(t tb, db *store.DB, fn func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	ctx := context.Background()
	if err := db.Write(ctx, store.Full, func(tx *store.Tx) error { return fn(ctx, tx) }); err != nil {
		t.Fatal(err)
	}
}

func view(t tb, db *store.DB, fn func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	ctx := context.Background()
	if err := db.View(ctx, func(tx *store.Tx) error { return fn(ctx, tx) }); err != nil {
		t.Fatal(err)
	}
}

func appendTo(t tb, db *store.DB, log *audit.Log, list []audit.Entry) {
	t.Helper()
	write(t, db, func(ctx context.Context, tx *store.Tx) error { return log.Append(ctx, tx, list) })
}

func sign(t tb, db *store.DB, key audit.Key) (c audit.Checkpoint) {
	t.Helper()
	write(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
		c, err = audit.Sign(ctx, tx, key, noon)
		return err
	})
	return c
}

func newKey(t tb) audit.Key {
	t.Helper()
	key, err := audit.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func verify(t tb, db *store.DB, vkey string, anchors ...string) (r audit.Report) {
	t.Helper()
	view(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
		r, err = audit.Verify(ctx, tx, vkey, anchors...)
		return err
	})
	return r
}

func TestAppend(t *testing.T) {
	t.Parallel()
	storetest.Each(t, audit.Migrations, func(t *testing.T, db *store.DB) {
		t.Run("the log goes on where it was, in batches of any size, also after a restart", func(t *testing.T) {
			log, n := &audit.Log{}, 0
			for _, size := range []int{1, 2, 7, 8, 9, 63, 64, 65, 0, 200} {
				appendTo(t, db, log, entries(n, size))
				n += size
				if log.Size() != int64(n) {
					t.Fatalf("size %d, want %d", log.Size(), n)
				}
				log = &audit.Log{} // as after a restart
				if r := verify(t, db, ""); len(r.Damage) > 0 || r.Entries != int64(n) {
					t.Fatalf("after %d entries: %+v", n, r)
				}
			}
		})
		t.Run("what failed to commit leaves no trace, and the log goes on", func(t *testing.T) {
			log := &audit.Log{}
			before := verify(t, db, "")
			err := db.Write(t.Context(), store.Full, func(tx *store.Tx) error {
				if err := log.Append(t.Context(), tx, entries(1000, 5)); err != nil {
					return err
				}
				return fmt.Errorf("no")
			})
			if err == nil {
				t.Fatal("no error")
			}
			log.Reset()
			appendTo(t, db, log, entries(2000, 3))
			if r := verify(t, db, ""); len(r.Damage) > 0 || r.Entries != before.Entries+3 {
				t.Errorf("%+v", r)
			}
		})
		t.Run("what is read is what was written", func(t *testing.T) {
			log := &audit.Log{}
			want := entries(3000, 3)
			appendTo(t, db, log, want)
			var got []audit.Entry
			view(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
				got, err = audit.List(ctx, tx, audit.Filter{Limit: 3})
				return err
			})
			if diff := cmp.Diff([]audit.Entry{want[2], want[1], want[0]}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
		t.Run("no text is mistaken for two, whatever character it has", func(t *testing.T) {
			for n, char := range []string{"\x1f", "\x1f\x1f\x1f", "\x1e", "é\x1f"} {
				log, odd := &audit.Log{}, entries(4000+n, 3)
				odd[1].Actor.Name, odd[1].Resource.ID = "ana"+char+"ben", char
				appendTo(t, db, log, odd)
				if r := verify(t, db, ""); len(r.Damage) > 0 {
					t.Errorf("with %q: %+v", char, r)
				}
				write(t, db, func(ctx context.Context, tx *store.Tx) error {
					_, err := tx.Exec(ctx, `UPDATE audit_entry SET actor = ?, method = ? WHERE seq = ?`, "ana", "ben", odd[1].Seq)
					return err
				})
				if r := verify(t, db, ""); len(r.Damage) == 0 {
					t.Errorf("with %q, after an edit: %+v", char, r)
				}
				write(t, db, func(ctx context.Context, tx *store.Tx) error {
					_, err := tx.Exec(ctx, `UPDATE audit_entry SET actor = ?, method = ? WHERE seq = ?`, odd[1].Actor.Name, odd[1].Actor.Method, odd[1].Seq)
					return err
				})
			}
		})
		t.Run("a list is by actor, by whoever was acted for, and by resource", func(t *testing.T) {
			for _, f := range []audit.Filter{
				{Actor: "ana3001"}, {Actor: "sam3001"}, {Resource: "release3001"}, {Resource: "release3001/r3001"},
			} {
				view(t, db, func(ctx context.Context, tx *store.Tx) error {
					got, err := audit.List(ctx, tx, f)
					if len(got) != 1 || got[0].RequestID != "req3001" {
						t.Errorf("%+v finds %d entries", f, len(got))
					}
					return err
				})
			}
		})
	})
}

// The judge is Go's own implementation of RFC 6962, fed with leaves alone: it
// never sees our nodes.
func TestTheTreeIsRFC6962s(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t, audit.Migrations)
	key, log := newKey(t), &audit.Log{}
	var nodes []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, at := range indexes {
			out[i] = nodes[at]
		}
		return out, nil
	})
	for n := range 130 {
		list := entries(n, 1)
		appendTo(t, db, log, list)
		c := sign(t, db, key)
		var p audit.Proof
		view(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
			p, err = audit.Prove(ctx, tx, int64(n))
			return err
		})
		leaf, err := tlog.ParseHash(p.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		hashes, err := tlog.StoredHashesForRecordHash(int64(n), leaf, reader)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, hashes...)
		want, err := tlog.TreeHash(int64(n+1), reader)
		if err != nil {
			t.Fatal(err)
		}
		if c.Root != want.String() || c.Size != int64(n+1) {
			t.Fatalf("size %d: root %s, want %s", c.Size, c.Root, want)
		}
		if err := p.Check(key.Vkey); err != nil {
			t.Errorf("entry %d: %v", n, err)
		}
	}
}

func TestCheckpoint(t *testing.T) {
	t.Parallel()
	storetest.Each(t, audit.Migrations, func(t *testing.T, db *store.DB) {
		key, log := newKey(t), &audit.Log{}
		view(t, db, func(ctx context.Context, tx *store.Tx) error {
			if _, err := audit.Last(ctx, tx); nightporter.CodeOf(err) != nightporter.NotFound {
				t.Errorf("got %v before the first one, want not_found", err)
			}
			return nil
		})
		appendTo(t, db, log, entries(0, 10))
		first := sign(t, db, key)
		if again := sign(t, db, key); again != first {
			t.Errorf("nothing was added, and the checkpoint changed:\n%+v\n%+v", first, again)
		}
		size, root, err := audit.OpenCheckpoint(first.Note, key.Vkey)
		if err != nil || size != 10 || root.String() != first.Root {
			t.Errorf("it states %d %s: %v", size, root, err)
		}
		view(t, db, func(ctx context.Context, tx *store.Tx) error {
			last, err := audit.Last(ctx, tx)
			if diff := cmp.Diff(first, last); diff != "" {
				t.Errorf("as read (-want +got):\n%s", diff)
			}
			return err
		})
		if _, _, err := audit.OpenCheckpoint(first.Note, newKey(t).Vkey); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("got %v with somebody else's key, want invalid", err)
		}
		if vkey, err := audit.PublicKey(key.Skey); err != nil || vkey != key.Vkey {
			t.Errorf("the public half of the key is %q, %v; want %q", vkey, err, key.Vkey)
		}
	})
}

// A checkpoint's text has one spelling: otherwise a changed one could pass.
func TestACheckpointHasOneSpelling(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t, audit.Migrations)
	key, log := newKey(t), &audit.Log{}
	appendTo(t, db, log, entries(0, 10))
	c := sign(t, db, key)
	if _, _, err := audit.OpenCheckpoint(c.Note, key.Vkey); err != nil {
		t.Fatal(err)
	}
	for i := range c.Note {
		for _, b := range []byte{c.Note[i] ^ 1, c.Note[i] ^ 2, c.Note[i] + 1, c.Note[i] - 1, '\n', ' ', 'A', '='} {
			changed := c.Note[:i] + string([]byte{b}) + c.Note[i+1:]
			if changed == c.Note {
				continue
			}
			if _, _, err := audit.OpenCheckpoint(changed, key.Vkey); err == nil {
				t.Errorf("byte %d may be %q instead of %q:\n%s", i, b, c.Note[i], changed)
			}
		}
	}
}

func TestProof(t *testing.T) {
	t.Parallel()
	storetest.Each(t, audit.Migrations, func(t *testing.T, db *store.DB) {
		key, log := newKey(t), &audit.Log{}
		appendTo(t, db, log, entries(0, 100))
		sign(t, db, key)
		appendTo(t, db, log, entries(100, 1))
		prove := func(seq int64) (p audit.Proof, err error) {
			view(t, db, func(ctx context.Context, tx *store.Tx) error {
				p, err = audit.Prove(ctx, tx, seq)
				return nil
			})
			return p, err
		}
		if _, err := prove(100); nightporter.CodeOf(err) != nightporter.Conflict {
			t.Errorf("got %v for an entry that no checkpoint covers, want conflict", err)
		}
		if _, err := prove(101); nightporter.CodeOf(err) != nightporter.NotFound {
			t.Errorf("got %v for an entry that is not there, want not_found", err)
		}
		p, err := prove(42)
		if err != nil {
			t.Fatal(err)
		}
		// It travels as JSON, and the other side has only the public key.
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var travelled audit.Proof
		if err := json.Unmarshal(b, &travelled); err != nil {
			t.Fatal(err)
		}
		if err := travelled.Check(key.Vkey); err != nil {
			t.Errorf("a true proof: %v\n%s", err, b)
		}
		lies := map[string]func(*audit.Proof){
			"somebody else did it":   func(p *audit.Proof) { p.Entry.Actor.Name = "sam" },
			"it was somewhere else":  func(p *audit.Proof) { p.Entry.Seq = 41 },
			"it was denied":          func(p *audit.Proof) { p.Entry.Decision = audit.Refused },
			"at another time":        func(p *audit.Proof) { p.Entry.At = p.Entry.At.Add(time.Microsecond) },
			"in another tree":        func(p *audit.Proof) { p.Hashes[0] = base64.StdEncoding.EncodeToString(make([]byte, 32)) },
			"with a hash too few":    func(p *audit.Proof) { p.Hashes = p.Hashes[1:] },
			"with a damaged hash":    func(p *audit.Proof) { p.Hashes[0] = "no" },
			"under no signature":     func(p *audit.Proof) { p.Checkpoint.Note = "" },
			"under a longer log":     func(p *audit.Proof) { p.Checkpoint.Note = strings.Replace(p.Checkpoint.Note, "\n100\n", "\n101\n", 1) },
			"with a detail that was": func(p *audit.Proof) { p.Entry.Detail = json.RawMessage(`{"n":43}`) },
		}
		for name, lie := range lies {
			var forged audit.Proof
			if err := json.Unmarshal(b, &forged); err != nil {
				t.Fatal(err)
			}
			lie(&forged)
			if forged.Check(key.Vkey) == nil {
				t.Errorf("the lie %q passes", name)
			}
		}
	})
}

// BenchmarkAppend is the log alone, in batches as the gate makes them at 64
// callers; the budget of docs/design.md §8 is for the whole gate.
func BenchmarkAppend(b *testing.B) {
	ctx := b.Context()
	db, err := store.Open(ctx, store.Config{URL: "sqlite:" + filepath.Join(b.TempDir(), "store.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(ctx, audit.Migrations); err != nil {
		b.Fatal(err)
	}
	log, batch := &audit.Log{}, entries(0, 64)
	for b.Loop() {
		appendTo(b, db, log, batch)
	}
	b.ReportMetric(float64(b.N)*float64(len(batch))/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkVerify is a log of 1,000,000 entries. The budget is 3 s.
func BenchmarkVerify(b *testing.B) {
	const size = 1_000_000
	db := storetest.SQLite(b, audit.Migrations)
	log, key := &audit.Log{}, newKey(b)
	for n := 0; n < size; n += 10_000 {
		appendTo(b, db, log, entries(n, 10_000))
	}
	sign(b, db, key)
	for b.Loop() {
		if r := verify(b, db, key.Vkey); len(r.Damage) > 0 || r.Entries != size {
			b.Fatal(fmt.Sprint(r))
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/million")
}
