package repos

import (
	"context"
	"net/http"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/forge"
)

// keepHooks is how long delivery ids are remembered. GitHub redelivers for at
// most three days.
const keepHooks = 7 * 24 * time.Hour

// Receive takes a webhook of the named forge: the signature is checked first,
// then the delivery's id, which counts once, and then the repository is looked
// at later. Errors: not_found for an unknown forge, unauthenticated for a wrong
// signature, which is counted and never stored.
func (r *Repos) Receive(ctx context.Context, forgeName string, header http.Header, body []byte) error {
	f := r.cfg.Forges[forgeName]
	if f == nil {
		return nightporter.E(nightporter.NotFound, "no forge is called %q", forgeName)
	}
	d, err := f.ParseWebhook(header, body)
	if err != nil {
		if nightporter.CodeOf(err) == nightporter.Unauthenticated {
			r.mu.Lock()
			r.refused[forgeName]++
			r.mu.Unlock()
		}
		return err
	}
	repo := nightporter.Repo{Forge: forgeName, Name: d.Repo}
	if d.Part != "" && d.Repo != "" && r.cfg.Standard != nil {
		if err := r.touch(ctx, repo, d); err != nil {
			return err
		}
	}
	if d.Hint == forge.HintSettings {
		return nil
	}
	if d.Hint == forge.HintOther || d.Repo == "" || len(r.cfg.Catalog.Current().ServicesOf(repo)) == 0 {
		return nil
	}
	known, err := r.remember(ctx, forgeName, d)
	if err != nil || known {
		return err
	}
	r.Ask(repo)
	return nil
}

// remember notes a delivery and says whether it came before.
func (r *Repos) remember(ctx context.Context, forgeName string, d forge.Delivery) (known bool, err error) {
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("webhook", d.Sender))
	err = r.cfg.Gate.Keep(ctx, "hook.receive", func(tx *store.Tx) error {
		now := r.cfg.Now()
		n, err := tx.Exec(ctx, `INSERT INTO repo_hook (forge, id, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
			forgeName, d.ID, store.Micros(now))
		if err != nil {
			return err
		}
		known = n == 0
		_, err = tx.Exec(ctx, `DELETE FROM repo_hook WHERE at < ?`, store.Micros(now.Add(-keepHooks)))
		return err
	})
	return known, err
}

// Refused says how many webhooks had a wrong signature, by forge.
func (r *Repos) Refused() map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[string]int64, len(r.refused))
	for k, v := range r.refused {
		out[k] = v
	}
	return out
}
