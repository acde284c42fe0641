package cli_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter/internal/cli"
)

// house answers what the verbs ask before they act.
func house(t *testing.T) *porter {
	return newPorter(t).
		recorded("GET /api/environments?limit=1000", "environments.json").
		recorded("GET /api/releases/rel_0198c0ffee04", "release.json").
		says("GET /api/releases?limit=1&service=affordability", 200, `{"items":[{"id":"rel_0198c0ffee04","repo":"github/affordability"}],"next":"x"}`).
		says("GET /api/releases?limit=1&service=affordability&state=waiting", 200, `{"items":[{"id":"rel_0198c0ffee04","repo":"github/affordability"}]}`).
		says("GET /api/whoami", 200, `{"kind":"person","name":"ana","accessor":"acc-1","policies":["default"],"roles":["developer"]}`).
		says("GET /api/policies/night-crew", 200, `{"name":"night-crew","policy":"path \"a\" {}\n","generated":false}`).
		says("GET /api/runs/run_1", 200, `{"id":"run_1","subject":{"kind":"environment","id":"dev"},"state":"running","steps":[{"name":"destroy","state":"running"}]}`).
		says("POST /api/releases/rel_0198c0ffee04/reject", 200, `{"release":"rel_0198c0ffee04"}`).
		says("POST /api/releases/rel_0198c0ffee04/rollback", 202, `{"release":"rel_0198c0ffee04","run":"run_9"}`).
		says("POST /api/releases/rel_0198c0ffee04/promote", 202, `{"release":"rel_0198c0ffee04","run":"run_9"}`).
		says("POST /api/services/affordability/deploy", 202, `{"id":"rel_9","repo":"github/affordability","run":"run_9"}`).
		says("PUT /api/freezes/prod", 204, "").says("PUT /api/freezes/dev", 204, "").says("DELETE /api/freezes/prod", 204, "").
		says("POST /api/services/ledger/incidents", 201, `{"id":"inc_1"}`).
		says("POST /api/services/ledger/incidents/inc_1/close", 200, `{"id":"inc_1","opened_at":"2026-11-23T10:00:00Z","closed_at":"2026-11-23T10:20:00Z"}`).
		says("PUT /api/services/ledger/hold", 204, "").says("DELETE /api/services/ledger/hold", 204, "").
		says("DELETE /api/tokens/acc-1", 204, "").says("DELETE /api/tokens/acc-2", 204, "").
		says("PUT /api/policies/night-crew", 204, "").says("DELETE /api/policies/night-crew", 204, "").
		recorded("GET /api/environments/dev", "environment.json").
		says("POST /api/environments/dev/down", 202, `{"environment":"dev","run":"run_9"}`).
		says("PUT /v1/sys/leases/revoke", 204, "").
		says("POST /api/runs/run_1/cancel", 200, `{}`).
		says("POST /api/users", 204, "")
}

// destructive are the verbs that ask, with what they then do.
var destructive = []struct {
	name, args string
	question   string // what must be typed
	shows      string
	change     string
}{
	{"reject", "release reject affordability --comment no", "y", "Release rel_0198c0ffee04 of affordability 1.8.1 ends. prod keeps what it runs.", `POST /api/releases/rel_0198c0ffee04/reject {"comment":"no"}`},
	{"rollback", "release rollback affordability --reason slow --detach", "affordability", "prod runs affordability 1.7.4.", `POST /api/releases/rel_0198c0ffee04/rollback {"comment":"slow","environment":"prod"}`},
	{"rollback outside production", "release rollback affordability --env dev --detach", "y", "dev runs nothing of affordability that is known.", `POST /api/releases/rel_0198c0ffee04/rollback {"environment":"dev"}`},
	{"freeze", "release freeze prod --until 18:00 --reason holidays", "prod", "Nothing new enters prod until Mon 23 Nov 2026 18:00 UTC.", `PUT /api/freezes/prod {"until":"2026-11-23T18:00:00Z","reason":"holidays"}`},
	{"freeze outside production", "release freeze dev --until 2h --reason test", "y", "Nothing new enters dev until", `PUT /api/freezes/dev {"until":"2026-11-23T14:04:31Z","reason":"test"}`},
	{"token revoke", "token revoke acc-2", "y", "The token acc-2 ends", `DELETE /api/tokens/acc-2`},
	{"token revoke self", "token revoke --self", "y", "Your own token ends", `DELETE /api/tokens/acc-1`},
	{"policy delete", "policy delete night-crew", "y", "Policy night-crew is deleted.", `DELETE /api/policies/night-crew`},
	{"env down", "env down dev --detach", "y", "dev is building. What it runs is torn down", `POST /api/environments/dev/down {}`},
	{"secret lease revoke", "secret lease revoke database/creds/app/x1", "y", "The login of database/creds/app/x1 is taken away", `PUT /v1/sys/leases/revoke {"lease_id":"database/creds/app/x1","sync":true}`},
	{"run cancel", "run cancel run_1 --reason wrong", "y", "Run run_1 of environment/dev ends at destroy.", `POST /api/runs/run_1/cancel {"reason":"wrong"}`},
}

func TestDestructiveVerbsShowAndAsk(t *testing.T) {
	t.Parallel()
	for _, tt := range destructive {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(tt.args)
			for _, c := range []struct {
				name   string
				screen screen
				typed  string
				args   []string
				code   int
				acts   bool
			}{
				{"with --yes", piped, "", append(args, "--yes"), 0, true},
				{"a yes at the terminal", onScreen, tt.question + "\n", args, 0, true},
				{"a no at the terminal", onScreen, "n\n", args, 1, false},
				{"no answer at the terminal", onScreen, "", args, 1, false},
				{"no terminal", piped, tt.question + "\n", args, 2, false},
				{"no terminal to see the question on", justInput, tt.question + "\n", args, 2, false},
			} {
				p := house(t)
				r := p.run(c.screen, cli.Config{Stdin: strings.NewReader(c.typed)}, c.args...)
				want := []string{}
				if c.acts {
					want = append(want, tt.change)
				}
				if diff := cmp.Diff(want, p.changes()); diff != "" || r.code != c.code {
					t.Errorf("%s: exit %d, want %d; changes (-want +got):\n%s\n%s", c.name, r.code, c.code, diff, r.stderr)
				}
				if !strings.Contains(r.stderr, tt.shows) {
					t.Errorf("%s: stderr %q does not say %q", c.name, r.stderr, tt.shows)
				}
				if c.code == 2 && !strings.Contains(r.stderr, "--yes") {
					t.Errorf("%s: no hint at --yes in %q", c.name, r.stderr)
				}
			}
		})
	}
}

func TestAYIsNotEnoughForProduction(t *testing.T) {
	t.Parallel()
	p := house(t)
	r := p.run(onScreen, cli.Config{Stdin: strings.NewReader("y\n")}, "release", "rollback", "affordability")
	if r.code != 1 || len(p.changes()) > 0 || !strings.Contains(r.stderr, "Type affordability to go on") {
		t.Errorf("%+v, changes %q", r, p.changes())
	}
}

func TestVerbsDoWhatTheySay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ args, stdin, change string }{
		{"release promote affordability 1.8.0 --to dev --detach", "", `POST /api/services/affordability/deploy {"version":"1.8.0","environment":"dev"}`},
		{"release promote affordability --to prod --detach", "", `POST /api/releases/rel_0198c0ffee04/promote {"environment":"prod"}`},
		{"release promote rel_0198c0ffee04 --to prod --detach", "", `POST /api/releases/rel_0198c0ffee04/promote {"environment":"prod"}`},
		{"release hold ledger --reason auditors", "", `PUT /api/services/ledger/hold {"reason":"auditors"}`},
		{"release unhold ledger", "", `DELETE /api/services/ledger/hold`},
		{"release promote affordability --to prod --detach --override-freeze fire", "", `POST /api/releases/rel_0198c0ffee04/promote {"environment":"prod","override_freeze":"fire"}`},
		{"release promote affordability 1.8.0 --to dev --detach --override-freeze fire", "", `POST /api/services/affordability/deploy {"version":"1.8.0","environment":"dev","override_freeze":"fire"}`},
		{"service incident open ledger slow --deployment none", "", `POST /api/services/ledger/incidents {"title":"slow","deployment":"none"}`},
		{"service incident close ledger inc_1", "", `POST /api/services/ledger/incidents/inc_1/close`},
		{"release unfreeze prod", "", `DELETE /api/freezes/prod`},
		{"policy write night-crew -", "path \"a\" {}\n", `PUT /api/policies/night-crew {"policy":"path \"a\" {}\n"}`},
		{"user set ana --password-stdin -p viewer", "long enough\n", `POST /api/users {"name":"ana","password":"long enough","policies":["viewer"]}`},
		{"user add ana --password-stdin", "long enough", `POST /api/users {"name":"ana","password":"long enough"}`},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			p := house(t)
			r := p.run(piped, cli.Config{Stdin: strings.NewReader(tt.stdin)}, strings.Fields(tt.args)...)
			if diff := cmp.Diff([]string{tt.change}, p.changes()); diff != "" || r.code != 0 {
				t.Errorf("exit %d, changes (-want +got):\n%s\n%s", r.code, diff, r.stderr)
			}
		})
	}
}

func TestAServiceWithoutAWaitingReleaseIsAConflictAndAnUnknownOneNotFound(t *testing.T) {
	t.Parallel()
	none := func() *porter {
		return newPorter(t).
			says("GET /api/releases?limit=1&service=ledger&state=waiting", 200, `{"items":[]}`).
			says("GET /api/releases?limit=1&service=ledger&state=held", 200, `{"items":[]}`)
	}
	r := none().says("GET /api/services/ledger", 200, `{"name":"ledger","repo":"github/ledger"}`).run(piped, cli.Config{}, "release", "approve", "ledger")
	if r.code != 1 || !strings.HasPrefix(r.stderr, "error: no release of ledger waits for an approval\n") {
		t.Errorf("%+v", r)
	}
	if r = none().run(piped, cli.Config{}, "release", "approve", "ledger"); r.code != 4 {
		t.Errorf("%+v", r)
	}
}
