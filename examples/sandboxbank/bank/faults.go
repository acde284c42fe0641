package bank

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// FaultNames lists every way this bank can misbehave, in the order of the README.
func FaultNames() []string {
	return []string{"429", "401", "403", "500", "stall", "revoke", "repeat-rows", "endless", "foreign-next", "sub-penny", "no-ids", "short-history"}
}

// Faults decides which requests go wrong. A fault written "name/n" strikes every nth request for data, counted
// from the start; "name" alone strikes every request. The same requests in the same order meet the same faults.
type Faults struct {
	mu    sync.Mutex
	every map[string]int
	seen  int
	lasts map[string]bool
}

// NoFaults returns a bank's good day.
func NoFaults() *Faults { return &Faults{every: map[string]int{}} }

// ParseFaults reads a list such as "stall/5,429/7,repeat-rows".
func ParseFaults(list string) (*Faults, error) {
	f := NoFaults()
	return f, f.Set(list)
}

// Set replaces the list while the bank runs.
func (f *Faults) Set(list string) error {
	every := map[string]int{}
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, n, counted := strings.Cut(part, "/")
		times := 1
		if counted {
			v, err := strconv.Atoi(n)
			if err != nil || v < 1 {
				return fmt.Errorf("reading fault %q: want a count after the slash", part)
			}
			times = v
		}
		if !slices.Contains(FaultNames(), name) {
			return fmt.Errorf("reading fault %q: known are %s", part, strings.Join(FaultNames(), ", "))
		}
		every[name] = times
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.every, f.seen = every, 0
	return nil
}

// shown is the set of faults that strike one request.
type shown map[string]bool

func (f *Faults) next() shown {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen++
	s := shown{}
	for name, n := range f.every {
		if f.seen%n == 0 {
			s[name] = true
		}
	}
	return s
}

// strike answers in place of the handler when a fault says so.
func (b *Bank) strike(w http.ResponseWriter, r *http.Request, consent string) (shown, bool) {
	s := b.cfg.Faults.next()
	if s["stall"] {
		b.cfg.Wait(r, 2*time.Second)
	}
	switch {
	case s["revoke"]:
		b.Revoke(consent)
		bare(w, http.StatusUnauthorized)
	case s["401"]:
		bare(w, http.StatusUnauthorized)
	case s["429"]:
		w.Header().Set("Retry-After", "1")
		bare(w, http.StatusTooManyRequests)
	case s["403"]:
		refuse(w, http.StatusForbidden, codeReauthenticate, "the customer must authenticate again", "")
	case s["500"]:
		refuse(w, http.StatusInternalServerError, codeUnexpected, "something unexpected happened", "")
	default:
		return s, false
	}
	return s, true
}
