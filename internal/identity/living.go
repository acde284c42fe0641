package identity

import (
	"crypto/sha256"
	"sync"
	"time"

	"nightporter.dev/nightporter/internal/lease"
)

// living remembers tokens that were read from the store, so that a token in use
// costs one read and not one a request. It holds no token, only hashes.
//
// A token is dead at once when anything above it ends, so an entry goes in the
// same moment as any of its ancestors changes: everything that ends or renews a
// token's lease goes through this package and calls forget after its commit,
// before its caller is answered. What ends by itself is seen by the time of the
// chain's first end.
type living struct {
	mu      sync.RWMutex
	changes uint64
	entries map[[sha256.Size]byte]remembered
	// below has, for each accessor, the entries that end with it.
	below map[string]map[[sha256.Size]byte]bool
}

type remembered struct {
	info  Info
	chain lease.Chain
}

// maxLiving bounds the memory; a full one starts afresh.
const maxLiving = 10_000

func (l *living) get(h [sha256.Size]byte, now time.Time) (Info, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	e, ok := l.entries[h]
	return e.info, ok && e.chain.Alive(now)
}

// generation is read before the store is; put compares it.
func (l *living) generation() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.changes
}

// put remembers what was read, unless something has changed since: then the
// reading may be from before it.
func (l *living) put(h [sha256.Size]byte, info Info, chain lease.Chain, seen uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changes != seen {
		return
	}
	if l.entries == nil || len(l.entries) >= maxLiving {
		l.entries, l.below = map[[sha256.Size]byte]remembered{}, map[string]map[[sha256.Size]byte]bool{}
	}
	l.entries[h] = remembered{info, chain}
	for _, id := range chain.IDs {
		if l.below[id] == nil {
			l.below[id] = map[[sha256.Size]byte]bool{}
		}
		l.below[id][h] = true
	}
}

// forget drops a token and everything below it.
func (l *living) forget(accessor string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes++
	for h := range l.below[accessor] {
		for _, id := range l.entries[h].chain.IDs {
			if delete(l.below[id], h); len(l.below[id]) == 0 {
				delete(l.below, id)
			}
		}
		delete(l.entries, h)
	}
}
