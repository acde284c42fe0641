package app

import (
	"context"
	"fmt"
	"io"

	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/metrics"
	"nightporter.dev/nightporter/provider/deploy"
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
		Changed: a.identity.LoadPolicies, Log: a.log, Instances: a.instances, Tell: a.Tell,
		Dark: func(ctx context.Context, environment string) (bool, error) {
			dark, _, err := a.Dark(ctx, environment)
			return dark, err
		},
		Owned: func(service string) bool {
			_, ok := a.catalog.Current().OwnerOf(service)
			return ok
		},
	})
	if err != nil {
		return err
	}
	if err := a.loadWorkspaces(ctx); err != nil {
		return err
	}
	return a.identity.LoadPolicies(ctx)
}

// instances are the running copies of all services, as those who deployed them say.
// A service whose deployer does not answer is left out: nobody knows.
func (a *App) instances(ctx context.Context) (out []metrics.Instance, err error) {
	world := a.catalog.Current()
	for _, s := range world.Services() {
		d := a.providers.Deployers[s.Deploy.Kind]
		if d == nil {
			continue
		}
		for _, environment := range world.EnvironmentsOf(s.Name) {
			running, err := d.Running(ctx, s.Name, environment)
			if err != nil {
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				continue
			}
			for _, i := range running {
				if i.Role == deploy.Serving {
					out = append(out, metrics.Instance{Service: s.Name, Owner: s.Owner, Environment: environment, Address: i.Address, Up: i.State == deploy.Healthy})
				}
			}
		}
	}
	return out, nil
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
