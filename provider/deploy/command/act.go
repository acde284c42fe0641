package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
)

// Start implements [deploy.Deployer].
func (d *Deployer) Start(ctx context.Context, r deploy.Request) (deploy.Token, error) {
	if err := validate(r); err != nil {
		return "", err
	}
	r = r.WithDefaults()
	defer d.door(r.Service + "/" + r.Environment)()
	all, err := d.at(r.Service, r.Environment)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(r.Key))
	id := hex.EncodeToString(sum[:12])
	var p *deployment
	if i := slices.IndexFunc(all, func(p *deployment) bool { return p.ID == id }); i >= 0 {
		p = all[i]
		if !r.SameAs(p.request()) {
			return "", nightporter.E(nightporter.Conflict, "the key %s already started %s of %s", r.Key, p.Version, p.where())
		}
	} else {
		p = &deployment{
			ID: id, Key: r.Key, Service: r.Service, Environment: r.Environment, Version: r.Version, Commit: r.Commit, Artifact: r.Artifact,
			Image: r.Image, Dir: r.Dir, Command: r.Command, Actions: r.Actions, Env: r.Env, Within: r.Health.Within, Drain: r.Drain,
			Timeout: r.Timeout, CreatedAt: d.cfg.Now().UTC(), Role: deploy.Candidate,
		}
		all = append(all, p)
		if err := d.save(r.Service, r.Environment, all); err != nil {
			return "", err
		}
	}
	if p.over() {
		return p.token(), nil
	}
	j := p.job(Deploy, nil)
	j.Credentials = r.Credentials
	if err := d.cfg.Jobs.Run(ctx, j); err != nil {
		return "", err
	}
	return p.token(), d.took(p, all)
}

func validate(r deploy.Request) error {
	if err := r.Validate(); err != nil {
		return err
	}
	if len(r.Command) == 0 || r.Command[0] == "" {
		return nightporter.E(nightporter.Invalid, "%s has no command to run", r.Service)
	}
	can := map[Action]bool{}
	for _, a := range r.Actions {
		switch Action(a) {
		case Observe, Switch, Discard, Stop:
			can[Action(a)] = true
		case Deploy:
		default:
			return nightporter.E(nightporter.Invalid, "%q is no action of a command", a).WithHint("write observe, switch, discard or stop")
		}
	}
	if can[Switch] != can[Discard] {
		return nightporter.E(nightporter.Invalid, "the command of %s can switch or discard, and not both", r.Service).
			WithHint("what is brought up beside the old one must be able to take over and to go")
	}
	return nil
}

// took gives a deployment in place the serving role, once its program has begun:
// from then on what served before may be gone.
func (d *Deployer) took(p *deployment, all []*deployment) error {
	if !p.inPlace() || p.Role != deploy.Candidate {
		return nil
	}
	for _, other := range all {
		if other != p && !other.over() {
			other.Role = deploy.Ended
		}
	}
	p.Role = deploy.Serving
	return d.save(p.Service, p.Environment, all)
}

// Switch implements [deploy.Deployer].
func (d *Deployer) Switch(ctx context.Context, t deploy.Token) (deploy.Progress, error) {
	p, _, err := d.find(t)
	if err != nil {
		return "", err
	}
	if p.Role == deploy.Candidate || p.inPlace() {
		o, err := d.Observe(ctx, t)
		if err != nil {
			return "", err
		}
		if o.State != deploy.Healthy {
			return "", nightporter.E(nightporter.Conflict, "%s of %s is not healthy and cannot serve: %s", p.Version, p.where(), o.Message)
		}
	}
	defer d.door(p.Service + "/" + p.Environment)()
	p, all, err := d.find(t)
	if err != nil {
		return "", err
	}
	switch {
	case p.Role == deploy.Draining || p.over():
		return "", nightporter.E(nightporter.Conflict, "this deployment of %s was ended and cannot serve", p.where())
	case p.inPlace() || !p.SwitchedAt.IsZero():
		return deploy.Done, nil
	}
	var ends []string
	for _, other := range all {
		older := other.CreatedAt.Before(p.CreatedAt)
		if other != p && !other.over() && (other.Role != deploy.Candidate || older) {
			ends = append(ends, other.ID)
			other.Role = deploy.Draining
		}
	}
	if p.Role == deploy.Candidate { // the intent, before the program acts on it
		p.Role = deploy.Serving
		if err := d.save(p.Service, p.Environment, all); err != nil {
			return "", err
		}
	}
	s, done, err := d.do(ctx, p, Switch, ends)
	if err != nil || !done {
		return deploy.Pending, err
	}
	if s.Exit == exitTemporary {
		p.again(Switch)
		return deploy.Pending, d.save(p.Service, p.Environment, all)
	}
	if s.Exit != 0 {
		p.Failed = "could not take over: " + p.program() + " " + s.Message
		if err := d.save(p.Service, p.Environment, all); err != nil {
			return "", err
		}
		return "", nightporter.E(nightporter.Unavailable, "%s", p.Failed)
	}
	p.SwitchedAt = d.cfg.Now().UTC()
	for _, other := range all {
		if slices.Contains(ends, other.ID) {
			other.Role = deploy.Ended
		}
	}
	return deploy.Done, d.save(p.Service, p.Environment, all)
}

// do runs an action, or finds it run, and says whether it has ended.
func (d *Deployer) do(ctx context.Context, p *deployment, a Action, ends []string) (deploy.JobState, bool, error) {
	s, err := d.cfg.Jobs.Look(ctx, p.jobKey(a))
	if nightporter.CodeOf(err) == nightporter.NotFound || err == nil && !s.Started && !s.Ended {
		return s, false, d.cfg.Jobs.Run(ctx, p.job(a, ends))
	}
	return s, s.Ended, err
}

// Discard implements [deploy.Deployer].
func (d *Deployer) Discard(ctx context.Context, t deploy.Token) (deploy.Progress, error) {
	p, _, err := d.find(t)
	if err != nil {
		return "", err
	}
	defer d.door(p.Service + "/" + p.Environment)()
	p, all, err := d.find(t)
	if err != nil {
		return "", err
	}
	switch p.Role {
	case deploy.Ended:
		return deploy.Done, nil
	case deploy.Serving:
		return "", nightporter.E(nightporter.Conflict, "%s of %s serves and cannot be discarded", p.Version, p.where()).
			WithHint("deploy another version, or stop the service")
	}
	p.Role = deploy.Draining
	if err := d.save(p.Service, p.Environment, all); err != nil {
		return "", err
	}
	started, gone, err := d.halt(ctx, p)
	if err != nil || !gone {
		return deploy.Pending, err
	}
	if started && p.can(Discard) {
		s, done, err := d.do(ctx, p, Discard, []string{p.ID})
		if err != nil || !done {
			return deploy.Pending, err
		}
		if s.Exit != 0 {
			return "", d.failed(p, Discard, s, all)
		}
	}
	p.Role = deploy.Ended
	return deploy.Done, d.save(p.Service, p.Environment, all)
}

// failed lets an action that failed be run again by the next call.
func (d *Deployer) failed(p *deployment, a Action, s deploy.JobState, all []*deployment) error {
	p.again(a)
	if err := d.save(p.Service, p.Environment, all); err != nil {
		return err
	}
	return nightporter.E(nightporter.Unavailable, "%s %s of %s %s", p.program(), a, p.where(), s.Message)
}

// halt ends the program while it still deploys. started says whether it ever did
// anything.
func (d *Deployer) halt(ctx context.Context, p *deployment) (started, gone bool, err error) {
	key := p.jobKey(Deploy)
	s, err := d.cfg.Jobs.Look(ctx, key)
	if nightporter.CodeOf(err) == nightporter.NotFound {
		return false, true, nil
	}
	if err != nil || s.Ended {
		return s.Started, true, err
	}
	progress, err := d.cfg.Jobs.Kill(ctx, key)
	return s.Started, progress == deploy.Done, err
}

// Stop implements [deploy.Deployer]. A program that cannot stop what it deployed is
// a Conflict: nobody may say that nothing runs there.
func (d *Deployer) Stop(ctx context.Context, service, environment string) (deploy.Progress, error) {
	if err := deploy.ValidateNames(service, environment); err != nil {
		return "", err
	}
	defer d.door(service + "/" + environment)()
	all, err := d.at(service, environment)
	if err != nil {
		return "", err
	}
	var last *deployment // whose program is asked: the one that serves, or was started last
	var ends []string
	for _, p := range all {
		if p.over() {
			continue
		}
		started, gone, err := d.halt(ctx, p)
		if err != nil || !gone {
			return deploy.Pending, err
		}
		if !started {
			p.Role = deploy.Ended
			continue
		}
		ends = append(ends, p.ID)
		if last == nil || last.Role != deploy.Serving {
			last = p
		}
	}
	if last == nil {
		return deploy.Done, d.saveKnown(service, environment, all)
	}
	if !last.can(Stop) {
		return "", nightporter.E(nightporter.Conflict, "the command of %s does not know how to stop it", last.where()).
			WithHint("teach it the action stop, and declare it: deploy: {kind: command, actions: [stop]}")
	}
	s, done, err := d.do(ctx, last, Stop, ends)
	if err != nil || !done {
		return deploy.Pending, err
	}
	if s.Exit != 0 {
		return "", d.failed(last, Stop, s, all)
	}
	for _, p := range all {
		p.Role = deploy.Ended
	}
	return deploy.Done, d.saveKnown(service, environment, all)
}

func (d *Deployer) saveKnown(service, environment string, all []*deployment) error {
	if len(all) == 0 {
		return nil
	}
	if err := d.save(service, environment, all); err != nil {
		return fmt.Errorf("stopping %s: %w", service, err)
	}
	return nil
}
