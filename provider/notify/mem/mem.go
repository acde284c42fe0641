// Package mem is a [notify.Notifier] that keeps what it is sent, for tests.
package mem

import (
	"context"
	"sync"

	"nightporter.dev/nightporter/provider/notify"
)

// Notifier keeps messages in memory. The zero value is ready. Its methods may be
// called by many goroutines.
type Notifier struct {
	mu     sync.Mutex
	sent   []notify.Message
	faults []error
}

var _ notify.Notifier = (*Notifier)(nil)

// Send implements [notify.Notifier].
func (n *Notifier) Send(ctx context.Context, m notify.Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := m.Validate(); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.faults) > 0 {
		err := n.faults[0]
		n.faults = n.faults[1:]
		return err
	}
	n.sent = append(n.sent, m)
	return nil
}

// Fail makes the next calls of Send answer with these errors, one each, and take
// nothing.
func (n *Notifier) Fail(errs ...error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = append(n.faults, errs...)
}

// Sent returns every message taken, repeated ones included, oldest first.
func (n *Notifier) Sent() []notify.Message {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]notify.Message(nil), n.sent...)
}

// Shown returns what a reader would see: each key once.
func (n *Notifier) Shown() []notify.Message {
	n.mu.Lock()
	defer n.mu.Unlock()
	seen := map[string]bool{}
	var shown []notify.Message
	for _, m := range n.sent {
		if !seen[m.Key] {
			seen[m.Key] = true
			shown = append(shown, m)
		}
	}
	return shown
}
