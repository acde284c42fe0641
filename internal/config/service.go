package config

import "github.com/goccy/go-yaml/ast"

// Service is something that a team builds and runs.
type Service struct {
	// Its name, in URLs and on the board.
	Name string `yaml:"name" jsonschema:"required"`

	// The repository that it is built from: `github/ledger`.
	Repo Repo `yaml:"repo" jsonschema:"required"`

	// The team that owns it.
	Owner string `yaml:"owner" jsonschema:"required"`

	// One sentence about it. The repository's own file may set it.
	Description string `yaml:"description"`

	// A link to what to do when it is unwell.
	Runbook string `yaml:"runbook"`

	// How to reach whoever is on call, in your own words.
	OnCall string `yaml:"on_call"`

	// Services that it cannot work without.
	DependsOn []string `yaml:"depends_on"`

	// The environments it runs in. Without it: all of the pipeline.
	Environments []string `yaml:"environments"`

	// What is deployed: an image that CI builds, or `none` for what the porter
	// builds from the commit itself.
	Artifact Artifact `yaml:"artifact"`

	// How it reaches an environment.
	Deploy Deploy `yaml:"deploy" jsonschema:"required"`

	// How to see that it is well.
	Health Health `yaml:"health"`

	// Leased credentials that it gets: `[database/creds/ledger]`. They are
	// handed over as a wrapped one-use token in a file, or by Kubernetes login,
	// never in values or arguments. `{environment}` is filled in:
	// `[database/creds/ledger-{environment}]`.
	Credentials []string `yaml:"credentials"`

	// Grafana dashboards in the repository: `[dashboards/ledger.json]`.
	Dashboards []string `yaml:"dashboards"`

	// Prometheus rules in the repository: `[rules/ledger.yaml]`.
	Rules []string `yaml:"rules"`

	// Approval rules of its own, by environment: `{prod: none}`.
	Approval map[string]Approval `yaml:"approval"`
}

// Artifact is what is deployed.
type Artifact struct {
	// The image, with `{version}` and `{commit}` filled in:
	// `registry.acme.test/ledger:{version}`. Without it, the porter builds the
	// commit.
	Image string `yaml:"image"`

	// How the porter knows that the image exists.
	WaitFor WaitFor `yaml:"wait_for"`
}

func (a *Artifact) readNode(b *binder, n ast.Node, path string) {
	type fields Artifact
	var none bool
	readWordOr(b, n, path, "none", &none, (*fields)(a))
}

// WaitFor says how the porter knows that an image exists. `none` is what there is
// to wait for when the porter builds the commit itself.
type WaitFor struct {
	// The check on the commit that must be green.
	Check string `yaml:"check"`

	// CI says so: POST /api/services/{name}/artifacts.
	API bool `yaml:"api"`
}

func (w *WaitFor) readNode(b *binder, n ast.Node, path string) {
	type fields WaitFor
	var none bool
	readWordOr(b, n, path, "none", &none, (*fields)(w))
}

// Deploy is how a service reaches an environment.
type Deploy struct {
	// `process` runs it on this machine, `helm` installs a chart, `command` runs
	// your own program, `mem` is for tests.
	Kind string `yaml:"kind" jsonschema:"required,enum=process,enum=helm,enum=command,enum=mem"`

	// Process: how to build it, an argument list run in the checkout:
	// `[go, build, -o, bin/app, .]`. The repository's own file may say it.
	Build []string `yaml:"build"`

	// Process: how to start it, an argument list: `[./bin/app]`. The
	// repository's own file may say it. Command: the program that deploys.
	Run []string `yaml:"run"`

	// Process and command: the folder in the repository.
	Dir string `yaml:"dir" jsonschema:"default=."`

	// Process and command: variables of its environment, with `{environment}`
	// filled in. Secrets do not belong here.
	Env map[string]string `yaml:"env"`

	// Process: how long an old process may take to finish its requests.
	Drain Duration `yaml:"drain" jsonschema:"default=10s"`

	// Process and command: how long a build or a command may take.
	Timeout Duration `yaml:"timeout" jsonschema:"default=15m"`

	// Command: what the program can do beside deploying: `observe`, `switch`,
	// `discard`, `stop`. It is asked nothing else.
	Actions []string `yaml:"actions"`

	// Helm: the chart, in a repository of a forge or an OCI registry:
	// `github/charts/base`, `oci://registry.acme.test/charts/base`.
	Chart string `yaml:"chart"`

	// Helm: the chart's version.
	ChartVersion string `yaml:"chart_version"`

	// Helm: the values file in the service's repository. The repository's own
	// file may say it.
	Values string `yaml:"values" jsonschema:"default=helm.yaml"`

	// Helm: the name of the release. The service's name when empty.
	Release string `yaml:"release"`

	// Helm: the namespace. The environment's when empty.
	Namespace string `yaml:"namespace"`
}

// Health is how to see that a service is well.
type Health struct {
	// A path that answers 2xx when it is: `/healthz`. Without it, the deploy
	// target's own readiness counts.
	HTTP string `yaml:"http"`

	// How long it may take until it is well. Then the release rolls back.
	Within Duration `yaml:"within" jsonschema:"default=5m"`
}

// Versions says how merges get their versions.
type Versions struct {
	// What happens to a merge without exactly one label: it counts as `patch`
	// and is shown on Home, or it waits on `hold` until somebody decides.
	Unlabelled string `yaml:"unlabelled" jsonschema:"enum=patch,enum=hold,default=patch"`

	// What `major` does while a version starts with 0: the next `minor`, or
	// 1.0.0.
	ZeroMajor string `yaml:"zero_major" jsonschema:"enum=minor,enum=major,default=minor"`

	// The version of a repository's first merge.
	First string `yaml:"first" jsonschema:"default=0.1.0"`

	// What a title such as `feat: add a field` means where there is no label:
	// nothing, the check says which label it asks for, or it counts.
	Titles string `yaml:"titles" jsonschema:"enum=ignore,enum=propose,enum=decide,default=ignore"`

	// What the description of a pull request must have before the check is
	// green.
	Description Description `yaml:"description"`

	// What pre-releases are called, as in 1.5.0-rc.1: those of merges with the
	// label `prerelease`.
	Prerelease string `yaml:"prerelease" jsonschema:"default=rc"`
}

// Description is what a pull request must say.
type Description struct {
	// Headings that must be there, with text below them: `[Why, How it was tested]`.
	Sections []string `yaml:"sections"`

	// How many letters there must be at least.
	Minimum int `yaml:"minimum" jsonschema:"minimum=0"`
}
