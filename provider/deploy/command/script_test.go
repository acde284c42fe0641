package command_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
	"nightporter.dev/nightporter/provider/deploy/command"
	"nightporter.dev/nightporter/provider/deploy/deploytest"
	"nightporter.dev/nightporter/provider/deploy/process"
)

// The test binary is also the team's program, and the service that it deploys.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv("TEST_SERVICE") != "":
		serve()
	case os.Getenv("NIGHTPORTER_ACTION") != "":
		os.Exit(script(os.Getenv("NIGHTPORTER_ACTION")))
	default:
		os.Exit(m.Run())
	}
}

// serve is a service: it lives until it is told to end, or longer.
func serve() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if os.Getenv("TEST_SERVICE") == string(deploytest.Stubborn) {
		ctx = context.Background()
		signal.Ignore(syscall.SIGTERM)
	}
	select {
	case <-ctx.Done():
	case <-time.After(5 * time.Minute): // nobody cleaned up
	}
}

// script is a team's own program that knows every action. What it deployed is in
// files named by the deployment.
func script(action string) int {
	dir, id := os.Getenv("TEST_DIR"), os.Getenv("NIGHTPORTER_DEPLOYMENT")
	behaviour := deploytest.Behaviour(os.Getenv("TEST_BEHAVIOUR"))
	switch action {
	case "deploy":
		appendLine(filepath.Join(dir, "starts"), id)
		fmt.Println("deploying", os.Getenv("NIGHTPORTER_SERVICE"), os.Getenv("NIGHTPORTER_VERSION"))
		if behaviour == deploytest.Crashing {
			for n := range 30 {
				fmt.Println("reading part", n)
			}
			fmt.Println("no configuration")
			return 3
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = []string{"TEST_SERVICE=" + string(behaviour)}
		for _, name := range []string{deploy.AddressVariable, deploy.TokenFileVariable} {
			if v := os.Getenv(name); v != "" {
				cmd.Env = append(cmd.Env, name+"="+v)
			}
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			fmt.Println(err)
			return 1
		}
		if err := os.WriteFile(filepath.Join(dir, id+".pid"), []byte(strconv.Itoa(cmd.Process.Pid)), 0o644); err != nil {
			return 1
		}
		return 0
	case "observe":
		if !living(pidOf(dir, id)) {
			fmt.Println("no process")
			return 3
		}
		version := os.Getenv("NIGHTPORTER_VERSION")
		switch behaviour {
		case deploytest.Silent:
			fmt.Println("no answer")
			return 75
		case deploytest.Old:
			version = "0.0.9"
		}
		appendLine(os.Getenv("NIGHTPORTER_REPORT"), "version="+version)
		return 0
	}
	drain, err := strconv.ParseFloat(os.Getenv("NIGHTPORTER_DRAIN"), 64)
	if err != nil {
		return 64
	}
	for _, end := range strings.Fields(os.Getenv("NIGHTPORTER_ENDS")) {
		pid := pidOf(dir, end)
		if pid == 0 {
			continue
		}
		_ = syscall.Kill(pid, syscall.SIGTERM)
		for until := time.Now().Add(time.Duration(drain * float64(time.Second))); living(pid) && time.Now().Before(until); {
			<-time.After(5 * time.Millisecond)
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
		for living(pid) {
			<-time.After(time.Millisecond)
		}
	}
	return 0
}

func appendLine(path, line string) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(f, line)
	_ = f.Close()
}

func pidOf(dir, id string) int {
	b, err := os.ReadFile(filepath.Join(dir, id+".pid"))
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(string(b))
	return pid
}

// living asks /proc. One that has ended and was not waited for does not live.
func living(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil || pid == 0 {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

func idOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:12])
}

// world is a deployer with a folder of its own.
type world struct {
	*command.Deployer
	jobs *process.Deployer
	dir  string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir()}
	w.open(t)
	t.Cleanup(func() {
		files, _ := filepath.Glob(filepath.Join(w.dir, "*.pid"))
		for _, f := range files {
			if pid := pidOf(w.dir, strings.TrimSuffix(filepath.Base(f), ".pid")); living(pid) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		left, err := w.jobs.Processes()
		if err != nil {
			t.Error(err)
		}
		for _, p := range left {
			_ = syscall.Kill(p.PID, syscall.SIGKILL)
		}
		if err := w.jobs.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) open(t *testing.T) {
	t.Helper()
	var err error
	if w.jobs, err = process.New(process.Config{Dir: filepath.Join(w.dir, "command"), SameUser: process.Allowed}); err != nil {
		t.Fatal(err)
	}
	w.Deployer, err = command.New(command.Config{Dir: filepath.Join(w.dir, "deployments"), Jobs: w.jobs, Builder: w.jobs})
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) restart(t *testing.T) {
	t.Helper()
	if err := w.jobs.Close(); err != nil {
		t.Fatal(err)
	}
	w.open(t)
}

func (w *world) request(key, version string, b deploytest.Behaviour) deploy.Request {
	v, err := nightporter.ParseVersion(version)
	if err != nil {
		panic(err)
	}
	return deploy.Request{
		Key: key, Service: "ledger", Environment: "dev", Version: v, Commit: deploytest.CommitA, Command: []string{binary()},
		Actions: []string{"observe", "switch", "discard", "stop"},
		Env:     map[string]string{"TEST_BEHAVIOUR": string(b), "TEST_DIR": w.dir},
	}
}

func binary() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return path
}
