package seal

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

// FuzzEnvelope: nothing but what was encrypted decrypts, nothing panics, and
// what was encrypted comes back.
func FuzzEnvelope(f *testing.F) {
	b := setup(f)
	c, err := b.Encrypt("p", "t", "c", "r", []byte("hunter2"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c, "t", "c", "r")
	f.Add([]byte{}, "", "", "")
	f.Add([]byte{1, 0, 0, 0, 1}, "t", "c", "r")
	f.Add(bytes.Repeat([]byte{255}, 40), "t", "c", "r")
	f.Fuzz(func(t *testing.T, data []byte, table, column, row string) {
		plain, err := b.Decrypt("p", table, column, row, data)
		mine := bytes.Equal(data, c) && table == "t" && column == "c" && row == "r"
		if mine != (err == nil) || err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("decrypted to %q, %v", plain, err)
		}
		sealed, err := b.Encrypt("p", table, column, row, data)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := b.Decrypt("p", table, column, row, sealed); err != nil || !bytes.Equal(back, data) {
			t.Fatalf("%q came back as %q, %v", data, back, err)
		}
	})
}

// FuzzDocument: whatever the store holds, a sealer says no and does not panic.
func FuzzDocument(f *testing.F) {
	b := setup(f)
	f.Add(b.storage.document)
	f.Add([]byte(`{"format":1,"kind":"file","shares":1,"threshold":1,"root":"","ring":null}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := New(t.Context(), Config{Storage: &memory{document: raw}})
		if err != nil {
			return
		}
		if err := s.Unseal(t.Context(), make([]byte, keySize)); err == nil {
			t.Fatal("unsealed by a key of zeroes")
		}
	})
}

// FuzzRing: a ring reads back as it was written, and other bytes are refused.
func FuzzRing(f *testing.F) {
	r := newRing(time.Unix(1_800_000_000, 0))
	r.add(time.Unix(1_800_000_001, 0))
	f.Add(r.marshal())
	f.Add([]byte{ringFormat})
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := parseRing(raw)
		if err == nil && !bytes.Equal(r.marshal(), raw) {
			t.Fatal("the ring reads back differently")
		}
	})
}

// FuzzShamir: any threshold of shares gives the secret back.
func FuzzShamir(f *testing.F) {
	f.Add([]byte("secret"), uint8(5), uint8(3))
	f.Add([]byte{0}, uint8(2), uint8(2))
	f.Fuzz(func(t *testing.T, secret []byte, shares, threshold uint8) {
		if len(secret) == 0 || len(secret) > 64 {
			return
		}
		parts, err := split(secret, int(shares), int(threshold))
		if err != nil {
			return
		}
		got, err := combine(parts[int(shares)-int(threshold):])
		if err != nil || !bytes.Equal(got, secret) {
			t.Fatalf("%x came back as %x, %v", secret, got, err)
		}
	})
}
