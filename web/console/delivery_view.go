package console

import "time"

// DoraPage answers "how is this service delivered?", by dora.dev's five metrics.
type DoraPage struct {
	Layout
	Name     string
	Headline string // "was deployed 12 times in 30 days"
	Windows  []Link // other lengths of time; the present one has no URL
	// Figures are the five metrics. One without a denominator has the value "–".
	Figures     []Figure
	Deployments []DoraDeployment
	Changes     []DoraChange
	Incidents   []DoraIncident
	CLI         string
}

// DoraDeployment is one deployment that the figures count.
type DoraDeployment struct {
	ID          string
	Version     string
	URL         string
	Environment string
	Badge       Badge
	Kind        string
	At          time.Time
}

// DoraChange is one change, with its lead time.
type DoraChange struct {
	Commit      string
	PullRequest int64
	Lead        time.Duration
	At          time.Time
}

// DoraIncident is one incident.
type DoraIncident struct {
	Title string
	Badge Badge
	At    time.Time
	Took  time.Duration
}

// FreezesPage answers "may anything be deployed?".
type FreezesPage struct {
	Layout
	Headline string
	Rows     []FreezeRow
	CLI      string
}

// FreezeRow is one environment.
type FreezeRow struct {
	Environment string
	URL         string
	Kind        string
	Badge       Badge
	// Freezes are those in force, and those of the configuration that follow.
	Freezes []FreezeLine
	Forms   []Form
}

// FreezeLine is one freeze.
type FreezeLine struct {
	InForce     bool
	From, Until string // on the environment's clock, with its zone
	By          string
	Reason      string
}

func (*DoraPage) template() string    { return "dora" }
func (*FreezesPage) template() string { return "freezes" }
