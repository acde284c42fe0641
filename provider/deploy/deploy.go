// Package deploy is the contract between releases and whatever runs services:
// local processes, a Kubernetes cluster, somebody's own script.
//
// A deployment is brought up beside what serves now, watched until it is healthy,
// and only then switched in:
//
//	token, err := d.Start(ctx, request)      // the candidate, beside the old one
//	o, err := d.Observe(ctx, token)          // again and again: starting → healthy or failed
//	progress, err := d.Switch(ctx, token)    // healthy: it serves now, the old one drains
//	progress, err := d.Discard(ctx, token)   // failed: it ends, the old one never stopped
//
// So a rollback of a bad version is Discard, and costs its users nothing. A
// rollback of a version that already serves is a Start of the one before.
//
// Three rules make this safe for a caller that may be killed at any instruction.
// Every verb is idempotent: Start with the same key never starts twice. No verb
// waits: what takes time answers [Pending], and the caller calls again. And a
// token is only a name: it stays good after a restart of the caller, because a
// provider keeps what it knows where it deploys, not in memory.
package deploy

import "context"

// Token names something a provider is doing. It is opaque, holds no secret, and
// outlives the caller: keep it with the step that asked for it.
type Token string

// Progress is the answer of a verb that takes time.
type Progress string

// The two answers. A caller that gets Pending calls the same verb again, with
// the same arguments, some hundred milliseconds later. Nothing is pushed on
// between the calls: whoever stops calling leaves the verb unfinished.
const (
	Pending Progress = "pending"
	Done    Progress = "done"
)

// Deployer runs services in environments. Its methods may be called by many
// goroutines. Each of them returns within seconds and honours ctx.
//
// Errors carry a nightporter.Code: Invalid for a request that can never work,
// NotFound for a token or instance that the provider does not know, Conflict
// where the state does not allow the verb, and Unavailable when the far end
// does not answer and trying again helps.
type Deployer interface {
	// Start brings a new instance up beside what serves now and returns its
	// token without waiting for its health. The key of the request decides:
	// for one key the machine sees at most one start, however often Start is
	// called and wherever the caller was killed in between. A second Start
	// with the same key returns the same token, even when the instance has
	// failed or ended since; a new attempt needs a new key. The same key with
	// another service, environment, version, commit or artifact is a Conflict.
	Start(ctx context.Context, r Request) (Token, error)

	// Observe looks at the instance now: it is evidence, never a memory.
	Observe(ctx context.Context, t Token) (Observation, error)

	// Switch makes the instance the one that serves, and drains what served
	// before and every older candidate. The service answers throughout. The
	// first successful call has moved the serving role, whatever it returns;
	// Done says that nothing of the old is left. An instance that is not
	// healthy is a Conflict and changes nothing.
	Switch(ctx context.Context, t Token) (Progress, error)

	// Discard ends an instance that never served. What serves is untouched.
	// Discarding the serving instance is a Conflict: Stop it, or Start
	// another. Discarding one that has ended is Done.
	Discard(ctx context.Context, t Token) (Progress, error)

	// Running lists the instances of a service in an environment that are
	// alive, oldest first, and the serving one even when it has died: it
	// should be there. It is empty, without an error, where nothing was
	// started or everything was stopped.
	Running(ctx context.Context, service, environment string) ([]Instance, error)

	// Stop ends every instance of the service in the environment, serving or
	// not. It is Done when none of their processes is left, and at once where
	// nothing runs.
	Stop(ctx context.Context, service, environment string) (Progress, error)

	// Logs returns up to n of the last log lines of the serving instance, or,
	// where none serves, of the one that was started last.
	Logs(ctx context.Context, service, environment string, n int) ([]string, error)
}

// Builder is implemented by a [Deployer] that turns a commit into an artifact by
// itself. One that does not implement it deploys what something else has built:
// its requests name an image, or nothing.
type Builder interface {
	// Build starts building the commit and returns a token at once. A commit
	// of a service is built once: a build under way or already successful is
	// shared, whatever the key. A failed build is tried again only with a key
	// that was not used before.
	Build(ctx context.Context, r BuildRequest) (Token, error)

	// ObserveBuild looks at a build. It may take some seconds when it is the
	// call that finds the build finished and names its bytes.
	ObserveBuild(ctx context.Context, t Token) (BuildObservation, error)
}
