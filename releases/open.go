package releases

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
)

// Record keeps a copy of every merge, with or without a version: the board counts
// them and a release lists them. It hears [nightporter.Merged].
func (r *Releases) Record(ctx context.Context, m nightporter.Merged) error {
	return r.cfg.Gate.Do(ctx, nightporter.Action{Name: "release.record"}, nightporter.Resource{Kind: "repo", ID: m.Repo.String()}, func(tx *gate.Tx) error {
		tx.Detail("commit", m.Commit)
		return record(ctx, tx.Tx, m, "")
	})
}

// record writes a merge, or its version when that is known by now. Merged and
// VersionCut have different listeners, so either may be the first.
func record(ctx context.Context, tx *store.Tx, m nightporter.Merged, version string) error {
	merge, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode merge %s: %w", m.Commit, err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO release_merge (repo, commit_id, place, version, merged_at, merge) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (repo, commit_id) DO UPDATE SET
		version = CASE WHEN excluded.version <> '' THEN excluded.version ELSE release_merge.version END`,
		m.Repo.String(), m.Commit, m.Order, version, store.Micros(m.MergedAt), string(merge))
	if err != nil {
		return fmt.Errorf("write merge %s of %s: %w", m.Commit, m.Repo, err)
	}
	return nil
}

// Open begins a release for every service of the repository. It hears
// [nightporter.VersionCut] and is idempotent on service and commit.
func (r *Releases) Open(ctx context.Context, v nightporter.VersionCut) error {
	for _, s := range r.cfg.Catalog.Current().ServicesOf(v.Repo) {
		err := r.change(ctx, nightporter.Action{Name: "release.open"}, s.Name+"@"+v.Version.String(), func(tx *gate.Tx) error {
			if err := record(ctx, tx.Tx, v.Merge, v.Version.String()); err != nil {
				return err
			}
			return r.open(ctx, tx, &Release{
				Service: s.Name, Repo: v.Repo, Version: v.Version, Commit: v.Commit, Place: v.Merge.Order, Kind: OfMerge,
			})
		})
		if err != nil {
			return fmt.Errorf("open the release of %s %s: %w", s.Name, v.Version, err)
		}
	}
	return nil
}

// open writes a release and starts its run. A release of a merge that exists is
// left alone.
func (r *Releases) open(ctx context.Context, tx *gate.Tx, rel *Release) error {
	rel.ID = r.newID(tx.Now())
	rel.State, rel.CreatedAt, rel.Cause = Building, tx.Now(), nightporter.ActorFrom(ctx).Cause()
	steps, err := r.plan(ctx, tx.Tx, rel)
	if err != nil {
		return err
	}
	if rel.frozen.Kind != "" {
		rel.State = Deploying
	}
	if rel.Kind == OfMerge {
		var there string
		err := tx.QueryRow(ctx, `SELECT id FROM release WHERE service = ? AND commit_id = ? AND kind = ?`, rel.Service, rel.Commit, OfMerge).Scan(&there)
		if err == nil {
			return nil
		}
		if !store.IsNotFound(err) {
			return err
		}
	}
	rel.Run, err = r.cfg.Runs.Start(ctx, tx, run.Spec{
		Kind: runKind, Subject: nightporter.Resource{Kind: "release", ID: rel.ID}, Steps: steps,
	})
	if err != nil {
		return err
	}
	if _, err := insert(ctx, tx.Tx, rel); err != nil {
		return err
	}
	tx.Detail("release", rel.ID)
	tx.Detail("run", rel.Run)
	tx.Publish(nightporter.ReleaseOpened{Release: rel.ID, Service: rel.Service, Version: rel.Version, Commit: rel.Commit})
	return nil
}

// stepInput is what every step of a release is given.
type stepInput struct {
	Release     string `json:"release"`
	Environment string `json:"environment,omitempty"`
	// Back is set on a step that brings back what ran before: the release
	// that it belonged to.
	Back string `json:"back,omitempty"`
}

// plan lists the steps that a release still needs: environments that already run
// it are left out.
func (r *Releases) plan(ctx context.Context, tx *store.Tx, rel *Release) ([]run.StepSpec, error) {
	world := r.cfg.Catalog.Current()
	service, ok := world.Service(rel.Service)
	if !ok {
		return nil, nightporter.E(nightporter.NotFound, "no service is called %q", rel.Service)
	}
	var steps []run.StepSpec
	var gateway []string // what the next stage stands after
	if rel.frozen.Kind == "" {
		var after []string
		if service.Artifact.WaitForAPI || service.Artifact.WaitForCheck != "" {
			steps = append(steps, run.StepSpec{Name: stepArtifact, Kind: kindArrival, Input: stepInput{Release: rel.ID}})
			after = []string{stepArtifact}
		}
		steps = append(steps, run.StepSpec{
			Name: "build", Kind: kindBuild, Input: stepInput{Release: rel.ID}, After: after,
			// The provider ends a build that takes too long; the rest is for the checkout.
			Within: expected(service).timeout() + 5*time.Minute, Attempts: 3,
		})
		gateway = []string{"build"}
	}
	stages := world.Stages(rel.Service)
	if rel.Target != "" {
		stages = [][]string{{rel.Target}}
	}
	for _, stage := range stages {
		var done []string
		for _, env := range stage {
			p, err := PlacementOf(ctx, tx, rel.Service, env)
			if err != nil {
				return nil, err
			}
			if p != nil && p.Commit == rel.Commit && rel.Target == "" {
				steps = append(steps, r.tagStep(rel, env)...)
				continue
			}
			specs := r.stageSteps(world, service, rel, env, gateway)
			steps = append(steps, specs...)
			done = append(done, "deploy "+env)
		}
		if len(done) > 0 {
			gateway = done
		}
	}
	return steps, nil
}

// stageSteps are the steps that bring a release into one environment.
func (r *Releases) stageSteps(world *catalog.World, service catalog.Service, rel *Release, env string, after []string) []run.StepSpec {
	input := stepInput{Release: rel.ID, Environment: env}
	var steps []run.StepSpec
	e, _ := world.Environment(env)
	// Production always passes the gate, where holds are seen even when no
	// approval is needed. A rollback does not wait for anybody.
	if rel.Kind != Rollback && (e.Kind == nightporter.Production || world.ApprovalFor(rel.Service, env).Needed()) {
		steps = append(steps, run.StepSpec{Name: "approve " + env, Kind: kindApprove, Input: input, After: after})
		after = []string{"approve " + env}
	}
	if r.cfg.Night != nil && e.Schedule.Windows != "" {
		steps = append(steps, run.StepSpec{Name: "await " + env, Kind: kindAwait, Input: input, After: after})
		after = []string{"await " + env}
	}
	frozen := rel.frozen
	if frozen.Kind == "" {
		frozen = expected(service)
	}
	steps = append(steps, run.StepSpec{
		Name: "deploy " + env, Kind: kindDeploy, Input: input, After: after, Holds: holds(rel.Service, env),
		Within: frozen.within(), Attempts: 3,
	})
	return append(steps, r.tagStep(rel, env, "deploy "+env)...)
}

// tagStep moves an environment's tag, also when another environment of the stage
// has failed the release meanwhile.
func (r *Releases) tagStep(rel *Release, env string, after ...string) []run.StepSpec {
	if r.cfg.Forges[rel.Repo.Forge] == nil {
		return nil
	}
	return []run.StepSpec{{
		Name: "tag " + env, Kind: kindTag, Input: stepInput{Release: rel.ID, Environment: env}, After: after, Always: true,
	}}
}

// holds are what a deployment takes: the environment together with others, the
// service in it alone.
func holds(service, env string) []run.Hold {
	return []run.Hold{{Name: "environment/" + env, Shared: true}, {Name: "service/" + service + "@" + env}}
}

// newID makes an id that sorts after every earlier one. It belongs to the gate's
// committer: only functions of changes call it.
func (r *Releases) newID(now time.Time) string {
	r.lastID = max(r.lastID+1, now.UnixMicro())
	var b [3]byte
	rand.Read(b[:])
	return fmt.Sprintf("rel_%014x%x", r.lastID, b)
}
