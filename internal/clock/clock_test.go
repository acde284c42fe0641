package clock_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"nightporter.dev/nightporter/internal/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var evening = time.Date(2026, 3, 30, 20, 59, 0, 0, time.UTC)

func TestWaitOnTheRealClock(t *testing.T) {
	t.Parallel()
	t.Run("ends exactly at the time, ten hours later", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			until := clock.Real{}.Now().Add(10 * time.Hour)
			if err := clock.Wait(t.Context(), clock.Real{}, until); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(start); got < 10*time.Hour || got > 10*time.Hour+time.Microsecond {
				t.Errorf("waited %v, want 10h", got)
			}
		})
	})
	t.Run("ends with the context", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err := clock.Wait(ctx, clock.Real{}, clock.Real{}.Now().Add(time.Hour))
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want deadline exceeded", err)
			}
		})
	})
	t.Run("never sleeps longer than MaxSleep, so that a correction is noticed", func(t *testing.T) {
		t.Parallel()
		c := clock.Real{}
		if got := c.In(c.Now().Add(time.Hour)); got != clock.MaxSleep {
			t.Errorf("In(one hour) = %v, want %v", got, clock.MaxSleep)
		}
		if got := c.In(c.Now().Add(-time.Hour)); got != 0 {
			t.Errorf("In(the past) = %v, want 0", got)
		}
	})
}

func TestWaitOnAManualClock(t *testing.T) {
	t.Parallel()
	t.Run("a jump past the time ends the wait at once", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := clock.NewManual(evening)
			done := make(chan error, 1)
			go func() { done <- clock.Wait(t.Context(), c, evening.Add(time.Minute)) }()
			synctest.Wait()
			start := time.Now()
			c.Advance(10 * time.Hour)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took != 0 {
				t.Errorf("the waiter woke %v late", took)
			}
		})
	})
	t.Run("a jump that is not far enough, or goes back, does not", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := clock.NewManual(evening)
			done := make(chan error, 1)
			go func() { done <- clock.Wait(t.Context(), c, evening.Add(time.Hour)) }()
			for _, to := range []time.Duration{30 * time.Minute, -24 * time.Hour, 59 * time.Minute} {
				c.Set(evening.Add(to))
				synctest.Wait()
				select {
				case err := <-done:
					t.Fatalf("at %v the wait ended with %v", to, err)
				default:
				}
			}
			c.Set(evening.Add(time.Hour))
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		})
	})
}

func ExampleWait() {
	c := clock.NewManual(time.Date(2026, 3, 30, 20, 59, 0, 0, time.UTC))
	go c.Advance(time.Minute)
	if err := clock.Wait(context.Background(), c, time.Date(2026, 3, 30, 21, 0, 0, 0, time.UTC)); err != nil {
		fmt.Println(err)
	}
	fmt.Println(c.Now().Format(time.TimeOnly))
	// Output: 21:00:00
}
