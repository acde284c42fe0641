// Package clock is the clock of schedules and waits, apart from real time.
//
// An evening is a decision about the clock on the wall: "at 21:00 in London dev
// goes dark". That clock may jump: a demo turns a night into a minute, a laptop
// sleeps, an administrator corrects the time. So nothing here counts down to a
// moment once; it asks again. A loop that waits compares what should be with
// what is whenever the wait ends or the clock moved:
//
//	for {
//		next := schedule.Next(c.Now())
//		if err := clock.Wait(ctx, c, next); err != nil {
//			return err
//		}
//		tick()
//	}
//
// Leases, tokens and the audit log never use this package: they use package
// time, which no demo can move.
package clock

import (
	"context"
	"time"
)

// Clock tells a schedule's time. [Real] is the usual one, [Remote] follows a
// demo's clock, [Manual] is moved by a test. All are safe for concurrent use.
type Clock interface {
	// Now is the time that schedules go by. It carries no monotonic reading,
	// so that comparing two of them compares wall clocks.
	Now() time.Time

	// In says how long to sleep, in real time, before looking again whether t
	// has come: zero when it has, and never more than [MaxSleep], because a
	// wall clock can jump without telling anybody.
	In(t time.Time) time.Duration

	// Moved returns a channel that is closed when the clock next jumps or
	// changes its speed. Ask for a new one after each jump. It may be nil, for
	// a clock that never knows.
	Moved() <-chan struct{}
}

// MaxSleep is the longest that [Clock.In] answers. A timer runs on the monotonic
// clock, which neither a correction of the wall clock nor a sleeping laptop
// moves; looking again this often bounds how late that is noticed.
const MaxSleep = 30 * time.Second

// Wait returns nil as soon as c reads t or later, and ctx's error when that ends
// first. A clock that jumps forward past t ends the wait at once.
func Wait(ctx context.Context, c Clock, t time.Time) error {
	for {
		// Ask for the channel before reading the time: a jump between the two
		// then wakes us instead of being missed.
		moved := c.Moved()
		if err := ctx.Err(); err != nil {
			return err
		}
		if !c.Now().Before(t) {
			return nil
		}
		timer := time.NewTimer(c.In(t))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-moved:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// Real is the machine's own clock. The zero value is ready.
type Real struct{}

// Now is the machine's wall clock in UTC.
func (Real) Now() time.Time { return time.Now().Round(0).UTC() }

// In is the time left until t, at most [MaxSleep].
func (c Real) In(t time.Time) time.Duration { return sleep(t.Sub(c.Now()), 1) }

// Moved is nil: the kernel does not tell us about corrections.
func (Real) Moved() <-chan struct{} { return nil }

// sleep turns a distance on a clock that runs rate times as fast as real time
// into a real duration between zero and MaxSleep. It rounds up, so that a
// sleeper does not wake a moment early and spin.
func sleep(distance time.Duration, rate float64) time.Duration {
	switch {
	case distance <= 0:
		return 0
	case rate <= 0: // a stopped clock: only a move helps
		return MaxSleep
	}
	real := float64(distance)/rate + 1
	if real >= float64(MaxSleep) {
		return MaxSleep
	}
	return time.Duration(real)
}
