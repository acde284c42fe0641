package console_test

import (
	"context"
	"math"
	"regexp"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/metrics"
	"nightporter.dev/nightporter/metrics/dashboards"
)

// waves is a workspace whose every metric is three sines, so that graphs have
// something to draw.
type waves struct{}

var instances = []string{"a", "b", "c"}

func (waves) at(i int, t time.Time) float64 {
	return 40 + 12*float64(i) + 10*math.Sin(float64(t.Unix())/900+float64(i))
}

func (w waves) Query(ctx context.Context, workspace, expr string, at time.Time) ([]metrics.Series, error) {
	return w.QueryRange(ctx, workspace, expr, at, at, time.Minute)
}

var buckets = regexp.MustCompile(`bucket`)

func (w waves) QueryRange(_ context.Context, _, expr string, start, end time.Time, step time.Duration) ([]metrics.Series, error) {
	switch {
	case strings.HasPrefix(expr, "broken"):
		return nil, nightporter.E(nightporter.Invalid, "1:8: parse error: unclosed left parenthesis")
	case strings.HasPrefix(expr, "absent"):
		return nil, nil
	}
	var all []metrics.Series
	for i, name := range instances {
		s := metrics.Series{Labels: map[string]string{"instance": name, "zone": "north"}}
		if buckets.MatchString(expr) {
			s.Labels = map[string]string{"le": []string{"0.1", "1", "+Inf"}[i]}
		}
		for at := start; !at.After(end); at = at.Add(step) {
			s.Points = append(s.Points, metrics.Point{At: at, Value: w.at(i, at)})
		}
		all = append(all, s)
	}
	return all, nil
}

func (waves) LabelNames(context.Context, string, []string, time.Time, time.Time) ([]string, error) {
	return []string{"instance", "zone"}, nil
}

func (waves) LabelValues(_ context.Context, _, label string, _ []string, _, _ time.Time) ([]string, error) {
	if label == "__name__" {
		return []string{"requests_total", "up"}, nil
	}
	if label == "zone" {
		return []string{"north", "south"}, nil
	}
	return instances, nil
}

func (waves) Metadata(context.Context, string, string) (map[string]metrics.Metadata, error) {
	return map[string]metrics.Metadata{"requests_total": {Type: "counter", Help: "Requests answered."}}, nil
}

// openDashboards keeps the dashboards of one workspace, payments.
func (h *wholeHouse) openDashboards() {
	h.t.Helper()
	var err error
	h.dashboards, err = dashboards.New(dashboards.Config{
		Gate: h.gate, Catalog: h.catalog, Querier: waves{}, Now: h.time, Names: func() []string { return []string{"payments"} },
		Exists: func(workspace string) error {
			if workspace != "payments" {
				return nightporter.E(nightporter.NotFound, "no workspace is called %q", workspace)
			}
			return nil
		},
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// dashboardFile imports one of the corpus.
func (h *wholeHouse) dashboardFile(name string, raw []byte) *dashboards.Detail {
	h.t.Helper()
	detail, err := h.dashboards.Save(nightporter.WithActor(context.Background(), nightporter.SystemActor("test", "")), "payments", raw, dashboards.Import{UID: name})
	if err != nil {
		h.t.Fatal(err)
	}
	return detail
}
