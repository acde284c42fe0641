package githubtest

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"
)

// Config says what kind of GitHub to be.
type Config struct {
	// Dir is where the bare repositories live: Dir/<organisation>/<name>.git.
	// Required. The folder is made when it is not there.
	Dir string
	// Listen is the address to listen on. Default: 127.0.0.1:0.
	Listen string
	// Organisation owns the repositories. Default: "acme".
	Organisation string
	// Token is what API calls and git must present. Default: none is needed.
	Token string
	// App lets an App fetch installation tokens. Default: there is no App.
	App *App
	// Secret signs the webhooks. Default: "secret".
	Secret []byte
	// Hooks are the addresses that webhooks go to. More can be added with
	// [Server.AddHook].
	Hooks []string
	// Client sends the webhooks. Default: one with a time limit of 10 seconds,
	// which is GitHub's.
	Client *http.Client
	// Now is the clock of everything that happens here. Default: time.Now.
	// GitHub keeps whole seconds, so only those are used.
	Now func() time.Time
	// Contract checks all traffic. Default: nothing is checked.
	Contract *Contract
	// Violation is told what broke the contract. Default: it is only kept for
	// [Server.Violations].
	Violation func(string)
	// Sample makes the files of a pull request that somebody opens on a
	// repository's page. Default: one small file.
	Sample func(repo, title string) map[string]string
	// Plan is what the organisation pays for. Default: everything.
	Plan Plan
	// Quota is how many requests, or points of GraphQL, it answers an hour.
	// Default: as many as come.
	Quota int
	// RequiredStatuses are contexts that must be green on a pull request's
	// head before it can be merged. Default: none.
	RequiredStatuses []string
}

// App is a GitHub App that is installed in the organisation.
type App struct {
	ID           int64
	Installation int64
	Key          *rsa.PublicKey // checks the App's signed requests for tokens
}

// Server is the GitHub. Use [Start].
type Server struct {
	cfg    Config
	url    string
	routes http.Handler
	http   *http.Server
	served chan struct{}

	mu       sync.Mutex
	repos    map[string]*repository
	serial   int64
	fault    Fault
	tokens   map[string]time.Time // of installations, with their end
	requests []Request
	teams    map[string]int64 // id by slug
	rulesets []*Ruleset
	mutated  int // mutations that were tried
	quota    quota

	hooks hooks

	violationsMu sync.Mutex // apart from mu: webhooks are checked while mu is held
	violations   []string
}

// Request is one call of the API that was answered.
type Request struct {
	Method, Path string
	Status       int
	// Points is what a GraphQL query costs by GitHub's formula, 0 for REST.
	Points int
	// Mutations are the changes that a GraphQL document asked for.
	Mutations int
}

// Start makes a GitHub without repositories and listens. Close it.
func Start(cfg Config) (*Server, error) {
	if cfg.Dir == "" {
		return nil, errors.New("githubtest: Config.Dir is required")
	}
	abs, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("githubtest: %w", err)
	}
	cfg.Dir = abs
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.Organisation == "" {
		cfg.Organisation = "acme"
	}
	if len(cfg.Secret) == 0 {
		cfg.Secret = []byte("secret")
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{Timeout: 10 * time.Second}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("githubtest: %w", err)
	}
	s := &Server{
		cfg: cfg, url: "http://" + listener.Addr().String(), served: make(chan struct{}),
		repos: map[string]*repository{}, tokens: map[string]time.Time{},
		teams: map[string]int64{},
	}
	s.routes = s.router()
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	s.hooks.start(s, cfg.Hooks)
	go func() {
		defer close(s.served)
		_ = s.http.Serve(listener) // always ends with ErrServerClosed
	}()
	return s, nil
}

// Close stops listening, and stops sending webhooks once the one on its way has
// arrived. The repositories stay.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	<-s.served
	s.hooks.stop()
	return err
}

// URL is where the server answers, without a slash at the end. It is the base
// of the REST API, of git's addresses and of the pages.
func (s *Server) URL() string { return s.url }

// Organisation is the name of the organisation that owns the repositories.
func (s *Server) Organisation() string { return s.cfg.Organisation }

// Requests returns the calls of the API so far, in the order of their answers.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// ForgetRequests empties what [Server.Requests] returns.
func (s *Server) ForgetRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// Violations returns what broke the contract so far.
func (s *Server) Violations() []string {
	s.violationsMu.Lock()
	defer s.violationsMu.Unlock()
	return append([]string(nil), s.violations...)
}

func (s *Server) violate(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.violationsMu.Lock()
	s.violations = append(s.violations, text)
	s.violationsMu.Unlock()
	if s.cfg.Violation != nil {
		s.cfg.Violation(text)
	}
}

// now is the time here. GitHub's API and git both keep whole seconds.
func (s *Server) now() time.Time { return s.cfg.Now().UTC().Truncate(time.Second) }

// id is the next number that nothing else here has. The caller holds the lock.
func (s *Server) id() int64 {
	s.serial++
	return s.serial
}
