package judge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// Traffic is a client that asks at a steady pace, waits for nobody and tries
// nothing twice: each request has a connection of its own, which also keeps
// net/http from repeating one.
type Traffic struct {
	n    int
	done chan struct{}

	mu       sync.Mutex
	answered int
	slowest  time.Duration
	errs     []error
}

// Send begins to send n requests, one each interval. Each must be answered 2xx.
func Send(ctx context.Context, client *http.Client, url string, n int, interval time.Duration) *Traffic {
	t := &Traffic{n: n, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		var open sync.WaitGroup
		defer open.Wait()
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for range n {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			open.Go(func() { t.ask(ctx, client, url) })
		}
	}()
	return t
}

func (t *Traffic) ask(ctx context.Context, client *http.Client, url string) {
	began := time.Now()
	err := func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode/100 != 2 {
			err = fmt.Errorf("%s: %.200s", resp.Status, body)
		}
		return err
	}()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answered++
	t.slowest = max(t.slowest, time.Since(began))
	if err != nil {
		t.errs = append(t.errs, err)
	}
}

// Answered is how many were answered until now, well or not.
func (t *Traffic) Answered() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.answered
}

// Wait waits for the last answer. It says how many there were, how long the
// slowest took, and which were not 2xx.
func (t *Traffic) Wait() (answered int, slowest time.Duration, err error) {
	<-t.done
	t.mu.Lock()
	defer t.mu.Unlock()
	err = errors.Join(t.errs[:min(3, len(t.errs))]...)
	if more := len(t.errs) - 3; more > 0 {
		err = errors.Join(err, fmt.Errorf("and %d more of %d", more, t.answered))
	}
	if err == nil && t.answered != t.n {
		err = fmt.Errorf("%d of %d requests were answered", t.answered, t.n)
	}
	return t.answered, t.slowest, err
}
