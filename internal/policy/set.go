package policy

import (
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"nightporter.dev/nightporter"
)

// Config says how a [Set] behaves. The zero Config is usable.
type Config struct {
	// Now tells the time for rules that expire. Default: time.Now.
	Now func() time.Time
	// Identity tells what templates are filled from. Default: a person's name
	// is the entity's name; machines have no identity, because whoever makes a
	// token chooses its name.
	Identity func(nightporter.Actor) Identity
	// MaxCached is how many compiled combinations of policies and identity
	// values are kept; beyond it the cache starts afresh. Default: 4096.
	MaxCached int
}

// Set holds policies by name and answers for actors that carry those names.
// Readers take no lock. Names that the set does not have grant nothing.
type Set struct {
	now      func() time.Time
	identity func(nightporter.Actor) Identity
	max      int
	root     *ACL

	mu      sync.Mutex // held by writers
	current atomic.Pointer[snapshot]
}

// snapshot is the policies at one generation, with the ACLs compiled from them.
type snapshot struct {
	generation uint64
	policies   map[string]*Policy

	mu    sync.Mutex // held by whoever adds to cache
	cache atomic.Pointer[map[string]*compiled]
}

// compiled is a cache entry. Under the names of policies it holds their ACL, or,
// if they have templates, the variables whose values complete the key.
type compiled struct {
	acl       *ACL
	policies  []*Policy
	variables []string
}

// NewSet makes a set without policies.
func NewSet(c Config) (*Set, error) {
	s := &Set{now: c.Now, identity: c.Identity, max: c.MaxCached, root: rootACL()}
	if s.now == nil {
		s.now = time.Now
	}
	if s.identity == nil {
		s.identity = personName
	}
	if s.max <= 0 {
		s.max = 4096
	}
	s.publish(1, map[string]*Policy{})
	return s, nil
}

func personName(a nightporter.Actor) Identity {
	if a.Kind != nightporter.Person {
		return Identity{}
	}
	return Identity{Name: a.Name}
}

func (s *Set) publish(generation uint64, policies map[string]*Policy) {
	next := &snapshot{generation: generation, policies: policies}
	next.cache.Store(&map[string]*compiled{})
	s.current.Store(next)
}

// Generation counts the changes of the set. The gate reads it before it decides
// and again inside the transaction, so that no decision outlives its policies.
func (s *Set) Generation() uint64 { return s.current.Load().generation }

// Get returns a policy.
func (s *Set) Get(name string) (*Policy, bool) {
	p, ok := s.current.Load().policies[name]
	return p, ok
}

// Names lists the policies of the set, sorted. Root is not in it.
func (s *Set) Names() []string {
	return slices.Sorted(maps.Keys(s.current.Load().policies))
}

// Put adds policies or replaces those of the same names. Callers store the text
// first; the set is what the store says, never ahead of it.
func (s *Set) Put(policies ...*Policy) {
	s.change(func(m map[string]*Policy) {
		for _, p := range policies {
			m[p.Name] = p
		}
	})
}

// Delete takes policies out. Names that are not there are ignored.
func (s *Set) Delete(names ...string) {
	s.change(func(m map[string]*Policy) {
		for _, n := range names {
			delete(m, n)
		}
	})
}

// Replace makes these policies the whole set, at start and after a take-over.
func (s *Set) Replace(policies ...*Policy) {
	s.change(func(m map[string]*Policy) {
		clear(m)
		for _, p := range policies {
			m[p.Name] = p
		}
	})
}

func (s *Set) change(f func(map[string]*Policy)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.current.Load()
	next := maps.Clone(old.policies)
	f(next)
	s.publish(old.generation+1, next)
}

// Decide answers one action of an actor by the policies that it carries. It is
// for whoever is not Nightporter itself; a system actor is refused here.
func (s *Set) Decide(a nightporter.Actor, act nightporter.Action) nightporter.Decision {
	return s.DecideRequest(a, act, Request{})
}

// DecideRequest is Decide for requests whose body or wrapping policies may
// limit: everything under /v1. See [RequestFrom].
func (s *Set) DecideRequest(a nightporter.Actor, act nightporter.Action, r Request) nightporter.Decision {
	if a.Kind == nightporter.System {
		return refuse("system actors are the gate's to decide")
	}
	return s.ACL(a).Decide(act, r)
}

// ACL returns the compiled policies of an actor. It is current when it is
// returned; keep it for one request, not longer.
func (s *Set) ACL(a nightporter.Actor) *ACL {
	if slices.Contains(a.Policies, RootName) {
		return s.root
	}
	snap := s.current.Load()
	var buf [256]byte
	key := appendStrings(buf[:0], a.Policies)
	entry := (*snap.cache.Load())[string(key)]
	if entry == nil {
		entry = s.combine(snap, a.Policies)
		snap.remember(string(key), entry, s.max)
	}
	if len(entry.variables) == 0 && s.fresh(entry.acl) {
		return entry.acl
	}
	id := s.identity(a)
	for _, v := range entry.variables {
		value, _ := id.lookup(v)
		key = appendString(key, value)
	}
	if len(entry.variables) > 0 {
		// No key of names alone equals this one: those end after their count.
		if e := (*snap.cache.Load())[string(key)]; e != nil && s.fresh(e.acl) {
			return e.acl
		}
	}
	acl := Compile(entry.policies, id, s.now())
	snap.remember(string(key), &compiled{acl: acl, policies: entry.policies}, s.max)
	return acl
}

// fresh reports whether no rule of an ACL has expired since it was compiled.
func (s *Set) fresh(a *ACL) bool {
	return a != nil && (a.validUntil.IsZero() || s.now().Before(a.validUntil))
}

// combine looks the names up and compiles them, unless the result depends on who
// asks.
func (s *Set) combine(snap *snapshot, names []string) *compiled {
	c := &compiled{}
	seen := map[string]bool{}
	for _, n := range names {
		p, ok := snap.policies[n]
		if !ok || seen[n] {
			continue
		}
		seen[n] = true
		c.policies = append(c.policies, p)
		for _, v := range p.variables {
			if !slices.Contains(c.variables, v) {
				c.variables = append(c.variables, v)
			}
		}
	}
	if len(c.variables) == 0 {
		c.acl = Compile(c.policies, Identity{}, s.now())
	}
	return c
}

// remember adds an entry by replacing the map, which readers hold without a
// lock. A full cache starts afresh: rarely, and cheaper than an order of use.
func (snap *snapshot) remember(key string, c *compiled, limit int) {
	snap.mu.Lock()
	defer snap.mu.Unlock()
	old := *snap.cache.Load()
	next := map[string]*compiled{}
	if len(old) < limit {
		next = maps.Clone(old)
	}
	next[key] = c
	snap.cache.Store(&next)
}

// appendStrings writes a list so that no other list reads the same: its length,
// then each string behind its own length.
func appendStrings(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
