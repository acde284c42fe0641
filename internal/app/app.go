// Package app puts the house together: the spine, the providers that the
// configuration names, the capabilities, and the front door.
//
// Read flows.go for the plot: which event calls which method. modules.go lists
// the capabilities, providers.go what stands behind their contracts.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/clock"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/internal/policy"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/seal"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/telemetry"
	"nightporter.dev/nightporter/internal/vault"
	"nightporter.dev/nightporter/metrics"
	"nightporter.dev/nightporter/provider/notify"
	"nightporter.dev/nightporter/secrets/database"
	"nightporter.dev/nightporter/web/console"
)

// Options say how to open the house. Config and Log are required.
type Options struct {
	Config  *config.Config
	Log     *slog.Logger
	Version string
	// StoreURL overrides the configuration's store. For --store and --dev.
	StoreURL string
	// Dev opens a store that nobody keeps: initialised here, not safe.
	Dev bool
	// Clock is the schedules' clock; nil means the real one.
	Clock clock.Clock
	// Demo is set when the clock is a demo's: every page says so.
	Demo bool
	// Providers replace those that the configuration names; for tests. nil
	// means to make them.
	Providers *Providers
	// Samples makes the engine that keeps the samples of metrics workspaces, in
	// the folder dir. nil leaves workspaces out.
	Samples func(dir string, r *telemetry.Registry, log *slog.Logger) (metrics.Engine, error)
	// Self is this program's file, which the scanner starts as its child. ""
	// means that nothing is scanned.
	Self string
	// Kubernetes makes what talks to a cluster; nil in a binary without it.
	Kubernetes *Kubernetes
	// Fault is called at every named fault point; for the crash tests.
	Fault func(point string)
}

// App is the open house.
type App struct {
	opts    Options
	config  atomic.Pointer[config.Config]
	started time.Time

	db        *store.DB
	gate      *gate.Gate
	bus       *outbox.Bus
	events    *outbox.Dispatcher
	runs      *run.Engine
	sealer    *seal.Sealer
	identity  *identity.Identity
	policies  *policy.Set
	catalog   *catalog.Catalog
	reaper    *lease.Reaper
	vault     *vault.Vault
	databases *database.Engine
	metrics   *telemetry.Registry
	console   *console.Console
	clock     clock.Clock
	log       *slog.Logger

	providers *Providers
	modules   modules
	handler   http.Handler

	channels  atomic.Pointer[map[string][]notify.Notifier] // how people are told, by audience
	auditKey  atomic.Pointer[audit.Key]
	anchoring sync.Mutex             // one checkpoint at a time goes outside
	values    values                 // behind references of the configuration
	listens   atomic.Pointer[string] // the URL that it listens at, once it does
}

// spine lists the tables of everything below the capabilities.
var spine = slices.Concat(audit.Migrations, outbox.Migrations, lease.Migrations, identity.Migrations, run.Migrations, vault.Migrations, migrations)

// New opens the store, brings its schema forward, unseals it where that needs
// nobody, and builds everything. Run starts the loops.
func New(ctx context.Context, opts Options) (_ *App, err error) {
	a := &App{
		opts: opts, started: time.Now(), log: opts.Log, clock: opts.Clock,
		bus: outbox.NewBus(), catalog: &catalog.Catalog{}, metrics: telemetry.NewRegistry(),
	}
	if a.clock == nil {
		a.clock = clock.Real{}
	}
	a.config.Store(opts.Config)
	telemetry.RegisterProcess(a.metrics, opts.Version, a.started)
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	if _, err := a.catalog.Load(opts.Config.Catalog()); err != nil {
		return nil, err
	}
	url := opts.StoreURL
	if url == "" {
		if url, err = opts.Config.StoreURL(os.LookupEnv); err != nil {
			return nil, err
		}
	}
	if a.db, err = store.Open(ctx, store.Config{URL: url, Ephemeral: opts.Dev}); err != nil {
		return nil, err
	}
	if err := a.db.Migrate(ctx, slices.Concat(spine, moduleMigrations)); err != nil {
		return nil, err
	}
	if err := a.build(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// build makes the spine, the capabilities and the front door, in that order.
func (a *App) build(ctx context.Context) (err error) {
	if a.policies, err = policy.NewSet(policy.Config{}); err != nil {
		return err
	}
	a.identity, err = identity.New(identity.Config{DB: a.db, Policies: a.policies, Catalog: a.catalog, Workspaces: a.workspaces, Log: a.log})
	if err != nil {
		return err
	}
	if err := a.identity.LoadPolicies(ctx); err != nil {
		return err
	}
	a.gate, err = gate.New(gate.Config{
		DB: a.db, Bus: a.bus, Decider: a.identity, Log: a.log, Fault: a.opts.Fault,
		Committed: func() {
			a.events.Wake()
			a.console.Notify()
		},
	})
	if err != nil {
		return err
	}
	a.identity.Bind(a.gate)
	a.events = outbox.NewDispatcher(outbox.DispatcherConfig{Bus: a.bus, DB: a.db, Gate: a.gate, Log: a.log})
	if a.sealer, err = seal.New(ctx, seal.Config{Storage: sealStorage{a}}); err != nil {
		return err
	}
	if err := a.unseal(ctx); err != nil {
		return err
	}
	if err := a.makeDatabases(); err != nil {
		return err
	}
	a.reaper, err = lease.NewReaper(lease.ReaperConfig{
		Gate: a.gate, Log: a.log, Ended: a.identity.Ended, Revokers: map[lease.Kind]lease.Revoker{database.Kind: a.databases},
	})
	if err != nil {
		return err
	}
	if err := a.makeVault(ctx); err != nil {
		return err
	}
	a.runs, err = run.New(run.Config{
		Gate: a.gate, Fence: a.db.Fence(), Log: a.log, Clock: a.clock, Changed: func(string) { a.console.Notify() },
	})
	if err != nil {
		return err
	}
	a.providers = a.opts.Providers
	if a.providers == nil {
		if a.providers, err = a.makeProviders(ctx); err != nil {
			return err
		}
	}
	a.channels.Store(&a.providers.Channels)
	if err := a.makeModules(); err != nil {
		return err
	}
	if err := a.makeMetrics(ctx); err != nil {
		return err
	}
	if err := a.makeDashboards(); err != nil {
		return err
	}
	a.flows()
	a.measure()
	a.console, err = console.New(console.Config{
		Gate: a.gate, Catalog: a.catalog, Identity: a.identity, Releases: a.modules.releases, Log: a.log,
		Databases: a.databases, Vault: a.vault, Environments: a.modules.environments, Repos: a.modules.repos, Dashboards: a.modules.dashboards, Security: a.modules.security,
		Now: a.clock.Now, Demo: a.opts.Demo, Version: a.opts.Version, Refused: a.modules.repos.Refused,
	})
	if err != nil {
		return err
	}
	return a.openDoor()
}

// Handler is the front door.
func (a *App) Handler() http.Handler { return a.handler }

// Server is an HTTP server with the front door's limits.
func (a *App) Server() *http.Server {
	s := httpapi.NewServer(httpapi.ServerConfig{Handler: a.handler, Log: a.log})
	s.RegisterOnShutdown(a.console.Close)
	return s
}

// Run drives the loops until ctx ends, or until another copy of the server has taken
// over, and returns when they have.
func (a *App) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, lost := context.WithCancel(ctx)
	defer lost()
	wg.Go(func() { a.reaper.Run(ctx) })
	wg.Go(func() { a.sign(ctx) })
	// What acts outside waits for the unsealing: it may need a secret.
	if a.sealer.WaitUnsealed(ctx) != nil {
		return
	}
	wg.Go(func() { a.databases.Run(ctx) })
	wg.Go(func() { a.events.Run(ctx) })
	wg.Go(func() {
		a.runs.Run(ctx)
		// The engine stops by itself when another copy took the writer's place:
		// a server that can write nothing must not go on answering.
		lost()
	})
	wg.Go(func() { a.prune(ctx) })
	wg.Go(func() { a.modules.repos.Run(ctx) })
	wg.Go(func() { a.modules.releases.Run(ctx) })
	wg.Go(func() { a.modules.environments.Run(ctx) })
	wg.Go(func() { a.modules.security.Run(ctx) })
	wg.Go(func() { a.runMetrics(ctx) })
	wg.Go(func() { a.prove(ctx) })
	wg.Go(func() { a.modules.leaks.Run(ctx) })
	wg.Go(func() { a.anchor(ctx) })
	<-ctx.Done()
}

// prune removes old events, a few at a time.
func (a *App) prune(ctx context.Context) {
	for {
		var n int64
		err := a.gate.Keep(ctx, "outbox.prune", func(tx *store.Tx) (err error) {
			n, err = outbox.Prune(ctx, tx, time.Now())
			return err
		})
		pause := time.Hour
		if err == nil && n > 0 {
			pause = time.Second
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// Close gives everything back. It is safe on a half-built App.
func (a *App) Close() error {
	err := error(nil)
	if a.databases != nil {
		err = a.databases.Close()
	}
	if a.modules.metrics != nil {
		err = errors.Join(err, a.modules.metrics.Close())
	}
	if a.gate != nil {
		a.gate.Close()
	}
	if a.providers != nil && a.opts.Providers == nil {
		err = errors.Join(err, a.providers.Close())
	}
	if a.sealer != nil {
		a.sealer.Seal()
	}
	if a.db != nil {
		err = errors.Join(err, a.db.Close())
	}
	return err
}

// Reload takes over a new configuration, or keeps the old one when the new one
// is wrong. It returns the settings that only a restart takes over.
func (a *App) Reload(ctx context.Context, next *config.Config) ([]string, error) {
	channels := a.channels.Load()
	if a.opts.Providers == nil {
		made, err := a.makeAllChannels(ctx, next)
		if err != nil {
			return nil, err
		}
		channels = &made
	}
	if _, err := a.catalog.Load(next.Catalog()); err != nil {
		return nil, err
	}
	restart := a.config.Load().NeedsRestart(next)
	a.config.Store(next)
	if err := a.loadWorkspaces(ctx); err != nil {
		return restart, err
	}
	a.channels.Store(channels)
	if err := a.identity.LoadPolicies(ctx); err != nil {
		return restart, err
	}
	if err := a.modules.releases.Reloaded(ctx); err != nil {
		return restart, err
	}
	a.runs.LookAll()
	return restart, nil
}

// Sealed says whether the store is sealed.
func (a *App) Sealed() bool { return a.sealer.Sealed() }

// RootToken makes a token that may do everything: for init and --dev. id is a
// token of the caller's choice, or "".
func (a *App) RootToken(ctx context.Context, id string) (string, error) {
	token, _, err := a.identity.Open(ctx, identity.Spec{
		ActorKind: nightporter.Machine, Actor: "root", Method: "token", Policies: []string{policy.RootName},
		Path: "auth/token/root", TTL: -1, ID: id,
	})
	return token, err
}

// dataDir is a folder of ours that is not the store's.
func (a *App) dataDir(name string) (string, error) {
	dir := filepath.Join(string(a.config.Load().DataDir), name)
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return "", fmt.Errorf("make the folder %s: %w", name, err)
	}
	return dir, nil
}

// address is where services find us: where people do, or else where we listen.
func (a *App) address() string {
	if listens := a.listens.Load(); listens != nil && a.config.Load().URL == "" {
		return *listens
	}
	return a.page("")
}

// page is the address of one of our pages, for messages.
func (a *App) page(path string) string {
	cfg := a.config.Load()
	base := strings.TrimSuffix(cfg.URL, "/")
	if base == "" {
		base = "http://" + cfg.Listen
	}
	return base + path
}
