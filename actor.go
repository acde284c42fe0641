package nightporter

import "context"

// ActorKind tells people from programs.
type ActorKind string

// The kinds of actor.
const (
	Person  ActorKind = "person"  // somebody of the configuration's people, or a local user
	Machine ActorKind = "machine" // a token of a service, a CI job or a script
	System  ActorKind = "system"  // Nightporter itself, usually on behalf of somebody
)

// Actor is who does something. The zero Actor is nobody and may do nothing.
type Actor struct {
	Kind ActorKind `json:"kind"`
	// Name is stable and unique within the kind: "ana", "ledger", "releases".
	Name string `json:"name"`
	// Method says how the actor proved who it is: "token", "userpass",
	// "session", "webhook", "system".
	Method string `json:"method,omitempty"`
	// Accessor names the token that was used, never the token itself.
	Accessor string `json:"accessor,omitempty"`
	// Policies are the names of the policies that rule this actor.
	Policies []string `json:"policies,omitempty"`
	// OnBehalfOf is the name of whoever caused a system actor to act.
	OnBehalfOf string `json:"on_behalf_of,omitempty"`
	// Remote is the address that the request came from, without the port.
	Remote string `json:"remote,omitempty"`
}

// SystemActor is Nightporter itself, acting as the named part of the product on
// behalf of cause. Cause is "" when a clock or a sweep caused it. The gate lets
// it do everything: only code that has no outside caller may use it.
func SystemActor(part, cause string) Actor {
	return Actor{Kind: System, Name: part, Method: "system", OnBehalfOf: cause}
}

// Cause is the name to record as the one who wanted it: the actor itself, or
// the one it acts for.
func (a Actor) Cause() string {
	if a.OnBehalfOf != "" {
		return a.OnBehalfOf
	}
	return a.Name
}

// Capability is what a policy grants on a path. The names are Vault's.
type Capability string

// Vault's capabilities.
const (
	Create Capability = "create"
	Read   Capability = "read"
	Update Capability = "update"
	Patch  Capability = "patch"
	Delete Capability = "delete"
	List   Capability = "list"
	Sudo   Capability = "sudo" // in addition to another one, for paths that ask for it
	Deny   Capability = "deny"
)

// Action is one thing that somebody wants to do: its name for the audit log,
// and what a policy must grant for it.
type Action struct {
	// Name is noun.verb: "release.approve".
	Name string
	// Capability is what a policy must grant on Path.
	Capability Capability
	// Path is canonical: Vault's own inside /v1, "api/" and names elsewhere
	// ("api/releases/ledger/prod/approve"). No leading slash.
	Path string
	// Sudo is set when the path asks for the sudo capability as well.
	Sudo bool
}

// Resource is what an action is done to. It is typed, so that a check can never
// read it from "the first argument".
type Resource struct {
	Kind string `json:"kind"` // "release", "environment", "token"
	ID   string `json:"id"`
}

func (r Resource) String() string { return r.Kind + "/" + r.ID }

// Decision is a policy's answer, with the reason: the policy and the path
// pattern that decided.
type Decision struct {
	Allowed bool   `json:"allowed"`
	Policy  string `json:"policy,omitempty"`
	Pattern string `json:"pattern,omitempty"`
	// Reason is one sentence for the person who was refused.
	Reason string `json:"reason,omitempty"`
}

type contextKey int

const (
	actorKey contextKey = iota
	requestKey
)

// WithActor returns a context in which a acts.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey, a)
}

// ActorFrom returns who acts in ctx, or the zero Actor, which may do nothing.
func ActorFrom(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey).(Actor)
	return a
}

// WithRequestID returns a context that carries the id that ties log lines, audit
// entries, events and runs of one request together.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey, id)
}

// RequestIDFrom returns the request id of ctx, or "".
func RequestIDFrom(ctx context.Context) string {
	id, _ := ctx.Value(requestKey).(string)
	return id
}
