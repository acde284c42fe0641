package clock

import (
	"sync"
	"time"
)

// Manual is a clock that stands still until somebody moves it. Tests and
// simulations use it. Make one with [NewManual].
type Manual struct {
	mu    sync.Mutex
	now   time.Time
	moved chan struct{}
}

// NewManual returns a clock that reads t.
func NewManual(t time.Time) *Manual {
	return &Manual{now: t.Round(0).UTC(), moved: make(chan struct{})}
}

// Now is the time that the clock was last set to.
func (c *Manual) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// In is [MaxSleep] for a time that has not come: only Set and Advance bring it.
func (c *Manual) In(t time.Time) time.Duration { return sleep(t.Sub(c.Now()), 0) }

// Moved returns a channel that is closed by the next Set or Advance.
func (c *Manual) Moved() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moved
}

// Set moves the clock to t, forward or back, and wakes every waiter.
func (c *Manual) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set(t.Round(0).UTC())
}

// Advance moves the clock by d and wakes every waiter.
func (c *Manual) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set(c.now.Add(d))
}

func (c *Manual) set(t time.Time) {
	c.now = t
	close(c.moved)
	c.moved = make(chan struct{})
}
