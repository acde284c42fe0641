package audit_test

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
)

func TestAnchorFile(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t, audit.Migrations)
	key, log := newKey(t), &audit.Log{}
	path := filepath.Join(t.TempDir(), "anchors")
	place := audit.NewFile(path)
	var notes []string
	for n := range 3 {
		appendTo(t, db, log, entries(n*10, 10))
		c := sign(t, db, key)
		notes = append(notes, c.Note)
		for range 2 { // the second time is the same one
			if err := place.Put(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Run("keeps each checkpoint once, in order, and for us alone", func(t *testing.T) {
		kept, err := place.Kept(t.Context())
		if err != nil || !slices.Equal(kept, notes) {
			t.Errorf("got %q, want %q: %v", kept, notes, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info.Mode(), err)
		}
	})
	t.Run("finds the log cut short, and an older copy", func(t *testing.T) {
		kept, err := place.Kept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r := verify(t, db, key.Vkey, kept...); len(r.Damage) > 0 {
			t.Fatalf("whole: %v", r.Damage)
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			for _, q := range []string{
				`DELETE FROM audit_entry WHERE seq >= 20`, `DELETE FROM audit_checkpoint WHERE size > 20`, `DELETE FROM audit_node WHERE position >= 38`,
			} {
				if _, err := tx.Exec(ctx, q); err != nil {
					return err
				}
			}
			return nil
		})
		if r := verify(t, db, key.Vkey, kept...); len(r.Damage) == 0 {
			t.Error("the cut was not found")
		}
	})
	t.Run("refuses a link, a pipe and a folder", func(t *testing.T) {
		dir := t.TempDir()
		link := filepath.Join(dir, "link")
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{link, dir, "/dev/null"} {
			if err := audit.NewFile(p).Put(t.Context(), audit.Checkpoint{Note: notes[0]}); err == nil {
				t.Errorf("%s was written", p)
			}
		}
	})
	t.Run("a very long file is read from its end", func(t *testing.T) {
		long := filepath.Join(t.TempDir(), "long")
		if err := os.WriteFile(long, []byte(strings.Repeat(notes[0], 1000)+notes[2]), 0o600); err != nil {
			t.Fatal(err)
		}
		kept, err := audit.NewFile(long).Kept(t.Context())
		if err != nil || len(kept) < 100 || kept[len(kept)-1] != notes[2] || kept[0] != notes[0] {
			t.Errorf("%d notes: %v", len(kept), err)
		}
	})
}

// The judge is a server of the test's own that reads RFC 6587's frames.
func TestAnchorSyslog(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			got <- err.Error()
			return
		}
		defer conn.Close()
		b, _ := io.ReadAll(conn)
		got <- string(b)
	}()
	db := storetest.SQLite(t, audit.Migrations)
	log := &audit.Log{}
	appendTo(t, db, log, entries(0, 3))
	c := sign(t, db, newKey(t))
	place := audit.NewSyslog(l.Addr().String(), (&net.Dialer{}).DialContext)
	if err := place.Put(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	text := <-got
	length, message, _ := strings.Cut(text, " ")
	if want := len(message); length != strconv.Itoa(want) || !strings.HasPrefix(message, "<109>1 2026-11-22T12:00:00Z ") {
		t.Errorf("got %q", text)
	}
	_, escaped, _ := strings.Cut(message, "checkpoint - ")
	if note := strings.ReplaceAll(escaped, `\n`, "\n") + "\n"; note != c.Note {
		t.Errorf("got the note %q, want %q", note, c.Note)
	}
	l.Close()
	if err := place.Put(t.Context(), c); err == nil {
		t.Error("nobody listens, and there is no error")
	}
}
