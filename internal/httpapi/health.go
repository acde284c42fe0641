package httpapi

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/telemetry"
)

// HealthConfig is what [HealthRoutes] answer from.
type HealthConfig struct {
	// Sealed says whether the store is sealed. Default: never.
	Sealed func() bool
	// Ready says why the house cannot work right now, or nil. Users see the
	// message of the error. Default: always ready.
	Ready func(context.Context) error
	// Metrics are served. Required.
	Metrics *telemetry.Registry
}

// HealthRoutes returns /livez, /readyz and /metrics. The first two are public.
// /metrics is public on loopback; from elsewhere it asks for read on sys/metrics.
func HealthRoutes(cfg HealthConfig) []Route {
	return []Route{
		{
			Method: http.MethodGet, Pattern: "/livez", Access: Public, LogLevel: slog.LevelDebug,
			// Alive means that the process answers. Nothing else belongs here:
			// a restart cures neither a lost database nor a seal.
			Handler: func(w http.ResponseWriter, _ *http.Request) error { return ok(w) },
		},
		{
			Method: http.MethodGet, Pattern: "/readyz", Access: Public, LogLevel: slog.LevelDebug, Timeout: 5 * time.Second,
			Handler: func(w http.ResponseWriter, r *http.Request) error {
				if cfg.Sealed != nil && cfg.Sealed() {
					return nightporter.E(nightporter.Sealed, "the store is sealed")
				}
				if cfg.Ready != nil {
					if err := cfg.Ready(r.Context()); err != nil {
						return nightporter.Wrap(err, nightporter.Unavailable, "not ready: %s", nightporter.MessageOf(err))
					}
				}
				return ok(w)
			},
		},
		{
			Method: http.MethodGet, Pattern: "/metrics", Access: PublicOnLoopback, LogLevel: slog.LevelDebug,
			Action:  Does("metrics.scrape", nightporter.Read, "sys/metrics"),
			Handler: Plain(cfg.Metrics),
		},
	}
}

func ok(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n")
	return nil
}
