package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
)

// Switch implements [deploy.Deployer].
func (d *Deployer) Switch(ctx context.Context, t deploy.Token) (deploy.Progress, error) {
	i, err := d.load(string(t))
	if err != nil {
		return "", err
	}
	if i.candidate() {
		o, err := d.observe(ctx, i)
		if err != nil {
			return "", err
		}
		if o.State != deploy.Healthy {
			return "", nightporter.E(nightporter.Conflict, "%s of %s is not healthy and cannot serve: %s", i.Version, i.place(), o.Message)
		}
	}
	defer d.door(i.Service + "/" + i.Environment)()
	if i, err = d.load(i.id); err != nil {
		return "", err
	}
	if i.role == deploy.Draining || i.role == deploy.Ended {
		return "", nightporter.E(nightporter.Conflict, "this instance of %s was ended and cannot serve", i.place())
	}
	all, err := d.at(i.Service, i.Environment)
	if err != nil {
		return "", err
	}
	if i.candidate() {
		next := roles{Serving: i.id}
		for _, other := range all {
			if other.id != i.id && (other.role != deploy.Candidate || older(other, i) < 0) {
				next.Draining = append(next.Draining, other.id)
			}
		}
		// One rename moves the role and says who has to go.
		if err := writeJSON(filepath.Join(d.placeDir(i.Service, i.Environment), "roles.json"), next); err != nil {
			return "", fmt.Errorf("switching %s: %w", i.place(), err)
		}
		for _, other := range all {
			other.setRole(next)
		}
	}
	return d.endAll(ctx, slices.DeleteFunc(all, func(other *instance) bool { return other.role != deploy.Draining }))
}

// Discard implements [deploy.Deployer].
func (d *Deployer) Discard(ctx context.Context, t deploy.Token) (deploy.Progress, error) {
	i, err := d.load(string(t))
	if err != nil {
		return "", err
	}
	defer d.door(i.Service + "/" + i.Environment)()
	if i, err = d.load(i.id); err != nil {
		return "", err
	}
	switch i.role {
	case deploy.Ended:
		return deploy.Done, nil
	case deploy.Serving:
		return "", nightporter.E(nightporter.Conflict, "%s of %s serves and cannot be discarded", i.Version, i.place()).
			WithHint("start another version, or stop the service")
	}
	return d.endAll(ctx, []*instance{i})
}

// Stop implements [deploy.Deployer]. It ends the instances on record, and then
// whatever else carries the marks of the service in the environment.
func (d *Deployer) Stop(ctx context.Context, service, environment string) (deploy.Progress, error) {
	if err := deploy.ValidateNames(service, environment); err != nil {
		return "", err
	}
	defer d.door(service + "/" + environment)()
	all, err := d.at(service, environment)
	if err != nil {
		return "", err
	}
	progress, err := d.endAll(ctx, all)
	if err != nil || progress != deploy.Done {
		return progress, err
	}
	orphans, err := d.Processes()
	if err != nil {
		return "", err
	}
	for _, p := range orphans {
		if p.Service == service && p.Environment == environment {
			progress = deploy.Pending // until a look shows that it is gone
			if err := p.signal(syscall.SIGKILL); err != nil {
				return "", err
			}
		}
	}
	return progress, nil
}

// endAll pushes the end of instances on, and is done when nothing is left.
func (d *Deployer) endAll(ctx context.Context, all []*instance) (deploy.Progress, error) {
	progress := deploy.Done
	var errs []error
	for _, i := range all {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		done, err := d.end(i)
		if err != nil {
			errs = append(errs, fmt.Errorf("ending %s of %s: %w", i.Version, i.place(), err))
		}
		if !done {
			progress = deploy.Pending
		}
	}
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	return progress, nil
}

// end pushes the end of one instance on: it is told once, and killed when its
// time to drain is over. Each step is on disk before it is taken.
func (d *Deployer) end(i *instance) (done bool, err error) {
	if i.role == deploy.Ended {
		return true, nil
	}
	if _, err := d.refresh(i); err != nil {
		return false, err
	}
	if i.Claim == nil {
		forbidden, err := forbidClaim(filepath.Join(d.instanceDir(i.id), "run"))
		if err != nil || !forbidden {
			return false, err // a child has just claimed it: next time
		}
		i.Claim = &claim{}
	}
	if i.KillAt.IsZero() {
		i.KillAt = d.cfg.Now().UTC().Add(i.Drain)
		if err := d.save(i); err != nil {
			return false, err
		}
	}
	left, err := d.members(*i.Claim, i.Key)
	if err != nil {
		return false, err
	}
	if len(left) == 0 {
		return true, d.ended(i)
	}
	var errs []error
	switch over := !d.cfg.Now().Before(i.KillAt); {
	case over:
		for _, p := range left {
			errs = append(errs, p.signal(syscall.SIGKILL))
		}
	case !i.Told:
		for _, p := range left {
			errs = append(errs, p.signal(syscall.SIGTERM))
		}
		i.Told = true
		errs = append(errs, d.save(i))
	}
	return false, errors.Join(errs...)
}

// ended writes down that nothing of an instance is left. Its log stays for a while.
func (d *Deployer) ended(i *instance) error {
	i.Ended, i.role = true, deploy.Ended
	if err := d.save(i); err != nil {
		return err
	}
	d.releasePort(i.Port)
	if err := d.takeBack(i.id); err != nil {
		return fmt.Errorf("removing the token of %s: %w", i.place(), err)
	}
	place := d.placeDir(i.Service, i.Environment)
	if err := d.forgetLogs(filepath.Join(place, "ended"), i); err != nil {
		return fmt.Errorf("removing old logs of %s: %w", i.Service, err)
	}
	err := os.Remove(filepath.Join(place, "live", i.id))
	if err != nil && !notExist(err) {
		return fmt.Errorf("taking an instance of %s off the list: %w", i.Service, err)
	}
	return nil
}

// keepLogs is how many ended instances of a service in an environment keep their
// logs. What was asked and claimed is kept for all: a key starts once for ever.
const keepLogs = 20

// forgetLogs puts an instance on the list of those that ended, whose names sort by
// time, and removes the logs of the oldest beyond keepLogs.
func (d *Deployer) forgetLogs(list string, i *instance) error {
	name := d.cfg.Now().UTC().Format("20060102T150405.000000000") + "-" + i.id
	if err := errors.Join(os.MkdirAll(list, 0o755), writeFile(filepath.Join(list, name), nil)); err != nil {
		return err
	}
	entries, err := os.ReadDir(list)
	if err != nil {
		return err
	}
	for _, e := range entries[:max(0, len(entries)-keepLogs)] {
		_, id, _ := strings.Cut(e.Name(), "-")
		if !validID(id) {
			continue // a file that a killed caller left half written
		}
		dir := d.instanceDir(id)
		if err := errors.Join(os.RemoveAll(filepath.Join(dir, "log")), os.RemoveAll(filepath.Join(dir, "log.old")), os.Remove(filepath.Join(list, e.Name()))); err != nil {
			return err
		}
	}
	return nil
}
