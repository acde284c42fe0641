package cli_test

import (
	"net/http"
	"strings"
	"testing"

	"nightporter.dev/nightporter/internal/cli"
)

const reposJSON = `{"items":[
{"repo":"github/cards","looked_at":"2026-11-23T12:00:00Z","cells":[{"rule":"wiki","state":"ok","have":"off","want":"off","from":"repos.standard"},{"rule":"required_reviews","state":"unknown","note":"token lacks administration=read","from":"repos.standard"}]},
{"repo":"github/ledger","looked_at":"2026-11-23T12:00:00Z","cells":[{"rule":"wiki","state":"drift","have":"on","want":"off","from":"group services"},{"rule":"signed_commits","state":"exempt","have":"off","want":"on","until":"2027-01-31","note":"a bot (team-payments)","from":"profile strict-squash"}]}]}`

const planJSON = `{"id":"plan_1","forge":"github","made_at":"2026-11-23T12:00:00Z","survey":{"requests":20,"points":40},"counts":{"drift":2,"ok":9,"unknown":1},
"price":{"changes":3,"requests":3,"duration":"3s"},"notes":["branch rules are set for each repository: Upgrade"],
"repos":[{"repo":"cards","cells":[{"rule":"wiki","state":"ok"}]},{"repo":"fork","skipped":"a fork","cells":[]},
{"repo":"ledger","cells":[
 {"rule":"merge_methods","state":"drift","have":"merge, rebase, squash","want":"squash"},
 {"rule":"labels","state":"drift","have":"","want":"major #b60205","who":"mallory-gh","who_at":"2026-11-23T10:04:31Z"},
 {"rule":"required_reviews","state":"unknown","note":"token lacks administration=read"}]}],
"writes":[{"n":1,"repo":"ledger","for":["merge_methods"],"state":"pending"},{"n":2,"repo":"ledger","for":["labels"],"state":"pending"},{"n":3,"for":["required_reviews"],"state":"pending"}]}`

const sameJSON = `{"id":"plan_2","forge":"github","made_at":"2026-11-23T12:00:00Z","survey":{"requests":1,"points":1},"counts":{"ok":1},"price":{"changes":0,"requests":0,"duration":"0s"},"repos":[{"repo":"cards","cells":[{"rule":"wiki","state":"ok"}]}],"writes":[]}`

const plansJSON = `{"items":[{"id":"plan_3","forge":"github","made_at":"2026-11-23T11:58:00Z","undoes":"plan_1","price":{"changes":3,"requests":3,"duration":"3s"},"applied":0},
{"id":"plan_2","forge":"github","made_at":"2026-11-23T11:00:00Z","rules":["labels","wiki"],"run":"run_2","price":{"changes":1,"requests":1,"duration":"1s"},"applied":1},
{"id":"plan_1","forge":"github","made_at":"2026-11-23T10:00:00Z","only":"ledger","run":"run_1","price":{"changes":3,"requests":3,"duration":"3s"},"applied":3}]}`

const historyJSON = `{"items":[{"rule":"labels","at":"2026-11-23T11:00:00Z","state":"drift","was":"ok","have":"bug","who":"mallory-gh"},
{"rule":"labels","at":"2026-11-22T11:00:00Z","state":"ok","was":"drift","have":"major #b60205"},{"rule":"labels","at":"2026-11-21T11:00:00Z","state":"drift"}]}`

const undoJSON = `{"id":"plan_4","forge":"github","made_at":"2026-11-23T12:00:00Z","undoes":"plan_1","survey":{"requests":2,"points":4},"counts":{"drift":1},"price":{"changes":2,"requests":2,"duration":"2s"},
"notes":["cards: it was changed since: set wiki stays"],"repos":[{"repo":"ledger","cells":[{"rule":"wiki","state":"drift","have":"off","want":"on"}]}],
"writes":[{"n":1,"repo":"ledger","for":["wiki"],"state":"pending"},{"n":2,"for":["required_reviews"],"state":"pending"}]}`

func run1(state, step, message string) string {
	return `{"id":"run_1","kind":"repos.apply","state":"` + state + `","created_at":"2026-11-23T12:00:00Z","steps":[{"n":0,"name":"writes 1 to 3 of 3","state":"` + step + `","message":"` + message + `"}]}`
}

func TestRepoReads(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, command string
		code          int
	}{
		{"repo-list", "repo list", 0},
		{"repo-list-explain", "repo list --explain", 0},
		{"repo-exceptions", "repo exceptions", 0},
		{"repo-plan", "repo plan", 3},
		{"repo-adopt", "repo adopt", 0},
		{"repo-plans", "repo plans", 0},
		{"repo-history", "repo history github/ledger", 0},
	} {
		for name, s := range map[string]screen{"piped": piped, "terminal": onScreen, "json": piped} {
			p := newPorter(t).says("GET /api/repos?limit=1000", 200, reposJSON).says("POST /api/repos/plan", 200, planJSON).
				says("POST /api/repos/adopt", 200, `{"yaml":"repos:\n  mode: report\n","looked":12,"exceptions":1}`)
			p.says("GET /api/repos/plans?limit=20", 200, plansJSON).says("GET /api/repos/github/ledger/history?limit=50", 200, historyJSON)
			args := strings.Fields(tt.command)
			if name == "json" {
				args = append(args, "--json")
			}
			got := p.run(s, cli.Config{}, args...)
			if got.code != tt.code {
				t.Errorf("%s: got exit %d (%s), want %d", tt.name, got.code, got.stderr, tt.code)
			}
			golden(t, tt.name+"-"+name, got.stdout)
		}
	}
}

func TestAPlanWithoutDifferencesExitsZero(t *testing.T) {
	t.Parallel()
	p := newPorter(t).says("POST /api/repos/plan", 200, sameJSON)
	if got := p.run(piped, cli.Config{}, "repo", "plan", "--only", "wiki"); got.code != 0 {
		t.Errorf("got exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	if got := p.changes(); len(got) != 1 || !strings.Contains(got[0], `"only":"wiki"`) {
		t.Errorf("it asked for %q", got)
	}
	if got := p.run(piped, cli.Config{}, "repo", "apply"); got.code != 0 || !strings.Contains(got.stderr, "nothing to write") {
		t.Errorf("apply: got exit %d: %s", got.code, got.stderr)
	}
}

func TestRepoApply(t *testing.T) {
	t.Parallel()
	start := func(t *testing.T) *porter {
		return newPorter(t).says("POST /api/repos/plan", 200, planJSON).says("GET /api/repos/plans/plan_1", 200, planJSON).
			says("POST /api/repos/plans/plan_1/apply", http.StatusAccepted, `{"run":"run_1"}`)
	}
	t.Run("asks, and without a terminal refuses", func(t *testing.T) {
		t.Parallel()
		p := start(t)
		if got := p.run(piped, cli.Config{}, "repo", "apply"); got.code != 2 || len(p.changes()) != 1 {
			t.Errorf("got exit %d and %q, want 2 and the plan only", got.code, p.changes())
		}
	})
	t.Run("follows the run to its end", func(t *testing.T) {
		t.Parallel()
		p := start(t).says("GET /api/runs/run_1", 200, run1("running", "running", "cards set wiki")).
			says("GET /api/runs/run_1", 200, run1("succeeded", "succeeded", "3 writes made"))
		if got := p.run(piped, cli.Config{}, "repo", "apply", "plan_1", "--yes"); got.code != 0 || !strings.Contains(got.stdout, "3 writes made") {
			t.Errorf("got exit %d: %s%s", got.code, got.stdout, got.stderr)
		}
	})
	t.Run("exits 6 with the run's id when the quota ends", func(t *testing.T) {
		t.Parallel()
		p := start(t).says("GET /api/runs/run_1", 200, run1("waiting", "waiting", "the forge's quota is used up; goes on at 13:00:00 UTC"))
		got := p.run(piped, cli.Config{}, "repo", "apply", "--yes")
		if got.code != 6 || !strings.Contains(got.stderr, "run_1") || !strings.Contains(got.stderr, "13:00:00") {
			t.Errorf("got exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("exits 1 when the forge refused something", func(t *testing.T) {
		t.Parallel()
		p := start(t).says("GET /api/runs/run_1", 200, run1("failed", "failed", "1 refused"))
		if got := p.run(piped, cli.Config{}, "repo", "apply", "--yes"); got.code != 1 {
			t.Errorf("got exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("prints the run's id and goes", func(t *testing.T) {
		t.Parallel()
		if got := start(t).run(piped, cli.Config{}, "repo", "apply", "--yes", "--detach"); got.code != 0 || got.stdout != "run_1\n" {
			t.Errorf("got exit %d: %q", got.code, got.stdout)
		}
	})
}

func TestAnUndoShowsTheWayBackAndAppliesIt(t *testing.T) {
	t.Parallel()
	p := newPorter(t).says("POST /api/repos/plans/plan_1/undo", 200, undoJSON).says("POST /api/repos/plans/plan_4/apply", 202, `{"run":"run_1"}`).
		says("GET /api/runs/run_1", 200, run1("succeeded", "succeeded", "2 writes made"))
	if got := p.run(piped, cli.Config{}, "repo", "undo", "plan_1"); got.code == 0 {
		t.Errorf("without a terminal and --yes it must refuse: %+v", got)
	}
	if got := p.run(piped, cli.Config{}, "repo", "undo", "plan_1", "--yes"); got.code != 0 || !strings.Contains(got.stdout, "2 writes made") {
		t.Errorf("got exit %d, %q, %q", got.code, got.stdout, got.stderr)
	}
	nothing := strings.Replace(undoJSON, `{"n":1,"repo":"ledger","for":["wiki"],"state":"pending"},{"n":2,"for":["required_reviews"],"state":"pending"}`, "", 1)
	p = newPorter(t).says("POST /api/repos/plans/plan_1/undo", 200, nothing)
	if got := p.run(piped, cli.Config{}, "repo", "undo", "plan_1"); got.code != 0 || !strings.Contains(got.stderr, "changed since") || !strings.Contains(got.stderr, "nothing to take back") {
		t.Errorf("got exit %d, %q, %q", got.code, got.stdout, got.stderr)
	}
}
