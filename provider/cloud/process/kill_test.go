package process_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"nightporter.dev/nightporter/provider/cloud"
	"nightporter.dev/nightporter/provider/cloud/cloudtest"
	"nightporter.dev/nightporter/provider/cloud/process"
)

// caller is a process of its own that builds or destroys db, for a test to kill.
func caller(dir, verb, code string) error {
	ctx := context.Background()
	p, err := process.New(process.Config{Dir: dir, SameUser: process.Allowed})
	if err != nil {
		return err
	}
	r := cloud.Request{Target: dev, Key: verb, Component: "db", Code: cloud.Code{Commit: "a", Dir: code}}
	begin := p.Up
	if verb == "down" {
		begin = p.Down
	}
	fmt.Println("begins")
	token, err := begin(ctx, r)
	if err != nil {
		return err
	}
	for {
		o, err := p.Observe(ctx, dev, token)
		if err != nil || o.State != cloud.Running {
			return err
		}
		time.Sleep(time.Millisecond) // this process has nothing else to wait for
	}
}

// TestKilledCaller kills the caller with SIGKILL at moments all over the making and
// the destroying of a component. Whoever comes next finishes: one process was
// made, and then none is left. The judges are /proc and the component's ledger.
func TestKilledCaller(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 16 {
		delay := time.Duration(i) * 3 * time.Millisecond
		t.Run(delay.String(), func(t *testing.T) {
			s := newSite(t)
			code := s.code("a", "", "")
			interrupt := func(verb string) {
				t.Helper()
				if err := s.provider.Close(); err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command(self, "caller", s.dir, verb, code.Dir)
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				if _, err := out.Read(make([]byte, 6)); err != nil {
					t.Fatal(err)
				}
				<-time.After(delay) // the moment of the kill: any of them must do
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
				s.open()
			}
			interrupt("up")
			if o := s.do(s.up, "up", "db", code); o.State != cloud.Succeeded {
				t.Fatalf("%+v", o)
			}
			s.ready("db")
			if n := s.made("db"); n != 1 {
				t.Errorf("db was made %d times", n)
			}
			cloudtest.Eventually(t, "one process is alive", func() bool { return len(s.alive("db")) == 1 })
			interrupt("down")
			s.do(s.down, "down", "db", cloud.Code{})
			s.do(s.down, "rest", cloud.Rest, cloud.Code{})
			if left := s.alive(""); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			if all, err := s.provider.Inventory(t.Context(), dev); err != nil || len(all) > 0 {
				t.Errorf("the inventory has %v %v", all, err)
			}
		})
	}
}
