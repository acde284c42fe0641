package cli_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"nightporter.dev/nightporter/internal/cli"
)

// runJSON is a run of a release whose last step is in state.
func runJSON(state, stepName, step, more string) string {
	return fmt.Sprintf(`{"id":"run_9","kind":"release","subject":{"kind":"release","id":"rel_9"},"state":%q,"created_at":"2026-11-23T12:00:00Z","steps":[
		{"n":0,"name":"deploy dev","state":"succeeded","attempts":1,"started_at":"2026-11-23T12:00:00Z","finished_at":"2026-11-23T12:00:12Z"},
		{"n":1,"name":%q,"state":%q,"attempts":1,"started_at":"2026-11-23T12:03:49Z","expected":"1m10s"%s}]}`, state, stepName, step, more)
}

func releaseJSON(state, message string) string {
	return fmt.Sprintf(`{"id":"rel_9","service":"ledger","repo":"github/ledger","version":"1.4.0","commit":"c","place":1,"kind":"merge","state":%q,"message":%q,
		"run":"run_9","created_at":"2026-11-23T12:00:00Z","updated_at":"2026-11-23T12:00:00Z","votes":[],"changes":[],
		"environments":[{"environment":"dev","version":"1.4.0"},{"environment":"prod","version":"1.4.0"}]}`, state, message)
}

// retried is a server on which `release retry rel_9` starts run_9.
func retried(t *testing.T) *porter {
	return newPorter(t).says("POST /api/releases/rel_9/retry", 202, `{"release":"rel_9","run":"run_9"}`)
}

func TestAVerbStaysWithItsRunToTheEnd(t *testing.T) {
	t.Parallel()
	p := retried(t).
		says("GET /api/runs/run_9", 200, runJSON("running", "deploy prod", "running", "")).
		says("GET /api/runs/run_9", 200, runJSON("running", "deploy prod", "running", "")).
		says("GET /api/runs/run_9", 200, runJSON("succeeded", "deploy prod", "succeeded", `,"finished_at":"2026-11-23T12:04:20Z","message":"healthy"`)).
		says("GET /api/releases/rel_9", 200, releaseJSON("healthy", ""))
	r := p.run(piped, cli.Config{}, "release", "retry", "rel_9")
	wantTalk := "deploy dev  succeeded in 0:12\ndeploy prod  running\ndeploy prod  succeeded in 0:31: healthy\n"
	if r.code != 0 || r.stdout != "ledger 1.4.0 is healthy in dev, prod.\n" || r.stderr != wantTalk {
		t.Errorf("exit %d, stdout %q, stderr\n%s\nwant\n%s", r.code, r.stdout, r.stderr, wantTalk)
	}
}

func TestProgressIsOneLineOnATerminal(t *testing.T) {
	t.Parallel()
	p := retried(t).
		says("GET /api/runs/run_9", 200, runJSON("running", "deploy prod", "running", "")).
		says("GET /api/runs/run_9", 200, runJSON("succeeded", "deploy prod", "succeeded", "")).
		says("GET /api/releases/rel_9", 200, releaseJSON("healthy", ""))
	r := p.run(logged, cli.Config{}, "release", "retry", "rel_9")
	if want := "\r\x1b[2K▸ deploy prod  step 2 of 2  0:42 of about 1:10"; r.code != 0 || !strings.HasPrefix(r.stderr, want) || strings.Contains(r.stderr, "\n") {
		t.Errorf("exit %d, stderr %q, want it to begin with %q and to stay on its line", r.code, r.stderr, want)
	}
	if !strings.HasSuffix(r.stderr, "\r\x1b[2K") {
		t.Errorf("the line stays behind: %q", r.stderr)
	}
}

func TestAFailedRunShowsTheEndOfItsOutput(t *testing.T) {
	t.Parallel()
	lines := make([]string, 30)
	for i := range lines {
		lines[i] = fmt.Sprintf(`"line %d"`, i+1)
	}
	p := retried(t).
		says("GET /api/runs/run_9", 200, runJSON("failed", "deploy prod", "failed", `,"message":"exit 1","lines":[`+strings.Join(lines, ",")+`]`)).
		says("GET /api/releases/rel_9", 200, releaseJSON("rolled_back", "unhealthy in prod: 503"))
	r := p.run(piped, cli.Config{}, "release", "retry", "rel_9")
	if r.code != 1 || r.stdout != "" {
		t.Errorf("exit %d, stdout %q", r.code, r.stdout)
	}
	for want, there := range map[string]bool{
		"│ line 30\n": true, "│ line 11\n": true, "│ line 10\n": false,
		"error: ledger 1.4.0 rolled back: unhealthy in prod: 503\nhint:  nightporter release show rel_9\n": true,
	} {
		if strings.Contains(r.stderr, want) != there {
			t.Errorf("%q in stderr: %v, want %v\n%s", want, !there, there, r.stderr)
		}
	}
}

func TestStoppingAtAnApprovalIsDone(t *testing.T) {
	t.Parallel()
	p := retried(t).
		says("GET /api/runs/run_9", 200, runJSON("waiting", "approve prod", "waiting", "")).
		says("GET /api/releases/rel_9", 200, strings.Replace(releaseJSON("waiting", ""), `"run"`, `"waits_for":"prod","run"`, 1))
	r := p.run(piped, cli.Config{}, "release", "retry", "rel_9")
	if r.code != 0 || r.stdout != "ledger 1.4.0 waits for an approval for prod.\n" || !strings.Contains(r.stderr, "nightporter release approve rel_9") {
		t.Errorf("%+v", r)
	}
}

func TestARunThatWaitsForSomethingElseIsFollowed(t *testing.T) {
	t.Parallel()
	p := retried(t).
		says("GET /api/runs/run_9", 200, runJSON("waiting", "deploy prod", "waiting", `,"message":"dev is dark"`)).
		says("GET /api/runs/run_9", 200, runJSON("succeeded", "deploy prod", "succeeded", "")).
		says("GET /api/releases/rel_9", 200, releaseJSON("healthy", ""))
	if r := p.run(piped, cli.Config{}, "release", "retry", "rel_9"); r.code != 0 || !strings.Contains(r.stdout, "healthy") {
		t.Errorf("%+v", r)
	}
}

func TestAnApprovalLooksPastTheWaitThatItEnds(t *testing.T) {
	t.Parallel()
	p := newPorter(t).
		says("GET /api/releases?limit=1&service=ledger&state=waiting", 200, `{"items":[{"id":"rel_9","service":"ledger","version":"1.4.0","repo":"github/ledger"}]}`).
		says("POST /api/releases/rel_9/approve", 200, `{"release":"rel_9"}`).
		says("GET /api/releases/rel_9", 200, releaseJSON("waiting", "")).
		says("GET /api/runs/run_9", 200, runJSON("waiting", "approve prod", "waiting", "")).
		says("GET /api/runs/run_9", 200, runJSON("running", "deploy prod", "running", "")).
		says("GET /api/runs/run_9", 200, runJSON("succeeded", "deploy prod", "succeeded", "")).
		says("GET /api/releases/rel_9", 200, releaseJSON("healthy", ""))
	r := p.run(piped, cli.Config{}, "release", "approve", "ledger", "--comment", "fine")
	if r.code != 0 || r.stdout != "ledger 1.4.0 is healthy in dev, prod.\n" {
		t.Errorf("%+v", r)
	}
	if got := p.changes(); len(got) != 1 || got[0] != `POST /api/releases/rel_9/approve {"comment":"fine"}` {
		t.Errorf("changes = %q", got)
	}
}

func TestDetachPrintsTheRunAndGoes(t *testing.T) {
	t.Parallel()
	p := retried(t)
	if r := p.run(piped, cli.Config{}, "release", "retry", "rel_9", "--detach"); r.code != 0 || r.stdout != "run_9\n" {
		t.Errorf("%+v", r)
	}
	if r := p.run(piped, cli.Config{}, "release", "retry", "rel_9", "--detach", "--json"); r.stdout != "{\n  \"run\": \"run_9\"\n}\n" {
		t.Errorf("%+v", r)
	}
}

func TestOutOfTimeIsExit6AndTheWorkGoesOn(t *testing.T) {
	t.Parallel()
	p := retried(t).says("GET /api/runs/run_9", 200, runJSON("running", "deploy prod", "running", ""))
	r := p.run(piped, cli.Config{}, "release", "retry", "rel_9", "--timeout", "50ms")
	if r.code != 6 || !strings.Contains(r.stderr, "error: not over after 50ms; the work goes on\nhint:  follow it again with: nightporter run follow run_9\n") {
		t.Errorf("%+v", r)
	}
	if got := p.changes(); len(got) != 1 {
		t.Errorf("changes = %q: giving up must not cancel", got)
	}
}

func TestAnInterruptLeavesTheWorkAlone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	p := retried(t).says("GET /api/runs/run_9", 200, runJSON("running", "deploy prod", "running", ""))
	p.hook = func(route string) {
		if route == "GET /api/runs/run_9" {
			cancel()
		}
	}
	r := p.runContext(ctx, piped, cli.Config{}, "release", "retry", "rel_9")
	if r.code != 130 || !strings.Contains(r.stderr, "interrupted; the work goes on") || !strings.Contains(r.stderr, "nightporter run follow run_9") {
		t.Errorf("%+v", r)
	}
	if got := p.changes(); len(got) != 1 {
		t.Errorf("changes = %q", got)
	}
}

func TestAServerThatRestartsIsWaitedFor(t *testing.T) {
	t.Parallel()
	p := newPorter(t).
		says("GET /api/runs/run_9", 200, runJSON("running", "deploy prod", "running", "")).
		says("GET /api/runs/run_9", 503, `{"code":"unavailable","detail":"starting"}`).
		says("GET /api/runs/run_9", 200, runJSON("succeeded", "deploy prod", "succeeded", "")).
		says("GET /api/releases/rel_9", 200, releaseJSON("healthy", ""))
	r := p.run(piped, cli.Config{}, "run", "follow", "run_9")
	if r.code != 0 || !strings.Contains(r.stderr, "starting; trying again") {
		t.Errorf("%+v", r)
	}
}

func TestARunOfSomethingElseSaysHowItEnded(t *testing.T) {
	t.Parallel()
	p := newPorter(t).
		says("GET /api/runs/run_1", 200, `{"id":"run_1","kind":"night","subject":{"kind":"environment","id":"dev"},"state":"succeeded","steps":[]}`).
		says("GET /api/runs/run_2", 200, `{"id":"run_2","kind":"night","subject":{"kind":"environment","id":"dev"},"state":"cancelled","message":"wrong branch","steps":[]}`)
	if r := p.run(piped, cli.Config{}, "run", "follow", "run_1"); r.code != 0 || r.stdout != "Run run_1 succeeded.\n" {
		t.Errorf("%+v", r)
	}
	if r := p.run(piped, cli.Config{}, "run", "follow", "run_2"); r.code != 1 || !strings.Contains(r.stderr, "error: run run_2 cancelled: wrong branch") {
		t.Errorf("%+v", r)
	}
}
