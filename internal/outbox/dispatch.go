package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"sync"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
)

// Keeper is the part of the gate that notes how deliveries went.
type Keeper interface {
	// Keep commits bookkeeping: what is neither a change that anybody asked
	// for nor worth an audit entry.
	Keep(ctx context.Context, name string, fn func(*store.Tx) error) error
}

// Dispatcher hands events to their listeners. Each listener works on some
// subjects at once, apart from all other listeners: one whose far end hangs holds
// up nobody else.
type Dispatcher struct {
	bus  *Bus
	db   *store.DB
	gate Keeper
	log  *slog.Logger
	wake chan struct{}
	now  func() time.Time

	mu   sync.Mutex
	busy map[string]map[string]bool // by listener: the subjects that it is at
}

// atOnce is how many subjects a listener works on side by side.
const atOnce = 4

// DispatcherConfig is what a [Dispatcher] needs. All fields are required,
// except Now, which defaults to time.Now.
type DispatcherConfig struct {
	Bus  *Bus
	DB   *store.DB
	Gate Keeper
	Log  *slog.Logger
	Now  func() time.Time
}

// NewDispatcher makes a dispatcher; Run starts it.
func NewDispatcher(cfg DispatcherConfig) *Dispatcher {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Dispatcher{bus: cfg.Bus, db: cfg.DB, gate: cfg.Gate, log: cfg.Log, now: cfg.Now, wake: make(chan struct{}, 1), busy: map[string]map[string]bool{}}
}

// Wake says that there may be something to deliver. It never blocks.
func (d *Dispatcher) Wake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Run delivers until ctx ends, and returns when the last listener has.
func (d *Dispatcher) Run(ctx context.Context) {
	var working sync.WaitGroup
	defer working.Wait()
	for {
		pause, err := d.pass(ctx, &working)
		if err != nil && ctx.Err() == nil {
			d.log.ErrorContext(ctx, "deliver events", "error", err)
			pause = time.Second
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-d.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

type delivery struct {
	Record
	listener string
	attempts int64
}

// pass begins with the first undelivered event of every listener and subject that
// nobody is at, and returns how long it may rest. Each delivery that ends wakes
// the next pass.
func (d *Dispatcher) pass(ctx context.Context, working *sync.WaitGroup) (rest time.Duration, err error) {
	listeners, err := d.addressed(ctx)
	if err != nil {
		return 0, err
	}
	rest = time.Minute
	for _, name := range listeners {
		d.mu.Lock()
		if d.busy[name] == nil {
			d.busy[name] = map[string]bool{}
		}
		at := maps.Clone(d.busy[name])
		d.mu.Unlock()
		due, next, err := d.due(ctx, name)
		if err != nil {
			return 0, err
		}
		rest = min(rest, next)
		for _, one := range due {
			// What was being delivered while we read may be done by now, and
			// must not be delivered again: the next pass reads it anew.
			if at[one.Subject] || !d.begin(one) {
				continue
			}
			working.Go(func() {
				d.deliver(ctx, one)
				d.mu.Lock()
				delete(d.busy[one.listener], one.Subject)
				d.mu.Unlock()
				d.Wake()
			})
		}
	}
	return rest, nil
}

// begin takes a listener's subject, unless the listener has enough to do.
func (d *Dispatcher) begin(one delivery) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.busy[one.listener]
	if len(at) >= atOnce {
		return false
	}
	at[one.Subject] = true
	return true
}

// addressed lists the listeners that something waits for, removed ones too.
func (d *Dispatcher) addressed(ctx context.Context) (names []string, err error) {
	err = d.db.View(ctx, func(tx *store.Tx) error {
		return tx.Each(ctx, `SELECT DISTINCT listener FROM delivery`, nil, func(scan func(...any) error) error {
			var name string
			err := scan(&name)
			names = append(names, name)
			return err
		})
	})
	return names, err
}

// due reads the heads of a listener's queues that may be tried now, and how long
// until another one may. It reads more than a listener can begin with, because it
// may be at the first of them already.
func (d *Dispatcher) due(ctx context.Context, listener string) (due []delivery, next time.Duration, err error) {
	now := d.now()
	next = time.Minute
	err = d.db.View(ctx, func(tx *store.Tx) error {
		return tx.Each(ctx, `SELECT d.event_id, e.name, d.subject, e.payload, e.at, e.request_id, e.cause, d.listener, d.attempts, d.not_before
			FROM delivery d JOIN event e ON e.id = d.event_id
			WHERE d.listener = ? AND d.state = 'pending' AND NOT EXISTS (
				SELECT 1 FROM delivery p WHERE p.listener = d.listener AND p.subject = d.subject AND p.event_id < d.event_id)
			ORDER BY d.not_before, d.event_id LIMIT ?`, []any{listener, 2*atOnce + 1}, func(scan func(...any) error) error {
			var one delivery
			var at, notBefore int64
			var payload string
			if err := scan(&one.ID, &one.Name, &one.Subject, &payload, &at, &one.RequestID, &one.Cause,
				&one.listener, &one.attempts, &notBefore); err != nil {
				return err
			}
			// A pause longer than the longest is from a clock that was set back.
			if wait := store.Time(notBefore).Sub(now); notBefore > 0 && wait > 0 && wait <= maxPause {
				next = min(next, wait)
				return nil
			}
			one.Payload = []byte(payload)
			due = append(due, one)
			return nil
		})
	})
	return due, next, err
}

func (d *Dispatcher) deliver(ctx context.Context, one delivery) {
	if ctx.Err() != nil {
		return // what was not noted because of the stop must not be heard again now
	}
	l := d.bus.byName[one.listener]
	err := error(nil)
	if l != nil { // a listener that was removed hears nothing any more
		actor := nightporter.SystemActor(one.listener, one.Cause)
		lctx := nightporter.WithRequestID(nightporter.WithActor(ctx, actor), one.RequestID)
		err = hear(lctx, l, one.Payload)
	}
	if ctx.Err() != nil {
		return // stopping: delivered again after the next start
	}
	kerr := d.gate.Keep(ctx, "outbox.deliver", func(tx *store.Tx) error {
		if err == nil {
			_, err := tx.Exec(ctx, `DELETE FROM delivery WHERE event_id = ? AND listener = ?`, one.ID, one.listener)
			return err
		}
		state := "pending"
		// What does not answer now will answer some day: only a refusal is
		// worth a person's look.
		if one.attempts+1 >= parkAfter && nightporter.CodeOf(err) != nightporter.Unavailable {
			state = "parked"
		}
		pause := min(firstPause<<min(one.attempts, 16), maxPause)
		_, uerr := tx.Exec(ctx, `UPDATE delivery SET state = ?, attempts = ?, not_before = ?, error = ? WHERE event_id = ? AND listener = ?`,
			state, one.attempts+1, store.Micros(d.now().Add(pause)), nightporter.MessageOf(err), one.ID, one.listener)
		return uerr
	})
	if err != nil {
		d.log.WarnContext(ctx, "a listener refused an event", "listener", one.listener, "event", one.Name,
			"subject", one.Subject, "attempt", one.attempts+1, "request_id", one.RequestID, "error", err)
	}
	if kerr != nil {
		d.log.ErrorContext(ctx, "note a delivery", "listener", one.listener, "event", one.Name, "error", kerr)
	}
}

// hear calls a listener. One that panics has refused: it must not take the house
// down, and again after every start.
func hear(ctx context.Context, l *listener, payload []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in listener %s: %v\n%s", l.name, p, debug.Stack())
		}
	}()
	return l.call(ctx, payload)
}
