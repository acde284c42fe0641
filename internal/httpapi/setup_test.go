package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// door is a front door with people behind it: a token is a person's name, and
// "nobody" is not valid. bob may do nothing.
type door struct {
	http.Handler
	metrics *telemetry.Registry
	log     *lines
	sealed  bool
	// asked are the actions that the policies were asked about.
	mu    sync.Mutex
	asked []nightporter.Action
}

type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (d *door) actions() []nightporter.Action {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

func (d *door) config(routes ...httpapi.Route) httpapi.Config {
	d.metrics, d.log = telemetry.NewRegistry(), &lines{}
	log, err := telemetry.NewLogger(telemetry.LogConfig{Writer: d.log, Format: telemetry.LogJSON, Level: "debug"})
	if err != nil {
		panic(err)
	}
	return httpapi.Config{
		Routes: routes, Log: log, Metrics: d.metrics,
		Sealed: func() bool { return d.sealed },
		Authenticate: func(r *http.Request) (nightporter.Actor, error) {
			name, method := httpapi.TokenOf(r), "token"
			if c, err := r.Cookie("__Host-session"); name == "" && err == nil {
				name, method = c.Value, "session"
			}
			if name == "" || name == "nobody" {
				return nightporter.Actor{}, nightporter.E(nightporter.Unauthenticated, "no valid token")
			}
			return nightporter.Actor{Kind: nightporter.Person, Name: name, Method: method}, nil
		},
		Authorise: func(ctx context.Context, a nightporter.Action) error {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.asked = append(d.asked, a)
			if nightporter.ActorFrom(ctx).Name == "bob" {
				return nightporter.E(nightporter.Denied, "no policy of yours allows %s on %s", a.Capability, a.Path)
			}
			return nil
		},
	}
}

func open(t testing.TB, routes ...httpapi.Route) *door {
	t.Helper()
	d := &door{}
	return d.build(t, d.config(routes...))
}

func (d *door) build(t testing.TB, cfg httpapi.Config) *door {
	t.Helper()
	h, err := httpapi.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	d.Handler = h
	return d
}

// serve puts d behind a real server.
func (d *door) serve(t testing.TB) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.Config = httpapi.NewServer(httpapi.ServerConfig{Handler: d, Log: slog.New(slog.DiscardHandler)})
	s.Start()
	t.Cleanup(s.Close)
	return s
}

type header map[string]string

// ask sends a request to h as a program would, with a token for who.
func ask(h http.Handler, who, method, target, body string, headers header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	if who != "" {
		r.Header.Set("X-Vault-Token", who)
	}
	for k, v := range headers {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func problem(t testing.TB, w *httptest.ResponseRecorder) httpapi.Problem {
	t.Helper()
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("Content-Type = %q, body %q; want a problem", got, w.Body)
	}
	var p httpapi.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if p.Status != w.Code || p.RequestID == "" || p.RequestID != w.Header().Get("X-Request-Id") {
		t.Errorf("problem %+v does not fit its answer %d, id %q", p, w.Code, w.Header().Get("X-Request-Id"))
	}
	return p
}

func hello(w http.ResponseWriter, _ *http.Request) error {
	_, _ = io.WriteString(w, "hello")
	return nil
}

// board is a route like most.
var board = httpapi.Route{Method: "GET", Pattern: "/api/board", Action: httpapi.Does("board.read", nightporter.Read, "api/board"), Handler: hello}

// pipes is a listener of connections in memory, which testing/synctest can wait
// for, so that minutes of a slow client pass at once.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

func (p *pipes) dialContext(context.Context, string, string) (net.Conn, error) { return p.dial(), nil }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// start serves d on pipes until the test ends.
func (d *door) start(t testing.TB) *pipes {
	t.Helper()
	p := newPipes()
	s := httpapi.NewServer(httpapi.ServerConfig{Handler: d, Log: slog.New(slog.DiscardHandler)})
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(p) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutting down: %v", err)
		}
		<-done
	})
	return p
}

func scrape(t testing.TB, d *door) string {
	t.Helper()
	var b strings.Builder
	if _, err := d.metrics.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func readRequest(raw string) (*http.Request, error) {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if r != nil {
		r.RemoteAddr = "192.0.2.1:1234"
	}
	return r, err
}
