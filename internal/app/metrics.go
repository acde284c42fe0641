package app

import (
	"context"
	"fmt"
	"io"

	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/metrics"
)

// makeMetrics makes the metrics workspaces. Without an engine for samples there
// are none: only the command links Prometheus.
func (a *App) makeMetrics(ctx context.Context) error {
	if a.opts.Samples == nil {
		return nil
	}
	dir, err := a.dataDir("workspaces")
	if err != nil {
		return err
	}
	engine, err := a.opts.Samples(dir, a.metrics, a.log)
	if err != nil {
		return err
	}
	a.modules.metrics, err = metrics.New(metrics.Config{
		Gate: a.gate, Engine: engine, Declared: func() map[string]config.Workspace { return a.config.Load().Workspaces },
		Own: func(w io.Writer) error {
			_, err := a.metrics.WriteTo(w)
			return err
		},
		Changed: a.identity.LoadPolicies, Log: a.log,
	})
	if err != nil {
		return err
	}
	if err := a.loadWorkspaces(ctx); err != nil {
		return err
	}
	return a.identity.LoadPolicies(ctx)
}

// loadWorkspaces has the workspaces follow the configuration.
func (a *App) loadWorkspaces(ctx context.Context) error {
	if a.modules.metrics == nil {
		return nil
	}
	if err := a.modules.metrics.Load(ctx); err != nil {
		return fmt.Errorf("load the workspaces: %w", err)
	}
	return nil
}

// workspaces are the names whose policies are generated.
func (a *App) workspaces() []string {
	if a.modules.metrics == nil {
		return nil
	}
	return a.modules.metrics.Names()
}

func (a *App) runMetrics(ctx context.Context) {
	if a.modules.metrics != nil {
		a.modules.metrics.Run(ctx)
	}
}

func (a *App) metricsRoutes() []httpapi.Route {
	if a.modules.metrics == nil {
		return nil
	}
	return a.modules.metrics.Routes()
}
