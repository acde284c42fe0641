package dashboard_test

import (
	"context"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/metrics/dashboard"
)

// now is when the corpus is looked at.
var now = time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC)

// world answers queries by the first metric that they name, so that drawings
// are the same each time. What a query says beyond that stands in the drawing.
type world struct{}

type known struct {
	labels map[string]string
	value  func(t float64) float64
}

func constant(v float64) func(float64) float64 { return func(float64) float64 { return v } }

var data = map[string][]known{
	"requests_total": {{l("instance", "a"), func(t float64) float64 { return math.Mod(t/60, 10) }}, {l("instance", "b"), constant(2.5)}},
	"up":             {{l("instance", "a", "zone", "north"), constant(1)}, {l("instance", "b", "zone", "south"), constant(0)}},
	"memory_bytes": {
		{l("instance", "a", "zone", "north"), constant(1 << 20)}, {l("instance", "b", "zone", "south"), constant(3 << 20)}, {l("instance", "c", "zone", "south"), constant(5e6)},
	},
	"disk_used": {{l("instance", "a", "zone", "north"), constant(40)}, {l("instance", "b", "zone", "south"), constant(92.25)}},
	"only_a":    {{l("instance", "a"), constant(7)}},
	"gaps": {{l("instance", "a"), func(t float64) float64 {
		if int(t/300)%2 == 0 {
			return math.NaN()
		}
		return 4096
	}}},
	"latency_bucket": {{l("le", "0.1"), constant(3)}, {l("le", "1"), constant(8)}, {l("le", "+Inf"), constant(9)}},
}

func l(pairs ...string) map[string]string {
	labels := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		labels[pairs[i]] = pairs[i+1]
	}
	return labels
}

var word = regexp.MustCompile(`[a-z_]+`)

func named(expr string) []known {
	for _, w := range word.FindAllString(expr, -1) {
		if found, ok := data[w]; ok {
			return found
		}
	}
	return nil
}

func (world) Range(_ context.Context, q dashboard.RangeQuery) (dashboard.Result, error) {
	if strings.HasPrefix(q.Expr, "broken") {
		return dashboard.Result{}, nightporter.E(nightporter.Invalid, "1:8: parse error: unclosed left parenthesis")
	}
	var r dashboard.Result
	for _, k := range named(q.Expr) {
		s := dashboard.Series{Labels: k.labels}
		for at := q.Start; !at.After(q.End); at = at.Add(q.Step) {
			s.Points = append(s.Points, dashboard.Point{T: at.UnixMilli(), V: k.value(float64(at.Unix()))})
		}
		r.Series = append(r.Series, s)
	}
	return r, nil
}

func (world) Instant(_ context.Context, q dashboard.InstantQuery) (dashboard.Result, error) {
	var r dashboard.Result
	for _, k := range named(q.Expr) {
		r.Series = append(r.Series, dashboard.Series{Labels: k.labels, Points: []dashboard.Point{{T: q.At.UnixMilli(), V: k.value(float64(q.At.Unix()))}}})
	}
	return r, nil
}

func (world) LabelNames(context.Context, dashboard.LabelQuery) ([]string, error) {
	return []string{"instance", "le", "zone"}, nil
}

func (world) LabelValues(_ context.Context, q dashboard.LabelQuery) ([]string, error) {
	var all []string
	if q.Label == "__name__" {
		for name := range data {
			all = append(all, name)
		}
		slices.Sort(all)
		return all, nil
	}
	if len(q.Match) == 1 && strings.Contains(q.Match[0], "down") {
		return nil, nightporter.E(nightporter.Unavailable, "The workspace does not answer.")
	}
	for _, k := range data["up"] {
		all = append(all, k.labels[q.Label])
	}
	return all, nil
}

func (world) Series(_ context.Context, q dashboard.LabelQuery) ([]map[string]string, error) {
	var all []map[string]string
	for _, k := range named(q.Match[0]) {
		labels := map[string]string{"__name__": q.Match[0]}
		for name, value := range k.labels {
			labels[name] = value
		}
		all = append(all, labels)
	}
	return all, nil
}

func compile(t testing.TB, file string) *dashboard.Dashboard {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d, err := dashboard.Compile(raw)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func resolve(t testing.TB, d *dashboard.Dashboard, ask dashboard.Ask) *dashboard.View {
	t.Helper()
	if ask.Now.IsZero() {
		ask.Now = now
	}
	v, err := d.Resolve(t.Context(), world{}, ask)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
