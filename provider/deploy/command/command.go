// Package command deploys services with somebody's own program: a script that
// talks to a platform that Nightporter does not know.
//
// The program is an argument list, run in a checkout of the commit that it
// deploys, with a listed environment and nothing of ours. NIGHTPORTER_ACTION says
// what it is asked:
//
//	deploy    bring the version up; exit status 0 means that it is up
//	observe   look at it: 0 healthy, 75 not yet, 3 nothing of it runs, else unwell
//	switch    let it serve, and end the deployments of NIGHTPORTER_ENDS
//	discard   end it: it never served
//	stop      end the deployments of NIGHTPORTER_ENDS: nothing is to run there
//
// Only deploy is asked of a program that does not declare more: one that knows
// nothing of actions must not deploy when it is asked to look.
//
// A program with switch and discard brings a version up beside what serves, as
// every other deploy target does, and a bad one is discarded before anybody met
// it. One without replaces what serves in place: its deployment serves from the
// moment it begins, and the way back from a bad one is to deploy the version
// before it again.
//
// Every run of the program is a job in a session of its own ([deploy.Jobs]), which
// starts once for its key, outlives Nightporter, and is killed with everything
// that it started when it takes too long. What is known of the deployments of a
// service in an environment is one file, replaced by renaming.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
)

// Action is what the program is asked.
type Action string

// The actions. All but Deploy must be declared in [deploy.Request.Actions].
const (
	Deploy  Action = "deploy"
	Observe Action = "observe"
	Switch  Action = "switch"
	Discard Action = "discard"
	Stop    Action = "stop"
)

// The exit statuses with a meaning of their own.
const (
	exitNotRunning = 3  // LSB: "program is not running"
	exitTemporary  = 75 // EX_TEMPFAIL of sysexits.h: "the user is invited to retry"
)

// Variables of the program's environment, besides the service's own, PATH, HOME,
// LANG, those of [deploy.Credentials] and [deploy.ReportVariable].
const (
	actionVariable     = "NIGHTPORTER_ACTION"
	deploymentVariable = "NIGHTPORTER_DEPLOYMENT"
	versionVariable    = "NIGHTPORTER_VERSION"
	commitVariable     = "NIGHTPORTER_COMMIT"
	imageVariable      = "NIGHTPORTER_IMAGE"
	drainVariable      = "NIGHTPORTER_DRAIN"
	endsVariable       = "NIGHTPORTER_ENDS"
)

// Config makes a [Deployer].
type Config struct {
	// Dir holds what the deployer knows. It is made when it is not there, and
	// nobody else may read it. No default.
	Dir string
	// Jobs runs the program. Required.
	Jobs deploy.Jobs
	// Builder makes the artifact that holds the program: the checkout, or what a
	// build command made of it. Required.
	Builder deploy.Builder
	// LookWithin bounds one run of the program with observe. Default: 10 s.
	LookWithin time.Duration
	// Now tells the time for deadlines. nil means time.Now.
	Now func() time.Time
}

// Deployer deploys with a program. Its methods may be called by many goroutines.
type Deployer struct {
	cfg Config

	mu    sync.Mutex
	doors map[string]*sync.Mutex // one for each service × environment
}

var (
	_ deploy.Deployer = (*Deployer)(nil)
	_ deploy.Builder  = (*Deployer)(nil)
)

// New opens the deployer of cfg.Dir.
func New(cfg Config) (*Deployer, error) {
	if cfg.Dir == "" || cfg.Jobs == nil || cfg.Builder == nil {
		return nil, errors.New("command: Dir, Jobs and Builder are required")
	}
	if cfg.LookWithin <= 0 {
		cfg.LookWithin = 10 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("preparing the folder of commands: %w", err)
	}
	return &Deployer{cfg: cfg, doors: map[string]*sync.Mutex{}}, nil
}

// Build implements [deploy.Builder].
func (d *Deployer) Build(ctx context.Context, r deploy.BuildRequest) (deploy.Token, error) {
	return d.cfg.Builder.Build(ctx, r)
}

// ObserveBuild implements [deploy.Builder].
func (d *Deployer) ObserveBuild(ctx context.Context, t deploy.Token) (deploy.BuildObservation, error) {
	return d.cfg.Builder.ObserveBuild(ctx, t)
}

func (d *Deployer) door(name string) (unlock func()) {
	d.mu.Lock()
	m := d.doors[name]
	if m == nil {
		m = new(sync.Mutex)
		d.doors[name] = m
	}
	d.mu.Unlock()
	m.Lock()
	return m.Unlock
}

// deployment is what is known of one deployment.
type deployment struct {
	ID          string              `json:"id"`
	Key         string              `json:"key"`
	Service     string              `json:"service"`
	Environment string              `json:"environment"`
	Version     nightporter.Version `json:"version"`
	Commit      string              `json:"commit"`
	Artifact    deploy.Artifact     `json:"artifact,omitempty"`
	Image       string              `json:"image,omitempty"`
	Dir         string              `json:"dir,omitempty"`
	Command     []string            `json:"command"`
	Actions     []string            `json:"actions,omitempty"`
	Env         map[string]string   `json:"env,omitempty"`
	Within      time.Duration       `json:"within"`
	Drain       time.Duration       `json:"drain"`
	Timeout     time.Duration       `json:"timeout,omitempty"`
	CreatedAt   time.Time           `json:"created_at"`

	Role       deploy.Role    `json:"role"`
	HealthyAt  time.Time      `json:"healthy_at,omitzero"` // when it was first seen healthy
	SwitchedAt time.Time      `json:"switched_at,omitzero"`
	Failed     string         `json:"failed,omitempty"` // what went wrong when it was switched in
	Address    string         `json:"address,omitempty"`
	Tries      map[Action]int `json:"tries,omitempty"` // runs of an action that failed
}

func (p *deployment) can(a Action) bool { return slices.Contains(p.Actions, string(a)) }

// inPlace says that a deployment replaces what serves.
func (p *deployment) inPlace() bool { return !p.can(Switch) }

func (p *deployment) where() string       { return p.Service + " in " + p.Environment }
func (p *deployment) token() deploy.Token { return tokenOf(p.Service, p.Environment, p.ID) }
func (p *deployment) program() string     { return p.Command[0] }
func (p *deployment) over() bool          { return p.Role == deploy.Ended }

func (p *deployment) request() deploy.Request {
	return deploy.Request{
		Service: p.Service, Environment: p.Environment, Version: p.Version, Commit: p.Commit, Artifact: p.Artifact, Image: p.Image,
	}
}

// job is one run of the program.
func (p *deployment) job(a Action, ends []string) deploy.Job {
	env := make(map[string]string, len(p.Env)+8)
	for name, value := range p.Env {
		env[name] = value
	}
	env[actionVariable], env[deploymentVariable] = string(a), p.ID
	env[versionVariable], env[commitVariable], env[imageVariable] = p.Version.String(), p.Commit, p.Image
	env[drainVariable], env[endsVariable] = strconv.FormatFloat(p.Drain.Seconds(), 'f', -1, 64), strings.Join(ends, " ")
	return deploy.Job{
		Key: p.jobKey(a), Service: p.Service, Environment: p.Environment, Artifact: p.Artifact, Dir: p.Dir, Command: p.Command,
		Env: env, Within: p.Timeout,
	}
}

func (p *deployment) jobKey(a Action) string { return fmt.Sprintf("%s/%s/%d", p.ID, a, p.Tries[a]) }

// again makes the next run of an action a new one.
func (p *deployment) again(a Action) {
	if p.Tries == nil {
		p.Tries = map[Action]int{}
	}
	p.Tries[a]++
}

// keepEnded is how many ended deployments of a place stay known. An older key that
// were asked for again would start nothing: its job has run.
const keepEnded = 100

// at reads what is known of a place, oldest first.
func (d *Deployer) at(service, environment string) ([]*deployment, error) {
	if err := deploy.ValidateNames(service, environment); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(d.file(service, environment))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what was deployed of %s: %w", service, err)
	}
	var all []*deployment
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("reading what was deployed of %s: %w", service, err)
	}
	return all, nil
}

// save replaces the file of a place whole. os.CreateTemp makes it readable by us
// only: the environment of a service is in it.
func (d *Deployer) save(service, environment string, all []*deployment) error {
	ended := 0
	for _, p := range all {
		if p.over() {
			ended++
		}
	}
	all = slices.DeleteFunc(all, func(p *deployment) bool {
		if !p.over() || ended <= keepEnded {
			return false
		}
		ended--
		return true
	})
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	path := d.file(service, environment)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // does nothing once it is renamed
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing what was deployed of %s: %w", service, err)
	}
	return os.Rename(f.Name(), path)
}

func (d *Deployer) file(service, environment string) string {
	return filepath.Join(d.cfg.Dir, service, environment+".json")
}

func tokenOf(service, environment, id string) deploy.Token {
	return deploy.Token(service + "/" + environment + "/" + id)
}

// find reads the deployment of a token, and all of its place.
func (d *Deployer) find(t deploy.Token) (*deployment, []*deployment, error) {
	unknown := nightporter.E(nightporter.NotFound, "no deployment is called %q", t)
	parts := strings.Split(string(t), "/")
	if len(parts) != 3 || deploy.ValidateNames(parts[0], parts[1]) != nil {
		return nil, nil, unknown
	}
	all, err := d.at(parts[0], parts[1])
	if err != nil {
		return nil, nil, err
	}
	if i := slices.IndexFunc(all, func(p *deployment) bool { return p.ID == parts[2] }); i >= 0 {
		return all[i], all, nil
	}
	return nil, nil, unknown
}
