package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"nightporter.dev/nightporter/internal/app"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

const (
	hookSecret = "crash webhook secret"
	patience   = 90 * time.Second
)

const declared = `
data_dir: "{{dir}}/data"
store: "sqlite:{{dir}}/store/nightporter.db"
seal: {kind: file, path: "{{dir}}/key/unseal.key"}
same_user: allowed
forges: {hub: {kind: github, url: "{{hub}}", organisation: acme, sweep: 1m}}
people: {ana: {hub: ana-gh}, sam: {hub: sam-gh}}
teams: {payments: {members: [ana, sam]}}
environments:
  dev: {kind: development}
  preprod: {kind: staging}
  prod: {kind: production, approval: {from: [owner]}}
pipeline: [[dev, preprod], [prod]]
services:
  - name: ledger
    repo: hub/ledger
    owner: payments
    deploy: {kind: process, build: [cp, "{{service}}", app], run: [./app], env: {STARTS: "{{dir}}/starts"}, drain: 2s}
    health: {http: /healthz, within: 20s}
`

// world is everything around one house, and the house's processes.
type world struct {
	t       *testing.T
	dir     string
	store   string // the store's URL
	hub     *githubtest.Server
	address string
	socket  *os.File // handed to each process in turn: callers wait while there is none
	root    string   // a token that may do everything
	sam     string   // a token of somebody who may approve
	ports   int

	failure atomic.Pointer[string] // why the house ended when nobody killed it
	kills   atomic.Int32
	stop    func() // ends the house and the load

	mu      sync.Mutex
	tokens  []string // that the load was promised
	anchors []string // checkpoints that the load was given
}

// nextPorts gives each house ports of its own.
var nextPorts atomic.Int32

// newWorld makes a world with one repository and an initialised store, and no
// process yet. storeURL "" means SQLite.
func newWorld(t *testing.T, service, storeURL string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), store: storeURL, ports: 20000 + portsEach*int(nextPorts.Add(1)-1)}
	if w.store == "" {
		w.store = "sqlite:" + filepath.Join(w.dir, "store", "nightporter.db")
	}
	var err error
	w.hub, err = githubtest.Start(githubtest.Config{Dir: filepath.Join(w.dir, "hub"), Secret: []byte(hookSecret)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.hub.Close() })
	if _, err := w.hub.AddRepo("ledger", map[string]string{"mood": "good\n"}); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(w.dir, "key"), 0o700); err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("{{dir}}", w.dir, "{{hub}}", w.hub.URL(), "{{service}}", service).Replace(declared)
	if err := os.WriteFile(w.config(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w.initialise()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.address = "http://" + listener.Addr().String()
	if w.socket, err = listener.(*net.TCPListener).File(); err != nil {
		t.Fatal(err)
	}
	_ = listener.Close() // the file is the socket from now on
	t.Cleanup(func() { _ = w.socket.Close() })
	// Every webhook comes twice: that must not matter either.
	w.hub.SetFault(githubtest.Fault{Webhooks: githubtest.Duplicate})
	w.hub.AddHook(w.address + "/hooks/hub")
	return w
}

func (w *world) config() string { return filepath.Join(w.dir, "nightporter.yaml") }

// initialise does what `nightporter init` does, and signs sam in.
func (w *world) initialise() {
	w.t.Helper()
	ctx := context.Background()
	cfg, err := config.Load(w.config())
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := app.New(ctx, app.Options{
		Config: cfg, Log: slog.New(slog.DiscardHandler), Version: "crash", StoreURL: w.store, Providers: &app.Providers{},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	if err := a.Initialise(ctx); err != nil {
		w.t.Fatal(err)
	}
	if w.root, err = a.RootToken(ctx, ""); err != nil {
		w.t.Fatal(err)
	}
	door := httptest.NewServer(a.Handler())
	defer door.Close()
	w.address = door.URL
	const password = "correct horse battery staple"
	if err := w.call(ctx, w.root, http.MethodPost, "/api/users", map[string]any{"name": "sam", "password": password}, nil); err != nil {
		w.t.Fatal(err)
	}
	var login struct{ Token string }
	if err := w.call(ctx, "", http.MethodPost, "/api/login", map[string]any{"username": "sam", "password": password}, &login); err != nil {
		w.t.Fatal(err)
	}
	w.sam = login.Token
}

// fate is how the processes of a house end.
type fate struct {
	point string // the first kills itself here; "" for nowhere
	pass  int
	// moments are how long each further process may live before it is killed
	// from outside, together with the git that it runs.
	moments []time.Duration
}

// run keeps a house running, and the load, until w.stop.
func (w *world) run(f fate) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			if err := w.process(ctx, f); err != nil {
				text := err.Error()
				w.failure.Store(&text)
				return
			}
			f.point = ""
			f.moments = f.moments[min(1, len(f.moments)):]
		}
	})
	running.Go(func() { w.load(ctx) })
	w.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	w.t.Cleanup(func() {
		w.stop()
		w.endServices()
		if w.t.Failed() {
			log, _ := os.ReadFile(filepath.Join(w.dir, "log"))
			lines := strings.Split(strings.TrimSpace(string(log)), "\n")
			w.t.Logf("the house said last:\n%s", strings.Join(lines[max(0, len(lines)-40):], "\n"))
		}
	})
}

// process runs one process of the house to the end that f or ctx makes.
func (w *world) process(ctx context.Context, f fate) error {
	log, err := os.OpenFile(filepath.Join(w.dir, "log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(),
		envConfig+"="+w.config(), envStore+"="+w.store, envPoint+"="+f.point, fmt.Sprintf("%s=%d", envPass, f.pass),
		envRecord+"="+w.record(), fmt.Sprintf("%s=%d", envPorts, w.ports))
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{w.socket}
	alive, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	defer func() { _ = alive.Close() }()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Start(); err != nil {
		return err
	}
	if len(f.moments) > 0 {
		timer := time.AfterFunc(f.moments[0], func() { _ = cmd.Cancel() }) // it may be gone
		defer timer.Stop()
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL && (f.point != "" || len(f.moments) > 0):
		w.kills.Add(1)
		return nil
	}
	return fmt.Errorf("the house ended by itself: %w", err)
}

func (w *world) record() string { return filepath.Join(w.dir, "points") }

// points counts the points that were passed.
func (w *world) points() map[string]int {
	b, err := os.ReadFile(w.record())
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]int{}
	for line := range strings.Lines(string(b)) {
		out[strings.TrimSpace(line)]++
	}
	return out
}

// load lists the board, makes tokens and asks for checkpoints, and keeps what it
// was promised.
func (w *world) load(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// What fails failed: a dying house may answer nothing.
		_ = w.call(ctx, w.root, http.MethodGet, "/api/board", nil, nil)
		var made struct{ Token string }
		if w.call(ctx, w.root, http.MethodPost, "/api/tokens", map[string]any{"display_name": fmt.Sprint("load-", n), "ttl": "1h"}, &made) == nil {
			w.mu.Lock()
			w.tokens = append(w.tokens, made.Token)
			w.mu.Unlock()
		}
		var checkpoint struct{ Note string }
		if n%16 == 0 && w.call(ctx, w.root, http.MethodGet, "/api/audit/checkpoint", nil, &checkpoint) == nil && checkpoint.Note != "" {
			w.mu.Lock()
			w.anchors = append(w.anchors, checkpoint.Note)
			w.mu.Unlock()
		}
	}
}

var client = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// call sends one request and reads the answer into out.
func (w *world) call(ctx context.Context, token, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, w.address+path, body)
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode > 299 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, b)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}

// until waits for the world to be as it should: problem says what is missing, or
// "". It gives up when the house broke.
func (w *world) until(what string, problem func() string) {
	w.t.Helper()
	give := time.After(patience)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		p := problem()
		if p == "" {
			return
		}
		if f := w.failure.Load(); f != nil {
			w.t.Fatalf("while waiting until %s: %s", what, *f)
		}
		select {
		case <-tick.C:
		case <-give:
			w.t.Fatalf("never %s: %s", what, p)
		}
	}
}
