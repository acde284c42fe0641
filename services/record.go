package services

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/internal/store"
)

// Shipped hears [nightporter.ReleaseHealthy]: production runs a version.
func (s *Services) Shipped(ctx context.Context, e nightporter.ReleaseHealthy) error {
	return s.record(ctx, "service.shipped", e)
}

// Failed hears [nightporter.ReleaseRolledBack]: a version was not healthy.
func (s *Services) Failed(ctx context.Context, e nightporter.ReleaseRolledBack) error {
	if !e.Production || e.Retryable {
		return nil
	}
	return s.record(ctx, "service.failed", e)
}

// Recovered hears [nightporter.Deployed]: an environment runs something healthy
// again.
func (s *Services) Recovered(ctx context.Context, e nightporter.Deployed) error {
	open := 0
	err := s.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(ctx, `SELECT COUNT(*) FROM service_incident WHERE service = ? AND environment = ? AND cause = ? AND closed_at = 0`,
			e.Service, e.Environment, unhealthy).Scan(&open)
	})
	if err != nil || open == 0 {
		return err
	}
	return s.record(ctx, "service.recovered", e)
}

func (s *Services) record(ctx context.Context, name string, e nightporter.Event) error {
	return s.cfg.Gate.Do(ctx, nightporter.Action{Name: name}, e.EventSubject(), func(tx *gate.Tx) error {
		return apply(ctx, tx.Tx, e)
	})
}

// apply writes what an event says. Every row is named after its event, so that an
// event that comes twice changes nothing.
func apply(ctx context.Context, tx *store.Tx, e nightporter.Event) error {
	switch e := e.(type) {
	case nightporter.ReleaseHealthy:
		return shipped(ctx, tx, e)
	case nightporter.ReleaseRolledBack:
		return failed(ctx, tx, e)
	case nightporter.Deployed:
		at := cmp.Or(e.At, e.Evidence.ObservedAt)
		_, err := tx.Exec(ctx, `UPDATE service_incident SET closed_at = ?
			WHERE service = ? AND environment = ? AND cause = ? AND closed_at = 0 AND opened_at <= ?`,
			store.Micros(at), e.Service, e.Environment, unhealthy, store.Micros(at))
		return err
	case nightporter.IncidentOpened:
		return open(ctx, tx, Incident{
			ID: e.ID, Service: e.Service, Deployment: e.Deployment, Cause: byPerson, Title: e.Title, OpenedBy: e.Person, OpenedAt: e.At,
		})
	case nightporter.IncidentClosed:
		_, err := tx.Exec(ctx, `UPDATE service_incident SET closed_at = ?, closed_by = ? WHERE id = ? AND closed_at = 0`,
			store.Micros(e.At), e.Person, e.ID)
		return err
	}
	return nil
}

// deploymentID names an attempt: a release that is retried makes another one.
func deploymentID(release, environment string, at time.Time) string {
	return fmt.Sprintf("%s@%s@%d", release, environment, store.Micros(at))
}

func shipped(ctx context.Context, tx *store.Tx, e nightporter.ReleaseHealthy) error {
	id := deploymentID(e.Release, e.Environment, e.FinishedAt)
	kind := cmp.Or(e.Kind, "merge")
	if kind == "rollback" {
		if err := wasRolledBack(ctx, tx, e); err != nil {
			return err
		}
	}
	hotfix := slices.ContainsFunc(e.Merges, func(m nightporter.Merged) bool { return slices.Contains(m.Labels, "hotfix") })
	if err := insert(ctx, tx, e.Service, Deployment{
		ID: id, Environment: e.Environment, Release: e.Release, Version: e.Version.String(), Commit: e.Commit,
		Kind: kind, Healthy: true, Hotfix: hotfix, FinishedAt: e.FinishedAt,
	}); err != nil {
		return err
	}
	if e.Previous == "" || kind == "rollback" {
		return nil
	}
	for _, m := range e.Merges {
		_, err := tx.Exec(ctx, `INSERT INTO service_change (deployment, commit_id, service, repo, pull_request, first_commit_at, committed_at,
			merged_at, finished_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			id, m.Commit, e.Service, m.Repo.String(), m.PullRequest, store.Micros(m.FirstCommitAt), store.Micros(m.CommittedAt),
			store.Micros(m.MergedAt), store.Micros(e.FinishedAt))
		if err != nil {
			return fmt.Errorf("write change %s: %w", m.Commit, err)
		}
	}
	return nil
}

// wasRolledBack notes that the deployment which a rollback replaced had failed.
// The time without it began when the person decided.
func wasRolledBack(ctx context.Context, tx *store.Tx, e nightporter.ReleaseHealthy) error {
	before, err := deployments(ctx, tx, `WHERE service = ? AND environment = ? AND release_id = ? AND healthy = 1 AND finished_at <= ?
		ORDER BY finished_at DESC LIMIT 1`, e.Service, e.Environment, e.PreviousRelease, store.Micros(e.FinishedAt))
	if err != nil || len(before) == 0 {
		return err
	}
	return open(ctx, tx, Incident{
		ID: "inc_" + deploymentID(e.Release, e.Environment, e.FinishedAt), Service: e.Service, Environment: e.Environment,
		Deployment: before[0].ID, Cause: rolledBack, Title: fmt.Sprintf("%s was rolled back to %s", before[0].Version, e.Version),
		OpenedAt: e.StartedAt, ClosedAt: e.FinishedAt,
	})
}

// failed notes a deployment that was not healthy. Production runs what it ran
// before when that has never stopped; else it has recovered with the next healthy
// deployment, which is the way back.
func failed(ctx context.Context, tx *store.Tx, e nightporter.ReleaseRolledBack) error {
	if !e.Production || e.Retryable {
		return nil
	}
	at := cmp.Or(e.At, e.Evidence.ObservedAt)
	id := deploymentID(e.Release, e.Environment, at)
	if err := insert(ctx, tx, e.Service, Deployment{
		ID: id, Environment: e.Environment, Release: e.Release, Version: e.Version.String(), Commit: e.Commit,
		Kind: "merge", Message: e.Reason, FinishedAt: at,
	}); err != nil {
		return err
	}
	i := Incident{
		ID: "inc_" + id, Service: e.Service, Environment: e.Environment, Deployment: id, Cause: unhealthy,
		Title: e.Version.String() + " was not healthy: " + e.Reason, OpenedAt: at,
	}
	if !e.Served && e.BackTo != "" {
		i.ClosedAt = at
	}
	return open(ctx, tx, i)
}

func insert(ctx context.Context, tx *store.Tx, service string, d Deployment) error {
	_, err := tx.Exec(ctx, `INSERT INTO service_deployment (id, service, environment, release_id, version, commit_id, kind, healthy, hotfix,
		message, finished_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		d.ID, service, d.Environment, d.Release, d.Version, d.Commit, d.Kind, store.Bool(d.Healthy), store.Bool(d.Hotfix), d.Message,
		store.Micros(d.FinishedAt))
	if err != nil {
		return fmt.Errorf("write deployment %s: %w", d.ID, err)
	}
	return nil
}

func open(ctx context.Context, tx *store.Tx, i Incident) error {
	_, err := tx.Exec(ctx, `INSERT INTO service_incident (id, service, environment, deployment, cause, title, opened_by, closed_by,
		opened_at, closed_at) VALUES (?, ?, ?, ?, ?, ?, ?, '', ?, ?) ON CONFLICT DO NOTHING`,
		i.ID, i.Service, i.Environment, i.Deployment, i.Cause, i.Title, i.OpenedBy, store.Micros(i.OpenedAt), store.Micros(i.ClosedAt))
	if err != nil {
		return fmt.Errorf("write incident %s: %w", i.ID, err)
	}
	return nil
}

// rebuiltAtOnce bounds a transaction of a rebuild.
const rebuiltAtOnce = 200

// Rebuild makes the rows anew from the events that the outbox still has, 90 days of
// them. Rows from before the oldest event stay as they are. It may be interrupted
// and begun again; figures are incomplete meanwhile.
func (s *Services) Rebuild(ctx context.Context) error {
	action := nightporter.Action{Name: "service.rebuild", Capability: nightporter.Update, Path: rebuildPath}
	resource := nightporter.Resource{Kind: "projection", ID: "services"}
	err := s.cfg.Gate.Do(ctx, action, resource, func(tx *gate.Tx) error {
		events, err := outbox.Since(ctx, tx.Tx, 0, 1)
		if err != nil || len(events) == 0 {
			return err
		}
		oldest := store.Micros(events[0].At)
		for _, stmt := range []string{
			`DELETE FROM service_deployment WHERE finished_at >= ?`, `DELETE FROM service_change WHERE finished_at >= ?`,
			`DELETE FROM service_incident WHERE opened_at >= ?`,
		} {
			if _, err := tx.Exec(ctx, stmt, oldest); err != nil {
				return fmt.Errorf("remove the old rows: %w", err)
			}
		}
		return nil
	})
	for last, done := int64(0), false; err == nil && !done; {
		var events []outbox.Record
		if err = s.cfg.Gate.Look(ctx, func(tx *store.Tx) (err error) {
			events, err = outbox.Since(ctx, tx, last, rebuiltAtOnce)
			return err
		}); err != nil || len(events) == 0 {
			break
		}
		last, done = events[len(events)-1].ID, len(events) < rebuiltAtOnce
		err = s.cfg.Gate.Do(ctx, action, resource, func(tx *gate.Tx) error {
			tx.Detail("upto", last)
			for _, r := range events {
				e, err := read(r)
				if err != nil {
					return err
				}
				if err := apply(ctx, tx.Tx, e); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return err
}

// read is a stored event of those that the projection is made of; nil for others.
func read(r outbox.Record) (nightporter.Event, error) {
	var err error
	decode := func(into any) { err = json.Unmarshal(r.Payload, into) }
	var e nightporter.Event
	switch r.Name {
	case nightporter.ReleaseHealthy{}.EventName():
		var v nightporter.ReleaseHealthy
		decode(&v)
		e = v
	case nightporter.ReleaseRolledBack{}.EventName():
		var v nightporter.ReleaseRolledBack
		decode(&v)
		e = v
	case nightporter.Deployed{}.EventName():
		var v nightporter.Deployed
		decode(&v)
		e = v
	case nightporter.IncidentOpened{}.EventName():
		var v nightporter.IncidentOpened
		decode(&v)
		e = v
	case nightporter.IncidentClosed{}.EventName():
		var v nightporter.IncidentClosed
		decode(&v)
		e = v
	}
	if err != nil {
		return nil, fmt.Errorf("read the stored event %d: %w", r.ID, err)
	}
	return e, nil
}
