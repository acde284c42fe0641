package releases

import (
	"context"
	"fmt"

	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
)

// tagger moves the tag that is named like the environment to what runs there, so
// that git alone can answer "what is in production".
type tagger struct{ r *Releases }

// Start moves the tag to what runs there now, which may be newer than the step's
// own release: two releases that follow each other quickly tag in any order. It
// looks again afterwards, so that whoever moves the tag last has seen the last
// deployment.
func (g *tagger) Start(ctx context.Context, t run.Task) (string, error) {
	var in stepInput
	if err := t.Decode(&in); err != nil {
		return "", err
	}
	rel, _, err := g.r.load(ctx, t)
	if err != nil {
		return "", err
	}
	f := g.r.cfg.Forges[rel.Repo.Forge]
	if f == nil {
		return "no forge", nil
	}
	for tagged := ""; ; {
		runs, err := g.runs(ctx, rel.Service, in.Environment)
		if err != nil {
			return "", err
		}
		if runs == "" || runs == tagged {
			return in.Environment + " is " + tagged[:min(7, len(tagged))], nil
		}
		if err := f.MoveTag(ctx, rel.Repo.Name, in.Environment, runs); err != nil {
			return "", fmt.Errorf("move the tag %s of %s: %w", in.Environment, rel.Repo, err)
		}
		tagged = runs
	}
}

// runs is the commit that an environment runs of a service, or "".
func (g *tagger) runs(ctx context.Context, service, environment string) (commit string, err error) {
	err = g.r.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		p, err := PlacementOf(ctx, tx, service, environment)
		if p != nil {
			commit = p.Commit
		}
		return err
	})
	return commit, err
}

func (g *tagger) Observe(_ context.Context, _ run.Task, token string) (run.Observation, error) {
	return run.Observation{State: run.Succeeded, Message: token}, nil
}

// Cancel has nothing to end.
func (g *tagger) Cancel(context.Context, run.Task, string) error { return nil }
