// Package environments makes what is not production dark at night and has it back
// by morning: torn down at dusk, rebuilt from code at dawn, proven ready, timed.
//
// The schedule (environments/schedule) says what an environment should be at any
// instant. [Environments.Run] compares that with what it is and starts a durable
// run (internal/run) towards it; nothing here waits for an edge that it could
// miss. Dusk and dawn are two kinds of run:
//
//	down: check → undeploy → drain → destroy in reverse order → prove that nothing is left
//	up:   fetch the code → build in order, restore state → enrol → redeploy → probe
//
// What an environment is made of is behind provider/cloud; what neighbours do at
// dusk and dawn is behind the one-method interfaces of handover.go, and each is a
// step that is awaited. Six locks (locks.go) keep the night away from what it must
// not touch, and the first night of an environment only shows what would happen.
//
// Every rebuild is a drill of disaster recovery, with its time (drill.go), and
// what the nights spared is counted from what was observed (savings.go).
package environments

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/clock"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/cloud"
	"nightporter.dev/nightporter/provider/notify"
)

// Source gives the code that environments are built from.
type Source interface {
	// CheckoutAt returns a folder with the files of a repository at rev, which
	// is a branch or a full commit id, and the commit that this was. The
	// caller calls done when it has finished with the folder. Unavailable
	// means that trying again helps.
	CheckoutAt(ctx context.Context, repo nightporter.Repo, rev string) (dir, commit string, done func(), err error)
}

// Teller tells people. Audience is "operators", a team or a person.
type Teller interface {
	Tell(ctx context.Context, audience string, m notify.Message) error
}

// Config is what [Environments] needs.
type Config struct {
	Gate      *gate.Gate                // required
	Runs      *run.Engine               // required
	Catalog   *catalog.Catalog          // required
	Providers map[string]cloud.Provider // by the kind of cloud
	Source    Source                    // nil where no environment names a repository
	// What neighbours do at dusk and dawn; nil where there is none.
	Undeploy Undeployer
	Drain    Drainer
	Enrol    Enroller
	Redeploy Redeployer
	Probe    Prober
	// Clock is the schedules' clock; nil means the real one.
	Clock clock.Clock
	Tell  Teller // nil for nobody
	// Page is the address of an environment's page; nil for none.
	Page func(name string) string
	// Prices is the user's price list; nil for none.
	Prices func() Prices
	// Self is what this server runs on and stores in.
	Self Self
	// SweepEvery is how often a dark environment is looked at, in real time. 0
	// means 15 min.
	SweepEvery time.Duration
	Log        *slog.Logger // nil is silent
}

// Environments is the capability.
type Environments struct {
	cfg  Config
	wake chan struct{}

	mu      sync.Mutex
	plans   map[string]*timetable // by environment, of generation
	version uint64                // generation of plans
	rest    map[string]time.Time  // when to look at an environment again, by the schedules' clock
	forgot  uint64                // how often something was forgotten
	swept   map[string]time.Time  // when a dark environment was last looked at, in real time

	lastID int64 // of the committer
}

// New makes the capability and adds its runs to the engine.
func New(cfg Config) (*Environments, error) {
	if cfg.Gate == nil || cfg.Runs == nil || cfg.Catalog == nil {
		return nil, errors.New("environments: Gate, Runs and Catalog are required")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.Real{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Page == nil {
		cfg.Page = func(string) string { return "" }
	}
	if cfg.Prices == nil {
		cfg.Prices = func() Prices { return Prices{} }
	}
	if cfg.SweepEvery == 0 {
		cfg.SweepEvery = 15 * time.Minute
	}
	e := &Environments{
		cfg: cfg, wake: make(chan struct{}, 1), plans: map[string]*timetable{}, rest: map[string]time.Time{}, swept: map[string]time.Time{},
	}
	cfg.Runs.Add(run.Kind{Name: kindDown, Outcome: e.outcome, Ended: e.ended}, e.handlers())
	cfg.Runs.Add(run.Kind{Name: kindUp, Outcome: e.outcome, Ended: e.ended}, nil)
	cfg.Runs.Add(run.Kind{Name: kindDrill, Outcome: e.drilled, Ended: e.drillEnded}, nil)
	return e, nil
}

// The kinds of run.
const (
	kindDown  = "env.down"
	kindUp    = "env.up"
	kindDrill = "env.drill"
)

// Migrations are the tables of this package.
var Migrations = []store.Migration{{Name: "environments/0001", SQL: `
CREATE TABLE environment (
	name TEXT PRIMARY KEY,
	state TEXT NOT NULL,
	message TEXT NOT NULL,
	since BIGINT NOT NULL,
	observed_at BIGINT NOT NULL,
	run_id TEXT NOT NULL,
	turned BIGINT NOT NULL,
	commit_id TEXT NOT NULL,
	good_commit TEXT NOT NULL,
	failures BIGINT NOT NULL,
	not_before BIGINT NOT NULL,
	rehearsed BIGINT NOT NULL,
	spared_until BIGINT NOT NULL,
	early_until BIGINT NOT NULL,
	nudged_for BIGINT NOT NULL
);
CREATE TABLE environment_override (
	id TEXT PRIMARY KEY,
	environment TEXT NOT NULL,
	state TEXT NOT NULL,
	from_at BIGINT NOT NULL,
	until_at BIGINT NOT NULL,
	set_at BIGINT NOT NULL,
	reason TEXT NOT NULL,
	person TEXT NOT NULL
);
CREATE INDEX environment_override_until ON environment_override (environment, until_at);
CREATE TABLE environment_dark (
	environment TEXT NOT NULL,
	dusk BIGINT NOT NULL,
	dawn BIGINT NOT NULL,
	spared TEXT NOT NULL,
	PRIMARY KEY (environment, dusk)
);
CREATE TABLE environment_drill (
	run_id TEXT PRIMARY KEY,
	environment TEXT NOT NULL,
	passed BIGINT NOT NULL,
	commit_id TEXT NOT NULL,
	fell_back_from TEXT NOT NULL,
	reason TEXT NOT NULL,
	step TEXT NOT NULL,
	lines TEXT NOT NULL,
	steps TEXT NOT NULL,
	started_at BIGINT NOT NULL,
	finished_at BIGINT NOT NULL
);
CREATE INDEX environment_drill_of ON environment_drill (environment, finished_at);
`}, {Name: "environments/0002", SQL: `
ALTER TABLE environment_drill ADD COLUMN clock_at BIGINT NOT NULL DEFAULT 0;
`}, {Name: "environments/0003", SQL: `
ALTER TABLE environment_drill ADD COLUMN scratch TEXT NOT NULL DEFAULT '';
`}}

// found is an environment with its provider.
type found struct {
	catalog.Environment
	provider cloud.Provider
	target   cloud.Target
}

// find looks an environment up that something can be done with.
func (e *Environments) find(name string) (found, error) {
	env, ok := e.cfg.Catalog.Current().Environment(name)
	if !ok {
		return found{}, nightporter.E(nightporter.NotFound, "no environment is called %q", name)
	}
	if env.Cloud.Kind == "" {
		return found{}, nightporter.E(nightporter.Invalid, "nobody says what %s is made of", name).WithHint("add cloud: {kind: …} to the environment")
	}
	p := e.cfg.Providers[env.Cloud.Kind]
	if p == nil {
		return found{}, nightporter.E(nightporter.Invalid, "this server cannot build %q", env.Cloud.Kind)
	}
	return found{env, p, cloud.Target{Environment: name, Settings: env.Cloud.Settings}}, nil
}

func resource(name string) nightporter.Resource {
	return nightporter.Resource{Kind: "environment", ID: name}
}

// look reads for this package itself.
func (e *Environments) look(ctx context.Context, fn func(*store.Tx) error) error {
	return e.cfg.Gate.Look(ctx, fn)
}

// change changes an environment as the system.
func (e *Environments) change(ctx context.Context, action, name, cause string, fn func(context.Context, *gate.Tx) error) error {
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("environments", cause))
	return e.cfg.Gate.Do(ctx, nightporter.Action{Name: action}, resource(name), func(tx *gate.Tx) error { return fn(ctx, tx) })
}
