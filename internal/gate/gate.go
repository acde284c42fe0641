// Package gate is the one door. Whoever wants to change anything, in a request,
// a job or a listener, comes through [Gate.Do]: the policy is asked, the change
// made, its audit entry and its events written, and all of it committed at once.
// No change without its entry, no entry without its change.
//
// One committer takes up to [maxBatch] waiting changes into one transaction,
// each in a savepoint of its own, so that a refused change undoes only itself
// and one fsync serves many callers. The function of a change is short SQL. It
// may run twice, never touches the network, and touches memory only in
// [store.Tx.AfterCommit].
package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/internal/store"
)

// Decider answers whether an actor may do something. internal/policy does.
type Decider interface {
	Decide(ctx context.Context, actor nightporter.Actor, action nightporter.Action) nightporter.Decision
}

// Config is what a [Gate] needs.
type Config struct {
	DB      *store.DB   // required
	Bus     *outbox.Bus // required
	Decider Decider     // required
	Log     *slog.Logger
	// Now is the time of audit entries and events. nil means time.Now. It is
	// never a demo's clock.
	Now func() time.Time
	// Committed is told after each commit that wrote events; nil for nobody.
	Committed func()
	// Fault is called at every named point around a commit: the crash tests
	// stop the process there. nil in production.
	Fault func(point string)
}

// Gate is the door. It is safe for concurrent use. Close it to stop the
// committer.
type Gate struct {
	cfg   Config
	queue chan *change
	log   audit.Log
	out   *outbox.Writer

	stop   context.CancelFunc
	closed chan struct{} // closed when the committer has ended
}

const (
	maxBatch = 256
	// syncEvery bounds how long a relaxed commit can be lost to a power cut.
	syncEvery = time.Second
)

// New starts the committer.
func New(cfg Config) (*Gate, error) {
	if cfg.DB == nil || cfg.Bus == nil || cfg.Decider == nil {
		return nil, errors.New("gate: DB, Bus and Decider are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Fault == nil {
		cfg.Fault = func(string) {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := &Gate{cfg: cfg, queue: make(chan *change, maxBatch), out: outbox.NewWriter(cfg.Bus), stop: cancel, closed: make(chan struct{})}
	go func() {
		defer close(g.closed)
		g.commit(ctx)
	}()
	return g, nil
}

// Close stops the committer after the changes that it has begun. Later changes
// answer unavailable.
func (g *Gate) Close() {
	g.stop()
	<-g.closed
}

// Tx is the transaction of one change.
type Tx struct {
	*store.Tx
	now    time.Time
	detail map[string]any
	events []nightporter.Event
}

// Now is the time of the change, the same for all that it writes.
func (tx *Tx) Now() time.Time { return tx.now }

// Publish writes events that are delivered after the commit.
func (tx *Tx) Publish(events ...nightporter.Event) { tx.events = append(tx.events, events...) }

// Detail adds to the audit entry's detail: names and numbers, never a secret.
func (tx *Tx) Detail(key string, value any) {
	if tx.detail == nil {
		tx.detail = map[string]any{}
	}
	tx.detail[key] = value
}

// change is one caller's work, waiting for the committer.
type change struct {
	ctx      context.Context
	action   nightporter.Action
	resource nightporter.Resource
	actor    nightporter.Actor
	decision nightporter.Decision
	fn       func(*Tx) error
	relaxed  bool
	silent   bool // bookkeeping: no entry
	point    string
	done     chan error
}

// Do makes a change: it asks the policy, runs fn, writes the audit entry and the
// events of tx, and commits. It returns after the commit. An error of fn undoes
// the change and is returned as it is. A refusal is audited and answers denied.
// Bare sqlite or postgres errors come back without a code, as internal.
func (g *Gate) Do(ctx context.Context, action nightporter.Action, resource nightporter.Resource, fn func(*Tx) error) error {
	actor := nightporter.ActorFrom(ctx)
	decision := g.decide(ctx, actor, action)
	if !decision.Allowed {
		return g.refuse(ctx, actor, action, resource, decision)
	}
	return g.submit(&change{ctx: ctx, action: action, resource: resource, actor: actor, decision: decision, fn: fn, point: action.Name})
}

// Read reads a secret: it asks the policy, runs fn on a snapshot, and answers
// after the audit entry is written, though not yet synced to disk.
func (g *Gate) Read(ctx context.Context, action nightporter.Action, resource nightporter.Resource, fn func(*store.Tx) error) error {
	actor := nightporter.ActorFrom(ctx)
	decision := g.decide(ctx, actor, action)
	if !decision.Allowed {
		return g.refuse(ctx, actor, action, resource, decision)
	}
	if err := g.cfg.DB.View(ctx, fn); err != nil {
		return err
	}
	return g.submit(&change{
		ctx: ctx, action: action, resource: resource, actor: actor, decision: decision,
		fn: func(*Tx) error { return nil }, relaxed: true, point: action.Name,
	})
}

// View reads what is not secret: it asks the policy and runs fn on a snapshot.
// Only a refusal is audited.
func (g *Gate) View(ctx context.Context, action nightporter.Action, resource nightporter.Resource, fn func(*store.Tx) error) error {
	if err := g.Authorise(ctx, action, resource); err != nil {
		return err
	}
	return g.cfg.DB.View(ctx, fn)
}

// Authorise asks the policy alone. A refusal is audited and answers denied.
func (g *Gate) Authorise(ctx context.Context, action nightporter.Action, resource nightporter.Resource) error {
	actor := nightporter.ActorFrom(ctx)
	decision := g.decide(ctx, actor, action)
	if !decision.Allowed {
		return g.refuse(ctx, actor, action, resource, decision)
	}
	return nil
}

// May says whether the actor of ctx may do something, without a trace: for
// pages that show only what works.
func (g *Gate) May(ctx context.Context, action nightporter.Action) bool {
	return g.decide(ctx, nightporter.ActorFrom(ctx), action).Allowed
}

// Look reads for Nightporter itself: loops, listeners and recovery, which act
// for nobody. Handlers use View.
func (g *Gate) Look(ctx context.Context, fn func(*store.Tx) error) error {
	return g.cfg.DB.View(ctx, fn)
}

// Keep commits the spine's bookkeeping: heartbeats, delivery marks, caches. It
// writes no audit entry and may be lost to a power cut, so it must never make a
// change that anybody asked for.
// archtest keeps capabilities from calling it.
func (g *Gate) Keep(ctx context.Context, name string, fn func(*store.Tx) error) error {
	return g.submit(&change{
		ctx: ctx, fn: func(tx *Tx) error { return fn(tx.Tx) }, silent: true, relaxed: true, point: name,
	})
}

func (g *Gate) decide(ctx context.Context, actor nightporter.Actor, action nightporter.Action) nightporter.Decision {
	switch {
	case actor.Kind == nightporter.System:
		return nightporter.Decision{Allowed: true, Policy: "system"}
	case actor.Name == "":
		return nightporter.Decision{Reason: "nobody is signed in"}
	}
	return g.cfg.Decider.Decide(ctx, actor, action)
}

// refuse audits a refusal. One without an actor is only counted, by whoever
// called: a stranger must not be able to fill the register.
func (g *Gate) refuse(ctx context.Context, actor nightporter.Actor, action nightporter.Action, resource nightporter.Resource, d nightporter.Decision) error {
	if actor.Name == "" {
		return nightporter.E(nightporter.Unauthenticated, "sign in first").WithHint("nightporter login")
	}
	err := g.submit(&change{
		ctx: ctx, action: action, resource: resource, actor: actor, decision: d,
		fn: func(*Tx) error { return nil }, relaxed: true, point: action.Name + ".denied",
	})
	if err != nil {
		return err
	}
	reason := d.Reason
	if reason == "" {
		reason = fmt.Sprintf("no policy of %s grants %s on %s", actor.Name, action.Capability, action.Path)
	}
	return nightporter.E(nightporter.Denied, "%s", reason)
}

func (g *Gate) submit(c *change) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	c.done = make(chan error, 1)
	// After this the change belongs to the committer, so the caller waits for
	// its end even when ctx ends: nobody may be told "failed" of a change
	// that is then committed.
	select {
	case g.queue <- c:
	case <-c.ctx.Done():
		return c.ctx.Err()
	case <-g.closed:
		return errStopping
	}
	select {
	case err := <-c.done:
		return err
	case <-g.closed:
	}
	select {
	case err := <-c.done: // answered, and then the committer ended
		return err
	default:
		return errStopping
	}
}

var errStopping = nightporter.E(nightporter.Unavailable, "the server is stopping")

// entry is the audit entry of a change that was made.
func (c *change) entry(tx *Tx) (audit.Entry, error) {
	e := audit.Entry{
		At: tx.now, Actor: c.actor, Action: c.action.Name, Resource: c.resource,
		Decision: audit.Allowed, Policy: c.decision.Policy, RequestID: nightporter.RequestIDFrom(c.ctx),
	}
	if !c.decision.Allowed {
		e.Decision = audit.Refused
	}
	if tx.detail != nil {
		b, err := json.Marshal(tx.detail)
		if err != nil {
			return e, fmt.Errorf("encode the audit detail of %s: %w", c.action.Name, err)
		}
		e.Detail = b
	}
	return e, nil
}
