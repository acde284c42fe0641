package forge

import "context"

// DeploymentReporter is offered by forges that show what runs in which
// environment.
type DeploymentReporter interface {
	// ReportDeployment says how a deployment goes. The key decides: the first
	// report of a key makes the deployment, later ones change its state, and the
	// same report again changes nothing.
	ReportDeployment(ctx context.Context, repo string, d Deployment) error
}

// DeploymentState is how a deployment goes.
type DeploymentState string

// The states of a deployment.
const (
	DeploymentQueued    DeploymentState = "queued" // waits for an approval, say
	DeploymentSucceeded DeploymentState = "success"
	DeploymentFailed    DeploymentState = "failure"
)

// Deployment is one release on its way into one environment.
type Deployment struct {
	Key         string // unique for release and environment, printable ASCII without spaces
	Commit      string
	Environment string
	Production  bool
	State       DeploymentState
	Description string // at most 140 characters are shown
	// LogURL is the page that shows it; "" for none.
	LogURL string
}

// Annotator is offered by forges where a published release's notes can be changed.
type Annotator interface {
	// Annotate puts a section (Markdown) at the end of a release's notes, in
	// place of the one that an earlier call put there. What else stands in the
	// notes stays.
	Annotate(ctx context.Context, repo, tag, section string) error
}
