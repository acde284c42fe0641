// Package mem is a [cloud.Provider] in memory, for tests of what uses one. What
// there is to build is said by [Provider.Define], how it goes by rules and faults:
//
//	p, _ := mem.New(mem.Config{})
//	p.Define("dev", "", mem.Definition{Component: cloud.Component{Name: "db"}})
//	p.Rule(mem.Rule{Component: "db", Verb: "Up", Times: 1, Behaviour: mem.Behaviour{Fails: "no capacity", Retryable: true}})
//	p.Fault("Inventory", 2, nightporter.E(nightporter.Limited, "slow down"))
//
// It keeps what it holds when its caller is thrown away and made anew, as a real
// far end would: hand the same Provider to the new caller.
package mem

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/cloud"
)

// Config makes a [Provider].
type Config struct {
	// Now tells the time. nil means time.Now, which testing/synctest replaces.
	Now func() time.Time
}

// Provider is a far end in memory. Its methods may be called by many goroutines.
type Provider struct {
	now func() time.Time

	mu       sync.Mutex
	defined  map[codeKey][]Definition
	things   map[place]*thing
	planted  map[string]cloud.Resource // by id: things that nobody here made
	captures map[place]string
	restored map[place]string // for what is not built yet
	outputs  map[place][]byte
	ops      map[string]*op
	rules    []*Rule
	faults   map[string]*fault
	calls    map[string]int
	ledger   []string
	accounts []string
	serial   int
}

type codeKey struct{ environment, commit string }

type place struct{ environment, component string }

// Definition is a component as the code of a commit describes it.
type Definition struct {
	cloud.Component
	// Spec is what it is made of: another text replaces what was there.
	Spec string
	// Protected marks what is made.
	Protected bool
	// Mark is the environment that its resource is marked with. "" is the
	// right one.
	Mark string
	// Address, Path and PID are those of the resource.
	Address, Path string
	PID           int
}

// thing is a component that exists.
type thing struct {
	Definition
	id    int
	data  string
	full  bool // it was restored, or there was nothing to restore
	made  time.Time
	rule  Behaviour
	looks int
}

// op is what a key did.
type op struct {
	verb    string
	request cloud.Request
	rule    Behaviour
	begun   time.Time
	looks   int
	over    cloud.State // "" while under way
}

type fault struct {
	left int
	err  error
}

var (
	_ cloud.Provider  = (*Provider)(nil)
	_ cloud.Scratcher = (*Provider)(nil)
)

// Scratch implements [cloud.Scratcher].
func (*Provider) Scratch(t cloud.Target, name string) (cloud.Target, error) {
	settings, err := json.Marshal(scratch{Of: t.Environment})
	return cloud.Target{Environment: name, Settings: settings}, err
}

type scratch struct {
	Of string `json:"scratch_of"`
}

// original is the environment that a target has its code and its captures from,
// and whether that is another one.
func original(t cloud.Target) (name string, other bool) {
	var s scratch
	if json.Unmarshal(t.Settings, &s) != nil || s.Of == "" {
		return t.Environment, false
	}
	return s.Of, true
}

// New returns a far end where nothing exists and everything goes well.
func New(cfg Config) (*Provider, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Provider{
		now: cfg.Now, defined: map[codeKey][]Definition{}, things: map[place]*thing{}, planted: map[string]cloud.Resource{},
		captures: map[place]string{}, restored: map[place]string{}, outputs: map[place][]byte{}, ops: map[string]*op{}, faults: map[string]*fault{}, calls: map[string]int{},
	}, nil
}

// enter counts a call and answers with the fault set for it, if any.
func (p *Provider) enter(ctx context.Context, verb string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.calls[verb]++
	if f := p.faults[verb]; f != nil && f.left != 0 {
		f.left--
		return f.err
	}
	return nil
}

func (p *Provider) definitions(environment, commit string) ([]Definition, bool) {
	if d, ok := p.defined[codeKey{environment, commit}]; ok {
		return d, true
	}
	d, ok := p.defined[codeKey{environment, ""}]
	return d, ok
}

// Plan implements [cloud.Provider].
func (p *Provider) Plan(ctx context.Context, r cloud.PlanRequest) (cloud.Plan, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.enter(ctx, "Plan"); err != nil {
		return cloud.Plan{}, err
	}
	var components []cloud.Component
	plan := cloud.Plan{Accounts: slices.Clone(p.accounts)}
	if r.Direction == cloud.Up {
		name, _ := original(r.Target)
		defined, ok := p.definitions(name, r.Code.Commit)
		if !ok {
			return plan, nightporter.E(nightporter.Invalid, "the code at %q says nothing about %s", r.Code.Commit, r.Environment)
		}
		for _, d := range defined {
			components = append(components, d.Component)
		}
	} else {
		for _, t := range p.at(r.Environment) {
			c := t.Component
			// What it needs may be gone already.
			c.Needs = slices.DeleteFunc(slices.Clone(c.Needs), func(n string) bool { return p.things[place{r.Environment, n}] == nil })
			components = append(components, c)
		}
		plan.Resources = cloud.Alive(p.inventory(r.Environment))
	}
	var err error
	plan.Components, err = cloud.Order(components)
	return plan, err
}

// at lists what exists of an environment, in the order in which it was made.
func (p *Provider) at(environment string) []*thing {
	var all []*thing
	for where, t := range p.things {
		if where.environment == environment {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b *thing) int { return cmp.Compare(a.id, b.id) })
	return all
}

// Inventory implements [cloud.Provider].
func (p *Provider) Inventory(ctx context.Context, t cloud.Target) ([]cloud.Resource, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.enter(ctx, "Inventory"); err != nil {
		return nil, err
	}
	return p.inventory(t.Environment), nil
}

func (p *Provider) inventory(environment string) []cloud.Resource {
	var all []cloud.Resource
	for _, t := range p.at(environment) {
		all = append(all, cloud.Resource{
			ID: fmt.Sprintf("%s/%s#%d", environment, t.Name, t.id), Kind: "mem", Component: t.Name, Environment: cmp.Or(t.Mark, environment),
			Protected: t.Protected, Address: t.Address, Path: t.Path, PID: t.PID, CreatedAt: t.made,
		})
	}
	for _, id := range slices.Sorted(maps.Keys(p.planted)) {
		if r := p.planted[id]; r.Environment == environment {
			all = append(all, r)
		}
	}
	for where := range p.captures {
		if where.environment == environment {
			all = append(all, cloud.Resource{
				ID: environment + "/capture/" + where.component, Kind: "capture", Component: where.component, Environment: environment, Kept: true,
			})
		}
	}
	return all
}

// Up implements [cloud.Provider].
func (p *Provider) Up(ctx context.Context, r cloud.Request) (cloud.Token, error) {
	return p.begin(ctx, "Up", r, func(o *op) error {
		name, _ := original(r.Target)
		defined, _ := p.definitions(name, r.Code.Commit)
		i := slices.IndexFunc(defined, func(d Definition) bool { return d.Name == r.Component })
		if i < 0 {
			return nightporter.E(nightporter.NotFound, "the code has no component %q", r.Component)
		}
		d, where := defined[i], place{r.Environment, r.Component}
		if t := p.things[where]; t != nil && t.Spec == d.Spec {
			t.rule = o.rule
			return nil
		}
		if o.rule.Fails != "" && !o.rule.HalfDone {
			return nil
		}
		p.serial++
		p.things[where] = &thing{Definition: d, id: p.serial, made: p.now(), rule: o.rule, data: p.restored[where], full: p.restored[where] != ""}
		delete(p.restored, where)
		p.note("up", where)
		return nil
	})
}

// Down implements [cloud.Provider].
func (p *Provider) Down(ctx context.Context, r cloud.Request) (cloud.Token, error) {
	return p.begin(ctx, "Down", r, func(o *op) error {
		if o.rule.Fails != "" {
			return nil
		}
		for where := range p.things {
			if where.environment == r.Environment && (where.component == r.Component || r.Component == cloud.Rest) {
				delete(p.things, where)
				p.note("down", where)
			}
		}
		for id, planted := range p.planted {
			if planted.Environment == r.Environment && r.Component == cloud.Rest && !planted.Kept {
				delete(p.planted, id)
				p.note("down", place{r.Environment, id})
			}
		}
		return nil
	})
}

// Capture implements [cloud.Provider].
func (p *Provider) Capture(ctx context.Context, r cloud.Request) (cloud.Token, error) {
	return p.begin(ctx, "Capture", r, func(o *op) error {
		where := place{r.Environment, r.Component}
		if _, other := original(r.Target); other {
			return nightporter.E(nightporter.Conflict, "nothing of a scratch environment is kept")
		}
		if t := p.things[where]; t != nil && o.rule.Fails == "" {
			p.captures[where] = t.data
			p.note("capture", where)
		}
		return nil
	})
}

// Restore implements [cloud.Provider].
func (p *Provider) Restore(ctx context.Context, r cloud.Request) (cloud.Token, error) {
	return p.begin(ctx, "Restore", r, func(o *op) error {
		where := place{r.Environment, r.Component}
		name, _ := original(r.Target)
		data, kept := p.captures[place{name, r.Component}]
		t := p.things[where]
		switch {
		case o.rule.Fails != "":
			return nil
		case t == nil && kept:
			p.restored[where] = data
		case t == nil || t.full:
			return nil
		default:
			t.full = true
			if !kept {
				return nil
			}
			t.data = data
		}
		p.note("restore", where)
		return nil
	})
}

// note writes an effect into the ledger.
func (p *Provider) note(verb string, where place) {
	p.ledger = append(p.ledger, verb+" "+where.environment+"/"+where.component)
}

// begin has the effect of a key once.
func (p *Provider) begin(ctx context.Context, verb string, r cloud.Request, effect func(*op) error) (cloud.Token, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.enter(ctx, verb); err != nil {
		return "", err
	}
	if err := r.Validate(); err != nil {
		return "", err
	}
	if o := p.ops[r.Key]; o != nil {
		switch {
		case o.over == cancelled:
			return "", nightporter.E(nightporter.Conflict, "the key %s was cancelled", r.Key)
		case o.verb != verb || o.request.Environment != r.Environment || o.request.Component != r.Component || o.request.Code.Commit != r.Code.Commit:
			return "", nightporter.E(nightporter.Conflict, "the key %s already did something else", r.Key)
		}
		return cloud.Token("mem:" + r.Key), nil
	}
	o := &op{verb: verb, request: r, rule: p.match(verb, r), begun: p.now()}
	if err := effect(o); err != nil {
		return "", err
	}
	p.ops[r.Key] = o
	return cloud.Token("mem:" + r.Key), nil
}

// cancelled is the end of an op that was cancelled before or while it went on.
const cancelled cloud.State = "cancelled"

// Observe implements [cloud.Provider].
func (p *Provider) Observe(ctx context.Context, t cloud.Target, token cloud.Token) (cloud.Observation, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.enter(ctx, "Observe"); err != nil {
		return cloud.Observation{}, err
	}
	if len(token) < 4 || p.ops[string(token[4:])] == nil || p.ops[string(token[4:])].request.Environment != t.Environment {
		return cloud.Observation{}, nightporter.E(nightporter.NotFound, "nothing is known by %q", token)
	}
	o := p.ops[string(token[4:])]
	o.looks++
	seen := cloud.Observation{
		State: cloud.Running, Lines: o.rule.Lines,
		Evidence: nightporter.Evidence{ObservedAt: p.now(), Source: "memory of " + o.request.Environment},
	}
	switch {
	case o.over == cancelled:
		seen.State, seen.Message = cloud.Failed, "was cancelled"
	case o.looks <= o.rule.Looks || p.now().Before(o.begun.Add(o.rule.Takes)):
		seen.Message = "under way"
	case o.rule.Fails != "":
		seen.State, seen.Message, seen.Retryable = cloud.Failed, o.rule.Fails, o.rule.Retryable
		o.over = cloud.Failed
	default:
		seen.State = cloud.Succeeded
		o.over = cloud.Succeeded
	}
	return seen, nil
}

// Cancel implements [cloud.Provider].
func (p *Provider) Cancel(ctx context.Context, t cloud.Target, key string) (cloud.Progress, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.enter(ctx, "Cancel"); err != nil {
		return "", err
	}
	o := p.ops[key]
	if o == nil {
		o = &op{request: cloud.Request{Target: t, Key: key}}
		p.ops[key] = o
	}
	if o.over == "" {
		o.over = cancelled
	}
	return cloud.Done, nil
}

// Probe implements [cloud.Provider].
func (p *Provider) Probe(ctx context.Context, t cloud.Target, component string) (cloud.Probe, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.enter(ctx, "Probe"); err != nil {
		return cloud.Probe{}, err
	}
	seen := cloud.Probe{Evidence: nightporter.Evidence{ObservedAt: p.now(), Source: "memory of " + component}}
	thing := p.things[place{t.Environment, component}]
	switch {
	case thing == nil:
		seen.Hopeless, seen.Message = true, component+" does not exist"
	case thing.rule.NeverReady:
		seen.Message, seen.Lines = component+" does not answer", thing.rule.Lines
	default:
		if thing.looks++; thing.looks <= thing.rule.ReadyLooks {
			seen.Message = component + " is starting"
			break
		}
		seen.Good = true
	}
	return seen, nil
}

// Output implements [cloud.Provider].
func (p *Provider) Output(ctx context.Context, t cloud.Target, name string) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.enter(ctx, "Output"); err != nil {
		return nil, err
	}
	v, ok := p.outputs[place{t.Environment, name}]
	if !ok {
		return nil, nightporter.E(nightporter.NotFound, "the build of %s has no output %q", t.Environment, name)
	}
	return slices.Clone(v), nil
}

// Price implements [cloud.Provider].
func (p *Provider) Price(r cloud.Resource) (cloud.Usage, bool) {
	if r.Kept {
		return cloud.Usage{}, false
	}
	return cloud.Usage{Key: "mem", Quantity: 1}, true
}
