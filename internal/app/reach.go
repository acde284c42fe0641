package app

import (
	"context"
	"net/http"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/releases"
	"nightporter.dev/nightporter/services"
	"nightporter.dev/nightporter/versions"
)

// What follows lets the stories of test/story act and look without HTTP. Each is
// one call of a capability.

// Webhook takes a webhook of the named forge.
func (a *App) Webhook(ctx context.Context, forge string, header http.Header, body []byte) error {
	return a.modules.repos.Receive(ctx, forge, header, body)
}

// Sweep looks at every forge now.
func (a *App) Sweep(ctx context.Context) { a.modules.repos.Sweep(ctx) }

// Environments is the capability, for stories.
func (a *App) Environments() *environments.Environments { return a.modules.environments }

// Releases lists releases, newest first.
func (a *App) Releases(ctx context.Context, f releases.Filter) (list []*releases.Release, err error) {
	err = a.gate.Look(ctx, func(tx *store.Tx) error {
		list, err = releases.List(ctx, tx, f)
		return err
	})
	return list, err
}

// Release reads one release in full.
func (a *App) Release(ctx context.Context, id string) (d *releases.Detail, err error) {
	err = a.gate.Look(ctx, func(tx *store.Tx) error {
		d, err = a.modules.releases.Show(ctx, tx, id)
		return err
	})
	return d, err
}

// Board reads what runs where.
func (a *App) Board(ctx context.Context) (rows []releases.Row, err error) {
	err = a.gate.Look(ctx, func(tx *store.Tx) error {
		if rows, err = releases.Board(ctx, tx, a.catalog.Current()); err != nil {
			return err
		}
		rows = a.modules.releases.Seen(rows)
		return releases.MarkFrozen(ctx, tx, a.catalog.Current(), a.clock.Now(), rows)
	})
	return rows, err
}

// Versions reads a repository's ledger, newest first.
func (a *App) Versions(ctx context.Context, repo nightporter.Repo) (rows []versions.Row, err error) {
	err = a.gate.Look(ctx, func(tx *store.Tx) error {
		rows, err = versions.List(ctx, tx, repo, 0, 1000)
		return err
	})
	return rows, err
}

// Approve is [releases.Releases.Approve].
func (a *App) Approve(ctx context.Context, id, comment string) error {
	return a.modules.releases.Approve(ctx, id, comment)
}

// Retry is [releases.Releases.Retry].
func (a *App) Retry(ctx context.Context, id string) error {
	_, err := a.modules.releases.Retry(ctx, id)
	return err
}

// Hold is [releases.Releases.Hold].
func (a *App) Hold(ctx context.Context, service, reason string) error {
	return a.modules.releases.Hold(ctx, service, reason)
}

// Unhold is [releases.Releases.Unhold].
func (a *App) Unhold(ctx context.Context, service string) error {
	return a.modules.releases.Unhold(ctx, service)
}

// Freeze is [releases.Releases.Freeze].
func (a *App) Freeze(ctx context.Context, environment string, until time.Time, reason string) error {
	return a.modules.releases.Freeze(ctx, environment, until, reason)
}

// Unfreeze is [releases.Releases.Unfreeze].
func (a *App) Unfreeze(ctx context.Context, environment string) error {
	return a.modules.releases.Unfreeze(ctx, environment)
}

// OverrideFreeze is [releases.Releases.OverrideFreeze].
func (a *App) OverrideFreeze(reason string) releases.Overriding {
	return a.modules.releases.OverrideFreeze(reason)
}

// Dora measures the delivery of a service in the window that ends now.
func (a *App) Dora(ctx context.Context, service string, window time.Duration) (d *services.Dora, err error) {
	err = a.gate.Look(ctx, func(tx *store.Tx) error {
		d, err = services.Measure(ctx, tx, service, window, time.Now())
		return err
	})
	return d, err
}

// RebuildDora is [services.Services.Rebuild].
func (a *App) RebuildDora(ctx context.Context) error { return a.modules.services.Rebuild(ctx) }

// HasArtifact is [releases.Releases.HasArtifact].
func (a *App) HasArtifact(ctx context.Context, artifact releases.Artifact) error {
	_, err := a.modules.releases.HasArtifact(ctx, artifact)
	return err
}

// Reject is [releases.Releases.Reject].
func (a *App) Reject(ctx context.Context, id, comment string) error {
	return a.modules.releases.Reject(ctx, id, comment)
}

// Rollback is [releases.Releases.Rollback].
func (a *App) Rollback(ctx context.Context, service, environment, reason string) error {
	_, err := a.modules.releases.Rollback(ctx, service, environment, reason)
	return err
}

// Register lists the entries of the register, newest first.
func (a *App) Register(ctx context.Context, f audit.Filter) (list []audit.Entry, err error) {
	err = a.gate.Look(ctx, func(tx *store.Tx) error {
		list, err = audit.List(ctx, tx, f)
		return err
	})
	return list, err
}
