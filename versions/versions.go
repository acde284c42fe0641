// Package versions gives every merge to a default branch its semantic version,
// from the label of its pull request.
//
// There is one ledger row for each merge commit, in first-parent order. A
// version is first written down as an intent; then the tag is created on the
// forge, then the release with its notes; then the row says so and
// [nightporter.VersionCut] is published. A crash between any two is finished by
// the next delivery of the same merge. A tag that somebody pushed by hand is
// adopted, never moved.
package versions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/forge"
)

// Forge is what this package needs of a forge.
type Forge interface {
	forge.Tagger
	forge.Releaser
	forge.StatusSetter
}

// Rules say how labels become versions.
type Rules struct {
	// HoldUnlabelled leaves a merge without exactly one label without a
	// version: it rides with the next one. Otherwise it counts as a patch.
	// Both are flagged.
	HoldUnlabelled bool
	// ZeroMajor is what a major change does while the version is 0.x:
	// [nightporter.Minor], the default when empty, or [nightporter.Major].
	ZeroMajor nightporter.Bump
	// Initial is the version of the first merge of a repository without any.
	// The zero value means 0.1.0.
	Initial nightporter.Version
	// Titles says what a conventional title ("feat: …") means where there is no
	// label.
	Titles Titles
	// Description is what the check demands of a pull request's description.
	Description Description
	// Pre is what pre-releases are called, as in 1.5.0-rc.1. "" means "rc".
	Pre string
}

// Titles says what titles mean.
type Titles string

// What titles mean. The zero Titles is nothing.
const (
	Propose Titles = "propose" // the check says which label the title asks for
	Decide  Titles = "decide"  // the title counts where there is no label
)

// Config is what [Versions] needs.
type Config struct {
	Gate   *gate.Gate       // required
	Forges map[string]Forge // by the name in the configuration
	Rules  func() Rules     // nil means the zero Rules
	// Page is the address of our page about a repository's versions, which
	// statuses link to; nil for no link.
	Page func(nightporter.Repo) string
	Log  *slog.Logger // nil is silent
}

// Versions cuts versions.
type Versions struct{ cfg Config }

// New makes the capability.
func New(cfg Config) (*Versions, error) {
	if cfg.Gate == nil {
		return nil, errors.New("versions: Gate is required")
	}
	if cfg.Rules == nil {
		cfg.Rules = func() Rules { return Rules{} }
	}
	if cfg.Page == nil {
		cfg.Page = func(nightporter.Repo) string { return "" }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Versions{cfg: cfg}, nil
}

// Migrations are the tables of this package.
var Migrations = []store.Migration{{Name: "versions/0001", SQL: `
CREATE TABLE version (
	repo TEXT NOT NULL,
	place BIGINT NOT NULL,
	commit_id TEXT NOT NULL,
	version TEXT NOT NULL,
	bump TEXT NOT NULL,
	state TEXT NOT NULL,
	flag TEXT NOT NULL,
	merge TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (repo, commit_id)
);
CREATE INDEX version_place ON version (repo, place);
CREATE INDEX version_flagged ON version (at) WHERE flag <> '';
CREATE UNIQUE INDEX version_once ON version (repo, version) WHERE version <> '';
`}}

// State is what became of a merge.
type State string

// The states of a ledger row.
const (
	Intended State = "intended" // chosen, the tag may or may not be there
	Cut      State = "cut"      // tagged, by us or by hand before us
	Rides    State = "rides"    // no version of its own: it comes with the next
)

// Row is one line of the ledger.
type Row struct {
	Repo nightporter.Repo `json:"repo"`
	// Place counts the merges of the repository as we saw them, from 1.
	Place   int64  `json:"place"`
	Commit  string `json:"commit"`
	Version string `json:"version,omitempty"` // "" for one that rides along
	Bump    string `json:"bump,omitempty"`
	State   State  `json:"state"`
	// Flag says what a person should look at: a missing label.
	Flag  string             `json:"flag,omitempty"`
	Merge nightporter.Merged `json:"merge"`
	At    time.Time          `json:"at"`
}

// List reads the ledger of a repository, newest first. before is the place to
// continue below; 0 begins with the newest.
func List(ctx context.Context, tx *store.Tx, repo nightporter.Repo, before int64, limit int) ([]Row, error) {
	if before == 0 {
		before = 1 << 62
	}
	return list(ctx, tx, `WHERE repo = ? AND place < ? ORDER BY place DESC LIMIT ?`, repo.String(), before, limit)
}

// Flagged reads the rows that a person should look at, newest first, of the last
// 30 days.
func Flagged(ctx context.Context, tx *store.Tx, now time.Time) ([]Row, error) {
	return list(ctx, tx, `WHERE flag <> '' AND at > ? ORDER BY at DESC LIMIT 50`, store.Micros(now.Add(-30*24*time.Hour)))
}

func list(ctx context.Context, tx *store.Tx, where string, args ...any) ([]Row, error) {
	var out []Row
	err := tx.Each(ctx, `SELECT repo, place, commit_id, version, bump, state, flag, merge, at FROM version `+where, args,
		func(scan func(...any) error) error {
			var row Row
			var repo, merge string
			var at int64
			if err := scan(&repo, &row.Place, &row.Commit, &row.Version, &row.Bump, &row.State, &row.Flag, &merge, &at); err != nil {
				return err
			}
			if err := row.Repo.UnmarshalText([]byte(repo)); err != nil {
				return err
			}
			row.At = store.Time(at)
			out = append(out, row)
			return json.Unmarshal([]byte(merge), &out[len(out)-1].Merge)
		})
	if err != nil {
		return nil, fmt.Errorf("read versions: %w", err)
	}
	return out, nil
}

func (v *Versions) forge(repo nightporter.Repo) (Forge, error) {
	f := v.cfg.Forges[repo.Forge]
	if f == nil {
		return nil, nightporter.E(nightporter.Invalid, "no forge is called %q", repo.Forge)
	}
	return f, nil
}
