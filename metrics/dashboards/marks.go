package dashboards

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
)

// The kinds of marks.
const (
	Deploy   = "deploy"
	Rollback = "rollback"
	Night    = "night"
	Morning  = "morning"
	Failure  = "failure" // a morning that did not come
)

// maxMarks is how many marks a graph shows: the newest.
const maxMarks = 200

// Mark is something that happened to a service or an environment, as graphs show
// it.
type Mark struct {
	At          time.Time `json:"at"`
	Kind        string    `json:"kind"` // deploy, rollback, night, morning or failure
	Service     string    `json:"service,omitempty"`
	Environment string    `json:"environment,omitempty"`
	Text        string    `json:"text"`
	URL         string    `json:"url,omitempty"`
}

// Deployed hears [nightporter.Deployed]: a version runs somewhere.
func (d *Dashboards) Deployed(ctx context.Context, e nightporter.Deployed) error {
	return d.mark(ctx, "deploy/"+e.Release+"/"+e.Environment, Mark{
		At: cmp.Or(e.At, e.Evidence.ObservedAt), Kind: Deploy, Service: e.Service, Environment: e.Environment,
		Text: fmt.Sprintf("%s %s is in %s", e.Service, e.Version, e.Environment), URL: "/releases/" + e.Release,
	})
}

// RolledBack hears [nightporter.ReleaseRolledBack]: a version was not healthy.
func (d *Dashboards) RolledBack(ctx context.Context, e nightporter.ReleaseRolledBack) error {
	return d.mark(ctx, "rollback/"+e.Release+"/"+e.Environment, Mark{
		At: cmp.Or(e.At, e.Evidence.ObservedAt), Kind: Rollback, Service: e.Service, Environment: e.Environment,
		Text: fmt.Sprintf("%s %s was rolled back in %s", e.Service, e.Version, e.Environment), URL: "/releases/" + e.Release,
	})
}

// Down hears [nightporter.EnvironmentDown]: an environment went dark.
func (d *Dashboards) Down(ctx context.Context, e nightporter.EnvironmentDown) error {
	return d.mark(ctx, "night/"+e.Run, Mark{
		At: e.Evidence.ObservedAt, Kind: Night, Environment: e.Environment, Text: e.Environment + " is dark", URL: "/environments/" + e.Environment,
	})
}

// Passed hears [nightporter.DrillPassed]: an environment came back.
func (d *Dashboards) Passed(ctx context.Context, e nightporter.DrillPassed) error {
	took := e.FinishedAt.Sub(e.StartedAt).Round(time.Second)
	return d.mark(ctx, "morning/"+e.Run, Mark{
		At: e.FinishedAt, Kind: Morning, Environment: e.Environment, Text: fmt.Sprintf("%s is back, rebuilt in %s", e.Environment, took), URL: "/environments/" + e.Environment,
	})
}

// Missed hears [nightporter.DrillFailed]: an environment did not come back.
func (d *Dashboards) Missed(ctx context.Context, e nightporter.DrillFailed) error {
	return d.mark(ctx, "failure/"+e.Run, Mark{
		At: e.FinishedAt, Kind: Failure, Environment: e.Environment, Text: e.Environment + " was not rebuilt", URL: "/environments/" + e.Environment,
	})
}

// mark writes a mark under a name of its event, so that one which comes twice is
// one. Marks are a projection of events, which are in the register already.
func (d *Dashboards) mark(ctx context.Context, id string, m Mark) error {
	if m.At.IsZero() {
		m.At = d.cfg.Now()
	}
	return d.cfg.Gate.Do(ctx, nightporter.Action{Name: "dashboard.mark"}, nightporter.Resource{Kind: "mark", ID: id}, func(tx *gate.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO metrics_mark (id, at, kind, service, environment, label, url) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
			id, store.Micros(m.At), m.Kind, m.Service, m.Environment, m.Text, m.URL)
		if err != nil {
			return fmt.Errorf("write the mark %s: %w", id, err)
		}
		return nil
	})
}

// Marks are what happened in a time, oldest first. A service or an environment
// that is not "" narrows them: to the service and the environments, or to the
// environment.
func (d *Dashboards) Marks(ctx context.Context, tx *store.Tx, from, to time.Time, service, environment string) ([]Mark, error) {
	var all []Mark
	err := tx.Each(ctx, `SELECT at, kind, service, environment, label, url FROM metrics_mark WHERE at >= ? AND at <= ?
		AND (? = '' OR service = ? OR service = '') AND (? = '' OR environment = ?) ORDER BY at DESC LIMIT ?`,
		[]any{store.Micros(from), store.Micros(to), service, service, environment, environment, maxMarks}, func(scan func(...any) error) error {
			var m Mark
			var at int64
			if err := scan(&at, &m.Kind, &m.Service, &m.Environment, &m.Text, &m.URL); err != nil {
				return err
			}
			m.At = store.Time(at)
			all = append(all, m)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("read the marks: %w", err)
	}
	for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
		all[i], all[j] = all[j], all[i]
	}
	return all, nil
}
