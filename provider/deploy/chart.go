package deploy

import (
	"context"
	"strings"

	"nightporter.dev/nightporter"
)

// Chart is what a provider that installs charts installs. It is fixed with the
// release, so that every environment gets the same.
type Chart struct {
	// Archive is the packaged chart, a .tgz.
	Archive []byte `json:"archive"`
	// Name and Version are what the chart says about itself, for people.
	Name    string `json:"name"`
	Version string `json:"version"`
	// Values is the repository's own values file, YAML. It holds no secret:
	// whoever may read the records of releases in the cluster may read it.
	Values []byte `json:"values,omitempty"`
}

// MaxChart is the size of a packaged chart, and MaxValues that of its values, in
// bytes. They are kept with each release, in our store and in the cluster.
const (
	MaxChart  = 256 << 10
	MaxValues = 64 << 10
)

// Validate checks a chart's size, and that it is there.
func (c *Chart) Validate() error {
	switch {
	case c == nil || len(c.Archive) == 0:
		return nightporter.E(nightporter.Invalid, "there is no chart to install")
	case len(c.Archive) > MaxChart:
		return nightporter.E(nightporter.Invalid, "the packaged chart has %d KiB", len(c.Archive)>>10).WithHint("at most %d KiB: leave files out with .helmignore", MaxChart>>10)
	case len(c.Values) > MaxValues:
		return nightporter.E(nightporter.Invalid, "the values file has %d KiB", len(c.Values)>>10).WithHint("at most %d KiB", MaxValues>>10)
	}
	return nil
}

// Image splits an artifact that names an image into what charts call its
// repository, tag and digest. Tag and digest are "" where it has none.
func (a Artifact) Image() (repository, tag, digest string) {
	repository, digest, _ = strings.Cut(string(a), "@")
	if i := strings.LastIndexByte(repository, ':'); i > strings.LastIndexByte(repository, '/') {
		repository, tag = repository[:i], repository[i+1:]
	}
	return repository, tag, digest
}

// Planner is implemented by a [Deployer] that can say what Start would change
// without changing anything.
type Planner interface {
	// Plan asks the far end what would become of it. Errors are those of Start.
	Plan(ctx context.Context, r Request) ([]Change, error)
}

// Change is one object that a start would create, change or delete.
type Change struct {
	Object string `json:"object"` // "Deployment/ledger"
	Verb   Verb   `json:"verb"`
	// Fields are the changed ones with their values before and after; values
	// of secrets are never among them.
	Fields []Field `json:"fields,omitempty"`
}

// Verb is what happens to an object.
type Verb string

// The verbs of a [Change].
const (
	Create Verb = "create"
	Update Verb = "change"
	Delete Verb = "delete"
)

// Field is one value that changes; "" stands for absent.
type Field struct {
	Path   string `json:"path"` // "spec.template.spec.containers[0].image"
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// Auditor is implemented by a [Deployer] whose far end others may change too.
type Auditor interface {
	// Drift says in sentences for people how what is there differs from what
	// was deployed; none means that it does not. It changes nothing.
	Drift(ctx context.Context, service, environment string) ([]string, error)
}
