// Package bank serves a town over the UK Open Banking account and transaction API, version 4.0.
//
// It is a sandbox: it behaves like a bank as far as a careful client can tell, and misbehaves on request (see
// [Faults]). The shapes follow the official OpenAPI document, and the contract tests check every response
// against it. Two simplifications are on purpose, and the README says so: clients authenticate with a secret
// instead of mutual TLS, and the consent id travels as a plain parameter of the authorisation request instead of
// inside a signed request object.
package bank

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"example.org/sandboxbank/town"
)

// Prefix is the base path of the API (OBIE v4.0, "servers").
const Prefix = "/open-banking/v4.0/aisp"

// Config says how the bank behaves.
type Config struct {
	Town         *town.Town // required
	BaseURL      string     // required: how clients reach the bank, without a trailing slash
	ClientID     string     // required
	ClientSecret string     // required
	RedirectURIs []string   // required: where an authorisation may return to, compared exactly
	PageSize     int        // rows a page; default 100
	Faults       *Faults    // nil: none
	Log          *slog.Logger
	Now          func() time.Time                   // nil: time.Now
	Wait         func(*http.Request, time.Duration) // how a stalled answer waits; nil: a timer that ends with the request
	random       func(n int) []byte                 // tests
}

// Bank is the server. Consents and tokens live in memory; the data never changes.
type Bank struct {
	cfg       Config
	cursorKey [32]byte

	mu       sync.Mutex
	consents map[string]*consent
	grants   map[string]*grant  // by the hash of an authorisation code
	tokens   map[string]*token  // by the hash of an access token
	refresh  map[string]*token  // by the hash of a refresh token
	forms    map[string]pending // by form token: an authorisation page that was shown
}

// New checks the configuration and returns a bank.
func New(cfg Config) (*Bank, error) {
	if cfg.Town == nil || cfg.ClientID == "" || cfg.ClientSecret == "" || len(cfg.RedirectURIs) == 0 {
		return nil, errors.New("the bank needs a town, a client id, a client secret and a redirect address")
	}
	if u, err := url.Parse(cfg.BaseURL); err != nil || u.Host == "" || strings.HasSuffix(cfg.BaseURL, "/") {
		return nil, errors.New("the bank needs the address it is reached at, like http://127.0.0.1:8101")
	}
	if cfg.PageSize <= 0 {
		cfg.PageSize = 100
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Wait == nil {
		cfg.Wait = wait
	}
	if cfg.Faults == nil {
		cfg.Faults = NoFaults()
	}
	if cfg.random == nil {
		cfg.random = func(n int) []byte { b := make([]byte, n); rand.Read(b); return b }
	}
	b := &Bank{cfg: cfg, consents: map[string]*consent{}, grants: map[string]*grant{}, tokens: map[string]*token{}, refresh: map[string]*token{}, forms: map[string]pending{}}
	b.cursorKey = sha256.Sum256(cfg.random(32))
	return b, nil
}

func wait(r *http.Request, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
	}
}

// Handler is the public face: OAuth, the authorisation page and the account API.
func (b *Bank) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", b.metadata)
	mux.HandleFunc("POST /token", b.issueToken)
	mux.HandleFunc("GET /authorize", b.showAuthorise)
	mux.HandleFunc("POST /authorize", b.decideAuthorise)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})

	mux.Handle("POST "+Prefix+"/account-access-consents", b.client(b.createConsent))
	mux.Handle("GET "+Prefix+"/account-access-consents/{consent}", b.client(b.readConsent))
	mux.Handle("DELETE "+Prefix+"/account-access-consents/{consent}", b.client(b.deleteConsent))
	mux.Handle("GET "+Prefix+"/accounts", b.customer(b.listAccounts))
	mux.Handle("GET "+Prefix+"/accounts/{account}", b.customer(b.oneAccount))
	mux.Handle("GET "+Prefix+"/accounts/{account}/balances", b.customer(b.balances))
	mux.Handle("GET "+Prefix+"/accounts/{account}/transactions", b.customer(b.transactions))
	mux.Handle("GET "+Prefix+"/accounts/{account}/standing-orders", b.customer(b.standingOrders))
	return b.logged(mux)
}

// logged writes one line a request: never a query string, a token or a name.
func (b *Bank) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("x-fapi-interaction-id")
		if id == "" || len(id) > 64 {
			id = b.uuid()
		}
		w.Header().Set("x-fapi-interaction-id", id)
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(rec, r)
		b.cfg.Log.Info("request", "method", r.Method, "route", r.Pattern, "status", rec.status, "interaction_id", id)
	})
}

type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(code int) { r.status = code; r.ResponseWriter.WriteHeader(code) }
