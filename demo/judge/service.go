package judge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Answer is what a service says about itself at /healthz.
type Answer struct {
	Service     string `json:"service"`
	Version     string `json:"version"`
	Commit      string `json:"commit"` // compiled in
	Environment string `json:"environment"`
	PID         int    `json:"pid"`
	Problem     string `json:"problem"`
	Status      int    `json:"-"`
}

// client makes a new connection for each question: it is the listener of now
// that must answer.
var client = &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// Ask asks the process itself.
func Ask(ctx context.Context, port int) (Answer, error) {
	var a Answer
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/healthz", port), nil)
	if err != nil {
		return a, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	a.Status = resp.StatusCode
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&a); err != nil {
		return a, fmt.Errorf("port %d answered something else than its identity: %w", port, err)
	}
	return a, nil
}

// Serving is the one process that runs a service in an environment, with what it
// answers. It is an error when there is none, more than one, or when somebody
// else answers on its port.
func (w Proc) Serving(ctx context.Context, service, environment string) (Process, Answer, error) {
	all, err := w.Services()
	if err != nil {
		return Process{}, Answer{}, err
	}
	var found []Process
	for _, p := range all {
		if p.Service == service && p.Environment == environment {
			found = append(found, p)
		}
	}
	if len(found) != 1 {
		return Process{}, Answer{}, fmt.Errorf("%d processes run %s in %s, not one: %v", len(found), service, environment, found)
	}
	a, err := Ask(ctx, found[0].Port)
	switch {
	case err != nil:
		return found[0], a, fmt.Errorf("%s in %s, %s: %w", service, environment, found[0], err)
	case a.PID != found[0].PID:
		return found[0], a, fmt.Errorf("%s in %s is %s, but pid %d answers on its port", service, environment, found[0], a.PID)
	case a.Status != http.StatusOK:
		return found[0], a, fmt.Errorf("%s in %s answers %d: %s", service, environment, a.Status, a.Problem)
	}
	return found[0], a, nil
}

// Runs checks that an environment runs a version of a service: the process, what
// it answers, and the commit that is compiled into it. version may have its "v".
func (w Proc) Runs(ctx context.Context, service, environment, version, commit string) error {
	_, a, err := w.Serving(ctx, service, environment)
	if err != nil {
		return err
	}
	want := Answer{Service: service, Version: strings.TrimPrefix(version, "v"), Commit: commit, Environment: environment, PID: a.PID, Status: a.Status}
	if a != want {
		return fmt.Errorf("%s in %s answers as version %q, commit %.10s; want %q, %.10s", service, environment, a.Version, a.Commit, want.Version, commit)
	}
	return nil
}

// OnlyServing checks that every process of a program of the world serves: what
// was replaced is gone, and nothing that a service started outlives it.
func (w Proc) OnlyServing() error {
	all, err := w.All()
	if err != nil {
		return err
	}
	seen := map[string]Process{}
	for _, p := range all {
		if !w.inside(p.Exe) {
			continue
		}
		if p.Environment == "" || p.Port == 0 {
			return fmt.Errorf("%s serves nothing and is still there", p)
		}
		place := p.Service + " in " + p.Environment
		if other, ok := seen[place]; ok {
			return fmt.Errorf("%s is run twice, by %s and %s", place, other, p)
		}
		seen[place] = p
	}
	return nil
}

// Watch asks a process without a pause and remembers every answer that was not as
// the first. Stop it.
type Watch struct {
	stop chan struct{}
	done sync.WaitGroup
	n    int
	errs []error
}

// watchEvery leaves the machine some time for other things.
const watchEvery = 20 * time.Millisecond

// Keep watches that a process keeps answering as it does now.
func (w Proc) Keep(ctx context.Context, service, environment string) (*Watch, error) {
	p, want, err := w.Serving(ctx, service, environment)
	if err != nil {
		return nil, err
	}
	watch := &Watch{stop: make(chan struct{})}
	watch.done.Go(func() {
		for stopped := false; !stopped && ctx.Err() == nil; {
			select {
			case <-ctx.Done():
				return
			case <-watch.stop:
				stopped = true // one last look
			case <-time.After(watchEvery):
			}
			a, err := Ask(ctx, p.Port)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				watch.errs = append(watch.errs, err)
			case a != want:
				watch.errs = append(watch.errs, fmt.Errorf("%s in %s answered %+v, want %+v", service, environment, a, want))
			}
			watch.n++
		}
	})
	return watch, nil
}

// Stop asks once more, ends the watch and says how many answers there were, and
// which were wrong. Call it once.
func (w *Watch) Stop() (int, error) {
	close(w.stop)
	w.done.Wait()
	if len(w.errs) > 3 {
		w.errs = append(w.errs[:3], fmt.Errorf("and %d more of %d answers", len(w.errs)-3, w.n))
	}
	return w.n, errors.Join(w.errs...)
}
