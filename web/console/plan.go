package console

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/repos"
	"nightporter.dev/nightporter/repos/standard"
)

// shownSteps is how many steps of an apply are listed; a large one has hundreds.
const shownSteps = 12

// plan answers GET /repos/plans/{id}.
func (c *Console) plan(ctx context.Context, v *visit) (Page, error) {
	kept, err := repos.GetPlan(ctx, v.tx, v.r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(cmp.Or(v.r.URL.Query().Get("page"), "1"))
	if err != nil || number < 1 || number > 1_000_000 {
		return nil, nightporter.E(nightporter.Invalid, "page is not a page of this plan")
	}
	l, err := v.layout(ctx, "Plan", "Repos")
	if err != nil {
		return nil, err
	}
	p := &PlanPage{Layout: l, ID: kept.ID, Made: kept.MadeAt, Notes: kept.Notes, CLI: "nightporter repo apply " + kept.ID}
	var differ []PlannedRepo
	for _, r := range kept.Repos {
		one := PlannedRepo{ID: fitID(r.Repo), Name: r.Repo, URL: repoURL(nightporter.Repo{Forge: kept.Forge, Name: r.Repo})}
		for _, cell := range r.Cells {
			if cell.State == standard.Drift || cell.State == standard.Unknown {
				one.Rules = append(one.Rules, v.ruleRow(cell))
			}
		}
		if len(one.Rules) > 0 {
			differ = append(differ, one)
		}
	}
	p.Total = len(differ)
	from := min((number-1)*reposPerPage, p.Total)
	to := min(from+reposPerPage, p.Total)
	p.Repos = differ[from:to]
	if p.Total > 0 && to > from {
		p.From, p.To = from+1, to
	}
	if to < p.Total {
		p.Older = planURL(kept.ID) + "?page=" + strconv.Itoa(number+1)
	}
	if number > 1 {
		p.Newer = planURL(kept.ID) + "?page=" + strconv.Itoa(number-1)
	}
	states := v.planWrites(p, kept)
	if kept.Run != "" {
		if p.Run, err = v.applyView(ctx, kept.Run); err != nil {
			return nil, err
		}
	}
	v.planState(p, kept, states)
	v.planFacts(p, kept)
	v.planActs(ctx, p, kept, states)
	return p, nil
}

// planWrites lists what is written for the whole organisation and what was
// refused, and counts the writes by state.
func (v *visit) planWrites(p *PlanPage, kept *repos.KeptPlan) map[repos.WriteState]int {
	states := map[repos.WriteState]int{}
	for _, w := range kept.Writes {
		states[w.State]++
		line := PlannedLine{Badge: writeBadges[w.State], Text: w.Text(), Note: w.Message}
		if w.Repo == "" {
			p.Organisation = append(p.Organisation, line)
		} else {
			line.Text = w.Repo + ": " + line.Text
		}
		if (w.State == repos.Failed || w.State == repos.Dropped) && len(p.Refused) < 100 {
			p.Refused = append(p.Refused, line)
		}
	}
	return states
}

var writeBadges = map[repos.WriteState]Badge{
	repos.Pending: {State: Muted, Word: "not yet"}, repos.Started: {State: Running, Word: "being made"}, repos.Done: {State: OK, Word: "made"},
	repos.Failed: {State: Failed, Word: "refused"}, repos.Dropped: {State: Muted, Word: "dropped"},
}

func (v *visit) planState(p *PlanPage, kept *repos.KeptPlan, states map[repos.WriteState]int) {
	what := "would make "
	if kept.Undoes != "" {
		what = "would take back, with "
	}
	switch {
	case len(kept.Writes) == 0 && p.Total == 0:
		p.Headline, p.Badge = "finds nothing to change", Badge{State: OK, Word: "nothing to do"}
	case len(kept.Writes) == 0:
		p.Headline, p.Badge = "has nothing that it may write", Badge{State: Muted, Word: "nothing to do"}
		if kept.Only != "" {
			p.Banner = &Notice{
				State: Attention, Title: "Nothing is written for one repository alone.", Text: "Branch rules of the organisation hold for all: plan everything to put them right.",
				Link: &Link{Text: "Open the matrix", URL: "/repos"},
			}
		}
	case kept.Run == "":
		p.Headline, p.Badge = what+priceText(kept.Price), Badge{State: Attention, Word: "not applied", Icon: IconWaiting}
	case states[repos.Pending]+states[repos.Started] > 0:
		p.Headline, p.Badge = "is being applied", Badge{State: Running, Word: fmt.Sprintf("%s of %s made", count(states[repos.Done]), count(len(kept.Writes)))}
	case states[repos.Failed] > 0:
		p.Headline, p.Badge = "was applied, and "+things(states[repos.Failed], "write was", "writes were")+" refused", Badge{State: Failed, Word: "refused in part"}
	default:
		p.Headline, p.Badge = "was applied: "+things(states[repos.Done], "change was made", "changes were made"), Badge{State: OK, Word: "applied"}
	}
	if p.Run == nil {
		return
	}
	for _, s := range p.Run.Steps {
		if s.Word == "waiting" && s.Detail != "" {
			p.Banner = &Notice{State: Attention, Title: "It waits.", Text: sentence(s.Detail) + "."}
		}
	}
}

func (v *visit) planFacts(p *PlanPage, kept *repos.KeptPlan) {
	add := func(label, value, url string) {
		if value != "" {
			p.Facts = append(p.Facts, Fact{Label: label, Value: value, URL: url})
		}
	}
	add("Forge", kept.Forge, "")
	add("Kept to", cmp.Or(kept.Only, rulesText(kept.Rules), "everything"), "")
	if kept.Undoes != "" {
		add("Takes back", kept.Undoes, planURL(kept.Undoes))
	}
	add("Price", priceText(kept.Price), "")
	look := things(kept.Survey.Requests, "request", "requests")
	if kept.Survey.Points > 0 {
		look += ", " + things(kept.Survey.Points, "point", "points")
	}
	add("Looking took", look, "")
	add("Run", kept.Run, "")
}

func rulesText(rules []standard.Rule) string {
	var words []string
	for _, r := range rules {
		words = append(words, ruleText(r))
	}
	return strings.Join(words, ", ")
}

// planActs are what this person may do with a plan now.
func (v *visit) planActs(ctx context.Context, p *PlanPage, kept *repos.KeptPlan, states map[repos.WriteState]int) {
	if kept.Run == "" && len(kept.Writes) > 0 {
		if !v.c.cfg.Gate.May(ctx, onPlanAction(kept.ID, "apply")) {
			p.NotYou = "Your policies do not let you apply a plan. Operators may."
			return
		}
		p.Forms = append(p.Forms, Form{
			ID: "apply", URL: planURL(kept.ID) + "/apply", Label: "Apply", Kind: Primary, Key: rand.Text(),
			Explain: "Looks once more, drops what is so already or was changed since, and makes the rest at one write a second.",
			CLI:     "nightporter repo apply " + kept.ID,
		})
	}
	over := states[repos.Pending]+states[repos.Started] == 0
	if kept.Run != "" && over && states[repos.Done] > 0 && v.c.cfg.Gate.May(ctx, onPlanAction(kept.ID, "undo")) {
		p.Forms = append(p.Forms, Form{
			ID: "undo", URL: planURL(kept.ID) + "/undo", Label: "Undo…", Kind: Plain, Key: rand.Text(),
			Explain: "Shows what would take these changes back. What somebody changed since stays. It changes nothing yet.",
			CLI:     "nightporter repo undo " + kept.ID,
		})
	}
}

// applyView is the run of an apply: its last steps, when there are many. A run
// that was forgotten is nil.
func (v *visit) applyView(ctx context.Context, id string) (*RunView, error) {
	r, err := run.Get(ctx, v.tx, id)
	if store.IsNotFound(err) || nightporter.CodeOf(err) == nightporter.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	view := &RunView{Title: "Applying", Started: cmp.Or(r.StartedAt, r.CreatedAt)}
	if r.State.Over() {
		view.Title = "Applied"
	}
	for _, s := range r.Steps {
		view.Steps = append(view.Steps, stepOf(s))
	}
	if n := len(view.Steps); n > shownSteps {
		at := 0
		for i, s := range view.Steps {
			if s.State == Running || s.State == Attention || s.State == Failed {
				at = i
			}
		}
		if r.State.Over() {
			at = n - 1
		}
		from := max(0, min(at-shownSteps/2, n-shownSteps))
		view.Steps = view.Steps[from : from+shownSteps]
		view.Title += fmt.Sprintf(", steps %d to %d of %d", from+1, from+shownSteps, n)
	}
	return view, nil
}
