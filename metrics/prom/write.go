package prom

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/golang/snappy"
	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	meta "github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"

	"nightporter.dev/nightporter/metrics"
)

// newWriter makes the shared receiver of remote write 1.0 and 2.0. It is
// Prometheus's own, and logs nothing: a sender could fill the log.
func (e *Engine) newWriter() http.Handler {
	return remote.NewWriteHandler(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), routed{},
		remoteapi.MessageTypes{remoteapi.WriteV1MessageType, remoteapi.WriteV2MessageType}, false, false, true)
}

// note is what the samples of one request met.
type note struct {
	from metrics.Sender
	// lenient is set for remote write 1.0, whose receiver would undo a whole
	// request for one sample: here the others are taken, and the answer says
	// what was not.
	lenient bool
	taken   uint64
	refused map[metrics.Reason]*refusedNote
	first   string
}

type refusedNote struct {
	n       uint64
	message string
}

func (n *note) refuse(reason metrics.Reason, message string) {
	if n.refused == nil {
		n.refused = map[metrics.Reason]*refusedNote{}
	}
	if n.first == "" {
		n.first = message
	}
	r := n.refused[reason]
	if r == nil {
		r = &refusedNote{message: message}
		n.refused[reason] = r
	}
	r.n++
}

// buffers are for uncompressed bodies.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// serveWrite takes a request of remote write. Everything about its size is checked
// before it is decoded.
func (h *held) serveWrite(w http.ResponseWriter, r *http.Request, from metrics.Sender) {
	h.note = &note{from: from}
	status, message := h.receive(w, r)
	h.w.e.settle(h)
	if status != 0 {
		if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
			if w.Header().Get("Retry-After") == "" {
				w.Header().Set("Retry-After", "5")
			}
		}
		http.Error(w, message, status)
	}
}

// settle counts what a request left behind.
func (e *Engine) settle(h *held) {
	now := e.cfg.Now()
	if h.note.taken > 0 {
		h.w.accepted.add(h.note.taken, now)
		e.numbers.samples.With(h.w.name).Add(float64(h.note.taken))
	}
	for reason, r := range h.note.refused {
		h.w.ledger.refuse(reason, h.note.from, r.n, r.message, now)
	}
}

// receive returns the status and message of a refusal, or 0 when it has answered.
func (h *held) receive(w http.ResponseWriter, r *http.Request) (int, string) {
	bad := func(status int, reason metrics.Reason, n uint64, message string) (int, string) {
		h.w.ledger.refuse(reason, h.note.from, max(n, 1), message, h.w.e.cfg.Now())
		return status, message
	}
	contentType := r.Header.Get("Content-Type")
	if contentType == "" {
		contentType = "application/x-protobuf" // as remote write 1.0's first senders
	}
	kind, err := remoteapi.ParseProtoMsg(contentType)
	if err != nil {
		return bad(http.StatusUnsupportedMediaType, metrics.Malformed, 1, "remote write 1.0 and 2.0 are taken here: application/x-protobuf, with or without ;proto=io.prometheus.write.v2.Request")
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "snappy") {
		return bad(http.StatusUnsupportedMediaType, metrics.Malformed, 1, "the body must be compressed with snappy")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil || len(body) > maxBody {
		if tooLarge := new(http.MaxBytesError); err == nil || errors.As(err, &tooLarge) {
			return bad(http.StatusRequestEntityTooLarge, metrics.Malformed, 1, fmt.Sprintf("one request may be %d MiB long: send fewer samples at once (max_samples_per_send)", maxBody>>20))
		}
		return http.StatusBadRequest, "the body did not arrive whole"
	}
	// The length that the body claims, before a byte of it is made.
	size, err := snappy.DecodedLen(body)
	if err != nil {
		return bad(http.StatusBadRequest, metrics.Malformed, 1, "the body is not compressed with snappy")
	}
	if size > maxDecoded {
		return bad(http.StatusRequestEntityTooLarge, metrics.Malformed, 1, fmt.Sprintf("one request may be %d MiB long uncompressed: send fewer samples at once (max_samples_per_send)", maxDecoded>>20))
	}
	c, err := counted12(kind, body, size)
	if err != nil {
		return bad(http.StatusBadRequest, metrics.Malformed, uint64(c.samples), err.Error())
	}
	if err := h.w.roomLeft(); err != nil {
		return bad(http.StatusServiceUnavailable, metrics.DiskFull, uint64(c.samples), err.Error())
	}
	l := h.w.limits()
	if wait := h.w.bucket.take(c.samples, l.SamplesPerSecond, l.SamplesBurst, h.w.e.cfg.Now()); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		return bad(http.StatusTooManyRequests, metrics.TooFast, uint64(c.samples), fmt.Sprintf(
			"the workspace %s takes %d samples a second (limit samples_per_second): scrape less often, drop series, or raise the limit", h.w.name, l.SamplesPerSecond))
	}
	for name, d := range c.metadata {
		h.w.metadata.set(name, d)
	}
	h.note.lenient = kind == remoteapi.WriteV1MessageType
	r = r.WithContext(withHeld(r.Context(), h))
	r.Body = io.NopCloser(bytes.NewReader(body))
	a := answer{header: http.Header{}}
	h.w.e.write.ServeHTTP(&a, r)
	if a.status >= 300 {
		h.note.taken = 0
		if a.status < 500 {
			h.note.taken = takenOf(a.header)
		}
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	if a.status < 300 && h.note.first != "" {
		return http.StatusBadRequest, h.note.first
	}
	if a.status == 0 {
		a.status = http.StatusNoContent
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes())
	return 0, ""
}

// takenOf reads how many samples of a request of remote write 2.0 were taken that
// was refused in part.
func takenOf(header http.Header) uint64 {
	var n uint64
	for _, name := range []string{"X-Prometheus-Remote-Write-Samples-Written", "X-Prometheus-Remote-Write-Histograms-Written"} {
		v, _ := strconv.ParseUint(header.Get(name), 10, 64)
		n += v
	}
	return n
}

// counted12 uncompresses a body of either protocol and counts what it holds.
func counted12(kind remoteapi.WriteMessageType, body []byte, size int) (count, error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	if cap(*buf) < size {
		*buf = make([]byte, size)
	}
	plain, err := snappy.Decode((*buf)[:cap(*buf)], body)
	if err != nil {
		return count{}, errors.New("the body is not compressed with snappy")
	}
	if kind == remoteapi.WriteV2MessageType {
		return countV2(plain)
	}
	return countV1(plain)
}

// answer keeps an answer until it is known to be right.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }
func (a *answer) WriteHeader(s int) {
	if a.status == 0 {
		a.status = s
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

// appender is a workspace's appender that holds the limits of labels, notes what is
// refused, and keeps metadata.
type appender struct {
	storage.Appender
	w    *workspace
	note *note
}

// met notes how a sample went. The error that it returns is what the receiver is
// told.
func (a *appender) met(ref storage.SeriesRef, l labels.Labels, err error) (storage.SeriesRef, error) {
	if err == nil {
		if a.note != nil {
			a.note.taken++
		}
		return ref, nil
	}
	reason := reasonOf(err)
	if reason == "" || a.note == nil {
		return 0, err
	}
	message := err.Error()
	if r := new(refusal); !errors.As(err, &r) {
		message = fmt.Sprintf("%s: %s", message, short(l.String()))
	}
	a.note.refuse(reason, message)
	if a.note.lenient {
		return 0, nil
	}
	return 0, err
}

func short(s string) string {
	if len(s) > 300 {
		return s[:300] + "…"
	}
	return s
}

// checkLabels holds the limits of labels.
func (w *workspace) checkLabels(l labels.Labels) error {
	limit := w.limits()
	n, long := 0, ""
	l.Range(func(l labels.Label) {
		n++
		if limit.LabelBytes > 0 && (len(l.Name) > limit.LabelBytes || len(l.Value) > limit.LabelBytes) {
			long = l.Name
		}
	})
	name := l.Get(model.MetricNameLabel)
	switch {
	case long != "":
		return &refusal{metrics.LabelTooLong, fmt.Sprintf("the label %s of %s is longer than %d bytes (limit label_bytes): shorten it, or raise the limit", short(long), short(name), limit.LabelBytes)}
	case limit.Labels > 0 && n > limit.Labels:
		return &refusal{metrics.TooManyLabels, fmt.Sprintf("a series of %s has %d labels, and %d are allowed (limit labels): drop some, or raise the limit", short(name), n, limit.Labels)}
	}
	return nil
}

func (a *appender) Append(ref storage.SeriesRef, l labels.Labels, t int64, v float64) (storage.SeriesRef, error) {
	if ref == 0 {
		if err := a.w.checkLabels(l); err != nil {
			return a.met(0, l, err)
		}
	}
	ref, err := a.Appender.Append(ref, l, t, v)
	return a.met(ref, l, err)
}

func (a *appender) AppendHistogram(ref storage.SeriesRef, l labels.Labels, t int64, h *histogram.Histogram, fh *histogram.FloatHistogram) (storage.SeriesRef, error) {
	if ref == 0 {
		if err := a.w.checkLabels(l); err != nil {
			return a.met(0, l, err)
		}
	}
	ref, err := a.Appender.AppendHistogram(ref, l, t, h, fh)
	return a.met(ref, l, err)
}

func (a *appender) UpdateMetadata(ref storage.SeriesRef, l labels.Labels, m meta.Metadata) (storage.SeriesRef, error) {
	if m.Help != "" || m.Unit != "" || m.Type != "" && m.Type != "unknown" {
		a.w.metadata.set(family(l.Get(model.MetricNameLabel), string(m.Type)), metrics.Metadata{Type: string(m.Type), Help: m.Help, Unit: m.Unit})
	}
	return ref, nil
}

// family is the metric that a series of a histogram or summary belongs to: what
// remote write 1.0 and /metadata call it.
func family(name, kind string) string {
	switch kind {
	case "histogram", "gaugehistogram", "summary":
		for _, suffix := range []string{"_bucket", "_count", "_sum", "_gcount", "_gsum"} {
			if base, ok := strings.CutSuffix(name, suffix); ok {
				return base
			}
		}
	}
	return name
}

// refusing is the appender of nobody.
type refusing struct{ err error }

func (r refusing) Append(storage.SeriesRef, labels.Labels, int64, float64) (storage.SeriesRef, error) {
	return 0, r.err
}

func (r refusing) AppendHistogram(storage.SeriesRef, labels.Labels, int64, *histogram.Histogram, *histogram.FloatHistogram) (storage.SeriesRef, error) {
	return 0, r.err
}

func (r refusing) AppendExemplar(storage.SeriesRef, labels.Labels, exemplar.Exemplar) (storage.SeriesRef, error) {
	return 0, r.err
}

func (r refusing) UpdateMetadata(storage.SeriesRef, labels.Labels, meta.Metadata) (storage.SeriesRef, error) {
	return 0, r.err
}

func (r refusing) AppendSTZeroSample(storage.SeriesRef, labels.Labels, int64, int64) (storage.SeriesRef, error) {
	return 0, r.err
}

func (r refusing) AppendHistogramSTZeroSample(storage.SeriesRef, labels.Labels, int64, int64, *histogram.Histogram, *histogram.FloatHistogram) (storage.SeriesRef, error) {
	return 0, r.err
}
func (r refusing) SetOptions(*storage.AppendOptions) {}
func (r refusing) Commit() error                     { return r.err }
func (r refusing) Rollback() error                   { return nil }
