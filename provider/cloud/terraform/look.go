package terraform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/cloud"
)

// Plan implements [cloud.Provider].
func (p *Provider) Plan(ctx context.Context, r cloud.PlanRequest) (cloud.Plan, error) {
	var plan cloud.Plan
	s, err := settingsOf(r.Target)
	if err != nil {
		return plan, err
	}
	if r.Direction == cloud.Up {
		f, err := readFile(r.Code.Dir)
		if err != nil {
			return plan, err
		}
		plan.Components, err = cloud.Order(f.components())
		return plan, err
	}
	resources, accounts, err := p.inventory(ctx, r.Environment, s)
	if err != nil {
		return plan, err
	}
	plan.Resources, plan.Accounts = cloud.Alive(resources), accounts
	records, err := p.records(r.Environment)
	for _, one := range records {
		plan.Components = append(plan.Components, one.Definition.component())
	}
	return plan, err
}

// Inventory implements [cloud.Provider]: what the states have, and what carries the
// environment's mark although no state knows it.
func (p *Provider) Inventory(ctx context.Context, t cloud.Target) ([]cloud.Resource, error) {
	s, err := settingsOf(t)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all, _, err := p.inventory(ctx, t.Environment, s)
	return all, err
}

func (p *Provider) inventory(ctx context.Context, environment string, _ settings) (all []cloud.Resource, accounts []string, err error) {
	records, err := p.records(environment)
	if err != nil {
		return nil, nil, err
	}
	all = []cloud.Resource{}
	for i, r := range records {
		s, err := p.state(ctx, environment, r)
		if err != nil {
			return nil, nil, err
		}
		resources, in := s.resources(environment, r.Definition.Name, r.Settings)
		for _, a := range in {
			if !slices.Contains(accounts, a) {
				accounts = append(accounts, a)
			}
		}
		all = append(all, resources...)
		if i == 0 {
			// The command is the same for all components of a commit.
			orphans, err := p.orphans(ctx, environment, r, records)
			if err != nil {
				return nil, nil, err
			}
			all = append(all, orphans...)
		}
		if len(resources) == 0 {
			// Built of nothing, or a build that was cut short: not gone yet.
			all = append(all, cloud.Resource{
				ID: "folder/" + environment + "/" + r.Definition.Name, Kind: "folder", Component: r.Definition.Name, Environment: environment,
				Path: p.live(environment, r.Definition.Name),
			})
		}
	}
	kept, err := filepath.Glob(filepath.Join(p.cfg.Dir, "captures", environment, "*.json"))
	for _, file := range kept {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		all = append(all, cloud.Resource{
			ID: "capture/" + environment + "/" + name, Kind: "capture", Component: name, Environment: environment, Kept: true, Path: filepath.Dir(file),
		})
	}
	return all, accounts, err
}

// orphanID is what the far end calls an orphan.
func orphanID(r cloud.Resource) string { return strings.TrimPrefix(r.ID, "orphan:") }

// orphans asks the inventory's command what carries the environment's mark, and
// leaves out what a state knows.
func (p *Provider) orphans(ctx context.Context, environment string, r *record, records []*record) ([]cloud.Resource, error) {
	if len(r.Inventory) == 0 {
		return nil, nil
	}
	b, err := p.command(ctx, environment, r, expand(r.Inventory, "{environment}", environment))
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, one := range records {
		s, err := p.state(ctx, environment, one)
		if err != nil {
			return nil, err
		}
		for id := range s.ids() {
			known[id] = true
		}
	}
	var all []cloud.Resource
	for line := range bytes.Lines(b) {
		var one struct {
			ID   string `json:"id"`
			Kind string `json:"kind"`
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if err := json.Unmarshal(line, &one); err != nil || one.ID == "" {
			return nil, nightporter.Wrap(err, nightporter.Invalid, "the inventory of %s does not print one JSON object with an id a line", environment)
		}
		if !known[one.ID] {
			all = append(all, cloud.Resource{ID: "orphan:" + one.ID, Kind: one.Kind, Environment: environment})
		}
	}
	return all, nil
}

// state reads what Terraform knows of a component: the file that we keep, or what
// its backend answers.
func (p *Provider) state(ctx context.Context, environment string, r *record) (state, error) {
	var s state
	var b []byte
	var err error
	switch {
	case r.Settings.State == "local":
		b, err = os.ReadFile(p.live(environment, r.Definition.Name, "terraform.tfstate"))
		if notExist(err) {
			return s, nil
		}
	case r.Init == "":
		return s, nil // nothing of it was begun
	default:
		b, err = p.ask(ctx, environment, r, "state", "pull")
	}
	// One that was killed in its first apply leaves an empty file.
	if err != nil || len(bytes.TrimSpace(b)) == 0 {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("read the state of %s: %w", r.Definition.Name, err)
	}
	return s, nil
}

// Probe implements [cloud.Provider].
func (p *Provider) Probe(ctx context.Context, t cloud.Target, component string) (cloud.Probe, error) {
	seen := cloud.Probe{Evidence: nightporter.Evidence{ObservedAt: p.cfg.Now().UTC(), Source: "the state of " + component}}
	if _, err := settingsOf(t); err != nil {
		return seen, err
	}
	if err := cloud.ValidateName("component", component); err != nil {
		return seen, err
	}
	unlock := p.door(t.Environment)
	r, err := p.record(t.Environment, component)
	unlock()
	switch {
	case err != nil:
		return seen, err
	case r == nil:
		seen.Hopeless, seen.Message = true, component+" does not exist"
		return seen, nil
	case !r.Built:
		seen.Message = component + " is not built"
		return seen, nil
	case len(r.Definition.Ready) == 0:
		seen.Good, seen.Message = true, "is built, and a second plan was empty"
		return seen, nil
	}
	words := expand(r.Definition.Ready, "{environment}", t.Environment)
	seen.Evidence.Source = "run " + words[0]
	if _, err := p.command(ctx, t.Environment, r, words); err != nil {
		seen.Message = component + " is not ready"
		return seen, nil
	}
	seen.Good, seen.Message = true, "is ready"
	return seen, nil
}

// Output implements [cloud.Provider]: an output of one of the configurations, with
// or without "terraform." before its name.
func (p *Provider) Output(ctx context.Context, t cloud.Target, name string) ([]byte, error) {
	if _, err := settingsOf(t); err != nil {
		return nil, err
	}
	records, err := p.records(t.Environment)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		s, err := p.state(ctx, t.Environment, r)
		if err != nil {
			return nil, err
		}
		if out, ok := s.Outputs[strings.TrimPrefix(name, "terraform.")]; ok {
			var text string
			if json.Unmarshal(out.Value, &text) == nil {
				return []byte(text), nil
			}
			return out.Value, nil
		}
	}
	return nil, nightporter.E(nightporter.NotFound, "the build of %s has no output %q", t.Environment, name)
}

// Price implements [cloud.Provider]: a resource costs what the list says of its type
// and size.
func (*Provider) Price(r cloud.Resource) (cloud.Usage, bool) {
	return cloud.Usage{Key: r.Kind, Quantity: 1}, strings.Contains(r.Kind, "/") && !r.Kept
}

// capture names the operation whose folder counts, so that an earlier one stays
// until the new one is whole.
type capture struct {
	Operation string `json:"operation"`
}

func (p *Provider) captures(environment string, parts ...string) string {
	return filepath.Join(append([]string{p.cfg.Dir, "captures", environment}, parts...)...)
}

func (p *Provider) captured(environment, component string) (c capture, err error) {
	err = readJSON(p.captures(environment, component+".json"), &c)
	if notExist(err) {
		err = nil
	}
	return c, err
}

// moveCapture lets a component dump its state.
func (p *Provider) moveCapture(ctx context.Context, o *operation) error {
	r, err := p.record(o.Environment, o.Component)
	if err != nil {
		return err
	}
	if r == nil || r.Definition.Keep == "" || !r.Built {
		o.succeed("nothing to keep")
		return nil
	}
	dir := p.captures(o.Environment, o.id)
	if err := errors.Join(os.MkdirAll(dir, 0o700), p.give(dir)); err != nil {
		return fmt.Errorf("make the folder of a capture: %w", err)
	}
	c, err := p.script(ctx, o, r, "dump", r.Definition.Dump, dir)
	switch {
	case err != nil || c.running:
		o.Message = "dumping"
		return err
	case c.code != 0:
		o.fail("the dump %s", c.end())
		return os.RemoveAll(dir)
	}
	before, err := p.captured(o.Environment, o.Component)
	if err != nil {
		return err
	}
	if err := writeJSON(p.captures(o.Environment, o.Component+".json"), capture{Operation: o.id}); err != nil {
		return fmt.Errorf("note a capture: %w", err)
	}
	if before.Operation != "" && before.Operation != o.id {
		if err := os.RemoveAll(p.captures(o.Environment, before.Operation)); err != nil {
			return fmt.Errorf("remove an earlier capture: %w", err)
		}
	}
	o.succeed("captured")
	return nil
}

// moveRestore loads a capture once in a component's life.
func (p *Provider) moveRestore(ctx context.Context, o *operation) error {
	r, err := p.record(o.Environment, o.Component)
	if err != nil {
		return err
	}
	if r == nil || r.Loaded || r.Definition.Keep == "" {
		o.succeed("nothing to restore")
		return nil
	}
	kept, err := p.captured(o.original(), o.Component)
	if err != nil {
		return err
	}
	if kept.Operation != "" {
		c, err := p.script(ctx, o, r, "load", r.Definition.Load, p.captures(o.original(), kept.Operation))
		switch {
		case err != nil || c.running:
			o.Message = "loading"
			return err
		case c.code != 0:
			o.fail("the load %s", c.end())
			return nil
		}
	}
	r.Loaded = true
	if err := p.keepRecord(o.Environment, r); err != nil {
		return err
	}
	o.succeed("restored")
	return nil
}

func (p *Provider) script(ctx context.Context, o *operation, r *record, name string, words []string, dir string) (child, error) {
	return p.run(ctx, o, name, p.workDir(o.Environment, r), p.environment(o.Environment, o.Component, r.Settings),
		expand(words, "{environment}", o.Environment, "{capture}", dir))
}
