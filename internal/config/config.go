// Package config reads nightporter.yaml, the one file that says how the porter
// runs and what the world is that it looks after.
//
// The Go structs are the documentation: the comment on each field is what
// `nightporter config schema` and the docs show, and the tags hold the defaults.
//
// Reading is strict. An unknown key, a key given twice, a value of the wrong kind
// and a name that refers to nothing are all refused, all at once, each with its
// line, its column and, where one can be guessed, the right word. A [Config] that
// [Load] returned is complete: defaults are filled in, paths are absolute, and
// [Config.Catalog] describes a world without contradictions.
//
// Secrets never stand in the file. It names them ([SecretRef]) and whoever needs
// one asks for it when it is used.
//
// There is no watching. On SIGHUP the app calls Load again and keeps the old
// Config when that fails.
package config

import (
	"fmt"
	"os"
	"path/filepath"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
)

// Config is the whole configuration file. A file may leave out everything: the
// defaults make a porter that looks after nothing yet.
type Config struct {
	// Where to listen, host and port. The API, the hooks and the console share
	// it. An address that others can reach needs `tls`.
	Listen string `yaml:"listen" jsonschema:"default=127.0.0.1:8200"`

	// The address under which people and forges reach the porter, for links and
	// webhooks: `https://porter.acme.test`. Without it, links use `listen`.
	URL string `yaml:"url"`

	// How connections are protected: `{cert_file, key_file}`, `{acme: {domains,
	// email}}`, or `off` when something in front does it. Without it, only a
	// loopback address is accepted.
	TLS TLS `yaml:"tls"`

	// Where everything is kept: `sqlite:` and a file, or `postgres://…`, or
	// `env:NAME` for a variable that holds either.
	Store string `yaml:"store" jsonschema:"default=sqlite:data/nightporter.db"`

	// The password for PostgreSQL, when it is not in the URL.
	StorePassword SecretRef `yaml:"store_password_file"`

	// The folder for what is not in the store: artifacts, checkouts, logs of
	// deployed processes, metrics.
	DataDir Path `yaml:"data_dir" jsonschema:"default=data"`

	// How the store is unsealed after a start.
	Seal Seal `yaml:"seal"`

	// Set when several porters share one PostgreSQL store: one is active, the
	// others are warm. Refuses what lives on one machine only.
	Standby bool `yaml:"standby"`

	// The operating-system user who runs other people's code: builds, commands,
	// Terraform, deployed processes. Without it, they are refused, unless
	// `same_user` allows them.
	RunAs string `yaml:"run_as"`

	// Whether other people's code may run as the porter's own user. That user
	// can read the store and its key.
	SameUser string `yaml:"same_user" jsonschema:"enum=refused,enum=allowed,default=refused"`

	// The environment variables that other people's code inherits. Everything
	// else is removed: PATH (/usr/local/bin:/usr/bin:/bin), HOME and LANG are set
	// anew. A build that needs Go elsewhere asks for `[PATH]`.
	RunEnv []string `yaml:"run_env"`

	// Which inside addresses the porter may call on behalf of a setting.
	Egress Egress `yaml:"egress"`

	// What is logged, and how.
	Log Log `yaml:"log"`

	// Where this file lives, when it lives in a repository: pull requests to it
	// get a check with what they would change.
	Config *ConfigSource `yaml:"config"`

	// Where repositories are kept, by a name of your choice. Repositories are
	// then called `name/repository`.
	Forges map[string]Forge `yaml:"forges"`

	// Everybody who works with the porter, by user name.
	People map[string]Person `yaml:"people"`

	// Who works together. A team owns services.
	Teams map[string]Team `yaml:"teams"`

	// People and teams who run the porter itself.
	Operators []string `yaml:"operators"`

	// Named lists of days on which environments stay dark: a list of dates, or
	// an .ics file.
	Calendars map[string]Calendar `yaml:"calendars"`

	// The places where services run.
	Environments map[string]Environment `yaml:"environments"`

	// The stages of a release, in order. The environments of one stage are
	// deployed at the same time. Without it: everything but production, then
	// production.
	Pipeline [][]string `yaml:"pipeline"`

	// Databases that belong to an environment, by mount and name:
	// `database/ledger-dev`. A database that is not listed counts as production
	// and is never drained at night.
	Databases map[string]Database `yaml:"databases"`

	// What is built, deployed and watched.
	Services []Service `yaml:"services"`

	// How repositories are searched for secrets.
	SecretScan SecretScan `yaml:"secret_scan"`

	// Where more is kept of the audit log than in the store.
	Audit Audit `yaml:"audit"`

	// How merges get their versions.
	Versions Versions `yaml:"versions"`

	// The settings that all repositories share.
	Repos Repos `yaml:"repos"`

	// Metrics workspaces, isolated from each other.
	Workspaces map[string]Workspace `yaml:"workspaces"`

	// How teams and people are told something. The key is a team, a person or
	// `operators`.
	Notify map[string]Channels `yaml:"notify"`

	// The mail server for notifications.
	Mail *Mail `yaml:"mail"`

	// A file with prices of what environments are made of, for the savings.
	Prices Path `yaml:"prices"`

	file     *file
	dir      string
	warnings []Problem
}

// Check is a further judge of the declared world, for rules that this package
// cannot know: the app wires the schedule notation's parser in here. The paths of
// the problems are those of [catalog.Problem].
type Check func(catalog.Snapshot) []catalog.Problem

// The bounds of a configuration file. 1,000 services take 70 KB and 80 ms; the
// parser is quadratic beyond.
const (
	maxFile   = 8 << 20
	maxTokens = 1 << 20
)

// Load reads and checks the file at path. Relative paths in it start at its
// folder. The error is a [*Error] with all problems when the file was readable
// but wrong.
func Load(path string, checks ...Check) (*Config, error) {
	src, err := readBounded(path, maxFile)
	if err != nil {
		if os.IsNotExist(err) {
			return nil, nightporter.Wrap(err, nightporter.NotFound, "there is no configuration at %s", path).
				WithHint("write one with: nightporter init")
		}
		return nil, nightporter.Wrap(err, nightporter.Invalid, "%s cannot be read", path)
	}
	return parse(src, path, checks)
}

// Parse reads and checks a configuration that is in memory. Name is what errors
// call it; relative paths start at its folder. Nothing is read from the disk but
// the permissions of the files that hold secrets.
func Parse(src []byte, name string, checks ...Check) (*Config, error) {
	if len(src) > maxFile {
		return nil, nightporter.E(nightporter.Invalid, "%s is larger than %d MiB", name, maxFile>>20)
	}
	return parse(src, name, checks)
}

// Place says where a setting stands, "nightporter.yaml:12", or "" when it is not in
// the file. For what turns out to be wrong after the file was read.
func (c *Config) Place(path string) string {
	if c.file == nil {
		return ""
	}
	at := c.file.find(path)
	if at.line == 0 {
		return ""
	}
	return fmt.Sprintf("%s:%d", filepath.Base(c.file.name), at.line)
}

// Default is the configuration of an empty file in folder dir.
func Default(dir string) *Config {
	c, err := parse(nil, filepath.Join(dir, "nightporter.yaml"), nil)
	if err != nil {
		panic("the defaults are not valid: " + err.Error()) // a test holds this
	}
	return c
}

func parse(src []byte, name string, checks []Check) (*Config, error) {
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return nil, fmt.Errorf("finding the folder of %s: %w", name, err)
	}
	f, root := readFile(src, name, maxTokens)
	c := &Config{file: f}
	b := binder{file: f, dir: dir}
	b.root(root, c)
	c.finish(dir)
	problems := f.problems
	for _, p := range c.Validate(checks...) {
		switch {
		case p.Severity == catalog.Warning:
			c.warnings = append(c.warnings, p)
		case !followsFrom(p, f.problems):
			problems = append(problems, p)
		}
	}
	if len(problems) > 0 {
		return nil, f.refuse(problems)
	}
	return c, nil
}

// Warnings are what is not wrong enough to refuse, sorted by line.
func (c *Config) Warnings() []Problem { return c.warnings }

// NeedsRestart names the settings that differ between c and next and are only
// read at the start. A reload takes over everything else.
func (c *Config) NeedsRestart(next *Config) []string {
	var names []string
	for _, s := range []struct {
		name string
		same bool
	}{
		{"listen", c.Listen == next.Listen},
		{"tls", c.TLS.equal(next.TLS)},
		{"store", c.Store == next.Store && c.StorePassword == next.StorePassword},
		{"data_dir", c.DataDir == next.DataDir},
		{"seal", c.Seal == next.Seal},
		{"standby", c.Standby == next.Standby},
	} {
		if !s.same {
			names = append(names, s.name)
		}
	}
	return names
}
