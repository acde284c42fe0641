package deploy

import (
	"time"

	"nightporter.dev/nightporter"
)

// State is what was seen of an instance.
type State string

// The states. Starting ends by itself: in Healthy, or in Failed at the latest
// when [Health.Within] is over.
const (
	// Starting: alive, not good yet, and still in time.
	Starting State = "starting"
	// Healthy: it answered as it should when it was asked just now.
	Healthy State = "healthy"
	// Failed: it ended by itself, did not become good in time, is not good any
	// more, or answers as another version.
	Failed State = "failed"
	// Gone: it was stopped, drained or discarded.
	Gone State = "gone"
)

// Role is what an instance is for. It changes by Switch, Stop and Discard only,
// and is apart from its state: what serves may well be failing.
type Role string

// The roles.
const (
	Candidate Role = "candidate" // started, not switched in
	Serving   Role = "serving"   // switched in
	Draining  Role = "draining"  // told to end, still alive
	Ended     Role = "ended"     // stopped, drained or discarded; nothing of it is left
)

// Observation is what a look at an instance showed.
type Observation struct {
	State State
	Role  Role
	// Retryable is set on a failure that says nothing about the version: a
	// registry or network that did not answer. The same version may be tried
	// again, and must not be marked bad.
	Retryable bool
	// Message says in one sentence what was seen, for people: "exited with
	// status 3", "answers 503 after 30 s".
	Message string
	// Reported is the version or commit that the instance itself stated, or
	// "" when it states none.
	Reported string
	// Evidence names what was asked and when.
	Evidence nightporter.Evidence
	// Lines are the last lines of its log, at most [LogLines].
	Lines []string
	// Address is where this instance answers, "127.0.0.1:24312", or "" where
	// a provider has no address for a single instance.
	Address string
}

// LogLines is how many log lines an observation carries at most.
const LogLines = 20

// Instance is one running copy of a service.
type Instance struct {
	Token   Token
	Key     string
	Version nightporter.Version
	Commit  string
	// Artifact is what it runs, "" for a provider that does not build.
	Artifact Artifact
	// Address is host and port where this instance answers.
	Address string
	// PID is its process, 0 for a provider that has none.
	PID       int
	StartedAt time.Time
	Role      Role
	// State comes from a cheap look: Gone for a dead process, else Starting
	// until it was once seen healthy and Healthy after. [Deployer.Observe]
	// asks the instance itself.
	State State
}

// BuildState is how far a build is.
type BuildState string

// The states of a build.
const (
	Building    BuildState = "building"
	Built       BuildState = "built"
	BuildFailed BuildState = "failed"
)

// BuildObservation is what a look at a build showed.
type BuildObservation struct {
	State BuildState
	// Artifact names the bytes, once the state is Built.
	Artifact Artifact
	// Retryable is set on a failure that says nothing about the commit: the
	// build was killed, or reported a temporary failure itself.
	Retryable bool
	// Message says in one sentence why it failed.
	Message  string
	Evidence nightporter.Evidence
	// Lines are the last lines of its output, at most [LogLines].
	Lines []string
}

// Find returns the first of instances that has the role.
func Find(instances []Instance, role Role) (Instance, bool) {
	for _, i := range instances {
		if i.Role == role {
			return i, true
		}
	}
	return Instance{}, false
}
