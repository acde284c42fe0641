package cli_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter/internal/cli"
)

const (
	edgesJSON = `{"items":[{"at":"2026-11-23T20:00:00Z","state":"off"},{"at":"2026-11-24T06:00:00Z","state":"on","starts_at":"2026-11-24T05:51:00Z"}]}`

	nightsJSON = `{"items":[
{"id":"run_7","kind":"environment.up","subject":{"kind":"environment","id":"dev"},"state":"running","cause":"ana","created_at":"2026-11-23T12:01:00Z","started_at":"2026-11-23T12:01:00Z","steps":[]},
{"id":"run_6","kind":"environment.up","subject":{"kind":"environment","id":"dev"},"state":"succeeded","cause":"environments","created_at":"2026-11-23T05:51:00Z","started_at":"2026-11-23T05:51:00Z","finished_at":"2026-11-23T05:58:04Z","steps":[],
 "drill":{"run":"run_6","environment":"dev","passed":true,"fell_back_from":"bb22","reason":"build cache: no such image","steps":[],"started_at":"2026-11-23T05:51:00Z","finished_at":"2026-11-23T05:58:04Z"}}]}`

	savingsJSON = `{"environment":"dev","from":"2026-11-01T00:00:00Z","to":"2026-12-01T00:00:00Z","hours":412.5,"nights":16,"scheduled_hours":420,"currency":"EUR",
"usage_avoided_at_list_price":61.875,"estimated_cash":30.9375,"items":[
{"key":"vm.small","unit_hours":1237.5,"usage_avoided_at_list_price":61.875,"estimated_cash":30.9375,"source":"contract","as_of":"2026-10-01"},
{"key":"disk","unit_hours":8250,"usage_avoided_at_list_price":0,"estimated_cash":0}],"priced":3,"resources":23,"notes":["3 of 23 resources are priced; the others count as nothing."]}`
)

// dev answers everything about one environment.
func dev(t *testing.T) *porter {
	return newPorter(t).
		recorded("GET /api/environments?limit=1000", "environments.json").
		recorded("GET /api/environments/dev", "environment.json").
		says("GET /api/environments/dev/schedule?count=10", 200, edgesJSON).
		says("GET /api/environments/dev/schedule?after=2026-12-24T00%3A00%3A00Z&count=2", 200, edgesJSON).
		says("GET /api/environments/dev/runs?limit=20", 200, nightsJSON).
		says("GET /api/environments/dev/savings", 200, savingsJSON).
		says("GET /api/environments/dev/savings?from=2026-11-01T00%3A00%3A00Z&to=2026-12-01T00%3A00%3A00Z", 200, savingsJSON).
		says("PUT /api/environments/dev/keep", 200, `{"id":"keep_1","state":"on","until":"2026-11-23T23:00:00Z","reason":"load test","person":"ana"}`).
		says("DELETE /api/environments/dev/keep", 204, "").
		says("POST /api/environments/dev/up", 202, `{"environment":"dev","run":"run_9"}`).
		says("POST /api/environments/dev/down", 202, `{"environment":"dev","run":"run_9"}`).
		says("POST /api/environments/dev/drill", 202, `{"environment":"dev","run":"run_9"}`)
}

func TestReadsOfAnEnvironment(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]string{
		"env-show": "env status dev", "env-schedule": "env schedule dev", "env-runs": "env runs dev", "env-savings": "environment savings dev",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			p := dev(t)
			for suffix, r := range map[string]result{
				"-piped":    p.run(piped, cli.Config{}, strings.Fields(args)...),
				"-terminal": p.run(onScreen, cli.Config{}, append(strings.Fields(args), "--no-color")...),
				"-json":     p.run(onScreen, cli.Config{}, append(strings.Fields(args), "--json")...),
			} {
				if r.code != 0 || r.stderr != "" || strings.Contains(r.stdout, "\x1b") {
					t.Fatalf("%s: exit %d, stderr %q, stdout\n%s", suffix, r.code, r.stderr, r.stdout)
				}
				if suffix == "-json" && !json.Valid([]byte(r.stdout)) {
					t.Errorf("no JSON: %s", r.stdout)
				}
				golden(t, name+suffix, r.stdout)
			}
		})
	}
}

func TestTimesOfAnEnvironmentAreReadAndChecked(t *testing.T) {
	t.Parallel()
	for args, code := range map[string]int{
		"env schedule dev --after 2026-12-24 --count 2":              0,
		"env savings dev --from 2026-11-01 --to 2026-12-01":          0,
		"env savings dev --from 2026-11-01T00:00:00Z --to 2026-12-1": 2,
		"env savings dev --from 2026-12-01 --to 2026-11-01":          2,
		"env schedule dev --after soon":                              2,
		"env schedule dev --count 0":                                 2,
		"env runs dev --limit 51":                                    2,
		"env runs nowhere":                                           4,
		"env keep dev --reason x":                                    2,
		"env keep dev --until 2h":                                    2,
		"env keep dev --until 2h --for 2h --reason x":                2,
		"env drill dev --of feature/x":                               2,
		"env keep dev --until 2h --reason x --state asleep":          2,
		"env down dev --destroy -1 --yes":                            2,
	} {
		if r := dev(t).run(piped, cli.Config{}, strings.Fields(args)...); r.code != code {
			t.Errorf("%s: exit %d, want %d: %s", args, r.code, code, r.stderr)
		}
	}
}

func TestVerbsOfAnEnvironmentDoWhatTheySay(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"env up dev --detach":                                  `POST /api/environments/dev/up {}`,
		"env up dev --until 2h --reason late --detach":         `POST /api/environments/dev/up {"for":"2h","reason":"late"}`,
		"env down dev --yes --detach --destroy 12":             `POST /api/environments/dev/down {"destroy":12}`,
		"env down dev --yes --detach --until 07:00":            `POST /api/environments/dev/down {"until":"07:00"}`,
		"env keep dev --until 23:00 --reason test":             `PUT /api/environments/dev/keep {"until":"23:00","state":"on","reason":"test"}`,
		"env keep dev --until 48h --state off --reason empty":  `PUT /api/environments/dev/keep {"for":"48h","state":"off","reason":"empty"}`,
		"env keep dev --for 48h --off --reason empty":          `PUT /api/environments/dev/keep {"for":"48h","state":"off","reason":"empty"}`,
		"env drill dev --detach":                               `POST /api/environments/dev/drill {"of":"head"}`,
		"env drill dev --of good --detach --json":              `POST /api/environments/dev/drill {"of":"good"}`,
		"environment unkeep dev":                               `DELETE /api/environments/dev/keep`,
		"env keep dev --until 23:00 --reason test --json":      `PUT /api/environments/dev/keep {"until":"23:00","state":"on","reason":"test"}`,
		"env down dev --yes --detach --reason holidays --json": `POST /api/environments/dev/down {"reason":"holidays"}`,
	} {
		p := dev(t)
		r := p.run(piped, cli.Config{}, strings.Fields(args)...)
		if diff := cmp.Diff([]string{want}, p.changes()); diff != "" || r.code != 0 {
			t.Errorf("%s: exit %d, changes (-want +got):\n%s\n%s", args, r.code, diff, r.stderr)
		}
		if strings.Contains(args, "--detach") && !strings.Contains(r.stdout, "run_9") {
			t.Errorf("%s: stdout %q does not name the run", args, r.stdout)
		}
	}
}

func TestUpStaysUntilTheEnvironmentIsUp(t *testing.T) {
	t.Parallel()
	done := runOfDev("run_9", "succeeded")
	for _, tt := range []struct {
		name   string
		record func(*porter)
		args   string
		code   int
		says   string
	}{
		{"at once", func(p *porter) {
			p.says("GET /api/runs/run_9", 200, done).says("GET /api/environments/dev", 200, `{"name":"dev","state":"up"}`)
		}, "env up dev", 0, "dev is up.\n"},
		{"after the run that went the other way", func(p *porter) {
			p.says("GET /api/runs/run_9", 200, done).
				says("GET /api/environments/dev", 200, `{"name":"dev","state":"partial"}`).
				says("GET /api/environments/dev", 200, `{"name":"dev","state":"building","run":"run_10"}`).
				says("GET /api/runs/run_10", 200, runOfDev("run_10", "running")).
				says("GET /api/runs/run_10", 200, runOfDev("run_10", "succeeded")).
				says("GET /api/environments/dev", 200, `{"name":"dev","state":"up"}`)
		}, "env up dev", 0, "dev is up.\n"},
		{"when the run fails", func(p *porter) {
			p.says("GET /api/runs/run_9", 200, runOfDev("run_9", "failed"))
		}, "env up dev", 1, "nightporter run show run_9"},
		{"when it ends elsewhere", func(p *porter) {
			p.says("GET /api/runs/run_9", 200, done).says("GET /api/environments/dev", 200, `{"name":"dev","state":"partial"}`)
		}, "env up dev", 1, "run run_9 is over, and dev is partial"},
		{"no longer than it may", func(p *porter) {
			p.says("GET /api/runs/run_9", 200, runOfDev("run_9", "running"))
		}, "env up dev --timeout 20ms", 6, "not over after 20ms; the work goes on"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPorter(t).says("POST /api/environments/dev/up", 202, `{"environment":"dev","run":"run_9"}`)
			tt.record(p)
			r := p.run(piped, cli.Config{}, strings.Fields(tt.args)...)
			if r.code != tt.code || !strings.Contains(r.stdout+r.stderr, tt.says) {
				t.Errorf("exit %d, want %d and %q:\n%s%s", r.code, tt.code, tt.says, r.stdout, r.stderr)
			}
		})
	}
}

func runOfDev(id, state string) string {
	return `{"id":"` + id + `","kind":"environment.up","subject":{"kind":"environment","id":"dev"},"state":"` + state + `","steps":[{"name":"build","state":"` + state + `"}]}`
}

func TestProductionIsNotTornDownWithAY(t *testing.T) {
	t.Parallel()
	p := newPorter(t).says("GET /api/environments/prod", 200, `{"name":"prod","kind":"production"}`)
	r := p.run(onScreen, cli.Config{Stdin: strings.NewReader("y\n")}, "env", "down", "prod")
	if r.code != 1 || len(p.changes()) > 0 || !strings.Contains(r.stderr, "Type prod to go on") {
		t.Errorf("%+v, changes %q", r, p.changes())
	}
	p.says("POST /api/environments/prod/down", 403, `{"code":"protected","detail":"prod is production and always on"}`)
	if r := p.run(piped, cli.Config{}, "env", "down", "prod", "--yes"); r.code != 5 {
		t.Errorf("a refusal of the server: %+v", r)
	}
}

func TestADrillSaysHowLongItTakesToComeBack(t *testing.T) {
	t.Parallel()
	drilled := func(rest string) string {
		return `{"name":"dev","state":"up","drills":[{"run":"run_9","environment":"dev","scratch":"dev.drill","started_at":"2026-11-23T12:00:00Z","finished_at":"2026-11-23T12:02:07Z",` + rest + `}]}`
	}
	for _, tt := range []struct {
		name, state, drill string
		code               int
		says               string
	}{
		{"when it passed", "succeeded", drilled(`"passed":true`), 0, "dev comes back in 2m7s. Nothing of the drill is left.\n"},
		{"when it took too long", "succeeded", drilled(`"passed":false,"failure":"took 2m7s, and may take 1m0s"`), 1, "dev would not come back: took 2m7s, and may take 1m0s"},
		{"when its run failed", "failed", drilled(`"passed":false`), 1, "nightporter run show run_9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPorter(t).says("POST /api/environments/dev/drill", 202, `{"environment":"dev","run":"run_9"}`).
				says("GET /api/runs/run_9", 200, runOfDev("run_9", tt.state)).says("GET /api/environments/dev", 200, tt.drill)
			r := p.run(piped, cli.Config{}, "env", "drill", "dev")
			if r.code != tt.code || !strings.Contains(r.stdout+r.stderr, tt.says) {
				t.Errorf("exit %d, want %d and %q:\n%s%s", r.code, tt.code, tt.says, r.stdout, r.stderr)
			}
		})
	}
	p := newPorter(t).says("GET /api/environments/dev", 200, drilled(`"passed":true,"commit":"5d1c7f0a9b3e"`))
	r := p.run(piped, cli.Config{}, "env", "drills", "dev")
	if r.code != 0 || !strings.Contains(r.stdout, "passed") || !strings.Contains(r.stdout, "dev.drill") || !strings.Contains(r.stdout, "5d1c7f0") {
		t.Errorf("%+v", r)
	}
	p = newPorter(t).says("GET /api/environments/dev", 200, `{"name":"dev","drills":[]}`)
	if r := p.run(onScreen, cli.Config{}, "env", "drills", "dev"); r.code != 0 || !strings.Contains(r.stdout+r.stderr, "nightporter env drill dev") {
		t.Errorf("without a drill: %+v", r)
	}
}
