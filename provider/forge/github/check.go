package github

import (
	"context"

	gh "github.com/google/go-github/v92/github"

	"nightporter.dev/nightporter/provider/forge"
)

var _ forge.Checker = (*Forge)(nil)

// statusPages is how many pages of a commit's statuses are read at most: newest
// first, so that what counts is on the first of them.
const statusPages = 3

// Check implements [forge.Checker]. GitHub Actions reports check runs; older CI
// reports statuses. Both are looked at, and the least good counts.
func (f *Forge) Check(ctx context.Context, repo, commit, name string) (forge.CheckState, error) {
	run, err := f.checkRun(ctx, repo, commit, name)
	if err != nil {
		return forge.CheckState{}, f.fail(ctx, "read the check "+name+" of "+repo, "repository "+repo, checkedCommit(err, repo, commit))
	}
	status, err := f.statusOf(ctx, repo, commit, name)
	if err != nil {
		return forge.CheckState{}, f.fail(ctx, "read the status "+name+" of "+repo, "repository "+repo, checkedCommit(err, repo, commit))
	}
	return worse(run, status), nil
}

// checkedCommit turns the 422 with which GitHub answers for a commit that is not
// there into the contract's error.
func checkedCommit(err error, repo, commit string) error {
	if is422(err) {
		return &forge.NotFoundError{What: "commit " + commit + " of " + repo}
	}
	return err
}

func (f *Forge) checkRun(ctx context.Context, repo, commit, name string) (c forge.CheckState, err error) {
	ctx, cancel := f.within(ctx)
	defer cancel()
	list, _, err := f.rest.Checks.ListCheckRunsForRef(ctx, f.cfg.Organisation, repo, commit, &gh.ListCheckRunsOptions{
		CheckName: &name, Filter: new("latest"), ListOptions: gh.ListOptions{PerPage: 100},
	})
	if err != nil {
		return c, err
	}
	for _, r := range list.CheckRuns {
		if r.GetName() != name {
			continue
		}
		at := r.GetCompletedAt().Time
		if at.IsZero() {
			at = r.GetStartedAt().Time
		}
		c = worse(c, forge.CheckState{State: stateOfRun(r), Description: r.GetOutput().GetTitle(), URL: r.GetHTMLURL(), At: at.UTC()})
	}
	return c, nil
}

// stateOfRun says what a check run came to. Only "success" says that what the
// check makes was made: a run that was skipped or is neutral made nothing.
func stateOfRun(r *gh.CheckRun) forge.StatusState {
	switch {
	case r.GetStatus() != "completed", r.GetConclusion() == "action_required", r.GetConclusion() == "stale":
		return forge.Pending
	case r.GetConclusion() == "success":
		return forge.Success
	case r.GetConclusion() == "startup_failure", r.GetConclusion() == "timed_out":
		return forge.Broken
	}
	return forge.Failure
}

func (f *Forge) statusOf(ctx context.Context, repo, commit, name string) (forge.CheckState, error) {
	opts := &gh.ListOptions{PerPage: 100}
	for range statusPages {
		list, next, err := f.statusPage(ctx, repo, commit, opts)
		if err != nil {
			return forge.CheckState{}, err
		}
		for _, s := range list {
			if s.GetContext() == name {
				return forge.CheckState{
					State: forge.StatusState(s.GetState()), Description: s.GetDescription(), URL: s.GetTargetURL(), At: s.GetUpdatedAt().UTC(),
				}, nil
			}
		}
		if next == 0 {
			break
		}
		opts.Page = next
	}
	return forge.CheckState{}, nil
}

func (f *Forge) statusPage(ctx context.Context, repo, commit string, opts *gh.ListOptions) ([]*gh.RepoStatus, int, error) {
	ctx, cancel := f.within(ctx)
	defer cancel()
	list, resp, err := f.rest.Repositories.ListStatuses(ctx, f.cfg.Organisation, repo, commit, opts)
	if err != nil {
		return nil, 0, err
	}
	return list, resp.NextPage, nil
}

// worse is the check that is further from success; one that nobody reported gives
// way.
func worse(a, b forge.CheckState) forge.CheckState {
	rank := map[forge.StatusState]int{"": 0, forge.Success: 1, forge.Pending: 2, forge.Failure: 3, forge.Broken: 4}
	if rank[b.State] > rank[a.State] {
		return b
	}
	return a
}
