// Package clockwork is the clock that schedules and waits follow in the demo. It
// starts at the real time, can run fast, and can jump; Nightporter reads it over
// HTTP (nightporter server --demo-clock URL).
package clockwork

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Clock is the clock and its server. Use [Start].
type Clock struct {
	mu   sync.Mutex
	base time.Time // what it showed ...
	at   time.Time // ... at this real time
	rate float64

	url    string
	server *http.Server
	served chan struct{}
}

// Start serves a clock that shows the real time and runs at the real rate.
// Close it.
func Start() (*Clock, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the clock: %w", err)
	}
	now := time.Now()
	c := &Clock{base: now, at: now, rate: 1, url: "http://" + listener.Addr().String() + "/clock", served: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /clock", c.get)
	c.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	go func() {
		defer close(c.served)
		_ = c.server.Serve(listener) // always ends with ErrServerClosed
	}()
	return c, nil
}

// Close stops serving.
func (c *Clock) Close() error {
	err := c.server.Close()
	<-c.served
	return err
}

// URL is what to give to Nightporter.
func (c *Clock) URL() string { return c.url }

// Now is the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now(time.Now())
}

func (c *Clock) now(real time.Time) time.Time {
	return c.base.Add(time.Duration(float64(real.Sub(c.at)) * c.rate))
}

// Run has the clock run at a rate from now on: seconds of its own in one real
// second.
func (c *Clock) Run(rate float64) error {
	if rate < 0 || rate > 86400 {
		return errors.New("a clock runs at 0 to 86400 seconds a second")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	real := time.Now()
	c.base, c.at, c.rate = c.now(real), real, rate
	return nil
}

// Jump moves the clock forward at once.
func (c *Clock) Jump(by time.Duration) error {
	if by < 0 {
		return errors.New("this clock does not go back")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base = c.base.Add(by)
	return nil
}

func (c *Clock) get(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	reading := struct {
		Now  time.Time `json:"now"`
		Rate float64   `json:"rate"`
	}{c.now(time.Now()).UTC(), c.rate}
	c.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(reading) // the caller may have gone
}
