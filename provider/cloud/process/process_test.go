package process_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/cloud"
	"nightporter.dev/nightporter/provider/cloud/cloudtest"
	"nightporter.dev/nightporter/provider/cloud/process"
)

// TestMain lets this binary be the programs of the environments under test.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "component" {
		if err := component(os.Args[2], os.Args[3], os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 2 && os.Args[1] == "caller" {
		if err := caller(os.Args[2], os.Args[3], os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// component notes that it was made, and serves a file of its folder.
func component(name, ledger, port string) error {
	f, err := os.OpenFile(ledger, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(f, name); err != nil {
		return err
	}
	fmt.Println(name, "listens")
	return http.ListenAndServe("127.0.0.1:"+port, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			b, _ := io.ReadAll(r.Body)
			_ = os.WriteFile("rows", b, 0o600)
			return
		}
		b, _ := os.ReadFile("rows")
		_, _ = w.Write(b)
	}))
}

// site is a folder of environments on this machine, and its judge.
type site struct {
	t        testing.TB
	dir      string
	ledger   string
	db, app  int
	provider *process.Provider
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, dir: filepath.Join(t.TempDir(), "cloud"), db: freePort(t), app: freePort(t)}
	s.ledger = filepath.Join(t.TempDir(), "ledger")
	s.open()
	t.Cleanup(func() {
		for pid := range s.alive("") {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if err := s.provider.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *site) open() {
	s.t.Helper()
	p, err := process.New(process.Config{Dir: s.dir, SameUser: process.Allowed})
	if err != nil {
		s.t.Fatal(err)
	}
	s.provider = p
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// alive is the judge: it reads /proc by itself.
func (s *site) alive(component string) map[int]bool {
	all := map[int]bool{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, _ := os.ReadFile("/proc/" + e.Name() + "/environ")
		if bytes.Contains(b, []byte("NIGHTPORTER_CLOUD_DIR="+s.dir+"\x00")) &&
			(component == "" || bytes.Contains(b, []byte("NIGHTPORTER_COMPONENT="+component+"\x00"))) {
			all[pid] = true
		}
	}
	return all
}

func (s *site) code(commit, appArgs, extra string) cloud.Code {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	dir := s.t.TempDir()
	text := fmt.Sprintf(`
components:
  - name: app
    kind: process
    command: [%q, component, app, %q, "{port}"%s]
    port: %d
    ready: {http: /healthz}
    needs: [db]
  - name: db
    kind: process
    prepare: [/bin/sh, -c, "echo empty > {data}/rows"]
    command: [%q, component, db, %q, "{port}"]
    port: %d
    ready: {tcp: true}
    keep: data
    outputs: {rows: rows}
%s`, self, s.ledger, appArgs, s.app, self, s.ledger, s.db, extra)
	if err := os.WriteFile(filepath.Join(dir, process.FileName), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return cloud.Code{Commit: commit, Dir: dir}
}

func (s *site) made(component string) int {
	b, _ := os.ReadFile(s.ledger)
	n := 0
	for line := range strings.Lines(string(b)) {
		if strings.TrimSpace(line) == component {
			n++
		}
	}
	return n
}

func (s *site) rows() string { return fmt.Sprintf("http://127.0.0.1:%d/", s.db) }

var dev = cloud.Target{Environment: "dev"}

func TestConformance(t *testing.T) {
	t.Parallel()
	cloudtest.Run(t, func(t *testing.T) cloudtest.World {
		s := newSite(t)
		return cloudtest.World{
			Provider: s.provider, Target: dev,
			Good: s.code("good", "", ""), Changed: s.code("changed", ", more", ""),
			Broken: s.code("broken", "", "  - {name: x, kind: folder, needs: [nothing]}\n"),
			Made:   s.made,
			Exists: func(component string) bool {
				_, err := os.Stat(filepath.Join(s.dir, "live", "dev", "data", component))
				return err == nil || len(s.alive(component)) > 0
			},
			Write: func(t *testing.T, data string) {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.rows(), strings.NewReader(data))
				if err != nil {
					t.Fatal(err)
				}
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
			},
			Read: func(t *testing.T) string {
				res, err := http.Get(s.rows())
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				b, _ := io.ReadAll(res.Body)
				return string(b)
			},
			Plant: func(t *testing.T) {
				cmd := exec.Command("sleep", "600")
				cmd.Env = []string{"NIGHTPORTER_CLOUD_DIR=" + s.dir, "NIGHTPORTER_ENVIRONMENT=dev", "NIGHTPORTER_COMPONENT=stranger"}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				go func() { _ = cmd.Wait() }()
			},
			Kill: func(*testing.T) {
				for pid := range s.alive("app") {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			},
			Restart: func(t *testing.T) cloud.Provider {
				if err := s.provider.Close(); err != nil {
					t.Fatal(err)
				}
				s.open()
				return s.provider
			},
		}
	})
}

func (s *site) do(verb func(r cloud.Request) (cloud.Token, error), key, component string, code cloud.Code) cloud.Observation {
	s.t.Helper()
	var token cloud.Token
	var err error
	// Unavailable is what whoever asks answers by asking again: a claim of a
	// caller that was killed may be half written.
	cloudtest.Eventually(s.t.(*testing.T), key+" begins", func() bool {
		token, err = verb(cloud.Request{Target: dev, Key: key, Component: component, Code: code})
		if err != nil && nightporter.CodeOf(err) != nightporter.Unavailable {
			s.t.Fatal(err)
		}
		return err == nil
	})
	var o cloud.Observation
	cloudtest.Eventually(s.t.(*testing.T), key+" is over", func() bool {
		if o, err = s.provider.Observe(s.t.Context(), dev, token); err != nil {
			s.t.Fatal(err)
		}
		return o.State != cloud.Running
	})
	return o
}

func (s *site) up(r cloud.Request) (cloud.Token, error)   { return s.provider.Up(s.t.Context(), r) }
func (s *site) down(r cloud.Request) (cloud.Token, error) { return s.provider.Down(s.t.Context(), r) }

func TestAJobLoadsDataOnceALife(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	code := s.code("a", "", `
  - {name: seed, kind: job, command: [/bin/sh, -c, "echo row >> {data}/seeded; echo seed >> `+s.ledger+`"]}
`)
	for i := range 3 {
		if o := s.do(s.up, fmt.Sprint("up", i), "seed", code); o.State != cloud.Succeeded {
			t.Fatalf("%+v", o)
		}
	}
	if n := s.made("seed"); n != 1 {
		t.Errorf("the job ran %d times in one life", n)
	}
	s.do(s.down, "down", cloud.Rest, cloud.Code{})
	s.do(s.up, "next", "seed", code)
	if n := s.made("seed"); n != 2 {
		t.Errorf("the job ran %d times in two lives", n)
	}
}

func TestAFailureShowsItsLastWords(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	code := s.code("a", "", `
  - {name: seed, kind: job, command: [/bin/sh, -c, "echo no such table; exit 3"]}
  - {name: gone, kind: process, command: [/nonexistent/program]}
`)
	o := s.do(s.up, "seed", "seed", code)
	if o.State != cloud.Failed || o.Message != "sh exited with status 3" || len(o.Lines) != 1 || o.Lines[0] != "no such table" {
		t.Errorf("the job: %+v", o)
	}
	s.do(s.up, "gone", "gone", code)
	var p cloud.Probe
	cloudtest.Eventually(t, "the probe knows", func() bool {
		var err error
		if p, err = s.provider.Probe(t.Context(), dev, "gone"); err != nil {
			t.Fatal(err)
		}
		return !p.Good
	})
	if !p.Hopeless || p.Message != "gone could not start: its command was not found" {
		t.Errorf("the program: %+v", p)
	}
}

func TestWhatWillNotEndIsKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	code := s.code("a", "", `
  - {name: mule, kind: process, grace: 100ms, command: [/bin/sh, -c, "trap '' TERM INT; sleep 600 & while :; do sleep 1; done"]}
`)
	s.do(s.up, "up", "mule", code)
	// A process that is just becoming its program shows no environment.
	cloudtest.Eventually(t, "the mule runs", func() bool { return len(s.alive("mule")) > 0 })
	if o := s.do(s.down, "down", "mule", cloud.Code{}); o.State != cloud.Succeeded {
		t.Errorf("%+v", o)
	}
	if left := s.alive("mule"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestWhatIsProtectedStays(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	code := s.code("a", "", "  - {name: safe, kind: folder, protected: true}\n")
	s.do(s.up, "up", "safe", code)
	for _, c := range []string{"safe", cloud.Rest} {
		if o := s.do(s.down, "down"+c, c, cloud.Code{}); o.State != cloud.Failed {
			t.Errorf("down of %s: %+v", c, o)
		}
	}
	if _, err := os.Stat(filepath.Join(s.dir, "live/dev/data/safe")); err != nil {
		t.Error(err)
	}
}

func TestAnOutputIsReadFromTheBuild(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.do(s.up, "up", "db", s.code("a", "", ""))
	if b, err := s.provider.Output(t.Context(), dev, "rows"); err != nil || string(b) != "empty\n" {
		t.Errorf("got %q %v", b, err)
	}
}

func TestOneProviderAFolder(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, err := process.New(process.Config{Dir: s.dir, SameUser: process.Allowed})
	if nightporter.CodeOf(err) != nightporter.Conflict {
		t.Errorf("got %v, want a conflict", err)
	}
	_, err = process.New(process.Config{Dir: t.TempDir()})
	if nightporter.CodeOf(err) != nightporter.Invalid {
		t.Errorf("got %v: nobody said that our own user is fine", err)
	}
}

func TestFilesThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"components: [{name: a, kind: proces, command: [x]}]":                                    `component a: "proces" is no kind`,
		"components: [{name: a, kind: process}]":                                                 "component a: has no command",
		"components: [{name: a, kind: process, command: [x], ready: {tcp: true}}]":               "component a: is asked at its port and has none",
		`components: [{name: a, kind: process, command: ["{date}"]}]`:                            "component a: {date} means nothing",
		`components: [{name: a, kind: process, command: ["{port:b}"]}]`:                          "component a: {port:b} means nothing: there is no such port",
		`components: [{name: a, kind: process, command: ["{data"]}]`:                             `component a: "{data" has a brace that is not closed`,
		"components: [{name: a, kind: folder, needs: [b]}, {name: b, kind: folder, needs: [a]}]": "components need each other in a circle: a → b → a",
		"components: [{name: a, kind: folder, outputs: {x: ../../etc/passwd}}]":                  "component a: the output x leads out of its folder",
		"components: [{name: a, kind: folder, keep: dump}]":                                      "component a: keeps a dump and does not say how",
		"components: [{name: a, kind: folder, within: soon}]":                                    `component a: "soon" is not a duration`,
		"components: [{name: a, kind: process, command: [x], env: {NIGHTPORTER_X: y}}]":          `component a: cannot set the variable "NIGHTPORTER_X"`,
	} {
		_, err := process.ParseFile([]byte(text))
		if nightporter.CodeOf(err) != nightporter.Invalid || nightporter.MessageOf(err) != want {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
	_, err := process.ParseFile([]byte("components:\n  - name: a\n    kidn: folder\n"))
	if nightporter.CodeOf(err) != nightporter.Invalid || !strings.Contains(nightporter.MessageOf(err), "[3:5]") {
		t.Errorf("an unknown key: %v, want its line", err)
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add([]byte("components: [{name: a, kind: process, command: [\"{port}\"], port: 1}]"))
	f.Add([]byte("components:\n- {name: a, kind: folder}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := process.ParseFile(text)
		if err != nil {
			if nightporter.CodeOf(err) != nightporter.Invalid {
				t.Fatalf("%v is not invalid", err)
			}
			return
		}
		for _, d := range all {
			if d.Name == "" || d.Kind == "" {
				t.Fatalf("accepted %+v", d)
			}
		}
	})
}
