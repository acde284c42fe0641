// Package repos looks after repositories. It is where the forges come in, and
// what keeps every repository to one standard.
//
// What happens on the forges arrives by webhooks that hint, and a sweep that decides. Both end in the same look at a repository, which tells what
// arrived on the default branch and how the open pull requests changed, once
// each and in order, as the events [nightporter.Merged] and
// [nightporter.PullRequestChanged].
//
// Nothing depends on a webhook. One that is lost is found by the sweep, one that
// comes twice or out of order changes nothing, because what is told is the
// difference between the repository now and the last commit that was worked off.
//
// How repositories are set up is surveyed every hour (conform.go), compared with
// the rules by package standard, and kept as a matrix of repositories and rules
// with its history. A plan shows what differs and what putting it right costs; an
// apply (apply.go) is a durable run that makes the plan's writes one after
// another, and keeps what undoes each.
package repos

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/repos/standard"
)

// Forge is what this package needs of a forge.
type Forge interface {
	forge.Sweeper
	forge.Refresher
	forge.Historian
	forge.Receiver
}

// Config is what [Repos] needs.
type Config struct {
	Gate    *gate.Gate       // required
	Catalog *catalog.Catalog // required: only declared repositories are looked at
	Forges  map[string]Forge // by the name in the configuration
	Log     *slog.Logger     // nil is silent
	Now     func() time.Time // nil means time.Now
	// SweepEvery is how long between two looks at everything. 0 means 5 min.
	SweepEvery time.Duration

	// Runs carries applies. nil means that nothing can be applied.
	Runs *run.Engine
	// Standard is what repositories should be like, read anew each time. nil
	// means that nothing is asked of them.
	Standard func() config.Repos
	// PlaceOf says where a setting stands in the configuration, for errors. nil
	// means that nobody knows.
	PlaceOf func(path string) string
	// Enforce says whether the hourly look puts a rule right by itself. nil
	// means what the configuration says: its mode, or the rule by name.
	Enforce func(standard.Rule) bool
	// Apps are the ids of our own Apps, by forge: our checks are pinned to
	// them. A missing one pins nothing.
	Apps map[string]int64
	// ConformEvery is how long between two looks at the settings. 0 means one
	// hour, less than 0 never.
	ConformEvery time.Duration
	// Pace is the time between two write requests of an apply. 0 means
	// [standard.Pace], less than 0 none.
	Pace time.Duration
}

// Repos looks at repositories.
type Repos struct {
	cfg  Config
	wake chan struct{}

	mu    sync.Mutex
	asked map[nightporter.Repo]bool // a webhook hinted

	refused map[string]int64 // webhooks with a wrong signature, by forge
	touched map[string]bool  // forges whose settings somebody changed

	lastID int64 // of the committer
}

// Migrations are the tables of this package.
var Migrations = []store.Migration{{Name: "repos/0001", SQL: `
CREATE TABLE repo (
	name TEXT PRIMARY KEY,
	forge_id TEXT NOT NULL,
	default_branch TEXT NOT NULL,
	head TEXT NOT NULL,
	merges BIGINT NOT NULL,
	observed_at BIGINT NOT NULL,
	note TEXT NOT NULL
);
CREATE TABLE repo_pull (
	repo TEXT NOT NULL,
	number BIGINT NOT NULL,
	seen TEXT NOT NULL,
	PRIMARY KEY (repo, number)
);
CREATE TABLE repo_hook (
	forge TEXT NOT NULL,
	id TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (forge, id)
);
CREATE TABLE repo_forge (
	name TEXT PRIMARY KEY,
	swept_at BIGINT NOT NULL,
	failing_since BIGINT NOT NULL,
	error TEXT NOT NULL
);
`}, {Name: "repos/0002", SQL: `
CREATE TABLE repo_plan (
	id TEXT PRIMARY KEY,
	forge TEXT NOT NULL,
	made_at BIGINT NOT NULL,
	only_for TEXT NOT NULL,
	head TEXT NOT NULL,
	run_id TEXT NOT NULL
);
CREATE INDEX repo_plan_made ON repo_plan (made_at);
CREATE TABLE repo_plan_repo (
	plan TEXT NOT NULL,
	repo TEXT NOT NULL,
	body TEXT NOT NULL,
	PRIMARY KEY (plan, repo)
);
CREATE TABLE repo_plan_write (
	plan TEXT NOT NULL,
	n BIGINT NOT NULL,
	body TEXT NOT NULL,
	state TEXT NOT NULL,
	message TEXT NOT NULL,
	PRIMARY KEY (plan, n)
);
CREATE TABLE repo_rule (
	repo TEXT NOT NULL,
	rule TEXT NOT NULL,
	state TEXT NOT NULL,
	body TEXT NOT NULL,
	since BIGINT NOT NULL,
	ok_at BIGINT NOT NULL,
	PRIMARY KEY (repo, rule)
);
CREATE TABLE repo_rule_log (
	repo TEXT NOT NULL,
	rule TEXT NOT NULL,
	at BIGINT NOT NULL,
	state TEXT NOT NULL,
	was TEXT NOT NULL,
	have TEXT NOT NULL,
	who TEXT NOT NULL
);
CREATE INDEX repo_rule_log_repo ON repo_rule_log (repo, at);
CREATE TABLE repo_touch (
	repo TEXT NOT NULL,
	part TEXT NOT NULL,
	login TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (repo, part)
);
CREATE TABLE repo_conform (
	forge TEXT PRIMARY KEY,
	looked_at BIGINT NOT NULL,
	error TEXT NOT NULL,
	requests BIGINT NOT NULL,
	points BIGINT NOT NULL
);
`}, {Name: "repos/0003", SQL: `
CREATE INDEX repo_rule_drift ON repo_rule (repo, rule) WHERE state = 'drift';
`}}

// New makes the capability; Run starts it.
func New(cfg Config) (*Repos, error) {
	if cfg.Gate == nil || cfg.Catalog == nil {
		return nil, errors.New("repos: Gate and Catalog are required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.SweepEvery == 0 {
		cfg.SweepEvery = 5 * time.Minute
	}
	if cfg.ConformEvery == 0 {
		cfg.ConformEvery = time.Hour
	}
	if cfg.Pace == 0 {
		cfg.Pace = standard.Pace
	}
	if cfg.Enforce == nil {
		cfg.Enforce = func(rule standard.Rule) bool { return cfg.Standard != nil && cfg.Standard().Enforces(string(rule)) }
	}
	r := &Repos{
		cfg: cfg, wake: make(chan struct{}, 1), asked: map[nightporter.Repo]bool{}, refused: map[string]int64{}, touched: map[string]bool{},
	}
	if cfg.Runs != nil {
		cfg.Runs.Add(run.Kind{Name: applyKind, Outcome: r.applied}, map[string]run.Handler{
			kindLook: looker{r}, kindWrite: writer{r}, kindFinish: finisher{r},
		})
	}
	return r, nil
}

// Run sweeps at once and then every now and then, and refreshes what webhooks
// hint at, until ctx ends.
func (r *Repos) Run(ctx context.Context) {
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("repos", ""))
	timer := time.NewTimer(0)
	defer timer.Stop()
	var conforming sync.WaitGroup // apart: a survey of thousands takes a while
	defer conforming.Wait()
	if r.cfg.ConformEvery > 0 && r.cfg.Standard != nil {
		conforming.Go(func() { r.keepConforming(ctx) })
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			r.Sweep(ctx)
			timer.Reset(r.cfg.SweepEvery)
		case <-r.wake:
			r.RefreshAsked(ctx)
		}
	}
}

// Sweep looks at every forge. What fails is noted and shown; the rest works.
func (r *Repos) Sweep(ctx context.Context) {
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("repos", ""))
	var wg sync.WaitGroup
	for name, f := range r.cfg.Forges {
		wg.Go(func() {
			err := r.sweepForge(ctx, name, f)
			if err != nil && ctx.Err() == nil {
				r.cfg.Log.WarnContext(ctx, "sweep a forge", "forge", name, "error", err)
			}
			r.noteForge(ctx, name, err)
		})
	}
	wg.Wait()
}

func (r *Repos) sweepForge(ctx context.Context, name string, f Forge) error {
	wanted := map[string]bool{}
	for _, repo := range r.cfg.Catalog.Current().Repositories() {
		if repo.Forge == name {
			wanted[repo.Name] = true
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	known, err := r.known(ctx, name)
	if err != nil {
		return err
	}
	states, err := f.Sweep(ctx, known)
	if err != nil {
		return err
	}
	var all error
	for _, s := range states {
		if wanted[s.Name] {
			all = errors.Join(all, r.absorb(ctx, nightporter.Repo{Forge: name, Name: s.Name}, f, s))
		}
	}
	return all
}

// known tells a sweep how far each repository was worked off.
func (r *Repos) known(ctx context.Context, forgeName string) (forge.Known, error) {
	known := forge.Known{}
	err := r.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		return tx.Each(ctx, `SELECT name, head FROM repo`, nil, func(scan func(...any) error) error {
			var name, head string
			if err := scan(&name, &head); err != nil {
				return err
			}
			if repo, err := nightporter.ParseRepo(name); err == nil && repo.Forge == forgeName {
				known[repo.Name] = head
			}
			return nil
		})
	})
	return known, err
}

// Ask has a repository looked at soon.
func (r *Repos) Ask(repo nightporter.Repo) {
	r.mu.Lock()
	r.asked[repo] = true
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// RefreshAsked looks at the repositories that webhooks hinted at. Run does so by
// itself.
func (r *Repos) RefreshAsked(ctx context.Context) {
	r.mu.Lock()
	asked := r.asked
	r.asked = map[nightporter.Repo]bool{}
	r.mu.Unlock()
	for repo := range asked {
		f := r.cfg.Forges[repo.Forge]
		if f == nil {
			continue
		}
		known, err := r.known(ctx, repo.Forge)
		if err == nil {
			var state forge.RepoState
			if state, err = f.Refresh(ctx, repo.Name, known[repo.Name]); err == nil {
				err = r.absorb(ctx, repo, f, state)
			}
		}
		if err != nil && ctx.Err() == nil {
			// The next sweep finds it.
			r.cfg.Log.WarnContext(ctx, "refresh a repository", "repo", repo.String(), "error", err)
			r.noteForge(ctx, repo.Forge, err)
		}
	}
}

// noteForge keeps how the forge was when it was last asked.
func (r *Repos) noteForge(ctx context.Context, name string, failure error) {
	now := store.Micros(r.cfg.Now())
	var swept, since int64
	message := nightporter.MessageOf(failure)
	if failure == nil {
		swept = now
	} else {
		since = now
	}
	err := r.cfg.Gate.Keep(ctx, "forge.observe", func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO repo_forge (name, swept_at, failing_since, error) VALUES (?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET error = excluded.error,
			swept_at = CASE WHEN excluded.swept_at > 0 THEN excluded.swept_at ELSE repo_forge.swept_at END,
			failing_since = CASE WHEN excluded.swept_at > 0 THEN 0 WHEN repo_forge.failing_since > 0 THEN repo_forge.failing_since ELSE excluded.failing_since END`,
			name, swept, since, message)
		return err
	})
	if err != nil && ctx.Err() == nil {
		r.cfg.Log.ErrorContext(ctx, "note a forge", "forge", name, "error", err)
	}
}

// ForgeState says how a forge was when it was last asked.
type ForgeState struct {
	Name string `json:"name"`
	// SweptAt is when everything was last seen.
	SweptAt time.Time `json:"swept_at,omitzero"`
	// FailingSince is set while the forge does not answer: what it would tell
	// is unknown since then.
	FailingSince time.Time `json:"failing_since,omitzero"`
	Error        string    `json:"error,omitempty"`
}

// Forges lists how the forges were.
func Forges(ctx context.Context, tx *store.Tx) ([]ForgeState, error) {
	var out []ForgeState
	err := tx.Each(ctx, `SELECT name, swept_at, failing_since, error FROM repo_forge ORDER BY name`, nil, func(scan func(...any) error) error {
		var f ForgeState
		var swept, since int64
		if err := scan(&f.Name, &swept, &since, &f.Error); err != nil {
			return err
		}
		f.SweptAt, f.FailingSince = store.Time(swept), store.Time(since)
		out = append(out, f)
		return nil
	})
	return out, err
}
