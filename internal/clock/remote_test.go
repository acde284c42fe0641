package clock

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nightporter.dev/nightporter"
)

// world is a demo's clock: base at real time at, running at rate.
type world struct {
	mu   sync.Mutex
	base time.Time
	at   time.Time
	rate float64
	err  error
}

func (w *world) set(t time.Time, rate float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.base, w.at, w.rate = t, time.Now(), rate
}

func (w *world) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

func (w *world) read(context.Context) (Reading, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.base.Add(time.Duration(float64(time.Since(w.at)) * w.rate))
	rate := w.rate
	return Reading{Now: now, Rate: &rate}, w.err
}

func follow(t *testing.T, w *world) *Remote {
	t.Helper()
	c, err := NewRemote(t.Context(), RemoteConfig{fetch: w.read})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return c
}

func TestRemote(t *testing.T) {
	t.Parallel()
	evening := time.Date(2026, 3, 30, 20, 0, 0, 0, time.UTC)

	t.Run("an hour at sixty times the speed passes in a minute", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := &world{}
			w.set(evening, 60)
			c := follow(t, w)
			start := time.Now()
			if err := Wait(t.Context(), c, evening.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(start); got < time.Minute || got > time.Minute+time.Millisecond {
				t.Errorf("waited %v of real time, want 1m", got)
			}
		})
	})
	t.Run("pressing night ends a wait of hours within one reading", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := &world{}
			w.set(evening, 1)
			c := follow(t, w)
			done := make(chan error, 1)
			go func() { done <- Wait(t.Context(), c, evening.Add(11*time.Hour)) }()
			time.Sleep(time.Minute) // fake time
			pressed := time.Now()
			w.set(evening.Add(12*time.Hour), 1)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if got := time.Since(pressed); got > 200*time.Millisecond {
				t.Errorf("noticed after %v, want within one reading", got)
			}
		})
	})
	t.Run("a stopped clock keeps its waiters until it runs again", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := &world{}
			w.set(evening, 0)
			c := follow(t, w)
			done := make(chan error, 1)
			go func() { done <- Wait(t.Context(), c, evening.Add(time.Second)) }()
			time.Sleep(time.Hour)
			select {
			case err := <-done:
				t.Fatalf("the wait ended (%v) on a stopped clock", err)
			default:
			}
			w.set(evening, 1)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("a clock that stops answering goes on from the last reading", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := &world{}
			w.set(evening, 60)
			c := follow(t, w)
			w.fail(errors.New("connection refused"))
			time.Sleep(time.Minute)
			if got, want := c.Now(), evening.Add(time.Hour); !got.Equal(want) {
				t.Errorf("Now = %v, want %v", got, want)
			}
			if c.Err() == nil {
				t.Error("Err = nil, want the reason")
			}
			w.fail(nil)
			time.Sleep(time.Second)
			if err := c.Err(); err != nil {
				t.Errorf("Err = %v after the clock is back", err)
			}
		})
	})
	t.Run("a difference within the round trip does not make the clock tremble", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := &world{}
			w.set(evening, 1)
			c := follow(t, w)
			moved := c.Moved()
			w.set(c.Now().Add(-10*time.Millisecond), 1)
			before := c.Now()
			time.Sleep(time.Second)
			if got, want := c.Now().Sub(before), time.Second; got != want {
				t.Errorf("a second took %v", got)
			}
			select {
			case <-moved:
				t.Error("the clock said that it moved")
			default:
			}
		})
	})
	t.Run("no time, a negative rate and a mad rate are refused", func(t *testing.T) {
		t.Parallel()
		for _, r := range []Reading{{}, {Now: evening, Rate: ptr(-1.0)}, {Now: evening, Rate: ptr(1e9)}} {
			_, err := NewRemote(t.Context(), RemoteConfig{fetch: func(context.Context) (Reading, error) { return r, nil }})
			if nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("%+v: got %v, want invalid", r, err)
			}
		}
	})
}

func TestRemoteOverHTTP(t *testing.T) {
	t.Parallel()
	serve := func(t *testing.T, h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	t.Run("reads the documented JSON", func(t *testing.T) {
		t.Parallel()
		u := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"now":"2026-03-30T21:00:00+01:00"}`))
		})
		c, err := NewRemote(t.Context(), RemoteConfig{URL: u + "/clock"})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Now(); got.Truncate(time.Minute) != time.Date(2026, 3, 30, 20, 0, 0, 0, time.UTC) || c.rate != 1 {
			t.Errorf("Now = %v at rate %v, want 20:00 UTC at 1", got, c.rate)
		}
	})
	t.Run("answers that are no clock are errors", func(t *testing.T) {
		t.Parallel()
		answers := map[string]http.HandlerFunc{
			"not found": http.NotFound,
			"HTML":      func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
			"endless":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(strings.Repeat(" ", 1<<20))) },
			"a redirect": func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
			},
		}
		for name, h := range answers {
			if _, err := NewRemote(t.Context(), RemoteConfig{URL: serve(t, h)}); err == nil {
				t.Errorf("%s was taken for a clock", name)
			}
		}
	})
	t.Run("only a loopback address may move the schedules", func(t *testing.T) {
		t.Parallel()
		for _, u := range []string{"", "clock", "https://127.0.0.1/", "http://10.0.0.1/", "http://clock.example/", "http://127.0.0.1.nip.io/", "http://u:p@127.0.0.1/", "unix:///run/clock", "http://[::ffff:10.0.0.1]/"} {
			_, err := NewRemote(t.Context(), RemoteConfig{URL: u})
			if nightporter.CodeOf(err) != nightporter.Invalid || nightporter.HintOf(err) == "" {
				t.Errorf("%q: got %v, want invalid with a hint", u, err)
			}
		}
	})
}

func ptr[T any](v T) *T { return &v }
