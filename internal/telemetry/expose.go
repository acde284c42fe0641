package telemetry

import (
	"bufio"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// ContentType is the media type of what WriteTo writes.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// ServeHTTP answers a scrape. It checks nothing: who may read the metrics is
// the route's to say.
func (r *Registry) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", ContentType)
	_, _ = r.WriteTo(w) // a scraper that went away is no fault of ours
}

// WriteTo writes every metric in Prometheus's text format, families and series
// in the order of their names.
func (r *Registry) WriteTo(w io.Writer) (int64, error) {
	r.mu.Lock()
	families := slices.SortedFunc(maps.Values(r.families), func(a, b *family) int { return strings.Compare(a.name, b.name) })
	r.mu.Unlock()
	counting := &countingWriter{w: w}
	out := bufio.NewWriter(counting)
	for _, f := range families {
		f.write(out)
	}
	err := out.Flush()
	return counting.n, err
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

func (f *family) write(w *bufio.Writer) {
	_, _ = w.WriteString("# HELP " + f.name + " " + escapeHelp.Replace(f.help) + "\n# TYPE " + f.name + " " + string(f.kind) + "\n")
	if f.collect != nil {
		for _, s := range f.collect() {
			line(w, f.name, f.labels, s.Labels, "", s.Value)
		}
		return
	}
	f.mu.RLock()
	all := slices.Collect(maps.Values(f.series))
	f.mu.RUnlock()
	slices.SortFunc(all, func(a, b *series) int { return slices.Compare(a.values, b.values) })
	for _, s := range all {
		if f.kind != histogramKind {
			line(w, f.name, f.labels, s.values, "", math.Float64frombits(s.bits.Load()))
			continue
		}
		// Buckets are cumulative, and the count is the last bucket: an
		// observation between two loads must not make them disagree.
		var total uint64
		for i := range s.counts {
			total += s.counts[i].Load()
			le := "+Inf"
			if i < len(f.buckets) {
				le = number(f.buckets[i])
			}
			line(w, f.name+"_bucket", f.labels, s.values, le, float64(total))
		}
		line(w, f.name+"_sum", f.labels, s.values, "", math.Float64frombits(s.bits.Load()))
		line(w, f.name+"_count", f.labels, s.values, "", float64(total))
	}
}

func line(w *bufio.Writer, name string, labels, values []string, le string, v float64) {
	_, _ = w.WriteString(name)
	separator := byte('{')
	label := func(name, value string) {
		_ = w.WriteByte(separator)
		_, _ = w.WriteString(name + `="` + escapeLabel.Replace(value) + `"`)
		separator = ','
	}
	for i, l := range labels {
		label(l, values[i])
	}
	if le != "" {
		label("le", le)
	}
	if separator == ',' {
		_ = w.WriteByte('}')
	}
	_, _ = w.WriteString(" " + number(v) + "\n")
}

func number(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "+Inf"
	case math.IsInf(v, -1):
		return "-Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// The text format escapes a backslash and a line feed everywhere, and the
// quotation mark in label values.
var (
	escapeHelp  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	escapeLabel = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)
