package github_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/provider/forge/github"
	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

// addShells makes n repositories with five labels and three teams each.
func addShells(t testing.TB, s *githubtest.Server, n int) {
	t.Helper()
	for _, team := range []string{"developers", "operators", "payments"} {
		s.AddTeam(team)
	}
	s.SetFault(githubtest.Fault{Webhooks: githubtest.Lose})
	for i := range n {
		name := fmt.Sprintf("service-%04d", i)
		check(t, s.AddShell(name))
		check(t, s.Configure(name, "ana-gh", func(c *githubtest.Settings) {
			for _, l := range []string{"bug", "docs", "major", "minor", "patch"} {
				c.Labels = append(c.Labels, githubtest.Label{Name: l, Color: "ededed"})
			}
			c.Teams = map[string]string{"developers": "WRITE", "operators": "ADMIN", "payments": "READ"}
			c.Topics = []string{"service"}
		}))
	}
	s.SetFault(githubtest.Fault{})
	s.ForgetRequests()
}

// The bars are the delivery anchors': 1,000 repositories in 20 to 40 requests and
// at most 50 points of the hourly 5,000. The fake prices by GitHub's formula.
func TestASurveyOfAThousandRepositoriesFitsItsBudget(t *testing.T) {
	t.Parallel()
	// The contract is checked on the first pages of a small one; checking every
	// answer of this one would take a minute.
	s := startFake(t, func(c *githubtest.Config) { c.Contract = nil })
	addShells(t, s, 1000)
	f := connect(t, s, nil)
	survey, err := f.Survey(t.Context(), forge.SurveyWants{})
	check(t, err)
	requests, points := cost(s)
	t.Logf("%d repositories, %d teams: %d requests, %d points", len(survey.Repos), len(survey.Teams), requests, points)
	if len(survey.Repos) != 1000 || requests > 40 || points > 50 {
		t.Errorf("got %d repositories in %d requests and %d points, want 1000 in at most 40 and 50", len(survey.Repos), requests, points)
	}
	if want := (forge.Cost{Requests: requests, Points: points}); survey.Cost != want {
		t.Errorf("it says that it cost %+v, and the fake counted %+v", survey.Cost, want)
	}
	for _, r := range survey.Repos {
		if len(r.Teams) != 3 || len(r.Labels) != 5 || len(r.Unknown) != 0 {
			t.Fatalf("%s: got %d teams, %d labels, unknown %v; want 3, 5, none", r.Name, len(r.Teams), len(r.Labels), r.Unknown)
		}
	}
	s.ForgetRequests()
	_, err = f.Survey(t.Context(), forge.SurveyWants{Topics: true})
	check(t, err)
	if requests, points = cost(s); requests > 40 || points > 50 {
		t.Errorf("with topics: got %d requests and %d points, want at most 40 and 50", requests, points)
	}
}

func TestHalfAnOrganisationIsAnError(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	addShells(t, s, 6)
	f := connect(t, s, nil)
	s.SetFault(githubtest.Fault{HalfPages: true})
	_, err := f.Survey(t.Context(), forge.SurveyWants{})
	var partial *forge.PartialError
	if !errors.As(err, &partial) || partial.Got != 3 || partial.Want != 6 {
		t.Errorf("got %v, want 3 of 6", err)
	}
}

func TestWhatTheTokenMayNotSeeIsUnknownThereAndNowhereElse(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	addShells(t, s, 4)
	check(t, s.Configure("service-0001", "ana-gh", func(c *githubtest.Settings) { c.HiddenRules = true }))
	check(t, s.Configure("service-0002", "ana-gh", func(c *githubtest.Settings) { c.HiddenLabels = true }))
	check(t, s.Configure("service-0003", "ana-gh", func(c *githubtest.Settings) { c.HiddenAway = true }))
	got := map[string]map[forge.Part]string{}
	survey, err := connect(t, s, nil).Survey(t.Context(), forge.SurveyWants{})
	check(t, err)
	for _, r := range survey.Repos {
		got[r.Name] = r.Unknown
	}
	const refusal = " (GitHub: Resource not accessible by integration)"
	want := map[string]map[forge.Part]string{
		"service-0000": {},
		"service-0001": {forge.PartRules: "token lacks administration=read" + refusal},
		"service-0002": {forge.PartLabels: "token lacks issues=read" + refusal},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("unknown (-want +got):\n%s", diff)
	}
	s.SetFault(githubtest.Fault{HideTeams: true, HideOrganisationRules: true})
	survey, err = connect(t, s, nil).Survey(t.Context(), forge.SurveyWants{})
	check(t, err)
	if survey.Unknown[forge.PartTeams] == "" || survey.OrganisationRules.Yes || survey.OrganisationRules.Why == "" || survey.Repos[0].Unknown[forge.PartTeams] == "" {
		t.Errorf("got unknown %v, organisation's rules %+v; want teams unknown and no rules, with the reason", survey.Unknown, survey.OrganisationRules)
	}
}

func TestLongListsAreReadToTheirEnd(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	addShells(t, s, 103)
	check(t, s.Configure("service-0000", "ana-gh", func(c *githubtest.Settings) {
		for i := range 130 {
			c.Labels = append(c.Labels, githubtest.Label{Name: fmt.Sprintf("label-%03d", i), Color: "ededed"})
		}
	}))
	for i := range 120 {
		slug := fmt.Sprintf("team-%03d", i)
		s.AddTeam(slug)
		check(t, s.Configure("service-0102", "ana-gh", func(c *githubtest.Settings) { c.Teams[slug] = "TRIAGE" }))
	}
	survey, err := connect(t, s, nil).Survey(t.Context(), forge.SurveyWants{})
	check(t, err)
	last := survey.Repos[102]
	if len(survey.Repos[0].Labels) != 135 || len(survey.Teams) != 123 || len(last.Teams) != 123 || last.Teams["payments"] != forge.Read {
		t.Errorf("got %d labels, %d teams, %d grants, payments may %q; want 135, 123, 123, read",
			len(survey.Repos[0].Labels), len(survey.Teams), len(last.Teams), last.Teams["payments"])
	}
}

func TestCustomPropertiesAreReadWhenAskedFor(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	addShells(t, s, 101)
	check(t, s.Configure("service-0100", "ana-gh", func(c *githubtest.Settings) { c.Properties["tier"] = "gold" }))
	survey, err := connect(t, s, nil).Survey(t.Context(), forge.SurveyWants{Properties: true})
	check(t, err)
	if got := survey.Repos[100].Properties["tier"]; got != "gold" {
		t.Errorf("got tier %q, want gold", got)
	}
}

func TestTheAccountsPlanDecidesWhereRulesMayLive(t *testing.T) {
	t.Parallel()
	for plan, want := range map[githubtest.Plan][2]bool{
		githubtest.FullPlan: {true, true}, githubtest.RepositoryRulesPlan: {false, true}, githubtest.ClassicPlan: {false, false},
	} {
		s := startFake(t, func(c *githubtest.Config) { c.Plan = plan })
		addShells(t, s, 1)
		survey, err := connect(t, s, nil).Survey(t.Context(), forge.SurveyWants{})
		check(t, err)
		if got := [2]bool{survey.OrganisationRules.Yes, survey.Repos[0].RepositoryRules.Yes}; got != want {
			t.Errorf("plan %q: got organisation, repository %v, want %v", plan, got, want)
		}
	}
}

func TestSetsOfSingleRepositoriesAreReadAHundredAtATime(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	addShells(t, s, 150)
	for i := range 150 {
		s.AddRuleset(githubtest.Ruleset{Name: "own", Repo: fmt.Sprintf("service-%04d", i), Rules: []githubtest.Rule{{Type: "required_signatures"}}})
	}
	s.AddRuleset(githubtest.Ruleset{Name: "asleep", Enforcement: "disabled", Include: []string{"~ALL"}, Rules: []githubtest.Rule{{Type: "required_linear_history"}}})
	s.AddRuleset(githubtest.Ruleset{Name: "elsewhere", Refs: []string{"refs/heads/release-*"}, Include: []string{"~ALL"}, Rules: []githubtest.Rule{{Type: "required_linear_history"}}})
	survey, err := connect(t, s, nil).Survey(t.Context(), forge.SurveyWants{})
	check(t, err)
	for _, r := range survey.Repos {
		if d := r.InForce(); !d.Equal(forge.Demands{SignedCommits: true}) {
			t.Fatalf("%s: in force are %+v, want signatures alone", r.Name, d)
		}
	}
	if requests, _ := cost(s); requests > 7 {
		t.Errorf("got %d requests, want 2 pages, 2 of teams, 2 of sets", requests)
	}
}

func TestALimitOnWritesSaysHowLongToWait(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	addShells(t, s, 1)
	s.SetFault(githubtest.Fault{Secondary: 90 * time.Second})
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	f := connect(t, s, func(c *github.Config) { c.Now = func() time.Time { return now } })
	limited := wantAs[*forge.RateLimitedError](t, "set", f.SetRepository(t.Context(), "service-0000", forge.Patch{Wiki: new(false)}))
	if limited != nil && !limited.Until.Equal(now.Add(90*time.Second)) {
		t.Errorf("got until %v, want 90 s from now", limited.Until)
	}
}

func TestTheHoursQuotaEndsWithTheTimeItComesBack(t *testing.T) {
	t.Parallel()
	s := startFake(t, func(c *githubtest.Config) { c.Quota = 3 })
	addShells(t, s, 1)
	f := connect(t, s, nil)
	var err error
	for range 4 {
		err = f.SetRepository(t.Context(), "service-0000", forge.Patch{Wiki: new(false)})
	}
	limited := wantAs[*forge.RateLimitedError](t, "the fourth", err)
	if limited != nil && time.Until(limited.Until) < 50*time.Minute {
		t.Errorf("got until %v, want about an hour from now", limited.Until)
	}
}

func TestSettingsAsTheyWereAreToldWhenTheForgeIsStale(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	addShells(t, s, 1)
	f := connect(t, s, nil)
	s.SetFault(githubtest.Fault{Stale: true})
	check(t, f.SetRepository(t.Context(), "service-0000", forge.Patch{Wiki: new(false)}))
	if got := must[forge.Settings](t)(f.Inspect(t.Context(), "service-0000")); !got.Wiki {
		t.Error("a stale read sees the new setting, so the fault does nothing")
	}
	s.SetFault(githubtest.Fault{})
	if got := must[forge.Settings](t)(f.Inspect(t.Context(), "service-0000")); got.Wiki {
		t.Error("the setting was not made")
	}
}

func TestWebhooksSayWhichPartSomebodyChanged(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	addShells(t, s, 1)
	f := connect(t, s, nil)
	for part, change := range map[forge.Part]func(*githubtest.Settings){
		forge.PartLabels:   func(c *githubtest.Settings) { c.Labels = c.Labels[1:] },
		forge.PartTeams:    func(c *githubtest.Settings) { c.Teams["payments"] = "ADMIN" },
		forge.PartSettings: func(c *githubtest.Settings) { c.Topics = nil },
	} {
		check(t, s.Configure("service-0000", "mallory-gh", change))
		last := s.LastWebhook()
		d, err := f.ParseWebhook(last.Header, last.Body)
		check(t, err)
		if d.Part != part || d.Sender != "mallory-gh" || d.Repo != "service-0000" || d.Hint == forge.HintOther {
			t.Errorf("%s: got %+v", part, d)
		}
	}
}

// Like the bench of the old tool: 40 ms a request, 1 ms an object.
func BenchmarkSurveyOfAThousandRepositories(b *testing.B) {
	s := startFake(b, func(c *githubtest.Config) { c.Contract = nil })
	addShells(b, s, 1000)
	s.SetFault(githubtest.Fault{Latency: 40 * time.Millisecond, PerNode: time.Millisecond})
	f := connect(b, s, func(c *github.Config) { c.Client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}} })
	for b.Loop() {
		s.ForgetRequests()
		if _, err := f.Survey(b.Context(), forge.SurveyWants{}); err != nil {
			b.Fatal(err)
		}
	}
	requests, points := cost(s)
	b.ReportMetric(float64(requests), "requests/op")
	b.ReportMetric(float64(points), "points/op")
}
