package leaks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/security/scan"
)

// The states of a repository's last scan.
const (
	stateDone   = "scanned"
	stateFailed = "failed"
)

// Repo is how a repository's last scan went.
type Repo struct {
	Repo    string `json:"repo"`
	State   string `json:"state,omitempty"` // scanned or failed; "" before the first
	Message string `json:"message,omitempty"`
	Head    string `json:"head,omitempty"` // of the default branch, as far as it was read
	Rules   int    `json:"rules,omitempty"`
	Commits int    `json:"commits"` // that the last scan read
	Hits    int    `json:"hits"`    // secrets in it, each place counted
	// ScannedAt is when it was last tried, FullAt when it was last read whole.
	ScannedAt time.Time `json:"scanned_at,omitzero"`
	FullAt    time.Time `json:"full_at,omitzero"`

	tips          []string
	hinted, began time.Time
}

// Repos lists the repositories that were scanned, by name.
func Repos(ctx context.Context, tx *store.Tx) ([]Repo, error) {
	return repos(ctx, tx, `ORDER BY repo`)
}

func repos(ctx context.Context, tx *store.Tx, where string, args ...any) ([]Repo, error) {
	out := []Repo{}
	err := tx.Each(ctx, `SELECT repo, state, message, head, tips, rules, commits, hits, hinted_at, began_at, scanned_at, full_at FROM leak_repo `+where, args,
		func(scan func(...any) error) error {
			var r Repo
			var tips string
			var rules, commits, hits, hinted, began, scanned, full int64
			if err := scan(&r.Repo, &r.State, &r.Message, &r.Head, &tips, &rules, &commits, &hits, &hinted, &began, &scanned, &full); err != nil {
				return err
			}
			r.Rules, r.Commits, r.Hits = int(rules), int(commits), int(hits)
			r.hinted, r.began, r.ScannedAt, r.FullAt = store.Time(hinted), store.Time(began), store.Time(scanned), store.Time(full)
			out = append(out, r)
			return json.Unmarshal([]byte(tips), &out[len(out)-1].tips)
		})
	if err != nil {
		return nil, fmt.Errorf("read the scans: %w", err)
	}
	return out, nil
}

// Leak is a secret that was found: where, and what became of it. It holds nothing
// that could be used.
type Leak struct {
	ID      string      `json:"id"` // of its finding
	Repo    string      `json:"repo"`
	Rule    string      `json:"rule"`
	Commit  string      `json:"commit"` // where it stands first
	Path    string      `json:"path"`
	Line    int         `json:"line"`
	Places  int         `json:"places"` // how often it stands in the history
	Login   *scan.Login `json:"login,omitempty"`
	Suspect bool        `json:"suspect,omitempty"`
	SeenAt  time.Time   `json:"seen_at"`
	TriedAt time.Time   `json:"tried_at,omitzero"`
	Tried   []Tried     `json:"tried,omitempty"`
	// Repaired is what was done about it; the finding's state says whether it
	// helped.
	Repaired []Repaired `json:"repaired,omitempty"`

	key string
}

// Get reads what is known about the secret of a finding; not_found for a finding
// that is no secret in a repository.
func Get(ctx context.Context, tx *store.Tx, id string) (*Leak, error) {
	list, err := leaks(ctx, tx, `WHERE id = ?`, id)
	if err == nil && len(list) == 0 {
		err = nightporter.E(nightporter.NotFound, "%s is no secret that was found in a repository", id)
	}
	if err != nil {
		return nil, err
	}
	return &list[0], nil
}

const leakColumns = `id, finding_key, repo, rule, commit_id, path, line, places, login, suspect, seen_at, tried_at, tried, repaired`

func leaks(ctx context.Context, tx *store.Tx, where string, args ...any) ([]Leak, error) {
	var out []Leak
	err := tx.Each(ctx, `SELECT `+leakColumns+` FROM leak `+where, args, func(scan func(...any) error) error {
		var k Leak
		var login, tried, repaired string
		var line, places, suspect, seen, triedAt int64
		if err := scan(&k.ID, &k.key, &k.Repo, &k.Rule, &k.Commit, &k.Path, &line, &places, &login, &suspect, &seen, &triedAt, &tried, &repaired); err != nil {
			return err
		}
		k.Line, k.Places, k.Suspect, k.SeenAt, k.TriedAt = int(line), int(places), suspect == 1, store.Time(seen), store.Time(triedAt)
		if err := errors.Join(json.Unmarshal([]byte(login), &k.Login), json.Unmarshal([]byte(tried), &k.Tried), json.Unmarshal([]byte(repaired), &k.Repaired)); err != nil {
			return err
		}
		out = append(out, k)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what was found: %w", err)
	}
	return out, nil
}

// put writes what is known about a secret.
func (k *Leak) put(ctx context.Context, tx *store.Tx) error {
	login, err := json.Marshal(k.Login)
	if err != nil {
		return err
	}
	tried, err := json.Marshal(k.Tried)
	if err != nil {
		return err
	}
	repaired, err := json.Marshal(k.Repaired)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO leak (`+leakColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET commit_id = excluded.commit_id, path = excluded.path, line = excluded.line, places = excluded.places,
		login = excluded.login, suspect = excluded.suspect, seen_at = excluded.seen_at, tried_at = excluded.tried_at, tried = excluded.tried,
		repaired = excluded.repaired`,
		k.ID, k.key, k.Repo, k.Rule, k.Commit, k.Path, k.Line, k.Places, string(login), store.Bool(k.Suspect), store.Micros(k.SeenAt),
		store.Micros(k.TriedAt), string(tried), string(repaired))
	return err
}
