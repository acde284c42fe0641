// Package services measures how a team delivers. It hears what happened in
// production from events, keeps its own rows of it, and answers DORA's five metrics
// from them alone (docs/services.md), each with the rows it was computed from.
//
// The rows are a projection: everything in them stands in events, so that [Services.Rebuild]
// can make them anew from the outbox. Nothing is guessed from names of pipelines
// or branches, because this house did the deploying.
package services

import (
	"context"
	"errors"
	"time"

	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
)

// Config is what [Services] needs.
type Config struct {
	Gate    *gate.Gate       // required
	Catalog *catalog.Catalog // required
	// Now is the time of windows. nil means time.Now.
	Now func() time.Time
}

// Services measures delivery.
type Services struct {
	cfg    Config
	lastID int64
}

// New makes the capability.
func New(cfg Config) (*Services, error) {
	if cfg.Gate == nil || cfg.Catalog == nil {
		return nil, errors.New("services: Gate and Catalog are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Services{cfg: cfg}, nil
}

// Migrations are the tables of this package.
var Migrations = []store.Migration{{Name: "services/0001", SQL: `
CREATE TABLE service_deployment (
	id TEXT PRIMARY KEY,
	service TEXT NOT NULL,
	environment TEXT NOT NULL,
	release_id TEXT NOT NULL,
	version TEXT NOT NULL,
	commit_id TEXT NOT NULL,
	kind TEXT NOT NULL,
	healthy BIGINT NOT NULL,
	hotfix BIGINT NOT NULL,
	message TEXT NOT NULL,
	finished_at BIGINT NOT NULL
);
CREATE INDEX service_deployment_time ON service_deployment (service, finished_at);
CREATE TABLE service_change (
	deployment TEXT NOT NULL,
	commit_id TEXT NOT NULL,
	service TEXT NOT NULL,
	repo TEXT NOT NULL,
	pull_request BIGINT NOT NULL,
	first_commit_at BIGINT NOT NULL,
	committed_at BIGINT NOT NULL,
	merged_at BIGINT NOT NULL,
	finished_at BIGINT NOT NULL,
	PRIMARY KEY (deployment, commit_id)
);
CREATE INDEX service_change_time ON service_change (service, finished_at);
CREATE TABLE service_incident (
	id TEXT PRIMARY KEY,
	service TEXT NOT NULL,
	environment TEXT NOT NULL,
	deployment TEXT NOT NULL,
	cause TEXT NOT NULL,
	title TEXT NOT NULL,
	opened_by TEXT NOT NULL,
	closed_by TEXT NOT NULL,
	opened_at BIGINT NOT NULL,
	closed_at BIGINT NOT NULL
);
CREATE INDEX service_incident_time ON service_incident (service, opened_at);
`}}

// Deployment is one attempt to bring a version of a service to production.
type Deployment struct {
	ID          string `json:"id"`
	Environment string `json:"environment"`
	Release     string `json:"release"`
	Version     string `json:"version"`
	Commit      string `json:"commit"`
	// Kind is merge, promote or rollback. A rollback is not a deployment of
	// change: no figure counts it.
	Kind string `json:"kind"`
	// Healthy is false for one that was not, and that never took over or was
	// replaced at once by what ran before.
	Healthy bool `json:"healthy"`
	// Hotfix is set when a merge in it carries that label.
	Hotfix     bool      `json:"hotfix"`
	Message    string    `json:"message,omitempty"`
	FinishedAt time.Time `json:"finished_at"`
}

// Change is one merge that a deployment brought to production. The first
// deployment of a service brings none: nobody knows what came before it.
type Change struct {
	Deployment    string    `json:"deployment"`
	Repo          string    `json:"repo"`
	Commit        string    `json:"commit"`
	PullRequest   int64     `json:"pull_request,omitempty"`
	FirstCommitAt time.Time `json:"first_commit_at,omitzero"`
	CommittedAt   time.Time `json:"committed_at,omitzero"`
	MergedAt      time.Time `json:"merged_at,omitzero"`
	FinishedAt    time.Time `json:"finished_at"` // of the deployment
}

// The causes of incidents.
const (
	unhealthy  = "unhealthy" // a deployment was not healthy
	rolledBack = "rollback"  // a person rolled a deployment back
	byPerson   = "person"    // a person said so
)

// Incident is a time in which a service did not do what it should in production.
type Incident struct {
	ID          string `json:"id"`
	Service     string `json:"service"`
	Environment string `json:"environment,omitempty"`
	// Deployment is the one that caused it; "" when none did.
	Deployment string    `json:"deployment,omitempty"`
	Cause      string    `json:"cause"` // unhealthy, rollback or person
	Title      string    `json:"title"`
	OpenedBy   string    `json:"opened_by,omitempty"`
	ClosedBy   string    `json:"closed_by,omitempty"`
	OpenedAt   time.Time `json:"opened_at"`
	ClosedAt   time.Time `json:"closed_at,omitzero"`
}

func deployments(ctx context.Context, tx *store.Tx, where string, args ...any) ([]Deployment, error) {
	var out []Deployment
	err := tx.Each(ctx, `SELECT id, environment, release_id, version, commit_id, kind, healthy, hotfix, message, finished_at
		FROM service_deployment `+where, args, func(scan func(...any) error) error {
		var d Deployment
		var healthy, hotfix, finished int64
		if err := scan(&d.ID, &d.Environment, &d.Release, &d.Version, &d.Commit, &d.Kind, &healthy, &hotfix, &d.Message, &finished); err != nil {
			return err
		}
		d.Healthy, d.Hotfix, d.FinishedAt = healthy == 1, hotfix == 1, store.Time(finished)
		out = append(out, d)
		return nil
	})
	return out, err
}

func changes(ctx context.Context, tx *store.Tx, where string, args ...any) ([]Change, error) {
	var out []Change
	err := tx.Each(ctx, `SELECT deployment, repo, commit_id, pull_request, first_commit_at, committed_at, merged_at, finished_at
		FROM service_change `+where, args, func(scan func(...any) error) error {
		var c Change
		var first, committed, merged, finished int64
		if err := scan(&c.Deployment, &c.Repo, &c.Commit, &c.PullRequest, &first, &committed, &merged, &finished); err != nil {
			return err
		}
		c.FirstCommitAt, c.CommittedAt, c.MergedAt, c.FinishedAt = store.Time(first), store.Time(committed), store.Time(merged), store.Time(finished)
		out = append(out, c)
		return nil
	})
	return out, err
}

func incidents(ctx context.Context, tx *store.Tx, where string, args ...any) ([]Incident, error) {
	var out []Incident
	err := tx.Each(ctx, `SELECT id, service, environment, deployment, cause, title, opened_by, closed_by, opened_at, closed_at
		FROM service_incident `+where, args, func(scan func(...any) error) error {
		var i Incident
		var opened, closed int64
		if err := scan(&i.ID, &i.Service, &i.Environment, &i.Deployment, &i.Cause, &i.Title, &i.OpenedBy, &i.ClosedBy, &opened, &closed); err != nil {
			return err
		}
		i.OpenedAt, i.ClosedAt = store.Time(opened), store.Time(closed)
		out = append(out, i)
		return nil
	})
	return out, err
}
