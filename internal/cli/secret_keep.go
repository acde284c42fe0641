package cli

import (
	"context"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

// watchEvery is how often a lease is looked at between two renewals: a login that
// somebody revoked is noticed, and replaced, within that time.
const watchEvery = 10 * time.Second

// keeper renews a lease at half its life. A failure is tried again while the lease
// lasts, more often than the next renewal would be.
type keeper struct {
	life  time.Duration // what the lease was given for, from now on
	renew func(context.Context) (*client.Secret, error)
	warn  func(string)
	// look tells whether the lease is still there; its error is invalid or
	// not_found when not. nil never looks.
	look func(context.Context) error
	// fixed says that the lease cannot be renewed.
	fixed bool
}

// run returns why the lease needs a successor, or "" when ctx ended first. A
// lease that has met its maximum is used until a quarter of its life is left.
func (k *keeper) run(ctx context.Context) (why string) {
	end := time.Now().Add(k.life)
	pause, said := k.life/2, false
	if k.fixed {
		return k.last(ctx, end)
	}
	for {
		if why := k.wait(ctx, pause); why != "" || ctx.Err() != nil {
			return why
		}
		s, err := k.renew(ctx)
		switch {
		case ctx.Err() != nil:
			return ""
		case err == nil:
			if said {
				said = false
				k.warn("the login is renewed again")
			}
			renewed := time.Now().Add(s.TTL())
			// A renewal that wins less than a tenth has met the lease's maximum.
			if renewed.Sub(end) < k.life/10 {
				return k.last(ctx, renewed)
			}
			end, pause = renewed, s.TTL()/2
		case refused(err), !time.Now().Before(end):
			return "the login cannot be renewed any more: " + err.Error()
		default:
			if !said {
				said = true
				k.warn("the login was not renewed and is tried again: " + err.Error())
			}
			pause = max(time.Second, k.life/20)
		}
	}
}

// last waits for the last quarter of a life that ends at end.
func (k *keeper) last(ctx context.Context, end time.Time) string {
	if why := k.wait(ctx, time.Until(end)-k.life/4); why != "" || ctx.Err() != nil {
		return why
	}
	return "the login has met its maximum"
}

// wait lets time pass, and looks now and then whether the lease is still there.
func (k *keeper) wait(ctx context.Context, pause time.Duration) (why string) {
	until := time.Now().Add(pause)
	for {
		step := time.Until(until)
		if step <= 0 {
			return ""
		}
		if k.look != nil {
			step = min(step, watchEvery)
		}
		select {
		case <-ctx.Done():
			return ""
		case <-time.After(step):
		}
		if k.look == nil || !time.Now().Before(until) {
			continue
		}
		switch err := k.look(ctx); nightporter.CodeOf(err) {
		case nightporter.Invalid, nightporter.NotFound:
			return "the login was taken away"
		}
	}
}

// refused says that asking again would not help.
func refused(err error) bool {
	switch nightporter.CodeOf(err) {
	case nightporter.Invalid, nightporter.Denied, nightporter.NotFound:
		return true
	}
	return false
}
