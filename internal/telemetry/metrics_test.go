package telemetry_test

import (
	"fmt"
	"math"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"nightporter.dev/nightporter/internal/telemetry"
)

func scrape(t *testing.T, r *telemetry.Registry) string {
	t.Helper()
	var b strings.Builder
	n, err := r.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("WriteTo = %d, %v; wrote %d", n, err, b.Len())
	}
	return b.String()
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	t.Run("are written in Prometheus's text format, in order", func(t *testing.T) {
		t.Parallel()
		r := telemetry.NewRegistry()
		requests := r.Counter("np_requests_total", "Requests,\nby \\ route.", "route", "code")
		requests.With("/api/board", "200").Inc()
		requests.With("/api/board", "200").Add(2)
		requests.With("/api/board", "200").Add(-5)
		requests.With("a\"b\\c\nd\xff", "500").Inc()
		r.Gauge("np_leases", "Live leases.").With().Set(math.Inf(1))
		h := r.Histogram("np_wait_seconds", "Waits.", []float64{0.1, 1}, "db")
		for _, v := range []float64{0.1, 0.5, 7} {
			h.With("main").Observe(v)
		}
		r.GaugeFunc("np_age_seconds", "Age.", func() []telemetry.Sample {
			return []telemetry.Sample{{Labels: []string{"sweep"}, Value: 1.5}}
		}, "of")
		want := `# HELP np_age_seconds Age.
# TYPE np_age_seconds gauge
np_age_seconds{of="sweep"} 1.5
# HELP np_leases Live leases.
# TYPE np_leases gauge
np_leases +Inf
# HELP np_requests_total Requests,\nby \\ route.
# TYPE np_requests_total counter
np_requests_total{route="/api/board",code="200"} 3
np_requests_total{route="a\"b\\c\nd` + "\uFFFD" + `",code="500"} 1
# HELP np_wait_seconds Waits.
# TYPE np_wait_seconds histogram
np_wait_seconds_bucket{db="main",le="0.1"} 1
np_wait_seconds_bucket{db="main",le="1"} 2
np_wait_seconds_bucket{db="main",le="+Inf"} 3
np_wait_seconds_sum{db="main"} 7.6
np_wait_seconds_count{db="main"} 3
`
		if diff := cmp.Diff(want, scrape(t, r)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("of one name and shape are one metric", func(t *testing.T) {
		t.Parallel()
		r := telemetry.NewRegistry()
		r.Counter("np_total", "x", "a").With("1").Inc()
		r.Counter("np_total", "x", "a").With("1").Inc()
		if got := r.Counter("np_total", "x", "a").With("1").Value(); got != 2 {
			t.Errorf("got %v, want 2", got)
		}
	})
	t.Run("with a wrong name, or one name for two things, stop the program where it is built", func(t *testing.T) {
		t.Parallel()
		wrong := map[string]func(r *telemetry.Registry){
			"a space":            func(r *telemetry.Registry) { r.Counter("a b", "") },
			"a digit first":      func(r *telemetry.Registry) { r.Counter("1a", "") },
			"a reserved label":   func(r *telemetry.Registry) { r.Counter("a", "", "__name__") },
			"le on a histogram":  func(r *telemetry.Registry) { r.Histogram("a", "", []float64{1}, "le") },
			"two kinds":          func(r *telemetry.Registry) { r.Counter("a", ""); r.Gauge("a", "") },
			"two label sets":     func(r *telemetry.Registry) { r.Counter("a", "", "x"); r.Counter("a", "", "y") },
			"descending buckets": func(r *telemetry.Registry) { r.Histogram("a", "", []float64{2, 1}) },
			"a value too many":   func(r *telemetry.Registry) { r.Counter("a", "", "x").With("1", "2") },
			"a function of a twin": func(r *telemetry.Registry) {
				r.Gauge("a", "")
				r.GaugeFunc("a", "", func() []telemetry.Sample { return nil })
			},
		}
		for name, f := range wrong {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s was accepted", name)
					}
				}()
				f(telemetry.NewRegistry())
			}()
		}
	})
	t.Run("stay bounded when somebody else picks the label values", func(t *testing.T) {
		t.Parallel()
		r := telemetry.NewRegistry()
		c := r.Counter("np_total", "x", "who")
		for i := range 3 * telemetry.MaxSeries {
			c.With(strconv.Itoa(i)).Inc()
		}
		out := scrape(t, r)
		if got := strings.Count(out, "\n"); got != telemetry.MaxSeries+3 {
			t.Errorf("%d lines, want %d series and the rest as one", got, telemetry.MaxSeries)
		}
		if want := fmt.Sprintf("np_total{who=%q} %d\n", telemetry.Overflow, 2*telemetry.MaxSeries); !strings.Contains(out, want) {
			t.Errorf("no line %q", want)
		}
	})
	t.Run("count right from many goroutines at once", func(t *testing.T) {
		t.Parallel()
		r := telemetry.NewRegistry()
		c := r.Counter("np_total", "x", "g")
		h := r.Histogram("np_seconds", "x", []float64{1})
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 1000 {
					c.With("a").Inc()
					h.With().Observe(0.5)
				}
			})
		}
		wg.Wait()
		if got := c.With("a").Value(); got != 8000 {
			t.Errorf("counter = %v, want 8000", got)
		}
		if out := scrape(t, r); !strings.Contains(out, "np_seconds_count 8000\n") || !strings.Contains(out, "np_seconds_sum 4000\n") {
			t.Error(out)
		}
	})
}

func TestProcessMetrics(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("NOT TESTED: this system has no /proc, so the memory of the process is not in its metrics")
	}
	r := telemetry.NewRegistry()
	telemetry.RegisterProcess(r, "1.4.0", time.Unix(1_775_000_000, 0))
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if got := w.Header().Get("Content-Type"); got != telemetry.ContentType {
		t.Errorf("Content-Type = %q", got)
	}
	values := map[string]float64{}
	for l := range strings.Lines(w.Body.String()) {
		name, value, _ := strings.Cut(strings.TrimSpace(l), " ")
		values[name], _ = strconv.ParseFloat(value, 64)
	}
	for _, name := range []string{"go_goroutines", "go_heap_objects_bytes", "go_memory_total_bytes", "process_resident_memory_bytes", "process_resident_anonymous_bytes", "process_open_fds"} {
		if values[name] <= 0 {
			t.Errorf("%s = %v, want more than 0", name, values[name])
		}
	}
	if anon, rss := values["process_resident_anonymous_bytes"], values["process_resident_memory_bytes"]; anon >= rss {
		t.Errorf("RssAnon %v is not below VmRSS %v", anon, rss)
	}
	if !strings.Contains(w.Body.String(), `nightporter_build_info{version="1.4.0",`) {
		t.Error("no build info")
	}
	if got := values["process_start_time_seconds"]; got != 1_775_000_000 {
		t.Errorf("started at %v", got)
	}
}

func BenchmarkCounter(b *testing.B) {
	c := telemetry.NewRegistry().Counter("np_total", "x", "route", "code")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.With("/api/board", "200").Inc()
		}
	})
}

func ExampleRegistry() {
	r := telemetry.NewRegistry()
	r.Counter("nightporter_versions_cut_total", "Versions cut.", "bump").With("minor").Inc()
	_, _ = r.WriteTo(os.Stdout)
	// Output:
	// # HELP nightporter_versions_cut_total Versions cut.
	// # TYPE nightporter_versions_cut_total counter
	// nightporter_versions_cut_total{bump="minor"} 1
}
