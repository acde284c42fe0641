package standard

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"nightporter.dev/nightporter/provider/forge"
)

// Write is one change of an apply, with what undoes it. Exactly one of Settings,
// Label, Grant and Rules is set.
type Write struct {
	N    int    `json:"n"`
	Repo string `json:"repo,omitempty"` // "" for the organisation's rules
	// For are the rules that it is made for.
	For      []Rule             `json:"for"`
	Settings *forge.Patch       `json:"settings,omitempty"`
	Label    *forge.LabelChange `json:"label,omitempty"`
	Grant    *forge.Grant       `json:"grant,omitempty"`
	Rules    *forge.Ruleset     `json:"rules,omitempty"`
	// Delete removes the set of Rules.
	Delete bool `json:"delete,omitempty"`
	Undo   Undo `json:"undo"`
}

// Undo is how it was before. What is nil or empty was not there.
type Undo struct {
	Settings   *forge.Patch     `json:"settings,omitempty"`
	Label      *forge.Label     `json:"label,omitempty"`
	Permission forge.Permission `json:"permission,omitempty"`
	Rules      *forge.Ruleset   `json:"rules,omitempty"`
}

// revokes says whether it takes a team's access away, which no forge does for
// many in one request.
func (w Write) revokes() bool { return w.Grant != nil && w.Grant.Permission == "" }

// Kind says what a write changes.
func (w Write) Kind() string {
	switch {
	case w.Settings != nil:
		return "settings"
	case w.Label != nil:
		return "label"
	case w.Grant != nil:
		return "team"
	}
	return "rules"
}

// Text says in a line what it does.
func (w Write) Text() string {
	switch {
	case w.Settings != nil:
		return "set " + join(w.For)
	case w.Label != nil && w.Label.Remove:
		return "remove label " + w.Label.Label.Name
	case w.Label != nil && w.Label.Label.ID != "":
		return "correct label " + w.Label.Label.Name
	case w.Label != nil:
		return "make label " + w.Label.Label.Name
	case w.revokes():
		return "take " + w.Grant.Team + "'s access away"
	case w.Grant != nil:
		return "give " + w.Grant.Team + " " + string(w.Grant.Permission)
	case w.Delete:
		return "remove the " + string(w.Rules.Scope) + " rules " + w.Rules.Name
	}
	return "set the " + string(w.Rules.Scope) + " rules " + w.Rules.Name + ": " + DemandsText(w.Rules.Demands)
}

// repoWrites gathers what one repository needs: its settings are one write.
type repoWrites struct {
	repo   forge.Settings
	patch  *forge.Patch
	before *forge.Patch
	rules  []Rule
	more   []Write
}

func (w *repoWrites) add(v *verdict) {
	if v.patch != nil {
		if w.patch == nil {
			w.patch, w.before = &forge.Patch{}, &forge.Patch{}
		}
		v.patch(w.patch)
		v.undo(w.before)
		w.rules = append(w.rules, v.Rule)
	}
	for _, l := range v.labels {
		out := Write{Repo: w.repo.Name, For: []Rule{v.Rule}, Label: &forge.LabelChange{Repo: w.repo.Name, RepoID: w.repo.ID, Label: l.after}}
		if l.after.Name == "" {
			out.Label.Label, out.Label.Remove = l.before, true
		}
		if l.before.Name != "" {
			out.Undo.Label = &l.before
		}
		w.more = append(w.more, out)
	}
	for _, g := range v.grants {
		w.more = append(w.more, Write{
			Repo: w.repo.Name, For: []Rule{v.Rule},
			Grant: &forge.Grant{Repo: w.repo.Name, RepoID: w.repo.ID, Team: g.team.Slug, TeamID: g.team.ID, Permission: g.after},
			Undo:  Undo{Permission: g.before},
		})
	}
}

func (w *repoWrites) writes() []Write {
	var out []Write
	if w.patch != nil {
		out = append(out, Write{Repo: w.repo.Name, For: w.rules, Settings: w.patch, Undo: Undo{Settings: w.before}})
	}
	return append(out, w.more...)
}

// Span is a part of a list of writes that is made in one call.
type Span struct{ First, End int }

// Batches cuts writes, which are sorted by [Sort], into calls.
func Batches(writes []Write) []Span {
	var out []Span
	for i := 0; i < len(writes); {
		end := i + 1
		if kind := writes[i].Kind(); (kind == "label" || kind == "team") && !writes[i].revokes() {
			for end < len(writes) && writes[end].Kind() == kind && !writes[end].revokes() && end-i < forge.MaxBatch {
				end++
			}
		}
		out = append(out, Span{i, end})
		i = end
	}
	return out
}

// Sort puts writes into the order in which they are made: rules last, so that
// the checks' labels are there when they are demanded.
func Sort(writes []Write) {
	order := map[string]int{"settings": 0, "label": 1, "team": 2, "rules": 3}
	slices.SortStableFunc(writes, func(a, b Write) int {
		if by := order[a.Kind()] - order[b.Kind()]; by != 0 {
			return by
		}
		// Sets are removed after others were made: nothing is bare between.
		return boolOrder(a.Delete) - boolOrder(b.Delete)
	})
}

func boolOrder(b bool) int {
	if b {
		return 1
	}
	return 0
}

// branch is a repository as its branch rules go.
type branch struct {
	repo    forge.Settings
	want    forge.Demands
	lacks   bool // what is in force is not enough
	skipped bool
	unknown bool
}

// demands are what the rules of a repository ask of its default branch.
func (s *Standard) demands(e Effective) forge.Demands {
	w, d := e.Rules, forge.Demands{}
	if w.RequiredReviews != nil {
		d.Reviews = *w.RequiredReviews
	}
	d.Checks = s.checks(w.RequiredChecks)
	d.UpToDate = w.UpToDate != nil && *w.UpToDate
	d.LinearHistory = w.LinearHistory != nil && *w.LinearHistory
	d.SignedCommits = w.SignedCommits != nil && *w.SignedCommits
	return d
}

// ownDemands are what our own sets demand in a repository now.
func ownDemands(r forge.Settings) (d forge.Demands) {
	for _, set := range r.Rules {
		if ours(set) {
			d = d.And(set.Demands)
		}
	}
	return d
}

// plausible drops what a forge takes no notice of: there is nothing to be up to
// date with unless a check is required.
func plausible(d forge.Demands) forge.Demands {
	d.UpToDate = d.UpToDate && len(d.Checks) > 0
	return d
}

// without is what is left of demands when one may be missing.
func without(d forge.Demands, rule Rule) forge.Demands { return as(d, forge.Demands{}, rule) }

// as is demands with one of them as others have it.
func as(d, others forge.Demands, rule Rule) forge.Demands {
	switch rule {
	case RequiredReviews:
		d.Reviews = others.Reviews
	case RequiredChecks:
		d.Checks = others.Checks
	case UpToDate:
		d.UpToDate = others.UpToDate
	case LinearHistory:
		d.LinearHistory = others.LinearHistory
	case SignedCommits:
		d.SignedCommits = others.SignedCommits
	}
	return d
}

// ownName begins the names of our sets of rules.
const ownName = "nightporter"

func ours(r forge.Ruleset) bool { return strings.HasPrefix(r.Name, ownName) }

// ruleWrites puts branch rules where the account's plan lets them be.
func ruleWrites(survey forge.Survey, branches []branch) []Write {
	if survey.OrganisationRules.Yes {
		return organisationWrites(survey, branches)
	}
	var out []Write
	for _, b := range branches {
		out = append(out, repositoryWrite(b)...)
	}
	return out
}

// ruleWritesOf is ruleWrites for one repository. Rules of the organisation are
// not changed for one repository alone.
func ruleWritesOf(survey forge.Survey, branches []branch, repo string) []Write {
	if survey.OrganisationRules.Yes {
		return nil
	}
	for _, b := range branches {
		if b.repo.Name == repo {
			return repositoryWrite(b)
		}
	}
	return nil
}

var branchRules = []Rule{RequiredReviews, RequiredChecks, UpToDate, LinearHistory, SignedCommits}

// organisationWrites makes one set for all repositories that want the same. The
// most common wish holds for all repositories but those of the other sets and
// those that are skipped, so that a repository that is made tomorrow is
// protected from its first commit.
func organisationWrites(survey forge.Survey, branches []branch) []Write {
	wanted := classes(branches)
	var out []Write
	kept := map[string]bool{}
	for _, set := range wanted {
		kept[set.Name] = true
		i := slices.IndexFunc(survey.Rules, func(r forge.Ruleset) bool { return r.Name == set.Name })
		switch {
		case i < 0 && !set.lacks:
			continue // what is in force already is enough
		case i < 0:
			out = append(out, Write{For: branchRules, Rules: &set.Ruleset})
		case !same(survey.Rules[i], set.Ruleset):
			before := survey.Rules[i]
			set.ID = before.ID
			out = append(out, Write{For: branchRules, Rules: &set.Ruleset, Undo: Undo{Rules: &before}})
		}
	}
	for _, r := range survey.Rules {
		if ours(r) && !kept[r.Name] {
			out = append(out, Write{For: branchRules, Rules: &r, Delete: true, Undo: Undo{Rules: &r}})
		}
	}
	return out
}

// class is a set with whether anybody needs it.
type class struct {
	forge.Ruleset
	lacks bool
}

func classes(branches []branch) []class {
	byWish := map[string][]branch{}
	var apart []string // who is in no set
	for _, b := range branches {
		switch {
		case b.repo.Archived: // nothing can be pushed there
		case b.skipped || b.want.IsZero():
			apart = append(apart, b.repo.Name)
		default:
			key := DemandsText(b.want)
			byWish[key] = append(byWish[key], b)
		}
	}
	main := ""
	for key, list := range byWish {
		if n := len(byWish[main]); main == "" || len(list) > n || len(list) == n && key < main {
			main = key
		}
	}
	var out []class
	for key, list := range byWish {
		var names []string
		c := class{Ruleset: forge.Ruleset{Scope: forge.OrganisationScope, Demands: list[0].want}}
		for _, b := range list {
			names = append(names, b.repo.Name)
			c.lacks = c.lacks || b.lacks && !b.unknown
		}
		slices.Sort(names)
		if key == main {
			c.Name, c.Include = ownName, []string{"~ALL"}
			out = append(out, c)
			continue
		}
		apart = append(apart, names...)
		c.Name, c.Include = ownName+": "+shorten(key), names
		out = append(out, c)
	}
	slices.Sort(apart)
	for i := range out {
		if out[i].Name == ownName {
			out[i].Exclude = apart
		}
	}
	slices.SortFunc(out, func(a, b class) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// shorten keeps the name of a set readable, and unlike any other.
func shorten(s string) string {
	if len(s) <= 80 {
		return s
	}
	h := fnv.New32a()
	h.Write([]byte(s))
	return fmt.Sprintf("%s… %08x", s[:60], h.Sum32())
}

func same(a, b forge.Ruleset) bool {
	sorted := func(list []string) []string { return slices.Sorted(slices.Values(list)) }
	return a.Demands.Equal(b.Demands) && slices.Equal(sorted(a.Include), sorted(b.Include)) && slices.Equal(sorted(a.Exclude), sorted(b.Exclude))
}

// repositoryWrite is what one repository needs where the organisation has no
// rules.
func repositoryWrite(b branch) []Write {
	if b.skipped || b.unknown || b.repo.Empty && !b.repo.RepositoryRules.Yes {
		return nil
	}
	r := b.repo
	if !r.RepositoryRules.Yes {
		if !b.lacks {
			return nil
		}
		set := forge.Ruleset{Scope: forge.ClassicScope, Name: r.DefaultBranch, Repo: r.Name, Branch: r.DefaultBranch, Demands: b.want}
		out := Write{Repo: r.Name, For: branchRules, Rules: &set}
		for _, have := range r.Rules {
			if have.Scope == forge.ClassicScope {
				set.Demands = set.Demands.And(have.Demands)
				out.Undo.Rules = &have
			}
		}
		return []Write{out}
	}
	i := slices.IndexFunc(r.Rules, func(o forge.Ruleset) bool { return o.Scope == forge.RepositoryScope && o.Name == ownName })
	set := forge.Ruleset{Scope: forge.RepositoryScope, Name: ownName, Repo: r.Name, Demands: b.want}
	switch {
	case i < 0 && b.lacks:
		return []Write{{Repo: r.Name, For: branchRules, Rules: &set}}
	case i >= 0 && b.want.IsZero():
		return []Write{{Repo: r.Name, For: branchRules, Rules: &r.Rules[i], Delete: true, Undo: Undo{Rules: &r.Rules[i]}}}
	case i >= 0 && !r.Rules[i].Demands.Equal(b.want):
		set.ID = r.Rules[i].ID
		return []Write{{Repo: r.Name, For: branchRules, Rules: &set, Undo: Undo{Rules: &r.Rules[i]}}}
	}
	return nil
}

// DemandsText says demands in words: "1 review, signed commits, checks build".
func DemandsText(d forge.Demands) string {
	var words []string
	switch {
	case d.Reviews == 1:
		words = append(words, "1 review")
	case d.Reviews > 1:
		words = append(words, fmt.Sprintf("%d reviews", d.Reviews))
	}
	if d.SignedCommits {
		words = append(words, "signed commits")
	}
	if d.LinearHistory {
		words = append(words, "linear history")
	}
	if d.UpToDate {
		words = append(words, "up to date")
	}
	if len(d.Checks) > 0 {
		words = append(words, "checks "+checksText(d.Checks))
	}
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, ", ")
}
