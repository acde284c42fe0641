package vault_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
)

// keysOf are the keys of a listing.
func keysOf(a answer) (keys []string) {
	list, _ := a.at("data", "keys").([]any)
	for _, k := range list {
		keys = append(keys, k.(string))
	}
	return keys
}

func TestListingsAreTheSameOnBothDatabases(t *testing.T) {
	t.Parallel()
	storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
		h := openWith(t, options{unsealed: true, db: db})
		h.want(204, "root", "POST", "sys/mounts/one", m{"type": "kv"})
		h.want(204, "root", "POST", "sys/mounts/two", m{"type": "kv-v2"})
		for _, name := range []string{"b", "B", "a/x", "a/y/z", "a-b", "a0", "Ünï", "a%25", "_", "a_", "aa/b"} {
			h.want(204, "root", "PUT", "one/"+name, m{"k": "v"})
			h.want(200, "root", "PUT", "two/data/"+name, m{"data": m{"k": "v"}})
		}
		want := []string{"B", "_", "a%", "a-b", "a/", "a0", "a_", "aa/", "b", "Ünï"}
		slices.Sort(want)
		for _, path := range []string{"one/", "two/metadata/"} {
			if diff := cmp.Diff(want, keysOf(h.want(200, "root", "LIST", path, nil))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", path, diff)
			}
			if diff := cmp.Diff([]string{"x", "y/"}, keysOf(h.want(200, "root", "LIST", path+"a", nil))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", path+"a", diff)
			}
		}
	})
}

func TestOldVersionsGoAndANumberIsNeverGivenTwice(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.want(204, "root", "POST", "sys/mounts/kv", m{"type": "kv-v2"})
	for i := range 14 {
		a := h.want(200, "root", "POST", "kv/data/x", m{"data": m{"i": i}})
		if got := fmt.Sprint(a.at("data", "version")); got != fmt.Sprint(i+1) {
			t.Fatalf("version %s, want %d", got, i+1)
		}
	}
	h.want(404, "root", "GET", "kv/data/x?version=4", nil)
	h.want(200, "root", "GET", "kv/data/x?version=5", nil)
	meta := h.want(200, "root", "GET", "kv/metadata/x", nil)
	if v, _ := meta.at("data", "versions").(map[string]any); len(v) != 10 || fmt.Sprint(meta.at("data", "oldest_version")) != "5" {
		t.Errorf("metadata = %s", meta.Raw)
	}
	h.want(204, "root", "POST", "kv/metadata/x", m{"max_versions": 2})
	h.want(200, "root", "POST", "kv/data/x", m{"data": m{}})
	h.want(404, "root", "GET", "kv/data/x?version=13", nil)
	h.want(200, "root", "GET", "kv/data/x?version=14", nil)
}

func TestAVersionGoesByItselfWhenItsTimeHasCome(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.want(204, "root", "POST", "sys/mounts/kv", m{"type": "kv-v2"})
	h.want(204, "root", "POST", "kv/config", m{"delete_version_after": "1h"})
	h.want(200, "root", "POST", "kv/data/x", m{"data": m{"k": "v"}})
	h.want(200, "root", "GET", "kv/data/x", nil)
	h.clock.advance(2 * time.Hour)
	a := h.want(404, "root", "GET", "kv/data/x", nil)
	if a.at("data", "data") != nil || bytes.Contains(a.Raw, []byte(`"v"`)) {
		t.Errorf("a version past its time: %s", a.Raw)
	}
	h.want(204, "root", "POST", "kv/undelete/x", m{"versions": []int{1}})
	h.want(200, "root", "GET", "kv/data/x", nil)
}

func TestWhoSetsTheVersionItHasSeenNeverOverwritesAnother(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.want(204, "root", "POST", "sys/mounts/kv", m{"type": "kv-v2"})
	h.want(200, "root", "POST", "kv/data/n", m{"data": m{"n": 0}})
	const writers, each = 6, 5
	done := make(chan struct{})
	for range writers {
		go func() {
			defer func() { done <- struct{}{} }()
			for made := 0; made < each; {
				got := h.ask("root", "GET", "kv/data/n", nil)
				var n int
				fmt.Sscan(fmt.Sprint(got.at("data", "data", "n")), &n)
				a := h.ask("root", "POST", "kv/data/n", m{"data": m{"n": n + 1}, "options": m{"cas": got.at("data", "metadata", "version")}})
				if a.Status == 200 {
					made++
				}
			}
		}()
	}
	for range writers {
		<-done
	}
	if got := fmt.Sprint(h.want(200, "root", "GET", "kv/data/n", nil).at("data", "data", "n")); got != fmt.Sprint(writers*each) {
		t.Errorf("n = %s after %d increments", got, writers*each)
	}
}

// A row that was copied to another place, by whoever can write to the store,
// does not open there.
func TestAValueOpensOnlyWhereItWasWritten(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.want(204, "root", "POST", "sys/mounts/kv", m{"type": "kv-v2"})
	h.want(200, "root", "POST", "kv/data/prod", m{"data": m{"password": "the real one"}})
	h.want(200, "root", "POST", "kv/data/mine", m{"data": m{"password": "mine"}})
	ctx := nightporter.WithActor(t.Context(), nightporter.SystemActor("test", ""))
	err := h.gate.Do(ctx, nightporter.Action{Name: "test"}, nightporter.Resource{}, func(tx *gate.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE kv_version SET value = (SELECT value FROM kv_version WHERE path = ?) WHERE path = ?`, []byte("prod"), []byte("mine"))
		return err
	})
	noError(t, err)
	if a := h.want(500, "root", "GET", "kv/data/mine", nil); bytes.Contains(a.Raw, []byte("real")) {
		t.Errorf("answer = %s", a.Raw)
	}
}

func TestEveryReadOfASecretIsInTheAuditLog(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.want(204, "root", "POST", "sys/mounts/kv", m{"type": "kv-v2"})
	h.want(204, "root", "POST", "sys/mounts/one", m{"type": "kv"})
	h.want(200, "root", "POST", "kv/data/a", m{"data": m{"k": "v"}})
	h.want(204, "root", "POST", "one/b", m{"k": "v"})
	h.want(204, "root", "POST", "cubbyhole/c", m{"k": "v"})
	for _, path := range []string{"kv/data/a", "kv/data/a?version=1", "kv/subkeys/a", "one/b", "cubbyhole/c", "kv/data/missing"} {
		before := h.entries(".read")
		h.ask("root", "GET", path, nil)
		if got := h.entries(".read") - before; got != 1 {
			t.Errorf("GET %s wrote %d entries, want 1", path, got)
		}
	}
}

// entries counts the audit entries whose action ends so.
func (h *house) entries(action string) (n int) {
	h.t.Helper()
	err := h.db.View(h.t.Context(), func(tx *store.Tx) error {
		return tx.Each(h.t.Context(), `SELECT action FROM audit_entry`, nil, func(scan func(...any) error) error {
			var a string
			err := scan(&a)
			if strings.HasSuffix(a, action) {
				n++
			}
			return err
		})
	})
	noError(h.t.(*testing.T), err)
	return n
}

func TestACubbyholeIsItsTokensAloneAndEndsWithIt(t *testing.T) {
	t.Parallel()
	h := open(t)
	first, second := h.token(m{"policies": "default"}), h.token(m{"policies": "default"})
	h.want(204, first, "PUT", "cubbyhole/a", m{"k": "v"})
	h.want(404, second, "GET", "cubbyhole/a", nil)
	h.want(404, "root", "GET", "cubbyhole/a", nil)
	h.want(204, first, "POST", "auth/token/revoke-self", nil)
	noError(t, h.reaper.Finish(t.Context(), h.doomed()))
	var n int
	noError(t, h.db.View(t.Context(), func(tx *store.Tx) error {
		return tx.QueryRow(t.Context(), `SELECT COUNT(*) FROM cubbyhole`).Scan(&n)
	}))
	if n != 0 {
		t.Errorf("%d values are left", n)
	}
}

// doomed are the leases that have ended and wait for the reaper.
func (h *house) doomed() (ids []string) {
	h.t.Helper()
	noError(h.t.(*testing.T), h.db.View(h.t.Context(), func(tx *store.Tx) error {
		return tx.Each(h.t.Context(), `SELECT id FROM lease WHERE state = 'doomed'`, nil, func(scan func(...any) error) error {
			var id string
			err := scan(&id)
			ids = append(ids, id)
			return err
		})
	}))
	return ids
}
