package releases

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/deploy"
)

// State is where a release stands.
type State string

// The states of a release.
const (
	Building State = "building"
	// WaitingForArtifact is for CI's word that what is deployed exists.
	WaitingForArtifact State = "waiting_for_artifact"
	Deploying          State = "deploying"
	Waiting            State = "waiting"     // for an approval
	Held               State = "held"        // for the end of a hold or a freeze
	Healthy            State = "healthy"     // runs everywhere it should
	RolledBack         State = "rolled_back" // was unhealthy somewhere; what ran before runs again
	Broken             State = "failed"      // could not be built or deployed
	Rejected           State = "rejected"    // a person said no
	Superseded         State = "superseded"  // a newer one took its place while it waited
	Cancelled          State = "cancelled"
)

// Over says that the release will not move by itself any more.
func (s State) Over() bool {
	switch s {
	case Building, WaitingForArtifact, Deploying, Waiting, Held:
		return false
	}
	return true
}

// Kind says why there is a release.
type Kind string

// The kinds of release.
const (
	OfMerge   Kind = "merge"    // a version was cut
	Promotion Kind = "promote"  // a person wants a version in one environment
	Rollback  Kind = "rollback" // a person wants the version before
)

// Release is one version of one service on its way.
type Release struct {
	ID      string              `json:"id"`
	Service string              `json:"service"`
	Repo    nightporter.Repo    `json:"repo"`
	Version nightporter.Version `json:"version"`
	Commit  string              `json:"commit"`
	// Place is the commit's place on the default branch, for comparing.
	Place int64 `json:"place"`
	Kind  Kind  `json:"kind"`
	// Target is the one environment of a promotion or rollback; "" means the
	// whole pipeline.
	Target    string    `json:"target,omitempty"`
	State     State     `json:"state"`
	Message   string    `json:"message,omitempty"`
	Bad       string    `json:"bad,omitempty"` // why the version is marked bad
	Run       string    `json:"run"`
	Cause     string    `json:"cause,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`

	frozen Frozen
}

// Frozen is everything that a deployment needs and that must be the same in
// every environment. It is fixed once, when the release is built.
type Frozen struct {
	Kind     string            `json:"kind"` // of the deploy target
	Artifact deploy.Artifact   `json:"artifact,omitempty"`
	Command  []string          `json:"command,omitempty"`
	Env      map[string]string `json:"env,omitempty"` // never secrets
	Health   deploy.Health     `json:"health"`
	Drain    time.Duration     `json:"drain,omitempty"`
	// Timeout is how long the build, or the command that deploys, may take.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Image is what a command deploys; Artifact then holds its program.
	Image string `json:"image,omitempty"`
	// Dir and Actions are a command's folder and what it can do.
	Dir     string   `json:"dir,omitempty"`
	Actions []string `json:"actions,omitempty"`
	// Chart is what helm installs; nil for others.
	Chart *deploy.Chart `json:"chart,omitempty"`
}

// Get reads a release; not_found when there is none.
func Get(ctx context.Context, tx *store.Tx, id string) (*Release, error) {
	list, err := query(ctx, tx, `WHERE r.id = ?`, id)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, nightporter.E(nightporter.NotFound, "there is no release %s", id)
	}
	return list[0], nil
}

// Filter says which releases to list. Empty fields match everything.
type Filter struct {
	Service string
	State   State
	After   string // id of the last one seen
	Limit   int    // 0 means 100
}

// List reads releases, newest first.
func List(ctx context.Context, tx *store.Tx, f Filter) ([]*Release, error) {
	where, args := `WHERE 1 = 1`, []any{}
	if f.Service != "" {
		where, args = where+` AND r.service = ?`, append(args, f.Service)
	}
	if f.State != "" {
		where, args = where+` AND r.state = ?`, append(args, string(f.State))
	}
	if f.After != "" {
		where, args = where+` AND r.id < ?`, append(args, f.After)
	}
	if f.Limit <= 0 {
		f.Limit = 100
	}
	return query(ctx, tx, where+` ORDER BY r.id DESC LIMIT ?`, append(args, f.Limit)...)
}

func query(ctx context.Context, tx *store.Tx, where string, args ...any) ([]*Release, error) {
	var out []*Release
	err := tx.Each(ctx, `SELECT r.id, r.service, r.repo, r.version, r.commit_id, r.place, r.kind, r.target, r.state, r.message,
		COALESCE(b.reason, ''), r.frozen, r.run_id, r.cause, r.created_at, r.updated_at
		FROM release r LEFT JOIN release_bad b ON b.service = r.service AND b.version = r.version `+where, args,
		func(scan func(...any) error) error {
			var r Release
			var repo, version, frozen string
			var created, updated int64
			if err := scan(&r.ID, &r.Service, &repo, &version, &r.Commit, &r.Place, &r.Kind, &r.Target, &r.State, &r.Message,
				&r.Bad, &frozen, &r.Run, &r.Cause, &created, &updated); err != nil {
				return err
			}
			if err := r.Repo.UnmarshalText([]byte(repo)); err != nil {
				return err
			}
			if err := r.Version.UnmarshalText([]byte(version)); err != nil {
				return err
			}
			if frozen != "" {
				if err := json.Unmarshal([]byte(frozen), &r.frozen); err != nil {
					return err
				}
			}
			r.CreatedAt, r.UpdatedAt = store.Time(created), store.Time(updated)
			out = append(out, &r)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("read releases: %w", err)
	}
	return out, nil
}

func insert(ctx context.Context, tx *store.Tx, r *Release) (bool, error) {
	frozen := ""
	if r.frozen.Kind != "" {
		b, err := json.Marshal(r.frozen)
		if err != nil {
			return false, fmt.Errorf("encode release %s: %w", r.ID, err)
		}
		frozen = string(b)
	}
	n, err := tx.Exec(ctx, `INSERT INTO release (id, service, repo, version, commit_id, place, kind, target, state, message, frozen,
		run_id, cause, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		r.ID, r.Service, r.Repo.String(), r.Version.String(), r.Commit, r.Place, r.Kind, r.Target, r.State, r.Message, frozen,
		r.Run, r.Cause, store.Micros(r.CreatedAt), store.Micros(r.CreatedAt))
	if err != nil {
		return false, fmt.Errorf("write release %s: %w", r.ID, err)
	}
	return n > 0, nil
}

// set moves a release.
func set(ctx context.Context, tx *store.Tx, id string, s State, message string, now time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE release SET state = ?, message = ?, updated_at = ? WHERE id = ?`, s, message, store.Micros(now), id)
	if err != nil {
		return fmt.Errorf("write release %s: %w", id, err)
	}
	return nil
}

// Placement is what one environment runs of a service, as it was last seen.
type Placement struct {
	Service     string               `json:"service"`
	Environment string               `json:"environment"`
	Version     nightporter.Version  `json:"version"`
	Commit      string               `json:"commit"`
	Place       int64                `json:"place"`
	Release     string               `json:"release"`
	Address     string               `json:"address,omitempty"`
	Since       time.Time            `json:"since"`
	Evidence    nightporter.Evidence `json:"evidence"`
	// Asleep is set while the environment is dark: this is what ran at dusk and
	// runs again at dawn.
	Asleep bool `json:"asleep,omitempty"`
}

// PlacementOf reads what an environment runs of a service; nil for nothing.
func PlacementOf(ctx context.Context, tx *store.Tx, service, environment string) (*Placement, error) {
	all, err := placements(ctx, tx, `WHERE service = ? AND environment = ?`, service, environment)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

func placements(ctx context.Context, tx *store.Tx, where string, args ...any) ([]Placement, error) {
	var out []Placement
	err := tx.Each(ctx, `SELECT service, environment, version, commit_id, place, release_id, address, since, observed_at, source, asleep
		FROM release_placement `+where, args, func(scan func(...any) error) error {
		var p Placement
		var version string
		var since, observed, asleep int64
		if err := scan(&p.Service, &p.Environment, &version, &p.Commit, &p.Place, &p.Release, &p.Address, &since, &observed, &p.Evidence.Source, &asleep); err != nil {
			return err
		}
		p.Asleep = asleep == 1
		p.Since, p.Evidence.ObservedAt = store.Time(since), store.Time(observed)
		if err := p.Version.UnmarshalText([]byte(version)); err != nil {
			return err
		}
		out = append(out, p)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what runs where: %w", err)
	}
	return out, nil
}

// Merges reads the merges of a repository after one place up to another, oldest
// first: what a release brings.
func Merges(ctx context.Context, tx *store.Tx, repo nightporter.Repo, after, upto int64) ([]nightporter.Merged, error) {
	var out []nightporter.Merged
	err := tx.Each(ctx, `SELECT merge FROM release_merge WHERE repo = ? AND place > ? AND place <= ? ORDER BY place`,
		[]any{repo.String(), after, upto}, func(scan func(...any) error) error {
			var s string
			if err := scan(&s); err != nil {
				return err
			}
			out = append(out, nightporter.Merged{})
			return json.Unmarshal([]byte(s), &out[len(out)-1])
		})
	if err != nil {
		return nil, fmt.Errorf("read the merges of %s: %w", repo, err)
	}
	return out, nil
}
