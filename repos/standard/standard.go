// Package standard decides what every repository of an organisation should be
// like, and what it would take to get there. It does nothing itself: it turns a
// configuration and a survey into a [Plan].
//
// Rules are layered: the shipped profile, the standard, then groups, the more
// specific ones later. What nobody sets is not looked at. Each rule remembers
// where it came from, so that `repo list --explain` can say why.
//
// Branch rules are put where they cost least. An organisation whose plan has
// rulesets gets one for all repositories that want the same; where that is not
// offered each repository gets its own, and at last a classic protection. What
// is in force counts, wherever it comes from: a repository that is protected
// well enough is left alone.
package standard

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/provider/forge"
)

// Rule names one setting, as the configuration does.
type Rule string

// The rules, in the order of plans and pages.
const (
	DefaultBranch       Rule = "default_branch"
	MergeMethods        Rule = "merge_methods"
	SquashTitle         Rule = "squash_title"
	SquashMessage       Rule = "squash_message"
	DeleteBranchOnMerge Rule = "delete_branch_on_merge"
	Wiki                Rule = "wiki"
	Issues              Rule = "issues"
	Projects            Rule = "projects"
	Labels              Rule = "labels"
	PruneLabels         Rule = "prune_labels"
	Teams               Rule = "teams"
	RequiredReviews     Rule = "required_reviews"
	RequiredChecks      Rule = "required_checks"
	UpToDate            Rule = "up_to_date"
	LinearHistory       Rule = "linear_history"
	SignedCommits       Rule = "signed_commits"
	Webhook             Rule = "webhook"
	InitialVersion      Rule = "initial_version"
)

// Rules lists them.
var Rules = []Rule{
	DefaultBranch, MergeMethods, SquashTitle, SquashMessage, DeleteBranchOnMerge, Wiki, Issues, Projects, Labels, PruneLabels, Teams,
	RequiredReviews, RequiredChecks, UpToDate, LinearHistory, SignedCommits, Webhook, InitialVersion,
}

// partOf says which part of a survey a rule is judged by.
func partOf(r Rule) forge.Part {
	switch r {
	case Labels, PruneLabels:
		return forge.PartLabels
	case Teams:
		return forge.PartTeams
	case RequiredReviews, RequiredChecks, UpToDate, LinearHistory, SignedCommits:
		return forge.PartRules
	}
	return forge.PartSettings
}

// PartOf says which part of the settings a rule is about: webhooks tell who
// changed a part.
func PartOf(r Rule) forge.Part { return partOf(r) }

// World is what the standard needs to know beside the forge.
type World struct {
	Forge string // its name in the configuration
	// OwnersOf are the teams that own a service of the repository. nil means
	// that nobody does.
	OwnersOf func(repo string) []string
	// SlugOf is what the forge calls a team of ours. nil means the same.
	SlugOf func(team string) string
	// App is our own App's id. Checks whose name begins with "nightporter/"
	// are pinned to it; 0 pins nothing.
	App int64
	// PlaceOf says where a setting of the configuration stands:
	// "nightporter.yaml:12". nil, or "", means that nobody knows.
	PlaceOf func(path string) string
}

// at puts a setting's place behind what is said about it.
func (w World) at(path string) string {
	if w.PlaceOf == nil {
		return ""
	}
	if place := w.PlaceOf(path); place != "" {
		return " (" + place + ")"
	}
	return ""
}

// Standard is the rules of one forge's repositories.
type Standard struct {
	cfg    config.Repos
	world  World
	layers []layer // the less specific first
	wants  forge.SurveyWants
}

// layer is rules for some repositories.
type layer struct {
	name  string // as explanations say it
	path  string // of its settings in the configuration; "" for a shipped one
	match config.Match
	rules config.Standard
	rank  int
	// soft teams are granted where the forge has such a team.
	soft bool
}

// New reads the rules. Its errors have the code invalid and say which setting is
// wrong.
func New(cfg config.Repos, world World) (*Standard, error) {
	if world.OwnersOf == nil {
		world.OwnersOf = func(string) []string { return nil }
	}
	if world.SlugOf == nil {
		world.SlugOf = func(team string) string { return team }
	}
	s := &Standard{cfg: cfg, world: world}
	base, err := profile(cfg.Standard.Profile)
	if err != nil {
		return nil, err
	}
	s.layers = append(base, layer{name: "repos.standard", path: "repos.standard", rules: cfg.Standard})
	var groups []layer
	for i, g := range cfg.Groups {
		if empty(g.Match) {
			return nil, nightporter.E(nightporter.Invalid, "the group %q of repos.groups matches nothing", g.Name).
				WithHint("give it names, topics, teams, properties or owners")
		}
		groups = append(groups, layer{name: "group " + g.Name, path: fmt.Sprintf("repos.groups[%d].standard", i), match: g.Match, rules: g.Standard, rank: rank(g.Match)})
		s.wants.Topics = s.wants.Topics || len(g.Match.Topics) > 0
		s.wants.Properties = s.wants.Properties || len(g.Match.Properties) > 0
	}
	slices.SortStableFunc(groups, func(a, b layer) int { return cmp.Compare(a.rank, b.rank) })
	s.layers = append(s.layers, groups...)
	for _, l := range s.layers {
		if err := check(l); err != nil {
			return nil, err
		}
	}
	for i, rule := range cfg.Enforce {
		if !slices.Contains(Rules, Rule(rule)) {
			return nil, nightporter.E(nightporter.Invalid, "repos.enforce[%d]: there is no rule %q", i, rule).
				WithHint("rules are named like the settings: %s", join(Rules))
		}
	}
	for i, e := range cfg.Exceptions {
		if !slices.Contains(Rules, Rule(e.Rule)) {
			return nil, nightporter.E(nightporter.Invalid, "repos.exceptions[%d]%s: there is no rule %q", i, world.at(fmt.Sprintf("repos.exceptions[%d].rule", i)), e.Rule).
				WithHint("rules are named like the settings: %s", join(Rules))
		}
	}
	return s, nil
}

// Wants is what a survey must read for these rules.
func (s *Standard) Wants() forge.SurveyWants { return s.wants }

// Empty says that there are no rules at all.
func (s *Standard) Empty() bool {
	for _, l := range s.layers {
		if len(set(l.rules)) > 0 {
			return false
		}
	}
	return true
}

// Effective is what one repository should be like.
type Effective struct {
	Repo string `json:"repo"`
	// Skipped says why it is not looked at; "" when it is.
	Skipped string `json:"skipped,omitempty"`
	// Rules are what is set.
	Rules config.Standard `json:"-"`
	// From says where each rule comes from: "group services".
	From map[Rule]string `json:"from"`

	softTeams map[string]bool
}

// For says what a repository should be like.
func (s *Standard) For(r forge.Settings) Effective {
	e := Effective{Repo: r.Name, From: map[Rule]string{}, softTeams: map[string]bool{}}
	switch {
	case r.Archived:
		e.Skipped = "archived"
	case r.Fork:
		e.Skipped = "a fork"
	}
	for _, l := range s.layers {
		if !s.matches(l, r) {
			continue
		}
		for _, pattern := range l.rules.Skip {
			if e.Skipped == "" && glob(pattern, r.Name) {
				e.Skipped = "skip in " + l.name
			}
		}
		overlay(&e, l)
	}
	return e
}

// matches says whether a layer is for a repository: all given conditions hold.
func (s *Standard) matches(l layer, r forge.Settings) bool {
	m := l.match
	if len(m.Names) > 0 && !slices.ContainsFunc(m.Names, func(p string) bool { return glob(p, r.Name) }) {
		return false
	}
	if len(m.Topics) > 0 && !slices.ContainsFunc(m.Topics, func(t string) bool { return slices.Contains(r.Topics, t) }) {
		return false
	}
	if len(m.Teams) > 0 && !slices.ContainsFunc(m.Teams, func(t string) bool { return r.Teams[s.world.SlugOf(t)] != "" }) {
		return false
	}
	if len(m.Owners) > 0 {
		owners := s.world.OwnersOf(r.Name)
		if !slices.ContainsFunc(m.Owners, func(o string) bool { return slices.Contains(owners, o) }) {
			return false
		}
	}
	for name, value := range m.Properties {
		if r.Properties[name] != value {
			return false
		}
	}
	return true
}

// rank orders groups: a repository's own name before a pattern, a pattern before
// what many share; more conditions before fewer. Of two equal ones the later in
// the file wins.
func rank(m config.Match) int {
	n := 0
	for _, given := range []bool{len(m.Topics) > 0, len(m.Teams) > 0, len(m.Owners) > 0, len(m.Properties) > 0} {
		if given {
			n++
		}
	}
	switch {
	case len(m.Names) == 0:
	case slices.ContainsFunc(m.Names, func(p string) bool { return strings.ContainsAny(p, "*?[") }):
		n += 10
	default:
		n += 20
	}
	return n
}

func empty(m config.Match) bool {
	return len(m.Names)+len(m.Topics)+len(m.Teams)+len(m.Properties)+len(m.Owners) == 0
}

// glob compares names as forges do, whatever the case. `*` stands for any text.
func glob(pattern, name string) bool {
	ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(name))
	return err == nil && ok
}

// overlay puts a layer's rules over what there is. Labels and teams add up by
// name; everything else is replaced.
func overlay(e *Effective, l layer) {
	r, to := l.rules, &e.Rules
	for _, rule := range set(r) {
		e.From[rule] = l.name
	}
	replace(&to.DefaultBranch, r.DefaultBranch)
	replace(&to.SquashTitle, r.SquashTitle)
	replace(&to.SquashMessage, r.SquashMessage)
	replace(&to.InitialVersion, r.InitialVersion)
	replace(&to.DeleteBranchOnMerge, r.DeleteBranchOnMerge)
	replace(&to.Wiki, r.Wiki)
	replace(&to.Issues, r.Issues)
	replace(&to.Projects, r.Projects)
	replace(&to.PruneLabels, r.PruneLabels)
	replace(&to.RequiredReviews, r.RequiredReviews)
	replace(&to.UpToDate, r.UpToDate)
	replace(&to.LinearHistory, r.LinearHistory)
	replace(&to.SignedCommits, r.SignedCommits)
	replace(&to.Webhook, r.Webhook)
	if r.MergeMethods != nil {
		to.MergeMethods = r.MergeMethods
	}
	if r.RequiredChecks != nil {
		to.RequiredChecks = r.RequiredChecks
	}
	for _, label := range r.Labels {
		i := slices.IndexFunc(to.Labels, func(o config.Label) bool { return strings.EqualFold(o.Name, label.Name) })
		if i < 0 {
			to.Labels = append(slices.Clone(to.Labels), label)
			continue
		}
		to.Labels = slices.Clone(to.Labels)
		to.Labels[i] = label
	}
	if len(r.Teams) > 0 {
		to.Teams = maps.Clone(to.Teams)
		if to.Teams == nil {
			to.Teams = map[string]string{}
		}
		for team, permission := range r.Teams {
			to.Teams[team] = permission
			e.softTeams[team] = l.soft
		}
	}
}

func replace[T comparable](to *T, v T) {
	var zero T
	if v != zero {
		*to = v
	}
}

// set lists the rules that a section sets.
func set(r config.Standard) []Rule {
	var list []Rule
	for _, c := range []struct {
		rule  Rule
		given bool
	}{
		{DefaultBranch, r.DefaultBranch != ""},
		{MergeMethods, r.MergeMethods != nil},
		{SquashTitle, r.SquashTitle != ""},
		{SquashMessage, r.SquashMessage != ""},
		{DeleteBranchOnMerge, r.DeleteBranchOnMerge != nil},
		{Wiki, r.Wiki != nil},
		{Issues, r.Issues != nil},
		{Projects, r.Projects != nil},
		{Labels, len(r.Labels) > 0},
		{PruneLabels, r.PruneLabels != nil},
		{Teams, len(r.Teams) > 0},
		{RequiredReviews, r.RequiredReviews != nil},
		{RequiredChecks, r.RequiredChecks != nil},
		{UpToDate, r.UpToDate != nil},
		{LinearHistory, r.LinearHistory != nil},
		{SignedCommits, r.SignedCommits != nil},
		{Webhook, r.Webhook != nil},
		{InitialVersion, r.InitialVersion != ""},
	} {
		if c.given {
			list = append(list, c.rule)
		}
	}
	return list
}

// check refuses rules that no forge could follow.
func check(l layer) error {
	at := l.name
	if l.rules.MergeMethods != nil && len(l.rules.MergeMethods) == 0 {
		return nightporter.E(nightporter.Invalid, "%s.merge_methods allows no way to merge", at)
	}
	for _, label := range l.rules.Labels {
		if !isColour(label.Color) {
			return nightporter.E(nightporter.Invalid, "%s.labels: the colour %q of %q is not six hexadecimal digits", at, label.Color, label.Name)
		}
	}
	for team, permission := range l.rules.Teams {
		if !slices.Contains(forge.Permissions, forge.Permission(permission)) {
			return nightporter.E(nightporter.Invalid, "%s.teams: %q is no permission of %s", at, permission, team).
				WithHint("use read, triage, write, maintain or admin")
		}
	}
	for _, name := range l.rules.RequiredChecks {
		if _, err := parseCheck(name); err != nil {
			return err
		}
	}
	return nil
}

func isColour(s string) bool {
	if s == "" {
		return true // the forge's own, or the one it has
	}
	_, err := strconv.ParseUint(s, 16, 32)
	return len(s) == 6 && err == nil
}

// parseCheck reads "build", or "build@15368" for one that only that App may set.
func parseCheck(text string) (forge.Check, error) {
	name, app, pinned := strings.Cut(text, "@")
	if name == "" {
		return forge.Check{}, nightporter.E(nightporter.Invalid, "%q does not name a check", text)
	}
	if !pinned {
		return forge.Check{Name: name}, nil
	}
	id, err := strconv.ParseInt(app, 10, 64)
	if err != nil || id <= 0 {
		return forge.Check{}, nightporter.E(nightporter.Invalid, "the check %q is pinned to %q, which is not the id of an App", name, app).
			WithHint("write check@id, such as build@15368 for GitHub Actions")
	}
	return forge.Check{Name: name, App: id}, nil
}

func join[T ~string](list []T) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = string(v)
	}
	return strings.Join(words, ", ")
}
