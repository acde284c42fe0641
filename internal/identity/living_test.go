package identity

import (
	"crypto/sha256"
	"testing"
	"time"

	"nightporter.dev/nightporter/internal/lease"
)

func TestWhatWasReadBeforeAChangeIsNotRemembered(t *testing.T) {
	t.Parallel()
	var l living
	now := time.Now()
	h := sha256.Sum256([]byte("token"))
	chain := lease.Chain{IDs: []string{"child", "parent"}, Until: now.Add(time.Hour)}

	seen := l.generation() // a reader looks here, and then at the store …
	l.forget("parent")     // … while its parent is revoked
	l.put(h, Info{Accessor: "child"}, chain, seen)
	if _, ok := l.get(h, now); ok {
		t.Error("a stale reading is remembered")
	}

	l.put(h, Info{Accessor: "child"}, chain, l.generation())
	if _, ok := l.get(h, now); !ok {
		t.Fatal("a fresh reading is not remembered")
	}
	if _, ok := l.get(h, now.Add(time.Hour)); ok {
		t.Error("an expired token is remembered")
	}
	l.forget("parent")
	if _, ok := l.get(h, now); ok || len(l.below) != 0 {
		t.Errorf("a child is remembered after its parent, below = %v", l.below)
	}
}

func TestTheMemoryIsBounded(t *testing.T) {
	t.Parallel()
	var l living
	for i := range maxLiving + 10 {
		l.put(sha256.Sum256([]byte{byte(i), byte(i >> 8)}), Info{}, lease.Chain{IDs: []string{"x"}}, l.generation())
	}
	if len(l.entries) > maxLiving {
		t.Errorf("%d entries", len(l.entries))
	}
}
