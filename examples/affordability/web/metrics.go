package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// buckets are seconds.
var buckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}

// metrics are rate, errors and duration by route, and what became of readings. Labels are routes and codes from this
// source; nothing that a visitor or a bank sent ever is one.
type metrics struct {
	mu       sync.Mutex
	requests map[[3]string]int64 // route, method, status class and code
	times    map[string]*times
	banks    map[string]int64
	inFlight int64
}

type times struct {
	counts []int64
	sum    float64
	count  int64
}

func newMetrics() *metrics {
	return &metrics{requests: map[[3]string]int64{}, times: map[string]*times{}, banks: map[string]int64{}}
}

func (m *metrics) bank(outcome string) { m.mu.Lock(); m.banks[outcome]++; m.mu.Unlock() }

func (m *metrics) flight(n int64) { m.mu.Lock(); m.inFlight += n; m.mu.Unlock() }

func (m *metrics) request(route, method, code string, d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests[[3]string{route, method, code}]++
	t := m.times[route]
	if t == nil {
		t = &times{counts: make([]int64, len(buckets))}
		m.times[route] = t
	}
	for i, b := range buckets {
		if d.Seconds() <= b {
			t.counts[i]++
		}
	}
	t.sum += d.Seconds()
	t.count++
}

// measured counts, times and logs a route. The log line has no address, query, cookie or body.
func (s *Server) measured(pattern string, next http.Handler) http.Handler {
	method, route, found := strings.Cut(pattern, " ")
	if !found {
		method, route = "any", pattern
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		s.metrics.flight(1)
		defer func() {
			s.metrics.flight(-1)
			took := time.Since(began)
			s.metrics.request(route, method, fmt.Sprint(rec.status), took)
			s.cfg.Log.Info("request", "method", method, "route", route, "status", rec.status, "ms", took.Milliseconds())
		}()
		next.ServeHTTP(rec, r)
	})
}

type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(code int) { r.status = code; r.ResponseWriter.WriteHeader(code) }

// metricsPage writes the Prometheus text format, version 0.0.4.
func (s *Server) metricsPage(w http.ResponseWriter, _ *http.Request) {
	var b strings.Builder
	m := s.metrics
	m.mu.Lock()
	head(&b, "http_requests_total", "counter", "Requests by route, method and status code.")
	for _, k := range sorted(m.requests, func(a, b [3]string) int { return slices.Compare(a[:], b[:]) }) {
		fmt.Fprintf(&b, "http_requests_total{route=%q,method=%q,code=%q} %d\n", k[0], k[1], k[2], m.requests[k])
	}
	head(&b, "http_request_duration_seconds", "histogram", "Time to answer, by route.")
	for _, k := range sorted(m.times, strings.Compare) {
		t := m.times[k]
		for i, le := range buckets {
			fmt.Fprintf(&b, "http_request_duration_seconds_bucket{route=%q,le=\"%g\"} %d\n", k, le, t.counts[i])
		}
		fmt.Fprintf(&b, "http_request_duration_seconds_bucket{route=%q,le=\"+Inf\"} %d\n", k, t.count)
		fmt.Fprintf(&b, "http_request_duration_seconds_sum{route=%q} %g\nhttp_request_duration_seconds_count{route=%q} %d\n", k, t.sum, k, t.count)
	}
	head(&b, "http_requests_in_flight", "gauge", "Requests being answered.")
	fmt.Fprintf(&b, "http_requests_in_flight %d\n", m.inFlight)
	head(&b, "bank_readings_total", "counter", "Readings of a bank by outcome.")
	for _, k := range sorted(m.banks, strings.Compare) {
		fmt.Fprintf(&b, "bank_readings_total{outcome=%q} %d\n", k, m.banks[k])
	}
	m.mu.Unlock()
	if s.cfg.Logins != nil {
		head(&b, "database_logins_total", "counter", "Database logins used since the start.")
		fmt.Fprintf(&b, "database_logins_total %d\n", s.cfg.Logins())
	}
	head(&b, "affordability_info", "gauge", "Version of the service and of its policy.")
	fmt.Fprintf(&b, "affordability_info{version=%q,policy=%q} 1\n", s.cfg.Version, s.cfg.Policy.Version)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write([]byte(b.String())) // the scraper went away
}

func head(b *strings.Builder, name, kind, help string) {
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func sorted[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compare)
	return keys
}
