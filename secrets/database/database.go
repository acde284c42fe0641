package database

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/seal"
	"nightporter.dev/nightporter/internal/store"
	provider "nightporter.dev/nightporter/provider/database"
)

// Kind is the kind of our leases.
const Kind lease.Kind = "database"

// Opener opens a database: it is an implementation's Open.
type Opener func(provider.Config) (provider.Database, error)

// Binding ties a database to the life of an environment.
type Binding struct {
	// Environment is "" for a database that no night takes away: production.
	Environment string
	// Bootstrap names the output of the environment's build that says how to log
	// in the first time.
	Bootstrap string
}

// Config is what an [Engine] needs.
type Config struct {
	Gate *gate.Gate   // required
	Seal *seal.Sealer // required
	// Fence is the process's number as the store's writer, [store.DB.Fence]. The
	// journal keeps it, so that one can see who wrote a row.
	Fence int64
	// Plugins opens databases, by plugin_name. Required.
	Plugins map[string]Opener
	// Dial opens the connections to databases. Default: the operating system's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Binding says which environment a database belongs to, by mount and name:
	// "database/ledger-dev". Default: none does.
	Binding func(database string) Binding
	// PasswordPolicy makes a password by a named policy. Default: there are none.
	PasswordPolicy func(ctx context.Context, name string) (string, error)
	// MayKeep says whether a person would still be let in: whether they, with the
	// token of that accessor, may do the action now. Default: yes.
	MayKeep func(ctx context.Context, person, accessor string, action nightporter.Action) bool
	// MaxLogins bounds how many logins are out at once. Default 100,000.
	MaxLogins int
	// ReconcileEvery is how often logins are compared. Default an hour.
	ReconcileEvery time.Duration
	// Log takes what nobody else is told. Default: silent.
	Log *slog.Logger
	// Now tells the time of leases; never a demo's clock. Default time.Now.
	Now func() time.Time
	// Changed is told, after the commit, that a login came, went or was found;
	// nil for nobody. It must not block.
	Changed func()
	// Fault is called at every named point between two steps; the crash tests end
	// the process there. nil in production.
	Fault func(point string)
}

// Engine hands out logins and takes them away. It is safe for concurrent use.
type Engine struct {
	cfg     Config
	markKey atomic.Pointer[[]byte]

	counting sync.Mutex
	counted  bool         // total was read from the store
	total    atomic.Int64 // rows of the journal that count against MaxLogins

	mu       sync.Mutex
	servers  map[string]*server // by the connection's id
	inflight map[login]bool     // between intent and outcome, in this process
	life     context.Context    // of the keepers; nil before Run
	keepers  sync.WaitGroup

	staticWake chan struct{}
	rotating   *keyedLock // one change of a static role at a time
}

// New makes an engine. Recover and Run start it.
func New(cfg Config) (*Engine, error) {
	if cfg.Gate == nil || cfg.Seal == nil || len(cfg.Plugins) == 0 {
		return nil, errors.New("database: Gate, Seal and Plugins are required")
	}
	if cfg.Binding == nil {
		cfg.Binding = func(string) Binding { return Binding{} }
	}
	if cfg.PasswordPolicy == nil {
		cfg.PasswordPolicy = func(_ context.Context, name string) (string, error) {
			return "", nightporter.E(nightporter.Invalid, "there is no password policy %q", name)
		}
	}
	if cfg.MayKeep == nil {
		cfg.MayKeep = func(context.Context, string, string, nightporter.Action) bool { return true }
	}
	if cfg.MaxLogins == 0 {
		cfg.MaxLogins = 100_000
	}
	if cfg.ReconcileEvery == 0 {
		cfg.ReconcileEvery = time.Hour
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Changed == nil {
		cfg.Changed = func() {}
	}
	if cfg.Fault == nil {
		cfg.Fault = func(string) {}
	}
	return &Engine{cfg: cfg, servers: map[string]*server{}, inflight: map[login]bool{}, staticWake: make(chan struct{}, 1), rotating: newKeyedLock()}, nil
}

// Run keeps the promises until ctx ends: it takes away what has to go, rotates
// static roles, compares logins with leases, and ends the logins of people who
// left. Call it unsealed, once. It starts with [Engine.Recover].
func (e *Engine) Run(ctx context.Context) {
	ctx = e.as(ctx, "")
	e.mu.Lock()
	e.life = ctx
	e.mu.Unlock()
	for errors.Join(e.countLogins(ctx), e.Recover(ctx)) != nil {
		if !sleep(ctx, time.Second) {
			return
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { e.rotateStatic(ctx) })
	wg.Go(func() { e.every(ctx, e.cfg.ReconcileEvery, "compare logins with leases", e.Reconcile) })
	wg.Go(func() { e.every(ctx, time.Minute, "end the logins of people who left", e.Revisit) })
	wg.Go(func() { e.every(ctx, time.Minute, "undo what was left half done", e.Recover) })
	wg.Wait()
	e.keepers.Wait()
}

// every does something now and then again and again.
func (e *Engine) every(ctx context.Context, pause time.Duration, what string, do func(context.Context) error) {
	for {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			e.cfg.Log.WarnContext(ctx, what, "error", err)
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

// Close closes the connections. Run has ended before.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.servers {
		s.close()
	}
	return nil
}

// as is the context of what we do ourselves, on behalf of cause.
func (e *Engine) as(ctx context.Context, cause string) context.Context {
	return nightporter.WithActor(ctx, nightporter.SystemActor("database", cause))
}

// after is the context for finishing what a request began, whatever becomes of
// the request.
func (e *Engine) after(ctx context.Context) context.Context {
	return e.as(context.WithoutCancel(ctx), nightporter.ActorFrom(ctx).Cause())
}

// do makes a change of our own.
func (e *Engine) do(ctx context.Context, action, id string, fn func(*gate.Tx) error) error {
	return e.cfg.Gate.Do(ctx, nightporter.Action{Name: action}, nightporter.Resource{Kind: "database", ID: id}, func(tx *gate.Tx) error {
		tx.AfterCommit(e.cfg.Changed)
		return fn(tx)
	})
}

func (e *Engine) look(ctx context.Context, fn func(*store.Tx) error) error {
	return e.cfg.Gate.Look(ctx, fn)
}

// Recover undoes what was left half done, by a crash or by a store that could not
// be written: every intent that nobody in this process works on is to be taken
// away. What has to go is handed to its keeper.
func (e *Engine) Recover(ctx context.Context) error {
	var left []login
	err := e.look(ctx, func(tx *store.Tx) error {
		return tx.Each(ctx, `SELECT connection, username FROM database_login WHERE state = ?`,
			[]any{string(intended)}, func(scan func(...any) error) error {
				var l login
				err := scan(&l.connection, &l.username)
				if !e.making(l) {
					left = append(left, l)
				}
				return err
			})
	})
	if err != nil {
		return err
	}
	for len(left) > 0 {
		n := min(len(left), 250)
		if err := e.abandon(ctx, "it was interrupted", left[:n]...); err != nil {
			return err
		}
		left = left[n:]
	}
	return e.wakeKeepers(ctx)
}

// countLogins counts what is out, once: from then on it is counted along. Whoever
// is about to count along calls it first, because requests do not wait for [Engine.Run].
func (e *Engine) countLogins(ctx context.Context) error {
	e.counting.Lock()
	defer e.counting.Unlock()
	if e.counted {
		return nil
	}
	err := e.look(ctx, func(tx *store.Tx) error {
		var total int64
		err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM database_login WHERE state <> ?`, string(buried)).Scan(&total)
		e.total.Store(total)
		return err
	})
	e.counted = err == nil
	return err
}

// wakeKeepers tells the keepers of all databases where something has to be done.
func (e *Engine) wakeKeepers(ctx context.Context) error {
	var ids []string
	err := e.look(ctx, func(tx *store.Tx) error {
		return tx.Each(ctx, `SELECT DISTINCT connection FROM database_login WHERE state = ?
			UNION SELECT DISTINCT j.connection FROM lease l JOIN database_login j ON j.lease = l.id WHERE l.state = 'doomed' AND l.kind = ?
			UNION SELECT connection FROM database_rotation`, []any{string(unwanted), string(Kind)}, func(scan func(...any) error) error {
			var id string
			err := scan(&id)
			ids = append(ids, id)
			return err
		})
	})
	for _, id := range ids {
		e.server(id).poke()
	}
	return err
}

// sleep waits, or answers false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
