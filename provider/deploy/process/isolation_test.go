package process_test

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
	"nightporter.dev/nightporter/provider/deploy/deploytest"
	"nightporter.dev/nightporter/provider/deploy/process"
)

// TestIsolation asks /proc what a service really got.
func TestIsolation(t *testing.T) {
	t.Parallel()

	t.Run("the environment is listed and nothing is inherited", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, func(c *process.Config) { c.Environment = map[string]string{"REGION": "eu", "LANG": "C"} })
		token := w.start(t, w.request("r0", "1.0.0", deploytest.Good))
		o := w.until(t, token, deploy.Healthy)
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", w.pid(t)))
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
		slices.Sort(got)
		_, port, _ := strings.Cut(o.Address, ":")
		want := []string{
			"HOME=" + filepath.Join(w.cfg.Dir, "instances", string(token), "run"),
			"LANG=C",
			"NIGHTPORTER_COMMIT=" + deploytest.CommitA,
			"NIGHTPORTER_DIR=" + w.cfg.Dir,
			"NIGHTPORTER_ENVIRONMENT=dev",
			"NIGHTPORTER_INSTANCE=r0",
			"NIGHTPORTER_SERVICE=ledger",
			"NIGHTPORTER_VERSION=1.0.0",
			"PATH=/usr/local/bin:/usr/bin:/bin",
			"PORT=" + port,
			"REGION=eu",
			"TEST_BEHAVIOUR=good",
			"TEST_STARTS=" + w.starts,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("environment (-want +got):\n%s", diff)
		}
	})

	t.Run("no secret is in the command line or in the deployer's files", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		r := w.request("r0", "1.0.0", deploytest.Good)
		r.Env["DATABASE_PASSWORD"] = "s3cret-value"
		w.until(t, w.start(t, r), deploy.Healthy)
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", w.pid(t)))
		if err != nil || string(b) != testBinary()+"\x00" {
			t.Errorf("the command line is %q, %v; want the command alone", b, err)
		}
		if files := holding(t, w.cfg.Dir, "s3cret-value"); len(files) > 0 {
			t.Errorf("%v hold the secret", files)
		}
	})

	t.Run("a token is in one file of the service's own, which goes with it", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		r := w.request("r0", "1.0.0", deploytest.Good)
		r.Credentials = &deploy.Credentials{Address: "http://127.0.0.1:8200", Token: func(context.Context) (string, error) { return "one-use-token", nil }}
		token := w.start(t, r)
		w.until(t, token, deploy.Healthy)
		if got := handed(t, w.pid(t)); got != "one-use-token" {
			t.Errorf("the service was handed %q", got)
		}
		file := filepath.Join(w.cfg.Dir, "instances", string(token), "run", "token")
		if diff := cmp.Diff([]string{file}, holding(t, w.cfg.Dir, "one-use-token")); diff != "" {
			t.Errorf("files that hold the token (-want +got):\n%s", diff)
		}
		w.stop(t)
		if left := holding(t, w.cfg.Dir, "one-use-token"); len(left) > 0 {
			t.Errorf("the service has ended and its token is in %v", left)
		}
	})

	t.Run("no descriptor of ours is inherited, not even one that we inherited", func(t *testing.T) {
		t.Parallel()
		leaked, err := syscall.Open("/etc/passwd", syscall.O_RDONLY, 0) // without O_CLOEXEC, as a parent might leave it
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Close(leaked) }()
		w := newWorld(t)
		r := w.request("r0", "1.0.0", deploytest.Good)
		r.Command, r.Health.HTTP = []string{"/bin/sleep", "1000"}, "" // opens nothing by itself
		w.start(t, r)
		pid := w.pid(t)
		deploytest.Eventually(t, "the shell has become the service", func() bool {
			name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			return err == nil && string(name) == "sleep\n"
		})
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			t.Fatal(err)
		}
		var fds []string
		for _, e := range entries {
			target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, e.Name()))
			fds = append(fds, e.Name()+" "+filepath.Base(target))
		}
		if diff := cmp.Diff([]string{"0 null", "1 log", "2 log"}, fds); diff != "" {
			t.Errorf("descriptors (-want +got):\n%s", diff)
		}
	})

	t.Run("a service leads a session and a group of its own", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.until(t, w.start(t, w.request("r0", "1.0.0", deploytest.Good)), deploy.Healthy)
		pid := w.pid(t)
		if group, err := syscall.Getpgid(pid); err != nil || group != pid {
			t.Errorf("its group is %d, %v; want %d", group, err, pid)
		}
		if sid, _, errno := syscall.Syscall(syscall.SYS_GETSID, uintptr(pid), 0, 0); errno != 0 || int(sid) != pid {
			t.Errorf("its session is %d, %v; want %d", sid, errno, pid)
		}
	})

	t.Run("services and builds run as the other user and cannot change what is deployed", func(t *testing.T) {
		t.Parallel()
		if os.Geteuid() != 0 {
			t.Skip("SKIPPED: only root can start processes as another user; run_as is NOT proven by this run")
		}
		nobody, err := user.Lookup("nobody")
		if err != nil {
			t.Skip("SKIPPED: this machine has no user nobody; run_as is NOT proven by this run")
		}
		w := newWorld(t, func(c *process.Config) { c.RunAs, c.SameUser = "nobody", process.Refused })
		reachable(t, w.cfg.Dir)
		source := t.TempDir()
		writeTree(t, source, map[string]string{"server.sh": "id -u >$HOME/who; echo changed 2>/dev/null >server.sh || echo refused >$HOME/attack\nexec sleep 1000\n"})
		build, err := w.Build(t.Context(), deploy.BuildRequest{
			Key: "b0", Service: "ledger", Commit: deploytest.CommitA, Source: source, Output: "out",
			Command: []string{"/bin/sh", "-c", "mkdir out && cp server.sh out/ && id -u >out/builder"},
		})
		if err != nil {
			t.Fatal(err)
		}
		artifact := w.built(t, build, deploy.Built).Artifact
		r := w.request("r0", "1.0.0", deploytest.Good)
		r.Artifact, r.Command, r.Env = artifact, []string{"/bin/sh", "server.sh"}, nil
		r.Credentials = &deploy.Credentials{Address: "http://127.0.0.1:8200", Token: func(context.Context) (string, error) { return "one-use-token", nil }}
		token := w.start(t, r)
		home := filepath.Join(w.cfg.Dir, "instances", string(token), "run")
		want := map[string]string{
			filepath.Join(w.cfg.Dir, "artifacts", strings.TrimPrefix(string(artifact), "sha256:"), "builder"): nobody.Uid + "\n",
			filepath.Join(home, "who"):    nobody.Uid + "\n",
			filepath.Join(home, "attack"): "refused\n",
		}
		for path, content := range want {
			deploytest.Eventually(t, path+" is written", func() bool {
				b, _ := os.ReadFile(path)
				return string(b) == content
			})
		}
		if got := handed(t, w.pid(t)); got != "one-use-token" {
			t.Errorf("the other user was handed %q", got)
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.pid(t)))
		if err != nil || !strings.Contains(string(status), "\nUid:\t"+strings.Repeat(nobody.Uid+"\t", 3)+nobody.Uid+"\n") {
			t.Errorf("/proc says %s, %v; want the user %s four times", status, err, nobody.Uid)
		}
		w.stop(t)
		w.wantNothingLeft(t)
	})
}

func TestNew(t *testing.T) {
	t.Parallel()

	t.Run("without a user of their own processes are refused, unless it is allowed", func(t *testing.T) {
		t.Parallel()
		for name, cfg := range map[string]process.Config{
			"nobody said anything":         {},
			"our own user by name":         {RunAs: currentUser(t)},
			"a user that is not there":     {RunAs: "no-such-user", SameUser: process.Allowed},
			"a range of ports upside down": {SameUser: process.Allowed, FirstPort: 3000, LastPort: 2000},
		} {
			cfg.Dir = t.TempDir()
			_, err := process.New(cfg)
			if nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("%s: got %v, want an invalid error", name, err)
			}
		}
	})

	t.Run("two deployers cannot have one folder", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		if _, err := process.New(w.cfg); nightporter.CodeOf(err) != nightporter.Conflict {
			t.Errorf("got %v, want a conflict", err)
		}
	})

	t.Run("a full range of ports says so and starts nothing", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, func(c *process.Config) { c.FirstPort, c.LastPort = 1, 1 })
		l := takePort(t, 1)
		if l != nil {
			defer func() { _ = l.Close() }()
		}
		_, err := w.Start(t.Context(), w.request("r0", "1.0.0", deploytest.Good))
		if nightporter.CodeOf(err) != nightporter.Unavailable {
			t.Errorf("got %v, want an unavailable error", err)
		}
		w.wantNothingLeft(t)
	})
}

// pid is the process of the only instance in dev.
func (w *world) pid(t *testing.T) int {
	t.Helper()
	running, err := w.Running(t.Context(), "ledger", "dev")
	if err != nil || len(running) != 1 {
		t.Fatalf("running: %v, %v; want one", running, err)
	}
	return running[0].PID
}

// reachable lets other users pass through the test's folders.
func reachable(t *testing.T, dir string) {
	t.Helper()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		info, err := os.Stat(d)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(d, info.Mode().Perm()|0o011); err != nil {
			t.Fatal(err)
		}
	}
}

func currentUser(t *testing.T) string {
	t.Helper()
	u, err := user.LookupId(strconv.Itoa(os.Geteuid()))
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

// holding lists the files below a folder that hold a word.
func holding(t *testing.T, dir, word string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), word) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// handed reads the token of a process where its environment says, "" where that
// says nothing, and asks the kernel who may read it.
func handed(t *testing.T, pid int) string {
	t.Helper()
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for _, entry := range strings.Split(strings.TrimSuffix(string(environ), "\x00"), "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	path := env[deploy.TokenFileVariable]
	if path == "" {
		if address := env[deploy.AddressVariable]; address != "" {
			t.Errorf("the process has the address %s and no token", address)
		}
		return ""
	}
	if env[deploy.AddressVariable] == "" {
		t.Error("the process has a token and no address")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	process, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		t.Fatal(err)
	}
	owner := func(i os.FileInfo) uint32 { return i.Sys().(*syscall.Stat_t).Uid }
	if file.Mode() != 0o600 || owner(file) != owner(process) {
		t.Errorf("the token has mode %v and belongs to %d; want -rw------- and %d, whose process it is", file.Mode(), owner(file), owner(process))
	}
	token := strings.TrimSpace(string(text))
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || strings.Contains(string(cmdline), token) || strings.Contains(string(environ), token) {
		t.Errorf("the token is in the command line or the environment, or: %v", err)
	}
	return token
}
