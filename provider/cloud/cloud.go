// Package cloud is the contract between environments and whatever they are made
// of: local processes, a Terraform state, a Kubernetes namespace.
//
// An environment is a few components with an order between them. At dusk each is
// taken down after those that need it, at dawn each is built from code after
// those that it needs:
//
//	plan, err := p.Plan(ctx, cloud.PlanRequest{Direction: cloud.Up, …})  // what there is to do
//	token, err := p.Up(ctx, request)                  // begin with one component
//	o, err := p.Observe(ctx, target, token)           // again and again, until it is over
//	probe, err := p.Probe(ctx, target, "db")          // is it good? never inferred from Up
//	left, err := p.Inventory(ctx, target)             // what exists, whatever we remember
//
// Four rules make this safe for a caller that may be killed at any instruction.
// Every verb is idempotent: a key has one effect, however often it is used. No
// verb waits: long work is a token and [Provider.Observe], which may also push
// the work on. A token is only a name and stays good after a restart of the
// caller, because a provider keeps what it knows where it acts. And what exists
// is asked, not remembered: Inventory finds also what a crash left behind.
package cloud

import (
	"context"
	"encoding/json"
	"time"

	"nightporter.dev/nightporter"
)

// Provider builds and tears down environments. Its methods may be called by many
// goroutines. Each of them returns within seconds and honours ctx.
//
// Errors carry a nightporter.Code: Invalid for a request or code that can never
// work, NotFound for a token, component or output that the provider does not
// know, Conflict where the state does not allow the verb, Limited and Unavailable
// when trying again later helps.
type Provider interface {
	// Plan says what building or tearing down would do, and in which order. It
	// changes nothing. Up is planned from the code in the request; Down from
	// what exists, because last month's component must go as well.
	Plan(ctx context.Context, r PlanRequest) (Plan, error)

	// Inventory lists everything that exists of the environment, also what
	// nobody planned, also what is kept while it is dark. It asks the far end.
	Inventory(ctx context.Context, t Target) ([]Resource, error)

	// Up begins to build one component as the code says, and replaces one that
	// the code describes differently. One that is there already is done at the
	// first look.
	Up(ctx context.Context, r Request) (Token, error)

	// Down begins to destroy one component; [Rest] means everything that still
	// carries the environment's mark and is not kept. What is gone already is
	// done at the first look.
	Down(ctx context.Context, r Request) (Token, error)

	// Capture begins to put a component's state where the night does not reach
	// it. The earlier capture stays until the new one is whole. It may stop the
	// component: Down follows.
	Capture(ctx context.Context, r Request) (Token, error)

	// Restore begins to bring the captured state back, once in a component's
	// life: what has lived since it was built or restored is never overwritten.
	// Without a capture there is nothing to do.
	Restore(ctx context.Context, r Request) (Token, error)

	// Observe looks at what a verb began, and pushes it on.
	Observe(ctx context.Context, t Target, token Token) (Observation, error)

	// Cancel ends what was begun under a key, and makes sure that it never
	// begins. It is called until it answers Done, and it is Done for a key
	// that nobody used. What exists by then stays, and the inventory shows it.
	Cancel(ctx context.Context, t Target, key string) (Progress, error)

	// Probe asks a component whether it is good, now.
	Probe(ctx context.Context, t Target, component string) (Probe, error)

	// Output is a value that the build made, such as the first login of a
	// database. It is usually a secret: it is read when it is needed, and
	// never kept, logged or shown.
	Output(ctx context.Context, t Target, name string) ([]byte, error)

	// Price names what a resource costs while it exists; false when it costs
	// nothing or nobody knows.
	Price(r Resource) (Usage, bool)
}

// Scratcher is a [Provider] that can build an environment a second time, beside
// the first and without touching it: for a drill in the middle of the day.
type Scratcher interface {
	// Scratch is the target of a second environment that is built from the code
	// of t under another name. What is captured of t can be restored into it,
	// and nothing of it is ever captured. Whatever would make the two meet, such
	// as a port, is the provider's to keep apart. It changes nothing.
	Scratch(t Target, name string) (Target, error)
}

// Target is the environment that a verb acts on.
type Target struct {
	// Environment is its name: lower-case letters, digits, hyphens, dots and
	// underscores, at most 63. Resources carry it as their mark.
	Environment string
	// Settings are the provider's own, as the configuration has them. May be nil.
	Settings json.RawMessage
}

// Direction is where a run goes.
type Direction string

// The directions.
const (
	Up   Direction = "up"
	Down Direction = "down"
)

// Code is the infrastructure as it was committed.
type Code struct {
	// Commit names it. Two requests with the same commit have the same files.
	Commit string
	// Dir is a folder with its files. A provider copies what it needs later:
	// the folder is gone when the verb returns. Only Plan of Up, and Up, have
	// it.
	Dir string
}

// PlanRequest asks what a direction would do.
type PlanRequest struct {
	Target
	Direction Direction
	Code      Code // of Up
}

// Request begins something with one component.
type Request struct {
	Target
	// Key is unique for each run, step and attempt: at most 200 characters,
	// printable ASCII without spaces. One key is one effect; the same key for
	// something else is a Conflict.
	Key string
	// Component is one of the plan's, or [Rest].
	Component string
	Code      Code // of Up
}

// Rest stands for everything that is left of an environment.
const Rest = "*"

// Token names something that a verb began. It is opaque, holds no secret, and
// outlives the caller.
type Token string

// Plan is what a direction would do.
type Plan struct {
	// Components in an order in which each comes after those that it needs,
	// for Up and for Down alike.
	Components []Component
	// Accounts are the accounts, projects or namespaces that the plan touches;
	// empty where a provider has none.
	Accounts []string
	// Resources are what Down would destroy. Whatever a plan touches is in it,
	// so that somebody can check the marks. Empty for Up.
	Resources []Resource
}

// Component is a part of an environment that is built and destroyed as one.
type Component struct {
	Name string `json:"name"` // unique in the environment
	Kind string `json:"kind"` // the provider's own word: "process", "deployment"
	// Needs are the components that must be good before this one is built,
	// and stay until it is destroyed.
	Needs []string `json:"needs,omitempty"`
	// Keep says whether its state outlives the night.
	Keep Keep `json:"keep,omitempty"`
	// Within is how long it may take to be built and good. 0 means 20 min.
	Within time.Duration `json:"within,omitempty"`
}

// Keep says when a captured state comes back.
type Keep string

// The ways to keep state. The zero value keeps nothing: the component starts
// empty each morning.
const (
	Forget     Keep = ""
	BeforeItIs Keep = "before" // restored before it is built: a folder
	OnceItIs   Keep = "after"  // restored once it is good: a dump
)

// Resource is something that exists.
type Resource struct {
	ID   string `json:"id"`   // unique at the provider
	Kind string `json:"kind"` // "process", "aws_instance"
	// Component is what it belongs to; "" when nobody knows: an orphan.
	Component string `json:"component,omitempty"`
	// Environment is what its own mark says; "" when it carries none.
	Environment string `json:"environment,omitempty"`
	// Protected resources are never destroyed, and stop a plan that would.
	Protected bool `json:"protected,omitempty"`
	// Kept resources stay while the environment is dark: captures, disks.
	Kept bool `json:"kept,omitempty"`

	// Where it is, as far as that makes sense, so that Nightporter can see
	// whether it would saw off the branch it sits on.
	PID     int    `json:"pid,omitempty"`     // a process of this machine
	Path    string `json:"path,omitempty"`    // a file or folder of this machine
	Address string `json:"address,omitempty"` // host and port that it answers at

	CreatedAt time.Time `json:"created_at,omitzero"`
}

// Progress is the answer of a verb that is called until it is done.
type Progress string

// The answers.
const (
	Pending Progress = "pending"
	Done    Progress = "done"
)

// State is how far something is.
type State string

// The states.
const (
	Running   State = "running"
	Succeeded State = "succeeded"
	Failed    State = "failed"
)

// Observation is what a look at something under way showed.
type Observation struct {
	State State
	// Retryable is set on a failure that says nothing about the code: no
	// capacity, a limit, a network. A new key may go better.
	Retryable bool
	Message   string   // one sentence for people
	Lines     []string // last lines of output, at most [LogLines]
	Evidence  nightporter.Evidence
}

// LogLines is how many lines of output an observation carries at most.
const LogLines = 20

// Probe is what a component answered.
type Probe struct {
	Good bool
	// Hopeless is set when waiting will not help: the process has ended.
	Hopeless bool
	Message  string
	Lines    []string
	Evidence nightporter.Evidence
}

// Usage is what a resource costs while it exists: so much of a key of the user's
// price list.
type Usage struct {
	Key      string  // "process", "aws:ec2:eu-west-2:t3.large"
	Quantity float64 // 1 for one machine, 0.5 for half
}
