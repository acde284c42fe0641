package cli

import (
	"context"
	"fmt"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

// keeper renews a lease at half its life. A failure is tried again while the lease
// lasts, more often than the next renewal would be.
type keeper struct {
	life  time.Duration // what the lease was given for, from now on
	renew func(context.Context) (*client.Secret, error)
	warn  func(string)
}

func (k *keeper) run(ctx context.Context) {
	end := time.Now().Add(k.life)
	pause, said := k.life/2, false
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		s, err := k.renew(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			if said {
				said = false
				k.warn("the login is renewed again")
			}
			renewed := time.Now().Add(s.TTL())
			// A renewal that wins less than a tenth has met the lease's maximum.
			if renewed.Sub(end) < k.life/10 {
				k.warn(fmt.Sprintf("the login ends in %s and cannot be renewed further", s.TTL()))
				return
			}
			end, pause = renewed, s.TTL()/2
		case refused(err), !time.Now().Before(end):
			k.warn("the login cannot be renewed any more: " + err.Error())
			return
		default:
			if !said {
				said = true
				k.warn("the login was not renewed and is tried again: " + err.Error())
			}
			pause = max(time.Second, k.life/20)
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
