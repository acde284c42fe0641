package httpapi

import (
	"context"
	"sync"
	"time"

	"nightporter.dev/nightporter"
)

// MemoryIdempotency is an [IdempotencyStore] of one process, for tests and for a
// server whose store is in memory. The zero value is ready.
type MemoryIdempotency struct {
	mu       sync.Mutex
	attempts map[string]Attempt
}

// Reserve writes a unless a living attempt has its key. It also drops what has
// expired.
func (m *MemoryIdempotency) Reserve(_ context.Context, a Attempt, now time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.attempts == nil {
		m.attempts = make(map[string]Attempt)
	}
	for key, old := range m.attempts {
		if !old.Expires.After(now) {
			delete(m.attempts, key)
		}
	}
	if _, ok := m.attempts[a.Key]; ok {
		return false, nil
	}
	m.attempts[a.Key] = a
	return true, nil
}

// Load returns the attempt with the key.
func (m *MemoryIdempotency) Load(_ context.Context, key string) (Attempt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.attempts[key]
	if !ok {
		return Attempt{}, nightporter.E(nightporter.NotFound, "no request with this key")
	}
	return a, nil
}

// Complete replaces the attempt with the same key.
func (m *MemoryIdempotency) Complete(_ context.Context, a Attempt) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.attempts[a.Key] = a
	return nil
}

// Forget removes the attempt with the key.
func (m *MemoryIdempotency) Forget(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.attempts, key)
	return nil
}
