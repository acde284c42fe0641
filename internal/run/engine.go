package run

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/clock"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
)

// Config is what an [Engine] needs.
type Config struct {
	Gate *gate.Gate // required
	// Fence is the store's fencing number of this process.
	Fence int64
	Log   *slog.Logger // nil is silent
	// Clock is the clock of waits: the schedules' clock. nil means the real
	// one. Deadlines of attempts always go by real time.
	Clock clock.Clock
	// Changed is told, after the commit, that a run moved; nil for nobody.
	Changed func(id string)
}

// Engine drives runs.
type Engine struct {
	cfg      Config
	kinds    map[string]Kind
	handlers map[string]Handler

	lastID int64 // of the committer

	wake chan struct{}
	mu   sync.Mutex
	busy map[stepKey]*task // steps that a goroutine is at
	todo map[string]bool   // runs to look at
	all  bool              // look at every unfinished run
	away bool              // the last look failed
}

// task is a goroutine that is at a step.
type task struct {
	stop context.CancelFunc
	// missed is set when somebody wanted the step looked at meanwhile: what
	// the goroutine saw may be older than the reason for that.
	missed bool
}

type stepKey struct {
	run string
	n   int
}

// New makes an engine; Run starts it.
func New(cfg Config) (*Engine, error) {
	if cfg.Gate == nil {
		return nil, errors.New("run: Gate is required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.Real{}
	}
	if cfg.Changed == nil {
		cfg.Changed = func(string) {}
	}
	e := &Engine{
		cfg: cfg, kinds: map[string]Kind{}, handlers: map[string]Handler{}, wake: make(chan struct{}, 1),
		busy: map[stepKey]*task{}, todo: map[string]bool{}, all: true,
	}
	return e, nil
}

// Add makes the engine know a kind of run and the handlers of its steps, by the
// steps' kind. Everything is added before Run.
func (e *Engine) Add(kind Kind, handlers map[string]Handler) {
	e.kinds[kind.Name] = kind
	maps.Copy(e.handlers, handlers)
}

// Start writes a run in the caller's change and returns its id. The engine
// begins with it after the commit.
func (e *Engine) Start(ctx context.Context, tx *gate.Tx, spec Spec) (string, error) {
	r := &Run{
		ID: e.newID(tx.Now()), Kind: spec.Kind, Subject: spec.Subject, State: Queued,
		Cause: nightporter.ActorFrom(ctx).Cause(), RequestID: nightporter.RequestIDFrom(ctx), CreatedAt: tx.Now(),
	}
	if err := insertRun(ctx, tx, r, e.cfg.Fence); err != nil {
		return "", err
	}
	if err := insertSteps(ctx, tx.Tx, r.ID, 0, spec.Steps); err != nil {
		return "", err
	}
	if blocker, err := take(ctx, tx.Tx, r.ID, -1, spec.Holds); err != nil {
		return "", err
	} else if blocker != "" {
		// Taking the run's own holds is retried by nobody, so the caller
		// hears it at once.
		return "", nightporter.E(nightporter.Conflict, "%s", blocker)
	}
	tx.AfterCommit(func() { e.look(r.ID) })
	return r.ID, nil
}

// Signal lets a waiting step be observed at once, and a blocked one ask again. It
// runs inside the change that it waits for.
func (e *Engine) Signal(ctx context.Context, tx *gate.Tx, id, step string) error {
	_, err := tx.Exec(ctx, `UPDATE run_step SET not_before = 0, signals = signals + 1 WHERE run_id = ? AND name = ?`, id, step)
	tx.AfterCommit(func() { e.look(id) })
	return err
}

// Cancel ends a run: what is at work is cancelled, what is pending never starts.
// A run that is over stays as it is.
func (e *Engine) Cancel(ctx context.Context, tx *gate.Tx, id, reason string) error {
	r, err := Get(ctx, tx.Tx, id)
	if err != nil || r.State.Over() {
		return err
	}
	r.Message = reason
	c := &Change{Tx: tx, Run: r}
	for i := range r.Steps {
		s := &r.Steps[i]
		if s.State.Over() {
			continue
		}
		// A step at work stays Running in its row until its handler has
		// cancelled it; the run's state tells the engine to.
		if s.State == Pending {
			s.State, s.FinishedAt = Cancelled, tx.Now()
			if err := setStep(ctx, tx.Tx, id, s); err != nil {
				return err
			}
		}
	}
	r.State = cancelling
	if err := e.settle(ctx, c); err != nil {
		return err
	}
	tx.AfterCommit(func() {
		e.mu.Lock()
		for key, t := range e.busy {
			if key.run == id {
				t.stop()
			}
		}
		e.mu.Unlock()
		e.look(id)
	})
	return nil
}

// cancelling is a run whose steps at work are being cancelled.
const cancelling State = "cancelling"

// LookAll makes the engine look at every unfinished run: after an unseal, or
// when a clock was moved.
func (e *Engine) LookAll() {
	e.mu.Lock()
	e.all = true
	e.mu.Unlock()
	e.nudge()
}

func (e *Engine) look(id string) {
	e.mu.Lock()
	e.todo[id] = true
	e.mu.Unlock()
	e.nudge()
}

func (e *Engine) nudge() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Run drives runs until ctx ends, and returns when the last step's goroutine
// has: the steps' work goes on outside and is found again at the next start.
func (e *Engine) Run(ctx context.Context) {
	var steps sync.WaitGroup
	defer steps.Wait()
	ctx, lost := context.WithCancel(ctx)
	defer lost()
	steps.Go(func() { e.heartbeat(ctx, lost) })
	for {
		e.mu.Lock()
		e.away = false
		e.mu.Unlock()
		for _, id := range e.due(ctx) {
			e.drive(ctx, &steps, id)
		}
		timer := time.NewTimer(e.lookDue(ctx))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-e.wake:
		case <-e.cfg.Clock.Moved():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// lookDue finds the steps whose wait or rest is over, and says how long to sleep
// until the next one's is.
func (e *Engine) lookDue(ctx context.Context) time.Duration {
	now, rest := e.cfg.Clock.Now(), clock.MaxSleep
	err := e.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		return tx.Each(ctx, `SELECT run_id, MIN(not_before) FROM run_step
			WHERE state IN ('pending', 'starting', 'running', 'waiting') AND not_before > 0 GROUP BY run_id`,
			nil, func(scan func(...any) error) error {
				var id string
				var us int64
				if err := scan(&id, &us); err != nil {
					return err
				}
				at := store.Time(us)
				if at.After(now) {
					rest = min(rest, e.cfg.Clock.In(at))
					return nil
				}
				e.mu.Lock()
				e.todo[id] = true
				e.mu.Unlock()
				rest = 0
				return nil
			})
	})
	if err != nil && ctx.Err() == nil {
		e.cfg.Log.ErrorContext(ctx, "look for waits that are over", "error", err)
		return time.Second
	}
	if rest == 0 {
		// A goroutine may still be at the step that is due.
		return 20 * time.Millisecond
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.away {
		return min(rest, time.Second)
	}
	return rest
}

// heartbeat notices that the writer's place is lost: every transaction checks
// the fencing number, so one that changes nothing is enough to know.
func (e *Engine) heartbeat(ctx context.Context, lost context.CancelFunc) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		e.mu.Lock()
		idle := len(e.busy) == 0
		e.mu.Unlock()
		if idle {
			continue
		}
		err := e.cfg.Gate.Keep(ctx, "run.heartbeat", func(*store.Tx) error { return nil })
		if err == nil {
			failures = 0
			continue
		}
		if failures++; failures >= 3 && ctx.Err() == nil {
			e.cfg.Log.ErrorContext(ctx, "lost the place as the store's writer: every step at work is stopped", "error", err)
			lost()
			return
		}
	}
}

// due returns the runs to look at now.
func (e *Engine) due(ctx context.Context) []string {
	e.mu.Lock()
	all := e.all
	ids := make([]string, 0, len(e.todo))
	for id := range e.todo {
		ids = append(ids, id)
	}
	e.all, e.todo = false, map[string]bool{}
	e.mu.Unlock()
	if !all {
		slices.Sort(ids)
		return ids
	}
	ids = ids[:0]
	err := e.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		return tx.Each(ctx, `SELECT id FROM run WHERE state IN ('queued', 'running', 'waiting', 'paused', 'cancelling') ORDER BY created_at, id`,
			nil, func(scan func(...any) error) error {
				var id string
				if err := scan(&id); err != nil {
					return err
				}
				ids = append(ids, id)
				return nil
			})
	})
	if err != nil && ctx.Err() == nil {
		e.cfg.Log.ErrorContext(ctx, "look for runs", "error", err)
		e.mu.Lock()
		e.all, e.away = true, true
		e.mu.Unlock()
	}
	return ids
}
