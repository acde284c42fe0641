package mem_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
	"nightporter.dev/nightporter/provider/deploy/deploytest"
	"nightporter.dev/nightporter/provider/deploy/mem"
)

func TestDeployer(t *testing.T) {
	t.Parallel()
	deploytest.Run(t, func(t *testing.T) deploytest.World {
		d := newDeployer(t)
		return deploytest.World{
			Deployer: d,
			Request: func(version string, b deploytest.Behaviour) deploy.Request {
				d.Rule(mem.Rule{Version: version, Behaviour: behaviours[b]})
				return request(version)
			},
			BuildRequest: func(commit string, outcome deploy.BuildState) deploy.BuildRequest {
				if outcome == deploy.BuildFailed {
					d.Rule(mem.Rule{Commit: commit, Behaviour: mem.Behaviour{BuildFails: "exited with status 1", Lines: []string{"syntax error"}}})
				}
				return deploy.BuildRequest{Service: "ledger", Commit: commit, Source: "/src"}
			},
			Starts:  d.Starts,
			Builds:  d.Builds,
			Handed:  func(i deploy.Instance) string { return d.Token(i.Key) },
			Kill:    func(i deploy.Instance) { _ = d.Kill(i.Token) },
			Restart: func() deploy.Deployer { return d },
		}
	})
}

var behaviours = map[deploytest.Behaviour]mem.Behaviour{
	deploytest.Good:     {Looks: 2},
	deploytest.Silent:   {Silent: true},
	deploytest.Crashing: {Fails: "exited with status 3", Lines: []string{"no configuration"}},
	deploytest.Old:      {Reports: "0.0.9"},
	deploytest.Stubborn: {DrainLooks: 3},
}

func TestRulesAndFaults(t *testing.T) {
	t.Parallel()

	t.Run("a flaky registry is a retryable failure that passes", func(t *testing.T) {
		t.Parallel()
		d := newDeployer(t)
		d.Rule(mem.Rule{Service: "ledger", Times: 1, Behaviour: mem.Behaviour{Fails: "the registry does not answer", Retryable: true}})
		for n, want := range []deploy.State{deploy.Failed, deploy.Healthy} {
			r := request("1.0.0")
			r.Key = fmt.Sprint("attempt-", n)
			token, err := d.Start(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			o, err := d.Observe(t.Context(), token)
			if err != nil || o.State != want || o.Retryable != (want == deploy.Failed) {
				t.Errorf("attempt %d: got %+v, %v; want %s", n, o, err, want)
			}
		}
	})

	t.Run("a fault answers as often as it was told and starts nothing", func(t *testing.T) {
		t.Parallel()
		d := newDeployer(t)
		d.Fault("Start", 2, nightporter.E(nightporter.Unavailable, "the cluster does not answer"))
		r := request("1.0.0")
		r.Key = "k"
		for n, want := range []nightporter.Code{nightporter.Unavailable, nightporter.Unavailable, ""} {
			if _, err := d.Start(t.Context(), r); nightporter.CodeOf(err) != want {
				t.Errorf("call %d: got %v, want code %q", n, err, want)
			}
		}
		if d.Starts("k") != 1 || d.Calls("Start") != 3 {
			t.Errorf("got %d starts in %d calls, want 1 in 3", d.Starts("k"), d.Calls("Start"))
		}
	})

	t.Run("a silent version fails in fake time", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			d := newDeployer(t)
			d.Rule(mem.Rule{Behaviour: mem.Behaviour{Silent: true}})
			r := request("1.0.0")
			r.Key, r.Health.Within = "k", 5*time.Minute
			token, err := d.Start(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []deploy.State{deploy.Starting, deploy.Failed} {
				if o, err := d.Observe(t.Context(), token); err != nil || o.State != want {
					t.Errorf("got %s, %v; want %s", o.State, err, want)
				}
				time.Sleep(5 * time.Minute) // fake: the bubble's clock
			}
		})
	})

	t.Run("a cancelled caller gets its own error", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := newDeployer(t).Running(ctx, "ledger", "dev"); err != context.Canceled {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
}

func request(version string) deploy.Request {
	v, err := nightporter.ParseVersion(version)
	if err != nil {
		panic(err)
	}
	return deploy.Request{
		Service: "ledger", Environment: "dev", Version: v, Commit: deploytest.CommitA,
		Command: []string{"./ledger"}, Health: deploy.Health{HTTP: "/healthz"},
	}
}

func newDeployer(t *testing.T) *mem.Deployer {
	t.Helper()
	d, err := mem.New(mem.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func ExampleDeployer() {
	d, _ := mem.New(mem.Config{})
	d.Rule(mem.Rule{Version: "1.1.0", Behaviour: mem.Behaviour{Fails: "exited with status 3"}})
	ctx := context.Background()
	for _, version := range []string{"1.0.0", "1.1.0"} {
		r := request(version)
		r.Key = "release-" + version
		token, _ := d.Start(ctx, r)
		o, _ := d.Observe(ctx, token)
		if o.State == deploy.Healthy {
			_, _ = d.Switch(ctx, token)
		} else {
			fmt.Println("discarding", version+":", o.Message)
			_, _ = d.Discard(ctx, token)
		}
	}
	running, _ := d.Running(ctx, "ledger", "dev")
	fmt.Println("serving", running[0].Version)
	// Output:
	// discarding 1.1.0: exited with status 3
	// serving 1.0.0
}
