package process

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/cloud"
)

// record is what was built of a component. It is written before anything of it
// exists and removed after nothing does.
type record struct {
	Definition Definition     `json:"definition"`
	Ports      map[string]int `json:"ports,omitempty"`
	Hash       string         `json:"hash"`
	Commit     string         `json:"commit"`
	Operation  string         `json:"operation"` // that made it, with the claim of its process
	CreatedAt  time.Time      `json:"created_at"`
	Prepared   bool           `json:"prepared,omitempty"` // its folder is ready
	Loaded     bool           `json:"loaded,omitempty"`   // its state came back, or there was none
	Done       bool           `json:"done,omitempty"`     // a job ended well
	Exit       string         `json:"exit,omitempty"`     // how its process ended by itself
}

func (p *Provider) recordPath(environment, component string) string {
	return p.live(environment, "components", component+".json")
}

// record reads what was built; nil for nothing.
func (p *Provider) record(environment, component string) (*record, error) {
	var r record
	err := readJSON(p.recordPath(environment, component), &r)
	if notExist(err) {
		return nil, nil
	}
	return &r, err
}

func (p *Provider) keepRecord(environment string, r *record) error {
	path := p.recordPath(environment, r.Definition.Name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), writeJSON(path, r)); err != nil {
		return fmt.Errorf("note what was built of %s: %w", r.Definition.Name, err)
	}
	return nil
}

// records lists what was built of an environment, by name.
func (p *Provider) records(environment string) ([]*record, error) {
	entries, err := os.ReadDir(p.live(environment, "components"))
	if err != nil && !notExist(err) {
		return nil, fmt.Errorf("list what was built of %s: %w", environment, err)
	}
	var all []*record
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || strings.HasPrefix(name, ".") {
			continue
		}
		r, err := p.record(environment, name)
		if err != nil {
			return nil, err
		}
		if r != nil {
			all = append(all, r)
		}
	}
	return all, nil
}

// process is the claim of a component's process.
func (p *Provider) process(environment string, r *record) (claim, error) {
	c, _, err := readClaim(p.operationDir(environment, r.Operation, "main"))
	return c, err
}

// alive says whether a component is as its record says.
func (p *Provider) alive(environment string, r *record) (bool, error) {
	switch r.Definition.Kind {
	case "job":
		return r.Done, nil
	case "folder":
		_, err := os.Stat(p.data(environment, r.Definition.Name))
		return err == nil, nil
	}
	c, err := p.process(environment, r)
	if err != nil {
		return false, err
	}
	l, err := p.look(c)
	if err == nil && l.known {
		r.Exit = describeExit(l.exit)
		err = p.keepRecord(environment, r)
	}
	return l.alive, err
}

func describeExit(ws syscall.WaitStatus) string {
	if ws.Signaled() {
		return "was ended by " + ws.Signal().String()
	}
	if ws.ExitStatus() == 127 {
		return "could not start: its command was not found"
	}
	return fmt.Sprintf("exited with status %d", ws.ExitStatus())
}

// moveUp builds a component: what is there and different goes first, then its
// folder is made and prepared, then its program starts.
func (p *Provider) moveUp(ctx context.Context, o *operation) error {
	hash := o.Definition.fingerprint(o.Commit, o.Ports)
	r, err := p.record(o.Environment, o.Component)
	if err != nil {
		return err
	}
	switch o.Phase {
	case "":
		if r != nil && r.Hash == hash {
			if alive, err := p.alive(o.Environment, r); err != nil || alive {
				if alive {
					o.succeed("was there already")
				}
				return err
			}
		}
		o.Phase = "make"
		if r != nil {
			o.Phase = "replace"
		}
	case "replace":
		gone, err := p.endComponent(o, r)
		if err != nil || !gone {
			o.Message = "ending what ran before"
			return err
		}
		o.Phase, o.Message = "make", ""
	case "make":
		return p.makeFolder(o, r, hash)
	case "prepare":
		return p.prepare(ctx, o, r)
	case "start":
		return p.start(ctx, o, r)
	}
	return nil
}

// makeFolder writes the record and then makes the component's folder. A folder
// without a record is one that was restored; one whose preparation did not end
// well is made anew.
func (p *Provider) makeFolder(o *operation, before *record, hash string) error {
	data := p.data(o.Environment, o.Component)
	r := &record{Definition: o.Definition, Ports: o.Ports, Hash: hash, Commit: o.Commit, Operation: o.id, CreatedAt: p.cfg.Now().UTC()}
	if before != nil {
		r.Prepared, r.Loaded = before.Prepared, before.Loaded
	} else if _, err := os.Stat(data); err == nil {
		r.Prepared = true
	}
	if err := p.keepRecord(o.Environment, r); err != nil {
		return err
	}
	if !r.Prepared {
		if err := os.RemoveAll(data); err != nil {
			return fmt.Errorf("clear the folder of %s: %w", o.Component, err)
		}
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(data), 0o755), p.folder(data, 0o700)); err != nil {
		return fmt.Errorf("make the folder of %s: %w", o.Component, err)
	}
	o.Phase = "prepare"
	return nil
}

func (p *Provider) prepare(ctx context.Context, o *operation, r *record) error {
	if r == nil {
		o.fail("was destroyed meanwhile")
		return nil
	}
	if !r.Prepared && len(o.Definition.Prepare) > 0 {
		c, err := p.command(ctx, o, r, "prepare", endScript, o.Definition.Prepare, "")
		switch {
		case err != nil:
			return err
		case c.running:
			o.Message = "preparing"
			return nil
		case c.code != 0:
			o.fail("prepare %s", c.end())
			return nil
		}
	}
	r.Prepared = true
	if err := p.keepRecord(o.Environment, r); err != nil {
		return err
	}
	o.Phase, o.Message = "start", ""
	return nil
}

func (p *Provider) start(ctx context.Context, o *operation, r *record) error {
	switch {
	case r == nil:
		o.fail("was destroyed meanwhile")
	case o.Definition.Kind == "folder":
		o.succeed("")
	case o.Definition.Kind == "job":
		c, err := p.command(ctx, o, r, "job", endScript, o.Definition.Command, "")
		switch {
		case err != nil:
			return err
		case c.running:
			o.Message = "working"
			return nil
		case c.code != 0:
			o.fail("%s %s", filepath.Base(o.Definition.Command[0]), c.end())
			return nil
		}
		r.Done = true
		if err := p.keepRecord(o.Environment, r); err != nil {
			return err
		}
		o.succeed("done")
	default:
		c, err := p.command(ctx, o, r, "main", stayScript, o.Definition.Command, "")
		if err != nil {
			return err
		}
		if c.exit != "" {
			// Its parent is told once. The probe says it.
			r.Exit = c.exit
			if err := p.keepRecord(o.Environment, r); err != nil {
				return err
			}
		}
		o.succeed("started")
	}
	return nil
}

// command runs one of a component's commands.
func (p *Provider) command(ctx context.Context, o *operation, r *record, name, script string, words []string, capture string) (child, error) {
	d := r.Definition
	v := values{
		Data: p.data(o.Environment, d.Name), Code: p.codeDir(o.Environment, r.Commit), Environment: o.Environment, Capture: capture,
		Port: d.Port, Ports: r.Ports,
	}
	argv, err := expandAll(words, v)
	if err != nil {
		return child{}, err
	}
	env, err := p.environment(o, d, v)
	if err != nil {
		return child{}, err
	}
	return p.run(ctx, o, name, script, argv, v.Data, env)
}

func (p *Provider) codeDir(environment, commit string) string {
	sum := sha256.Sum256([]byte(commit))
	return p.live(environment, "code", hex.EncodeToString(sum[:6]))
}

// copyCode keeps the files of a commit for as long as components run from them.
func (p *Provider) copyCode(environment string, code cloud.Code) error {
	dir := p.codeDir(environment, code.Commit)
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("make the folder of code: %w", err)
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), ".new-")
	if err != nil {
		return fmt.Errorf("make the folder of code: %w", err)
	}
	defer func() { _ = os.RemoveAll(fresh) }() // does nothing once it is renamed
	if err := errors.Join(os.Chmod(fresh, 0o755), os.CopyFS(fresh, os.DirFS(code.Dir))); err != nil {
		return fmt.Errorf("copy the code: %w", err)
	}
	return os.Rename(fresh, dir)
}

// Plan implements [cloud.Provider].
func (p *Provider) Plan(ctx context.Context, r cloud.PlanRequest) (cloud.Plan, error) {
	if err := cloud.ValidateName("environment", r.Environment); err != nil {
		return cloud.Plan{}, err
	}
	var plan cloud.Plan
	if r.Direction == cloud.Up {
		all, err := readDefinitions(r.Code.Dir)
		if err != nil {
			return plan, err
		}
		if original(r.Target) != r.Environment {
			if err := twice(all); err != nil {
				return plan, err
			}
		}
		plan.Components, err = cloud.Order(components(all))
		return plan, err
	}
	resources, err := p.Inventory(ctx, r.Target)
	if err != nil {
		return plan, err
	}
	plan.Resources = cloud.Alive(resources)
	records, err := p.records(r.Environment)
	if err != nil {
		return plan, err
	}
	var all []cloud.Component
	for _, one := range records {
		c := one.Definition.component()
		// What it needs may be gone already.
		c.Needs = slices.DeleteFunc(slices.Clone(c.Needs), func(n string) bool {
			return !slices.ContainsFunc(records, func(o *record) bool { return o.Definition.Name == n })
		})
		c.Within = one.Definition.grace() + time.Minute
		all = append(all, c)
	}
	plan.Components, err = cloud.Order(all)
	return plan, err
}

// Output implements [cloud.Provider]: the content of a file that the build made.
func (p *Provider) Output(_ context.Context, t cloud.Target, name string) ([]byte, error) {
	if err := cloud.ValidateName("environment", t.Environment); err != nil {
		return nil, err
	}
	records, err := p.records(t.Environment)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if file, ok := r.Definition.Outputs[name]; ok {
			root, err := os.OpenRoot(p.data(t.Environment, r.Definition.Name))
			if err != nil {
				return nil, fmt.Errorf("read output %s: %w", name, err)
			}
			b, err := root.ReadFile(file)
			return b, errors.Join(err, root.Close())
		}
	}
	return nil, nightporter.E(nightporter.NotFound, "the build of %s has no output %q", t.Environment, name)
}

// Price implements [cloud.Provider]: a process costs what the list says of one.
func (p *Provider) Price(r cloud.Resource) (cloud.Usage, bool) {
	return cloud.Usage{Key: "process", Quantity: 1}, r.Kind == "process" && !r.Kept
}
