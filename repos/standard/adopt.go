package standard

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/provider/forge"
)

// Adoption is a standard that an organisation has already, for the most part.
type Adoption struct {
	Repos config.Repos `json:"-"`
	// YAML is the section `repos` for nightporter.yaml.
	YAML string `json:"yaml"`
	// Looked is how many repositories it was made from.
	Looked     int `json:"looked"`
	Exceptions int `json:"exceptions"`
}

// AdoptInput is what [Adopt] works from.
type AdoptInput struct {
	Survey forge.Survey
	Now    time.Time
	// TeamOf is what we call a team of the forge; "" for one that the
	// configuration does not have. nil means that it has none.
	TeamOf func(slug string) string
	// OwnerOf is the team that looks after a repository, for its exceptions.
	OwnerOf func(repo string) string
}

// reviewIn is how long the exceptions of an adoption last.
const reviewIn = 90 * 24 * time.Hour

// Adopt writes down what most repositories are like. Those that are not become
// exceptions to review, so that the standard finds nothing to change.
func Adopt(in AdoptInput) Adoption {
	if in.TeamOf == nil {
		in.TeamOf = func(string) string { return "" }
	}
	if in.OwnerOf == nil {
		in.OwnerOf = func(string) string { return "" }
	}
	a := &adopter{in: in}
	for _, r := range in.Survey.Repos {
		if !r.Archived && !r.Fork && len(r.Unknown) == 0 {
			a.repos = append(a.repos, r)
		}
	}
	slices.SortFunc(a.repos, func(x, y forge.Settings) int { return strings.Compare(x.Name, y.Name) })
	out := Adoption{Looked: len(a.repos)}
	if len(a.repos) > 0 {
		a.settings()
		a.labels()
		a.teams()
		a.branch()
		a.outliers()
	}
	out.Repos, out.Exceptions, out.YAML = a.out, len(a.out.Exceptions), a.yaml()
	return out
}

type adopter struct {
	in    AdoptInput
	repos []forge.Settings
	out   config.Repos
}

// most is the value that more repositories have than any other.
func most[T cmp.Ordered](repos []forge.Settings, of func(forge.Settings) T) T {
	count := map[T]int{}
	for _, r := range repos {
		count[of(r)]++
	}
	best := of(repos[0])
	for _, v := range slices.Sorted(maps.Keys(count)) {
		if count[v] > count[best] {
			best = v
		}
	}
	return best
}

func (a *adopter) flag(of func(forge.Settings) bool) *bool {
	return new(most(a.repos, func(r forge.Settings) string { return strconv.FormatBool(of(r)) }) == "true")
}

func (a *adopter) settings() {
	s := &a.out.Standard
	s.MergeMethods = strings.Split(most(a.repos, func(r forge.Settings) string { return join(r.MergeMethods) }), ", ")
	s.SquashTitle = most(a.repos, func(r forge.Settings) string { return r.SquashTitle })
	s.SquashMessage = most(a.repos, func(r forge.Settings) string { return r.SquashMessage })
	s.DefaultBranch = most(a.repos, func(r forge.Settings) string { return r.DefaultBranch })
	s.DeleteBranchOnMerge = a.flag(func(r forge.Settings) bool { return r.DeleteBranchOnMerge })
	s.Wiki = a.flag(func(r forge.Settings) bool { return r.Wiki })
	s.Issues = a.flag(func(r forge.Settings) bool { return r.Issues })
	s.Projects = a.flag(func(r forge.Settings) bool { return r.Projects })
}

// labels adopts what more than half of the repositories have alike.
func (a *adopter) labels() {
	count := map[config.Label]int{}
	for _, r := range a.repos {
		for _, l := range r.Labels {
			count[config.Label{Name: l.Name, Color: l.Color, Description: l.Description}]++
		}
	}
	for l, n := range count {
		if 2*n > len(a.repos) {
			a.out.Standard.Labels = append(a.out.Standard.Labels, l)
		}
	}
	slices.SortFunc(a.out.Standard.Labels, func(x, y config.Label) int { return strings.Compare(x.Name, y.Name) })
}

func (a *adopter) teams() {
	type grant struct {
		team       string
		permission forge.Permission
	}
	count := map[grant]int{}
	for _, r := range a.repos {
		for slug, p := range r.Teams {
			if team := a.in.TeamOf(slug); team != "" {
				count[grant{team, p}]++
			}
		}
	}
	for g, n := range count {
		if 2*n > len(a.repos) {
			if a.out.Standard.Teams == nil {
				a.out.Standard.Teams = map[string]string{}
			}
			a.out.Standard.Teams[g.team] = string(g.permission)
		}
	}
}

func (a *adopter) branch() {
	s := &a.out.Standard
	s.RequiredReviews = new(most(a.repos, func(r forge.Settings) int { return r.InForce().Reviews }))
	s.LinearHistory = a.flag(func(r forge.Settings) bool { return r.InForce().LinearHistory })
	s.SignedCommits = a.flag(func(r forge.Settings) bool { return r.InForce().SignedCommits })
	if checks := most(a.repos, func(r forge.Settings) string { return checksText(r.InForce().Checks) }); checks != "none" {
		s.RequiredChecks = strings.Split(checks, ", ")
		s.UpToDate = a.flag(func(r forge.Settings) bool { return r.InForce().UpToDate })
	}
}

// outliers asks the standard itself who differs, so that both mean the same.
func (a *adopter) outliers() {
	teams := map[string]string{}
	for _, t := range a.in.Survey.Teams {
		teams[a.in.TeamOf(t.Slug)] = t.Slug
	}
	s, err := New(a.out, World{SlugOf: func(team string) string { return teams[team] }})
	if err != nil {
		return // what a forge says of itself is a standard
	}
	until := config.Date(a.in.Now.UTC().Add(reviewIn).Format(time.DateOnly))
	for _, r := range a.repos {
		for _, v := range s.judge(s.For(r), r, a.in.Survey, true) {
			if v.State == Drift {
				a.out.Exceptions = append(a.out.Exceptions, config.Exception{
					Repo: r.Name, Rule: string(v.Rule), Until: until, Reason: "found at adoption: review", Owner: a.in.OwnerOf(r.Name),
				})
			}
		}
	}
}

// yaml writes the section. Every text is quoted as JSON, which is YAML too.
func (a *adopter) yaml() string {
	var b strings.Builder
	s := a.out.Standard
	fmt.Fprintf(&b, "# What most of %d repositories have already. Nothing changes with it; the\n# exceptions are those that differ, to be reviewed.\nrepos:\n  mode: report\n  standard:\n", len(a.repos))
	line := func(rule Rule, v any) { fmt.Fprintf(&b, "    %s: %v\n", rule, v) }
	text := func(rule Rule, v string) {
		if v != "" {
			line(rule, strconv.Quote(v))
		}
	}
	list := func(rule Rule, v []string) {
		if len(v) > 0 {
			line(rule, "["+quoted(v)+"]")
		}
	}
	flag := func(rule Rule, v *bool) {
		if v != nil {
			line(rule, *v)
		}
	}
	text(DefaultBranch, s.DefaultBranch)
	list(MergeMethods, s.MergeMethods)
	text(SquashTitle, s.SquashTitle)
	text(SquashMessage, s.SquashMessage)
	flag(DeleteBranchOnMerge, s.DeleteBranchOnMerge)
	flag(Wiki, s.Wiki)
	flag(Issues, s.Issues)
	flag(Projects, s.Projects)
	if len(s.Labels) > 0 {
		b.WriteString("    labels:\n")
		for _, l := range s.Labels {
			fmt.Fprintf(&b, "      - {name: %q, color: %q, description: %q}\n", l.Name, l.Color, l.Description)
		}
	}
	if len(s.Teams) > 0 {
		b.WriteString("    teams:\n")
		for _, team := range slices.Sorted(maps.Keys(s.Teams)) {
			fmt.Fprintf(&b, "      %q: %s\n", team, s.Teams[team])
		}
	}
	if s.RequiredReviews != nil {
		line(RequiredReviews, *s.RequiredReviews)
	}
	list(RequiredChecks, s.RequiredChecks)
	flag(UpToDate, s.UpToDate)
	flag(LinearHistory, s.LinearHistory)
	flag(SignedCommits, s.SignedCommits)
	if len(a.out.Exceptions) == 0 {
		return b.String()
	}
	b.WriteString("  exceptions:\n")
	for _, e := range a.out.Exceptions {
		fmt.Fprintf(&b, "    - {repo: %q, rule: %s, until: %q, reason: %q, owner: %q}\n", e.Repo, e.Rule, e.Until, e.Reason, e.Owner)
	}
	return b.String()
}

func quoted(list []string) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = strconv.Quote(v)
	}
	return strings.Join(words, ", ")
}
