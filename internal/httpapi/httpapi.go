package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/telemetry"
)

// Config is what [New] builds the front door from.
type Config struct {
	// Routes are all ways in. Their patterns must not conflict.
	Routes []Route
	// Authenticate says who sends a request. A request of a route that takes
	// tokens only comes without its cookies. An actor whose Method is
	// "session" came by cookie. Errors should have the code unauthenticated.
	// Required when a route is not public.
	Authenticate func(*http.Request) (nightporter.Actor, error)
	// Authorise asks the policies whether the context's actor may do a thing
	// (ActionFrom tells to what),
	// and records a refusal. Its errors should have the code denied. Required
	// when a route is not public.
	Authorise func(context.Context, nightporter.Action) error
	// Log takes the access log and the causes of internal errors. Required.
	Log *slog.Logger
	// Metrics takes the counts of requests. Required.
	Metrics *telemetry.Registry
	// Sealed says whether the store is sealed. Default: never.
	Sealed func() bool
	// WhenSealed lists the canonical paths that are answered while sealed.
	// Default: DefaultWhenSealed.
	WhenSealed []string
	// Errors has, by the prefix of a path, who writes errors there. Default:
	// WriteProblem everywhere.
	Errors map[string]ErrorWriter
	// TrustedProxies may name the source of a request in X-Forwarded-For.
	// Default: none.
	TrustedProxies []netip.Prefix
	// TrustedOrigins are further origins, such as https://ops.example, whose
	// pages may use the session cookie. Default: only the host that was asked.
	TrustedOrigins []string
	// Idempotency keeps answers. Default: Idempotency-Key is ignored.
	Idempotency IdempotencyStore
	// RefusalsPerMinute is how many requests of one source without a valid
	// token are answered 401 in a minute, before 429. Default 60.
	RefusalsPerMinute int
}

// DefaultWhenSealed is what answers while the store is sealed.
func DefaultWhenSealed() []string {
	return []string{
		"/livez", "/readyz", "/metrics",
		"/v1/sys/health", "/v1/sys/seal-status", "/v1/sys/init", "/v1/sys/unseal", "/v1/sys/leader",
	}
}

// api is the front door.
type api struct {
	cfg      Config
	mux      *http.ServeMux
	origins  *http.CrossOriginProtection
	refusals refusals
	numbers  numbers
	prefixes []string // of cfg.Errors, longest first
}

// New builds the front door. It fails when a route is declared wrongly, above
// all when one says neither what it does nor that it is public, and when two
// patterns conflict.
func New(cfg Config) (http.Handler, error) {
	if cfg.Log == nil || cfg.Metrics == nil {
		return nil, errors.New("httpapi needs a log and metrics")
	}
	if cfg.Sealed == nil {
		cfg.Sealed = func() bool { return false }
	}
	if cfg.WhenSealed == nil {
		cfg.WhenSealed = DefaultWhenSealed()
	}
	if cfg.RefusalsPerMinute <= 0 {
		cfg.RefusalsPerMinute = 60
	}
	a := &api{
		cfg:      cfg,
		mux:      http.NewServeMux(),
		origins:  http.NewCrossOriginProtection(),
		refusals: refusals{perMinute: cfg.RefusalsPerMinute},
		numbers:  newNumbers(cfg.Metrics),
	}
	for _, o := range cfg.TrustedOrigins {
		if err := a.origins.AddTrustedOrigin(o); err != nil {
			return nil, fmt.Errorf("trusted origin %q: %w", o, err)
		}
	}
	for prefix := range cfg.Errors {
		a.prefixes = append(a.prefixes, prefix)
	}
	slices.SortFunc(a.prefixes, func(x, y string) int { return len(y) - len(x) })
	for _, route := range cfg.Routes {
		if err := route.check(); err != nil {
			return nil, err
		}
		if route.Access != Public && (cfg.Authenticate == nil || cfg.Authorise == nil) {
			return nil, fmt.Errorf("route %s is not public, and nothing says who is there or what they may", route)
		}
		if err := a.register(route); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// register adds a route to the mux, which panics when a pattern is wrong or
// conflicts with another one.
func (a *api) register(route Route) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("route %s: %v", route, p)
		}
	}()
	a.mux.Handle(route.String(), a.through(route))
	return nil
}

// writeError answers with err, in the way of the path's protocol.
func (a *api) writeError(w http.ResponseWriter, r *http.Request, err error) {
	for _, prefix := range a.prefixes {
		if strings.HasPrefix(r.URL.Path, prefix) {
			a.cfg.Errors[prefix](w, r, err)
			return
		}
	}
	WriteProblem(w, r, err)
}

// ServeHTTP takes a request up to its route.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Ids from outside are not taken over: whoever could choose one could hide
	// in the lines of somebody else's request.
	id := telemetry.NewRequestID()
	x := &exchange{ResponseWriter: w, started: time.Now(), source: SourceOf(r, a.cfg.TrustedProxies)}
	ctx := context.WithValue(nightporter.WithRequestID(r.Context(), id), exchangeKey{}, x)
	r = r.WithContext(ctx)
	x.Header().Set("X-Request-Id", id)
	secure(x.Header(), r)

	a.numbers.inFlight.Add(1)
	defer a.numbers.inFlight.Add(-1)
	defer a.finish(x, r)
	// r.URL is replaced by canonicalise; the deferred call logs by x.path.
	if err := canonicalise(r); err != nil {
		a.fail(x, r, err)
		return
	}
	x.path = r.URL.Path
	if err := a.findRoute(x, r); err != nil {
		a.fail(x, r, err)
		return
	}
	a.mux.ServeHTTP(x, r)
}

// findRoute fails when no route takes the request. The mux would answer by
// itself, in plain text.
func (a *api) findRoute(w http.ResponseWriter, r *http.Request) error {
	h, pattern := a.mux.Handler(r)
	if pattern != "" {
		return nil
	}
	probe := &probe{header: http.Header{}}
	h.ServeHTTP(probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		allow := probe.header.Get("Allow")
		w.Header().Set("Allow", allow)
		return nightporter.E(nightporter.Invalid, "%s is not possible here", r.Method).WithHint("this path takes %s", allow)
	}
	return nightporter.E(nightporter.NotFound, "there is nothing at this path")
}

// probe learns what a handler would answer.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header         { return p.header }
func (p *probe) WriteHeader(status int)      { p.status = status }
func (p *probe) Write(b []byte) (int, error) { return len(b), nil }
