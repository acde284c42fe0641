package seal_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"testing"

	"example.org/affordability/seal"
)

func box(t *testing.T) *seal.Box {
	t.Helper()
	b, err := seal.New(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBox(t *testing.T) {
	t.Parallel()
	plain := []byte("a refresh token")
	t.Run("what is sealed opens in its own place only, with its own key only", func(t *testing.T) {
		t.Parallel()
		b := box(t)
		sealed := b.Seal(plain, "consent/ana/1")
		if got, err := b.Open(sealed, "consent/ana/1"); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("Open = %q, %v", got, err)
		}
		if _, err := b.Open(sealed, "consent/ben/1"); !errors.Is(err, seal.ErrSealed) {
			t.Errorf("another place: %v", err)
		}
		if _, err := box(t).Open(sealed, "consent/ana/1"); !errors.Is(err, seal.ErrSealed) {
			t.Errorf("another key: %v", err)
		}
		sealed[len(sealed)-1] ^= 1
		if _, err := b.Open(sealed, "consent/ana/1"); !errors.Is(err, seal.ErrSealed) {
			t.Errorf("damage: %v", err)
		}
	})
	t.Run("equal secrets do not look equal, and none shows through", func(t *testing.T) {
		t.Parallel()
		b := box(t)
		if x, y := b.Seal(plain, "p"), b.Seal(plain, "p"); bytes.Equal(x, y) || bytes.Contains(x, plain) {
			t.Error("sealed bytes give something away")
		}
	})
	t.Run("a signature verifies and a changed report does not", func(t *testing.T) {
		t.Parallel()
		b := box(t)
		sig := b.Sign([]byte("report"))
		if !ed25519.Verify(b.PublicKey(), []byte("report"), sig) || ed25519.Verify(b.PublicKey(), []byte("Report"), sig) {
			t.Error("the signature does not tell reports apart")
		}
	})
	t.Run("a short key is refused", func(t *testing.T) {
		t.Parallel()
		for _, key := range []string{"", "c2hvcnQ=", "not base64 at all!"} {
			if _, err := seal.New(key); err == nil {
				t.Errorf("key %q was accepted", key)
			}
		}
	})
}

func FuzzOpen(f *testing.F) {
	b, err := seal.New(seal.NewKey())
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{}, "p")
	f.Fuzz(func(t *testing.T, sealed []byte, place string) {
		if _, err := b.Open(sealed, place); err == nil {
			t.Error("bytes that nobody sealed opened")
		}
	})
}

func Example() {
	b, _ := seal.New(seal.NewKey())
	plain, err := b.Open(b.Seal([]byte("secret"), "consent/ana/1"), "consent/ana/1")
	fmt.Println(string(plain), err)
	// Output: secret <nil>
}
