package console

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/releases"
	"nightporter.dev/nightporter/repos"
	"nightporter.dev/nightporter/versions"
)

// flaggedFor is how long a merge without a label is shown. It has its version by
// then, and nothing more can be done about it than to label the next one.
const flaggedFor = 7 * 24 * time.Hour

// urgency orders needs: what is broken, what somebody waits for, what nobody can
// see, what is only odd.
type urgency int

const (
	broken urgency = iota
	waitsForYou
	blind
	odd
)

// need is a Need with its place.
type need struct {
	Need
	urgency urgency
}

// needs is what only a person may decide, and that concerns this one: the most
// urgent first, the oldest first among equals.
func (v *visit) needs(ctx context.Context) ([]Need, error) {
	if v.mine != nil {
		return v.mine, nil
	}
	rows, err := v.board(ctx)
	if err != nil {
		return nil, err
	}
	var all []need
	for i := range rows {
		all = append(all, v.needsOf(&rows[i])...)
	}
	for _, more := range []func(context.Context) ([]need, error){v.flagged, v.troubles, v.stuckLogins, v.incomplete, v.drifted} {
		list, err := more(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	slices.SortStableFunc(all, func(a, b need) int {
		return cmp.Or(cmp.Compare(a.urgency, b.urgency), a.Since.Compare(b.Since))
	})
	v.mine = make([]Need, len(all))
	for i, n := range all {
		v.mine[i] = n.Need
	}
	return v.mine, nil
}

// needsOf is what one service needs of this person.
func (v *visit) needsOf(row *releases.Row) []need {
	var list []need
	if rel := row.Release; rel != nil {
		n := need{Need: Need{
			ID: rel.ID, Subject: rel.Service + " " + rel.Version.String(), URL: "/releases/" + rel.ID, Owner: row.Owner, Since: rel.UpdatedAt,
		}}
		switch {
		case rel.State == releases.Waiting && v.shouldDecide(row):
			n.State, n.Icon, n.urgency = Attention, IconWaiting, waitsForYou
			n.What, n.Reason = "waits for approval to "+waitsFor(row), v.readiness(row)
			n.Act = &Link{Text: "Review", URL: n.URL}
			list = append(list, n)
		case (rel.State == releases.RolledBack || rel.State == releases.Broken) && v.concerns(row.Owner):
			n.State, n.urgency, n.What, n.Reason = Failed, broken, "failed", rel.Message
			if rel.State == releases.RolledBack {
				n.Icon, n.What = IconRolledBack, "was rolled back"
			}
			n.Act = &Link{Text: "See why", URL: n.URL}
			list = append(list, n)
		}
	}
	if h := row.Hold; h != nil && v.concerns(row.Owner) {
		url := "/services/" + row.Service
		list = append(list, need{urgency: odd, Need: Need{
			ID: "hold-" + row.Service, State: Attention, Icon: IconHold, Subject: row.Service, What: "is on hold", URL: url,
			Reason: "@" + h.Person + ": " + h.Reason, Owner: row.Owner, Since: h.At, Act: &Link{Text: "Open", URL: url},
		}})
	}
	return list
}

// shouldDecide says whether a waiting release is this person's business: they may
// approve it, their team owns it, or it has waited so long that those who run the
// house are told.
func (v *visit) shouldDecide(row *releases.Row) bool {
	env := waitsFor(row)
	if slices.Contains(v.world.Approvers(row.Service, env), v.actor.Name) || slices.Contains(v.world.TeamsOf(v.actor.Name), row.Owner) {
		return true
	}
	patience := 24 * time.Hour
	for _, rung := range v.world.ApprovalFor(row.Service, env).Remind {
		if rung.Who == catalog.Operators {
			patience = rung.After
		}
	}
	return v.runsTheHouse() && v.now.Sub(row.Release.UpdatedAt) >= patience
}

// waitsFor is the environment that a row's release waits to enter, or "".
func waitsFor(row *releases.Row) string {
	for name, cell := range row.Environments {
		if cell.State == string(releases.Waiting) || cell.State == string(releases.Held) {
			return name
		}
	}
	return ""
}

// readiness says what speaks for a release that waits: "6 changes, healthy in
// preprod for 26 h".
func (v *visit) readiness(row *releases.Row) string {
	var healthy []string
	var since time.Time
	for _, stage := range v.world.Stages(row.Service) {
		for _, env := range stage {
			if cell := row.Environments[env]; cell.Version == row.Release.Version.String() && cell.State == "healthy" {
				healthy = append(healthy, env)
				if since.IsZero() || cell.Since.After(since) {
					since = cell.Since
				}
			}
		}
	}
	reason := things(row.Production.Behind, "change", "changes")
	if len(healthy) > 0 {
		reason += ", healthy in " + strings.Join(healthy, " and ")
		if d := v.now.Sub(since); d >= time.Minute {
			reason += " for " + span(d)
		}
	}
	return reason
}

// flagged are the merges that came without exactly one label.
func (v *visit) flagged(ctx context.Context) ([]need, error) {
	rows, err := versions.Flagged(ctx, v.tx, v.now)
	if err != nil {
		return nil, err
	}
	var list []need
	for _, row := range rows {
		services := v.world.ServicesOf(row.Repo)
		i := slices.IndexFunc(services, func(s catalog.Service) bool { return v.concerns(s.Owner) })
		if i < 0 || v.now.Sub(row.At) > flaggedFor {
			continue
		}
		became := "rides with the next version"
		if row.Version != "" {
			became = "counted as patch, became " + row.Version
		}
		url := "/services/" + services[i].Name
		list = append(list, need{urgency: odd, Need: Need{
			ID: "merge-" + row.Commit, State: Attention, Subject: fmt.Sprintf("%s #%d", row.Repo.Name, row.Merge.PullRequest), What: "was merged without a label",
			URL: cmp.Or(row.Merge.URL, url), Reason: became, Owner: handles(row.Merge.Authors), Since: row.At, Act: &Link{Text: "Open", URL: url},
		}})
	}
	return list, nil
}

// troubles are the house's own, for those who run it: forges that do not answer,
// and events that nobody could take.
func (v *visit) troubles(ctx context.Context) ([]need, error) {
	if !v.runsTheHouse() {
		return nil, nil
	}
	forges, err := repos.Forges(ctx, v.tx)
	if err != nil {
		return nil, err
	}
	var list []need
	for _, f := range forges {
		if f.FailingSince.IsZero() {
			continue
		}
		list = append(list, need{urgency: blind, Need: Need{
			ID: "forge-" + f.Name, State: Unknown, Subject: f.Name, What: "does not answer", URL: "/services",
			Reason: "unknown since " + v.shortly(f.FailingSince) + ": " + f.Error, Since: f.FailingSince,
		}})
	}
	parked, err := outbox.ListParked(ctx, v.tx)
	if err != nil {
		return nil, err
	}
	for _, p := range parked {
		url := subjectURL(p.Subject)
		list = append(list, need{urgency: broken, Need: Need{
			ID: fmt.Sprintf("event-%d-%s", p.EventID, p.Listener), State: Failed, Subject: p.Name, What: "of " + p.Subject + " is stuck", URL: url,
			Reason: fmt.Sprintf("%s refused it %d times: %s", p.Listener, p.Attempts, p.Error), Act: &Link{Text: "Look", URL: url},
		}})
	}
	return list, nil
}

// subjectURL is the page about an event's subject: "service/ledger".
func subjectURL(subject string) string {
	kind, id, _ := strings.Cut(subject, "/")
	if url := resourceURL(nightporter.Resource{Kind: kind, ID: id}); url != "" {
		return url
	}
	return "/activity?resource=" + subject
}
