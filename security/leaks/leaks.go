// Package leaks looks for secrets in the histories of repositories, gives what it
// finds to its owner, and makes a password of a database worthless that was found.
//
// A scan is a run: fetch, read in a child process (security/scan), write down. It
// reads what is new after every merge and every push to a pull request, and each
// repository from its beginning once a day, so that a rule which is new finds what
// is old, and so that no missed webhook matters. A scan that did not see everything
// is failed and proves nothing.
//
// A secret is known by an HMAC of it, its repository and its rule. It is never
// written down: where its text is needed again, to try it, its commit is read again.
//
// Where the configuration allows it, a database's password is tried on the databases
// that are known here. One that is refused everywhere is no finding any more; one
// that works is critical, and can be repaired: its account gets a new password that
// nobody knows, a role leases logins instead, and the old password is tried once
// more. Only its refusal closes the finding.
package leaks

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/security"
	"nightporter.dev/nightporter/security/scan"
)

// Source gives the history of repositories.
type Source interface {
	// Branches brings all branches up to date: the default one's commit, and
	// everyone's.
	Branches(ctx context.Context, repo nightporter.Repo) (head string, tips []string, err error)
	// Log writes what git log prints with args, without the history of since.
	Log(ctx context.Context, repo nightporter.Repo, since []string, w io.Writer, args ...string) error
}

// Scanner reads a history; it is [scan.Scanner].
type Scanner interface {
	Scan(ctx context.Context, history scan.History, found func(scan.Hit) error) (scan.Result, error)
}

// Findings keeps what is wrong; it is [security.Security].
type Findings interface {
	Record(ctx context.Context, findings ...security.Finding) (security.Recorded, error)
	Fixed(ctx context.Context, key, proof string) error
}

// Databases are those that are known here.
type Databases interface {
	// Try logs in with what was found, at every database that it may be of.
	Try(ctx context.Context, login scan.Login, password string) ([]Tried, error)
	// Repair makes an account's password worthless and offers leases instead. It is
	// safe to repeat.
	Repair(ctx context.Context, database, user string) (Repaired, error)
}

// Tried is what one database said to a login that was found.
type Tried struct {
	Database string `json:"database"`
	User     string `json:"user"`
	State    string `json:"state"` // live, refused or unknown
	Reason   string `json:"reason,omitempty"`
}

// What a database said.
const (
	Live    = "live"
	Refused = "refused"
	Unknown = "unknown"
)

// Repaired is what was done for one account.
type Repaired struct {
	Database string `json:"database"`
	User     string `json:"user"`
	Role     string `json:"role,omitempty"`   // where logins with its rights are leased
	Static   string `json:"static,omitempty"` // where its own new password is read
	Warning  string `json:"warning,omitempty"`
}

// Scanned is what a scan came to.
type Scanned struct {
	Repo    nightporter.Repo
	Commit  string // of the default branch
	Rules   int
	At      time.Time
	Failure string // why it did not see everything; "" when it did
}

// Config is what [Leaks] needs.
type Config struct {
	Gate     *gate.Gate       // required
	Runs     *run.Engine      // required
	Catalog  *catalog.Catalog // required: the repositories
	Scanner  Scanner          // required
	Findings Findings         // required
	// Source is nil where no forge is configured: then nothing is scanned.
	Source Source
	// MAC makes the fingerprint of a secret; required.
	MAC func(purpose string, data []byte) ([]byte, error)
	// Databases, and whether what was found may be tried on them. nil means no.
	Databases Databases
	MayTry    func() bool
	// Scanned is told how each scan ended. nil is nobody.
	Scanned func(ctx context.Context, s Scanned) error
	// Every is how often a repository is read from its beginning. 0 means a day.
	Every time.Duration
	Now   func() time.Time // nil means time.Now; never a demo's clock
	Log   *slog.Logger     // nil is silent
}

// Leaks looks for secrets.
type Leaks struct {
	cfg  Config
	wake chan struct{}
}

// New makes the scanner's part of the house and tells the run engine its steps.
func New(cfg Config) (*Leaks, error) {
	if cfg.Gate == nil || cfg.Runs == nil || cfg.Catalog == nil || cfg.Scanner == nil || cfg.Findings == nil || cfg.MAC == nil {
		return nil, errors.New("leaks: Gate, Runs, Catalog, Scanner, Findings and MAC are required")
	}
	if cfg.MayTry == nil || cfg.Databases == nil {
		cfg.MayTry = func() bool { return false }
	}
	if cfg.Scanned == nil {
		cfg.Scanned = func(context.Context, Scanned) error { return nil }
	}
	if cfg.Every == 0 {
		cfg.Every = 24 * time.Hour
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	l := &Leaks{cfg: cfg, wake: make(chan struct{}, 1)}
	cfg.Runs.Add(run.Kind{Name: kindScan}, map[string]run.Handler{kindScan: scanner{l}})
	cfg.Runs.Add(run.Kind{Name: kindTest}, map[string]run.Handler{kindTest: tester{l}})
	cfg.Runs.Add(run.Kind{Name: kindRepair}, map[string]run.Handler{kindRepair: repairer{l}})
	return l, nil
}

// Migrations are the tables of this package.
var Migrations = []store.Migration{{Name: "leaks/0001", SQL: `
CREATE TABLE leak_repo (
	repo TEXT PRIMARY KEY,
	state TEXT NOT NULL,
	message TEXT NOT NULL,
	head TEXT NOT NULL,
	tips TEXT NOT NULL,
	rules BIGINT NOT NULL,
	commits BIGINT NOT NULL,
	hits BIGINT NOT NULL,
	hinted_at BIGINT NOT NULL,
	began_at BIGINT NOT NULL,
	scanned_at BIGINT NOT NULL,
	full_at BIGINT NOT NULL
);
CREATE TABLE leak (
	id TEXT PRIMARY KEY,
	finding_key TEXT NOT NULL,
	repo TEXT NOT NULL,
	rule TEXT NOT NULL,
	commit_id TEXT NOT NULL,
	path TEXT NOT NULL,
	line BIGINT NOT NULL,
	places BIGINT NOT NULL,
	login TEXT NOT NULL,
	suspect BIGINT NOT NULL,
	seen_at BIGINT NOT NULL,
	tried_at BIGINT NOT NULL,
	tried TEXT NOT NULL,
	repaired TEXT NOT NULL
);
CREATE INDEX leak_of_repo ON leak (repo, seen_at);
`}}

// The kinds of runs, each of steps of the same kind and, for a repair, of a test.
const (
	kindScan   = "security.scan"
	kindTest   = "security.test"
	kindRepair = "security.repair"
)

// lookEvery is the time between two looks for repositories that are due; tryAgain
// the time after which a scan that failed is tried again.
const (
	lookEvery = time.Minute
	tryAgain  = 10 * time.Minute
)

// Run looks for repositories whose scan is due, until ctx ends.
func (l *Leaks) Run(ctx context.Context) {
	if l.cfg.Source == nil {
		return
	}
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("security", ""))
	for {
		if err := l.Look(ctx); err != nil && ctx.Err() == nil {
			l.cfg.Log.ErrorContext(ctx, "look for repositories to scan", "error", err)
		}
		timer := time.NewTimer(lookEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-l.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// Look starts the scans that are due.
func (l *Leaks) Look(ctx context.Context) error {
	var rows map[string]Repo
	err := l.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		list, err := Repos(ctx, tx)
		rows = make(map[string]Repo, len(list))
		for _, r := range list {
			rows[r.Repo] = r
		}
		return err
	})
	if err != nil {
		return err
	}
	now := l.cfg.Now()
	for _, repo := range l.cfg.Catalog.Current().Repositories() {
		r := rows[repo.String()]
		full := now.Sub(r.FullAt) >= l.cfg.Every
		if !full && r.State != stateFailed && !r.hinted.After(r.began) || r.State == stateFailed && now.Sub(r.ScannedAt) < tryAgain && !r.hinted.After(r.began) {
			continue
		}
		if _, err := l.start(ctx, repo, full); err != nil && nightporter.CodeOf(err) != nightporter.Conflict {
			return err
		}
	}
	return nil
}

// Merged hears that a repository has new commits.
func (l *Leaks) Merged(ctx context.Context, e nightporter.Merged) error { return l.hint(ctx, e.Repo) }

// Pushed hears that a pull request has new commits: what was pushed has leaked,
// whether or not it is merged.
func (l *Leaks) Pushed(ctx context.Context, e nightporter.PullRequestChanged) error {
	return l.hint(ctx, e.Repo)
}

// hint notes that a repository has something new, and looks at once.
func (l *Leaks) hint(ctx context.Context, repo nightporter.Repo) error {
	if l.cfg.Source == nil {
		return nil
	}
	return l.cfg.Gate.Do(ctx, nightporter.Action{Name: "scan.hint"}, nightporter.Resource{Kind: "repo", ID: repo.String()}, func(tx *gate.Tx) error {
		tx.AfterCommit(l.poke)
		_, err := tx.Exec(ctx, `INSERT INTO leak_repo (repo, state, message, head, tips, rules, commits, hits, hinted_at, began_at, scanned_at, full_at)
			VALUES (?, '', '', '', '[]', 0, 0, 0, ?, 0, 0, 0) ON CONFLICT (repo) DO UPDATE SET hinted_at = excluded.hinted_at`,
			repo.String(), store.Micros(l.cfg.Now()))
		return err
	})
}

func (l *Leaks) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// scanInput is what a scan is given.
type scanInput struct {
	Repo string `json:"repo"`
	Full bool   `json:"full,omitempty"`
}

// Scan starts to look for secrets in a repository and returns the run. full reads it
// from its beginning. The caller has asked the policy. Errors: not_found, and
// conflict while another scan of it is under way.
func (l *Leaks) Scan(ctx context.Context, repo nightporter.Repo, full bool) (runID string, err error) {
	if l.cfg.Source == nil {
		return "", nightporter.E(nightporter.Invalid, "no forge is configured")
	}
	for _, r := range l.cfg.Catalog.Current().Repositories() {
		if r == repo {
			return l.start(nightporter.WithActor(ctx, nightporter.SystemActor("security", nightporter.ActorFrom(ctx).Cause())), repo, full)
		}
	}
	return "", nightporter.E(nightporter.NotFound, "no service and no environment is built from %s", repo)
}

func (l *Leaks) start(ctx context.Context, repo nightporter.Repo, full bool) (runID string, err error) {
	resource := nightporter.Resource{Kind: "repo", ID: repo.String()}
	err = l.cfg.Gate.Do(ctx, nightporter.Action{Name: "scan.start"}, resource, func(tx *gate.Tx) (err error) {
		runID, err = l.cfg.Runs.Start(ctx, tx, run.Spec{
			Kind: kindScan, Subject: resource, Holds: []run.Hold{{Name: "scan/" + repo.String()}},
			Steps: []run.StepSpec{{
				Name: "scan", Kind: kindScan, Input: scanInput{repo.String(), full}, Attempts: 2,
				// One at a time: a child may use half a GiB.
				Holds: []run.Hold{{Name: "scanner"}},
			}},
		})
		tx.Detail("run", runID)
		tx.Detail("full", full)
		return err
	})
	return runID, err
}
