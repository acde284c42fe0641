package nightporter

import "time"

// Event is something that happened. Events are past-tense facts: they are
// written in the transaction of the change that they tell of, and delivered at
// least once, in order per subject. A consumer must be idempotent.
//
// internal/app/flows.go says who listens.
type Event interface {
	// EventName is the name that the outbox and the API know it by.
	EventName() string
	// EventSubject names what it is about. Events of one subject arrive in
	// order; events of different subjects may pass each other.
	EventSubject() Resource
}

// PullRequestChanged: an open pull request was opened, pushed to, labelled or
// unlabelled. The versions check answers with a status on its head.
type PullRequestChanged struct {
	Repo   Repo     `json:"repo"`
	Number int      `json:"number"`
	Head   string   `json:"head"`
	Title  string   `json:"title"`
	Labels []string `json:"labels"`
	Draft  bool     `json:"draft,omitempty"`
}

// Merged: a commit arrived on the first-parent line of the default branch. It
// carries everything that later cannot be asked for any more, such as the labels
// as they were at the merge.
type Merged struct {
	Repo   Repo   `json:"repo"`
	Commit string `json:"commit"`
	Parent string `json:"parent"`
	// Order is the commit's place on the first-parent line, counted by us
	// from the first commit we saw. It has no gaps.
	Order int64 `json:"order"`
	// PullRequest is 0 for a commit that came without one.
	PullRequest   int       `json:"pull_request,omitempty"`
	Title         string    `json:"title"`
	URL           string    `json:"url,omitempty"`
	Authors       []string  `json:"authors"` // forge logins
	Reviewers     []string  `json:"reviewers,omitempty"`
	Labels        []string  `json:"labels,omitempty"`
	FirstCommitAt time.Time `json:"first_commit_at"`
	CommittedAt   time.Time `json:"committed_at"`
	MergedAt      time.Time `json:"merged_at"`
}

// VersionCut: a merge got its version and the tag exists on the forge.
type VersionCut struct {
	Repo    Repo    `json:"repo"`
	Version Version `json:"version"`
	Commit  string  `json:"commit"`
	Bump    Bump    `json:"bump"`
	Merge   Merged  `json:"merge"`
}

// ReleaseOpened: a version of a service started on its way to production.
type ReleaseOpened struct {
	Release string  `json:"release"`
	Service string  `json:"service"`
	Version Version `json:"version"`
	Commit  string  `json:"commit"`
}

// Deployed: one environment runs the version and it was seen healthy there.
type Deployed struct {
	Release     string  `json:"release"`
	Service     string  `json:"service"`
	Environment string  `json:"environment"`
	Version     Version `json:"version"`
	Commit      string  `json:"commit"`
	// At is when it was noted; zero in events of before there was one.
	At       time.Time `json:"at,omitzero"`
	Evidence Evidence  `json:"evidence"`
}

// AwaitingApproval: a release is healthy wherever it may go by itself and waits
// for a person.
type AwaitingApproval struct {
	Release     string  `json:"release"`
	Service     string  `json:"service"`
	Environment string  `json:"environment"`
	Version     Version `json:"version"`
	Changes     int     `json:"changes"` // merges that it would bring
}

// ReleaseHealthy: production runs the version and it was seen healthy there.
type ReleaseHealthy struct {
	Release     string  `json:"release"`
	Service     string  `json:"service"`
	Environment string  `json:"environment"`
	Version     Version `json:"version"`
	Commit      string  `json:"commit"`
	Previous    string  `json:"previous,omitempty"` // commit that ran before; empty for the first
	// PreviousRelease is the release that ran before; empty for the first.
	PreviousRelease string `json:"previous_release,omitempty"`
	// Kind is why there is the release: merge, promote or rollback.
	Kind       string    `json:"kind,omitempty"`
	ApprovedBy []string  `json:"approved_by,omitempty"`
	Merges     []Merged  `json:"merges"` // (previous, commit], oldest first
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
	Evidence   Evidence  `json:"evidence"`
}

// ReleaseRolledBack: a version was not healthy and the one before runs again.
type ReleaseRolledBack struct {
	Release     string  `json:"release"`
	Service     string  `json:"service"`
	Environment string  `json:"environment"`
	Version     Version `json:"version"`
	Commit      string  `json:"commit"`
	BackTo      string  `json:"back_to,omitempty"` // commit; empty when nothing ran before
	Reason      string  `json:"reason"`
	// Production is set for an environment of that kind.
	Production bool `json:"production,omitempty"`
	// Served is set when the version had taken over: what ran before had ended
	// and is being started again.
	Served bool `json:"served,omitempty"`
	// Retryable is set when the failure says nothing about the version.
	Retryable bool      `json:"retryable,omitempty"`
	At        time.Time `json:"at,omitzero"`
	Evidence  Evidence  `json:"evidence"`
}

// ServiceDown: what an environment should run has died, or lives and no longer
// answers as it should.
type ServiceDown struct {
	Release     string  `json:"release"`
	Service     string  `json:"service"`
	Environment string  `json:"environment"`
	Version     Version `json:"version"`
	Commit      string  `json:"commit"`
	Reason      string  `json:"reason"`
	// Alive is set when it lives: then it is not started again.
	Alive    bool      `json:"alive,omitempty"`
	At       time.Time `json:"at"`
	Evidence Evidence  `json:"evidence"`
}

// ServiceUp: it answers as it should again.
type ServiceUp struct {
	Release     string    `json:"release"`
	Service     string    `json:"service"`
	Environment string    `json:"environment"`
	Version     Version   `json:"version"`
	Commit      string    `json:"commit"`
	At          time.Time `json:"at"`
	Evidence    Evidence  `json:"evidence"`
}

func (ServiceDown) EventName() string { return "ServiceDown" }
func (ServiceUp) EventName() string   { return "ServiceUp" }

func (e ServiceDown) EventSubject() Resource { return Resource{"service", e.Service} }
func (e ServiceUp) EventSubject() Resource   { return Resource{"service", e.Service} }

// IncidentOpened: a person says that a service does not do what it should in
// production. Failures of deployments are incidents without this event.
type IncidentOpened struct {
	ID      string `json:"id"`
	Service string `json:"service"`
	// Deployment is the one that caused it; empty when none did, or nobody knows.
	Deployment string    `json:"deployment,omitempty"`
	Title      string    `json:"title"`
	Person     string    `json:"person"`
	At         time.Time `json:"at"`
}

// IncidentClosed: a person says that the service does what it should again.
type IncidentClosed struct {
	ID      string    `json:"id"`
	Service string    `json:"service"`
	Person  string    `json:"person"`
	At      time.Time `json:"at"`
}

func (IncidentOpened) EventName() string { return "IncidentOpened" }
func (IncidentClosed) EventName() string { return "IncidentClosed" }

func (e IncidentOpened) EventSubject() Resource { return Resource{"service", e.Service} }
func (e IncidentClosed) EventSubject() Resource { return Resource{"service", e.Service} }

func (PullRequestChanged) EventName() string { return "PullRequestChanged" }
func (Merged) EventName() string             { return "Merged" }
func (VersionCut) EventName() string         { return "VersionCut" }
func (ReleaseOpened) EventName() string      { return "ReleaseOpened" }
func (Deployed) EventName() string           { return "Deployed" }
func (AwaitingApproval) EventName() string   { return "AwaitingApproval" }
func (ReleaseHealthy) EventName() string     { return "ReleaseHealthy" }
func (ReleaseRolledBack) EventName() string  { return "ReleaseRolledBack" }

func (e PullRequestChanged) EventSubject() Resource { return Resource{"repo", e.Repo.String()} }
func (e Merged) EventSubject() Resource             { return Resource{"repo", e.Repo.String()} }
func (e VersionCut) EventSubject() Resource         { return Resource{"repo", e.Repo.String()} }
func (e ReleaseOpened) EventSubject() Resource      { return Resource{"service", e.Service} }
func (e Deployed) EventSubject() Resource           { return Resource{"service", e.Service} }
func (e AwaitingApproval) EventSubject() Resource   { return Resource{"service", e.Service} }
func (e ReleaseHealthy) EventSubject() Resource     { return Resource{"service", e.Service} }
func (e ReleaseRolledBack) EventSubject() Resource  { return Resource{"service", e.Service} }

// EnvironmentClosing: an environment is about to be torn down. Whoever has
// something there finishes; what must be awaited is a step of the run instead.
type EnvironmentClosing struct {
	Environment string `json:"environment"`
	Run         string `json:"run"`
}

// EnvironmentDown: nothing of an environment exists any more. The far end was
// asked.
type EnvironmentDown struct {
	Environment string   `json:"environment"`
	Run         string   `json:"run"`
	Evidence    Evidence `json:"evidence"`
}

// EnvironmentUp: an environment was built from code and every component of it was
// seen good.
type EnvironmentUp struct {
	Environment string   `json:"environment"`
	Run         string   `json:"run"`
	Commit      string   `json:"commit,omitempty"` // of its infrastructure
	Evidence    Evidence `json:"evidence"`
}

// DrillPassed: an environment came back from nothing. Times are real ones,
// whatever a demo's clock says.
type DrillPassed struct {
	Environment string        `json:"environment"`
	Run         string        `json:"run"`
	Commit      string        `json:"commit,omitempty"`
	StartedAt   time.Time     `json:"started_at"`
	FinishedAt  time.Time     `json:"finished_at"`
	Budget      time.Duration `json:"budget,omitempty"`
	// FellBackFrom is the commit that could not be built, when that was not
	// the one that runs now; Reason and Lines say why.
	FellBackFrom string   `json:"fell_back_from,omitempty"`
	Reason       string   `json:"reason,omitempty"`
	Lines        []string `json:"lines,omitempty"`
	// Scratch is the name that it was built under for a drill beside the
	// environment itself; "" for a rebuild.
	Scratch  string   `json:"scratch,omitempty"`
	Evidence Evidence `json:"evidence"`
}

// DrillFailed: an environment did not come back, twice, or took longer than its
// budget. Step and Lines say where it stopped.
type DrillFailed struct {
	Environment string        `json:"environment"`
	Run         string        `json:"run"`
	Commit      string        `json:"commit,omitempty"`
	StartedAt   time.Time     `json:"started_at"`
	FinishedAt  time.Time     `json:"finished_at"`
	Budget      time.Duration `json:"budget,omitempty"`
	Step        string        `json:"step,omitempty"`
	Reason      string        `json:"reason"`
	Lines       []string      `json:"lines,omitempty"`
	// Scratch as in [DrillPassed].
	Scratch string `json:"scratch,omitempty"`
}

// EnvironmentKept: somebody wants an environment on or off for a while, whatever
// its schedule says, or no longer does.
type EnvironmentKept struct {
	Environment string    `json:"environment"`
	State       string    `json:"state"` // "on", "off"; "" when the wish was taken back
	Until       time.Time `json:"until,omitzero"`
	Reason      string    `json:"reason,omitempty"`
	Person      string    `json:"person"`
}

func (EnvironmentClosing) EventName() string { return "EnvironmentClosing" }
func (EnvironmentDown) EventName() string    { return "EnvironmentDown" }
func (EnvironmentUp) EventName() string      { return "EnvironmentUp" }
func (DrillPassed) EventName() string        { return "DrillPassed" }
func (DrillFailed) EventName() string        { return "DrillFailed" }
func (EnvironmentKept) EventName() string    { return "EnvironmentKept" }

func (e EnvironmentClosing) EventSubject() Resource { return Resource{"environment", e.Environment} }

func (e EnvironmentDown) EventSubject() Resource { return Resource{"environment", e.Environment} }

func (e EnvironmentUp) EventSubject() Resource { return Resource{"environment", e.Environment} }

func (e DrillPassed) EventSubject() Resource { return Resource{"environment", e.Environment} }

func (e DrillFailed) EventSubject() Resource { return Resource{"environment", e.Environment} }

func (e EnvironmentKept) EventSubject() Resource { return Resource{"environment", e.Environment} }
