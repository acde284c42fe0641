package releases

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/forge"
)

// The forge is told where a version is, so that whoever looks at a commit or a pull
// request sees it: as a deployment, where the forge has such a thing, and as a
// status of the commit, which every forge has. All of it is said again after a
// crash, and changes nothing then.

// Reported tells the forge that a version runs in an environment. It hears
// [nightporter.Deployed].
func (r *Releases) Reported(ctx context.Context, e nightporter.Deployed) error {
	return r.report(ctx, e.Service, e.Release, e.Commit, e.Environment, forge.DeploymentSucceeded, e.Version.String()+" runs in "+e.Environment)
}

// ReportedWaiting tells it that a version waits for an approval. It hears
// [nightporter.AwaitingApproval].
func (r *Releases) ReportedWaiting(ctx context.Context, e nightporter.AwaitingApproval) error {
	rel, err := r.at(ctx, e.Release)
	if err != nil {
		return err
	}
	return r.report(ctx, e.Service, e.Release, rel.Commit, e.Environment, forge.DeploymentQueued, e.Version.String()+" waits for an approval for "+e.Environment)
}

// ReportedBack tells it that a version was not healthy. It hears
// [nightporter.ReleaseRolledBack].
func (r *Releases) ReportedBack(ctx context.Context, e nightporter.ReleaseRolledBack) error {
	return r.report(ctx, e.Service, e.Release, e.Commit, e.Environment, forge.DeploymentFailed, e.Version.String()+" was not healthy in "+e.Environment)
}

// states are a deployment's states as a commit's status says them.
var states = map[forge.DeploymentState]forge.StatusState{
	forge.DeploymentQueued: forge.Pending, forge.DeploymentSucceeded: forge.Success, forge.DeploymentFailed: forge.Failure,
}

func (r *Releases) report(ctx context.Context, service, release, commit, environment string, s forge.DeploymentState, what string) error {
	rel, err := r.at(ctx, release)
	if err != nil {
		return err
	}
	f := r.cfg.Forges[rel.Repo.Forge]
	e, ok := r.cfg.Catalog.Current().Environment(environment)
	if f == nil || !ok {
		return nil
	}
	page := r.cfg.Page(release)
	if d, ok := f.(forge.DeploymentReporter); ok {
		err := d.ReportDeployment(ctx, rel.Repo.Name, forge.Deployment{
			Key: "deploy:" + service + ":" + release, Commit: commit, Environment: environment,
			Production: e.Kind == nightporter.Production, State: s, Description: service + " " + what, LogURL: page,
		})
		if err := unlessRefused(err); err != nil {
			return fmt.Errorf("report %s of %s: %w", environment, rel.Repo, err)
		}
	}
	setter, ok := f.(forge.StatusSetter)
	if !ok {
		return nil
	}
	// A repository of several services has a status for each of them.
	name := "nightporter/" + environment
	if len(r.cfg.Catalog.Current().ServicesOf(rel.Repo)) > 1 {
		name += "/" + service
	}
	err = setter.SetStatus(ctx, rel.Repo.Name, commit, forge.Status{Context: name, State: states[s], Description: what, TargetURL: page})
	return unlessRefused(err)
}

// unlessRefused lets a report that the forge will never take go: the token may only
// read, or the commit is not there any more. What is away for a while is tried
// again.
func unlessRefused(err error) error {
	var forbidden *forge.ForbiddenError
	var missing *forge.NotFoundError
	if errors.As(err, &forbidden) || errors.As(err, &missing) {
		return nil
	}
	return err
}

// Noted writes into the notes of a version's release what production got with it:
// the pull requests since the release that ran there before. It hears
// [nightporter.ReleaseHealthy].
func (r *Releases) Noted(ctx context.Context, e nightporter.ReleaseHealthy) error {
	rel, err := r.at(ctx, e.Release)
	if err != nil {
		return err
	}
	f, ok := r.cfg.Forges[rel.Repo.Forge].(forge.Annotator)
	if !ok || rel.Kind != OfMerge {
		return nil
	}
	return unlessRefused(f.Annotate(ctx, rel.Repo.Name, e.Version.Tag(), notes(e)))
}

// maxNotes is how many pull requests a section lists.
const maxNotes = 200

// notes is the section. Titles are whatever their authors wrote: they stay one line
// each and mention nobody.
func notes(e nightporter.ReleaseHealthy) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### In %s since %s\n\n", e.Environment, e.FinishedAt.UTC().Format("2006-01-02 15:04 MST"))
	if e.Previous == "" {
		b.WriteString("The first release there.\n")
	}
	for i, m := range e.Merges {
		if i == maxNotes {
			fmt.Fprintf(&b, "* and %d more\n", len(e.Merges)-maxNotes)
			break
		}
		title := strings.NewReplacer("\n", " ", "\r", " ", "@", "@\u200b", "<", "&lt;").Replace(m.Title)
		fmt.Fprintf(&b, "* %s", title)
		if m.PullRequest > 0 {
			fmt.Fprintf(&b, " (#%d)", m.PullRequest)
		}
		b.WriteString("\n")
	}
	return strings.TrimRight(b.String(), "\n")
}
