package standard_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/repos/standard"
)

var update = flag.Bool("update", false, "write the golden files anew")

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// fresh is a repository as GitHub makes it.
func fresh(name string) forge.Settings {
	return forge.Settings{
		Name: name, ID: "R_" + name, DefaultBranch: "main", Wiki: true, Issues: true, Projects: true,
		MergeMethods: []forge.MergeMethod{forge.MergeCommit, forge.Rebase, forge.Squash}, SquashTitle: "commit_or_pr_title", SquashMessage: "commit_messages",
		Teams: map[string]forge.Permission{}, RepositoryRules: forge.Offered{Yes: true}, Unknown: map[forge.Part]string{},
	}
}

func organisation(repos ...forge.Settings) forge.Survey {
	return forge.Survey{Repos: repos, OrganisationRules: forge.Offered{Yes: true}, Unknown: map[forge.Part]string{}}
}

func rules(t testing.TB, text string) *standard.Standard {
	t.Helper()
	var cfg config.Repos
	if err := yaml.Unmarshal([]byte(text), &cfg); err != nil {
		t.Fatal(err)
	}
	s, err := standard.New(cfg, standard.World{Forge: "github", App: 77})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func plan(t testing.TB, s *standard.Standard, survey forge.Survey) *standard.Plan {
	t.Helper()
	p, err := s.Make(standard.Input{Survey: survey, Now: now, Hooked: true})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func states(p *standard.Plan, repo string) map[standard.Rule]standard.State {
	out := map[standard.Rule]standard.State{}
	for _, r := range p.Repos {
		for _, c := range r.Cells {
			if r.Repo == repo {
				out[c.Rule] = c.State
			}
		}
	}
	return out
}

// The judge is the script that this replaces: each default of its configuration
// section and of its code is in the golden file.
func TestStrictSquashIsTheScriptsDefaults(t *testing.T) {
	t.Parallel()
	survey := organisation(fresh("ledger"), fresh("card-service"), fresh("repo-conformity-enforcer"))
	survey.Teams = []forge.Team{{ID: "T1", Slug: "dev"}, {ID: "T2", Slug: "readonly"}, {ID: "T3", Slug: "alladmins"}}
	p := plan(t, rules(t, "standard: {profile: strict-squash}"), survey)
	got, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "strict-squash.golden.json")
	if *update {
		if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Errorf("plan (-want +got; -update writes it anew):\n%s", diff)
	}
	for _, fact := range []string{
		`"name": "major"`, `b60205`, `major change`, `e8894a`, `minor change`, `b5d3ff`, `patch change`, `"pr-label-check"`, `"build"`, `"test"`, `0.0.1`,
	} {
		if !strings.Contains(string(got), fact) {
			t.Errorf("the plan does not hold %s", fact)
		}
	}
}

func TestTheMoreSpecificWinsAndSaysSo(t *testing.T) {
	t.Parallel()
	s := rules(t, `
standard: {wiki: false, required_reviews: 1, labels: [{name: bug, color: aa0000}]}
groups:
  - {name: one, match: {names: [ledger]}, standard: {required_reviews: 3}}
  - {name: pattern, match: {names: ["led*"]}, standard: {required_reviews: 2, wiki: true, labels: [{name: bug, color: bb0000}, {name: docs}]}}
  - {name: topical, match: {topics: [bank]}, standard: {wiki: false, issues: false}}
  - {name: gold, match: {properties: {tier: gold}, topics: [bank]}, standard: {issues: true}}
`)
	r := fresh("ledger")
	r.Topics, r.Properties = []string{"bank"}, map[string]string{"tier": "gold"}
	e := s.For(r)
	want := map[standard.Rule]string{
		standard.RequiredReviews: "group one", standard.Wiki: "group pattern", standard.Labels: "group pattern", standard.Issues: "group gold",
	}
	if diff := cmp.Diff(want, e.From); diff != "" {
		t.Errorf("from (-want +got):\n%s", diff)
	}
	if *e.Rules.RequiredReviews != 3 || !*e.Rules.Wiki || !*e.Rules.Issues || len(e.Rules.Labels) != 2 || e.Rules.Labels[0].Color != "bb0000" {
		t.Errorf("got %+v", e.Rules)
	}
	if got := s.Wants(); !got.Topics || !got.Properties {
		t.Errorf("a survey reads %+v, want topics and properties", got)
	}
	if e := s.For(fresh("cards")); e.From[standard.RequiredReviews] != "repos.standard" || *e.Rules.Wiki {
		t.Errorf("cards: got %+v", e.From)
	}
}

func TestAnExceptionEndsWithItsLastDay(t *testing.T) {
	t.Parallel()
	for until, want := range map[string]standard.State{"2026-11-22": standard.Drift, "2026-11-23": standard.Exempt, "2027-01-31": standard.Exempt} {
		s := rules(t, `
standard: {wiki: false}
exceptions: [{repo: github/Old-API, rule: wiki, until: `+until+`, reason: migrating, owner: team-payments}]
`)
		p := plan(t, s, organisation(fresh("old-api")))
		cell := p.Repos[0].Cells[0]
		if cell.State != want || (want == standard.Exempt) != (len(p.Writes) == 0) || !strings.Contains(cell.Note, "migrating") {
			t.Errorf("until %s: got %+v and %d writes, want %s", until, cell, len(p.Writes), want)
		}
	}
}

func TestAnExceptionOfABranchRuleTakesTheRepositoryOutOfTheSet(t *testing.T) {
	t.Parallel()
	s := rules(t, `
standard: {signed_commits: true, required_reviews: 1}
exceptions: [{repo: old-api, rule: signed_commits, until: 2027-01-31, reason: a bot, owner: team-payments}]
`)
	p := plan(t, s, organisation(fresh("old-api"), fresh("ledger"), fresh("cards")))
	var got []string
	for _, w := range p.Writes {
		got = append(got, fmt.Sprintf("%s +%v -%v: %s", w.Rules.Name, w.Rules.Include, w.Rules.Exclude, standard.DemandsText(w.Rules.Demands)))
	}
	want := []string{
		"nightporter +[~ALL] -[old-api]: 1 review, signed commits",
		"nightporter: 1 review +[old-api] -[]: 1 review",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sets (-want +got):\n%s", diff)
	}
}

func TestWhatCannotBeSeenIsUnknownAndIsLeftAlone(t *testing.T) {
	t.Parallel()
	s := rules(t, "standard: {wiki: false, labels: [{name: bug, color: aa0000}], prune_labels: true, required_reviews: 1, teams: {}}")
	blind := fresh("ledger")
	blind.Unknown = map[forge.Part]string{forge.PartLabels: "token lacks issues=read", forge.PartRules: "token lacks administration=read"}
	survey := organisation(blind)
	p := plan(t, s, survey)
	want := map[standard.Rule]standard.State{
		standard.Wiki: standard.Drift, standard.Labels: standard.Unknown, standard.PruneLabels: standard.Unknown, standard.RequiredReviews: standard.Unknown,
	}
	if diff := cmp.Diff(want, states(p, "ledger")); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	if len(p.Writes) != 1 || p.Writes[0].Kind() != "settings" {
		t.Errorf("got writes %+v, want the wiki's alone", p.Writes)
	}
	// Our set that holds already must not let go of what cannot be seen now.
	survey.Rules = []forge.Ruleset{{ID: "1", Scope: forge.OrganisationScope, Name: "nightporter", Include: []string{"~ALL"}, Demands: forge.Demands{Reviews: 1}}}
	for _, w := range plan(t, s, survey).Writes {
		if w.Rules != nil {
			t.Errorf("the set is changed for a repository that cannot be seen: %s", w.Text())
		}
	}
}

func TestForksArchivedAndSkippedAreNotLookedAt(t *testing.T) {
	t.Parallel()
	fork, archived, skipped, empty := fresh("fork"), fresh("archived"), fresh("skip-me"), fresh("empty")
	fork.Fork, archived.Archived, empty.Empty, empty.DefaultBranch = true, true, true, ""
	p := plan(t, rules(t, `standard: {wiki: false, default_branch: main, required_reviews: 1, skip: ["skip-*"]}`), organisation(fork, archived, skipped, empty))
	got := map[string]string{}
	for _, r := range p.Repos {
		got[r.Repo] = r.Skipped
	}
	want := map[string]string{"fork": "a fork", "archived": "archived", "skip-me": "skip in repos.standard", "empty": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
	if s := states(p, "empty"); s[standard.DefaultBranch] != standard.OK || s[standard.Wiki] != standard.Drift {
		t.Errorf("empty: got %v", s)
	}
	last := p.Writes[len(p.Writes)-1].Rules
	if last == nil || !slices.Equal(last.Exclude, []string{"fork", "skip-me"}) {
		t.Errorf("got %+v, want a set for all but the fork and the skipped one", last)
	}
}

func TestProtectionThatIsThereIsEnoughWhereverItComesFrom(t *testing.T) {
	t.Parallel()
	s := rules(t, "standard: {required_reviews: 1, required_checks: [build@15368, nightporter/version], up_to_date: true}")
	r := fresh("ledger")
	r.Rules = []forge.Ruleset{{Scope: forge.ClassicScope, Name: "main", Demands: forge.Demands{
		Reviews: 2, UpToDate: true, Checks: []forge.Check{{Name: "build", App: 15368}, {Name: "nightporter/version", App: 77}, {Name: "more"}},
	}}}
	if p := plan(t, s, organisation(r)); p.Differs() {
		t.Errorf("got %+v and %d writes, want no differences", p.Repos[0].Cells, len(p.Writes))
	}
	r.Rules[0].Demands.Checks[0].App = 0 // anybody may say that the build is green
	p := plan(t, s, organisation(r))
	if states(p, "ledger")[standard.RequiredChecks] != standard.Drift || len(p.Writes) != 1 {
		t.Errorf("a check that is not pinned: got %+v", p.Repos[0].Cells)
	}
}

func TestRulesLiveWhereTheAccountsPlanLetsThem(t *testing.T) {
	t.Parallel()
	s := rules(t, "standard: {required_reviews: 1, signed_commits: true}")
	survey := organisation(fresh("a"), fresh("b"))
	survey.OrganisationRules = forge.Offered{Why: "Upgrade to GitHub Team"}
	survey.Repos[1].RepositoryRules = forge.Offered{}
	survey.Repos[1].Rules = []forge.Ruleset{{ID: "c", Scope: forge.ClassicScope, Name: "main", Repo: "b", Branch: "main", Demands: forge.Demands{LinearHistory: true}}}
	p := plan(t, s, survey)
	if len(p.Writes) != 2 || p.Writes[0].Rules.Scope != forge.RepositoryScope || p.Writes[1].Rules.Scope != forge.ClassicScope {
		t.Fatalf("got %+v, want a ruleset for a and a protection for b", p.Writes)
	}
	if d := p.Writes[1].Rules.Demands; !d.LinearHistory || d.Reviews != 1 || p.Writes[1].Undo.Rules == nil {
		t.Errorf("the protection keeps %+v, want what was there as well, and the way back", d)
	}
	if p.Price.Requests != 3 || len(p.Notes) != 1 || !strings.Contains(p.Notes[0], "Upgrade") {
		t.Errorf("got %d requests and notes %q, want 3 (a protection takes two) and the forge's words", p.Price.Requests, p.Notes)
	}
}

func TestSomebodyElsesStricterRuleIsReportedAndLeft(t *testing.T) {
	t.Parallel()
	r := fresh("ledger")
	r.Rules = []forge.Ruleset{{Scope: forge.OrganisationScope, Name: "security", Demands: forge.Demands{SignedCommits: true}}}
	p := plan(t, rules(t, "standard: {signed_commits: false}"), organisation(r))
	if c := p.Repos[0].Cells[0]; c.State != standard.Drift || !strings.Contains(c.Note, `"security"`) || len(p.Writes) != 0 {
		t.Errorf("got %+v and %d writes", c, len(p.Writes))
	}
}

func TestWrongRulesAreRefusedWithTheirPlace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"standard: {profile: strict-squish}":                                               "strict-squish",
		"standard: {labels: [{name: bug, color: red}]}":                                    "repos.standard.labels",
		"standard: {teams: {payments: push}}":                                              "repos.standard.teams",
		"standard: {required_checks: [build@actions]}":                                     "build",
		"groups: [{name: all, match: {}, standard: {wiki: false}}]":                        "all",
		"exceptions: [{repo: a, rule: wikis, until: 2027-01-01, reason: r, owner: t}]":     "repos.exceptions[0]",
		"groups: [{name: g, match: {names: [a]}, standard: {labels: [{color: '12345'}]}}]": "group g.labels",
	} {
		var cfg config.Repos
		if err := yaml.Unmarshal([]byte(text), &cfg); err != nil {
			t.Fatal(err)
		}
		_, err := standard.New(cfg, standard.World{})
		if nightporter.CodeOf(err) != nightporter.Invalid || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: got %v, want it invalid, and %q named", text, err, want)
		}
	}
}

func TestATeamThatIsNotThereIsRefusedBeforeAnythingIsPlanned(t *testing.T) {
	t.Parallel()
	_, err := rules(t, "standard: {teams: {ghosts: write}}").Make(standard.Input{Survey: organisation(fresh("a")), Now: now})
	if nightporter.CodeOf(err) != nightporter.Invalid || !strings.Contains(err.Error(), "repos.standard.teams") {
		t.Errorf("got %v, want it invalid", err)
	}
}

func TestOnlyKeepsToARuleOrARepository(t *testing.T) {
	t.Parallel()
	s := rules(t, "standard: {wiki: false, issues: false, required_reviews: 1}")
	for only, want := range map[string][]string{
		"wiki": {"a: set wiki", "b: set wiki"}, "b": {"b: set wiki, issues"},
		"required_reviews": {": set the organisation rules nightporter: 1 review"},
	} {
		p, err := s.Make(standard.Input{Survey: organisation(fresh("a"), fresh("b")), Now: now, Only: only})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range p.Writes {
			got = append(got, w.Repo+": "+w.Text())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("only %s (-want +got):\n%s", only, diff)
		}
	}
	if _, err := s.Make(standard.Input{Survey: organisation(fresh("a")), Now: now, Only: "wikki"}); nightporter.CodeOf(err) != nightporter.NotFound {
		t.Errorf("a typing error: got %v, want it not found", err)
	}
}

// Adoption is judged by a plan of its own result, read as YAML.
func TestAdoptionFindsNothingToChange(t *testing.T) {
	t.Parallel()
	var list []forge.Settings
	for i := range 10 {
		r := fresh(fmt.Sprintf("service-%d", i))
		r.MergeMethods = []forge.MergeMethod{forge.Squash}
		r.Labels = []forge.Label{{ID: "x", Name: "minor: \"new\"", Color: "e8894a", Description: "a # of things"}}
		r.Teams = map[string]forge.Permission{"dev": forge.Write, "guests": forge.Read}
		r.Rules = []forge.Ruleset{{Scope: forge.ClassicScope, Demands: forge.Demands{Reviews: 1, Checks: []forge.Check{{Name: "build", App: 15368}}}}}
		list = append(list, r)
	}
	list[3].Wiki, list[4].MergeMethods, list[5].Rules, list[6].Labels = false, []forge.MergeMethod{forge.Rebase}, nil, nil
	survey := organisation(list...)
	survey.Teams = []forge.Team{{Slug: "dev"}, {Slug: "guests"}}
	a := standard.Adopt(standard.AdoptInput{
		Survey: survey, Now: now, OwnerOf: func(string) string { return "team-dev" },
		TeamOf: func(slug string) string { return map[string]string{"dev": "team-dev"}[slug] },
	})
	var file struct{ Repos config.Repos }
	if err := yaml.UnmarshalWithOptions([]byte(a.YAML), &file, yaml.Strict()); err != nil {
		t.Fatalf("%v\n%s", err, a.YAML)
	}
	s, err := standard.New(file.Repos, standard.World{SlugOf: func(string) string { return "dev" }})
	if err != nil {
		t.Fatal(err)
	}
	p := plan(t, s, survey)
	if p.Differs() {
		t.Errorf("the adopted standard differs: %+v\n%s", p.Writes, a.YAML)
	}
	if a.Exceptions != 5 || p.Counts[standard.Exempt] != 5 || a.Looked != 10 {
		t.Errorf("got %d exceptions (%d in the plan) of %d, want 5 of 10\n%s", a.Exceptions, p.Counts[standard.Exempt], a.Looked, a.YAML)
	}
}

// Names of labels, checks and repositories come from anybody who may push.
func FuzzAdoptionIsYAML(f *testing.F) {
	f.Add("bug", "build", "a")
	f.Add("\"", "a@b, c", "'x: {")
	f.Fuzz(func(t *testing.T, label, description, branch string) {
		r := fresh("a")
		r.Labels, r.DefaultBranch = []forge.Label{{Name: label, Color: "ededed", Description: description}}, branch
		a := standard.Adopt(standard.AdoptInput{Survey: organisation(r), Now: now})
		var file struct{ Repos config.Repos }
		if err := yaml.Unmarshal([]byte(a.YAML), &file); err != nil && strings.ToValidUTF8(label+description+branch, "") == label+description+branch {
			t.Errorf("%v\n%s", err, a.YAML)
		}
	})
}

func ExampleStandard_Make() {
	s, _ := standard.New(config.Repos{Standard: config.Standard{Wiki: new(false), MergeMethods: []string{"squash"}}}, standard.World{})
	p, _ := s.Make(standard.Input{Survey: organisation(fresh("ledger")), Now: now})
	for _, c := range p.Repos[0].Cells {
		fmt.Printf("%s: %s -> %s\n", c.Rule, c.Have, c.Want)
	}
	fmt.Println(p.Price.Requests, "request,", time.Duration(p.Price.Duration))
	// Output:
	// merge_methods: merge, rebase, squash -> squash
	// wiki: on -> off
	// 1 request, 1s
}

func BenchmarkPlanOfAThousandRepositories(b *testing.B) {
	var list []forge.Settings
	for i := range 1000 {
		list = append(list, fresh(fmt.Sprintf("service-%04d", i)))
	}
	s := rules(b, "standard: {profile: strict-squash}")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Make(standard.Input{Survey: organisation(list...), Now: now}); err != nil {
			b.Fatal(err)
		}
	}
}
