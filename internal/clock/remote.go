package clock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"time"

	"nightporter.dev/nightporter"
)

// Reading is what a demo clock's URL answers, as JSON:
//
//	{"now": "2026-03-30T20:59:00Z", "rate": 60}
type Reading struct {
	// Now is the schedule's time at the moment of the answer.
	Now time.Time `json:"now"`
	// Rate is how many of the clock's seconds pass in one real second. Absent
	// means 1; 0 is a clock that stands still.
	Rate *float64 `json:"rate,omitempty"`
}

// RemoteConfig says which clock to follow.
type RemoteConfig struct {
	// URL answers a [Reading]. Its host must be a loopback address: whoever
	// moves this clock can close an environment. Required.
	URL string
	// Every is the time between two readings. Default 200 ms.
	Every time.Duration

	// fetch replaces the HTTP request in tests.
	fetch func(context.Context) (Reading, error)
}

// Remote follows the clock of a demo. It reads the clock at intervals and runs on
// by itself in between, at the clock's rate. While the clock does not answer it
// goes on from the last reading; [Remote.Err] tells.
type Remote struct {
	fetch func(context.Context) (Reading, error)
	every time.Duration

	mu    sync.Mutex
	base  time.Time // the clock's time ...
	at    time.Time // ... at this real time, with its monotonic reading
	rate  float64
	err   error
	moved chan struct{}
}

// NewRemote reads the clock once and fails when it cannot. Call [Remote.Run] to
// follow it from then on.
func NewRemote(ctx context.Context, cfg RemoteConfig) (*Remote, error) {
	fetch := cfg.fetch
	if fetch == nil {
		f, err := loopbackFetch(cfg.URL)
		if err != nil {
			return nil, err
		}
		fetch = f
	}
	every := cfg.Every
	if every <= 0 {
		every = 200 * time.Millisecond
	}
	c := &Remote{fetch: fetch, every: every, moved: make(chan struct{})}
	if err := c.read(ctx); err != nil {
		return nil, fmt.Errorf("reading the demo clock: %w", err)
	}
	return c, nil
}

// Run reads the clock until ctx ends, whose error it returns.
func (c *Remote) Run(ctx context.Context) error {
	ticker := time.NewTicker(c.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		err := c.read(ctx)
		c.mu.Lock()
		c.err = err
		c.mu.Unlock()
	}
}

// Err is why the last reading failed, or nil.
func (c *Remote) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Now is the last reading plus the time since, at the clock's rate.
func (c *Remote) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nowLocked(time.Now())
}

func (c *Remote) nowLocked(real time.Time) time.Time {
	return c.base.Add(time.Duration(float64(real.Sub(c.at)) * c.rate))
}

// In is the real time left until t at the present rate, at most [MaxSleep].
func (c *Remote) In(t time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return sleep(t.Sub(c.nowLocked(time.Now())), c.rate)
}

// Moved returns a channel that is closed when a reading shows a jump or another
// rate.
func (c *Remote) Moved() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moved
}

func (c *Remote) read(ctx context.Context) error {
	// The clock is on this machine: it answers at once or it is gone.
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	before := time.Now()
	r, err := c.fetch(ctx)
	if err != nil {
		return err
	}
	after := time.Now()
	rate := 1.0
	if r.Rate != nil {
		rate = *r.Rate
	}
	if r.Now.IsZero() || rate < 0 || rate > maxRate {
		return nightporter.E(nightporter.Invalid, "the demo clock answered no usable time").
			WithHint(`it must answer {"now": "2026-03-30T20:59:00Z", "rate": 60}`)
	}
	trip := after.Sub(before)
	c.set(r.Now.Round(0).UTC(), before.Add(trip/2), rate, trip)
	return nil
}

// maxRate is a day a second, the fastest that a demo may run.
const maxRate = 86400

// set takes a reading over. The answer may have been written at any moment of
// the round trip, so a difference no larger than the trip is noise: following it
// would make the clock tremble, sometimes backwards.
func (c *Remote) set(now, at time.Time, rate float64, trip time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() && rate == c.rate {
		noise := time.Duration(max(rate, 1) * float64(trip+jitter))
		if diff := now.Sub(c.nowLocked(at)); diff.Abs() <= noise {
			return
		}
	}
	c.base, c.at, c.rate = now, at, rate
	close(c.moved)
	c.moved = make(chan struct{})
}

// jitter is what a busy machine adds to a round trip.
const jitter = 20 * time.Millisecond

// loopbackFetch returns a function that gets a Reading from a URL on this
// machine. The host is checked before, and the address again when connecting:
// "localhost" is a name like any other.
func loopbackFetch(raw string) (func(context.Context) (Reading, error), error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" || u.User != nil || !loopbackHost(u.Hostname()) {
		return nil, nightporter.E(nightporter.Invalid, "the demo clock must be an http URL of a loopback address").
			WithHint("for example http://127.0.0.1:9000/clock")
	}
	dialer := &net.Dialer{ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil || !ap.Addr().Unmap().IsLoopback() {
			return errors.New("the demo clock is not on a loopback address")
		}
		return nil
	}}
	client := &http.Client{
		// Without keep-alive nothing is left to close when Run ends.
		Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("the demo clock must not redirect")
		},
	}
	return func(ctx context.Context) (Reading, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return Reading{}, err
		}
		res, err := client.Do(req)
		if err != nil {
			return Reading{}, err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return Reading{}, fmt.Errorf("the demo clock answered %s", res.Status)
		}
		var r Reading
		if err := json.NewDecoder(io.LimitReader(res.Body, 4096)).Decode(&r); err != nil {
			return Reading{}, fmt.Errorf("decoding the demo clock's answer: %w", err)
		}
		return r, nil
	}, nil
}

func loopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
