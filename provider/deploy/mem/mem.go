// Package mem is a [deploy.Deployer] in memory, for tests of what uses one. It
// builds and runs nothing; rules say how each version behaves, and faults say
// when a verb does not answer.
//
//	d, _ := mem.New(mem.Config{})
//	d.Rule(mem.Rule{Service: "ledger", Version: "1.4.0", Behaviour: mem.Behaviour{Fails: "exited with status 3"}})
//	d.Fault("Start", 2, nightporter.E(nightporter.Unavailable, "the registry does not answer"))
//
// It keeps what it holds when its caller is thrown away and made anew, as a real
// far end would: hand the same Deployer to the new caller.
package mem

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
)

// Config makes a [Deployer].
type Config struct {
	// Now tells the time. nil means time.Now, which is what testing/synctest
	// replaces.
	Now func() time.Time
}

// Deployer is a far end in memory. Its methods may be called by many goroutines.
type Deployer struct {
	now func() time.Time

	mu        sync.Mutex
	instances []*instance // oldest first
	builds    []*build
	rules     []*Rule
	faults    map[string]*fault
	calls     map[string]int
	starts    map[string]int
	tokens    map[string]string // handed over, by key
	nextPort  int
}

type instance struct {
	deploy.Instance
	request   deploy.Request // without Env and Credentials: they may hold secrets
	behaviour Behaviour
	looks     int
	drains    int
	gone      bool // dead by itself
}

type build struct {
	request   deploy.BuildRequest
	behaviour Behaviour
	looks     int
	state     deploy.BuildState
	artifact  deploy.Artifact
}

type fault struct {
	left int
	err  error
}

var (
	_ deploy.Deployer = (*Deployer)(nil)
	_ deploy.Builder  = (*Deployer)(nil)
)

// New returns a far end where nothing runs and everything behaves.
func New(cfg Config) (*Deployer, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Deployer{now: cfg.Now, faults: map[string]*fault{}, calls: map[string]int{}, starts: map[string]int{}, tokens: map[string]string{}, nextPort: 20000}, nil
}

// enter counts a call and answers with the fault set for it, if any.
func (d *Deployer) enter(ctx context.Context, verb string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.calls[verb]++
	if f := d.faults[verb]; f != nil && f.left != 0 {
		f.left--
		return f.err
	}
	return nil
}

// Start implements [deploy.Deployer].
func (d *Deployer) Start(ctx context.Context, r deploy.Request) (deploy.Token, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.enter(ctx, "Start"); err != nil {
		return "", err
	}
	if err := r.Validate(); err != nil {
		return "", err
	}
	r = r.WithDefaults()
	for _, i := range d.instances {
		if i.Key != r.Key {
			continue
		}
		if !i.request.SameAs(r) {
			return "", nightporter.E(nightporter.Conflict, "the key %s already started something else", r.Key)
		}
		return i.Token, nil
	}
	if r.Credentials != nil {
		// A caller's code under our lock: it makes a token and does not come back.
		token, err := r.Credentials.Token(ctx)
		if err != nil {
			return "", err
		}
		d.tokens[r.Key] = token
	}
	d.starts[r.Key]++
	d.nextPort++
	r.Env, r.Credentials = nil, nil
	d.instances = append(d.instances, &instance{
		Instance: deploy.Instance{
			Token: deploy.Token("mem:" + r.Key), Key: r.Key, Version: r.Version, Commit: r.Commit, Artifact: r.Artifact,
			Address: fmt.Sprintf("127.0.0.1:%d", d.nextPort), PID: d.nextPort, StartedAt: d.now(),
			Role: deploy.Candidate, State: deploy.Starting,
		},
		request: r, behaviour: d.match(r.Service, r.Environment, r.Version.String(), r.Commit),
	})
	return deploy.Token("mem:" + r.Key), nil
}

// Observe implements [deploy.Deployer].
func (d *Deployer) Observe(ctx context.Context, t deploy.Token) (deploy.Observation, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.enter(ctx, "Observe"); err != nil {
		return deploy.Observation{}, err
	}
	i, err := d.find(t)
	if err != nil {
		return deploy.Observation{}, err
	}
	return d.look(i), nil
}

// look asks an instance how it is. It is what Observe and Switch go by.
func (d *Deployer) look(i *instance) deploy.Observation {
	b := i.behaviour
	o := deploy.Observation{
		Role: i.Role, Address: i.Address, Lines: lastLines(i.lines(), deploy.LogLines),
		Evidence: nightporter.Evidence{ObservedAt: d.now(), Source: "GET http://" + i.Address + i.request.Health.HTTP},
	}
	late := d.now().Sub(i.StartedAt) >= i.request.Health.Within
	switch {
	case i.Role == deploy.Ended:
		o.State, o.Message = deploy.Gone, "was ended"
	case i.gone:
		o.State, o.Message = deploy.Failed, "was killed"
	case b.Fails != "":
		o.State, o.Message, o.Retryable = deploy.Failed, b.Fails, b.Retryable
	case b.Reports != "" && b.Reports != i.Version.String():
		o.State, o.Reported = deploy.Failed, b.Reports
		o.Message = fmt.Sprintf("answers as version %s, not %s", b.Reports, i.Version)
	case (b.Silent || i.looks < b.Looks) && late:
		o.State, o.Message = deploy.Failed, fmt.Sprintf("not healthy within %s: no answer", i.request.Health.Within)
	case b.Silent || i.looks < b.Looks:
		o.State, o.Message = deploy.Starting, "no answer yet"
	default:
		o.State, o.Message, o.Reported = deploy.Healthy, "answers 200", i.Version.String()
	}
	i.looks++
	if o.State == deploy.Healthy {
		i.State = deploy.Healthy
	}
	return o
}

// Switch implements [deploy.Deployer].
func (d *Deployer) Switch(ctx context.Context, t deploy.Token) (deploy.Progress, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.enter(ctx, "Switch"); err != nil {
		return "", err
	}
	i, err := d.find(t)
	if err != nil {
		return "", err
	}
	switch i.Role {
	case deploy.Candidate:
		if o := d.look(i); o.State != deploy.Healthy {
			return "", nightporter.E(nightporter.Conflict, "%s is not healthy and cannot serve: %s", i.Key, o.Message)
		}
		i.Role = deploy.Serving
	case deploy.Draining, deploy.Ended:
		return "", nightporter.E(nightporter.Conflict, "%s was ended and cannot serve", i.Key)
	}
	progress := deploy.Done
	older := true
	for _, other := range d.at(i.request.Service, i.request.Environment) {
		if other == i {
			older = false
			continue
		}
		if newCandidate := !older && other.Role == deploy.Candidate; !newCandidate && !other.end() {
			progress = deploy.Pending
		}
	}
	return progress, nil
}

// Discard implements [deploy.Deployer].
func (d *Deployer) Discard(ctx context.Context, t deploy.Token) (deploy.Progress, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.enter(ctx, "Discard"); err != nil {
		return "", err
	}
	i, err := d.find(t)
	if err != nil {
		return "", err
	}
	if i.Role == deploy.Serving {
		return "", nightporter.E(nightporter.Conflict, "%s serves and cannot be discarded", i.Key)
	}
	return progressOf(i.end()), nil
}

// Running implements [deploy.Deployer].
func (d *Deployer) Running(ctx context.Context, service, environment string) ([]deploy.Instance, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.enter(ctx, "Running"); err != nil {
		return nil, err
	}
	if err := deploy.ValidateNames(service, environment); err != nil {
		return nil, err
	}
	var running []deploy.Instance
	for _, i := range d.at(service, environment) {
		shown := i.Instance
		if i.gone {
			shown.State = deploy.Gone
		}
		if !i.gone || i.Role == deploy.Serving {
			running = append(running, shown)
		}
	}
	return running, nil
}

// Stop implements [deploy.Deployer].
func (d *Deployer) Stop(ctx context.Context, service, environment string) (deploy.Progress, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.enter(ctx, "Stop"); err != nil {
		return "", err
	}
	if err := deploy.ValidateNames(service, environment); err != nil {
		return "", err
	}
	progress := deploy.Done
	for _, i := range d.at(service, environment) {
		if !i.end() {
			progress = deploy.Pending
		}
	}
	return progress, nil
}

// Logs implements [deploy.Deployer].
func (d *Deployer) Logs(ctx context.Context, service, environment string, n int) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.enter(ctx, "Logs"); err != nil {
		return nil, err
	}
	if err := deploy.ValidateNames(service, environment); err != nil {
		return nil, err
	}
	var chosen *instance
	for _, i := range d.instances {
		if i.request.Service != service || i.request.Environment != environment {
			continue
		}
		if chosen == nil || chosen.Role != deploy.Serving {
			chosen = i
		}
	}
	if chosen == nil {
		return nil, nil
	}
	return lastLines(chosen.lines(), n), nil
}

// Build implements [deploy.Builder].
func (d *Deployer) Build(ctx context.Context, r deploy.BuildRequest) (deploy.Token, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.enter(ctx, "Build"); err != nil {
		return "", err
	}
	if err := r.Validate(); err != nil {
		return "", err
	}
	r.Env = nil
	for n := len(d.builds) - 1; n >= 0; n-- { // newest first: a success hides the failures before it
		b := d.builds[n]
		if b.request.Service != r.Service || b.request.Commit != r.Commit {
			continue
		}
		if b.state != deploy.BuildFailed || b.request.Key == r.Key {
			return buildToken(n), nil
		}
	}
	d.builds = append(d.builds, &build{request: r, state: deploy.Building, behaviour: d.match(r.Service, "", "", r.Commit)})
	return buildToken(len(d.builds) - 1), nil
}

// ObserveBuild implements [deploy.Builder].
func (d *Deployer) ObserveBuild(ctx context.Context, t deploy.Token) (deploy.BuildObservation, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.enter(ctx, "ObserveBuild"); err != nil {
		return deploy.BuildObservation{}, err
	}
	var b *build
	for n := range d.builds {
		if buildToken(n) == t {
			b = d.builds[n]
		}
	}
	if b == nil {
		return deploy.BuildObservation{}, nightporter.E(nightporter.NotFound, "no build is called %s", t)
	}
	if b.state == deploy.Building && b.looks >= b.behaviour.BuildLooks {
		b.state = deploy.Built
		sum := sha256.Sum256([]byte(b.request.Service + "@" + b.request.Commit))
		b.artifact = deploy.Artifact("sha256:" + hex.EncodeToString(sum[:]))
		if b.behaviour.BuildFails != "" {
			b.state, b.artifact = deploy.BuildFailed, ""
		}
	}
	b.looks++
	o := deploy.BuildObservation{
		State: b.state, Artifact: b.artifact, Lines: lastLines(b.behaviour.Lines, deploy.LogLines),
		Evidence: nightporter.Evidence{ObservedAt: d.now(), Source: "build of " + b.request.Service + " at " + b.request.Commit},
	}
	if b.state == deploy.BuildFailed {
		o.Message, o.Retryable = b.behaviour.BuildFails, b.behaviour.Retryable
	}
	return o, nil
}

func buildToken(n int) deploy.Token { return deploy.Token(fmt.Sprintf("mem-build:%d", n)) }

func (d *Deployer) find(t deploy.Token) (*instance, error) {
	for _, i := range d.instances {
		if i.Token == t {
			return i, nil
		}
	}
	return nil, nightporter.E(nightporter.NotFound, "no instance is called %s", t)
}

// at returns what has not ended of a service in an environment, oldest first.
func (d *Deployer) at(service, environment string) []*instance {
	var at []*instance
	for _, i := range d.instances {
		if i.request.Service == service && i.request.Environment == environment && i.Role != deploy.Ended {
			at = append(at, i)
		}
	}
	return at
}

// end tells an instance to end and says whether it has.
func (i *instance) end() bool {
	if i.Role == deploy.Ended {
		return true
	}
	i.Role = deploy.Draining
	if i.drains < i.behaviour.DrainLooks && !i.gone {
		i.drains++
		return false
	}
	i.Role, i.State = deploy.Ended, deploy.Gone
	return true
}

func (i *instance) lines() []string {
	return append([]string{fmt.Sprintf("starting %s %s", i.request.Service, i.Version)}, i.behaviour.Lines...)
}

func lastLines(lines []string, n int) []string {
	if n <= 0 || len(lines) == 0 {
		return nil
	}
	return append([]string(nil), lines[max(0, len(lines)-n):]...)
}

func progressOf(done bool) deploy.Progress {
	if done {
		return deploy.Done
	}
	return deploy.Pending
}
