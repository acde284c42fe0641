package standard

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter/provider/forge"
)

// TakeBack makes the plan that takes writes back that were made. Only what is still
// as they left it is taken back: what somebody changed since, or is gone, stays
// and is named in the plan's notes. Its cells say what is there and what was
// there before.
func TakeBack(forgeName string, survey forge.Survey, made []Write, now time.Time) *Plan {
	p := &Plan{Forge: forgeName, MadeAt: now.UTC(), Survey: survey.Cost, Repos: []RepoPlan{}, Writes: []Write{}, Counts: map[State]int{}}
	u := undoer{survey: survey, cells: map[string]map[Rule]*Cell{}}
	for _, w := range made {
		back, why := u.back(w)
		if why != "" {
			p.Notes = append(p.Notes, strings.TrimPrefix(w.Repo+": ", ": ")+why+": "+w.Text()+" stays")
			continue
		}
		p.Writes = append(p.Writes, back)
	}
	for _, r := range survey.Repos {
		by := u.cells[r.Name]
		if len(by) == 0 {
			continue
		}
		rp := RepoPlan{Repo: r.Name, Cells: []Cell{}}
		for _, rule := range Rules {
			if c := by[rule]; c != nil {
				rp.Cells = append(rp.Cells, *c)
				p.Counts[Drift]++
			}
		}
		p.Repos = append(p.Repos, rp)
	}
	Sort(p.Writes)
	for i := range p.Writes {
		p.Writes[i].N = i + 1
	}
	p.Price = price(p.Writes)
	return p
}

type undoer struct {
	survey forge.Survey
	cells  map[string]map[Rule]*Cell
}

// note adds to what the plan shows of a rule.
func (u *undoer) note(repo string, rule Rule, have, want string) {
	by := u.cells[repo]
	if by == nil {
		by = map[Rule]*Cell{}
		u.cells[repo] = by
	}
	c := by[rule]
	if c == nil {
		by[rule] = &Cell{Rule: rule, State: Drift, Have: have, Want: want}
		return
	}
	c.Have, c.Want = c.Have+", "+have, c.Want+", "+want
}

// back is the write that takes w back, or why there is none.
func (u *undoer) back(w Write) (back Write, why string) {
	const changed = "it was changed since"
	back = Write{Repo: w.Repo, For: w.For}
	var s forge.Settings
	if w.Repo != "" {
		i := slices.IndexFunc(u.survey.Repos, func(r forge.Settings) bool { return r.Name == w.Repo })
		if i < 0 {
			return back, "the repository is gone"
		}
		s = u.survey.Repos[i]
		for _, rule := range w.For {
			if why := s.Unknown[partOf(rule)]; why != "" {
				return back, "it cannot be seen: " + why
			}
		}
	}
	switch {
	case w.Settings != nil:
		if w.Undo.Settings == nil || !Satisfies(s, *w.Settings) {
			return back, changed
		}
		back.Settings, back.Undo.Settings = w.Undo.Settings, w.Settings
		for _, rule := range w.For {
			u.note(w.Repo, rule, patchText(rule, *w.Settings), patchText(rule, *w.Undo.Settings))
		}
	case w.Label != nil:
		return u.backLabel(back, w, s)
	case w.Grant != nil:
		if s.Teams[w.Grant.Team] != w.Grant.Permission {
			return back, changed
		}
		g := *w.Grant
		g.Permission = w.Undo.Permission
		back.Grant, back.Undo.Permission = &g, w.Grant.Permission
		u.note(w.Repo, w.For[0], g.Team+" "+orNone(w.Grant.Permission), g.Team+" "+orNone(g.Permission))
	default:
		return u.backRules(back, w, s)
	}
	return back, ""
}

func (u *undoer) backLabel(back, w Write, s forge.Settings) (Write, string) {
	const changed = "it was changed since"
	i := slices.IndexFunc(s.Labels, func(l forge.Label) bool { return strings.EqualFold(l.Name, w.Label.Label.Name) })
	c := forge.LabelChange{Repo: w.Repo, RepoID: w.Label.RepoID}
	if w.Label.Remove {
		if i >= 0 || w.Undo.Label == nil {
			return back, changed
		}
		c.Label = *w.Undo.Label
		c.Label.ID = "" // it is made anew
		back.Label = &c
		u.note(w.Repo, w.For[0], "no "+c.Label.Name, labelText(c.Label))
		return back, ""
	}
	if i < 0 || !strings.EqualFold(s.Labels[i].Color, w.Label.Label.Color) || s.Labels[i].Description != w.Label.Label.Description {
		return back, changed
	}
	now := s.Labels[i]
	back.Undo.Label = &now
	if w.Undo.Label == nil {
		c.Label, c.Remove = now, true
		u.note(w.Repo, w.For[0], labelText(now), "no "+now.Name)
	} else {
		c.Label = *w.Undo.Label
		c.Label.ID = now.ID
		u.note(w.Repo, w.For[0], labelText(now), labelText(c.Label))
	}
	back.Label = &c
	return back, ""
}

// backRules takes a set of branch rules back. One that was made is removed, one
// that was replaced or removed is put as it was.
func (u *undoer) backRules(back, w Write, s forge.Settings) (Write, string) {
	const changed = "it was changed since"
	there := s.Rules
	if w.Rules.Scope == forge.OrganisationScope {
		there = u.survey.Rules
	}
	i := slices.IndexFunc(there, func(r forge.Ruleset) bool {
		return r.Scope == w.Rules.Scope && (r.Name == w.Rules.Name || r.Scope == forge.ClassicScope && r.Branch == w.Rules.Branch)
	})
	var now, before forge.Demands
	switch {
	case w.Delete:
		if i >= 0 || w.Undo.Rules == nil {
			return back, changed
		}
		set := *w.Undo.Rules
		set.ID = ""
		back.Rules, before = &set, set.Demands
	case i < 0 || !there[i].Demands.Equal(w.Rules.Demands):
		return back, changed
	case w.Undo.Rules == nil:
		set := there[i]
		back.Rules, back.Delete, back.Undo.Rules, now = &set, true, &set, set.Demands
	default:
		set, is := *w.Undo.Rules, there[i]
		set.ID = is.ID
		back.Rules, back.Undo.Rules, now, before = &set, &is, is.Demands, set.Demands
	}
	for _, rule := range branchRules {
		if have, want := demandText(rule, now), demandText(rule, before); w.Repo != "" && have != want {
			u.note(w.Repo, rule, have, want)
		}
	}
	return back, ""
}

// demandText says one demand as the matrix does.
func demandText(rule Rule, d forge.Demands) string {
	switch rule {
	case RequiredReviews:
		return fmt.Sprint(d.Reviews)
	case RequiredChecks:
		return checksText(d.Checks)
	}
	return onOff(demands(d, rule))
}

// patchText says one setting of a patch as the matrix does.
func patchText(rule Rule, p forge.Patch) string {
	flag := func(b *bool) string {
		if b == nil {
			return ""
		}
		return onOff(*b)
	}
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	switch rule {
	case MergeMethods:
		return join(p.MergeMethods)
	case SquashTitle:
		return text(p.SquashTitle)
	case SquashMessage:
		return text(p.SquashMessage)
	case DeleteBranchOnMerge:
		return flag(p.DeleteBranchOnMerge)
	case Wiki:
		return flag(p.Wiki)
	case Issues:
		return flag(p.Issues)
	case Projects:
		return flag(p.Projects)
	}
	return ""
}

// Satisfies says whether a repository is as a patch wants it.
func Satisfies(s forge.Settings, p forge.Patch) bool {
	is := func(have bool, want *bool) bool { return want == nil || have == *want }
	says := func(have string, want *string) bool { return want == nil || have == *want }
	return is(s.Wiki, p.Wiki) && is(s.Issues, p.Issues) && is(s.Projects, p.Projects) && is(s.DeleteBranchOnMerge, p.DeleteBranchOnMerge) &&
		says(s.SquashTitle, p.SquashTitle) && says(s.SquashMessage, p.SquashMessage) && says(s.DefaultBranch, p.DefaultBranch) &&
		(p.MergeMethods == nil || slices.Equal(s.MergeMethods, p.MergeMethods))
}
