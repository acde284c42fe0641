package cli_test

import (
	"bytes"
	"context"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter/internal/cli"
)

var update = flag.Bool("update", false, "write the golden files anew")

// now is the time of every test: the recorded answers of testdata are from the
// hours before it.
var now = time.Date(2026, 11, 23, 12, 4, 31, 0, time.UTC)

// porter is a server that gives recorded answers, and a home folder.
type porter struct {
	t       *testing.T
	server  *httptest.Server
	home    string
	env     map[string]string
	mu      sync.Mutex
	answers map[string][]answer
	seen    []string // "METHOD /path body"
	auth    []string
	hook    func(route string) // called before each answer; may be nil
}

type answer struct {
	status int
	body   string
}

// newPorter answers by "METHOD /path?query"; a list of answers is given one after
// another, the last one for ever.
func newPorter(t *testing.T) *porter {
	t.Helper()
	p := &porter{t: t, home: t.TempDir(), answers: map[string][]answer{}}
	p.server = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.server.Close)
	p.env = map[string]string{"HOME": p.home, "NIGHTPORTER_ADDR": p.server.URL, "NIGHTPORTER_TOKEN": "npt_test"}
	return p
}

func (p *porter) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	route := r.Method + " " + r.URL.RequestURI()
	p.seen = append(p.seen, strings.TrimSpace(route+" "+string(body)))
	p.auth = append(p.auth, r.Header.Get("Authorization"))
	if p.hook != nil {
		p.hook(route)
	}
	list := p.answers[route]
	if len(list) == 0 {
		p.problem(w, http.StatusNotFound, `{"code":"not_found","detail":"there is no `+r.URL.Path+`","request_id":"req-404"}`)
		return
	}
	if len(list) > 1 {
		p.answers[route] = list[1:]
	}
	if list[0].status >= 400 {
		p.problem(w, list[0].status, list[0].body)
		return
	}
	kind := "application/json"
	if strings.HasPrefix(route, "GET /events") {
		kind = "text/event-stream"
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(list[0].status)
	_, _ = io.WriteString(w, list[0].body)
}

func (p *porter) problem(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// says records an answer.
func (p *porter) says(route string, status int, body string) *porter {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[route] = append(p.answers[route], answer{status, body})
	return p
}

// recorded records an answer out of testdata.
func (p *porter) recorded(route, file string) *porter {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		p.t.Fatal(err)
	}
	return p.says(route, http.StatusOK, string(b))
}

// changes are the requests that were not reads.
func (p *porter) changes() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := []string{}
	for _, s := range p.seen {
		if !strings.HasPrefix(s, "GET ") {
			out = append(out, s)
		}
	}
	return out
}

// result is what a command left behind.
type result struct {
	code           int
	stdout, stderr string
}

// screen says which streams are terminals.
type screen int

const (
	piped     screen = iota // none
	onScreen                // all, 120 columns
	narrow                  // all, 60 columns
	logged                  // stderr and stdin, stdout is a file
	justInput               // stdin only
)

// run runs a command. cfg's streams, environment and clock are set here.
func (p *porter) run(s screen, cfg cli.Config, args ...string) result {
	p.t.Helper()
	return p.runContext(p.t.Context(), s, cfg, args...)
}

func (p *porter) runContext(ctx context.Context, s screen, cfg cli.Config, args ...string) result {
	var stdout, stderr bytes.Buffer
	if cfg.Stdin == nil {
		cfg.Stdin = strings.NewReader("")
	}
	in := cfg.Stdin
	cfg.Args, cfg.Stdout, cfg.Stderr = args, &stdout, &stderr
	cfg.Version = "1.2.3"
	cfg.Env = func(name string) string { return p.env[name] }
	cfg.HTTP = p.server.Client()
	cfg.Now = func() time.Time { return now }
	cfg.Poll = time.Millisecond
	cfg.Terminal = func(stream any) (int, bool) {
		switch {
		case s == onScreen:
			return 120, true
		case s == narrow:
			return 60, true
		case s == logged:
			return 120, stream != any(&stdout)
		case s == justInput:
			return 80, stream == any(in)
		}
		return 0, false
	}
	code := cli.New(cfg).Run(ctx)
	// The address changes with every run.
	clean := strings.NewReplacer(p.server.URL, "http://porter.test", p.home, "~")
	return result{code, clean.Replace(stdout.String()), clean.Replace(stderr.String())}
}

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", path, diff)
	}
}
