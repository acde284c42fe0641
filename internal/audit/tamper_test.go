package audit_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"

	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
)

// tables are the log's, with their columns; the first is the key.
var tables = map[string][]string{
	"audit_entry": {
		"seq", "at", "actor_kind", "actor", "method", "accessor", "on_behalf_of", "remote",
		"action", "resource_kind", "resource_id", "decision", "policy", "request_id", "detail",
	},
	"audit_node":       {"position", "hash"},
	"audit_checkpoint": {"size", "note"},
}

// tamperer changes a store behind the log's back, with the same rights as we have.
type tamperer struct {
	t  *testing.T
	r  *rand.Rand
	tx *store.Tx
}

func (m tamperer) exec(query string, args ...any) {
	m.t.Helper()
	if n, err := m.tx.Exec(m.t.Context(), query, args...); err != nil || n == 0 {
		m.t.Fatalf("%s changed %d rows: %v", query, n, err)
	}
}

func (m tamperer) read(query string, into any) {
	m.t.Helper()
	if err := m.tx.QueryRow(m.t.Context(), query).Scan(into); err != nil {
		m.t.Fatalf("%s: %v", query, err)
	}
}

// key picks a row.
func (m tamperer) key(table string) (key int64) {
	m.t.Helper()
	var rows int
	m.read(`SELECT COUNT(*) FROM `+table, &rows)
	m.read(fmt.Sprintf(`SELECT %s FROM %s ORDER BY %[1]s LIMIT 1 OFFSET %[3]d`, tables[table][0], table, m.r.IntN(rows)), &key)
	return key
}

// edit changes one column of one row to something else of its kind.
func (m tamperer) edit(table, column string) string {
	m.t.Helper()
	key, id := m.key(table), tables[table][0]
	what := fmt.Sprintf("edit %s.%s of %d", table, column, key)
	read := func(into any) {
		m.t.Helper()
		m.read(fmt.Sprintf(`SELECT %s FROM %s WHERE %s = %d`, column, table, id, key), into)
	}
	var next any
	switch column {
	case "seq", "position", "size":
		// A number that nothing has: before, far behind, or a gap's end.
		next = []int64{-1 - m.r.Int64N(1000), 1_000_000 + m.r.Int64N(1000)}[m.r.IntN(2)]
	case "at":
		var v int64
		read(&v)
		next = v + 1 - 2*m.r.Int64N(2)
	case "hash":
		var v []byte
		read(&v)
		v = slices.Clone(v)
		switch m.r.IntN(3) {
		case 0:
			v = v[:len(v)-1]
		case 1:
			v = append(v, 0)
		default:
			v[m.r.IntN(len(v))] ^= 1 << m.r.IntN(8)
		}
		next = v
	default:
		var v string
		read(&v)
		b := []byte(v)
		at := m.r.IntN(len(b))
		switch m.r.IntN(3) {
		case 0:
			b = slices.Delete(b, at, at+1)
		case 1:
			b = slices.Insert(b, at, 'x')
		default:
			b[at] = map[bool]byte{true: 'y', false: 'x'}[b[at] == 'x']
		}
		next = string(b)
		if next == v || !utf8.Valid(b) {
			next = v + "x"
		}
	}
	m.exec(fmt.Sprintf(`UPDATE %s SET %s = ? WHERE %s = %d`, table, column, id, key), next)
	return what
}

// one makes one change and says what it was.
func (m tamperer) one() string {
	m.t.Helper()
	table := slices.Sorted(maps.Keys(tables))[m.r.IntN(3)]
	switch m.r.IntN(8) {
	case 0: // removed
		key := m.key(table)
		if table == "audit_checkpoint" {
			key = size // the one that is anchored
		}
		m.exec(fmt.Sprintf(`DELETE FROM %s WHERE %s = %d`, table, tables[table][0], key))
		return fmt.Sprintf("delete %d from %s", key, table)
	case 1: // inserted, with a number that is free
		n := []int64{-1 - m.r.Int64N(50), size + 1 + m.r.Int64N(50)}[m.r.IntN(2)]
		if table == "audit_node" && n > 0 {
			n += 2 * size
		}
		columns := fmt.Sprint(n)
		for _, c := range tables[table][1:] {
			columns += ", " + c
		}
		m.exec(fmt.Sprintf(`INSERT INTO %s SELECT %s FROM %[1]s WHERE %[3]s = %[4]d`, table, columns, tables[table][0], m.key(table)))
		return fmt.Sprintf("insert %d into %s", n, table)
	case 2: // two rows change places
		column := tables[table][0]
		one, two := m.key(table), m.key(table)
		for one == two {
			two = m.key(table)
		}
		m.exec(fmt.Sprintf(`UPDATE %s SET %s = -9 WHERE %[2]s = %[3]d`, table, column, one))
		m.exec(fmt.Sprintf(`UPDATE %s SET %s = %d WHERE %[2]s = %[4]d`, table, column, one, two))
		m.exec(fmt.Sprintf(`UPDATE %s SET %s = %d WHERE %[2]s = -9`, table, column, two))
		return fmt.Sprintf("swap %d and %d of %s", one, two, table)
	case 3: // two columns of an entry change places
		text := tables["audit_entry"][2:]
		i := m.r.IntN(len(text) - 1)
		m.exec(fmt.Sprintf(`UPDATE audit_entry SET %s = %s, %[2]s = %[1]s WHERE seq = %[3]d`, text[i], text[i+1], m.key("audit_entry")))
		return "swap " + text[i] + " and " + text[i+1]
	}
	return m.edit(table, tables[table][m.r.IntN(len(tables[table]))])
}

// size is the log's that is tampered with. It is signed twice, the second time at
// its end, and that checkpoint is anchored.
const size = 300

// TestTampering is R22: of 1,000 random changes to a log, every one is found.
func TestTampering(t *testing.T) {
	t.Parallel()
	for _, on := range []string{"sqlite", "postgres"} {
		t.Run(on, func(t *testing.T) {
			t.Parallel()
			db, changes := storetest.SQLite(t, audit.Migrations), 1000
			if on == "postgres" {
				db, changes = storetest.Postgres(t, audit.Migrations), 200
			}
			key, log := newKey(t), &audit.Log{}
			appendTo(t, db, log, entries(0, size/2))
			sign(t, db, key)
			appendTo(t, db, log, entries(size/2, size/2))
			anchor := sign(t, db, key)
			if r := verify(t, db, key.Vkey, anchor.Note); len(r.Damage) > 0 || r.Entries != size || r.Checkpoints != 3 {
				t.Fatalf("before anything was changed: %+v", r)
			}
			seed := rand.Uint64()
			chance := rand.New(rand.NewPCG(seed, 0))
			for n := range changes {
				what, found := "", false
				// Each change is made and undone in a transaction of the log's
				// own connection, so that the next begins with a whole log.
				undo := fmt.Errorf("undo")
				err := db.Write(t.Context(), store.Relaxed, func(tx *store.Tx) error {
					what = tamperer{t, chance, tx}.one()
					r, err := audit.Verify(t.Context(), tx, key.Vkey, anchor.Note)
					found = err != nil || len(r.Damage) > 0
					return undo
				})
				if err != undo {
					t.Fatal(err)
				}
				if !found {
					t.Errorf("change %d of seed %d was not found: %s", n, seed, what)
				}
			}
			if r := verify(t, db, key.Vkey, anchor.Note); len(r.Damage) > 0 {
				t.Fatalf("a change was not undone: %+v", r)
			}
		})
	}
}

// A log that was cut short, or whose store was replaced by yesterday's copy, is
// whole in itself. The anchor knows better.
func TestAnAnchorFindsWhatTheLogCannot(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "store.db")
	open := func(path string) *store.DB {
		t.Helper()
		db, err := store.Open(ctx, store.Config{URL: "sqlite:" + path})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := open(path)
	if err := db.Migrate(ctx, audit.Migrations); err != nil {
		t.Fatal(err)
	}
	key, log := newKey(t), &audit.Log{}
	appendTo(t, db, log, entries(0, 100))
	yesterday := sign(t, db, key)
	if err := db.Close(); err != nil { // the whole store is in its file now
		t.Fatal(err)
	}
	older := filepath.Join(t.TempDir(), "older.db")
	copyFile(t, path, older)
	db = open(path)
	log = &audit.Log{}
	appendTo(t, db, log, entries(100, 50))
	today := sign(t, db, key)

	t.Run("the copy of a store is verified without its server", func(t *testing.T) {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		newer := filepath.Join(t.TempDir(), "copy.db")
		copyFile(t, path, newer)
		db = open(path)
		offline := open(newer)
		defer offline.Close()
		if r := verify(t, offline, key.Vkey, yesterday.Note, today.Note); len(r.Damage) > 0 || r.Entries != 150 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("an older copy is whole by itself and found by the anchor", func(t *testing.T) {
		restored := open(older)
		defer restored.Close()
		if r := verify(t, restored, key.Vkey, yesterday.Note); len(r.Damage) > 0 {
			t.Errorf("against its own time: %v", r.Damage)
		}
		want := []string{"anchor 1 covers 150 entries, the log has 100: it was cut short or is an older copy"}
		if r := verify(t, restored, key.Vkey, today.Note); !slices.Equal(r.Damage, want) {
			t.Errorf("got %v, want %v", r.Damage, want)
		}
		// And when it has grown past the anchor's size, its past is another one.
		grown := &audit.Log{}
		appendTo(t, restored, grown, entries(5000, 80))
		sign(t, restored, key)
		if r := verify(t, restored, key.Vkey, today.Note); len(r.Damage) == 0 {
			t.Error("a log that forked was not found")
		}
	})
	t.Run("a log that was cut short with its tree and checkpoint is found by the anchor", func(t *testing.T) {
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			for query, arg := range map[string]int64{
				`DELETE FROM audit_entry WHERE seq >= ?`: 120, `DELETE FROM audit_checkpoint WHERE size > ?`: 120,
				`DELETE FROM audit_node WHERE position >= ?`: tlog.StoredHashCount(120),
			} {
				if _, err := tx.Exec(ctx, query, arg); err != nil {
					return err
				}
			}
			return nil
		})
		if r := verify(t, db, key.Vkey); len(r.Damage) > 0 {
			t.Errorf("the cut should be clean, or this proves nothing: %v", r.Damage)
		}
		if r := verify(t, db, key.Vkey, today.Note); len(r.Damage) == 0 {
			t.Error("the cut was not found")
		}
	})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
