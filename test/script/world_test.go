package script_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite" // damage opens a copy without any code of ours

	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

// world is what a script has around it.
type world struct {
	stop   func(func()) // runs at the end of the script
	server *exec.Cmd
	ended  chan struct{}
	log    string
	forge  *githubtest.Server
}

type worldKey struct{}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// patience is how long a script waits for anything.
const patience = 30 * time.Second

// eventually looks again until found, and fails with the last reason.
func eventually(ts *testscript.TestScript, what string, found func() (ok bool, reason string)) {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		ok, reason := found()
		if ok {
			return
		}
		select {
		case <-again.C:
		case <-deadline.C:
			ts.Fatalf("waited %v for %s: %s", patience, what, reason)
		}
	}
}

// serve starts `nightporter server` on a free port, with the arguments, and
// waits until it is ready.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	w := worldOf(ts)
	if neg || w.server != nil {
		ts.Fatalf("serve: one server at a time, and it must start")
	}
	address := ts.MkAbs("address")
	ts.Check(removed(address))
	w.log = ts.MkAbs("server.log")
	log, err := os.OpenFile(w.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	defer log.Close()
	cmd := exec.Command(filepath.Join(binary, "nightporter"), append([]string{"server", "--listen", "127.0.0.1:0", "--address-file", address}, args...)...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), environ(ts), log, log
	ts.Check(cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(ended)
	}()
	w.server, w.ended = cmd, ended
	w.stop(func() {
		w.end()
		endServices(ts)
	})
	eventually(ts, "the server", func() (bool, string) {
		select {
		case <-ended:
			ts.Fatalf("the server ended:\n%s", ts.ReadFile(w.log))
		default:
		}
		b, err := os.ReadFile(address)
		if err != nil {
			return false, err.Error()
		}
		url := "http://" + strings.TrimSpace(string(b))
		ts.Setenv("NIGHTPORTER_ADDR", url)
		answer, err := http.Get(url + "/readyz")
		if err != nil {
			return false, err.Error()
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK, answer.Status
	})
	if w.forge != nil {
		w.forge.AddHook(ts.Getenv("NIGHTPORTER_ADDR") + "/hooks/github")
	}
}

// environ is the script's environment as a list.
func environ(ts *testscript.TestScript) []string {
	var list []string
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ", "GOCACHE", "GOPROXY", "GOFLAGS", "GOTOOLCHAIN", "GOTELEMETRY", "NIGHTPORTER_ADDR", "NIGHTPORTER_TOKEN", "FORGE", "SOURCE"} {
		if v := ts.Getenv(name); v != "" {
			list = append(list, name+"="+v)
		}
	}
	return list
}

func removed(name string) error {
	if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

func (w *world) end() {
	if w.server == nil {
		return
	}
	_ = w.server.Process.Signal(syscall.SIGTERM)
	<-w.ended
	w.server = nil
}

func end(ts *testscript.TestScript, _ bool, _ []string) { worldOf(ts).end() }

func hup(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(worldOf(ts).server.Process.Signal(syscall.SIGHUP))
}

// endServices ends what the script deployed, which outlives its server: every
// process whose folder is the script's.
func endServices(ts *testscript.TestScript) {
	work := ts.Getenv("WORK")
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range links {
		dir, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(dir, work) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil && pid != os.Getpid() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// grepWait FILE PATTERN waits until a line of the file matches.
func grepWait(ts *testscript.TestScript, _ bool, args []string) {
	name, pattern := ts.MkAbs(args[0]), regexp.MustCompile(args[1])
	eventually(ts, args[1], func() (bool, string) {
		b, err := os.ReadFile(name)
		return err == nil && pattern.Match(b), string(b)
	})
}

// request METHOD PATH STATUS [BODY-FILE [HEADER…]] asks and keeps the body as
// stdout.
func request(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("http METHOD PATH STATUS [BODY-FILE [HEADER...]]")
	}
	var body io.Reader
	if len(args) > 3 && args[3] != "-" {
		body = strings.NewReader(ts.ReadFile(args[3]))
	}
	r, err := http.NewRequestWithContext(context.Background(), args[0], ts.Getenv("NIGHTPORTER_ADDR")+args[1], body)
	ts.Check(err)
	for _, h := range args[min(4, len(args)):] {
		name, value, _ := strings.Cut(h, ":")
		r.Header.Set(name, strings.TrimSpace(value))
	}
	answer, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	ts.Check(err)
	if got := strconv.Itoa(answer.StatusCode); got != args[2] {
		ts.Fatalf("%s %s answered %s, want %s\n%s", args[0], args[1], got, args[2], b)
	}
	_, err = ts.Stdout().Write(b)
	ts.Check(err)
}

// until PATTERN COMMAND… types the command until its output matches.
func until(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(args[0])
	eventually(ts, strings.Join(args, " "), func() (bool, string) {
		out, _ := command(ts, args[1:]...).CombinedOutput()
		return pattern.Match(out), string(out)
	})
}

// status CODE COMMAND… types a command that must end with the code. What it
// writes to stderr becomes stdout too, for `stdout` to look at.
func status(ts *testscript.TestScript, _ bool, args []string) {
	out, err := command(ts, args[1:]...).CombinedOutput()
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if want, _ := strconv.Atoi(args[0]); got != want {
		ts.Fatalf("exit %d, want %s:\n%s", got, args[0], out)
	}
	_, err = ts.Stdout().Write(out)
	ts.Check(err)
}

func command(ts *testscript.TestScript, args ...string) *exec.Cmd {
	path := args[0]
	if path == "nightporter" {
		path = filepath.Join(binary, path)
	}
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin = ts.MkAbs("."), environ(ts), new(bytes.Buffer)
	return cmd
}

// root FILE uses the root token in what `init --json` printed.
func root(ts *testscript.TestScript, _ bool, args []string) {
	var made struct {
		RootToken string `json:"root_token"`
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &made))
	ts.Setenv("NIGHTPORTER_TOKEN", made.RootToken)
}

// damage FILE changes who did one thing, as somebody with access to the file
// would.
func damage(ts *testscript.TestScript, _ bool, args []string) {
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	done, err := db.Exec(`UPDATE audit_entry SET actor = 'mallory' WHERE seq = 2`)
	ts.Check(err)
	if n, _ := done.RowsAffected(); n != 1 {
		ts.Fatalf("there is no entry to damage")
	}
}
