package terraform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/cloud"
)

// workDir is the folder of a component's configuration.
func (p *Provider) workDir(environment string, r *record) string {
	return p.live(environment, r.Definition.Name, "code", r.Code, r.Definition.Dir)
}

// terraform runs one of its commands for an operation.
func (p *Provider) terraform(ctx context.Context, o *operation, r *record, name string, args ...string) (child, error) {
	binary, err := r.Settings.binary()
	if err != nil {
		return child{}, err
	}
	return p.run(ctx, o, name, p.workDir(o.Environment, r), p.environment(o.Environment, r.Definition.Name, r.Settings), append([]string{binary}, args...))
}

func (p *Provider) planFile(o *operation) string {
	return p.live(o.Environment, o.Component, "data", o.id+".plan")
}

// phases takes an operation through init, plan, the look at the plan and apply; then
// it is at the phase "applied".
func (p *Provider) phases(ctx context.Context, o *operation, r *record, planning ...string) error {
	switch o.Phase {
	case "init":
		if r.Init == r.Code {
			o.Phase = "plan"
			return nil
		}
		c, err := p.terraform(ctx, o, r, "init", "init", "-no-color", "-input=false", "-reconfigure")
		switch {
		case err != nil || c.running:
			o.Message = "initialising"
			return err
		case c.code != 0:
			p.broke(o, "init", c)
			return nil
		}
		r.Init = r.Code
		if err := p.keepRecord(o.Environment, r); err != nil {
			return err
		}
		o.Phase = "plan"
	case "plan":
		args := append([]string{"plan", "-no-color", "-input=false", "-lock-timeout=30s", "-detailed-exitcode", "-out=" + p.planFile(o)}, planning...)
		c, err := p.terraform(ctx, o, r, "plan", args...)
		switch {
		case err != nil || c.running:
			o.Message = "planning"
			return err
		case c.code == 0:
			o.Phase = "applied" // there is nothing to do
		case c.code == 2:
			o.Phase = "check"
		default:
			p.broke(o, "plan", c)
		}
	case "check":
		b, err := p.ask(ctx, o.Environment, r, "show", "-json", p.planFile(o))
		if err != nil {
			return err
		}
		var plan tfplan
		if err := json.Unmarshal(b, &plan); err != nil {
			return fmt.Errorf("read the plan of %s: %w", o.Component, err)
		}
		if why := plan.refuse(o.Environment, r.Settings); why != "" {
			o.fail("%s; nothing was touched", why)
			return nil
		}
		if n, limit := plan.destroys(), r.Settings.MaxDestroy; o.Verb == "up" && limit > 0 && n > limit {
			o.fail("the plan destroys %d resources, and at most %d are expected; nothing was touched", n, limit)
			return nil
		}
		o.Phase = "apply"
	case "apply":
		c, err := p.terraform(ctx, o, r, "apply", "apply", "-no-color", "-input=false", "-lock-timeout=30s", p.planFile(o))
		switch {
		case err != nil || c.running:
			o.Message = "applying"
			return err
		case c.code != 0:
			p.broke(o, "apply", c)
			return nil
		}
		o.Phase, o.Message = "applied", ""
	}
	return nil
}

// moveUp builds a component, or brings one that is there to what the code says.
func (p *Provider) moveUp(ctx context.Context, o *operation) error {
	r, err := p.record(o.Environment, o.Component)
	if err != nil {
		return err
	}
	switch {
	case o.Phase == "":
		next := *o.Next
		if r != nil {
			next.Loaded, next.Init, next.CreatedAt = r.Loaded, r.Init, r.CreatedAt
			if made, err := p.operation(o.Environment, r.Operation); err != nil || made != nil && made.id != o.id && made.Over == "" {
				if err == nil {
					gone, err := p.end(made)
					if err != nil || !gone {
						o.Message = "ending what an earlier build left at work"
						return err
					}
				} else {
					return err
				}
			}
		}
		if err := p.keepRecord(o.Environment, &next); err != nil {
			return err
		}
		o.Phase, o.Message = "init", ""
	case r == nil || r.Operation != o.id:
		o.fail("was destroyed or replaced meanwhile")
	case o.Phase == "applied":
		// What was applied must be what the code says: a second plan is empty.
		c, err := p.terraform(ctx, o, r, "verify", "plan", "-no-color", "-input=false", "-lock-timeout=30s", "-detailed-exitcode")
		switch {
		case err != nil || c.running:
			o.Message = "planning again, which must be empty"
			return err
		case c.code == 2:
			o.fail("the plan is not empty after the build")
			return nil
		case c.code != 0:
			p.broke(o, "plan", c)
			return nil
		}
		r.Built = true
		if err := p.keepRecord(o.Environment, r); err != nil {
			return err
		}
		o.succeed("built, and a second plan is empty")
	default:
		return p.phases(ctx, o, r)
	}
	return nil
}

// end ends an operation that nobody goes on with.
func (p *Provider) end(o *operation) (gone bool, err error) {
	o.Over = cancelled
	gone, err = p.stop(o)
	if gone && err == nil {
		return true, p.save(o)
	}
	o.Over = "" // it is asked again
	return false, errors.Join(err, p.save(o))
}

// moveDown destroys a component: by its state, then the folder.
func (p *Provider) moveDown(ctx context.Context, o *operation) error {
	r, err := p.record(o.Environment, o.Component)
	if err != nil {
		return err
	}
	if r == nil {
		if err := os.RemoveAll(p.live(o.Environment, o.Component)); err != nil {
			return err
		}
		o.succeed("")
		return nil
	}
	switch o.Phase {
	case "":
		made, err := p.operation(o.Environment, r.Operation)
		if err != nil {
			return err
		}
		if made != nil && made.Over == "" {
			gone, err := p.end(made)
			if err != nil || !gone {
				o.Message = "ending the build"
				return err
			}
		}
		o.Phase, o.Message = "init", ""
	case "applied":
		s, err := p.state(ctx, o.Environment, r)
		if err != nil {
			return err
		}
		if left, _ := s.resources(o.Environment, o.Component, r.Settings); len(left) > 0 {
			o.fail("%d resources are in the state after the tear-down, the first is %s", len(left), left[0].ID)
			return nil
		}
		if err := os.RemoveAll(p.live(o.Environment, o.Component)); err != nil {
			return fmt.Errorf("remove %s: %w", o.Component, err)
		}
		o.succeed("")
	default:
		return p.phases(ctx, o, r, "-destroy")
	}
	return nil
}

// moveRest destroys every component that is left, and then what no state knows.
func (p *Provider) moveRest(ctx context.Context, o *operation) error {
	records, err := p.records(o.Environment)
	if err != nil {
		return err
	}
	for _, r := range slices.Backward(records) {
		name := r.Definition.Name
		orphans, err := p.orphans(ctx, o.Environment, r, records)
		if err != nil {
			return err
		}
		for _, orphan := range orphans {
			if orphan.Protected || len(r.Remove) == 0 {
				o.fail("%s is there, no state knows it, and nothing says how to remove it", orphan.ID)
				return nil
			}
			words := expand(r.Remove, "{environment}", o.Environment, "{id}", orphanID(orphan))
			if _, err := p.command(ctx, o.Environment, r, words); err != nil {
				o.fail("%s could not be removed", orphan.ID)
				return nil
			}
		}
		key := o.Key + "/rest/" + name
		sub, err := p.operation(o.Environment, operationID(o.Environment, key))
		if err == nil && sub == nil {
			sub, err = p.create(asked{Key: key, Verb: "down", Environment: o.Environment, Component: name, Settings: o.Settings})
		}
		if err != nil {
			return err
		}
		if err := p.move(ctx, sub); err != nil {
			return err
		}
		switch sub.Over {
		case "":
			o.Message = "destroying " + name
			return nil
		case cloud.Succeeded:
		default:
			o.fail("%s: %s", name, sub.Message)
			return nil
		}
	}
	if err := errors.Join(os.RemoveAll(p.live(o.Environment)), p.forget(o.Environment)); err != nil {
		return fmt.Errorf("remove what is left of %s: %w", o.Environment, err)
	}
	o.succeed("")
	return nil
}

// keepOperations is how long a key is known, with its output.
const keepOperations = 14 * 24 * time.Hour

// forget removes operations that are long over.
func (p *Provider) forget(environment string) error {
	entries, err := os.ReadDir(filepath.Join(p.cfg.Dir, "operations", environment))
	if err != nil {
		return err
	}
	for _, e := range entries {
		o, err := p.operation(environment, e.Name())
		if err != nil {
			return err
		}
		if o != nil && o.Over != "" && p.cfg.Now().Sub(o.CreatedAt) > keepOperations {
			if err := os.RemoveAll(p.operationDir(environment, o.id)); err != nil {
				return err
			}
		}
	}
	return nil
}

// askLimit bounds what is asked while somebody waits.
const askLimit = 15 * time.Second

// ask runs a short command of terraform and returns what it prints.
func (p *Provider) ask(ctx context.Context, environment string, r *record, args ...string) ([]byte, error) {
	binary, err := r.Settings.binary()
	if err != nil {
		return nil, err
	}
	return p.command(ctx, environment, r, append([]string{binary}, args...))
}

// command runs a short command in a component's folder, as the user of terraform.
func (p *Provider) command(ctx context.Context, environment string, r *record, words []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Dir, cmd.Env = p.workDir(environment, r), p.environment(environment, r.Definition.Name, r.Settings)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if p.user != nil {
		cmd.SysProcAttr.Credential = &p.user.credential
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	b, err := cmd.Output()
	if err != nil {
		// What it said may hold secrets: the name of the command has to do.
		return b, nightporter.Wrap(err, nightporter.Unavailable, "%s of %s did not end well", filepath.Base(words[0]), r.Definition.Name)
	}
	return b, nil
}
