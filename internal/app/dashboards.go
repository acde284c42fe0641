package app

import (
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/metrics/dashboards"
)

// makeDashboards makes the keeper of dashboards, where there are workspaces to
// draw.
func (a *App) makeDashboards() (err error) {
	m := a.modules.metrics
	if m == nil {
		return nil
	}
	a.modules.dashboards, err = dashboards.New(dashboards.Config{
		Gate: a.gate, Catalog: a.catalog, Querier: m, Names: m.Names,
		Exists: func(workspace string) error {
			_, err := m.Get(workspace)
			return err
		},
	})
	return err
}

func (a *App) dashboardRoutes() []httpapi.Route {
	if a.modules.dashboards == nil {
		return nil
	}
	return a.modules.dashboards.Routes()
}

// marks are the events that become marks on graphs.
func (a *App) marks() {
	d, b := a.modules.dashboards, a.bus
	if d == nil {
		return
	}
	if a.providers.Source != nil {
		outbox.On(b, "dashboards.bring", a.bring) // VersionCut        -> (the repository's dashboards and rules)
	}
	outbox.On(b, "dashboards.deployed", d.Deployed)     // Deployed          -> (a mark)
	outbox.On(b, "dashboards.rolledback", d.RolledBack) // ReleaseRolledBack -> (a mark)
	outbox.On(b, "dashboards.down", d.Down)             // EnvironmentDown   -> (a mark)
	outbox.On(b, "dashboards.passed", d.Passed)         // DrillPassed       -> (a mark)
	outbox.On(b, "dashboards.missed", d.Missed)         // DrillFailed       -> (a mark)
}
