package catalog

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
)

// Snapshot is everything that the configuration declares, before it is checked.
// Order is kept where it means something: services and stages. The rest is
// sorted by name, so that equal files make equal snapshots.
type Snapshot struct {
	Forges       []Forge
	People       []Person
	Teams        []Team
	Operators    []string // people and teams who may do everything but read secrets
	Calendars    []Calendar
	Environments []Environment
	// Pipeline lists the stages that a release passes, in order. The
	// environments of one stage are deployed at the same time. Empty means one
	// stage of everything but production, then one of production.
	Pipeline [][]string
	Services []Service
}

// Forge is a place that keeps repositories.
type Forge struct {
	Name         string // as the configuration calls it, and as in [nightporter.Repo]
	Kind         string // "github", "gitea", "mem"
	Organisation string
}

// Person is somebody with a name of their own.
type Person struct {
	Name        string // the user name, unique
	DisplayName string // "" means Name
	Email       string
	// Logins are the names that forges know the person by: forge → login.
	Logins map[string]string
}

// Team is a group of people that owns services.
type Team struct {
	Name    string
	Members []string // people
	// ForgeTeam is the same team on a forge, for permissions and ownership
	// checks: "github/payments". The zero value means there is none.
	ForgeTeam nightporter.Repo
}

// Calendar is a named list of days, such as public holidays.
type Calendar struct {
	Name  string
	File  string   // an .ics file, or ""
	Dates []string // "2026-12-25"; used when File is ""
}

// Environment is a place where services run, and the rules there.
type Environment struct {
	nightporter.Environment
	Schedule Schedule
	Cloud    Cloud
	Approval Approval
	// WhenDark says what a deployment does while the environment is down.
	WhenDark WhenDark
	// Freezes are the times in which no deployment starts there.
	Freezes []Freeze
}

// Freeze is a time in which no deployment to an environment starts.
type Freeze struct {
	From, To time.Time
	Reason   string
}

// Schedule says when an environment is up. The notation is that of
// environments/schedule; the catalog keeps the text.
type Schedule struct {
	Windows  string // "Mon-Fri 07:00-21:00", "always", "never"; "" means always
	Timezone string // an IANA name
	Except   []string
	Also     []string
	// ReadyBy lets a rebuild start so early that the environment is ready when
	// the window opens.
	ReadyBy bool
	// FirstNight is "plan" (only show what would be torn down) or "act".
	FirstNight string
	Nudge      time.Duration // how long before dusk the owners are told
	KeepMax    time.Duration // the longest override that a developer may ask for
	RTO        time.Duration // the budget of a rebuild; 0 means none
}

// Cloud says what an environment is made of, and from which code.
type Cloud struct {
	Kind     string // "mem", "process", "terraform", "kubernetes"; "" means nothing to tear down
	Repo     nightporter.Repo
	Ref      string
	Dir      string
	Settings json.RawMessage // the provider's own settings, as JSON
}

// WhenDark is what a deployment to a dark environment does.
type WhenDark string

// The ways to deploy to a dark environment.
const (
	Wait WhenDark = "wait" // deploy when the environment is up again
	Wake WhenDark = "wake" // bring it up for the deployment
)

// AuthorRule says whether the author of a change may approve its release.
type AuthorRule string

// The author rules.
const (
	Reviewed AuthorRule = "reviewed" // may approve what somebody else has reviewed
	Refuse   AuthorRule = "refuse"   // may not approve
	Allow    AuthorRule = "allow"    // may approve like anybody
)

// Approval is what a release needs before it may enter an environment. The zero
// value needs nothing.
type Approval struct {
	// Count is how many people must approve. 0 means none: continuous
	// deployment.
	Count int
	// From lists who may approve: "owner" (the service's team), "operators", a
	// team or a person.
	From   []string
	Author AuthorRule
	// Remind lists who is told when an approval waits that long.
	Remind []Reminder
}

// Needed tells whether anybody has to approve at all.
func (a Approval) Needed() bool { return a.Count > 0 }

// Reminder is one step of the ladder of reminders.
type Reminder struct {
	After time.Duration
	Who   string // as in Approval.From
}

// Service is something that a team builds and runs, and how it is run.
type Service struct {
	nightporter.Service
	Description string
	Runbook     string // a URL
	OnCall      string // how to reach whoever is on call, in their own words
	DependsOn   []string
	// Environments narrows the pipeline for this service. Empty means all.
	Environments []string
	Artifact     Artifact
	Deploy       Deploy
	Health       Health
	// Credentials are the paths of leased credentials that are handed to the
	// service: "database/creds/ledger-{environment}". See [Service.CredentialsIn].
	Credentials []string
	Dashboards  []string // files in the repository
	Rules       []string // files in the repository
	// Approval overrules the environment's rule for this service, by the name
	// of the environment.
	Approval map[string]Approval
}

// CredentialsIn are the paths of the credentials that the service is handed in an
// environment.
func (s Service) CredentialsIn(environment string) []string {
	paths := make([]string, len(s.Credentials))
	for i, path := range s.Credentials {
		paths[i] = InEnvironment(path, environment)
	}
	return paths
}

// InEnvironment fills the name of an environment in where a text of the
// configuration says "{environment}".
func InEnvironment(text, environment string) string {
	return strings.ReplaceAll(text, "{environment}", environment)
}

// Artifact says what is deployed.
type Artifact struct {
	// Image is a template: "registry.acme.test/ledger:{version}". "" means that
	// the porter builds the commit itself.
	Image string
	// WaitForCheck names the check on the commit that must be green first.
	WaitForCheck string
	// WaitForAPI is set when CI says so through the API.
	WaitForAPI bool
}

// Deploy is how a service reaches an environment.
type Deploy struct {
	Kind string // "mem", "process", "helm", "command"
	// Build and Run are argument lists, never a shell's text. The repository's
	// own file may set them where the server's file does not.
	Build []string
	Run   []string
	// Values is the Helm values file in the service's repository.
	Values string
	// Settings are all settings of the target as JSON, for the provider.
	Settings json.RawMessage
}

// Health is how to see that a service is well.
type Health struct {
	HTTP   string        // a path; "" means the provider's own readiness
	Within time.Duration // how long it may take
}

// clone copies everything that a caller could still change.
func (s Snapshot) clone() Snapshot {
	c := s
	c.Forges = slices.Clone(s.Forges)
	c.Operators = slices.Clone(s.Operators)
	c.People = cloneEach(s.People, func(p Person) Person {
		p.Logins = maps.Clone(p.Logins)
		return p
	})
	c.Teams = cloneEach(s.Teams, func(t Team) Team {
		t.Members = slices.Clone(t.Members)
		return t
	})
	c.Calendars = cloneEach(s.Calendars, func(k Calendar) Calendar {
		k.Dates = slices.Clone(k.Dates)
		return k
	})
	c.Environments = cloneEach(s.Environments, func(e Environment) Environment {
		e.Schedule.Except = slices.Clone(e.Schedule.Except)
		e.Schedule.Also = slices.Clone(e.Schedule.Also)
		e.Cloud.Settings = slices.Clone(e.Cloud.Settings)
		e.Approval = e.Approval.clone()
		e.Freezes = slices.Clone(e.Freezes)
		return e
	})
	c.Pipeline = cloneEach(s.Pipeline, func(stage []string) []string { return slices.Clone(stage) })
	c.Services = cloneEach(s.Services, Service.clone)
	return c
}

func (s Service) clone() Service {
	s.DependsOn = slices.Clone(s.DependsOn)
	s.Environments = slices.Clone(s.Environments)
	s.Credentials = slices.Clone(s.Credentials)
	s.Dashboards = slices.Clone(s.Dashboards)
	s.Rules = slices.Clone(s.Rules)
	s.Deploy.Build = slices.Clone(s.Deploy.Build)
	s.Deploy.Run = slices.Clone(s.Deploy.Run)
	s.Deploy.Settings = slices.Clone(s.Deploy.Settings)
	s.Approval = maps.Clone(s.Approval)
	for name, a := range s.Approval {
		s.Approval[name] = a.clone()
	}
	return s
}

func (a Approval) clone() Approval {
	a.From = slices.Clone(a.From)
	a.Remind = slices.Clone(a.Remind)
	return a
}

func cloneEach[T any](in []T, clone func(T) T) []T {
	if in == nil {
		return nil
	}
	out := make([]T, len(in))
	for i, v := range in {
		out[i] = clone(v)
	}
	return out
}
