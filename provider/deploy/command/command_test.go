package command_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
	"nightporter.dev/nightporter/provider/deploy/deploytest"
)

// The judges are the machine's: /proc, and a file that the program writes at every
// start.
func TestDeployer(t *testing.T) {
	t.Parallel()
	deploytest.Run(t, func(t *testing.T) deploytest.World {
		w := newWorld(t)
		return deploytest.World{
			Deployer: w,
			Request: func(version string, b deploytest.Behaviour) deploy.Request {
				return w.request("", version, b)
			},
			Starts: func(key string) int { return w.starts(t, key) },
			Handed: func(i deploy.Instance) string { return handed(t, pidOf(w.dir, idOf(i.Key))) },
			Kill: func(i deploy.Instance) {
				_ = syscall.Kill(pidOf(w.dir, idOf(i.Key)), syscall.SIGKILL)
			},
			Restart: func() deploy.Deployer {
				w.restart(t)
				return w
			},
		}
	})
}

func (w *world) starts(t *testing.T, key string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, "starts"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Count(string(b), idOf(key)+"\n")
}

// handed is the token that a process finds where its environment says.
func handed(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		t.Fatal(err)
	}
	for v := range strings.SplitSeq(string(b), "\x00") {
		path, ok := strings.CutPrefix(v, deploy.TokenFileVariable+"=")
		if !ok {
			continue
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("the token's file: %v, %v; want mode 0600", info, err)
		}
		token, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(token))
	}
	return ""
}

// shell is a request for a few lines of shell that know nothing of actions.
func (w *world) shell(key, version, text string, actions ...string) deploy.Request {
	r := w.request(key, version, deploytest.Good)
	r.Command, r.Actions, r.Env = []string{"/bin/sh", "-c", text}, actions, map[string]string{"OUT": w.dir}
	return r
}

func (w *world) until(t *testing.T, token deploy.Token) deploy.Observation {
	t.Helper()
	var o deploy.Observation
	deploytest.Eventually(t, "the command has ended", func() bool {
		var err error
		if o, err = w.Observe(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		return o.State != deploy.Starting
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

func (w *world) file(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(b)
}

func TestAProgramThatOnlyDeploys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text := `echo "$NIGHTPORTER_ACTION $NIGHTPORTER_SERVICE $NIGHTPORTER_ENVIRONMENT $NIGHTPORTER_VERSION $NIGHTPORTER_COMMIT $NIGHTPORTER_IMAGE" >>"$OUT/runs"`
	r := w.shell("r1", "1.0.0", text)
	r.Image = "registry.acme.test/ledger:1.0.0"
	first := w.start(t, r)
	if o := w.until(t, first); o.State != deploy.Healthy || o.Role != deploy.Serving {
		t.Errorf("it is %s and %s (%s), want healthy and serving", o.State, o.Role, o.Message)
	}
	if p, err := w.Switch(t.Context(), first); p != deploy.Done || err != nil {
		t.Errorf("switch: %s, %v", p, err)
	}
	want := "deploy ledger dev 1.0.0 " + deploytest.CommitA + " registry.acme.test/ledger:1.0.0\n"
	if got := w.file(t, "runs"); got != want {
		t.Errorf("the program was run as %q, want only %q", got, want)
	}
	// It is evidence of when the program ended, not of now.
	o, err := w.Observe(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.Observe(t.Context(), first)
	if err != nil || !again.Evidence.ObservedAt.Equal(o.Evidence.ObservedAt) {
		t.Errorf("a second look has the evidence of %v, want %v: nobody looked since", again.Evidence.ObservedAt, o.Evidence.ObservedAt)
	}
	_, err = w.Stop(t.Context(), "ledger", "dev")
	if nightporter.CodeOf(err) != nightporter.Conflict || nightporter.HintOf(err) == "" {
		t.Errorf("stop: %v, want a conflict that says what to do", err)
	}

	// The next one replaces it in place; when it fails, it is what serves.
	bad := w.start(t, w.shell("r2", "1.1.0", `echo "cannot reach the cluster"; exit 2`))
	o = w.until(t, bad)
	if o.State != deploy.Failed || o.Role != deploy.Serving || o.Retryable || !strings.Contains(o.Message, "status 2") || !slices.Contains(o.Lines, "cannot reach the cluster") {
		t.Errorf("the bad one is %+v", o)
	}
	if _, err := w.Discard(t.Context(), bad); nightporter.CodeOf(err) != nightporter.Conflict {
		t.Errorf("discard: %v, want a conflict", err)
	}
	if o, err := w.Observe(t.Context(), first); err != nil || o.State != deploy.Gone {
		t.Errorf("what was replaced is %s, %v; want gone", o.State, err)
	}
	if o := w.until(t, w.start(t, w.shell("r3", "1.0.0", "exit 75"))); o.State != deploy.Failed || !o.Retryable {
		t.Errorf("status 75 is %s, retryable %v; want a failure that may be retried", o.State, o.Retryable)
	}
}

// /proc is the judge: nothing that the program started is left.
func TestAProgramThatTakesTooLongIsKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.shell("r1", "1.0.0", `sleep 300 & echo $! >"$OUT/child"; echo $$ >"$OUT/parent"; wait`)
	r.Timeout = 500 * time.Millisecond
	o := w.until(t, w.start(t, r))
	if o.State != deploy.Failed || !strings.Contains(o.Message, "took longer than 500ms") {
		t.Errorf("it is %s: %s", o.State, o.Message)
	}
	for _, name := range []string{"parent", "child"} {
		pid, err := strconv.Atoi(strings.TrimSpace(w.file(t, name)))
		if err != nil {
			t.Fatal(err)
		}
		if living(pid) {
			t.Errorf("its %s %d lives", name, pid)
		}
	}
}

func TestACommandGetsNothingOfOurs(t *testing.T) {
	t.Setenv("OUR_SECRET", "nobody's business")
	w := newWorld(t)
	w.until(t, w.start(t, w.shell("r1", "1.0.0", `env >"$OUT/env"`)))
	for line := range strings.Lines(w.file(t, "env")) {
		name, _, _ := strings.Cut(line, "=")
		known := []string{"PATH", "HOME", "LANG", "OUT", "PWD", "SHLVL", "_", "OLDPWD"}
		if !slices.Contains(known, name) && !strings.HasPrefix(name, deploy.ReservedPrefix) {
			t.Errorf("the command was given %s", name)
		}
	}
}

func TestBadActionsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, actions := range [][]string{{"switch"}, {"discard"}, {"observe", "fly"}} {
		_, err := w.Start(t.Context(), w.shell("r1", "1.0.0", "true", actions...))
		if nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("%v: got %v, want invalid", actions, err)
		}
	}
}

func TestASwitchThatFailsIsAFailureOfWhatServes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text := `case $NIGHTPORTER_ACTION in switch) test "$NIGHTPORTER_VERSION" != 1.1.0 ;; esac`
	serve := func(key, version string) (deploy.Token, error) {
		token := w.start(t, w.shell(key, version, text, "switch", "discard"))
		w.until(t, token)
		var err error
		deploytest.Eventually(t, "the switch has ended", func() bool {
			var p deploy.Progress
			p, err = w.Switch(t.Context(), token)
			return err != nil || p == deploy.Done
		})
		return token, err
	}
	if _, err := serve("r1", "1.0.0"); err != nil {
		t.Fatal(err)
	}
	token, err := serve("r2", "1.1.0")
	if nightporter.CodeOf(err) != nightporter.Unavailable {
		t.Errorf("switch: %v, want unavailable", err)
	}
	if o := w.until(t, token); o.State != deploy.Failed || o.Role != deploy.Serving || !strings.Contains(o.Message, "could not take over") {
		t.Errorf("afterwards it is %+v", o)
	}
}
