package deploy

import (
	"context"
	"strings"
	"time"

	"nightporter.dev/nightporter"
)

// Artifact names what a build made by its content: "sha256:" and 64 hexadecimal
// digits. Every environment runs the same bytes. For a provider that deploys what
// somebody else has built it is an image, by its digest where that is known:
// "registry.acme.test/ledger@sha256:…". It is "" for one that deploys neither.
type Artifact string

// Request asks for one instance of a service.
type Request struct {
	// Key is unique for each release, environment and attempt. At most 200
	// characters, printable ASCII without spaces.
	Key string
	// Service and Environment are names as the configuration has them: lower-
	// case letters, digits, hyphens and dots, at most 63 characters.
	Service     string
	Environment string
	// Version and Commit are what the instance must say about itself, if it
	// says anything (see [Health]).
	Version nightporter.Version
	Commit  string
	// Artifact is what to run. A provider that builds refuses an empty one,
	// unless the command stands on its own.
	Artifact Artifact
	// Chart is what a provider that installs charts installs; nil for others.
	Chart *Chart
	// Command is the program and its arguments, as they are: no shell reads
	// them. A relative program is looked for in the artifact.
	Command []string
	// Image is what a command deploys, "" for none: "registry.acme.test/ledger:1.4.0".
	// Artifact then holds the command's own files.
	Image string
	// Dir is the folder of the artifact in which a command runs; "" means its root.
	Dir string
	// Actions are what a command can be asked beside deploying.
	Actions []string
	// Timeout is how long a command may take. 0 means 15 min.
	Timeout time.Duration
	// Env is the service's own environment. Names that the provider sets
	// itself (PORT, and everything that starts with NIGHTPORTER_) are refused.
	// Values may be secrets: no provider logs them, or stores them where
	// others than itself may read.
	Env map[string]string
	// Credentials is what the instance reads its leased credentials with; nil
	// for a service that has none.
	Credentials *Credentials
	// Health says when the instance is good.
	Health Health
	// Drain is how long it may take to end by itself when it is asked to,
	// before it is killed. 0 means 10 s.
	Drain time.Duration
}

// Credentials is how an instance gets at the logins that it is lent. A provider
// that starts processes hands it over in two variables of the environment:
// NIGHTPORTER_ADDR is the address, and NIGHTPORTER_TOKEN_FILE is the path of a
// file, with mode 0600 and of the instance's own user, that holds the token. The
// token itself is in no argument, variable, log or record of the provider.
type Credentials struct {
	// Address is where the server with Vault's HTTP API answers:
	// "http://127.0.0.1:8200".
	Address string
	// Token makes a token that can be used once, to open the real one. A
	// provider calls it when it is about to start the instance and never when
	// the key has started already: each call makes another token, and one that
	// nobody opens ends by itself within minutes.
	Token func(ctx context.Context) (string, error)
}

// Health says how to find out that an instance is good. The provider asks the
// instance itself, never something in front of it.
//
// An answer that states a version (header X-Version, or "version" or "commit"
// in a JSON object) must state the requested one: the most convincing wrong
// deployment is an old binary that answers 200.
type Health struct {
	// HTTP is the path to GET, "/healthz". Any 2xx answer is good; redirects
	// are not followed. Empty means that accepting a TCP connection is enough.
	HTTP string
	// Within is how long the instance may take from its start. 0 means 1 min.
	Within time.Duration
}

// The defaults of the durations in requests, where those are 0.
const (
	DefaultDrain       = 10 * time.Second
	DefaultWithin      = time.Minute
	DefaultBuildWithin = 15 * time.Minute
)

// ReservedPrefix starts the names of environment variables that only a provider
// sets: NIGHTPORTER_VERSION, NIGHTPORTER_COMMIT, NIGHTPORTER_ENVIRONMENT,
// NIGHTPORTER_SERVICE, those of [Credentials] and the marks by which it finds its
// own processes.
const ReservedPrefix = "NIGHTPORTER_"

// The variables that hand [Credentials] over.
const (
	AddressVariable   = "NIGHTPORTER_ADDR"
	TokenFileVariable = "NIGHTPORTER_TOKEN_FILE"
)

// Validate checks what every provider needs, and returns an Invalid error that
// says what to change. Providers call it first.
func (r Request) Validate() error {
	if err := validKey(r.Key); err != nil {
		return err
	}
	if err := ValidateNames(r.Service, r.Environment); err != nil {
		return err
	}
	if err := validEnv(r.Env); err != nil {
		return err
	}
	if c := r.Credentials; c != nil && (c.Address == "" || c.Token == nil) {
		return nightporter.E(nightporter.Invalid, "the credentials of %s have no address or no token", r.Service)
	}
	if h := r.Health.HTTP; h != "" && (!strings.HasPrefix(h, "/") || strings.HasPrefix(h, "//") || strings.ContainsFunc(h, notPathByte)) {
		return nightporter.E(nightporter.Invalid, "health path %q is not a path", h).
			WithHint("write the path alone, starting with one slash: /healthz")
	}
	if r.Health.Within < 0 || r.Drain < 0 {
		return nightporter.E(nightporter.Invalid, "health.within and drain of %s cannot be negative", r.Service)
	}
	return nil
}

// WithDefaults returns r with its zero durations replaced by the defaults.
func (r Request) WithDefaults() Request {
	if r.Health.Within == 0 {
		r.Health.Within = DefaultWithin
	}
	if r.Drain == 0 {
		r.Drain = DefaultDrain
	}
	return r
}

// SameAs says whether other may share r's key: whether it asks for the same thing.
func (r Request) SameAs(other Request) bool {
	return r.Service == other.Service && r.Environment == other.Environment && r.Version == other.Version &&
		r.Commit == other.Commit && r.Artifact == other.Artifact && r.Image == other.Image
}

// BuildRequest asks for the artifact of one commit.
type BuildRequest struct {
	// Key is unique for each attempt; the rules are those of [Request].
	Key     string
	Service string
	Commit  string
	// Source is a folder that holds a checkout of the commit. The provider
	// copies it before Build returns and never writes to it.
	Source string
	// Command is the program and its arguments; no shell reads them. It runs
	// in the copy of the checkout. Exit status 75 (EX_TEMPFAIL of sysexits.h)
	// means that trying again may help. Empty: nothing to build, the checkout
	// is the artifact.
	Command []string
	// Output is the folder, relative to the checkout, whose content becomes
	// the artifact. "" means the whole checkout.
	Output string
	// Env is added to the build's environment. It must not decide what is
	// built: a commit is built once.
	Env map[string]string
	// Within is how long the build may take. 0 means 15 min.
	Within time.Duration
}

// Validate checks what every provider needs.
func (r BuildRequest) Validate() error {
	if err := validKey(r.Key); err != nil {
		return err
	}
	if err := validName("service", r.Service); err != nil {
		return err
	}
	if !validCommit(r.Commit) {
		return nightporter.E(nightporter.Invalid, "%q is not a full commit id", r.Commit)
	}
	if r.Source == "" {
		return nightporter.E(nightporter.Invalid, "the build of %s has no checkout", r.Service)
	}
	if r.Within < 0 {
		return nightporter.E(nightporter.Invalid, "the build of %s cannot take a negative time", r.Service)
	}
	return validEnv(r.Env)
}

// ValidateNames checks a service's and an environment's name, which providers
// turn into file names, object names and labels.
func ValidateNames(service, environment string) error {
	if err := validName("service", service); err != nil {
		return err
	}
	return validName("environment", environment)
}

func validName(kind, s string) error {
	good := func(c rune) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' }
	if s == "" || len(s) > 63 || s[0] == '.' || s[0] == '-' || strings.ContainsFunc(s, func(c rune) bool { return !good(c) }) {
		return nightporter.E(nightporter.Invalid, "%q is not a name for %s", s, article(kind)).
			WithHint("use lower-case letters, digits, hyphens and dots, at most 63, starting with a letter or digit")
	}
	return nil
}

func article(kind string) string {
	if kind == "environment" {
		return "an environment"
	}
	return "a " + kind
}

func validKey(k string) error {
	if k == "" || len(k) > 200 || strings.ContainsFunc(k, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return nightporter.E(nightporter.Invalid, "%q cannot be the key of a deployment", k)
	}
	return nil
}

func validCommit(c string) bool {
	return (len(c) == 40 || len(c) == 64) && strings.Trim(c, "0123456789abcdef") == ""
}

func validEnv(env map[string]string) error {
	for name, value := range env {
		if !validEnvName(name) {
			return nightporter.E(nightporter.Invalid, "%q cannot name an environment variable", name).
				WithHint("use letters, digits and underscores, not starting with a digit")
		}
		if name == "PORT" || strings.HasPrefix(name, ReservedPrefix) {
			return nightporter.E(nightporter.Invalid, "the environment variable %s is set by Nightporter", name).
				WithHint("remove it from the service's environment")
		}
		if strings.ContainsRune(value, 0) { // the value itself may be a secret
			return nightporter.E(nightporter.Invalid, "the value of the environment variable %s holds a zero byte", name)
		}
	}
	return nil
}

func validEnvName(s string) bool {
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

func notPathByte(c rune) bool { return c <= ' ' || c > '~' || c == '\\' || c == '#' }
