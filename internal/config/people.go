package config

// Forge is a place that keeps repositories.
type Forge struct {
	// Which API it speaks. `mem` is for tests.
	Kind string `yaml:"kind" jsonschema:"required,enum=github,enum=gitea,enum=mem"`

	// The root of its API. For GitHub the default is https://api.github.com.
	URL string `yaml:"url"`

	// The organisation whose repositories the porter looks after.
	Organisation string `yaml:"organisation"`

	// The file with the access token. Use this or `app`.
	Token SecretRef `yaml:"token_file"`

	// A GitHub App to sign in as, instead of a token.
	App *App `yaml:"app"`

	// The file with the secret that signs webhooks. Without one, webhooks are
	// refused and the sweep alone finds what happened.
	WebhookSecret SecretRef `yaml:"webhook_secret_file"`

	// How often everything is compared, whatever webhooks said.
	Sweep Duration `yaml:"sweep" jsonschema:"default=5m"`
}

// App is a GitHub App's identity.
type App struct {
	// The App's id.
	ID int64 `yaml:"id" jsonschema:"required"`

	// The id of its installation in the organisation. Found by itself when 0.
	Installation int64 `yaml:"installation"`

	// The file with the App's private key, PEM.
	Key SecretRef `yaml:"key_file" jsonschema:"required"`
}

// Person is somebody who works with the porter. Keys that are not listed here are
// names of forges, with the person's login there: `github: ana-gh`.
type Person struct {
	// The name to show. The user name when empty.
	Name string `yaml:"name"`

	// Where to write to.
	Email string `yaml:"email"`

	// The person's login on each forge. An approver needs one where the author
	// rule compares authors with approvers.
	Logins map[string]string `yaml:",inline"`
}

// Team is a group of people that owns services.
type Team struct {
	// User names of `people`.
	Members []string `yaml:"members"`

	// The same team on a forge: `github/payments`.
	Forge Repo `yaml:"forge"`
}
