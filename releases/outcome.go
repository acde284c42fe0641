package releases

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
)

// outcome moves the release on when one of its steps is over. It runs in the
// transaction that ends the step.
func (r *Releases) outcome(ctx context.Context, c *run.Change, s *run.Step) error {
	var in stepInput
	if err := json.Unmarshal(s.Input, &in); err != nil {
		return fmt.Errorf("read the input of step %q: %w", s.Name, err)
	}
	rel, err := Get(ctx, c.Tx.Tx, in.Release)
	if err != nil {
		return err
	}
	failed := s.State != run.Succeeded
	switch s.Kind {
	case kindBuild:
		if failed {
			if err := r.markBad(ctx, c, rel, "could not be built: "+s.Message); err != nil {
				return err
			}
			return set(ctx, c.Tx.Tx, rel.ID, Broken, "could not be built: "+s.Message, c.Now())
		}
		_, err := c.Exec(ctx, `UPDATE release SET frozen = ?, state = ?, updated_at = ? WHERE id = ?`,
			string(s.Output), Deploying, store.Micros(c.Now()), rel.ID)
		return err
	case kindArrival:
		if failed {
			return set(ctx, c.Tx.Tx, rel.ID, Broken, s.Message, c.Now())
		}
		return set(ctx, c.Tx.Tx, rel.ID, Building, "", c.Now())
	case kindApprove:
		if failed {
			return set(ctx, c.Tx.Tx, rel.ID, Rejected, s.Message, c.Now())
		}
		return set(ctx, c.Tx.Tx, rel.ID, Deploying, "", c.Now())
	case kindDeploy:
		var out deployed
		if err := decodeStep(s, &in, &out); err != nil {
			return err
		}
		return r.deployed(ctx, c, s, rel, in, out)
	case kindTag:
		if failed {
			c.Continue() // the deployment stands; the tag is only a mark
		}
	}
	return nil
}

// decodeStep reads what a step was given, and what it found.
func decodeStep(s *run.Step, in *stepInput, out *deployed) error {
	if err := json.Unmarshal(s.Input, in); err != nil {
		return fmt.Errorf("read the input of step %q: %w", s.Name, err)
	}
	if len(s.Output) > 0 {
		if err := json.Unmarshal(s.Output, out); err != nil {
			return fmt.Errorf("read the outcome of step %q: %w", s.Name, err)
		}
	}
	return nil
}

// deployed notes what a deployment came to.
func (r *Releases) deployed(ctx context.Context, c *run.Change, s *run.Step, rel *Release, in stepInput, out deployed) error {
	before, err := PlacementOf(ctx, c.Tx.Tx, rel.Service, in.Environment)
	if err != nil {
		return err
	}
	previous := ""
	if before != nil {
		previous = before.Commit
	}
	note := func(state string) error {
		_, err := c.Exec(ctx, `INSERT INTO release_deploy (id, release_id, service, environment, version, commit_id, place, state, message,
			previous, started_at, finished_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			fmt.Sprintf("%s/%s/%d", c.Run.ID, s.Name, s.Attempt), rel.ID, rel.Service, in.Environment, rel.Version.String(), rel.Commit,
			rel.Place, state, s.Message, previous, store.Micros(s.StartedAt), store.Micros(c.Now()))
		return err
	}
	switch {
	case s.State != run.Succeeded && out.Older:
		return set(ctx, c.Tx.Tx, rel.ID, Superseded, in.Environment+" runs a newer version", c.Now())
	case s.State != run.Succeeded && in.Back != "":
		// Going back failed too: this needs a person.
		if err := note("failed"); err != nil {
			return err
		}
		return set(ctx, c.Tx.Tx, rel.ID, Broken, "going back in "+in.Environment+" failed: "+s.Message, c.Now())
	case s.State != run.Succeeded:
		return r.rolledBack(ctx, c, s, rel, in, out, before, note)
	}
	if in.Back != "" {
		if rel, err = Get(ctx, c.Tx.Tx, in.Back); err != nil {
			return err
		}
	}
	if err := note("healthy"); err != nil {
		return err
	}
	if err := r.place(ctx, c, rel, in.Environment, out); err != nil {
		return err
	}
	c.Publish(nightporter.Deployed{
		Release: rel.ID, Service: rel.Service, Environment: in.Environment, Version: rel.Version, Commit: rel.Commit,
		At: c.Now(), Evidence: out.Evidence,
	})
	if in.Back != "" {
		return nil
	}
	return r.healthyEverywhere(ctx, c, s, rel, in.Environment, before, out)
}

// place writes what an environment runs now.
func (r *Releases) place(ctx context.Context, c *run.Change, rel *Release, env string, out deployed) error {
	_, err := c.Exec(ctx, `INSERT INTO release_placement (service, environment, repo, version, commit_id, place, release_id, address,
		since, observed_at, source, asleep) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)
		ON CONFLICT (service, environment) DO UPDATE SET repo = excluded.repo, version = excluded.version, commit_id = excluded.commit_id,
		place = excluded.place, release_id = excluded.release_id, address = excluded.address, since = excluded.since,
		observed_at = excluded.observed_at, source = excluded.source, asleep = 0`,
		rel.Service, env, rel.Repo.String(), rel.Version.String(), rel.Commit, rel.Place, rel.ID, out.Address,
		store.Micros(c.Now()), store.Micros(out.Evidence.ObservedAt), out.Evidence.Source)
	if err != nil {
		return fmt.Errorf("write what %s runs of %s: %w", env, rel.Service, err)
	}
	return forgetLife(ctx, c.Tx.Tx, rel.Service, env)
}

// healthyEverywhere ends the release's story when this was the last environment,
// and tells what production got.
func (r *Releases) healthyEverywhere(ctx context.Context, c *run.Change, s *run.Step, rel *Release, env string, before *Placement, out deployed) error {
	e, _ := r.cfg.Catalog.Current().Environment(env)
	if e.Kind == nightporter.Production {
		event := nightporter.ReleaseHealthy{
			Release: rel.ID, Service: rel.Service, Environment: env, Version: rel.Version, Commit: rel.Commit,
			StartedAt: rel.CreatedAt, FinishedAt: c.Now(), Evidence: out.Evidence,
			Kind: string(rel.Kind),
		}
		after := int64(0)
		if before != nil {
			event.Previous, event.PreviousRelease, after = before.Commit, before.Release, before.Place
		}
		var err error
		if event.Merges, err = Merges(ctx, c.Tx.Tx, rel.Repo, after, rel.Place); err != nil {
			return err
		}
		if event.ApprovedBy, err = approvedBy(ctx, c.Tx.Tx, rel.ID, env); err != nil {
			return err
		}
		c.Publish(event)
	}
	more := slices.ContainsFunc(c.Run.Steps, func(o run.Step) bool {
		return o.Kind == kindDeploy && o.N != s.N && !o.State.Over()
	})
	if more || rel.State.Over() { // another environment of the stage was not healthy
		return nil
	}
	return set(ctx, c.Tx.Tx, rel.ID, Healthy, "", c.Now())
}

// rolledBack notes that a version was not healthy, and brings back what ran
// before where that has ended already.
func (r *Releases) rolledBack(ctx context.Context, c *run.Change, s *run.Step, rel *Release, in stepInput, out deployed, before *Placement, note func(string) error) error {
	if err := note("rolled_back"); err != nil {
		return err
	}
	event := nightporter.ReleaseRolledBack{
		Release: rel.ID, Service: rel.Service, Environment: in.Environment, Version: rel.Version, Commit: rel.Commit,
		Reason: s.Message, Served: out.Served, Retryable: out.Retryable, At: c.Now(), Evidence: out.Evidence,
	}
	e, _ := r.cfg.Catalog.Current().Environment(in.Environment)
	event.Production = e.Kind == nightporter.Production
	state, message := RolledBack, fmt.Sprintf("unhealthy in %s: %s", in.Environment, s.Message)
	if before == nil {
		state = Broken // there was nothing to go back to
	} else {
		event.BackTo = before.Commit
	}
	if out.Served && before != nil {
		c.Append(run.StepSpec{
			Name: "go back in " + in.Environment, Kind: kindDeploy, Holds: holds(rel.Service, in.Environment), Within: s.Within, Attempts: 3,
			Input: stepInput{Release: rel.ID, Environment: in.Environment, Back: before.Release},
		})
	}
	c.Publish(event)
	if !out.Retryable {
		if err := r.markBad(ctx, c, rel, message); err != nil {
			return err
		}
	} else {
		message = fmt.Sprintf("could not be deployed to %s: %s", in.Environment, s.Message)
	}
	return set(ctx, c.Tx.Tx, rel.ID, state, message, c.Now())
}

// markBad keeps a version from being promoted by itself. A retry lifts it.
func (r *Releases) markBad(ctx context.Context, c *run.Change, rel *Release, reason string) error {
	_, err := c.Exec(ctx, `INSERT INTO release_bad (service, version, reason, at) VALUES (?, ?, ?, ?)
		ON CONFLICT (service, version) DO UPDATE SET reason = excluded.reason, at = excluded.at`,
		rel.Service, rel.Version.String(), reason, store.Micros(c.Now()))
	if err != nil {
		return fmt.Errorf("mark %s %s bad: %w", rel.Service, rel.Version, err)
	}
	return nil
}

// ended cleans up behind a run, whatever way it ended.
func (r *Releases) ended(ctx context.Context, c *run.Change) error {
	rel, err := Get(ctx, c.Tx.Tx, c.Run.Subject.ID)
	if err != nil {
		return err
	}
	if _, err := c.Exec(ctx, `DELETE FROM release_wait WHERE release_id = ?`, rel.ID); err != nil {
		return err
	}
	if rel.Run != c.Run.ID || rel.State.Over() {
		return nil
	}
	state := Cancelled
	switch c.Run.State {
	case run.Succeeded:
		state = Healthy // nothing was left to deploy
	case run.Failed:
		state = Broken
	}
	return set(ctx, c.Tx.Tx, rel.ID, state, c.Run.Message, c.Now())
}
