package versions

import (
	"context"
	"fmt"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/forge"
)

// StatusContext is the name of our status on pull requests: what a branch rule
// demands.
const StatusContext = "nightporter/version"

// Check puts a status on the head of an open pull request: whether it has
// exactly one version label, and what to do if not. It hears
// [nightporter.PullRequestChanged].
func (v *Versions) Check(ctx context.Context, e nightporter.PullRequestChanged) error {
	f, err := v.forge(e.Repo)
	if err != nil {
		return err
	}
	s := forge.Status{Context: StatusContext, State: forge.Success, TargetURL: v.cfg.Page(e.Repo)}
	bump, problem := Bump(e.Labels)
	if problem != "" {
		s.State, s.Description = forge.Failure, problem
	} else if s.Description, err = v.describe(ctx, e.Repo, bump); err != nil {
		return err
	}
	if err := f.SetStatus(ctx, e.Repo.Name, e.Head, s); err != nil {
		return fmt.Errorf("mark #%d of %s: %w", e.Number, e.Repo, err)
	}
	return nil
}

// describe says what the version would become, as far as the ledger knows.
func (v *Versions) describe(ctx context.Context, repo nightporter.Repo, bump nightporter.Bump) (text string, err error) {
	var last *nightporter.Version
	err = v.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		last, err = highest(ctx, tx, repo)
		return err
	})
	if err != nil || last == nil {
		return string(bump), err
	}
	return Describe(bump, *last, next(last, bump, v.cfg.Rules())), nil
}
