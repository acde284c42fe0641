// Package store keeps sealed records. It knows who owns a record and of which kind it is, and nothing else: what a
// record says was encrypted before it came here.
package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
)

// ErrNotFound means that there is no such record, or that it belongs to somebody else.
var ErrNotFound = errors.New("not found")

// Kind is what a record is.
type Kind string

// The kinds.
const (
	Session Kind = "session" // owner's browser; found by the hash of its cookie
	Consent Kind = "consent" // a bank consent with its tokens
	Flow    Kind = "flow"    // an authorisation under way; found by the hash of its state
	Profile Kind = "profile" // a reading: its state, its answers
	Lines   Kind = "lines"   // the statement of a reading
	Said    Kind = "said"    // the owner's corrections
)

// Record is one row.
type Record struct {
	Kind   Kind
	ID     string
	Owner  string
	Lookup string // another way to find it, unique within the kind; may be empty
	Made   int64  // Unix seconds
	Body   []byte // sealed
}

// Store is what a database must do. Every method may be repeated without harm.
type Store interface {
	// Put writes a record, over an earlier one of the same kind, id and owner.
	Put(ctx context.Context, r Record) error
	// Get returns one record of an owner, or ErrNotFound.
	Get(ctx context.Context, kind Kind, owner, id string) (Record, error)
	// Find returns the record with this lookup, whoever owns it, or ErrNotFound.
	Find(ctx context.Context, kind Kind, lookup string) (Record, error)
	// List returns an owner's records of a kind, oldest first.
	List(ctx context.Context, kind Kind, owner string) ([]Record, error)
	// Delete removes one record; removing what is not there is no error.
	Delete(ctx context.Context, kind Kind, owner, id string) error
	// DeleteOwner removes everything that an owner has.
	DeleteOwner(ctx context.Context, owner string) error
	// Ping reports whether the store answers.
	Ping(ctx context.Context) error
	Close() error
}

// Memory is a store for development and tests. It forgets everything when the process ends.
type Memory struct {
	mu   sync.Mutex
	rows map[[2]string]Record
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{rows: map[[2]string]Record{}} }

// Put implements [Store].
func (m *Memory) Put(_ context.Context, r Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := [2]string{string(r.Kind), r.ID}
	if old, ok := m.rows[key]; ok && old.Owner != r.Owner {
		return ErrNotFound
	}
	r.Body = slices.Clone(r.Body)
	m.rows[key] = r
	return nil
}

// Get implements [Store].
func (m *Memory) Get(_ context.Context, kind Kind, owner, id string) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.rows[[2]string{string(kind), id}]
	if !ok || r.Owner != owner {
		return Record{}, ErrNotFound
	}
	return r, nil
}

// Find implements [Store].
func (m *Memory) Find(_ context.Context, kind Kind, lookup string) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rows {
		if r.Kind == kind && lookup != "" && r.Lookup == lookup {
			return r, nil
		}
	}
	return Record{}, ErrNotFound
}

// List implements [Store].
func (m *Memory) List(_ context.Context, kind Kind, owner string) ([]Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []Record
	for _, r := range m.rows {
		if r.Kind == kind && r.Owner == owner {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b Record) int { return cmp.Or(cmp.Compare(a.Made, b.Made), cmp.Compare(a.ID, b.ID)) })
	return list, nil
}

// Delete implements [Store].
func (m *Memory) Delete(_ context.Context, kind Kind, owner, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.rows[[2]string{string(kind), id}]; ok && r.Owner == owner {
		delete(m.rows, [2]string{string(kind), id})
	}
	return nil
}

// DeleteOwner implements [Store].
func (m *Memory) DeleteOwner(_ context.Context, owner string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, r := range m.rows {
		if r.Owner == owner {
			delete(m.rows, k)
		}
	}
	return nil
}

// Ping implements [Store].
func (*Memory) Ping(context.Context) error { return nil }

// Close implements [Store].
func (*Memory) Close() error { return nil }

// Len counts the records of the memory store, for tests of deletion.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.rows)
}

// Each shows every record of the memory store, for tests of what is kept.
func (m *Memory) Each(f func(Record)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rows {
		f(r)
	}
}
