package releases

import (
	"context"
	"fmt"
	"slices"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
)

// Retry deploys the same version again where it does not run yet: a registry or
// network that failed is not a bad version, and after a rollback the same version
// may be tried again. It lifts the mark "bad". It returns the new run.
func (r *Releases) Retry(ctx context.Context, id string) (string, error) {
	return r.OverrideFreeze("").Retry(ctx, id)
}

// Retry is [Releases.Retry] past the freezes of the environments that are left.
func (o Overriding) Retry(ctx context.Context, id string) (string, error) {
	r := o.r
	var rel *Release
	err := r.cfg.Gate.Look(ctx, func(tx *store.Tx) (err error) {
		rel, err = Get(ctx, tx, id)
		return err
	})
	if err != nil {
		return "", err
	}
	if err := o.may(ctx, r.environments(rel)...); err != nil {
		return "", err
	}
	runID := ""
	err = r.change(ctx, Act(rel.Service, r.first(rel), "retry"), id, func(tx *gate.Tx) error {
		rel, err := Get(ctx, tx.Tx, id)
		if err != nil {
			return err
		}
		if !rel.State.Over() {
			return nightporter.E(nightporter.Conflict, "%s %s is still %s", rel.Service, rel.Version, rel.State)
		}
		if rel.State == Healthy {
			return nightporter.E(nightporter.Conflict, "%s %s runs everywhere it should", rel.Service, rel.Version)
		}
		// What is still ending would note its outcome on the new attempt.
		if work, err := run.Get(ctx, tx.Tx, rel.Run); err != nil {
			return err
		} else if !work.State.Over() {
			return nightporter.E(nightporter.Conflict, "the last attempt of %s %s is still ending", rel.Service, rel.Version).
				WithHint("try again in a moment: nightporter run show %s", rel.Run)
		}
		steps, err := r.plan(ctx, tx.Tx, rel)
		if err != nil {
			return err
		}
		if len(steps) == 0 {
			return nightporter.E(nightporter.Conflict, "%s %s runs everywhere it should", rel.Service, rel.Version)
		}
		// A vote was for the attempt that people saw.
		for _, stmt := range []string{`DELETE FROM release_vote WHERE release_id = ?`, `DELETE FROM release_wait WHERE release_id = ?`, `DELETE FROM release_override WHERE release_id = ?`} {
			if _, err := tx.Exec(ctx, stmt, id); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, `DELETE FROM release_bad WHERE service = ? AND version = ?`, rel.Service, rel.Version.String()); err != nil {
			return err
		}
		runID, err = r.cfg.Runs.Start(ctx, tx, run.Spec{Kind: runKind, Subject: nightporter.Resource{Kind: "release", ID: id}, Steps: steps})
		if err != nil {
			return err
		}
		if err := o.write(ctx, tx, id, r.environments(rel)...); err != nil {
			return err
		}
		state := Deploying
		if rel.frozen.Kind == "" {
			state = Building
		}
		tx.Detail("run", runID)
		_, err = tx.Exec(ctx, `UPDATE release SET run_id = ?, state = ?, message = '', updated_at = ? WHERE id = ?`,
			runID, state, store.Micros(tx.Now()), id)
		return err
	})
	return runID, err
}

// environments are those that a release is for.
func (r *Releases) environments(rel *Release) []string {
	if rel.Target != "" {
		return []string{rel.Target}
	}
	return slices.Concat(r.cfg.Catalog.Current().Stages(rel.Service)...)
}

// first is the environment whose path rules acting on a whole release.
func (r *Releases) first(rel *Release) string {
	if rel.Target != "" {
		return rel.Target
	}
	for _, stage := range r.cfg.Catalog.Current().Stages(rel.Service) {
		for _, env := range stage {
			return env
		}
	}
	return "none"
}

// Promote brings a version that was built before into one environment, older or
// newer than what runs there. It lifts the mark "bad". Production still asks for
// its approval. It returns the new release.
func (r *Releases) Promote(ctx context.Context, service, version, environment string) (*Release, error) {
	return r.OverrideFreeze("").Promote(ctx, service, version, environment)
}

// Promote is [Releases.Promote] past a freeze of the environment.
func (o Overriding) Promote(ctx context.Context, service, version, environment string) (*Release, error) {
	r := o.r
	if err := o.may(ctx, environment); err != nil {
		return nil, err
	}
	return r.bring(ctx, service, environment, "promote", Promotion, o, func(tx *gate.Tx) (*Release, error) {
		rel, err := r.built(ctx, tx.Tx, service, version)
		if err != nil {
			return nil, err
		}
		// A person knows better than the mark.
		_, err = tx.Exec(ctx, `DELETE FROM release_bad WHERE service = ? AND version = ?`, service, rel.Version.String())
		return rel, err
	})
}

// Rollback brings back what ran in an environment before: the last version that
// was healthy there and is not the present one. It asks nobody for an approval,
// and marks the present version bad. It returns the new release.
func (r *Releases) Rollback(ctx context.Context, service, environment, reason string) (*Release, error) {
	return r.bring(ctx, service, environment, "rollback", Rollback, Overriding{r: r}, func(tx *gate.Tx) (*Release, error) {
		now, err := PlacementOf(ctx, tx.Tx, service, environment)
		if err != nil {
			return nil, err
		}
		if now == nil {
			return nil, nightporter.E(nightporter.Conflict, "nothing of %s runs in %s", service, environment)
		}
		var version string
		err = tx.QueryRow(ctx, `SELECT d.version FROM release_deploy d
			LEFT JOIN release_bad b ON b.service = d.service AND b.version = d.version
			WHERE d.service = ? AND d.environment = ? AND d.state = 'healthy' AND d.commit_id <> ? AND b.version IS NULL
			ORDER BY d.finished_at DESC LIMIT 1`, service, environment, now.Commit).Scan(&version)
		if store.IsNotFound(err) {
			return nil, nightporter.E(nightporter.Conflict, "no earlier good version of %s is known in %s", service, environment)
		}
		if err != nil {
			return nil, err
		}
		if reason == "" {
			reason = "rolled back by hand"
		}
		tx.Detail("reason", reason)
		_, err = tx.Exec(ctx, `INSERT INTO release_bad (service, version, reason, at) VALUES (?, ?, ?, ?)
			ON CONFLICT (service, version) DO UPDATE SET reason = excluded.reason, at = excluded.at`,
			service, now.Version.String(), fmt.Sprintf("rolled back in %s by %s: %s", environment, nightporter.ActorFrom(ctx).Name, reason), store.Micros(tx.Now()))
		if err != nil {
			return nil, err
		}
		return r.built(ctx, tx.Tx, service, version)
	})
}

func (r *Releases) bring(ctx context.Context, service, environment, verb string, kind Kind, o Overriding, choose func(*gate.Tx) (*Release, error)) (*Release, error) {
	world := r.cfg.Catalog.Current()
	s, ok := world.Service(service)
	if !ok {
		return nil, nightporter.E(nightporter.NotFound, "no service is called %q", service)
	}
	if _, ok := world.Environment(environment); !ok {
		return nil, nightporter.E(nightporter.NotFound, "no environment is called %q", environment)
	}
	var out *Release
	err := r.cfg.Gate.Do(ctx, Act(service, environment, verb), nightporter.Resource{Kind: "service", ID: service}, func(tx *gate.Tx) error {
		from, err := choose(tx)
		if err != nil {
			return err
		}
		rel := &Release{
			Service: s.Name, Repo: from.Repo, Version: from.Version, Commit: from.Commit, Place: from.Place,
			Kind: kind, Target: environment, frozen: from.frozen,
		}
		out = rel
		tx.Detail("environment", environment)
		tx.Detail("version", rel.Version.String())
		if err := r.open(ctx, tx, rel); err != nil {
			return err
		}
		return o.write(ctx, tx, rel.ID, environment)
	})
	return out, err
}

// built finds the release in which a version was built.
func (r *Releases) built(ctx context.Context, tx *store.Tx, service, version string) (*Release, error) {
	v, err := nightporter.ParseVersion(version)
	if err != nil {
		return nil, err
	}
	all, err := query(ctx, tx, `WHERE r.service = ? AND r.version = ? AND r.frozen <> '' ORDER BY r.id DESC LIMIT 1`, service, v.String())
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, nightporter.E(nightporter.NotFound, "no version %s of %s was ever built here", v, service)
	}
	return all[0], nil
}
