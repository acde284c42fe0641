package github

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	gh "github.com/google/go-github/v92/github"

	"nightporter.dev/nightporter/provider/forge"
)

// within gives one request its time limit.
func (f *Forge) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, f.cfg.Timeout)
}

// CreateTag implements [forge.Tagger]. GitHub makes a reference only when it is
// not there, in one step.
func (f *Forge) CreateTag(ctx context.Context, repo, tag, commit string) error {
	err := f.createRef(ctx, repo, tag, commit)
	if err == nil {
		return nil
	}
	doing := "create tag " + tag + " in " + repo
	if !is422(err) {
		return f.fail(ctx, doing, "repository "+repo, err)
	}
	// The words of a 422 are not a contract. What is on the forge is.
	at, lookup := f.tagged(ctx, repo, tag)
	if lookup == nil {
		return &forge.TagExistsError{Repo: repo, Tag: tag, Commit: at}
	}
	if !is404(lookup) {
		return f.fail(ctx, doing, "repository "+repo, lookup)
	}
	return f.fail(ctx, doing, "", commitMissing(err, repo, commit))
}

// MoveTag implements [forge.Tagger].
func (f *Forge) MoveTag(ctx context.Context, repo, tag, commit string) error {
	doing := "move tag " + tag + " in " + repo
	var err error
	for range 3 { // somebody may make or delete the tag between our two attempts
		if err = f.updateRef(ctx, repo, tag, commit); err == nil {
			return nil
		}
		if !says(err, "Reference does not exist") {
			break
		}
		if err = f.createRef(ctx, repo, tag, commit); err == nil {
			return nil
		}
		if !says(err, "already exists") {
			break
		}
	}
	return f.fail(ctx, doing, "repository "+repo, commitMissing(err, repo, commit))
}

func (f *Forge) createRef(ctx context.Context, repo, tag, commit string) error {
	ctx, cancel := f.within(ctx)
	defer cancel()
	_, _, err := f.rest.Git.CreateRef(ctx, f.cfg.Organisation, repo, gh.CreateRef{Ref: "refs/tags/" + tag, SHA: commit})
	return err
}

func (f *Forge) updateRef(ctx context.Context, repo, tag, commit string) error {
	ctx, cancel := f.within(ctx)
	defer cancel()
	_, _, err := f.rest.Git.UpdateRef(ctx, f.cfg.Organisation, repo, "tags/"+tag, gh.UpdateRef{SHA: commit, Force: new(true)})
	return err
}

// tagged returns the commit that a tag leads to, also through annotated tags.
func (f *Forge) tagged(ctx context.Context, repo, tag string) (string, error) {
	ctx, cancel := f.within(ctx)
	defer cancel()
	ref, _, err := f.rest.Git.GetRef(ctx, f.cfg.Organisation, repo, "tags/"+tag)
	if err != nil {
		return "", err
	}
	at := ref.GetObject()
	for at.GetType() == "tag" {
		object, _, err := f.rest.Git.GetTag(ctx, f.cfg.Organisation, repo, at.GetSHA())
		if err != nil {
			return "", err
		}
		at = object.GetObject()
	}
	return at.GetSHA(), nil
}

// commitMissing turns GitHub's words for a commit that is not there into the
// contract's error, and leaves everything else.
func commitMissing(err error, repo, commit string) error {
	if says(err, "Object does not exist") || says(err, "No commit found") {
		return &forge.NotFoundError{What: "commit " + commit + " of " + repo}
	}
	return err
}

// CreateRelease implements [forge.Releaser]. It looks for the tag first: GitHub
// would make a missing one on whatever is newest.
func (f *Forge) CreateRelease(ctx context.Context, repo string, r forge.Release) (string, error) {
	doing := "publish release " + r.Tag + " of " + repo
	if _, err := f.tagged(ctx, repo, r.Tag); err != nil {
		return "", f.fail(ctx, doing, "tag "+r.Tag+" of "+repo, err)
	}
	ctx, cancel := f.within(ctx)
	defer cancel()
	made, _, err := f.rest.Repositories.CreateRelease(ctx, f.cfg.Organisation, repo, gh.CreateReleaseRequest{
		TagName: r.Tag, Name: new(r.Name), Body: new(r.Notes), Prerelease: new(r.Prerelease),
	})
	if err == nil {
		return made.GetHTMLURL(), nil
	}
	if !isTaken(err) {
		return "", f.fail(ctx, doing, "repository "+repo, err)
	}
	there, _, err := f.rest.Repositories.GetReleaseByTag(ctx, f.cfg.Organisation, repo, r.Tag)
	if err != nil {
		return "", f.fail(ctx, doing, "release "+r.Tag+" of "+repo, err)
	}
	return there.GetHTMLURL(), nil
}

func isTaken(err error) bool {
	var e *gh.ErrorResponse
	if !is422(err) || !errors.As(err, &e) {
		return false
	}
	for _, detail := range e.Errors {
		if detail.Code == "already_exists" {
			return true
		}
	}
	return false
}

// maxDescription is how much of a status's description GitHub takes.
const maxDescription = 140

// SetStatus implements [forge.StatusSetter]. A description that is too long for
// GitHub is cut.
func (f *Forge) SetStatus(ctx context.Context, repo, commit string, s forge.Status) error {
	parent := ctx
	ctx, cancel := f.within(ctx)
	defer cancel()
	status := gh.RepoStatus{Context: &s.Context, State: new(string(s.State)), Description: new(shorten(s.Description))}
	if s.TargetURL != "" {
		status.TargetURL = &s.TargetURL
	}
	_, _, err := f.rest.Repositories.CreateStatus(ctx, f.cfg.Organisation, repo, commit, status)
	if err == nil {
		return nil
	}
	return f.fail(parent, "set a status in "+repo, "repository "+repo, commitMissing(err, repo, commit))
}

func shorten(s string) string {
	if r := []rune(s); len(r) > maxDescription {
		return strings.TrimSpace(string(r[:maxDescription-1])) + "…"
	}
	return s
}

// Comment implements [forge.Commenter].
func (f *Forge) Comment(ctx context.Context, repo string, number int, markdown string) error {
	parent := ctx
	ctx, cancel := f.within(ctx)
	defer cancel()
	_, _, err := f.rest.Issues.CreateComment(ctx, f.cfg.Organisation, repo, number, gh.IssueCommentRequest{Body: markdown})
	if err == nil {
		return nil
	}
	what := fmt.Sprintf("pull request %d of %s", number, repo)
	return f.fail(parent, "comment on "+what, what, err)
}

// ReadPull implements [forge.PullReader].
func (f *Forge) ReadPull(ctx context.Context, repo string, number int) (forge.Description, error) {
	parent := ctx
	ctx, cancel := f.within(ctx)
	defer cancel()
	what := fmt.Sprintf("pull request %d of %s", number, repo)
	p, _, err := f.rest.PullRequests.Get(ctx, f.cfg.Organisation, repo, number)
	if err != nil {
		return forge.Description{}, f.fail(parent, "read "+what, what, err)
	}
	out := forge.Description{Body: p.GetBody(), Pull: forge.Pull{
		Number: p.GetNumber(), Title: p.GetTitle(), URL: p.GetHTMLURL(), Author: p.GetUser().GetLogin(), Head: p.GetHead().GetSHA(), Base: p.GetBase().GetRef(),
		Draft: p.GetDraft(), Labels: []string{}, UpdatedAt: p.GetUpdatedAt().UTC(),
	}}
	for _, l := range p.Labels {
		out.Labels = append(out.Labels, l.GetName())
	}
	slices.Sort(out.Labels)
	return out, nil
}

// SetCheckRun implements [forge.CheckRunner]. GitHub lets Apps alone make check runs.
func (f *Forge) SetCheckRun(ctx context.Context, repo, commit string, r forge.CheckRun) error {
	if f.cfg.App == nil {
		return &forge.NotOfferedError{What: "a check run, which GitHub lets Apps alone make"}
	}
	parent := ctx
	ctx, cancel := f.within(ctx)
	defer cancel()
	run := gh.CreateCheckRunOptions{
		Name: r.Context, HeadSHA: commit, Status: new("completed"), Conclusion: new(conclusion(r.State)),
		Output: &gh.CheckRunOutput{Title: new(shorten(r.Description)), Summary: new(shorten(r.Description)), Text: new(r.Text)},
	}
	if r.State == forge.Pending {
		run.Status, run.Conclusion = new("in_progress"), nil
	}
	if r.TargetURL != "" {
		run.DetailsURL = &r.TargetURL
	}
	if r.Text == "" {
		run.Output.Text = nil
	}
	_, _, err := f.rest.Checks.CreateCheckRun(ctx, f.cfg.Organisation, repo, run)
	if err == nil {
		return nil
	}
	return f.fail(parent, "set a check in "+repo, "repository "+repo, commitMissing(err, repo, commit))
}

// conclusion is a state as a check run says it. GitHub has no word for a check that
// is itself at fault.
func conclusion(s forge.StatusState) string {
	switch s {
	case forge.Success:
		return "success"
	case forge.Broken:
		return "neutral"
	}
	return "failure"
}
