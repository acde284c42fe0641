package config

import (
	"github.com/goccy/go-yaml/ast"

	"nightporter.dev/nightporter"
)

// Environment is a place where services run.
type Environment struct {
	// How careful to be. Production has no schedule, needs an approval unless
	// `approval: none` says otherwise, and is never torn down.
	Kind nightporter.EnvironmentKind `yaml:"kind" jsonschema:"required,enum=development,enum=staging,enum=production"`

	// When it is up: windows such as `Mon-Fri 07:00-21:00`, separated by commas,
	// or `always`, or `never`. Without it: always.
	Schedule string `yaml:"schedule"`

	// The zone of the schedule's times, an IANA name: `Europe/London`.
	Timezone string `yaml:"timezone"`

	// Days without windows: dates and names of `calendars`.
	Except []string `yaml:"except"`

	// Further windows on single days: `2026-12-19 09:00-17:00`.
	Also []string `yaml:"also"`

	// `on` starts the rebuild so early that the environment is ready when the
	// window opens; `off` starts it when the window opens.
	ReadyBy string `yaml:"ready_by" jsonschema:"enum=on,enum=off,default=on"`

	// What the first night does: `plan` only shows what would be torn down.
	FirstNight string `yaml:"first_night" jsonschema:"enum=plan,enum=act,default=plan"`

	// How long before dusk the owners are told, with a link to keep it on.
	Nudge Duration `yaml:"nudge" jsonschema:"default=30m"`

	// The longest time that a developer may keep it on outside its windows.
	KeepMax Duration `yaml:"keep_max" jsonschema:"default=12h"`

	// How long a rebuild may take. A drill that takes longer has failed.
	RTO Duration `yaml:"rto"`

	// What a deployment does while it is dark: `wait` until it is up, or `wake`
	// it.
	WhenDark string `yaml:"when_dark" jsonschema:"enum=wait,enum=wake,default=wait"`

	// What it is made of, and the code that builds it. Without it, there is
	// nothing to tear down.
	Cloud Cloud `yaml:"cloud"`

	// The Kubernetes cluster that helm deploys to.
	Cluster *Cluster `yaml:"cluster"`

	// What a release needs before it may enter: a rule, or `none`. Without it:
	// one approval by the owner for production, none elsewhere.
	Approval *Approval `yaml:"approval"`

	// Times in which no deployment starts there, such as the holidays. Nobody can
	// end them by command; a rollback is never frozen.
	Freezes []Freeze `yaml:"freezes"`

	// Questions to its services after each rebuild: is what came back what it
	// was? A drill passes when all are answered right.
	Probes []Probe `yaml:"probes"`
}

// Probe is a question to a service and what a right answer holds.
type Probe struct {
	// What it proves, in a few words, for the drill's record.
	Name string `yaml:"name" jsonschema:"required"`

	// Who is asked.
	Service string `yaml:"service" jsonschema:"required"`

	// The path of the GET request: `/v1/profiles/latest`.
	Path string `yaml:"path" jsonschema:"required"`

	// A header to send, such as `Cookie: session=…`. The header is a secret.
	Header SecretRef `yaml:"header_file"`

	// What the answer must hold, letter by letter. Without it every answer with a
	// status of 2xx is right.
	Contains string `yaml:"contains"`
}

// Freeze is a time in which no deployment to an environment starts.
type Freeze struct {
	// When it begins: `2026-12-23 18:00` in the environment's zone, or UTC
	// without one, or RFC 3339.
	From Moment `yaml:"from" jsonschema:"required"`

	// When it ends.
	To Moment `yaml:"to" jsonschema:"required"`

	// Why, for everybody to read.
	Reason string `yaml:"reason" jsonschema:"required"`
}

// Cloud says what an environment is made of.
type Cloud struct {
	// Who builds it. `process` runs local processes, `mem` is for tests.
	Kind string `yaml:"kind" jsonschema:"enum=mem,enum=process,enum=terraform,enum=kubernetes"`

	// The repository of its infrastructure: `github/infra`.
	Repo Repo `yaml:"repo"`

	// The branch whose head is built each morning.
	Ref string `yaml:"ref" jsonschema:"default=main"`

	// The folder in the repository.
	Dir string `yaml:"dir" jsonschema:"default=."`

	// Terraform: the binary to run, `terraform` or `tofu`, or a path.
	Binary string `yaml:"binary"`

	// Terraform: the workspace.
	Workspace string `yaml:"workspace"`

	// Terraform: values of variables. Secrets do not belong here.
	Variables map[string]string `yaml:"variables"`

	// Terraform: where the state is. `backend` is what the code says, `local` is
	// a file in `data_dir`.
	State string `yaml:"state" jsonschema:"enum=backend,enum=local,default=backend"`

	// Terraform: a plan that destroys more resources than this stops and asks.
	// 0 means no limit.
	MaxDestroy int `yaml:"max_destroy" jsonschema:"default=100"`

	// Kubernetes: the context in the kubeconfig.
	Context string `yaml:"context"`

	// Kubernetes: the kubeconfig. The usual places when empty.
	Kubeconfig Path `yaml:"kubeconfig"`

	// Kubernetes: the namespaces that belong to this environment. Nothing
	// outside of them is touched.
	Namespaces []string `yaml:"namespaces"`

	// Kubernetes: `scale` everything to zero, or `delete` it and apply it again.
	Strategy string `yaml:"strategy" jsonschema:"enum=scale,enum=delete,default=scale"`

	// The accounts and projects that the provider may touch. Anything else is
	// refused.
	Allow []string `yaml:"allow"`
}

// Cluster is a Kubernetes cluster to deploy to.
type Cluster struct {
	// The context in the kubeconfig.
	Context string `yaml:"context"`

	// The kubeconfig. The usual places when empty.
	Kubeconfig Path `yaml:"kubeconfig"`

	// The namespace. The environment's name when empty.
	Namespace string `yaml:"namespace"`
}

// Approval is what a release needs before it may enter an environment.
type Approval struct {
	// Set by `approval: none`: continuous deployment.
	None bool `yaml:"-"`

	// How many people must approve.
	Count int `yaml:"count" jsonschema:"default=1,minimum=1"`

	// Who may: `owner` (the service's team), `operators`, teams and people.
	// Without it: `[owner]`.
	From []string `yaml:"from"`

	// Whether the author of a change may approve its release: `reviewed` lets
	// them when somebody else reviewed every merge in it, `refuse` never,
	// `allow` always.
	Author string `yaml:"author" jsonschema:"enum=reviewed,enum=refuse,enum=allow,default=reviewed"`

	// Who is told when an approval waits: `[4h owner, 24h operators]`. It is
	// never forgotten and never lapses.
	Remind []Remind `yaml:"remind"`
}

func (a *Approval) readNode(b *binder, n ast.Node, path string) {
	type fields Approval
	readWordOr(b, n, path, "none", &a.None, (*fields)(a))
	if !a.None && a.From == nil {
		a.From = []string{"owner"}
	}
}

// Calendar is a list of days. Exactly one of its fields is set.
type Calendar struct {
	// An .ics file, whose all-day events count.
	File Path `yaml:"-"`

	// Days: `[2026-12-25, 2026-12-28]`.
	Dates []Date `yaml:"-"`
}

func (c *Calendar) readNode(b *binder, n ast.Node, path string) {
	if _, ok := n.(ast.ScalarNode); ok {
		b.value(n, valueOf(&c.File), path)
		return
	}
	b.value(n, valueOf(&c.Dates), path)
}

// Database binds a database's logins to the life of an environment.
type Database struct {
	// The environment that it is a part of. Its logins are drained at dusk.
	// Without it, it counts as production.
	Environment string `yaml:"environment"`

	// Where the rebuilt environment says how to log in the first time: the name
	// of an output of the build, such as `terraform.ledger_admin`. The password
	// is changed at once.
	Bootstrap string `yaml:"bootstrap"`

	// Logins that nobody leases and that may be there all the same, such as the
	// one that owns the tables. The posture of its services counts every other.
	Logins []string `yaml:"logins"`
}
