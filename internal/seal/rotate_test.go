package seal

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
)

func TestRotateKeepsOldRowsReadable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var rows [][]byte
	for version := uint32(1); version <= 4; version++ {
		c := encrypt(t, b.Sealer, "1", "x")
		if got, err := KeyVersion(c); got != version || err != nil {
			t.Errorf("encrypted with version %d, %v; want %d", got, err, version)
		}
		rows = append(rows, c)
		if got, err := b.Rotate(t.Context()); got != version+1 || err != nil {
			t.Fatalf("rotated to %d, %v; want %d", got, err, version+1)
		}
	}
	s := b.restart(t)
	if err := s.Unseal(t.Context(), b.key); err != nil {
		t.Fatal(err)
	}
	for _, c := range rows {
		decrypts(t, b.Sealer, "1", c, "x")
		decrypts(t, s, "1", c, "x")
	}
	if got := s.Status().KeyVersion; got != 5 {
		t.Errorf("after a restart version %d encrypts, want 5", got)
	}
}

func TestRotateThatCannotSaveEncryptsWithTheOldKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.storage.failSave = errDisk
	if _, err := b.Rotate(t.Context()); !errors.Is(err, errDisk) {
		t.Errorf("%v, want the disk's error", err)
	}
	c := encrypt(t, b.Sealer, "1", "x")
	if got, _ := KeyVersion(c); got != 1 {
		t.Errorf("encrypted with version %d, which no storage holds", got)
	}
	s := b.restart(t)
	if err := s.Unseal(t.Context(), b.key); err != nil {
		t.Fatal(err)
	}
	decrypts(t, s, "1", c, "x")
}

func TestMaintainRotatesByAgeAndByUse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	maintain := func(want bool) {
		t.Helper()
		if got, err := b.Maintain(t.Context()); got != want || err != nil {
			t.Errorf("rotated %v, %v; want %v", got, err, want)
		}
	}
	maintain(false)
	*b.now = b.now.Add(MaxAge - time.Second)
	maintain(false)
	*b.now = b.now.Add(time.Second)
	maintain(true)
	maintain(false)
	b.keys.ring.current().uses.Store(MaxUses - 1)
	maintain(false)
	// The count is stored, so a restart does not start it afresh.
	s := b.restart(t)
	if err := s.Unseal(t.Context(), b.key); err != nil {
		t.Fatal(err)
	}
	encrypt(t, s, "1", "x")
	if rotated, err := s.Maintain(t.Context()); !rotated || err != nil {
		t.Errorf("at the last use: rotated %v, %v; want true", rotated, err)
	}
}

func TestReloadTakesUpTheRotationOfAnotherProcess(t *testing.T) {
	t.Parallel()
	b := setup(t)
	standby := b.restart(t)
	if err := standby.Unseal(t.Context(), b.key); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := encrypt(t, b.Sealer, "1", "x")
	if _, err := standby.Decrypt("secret rows", "kv", "value", "1", c); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "key version 2") {
		t.Errorf("before the reload: %v, want the missing version named", err)
	}
	if err := standby.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	decrypts(t, standby, "1", c, "x")
}

func TestRekeyChangesOneValueAndNoRow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := encrypt(t, b.Sealer, "1", "x")
	var before, after document
	_ = json.Unmarshal(b.storage.document, &before)
	key := newKey()
	if err := b.Rekey(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(b.storage.document, &after)
	if string(before.Ring) != string(after.Ring) || string(before.Root) == string(after.Root) {
		t.Error("want a new wrapping of the root key and the same ring")
	}
	s := b.restart(t)
	if err := s.Unseal(t.Context(), b.key); nightporter.CodeOf(err) != nightporter.Invalid {
		t.Errorf("the old key: %v, want invalid", err)
	}
	if err := s.Unseal(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	decrypts(t, s, "1", c, "x")
}

func TestRekeyMovesBetweenAFileAndShares(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := encrypt(t, b.Sealer, "1", "x")
	shares, err := b.RekeyShamir(t.Context(), 5, 3)
	if err != nil {
		t.Fatal(err)
	}
	s := b.restart(t)
	if err := s.Unseal(t.Context(), b.key); nightporter.CodeOf(err) != nightporter.Conflict {
		t.Errorf("a key for a store with shares: %v, want conflict", err)
	}
	for _, share := range shares[1:4] {
		if _, err := s.UnsealShare(t.Context(), share); err != nil {
			t.Fatal(err)
		}
	}
	decrypts(t, s, "1", c, "x")
	key := newKey()
	if err := s.Rekey(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	s.Seal()
	if _, err := s.UnsealShare(t.Context(), shares[0]); nightporter.CodeOf(err) != nightporter.Conflict {
		t.Errorf("a share for a store with a key file: %v, want conflict", err)
	}
	if err := s.Unseal(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	decrypts(t, s, "1", c, "x")
	if _, err := b.RekeyShamir(t.Context(), 5, 9); nightporter.CodeOf(err) != nightporter.Invalid {
		t.Errorf("a threshold above the shares: %v, want invalid", err)
	}
	b.storage.failSave = errDisk
	if shares, err := s.RekeyShamir(t.Context(), 5, 3); !errors.Is(err, errDisk) || shares != nil {
		t.Errorf("%d shares, %v; want none and the disk's error", len(shares), err)
	}
}

// What is readable in the document cannot be changed in the store.
func TestDocumentCannotBeEdited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	shares, err := b.RekeyShamir(t.Context(), 3, 3)
	if err != nil {
		t.Fatal(err)
	}
	whole := string(b.storage.document)
	for name, edit := range map[string]func(string) string{
		"a lower threshold": func(s string) string { return strings.Replace(s, `"threshold":3`, `"threshold":2`, 1) },
		"more shares":       func(s string) string { return strings.Replace(s, `"shares":3`, `"shares":4`, 1) },
	} {
		b.storage.document = []byte(edit(whole))
		s := b.restart(t)
		var err error
		for _, share := range shares {
			if _, err = s.UnsealShare(t.Context(), share); err != nil {
				break
			}
		}
		if nightporter.CodeOf(err) != nightporter.Invalid || !s.Sealed() {
			t.Errorf("%s: %v, want invalid and sealed", name, err)
		}
	}
	for name, text := range map[string]string{
		"not JSON": "x", "cut": whole[:len(whole)/2], "an unknown field": `{"x":1}`, "another format": strings.Replace(whole, `"format":1`, `"format":2`, 1),
		"another kind": strings.Replace(whole, "shamir", "magic", 1), "a file with shares": strings.Replace(whole, "shamir", "file", 1),
		"text behind": whole + "{}", "too long": whole + strings.Repeat(" ", maxDocument), "no shares": strings.Replace(whole, `"shares":3`, `"shares":0`, 1),
	} {
		b.storage.document = []byte(text)
		if s, err := New(t.Context(), Config{Storage: b.storage}); err == nil {
			t.Errorf("%s was read: %+v", name, s.Status())
		}
	}
}

func TestUnsealTellsADamagedRingFromAWrongKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var d document
	if err := json.Unmarshal(b.storage.document, &d); err != nil {
		t.Fatal(err)
	}
	d.Ring[20] ^= 1
	b.storage.document, _ = d.marshal()
	if err := b.restart(t).Unseal(t.Context(), b.key); nightporter.CodeOf(err) != nightporter.Internal {
		t.Errorf("%v, want internal: the key is right", err)
	}
	if err := b.Reload(t.Context()); nightporter.CodeOf(err) != nightporter.Internal {
		t.Errorf("reload: %v, want internal", err)
	}
}
