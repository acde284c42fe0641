package prom_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/gogo/protobuf/proto"
	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"nightporter.dev/nightporter/metrics"
)

// anonymous is the anonymous memory of this process, by the kernel's word, once
// what is garbage is given back.
func anonymous(t testing.TB) int {
	t.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("there is no /proc here")
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n << 10
		}
	}
	return 0
}

// What is cheap to send and dear to take is refused, the process does not keep
// 64 MiB of it by the kernel's word, and another workspace answers after it.
func TestBombsAreRefusedCheaply(t *testing.T) { // alone: it looks at the whole process
	h := newHouse(t, "w", "other")
	h.limit("w", func(s *metrics.Settings) { s.Limits.QuerySamples = 200_000 })
	h.must("w", v1(one("up", h.now, 1)))
	h.must("other", v1(one("up", h.now, 1)))
	claim := append([]byte{0x80, 0x80, 0x80, 0x80, 0x04}, 0, 0) // 1 GiB in seven bytes
	flood := bytes.Repeat([]byte{0x0a, 0x00}, 4<<20)            // empty series
	pairsFlood := []byte{0x0a}                                  // one series of empty labels
	inner := bytes.Repeat([]byte{0x0a, 0x00}, 4<<20)
	pairsFlood = append(pairsFlood, varint(len(inner))...)
	pairsFlood = append(pairsFlood, inner...)
	symbols := bytes.Repeat([]byte{0x22, 0x00}, 4<<20)
	long := &writev2.Request{Symbols: []string{"", "__name__", strings.Repeat("x", 2<<20)}}
	for range 10_000 {
		long.Timeseries = append(long.Timeseries, writev2.TimeSeries{LabelsRefs: []uint32{1, 2, 2, 2, 2, 2}})
	}
	repeated, err := proto.Marshal(long)
	if err != nil {
		t.Fatal(err)
	}
	deep := strings.Repeat("(", 30_000) + "1" + strings.Repeat(")", 30_000)
	for _, c := range []struct {
		name string
		send func() (int, string)
	}{
		{"seven bytes that claim a GiB", func() (int, string) { return h.post("w", "/write", typeV1, claim) }},
		{"the same for remote read", func() (int, string) { return h.post("w", "/read", typeV1, claim) }},
		{"four million empty series", func() (int, string) { return h.post("w", "/write", typeV1, snappy.Encode(nil, flood)) }},
		{"four million empty labels", func() (int, string) { return h.post("w", "/write", typeV1, snappy.Encode(nil, pairsFlood)) }},
		{"four million symbols", func() (int, string) { return h.post("w", "/write", typeV2, snappy.Encode(nil, symbols)) }},
		{"one long symbol, used often", func() (int, string) { return h.post("w", "/write", typeV2, snappy.Encode(nil, repeated)) }},
		{"a body without end", func() (int, string) { return h.post("w", "/write", typeV1, make([]byte, 6<<20)) }},
		{"nested parentheses", func() (int, string) { return h.get("w", "/query", "query", deep) }},
		{"a chain of signs", func() (int, string) { return h.get("w", "/query", "query", strings.Repeat("-", 50_000)+"1") }},
		{"a long expression", func() (int, string) { return h.get("w", "/query", "query", strings.Repeat("1+", 50_000)+"1") }},
		{"too many points", func() (int, string) {
			return h.get("w", "/query_range", "query", "up", "start", "0", "end", "4000000000", "step", "1")
		}},
		{"a subquery of 10^9 samples", func() (int, string) { return h.get("w", "/query", "query", "count_over_time(vector(1)[30y:1s])") }},
		{"the same inside of another one", func() (int, string) {
			return h.get("w", "/query", "query", "max_over_time(count_over_time(up[1h:1s])[30y:1h])")
		}},
		{"the same as a range", func() (int, string) {
			return h.get("w", "/query_range", "query", "count_over_time(vector(1)[1h:1s])", "start", "0", "end", "900000000", "step", "1000000")
		}},
		{"a regular expression that grows", func() (int, string) {
			return h.get("w", "/query", "query", `up{a=~"((((x{1000}){1000}){1000}){1000})"}`)
		}},
	} {
		start := anonymous(t)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		status, answer := c.send()
		runtime.ReadMemStats(&after)
		if cost := after.TotalAlloc - before.TotalAlloc; cost > 128<<20 {
			t.Errorf("%s: it cost %d MiB", c.name, cost>>20)
		}
		if status < 400 || status >= 500 {
			t.Errorf("%s: got %d %.200s, want 4xx", c.name, status, answer)
		}
		if grown := anonymous(t) - start; grown > 64<<20 {
			t.Errorf("%s: the process keeps %d MiB", c.name, grown>>20)
		}
		if len(answer) > 4<<10 {
			t.Errorf("%s: the answer is %d bytes long", c.name, len(answer))
		}
		if got, ok := h.value("other", "up", h.now); !ok || got != 1 {
			t.Errorf("%s: another workspace does not answer", c.name)
		}
	}
}

func varint(n int) (out []byte) {
	for n >= 0x80 {
		out = append(out, byte(n)|0x80)
		n >>= 7
	}
	return append(out, byte(n))
}

// A flood of label values fills the workspace's own limit and nothing else.
func TestAFloodOfSeriesStaysInItsWorkspace(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "flooded", "other")
	h.limit("flooded", func(s *metrics.Settings) { s.Limits.ActiveSeries = 100 })
	req := &prompb.WriteRequest{}
	for i := range 5_000 {
		req.Timeseries = append(req.Timeseries, v1(one("request", h.now, 1, "id", fmt.Sprint(i))).Timeseries...)
	}
	status, body := h.write("flooded", req)
	if status != http.StatusBadRequest || len(body) > 2_000 {
		t.Errorf("got %d and %d bytes: %.200s", status, len(body), body)
	}
	u, err := h.engine.Usage("flooded")
	if err != nil || u.ActiveSeries != 100 {
		t.Errorf("got %d series, %v", u.ActiveSeries, err)
	}
	if r := h.refused("flooded", metrics.TooManySeries); r.Count != 4_900 {
		t.Errorf("refused %d, want 4900", r.Count)
	}
	h.must("other", v1(one("up", h.now, 1)))
}

// TestAFullDiskRefusesWritesAndAnswersQueries asks for more room than any disk has.
func TestAFullDiskRefusesWritesAndAnswersQueries(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "w")
	h.must("w", v1(one("up", h.now, 1)))
	h.server.Close()
	h.engine.Close()
	h.reserve = 1 << 60
	h.open("w")
	status, body := h.write("w", v1(one("up", h.now, 2)))
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "disk") {
		t.Errorf("got %d %s", status, body)
	}
	if got, ok := h.value("w", "up", h.now); !ok || got != 1 {
		t.Errorf("the query answers %v %v", got, ok)
	}
}
