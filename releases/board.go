package releases

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/store"
)

// Row is one service on the board.
type Row struct {
	Service string           `json:"service"`
	Owner   string           `json:"owner"`
	Repo    nightporter.Repo `json:"repo"`
	// Environments holds every environment of the service's pipeline.
	Environments map[string]Cell `json:"environments"`
	Production   Production      `json:"production"`
	// Release is the newest release that is not over, or that ended badly.
	Release *Release `json:"release,omitempty"`
	Hold    *Hold    `json:"hold,omitempty"`
}

// Cell is what one environment runs of a service.
type Cell struct {
	Version string    `json:"version,omitempty"`
	Commit  string    `json:"commit,omitempty"`
	State   string    `json:"state"` // none, healthy, down, unhealthy, unknown, asleep, waiting_for_environment, waiting_for_artifact, deploying, waiting, held, rolled_back, failed
	Since   time.Time `json:"since,omitzero"`
	Release string    `json:"release,omitempty"`
	// Frozen is set while no deployment to the environment starts.
	Frozen *Freeze `json:"frozen,omitempty"`
	// Message says what is wrong with what runs there.
	Message string `json:"message,omitempty"`
	// Evidence is the look that the state comes from.
	Evidence *nightporter.Evidence `json:"evidence,omitempty"`
}

// Production says how far production is behind main.
type Production struct {
	Behind           int       `json:"behind"`                     // merges
	OldestUnreleased time.Time `json:"oldest_unreleased,omitzero"` // when the oldest of them was merged
	Changes          []Change  `json:"changes"`                    // the first of them, oldest first
	// Released is false for a service that was never in production.
	Released bool `json:"released"`
}

// Change is one merge that production does not have.
type Change struct {
	Commit      string    `json:"commit"`
	PullRequest int       `json:"pull_request,omitempty"`
	Title       string    `json:"title"`
	URL         string    `json:"url,omitempty"`
	Authors     []string  `json:"authors,omitempty"`
	Version     string    `json:"version,omitempty"`
	MergedAt    time.Time `json:"merged_at"`
}

// shownChanges is how many changes a row lists: the number behind counts all.
const shownChanges = 20

// Board answers what runs where and how far production is behind, for all
// services of the world, from our own records alone: a handful of queries
// whatever the number of services, and no request to a forge.
func Board(ctx context.Context, tx *store.Tx, world *catalog.World) ([]Row, error) {
	b := board{world: world, rows: map[string]*Row{}}
	var out []*Row
	for _, s := range world.Services() {
		row := &Row{Service: s.Name, Owner: s.Owner, Repo: s.Repo, Environments: map[string]Cell{}}
		for _, stage := range world.Stages(s.Name) {
			for _, env := range stage {
				row.Environments[env] = Cell{State: "none"}
			}
		}
		row.Production.Changes = []Change{}
		b.rows[s.Name] = row
		out = append(out, row)
	}
	for _, fill := range []func(context.Context, *store.Tx) error{b.placements, b.lives, b.releases, b.behind, b.holds} {
		if err := fill(ctx, tx); err != nil {
			return nil, fmt.Errorf("read the board: %w", err)
		}
	}
	rows := make([]Row, len(out))
	for i, r := range out {
		rows[i] = *r
	}
	return rows, nil
}

type board struct {
	world *catalog.World
	rows  map[string]*Row
	// places is where production stands, by service.
	places map[string]int64
}

func (b *board) placements(ctx context.Context, tx *store.Tx) error {
	all, err := placements(ctx, tx, ``)
	if err != nil {
		return err
	}
	b.places = map[string]int64{}
	for _, p := range all {
		row := b.rows[p.Service]
		if row == nil {
			continue
		}
		if _, ok := row.Environments[p.Environment]; !ok {
			continue
		}
		state := "healthy"
		if p.Asleep {
			state = "asleep"
		}
		row.Environments[p.Environment] = Cell{
			Version: p.Version.String(), Commit: p.Commit, State: state, Since: p.Since, Release: p.Release, Evidence: &p.Evidence,
		}
		if e, _ := b.world.Environment(p.Environment); e.Kind == nightporter.Production {
			if have, ok := b.places[p.Service]; !ok || p.Place < have {
				b.places[p.Service] = p.Place // the furthest behind counts
			}
			row.Production.Released = true
		}
	}
	return nil
}

// releases adds what is on its way, and what went wrong last.
func (b *board) releases(ctx context.Context, tx *store.Tx) error {
	all, err := query(ctx, tx, `JOIN (SELECT service AS s, MAX(id) AS newest FROM release GROUP BY service) n ON n.newest = r.id`)
	if err != nil {
		return err
	}
	for _, rel := range all {
		row := b.rows[rel.Service]
		if row == nil || rel.State == Healthy || rel.State == Superseded {
			continue
		}
		row.Release = rel
	}
	// The cell of the environment that a release works on shows it.
	return tx.Each(ctx, `SELECT r.service, s.name, s.state, r.state, r.version, r.id FROM release r
		JOIN (SELECT service AS sv, MAX(id) AS newest FROM release GROUP BY service) n ON n.newest = r.id
		JOIN run_step s ON s.run_id = r.run_id
		WHERE (s.state IN ('starting', 'running', 'waiting', 'failed') OR s.state = 'pending' AND s.not_before > 0) AND r.state NOT IN ('healthy', 'superseded')`,
		nil, func(scan func(...any) error) error {
			var service, step, state, release, version, id string
			if err := scan(&service, &step, &state, &release, &version, &id); err != nil {
				return err
			}
			row := b.rows[service]
			if row == nil {
				return nil
			}
			for env, cell := range row.Environments {
				ill := cell.State == Down || cell.State == Unwell
				switch {
				case step == "deploy "+env && state == "failed":
					cell.State = release
				case step == stepArtifact && state == "waiting" && b.first(service, env):
					cell.State = string(WaitingForArtifact)
				case step == "deploy "+env && state == "pending": // frozen
					cell.State = string(Held)
				case step == "deploy "+env:
					cell.State = "deploying"
				case step == "await "+env && state == "waiting":
					cell.State = "waiting_for_environment"
				case step == "approve "+env && (release == string(Waiting) || release == string(Held)):
					cell.State = release
				default:
					continue
				}
				if ill && cell.State != "deploying" {
					continue // that something waits must not hide it
				}
				row.Environments[env] = cell
			}
			return nil
		})
}

// first says whether an environment is in the first stage of a service.
func (b *board) first(service, env string) bool {
	stages := b.world.Stages(service)
	return len(stages) > 0 && slices.Contains(stages[0], env)
}

// behind counts the merges that production does not have. In the steady state
// that is one query: only repositories whose newest merge is not in production are
// asked for their merges.
func (b *board) behind(ctx context.Context, tx *store.Tx) error {
	byRepo, from := map[string][]*Row{}, map[string]int64{}
	for _, row := range b.rows {
		repo := row.Repo.String()
		place := b.places[row.Service] // 0 for one that was never in production
		if len(byRepo[repo]) == 0 || place < from[repo] {
			from[repo] = place
		}
		byRepo[repo] = append(byRepo[repo], row)
	}
	var late []string
	err := tx.Each(ctx, `SELECT repo, MAX(place) FROM release_merge GROUP BY repo`, nil, func(scan func(...any) error) error {
		var repo string
		var newest int64
		if err := scan(&repo, &newest); err != nil {
			return err
		}
		if len(byRepo[repo]) > 0 && newest > from[repo] {
			late = append(late, repo)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, repo := range late {
		if err := b.count(ctx, tx, repo, from[repo], byRepo[repo]); err != nil {
			return err
		}
	}
	return nil
}

// count adds the merges of a repository after a place to the rows that lack them.
func (b *board) count(ctx context.Context, tx *store.Tx, repo string, from int64, rows []*Row) error {
	return tx.Each(ctx, `SELECT place, commit_id, version, merged_at, merge FROM release_merge WHERE repo = ? AND place > ? ORDER BY place`,
		[]any{repo, from}, func(scan func(...any) error) error {
			var commit, version, merge string
			var place, mergedAt int64
			if err := scan(&place, &commit, &version, &mergedAt, &merge); err != nil {
				return err
			}
			for _, row := range rows {
				if place <= b.places[row.Service] {
					continue
				}
				p := &row.Production
				if p.Behind++; p.Behind == 1 {
					p.OldestUnreleased = store.Time(mergedAt)
				}
				if len(p.Changes) >= shownChanges {
					continue
				}
				var m nightporter.Merged
				if err := json.Unmarshal([]byte(merge), &m); err != nil {
					return err
				}
				p.Changes = append(p.Changes, Change{
					Commit: commit, PullRequest: m.PullRequest, Title: m.Title, URL: m.URL, Authors: m.Authors,
					Version: version, MergedAt: store.Time(mergedAt),
				})
			}
			return nil
		})
}

func (b *board) holds(ctx context.Context, tx *store.Tx) error {
	all, err := Holds(ctx, tx)
	for _, h := range all {
		if row := b.rows[h.Service]; row != nil {
			row.Hold = &h
		}
	}
	return err
}
