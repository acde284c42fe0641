package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/telemetry"
)

// exchange is one request and its answer, as the access log and the metrics see
// it. It is the ResponseWriter that handlers get.
type exchange struct {
	http.ResponseWriter
	started time.Time
	source  netip.Addr
	path    string // canonical; "" when it was refused
	route   *Route // nil when none took it
	actor   nightporter.Actor
	status  int // 0 until something is written
	bytes   int64
	failure error // what the answer says in public, with its cause
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// SourceFrom returns the address that the context's request came from. It is
// invalid outside of a request.
func SourceFrom(ctx context.Context) netip.Addr {
	if x := exchangeOf(ctx); x != nil {
		return x.source
	}
	return netip.Addr{}
}

func (x *exchange) WriteHeader(status int) {
	if x.status == 0 && status >= 200 { // 1xx come before the answer
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(b)
	x.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// Flush is for foreign handlers that ask for an http.Flusher.
func (x *exchange) Flush() { _ = http.NewResponseController(x.ResponseWriter).Flush() }

// fail answers with err, unless an answer has begun: then only the log can tell.
func (a *api) fail(x *exchange, r *http.Request, err error) {
	err = classify(err)
	x.failure = err
	if x.status != 0 {
		return
	}
	// net/http would go on reading a body, to use the connection again. From a
	// stranger, or one that was too large, it is not worth waiting for.
	if r.ContentLength != 0 && (x.actor.Name == "" || errors.As(err, new(*http.MaxBytesError))) {
		x.Header().Set("Connection", "close")
	}
	a.writeError(x, r, err)
}

// finish is deferred around everything: it turns a panic into an answer, logs
// and counts.
func (a *api) finish(x *exchange, r *http.Request) {
	ctx := r.Context()
	if p := recover(); p != nil {
		if p == http.ErrAbortHandler { // net/http's own way to hang up
			a.account(ctx, x, r)
			panic(p)
		}
		a.cfg.Log.ErrorContext(ctx, "a handler panicked", "panic", p, "stack", string(debug.Stack()))
		a.numbers.panics.Inc()
		started := x.status != 0
		a.fail(x, r, nightporter.E(nightporter.Internal, "something went wrong on our side"))
		if started {
			a.account(ctx, x, r)
			panic(http.ErrAbortHandler) // half an answer must not look whole
		}
	}
	a.account(ctx, x, r)
}

// account writes the access log and the metrics. Neither has the query, which
// may hold what somebody typed into it.
func (a *api) account(ctx context.Context, x *exchange, r *http.Request) {
	took := time.Since(x.started)
	status := x.status
	switch {
	case status != 0:
	case ctx.Err() != nil:
		status = 499 // the client went away: nginx's number for it
	default:
		status = http.StatusOK // what net/http sends for nothing written
	}
	pattern, level := "none", slog.LevelInfo
	if x.route != nil {
		pattern, level = x.route.Pattern, x.route.LogLevel
	}
	a.numbers.requests.With(pattern, knownMethod(r.Method), strconv.Itoa(status)).Inc()
	a.numbers.seconds.With(pattern).Observe(took.Seconds())

	attrs := []slog.Attr{
		slog.String("method", knownMethod(r.Method)),
		slog.String("path", x.path),
		slog.Int("status", status),
		slog.Int64("bytes", x.bytes),
		slog.Duration("took", took),
		slog.String("source", x.source.String()),
	}
	if x.actor.Name != "" {
		attrs = append(attrs, slog.String("actor", x.actor.Name))
	}
	if x.failure != nil {
		code := nightporter.CodeOf(x.failure)
		attrs = append(attrs, slog.String("code", string(code)))
		if (code == nightporter.Internal || code == nightporter.Unavailable) && !errors.Is(x.failure, context.Canceled) {
			// Only here does a cause come to light; users see the request id.
			level = max(level, slog.LevelWarn)
			if code == nightporter.Internal {
				level = max(level, slog.LevelError)
			}
			attrs = append(attrs, slog.String("error", x.failure.Error()))
		}
	}
	a.cfg.Log.LogAttrs(ctx, level, "request", attrs...)
}

// knownMethod keeps a method that somebody made up out of logs and labels.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, "LIST":
		return m
	}
	return "other"
}

// numbers are the front door's metrics.
type numbers struct {
	requests telemetry.Counter
	seconds  telemetry.Histogram
	inFlight telemetry.GaugeSeries
	refused  telemetry.Counter
	panics   telemetry.CounterSeries
}

func newNumbers(r *telemetry.Registry) numbers {
	return numbers{
		requests: r.Counter("nightporter_http_requests_total", "Requests answered.", "route", "method", "code"),
		seconds: r.Histogram("nightporter_http_request_seconds", "Time to answer a request.",
			[]float64{0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10}, "route"),
		inFlight: r.Gauge("nightporter_http_requests_in_flight", "Requests being answered.").With(),
		refused:  r.Counter("nightporter_http_refused_total", "Requests without a valid token, which the audit log does not hold.", "reason"),
		panics:   r.Counter("nightporter_http_panics_total", "Handlers that panicked.").With(),
	}
}

// secure sets the headers that browsers ask for. A page relaxes its own policy
// with [ConsolePolicy].
func secure(h http.Header, r *http.Request) {
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	// Not no-referrer: browsers then send "Origin: null" with a form, and our
	// own pages could not be told from foreign ones (Fetch standard, "append a
	// request Origin header").
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if r.TLS != nil {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// ConsolePolicy is the Content-Security-Policy of our own pages: everything from
// this host, nothing inline, in nobody's frame.
const ConsolePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
