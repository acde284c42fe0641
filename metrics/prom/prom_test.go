package prom_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/telemetry"
	"nightporter.dev/nightporter/metrics"
	"nightporter.dev/nightporter/metrics/prom"
)

var standard = metrics.Settings{Retention: 15 * 24 * time.Hour, Limits: metrics.Limits{
	ActiveSeries: 100_000, SamplesPerSecond: 1_000_000, SamplesBurst: 1_000_000, Labels: 50, LabelBytes: 4096, Bytes: 1 << 30,
	QuerySamples: 5_000_000, QueryTimeout: config.Duration(time.Minute), QueryConcurrency: 10,
}}

// house is an engine behind HTTP, as Prometheus and Grafana meet it.
type house struct {
	t      testing.TB
	dir    string
	engine *prom.Engine
	server *httptest.Server
	mu     sync.Mutex
	now    time.Time

	reserve int64
}

// start is when the stories begin: samples must lie near the real time, because
// Prometheus's receiver refuses the future by it.
func newHouse(t testing.TB, names ...string) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), now: time.Now().Truncate(time.Second)}
	h.open(names...)
	return h
}

func (h *house) open(names ...string) {
	h.t.Helper()
	var err error
	h.engine, err = prom.New(prom.Config{Dir: h.dir, Metrics: telemetry.NewRegistry(), IdleAfter: time.Minute, DiskReserve: h.reserve, Now: func() time.Time {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.now
	}})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, name := range names {
		h.engine.Configure(name, standard)
	}
	h.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, _ := strings.CutPrefix(r.URL.Path, "/workspaces/")
		name, path, _ := strings.Cut(rest, "/api/v1")
		h.engine.Serve(w, r, name, path, "ci")
	}))
	h.t.Cleanup(func() {
		h.server.Close()
		h.engine.Close()
	})
}

func (h *house) later(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func (h *house) limit(name string, change func(*metrics.Settings)) {
	s := standard
	change(&s)
	h.engine.Configure(name, s)
}

// sample is a series with one value.
type sample struct {
	labels map[string]string
	at     time.Time
	value  float64
}

func one(name string, at time.Time, value float64, labels ...string) sample {
	s := sample{map[string]string{"__name__": name}, at, value}
	for i := 0; i < len(labels); i += 2 {
		s.labels[labels[i]] = labels[i+1]
	}
	return s
}

func pairs(m map[string]string) (out []prompb.Label) {
	for _, name := range sortedKeys(m) {
		out = append(out, prompb.Label{Name: name, Value: m[name]})
	}
	return out
}

func sortedKeys(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	for i := range names {
		for j := i; j > 0 && names[j] < names[j-1]; j-- {
			names[j], names[j-1] = names[j-1], names[j]
		}
	}
	return names
}

func v1(samples ...sample) *prompb.WriteRequest {
	r := &prompb.WriteRequest{}
	for _, s := range samples {
		r.Timeseries = append(r.Timeseries, prompb.TimeSeries{Labels: pairs(s.labels), Samples: []prompb.Sample{{Value: s.value, Timestamp: s.at.UnixMilli()}}})
	}
	return r
}

func v2(samples ...sample) *writev2.Request {
	st := writev2.NewSymbolTable()
	r := &writev2.Request{}
	for _, s := range samples {
		var refs []uint32
		for _, l := range pairs(s.labels) {
			refs = append(refs, st.Symbolize(l.Name), st.Symbolize(l.Value))
		}
		r.Timeseries = append(r.Timeseries, writev2.TimeSeries{
			LabelsRefs: refs, Samples: []writev2.Sample{{Value: s.value, Timestamp: s.at.UnixMilli()}},
			Metadata: writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_COUNTER, HelpRef: st.Symbolize("Things.")},
		})
	}
	r.Symbols = st.Symbols()
	return r
}

const (
	typeV1 = "application/x-protobuf"
	typeV2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
)

// write sends a request with Prometheus's own client.
func (h *house) write(workspace string, msg proto.Message) (int, string) {
	h.t.Helper()
	contentType := typeV1
	if _, ok := msg.(*writev2.Request); ok {
		contentType = typeV2
	}
	b, err := proto.Marshal(msg)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.post(workspace, "/write", contentType, snappy.Encode(nil, b))
}

func (h *house) post(workspace, path, contentType string, body []byte) (int, string) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, h.server.URL+"/workspaces/"+workspace+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	if strings.Contains(contentType, "protobuf") {
		r.Header.Set("Content-Encoding", "snappy")
	}
	return h.send(r)
}

func (h *house) send(r *http.Request) (int, string) {
	h.t.Helper()
	resp, err := h.server.Client().Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func (h *house) get(workspace, path string, query ...string) (int, string) {
	h.t.Helper()
	q := url.Values{}
	for i := 0; i < len(query); i += 2 {
		q.Add(query[i], query[i+1])
	}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, h.server.URL+"/workspaces/"+workspace+"/api/v1"+path+"?"+q.Encode(), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.send(r)
}

// must writes and expects it to be taken.
func (h *house) must(workspace string, msg proto.Message) {
	h.t.Helper()
	if status, body := h.write(workspace, msg); status/100 != 2 {
		h.t.Fatalf("write: %d %s", status, body)
	}
}

// value asks Prometheus's API for one number. ok is false when there is none.
func (h *house) value(workspace, expr string, at time.Time) (float64, bool) {
	h.t.Helper()
	status, body := h.get(workspace, "/query", "query", expr, "time", strconv.FormatInt(at.Unix(), 10))
	if status != http.StatusOK {
		h.t.Fatalf("query %s: %d %s", expr, status, body)
	}
	var answer struct {
		Data struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		h.t.Fatal(err)
	}
	if len(answer.Data.Result) == 0 {
		return 0, false
	}
	v, err := strconv.ParseFloat(answer.Data.Result[0].Value[1].(string), 64)
	if err != nil {
		h.t.Fatal(err)
	}
	return v, true
}

func (h *house) refused(workspace string, reason metrics.Reason) metrics.Refused {
	h.t.Helper()
	u, err := h.engine.Usage(workspace)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, r := range u.Refused {
		if r.Reason == reason {
			return r
		}
	}
	return metrics.Refused{}
}

// The messages are Prometheus's own, and so is what answers; both protocols.
func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		msg  func(...sample) proto.Message
	}{
		{"remote write 1.0", func(s ...sample) proto.Message { return v1(s...) }},
		{"remote write 2.0", func(s ...sample) proto.Message { return v2(s...) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "payments")
			h.must("payments", c.msg(one("things_total", h.now, 41, "service", "ledger"), one("things_total", h.now, 1, "service", "gate")))
			if got, ok := h.value("payments", "sum(things_total)", h.now); !ok || got != 42 {
				t.Errorf("sum: got %v %v, want 42", got, ok)
			}
			series, err := h.engine.QueryRange(t.Context(), "payments", `things_total{service="ledger"}`, h.now, h.now.Add(2*time.Minute), time.Minute)
			if err != nil || len(series) != 1 || len(series[0].Points) != 3 || series[0].Points[2].Value != 41 || series[0].Labels["service"] != "ledger" {
				t.Errorf("the same by Go: %v %v", series, err)
			}
			names, err := h.engine.LabelValues(t.Context(), "payments", "service", []string{"things_total"}, h.now.Add(-time.Hour), h.now.Add(time.Hour))
			if err != nil || fmt.Sprint(names) != "[gate ledger]" {
				t.Errorf("values of service: %v %v", names, err)
			}
		})
	}
}

// Every way to ask, with something in the one workspace and nothing in the other.
func TestNothingIsSeenFromAnotherWorkspace(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "payments", "search")
	h.must("payments", &prompb.WriteRequest{
		Timeseries: []prompb.TimeSeries{{
			Labels:    pairs(map[string]string{"__name__": "secret_total", "customer": "hidden"}),
			Samples:   []prompb.Sample{{Value: 1, Timestamp: h.now.UnixMilli()}},
			Exemplars: []prompb.Exemplar{{Labels: []prompb.Label{{Name: "trace", Value: "hidden"}}, Value: 1, Timestamp: h.now.UnixMilli()}},
		}},
		Metadata: []prompb.MetricMetadata{{Type: prompb.MetricMetadata_COUNTER, MetricFamilyName: "secret_total", Help: "hidden"}},
	})
	read, err := proto.Marshal(&prompb.ReadRequest{Queries: []*prompb.Query{{
		StartTimestampMs: 0, EndTimestampMs: math.MaxInt64 / 2,
		Matchers: []*prompb.LabelMatcher{{Type: prompb.LabelMatcher_NEQ, Name: "__name__", Value: ""}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	unix := strconv.FormatInt(h.now.Unix(), 10)
	for _, c := range []struct {
		name, path string
		query      []string
		found      string // what the owner of the samples finds
	}{
		{"query", "/query", []string{"query", "secret_total", "time", unix}, "hidden"},
		{"query_range", "/query_range", []string{"query", "secret_total", "start", unix, "end", unix, "step", "15"}, "hidden"},
		{"query_exemplars", "/query_exemplars", []string{"query", "secret_total", "start", "0", "end", unix}, "hidden"},
		{"labels", "/labels", nil, "customer"},
		{"label values", "/label/customer/values", nil, "hidden"},
		{"series", "/series", []string{"match[]", "secret_total"}, "hidden"},
		{"metadata", "/metadata", nil, "hidden"},
		{"status", "/status/tsdb", nil, "secret_total"},
		{"remote read", "/read", nil, "hidden"},
	} {
		for workspace, want := range map[string]bool{"payments": true, "search": false} {
			var status int
			var body string
			if c.path == "/read" {
				status, body = h.post(workspace, c.path, typeV1, snappy.Encode(nil, read))
				if plain, err := snappy.Decode(nil, []byte(body)); err == nil {
					body = string(plain)
				}
			} else {
				status, body = h.get(workspace, c.path, c.query...)
			}
			if status != http.StatusOK || strings.Contains(body, c.found) != want {
				t.Errorf("%s of %s: %d %.300s; want %q there: %v", c.name, workspace, status, body, c.found, want)
			}
		}
	}
	for _, name := range []string{"nowhere", "", "..", "payments/../search", "PAYMENTS"} {
		r := httptest.NewRequest(http.MethodGet, "/?query=secret_total", nil)
		w := httptest.NewRecorder()
		h.engine.Serve(w, r, name, "/query", "ci")
		if w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), "hidden") {
			t.Errorf("workspace %q: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestALimitNamesItselfAndItsRemedy(t *testing.T) {
	t.Parallel()
	both := map[string]func(...sample) proto.Message{
		"1.0": func(s ...sample) proto.Message { return v1(s...) }, "2.0": func(s ...sample) proto.Message { return v2(s...) },
	}
	for version, msg := range both {
		t.Run("series in "+version, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "w")
			h.limit("w", func(s *metrics.Settings) { s.Limits.ActiveSeries = 2 })
			status, body := h.write("w", msg(one("a", h.now, 1), one("b", h.now, 2), one("c", h.now, 3)))
			if status != http.StatusBadRequest || !strings.Contains(body, "active_series") || !strings.Contains(body, "raise the limit") {
				t.Errorf("got %d %s", status, body)
			}
			if _, ok := h.value("w", "a + on() b", h.now); !ok {
				t.Error("what is within the limit was not taken")
			}
			if _, ok := h.value("w", "c", h.now); ok {
				t.Error("the third series was taken")
			}
			if r := h.refused("w", metrics.TooManySeries); r.Count != 1 || r.Sender != "ci" {
				t.Errorf("the ledger says %+v", r)
			}
			h.limit("w", func(s *metrics.Settings) { s.Limits.ActiveSeries = 3 }) // live
			h.must("w", msg(one("c", h.now, 3)))
		})
		t.Run("labels in "+version, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "w")
			h.limit("w", func(s *metrics.Settings) { s.Limits.Labels, s.Limits.LabelBytes = 3, 10 })
			status, body := h.write("w", msg(one("ok", h.now, 1), one("many", h.now, 1, "a", "1", "b", "2", "c", "3"), one("long", h.now, 1, "path", "/a/very/long/path")))
			if status != http.StatusBadRequest || !strings.Contains(body, "limit labels") && !strings.Contains(body, "limit label_bytes") {
				t.Errorf("got %d %s", status, body)
			}
			if a, b := h.refused("w", metrics.TooManyLabels), h.refused("w", metrics.LabelTooLong); a.Count != 1 || b.Count != 1 || !strings.Contains(b.Message, "path") {
				t.Errorf("the ledger says %+v and %+v", a, b)
			}
			if _, ok := h.value("w", "ok", h.now); !ok {
				t.Error("the series within the limits was not taken")
			}
		})
		t.Run("speed in "+version, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "w")
			h.limit("w", func(s *metrics.Settings) { s.Limits.SamplesPerSecond, s.Limits.SamplesBurst = 1, 2 })
			h.must("w", msg(one("a", h.now, 1), one("b", h.now, 1)))
			status, body := h.write("w", msg(one("c", h.now, 1)))
			if status != http.StatusTooManyRequests || !strings.Contains(body, "samples_per_second") {
				t.Errorf("got %d %s", status, body)
			}
			h.later(2 * time.Second)
			h.must("w", msg(one("c", h.now, 1)))
		})
		t.Run("a late sample in "+version, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "w")
			h.must("w", msg(one("a", h.now, 1)))
			h.must("w", msg(one("a", h.now.Add(-20*time.Minute), 2))) // within the window
			status, body := h.write("w", msg(one("a", h.now.Add(-3*time.Hour), 2), one("b", h.now, 7)))
			if status != http.StatusBadRequest || h.refused("w", metrics.OutOfOrder).Count != 1 {
				t.Errorf("got %d %s, ledger %+v", status, body, h.refused("w", metrics.OutOfOrder))
			}
			if got, _ := h.value("w", "b", h.now); got != 7 {
				t.Error("the sample beside the late one was lost")
			}
		})
	}
}

func TestMetadataOfPushedMetricsIsKept(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "w")
	h.must("w", &prompb.WriteRequest{Metadata: []prompb.MetricMetadata{{Type: prompb.MetricMetadata_GAUGE, MetricFamilyName: "temperature", Help: "How warm.", Unit: "celsius"}}})
	h.must("w", v2(one("things_total", h.now, 1)))
	for _, when := range []string{"while it is open", "after it was closed"} {
		_, body := h.get("w", "/metadata", "metric", "temperature")
		if want := `{"data":{"temperature":[{"type":"gauge","help":"How warm.","unit":"celsius"}]},"status":"success"}`; body != want {
			t.Errorf("%s: got %s, want %s", when, body, want)
		}
		got, err := h.engine.Metadata(t.Context(), "w", "things_total")
		if err != nil || got["things_total"] != (metrics.Metadata{Type: "counter", Help: "Things."}) {
			t.Errorf("%s: got %v %v", when, got, err)
		}
		h.server.Close()
		h.engine.Close()
		h.open("w")
	}
}

func TestWhatIsNotWrittenForUsIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "w")
	good, _ := proto.Marshal(v1(one("a", h.now, 1)))
	for _, c := range []struct {
		name, kind string
		body       []byte
		want       int
	}{
		{"another content type", "application/json", []byte(`{}`), http.StatusUnsupportedMediaType},
		{"an unknown message", "application/x-protobuf;proto=io.prometheus.write.v3.Request", snappy.Encode(nil, good), http.StatusUnsupportedMediaType},
		{"no snappy", typeV1, good, http.StatusBadRequest},
		{"half a message", typeV1, snappy.Encode(nil, good[:len(good)-3]), http.StatusBadRequest},
		{"an empty body", typeV1, nil, http.StatusBadRequest},
	} {
		if status, body := h.post("w", "/write", c.kind, c.body); status != c.want {
			t.Errorf("%s: got %d %s, want %d", c.name, status, body, c.want)
		}
	}
	if status, body := h.post("w", "/remote_write", typeV1, snappy.Encode(nil, good)); status/100 != 2 {
		t.Errorf("the alias of Amazon's clients: %d %s", status, body)
	}
}
