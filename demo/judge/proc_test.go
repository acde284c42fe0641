package judge_test

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightporter.dev/nightporter/demo/judge"
	"nightporter.dev/nightporter/demo/services/serve"
)

// asService makes this test binary one of acme's services.
const asService = "JUDGE_TEST_SERVICE"

func TestMain(m *testing.M) {
	if name := os.Getenv(asService); name != "" {
		if os.Getenv("RATES") != "" {
			serve.Needs(func() error { _, err := os.Stat(os.Getenv("RATES")); return err })
		}
		serve.Run(name, http.NewServeMux())
		return
	}
	os.Exit(m.Run())
}

// town is a folder with the program of a service.
type town struct {
	judge.Proc
	bin, starts string
}

func newTown(t *testing.T) town {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "ledger")
	// Another process copies it: a file that this one has open for writing while a
	// parallel test forks cannot be executed for a moment.
	if out, err := exec.Command("cp", self, bin).CombinedOutput(); err != nil {
		t.Fatalf("copy the program: %v: %s", err, out)
	}
	return town{judge.Proc{Dir: dir}, bin, filepath.Join(dir, "starts.log")}
}

// run starts the ledger as Nightporter would and waits until it answers. A port
// that was free may be taken by a parallel test before the ledger has it: then the
// ledger is started on another.
func (w town) run(t *testing.T, environment, instance string, env ...string) (port int, end func()) {
	t.Helper()
	for range 5 {
		if port, end, ok := w.tryRun(t, environment, instance, env...); ok {
			t.Cleanup(end)
			return port, end
		}
	}
	t.Fatal("the ledger never answered")
	return 0, nil
}

func (w town) tryRun(t *testing.T, environment, instance string, env ...string) (port int, end func(), ok bool) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(w.bin)
	cmd.Env = append([]string{
		asService + "=ledger", "NIGHTPORTER_SERVICE=ledger", "NIGHTPORTER_ENVIRONMENT=" + environment, "NIGHTPORTER_VERSION=0.3.0",
		"NIGHTPORTER_INSTANCE=" + instance, "PORT=" + strconv.Itoa(port), "START_LOG=" + w.starts,
	}, env...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is not the question
		close(ended)
	}()
	end = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		<-ended
	}
	for {
		if a, err := judge.Ask(t.Context(), port); err == nil && a.PID == cmd.Process.Pid {
			return port, end, true
		}
		select {
		case <-ended:
			return 0, nil, false
		case <-t.Context().Done():
			return 0, nil, false
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestAServiceIsKnownByItsProcessAndItsAnswer(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	if err := w.Runs(t.Context(), "ledger", "dev", "v0.3.0", ""); err == nil {
		t.Error("it runs before it was started")
	}
	w.run(t, "dev", "run_1/deploy-dev/1")
	if err := w.Runs(t.Context(), "ledger", "dev", "v0.3.0", ""); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"an old version":      w.Runs(t.Context(), "ledger", "dev", "v0.4.0", ""),
		"another commit":      w.Runs(t.Context(), "ledger", "dev", "v0.3.0", "abc"),
		"another environment": w.Runs(t.Context(), "ledger", "prod", "v0.3.0", ""),
	} {
		if err == nil {
			t.Errorf("%s passed", name)
		}
	}
	if err := w.OnlyServing(); err != nil {
		t.Error(err)
	}
	if starts, err := judge.Starts(w.starts); err != nil || judge.Of(starts, "ledger", "dev", "0.3.0") != 1 || judge.Once(starts) != nil {
		t.Errorf("the starts are %+v, %v", starts, err)
	}
}

func TestWhatIsDoubledOrLeftOverIsFound(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.run(t, "dev", "run_1/deploy-dev/1")
	_, end := w.run(t, "dev", "run_1/deploy-dev/1")
	if err := w.OnlyServing(); err == nil || !strings.Contains(err.Error(), "run twice") {
		t.Errorf("two processes in one place: %v", err)
	}
	if starts, err := judge.Starts(w.starts); err != nil || judge.Once(starts) == nil {
		t.Errorf("two starts for one attempt passed: %+v, %v", starts, err)
	}
	end()
	if err := w.OnlyServing(); err != nil {
		t.Error(err)
	}
	// One that dropped its marks is still a program of this folder.
	_, end = w.run(t, "", "")
	if err := w.OnlyServing(); err == nil || !strings.Contains(err.Error(), "serves nothing") {
		t.Errorf("a process without a place: %v", err)
	}
	end()
	if err := w.OnlyServing(); err != nil {
		t.Error(err)
	}
}

func TestWhatSomebodyDoesInTheFolderIsTheirs(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	for _, env := range []string{"FOLDER=" + w.Dir + "/", "NIGHTPORTER_DIR=" + w.Dir + "/data"} {
		cmd := exec.Command("sleep", "60")
		cmd.Dir, cmd.Env = w.Dir, []string{env}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		all, err := w.All()
		if want := strings.HasPrefix(env, "NIGHTPORTER"); err != nil || (len(all) == 1) != want {
			t.Errorf("with %s, the folder's processes are %v, %v", env, all, err)
		}
		_ = cmd.Process.Kill() // it is ours and alive
		_ = cmd.Wait()
	}
}

func TestAWatchSeesWhenAProcessNoLongerAnswers(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	_, end := w.run(t, "dev", "run_1/deploy-dev/1")
	watch, err := w.Keep(t.Context(), "ledger", "dev")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := watch.Stop(); err != nil || n == 0 {
		t.Errorf("%d answers, %v", n, err)
	}
	watch, err = w.Keep(t.Context(), "ledger", "dev")
	if err != nil {
		t.Fatal(err)
	}
	end()
	if _, err := watch.Stop(); err == nil {
		t.Error("the watch did not see that the process has ended")
	}
}

func TestAnUnhealthyProcessDoesNotServe(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	rates := filepath.Join(w.Dir, "rates")
	w.run(t, "dev", "run_1/deploy-dev/1", "RATES="+rates)
	if _, _, err := w.Serving(t.Context(), "ledger", "dev"); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("without its file: %v", err)
	}
	if err := os.WriteFile(rates, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Serving(t.Context(), "ledger", "dev"); err != nil {
		t.Error(err)
	}
}
