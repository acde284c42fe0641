package repos_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/provider/forge/github"
	"nightporter.dev/nightporter/provider/forge/github/githubtest"
	"nightporter.dev/nightporter/repos"
	"nightporter.dev/nightporter/repos/standard"
)

// The script that this replaces had seven defects. Each test here replays one
// against a GitHub that is held to GitHub's own descriptions.

// gitHub starts a fake GitHub. contract is nil for the large ones.
func gitHub(t testing.TB, change func(*githubtest.Config)) (*githubtest.Server, *github.Forge) {
	t.Helper()
	contract, err := githubtest.SharedContract()
	check(t, err)
	cfg := githubtest.Config{Dir: t.TempDir(), Contract: contract}
	if change != nil {
		change(&cfg)
	}
	s, err := githubtest.Start(cfg)
	check(t, err)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		check(t, s.Close())
		for _, v := range s.Violations() {
			t.Errorf("violation of GitHub's contract: %s", v)
		}
	})
	f, err := github.New(github.Config{BaseURL: s.URL(), Organisation: s.Organisation(), Client: client})
	check(t, err)
	return s, f
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func settingsOf(t testing.TB, s *githubtest.Server, repo string) githubtest.Settings {
	t.Helper()
	c, err := s.SettingsOf(repo)
	check(t, err)
	return c
}

const strict = "standard: {profile: strict-squash}"

// 1: it read merge settings from a list that does not have them, so a merge
// commit that was allowed again stayed so for ever.
func TestDefect1MergeMethodsSwitchedOnAgainAreSeen(t *testing.T) {
	t.Parallel()
	s, f := gitHub(t, nil)
	check(t, s.AddShell("ledger"))
	h := open(t, options{forge: f, rules: strict})
	h.apply(h.plan("").ID)
	check(t, s.Configure("ledger", "mallory-gh", func(c *githubtest.Settings) { c.MergeCommit = true }))
	p := h.plan("")
	if len(p.Writes) != 1 || p.Writes[0].Settings == nil {
		t.Fatalf("got writes %+v, want one that puts the merge methods right", p.Writes)
	}
	h.apply(p.ID)
	if settingsOf(t, s, "ledger").MergeCommit {
		t.Error("merge commits are still allowed")
	}
}

// 2: it read the first 30 of every list, so with 31 labels it made one again and
// was refused.
func TestDefect2LongListsAreReadToTheirEnd(t *testing.T) {
	t.Parallel()
	s, f := gitHub(t, nil)
	check(t, s.AddShell("ledger"))
	check(t, s.Configure("ledger", "ana-gh", func(c *githubtest.Settings) {
		for i := range 130 {
			c.Labels = append(c.Labels, githubtest.Label{Name: fmt.Sprintf("label-%03d", i), Color: "ededed"})
		}
		c.Labels = append(c.Labels,
			githubtest.Label{Name: "major", Color: "b60205", Description: "major change"},
			githubtest.Label{Name: "minor", Color: "e8894a", Description: "minor change"},
			githubtest.Label{Name: "patch", Color: "b5d3ff", Description: "patch change"})
	}))
	h := open(t, options{forge: f, rules: strict})
	for _, w := range h.plan("").Writes {
		if w.Label != nil {
			t.Errorf("it wants to %s, which is there", w.Text())
		}
	}
}

// 3: a service whose protection had no status checks made it crash. 4: a fresh
// service got only some of its checks on the first run.
func TestDefects3And4AServiceGetsAllItsChecksAtOnce(t *testing.T) {
	t.Parallel()
	for _, plan := range []githubtest.Plan{githubtest.FullPlan, githubtest.RepositoryRulesPlan, githubtest.ClassicPlan} {
		s, f := gitHub(t, func(c *githubtest.Config) { c.Plan = plan })
		check(t, s.AddShell("card-service"))
		check(t, s.AddShell("fresh-service"))
		check(t, s.Configure("card-service", "ana-gh", func(c *githubtest.Settings) { c.Protection = &githubtest.Protection{Reviews: 1} }))
		h := open(t, options{forge: f, rules: strict})
		h.apply(h.plan("").ID)
		again := h.plan("")
		if again.Differs() {
			t.Errorf("plan %q: a second run would write %d times", plan, len(again.Writes))
		}
		for _, r := range again.Repos {
			for _, c := range r.Cells {
				if c.Rule == standard.RequiredChecks && c.Have != "build, pr-label-check, test" {
					t.Errorf("plan %q: %s demands %q", plan, r.Repo, c.Have)
				}
			}
		}
	}
}

// 5: it did not look at the answers to its writes, and exited 0.
func TestDefect5ARefusedWriteFailsTheApply(t *testing.T) {
	t.Parallel()
	s, f := gitHub(t, nil)
	check(t, s.AddShell("ledger"))
	h := open(t, options{forge: f, rules: strict})
	p := h.plan("")
	s.SetFault(githubtest.Fault{Forbidden: "administration=write"})
	r := h.apply(p.ID, run.Failed)
	if !strings.Contains(r.Message, "refused by the forge") {
		t.Errorf("the run says %q", r.Message)
	}
	for _, w := range h.kept(p.ID).Writes {
		if w.State != repos.Failed {
			t.Errorf("%s is %s", w.Text(), w.State)
		}
	}
}

// 6: it granted teams by an address that GitHub has marked as deprecated. The
// fake does not have it, and the contract would say so.
func TestDefect6TeamsAreGrantedWithoutTheDeprecatedAddress(t *testing.T) {
	t.Parallel()
	s, f := gitHub(t, nil)
	check(t, s.AddShell("ledger"))
	s.AddTeam("dev")
	s.AddTeam("alladmins")
	h := open(t, options{forge: f, rules: strict})
	h.apply(h.plan("").ID)
	if got := settingsOf(t, s, "ledger").Teams; got["dev"] != "WRITE" || got["alladmins"] != "ADMIN" || len(got) != 2 {
		t.Errorf("got teams %v, want dev and alladmins, and none that is not there", got)
	}
	for _, r := range s.Requests() {
		if strings.HasPrefix(r.Path, "/teams/") {
			t.Errorf("it asked %s %s", r.Method, r.Path)
		}
	}
}

// 7: forks and repositories without a master branch failed noisily, and the
// default branch was a constant.
func TestDefect7ForksAndEmptyRepositoriesAreNoNoise(t *testing.T) {
	t.Parallel()
	s, f := gitHub(t, nil)
	if _, err := s.AddRepo("blank", nil); err != nil {
		t.Fatal(err)
	}
	check(t, s.AddShell("fork"))
	check(t, s.Configure("fork", "ana-gh", func(c *githubtest.Settings) { c.Fork = true }))
	check(t, s.AddShell("old"))
	check(t, s.Archive("old"))
	h := open(t, options{forge: f, rules: strict})
	h.apply(h.plan("").ID)
	if again := h.plan(""); again.Differs() {
		t.Errorf("after the apply %d writes are left", len(again.Writes))
	}
	if c := settingsOf(t, s, "fork"); !c.Wiki || !settingsOf(t, s, "old").Wiki || settingsOf(t, s, "blank").Wiki {
		t.Error("the fork and the archived one must stay, and the blank one be set up")
	}
}

// A survey of the real size through everything: 1,000 repositories, all drifted.
// The bars are 40 requests for a plan and 1,200 for a first apply.
func TestAThousandDriftedRepositoriesTakeTwelveHundredRequests(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes some ten seconds; run without -short")
	}
	s, f := gitHub(t, func(c *githubtest.Config) { c.Contract = nil })
	addThousand(t, s)
	h := open(t, options{forge: f, rules: strict})
	p := h.plan("")
	requests, points := cost(s)
	t.Logf("plan: %d requests, %d points, %d changes in %d write requests, %s", requests, points, p.Price.Changes, p.Price.Requests, time.Duration(p.Price.Duration))
	if requests > 40 || points > 50 || p.Price.Requests > 1200 {
		t.Errorf("got %d requests, %d points, a price of %d; want at most 40, 50 and 1,200", requests, points, p.Price.Requests)
	}
	id, err := h.repos.Apply(as("ana"), p.ID)
	check(t, err)
	deadline := time.Now().Add(3 * time.Minute)
	for h.state(id) != run.Succeeded && time.Now().Before(deadline) {
		<-h.moved
	}
	requests, _ = cost(s)
	t.Logf("plan and first apply: %d requests", requests)
	if requests > 1200 || h.state(id) != run.Succeeded {
		t.Errorf("got %d requests and the run %s, want at most 1,200 and succeeded", requests, h.state(id))
	}
	if again := h.plan(""); again.Differs() {
		t.Errorf("after the apply %d writes are left", len(again.Writes))
	}
}

func (h *house) state(id string) run.State {
	r := h.wait(id, run.Queued, run.Running, run.Waiting, run.Succeeded)
	return r.State
}

func addThousand(t testing.TB, s *githubtest.Server) {
	t.Helper()
	for _, team := range []string{"dev", "readonly", "alladmins"} {
		s.AddTeam(team)
	}
	s.SetFault(githubtest.Fault{Webhooks: githubtest.Lose})
	for i := range 1000 {
		check(t, s.AddShell(fmt.Sprintf("ledger-%04d", i)))
	}
	s.ForgetRequests()
}

func cost(s *githubtest.Server) (requests, points int) {
	for _, r := range s.Requests() {
		requests++
		points += r.Points
	}
	return requests, points
}

func TestAForgeWithoutSettingsSaysSo(t *testing.T) {
	t.Parallel()
	_, f := gitHub(t, nil)
	h := open(t, options{forge: plain{f}})
	_, err := h.repos.Plan(as("ana"), "", "")
	var missing *forge.NotOfferedError
	if !errors.As(err, &missing) {
		t.Errorf("got %v, want it not offered", err)
	}
}

// plain is a forge that offers what every forge does, and nothing more.
type plain struct{ repos.Forge }

// The bench of the old tool: 40 ms a request. It needed 6,010 requests and 253 s.
func BenchmarkPlanOfAThousandRepositories(b *testing.B) {
	s, f := gitHub(b, func(c *githubtest.Config) { c.Contract = nil })
	addThousand(b, s)
	s.SetFault(githubtest.Fault{Latency: 40 * time.Millisecond, PerNode: time.Millisecond})
	h := open(b, options{forge: f, rules: strict})
	for b.Loop() {
		s.ForgetRequests()
		if _, err := h.repos.Plan(context.WithoutCancel(as("ana")), "", ""); err != nil {
			b.Fatal(err)
		}
	}
	requests, points := cost(s)
	b.ReportMetric(float64(requests), "requests/op")
	b.ReportMetric(float64(points), "points/op")
}
