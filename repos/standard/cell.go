package standard

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/provider/forge"
)

// State says how a repository stands to a rule.
type State string

// The states.
const (
	OK      State = "ok"
	Drift   State = "drift"
	Exempt  State = "exempt"  // it differs and may, until a day
	Unknown State = "unknown" // it could not be seen: never drift
)

// Cell is one rule of one repository.
type Cell struct {
	Rule  Rule   `json:"rule"`
	State State  `json:"state"`
	Have  string `json:"have,omitempty"`
	Want  string `json:"want,omitempty"`
	// Note says what a person should know: why it is unknown, or why a plan
	// does not put it right.
	Note string `json:"note,omitempty"`
	// Until is the last day of an exception.
	Until string `json:"until,omitempty"`
	// Who is known to have changed it last, a forge login, and when.
	Who   string    `json:"who,omitempty"`
	WhoAt time.Time `json:"who_at,omitzero"`
	// Since is when it was first seen so.
	Since time.Time `json:"since,omitzero"`
	// From says which section asks for it.
	From string `json:"from,omitempty"`
}

// verdict is a cell with what would put it right.
type verdict struct {
	Cell
	patch  func(*forge.Patch)
	undo   func(*forge.Patch)
	labels []labelWrite
	grants []grantWrite
	rules  bool // the branch's rules must change
}

type labelWrite struct{ before, after forge.Label } // one without a name is none

type grantWrite struct {
	team          forge.Team
	before, after forge.Permission
}

// judge compares a repository with what it should be like.
func (s *Standard) judge(e Effective, r forge.Settings, survey forge.Survey, hooked bool) []verdict {
	var out []verdict
	w := e.Rules
	add := func(rule Rule, have, want string, right func(*verdict)) {
		v := verdict{Cell: Cell{Rule: rule, State: OK, Have: have, Want: want, From: e.From[rule]}}
		switch why := unseen(r, rule); {
		case why != "":
			v.State, v.Have, v.Note = Unknown, "", why
		case have != want:
			v.State = Drift
			if right != nil {
				right(&v)
			}
		}
		out = append(out, v)
	}
	flag := func(rule Rule, have bool, want *bool, field func(*forge.Patch) **bool) {
		if want != nil {
			add(rule, onOff(have), onOff(*want), func(v *verdict) {
				v.patch = func(p *forge.Patch) { *field(p) = want }
				v.undo = func(p *forge.Patch) { *field(p) = &have }
			})
		}
	}
	text := func(rule Rule, have, want string, field func(*forge.Patch) **string) {
		if want != "" {
			add(rule, have, want, func(v *verdict) {
				v.patch = func(p *forge.Patch) { *field(p) = &want }
				v.undo = func(p *forge.Patch) { *field(p) = &have }
			})
		}
	}
	if w.DefaultBranch != "" {
		have := r.DefaultBranch
		if r.Empty {
			have = w.DefaultBranch // there is none yet
		}
		add(DefaultBranch, have, w.DefaultBranch, func(v *verdict) {
			v.Note = "rename it on the forge: branches are not moved from here"
		})
	}
	if w.MergeMethods != nil {
		want := methods(w.MergeMethods)
		add(MergeMethods, join(r.MergeMethods), join(want), func(v *verdict) {
			v.patch = func(p *forge.Patch) { p.MergeMethods = want }
			v.undo = func(p *forge.Patch) { p.MergeMethods = r.MergeMethods }
		})
	}
	text(SquashTitle, r.SquashTitle, w.SquashTitle, func(p *forge.Patch) **string { return &p.SquashTitle })
	text(SquashMessage, r.SquashMessage, w.SquashMessage, func(p *forge.Patch) **string { return &p.SquashMessage })
	flag(DeleteBranchOnMerge, r.DeleteBranchOnMerge, w.DeleteBranchOnMerge, func(p *forge.Patch) **bool { return &p.DeleteBranchOnMerge })
	flag(Wiki, r.Wiki, w.Wiki, func(p *forge.Patch) **bool { return &p.Wiki })
	flag(Issues, r.Issues, w.Issues, func(p *forge.Patch) **bool { return &p.Issues })
	flag(Projects, r.Projects, w.Projects, func(p *forge.Patch) **bool { return &p.Projects })
	out = append(out, s.judgeLabels(e, r)...)
	if len(w.Teams) > 0 {
		out = append(out, s.judgeTeams(e, r, survey))
	}
	out = append(out, s.judgeBranch(e, r)...)
	if w.Webhook != nil {
		v := verdict{Cell: Cell{Rule: Webhook, State: OK, Want: onOff(*w.Webhook), From: e.From[Webhook]}}
		if *w.Webhook && !hooked {
			v.State, v.Note = Unknown, "no webhook of this forge arrived in the last seven days"
		}
		out = append(out, v)
	}
	if w.InitialVersion != "" {
		out = append(out, verdict{Cell: Cell{
			Rule: InitialVersion, State: OK, Want: w.InitialVersion, From: e.From[InitialVersion],
			Note: "versions are counted from there; nothing is written",
		}})
	}
	return out
}

func (s *Standard) judgeLabels(e Effective, r forge.Settings) []verdict {
	var out []verdict
	if len(e.Rules.Labels) > 0 {
		v := verdict{Cell: Cell{Rule: Labels, State: OK, From: e.From[Labels]}}
		var have, want []string
		for _, l := range e.Rules.Labels {
			after := forge.Label{Name: l.Name, Color: strings.ToLower(l.Color), Description: l.Description}
			i := slices.IndexFunc(r.Labels, func(o forge.Label) bool { return strings.EqualFold(o.Name, l.Name) })
			if i < 0 {
				if after.Color == "" {
					after.Color = "ededed" // GitHub's own choice
				}
				want = append(want, labelText(after))
				v.labels = append(v.labels, labelWrite{after: after})
				continue
			}
			before := r.Labels[i]
			after.ID = before.ID
			if after.Color == "" {
				after.Color = before.Color
			}
			if before != after {
				have, want = append(have, labelText(before)), append(want, labelText(after))
				v.labels = append(v.labels, labelWrite{before, after})
			}
		}
		v.Have, v.Want = strings.Join(have, ", "), strings.Join(want, ", ")
		out = append(out, settle(v, r, len(v.labels) > 0))
	}
	if p := e.Rules.PruneLabels; p != nil && *p {
		v := verdict{Cell: Cell{Rule: PruneLabels, State: OK, From: e.From[PruneLabels]}}
		var more []string
		for _, l := range r.Labels {
			if !slices.ContainsFunc(e.Rules.Labels, func(o config.Label) bool { return strings.EqualFold(o.Name, l.Name) }) {
				more = append(more, l.Name)
				v.labels = append(v.labels, labelWrite{before: l})
			}
		}
		v.Have, v.Want = strings.Join(more, ", "), "no other labels"
		out = append(out, settle(v, r, len(more) > 0))
	}
	return out
}

// unseen says why a rule cannot be judged; "" when it can.
func unseen(r forge.Settings, rule Rule) string {
	return cmp.Or(r.NotOffered[string(rule)], r.Unknown[partOf(rule)])
}

// settle gives a verdict its state.
func settle(v verdict, r forge.Settings, differs bool) verdict {
	if why := unseen(r, v.Rule); why != "" {
		return verdict{Cell: Cell{Rule: v.Rule, State: Unknown, Note: why, From: v.From}}
	}
	if differs {
		v.State = Drift
	}
	return v
}

func labelText(l forge.Label) string {
	text := l.Name + " #" + l.Color
	if l.Description != "" {
		text += fmt.Sprintf(" %q", l.Description)
	}
	return text
}

func (s *Standard) judgeTeams(e Effective, r forge.Settings, survey forge.Survey) verdict {
	v := verdict{Cell: Cell{Rule: Teams, State: OK, From: e.From[Teams]}}
	var have, want []string
	var notes []string
	differs, asked := false, map[string]bool{}
	for _, team := range slices.Sorted(maps.Keys(e.Rules.Teams)) {
		slug := s.world.SlugOf(team)
		asked[slug] = true
		i := slices.IndexFunc(survey.Teams, func(t forge.Team) bool { return t.Slug == slug })
		if i < 0 {
			continue // a soft one; Check refuses others
		}
		before, after := r.Teams[slug], forge.Permission(e.Rules.Teams[team])
		if before == after {
			continue
		}
		have, want = append(have, slug+" "+orNone(before)), append(want, slug+" "+string(after))
		differs = true
		if only := survey.Teams[i].Permission; only != "" && only != after {
			notes = append(notes, slug+" has "+string(only)+" in all of its repositories: this forge knows no other")
			continue
		}
		v.grants = append(v.grants, grantWrite{survey.Teams[i], before, after})
	}
	v.Have, v.Want = strings.Join(have, ", "), strings.Join(want, ", ")
	var extra []string
	for _, slug := range slices.Sorted(maps.Keys(r.Teams)) {
		if !asked[slug] {
			extra = append(extra, slug+" "+string(r.Teams[slug]))
		}
	}
	if len(extra) > 0 {
		notes = append(notes, "also granted: "+strings.Join(extra, ", "))
	}
	v.Note = strings.Join(notes, "; ")
	return settle(v, r, differs)
}

func orNone(p forge.Permission) string {
	if p == "" {
		return "nothing"
	}
	return string(p)
}

// judgeBranch compares what is in force on the default branch. Reviews and checks
// are at least; the others are as they are set, but only a lack can be put right
// from here: what somebody else's rules demand stays theirs.
func (s *Standard) judgeBranch(e Effective, r forge.Settings) []verdict {
	var out []verdict
	w, in := e.Rules, r.InForce()
	add := func(rule Rule, have, want string, lacking, stricter bool) {
		v := verdict{Cell: Cell{Rule: rule, State: OK, Have: have, Want: want, From: e.From[rule]}}
		v.rules = lacking
		if stricter {
			v.Note = "demanded by " + others(r) + ", which is not ours to change"
		}
		v = settle(v, r, lacking || stricter)
		out = append(out, v)
	}
	if w.RequiredReviews != nil {
		add(RequiredReviews, fmt.Sprint(in.Reviews), fmt.Sprint(*w.RequiredReviews), in.Reviews < *w.RequiredReviews, false)
	}
	if w.RequiredChecks != nil {
		want := s.checks(w.RequiredChecks)
		lacking := slices.ContainsFunc(want, func(c forge.Check) bool { return !demanded(in.Checks, c) })
		add(RequiredChecks, checksText(in.Checks), checksText(want), lacking, false)
	}
	flag := func(rule Rule, have bool, want *bool) {
		if want != nil {
			add(rule, onOff(have), onOff(*want), *want && !have, have && !*want && !oursAlone(r, rule))
		}
	}
	flag(UpToDate, in.UpToDate, w.UpToDate)
	if w.UpToDate != nil && *w.UpToDate && len(w.RequiredChecks) == 0 {
		if v := &out[len(out)-1]; v.State == Drift {
			v.rules, v.Note = false, "takes effect with a required check only"
		}
	}
	flag(LinearHistory, in.LinearHistory, w.LinearHistory)
	flag(SignedCommits, in.SignedCommits, w.SignedCommits)
	return out
}

// oursAlone says that only our own set demands something, so that a new one will
// not.
func oursAlone(r forge.Settings, rule Rule) bool {
	return !slices.ContainsFunc(r.Rules, func(set forge.Ruleset) bool { return !ours(set) && demands(set.Demands, rule) })
}

func demands(d forge.Demands, rule Rule) bool {
	switch rule {
	case UpToDate:
		return d.UpToDate
	case LinearHistory:
		return d.LinearHistory
	case SignedCommits:
		return d.SignedCommits
	}
	return false
}

func others(r forge.Settings) string {
	var names []string
	for _, set := range r.Rules {
		if !ours(set) {
			names = append(names, fmt.Sprintf("%q (%s)", set.Name, set.Scope))
		}
	}
	return strings.Join(names, ", ")
}

// demanded says whether a check is required already. One that is pinned must be
// so there.
func demanded(list []forge.Check, c forge.Check) bool {
	return slices.ContainsFunc(list, func(o forge.Check) bool { return o.Name == c.Name && (c.App == 0 || o.App == c.App) })
}

// checks reads the names of checks; New has checked them.
func (s *Standard) checks(names []string) []forge.Check {
	var list []forge.Check
	for _, name := range names {
		c, err := parseCheck(name)
		if err != nil {
			continue
		}
		if c.App == 0 && strings.HasPrefix(c.Name, "nightporter/") {
			c.App = s.world.App
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b forge.Check) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func checksText(list []forge.Check) string {
	var words []string
	for _, c := range list {
		word := c.Name
		if c.App != 0 {
			word += fmt.Sprintf("@%d", c.App)
		}
		words = append(words, word)
	}
	if len(words) == 0 {
		return "none"
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

func methods(names []string) []forge.MergeMethod {
	var list []forge.MergeMethod
	for _, n := range names {
		list = append(list, forge.MergeMethod(n))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}
