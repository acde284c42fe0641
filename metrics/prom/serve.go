package prom

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/golang/snappy"
	"github.com/grafana/regexp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/util/features"
	v1 "github.com/prometheus/prometheus/web/api/v1"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/metrics"
)

// newAPI makes the one API of all workspaces.
func (e *Engine) newAPI() http.Handler {
	none := func() config.Config { return config.DefaultConfig }
	api := v1.NewAPI(routedEngine{}, routed{}, nil, nil, routed{},
		func(ctx context.Context) v1.ScrapePoolsRetriever { return targetsOf(ctx) },
		func(ctx context.Context) v1.TargetRetriever { return targetsOf(ctx) },
		func(context.Context) v1.AlertmanagerRetriever { return nothing{} },
		none, map[string]string{}, v1.GlobalURLOptions{},
		func(f http.HandlerFunc) http.HandlerFunc { return f },
		nil, "", false, false, 0, slog.New(slog.DiscardHandler),
		func(ctx context.Context) v1.RulesRetriever {
			if h, err := heldFrom(ctx); err == nil {
				return &h.w.rules
			}
			return nothing{}
		},
		5_000_000, 10, 1<<20, false,
		regexp.MustCompile(`\A\z`), // no other site reads in a browser
		func() (v1.RuntimeInfo, error) { return v1.RuntimeInfo{}, nil },
		&v1.PrometheusVersion{Version: "3.15.0", Branch: "nightporter"},
		nil, nil, prometheus.NewRegistry(), prometheus.NewRegistry(), nil,
		false, nil, false, false, false, false, 5*time.Minute, false, false,
		nil, features.NewRegistry(),
		// The description of the API costs more to make than everything else.
		v1.OpenAPIOptions{IncludePaths: []string{"/none"}}, e.parser)
	router := route.New()
	api.Register(router)
	return router
}

// newPromQL makes the query engine of one workspace: its limits are the engine's.
func (e *Engine) newPromQL(l metrics.Limits) *promql.Engine {
	samples, timeout := l.QuerySamples, l.QueryTimeout.Std()
	if samples <= 0 {
		samples = 1 << 31
	}
	if timeout <= 0 {
		timeout = time.Hour
	}
	return promql.NewEngine(promql.EngineOpts{
		MaxSamples: samples, Timeout: timeout, LookbackDelta: 5 * time.Minute, Parser: e.parser,
		NoStepSubqueryIntervalFn: func(int64) int64 { return subqueryStep.Milliseconds() },
		EnableAtModifier:         true, EnableNegativeOffset: true,
	})
}

func (e *Engine) databaseConfig(s metrics.Settings) *config.Config {
	c := config.DefaultConfig
	c.StorageConfig.TSDBConfig = &config.TSDBConfig{
		OutOfOrderTimeWindow: e.cfg.OutOfOrder.Milliseconds(),
		Retention:            &config.TSDBRetentionConfig{Time: model.Duration(max(s.Retention, 0))},
	}
	c.StorageConfig.ExemplarsConfig = &config.ExemplarsConfig{MaxExemplars: exemplars}
	c.StorageConfig.TSDBConfig.Retention.Size = bytesOf(s.Limits.Bytes)
	return &c
}

// Serve answers a request of Prometheus's HTTP API.
func (e *Engine) Serve(w http.ResponseWriter, r *http.Request, name, path string, from metrics.Sender) {
	ws, err := e.find(name)
	if err != nil {
		metrics.WriteError(w, r, err)
		return
	}
	db, release, err := ws.hold()
	if err != nil {
		metrics.WriteError(w, r, err)
		return
	}
	defer release()
	h := &held{w: ws, db: db}
	switch path {
	case "/write", "/remote_write":
		h.serveWrite(w, r, from)
		return
	case "/metadata":
		h.serveMetadata(w, r)
		return
	case "/status/tsdb":
		h.serveStatus(w, r)
		return
	case "/read":
		if err := checkRead(r); err != nil {
			metrics.WriteError(w, r, err)
			return
		}
	}
	ctx, cancel := r.Context(), func() {}
	if t := ws.limits().QueryTimeout.Std(); t > 0 {
		ctx, cancel = context.WithTimeout(ctx, t)
	}
	defer cancel()
	leave, err := ws.slots.enter(ctx, ws.limits().QueryConcurrency)
	if err != nil {
		metrics.WriteError(w, r, err)
		return
	}
	defer leave()
	started := time.Now()
	defer func() { e.numbers.queries.With(ws.name).Observe(time.Since(started).Seconds()) }()
	r = r.WithContext(withHeld(ctx, h))
	u := *r.URL
	u.Path, u.RawPath = path, ""
	r.URL = &u
	e.api.ServeHTTP(w, r)
}

// checkRead looks at a request of remote read before Prometheus uncompresses it.
func checkRead(r *http.Request) error {
	const limit = 1 << 20
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nightporter.Wrap(err, nightporter.Invalid, "the body did not arrive whole")
	}
	size, err := snappy.DecodedLen(body)
	if err != nil || len(body) > limit || size > limit {
		return nightporter.E(nightporter.Invalid, "a read request is compressed with snappy and at most 1 MiB long")
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	return nil
}

// number reads an optional number of a request.
func number(r *http.Request, name string, otherwise, highest int) (int, error) {
	text := r.FormValue(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n > highest {
		return 0, nightporter.E(nightporter.Invalid, "%s must be a number of at most %d", name, highest)
	}
	return n, nil
}

// serveMetadata answers /metadata from what senders said. Prometheus's own handler
// knows scrape targets only.
func (h *held) serveMetadata(w http.ResponseWriter, r *http.Request) {
	limit, err := number(r, "limit", -1, maxMetadata)
	if err != nil {
		metrics.WriteError(w, r, err)
		return
	}
	out := map[string][]metrics.Metadata{}
	for name, d := range h.w.metadata.get(r.FormValue("metric")) {
		if limit >= 0 && len(out) >= limit {
			break
		}
		out[name] = []metrics.Metadata{d}
	}
	metrics.WriteJSON(w, http.StatusOK, map[string]any{"status": "success", "data": out})
}

// serveStatus answers /status/tsdb of this workspace: the shared API has one
// database for it.
func (h *held) serveStatus(w http.ResponseWriter, r *http.Request) {
	limit, err := number(r, "limit", 10, 10_000)
	if err == nil && limit < 1 {
		err = nightporter.E(nightporter.Invalid, "limit must be a positive number")
	}
	if err != nil {
		metrics.WriteError(w, r, err)
		return
	}
	s := h.db.Head().Stats(model.MetricNameLabel, limit)
	i := s.IndexPostingStats
	metrics.WriteJSON(w, http.StatusOK, map[string]any{"status": "success", "data": v1.TSDBStatus{
		HeadStats:                   v1.HeadStats{NumSeries: s.NumSeries, NumLabelPairs: i.NumLabelPairs, MinTime: s.MinTime, MaxTime: s.MaxTime},
		SeriesCountByMetricName:     v1.TSDBStatsFromIndexStats(i.CardinalityMetricsStats),
		LabelValueCountByLabelName:  v1.TSDBStatsFromIndexStats(i.CardinalityLabelStats),
		MemoryInBytesByLabelName:    v1.TSDBStatsFromIndexStats(i.LabelValueStats),
		SeriesCountByLabelValuePair: v1.TSDBStatsFromIndexStats(i.LabelValuePairsStats),
	}})
}

// nothing stands for what a workspace does not have.
type nothing struct{}

func (nothing) ScrapePools() []string                       { return []string{} }
func (nothing) TargetsActive() map[string][]*scrape.Target  { return nil }
func (nothing) TargetsDropped() map[string][]*scrape.Target { return nil }
func (nothing) TargetsDroppedCounts() map[string]int        { return nil }
func (nothing) ScrapePoolConfig(name string) (*config.ScrapeConfig, error) {
	return nil, fmt.Errorf("there is no scrape pool %q", name)
}
func (nothing) Alertmanagers() []*url.URL            { return nil }
func (nothing) DroppedAlertmanagers() []*url.URL     { return nil }
func (nothing) RuleGroups() []*rules.Group           { return nil }
func (nothing) AlertingRules() []*rules.AlertingRule { return nil }
