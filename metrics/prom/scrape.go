package prom

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/scrape"

	"nightporter.dev/nightporter/metrics"
)

// scrapeConfig is how targets are asked. What they answer is bounded: they are
// somebody's code.
const scrapeConfig = `
global:
  scrape_interval: %[1]dms
  scrape_timeout: %[2]dms
scrape_configs:
- job_name: services
  follow_redirects: false
  body_size_limit: 10MB
  sample_limit: 50000
  fallback_scrape_protocol: PrometheusText0.0.4
`

// scraper asks the targets of one workspace.
type scraper struct {
	w       *workspace
	mu      sync.Mutex
	targets []metrics.Target
	m       *scrape.Manager // nil until there is a target
	sets    chan map[string][]*targetgroup.Group
	ended   chan struct{}
	over    bool
}

// SetTargets has a workspace scrape these from now on. A target that is gone gets
// Prometheus's stale markers.
func (e *Engine) SetTargets(name string, targets []metrics.Target) error {
	w, err := e.find(name)
	if err != nil {
		return err
	}
	return w.scraper.set(targets)
}

func (s *scraper) set(targets []metrics.Target) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || slices.EqualFunc(targets, s.targets, func(a, b metrics.Target) bool { return a.Address == b.Address && maps.Equal(a.Labels, b.Labels) }) {
		return nil
	}
	if s.m == nil {
		if err := s.start(); err != nil {
			return err
		}
	}
	s.targets = slices.Clone(targets)
	group := &targetgroup.Group{Source: "nightporter"}
	for _, t := range targets {
		set := model.LabelSet{model.AddressLabel: model.LabelValue(t.Address)}
		for name, value := range t.Labels {
			set[model.LabelName(name)] = model.LabelValue(value)
		}
		if t.Path != "" {
			set[model.MetricsPathLabel] = model.LabelValue(t.Path)
		}
		group.Targets = append(group.Targets, set)
	}
	s.sets <- map[string][]*targetgroup.Group{"services": {group}}
	return nil
}

func (s *scraper) start() error {
	every := s.w.e.cfg.ScrapeEvery
	cfg, err := config.Load(fmt.Sprintf(scrapeConfig, every.Milliseconds(), min(every, 10*time.Second).Milliseconds()), slog.New(slog.DiscardHandler))
	if err != nil {
		return fmt.Errorf("read the scrape configuration: %w", err)
	}
	m, err := scrape.NewManager(&scrape.Options{DiscoveryReloadInterval: model.Duration(s.w.e.cfg.TargetsEvery)},
		quiet(s.w.e.cfg.Log.With("workspace", s.w.name)), nil, owned{s.w}, nil, prometheus.NewRegistry())
	if err != nil {
		return fmt.Errorf("make a scraper: %w", err)
	}
	if err := m.ApplyConfig(cfg); err != nil {
		return fmt.Errorf("make a scraper: %w", err)
	}
	s.m, s.sets, s.ended = m, make(chan map[string][]*targetgroup.Group), make(chan struct{})
	go func() {
		defer close(s.ended)
		_ = m.Run(s.sets) // it returns nil
	}()
	return nil
}

// end stops every scrape and waits for it.
func (s *scraper) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.m == nil {
		return
	}
	s.m.Stop()
	<-s.ended
	s.m, s.targets = nil, nil
}

func (s *scraper) manager() *scrape.Manager {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m
}

// retriever shows a workspace's targets to the shared API.
func targetsOf(ctx context.Context) interface {
	ScrapePools() []string
	TargetsActive() map[string][]*scrape.Target
	TargetsDropped() map[string][]*scrape.Target
	TargetsDroppedCounts() map[string]int
	ScrapePoolConfig(string) (*config.ScrapeConfig, error)
} {
	if h, err := heldFrom(ctx); err == nil {
		if m := h.w.scraper.manager(); m != nil {
			return m
		}
	}
	return nothing{}
}
