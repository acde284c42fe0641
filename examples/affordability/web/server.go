// Package web is the service that people and programs talk to: pages that explain every figure, a JSON API with the
// same content, and the routes that a platform needs.
//
// A visitor is an anonymous session. Whatever they connect belongs to that session and to nobody else: a wrong id and
// somebody else's id look the same.
package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.org/affordability/obie"
	"example.org/affordability/policy"
	"example.org/affordability/seal"
	"example.org/affordability/store"
)

// Config is what the service needs.
type Config struct {
	Store       store.Store    // required
	Box         *seal.Box      // required
	Bank        *obie.Bank     // required
	Policy      *policy.Policy // required
	BankAs      string         // how the bank is called on the pages; default "your bank"
	Public      string         // our own address as browsers see it; cookies are Secure when it is https
	Version     string         // shown by /healthz; default "dev"
	Commit      string
	Environment string       // where it runs, for /healthz
	Logins      func() int64 // how often the database login changed, for the metrics; nil: never
	Log         *slog.Logger // nil: discarded
	Now         func() time.Time
}

// Server is the service. Close waits for the readings under way.
type Server struct {
	cfg     Config
	views   *views
	metrics *metrics
	state   atomic.Bool // true: draining
	jobs    sync.WaitGroup
	ctx     context.Context
	cancel  context.CancelFunc
	answers sync.Mutex // one change of a visitor's answers or corrections at a time
}

// New checks the configuration and parses the pages.
func New(cfg Config) (*Server, error) {
	if cfg.Store == nil || cfg.Box == nil || cfg.Bank == nil || cfg.Policy == nil {
		return nil, errors.New("the service needs a store, a key, a bank and a policy")
	}
	if u, err := url.Parse(cfg.Public); err != nil || u.Host == "" {
		return nil, errors.New("the service needs its public address, like https://afford.example")
	}
	if cfg.BankAs == "" {
		cfg.BankAs = "your bank"
	}
	if cfg.Version == "" {
		cfg.Version = "dev"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	v, err := parseViews()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, views: v, metrics: newMetrics()}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Drain makes /readyz say no, so that a load balancer looks elsewhere while requests under way finish.
func (s *Server) Drain() { s.state.Store(true) }

// Close stops readings under way and waits for them.
func (s *Server) Close() {
	s.cancel()
	s.jobs.Wait()
}

// Handler is the whole service.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	page := func(pattern string, h func(http.ResponseWriter, *http.Request, visitor)) {
		mux.Handle(pattern, s.measured(pattern, s.visited(h)))
	}
	plain := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, s.measured(pattern, h)) }

	page("GET /{$}", s.pageConnect)
	page("POST /connect", s.doConnect)
	page("GET /v1/callback", s.callback)
	page("GET /profile", s.pageProfile)
	page("GET /rent", s.pageRent)
	page("GET /spending", s.pageSpending)
	page("GET /what-if", s.pageWhatIf)
	page("POST /what-if", s.doAnswers)
	page("GET /report", s.pageReport)
	page("GET /figures/{figure}", s.pageFigure)
	page("GET /data", s.pageData)
	page("POST /correct", s.doCorrect)
	page("POST /data/read", s.doRead)
	page("POST /data/confirm", s.doConfirm)
	page("POST /data/revoke", s.doRevoke)
	page("POST /data/delete", s.doDelete)

	page("POST /v1/consents", s.apiConsent)
	page("GET /v1/consents/{id}", s.apiGetConsent)
	page("DELETE /v1/consents/{id}", s.apiDeleteConsent)
	page("POST /v1/profiles", s.apiRead)
	page("GET /v1/profiles/{id}", s.apiProfile)
	page("GET /v1/profiles/{id}/streams", s.apiStreams)
	page("GET /v1/profiles/{id}/transactions", s.apiTransactions)
	page("GET /v1/profiles/{id}/report", s.apiReport)
	page("PATCH /v1/transactions/{key}/category", s.apiCorrect)
	page("POST /v1/scenarios", s.apiScenario)
	page("DELETE /v1/me", s.apiForget)
	plain("GET /v1/report-key", s.reportKey)
	plain("GET /v1/openapi.json", s.openAPI)

	plain("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	plain("GET /readyz", s.readyz)
	plain("GET /healthz", s.healthz)
	plain("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"version": s.cfg.Version, "commit": s.cfg.Commit, "policy": s.cfg.Policy.Version})
	})
	plain("GET /metrics", s.metricsPage)
	plain("GET /static/{file}", s.static)
	mux.Handle("/", s.measured("unmatched", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.fail(w, r, errNotFound) })))

	// Forms and scripts of other sites are turned away before anything is looked up (Sec-Fetch-Site and Origin).
	return s.headers(http.NewCrossOriginProtection().Handler(mux))
}

// headers go on every answer: nothing from elsewhere runs, frames us, or learns where a visitor came from.
func (s *Server) headers(next http.Handler) http.Handler {
	// A form may end at the bank: the browser follows the redirect under the same rule.
	policy := "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; form-action 'self' " + s.cfg.Bank.Issuer() + "; frame-ancestors 'none'; base-uri 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
		next.ServeHTTP(w, r)
	})
}

// healthz is what a platform asks before it sends people here.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	status, code := s.ready(r.Context())
	writeJSON(w, code, map[string]any{
		"status": status, "service": "affordability", "version": s.cfg.Version, "commit": s.cfg.Commit,
		"environment": s.cfg.Environment, "pid": os.Getpid(),
	})
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	status, code := s.ready(r.Context())
	writeJSON(w, code, map[string]string{"status": status})
}

func (s *Server) ready(ctx context.Context) (string, int) {
	if s.state.Load() {
		return "draining", http.StatusServiceUnavailable
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := s.cfg.Store.Ping(ctx); err != nil {
		return "the database does not answer", http.StatusServiceUnavailable
	}
	return "ok", http.StatusOK
}

func (s *Server) secure() bool { return strings.HasPrefix(s.cfg.Public, "https://") }
