package prom_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/golang/snappy"
	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"

	"nightporter.dev/nightporter/metrics"
	"nightporter.dev/nightporter/metrics/prom"
)

const batch = 2_000

// batches makes the n-th request of remote write 2.0: 2,000 series, one sample each.
func batches(start time.Time) func(n int) []byte {
	return func(n int) []byte {
		samples := make([]sample, batch)
		for i := range samples {
			samples[i] = one("http_requests_total", start.Add(time.Duration(n)*time.Second), float64(n*i), "service", fmt.Sprint("s", i%20), "instance", fmt.Sprint("i", i), "code", "200")
		}
		b, err := proto.Marshal(v2(samples...))
		if err != nil {
			panic(err)
		}
		return snappy.Encode(nil, b)
	}
}

// BenchmarkIngest compares a workspace with Prometheus's own receiver on a database
// as Prometheus opens it: the same requests, limits and accounting against none.
func BenchmarkIngest(b *testing.B) {
	run := func(b *testing.B, serve http.HandlerFunc) {
		start := time.Now().Add(-time.Hour).Truncate(time.Second)
		make := batches(start)
		bodies := [][]byte{}
		for n := range 600 {
			bodies = append(bodies, make(n))
		}
		n := 0
		b.ReportAllocs()
		for b.Loop() {
			r := httptest.NewRequest(http.MethodPost, "/write", bytes.NewReader(bodies[n%len(bodies)]))
			r.Header.Set("Content-Type", typeV2)
			r.Header.Set("Content-Encoding", "snappy")
			w := httptest.NewRecorder()
			serve(w, r)
			if w.Code/100 != 2 && n < len(bodies) {
				b.Fatalf("%d %s", w.Code, w.Body)
			}
			n++
		}
		b.ReportMetric(float64(n)*batch/b.Elapsed().Seconds(), "samples/s")
	}
	b.Run("workspace", func(b *testing.B) {
		e, err := prom.New(prom.Config{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		defer e.Close()
		s := standard
		s.Limits.SamplesPerSecond, s.Limits.SamplesBurst = 1<<40, 1<<40
		e.Configure("w", s)
		run(b, func(w http.ResponseWriter, r *http.Request) { e.Serve(w, r, "w", "/write", "bench") })
	})
	b.Run("prometheus", func(b *testing.B) {
		o := tsdb.DefaultOptions()
		o.OutOfOrderTimeWindow = (30 * time.Minute).Milliseconds()
		db, err := tsdb.Open(filepath.Join(b.TempDir(), "db"), nil, nil, o, nil)
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		h := remote.NewWriteHandler(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), db,
			remoteapi.MessageTypes{remoteapi.WriteV1MessageType, remoteapi.WriteV2MessageType}, false, false, false)
		run(b, h.ServeHTTP)
	})
}

// BenchmarkOpenIdle opens a hundred workspaces that nobody has written to, and says
// what each of them costs.
func BenchmarkOpenIdle(b *testing.B) {
	const many = 100
	for b.Loop() {
		dir := b.TempDir()
		before := anonymous(b)
		e, err := prom.New(prom.Config{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		for i := range many {
			name := fmt.Sprintf("w%d", i)
			e.Configure(name, metrics.Settings{Retention: 24 * time.Hour})
			if _, err := e.Query(context.Background(), name, "up", time.Now()); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(anonymous(b)-before)/many/1024, "KiB/workspace")
		e.Close()
	}
}
