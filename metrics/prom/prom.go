// Package prom keeps workspaces in Prometheus's own database and answers its own
// HTTP API. It is the only package that imports Prometheus: each of its releases
// changes constructors, and they are all called here.
//
// Every workspace has a TSDB in a folder of its own, opened by the first request
// and closed when nobody has come for a while. All of them share one web/api/v1,
// because making one costs more than a hundred idle databases. The request's
// context says which workspace it is for, and everything under that API asks it:
// without a workspace in the context there is an error, never a default database
// (storage.go).
package prom

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/telemetry"
	"nightporter.dev/nightporter/metrics"
)

// Config is what an [Engine] needs.
type Config struct {
	// Dir has a folder for each workspace. Required.
	Dir string
	Log *slog.Logger // nil for none
	// Metrics gets the counts of every workspace, labelled with its name. nil
	// for none.
	Metrics *telemetry.Registry
	// IdleAfter is how long a workspace stays open that nobody uses. Default 1 h.
	IdleAfter time.Duration
	// OutOfOrder is how late a sample may come. Default 30 min, so that a
	// sender that was away loses nothing that it kept.
	OutOfOrder time.Duration
	// DiskReserve is how much of the disk is left free: less refuses writes.
	// Default 64 MiB.
	DiskReserve int64
	// ScrapeEvery is how often targets are asked. Default 15 s.
	ScrapeEvery time.Duration
	// TargetsEvery is how soon a change of targets is taken up. Default 1 s.
	TargetsEvery time.Duration
	// Now is the time. nil means time.Now.
	Now func() time.Time
}

// Engine is the [metrics.Engine] on Prometheus.
type Engine struct {
	cfg     Config
	parser  parser.Parser
	api     http.Handler // the shared web/api/v1
	write   http.Handler // the shared remote-write receiver
	numbers numbers

	mu         sync.Mutex
	workspaces map[string]*workspace
	closed     bool
}

var _ metrics.Engine = (*Engine)(nil)

// New makes an engine without workspaces. Close it.
func New(cfg Config) (*Engine, error) {
	if cfg.Dir == "" {
		return nil, errors.New("prom: Dir is required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Metrics == nil {
		cfg.Metrics = telemetry.NewRegistry()
	}
	if cfg.IdleAfter <= 0 {
		cfg.IdleAfter = time.Hour
	}
	if cfg.OutOfOrder <= 0 {
		cfg.OutOfOrder = 30 * time.Minute
	}
	if cfg.DiskReserve <= 0 {
		cfg.DiskReserve = 64 << 20
	}
	if cfg.ScrapeEvery <= 0 {
		cfg.ScrapeEvery = 15 * time.Second
	}
	if cfg.TargetsEvery <= 0 {
		cfg.TargetsEvery = time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of workspaces: %w", err)
	}
	e := &Engine{cfg: cfg, parser: parser.NewParser(parser.Options{}), workspaces: map[string]*workspace{}}
	e.numbers = e.measure(cfg.Metrics)
	e.api = e.newAPI()
	e.write = e.newWriter()
	return e, nil
}

// Configure makes a workspace or changes its settings. Nothing is opened.
func (e *Engine) Configure(name string, s metrics.Settings) {
	e.mu.Lock()
	w := e.workspaces[name]
	if w == nil {
		w = newWorkspace(e, name)
		e.workspaces[name] = w
	}
	e.mu.Unlock()
	w.set(s)
}

// Forget closes a workspace and leaves its folder.
func (e *Engine) Forget(name string) {
	e.mu.Lock()
	w := e.workspaces[name]
	delete(e.workspaces, name)
	e.mu.Unlock()
	if w != nil {
		w.shut()
	}
}

// Remove deletes a workspace with its folder. It waits for requests that are
// being answered.
func (e *Engine) Remove(_ context.Context, name string) error {
	e.Forget(name)
	if !metrics.ValidName(name) {
		return nil // never made a folder
	}
	if err := os.RemoveAll(filepath.Join(e.cfg.Dir, name)); err != nil {
		return nightporter.Wrap(err, nightporter.Unavailable, "the samples of %s could not be deleted", name)
	}
	return nil
}

// find is the workspace of a name. The error is the same for one that there never
// was and one that is gone.
func (e *Engine) find(name string) (*workspace, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.workspaces[name]
	if w == nil || e.closed {
		return nil, nightporter.E(nightporter.NotFound, "no workspace is called %q", name)
	}
	return w, nil
}

// all are the workspaces, in no order.
func (e *Engine) all() []*workspace {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]*workspace, 0, len(e.workspaces))
	for _, w := range e.workspaces {
		list = append(list, w)
	}
	return list
}

// Run closes workspaces that nobody uses and writes down what their senders said
// of metrics, until ctx ends.
func (e *Engine) Run(ctx context.Context) {
	tick := time.NewTicker(min(time.Minute, e.cfg.IdleAfter))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, w := range e.all() {
			w.rest(e.cfg.Now())
		}
	}
}

// Close closes every workspace. Requests answer not_found afterwards.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	var errs []error
	for _, w := range e.all() {
		errs = append(errs, w.shut())
	}
	return errors.Join(errs...)
}
