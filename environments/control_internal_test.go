package environments

import (
	"testing"
	"time"
)

// A wish that is committed while the controller decides comes after what the
// controller has read, and before it notes when to look again.
func TestAWishDuringADecisionIsNotLost(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 17, 11, 0, 0, 0, time.UTC)
	e := &Environments{wake: make(chan struct{}, 1), rest: map[string]time.Time{}}
	forgot := e.forgotten()
	e.forget("dev")
	e.settle("dev", now.Add(time.Hour), forgot)
	if until, ok := e.resting("dev", now); ok {
		t.Errorf("dev is left alone until %s, whatever somebody wished", until)
	}
	e.settle("dev", now.Add(time.Hour), e.forgotten())
	if _, ok := e.resting("dev", now); !ok {
		t.Error("a decision that nothing came between was forgotten")
	}
}
