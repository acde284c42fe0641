package cli_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
	"nightporter.dev/nightporter/internal/cli"
)

const versionsJSON = `{"items":[
{"repo":"github/ledger","place":3,"commit":"cc33","bump":"","state":"rides","merge":{"repo":"github/ledger","title":"hand-made","merged_at":"2026-11-23T12:00:00Z"},"at":"2026-11-23T12:00:00Z"},
{"repo":"github/ledger","place":2,"commit":"bb22","version":"1.4.0","bump":"minor","state":"cut","merge":{"repo":"github/ledger","pull_request":12,"title":"Add a report","merged_at":"2026-11-22T12:00:00Z"},"at":"2026-11-22T12:00:00Z"},
{"repo":"github/ledger","place":1,"commit":"aa11","version":"1.3.1","bump":"patch","state":"cut","flag":"#11 was merged without exactly one version label and counts as patch","merge":{"repo":"github/ledger","pull_request":11,"title":"Fix a total","merged_at":"2026-11-20T12:00:00Z"},"at":"2026-11-20T12:00:00Z"}]}`

const auditJSON = `{"items":[
{"seq":88214,"at":"2026-11-23T12:00:00Z","actor":{"kind":"person","name":"ben"},"action":"release.approve","resource":{"kind":"release","id":"rel_4"},"decision":"allowed","policy":"service-owner","request_id":"req-1"},
{"seq":88213,"at":"2026-11-23T11:59:00Z","actor":{"kind":"system","name":"releases","on_behalf_of":"ana"},"action":"release.wait","resource":{"kind":"release","id":"rel_4"},"decision":"allowed"},
{"seq":88212,"at":"2026-11-23T11:58:00Z","actor":{"kind":"person","name":"eve"},"action":"policy.write","resource":{"kind":"policy","id":"root"},"decision":"denied"}]}`

const statusJSON = `{"version":"1.2.3","sealed":false,"ready":true,"store":"sqlite","started_at":"2026-11-23T09:04:31Z","demo":true,
"parked":[{"event_id":7,"name":"VersionCut","subject":"repo/github/ledger","listener":"releases.Open","attempts":12,"error":"no service builds it"}],
"forges":[{"name":"github","swept_at":"2026-11-23T12:04:00Z"},{"name":"gitea","swept_at":"2026-11-23T10:00:00Z","failing_since":"2026-11-23T11:00:00Z","error":"connection refused"}]}`

const postureJSON = `{"service":"ledger","owner":"team-payments","pillars":[
{"pillar":"confidentiality","letter":"E","proven":1,"of":2,"cells":[
{"id":"C1","pillar":"confidentiality","claim":"No live static credential is in the history","severity":"critical","state":"fail","proof":"a database password (config/app.yaml)","event":"FindingOpened fnd_1","at":"2026-11-23T11:00:00Z","age":"1h","fresh_for":"24h","see":"nightporter security findings","page":"/security/findings/fnd_1"},
{"id":"C5","pillar":"confidentiality","claim":"Few people can read","severity":"medium","state":"unknown","proof":"the policies have not been evaluated","see":"nightporter security access"}]},
{"pillar":"integrity","letter":"?","proven":0,"of":1,"cells":[{"id":"I5","pillar":"integrity","claim":"verified","severity":"critical","state":"stale","proof":"7 entries are whole","event":"AuditVerified 7 entries","at":"2026-11-20T12:00:00Z","age":"3d","fresh_for":"24h","see":"nightporter audit verify"}]},
{"pillar":"availability","letter":"A","proven":1,"of":1,"cells":[{"id":"A1","pillar":"availability","claim":"rebuilt","severity":"high","state":"pass","proof":"dev was rebuilt in 6m0s","event":"DrillPassed run_3","at":"2026-11-23T06:00:00Z","age":"6h","fresh_for":"7d","see":"nightporter env runs dev"}]},
{"pillar":"misuse","letter":"A","proven":0,"of":0,"cells":[{"id":"M2","pillar":"misuse","claim":"dark","severity":"high","state":"n.a.","proof":"prod does not sleep","see":"nightporter env status"}]}]}`

const findingJSON = `{"id":"fnd_1","service":"ledger","repo":"github/ledger","check":"C1","rule":"postgres-url","severity":"critical","title":"a database password","evidence":"config/app.yaml","source":"secret scan","owner":"team-payments","state":"open","due":"2026-11-23T11:00:00Z","first_seen_at":"2026-11-22T11:00:00Z","last_seen_at":"2026-11-23T11:00:00Z","changed_at":"2026-11-22T11:00:00Z","reopened":1}`

const riskJSON = `{"id":"rsk_1","title":"one person knows the provider","asset":"ledger","pillar":"availability","likelihood":2,"impact":4,"score":8,"treatment":"reduce","plan":"pair on it","owner":"team-payments","state":"open","review":"2027-03-31T00:00:00Z","findings":["fnd_1"],"created_by":"ana","created_at":"2026-11-20T12:00:00Z","changed_at":"2026-11-20T12:00:00Z","proposal":{"likelihood":5,"why":"1 of its findings are overdue"}}`

// library answers every read.
func library(t *testing.T) *porter {
	releases := `{"items":[
		{"id":"rel_4","service":"ledger","repo":"github/ledger","version":"1.4.0","kind":"merge","state":"waiting","message":"waiting for an approval for prod","created_at":"2026-11-23T10:00:00Z"},
		{"id":"rel_3","service":"ledger","repo":"github/ledger","version":"1.3.1","kind":"rollback","target":"prod","state":"healthy","created_at":"2026-11-20T10:00:00Z"}]}`
	return withBoard(t).
		recorded("GET /api/releases/rel_0198c0ffee04", "release.json").
		says("GET /api/services/ledger/dora?window=30d", 200, `{"service":"ledger","from":"2026-10-24T12:00:00Z","to":"2026-11-23T12:00:00Z",
			"deployment_frequency":{"factor":"throughput","definition":"d","unit":"per_day","value":0.1,"numerator":3,"denominator":30,"rows":["a","b","c"]},
			"change_lead_time":{"factor":"throughput","definition":"l","unit":"seconds","value":12000,"p90":200000,"numerator":212000,"denominator":2,"rows":["c1","c2"]},
			"change_fail_rate":{"factor":"instability","definition":"f","unit":"ratio","value":0.25,"numerator":1,"denominator":4,"rows":["d"]},
			"failed_deployment_recovery_time":{"factor":"throughput","definition":"r","unit":"seconds","value":null,"numerator":0,"denominator":0,"rows":[]},
			"deployment_rework_rate":{"factor":"instability","definition":"w","unit":"ratio","value":0,"numerator":0,"denominator":4,"rows":[]},
			"deployments":[],"before":[],"changes":[],"incidents":[]}`).
		says("GET /api/services/ledger/incidents?limit=30", 200, `{"items":[
			{"id":"inc_2","service":"ledger","cause":"person","title":"totals are wrong","opened_by":"ana","opened_at":"2026-11-23T10:00:00Z"},
			{"id":"inc_1","service":"ledger","cause":"rollback","title":"1.3.1 was rolled back to 1.3.0","opened_at":"2026-11-20T10:00:00Z","closed_at":"2026-11-20T10:20:00Z"}]}`).
		says("GET /api/freezes?limit=1000", 200, `{"items":[
			{"environment":"prod","from":"2026-11-23T10:00:00Z","until":"2026-11-23T18:00:00Z","reason":"load test","person":"ana","source":"api","in_force":true},
			{"environment":"prod","from":"2026-12-23T18:00:00Z","until":"2027-01-04T08:00:00Z","reason":"holidays","source":"file","in_force":false}]}`).
		says("GET /api/releases?limit=30", 200, releases).
		says("GET /api/releases?limit=50", 200, releases).
		says("GET /api/releases?limit=50&state=waiting", 200, `{"items":[{"id":"rel_4","service":"ledger","version":"1.4.0","repo":"github/ledger"}]}`).
		says("GET /api/versions/next?repo=github%2Fledger", 200,
			`{"repo":"github/ledger","current":"1.4.0","next":{"major":"2.0.0","minor":"1.5.0","patch":"1.4.1"}}`).
		says("GET /api/versions?limit=20&repo=github%2Fledger", 200, versionsJSON).
		says("GET /api/versions?limit=2&repo=github%2Fledger", 200, versionsJSON).
		says("GET /api/versions/next?repo=github%2Fnew", 200, `{"repo":"github/new","next":{"major":"0.1.0","minor":"0.1.0","patch":"0.1.0"}}`).
		recorded("GET /api/services/ledger", "service.json").
		says("GET /api/forges?limit=1000", 200, `{"items":[{"name":"github","swept_at":"2026-11-23T12:04:00Z"},{"name":"gitea","failing_since":"2026-11-23T11:00:00Z","error":"connection refused"},{"name":"new"}]}`).
		says("GET /api/runs/run_3", 200, runJSON("failed", "deploy prod", "failed", `,"finished_at":"2026-11-23T12:04:20Z","message":"exit 1","lines":["panic: no database"]`)).
		says("GET /api/audit?limit=50", 200, auditJSON).
		says("GET /api/audit/checkpoint", 200, `{"size":3,"at":"2026-11-23T12:00:00Z","root":"cm9vdA==","note":"nightporter\n3\ncm9vdA==\n\n— nightporter sig\n"}`).
		says("GET /api/audit/proof?entry=7", 200, `{"entry":{"seq":7},"leaf":"bGVhZg==","hashes":["aA=="],"checkpoint":{"size":9}}`).
		says("POST /api/audit/verify", 200, `{"entries":88215,"checkpoints":12,"root":"cm9vdA=="}`).
		says("GET /api/status", 200, statusJSON).
		says("GET /api/whoami", 200, `{"kind":"person","name":"ana","accessor":"acc-1","policies":["default"],"roles":["developer","service-owner-team-payments"],"expires_at":"2026-12-24T12:00:00Z"}`).
		says("GET /api/policies?limit=1000", 200, `{"items":[{"name":"default","generated":false},{"name":"developer","generated":true}]}`).
		says("GET /api/security/posture?limit=1000&service=ledger", 200, `{"items":[`+postureJSON+`]}`).
		says("GET /api/security/posture?limit=1000", 200, `{"items":[`+postureJSON+`]}`).
		says("GET /api/security/findings?limit=50&state=standing", 200, `{"items":[`+findingJSON+`,
			{"id":"fnd_2","repo":"github/old","rule":"generic","severity":"low","title":"a long random text","evidence":"a.txt","source":"secret scan","suspect":true,"state":"open","due":"2026-12-24T12:00:00Z","first_seen_at":"2026-11-23T10:00:00Z","last_seen_at":"2026-11-23T10:00:00Z","changed_at":"2026-11-23T10:00:00Z"}]}`).
		says("GET /api/security/findings/fnd_1", 200, findingJSON).
		says("GET /api/security/risks?limit=1000", 200, `{"items":[`+riskJSON+`]}`).
		says("GET /api/security/risks/rsk_1", 200, riskJSON).
		says("GET /api/policies/developer", 200, `{"name":"developer","policy":"path \"api/*\" {\n  capabilities = [\"read\"]\n}\n","generated":true}`)
}

var reads = []struct{ golden, args string }{
	{"release-freeze-list", "release freeze list"},
	{"service-dora", "service dora ledger"},
	{"service-incident-list", "service incident list ledger"},
	{"security-posture-list", "security posture"},
	{"security-posture", "security posture ledger"},
	{"security-findings", "security findings"},
	{"security-finding", "security finding show fnd_1"},
	{"security-risks", "security risks"},
	{"security-risk", "security risk show rsk_1"},
	{"release-list", "release list"},
	{"release-show", "release show rel_0198c0ffee04"},
	{"version", "version"},
	{"version-list", "version list github/ledger"},
	{"version-next", "version next github/ledger"},
	{"service-list", "service list"},
	{"service-show", "service show ledger"},
	{"env-status", "env status"},
	{"repo-forges", "repo forges"},
	{"run-show", "run show run_3"},
	{"audit-list", "audit list"},
	{"audit-checkpoint", "audit checkpoint"},
	{"audit-proof", "audit proof 7"},
	{"audit-verify", "audit verify"},
	{"status", "status"},
	{"whoami", "token whoami"},
	{"policy-list", "policy list"},
	{"policy-read", "policy read developer"},
}

func TestReads(t *testing.T) {
	t.Parallel()
	for _, tt := range reads {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			p := library(t)
			r := p.run(piped, cli.Config{}, strings.Fields(tt.args)...)
			if r.code != 0 || r.stderr != "" {
				t.Fatalf("exit %d, stderr %q", r.code, r.stderr)
			}
			golden(t, tt.golden+"-piped", r.stdout)
			r = p.run(onScreen, cli.Config{}, append(strings.Fields(tt.args), "--no-color")...)
			if r.code != 0 {
				t.Fatalf("exit %d, stderr %q", r.code, r.stderr)
			}
			golden(t, tt.golden+"-terminal", r.stdout)
		})
	}
}

func TestEveryReadHasJSON(t *testing.T) {
	t.Parallel()
	for _, tt := range reads {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			r := library(t).run(onScreen, cli.Config{}, append(strings.Fields(tt.args), "--json")...)
			if r.code != 0 || !json.Valid([]byte(r.stdout)) || strings.Contains(r.stdout, "\x1b") {
				t.Errorf("exit %d, stderr %q, stdout\n%s", r.code, r.stderr, r.stdout)
			}
			golden(t, tt.golden+"-json", r.stdout)
		})
	}
}

func TestVersionNextByLabel(t *testing.T) {
	t.Parallel()
	p := library(t)
	for args, want := range map[string]string{
		"github/ledger --label minor": "1.5.0\n",
		"github/ledger --label patch": "1.4.1\n",
		"github/new --label major":    "0.1.0\n",
	} {
		if r := p.run(piped, cli.Config{}, append([]string{"version", "next"}, strings.Fields(args)...)...); r.stdout != want || r.code != 0 {
			t.Errorf("%s: %+v, want %q", args, r, want)
		}
	}
	if r := p.run(piped, cli.Config{}, "version", "next", "github/ledger", "--label", "huge"); r.code != 2 {
		t.Errorf("an unknown label: %+v", r)
	}
	cfg := cli.Config{LocalVersionNext: func(_ context.Context, o cli.LocalOptions, repo nightporter.Repo) (cli.NextVersion, error) {
		return cli.NextVersion{Repo: repo, Current: "0.4.0", Next: map[nightporter.Bump]string{nightporter.Major: "1.0.0"}}, nil
	}}
	if r := p.run(piped, cfg, "version", "next", "github/ledger", "--local", "--label", "major"); r.stdout != "1.0.0\n" {
		t.Errorf("local: %+v", r)
	}
}

func TestDamageInTheAuditLogIsExit1(t *testing.T) {
	t.Parallel()
	p := newPorter(t).says("POST /api/audit/verify", 200, `{"entries":10,"checkpoints":1,"root":"r","damage":["entry 4 is not what was written","2 entries are missing"]}`)
	r := p.run(piped, cli.Config{}, "audit", "verify")
	want := "  │ entry 4 is not what was written\n  │ 2 entries are missing\nerror: the audit log is damaged: 2 findings\n"
	if r.code != 1 || r.stdout != "" || !strings.HasPrefix(r.stderr, want) {
		t.Errorf("%+v", r)
	}
	if r := p.run(piped, cli.Config{}, "audit", "verify", "--json"); r.code != 1 || !strings.Contains(r.stdout, `"entry 4 is not what was written"`) {
		t.Errorf("as JSON: %+v", r)
	}
}

func TestACopyOfTheStoreIsVerifiedWithoutTheServer(t *testing.T) {
	t.Parallel()
	p := newPorter(t)
	var asked cli.VerifyOptions
	cfg := cli.Config{Stdin: strings.NewReader("a note"), VerifyAudit: func(_ context.Context, o cli.VerifyOptions) (client.Report, error) {
		asked = o
		return client.Report{Entries: 1, Checkpoints: 1, Root: "r"}, nil
	}}
	r := p.run(piped, cfg, "audit", "verify", "--store", "sqlite:copy.db", "--anchor", "-")
	if r.code != 0 || !strings.Contains(r.stdout, "The audit log is whole: 1 entry, 1 checkpoint.") || len(p.seen) > 0 {
		t.Errorf("%+v, requests %q", r, p.seen)
	}
	if asked.Store != "sqlite:copy.db" || len(asked.Anchors) != 1 || asked.Anchors[0] != "a note" {
		t.Errorf("asked %+v", asked)
	}
	if r := p.run(piped, cfg, "audit", "verify", "--store", "x", "--file", "y"); r.code != 2 {
		t.Errorf("--store with --file: %+v", r)
	}
	// The server would be the judge of its own past.
	if r := p.run(piped, cfg, "audit", "verify", "--anchor", "-"); r.code != 2 || len(p.seen) > 0 {
		t.Errorf("an anchor without a copy: %+v", r)
	}
}

func TestASealedOrUnreadyServerIsExit1(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"version":"1","sealed":true,"ready":false}`:  "sealed",
		`{"version":"1","sealed":false,"ready":false}`: "not ready",
	} {
		r := newPorter(t).says("GET /api/status", 200, body).run(piped, cli.Config{}, "status")
		if r.code != 1 || !strings.Contains(r.stdout, want) || r.stderr != "" {
			t.Errorf("%s: %+v", body, r)
		}
	}
}

func TestTheDoctor(t *testing.T) {
	t.Parallel()
	p := library(t)
	if err := os.WriteFile(filepath.Join(p.home, ".vault-token"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(p.home, ".vault-token"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := p.run(piped, cli.Config{}, "doctor")
	if r.code != 1 {
		t.Errorf("exit %d, want 1", r.code)
	}
	golden(t, "doctor", r.stdout)

	well := newPorter(t).says("GET /api/status", 200, `{"version":"1","ready":true}`).
		says("GET /api/whoami", 200, `{"kind":"person","name":"ana","policies":["default"],"expires_at":"2026-12-24T12:00:00Z"}`)
	if r := well.run(piped, cli.Config{}, "doctor"); r.code != 0 || !strings.Contains(r.stdout, "Nothing is weak") {
		t.Errorf("a healthy house: %+v", r)
	}
	root := newPorter(t).says("GET /api/status", 200, `{"version":"1","ready":true,"demo":true}`).
		says("GET /api/whoami", 200, `{"kind":"machine","name":"root","policies":["root"]}`)
	if r := root.run(piped, cli.Config{}, "doctor", "--json"); r.code != 0 || strings.Count(r.stdout, `"advice"`) != 2 {
		t.Errorf("advice alone is exit 0: %+v", r)
	}
}

func TestScheduleNext(t *testing.T) {
	t.Parallel()
	var asked cli.ScheduleOptions
	cfg := cli.Config{ScheduleNext: func(_ context.Context, o cli.ScheduleOptions) ([]cli.ScheduleItem, error) {
		asked = o
		return []cli.ScheduleItem{{At: time.Date(2026, 3, 30, 6, 0, 0, 0, time.UTC), State: "on"}}, nil
	}}
	args := []string{
		"schedule", "next", "--windows", "Mon-Fri 07:00-21:00", "--timezone", "Europe/London", "--after", "2026-03-29T00:00:00Z",
		"--except", "2026-12-25", "--except", "england", "--also", "2026-12-19 09:00-17:00", "--count", "1",
	}
	r := newPorter(t).run(piped, cfg, append(args, "--json")...)
	if want := "{\n  \"items\": [\n    {\n      \"at\": \"2026-03-30T06:00:00Z\",\n      \"state\": \"on\"\n    }\n  ]\n}\n"; r.code != 0 || r.stdout != want {
		t.Errorf("%+v", r)
	}
	if asked.Count != 1 || len(asked.Except) != 2 || len(asked.Also) != 1 || !asked.After.Equal(time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("asked %+v", asked)
	}
	if r := newPorter(t).run(piped, cfg, "schedule", "next", "--timezone", "Europe/London"); r.code != 2 {
		t.Errorf("without windows: %+v", r)
	}
}
