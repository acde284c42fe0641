package environments

import (
	"context"

	"nightporter.dev/nightporter/internal/run"
)

// Handover is how far a neighbour is with its part of dusk or dawn.
type Handover struct {
	// State is run.Running, run.Succeeded or run.Failed.
	State   run.State
	Message string
	Lines   []string
}

// Each of the five is one method that a step calls again and again until it is
// over. It begins, pushes on and observes in one: idempotent on (environment,
// run), never blocking for more than a few seconds, and safe to be asked again
// after a crash.
type (
	// Undeployer ends the services of an environment at dusk.
	Undeployer interface {
		Undeploy(ctx context.Context, environment, run string) (Handover, error)
	}

	// Drainer ends every login of ours in the databases of an environment,
	// before those go.
	Drainer interface {
		Drain(ctx context.Context, environment, run string) (Handover, error)
	}

	// Enroller logs in to the databases of a rebuilt environment with what
	// their build printed, drops what logins the data brought back, and
	// changes the password. Output reads a value of the build; it is a secret.
	Enroller interface {
		Enrol(ctx context.Context, environment, run string, output func(ctx context.Context, name string) ([]byte, error)) (Handover, error)
	}

	// Redeployer brings back the versions of services that were last healthy
	// in an environment, and ends when they are healthy there again.
	Redeployer interface {
		Redeploy(ctx context.Context, environment, run string) (Handover, error)
	}

	// Prober asks the services that came back whether they are what they were.
	// Lines say what answered what.
	Prober interface {
		Probe(ctx context.Context, environment, run string) (Handover, error)
	}
)
