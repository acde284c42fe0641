package config

// Workspace keeps metrics apart from those of others.
type Workspace struct {
	// How long samples are kept.
	Retention Duration `yaml:"retention" jsonschema:"default=15d"`

	// The services whose metrics go there. A service that no workspace names goes
	// to the workspace called as its owner, or else to `nightporter`.
	Services []string `yaml:"services"`

	// What else is scraped, host and port, with a path other than /metrics after
	// it: `[db.acme.test:9187, gate.acme.test:8080/stats/prometheus]`.
	Targets []string `yaml:"targets"`

	// What its users may use at most.
	Limits Limits `yaml:"limits"`

	// Keeps the samples elsewhere, when this machine is too small.
	Remote *Remote `yaml:"remote"`
}

// Limits bounds a workspace. 0 means no limit.
type Limits struct {
	// Series that got a sample in the last hours.
	ActiveSeries int `yaml:"active_series" jsonschema:"default=100000,minimum=0"`

	// Samples a second.
	SamplesPerSecond int `yaml:"samples_per_second" jsonschema:"default=50000,minimum=0"`

	// Samples that may come at once above that, after a quiet while.
	SamplesBurst int `yaml:"samples_burst" jsonschema:"default=500000,minimum=0"`

	// Labels of one series.
	Labels int `yaml:"labels" jsonschema:"default=50,minimum=0"`

	// Bytes of the name or the value of one label.
	LabelBytes int `yaml:"label_bytes" jsonschema:"default=4096,minimum=0"`

	// Bytes of samples on disk. The oldest go first, before their retention ends.
	Bytes int `yaml:"bytes" jsonschema:"default=10737418240,minimum=0"`

	// Samples that one query may have in memory at once.
	QuerySamples int `yaml:"query_samples" jsonschema:"default=50000000,minimum=0"`

	// How long one query may take.
	QueryTimeout Duration `yaml:"query_timeout" jsonschema:"default=2m"`

	// Queries at the same time.
	QueryConcurrency int `yaml:"query_concurrency" jsonschema:"default=10,minimum=0"`
}

// DefaultWorkspace is a workspace about which nothing was said.
func DefaultWorkspace() Workspace {
	var w Workspace
	setDefaults(valueOf(&w))
	return w
}

// Remote is a Prometheus-compatible store somewhere else.
type Remote struct {
	// Where samples are written to.
	WriteURL string `yaml:"write_url" jsonschema:"required"`

	// The root of its query API.
	ReadURL string `yaml:"read_url" jsonschema:"required"`

	// The value of X-Scope-OrgID. Callers cannot set it themselves.
	Tenant string `yaml:"tenant"`

	// The file with a bearer token.
	Token SecretRef `yaml:"token_file"`

	// Signs requests for Amazon Managed Prometheus in this region.
	SigV4Region string `yaml:"sigv4_region"`
}

// Channels is where somebody is told something. All that are given are used.
type Channels struct {
	// A Slack-compatible webhook.
	Slack *Slack `yaml:"slack"`

	// A webhook of your own, signed.
	Webhook *Webhook `yaml:"webhook"`

	// Mail. Needs `mail`.
	Email *Email `yaml:"email"`
}

// Slack is a Slack-compatible incoming webhook.
type Slack struct {
	// The file with the webhook's URL. The URL is a secret: whoever has it can
	// write to the channel.
	Webhook SecretRef `yaml:"webhook_file" jsonschema:"required"`
}

// Webhook is a URL that gets a signed POST.
type Webhook struct {
	// Where to. Must be https, unless it is on this machine.
	URL string `yaml:"url" jsonschema:"required"`

	// The file with the secret that signs the body.
	Secret SecretRef `yaml:"secret_file" jsonschema:"required"`
}

// Email is who gets mail.
type Email struct {
	// Addresses. The addresses of the team's members when empty.
	To []string `yaml:"to"`
}

// Mail is the server that takes outgoing mail.
type Mail struct {
	// Host and port: `smtp.acme.test:587`.
	Server string `yaml:"server" jsonschema:"required"`

	// The sender's address.
	From string `yaml:"from" jsonschema:"required"`

	// The user to sign in as. Nobody when empty.
	Username string `yaml:"username"`

	// The file with the password.
	Password SecretRef `yaml:"password_file"`

	// `starttls` and `tls` refuse to send in the clear; `off` is for a server on
	// this machine.
	TLS string `yaml:"tls" jsonschema:"enum=starttls,enum=tls,enum=off,default=starttls"`
}
