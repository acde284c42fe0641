package repos_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/provider/forge/github/githubtest"
	"nightporter.dev/nightporter/repos"
	"nightporter.dev/nightporter/repos/standard"
)

func (h *house) undo(plan string) *standard.Plan {
	h.t.Helper()
	p, err := h.repos.Undo(as("ana"), plan)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// The far end judges: after the undo the forge's settings are what they were
// before anybody applied anything.
func TestAnUndoneApplyLeavesTheForgeAsItWas(t *testing.T) {
	t.Parallel()
	for _, plan := range []githubtest.Plan{githubtest.FullPlan, githubtest.RepositoryRulesPlan} {
		s, f := gitHub(t, func(c *githubtest.Config) { c.Plan = plan })
		s.AddTeam("dev")
		for _, name := range []string{"card-service", "ledger"} {
			check(t, s.AddShell(name))
		}
		check(t, s.Configure("ledger", "ana-gh", func(c *githubtest.Settings) {
			c.Labels = []githubtest.Label{{Name: "major", Color: "ffffff", Description: "odd"}, {Name: "bug", Color: "d73a4a"}}
			c.Teams = map[string]string{"dev": "READ"}
		}))
		h := open(t, options{forge: f, rules: "standard: {profile: strict-squash, prune_labels: true, teams: {dev: write}}"})
		before, err := f.Survey(t.Context(), forge.SurveyWants{})
		check(t, err)
		p := h.plan("")
		h.apply(p.ID)
		back := h.undo(p.ID)
		if back.Undoes != p.ID || len(back.Writes) != len(p.Writes) || len(back.Notes) != 0 {
			t.Errorf("plan %q: the way back has %d writes of %d, notes %q", plan, len(back.Writes), len(p.Writes), back.Notes)
		}
		h.apply(back.ID)
		after, err := f.Survey(t.Context(), forge.SurveyWants{})
		check(t, err)
		if diff := cmp.Diff(plain1(before), plain1(after)); diff != "" {
			t.Errorf("plan %q (-before +after):\n%s", plan, diff)
		}
		// And there is a way forward again.
		h.apply(h.undo(back.ID).ID)
		if again := h.plan(""); again.Differs() {
			t.Errorf("plan %q: after the undo was undone %d writes are left", plan, len(again.Writes))
		}
	}
}

// plain1 leaves out what the forge gives anew: ids, and when it was asked.
func plain1(s forge.Survey) []forge.Settings {
	for i := range s.Repos {
		for j := range s.Repos[i].Labels {
			s.Repos[i].Labels[j].ID = ""
		}
	}
	return s.Repos
}

func TestAnUndoLeavesWhatSomebodyChangedSince(t *testing.T) {
	t.Parallel()
	f := newForge(t, "cards", "ledger")
	h := open(t, options{forge: f, rules: "standard: {wiki: false, labels: [{name: major, color: b60205}]}"})
	p := h.plan("")
	if _, err := h.repos.Undo(as("ana"), p.ID); nightporter.CodeOf(err) != nightporter.Conflict {
		t.Errorf("a plan that was never applied: got %v, want a conflict", err)
	}
	h.apply(p.ID)
	f.Configure("ledger", "mallory-gh", "", func(s *forge.Settings) { s.Labels[0].Color = "000000" })
	f.Remove("cards")
	back := h.undo(p.ID)
	if len(back.Writes) != 1 || back.Writes[0].Settings == nil || len(back.Notes) != 3 {
		t.Fatalf("got %d writes and notes %q, want the wiki of ledger alone, and a note for each other", len(back.Writes), back.Notes)
	}
	if !slices.ContainsFunc(back.Notes, func(n string) bool { return strings.Contains(n, "changed since") }) {
		t.Errorf("notes %q do not say what was changed since", back.Notes)
	}
	// Somebody is faster than the apply of the undo.
	f.Configure("ledger", "ana-gh", "", func(s *forge.Settings) { s.Wiki = true })
	before := written(f)
	h.apply(back.ID)
	if w := h.kept(back.ID).Writes[0]; w.State != repos.Dropped || written(f) != before {
		t.Errorf("got %s and %d more writes, want it dropped", w.State, written(f)-before)
	}
}

// An apply that is kept to one rule looks again before it writes, and must then
// be kept to the same rule.
func TestAPlanForOneRuleIsApplied(t *testing.T) {
	t.Parallel()
	f := newForge(t, "ledger")
	h := open(t, options{forge: f, rules: "standard: {wiki: false, issues: false}"})
	p := h.plan("wiki")
	h.apply(p.ID)
	if w := h.kept(p.ID).Writes[0]; w.State != repos.Done {
		t.Errorf("got %s: %s, want it done", w.State, w.Message)
	}
	if s := f.SettingsOf("ledger"); s.Wiki || !s.Issues {
		t.Errorf("got wiki %v and issues %v, want the wiki off and the issues as they were", s.Wiki, s.Issues)
	}
}

func TestARuleIsEnforcedAndTheOthersAreReported(t *testing.T) {
	t.Parallel()
	f := newForge(t, "cards", "ledger")
	h := open(t, options{forge: f, rules: `
enforce: [wiki, required_reviews]
standard: {wiki: false, issues: false, required_reviews: 1, signed_commits: true, labels: [{name: major}]}
`})
	h.repos.Conform(context.Background(), "github")
	for f.SettingsOf("cards").Wiki || f.SettingsOf("ledger").Wiki || f.SettingsOf("ledger").InForce().Reviews == 0 {
		<-h.moved
	}
	for _, name := range []string{"cards", "ledger"} {
		s := f.SettingsOf(name)
		if !s.Issues || len(s.Labels) != 0 || s.InForce().SignedCommits {
			t.Errorf("%s: issues %v, labels %v, signed commits %v: these are only reported", name, s.Issues, s.Labels, s.InForce().SignedCommits)
		}
	}
	// A second look has nothing left to do, and what is reported stays reported.
	plans := len(h.plans())
	h.repos.Conform(context.Background(), "github")
	if got := len(h.plans()); got != plans {
		t.Errorf("the second look made %d plans more", got-plans)
	}
	states := map[standard.Rule]standard.State{}
	check(t, h.gate.Look(context.Background(), func(tx *store.Tx) error {
		rows, err := repos.Rows(context.Background(), tx)
		for _, c := range rows[1].Cells {
			states[c.Rule] = c.State
		}
		return err
	}))
	want := map[standard.Rule]standard.State{
		standard.Wiki: standard.OK, standard.Issues: standard.Drift, standard.RequiredReviews: standard.OK,
		standard.SignedCommits: standard.Drift, standard.Labels: standard.Drift,
	}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Errorf("the matrix (-want +got):\n%s", diff)
	}
}

// What a person applied of a reported rule is not taken away by enforcing
// another.
func TestEnforcingOneBranchRuleKeepsTheOthersOfOurSet(t *testing.T) {
	t.Parallel()
	f := newForge(t, "ledger")
	rules := "standard: {required_reviews: 1, signed_commits: true}"
	h := open(t, options{forge: f, rules: rules})
	h.apply(h.plan("").ID)
	h.close()
	h = open(t, options{forge: f, url: h.url, rules: "enforce: [required_reviews]\nstandard: {required_reviews: 2, signed_commits: true}"})
	h.repos.Conform(context.Background(), "github")
	for f.SettingsOf("ledger").InForce().Reviews != 2 {
		<-h.moved
	}
	if !f.SettingsOf("ledger").InForce().SignedCommits {
		t.Error("signed commits are not demanded any more")
	}
}

func TestARuleThatDoesNotExistCannotBeEnforced(t *testing.T) {
	t.Parallel()
	h := open(t, options{forge: newForge(t, "ledger"), rules: "{enforce: [wikis], standard: {wiki: false}}"})
	if _, err := h.repos.Plan(as("ana"), "", ""); nightporter.CodeOf(err) != nightporter.Invalid || !strings.Contains(err.Error(), "repos.enforce[0]") {
		t.Errorf("got %v, want it invalid, with the place", err)
	}
}

func (h *house) plans() (list []repos.PlanSummary) {
	h.t.Helper()
	check(h.t, h.gate.Look(context.Background(), func(tx *store.Tx) (err error) {
		list, err = repos.Plans(context.Background(), tx, "", 100)
		return err
	}))
	return list
}
