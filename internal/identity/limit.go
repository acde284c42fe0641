package identity

import (
	"sync"
	"time"

	"nightporter.dev/nightporter"
)

// limiter counts failed tries by key over a minute. It forgets on restart, which
// costs an attacker nothing he could not get by waiting.
type limiter struct {
	now func() time.Time

	mu    sync.Mutex
	start time.Time
	count map[string]int
}

// maxKeys bounds the memory that a storm of made-up names can take.
const maxKeys = 10_000

// try counts one try for each key and refuses when either had too many.
func (l *limiter) try(a string, maxA int, b string, maxB int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); now.Sub(l.start) > time.Minute || len(l.count) > maxKeys {
		l.start, l.count = now, map[string]int{}
	}
	l.count[a]++
	l.count[b]++
	if l.count[a] > maxA || l.count[b] > maxB {
		return nightporter.E(nightporter.Limited, "too many tries").WithHint("wait a minute")
	}
	return nil
}

// forgive clears a key after a success.
func (l *limiter) forgive(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.count, key)
}
