package deploy

import (
	"context"
	"time"
)

// Jobs runs commands to their end, on behalf of a [Deployer] whose deployments are
// commands. It keeps what it knows where it runs them, so that a job outlives its
// caller and is found again by its key.
type Jobs interface {
	// Run starts the command of a key, once: however often it is called and
	// wherever the caller was killed, the machine sees at most one start.
	Run(ctx context.Context, j Job) error
	// Look says how the command of a key goes. A key that nothing was started
	// for is NotFound.
	Look(ctx context.Context, key string) (JobState, error)
	// Kill ends the command of a key and everything that it started. Done when
	// nothing of it is left, and where nothing was started: then nothing ever
	// will be under the key.
	Kill(ctx context.Context, key string) (Progress, error)
	// Ask runs a command that only looks, to its end or until ctx ends, when it
	// is killed with everything that it started.
	Ask(ctx context.Context, j Job) (JobState, error)
}

// Job is a command to run.
type Job struct {
	// Key is unique for each attempt; the rules are those of [Request]. [Jobs.Ask]
	// needs none.
	Key string
	// Service and Environment are what it is for, which its processes are marked
	// with.
	Service, Environment string
	// Artifact holds the command's files; its folder Dir is where it runs. ""
	// runs it in an empty folder.
	Artifact Artifact
	Dir      string
	Command  []string
	// Env is the command's environment, beside PATH, HOME and LANG.
	Env map[string]string
	// Credentials are handed over as a [Deployer] does; nil for none.
	Credentials *Credentials
	// Within is how long it may take before it is killed. 0 means 15 min.
	Within time.Duration
}

// ReportVariable names the file that a job may report in: lines of name=value.
const ReportVariable = "NIGHTPORTER_REPORT"

// JobState is how a job goes.
type JobState struct {
	// Started is set once the command was started.
	Started bool
	// Ended is set when nothing of the command itself runs any more. What it
	// started in the background may go on.
	Ended bool
	// Exit is its exit status: 0 for success, -1 when it was killed or took too
	// long.
	Exit int
	// Message says how it ended, for people.
	Message   string
	StartedAt time.Time
	EndedAt   time.Time // when the end was first seen
	// Lines are the last lines of its output, at most [LogLines].
	Lines []string
	// Report is what it wrote to the file that [ReportVariable] names.
	Report map[string]string
}
