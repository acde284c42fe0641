package nightporter

// EnvironmentKind says how careful to be with an environment.
type EnvironmentKind string

// The kinds of environment. Production is different everywhere: it has no
// schedule, and needs an approval unless its owner says otherwise.
const (
	Development EnvironmentKind = "development"
	Staging     EnvironmentKind = "staging"
	Production  EnvironmentKind = "production"
)

// Environment is a place where services run.
type Environment struct {
	Name string          `json:"name"`
	Kind EnvironmentKind `json:"kind"`
}
