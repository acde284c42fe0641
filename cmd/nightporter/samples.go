package main

import (
	"log/slog"

	"nightporter.dev/nightporter/internal/telemetry"
	"nightporter.dev/nightporter/metrics"
	"nightporter.dev/nightporter/metrics/prom"
)

// samples keeps metrics workspaces in Prometheus's own database. Only the command
// links it, so that everything else builds and tests without.
func samples(dir string, r *telemetry.Registry, log *slog.Logger) (metrics.Engine, error) {
	return prom.New(prom.Config{Dir: dir, Metrics: r, Log: log})
}
