package console

import (
	"fmt"
	"slices"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/releases"
	"nightporter.dev/nightporter/versions"
)

// mainOf is what the default branch has, as far as the ledger knows.
func mainOf(row *releases.Row, ledger []versions.Row) MainCell {
	m := MainCell{}
	for _, l := range ledger {
		if l.State == versions.Rides {
			m.Unversioned++
			continue
		}
		if l.State == versions.Cut {
			m.Version, m.Commit, m.URL, m.At = l.Version, short(l.Commit), l.Merge.URL, l.Merge.MergedAt
			break
		}
	}
	if m.Version == "" { // production has all of it, or the ledger began later
		for _, cell := range row.Environments {
			if m.Version == "" || older(m.Version, cell.Version) {
				m.Version, m.Commit, m.At = cell.Version, short(cell.Commit), cell.Since
			}
		}
	}
	return m
}

// behindOf is how far production is behind, with the changes newest first.
func behindOf(row *releases.Row, ledger []versions.Row) Behind {
	p := row.Production
	if !p.Released {
		text := "never released"
		if p.Behind > 0 {
			text = things(p.Behind, "change", "changes") + ", never released"
		}
		return Behind{Text: text, Count: p.Behind, Oldest: p.OldestUnreleased, Changes: changesOf(p, ledger)}
	}
	return Behind{Known: true, Count: p.Behind, Oldest: p.OldestUnreleased, Changes: changesOf(p, ledger)}
}

// changesOf lists the newest of what production does not have. The board's own
// list is of the oldest; where it is cut short, the ledger's is taken.
func changesOf(p releases.Production, ledger []versions.Row) []Change {
	if p.Behind > len(p.Changes) {
		var list []Change
		for _, l := range ledger[:min(len(ledger), p.Behind)] {
			list = append(list, changeOf(l))
		}
		return list
	}
	return withLabels(p.Changes, ledger)
}

// withLabels turns what a release knows of its merges, oldest first, into what a
// page shows of them, newest first: the ledger knows the labels.
func withLabels(list []releases.Change, ledger []versions.Row) []Change {
	out := make([]Change, 0, len(list))
	for _, c := range slices.Backward(list) {
		change := Change{
			Number: c.PullRequest, Title: c.Title, URL: c.URL, Authors: c.Authors, Version: c.Version, Commit: short(c.Commit), Merged: c.MergedAt,
		}
		if i := slices.IndexFunc(ledger, func(l versions.Row) bool { return l.Commit == c.Commit }); i >= 0 {
			change = changeOf(ledger[i])
		}
		out = append(out, change)
	}
	return out
}

// changeOf is a line of the ledger as a page shows it.
func changeOf(l versions.Row) Change {
	c := Change{
		Number: l.Merge.PullRequest, Title: l.Merge.Title, URL: l.Merge.URL, Authors: l.Merge.Authors, Bump: nightporter.Bump(l.Bump),
		Version: l.Version, Commit: short(l.Commit), Merged: l.Merge.MergedAt,
	}
	if l.Flag != "" {
		c.Flags, c.Bump = []string{"no label: counted as " + l.Bump}, ""
		if l.Version == "" {
			c.Flags = []string{"no label: rides with the next version"}
		}
	}
	return c
}

// cellOf is what one environment runs. What a cell says is what was seen: an
// environment that was never looked at is not healthy.
func cellOf(e nightporter.Environment, cell releases.Cell, row *releases.Row, main string) Cell {
	c := Cell{
		Environment: e.Name, Kind: e.Kind, Version: cell.Version, Commit: short(cell.Commit), Since: cell.Since,
		Behind: older(cell.Version, main),
	}
	if cell.Release != "" {
		c.URL = "/releases/" + cell.Release
	}
	coming := ""
	if row.Release != nil {
		coming = row.Release.Version.String()
	}
	switch cell.State {
	case "none":
		c.State, c.Word = Muted, "never"
	case "healthy":
		c.State, c.Word = OK, "healthy"
	case releases.Down:
		c.State, c.Word, c.Note = Failed, "down", cell.Message
	case releases.Unwell:
		c.State, c.Word, c.Note = Failed, "unhealthy", cell.Message
	case "asleep":
		c.State, c.Icon, c.Word = Muted, IconAsleep, "asleep"
	case "waiting_for_environment":
		c.State, c.Icon, c.Word, c.Note = Muted, IconAsleep, "asleep", coming+" waits for the morning"
	case string(releases.WaitingForArtifact):
		c.State, c.Word, c.Note = OK, "healthy", coming+" waits for its artifact"
		if cell.Version == "" {
			c.State, c.Word = Muted, "never"
		}
	case "deploying":
		c.State, c.Word, c.Since = Running, "deploying "+coming, row.Release.UpdatedAt
	case string(releases.Waiting):
		c.State, c.Word = OK, "healthy"
		if cell.Version == "" {
			c.State, c.Word = Muted, "never"
		}
		c.Note = coming + " waits"
	case string(releases.Held):
		c.State, c.Word, c.Note = OK, "healthy", coming+" is held"
		if cell.Version == "" {
			c.State, c.Word = Muted, "never"
		}
	case string(releases.RolledBack):
		c.State, c.Icon, c.Word, c.Since, c.Note = Failed, IconRolledBack, "rolled back", row.Release.UpdatedAt, coming+" failed here"
	case string(releases.Broken):
		c.State, c.Word, c.Since, c.Note = Failed, "failed", row.Release.UpdatedAt, coming+" failed here"
	default:
		c.State, c.Word = Unknown, strings.ReplaceAll(cell.State, "_", " ")
	}
	return c
}

// badges are the states of a release in a word.
var badges = map[releases.State]Badge{
	releases.Building:  {State: Running, Word: "building"},
	releases.Deploying: {State: Running, Word: "deploying"},

	releases.WaitingForArtifact: {State: Attention, Word: "waits for its artifact", Icon: IconWaiting},
	releases.Waiting:            {State: Attention, Word: "waits for approval", Icon: IconWaiting},
	releases.Held:               {State: Attention, Word: "on hold", Icon: IconHold},
	releases.Healthy:            {State: OK, Word: "released"},
	releases.RolledBack:         {State: Failed, Word: "rolled back", Icon: IconRolledBack},
	releases.Broken:             {State: Failed, Word: "failed"},
	releases.Rejected:           {State: Muted, Word: "rejected"},
	releases.Superseded:         {State: Muted, Word: "superseded"},
	releases.Cancelled:          {State: Muted, Word: "cancelled"},
}

// statusOf says what the row's release does or waits for, and where to go.
func statusOf(row *releases.Row, r *BoardRow) {
	rel := row.Release
	switch {
	case rel != nil:
		r.Status, r.Since = badges[rel.State], rel.UpdatedAt
		r.Act = &Link{Text: "Open " + rel.Version.String(), URL: "/releases/" + rel.ID}
		switch rel.State {
		case releases.Building, releases.Deploying:
			r.Status.Word += " " + rel.Version.String()
			r.Act = nil
		case releases.Waiting:
			r.Act.Text = "Review " + rel.Version.String()
		case releases.RolledBack, releases.Broken:
			r.Note, r.Act.Text = rel.Message, "See why"
		default:
			r.Note = rel.Message
		}
	case row.Production.Behind > 0:
		r.Status = Badge{State: Muted, Word: "behind main"}
	case !row.Production.Released:
		r.Status, r.Note = Badge{State: Muted, Word: "no release yet"}, "merge with a label"
	default:
		r.Status = Badge{State: OK, Word: "in production"}
	}
	if h := row.Hold; h != nil {
		r.Note = fmt.Sprintf("@%s: %s", h.Person, h.Reason)
		if rel == nil || rel.State == releases.Held || rel.State == releases.Waiting {
			r.Status, r.Since = Badge{State: Attention, Word: "on hold", Icon: IconHold}, h.At
			r.Act = &Link{Text: "Open", URL: r.URL}
		}
	}
}
