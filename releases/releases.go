// Package releases carries every version to production: all environments of a
// stage at once, then an approval where one is asked for, then the next stage.
// "If it is on main it should be in production, unless there is a problem."
//
// A release is one durable run (internal/run). Its steps are build, deploy,
// approve and tag; what an environment runs afterwards is a placement. A release
// freezes its commit, its artifact and how it is started, so that every
// environment gets the same. An unhealthy version never takes over from the one
// before it, and is marked bad: nothing promotes it by itself any more.
//
// The board (board.go) answers how far production is behind from these records
// alone, because this package did the deploying.
package releases

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/deploy"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/provider/notify"
)

// Source gives checkouts of commits.
type Source interface {
	// Checkout returns a folder with the commit's files. The caller calls
	// done when it has finished with it.
	Checkout(ctx context.Context, repo nightporter.Repo, commit string) (dir string, done func(), err error)
}

// Teller tells people. Audience is "owner", "operators", a team or a person, for
// the service of the message.
type Teller interface {
	Tell(ctx context.Context, audience string, m notify.Message) error
}

// Config is what [Releases] needs.
type Config struct {
	Gate      *gate.Gate                 // required
	Runs      *run.Engine                // required
	Catalog   *catalog.Catalog           // required
	Deployers map[string]deploy.Deployer // by the kind of deploy target
	Forges    map[string]forge.Tagger    // for the environments' tags; a missing one means no tags
	Source    Source                     // nil where nothing is built here
	Charts    Charts                     // nil where no charts are installed
	Tell      Teller                     // nil for nobody
	Night     Night                      // nil where no environment sleeps
	Lend      Lender                     // nil where no credentials are handed over
	Recall    Recaller                   // takes back what Lend gave; nil only with it
	// Page is the address of a release's page, for messages; nil for none.
	Page func(id string) string
	// WatchEvery is how often what runs is looked at, in real time. 0 means 15 s.
	WatchEvery time.Duration
	// Now is the clock of reminders: the schedules' clock. nil means time.Now.
	Now func() time.Time
	Log *slog.Logger // nil is silent
}

// Releases carries versions to production.
type Releases struct {
	cfg    Config
	lastID int64
	watch  watch
}

// New makes the capability and adds its runs to the engine.
func New(cfg Config) (*Releases, error) {
	if cfg.Gate == nil || cfg.Runs == nil || cfg.Catalog == nil {
		return nil, errors.New("releases: Gate, Runs and Catalog are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.WatchEvery <= 0 {
		cfg.WatchEvery = defaultWatch
	}
	if cfg.Page == nil {
		cfg.Page = func(string) string { return "" }
	}
	r := &Releases{cfg: cfg}
	cfg.Runs.Add(run.Kind{Name: runKind, Ready: r.ready, Outcome: r.outcome, Ended: r.ended}, map[string]run.Handler{
		kindBuild:   &builder{r},
		kindDeploy:  &deployer{r: r},
		kindApprove: &approver{r},
		kindTag:     &tagger{r},
		kindAwait:   &daylight{r},
		kindArrival: &arrival{r},
	})
	cfg.Runs.Add(run.Kind{Name: revivalKind, Outcome: r.revived}, map[string]run.Handler{kindRevive: &reviver{deployer{r: r}}})
	return r, nil
}

const (
	runKind     = "release"
	kindBuild   = "release.build"
	kindDeploy  = "release.deploy"
	kindApprove = "release.approve"
	kindTag     = "release.tag"
	kindAwait   = "release.await"
	kindArrival = "release.artifact"

	revivalKind = "revival"
	kindRevive  = "release.revive"
)

// Migrations are the tables of this package.
var Migrations = []store.Migration{{Name: "releases/0001", SQL: `
CREATE TABLE release (
	id TEXT PRIMARY KEY,
	service TEXT NOT NULL,
	repo TEXT NOT NULL,
	version TEXT NOT NULL,
	commit_id TEXT NOT NULL,
	place BIGINT NOT NULL,
	kind TEXT NOT NULL,
	target TEXT NOT NULL,
	state TEXT NOT NULL,
	message TEXT NOT NULL,
	frozen TEXT NOT NULL,
	run_id TEXT NOT NULL,
	cause TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
CREATE INDEX release_service ON release (service, created_at);
CREATE INDEX release_state ON release (state, created_at);
CREATE UNIQUE INDEX release_once ON release (service, commit_id) WHERE kind = 'merge';
CREATE TABLE release_bad (
	service TEXT NOT NULL,
	version TEXT NOT NULL,
	reason TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (service, version)
);
CREATE TABLE release_merge (
	repo TEXT NOT NULL,
	commit_id TEXT NOT NULL,
	place BIGINT NOT NULL,
	version TEXT NOT NULL,
	merged_at BIGINT NOT NULL,
	merge TEXT NOT NULL,
	PRIMARY KEY (repo, commit_id)
);
CREATE INDEX release_merge_place ON release_merge (repo, place);
CREATE TABLE release_deploy (
	id TEXT PRIMARY KEY,
	release_id TEXT NOT NULL,
	service TEXT NOT NULL,
	environment TEXT NOT NULL,
	version TEXT NOT NULL,
	commit_id TEXT NOT NULL,
	place BIGINT NOT NULL,
	state TEXT NOT NULL,
	message TEXT NOT NULL,
	previous TEXT NOT NULL,
	started_at BIGINT NOT NULL,
	finished_at BIGINT NOT NULL
);
CREATE INDEX release_deploy_place ON release_deploy (service, environment, started_at);
CREATE TABLE release_placement (
	service TEXT NOT NULL,
	environment TEXT NOT NULL,
	repo TEXT NOT NULL,
	version TEXT NOT NULL,
	commit_id TEXT NOT NULL,
	place BIGINT NOT NULL,
	release_id TEXT NOT NULL,
	address TEXT NOT NULL,
	since BIGINT NOT NULL,
	observed_at BIGINT NOT NULL,
	source TEXT NOT NULL,
	asleep BIGINT NOT NULL,
	PRIMARY KEY (service, environment)
);
CREATE TABLE release_wait (
	release_id TEXT NOT NULL,
	environment TEXT NOT NULL,
	since BIGINT NOT NULL,
	reminded BIGINT NOT NULL,
	PRIMARY KEY (release_id, environment)
);
CREATE TABLE release_vote (
	release_id TEXT NOT NULL,
	environment TEXT NOT NULL,
	person TEXT NOT NULL,
	approved BIGINT NOT NULL,
	comment TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (release_id, environment, person)
);
CREATE TABLE release_hold (
	service TEXT PRIMARY KEY,
	reason TEXT NOT NULL,
	person TEXT NOT NULL,
	at BIGINT NOT NULL
);
CREATE TABLE release_freeze (
	environment TEXT PRIMARY KEY,
	until BIGINT NOT NULL,
	reason TEXT NOT NULL,
	person TEXT NOT NULL,
	at BIGINT NOT NULL
);
`}, {Name: "releases/0002", SQL: `
CREATE TABLE release_override (
	release_id TEXT NOT NULL,
	environment TEXT NOT NULL,
	reason TEXT NOT NULL,
	person TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (release_id, environment)
);
`}, {Name: "releases/0003", SQL: `
CREATE TABLE release_artifact (
	service TEXT NOT NULL,
	commit_id TEXT NOT NULL,
	image TEXT NOT NULL,
	digest TEXT NOT NULL,
	person TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (service, commit_id)
);
`}, {Name: "releases/0004", SQL: `
CREATE TABLE release_life (
	service TEXT NOT NULL,
	environment TEXT NOT NULL,
	state TEXT NOT NULL,
	message TEXT NOT NULL,
	deaths BIGINT NOT NULL,
	run_id TEXT NOT NULL,
	at BIGINT NOT NULL,
	retry_at BIGINT NOT NULL,
	PRIMARY KEY (service, environment)
);
`}}

func (r *Releases) change(ctx context.Context, action nightporter.Action, id string, fn func(*gate.Tx) error) error {
	return r.cfg.Gate.Do(ctx, action, nightporter.Resource{Kind: "release", ID: id}, fn)
}

// tell sends a message to people. It failing must not stop a release: it is
// logged, and the board shows the same.
func (r *Releases) tell(ctx context.Context, audience string, m notify.Message) error {
	if r.cfg.Tell == nil {
		return nil
	}
	return r.cfg.Tell.Tell(ctx, audience, m)
}
