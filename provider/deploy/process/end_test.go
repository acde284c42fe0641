package process_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightporter.dev/nightporter/provider/deploy"
	"nightporter.dev/nightporter/provider/deploy/deploytest"
	"nightporter.dev/nightporter/provider/deploy/process"
)

// TestEnd ends services that would rather stay. The judge is /proc.
func TestEnd(t *testing.T) {
	t.Parallel()

	// A service whose shell script leaves things behind. None of them listens:
	// that a process runs is all that counts here.
	shell := func(w *world, script string) deploy.Request {
		r := w.request("r0", "1.0.0", deploytest.Good)
		r.Command, r.Drain, r.Health.HTTP = []string{"/bin/sh", "-c", script}, 100*time.Millisecond, ""
		return r
	}
	for name, script := range map[string]string{
		"a child in the background":              `sleep 1000 & sleep 1000`,
		"a child that ignores the end":           `(trap "" TERM; sleep 1000) & sleep 1000`,
		"a child that left the session":          `setsid sleep 1000 & sleep 1000`,
		"a child that forgot its environment":    `env -i sleep 1000 & sleep 1000`,
		"a leader that ended before its child":   `sleep 1000 & exit 0`,
		"a daemon that left and lost its leader": `setsid sleep 1000 & exit 3`,
	} {
		t.Run(name+" does not survive the stop", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.start(t, shell(w, "echo $$ >>"+w.builds+"; "+script))
			deploytest.Eventually(t, "its children run", func() bool { return len(w.environments(t)) > 0 && exists(w.builds) })
			w.restart(t)
			w.stop(t)
			w.wantNothingLeft(t)
			for pid := range w.sessionOf(t) {
				t.Errorf("process %d of its session is still there", pid)
			}
		})
	}

	t.Run("an orphan that the records do not know is ended by its marks", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		token := w.start(t, w.request("r0", "1.0.0", deploytest.Good))
		w.until(t, token, deploy.Healthy)
		// Somebody cleans up the wrong folder.
		for _, path := range []string{"instances/" + string(token), "services/ledger"} {
			if err := os.RemoveAll(filepath.Join(w.cfg.Dir, path)); err != nil {
				t.Fatal(err)
			}
		}
		if left, err := w.Processes(); err != nil || len(left) != 1 || left[0].Key != "r0" || left[0].Environment != "dev" {
			t.Errorf("processes are %+v, %v; want the orphan", left, err)
		}
		w.stop(t)
		w.wantNothingLeft(t)
	})

	t.Run("another process with a reused id is not touched", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		token := w.start(t, w.request("r0", "1.0.0", deploytest.Good))
		w.until(t, token, deploy.Healthy)
		// The record of a process that is long gone, whose id the service
		// of another world has now.
		other := newWorld(t)
		bystander := other.start(t, other.request("r0", "1.0.0", deploytest.Good))
		other.until(t, bystander, deploy.Healthy)
		path := filepath.Join(w.cfg.Dir, "instances", string(token), "status.json")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		mine := strconv.Itoa(w.pid(t))
		forged := strings.Replace(string(b), `"pid": `+mine, `"pid": `+strconv.Itoa(other.pid(t)), 1)
		if forged == string(b) {
			t.Fatalf("the status does not name the process: %s", b)
		}
		if err := os.WriteFile(path, []byte(forged), 0o644); err != nil {
			t.Fatal(err)
		}
		w.stop(t)
		w.wantNothingLeft(t) // found by its marks
		other.until(t, bystander, deploy.Healthy)
	})

	t.Run("a killed service says by what and one that ended says how", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		for key, test := range map[string]struct {
			script, message string
			retryable       bool
		}{
			"r0": {"exit 3", "exited with status 3", false},
			"r1": {"exit 75", "exited with status 75", true},
			"r2": {"kill -9 $$", "was ended by killed", false},
			"r3": {"exec ./nothing-here", "could not start: its command was not found (status 127)", false},
		} {
			r := shell(w, test.script)
			r.Key = key
			o := w.until(t, w.start(t, r), deploy.Failed)
			if o.Message != test.message || o.Retryable != test.retryable {
				t.Errorf("%q: got %q, retryable %t; want %q, %t", test.script, o.Message, o.Retryable, test.message, test.retryable)
			}
		}
	})

	t.Run("a drain lets the last request finish", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		token := w.start(t, w.request("r0", "1.0.0", deploytest.Good))
		w.until(t, token, deploy.Healthy)
		w.stop(t)
		lines, err := w.Logs(t.Context(), "ledger", "dev", 1)
		if err != nil || len(lines) != 1 || lines[0] != "draining" {
			t.Errorf("the last line is %q, %v; want that it was asked, not killed", lines, err)
		}
	})
}

// sessionOf lists live processes in the sessions that the test's services led.
func (w *world) sessionOf(t *testing.T) map[int]bool {
	t.Helper()
	left := map[int]bool{}
	b, err := os.ReadFile(w.builds)
	if err != nil {
		t.Fatal(err)
	}
	leader, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	paths, _ := filepath.Glob("/proc/[0-9]*")
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			continue
		}
		sid, _, errno := syscall.Syscall(syscall.SYS_GETSID, uintptr(pid), 0, 0)
		exe, err := os.Readlink(filepath.Join(path, "exe")) // a process that has ended has none
		if errno == 0 && int(sid) == leader && err == nil && exe != "" {
			left[pid] = true
		}
	}
	return left
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func takePort(t *testing.T, port int) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
	if err != nil {
		return nil // taken, or not ours to take: as good
	}
	return l
}

func TestLogThatGrowsIsCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *process.Config) { c.MaxLog = 1000 })
	r := w.request("r0", "1.0.0", deploytest.Good)
	r.Health.HTTP = ""
	r.Command = []string{"/bin/sh", "-c", `for i in 1 2 3 4 5 6 7 8 9; do printf '%0200d\n' $i; done; echo written >"$0"; while [ ! -e "$0.go" ]; do sleep 0.01; done; echo after; exec sleep 1000`, w.builds}
	token := w.start(t, r)
	deploytest.Eventually(t, "much is written", func() bool { return exists(w.builds) })
	if _, err := w.Observe(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.builds+".go", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(w.cfg.Dir, "instances", string(token))
	deploytest.Eventually(t, "the service writes to the emptied log", func() bool {
		b, err := os.ReadFile(filepath.Join(dir, "log"))
		return err == nil && string(b) == "after\n"
	})
	if b, err := os.ReadFile(filepath.Join(dir, "log.old")); err != nil || !strings.HasSuffix(string(b), "9\n") {
		t.Errorf("the old lines are %q, %v", b, err)
	}
}

func TestLogsOfLongAgoAreForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var tokens []deploy.Token
	for n := range 23 {
		r := w.request("r"+strconv.Itoa(n), "1.0.0", deploytest.Good)
		r.Command, r.Health.HTTP = []string{"/bin/echo", "hello"}, ""
		token := w.start(t, r)
		tokens = append(tokens, token)
		w.until(t, token, deploy.Failed)
		w.stop(t)
	}
	for n, token := range tokens {
		kept := exists(filepath.Join(w.cfg.Dir, "instances", string(token), "log"))
		if want := n >= 3; kept != want {
			t.Errorf("the log of instance %d of 23 is kept: %t, want %t", n+1, kept, want)
		}
	}
	// The key of an instance without a log still starts nothing.
	r := w.request("r0", "1.0.0", deploytest.Good)
	if o := w.until(t, w.start(t, r), deploy.Gone); len(o.Lines) != 0 {
		t.Errorf("the log is back: %q", o.Lines)
	}
}
