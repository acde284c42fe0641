package forgetest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/forge"
)

// Organisation is a [World] whose forge is a [forge.Governor].
type Organisation interface {
	AddTeam(t testing.TB, slug string)
}

var settingsTests = []test{
	{"a survey sees how every repository is set up", governs(func(t *testing.T, h Harness, g forge.Governor) {
		h.World.AddRepo(t, "ledger")
		h.World.AddEmptyRepo(t, "blank")
		h.World.AddRepo(t, "old-api")
		h.World.Archive(t, "old-api")
		s := survey(t, g)
		type row struct {
			Name, Branch    string
			Archived, Empty bool
		}
		var got []row
		for _, r := range s.Repos {
			got = append(got, row{r.Name, r.DefaultBranch, r.Archived, r.Empty})
			if r.ID == "" || len(r.Unknown) != 0 {
				t.Errorf("%s: got id %q and unknown %v, want an id and all known", r.Name, r.ID, r.Unknown)
			}
			all := []forge.MergeMethod{forge.MergeCommit, forge.Rebase, forge.Squash}
			if diff := cmp.Diff(all, r.MergeMethods); diff != "" || !r.Wiki || !r.Issues {
				t.Errorf("%s: wiki %v, issues %v, merge methods (-want +got):\n%s", r.Name, r.Wiki, r.Issues, diff)
			}
		}
		want := []row{{"blank", "", false, true}, {"ledger", "main", false, false}, {"old-api", "main", true, false}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("repositories (-want +got):\n%s", diff)
		}
		sane(t, "ObservedAt", s.ObservedAt)
		if s.Cost.Requests < 1 {
			t.Errorf("got cost %+v, want at least a request", s.Cost)
		}
	})},
	{"settings are changed as asked, and the rest stays", governs(func(t *testing.T, h Harness, g forge.Governor) {
		h.World.AddRepo(t, "ledger")
		before := surveyed(t, g, "ledger")
		want := before
		patch := forge.Patch{Wiki: new(false), MergeMethods: []forge.MergeMethod{forge.Squash}, DeleteBranchOnMerge: new(true)}
		squash := forge.Patch{SquashTitle: new("pr_title"), SquashMessage: new("pr_body")}
		if why := before.NotOffered["squash_title"]; why != "" {
			notOffered(t, g.SetRepository(t.Context(), "ledger", squash), why)
		} else {
			patch.SquashTitle, patch.SquashMessage = squash.SquashTitle, squash.SquashMessage
			want.SquashTitle, want.SquashMessage = "pr_title", "pr_body"
		}
		no(t, g.SetRepository(t.Context(), "ledger", patch))
		want.Wiki, want.DeleteBranchOnMerge = false, true
		want.MergeMethods = []forge.MergeMethod{forge.Squash}
		if diff := cmp.Diff(want, surveyed(t, g, "ledger"), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("settings (-want +got):\n%s", diff)
		}
		one, err := g.Inspect(t.Context(), "ledger")
		no(t, err)
		if diff := cmp.Diff(want, one, cmpopts.IgnoreFields(forge.Settings{}, "Teams", "Unknown"), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("inspected (-want +got):\n%s", diff)
		}
	})},
	{"labels are made, corrected and removed", governs(func(t *testing.T, h Harness, g forge.Governor) {
		h.World.AddRepo(t, "ledger")
		for _, l := range surveyed(t, g, "ledger").Labels {
			change(t, g, forge.LabelChange{Repo: "ledger", RepoID: surveyed(t, g, "ledger").ID, Label: l, Remove: true})
		}
		id := surveyed(t, g, "ledger").ID
		minor := forge.Label{Name: "minor", Color: "0e8a16", Description: "a feature"}
		change(t, g, forge.LabelChange{Repo: "ledger", RepoID: id, Label: minor}, forge.LabelChange{Repo: "ledger", RepoID: id, Label: forge.Label{Name: "major", Color: "b60205"}})
		have := surveyed(t, g, "ledger").Labels
		if len(have) != 2 || have[0].Name != "major" || have[1].ID == "" {
			t.Fatalf("got labels %+v, want major and minor with ids", have)
		}
		again, err := g.ChangeLabels(t.Context(), []forge.LabelChange{{Repo: "ledger", RepoID: id, Label: minor}})
		no(t, err)
		if again[0] == nil {
			t.Error("a label was made twice")
		}
		have[1].Color = "ffffff"
		change(t, g, forge.LabelChange{Repo: "ledger", RepoID: id, Label: have[1]}, forge.LabelChange{Repo: "ledger", RepoID: id, Label: have[0], Remove: true})
		got := surveyed(t, g, "ledger").Labels
		if len(got) != 1 || got[0].Name != "minor" || got[0].Color != "ffffff" || got[0].Description != "a feature" {
			t.Errorf("got labels %+v, want minor alone, in white", got)
		}
	})},
	{"teams are given what they may do", governs(func(t *testing.T, h Harness, g forge.Governor) {
		h.World.AddRepo(t, "ledger")
		h.World.(Organisation).AddTeam(t, "payments")
		s := survey(t, g)
		if len(s.Teams) != 1 || s.Teams[0].Slug != "payments" || len(s.Repos[0].Teams) != 0 {
			t.Fatalf("got teams %+v and grants %v, want payments without any", s.Teams, s.Repos[0].Teams)
		}
		grant := forge.Grant{Repo: "ledger", RepoID: s.Repos[0].ID, Team: "payments", TeamID: s.Teams[0].ID, Permission: forge.Admin}
		lower, unknown := grant, grant
		lower.Permission, unknown.RepoID, unknown.Repo = forge.Write, "nothing", "nothing"
		if only := s.Teams[0].Permission; only != "" {
			each, err := g.GrantTeams(t.Context(), []forge.Grant{grant})
			no(t, err)
			notOffered(t, each[0], "a team has "+string(only)+" in all repositories")
			grant.Permission, lower.Permission, unknown.Permission = only, only, only
		}
		each, err := g.GrantTeams(t.Context(), []forge.Grant{grant, unknown, lower})
		no(t, err)
		if each[0] != nil || nightporter.CodeOf(each[1]) != nightporter.NotFound || each[2] != nil {
			t.Errorf("got %v, want the middle one not found", each)
		}
		if diff := cmp.Diff(map[string]forge.Permission{"payments": lower.Permission}, surveyed(t, g, "ledger").Teams); diff != "" {
			t.Errorf("grants (-want +got):\n%s", diff)
		}
		away := grant
		away.Permission = ""
		for range 2 { // what is not there any more is no error
			each, err = g.GrantTeams(t.Context(), []forge.Grant{away})
			no(t, err)
			no(t, each[0])
		}
		if got := surveyed(t, g, "ledger").Teams; len(got) != 0 {
			t.Errorf("taken away, and still granted: %v", got)
		}
	})},
	{"branch rules of the organisation, of a repository and classic ones add up", governs(func(t *testing.T, h Harness, g forge.Governor) {
		h.World.AddRepo(t, "ledger")
		h.World.AddRepo(t, "legacy")
		scopes := []forge.Ruleset{
			{Scope: forge.OrganisationScope, Name: "all", Include: []string{"~ALL"}, Exclude: []string{"lega*"}, Demands: forge.Demands{Reviews: 1, SignedCommits: true}},
			{Scope: forge.RepositoryScope, Name: "own", Repo: "ledger", Demands: forge.Demands{Reviews: 2, UpToDate: true, Checks: []forge.Check{{Name: "build", App: 7}}}},
			{Scope: forge.ClassicScope, Repo: "ledger", Branch: "main", Demands: forge.Demands{LinearHistory: true, Checks: []forge.Check{{Name: "label"}}}},
		}
		if s := survey(t, g); !s.OrganisationRules.Yes || !s.Repos[0].RepositoryRules.Yes {
			notOffered(t, g.PutRules(t.Context(), scopes[0]), s.OrganisationRules.Why)
			notOffered(t, g.PutRules(t.Context(), scopes[1]), s.Repos[0].RepositoryRules.Why)
			scopes = scopes[2:]
			if why := s.Repos[0].NotOffered["linear_history"]; why != "" {
				notOffered(t, g.PutRules(t.Context(), scopes[0]), why)
				scopes[0].Demands.LinearHistory, scopes[0].Demands.SignedCommits = false, true
			}
		}
		var want forge.Demands
		for _, r := range scopes {
			no(t, g.PutRules(t.Context(), r))
			want = want.And(r.Demands)
		}
		got := surveyed(t, g, "ledger")
		if !got.InForce().Equal(want) {
			t.Errorf("in force are %+v, want %+v", got.InForce(), want)
		}
		if d := surveyed(t, g, "legacy").InForce(); !d.IsZero() {
			t.Errorf("legacy is left out and has %+v", d)
		}
		for _, r := range got.Rules {
			if r.ID == "" {
				t.Errorf("the rules %s of %s have no id", r.Name, r.Scope)
			}
			r.Demands = forge.Demands{Reviews: 3}
			no(t, g.PutRules(t.Context(), r))
		}
		if d := surveyed(t, g, "ledger").InForce(); !d.Equal(forge.Demands{Reviews: 3}) {
			t.Errorf("after replacing in force are %+v", d)
		}
		for _, r := range got.Rules {
			no(t, g.DeleteRules(t.Context(), r))
			no(t, g.DeleteRules(t.Context(), r))
		}
		if d := surveyed(t, g, "ledger").InForce(); !d.IsZero() {
			t.Errorf("after deleting in force are %+v", d)
		}
	})},
	{"what cannot be set up says why", governs(func(t *testing.T, h Harness, g forge.Governor) {
		h.World.AddRepo(t, "old-api")
		h.World.Archive(t, "old-api")
		var forbidden *forge.ForbiddenError
		if err := g.SetRepository(t.Context(), "old-api", forge.Patch{Wiki: new(false)}); !errors.As(err, &forbidden) {
			t.Errorf("an archived repository: got %v, want it forbidden", err)
		}
		for what, err := range map[string]error{
			"set": g.SetRepository(t.Context(), "nothing", forge.Patch{Wiki: new(false)}),
			"inspect": func() error {
				_, err := g.Inspect(t.Context(), "nothing")
				return err
			}(),
			"rules": g.PutRules(t.Context(), forge.Ruleset{Scope: forge.ClassicScope, Repo: "nothing", Branch: "main", Demands: forge.Demands{Reviews: 1}}),
		} {
			if got := nightporter.CodeOf(err); got != nightporter.NotFound {
				t.Errorf("%s: got %q (%v), want %q", what, got, err, nightporter.NotFound)
			}
		}
	})},
}

// governs runs a test on forges that offer it, and says loudly where not.
func governs(run func(*testing.T, Harness, forge.Governor)) func(*testing.T, Harness) {
	return func(t *testing.T, h Harness) {
		g, err := forge.Offer[forge.Governor](h.Forge, "setting up repositories")
		if _, ok := h.World.(Organisation); err != nil || !ok {
			t.Logf("NOT RUN: %v", err)
			return
		}
		run(t, h, g)
	}
}

// notOffered says loudly what a forge does not have, and holds it to saying so.
func notOffered(t testing.TB, err error, why string) {
	t.Helper()
	t.Logf("NOT OFFERED: %s", why)
	var missing *forge.NotOfferedError
	var forbidden *forge.ForbiddenError
	if !errors.As(err, &missing) && !errors.As(err, &forbidden) {
		t.Errorf("got %v, want that it is not offered", err)
	}
}

func survey(t testing.TB, g forge.Governor) forge.Survey {
	t.Helper()
	s, err := g.Survey(t.Context(), forge.SurveyWants{Topics: true})
	no(t, err)
	return s
}

func surveyed(t testing.TB, g forge.Governor, repo string) forge.Settings {
	t.Helper()
	for _, r := range survey(t, g).Repos {
		if r.Name == repo {
			return r
		}
	}
	t.Fatalf("the survey did not see %s", repo)
	return forge.Settings{}
}

func change(t testing.TB, g forge.Governor, changes ...forge.LabelChange) {
	t.Helper()
	each, err := g.ChangeLabels(t.Context(), changes)
	no(t, err)
	for _, err := range each {
		no(t, err)
	}
}

func no(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
