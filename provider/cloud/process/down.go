package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"nightporter.dev/nightporter/provider/cloud"
)

// moveDown destroys a component: no claim of its can be won any more, its
// processes end, its folder goes, and last the record.
func (p *Provider) moveDown(o *operation) error {
	if o.Component == cloud.Rest {
		return p.moveRest(o)
	}
	r, err := p.record(o.Environment, o.Component)
	if err != nil {
		return err
	}
	if r != nil && r.Definition.Protected {
		o.fail("%s is protected", o.Component)
		return nil
	}
	gone, err := p.endComponent(o, r)
	if err != nil || !gone {
		o.Message = "ending"
		return err
	}
	err = errors.Join(os.RemoveAll(p.data(o.Environment, o.Component)), os.RemoveAll(p.recordPath(o.Environment, o.Component)))
	if err != nil {
		return fmt.Errorf("remove %s: %w", o.Component, err)
	}
	o.succeed("")
	return nil
}

// keepOperations is how long a key is known, with its output.
const keepOperations = 14 * 24 * time.Hour

// moveRest destroys whatever carries the environment's mark.
func (p *Provider) moveRest(o *operation) error {
	records, err := p.records(o.Environment)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(records, func(r *record) bool { return r.Definition.Protected }); i >= 0 {
		o.fail("%s is protected", records[i].Definition.Name)
		return nil
	}
	entries, err := os.ReadDir(p.path("operations", o.Environment))
	if err != nil && !notExist(err) {
		return fmt.Errorf("list operations: %w", err)
	}
	for _, e := range entries {
		other, err := p.operation(o.Environment, e.Name())
		if err != nil {
			return err
		}
		if other != nil && other.Over != "" && p.cfg.Now().Sub(other.CreatedAt) > keepOperations {
			if err := os.RemoveAll(p.operationDir(o.Environment, other.id)); err != nil {
				return fmt.Errorf("forget an old operation: %w", err)
			}
			continue
		}
		if other == nil || other.id == o.id || other.Over != "" || other.Verb == "down" {
			continue
		}
		// Nobody goes on with it after this.
		other.Over = cancelled
		if err := p.save(other); err != nil {
			return err
		}
		if _, err := p.stopChildren(other); err != nil {
			return err
		}
	}
	gone, err := p.end(o, nil, "", syscall.SIGTERM)
	if err != nil || !gone {
		o.Message = "ending what is left"
		return err
	}
	if err := os.RemoveAll(p.live(o.Environment)); err != nil {
		return fmt.Errorf("remove what is left of %s: %w", o.Environment, err)
	}
	o.succeed("")
	return nil
}

// endComponent ends the processes of a component; r may be nil.
func (p *Provider) endComponent(o *operation, r *record) (gone bool, err error) {
	if r == nil {
		return p.end(o, nil, o.Component, syscall.SIGTERM)
	}
	if r.Operation != o.id {
		// A child that a killed predecessor left on its way must not win.
		made, err := p.operation(o.Environment, r.Operation)
		if err != nil {
			return false, err
		}
		if made != nil {
			if made.Over == "" {
				made.Over = cancelled
				if err := p.save(made); err != nil {
					return false, err
				}
			}
			if gone, err := p.stopChildren(made); err != nil || !gone {
				return false, err
			}
		}
	}
	c, err := p.process(o.Environment, r)
	if err != nil {
		return false, err
	}
	if o.KillAt.IsZero() {
		o.KillAt = p.cfg.Now().UTC().Add(r.Definition.grace())
	}
	return p.end(o, &c, o.Component, signals[r.Definition.Stop])
}

// end pushes the end of processes on: the first one is told, what it leaves
// behind is told after it, and all are killed when the grace is over.
func (p *Provider) end(o *operation, c *claim, component string, sig syscall.Signal) (gone bool, err error) {
	if c == nil {
		c = &claim{}
	}
	left, err := p.members(*c, o.Environment, component)
	if err != nil || len(left) == 0 {
		if err == nil && len(left) == 0 {
			o.KillAt, o.Told = time.Time{}, false
			_, err = p.look(*c) // collects it when it is our child
		}
		return err == nil, err
	}
	if o.KillAt.IsZero() {
		o.KillAt = p.cfg.Now().UTC().Add((Definition{}).grace())
	}
	over := !p.cfg.Now().Before(o.KillAt)
	leads := slices.ContainsFunc(left, func(one Process) bool { return one.PID == c.PID && one.Start == c.Start })
	var errs []error
	for _, one := range left {
		switch {
		case over:
			errs = append(errs, one.signal(syscall.SIGKILL))
		case o.Told && leads:
		case leads && one.PID == c.PID:
			// A server ends its own children in good order.
			errs = append(errs, one.signal(sig))
		case !leads:
			errs = append(errs, one.signal(syscall.SIGTERM))
		}
	}
	o.Told = true
	return false, errors.Join(errs...)
}

// Captures are folders by operation; the file beside them names the one that
// counts, so that an earlier capture stays until the new one is whole.
type capture struct {
	Operation string `json:"operation"`
	Keep      string `json:"keep"`
}

func (p *Provider) captureFile(environment, component string) string {
	return p.path("captures", environment, component+".json")
}

func (p *Provider) captureDir(environment, id string) string {
	return filepath.Join(p.cfg.Dir, "captures", environment, id)
}

func (p *Provider) captured(environment, component string) (*capture, error) {
	var c capture
	err := readJSON(p.captureFile(environment, component), &c)
	if notExist(err) {
		return nil, nil
	}
	return &c, err
}
