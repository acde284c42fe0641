package process_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter/provider/deploy"
	"nightporter.dev/nightporter/provider/deploy/deploytest"
	"nightporter.dev/nightporter/provider/deploy/process"
)

// starter is a caller in a process of its own, to be killed: it opens the folder,
// says so, and starts one key.
func starter() int {
	w := world{
		cfg:    process.Config{Dir: os.Getenv("TEST_STARTER_DIR"), SameUser: process.Allowed, Shell: os.Getenv("TEST_STARTER_SHELL")},
		starts: os.Getenv("TEST_STARTER_STARTS"),
	}
	d, err := process.New(w.cfg)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("open")
	r := w.request(os.Getenv("TEST_STARTER_KEY"), "1.0.0", deploytest.Good)
	if _, err := d.Start(context.Background(), r); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// newStarter makes a caller for the world, which must not have the folder open.
func (w *world) newStarter(t *testing.T, key string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testBinary())
	cmd.Env = []string{
		"TEST_STARTER_DIR=" + w.cfg.Dir, "TEST_STARTER_SHELL=" + w.cfg.Shell, "TEST_STARTER_STARTS=" + w.starts, "TEST_STARTER_KEY=" + key,
		"PATH=/usr/bin:/bin",
	}
	return cmd
}

// TestKilledCaller kills the caller and asks the machine how many starts it saw.
// The judge is the file that the service itself writes to, and /proc.
func TestKilledCaller(t *testing.T) {
	t.Parallel()

	t.Run("killed at any moment of a start, the next caller makes it exactly one", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		finished := 0
		const kills = 40
		for n := range kills {
			key := fmt.Sprintf("r%d", n)
			cmd := w.newStarter(t, key)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			// "open" says that it is about to start. From there the kill
			// comes a little later each time, so that it wanders through it.
			if _, err := out.Read(make([]byte, 4)); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Duration(n) * 100 * time.Microsecond)
			_ = cmd.Process.Kill()
			if cmd.Wait() == nil {
				finished++
			}
		}
		if finished == kills {
			t.Errorf("no caller was killed in time: this proved nothing")
		}
		t.Logf("%d of %d callers were killed before they had finished", kills-finished, kills)
		w.open(t)
		for n := range kills {
			token := w.start(t, w.request(fmt.Sprintf("r%d", n), "1.0.0", deploytest.Good))
			w.until(t, token, deploy.Healthy)
		}
		w.wantOneStartEach(t, kills)
		w.stop(t)
		w.wantNothingLeft(t)
	})

	t.Run("killed between the spawn and the claim, two children meet and one starts", func(t *testing.T) {
		t.Parallel()
		// A shell that stops before its first instruction holds the window
		// open, for as long as it takes to kill the caller in it.
		w := newWorld(t)
		stall := filepath.Join(t.TempDir(), "stalling-sh")
		gate := filepath.Join(t.TempDir(), "gate")
		arrived := filepath.Join(t.TempDir(), "arrived")
		script := fmt.Sprintf("#!/bin/sh\necho here $$ >>%s\nwhile [ ! -e %s ]; do sleep 0.01; done\nexec /bin/sh \"$@\"\n", arrived, gate)
		if err := os.WriteFile(stall, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		w.cfg.Shell = stall
		for want := 1; want <= 2; want++ {
			cmd := w.newStarter(t, "r0")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			deploytest.Eventually(t, "a child has arrived", func() bool { return count(t, arrived, "here") == want })
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		if err := os.WriteFile(gate, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		w.open(t)
		w.until(t, w.start(t, w.request("r0", "1.0.0", deploytest.Good)), deploy.Healthy)
		w.wantOneStartEach(t, 1)
		w.stop(t)
		w.wantNothingLeft(t)
	})

	t.Run("a child that is still on its way when its key is stopped never starts", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		dir := t.TempDir()
		stall, arrived := filepath.Join(dir, "stalling-sh"), filepath.Join(dir, "arrived")
		// This one hides from the marks as well: only the claim can stop it.
		script := fmt.Sprintf("#!/bin/sh\necho here $$ >>%s\nwhile [ ! -e %s/gate ]; do sleep 0.01; done\n/bin/sh \"$@\"; echo over >>%s\n", arrived, dir, arrived)
		hidden := fmt.Sprintf("#!/bin/sh\nexec env -i TEST_BEHAVIOUR=good TEST_STARTS=%s NIGHTPORTER_INSTANCE=r0 %s.inner \"$@\"\n", w.starts, stall)
		for path, text := range map[string]string{stall: hidden, stall + ".inner": script} {
			if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		w.cfg.Shell = stall
		cmd := w.newStarter(t, "r0")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		deploytest.Eventually(t, "a child has arrived", func() bool { return count(t, arrived, "here") == 1 })
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		w.open(t)
		w.stop(t)
		if err := os.WriteFile(filepath.Join(dir, "gate"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		deploytest.Eventually(t, "the child is over", func() bool { return count(t, arrived, "over") == 1 })
		if n := count(t, w.starts, "r0"); n != 0 {
			t.Errorf("the machine saw %d starts of a stopped key, want 0", n)
		}
	})

	t.Run("services keep answering while their porter is dead", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		cmd := w.newStarter(t, "r0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		deploytest.Eventually(t, "the service answers", func() bool {
			table, err := os.ReadFile("/proc/net/tcp") // the kernel's view; 0A is LISTEN
			if err != nil {
				t.Fatal(err)
			}
			return strings.Contains(string(table), fmt.Sprintf(":%04X 00000000:0000 0A", w.onlyPort()))
		})
		w.open(t)
		o := w.until(t, w.start(t, w.request("r0", "1.0.0", deploytest.Good)), deploy.Healthy)
		if o.Reported != "1.0.0" {
			t.Errorf("reported %q", o.Reported)
		}
		w.wantOneStartEach(t, 1)
	})
}

func (w *world) wantOneStartEach(t *testing.T, keys int) {
	t.Helper()
	for n := range keys {
		key := fmt.Sprintf("r%d", n)
		if got := count(t, w.starts, key); got != 1 {
			t.Errorf("the machine saw %d starts for %s, want 1", got, key)
		}
	}
	seen := map[string]int{}
	for _, key := range w.environments(t) {
		seen[key]++
	}
	for key, n := range seen {
		if n != 1 {
			t.Errorf("/proc shows %d processes for %s, want 1", n, key)
		}
	}
	if len(seen) != keys {
		t.Errorf("/proc shows %d instances, want %d", len(seen), keys)
	}
}

func (w *world) wantNothingLeft(t *testing.T) {
	t.Helper()
	if left := w.environments(t); len(left) != 0 {
		t.Errorf("/proc still shows %q", left)
	}
}

// environments reads /proc by itself and returns the key of each live process
// that belongs to this world. Ended ones have no environment any more.
func (w *world) environments(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(b), "NIGHTPORTER_DIR="+w.cfg.Dir+"\x00") {
			continue
		}
		for entry := range strings.SplitSeq(string(b), "\x00") {
			if key, ok := strings.CutPrefix(entry, "NIGHTPORTER_INSTANCE="); ok {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// onlyPort reads the port of the only process of this world from its environment.
// It is 0 while there is none: a process that is just becoming the service has no
// environment for a moment.
func (w *world) onlyPort() int {
	paths, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(b), "NIGHTPORTER_DIR="+w.cfg.Dir+"\x00") {
			continue
		}
		for entry := range strings.SplitSeq(string(b), "\x00") {
			if value, ok := strings.CutPrefix(entry, "PORT="); ok {
				var port int
				if _, err := fmt.Sscan(value, &port); err == nil {
					return port
				}
			}
		}
	}
	return 0
}
