package mem

import (
	"context"
	"errors"
	"time"

	"nightporter.dev/nightporter/provider/forge"
)

// Fault is what goes wrong until the next [Forge.SetFault]. The zero Fault is
// nothing.
type Fault struct {
	// Down makes every call fail with a [*forge.UnavailableError].
	Down bool
	// LimitedUntil, unless zero, makes every call fail with a
	// [*forge.RateLimitedError] until that time of the forge's clock.
	LimitedUntil time.Time
	// Forbidden makes every write fail with a [*forge.ForbiddenError].
	Forbidden bool
	// Slow delays every call. A call whose context ends first fails.
	Slow time.Duration
	// After is called when a call has done its work and before it answers,
	// with the method's name ("CreateTag"). An error it returns is what the
	// caller gets although the work is done: the answer was lost on the way.
	After func(method string) error
	// HalfPages lets a survey see half of the repositories only.
	HalfPages bool
	// Unknown is what a survey cannot read, by repository, and why.
	Unknown map[string]map[forge.Part]string
	// Webhooks says what happens to the next webhooks.
	Webhooks WebhookFault
}

// WebhookFault is what happens to webhooks.
type WebhookFault int

// The faults of webhooks.
const (
	Deliver   WebhookFault = iota // each once, in order
	Lose                          // none arrives
	Duplicate                     // each arrives twice, with one id
	Hold                          // none arrives until [Forge.SendHeld], which sends them in reverse order
)

// SetFault replaces the fault that is in force.
func (f *Forge) SetFault(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// Calls returns how often a method of the contract was called: Calls("Sweep").
func (f *Forge) Calls(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

// open enters a call that needs the repository. On success the lock is held.
func (f *Forge) open(ctx context.Context, method, repo string) (*repository, error) {
	if err := f.enter(ctx, method); err != nil {
		return nil, err
	}
	r, ok := f.repos[repo]
	if !ok {
		f.mu.Unlock()
		return nil, &forge.NotFoundError{What: "repository " + repo}
	}
	return r, nil
}

// enter counts a call and applies the faults. On success the lock is held.
func (f *Forge) enter(ctx context.Context, method string) error {
	f.mu.Lock()
	f.calls[method]++
	fault := f.fault
	f.mu.Unlock()
	if fault.Slow > 0 {
		timer := time.NewTimer(fault.Slow)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	switch {
	case fault.Down:
		return &forge.UnavailableError{Doing: method, Cause: errors.New("the forge in memory is down")}
	case f.now().Before(fault.LimitedUntil):
		return &forge.RateLimitedError{Until: fault.LimitedUntil}
	case fault.Forbidden && isWrite(method):
		return &forge.ForbiddenError{Doing: method, Needs: "contents=write"}
	}
	f.mu.Lock()
	return nil
}

// leave ends a write: it gives up the lock and may lose the answer.
func (f *Forge) leave(method string, err *error) {
	after := f.fault.After
	f.mu.Unlock()
	if after == nil || *err != nil {
		return
	}
	*err = after(method)
}

func isWrite(method string) bool {
	switch method {
	case "CreateTag", "MoveTag", "CreateRelease", "SetStatus", "Comment", "ReportDeployment", "Annotate",
		"SetRepository", "ChangeLabels", "GrantTeams", "PutRules", "DeleteRules":
		return true
	}
	return false
}
