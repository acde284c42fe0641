package process_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
	"nightporter.dev/nightporter/provider/deploy/deploytest"
	"nightporter.dev/nightporter/provider/deploy/process"
)

// The test binary is also the service under test and the caller that is killed.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv("TEST_BEHAVIOUR") != "":
		os.Exit(serve(deploytest.Behaviour(os.Getenv("TEST_BEHAVIOUR"))))
	case os.Getenv("TEST_STARTER_DIR") != "":
		os.Exit(starter())
	}
	os.Exit(m.Run())
}

// serve is a service that behaves. Each start leaves a line in TEST_STARTS: the
// judge of how often the machine saw one.
func serve(b deploytest.Behaviour) int {
	if path := os.Getenv("TEST_STARTS"); path != "" {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Fprintf(f, "%s %d\n", os.Getenv("NIGHTPORTER_INSTANCE"), os.Getpid())
		_ = f.Close()
	}
	fmt.Println("starting", os.Getenv("NIGHTPORTER_SERVICE"), os.Getenv("NIGHTPORTER_VERSION"))
	if b == deploytest.Crashing {
		for n := range 30 {
			fmt.Println("reading part", n)
		}
		fmt.Println("no configuration")
		return 3
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	if b == deploytest.Stubborn {
		ctx = context.Background()
	}
	if b == deploytest.Silent {
		<-ctx.Done()
		return 0
	}
	version := os.Getenv("NIGHTPORTER_VERSION")
	if b == deploytest.Old {
		version = "0.0.9"
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintf(w, `{"status":"ok","version":%q,"commit":%q}`, version, os.Getenv("NIGHTPORTER_COMMIT"))
	})}
	go func() {
		<-ctx.Done()
		fmt.Println("draining")
		_ = s.Shutdown(context.Background())
	}()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return 1
	}
	return 0
}

// world is a deployer in a folder of its own, with real processes.
type world struct {
	*process.Deployer
	cfg    process.Config
	starts string // file with a line for each start
	builds string // file with a line for each build
}

func newWorld(t *testing.T, change ...func(*process.Config)) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{
		cfg:    process.Config{Dir: filepath.Join(dir, "deploy"), SameUser: process.Allowed},
		starts: filepath.Join(dir, "starts"), builds: filepath.Join(dir, "builds"),
	}
	for _, c := range change {
		c(&w.cfg)
	}
	w.open(t)
	t.Cleanup(func() { w.cleanUp(t) })
	return w
}

func (w *world) open(t *testing.T) {
	t.Helper()
	d, err := process.New(w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.Deployer = d
}

// restart forgets everything that is not on disk.
func (w *world) restart(t *testing.T) {
	t.Helper()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w.open(t)
}

// cleanUp ends what the test left running, by its marks.
func (w *world) cleanUp(t *testing.T) {
	t.Helper()
	for {
		left, err := w.Processes()
		if err != nil {
			t.Errorf("looking for what is left: %v", err)
		}
		if len(left) == 0 {
			break
		}
		for _, p := range left {
			_ = syscall.Kill(p.PID, syscall.SIGKILL)
			_, _ = syscall.Wait4(p.PID, nil, 0, nil) // an error means that it is not our child
		}
	}
	if err := w.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
}

func (w *world) request(key, version string, b deploytest.Behaviour) deploy.Request {
	v, err := nightporter.ParseVersion(version)
	if err != nil {
		panic(err)
	}
	return deploy.Request{
		Key: key, Service: "ledger", Environment: "dev", Version: v, Commit: deploytest.CommitA,
		Command: []string{testBinary()}, Health: deploy.Health{HTTP: "/healthz"},
		Env: map[string]string{"TEST_BEHAVIOUR": string(b), "TEST_STARTS": w.starts},
	}
}

func testBinary() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return path
}

// count says how many lines of a file start with the word.
func count(t *testing.T, path, word string) int {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		if first, _, _ := strings.Cut(strings.TrimSpace(line), " "); first == word {
			n++
		}
	}
	return n
}

// until observes until the instance is in the state.
func (w *world) until(t *testing.T, token deploy.Token, want deploy.State) deploy.Observation {
	t.Helper()
	var o deploy.Observation
	deploytest.Eventually(t, "the instance is "+string(want), func() bool {
		var err error
		if o, err = w.Observe(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if o.State == deploy.Failed && want != deploy.Failed {
			t.Fatalf("the instance failed: %+v", o)
		}
		return o.State == want
	})
	return o
}

func (w *world) start(t *testing.T, r deploy.Request) deploy.Token {
	t.Helper()
	token, err := w.Start(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (w *world) stop(t *testing.T) {
	t.Helper()
	deploytest.Eventually(t, "everything is stopped", func() bool {
		p, err := w.Stop(t.Context(), "ledger", "dev")
		if err != nil {
			t.Fatal(err)
		}
		return p == deploy.Done
	})
}
