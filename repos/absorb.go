package repos

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/telemetry"
	"nightporter.dev/nightporter/provider/forge"
)

// mergesPerChange keeps a transaction short when a repository comes back after
// weeks.
const mergesPerChange = 100

// absorb tells what is new in a repository. It is safe to call twice with the
// same state, and with an older one.
func (r *Repos) absorb(ctx context.Context, repo nightporter.Repo, f Forge, s forge.RepoState) error {
	if nightporter.RequestIDFrom(ctx) == "" {
		// What follows from this look, up to production, carries one id.
		ctx = nightporter.WithRequestID(ctx, telemetry.NewRequestID())
	}
	if s.Empty || s.Head == "" {
		return r.note(ctx, repo, s, "the repository has no commits yet")
	}
	merges, note := s.Merges, ""
	known, err := r.seen(ctx, repo)
	if err != nil {
		return err
	}
	if known != "" && s.MergesPartial {
		h, err := f.History(ctx, repo.Name, forge.Range{Since: known})
		if err != nil {
			return err
		}
		merges, s.Head = h.Merges, h.Head
		if h.Rewritten() {
			// Nothing tells what of this was released before: begin anew
			// from here, as with a repository that is seen first.
			merges, note = nil, "the history of "+s.DefaultBranch+" was rewritten"
			known = ""
		}
	}
	for first := true; first || len(merges) > 0; first = false {
		n := min(len(merges), mergesPerChange)
		batch, head := merges[:n], s.Head
		merges = merges[n:]
		if len(merges) > 0 {
			head = batch[n-1].Commit
		}
		if err := r.tell(ctx, repo, s, known, head, note, batch); err != nil {
			return err
		}
		known = head
	}
	return nil
}

// tell commits one batch of merges and, with them, how far we are. If somebody
// else was faster, the merges that he told are left out.
func (r *Repos) tell(ctx context.Context, repo nightporter.Repo, s forge.RepoState, known, head, note string, merges []forge.Merge) error {
	resource := nightporter.Resource{Kind: "repo", ID: repo.String()}
	unchanged := len(merges) == 0 && known == head
	if unchanged {
		changed, err := r.changedPulls(ctx, repo, s.Pulls)
		if err != nil || len(changed) == 0 {
			return err
		}
	}
	return r.cfg.Gate.Do(ctx, nightporter.Action{Name: "repo.observe"}, resource, func(tx *gate.Tx) error {
		var current string
		var order int64
		err := tx.QueryRow(ctx, `SELECT head, merges FROM repo WHERE name = ?`, repo.String()).Scan(&current, &order)
		if err != nil && !store.IsNotFound(err) {
			return fmt.Errorf("read repository %s: %w", repo, err)
		}
		if i := slices.IndexFunc(merges, func(m forge.Merge) bool { return m.Commit == current }); i >= 0 {
			merges = merges[i+1:]
		} else if current != known && note == "" {
			return nil // an older look: a newer one has been worked off
		}
		for _, m := range merges {
			order++
			tx.Publish(merged(repo, m, order))
		}
		tx.Detail("head", head)
		tx.Detail("merges", len(merges))
		_, err = tx.Exec(ctx, `INSERT INTO repo (name, forge_id, default_branch, head, merges, observed_at, note) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET forge_id = excluded.forge_id, default_branch = excluded.default_branch,
			head = excluded.head, merges = excluded.merges, observed_at = excluded.observed_at, note = excluded.note`,
			repo.String(), s.ID, s.DefaultBranch, head, order, store.Micros(s.ObservedAt), note)
		if err != nil {
			return fmt.Errorf("write repository %s: %w", repo, err)
		}
		return r.tellPulls(ctx, tx, repo, s)
	})
}

func merged(repo nightporter.Repo, m forge.Merge, order int64) nightporter.Merged {
	title, _, _ := strings.Cut(m.Message, "\n")
	e := nightporter.Merged{
		Repo: repo, Commit: m.Commit, Parent: m.Parent, Order: order, Title: title,
		Authors: m.Authors, CommittedAt: m.CommittedAt, MergedAt: m.CommittedAt, FirstCommitAt: m.CommittedAt,
	}
	if p := m.PullRequest; p != nil {
		e.PullRequest, e.Title, e.URL, e.Authors = p.Number, p.Title, p.URL, p.Authors
		e.Reviewers, e.Labels, e.MergedAt, e.FirstCommitAt = p.Reviewers, p.Labels, p.MergedAt, p.FirstCommitAt
	}
	return e
}

// fingerprint is what must differ for a pull request to be told again.
func fingerprint(p forge.Pull) string {
	b, _ := json.Marshal([]any{p.Head, p.Title, p.Draft, p.Labels, p.UpdatedAt.Unix()}) // these always encode
	return string(b)
}

// changedPulls returns the open pull requests that are not as they were told.
func (r *Repos) changedPulls(ctx context.Context, repo nightporter.Repo, pulls []forge.Pull) (changed []forge.Pull, err error) {
	err = r.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		changed, err = changedPulls(ctx, tx, repo, pulls)
		return err
	})
	return changed, err
}

func changedPulls(ctx context.Context, tx *store.Tx, repo nightporter.Repo, pulls []forge.Pull) ([]forge.Pull, error) {
	seen := map[int64]string{}
	err := tx.Each(ctx, `SELECT number, seen FROM repo_pull WHERE repo = ?`, []any{repo.String()}, func(scan func(...any) error) error {
		var n int64
		var s string
		if err := scan(&n, &s); err != nil {
			return err
		}
		seen[n] = s
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the pull requests of %s: %w", repo, err)
	}
	var changed []forge.Pull
	for _, p := range pulls {
		if seen[int64(p.Number)] != fingerprint(p) {
			changed = append(changed, p)
		}
	}
	return changed, nil
}

func (r *Repos) tellPulls(ctx context.Context, tx *gate.Tx, repo nightporter.Repo, s forge.RepoState) error {
	changed, err := changedPulls(ctx, tx.Tx, repo, s.Pulls)
	if err != nil {
		return err
	}
	for _, p := range changed {
		if p.Base != s.DefaultBranch {
			continue // only what may reach the default branch gets a version
		}
		tx.Publish(nightporter.PullRequestChanged{
			Repo: repo, Number: p.Number, Head: p.Head, Title: p.Title, Labels: p.Labels, Draft: p.Draft,
		})
		_, err := tx.Exec(ctx, `INSERT INTO repo_pull (repo, number, seen) VALUES (?, ?, ?)
			ON CONFLICT (repo, number) DO UPDATE SET seen = excluded.seen`, repo.String(), p.Number, fingerprint(p))
		if err != nil {
			return fmt.Errorf("write pull request %d of %s: %w", p.Number, repo, err)
		}
	}
	return nil
}

func (r *Repos) seen(ctx context.Context, repo nightporter.Repo) (head string, err error) {
	err = r.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		err := tx.QueryRow(ctx, `SELECT head FROM repo WHERE name = ?`, repo.String()).Scan(&head)
		if store.IsNotFound(err) {
			return nil
		}
		return err
	})
	return head, err
}

// note keeps a remark about a repository that has nothing to tell.
func (r *Repos) note(ctx context.Context, repo nightporter.Repo, s forge.RepoState, note string) error {
	var have string
	err := r.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		err := tx.QueryRow(ctx, `SELECT note FROM repo WHERE name = ?`, repo.String()).Scan(&have)
		if store.IsNotFound(err) {
			return nil
		}
		return err
	})
	if err != nil || have == note {
		return err
	}
	return r.cfg.Gate.Do(ctx, nightporter.Action{Name: "repo.observe"}, nightporter.Resource{Kind: "repo", ID: repo.String()}, func(tx *gate.Tx) error {
		tx.Detail("note", note)
		_, err := tx.Exec(ctx, `INSERT INTO repo (name, forge_id, default_branch, head, merges, observed_at, note) VALUES (?, ?, ?, '', 0, ?, ?)
			ON CONFLICT (name) DO UPDATE SET note = excluded.note, observed_at = excluded.observed_at`,
			repo.String(), s.ID, s.DefaultBranch, store.Micros(s.ObservedAt), note)
		return err
	})
}
