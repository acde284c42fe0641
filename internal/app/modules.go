package app

import (
	"context"
	"os"
	"slices"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/vault"
	"nightporter.dev/nightporter/metrics"
	"nightporter.dev/nightporter/metrics/dashboards"
	provider "nightporter.dev/nightporter/provider/database"
	"nightporter.dev/nightporter/provider/database/mysql"
	"nightporter.dev/nightporter/provider/database/postgres"
	"nightporter.dev/nightporter/provider/deploy"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/releases"
	"nightporter.dev/nightporter/repos"
	"nightporter.dev/nightporter/secrets"
	"nightporter.dev/nightporter/secrets/database"
	"nightporter.dev/nightporter/security"
	"nightporter.dev/nightporter/security/leaks"
	"nightporter.dev/nightporter/services"
	"nightporter.dev/nightporter/versions"
)

// modules are the capabilities.
type modules struct {
	repos        *repos.Repos
	versions     *versions.Versions
	releases     *releases.Releases
	environments *environments.Environments
	services     *services.Services
	security     *security.Security
	leaks        *leaks.Leaks
	metrics      *metrics.Metrics       // nil without an engine for samples
	dashboards   *dashboards.Dashboards // likewise
}

// moduleMigrations are their tables.
var moduleMigrations = slices.Concat(secrets.Migrations, database.Migrations, repos.Migrations, versions.Migrations, releases.Migrations, environments.Migrations, services.Migrations, security.Migrations, metrics.Migrations, dashboards.Migrations, leaks.Migrations, anchorMigrations)

func (a *App) makeModules() (err error) {
	p := a.providers
	a.modules.repos, err = repos.New(repos.Config{
		Gate: a.gate, Catalog: a.catalog, Forges: as[repos.Forge](p.Forges), Log: a.log, Now: a.clock.Now, SweepEvery: p.SweepEvery,
		Runs: a.runs, Standard: func() config.Repos { return a.config.Load().Repos },
		PlaceOf: func(path string) string { return a.config.Load().Place(path) },
	})
	if err != nil {
		return err
	}
	a.modules.versions, err = versions.New(versions.Config{
		Gate: a.gate, Forges: as[versions.Forge](p.Forges), Rules: a.versionRules, Log: a.log,
		Page: func(r nightporter.Repo) string { return a.page("/services?repo=" + r.String()) },
	})
	if err != nil {
		return err
	}
	a.modules.releases, err = releases.New(releases.Config{
		Gate: a.gate, Runs: a.runs, Catalog: a.catalog, Deployers: p.Deployers, Forges: as[forge.Tagger](p.Forges), Source: p.Source, Charts: p.Charts,
		Tell: a, Night: a, Lend: lend{a}, Recall: recall{a}, Page: func(id string) string { return a.page("/releases/" + id) }, Now: a.clock.Now, Log: a.log,
	})
	if err != nil {
		return err
	}
	a.modules.services, err = services.New(services.Config{Gate: a.gate, Catalog: a.catalog})
	if err != nil {
		return err
	}
	if err := a.makeSecurity(); err != nil {
		return err
	}
	if err := a.makeLeaks(); err != nil {
		return err
	}
	a.modules.environments, err = environments.New(environments.Config{
		Gate: a.gate, Runs: a.runs, Catalog: a.catalog, Providers: p.Clouds, Source: p.Infrastructure,
		Undeploy: dusk{a.modules.releases}, Redeploy: dawn{a.modules.releases}, Drain: drain{a.databases}, Enrol: enrol{a.databases}, Probe: probing{a},
		Clock: a.clock, Tell: a, Page: func(name string) string { return a.page("/environments/" + name) }, Self: a.self(), Prices: a.prices, Log: a.log,
	})
	return err
}

// The awaited parts of a night, which events could not be: an environment's
// services are handed over to releases, its databases to secrets.
type (
	dusk  struct{ r *releases.Releases }
	dawn  struct{ r *releases.Releases }
	drain struct{ e *database.Engine }
	enrol struct{ e *database.Engine }
)

func (d drain) Drain(ctx context.Context, environment, _ string) (environments.Handover, error) {
	return handover(d.e.Drain(ctx, environment), "every login has ended")
}

func (d enrol) Enrol(ctx context.Context, environment, _ string, output func(context.Context, string) ([]byte, error)) (environments.Handover, error) {
	return handover(d.e.Enrol(ctx, environment, output), "the databases are back in use")
}

// What an instance reads its credentials with: a token of its own, wrapped, for as
// long as it lives.
type (
	lend   struct{ a *App }
	recall struct{ a *App }
)

func (l lend) Lend(service, environment, key string, within time.Duration) *deploy.Credentials {
	spec := identity.Instance{Service: service, Environment: environment, Key: key}.Spec(within)
	return &deploy.Credentials{
		Address: l.a.address(),
		Token:   func(ctx context.Context) (string, error) { return l.a.vault.HandOver(ctx, spec, within) },
	}
}

func (r recall) Recall(ctx context.Context, service, environment string, living []string) error {
	if err := r.a.identity.Recall(ctx, service, environment, living); err != nil {
		return err
	}
	r.a.reaper.Wake() // the logins go now, not when it next looks
	return nil
}

// handover says how a part went that answers unavailable while it goes on.
func handover(err error, done string) (environments.Handover, error) {
	switch {
	case err == nil:
		return environments.Handover{State: run.Succeeded, Message: done}, nil
	case nightporter.CodeOf(err) == nightporter.Unavailable:
		return environments.Handover{State: run.Running, Message: nightporter.MessageOf(err)}, nil
	}
	return environments.Handover{}, err
}

func (d dusk) Undeploy(ctx context.Context, environment, run string) (environments.Handover, error) {
	h, err := d.r.Undeploy(ctx, environment, run)
	return environments.Handover(h), err
}

func (d dawn) Redeploy(ctx context.Context, environment, run string) (environments.Handover, error) {
	h, err := d.r.Redeploy(ctx, environment, run)
	return environments.Handover(h), err
}

// Dark tells releases whether an environment sleeps.
func (a *App) Dark(ctx context.Context, environment string) (bool, time.Time, error) {
	return a.modules.environments.Dark(ctx, environment)
}

// Wake has a dark environment brought up for a release.
func (a *App) Wake(ctx context.Context, environment, key, reason, cause string) (bool, error) {
	return a.modules.environments.Wake(ctx, environment, key, reason, cause)
}

// prices reads the user's price list, which may change at any time; a list that
// cannot be read counts as none.
func (a *App) prices() environments.Prices {
	path := string(a.config.Load().Prices)
	if path == "" {
		return environments.Prices{}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		a.log.Warn("read the price list", "error", err)
		return environments.Prices{}
	}
	p, err := environments.ParsePrices(text)
	if err != nil {
		a.log.Warn("read the price list", "error", err)
	}
	return p
}

// databasesGone closes the leases of databases that an empty inventory proved to be
// gone with their environment.
func (a *App) databasesGone(ctx context.Context, e nightporter.EnvironmentDown) error {
	return a.databases.Gone(ctx, e.Environment)
}

// mayKeep says whether a person would still be given a login: whether the token
// that it was asked with may do so now. One that is gone may nothing.
func (a *App) mayKeep(ctx context.Context, _, accessor string, action nightporter.Action) bool {
	var info identity.Info
	err := a.gate.Look(ctx, func(tx *store.Tx) (err error) {
		info, err = identity.Find(ctx, tx, accessor)
		return err
	})
	return err == nil && a.identity.Decide(ctx, a.identity.ActorOf(info, ""), action).Allowed
}

// self is what a tear-down must never touch: the porter itself and what it stores
// in.
func (a *App) self() environments.Self {
	cfg := a.config.Load()
	s := environments.Self{PIDs: []int{os.Getpid()}, Paths: []string{string(cfg.DataDir), string(cfg.Seal.Path)}}
	if p := a.db.Path(); p != "" {
		s.Paths = append(s.Paths, p)
	}
	return s
}

// makeVault makes Vault's HTTP API with the secrets engines behind it.
func (a *App) makeVault(ctx context.Context) error {
	engines, err := secrets.Backends(secrets.Config{Seal: a.sealer})
	if err != nil {
		return err
	}
	engines = append(engines, a.databases.Backend())
	a.vault, err = vault.New(ctx, vault.Config{
		DB: a.db, Gate: a.gate, Identity: a.identity, Policies: a.policies, Seal: a.sealer, Leases: a.reaper,
		Backends: engines, Version: a.opts.Version, Metrics: a.metrics, HTTP: a.client(""), Log: a.log,
	})
	if err == nil && a.opts.Dev {
		err = a.mount(ctx)
	}
	return err
}

// mount enables what a new installation starts with.
func (a *App) mount(ctx context.Context) error {
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("init", ""))
	for _, m := range []vault.Mount{
		{Path: "secret/", Type: "kv", Options: map[string]string{"version": "2"}},
		{Path: "database/", Type: "database"},
	} {
		err := a.vault.Enable(ctx, m)
		if code := nightporter.CodeOf(err); code == nightporter.Invalid || code == nightporter.Conflict {
			continue // a development store that was opened again
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// makeDatabases makes the engine that hands out logins.
func (a *App) makeDatabases() (err error) {
	a.databases, err = database.New(database.Config{
		Gate: a.gate, Seal: a.sealer, Fence: a.db.Fence(), Log: a.log, Fault: a.opts.Fault,
		Plugins: map[string]database.Opener{
			"postgresql-database-plugin": func(c provider.Config) (provider.Database, error) { return postgres.Open(c) },
			"mysql-database-plugin":      func(c provider.Config) (provider.Database, error) { return mysql.Open(c) },
		},
		Binding: func(name string) database.Binding {
			d := a.config.Load().Databases[name]
			return database.Binding{Environment: d.Environment, Bootstrap: d.Bootstrap}
		},
		PasswordPolicy: func(ctx context.Context, name string) (string, error) { return a.vault.GeneratePassword(ctx, name) },
		MayKeep:        a.mayKeep,
		Changed:        func() { a.console.Notify() },
	})
	return err
}

func (a *App) versionRules() versions.Rules {
	cfg := a.config.Load()
	rules := versions.Rules{HoldUnlabelled: cfg.Versions.Unlabelled == "hold", ZeroMajor: nightporter.Bump(cfg.Versions.ZeroMajor)}
	rules.Description = versions.Description(cfg.Versions.Description)
	rules.Pre = cfg.Versions.Prerelease
	if t := versions.Titles(cfg.Versions.Titles); t == versions.Propose || t == versions.Decide {
		rules.Titles = t
	}
	if v, err := nightporter.ParseVersion(cfg.Versions.First); err == nil {
		rules.Initial = v
	}
	return rules
}

func (a *App) moduleRoutes() []httpapi.Route {
	return slices.Concat(a.modules.repos.Routes(), a.modules.versions.Routes(), a.modules.releases.Routes(), a.modules.environments.Routes(), a.modules.services.Routes(), a.metricsRoutes(), a.dashboardRoutes(), a.modules.security.Routes(), a.accessRoutes(), a.modules.leaks.Routes(), a.anchorRoutes(), a.doctorRoutes(), a.databases.Routes())
}

// as narrows providers to what a capability asks for.
func as[T any, F any](all map[string]F) map[string]T {
	out := make(map[string]T, len(all))
	for name, f := range all {
		if t, ok := any(f).(T); ok {
			out[name] = t
		}
	}
	return out
}
