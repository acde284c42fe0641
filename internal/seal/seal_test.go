package seal

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
)

func TestEncryptBindsAValueToItsPlace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	type place struct{ purpose, table, column, row string }
	home := place{"secret rows", "kv", "value", "42"}
	for _, plain := range []string{"hunter2", "", strings.Repeat("x", 1<<16)} {
		c, err := b.Encrypt(home.purpose, home.table, home.column, home.row, []byte(plain))
		if err != nil {
			t.Fatal(err)
		}
		if len(c) != len(plain)+Overhead {
			t.Errorf("%d bytes became %d, want %d more", len(plain), len(c), Overhead)
		}
		decrypts(t, b.Sealer, home.row, c, plain)
		for _, p := range []place{
			{"secret rows", "kv", "value", "43"},
			{"secret rows", "kv", "other", "42"},
			{"secret rows", "kv2", "value", "42"},
			{"sessions", "kv", "value", "42"},
			{"secret rows", "kvv", "alue", "42"},
			{"secret rows", "kv", "value4", "2"},
			{"", "", "", ""},
		} {
			got, err := b.Decrypt(p.purpose, p.table, p.column, p.row, c)
			if !errors.Is(err, ErrDamaged) || got != nil {
				t.Errorf("moved to %v: %q, %v; want ErrDamaged", p, got, err)
			}
		}
	}
}

func TestEncryptNeverRepeatsACiphertext(t *testing.T) {
	t.Parallel()
	b := setup(t)
	seen := map[string]bool{}
	for range 1000 {
		c := string(encrypt(t, b.Sealer, "1", "same"))
		if seen[c] {
			t.Fatal("two ciphertexts are equal")
		}
		seen[c] = true
	}
}

func TestDecryptRefusesEveryChangedByte(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := encrypt(t, b.Sealer, "1", "hunter2")
	for i := range c {
		for bit := range 8 {
			changed := bytes.Clone(c)
			changed[i] ^= 1 << bit
			if got, err := b.Decrypt("secret rows", "kv", "value", "1", changed); !errors.Is(err, ErrDamaged) {
				t.Fatalf("byte %d bit %d changed: %q, %v; want ErrDamaged", i, bit, got, err)
			}
		}
		if _, err := b.Decrypt("secret rows", "kv", "value", "1", c[:i]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut to %d bytes: %v, want ErrDamaged", i, err)
		}
	}
	if _, err := b.Decrypt("secret rows", "kv", "value", "1", append(c, 0)); !errors.Is(err, ErrDamaged) {
		t.Errorf("one byte more: %v, want ErrDamaged", err)
	}
}

// The format, taken apart with the standard library alone: what is documented
// is what is written.
func TestEnvelopeIsWhatTheDocumentationSays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := encrypt(t, b.Sealer, "42", "hunter2")
	key, err := hkdf.Key(sha256.New, b.keys.ring.current().key, nil, "nightporter/seal/data/1/secret rows", 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	aad := []byte("\x02kv\x05value\x0242\x00\x00\x00\x01")
	if diff := cmp.Diff([]byte{1, 0, 0, 0, 1}, c[:5]); diff != "" {
		t.Errorf("header (-want +got)\n%s", diff)
	}
	plain, err := gcm.Open(nil, c[5:17], c[17:], aad)
	if err != nil || string(plain) != "hunter2" {
		t.Errorf("opened %q, %v", plain, err)
	}
}

func TestMACIsStableAndSeparateForEachPurpose(t *testing.T) {
	t.Parallel()
	b := setup(t)
	mac := func(s *Sealer, purpose, data string) []byte {
		t.Helper()
		m, err := s.MAC(purpose, []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	first := mac(b.Sealer, "audit", "x")
	for _, other := range [][]byte{mac(b.Sealer, "audit", "y"), mac(b.Sealer, "findings", "x")} {
		if hmac.Equal(first, other) {
			t.Error("two MACs are equal")
		}
	}
	if _, err := b.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !hmac.Equal(first, mac(b.Sealer, "audit", "x")) {
		t.Error("a rotation changed the MAC")
	}
	s := b.restart(t)
	if err := s.Unseal(t.Context(), b.key); err != nil {
		t.Fatal(err)
	}
	if !hmac.Equal(first, mac(s, "audit", "x")) {
		t.Error("a restart changed the MAC")
	}
}

func TestSealedRefusesEverything(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := encrypt(t, b.Sealer, "1", "x")
	b.Seal()
	b.Seal() // twice is once
	ctx := t.Context()
	for name, f := range map[string]func() error{
		"Encrypt":     func() error { _, err := b.Encrypt("p", "t", "c", "r", nil); return err },
		"Decrypt":     func() error { _, err := b.Decrypt("secret rows", "kv", "value", "1", c); return err },
		"MAC":         func() error { _, err := b.MAC("p", nil); return err },
		"Rotate":      func() error { _, err := b.Rotate(ctx); return err },
		"Maintain":    func() error { _, err := b.Maintain(ctx); return err },
		"Reload":      func() error { return b.Reload(ctx) },
		"Rekey":       func() error { return b.Rekey(ctx, newKey()) },
		"RekeyShamir": func() error { _, err := b.RekeyShamir(ctx, 3, 2); return err },
	} {
		if err := f(); nightporter.CodeOf(err) != nightporter.Sealed {
			t.Errorf("%s: %v, want sealed", name, err)
		}
	}
	if err := b.Unseal(ctx, b.key); err != nil {
		t.Fatal(err)
	}
	decrypts(t, b.Sealer, "1", c, "x")
}

func TestUnsealRefusesAWrongKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.restart(t)
	for name, key := range map[string][]byte{"another": newKey(), "short": b.key[:31], "long": append(bytes.Clone(b.key), 0), "none": nil} {
		if err := s.Unseal(t.Context(), key); nightporter.CodeOf(err) != nightporter.Invalid || !s.Sealed() {
			t.Errorf("%s: %v, sealed %v; want invalid and sealed", name, err, s.Sealed())
		}
	}
	if err := s.Unseal(t.Context(), b.key); err != nil || s.Sealed() {
		t.Errorf("the right key: %v, sealed %v", err, s.Sealed())
	}
	if err := s.Unseal(t.Context(), nil); err != nil {
		t.Errorf("unsealing what is unsealed: %v", err)
	}
}

func TestInitHappensOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.Init(t.Context(), newKey()); nightporter.CodeOf(err) != nightporter.Conflict {
		t.Errorf("the second time: %v, want conflict", err)
	}
	if _, err := b.restart(t).InitShamir(t.Context(), 3, 2); nightporter.CodeOf(err) != nightporter.Conflict {
		t.Errorf("by another process: %v, want conflict", err)
	}
	empty, err := New(t.Context(), Config{Storage: &memory{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := empty.Unseal(t.Context(), b.key); nightporter.CodeOf(err) != nightporter.Conflict {
		t.Errorf("unsealing before init: %v, want conflict", err)
	}
	if err := empty.Init(t.Context(), b.key[:16]); nightporter.CodeOf(err) != nightporter.Invalid {
		t.Errorf("a short key: %v, want invalid", err)
	}
	if _, err := New(t.Context(), Config{}); err == nil {
		t.Error("New without a storage succeeded")
	}
}

func TestInitThatCannotSaveLeavesNothing(t *testing.T) {
	t.Parallel()
	m := &memory{failSave: errDisk}
	s, err := New(t.Context(), Config{Storage: m})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Init(t.Context(), newKey()); !errors.Is(err, errDisk) || !s.Sealed() || s.Status().Initialised {
		t.Errorf("%v, status %+v; want the disk's error and nothing initialised", err, s.Status())
	}
	if shares, err := s.InitShamir(t.Context(), 3, 2); !errors.Is(err, errDisk) || shares != nil {
		t.Errorf("%d shares, %v; want none", len(shares), err)
	}
	m.failLoad = errDisk
	if err := s.Unseal(t.Context(), newKey()); !errors.Is(err, errDisk) {
		t.Errorf("unseal: %v, want the disk's error", err)
	}
}

func TestSealClearsTheKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.MAC("p", nil); err != nil {
		t.Fatal(err)
	}
	held := [][]byte{b.keys.root, b.keys.ring.mac}
	for _, k := range b.keys.ring.keys {
		held = append(held, k.key)
	}
	b.keys.ring.derived.Range(func(_, p any) bool {
		held = append(held, p.(*purposeKey).mac)
		return true
	})
	b.Seal()
	for i, k := range held {
		if len(k) != keySize || !bytes.Equal(k, make([]byte, keySize)) {
			t.Errorf("key %d is still there", i)
		}
	}
}

// Whatever is printed, no key is in it: not as bytes, hex or base64, not in part.
func TestKeysAreNeverPrinted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v %s %d %x %q", b.Sealer, b.Sealer, b.Sealer, b.Sealer, b.Sealer, b.Sealer, b.Sealer)
	fmt.Fprintf(&out, "%+v", b.Status())
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "sealer", b.Sealer)
	out.Write(b.storage.document)
	wrong := b.restart(t)
	bad := bytes.Clone(b.key)
	bad[31] ^= 1
	for _, err := range []error{wrong.Unseal(t.Context(), bad), wrong.Unseal(t.Context(), b.key[:31]), b.Init(t.Context(), b.key)} {
		fmt.Fprintf(&out, "%v %+v %#v", err, err, err)
	}
	secrets := [][]byte{b.key, b.keys.root, b.keys.ring.mac, b.keys.ring.current().key}
	for i, s := range secrets {
		for name, form := range map[string]string{
			"bytes": string(s[:8]), "hex": hex.EncodeToString(s[:6]), "base64": base64.StdEncoding.EncodeToString(s[:6]),
			"decimal": strings.Trim(fmt.Sprint(s[:4]), "[]"),
		} {
			if strings.Contains(out.String(), form) {
				t.Errorf("secret %d is printed as %s", i, name)
			}
		}
	}
}

func TestWaitUnsealedReturnsWhenTheStoreOpens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		s := b.restart(t)
		done := make(chan error, 1)
		go func() { done <- s.WaitUnsealed(t.Context()) }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("returned %v while sealed", err)
		default:
		}
		if err := s.Unseal(t.Context(), b.key); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		_, changed := s.Watch()
		s.Seal()
		<-changed
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- s.WaitUnsealed(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("after cancel: %v", err)
		}
	})
}

// Sealing, unsealing and rotating under load: every answer is right or sealed,
// and no ring of cleared keys is ever stored.
func TestSealerUnderLoad(t *testing.T) {
	t.Parallel()
	b := setup(t)
	old := encrypt(t, b.Sealer, "old", "from before")
	var workers sync.WaitGroup
	stop := make(chan struct{})
	for i := range 3 {
		workers.Go(func() {
			row := fmt.Sprint(i)
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := b.Encrypt("secret rows", "kv", "value", row, []byte(row))
				if err == nil {
					var plain []byte
					if plain, err = b.Decrypt("secret rows", "kv", "value", row, c); err == nil && string(plain) != row {
						t.Errorf("row %s came back as %q", row, plain)
					}
				}
				if err != nil && nightporter.CodeOf(err) != nightporter.Sealed {
					t.Error(err)
					return
				}
			}
		})
	}
	workers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				b.Seal()
			}
		}
	})
	for range 50 {
		for _, f := range []func() error{
			func() error { _, err := b.Rotate(t.Context()); return err },
			func() error { _, err := b.Maintain(t.Context()); return err },
			func() error { return b.Unseal(t.Context(), b.key) },
		} {
			if err := f(); err != nil && nightporter.CodeOf(err) != nightporter.Sealed {
				t.Error(err)
			}
		}
	}
	close(stop)
	workers.Wait()
	s := b.restart(t)
	if err := s.Unseal(t.Context(), b.key); err != nil {
		t.Fatal(err)
	}
	decrypts(t, s, "old", old, "from before")
}
