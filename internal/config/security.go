package config

// SecretScan says how the histories of repositories are searched for secrets. All
// repositories that services and environments are built from are read, what is new
// at once and everything once a day.
type SecretScan struct {
	// Turns the search off.
	Off bool `yaml:"off"`

	// Whether a found password of a database may be tried, on the databases that
	// are mounted here and nowhere else. Only then can anybody say whether it
	// still works, and repair it.
	Try bool `yaml:"try"`
}

// Audit says where more is kept of the audit log than in the store.
type Audit struct {
	// Where checkpoints are kept that prove later what the log held.
	Anchor Anchor `yaml:"anchor"`
}

// Anchor is where signed checkpoints of the audit log go: a place that is not the
// store owner's. All that are given are used.
type Anchor struct {
	// A repository that gets a commit with each checkpoint. Protect its branch
	// against force pushes: what was once pushed must stay.
	Repo Repo `yaml:"repo"`

	// The branch of `repo`.
	Branch string `yaml:"branch" jsonschema:"default=audit-checkpoints"`

	// A file that each checkpoint is added to: on another machine's disk, or on
	// one that only takes additions.
	File Path `yaml:"file"`

	// A syslog server that gets each checkpoint as one line: `tcp://host:601`.
	Syslog string `yaml:"syslog"`

	// How often, when the log has grown.
	Every Duration `yaml:"every" jsonschema:"default=15m"`
}

// Set tells whether there is any place outside.
func (a Anchor) Set() bool { return a.Repo != (Repo{}) || a.File != "" || a.Syslog != "" }
