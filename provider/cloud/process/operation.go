package process

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/cloud"
)

// operation is what one key asked and how far it is. asked.json is written before
// anything is done, moved.json after each thing that was.
type operation struct {
	id string
	asked
	moved
}

type asked struct {
	Key         string         `json:"key"`
	Verb        string         `json:"verb"` // up, down, capture, restore
	Environment string         `json:"environment"`
	Component   string         `json:"component"`
	Commit      string         `json:"commit,omitempty"`
	Definition  Definition     `json:"definition,omitzero"` // of up
	Ports       map[string]int `json:"ports,omitempty"`
	// Captured is the environment whose captures are restored, when it is not
	// the operation's own.
	Captured  string    `json:"captured,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

type moved struct {
	Phase   string      `json:"phase,omitempty"`
	Over    cloud.State `json:"over,omitempty"` // "" while under way
	Message string      `json:"message,omitempty"`
	// KillAt is when what was told to end is killed.
	KillAt time.Time `json:"kill_at,omitzero"`
	Told   bool      `json:"told,omitempty"`
}

// cancelled is the end of an operation that must not do anything any more.
const cancelled cloud.State = "cancelled"

func operationID(environment, key string) string {
	sum := sha256.Sum256([]byte(environment + "\n" + key))
	return hex.EncodeToString(sum[:12])
}

func (p *Provider) operationDir(environment, id string, parts ...string) string {
	return filepath.Join(append([]string{p.cfg.Dir, "operations", environment, id}, parts...)...)
}

// operation reads one; nil when there is none.
func (p *Provider) operation(environment, id string) (*operation, error) {
	if b, err := hex.DecodeString(id); err != nil || len(b) != 12 {
		return nil, nil
	}
	o := &operation{id: id}
	if err := readJSON(p.operationDir(environment, id, "asked.json"), &o.asked); err != nil {
		if notExist(err) {
			return nil, nil
		}
		return nil, err
	}
	if err := readJSON(p.operationDir(environment, id, "moved.json"), &o.moved); err != nil && !notExist(err) {
		return nil, err
	}
	return o, nil
}

func (p *Provider) save(o *operation) error {
	if err := writeJSON(p.operationDir(o.Environment, o.id, "moved.json"), o.moved); err != nil {
		return fmt.Errorf("note how far %s is: %w", o.Key, err)
	}
	return nil
}

// create writes down what is asked.
func (p *Provider) create(a asked) (*operation, error) {
	a.CreatedAt = p.cfg.Now().UTC()
	o := &operation{id: operationID(a.Environment, a.Key), asked: a}
	dir := p.operationDir(a.Environment, o.id)
	if err := errors.Join(os.MkdirAll(dir, 0o755), writeJSON(filepath.Join(dir, "asked.json"), a)); err != nil {
		return nil, fmt.Errorf("note what %s asks: %w", a.Key, err)
	}
	return o, nil
}

// begin finds the operation of a key or makes it, and takes it a first step.
func (p *Provider) begin(ctx context.Context, verb string, r cloud.Request, fill func(*asked) error) (cloud.Token, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := r.Validate(); err != nil {
		return "", err
	}
	defer p.door(r.Environment)()
	id := operationID(r.Environment, r.Key)
	o, err := p.operation(r.Environment, id)
	if err != nil {
		return "", err
	}
	if o != nil {
		switch {
		case o.Over == cancelled:
			return "", nightporter.E(nightporter.Conflict, "the key %s was cancelled", r.Key)
		case o.Verb != verb || o.Component != r.Component || verb == "up" && o.Commit != r.Code.Commit:
			return "", nightporter.E(nightporter.Conflict, "the key %s already did something else", r.Key)
		}
		return cloud.Token(id), p.move(ctx, o)
	}
	a := asked{Key: r.Key, Verb: verb, Environment: r.Environment, Component: r.Component}
	if fill != nil {
		if err := fill(&a); err != nil {
			return "", err
		}
	}
	if o, err = p.create(a); err != nil {
		return "", err
	}
	return cloud.Token(id), p.move(ctx, o)
}

// Up implements [cloud.Provider].
func (p *Provider) Up(ctx context.Context, r cloud.Request) (cloud.Token, error) {
	return p.begin(ctx, "up", r, func(a *asked) error {
		all, err := readDefinitions(r.Code.Dir)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(d Definition) bool { return d.Name == r.Component })
		if i < 0 {
			return nightporter.E(nightporter.NotFound, "the code has no component %q", r.Component)
		}
		a.Commit, a.Definition, a.Ports = r.Code.Commit, all[i], map[string]int{}
		if original(r.Target) != r.Environment {
			if a.Ports, err = p.scratchPorts(r.Environment, all); err != nil {
				return err
			}
			a.Definition.Port = a.Ports[r.Component]
			return p.copyCode(r.Environment, r.Code)
		}
		for _, d := range all {
			if d.Port != 0 {
				a.Ports[d.Name] = d.Port
			}
		}
		return p.copyCode(r.Environment, r.Code)
	})
}

// Down implements [cloud.Provider].
func (p *Provider) Down(ctx context.Context, r cloud.Request) (cloud.Token, error) {
	return p.begin(ctx, "down", r, nil)
}

// Capture implements [cloud.Provider].
func (p *Provider) Capture(ctx context.Context, r cloud.Request) (cloud.Token, error) {
	if original(r.Target) != r.Environment {
		return "", nightporter.E(nightporter.Conflict, "nothing of a scratch environment is kept")
	}
	return p.begin(ctx, "capture", r, nil)
}

// Restore implements [cloud.Provider].
func (p *Provider) Restore(ctx context.Context, r cloud.Request) (cloud.Token, error) {
	return p.begin(ctx, "restore", r, func(a *asked) error {
		if of := original(r.Target); of != r.Environment {
			a.Captured = of
		}
		return nil
	})
}

// Observe implements [cloud.Provider].
func (p *Provider) Observe(ctx context.Context, t cloud.Target, token cloud.Token) (cloud.Observation, error) {
	if err := cloud.ValidateName("environment", t.Environment); err != nil {
		return cloud.Observation{}, err
	}
	defer p.door(t.Environment)()
	o, err := p.operation(t.Environment, string(token))
	if err != nil {
		return cloud.Observation{}, err
	}
	if o == nil {
		return cloud.Observation{}, nightporter.E(nightporter.NotFound, "nothing is known by %q", token)
	}
	if err := p.move(ctx, o); err != nil {
		return cloud.Observation{}, err
	}
	seen := cloud.Observation{
		State: o.Over, Message: o.Message, Lines: tail(p.operationDir(o.Environment, o.id, "output"), cloud.LogLines),
		Evidence: nightporter.Evidence{ObservedAt: p.cfg.Now().UTC(), Source: "/proc and " + p.live(o.Environment)},
	}
	switch o.Over {
	case "":
		seen.State = cloud.Running
	case cancelled:
		seen.State, seen.Message = cloud.Failed, "was cancelled"
	}
	return seen, nil
}

// move takes an operation as far as it goes without waiting.
func (p *Provider) move(ctx context.Context, o *operation) error {
	for o.Over == "" {
		before := o.moved
		var err error
		switch o.Verb {
		case "up":
			err = p.moveUp(ctx, o)
		case "down":
			err = p.moveDown(o)
		case "capture":
			err = p.moveCapture(ctx, o)
		case "restore":
			err = p.moveRestore(ctx, o)
		}
		if err != nil || o.moved == before {
			return err
		}
		if err := p.save(o); err != nil {
			return err
		}
	}
	return nil
}

func (o *operation) succeed(message string) { o.Over, o.Message = cloud.Succeeded, message }

func (o *operation) fail(format string, args ...any) {
	o.Over, o.Message = cloud.Failed, fmt.Sprintf(format, args...)
}

// Cancel implements [cloud.Provider].
func (p *Provider) Cancel(ctx context.Context, t cloud.Target, key string) (cloud.Progress, error) {
	if err := (cloud.Request{Target: t, Key: key, Component: cloud.Rest}).Validate(); err != nil {
		return "", err
	}
	defer p.door(t.Environment)()
	o, err := p.operation(t.Environment, operationID(t.Environment, key))
	if err != nil {
		return "", err
	}
	if o == nil {
		if o, err = p.create(asked{Key: key, Environment: t.Environment}); err != nil {
			return "", err
		}
	}
	if o.Over == cloud.Succeeded || o.Over == cloud.Failed {
		return cloud.Done, nil
	}
	if o.Over == "" {
		o.Over = cancelled
		if err := p.save(o); err != nil {
			return "", err
		}
	}
	gone, err := p.stopChildren(o)
	if err != nil || !gone {
		return cloud.Pending, err
	}
	return cloud.Done, ctx.Err()
}

// stopChildren closes the claims of an operation and kills what won one, except a
// program that is up: that belongs to its component by now.
func (p *Provider) stopChildren(o *operation) (gone bool, err error) {
	gone = true
	for _, name := range []string{"prepare", "job", "copy", "main"} {
		run := p.operationDir(o.Environment, o.id, name)
		if _, err := os.Stat(run); notExist(err) {
			continue
		}
		if forbidden, err := forbidClaim(run); err != nil || forbidden {
			if err != nil {
				return false, err
			}
			continue
		}
		c, claimed, err := readClaim(run)
		if err != nil {
			return false, err
		}
		if !claimed {
			gone = false // being claimed this moment
			continue
		}
		if name == "main" {
			continue
		}
		left, err := p.sessionOf(c)
		if err != nil {
			return false, err
		}
		for _, one := range left {
			gone = false
			if err := one.signal(syscall.SIGKILL); err != nil {
				return false, err
			}
		}
	}
	return gone, nil
}

// sessionOf lists what lives in the session of a claim.
func (p *Provider) sessionOf(c claim) ([]Process, error) {
	if l, err := p.look(c); err != nil || !l.alive {
		return nil, err
	}
	return p.members(c, "-", "-") // nothing is marked so: the session alone
}

// child is how a child of an operation is doing.
type child struct {
	claim   claim
	running bool
	code    int    // of its end; -1 when it was killed
	exit    string // how a program that has ended already did so, when that is known
}

// run starts a child of an operation, or looks at the one that was started.
// Ending children write down how they end; staying ones become the program.
func (p *Provider) run(ctx context.Context, o *operation, name, script string, command []string, dir string, env map[string]string) (child, error) {
	run := p.operationDir(o.Environment, o.id, name)
	if err := p.folder(run, 0o755); err != nil {
		return child{}, fmt.Errorf("prepare to run %s: %w", command[0], err)
	}
	c, claimed, err := readClaim(run)
	if err != nil {
		return child{}, err
	}
	if !claimed {
		if c, err = p.spawn(ctx, spawn{
			script: script, run: run, dir: dir, log: p.operationDir(o.Environment, o.id, "output"), command: command, env: env,
		}); err != nil {
			return child{}, err
		}
	}
	l, err := p.look(c)
	if err != nil || l.alive {
		return child{claim: c, running: true}, err
	}
	b, err := readForeign(filepath.Join(run, "exit"), 16)
	if err != nil {
		return child{}, err
	}
	out := child{claim: c, code: -1}
	if l.known {
		out.exit = describeExit(l.exit)
	}
	if len(b) > 0 {
		if _, err := fmt.Sscanf(string(b), "%d", &out.code); err != nil {
			out.code = -1
		}
	}
	return out, nil
}

// end describes how a child ended, for people.
func (c child) end() string {
	switch c.code {
	case -1:
		return "was killed"
	case 127: // sh(1): the command was not found
		return "was not found"
	}
	return fmt.Sprintf("exited with status %d", c.code)
}

// environment is all that a child gets: nothing is inherited.
func (p *Provider) environment(o *operation, d Definition, v values) (map[string]string, error) {
	env := map[string]string{"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": v.Data, "LANG": "C.UTF-8"}
	maps.Copy(env, p.cfg.Environment)
	for name, text := range d.Env {
		value, err := expand(text, v)
		if err != nil {
			return nil, err
		}
		env[name] = value
	}
	env[markDir], env[markEnvironment], env[markComponent] = p.cfg.Dir, o.Environment, o.Component
	return env, nil
}

func expandAll(words []string, v values) ([]string, error) {
	out := make([]string, len(words))
	for i, w := range words {
		var err error
		if out[i], err = expand(w, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}
