package deploytest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
)

func replaces(t *testing.T, w World) {
	w.serve(t, "r1", "1.0.0", Good)
	wantRunning(t, w, "1.0.0 serving healthy")
	second := w.start(t, "r2", "1.1.0", Good)
	o := w.observe(t, second, deploy.Healthy)
	if o.Reported != "1.1.0" {
		t.Errorf("the instance reported %q, want 1.1.0", o.Reported)
	}
	wantRunning(t, w, "1.0.0 serving healthy", "1.1.0 candidate healthy")
	w.finish(t, "switch", func(ctx context.Context) (deploy.Progress, error) { return w.Deployer.Switch(ctx, second) })
	wantRunning(t, w, "1.1.0 serving healthy")
	if o := w.observe(t, second, deploy.Healthy); o.Role != deploy.Serving {
		t.Errorf("after the switch the instance is %s, want serving", o.Role)
	}
	w.stop(t, "dev")
	wantRunning(t, w)
	w.observe(t, second, deploy.Gone)
}

func startsOnce(t *testing.T, w World) {
	first := w.start(t, "r1", "1.0.0", Good)
	for range 3 {
		if again := w.start(t, "r1", "1.0.0", Good); again != first {
			t.Errorf("the second start answered %s, want %s", again, first)
		}
	}
	w.observe(t, first, deploy.Healthy)
	w.start(t, "r1", "1.0.0", Good)
	w.stop(t, "dev")
	if again := w.start(t, "r1", "1.0.0", Good); again != first {
		t.Errorf("a start after the end answered %s, want %s", again, first)
	}
	w.observe(t, first, deploy.Gone)
	if n := w.Starts("r1"); n != 1 {
		t.Errorf("the machine saw %d starts for one key, want 1", n)
	}
}

func refusesOtherUseOfKey(t *testing.T, w World) {
	w.start(t, "r1", "1.0.0", Good)
	r := w.Request("1.1.0", Good)
	r.Key = "r1"
	_, err := w.Deployer.Start(t.Context(), r)
	wantCode(t, err, nightporter.Conflict)
}

func survivesRestart(t *testing.T, w World) {
	first := w.serve(t, "r1", "1.0.0", Good)
	second := w.start(t, "r2", "1.1.0", Good)
	w.Deployer = w.Restart()
	w.observe(t, first, deploy.Healthy)
	if again := w.start(t, "r2", "1.1.0", Good); again != second {
		t.Errorf("after the restart the key answers %s, want %s", again, second)
	}
	w.observe(t, second, deploy.Healthy)
	w.finish(t, "switch", func(ctx context.Context) (deploy.Progress, error) { return w.Deployer.Switch(ctx, second) })
	w.Deployer = w.Restart()
	wantRunning(t, w, "1.1.0 serving healthy")
	if n := w.Starts("r2"); n != 1 {
		t.Errorf("the machine saw %d starts, want 1", n)
	}
}

func failsInTime(t *testing.T, w World) {
	w.serve(t, "r1", "1.0.0", Good)
	r := w.Request("1.1.0", Silent)
	r.Key, r.Health.Within = "r2", 300*time.Millisecond
	token, err := w.Deployer.Start(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	o := w.observe(t, token, deploy.Failed)
	if !strings.Contains(o.Message, "300ms") {
		t.Errorf("the message %q does not say how long it waited", o.Message)
	}
	w.finish(t, "discard", func(ctx context.Context) (deploy.Progress, error) { return w.Deployer.Discard(ctx, token) })
	wantRunning(t, w, "1.0.0 serving healthy")
	w.observe(t, token, deploy.Gone)
}

func failsWithLastWords(t *testing.T, w World) {
	token := w.start(t, "r1", "1.0.0", Crashing)
	o := w.observe(t, token, deploy.Failed)
	if !strings.Contains(strings.Join(o.Lines, "\n"), "no configuration") {
		t.Errorf("the last lines are %q, want the service's last words", o.Lines)
	}
	if len(o.Lines) > deploy.LogLines {
		t.Errorf("got %d lines, want at most %d", len(o.Lines), deploy.LogLines)
	}
	lines, err := w.Deployer.Logs(t.Context(), "ledger", "dev", 5)
	if err != nil || !strings.Contains(strings.Join(lines, "\n"), "no configuration") {
		t.Errorf("logs are %q, %v; want the service's last words", lines, err)
	}
}

func detectsOldBinary(t *testing.T, w World) {
	token := w.start(t, "r1", "1.0.0", Old)
	o := w.observe(t, token, deploy.Failed)
	if o.Reported != "0.0.9" || !strings.Contains(o.Message, "0.0.9") || !strings.Contains(o.Message, "1.0.0") {
		t.Errorf("the observation %+v does not name both versions", o)
	}
}

func refusesUnhealthySwitch(t *testing.T, w World) {
	w.serve(t, "r1", "1.0.0", Good)
	token := w.start(t, "r2", "1.1.0", Silent)
	_, err := w.Deployer.Switch(t.Context(), token)
	wantCode(t, err, nightporter.Conflict)
	wantRunning(t, w, "1.0.0 serving healthy", "1.1.0 candidate starting")
}

func refusesDiscardOfServing(t *testing.T, w World) {
	token := w.serve(t, "r1", "1.0.0", Good)
	_, err := w.Deployer.Discard(t.Context(), token)
	wantCode(t, err, nightporter.Conflict)
	wantRunning(t, w, "1.0.0 serving healthy")
}

func discardsAgain(t *testing.T, w World) {
	token := w.start(t, "r1", "1.0.0", Good)
	discard := func(ctx context.Context) (deploy.Progress, error) { return w.Deployer.Discard(ctx, token) }
	w.finish(t, "discard", discard)
	w.finish(t, "discard again", discard)
	_, err := w.Deployer.Switch(t.Context(), token)
	wantCode(t, err, nightporter.Conflict)
	wantRunning(t, w)
}

func startsOlderAgain(t *testing.T, w World) {
	w.serve(t, "r1", "1.0.0", Good)
	w.serve(t, "r2", "1.1.0", Good)
	w.serve(t, "r3", "1.0.0", Good)
	wantRunning(t, w, "1.0.0 serving healthy")
}

func stopsStubborn(t *testing.T, w World) {
	r := w.Request("1.0.0", Stubborn)
	r.Key, r.Drain = "r1", 200*time.Millisecond
	token, err := w.Deployer.Start(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	w.observe(t, token, deploy.Healthy)
	p, err := w.Deployer.Stop(t.Context(), "ledger", "dev")
	if p != deploy.Pending || err != nil {
		t.Errorf("the first stop answered %s, %v; want pending: it has time to drain", p, err)
	}
	w.Deployer = w.Restart() // the porter dies between asking and insisting
	w.stop(t, "dev")
	wantRunning(t, w)
}

func stopsNothing(t *testing.T, w World) {
	p, err := w.Deployer.Stop(t.Context(), "ledger", "dev")
	if p != deploy.Done || err != nil {
		t.Errorf("stop answered %s, %v; want done", p, err)
	}
	wantRunning(t, w)
}

func listsDead(t *testing.T, w World) {
	token := w.serve(t, "r1", "1.0.0", Good)
	instances, err := w.Deployer.Running(t.Context(), "ledger", "dev")
	if err != nil || len(instances) != 1 {
		t.Fatalf("running: %v, %v; want one", instances, err)
	}
	w.Kill(instances[0])
	Eventually(t, "the death is seen", func() bool {
		all := w.running(t)
		return len(all) == 1 && all[0] == "1.0.0 serving gone"
	})
	w.observe(t, token, deploy.Failed)
}

func keepsEnvironmentsApart(t *testing.T, w World) {
	w.serve(t, "r1", "1.0.0", Good)
	r := w.Request("1.1.0", Good)
	r.Key, r.Environment = "r1-preprod", "preprod"
	token, err := w.Deployer.Start(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	w.observe(t, token, deploy.Healthy)
	w.finish(t, "switch", func(ctx context.Context) (deploy.Progress, error) { return w.Deployer.Switch(ctx, token) })
	wantRunning(t, w, "1.0.0 serving healthy")
	w.stop(t, "dev")
	wantRunning(t, w)
	w.observe(t, token, deploy.Healthy)
	w.stop(t, "preprod")
}

func resumesSwitch(t *testing.T, w World) {
	r := w.Request("1.0.0", Stubborn)
	r.Key, r.Drain = "r1", 200*time.Millisecond
	first, err := w.Deployer.Start(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	w.observe(t, first, deploy.Healthy)
	w.finish(t, "switch", func(ctx context.Context) (deploy.Progress, error) { return w.Deployer.Switch(ctx, first) })
	second := w.start(t, "r2", "1.1.0", Good)
	w.observe(t, second, deploy.Healthy)
	p, err := w.Deployer.Switch(t.Context(), second)
	if p != deploy.Pending || err != nil {
		t.Fatalf("switch answered %s, %v; want pending while the old one drains", p, err)
	}
	w.Deployer = w.Restart()
	instances, err := w.Deployer.Running(t.Context(), "ledger", "dev")
	if err != nil {
		t.Fatal(err)
	}
	if serving, _ := deploy.Find(instances, deploy.Serving); serving.Token != second {
		t.Errorf("after the first call %s serves, want %s", serving.Token, second)
	}
	w.finish(t, "switch", func(ctx context.Context) (deploy.Progress, error) { return w.Deployer.Switch(ctx, second) })
	wantRunning(t, w, "1.1.0 serving healthy")
}

func handsOver(t *testing.T, w World) {
	if w.Handed == nil {
		t.Skip("instances log in by themselves: nothing is handed over")
	}
	made := 0
	start := func(key string) deploy.Token {
		r := w.Request("1.0.0", Good)
		r.Key = key
		r.Credentials = &deploy.Credentials{Address: "http://127.0.0.1:8200", Token: func(context.Context) (string, error) {
			made++
			return fmt.Sprintf("one-use-%d", made), nil
		}}
		token, err := w.Deployer.Start(t.Context(), r)
		if err != nil {
			t.Fatalf("start %s: %v", key, err)
		}
		return token
	}
	handed := func(token deploy.Token) string {
		instances, err := w.Deployer.Running(t.Context(), "ledger", "dev")
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range instances {
			if i.Token == token {
				return w.Handed(i)
			}
		}
		t.Fatalf("%s does not run", token)
		return ""
	}
	first := start("r1")
	w.observe(t, first, deploy.Healthy)
	if got := handed(first); got != "one-use-1" {
		t.Errorf("the instance was handed %q, want one-use-1", got)
	}
	start("r1")
	w.Deployer = w.Restart()
	start("r1")
	if made != 1 {
		t.Errorf("%d tokens were made for one start, want 1", made)
	}
	second := start("r2")
	w.observe(t, second, deploy.Healthy)
	if got := handed(second); got != "one-use-2" {
		t.Errorf("the second instance was handed %q, want one-use-2", got)
	}
	if got := handed(first); got != "one-use-1" {
		t.Errorf("the first instance now finds %q, want what it was handed", got)
	}
	plain := w.start(t, "r3", "1.0.0", Good)
	w.observe(t, plain, deploy.Healthy)
	if got := handed(plain); got != "" {
		t.Errorf("an instance without credentials was handed %q", got)
	}
	w.stop(t, "dev")
	start("r2")
	if made != 2 {
		t.Errorf("a start after the end made a token: %d, want 2", made)
	}
}

func startsNothingWithoutToken(t *testing.T, w World) {
	if w.Handed == nil {
		t.Skip("instances log in by themselves: nothing is handed over")
	}
	r := w.Request("1.0.0", Good)
	r.Key = "r1"
	refuse := nightporter.E(nightporter.Unavailable, "sealed")
	r.Credentials = &deploy.Credentials{Address: "http://127.0.0.1:8200", Token: func(context.Context) (string, error) {
		if refuse != nil {
			return "", refuse
		}
		return "one-use", nil
	}}
	_, err := w.Deployer.Start(t.Context(), r)
	wantCode(t, err, nightporter.Unavailable)
	if n := w.Starts("r1"); n != 0 {
		t.Errorf("the machine saw %d starts, want none", n)
	}
	wantRunning(t, w)
	refuse = nil
	token, err := w.Deployer.Start(t.Context(), r)
	if err != nil {
		t.Fatalf("the next start with the key: %v", err)
	}
	w.observe(t, token, deploy.Healthy)
}

func unknownToken(t *testing.T, w World) {
	_, err := w.Deployer.Observe(t.Context(), "ledger/dev/../../etc")
	wantCode(t, err, nightporter.NotFound)
	_, err = w.Deployer.Switch(t.Context(), "")
	wantCode(t, err, nightporter.NotFound)
	_, err = w.Deployer.Discard(t.Context(), "nobody")
	wantCode(t, err, nightporter.NotFound)
}

func refusesBadRequests(t *testing.T, w World) {
	for name, spoil := range map[string]func(*deploy.Request){
		"no key":                func(r *deploy.Request) { r.Key = "" },
		"a key with a newline":  func(r *deploy.Request) { r.Key = "a\nb" },
		"a service with a path": func(r *deploy.Request) { r.Service = "../ledger" },
		"an upper-case service": func(r *deploy.Request) { r.Service = "Ledger" },
		"no environment":        func(r *deploy.Request) { r.Environment = "" },
		"a health URL":          func(r *deploy.Request) { r.Health.HTTP = "http://169.254.169.254/" },
		"a health host":         func(r *deploy.Request) { r.Health.HTTP = "//169.254.169.254/" },
		"a negative time":       func(r *deploy.Request) { r.Health.Within = -1 },
		"our own variable":      func(r *deploy.Request) { r.Env = map[string]string{"NIGHTPORTER_VERSION": "9.9.9"} },
		"the port":              func(r *deploy.Request) { r.Env = map[string]string{"PORT": "80"} },
		"no address":            func(r *deploy.Request) { r.Credentials = &deploy.Credentials{Token: noToken} },
		"no token":              func(r *deploy.Request) { r.Credentials = &deploy.Credentials{Address: "http://127.0.0.1:8200"} },
		"a variable's name":     func(r *deploy.Request) { r.Env = map[string]string{"A=B": "c"} },
	} {
		r := w.Request("1.0.0", Good)
		r.Key = "bad"
		spoil(&r)
		_, err := w.Deployer.Start(t.Context(), r)
		if nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("%s: got %v, want an invalid error", name, err)
		}
	}
	wantRunning(t, w)
}

func noToken(context.Context) (string, error) { return "", nil }
