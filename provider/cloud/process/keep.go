package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"nightporter.dev/nightporter/provider/cloud"
)

// moveCapture puts a component's state aside: a copy of its folder once its
// process has ended, or a dump that it makes itself.
func (p *Provider) moveCapture(ctx context.Context, o *operation) error {
	r, err := p.record(o.Environment, o.Component)
	if err != nil {
		return err
	}
	if r == nil || r.Definition.Keep == "" || !r.Prepared {
		o.succeed("nothing to keep")
		return nil
	}
	dir := p.captureDir(o.Environment, o.id)
	if err := errors.Join(os.MkdirAll(filepath.Dir(dir), 0o755), p.folder(dir, 0o700)); err != nil {
		return fmt.Errorf("make the folder of a capture: %w", err)
	}
	var c child
	if r.Definition.Keep == "dump" {
		c, err = p.command(ctx, o, r, "copy", endScript, r.Definition.Dump, dir)
	} else {
		if o.Phase == "" {
			gone, err := p.endComponent(o, r)
			if err != nil || !gone {
				o.Message = "ending, so that its folder can be copied"
				return err
			}
			o.Phase = "copy"
			return nil
		}
		c, err = p.command(ctx, o, r, "copy", endScript, []string{"cp", "-a", "{data}", filepath.Join(dir, "data")}, dir)
	}
	switch {
	case err != nil:
		return err
	case c.running:
		o.Message = "copying"
		return nil
	case c.code != 0:
		o.fail("capture %s", c.end())
		return os.RemoveAll(dir)
	}
	before, err := p.captured(o.Environment, o.Component)
	if err != nil {
		return err
	}
	if err := writeJSON(p.captureFile(o.Environment, o.Component), capture{Operation: o.id, Keep: r.Definition.Keep}); err != nil {
		return fmt.Errorf("note a capture: %w", err)
	}
	if before != nil && before.Operation != o.id {
		if err := os.RemoveAll(p.captureDir(o.Environment, before.Operation)); err != nil {
			return fmt.Errorf("remove an earlier capture: %w", err)
		}
	}
	o.succeed("captured")
	return nil
}

// moveRestore brings state back once in a component's life: a folder before it is
// there, a dump when it was not loaded yet. What has lived since is never
// overwritten.
func (p *Provider) moveRestore(ctx context.Context, o *operation) error {
	from := cmp.Or(o.Captured, o.Environment)
	kept, err := p.captured(from, o.Component)
	if err != nil {
		return err
	}
	if kept != nil && kept.Keep == "data" {
		return p.restoreFolder(ctx, o, kept)
	}
	r, err := p.record(o.Environment, o.Component)
	if err != nil {
		return err
	}
	if r == nil || r.Loaded {
		o.succeed("nothing to restore")
		return nil
	}
	if kept != nil {
		c, err := p.command(ctx, o, r, "copy", endScript, r.Definition.Load, p.captureDir(from, kept.Operation))
		switch {
		case err != nil:
			return err
		case c.running:
			o.Message = "loading"
			return nil
		case c.code != 0:
			o.fail("load %s", c.end())
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

func (p *Provider) restoreFolder(ctx context.Context, o *operation, kept *capture) error {
	data := p.data(o.Environment, o.Component)
	if _, err := os.Stat(data); err == nil {
		o.succeed("its folder is there")
		return nil
	}
	// A copy that was cut short is never taken for the whole.
	fresh := filepath.Join(filepath.Dir(data), "."+o.id)
	if err := errors.Join(os.MkdirAll(filepath.Dir(data), 0o755), p.folder(fresh, 0o700)); err != nil {
		return fmt.Errorf("make the folder of %s: %w", o.Component, err)
	}
	env, err := p.environment(o, Definition{}, values{Data: fresh})
	if err != nil {
		return err
	}
	from := filepath.Join(p.captureDir(cmp.Or(o.Captured, o.Environment), kept.Operation), "data")
	c, err := p.run(ctx, o, "copy", endScript, []string{"cp", "-a", from + "/.", fresh}, fresh, env)
	switch {
	case err != nil:
		return err
	case c.running:
		o.Message = "copying"
		return nil
	case c.code != 0:
		o.fail("restore %s", c.end())
		return os.RemoveAll(fresh)
	}
	if err := os.Rename(fresh, data); err != nil {
		return fmt.Errorf("put the folder of %s back: %w", o.Component, err)
	}
	o.succeed("restored")
	return nil
}

// captures lists what is kept of an environment.
func (p *Provider) captures(environment string) ([]cloud.Resource, error) {
	files, err := filepath.Glob(p.path("captures", environment, "*.json"))
	if err != nil {
		return nil, err
	}
	var all []cloud.Resource
	for _, f := range files {
		name := filepath.Base(f[:len(f)-len(".json")])
		c, err := p.captured(environment, name)
		if err != nil {
			return nil, err
		}
		if c != nil {
			all = append(all, cloud.Resource{
				ID: "capture/" + environment + "/" + name, Kind: "capture", Component: name, Environment: environment, Kept: true,
				Path: p.captureDir(environment, c.Operation),
			})
		}
	}
	return all, nil
}
