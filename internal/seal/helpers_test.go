package seal

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// memory is a Storage that can fail and counts its saves.
type memory struct {
	mu       sync.Mutex
	document []byte
	saves    int
	failLoad error
	failSave error
}

var errDisk = errors.New("disk full")

func (m *memory) Load(context.Context) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.document), m.failLoad
}

func (m *memory) Save(_ context.Context, d []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failSave != nil {
		return m.failSave
	}
	m.document, m.saves = bytes.Clone(d), m.saves+1
	return nil
}

// bundle is an initialised, unsealed store.
type bundle struct {
	*Sealer
	storage *memory
	key     []byte
	now     *time.Time
}

func setup(t testing.TB) bundle {
	t.Helper()
	now := time.Date(2027, 1, 15, 9, 0, 0, 0, time.UTC)
	b := bundle{storage: &memory{}, key: newKey(), now: &now}
	b.Sealer = b.restart(t)
	if err := b.Init(t.Context(), b.key); err != nil {
		t.Fatal(err)
	}
	return b
}

// restart is another process on the same storage, sealed.
func (b bundle) restart(t testing.TB) *Sealer {
	t.Helper()
	s, err := New(t.Context(), Config{Storage: b.storage, Now: func() time.Time { return *b.now }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func encrypt(t testing.TB, s *Sealer, row, plain string) []byte {
	t.Helper()
	c, err := s.Encrypt("secret rows", "kv", "value", row, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func decrypts(t testing.TB, s *Sealer, row string, ciphertext []byte, want string) {
	t.Helper()
	got, err := s.Decrypt("secret rows", "kv", "value", row, ciphertext)
	if err != nil || string(got) != want {
		t.Errorf("Decrypt of row %s: %q, %v; want %q", row, got, err, want)
	}
}
