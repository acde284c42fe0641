package process

import (
	"context"
	"fmt"
	"path/filepath"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
)

// Observe implements [deploy.Deployer].
func (d *Deployer) Observe(ctx context.Context, t deploy.Token) (deploy.Observation, error) {
	i, err := d.load(string(t))
	if err != nil {
		return deploy.Observation{}, err
	}
	return d.observe(ctx, i)
}

// observe looks at the process and asks it. The question is asked with no door
// closed: a service that is slow to answer holds nobody up.
func (d *Deployer) observe(ctx context.Context, i *instance) (deploy.Observation, error) {
	alive, err := d.observeProcess(i)
	if err != nil {
		return deploy.Observation{}, err
	}
	o := deploy.Observation{Role: i.role, Address: i.address()}
	o.Evidence = nightporter.Evidence{ObservedAt: d.cfg.Now().UTC(), Source: fmt.Sprintf("/proc of instance %s", i.id)}
	if i.Claim != nil {
		o.Evidence.Source = fmt.Sprintf("/proc/%d", i.Claim.PID)
	}
	switch {
	case i.role == deploy.Ended:
		o.State, o.Message = deploy.Gone, "was ended"
	case i.Claim == nil && !d.late(i):
		o.State, o.Message = deploy.Starting, "is being started"
	case i.Claim == nil:
		o.State, o.Message, o.Retryable = deploy.Failed, fmt.Sprintf("did not start within %s", i.Health.Within), true
	case !alive && i.role == deploy.Draining:
		o.State, o.Message = deploy.Gone, "has ended"
	case !alive:
		o.State, o.Message, o.Retryable = deploy.Failed, i.Exit, i.Temporary
		if o.Message == "" {
			o.Message = "has ended; how is not known, because Nightporter was restarted since"
		}
	default:
		p, err := d.probe(ctx, i)
		if err != nil {
			return deploy.Observation{}, err
		}
		o.Reported, o.Message, o.Evidence = p.reported, p.message, p.evidence
		switch {
		case p.good:
			o.State = deploy.Healthy
			if err := d.sawHealthy(i.id); err != nil {
				return deploy.Observation{}, err
			}
		case p.wrong:
			o.State = deploy.Failed // waiting does not make it another version
		case d.late(i) && i.HealthyAt.IsZero():
			o.State, o.Message = deploy.Failed, fmt.Sprintf("not healthy within %s: %s", i.Health.Within, p.message)
		case d.late(i):
			o.State, o.Message = deploy.Failed, "not healthy any more: "+p.message
		default:
			o.State = deploy.Starting
		}
	}
	o.Lines = d.tail(i.id, deploy.LogLines)
	return o, nil
}

// observeProcess looks at the process with the door closed, on fresh records.
func (d *Deployer) observeProcess(i *instance) (alive bool, err error) {
	defer d.door(i.Service + "/" + i.Environment)()
	fresh, err := d.load(i.id)
	if err != nil {
		return false, err
	}
	*i = *fresh
	if i.role == deploy.Ended {
		return false, nil
	}
	return d.refresh(i)
}

// sawHealthy writes down that the instance was seen healthy, the first time.
func (d *Deployer) sawHealthy(id string) error {
	i, err := d.load(id)
	if err != nil || !i.HealthyAt.IsZero() {
		return err
	}
	defer d.door(i.Service + "/" + i.Environment)()
	if i, err = d.load(id); err != nil || !i.HealthyAt.IsZero() {
		return err
	}
	i.HealthyAt = d.cfg.Now().UTC()
	return d.save(i)
}

// late says whether the instance has had its time to become healthy.
func (d *Deployer) late(i *instance) bool {
	from := i.StartedAt
	if from.IsZero() {
		from = i.CreatedAt
	}
	return d.cfg.Now().Sub(from) >= i.Health.Within
}

// Running implements [deploy.Deployer].
func (d *Deployer) Running(ctx context.Context, service, environment string) ([]deploy.Instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := deploy.ValidateNames(service, environment); err != nil {
		return nil, err
	}
	defer d.door(service + "/" + environment)()
	all, err := d.at(service, environment)
	if err != nil {
		return nil, err
	}
	var running []deploy.Instance
	for _, i := range all {
		alive, err := d.refresh(i)
		if err != nil {
			return nil, err
		}
		if !alive && i.role != deploy.Serving {
			continue
		}
		shown := deploy.Instance{
			Token: deploy.Token(i.id), Key: i.Key, Version: i.Version, Commit: i.Commit, Artifact: i.Artifact,
			Address: i.address(), StartedAt: i.StartedAt, Role: i.role, State: deploy.Starting,
		}
		if i.Claim != nil {
			shown.PID = i.Claim.PID
		}
		switch {
		case !alive:
			shown.State = deploy.Gone
		case !i.HealthyAt.IsZero():
			shown.State = deploy.Healthy
		}
		running = append(running, shown)
	}
	return running, nil
}

// Logs implements [deploy.Deployer].
func (d *Deployer) Logs(ctx context.Context, service, environment string, n int) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := deploy.ValidateNames(service, environment); err != nil {
		return nil, err
	}
	r, err := d.roles(service, environment)
	if err != nil {
		return nil, err
	}
	if i, err := d.load(r.Serving); err == nil && i.role == deploy.Serving {
		return d.tail(i.id, n), nil
	}
	last, err := readForeign(filepath.Join(d.placeDir(service, environment), "last"))
	if err != nil || !validID(last) {
		return nil, err
	}
	return d.tail(last, n), nil
}
