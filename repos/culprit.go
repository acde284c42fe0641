package repos

import (
	"context"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/repos/standard"
)

// touch notes who changed a part of a repository's settings, as a signed webhook
// says. It decides nothing: the next look does.
func (r *Repos) touch(ctx context.Context, repo nightporter.Repo, d forge.Delivery) error {
	known, err := r.remember(ctx, repo.Forge, forge.Delivery{ID: "settings " + d.ID, Sender: d.Sender})
	if err != nil || known {
		return err
	}
	err = r.cfg.Gate.Keep(ctx, "repo.touch", func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO repo_touch (repo, part, login, at) VALUES (?, ?, ?, ?)
			ON CONFLICT (repo, part) DO UPDATE SET login = excluded.login, at = excluded.at`,
			repo.String(), string(d.Part), d.Sender, store.Micros(r.cfg.Now()))
		return err
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.touched[repo.Forge] = true
	r.mu.Unlock()
	return nil
}

func (r *Repos) wasTouched(forgeName string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.touched[forgeName]
	delete(r.touched, forgeName)
	return was
}

// culprits says who is known to have changed a rule since it was last seen to
// hold. A forge that sends no webhook for a kind of change leaves it at nobody:
// GitHub is silent about merge methods, the wiki and issues, so of the settings
// only the default branch has a culprit.
func (r *Repos) culprits(ctx context.Context, forgeName string) (func(string, standard.Rule) (string, time.Time), error) {
	type touch struct {
		login string
		at    time.Time
	}
	touches := map[string]touch{}
	okAt := map[string]time.Time{}
	err := r.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		err := tx.Each(ctx, `SELECT repo, part, login, at FROM repo_touch`, nil, func(scan func(...any) error) error {
			var repo, part, login string
			var at int64
			if err := scan(&repo, &part, &login, &at); err != nil {
				return err
			}
			touches[repo+" "+part] = touch{login, store.Time(at)}
			return nil
		})
		if err != nil {
			return err
		}
		return tx.Each(ctx, `SELECT repo, rule, ok_at FROM repo_rule WHERE ok_at > 0`, nil, func(scan func(...any) error) error {
			var repo, rule string
			var at int64
			if err := scan(&repo, &rule, &at); err != nil {
				return err
			}
			okAt[repo+" "+rule] = store.Time(at)
			return nil
		})
	})
	return func(repo string, rule standard.Rule) (string, time.Time) {
		part := standard.PartOf(rule)
		if part == forge.PartSettings && rule != standard.DefaultBranch {
			return "", time.Time{}
		}
		full := forgeName + "/" + repo
		t, held := touches[full+" "+string(part)], okAt[full+" "+string(rule)]
		if t.login == "" || held.IsZero() || t.at.Before(held) {
			return "", time.Time{}
		}
		return t.login, t.at
	}, err
}

// hooked says whether webhooks of a forge arrive.
func (r *Repos) hooked(ctx context.Context, forgeName string) (bool, error) {
	n := 0
	err := r.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(ctx, `SELECT COUNT(*) FROM repo_hook WHERE forge = ? AND at >= ?`, forgeName, store.Micros(r.cfg.Now().Add(-keepHooks))).Scan(&n)
	})
	return n > 0, err
}
