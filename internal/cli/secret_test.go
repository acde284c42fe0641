package cli_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter/internal/cli"
)

const (
	credsJSON = `{"lease_id":"database/creds/app/x1","renewable":true,"lease_duration":3600,"data":{"username":"v-app-x1","password":"hunter-2"},"warnings":null}`

	revoked = `PUT /v1/sys/leases/revoke {"lease_id":"database/creds/app/x1","sync":true}`

	leasesJSON = `{"items":[
{"id":"database/creds/app/x1","database":"database/main","username":"v-app-x1","role":"app","path":"database/creds/app","owner":"ledger","environment":"dev","state":"live","issued_at":"2026-11-23T12:00:00Z","expires_at":"2026-11-23T13:00:00Z"},
{"id":"database/creds/app/x2","database":"database/main","username":"v-app-x2","role":"app","path":"database/creds/app","owner":"ledger","state":"doomed","issued_at":"2026-11-23T11:00:00Z","expires_at":"2026-11-23T12:00:00Z","reason":"expired","error":"connection refused"}]}`

	orphansJSON = `{"data":{"findings":[
{"database":"database/main","username":"v-app-old","kind":"orphan","detail":"nobody knows it","repaired":"taken away","first_seen":"2026-11-22T12:00:00Z","last_seen":"2026-11-23T12:00:00Z"},
{"database":"database/main","username":"v-app-lost","kind":"missing","detail":"the database does not have it","first_seen":"2026-11-22T12:00:00Z","last_seen":"2026-11-23T12:00:00Z"}]}}`

	personJSON = `{"lease_id":"database/login/main/x1","renewable":true,"lease_duration":3600,"data":{"username":"v-ana-x1","password":"hunter-2","plugin_name":"postgresql-database-plugin","connection_url":"postgresql://{{username}}:{{password}}@db.example:5432/ledger?sslmode=require"}}`
)

func safe(t *testing.T) *porter {
	return newPorter(t).
		says("GET /v1/database/creds/app", 200, credsJSON).
		says("GET /v1/database/login/main", 200, personJSON).
		says("GET /v1/database/orphans", 200, orphansJSON).
		says("GET /api/leases?limit=50", 200, leasesJSON).
		says("PUT /v1/sys/leases/renew", 200, `{"lease_id":"database/creds/app/x1","renewable":true,"lease_duration":1800,"data":null,"warnings":["capped"]}`).
		says("PUT /v1/sys/leases/revoke", 204, "")
}

func TestReadsOfSecrets(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]string{"secret-lease-list": "secret lease list", "secret-orphans": "secret orphans", "secret-login": "secret login main --print"} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			p := safe(t)
			for suffix, r := range map[string]result{
				"-piped":    p.run(piped, cli.Config{}, strings.Fields(args)...),
				"-terminal": p.run(onScreen, cli.Config{}, append(strings.Fields(args), "--no-color")...),
				"-json":     p.run(onScreen, cli.Config{}, append(strings.Fields(args), "--json")...),
			} {
				if r.code != 0 || suffix == "-json" && !json.Valid([]byte(r.stdout)) {
					t.Fatalf("%s: %+v", suffix, r)
				}
				golden(t, name+suffix, r.stdout)
			}
		})
	}
}

func TestALeaseIsRenewedForAsLongAsItIsGiven(t *testing.T) {
	t.Parallel()
	p := safe(t)
	r := p.run(piped, cli.Config{}, "secret", "lease", "renew", "database/creds/app/x1", "--increment", "1h")
	want := []string{`PUT /v1/sys/leases/renew {"lease_id":"database/creds/app/x1","increment":3600}`}
	if diff := cmp.Diff(want, p.changes()); diff != "" || r.code != 0 {
		t.Errorf("exit %d (-want +got):\n%s%s", r.code, diff, r.stderr)
	}
	if r.stdout != "database/creds/app/x1 lasts until 2026-11-23 12:34:31.\n" || r.stderr != "warning: capped\n" {
		t.Errorf("%+v", r)
	}
}

// shell is a POSIX shell, the judge of what a child gets.
func shell(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("SKIPPED: there is no sh here, so nothing can be run with a login")
	}
	return path
}

func TestExecGivesALoginToACommandAndEndsIt(t *testing.T) {
	t.Parallel()
	sh := shell(t)
	environ := func() []string {
		return []string{"PATH=" + os.Getenv("PATH"), "NIGHTPORTER_TOKEN=npt_test", "VAULT_TOKEN=npt_test", "DATABASE_PASSWORD=stale", "OTHER=kept"}
	}
	for _, tt := range []struct {
		name, flags, script string
		code                int
		stdout              string
	}{
		{"in its environment", "", `echo "$DATABASE_USERNAME $DATABASE_PASSWORD $OTHER"`, 0, "v-app-x1 hunter-2 kept\n"},
		{"under other names", "--env-prefix PG_", `echo "$PG_USERNAME $PG_PASSWORD $DATABASE_PASSWORD"`, 0, "v-app-x1 hunter-2 stale\n"},
		{"without the token", "", `echo "[$NIGHTPORTER_TOKEN$VAULT_TOKEN]"`, 0, "[]\n"},
		{"with its own exit code", "", `exit 7`, 7, ""},
		{"ended by a signal", "", `kill -KILL $$`, 137, ""},
		{"with its own flags", "", `echo "$0"`, 0, "--json\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := safe(t)
			args := append([]string{"secret", "exec", "app"}, strings.Fields(tt.flags)...)
			r := p.run(piped, cli.Config{Environ: environ}, append(args, "--", sh, "-c", tt.script, "--json")...)
			if r.code != tt.code || r.stdout != tt.stdout || r.stderr != "" {
				t.Errorf("%+v", r)
			}
			if diff := cmp.Diff([]string{revoked}, p.changes()); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}

// Not parallel: the signal goes to this process, and so to the child of every exec.
func TestExecSendsSignalsOn(t *testing.T) {
	sh := shell(t)
	p := safe(t)
	// No wait: a shell that gets the signal just before it would not run its trap.
	r := p.run(piped, cli.Config{}, "secret", "exec", "app", "--", sh, "-c", `trap 'exit 9' TERM; kill -TERM $PPID; for n in $(seq 600); do sleep 0.1; done; exit 1`)
	if diff := cmp.Diff([]string{revoked}, p.changes()); diff != "" || r.code != 9 {
		t.Errorf("%+v, changes (-want +got):\n%s", r, diff)
	}
}

func TestExecMakesNoLoginThatNobodyUses(t *testing.T) {
	t.Parallel()
	for args, code := range map[string]int{
		"secret exec app -- /nowhere/at/all":          2,
		"secret exec app sh -c true":                  2,
		"secret exec -- sh":                           2,
		"secret exec app --env-prefix a=b -- sh -c :": 2,
	} {
		p := safe(t)
		if r := p.run(piped, cli.Config{}, strings.Fields(args)...); r.code != code || len(p.seen) > 0 {
			t.Errorf("%s: %+v, requests %q", args, r, p.seen)
		}
	}
}

func TestALoginThatCannotBeRevokedIsSaidAndChangesNoExitCode(t *testing.T) {
	t.Parallel()
	p := newPorter(t).says("GET /v1/database/creds/app", 200, credsJSON).says("PUT /v1/sys/leases/revoke", 503, `{"errors":["Vault is sealed"]}`)
	r := p.run(piped, cli.Config{}, "secret", "exec", "app", "--", shell(t), "-c", "exit 3")
	if r.code != 3 || !strings.Contains(r.stderr, "could not be revoked") || !strings.Contains(r.stderr, "nightporter secret lease revoke database/creds/app/x1") || strings.Contains(r.stderr, "hunter-2") {
		t.Errorf("%+v", r)
	}
}

func TestRefusalsOfTheVaultAPIKeepTheirExitCode(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]struct{ status, code int }{
		`{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`: {403, 5},
		`{"errors":[]}`:                  {404, 4},
		`{"errors":["unknown role: x"]}`: {400, 1},
	} {
		r := newPorter(t).says("GET /v1/database/login/main", want.status, body).run(piped, cli.Config{}, "secret", "login", "main")
		if r.code != want.code || strings.Contains(r.stderr, "occurred") {
			t.Errorf("%s: %+v", body, r)
		}
	}
}

const treeJSON = `{"items":[
{"id":"acc-root","kind":"token","depth":0,"owner":"root","path":"auth/token/root","state":"live","issued_at":"2026-11-23T10:00:00Z"},
{"id":"acc-ci","kind":"token","parent":"acc-root","depth":1,"owner":"ci","path":"auth/token/create","state":"live","issued_at":"2026-11-23T11:00:00Z","expires_at":"2026-11-23T13:00:00Z","ends_at":"2026-11-23T13:00:00Z"},
{"id":"acc-job","kind":"token","parent":"acc-ci","depth":2,"owner":"job","path":"auth/token/create","state":"doomed","issued_at":"2026-11-23T11:00:00Z","ends_at":"2026-11-23T12:30:00Z"},
{"id":"database/creds/app/x2","kind":"login","parent":"acc-job","depth":3,"owner":"job","path":"database/creds/app","state":"doomed","issued_at":"2026-11-23T11:00:00Z","ends_at":"2026-11-23T12:30:00Z","database":"database/main","username":"v-app-x2","role":"app"},
{"id":"database/creds/app/x1","kind":"login","parent":"acc-ci","depth":2,"owner":"ci","path":"database/creds/app","state":"live","issued_at":"2026-11-23T12:00:00Z","ends_at":"2026-11-23T13:00:00Z","database":"database/main","username":"v-app-x1","role":"app"},
{"id":"acc-ana","kind":"token","parent":"acc-root","depth":1,"owner":"ana","path":"auth/userpass/login/ana","state":"live","issued_at":"2026-11-23T12:00:00Z","ends_at":"2026-11-23T20:00:00Z"}]}`

func TestTheTreeIsDrawnWithItsBranches(t *testing.T) {
	t.Parallel()
	p := newPorter(t).says("GET /api/leases/tree", 200, treeJSON)
	r := p.run(piped, cli.Config{}, "secret", "lease", "tree")
	var names []string
	for line := range strings.SplitSeq(strings.TrimSpace(r.stdout), "\n") {
		name, _, _ := strings.Cut(line, "  token")
		name, _, _ = strings.Cut(name, "  login")
		names = append(names, strings.TrimRight(name, " "))
	}
	want := []string{
		"Holder                           Kind          Owner  State   Ends                 Path",
		"acc-root", "├ acc-ci", "│ ├ acc-job", "│ │ └ v-app-x2 in database/main", "│ └ v-app-x1 in database/main", "└ acc-ana",
	}
	if diff := cmp.Diff(want, names); diff != "" || r.code != 0 {
		t.Errorf("%+v (-want +got):\n%s", r, diff)
	}
	own := newPorter(t).says("GET /api/leases/tree/own?of=acc-ci", 200, `{"items":[]}`).run(piped, cli.Config{}, "secret", "lease", "tree", "acc-ci", "--mine")
	if own.code != 0 || own.stderr != "Nobody has a login.\n" {
		t.Errorf("%+v", own)
	}
}

func TestAPasswordIsNeverAnArgument(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"postgresql://porter:hunter-2@db/ledger", "porter:hunter-2@tcp(db:3306)/ledger", "host=db user={{username}} password=hunter-2",
		"postgresql://{{username}}:hunter-2@db/ledger", "postgresql://{{username}}:{{password}}@db/x?password=hunter-2",
	} {
		p := newPorter(t)
		r := p.run(piped, cli.Config{Stdin: strings.NewReader("x\n")}, "secret", "db", "add", "main", "--plugin", "postgresql", "--username", "porter", "--url", address)
		if r.code != 2 || strings.Contains(r.stderr, "hunter-2") || !strings.Contains(r.stderr, "--url") || len(p.seen) > 0 {
			t.Errorf("%s: %+v, requests %q", address, r, p.seen)
		}
	}
	p := newPorter(t).says("PUT /v1/database/config/main", 200, `{"warnings":["mind the gap"]}`)
	r := p.run(piped, cli.Config{Stdin: strings.NewReader("hunter-2\n")}, "secret", "db", "add", "main", "--plugin", "mysql", "--username", "porter",
		"--url", "{{username}}:{{password}}@tcp(db:3306)/ledger", "--role", "a", "--role", "b")
	want := []string{`PUT /v1/database/config/main {"plugin_name":"mysql-database-plugin","connection_url":"{{username}}:{{password}}@tcp(db:3306)/ledger","username":"porter","password":"hunter-2","allowed_roles":["a","b"]}`}
	if diff := cmp.Diff(want, p.changes()); diff != "" || r.code != 0 || !strings.Contains(r.stderr, "warning: mind the gap") || strings.Contains(r.stderr, "hunter-2") {
		t.Errorf("%+v (-want +got):\n%s", r, diff)
	}
}
