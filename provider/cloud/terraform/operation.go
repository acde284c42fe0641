package terraform

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	Key         string    `json:"key"`
	Verb        string    `json:"verb"` // up, down, capture, restore
	Environment string    `json:"environment"`
	Component   string    `json:"component"`
	Settings    settings  `json:"settings"`
	Commit      string    `json:"commit,omitempty"`
	Next        *record   `json:"next,omitempty"` // of up: what it is going to be
	CreatedAt   time.Time `json:"created_at"`
}

type moved struct {
	Phase     string      `json:"phase,omitempty"`
	Over      cloud.State `json:"over,omitempty"` // "" while under way
	Message   string      `json:"message,omitempty"`
	Retryable bool        `json:"retryable,omitempty"`
	// KillAt is when what was asked to stop is killed.
	KillAt time.Time `json:"kill_at,omitzero"`
}

// cancelled is the end of an operation that must not do anything any more.
const cancelled cloud.State = "cancelled"

// record is what was built of a component. It is written before anything of it
// exists and removed after nothing does.
type record struct {
	Definition Definition `json:"definition"`
	Commit     string     `json:"commit"`
	Code       string     `json:"code"` // the folder below code/
	Settings   settings   `json:"settings"`
	Inventory  []string   `json:"inventory,omitempty"`
	Remove     []string   `json:"remove,omitempty"`
	Operation  string     `json:"operation"` // that builds it
	CreatedAt  time.Time  `json:"created_at"`
	Init       string     `json:"init,omitempty"`   // the code that is initialised
	Built      bool       `json:"built,omitempty"`  // applied, and a plan was empty
	Loaded     bool       `json:"loaded,omitempty"` // its state came back, or there was none
}

func (p *Provider) record(environment, component string) (*record, error) {
	var r record
	err := readJSON(p.live(environment, component, "record.json"), &r)
	if notExist(err) {
		return nil, nil
	}
	return &r, err
}

func (p *Provider) keepRecord(environment string, r *record) error {
	return writeJSON(p.live(environment, r.Definition.Name, "record.json"), r)
}

// records lists what was built of an environment, each after what it needs.
func (p *Provider) records(environment string) ([]*record, error) {
	entries, err := os.ReadDir(p.live(environment))
	if err != nil && !notExist(err) {
		return nil, fmt.Errorf("list what was built of %s: %w", environment, err)
	}
	byName := map[string]*record{}
	var components []cloud.Component
	for _, e := range entries {
		r, err := p.record(environment, e.Name())
		if err != nil {
			return nil, err
		}
		if r != nil {
			byName[e.Name()] = r
		}
	}
	for _, e := range entries {
		if r := byName[e.Name()]; r != nil {
			c := r.Definition.component()
			// What it needs may be gone already.
			c.Needs = slices.DeleteFunc(slices.Clone(c.Needs), func(n string) bool { return byName[n] == nil })
			components = append(components, c)
		}
	}
	if components, err = cloud.Order(components); err != nil {
		return nil, err
	}
	all := make([]*record, len(components))
	for i, c := range components {
		all[i] = byName[c.Name]
		all[i].Definition.Needs = c.Needs
	}
	return all, nil
}

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
	s, err := settingsOf(r.Target)
	if err != nil {
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
	a := asked{Key: r.Key, Verb: verb, Environment: r.Environment, Component: r.Component, Settings: s}
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
		f, err := readFile(r.Code.Dir)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(f.Components, func(d Definition) bool { return d.Name == r.Component })
		if i < 0 {
			return nightporter.E(nightporter.NotFound, "the code has no component %q", r.Component)
		}
		sum := sha256.Sum256([]byte(r.Code.Commit))
		a.Commit = r.Code.Commit
		a.Next = &record{
			Definition: f.Components[i], Commit: r.Code.Commit, Code: hex.EncodeToString(sum[:6]), Settings: a.Settings,
			Inventory: f.Inventory, Remove: f.Remove, Operation: operationID(r.Environment, r.Key), CreatedAt: p.cfg.Now().UTC(),
		}
		return p.copyCode(r.Environment, a.Next, r.Code.Dir)
	})
}

// Down implements [cloud.Provider].
func (p *Provider) Down(ctx context.Context, r cloud.Request) (cloud.Token, error) {
	return p.begin(ctx, "down", r, nil)
}

// Capture implements [cloud.Provider].
func (p *Provider) Capture(ctx context.Context, r cloud.Request) (cloud.Token, error) {
	return p.begin(ctx, "capture", r, func(a *asked) error {
		if a.Settings.ScratchOf != "" {
			return nightporter.E(nightporter.Conflict, "nothing of a scratch environment is kept")
		}
		return nil
	})
}

// Restore implements [cloud.Provider].
func (p *Provider) Restore(ctx context.Context, r cloud.Request) (cloud.Token, error) {
	return p.begin(ctx, "restore", r, nil)
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
		State: o.Over, Message: o.Message, Retryable: o.Retryable, Lines: tail(p.operationDir(o.Environment, o.id, "output"), cloud.LogLines),
		Evidence: nightporter.Evidence{ObservedAt: p.cfg.Now().UTC(), Source: "the plan and the state of " + o.Environment + "/" + o.Component},
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
		switch {
		case o.Verb == "up":
			err = p.moveUp(ctx, o)
		case o.Verb == "down" && o.Component == cloud.Rest:
			err = p.moveRest(ctx, o)
		case o.Verb == "down":
			err = p.moveDown(ctx, o)
		case o.Verb == "capture":
			err = p.moveCapture(ctx, o)
		case o.Verb == "restore":
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

// broke ends an operation whose command did not end well. What says nothing about
// the code may be tried again.
func (p *Provider) broke(o *operation, what string, c child) {
	o.fail("terraform %s %s", what, c.end())
	text := strings.ToLower(strings.Join(tail(p.operationDir(o.Environment, o.id, "output"), 40), "\n"))
	// sh(1): above 128 a signal ended it.
	o.Retryable = c.code < 0 || c.code > 128 || slices.ContainsFunc([]string{
		"insufficientinstancecapacity", "insufficient capacity", "throttl", "rate exceeded", "toomanyrequests", "timeout", "timed out",
		"connection refused", "connection reset", "no such host", "error acquiring the state lock",
	}, func(s string) bool { return strings.Contains(text, s) })
}

// Cancel implements [cloud.Provider]: an interrupt first, so that terraform writes
// down what it made, and death after half a minute.
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
	o.Over = cancelled
	gone, err := p.stop(o)
	if err = errors.Join(err, p.save(o)); err != nil || !gone {
		return cloud.Pending, err
	}
	return cloud.Done, ctx.Err()
}

// grace is how long terraform may take to write down what it made.
const grace = 30 * time.Second

// commands are the run folders of an operation.
var commands = []string{"init", "plan", "apply", "verify", "dump", "load"}

// stop ends the commands of an operation, and makes sure that none begins.
func (p *Provider) stop(o *operation) (gone bool, err error) {
	gone = true
	asked := !o.KillAt.IsZero()
	for _, name := range commands {
		run := p.operationDir(o.Environment, o.id, name)
		if _, err := os.Stat(run); notExist(err) {
			continue
		}
		if f, err := os.OpenFile(filepath.Join(run, "claim"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err == nil {
			_, err = f.WriteString("0 0 -\n") // nobody's
			if err = errors.Join(err, f.Close()); err != nil {
				return false, err
			}
			continue
		}
		c, _, err := readClaim(run)
		if err != nil {
			return false, err
		}
		left := p.session(c)
		if len(left) == 0 {
			continue
		}
		gone = false
		switch {
		case !asked:
			o.KillAt = p.cfg.Now().UTC().Add(grace)
			err = syscall.Kill(-c.pid, syscall.SIGINT)
		case !p.cfg.Now().Before(o.KillAt):
			for _, pid := range left {
				err = errors.Join(err, syscall.Kill(pid, syscall.SIGKILL))
			}
		}
		if err != nil && !errors.Is(err, syscall.ESRCH) {
			return false, err
		}
	}
	return gone, nil
}

// tail returns the last lines of a file. One that cannot be read is one line that
// says so: it is never the reason why an observation fails.
func tail(path string, n int) []string {
	f, err := os.Open(path)
	if err != nil {
		if notExist(err) {
			return nil
		}
		return []string{"nightporter: the output cannot be read"}
	}
	defer func() { _ = f.Close() }() // only read from
	const most = 64 << 10
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, size-most), io.SeekStart)
	}
	b, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return []string{"nightporter: the output cannot be read"}
	}
	text := strings.ToValidUTF8(strings.TrimSpace(string(b)), "\uFFFD")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-n):]
}

// copyCode keeps the files of a commit for as long as a component is built from
// them.
func (p *Provider) copyCode(environment string, r *record, from string) error {
	dir := p.live(environment, r.Definition.Name, "code", r.Code)
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
	if err := os.CopyFS(fresh, os.DirFS(from)); err != nil {
		return fmt.Errorf("copy the code: %w", err)
	}
	if r.Settings.State == "local" {
		// Where the state is, whatever the code says: HCL's override files.
		text := fmt.Sprintf("terraform {\n  backend \"local\" {\n    path = %q\n  }\n}\n", p.live(environment, r.Definition.Name, "terraform.tfstate"))
		if err := os.WriteFile(filepath.Join(fresh, r.Definition.Dir, "nightporter_override.tf"), []byte(text), 0o644); err != nil {
			return fmt.Errorf("say where the state is: %w", err)
		}
	}
	for _, dir := range []string{fresh, p.live(environment, r.Definition.Name)} {
		if err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error { return errors.Join(err, p.give(path)) }); err != nil {
			return fmt.Errorf("hand the code over: %w", err)
		}
	}
	if err := os.Chmod(fresh, 0o755); err != nil {
		return err
	}
	return os.Rename(fresh, dir)
}

// original is the environment whose captures are restored.
func (o *operation) original() string { return cmp.Or(o.Settings.ScratchOf, o.Environment) }
