package telemetry

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// MaxSeries is how many combinations of label values one metric keeps. All
// further ones are counted together under the label value [Overflow], so that an
// outsider who picks label values cannot fill the memory.
const MaxSeries = 2000

// Overflow is the value of every label of the series that takes what came after
// [MaxSeries].
const Overflow = "overflow"

// Registry holds metrics and writes them in Prometheus's text format. Make one
// with [NewRegistry]. Metrics are made once, where the program is put together;
// a wrong name, or one name for two different metrics, is a programmer's mistake
// and panics there. Asking again for the same metric returns the same one.
type Registry struct {
	mu       sync.Mutex
	families map[string]*family
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{families: make(map[string]*family)} }

type kind string

const (
	counterKind   kind = "counter"
	gaugeKind     kind = "gauge"
	histogramKind kind = "histogram"
)

// family is one metric with all its series.
type family struct {
	name, help string
	kind       kind
	labels     []string
	buckets    []float64
	collect    func() []Sample // read when scraped, instead of series

	mu     sync.RWMutex
	series map[string]*series
}

// series is one combination of label values.
type series struct {
	values []string
	bits   atomic.Uint64 // a float64: the value, or a histogram's sum
	counts []atomic.Uint64
}

func (s *series) add(v float64) {
	for {
		old := s.bits.Load()
		if s.bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}

// Counter is a number that only grows. Its name ends in _total.
type Counter struct{ f *family }

// Gauge is a number that goes up and down.
type Gauge struct{ f *family }

// Histogram counts observations in buckets. Its name says the unit: _seconds,
// _bytes.
type Histogram struct{ f *family }

// CounterSeries is a [Counter] with its label values.
type CounterSeries struct{ s *series }

// GaugeSeries is a [Gauge] with its label values.
type GaugeSeries struct{ s *series }

// HistogramSeries is a [Histogram] with its label values.
type HistogramSeries struct {
	s       *series
	buckets []float64
}

// Sample is one value of a metric that is read when scraped.
type Sample struct {
	Labels []string // values, in the order of the metric's labels
	Value  float64
}

// Counter makes a counter with the given label names.
func (r *Registry) Counter(name, help string, labels ...string) Counter {
	return Counter{r.family(&family{name: name, help: help, kind: counterKind, labels: labels})}
}

// Gauge makes a gauge with the given label names.
func (r *Registry) Gauge(name, help string, labels ...string) Gauge {
	return Gauge{r.family(&family{name: name, help: help, kind: gaugeKind, labels: labels})}
}

// Histogram makes a histogram with the given upper bounds, ascending and without
// +Inf, which is always there.
func (r *Registry) Histogram(name, help string, buckets []float64, labels ...string) Histogram {
	if !slices.IsSorted(buckets) || len(buckets) == 0 {
		panic("telemetry: the buckets of " + name + " are not ascending")
	}
	return Histogram{r.family(&family{name: name, help: help, kind: histogramKind, labels: labels, buckets: slices.Clone(buckets)})}
}

// GaugeFunc makes a gauge whose samples are read at each scrape. collect must be
// quick, and safe to call at any time.
func (r *Registry) GaugeFunc(name, help string, collect func() []Sample, labels ...string) {
	r.family(&family{name: name, help: help, kind: gaugeKind, labels: labels, collect: collect})
}

// CounterFunc makes a counter whose samples are read at each scrape.
func (r *Registry) CounterFunc(name, help string, collect func() []Sample, labels ...string) {
	r.family(&family{name: name, help: help, kind: counterKind, labels: labels, collect: collect})
}

// One is the answer of a GaugeFunc without labels.
func One(v float64) []Sample { return []Sample{{Value: v}} }

func (r *Registry) family(f *family) *family {
	if !validName(f.name) || slices.ContainsFunc(f.labels, func(l string) bool {
		return !validName(l) || strings.Contains(l, ":") || strings.HasPrefix(l, "__") || l == "le" && f.kind == histogramKind
	}) {
		panic(fmt.Sprintf("telemetry: %s%v is not a metric's name", f.name, f.labels))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.families[f.name]; ok {
		same := old.kind == f.kind && slices.Equal(old.labels, f.labels) && slices.Equal(old.buckets, f.buckets)
		if !same || f.collect != nil || old.collect != nil {
			panic("telemetry: two metrics are called " + f.name)
		}
		return old
	}
	f.labels = slices.Clone(f.labels)
	f.series = make(map[string]*series)
	r.families[f.name] = f
	if len(f.labels) == 0 && f.collect == nil {
		f.with(nil) // a metric without labels reads 0 from the start
	}
	return f
}

// validName follows Prometheus's data model: [a-zA-Z_:][a-zA-Z0-9_:]*.
func validName(s string) bool {
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == ':'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

func (f *family) with(values []string) *series {
	if len(values) != len(f.labels) {
		panic(fmt.Sprintf("telemetry: %s has the labels %v, got %d values", f.name, f.labels, len(values)))
	}
	key := strings.Join(values, "\xff") // no UTF-8 text holds 0xff
	f.mu.RLock()
	s, ok := f.series[key]
	f.mu.RUnlock()
	if ok {
		return s
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if s, ok := f.series[key]; ok {
		return s
	}
	if len(f.series) >= MaxSeries {
		values = slices.Repeat([]string{Overflow}, len(values))
		key = strings.Join(values, "\xff")
		if s, ok := f.series[key]; ok {
			return s
		}
	}
	s = &series{values: make([]string, len(values))}
	for i, v := range values {
		s.values[i] = strings.ToValidUTF8(v, "\uFFFD")
	}
	if f.kind == histogramKind {
		s.counts = make([]atomic.Uint64, len(f.buckets)+1)
	}
	f.series[key] = s
	return s
}

// With returns the series of these label values, in the order of the label
// names. Keep it where the values are known beforehand: it saves the look-up.
func (c Counter) With(values ...string) CounterSeries { return CounterSeries{c.f.with(values)} }

// With returns the series of these label values.
func (g Gauge) With(values ...string) GaugeSeries { return GaugeSeries{g.f.with(values)} }

// With returns the series of these label values.
func (h Histogram) With(values ...string) HistogramSeries {
	return HistogramSeries{h.f.with(values), h.f.buckets}
}

// Inc adds one.
func (c CounterSeries) Inc() { c.s.add(1) }

// Add adds v. Less than zero is a mistake, and ignored: a counter never falls.
func (c CounterSeries) Add(v float64) {
	if v > 0 {
		c.s.add(v)
	}
}

// Value is what the counter reads now.
func (c CounterSeries) Value() float64 { return math.Float64frombits(c.s.bits.Load()) }

// Set sets the gauge.
func (g GaugeSeries) Set(v float64) { g.s.bits.Store(math.Float64bits(v)) }

// Add moves the gauge by v.
func (g GaugeSeries) Add(v float64) { g.s.add(v) }

// Value is what the gauge reads now.
func (g GaugeSeries) Value() float64 { return math.Float64frombits(g.s.bits.Load()) }

// Observe counts v.
func (h HistogramSeries) Observe(v float64) {
	i, _ := slices.BinarySearch(h.buckets, v) // the first bound >= v
	h.s.counts[i].Add(1)
	h.s.add(v)
}
