package console

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/outbox"
)

// shownHandled is how much of the last day Home lists; it counts all of it.
const (
	shownHandled = 12
	countHandled = 1000
	week         = 7 * 24 * time.Hour
)

// home answers GET /: what needs a human now?
func (c *Console) home(ctx context.Context, v *visit) (Page, error) {
	l, err := v.layout(ctx, "Home", "Home")
	if err != nil {
		return nil, err
	}
	h := &Home{Layout: l, HandledURL: "/activity"}
	if h.Needs, err = v.needs(ctx); err != nil {
		return nil, err
	}
	rows, err := v.board(ctx)
	if err != nil {
		return nil, err
	}
	summary := summarise(rows)
	h.Calm = calm(summary)
	if h.Figures, err = v.figures(ctx, summary); err != nil {
		return nil, err
	}
	handled, err := v.handled(ctx)
	if err != nil {
		return nil, err
	}
	h.HandledTotal, h.Handled = len(handled), handled[:min(len(handled), shownHandled)]
	return h, nil
}

// calm is what Home says when nothing waits for the person.
func calm(s BoardSummary) string {
	switch {
	case s.Services == 0:
		return "No service is declared yet."
	case s.Behind == 0 && s.Unreleased == s.Services:
		return "No service was released yet."
	case s.Behind == 0:
		return "Everything on main is in production."
	case s.Behind == 1:
		return "One service is on its way to production, or waits for others."
	}
	return sentence(words(s.Behind)) + " services are on their way to production, or wait for others."
}

// figures are the numbers that say how the house is doing. Each is counted, none
// is guessed.
func (v *visit) figures(ctx context.Context, s BoardSummary) ([]Figure, error) {
	if s.Services == 0 {
		return nil, nil
	}
	counts, err := countEvents(ctx, v.tx, v.now.Add(-week))
	if err != nil {
		return nil, err
	}
	behind := Figure{Label: "Production behind main", Value: count(s.Behind), Unit: "of " + things(s.Services, "service", "services"), URL: "/services?show=behind"}
	if !s.Oldest.IsZero() {
		behind.Detail = "oldest change " + span(v.now.Sub(s.Oldest))
	}
	figures := []Figure{
		behind,
		{Label: "Reached production", Value: count(counts[releaseHealthy]), Unit: plural(counts[releaseHealthy], "release", "releases"), Detail: "in 7 days", URL: "/activity?resource=release"},
		{Label: "Rolled back", Value: count(counts[releaseRolledBack]), Unit: plural(counts[releaseRolledBack], "release", "releases"), Detail: "in 7 days, in any environment", URL: "/services?show=failed"},
	}
	if refused := v.refused(); refused != nil && v.runsTheHouse() {
		figures = append(figures, *refused)
	}
	return figures, nil
}

// refused counts the webhooks that could not prove who sent them; nil for none.
func (v *visit) refused() *Figure {
	total, forges := 0, []string(nil)
	for forge, n := range v.c.cfg.Refused() {
		if n > 0 {
			total, forges = total+int(n), append(forges, forge)
		}
	}
	if total == 0 {
		return nil
	}
	slices.Sort(forges)
	return &Figure{Label: "Webhooks refused", Value: count(total), Unit: "with a wrong signature", Detail: strings.Join(forges, ", ") + ", since the start"}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// handled is what the porter did by itself in the last day, newest first.
func (v *visit) handled(ctx context.Context) ([]Handled, error) {
	records, err := eventsSince(ctx, v.tx, v.now.Add(-24*time.Hour), countHandled, versionCut, deployed, releaseHealthy, releaseRolledBack, environmentDown, drillPassed, drillFailed)
	if err != nil {
		return nil, err
	}
	var list []Handled
	for _, r := range records {
		h, err := v.tellHandled(r)
		if err != nil {
			return nil, err
		}
		if h.Text != "" {
			list = append(list, h)
		}
	}
	return list, nil
}

// tellHandled puts an event into words; without any for one that another event
// tells better.
func (v *visit) tellHandled(r outbox.Record) (h Handled, err error) {
	h.At = r.At
	switch r.Name {
	case versionCut:
		e, err := decode[nightporter.VersionCut](r)
		if err != nil {
			return h, err
		}
		h.State, h.Text, h.URL = OK, fmt.Sprintf("%s %s was cut", e.Repo.Name, e.Version), e.Merge.URL
		h.More = "from " + subject(e.Merge)
	case deployed:
		e, err := decode[nightporter.Deployed](r)
		if err != nil {
			return h, err
		}
		if env, _ := v.world.Environment(e.Environment); env.Kind == nightporter.Production {
			return h, nil // ReleaseHealthy tells of it
		}
		h.State, h.Text, h.URL = OK, fmt.Sprintf("%s %s to %s", e.Service, e.Version, e.Environment), "/releases/"+e.Release
	case releaseHealthy:
		e, err := decode[nightporter.ReleaseHealthy](r)
		if err != nil {
			return h, err
		}
		h.State, h.Text, h.URL = OK, fmt.Sprintf("%s %s to %s", e.Service, e.Version, e.Environment), "/releases/"+e.Release
		h.More = things(len(e.Merges), "change", "changes")
		if len(e.ApprovedBy) > 0 {
			h.More += ", approved by " + handles(e.ApprovedBy)
		}
	case releaseRolledBack:
		e, err := decode[nightporter.ReleaseRolledBack](r)
		if err != nil {
			return h, err
		}
		h.State, h.Icon, h.URL, h.More = Failed, IconRolledBack, "/releases/"+e.Release, e.Reason
		h.Text = fmt.Sprintf("%s %s was taken back in %s", e.Service, e.Version, e.Environment)
	case environmentDown:
		e, err := decode[nightporter.EnvironmentDown](r)
		if err != nil {
			return h, err
		}
		h.State, h.Icon, h.Text, h.URL, h.More = Muted, IconAsleep, "Lights out in "+e.Environment, "/environments/"+e.Environment, "nothing of it is left"
	case drillPassed:
		e, err := decode[nightporter.DrillPassed](r)
		if err != nil {
			return h, err
		}
		h.State, h.URL = OK, "/environments/"+e.Environment
		h.Text = fmt.Sprintf("%s was rebuilt in %s", e.Environment, took(max(e.FinishedAt.Sub(e.StartedAt), time.Millisecond)))
		if e.Scratch != "" {
			h.Text, h.More = fmt.Sprintf("%s could be rebuilt in %s", e.Environment, took(max(e.FinishedAt.Sub(e.StartedAt), time.Millisecond))), "a drill beside it"
		}
		if e.FellBackFrom != "" {
			h.State, h.More = Attention, "fell back from "+short(e.FellBackFrom)
		}
	case drillFailed:
		e, err := decode[nightporter.DrillFailed](r)
		if err != nil {
			return h, err
		}
		h.State, h.Text, h.URL, h.More = Failed, e.Environment+" did not come back as it should", "/environments/"+e.Environment, e.Reason
		if e.Scratch != "" {
			h.Text = e.Environment + " would not come back: a drill beside it failed"
		}
	}
	return h, nil
}

// subject names a merge: "#214 by @ana", or its commit.
func subject(m nightporter.Merged) string {
	by := ""
	if len(m.Authors) > 0 {
		by = " by " + handles(m.Authors)
	}
	if m.PullRequest > 0 {
		return fmt.Sprintf("#%d%s", m.PullRequest, by)
	}
	return "commit " + short(m.Commit) + by
}

// short is a commit as people write it.
func short(commit string) string { return commit[:min(len(commit), 7)] }
