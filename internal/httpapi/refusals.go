package httpapi

import (
	"net/netip"
	"sync"
	"time"
)

// refusals limits, per source, how many requests without a valid token are
// answered as such. They are counted and not written to the audit log: otherwise
// anybody could fill it.
//
// A valid token is never held up by it: an office behind one address, or a demo
// on loopback, must not be locked out by one broken script. Guessing gains
// nothing from that, as a token has 256 bits; passwords have limits of their own,
// where they are checked.
type refusals struct {
	perMinute int
	mu        sync.Mutex
	minute    time.Time
	counts    map[netip.Prefix]int
}

// maxSources bounds the table; sources that do not fit share one place.
const maxSources = 10_000

// note counts a refusal and returns how long the source must wait when it had
// more than its share of this minute, else 0.
func (l *refusals) note(source netip.Addr, now time.Time) time.Duration {
	key := sourceKey(source)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil || now.Sub(l.minute) >= time.Minute || now.Before(l.minute) {
		l.minute, l.counts = now, make(map[netip.Prefix]int)
	}
	if _, known := l.counts[key]; !known && len(l.counts) >= maxSources {
		key = netip.Prefix{}
	}
	l.counts[key]++
	if l.counts[key] > l.perMinute {
		return l.minute.Add(time.Minute).Sub(now)
	}
	return 0
}

// sourceKey is what counts as one source: an IPv4 address, or the /64 that an
// IPv6 host can pick its addresses from.
func sourceKey(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
