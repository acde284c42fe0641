package github

import (
	"context"
	"strings"

	gh "github.com/google/go-github/v92/github"

	"nightporter.dev/nightporter/provider/forge"
)

var (
	_ forge.DeploymentReporter = (*Forge)(nil)
	_ forge.Annotator          = (*Forge)(nil)
)

// ReportDeployment implements [forge.DeploymentReporter]. The key is the
// deployment's task, which GitHub can be asked for: a report whose answer was lost
// finds its own deployment.
func (f *Forge) ReportDeployment(ctx context.Context, repo string, d forge.Deployment) error {
	err := f.report(ctx, repo, d)
	if err == nil {
		return nil
	}
	if is422(err) && says(err, "No ref found") {
		err = &forge.NotFoundError{What: "commit " + d.Commit + " of " + repo}
	}
	return f.fail(ctx, "report a deployment of "+repo, "repository "+repo, err)
}

func (f *Forge) report(ctx context.Context, repo string, d forge.Deployment) error {
	ctx, cancel := f.within(ctx)
	defer cancel()
	org, api := f.cfg.Organisation, f.rest.Repositories
	there, _, err := api.ListDeployments(ctx, org, repo, &gh.DeploymentsListOptions{SHA: d.Commit, Task: d.Key, Environment: d.Environment})
	if err != nil {
		return err
	}
	var id int64
	if len(there) > 0 {
		id = there[0].GetID()
	} else {
		made, _, err := api.CreateDeployment(ctx, org, repo, gh.DeploymentRequest{
			Ref: d.Commit, Task: &d.Key, Environment: &d.Environment, Description: new(shorten(d.Description)),
			ProductionEnvironment: &d.Production, TransientEnvironment: new(false),
			// It happens whatever GitHub thinks of the commit: neither may GitHub
			// merge anything, nor wait for checks.
			AutoMerge: new(false), RequiredContexts: []string{},
		})
		if err != nil {
			return err
		}
		id = made.GetID()
	}
	said, _, err := api.ListDeploymentStatuses(ctx, org, repo, id, &gh.ListOptions{PerPage: 1})
	if err != nil {
		return err
	}
	if len(said) > 0 && said[0].GetState() == string(d.State) && said[0].GetDescription() == shorten(d.Description) {
		return nil
	}
	status := gh.DeploymentStatusRequest{State: string(d.State), Description: new(shorten(d.Description)), Environment: &d.Environment}
	if d.LogURL != "" {
		status.LogURL = &d.LogURL
	}
	_, _, err = api.CreateDeploymentStatus(ctx, org, repo, id, status)
	return err
}

// The marks around our section of a release's notes, which GitHub does not show.
const (
	sectionStart = "<!-- nightporter -->"
	sectionEnd   = "<!-- /nightporter -->"
)

// Annotate implements [forge.Annotator].
func (f *Forge) Annotate(ctx context.Context, repo, tag, section string) error {
	ctx, cancel := f.within(ctx)
	defer cancel()
	doing := "annotate release " + tag + " of " + repo
	rel, _, err := f.rest.Repositories.GetReleaseByTag(ctx, f.cfg.Organisation, repo, tag)
	if err != nil {
		return f.fail(ctx, doing, "release "+tag+" of "+repo, err)
	}
	body := withSection(rel.GetBody(), section)
	if body == rel.GetBody() {
		return nil
	}
	_, _, err = f.rest.Repositories.UpdateRelease(ctx, f.cfg.Organisation, repo, rel.GetID(), gh.UpdateReleaseRequest{Body: &body})
	if err != nil {
		return f.fail(ctx, doing, "release "+tag+" of "+repo, err)
	}
	return nil
}

func withSection(notes, section string) string {
	before, rest, found := strings.Cut(notes, sectionStart)
	if found {
		_, after, _ := strings.Cut(rest, sectionEnd)
		notes = strings.TrimRight(before, "\n") + after
	}
	return strings.TrimRight(notes, "\n") + "\n\n" + sectionStart + "\n" + section + "\n" + sectionEnd
}
