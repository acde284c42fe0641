package app

import (
	"context"
	"time"

	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/telemetry"
)

// signEvery is how often the register is signed when it has grown.
const signEvery = time.Minute

// sign signs a checkpoint each minute with changes.
func (a *App) sign(ctx context.Context) {
	tick := time.NewTicker(signEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if a.Sealed() {
			continue
		}
		if _, err := a.Checkpoint(ctx); err != nil && ctx.Err() == nil {
			a.log.ErrorContext(ctx, "sign the audit log", "error", err)
		}
	}
}

// Checkpoint signs the register as it is now, or returns the last checkpoint when
// nothing was added. The write is full, so that what is signed is on disk.
func (a *App) Checkpoint(ctx context.Context) (c audit.Checkpoint, err error) {
	key, err := a.key(ctx)
	if err != nil {
		return c, err
	}
	err = a.db.Write(ctx, store.Full, func(tx *store.Tx) error {
		c, err = audit.Sign(ctx, tx, key, time.Now())
		return err
	})
	return c, err
}

// VerifyAudit reads the whole register and says what is wrong with it.
func (a *App) VerifyAudit(ctx context.Context, anchors ...string) (r audit.Report, err error) {
	key, err := a.key(ctx)
	if err != nil {
		return r, err
	}
	err = a.db.View(ctx, func(tx *store.Tx) error {
		r, err = audit.Verify(ctx, tx, key.Vkey, anchors...)
		return err
	})
	return r, err
}

// measure adds the house's own numbers to /metrics.
func (a *App) measure() {
	a.metrics.GaugeFunc("nightporter_sealed", "Whether the store is sealed.", func() []telemetry.Sample {
		return telemetry.One(float64(store.Bool(a.Sealed())))
	})
	a.metrics.CounterFunc("nightporter_webhooks_refused_total", "Webhooks with a wrong signature.", func() []telemetry.Sample {
		var out []telemetry.Sample
		for forge, n := range a.modules.repos.Refused() {
			out = append(out, telemetry.Sample{Labels: []string{forge}, Value: float64(n)})
		}
		return out
	}, "forge")
}
