package environments

import (
	"context"
	"fmt"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments/schedule"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
)

// Summary is an environment in one line of a list.
type Summary struct {
	Name string                      `json:"name"`
	Kind nightporter.EnvironmentKind `json:"kind"`
	// Managed says that Nightporter builds it and tears it down.
	Managed bool   `json:"managed"`
	State   State  `json:"state,omitempty"`
	Message string `json:"message,omitempty"`
	// Since is by the schedules' clock, ObservedAt real.
	Since      time.Time `json:"since,omitzero"`
	ObservedAt time.Time `json:"observed_at,omitzero"`
	Run        string    `json:"run,omitempty"` // the active one
	Commit     string    `json:"commit,omitempty"`
	Schedule   string    `json:"schedule,omitempty"`
	Timezone   string    `json:"timezone,omitempty"`
	// Desired is what it should be now, and Because why.
	Desired schedule.State `json:"desired,omitempty"`
	Because string         `json:"because,omitempty"`
	// Next is the next change.
	Next *Edge `json:"next,omitempty"`
	// Override is the wish that counts now.
	Override *Override `json:"override,omitempty"`
	Source   string    `json:"source"` // file
}

// Edge is a change that the schedule will bring.
type Edge struct {
	At    time.Time      `json:"at"`
	State schedule.State `json:"state"`
	// StartsAt is when the rebuild begins, so that all is ready at the edge.
	StartsAt time.Time `json:"starts_at,omitzero"`
}

// Detail is an environment in full.
type Detail struct {
	Summary
	GoodCommit string     `json:"good_commit,omitempty"` // what last came up well
	Repo       string     `json:"repo,omitempty"`
	Ref        string     `json:"ref,omitempty"`
	Dir        string     `json:"dir,omitempty"`
	Edges      []Edge     `json:"edges"` // the next three
	Overrides  []Override `json:"overrides"`
	Recovery   Recovery   `json:"recovery"`
	Drills     []Drill    `json:"drills"` // the last 20, newest first
	Failures   int        `json:"failures,omitempty"`
	NotBefore  time.Time  `json:"not_before,omitzero"` // no further attempt by itself before, in real time
	// RehearsedAt is when its first night showed what it would do; SparedUntil
	// is when that night ends.
	RehearsedAt time.Time `json:"rehearsed_at,omitzero"`
	SparedUntil time.Time `json:"spared_until,omitzero"`
	Work        *run.Run  `json:"work,omitempty"` // the active run
	// Drillable says that it can be built beside itself, and Drilling is the
	// run that does.
	Drillable bool     `json:"drillable,omitempty"`
	Drilling  *run.Run `json:"drilling,omitempty"`
}

// List sums up every environment, by name.
func (e *Environments) List(ctx context.Context, tx *store.Tx) ([]Summary, error) {
	rows, err := readAll(ctx, tx)
	if err != nil {
		return nil, err
	}
	w, now := e.cfg.Catalog.Current(), e.cfg.Clock.Now()
	all, err := overrides(ctx, tx, "", now)
	if err != nil {
		return nil, err
	}
	out := make([]Summary, 0, len(w.Environments()))
	for _, env := range w.Environments() {
		took, err := rebuilds(ctx, tx, env.Name, recentDrills)
		if err != nil {
			return nil, err
		}
		s, edges := e.summary(w, env, rows[env.Name], of(all, env.Name), took, now)
		if len(edges) > 0 {
			s.Next = &edges[0]
		}
		out = append(out, s)
	}
	return out, nil
}

func of(all []Override, name string) []Override {
	out := []Override{}
	for _, o := range all {
		if o.environment == name {
			out = append(out, o)
		}
	}
	return out
}

// Show reads one environment in full.
func (e *Environments) Show(ctx context.Context, tx *store.Tx, name string) (*Detail, error) {
	w, now := e.cfg.Catalog.Current(), e.cfg.Clock.Now()
	env, ok := w.Environment(name)
	if !ok {
		return nil, nightporter.E(nightporter.NotFound, "no environment is called %q", name)
	}
	r, err := read(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	all, err := overrides(ctx, tx, name, now)
	if err != nil {
		return nil, err
	}
	drills, err := Drills(ctx, tx, name, recentDrills)
	if err != nil {
		return nil, err
	}
	took, err := rebuilds(ctx, tx, name, recentDrills)
	if err != nil {
		return nil, err
	}
	d := &Detail{
		GoodCommit: r.GoodCommit, Ref: env.Cloud.Ref, Dir: env.Cloud.Dir, Overrides: of(all, name), Drills: drills,
		Recovery: recovery(drills, env.Schedule.RTO), Failures: r.Failures, NotBefore: r.NotBefore, RehearsedAt: r.Rehearsed, SparedUntil: r.SparedUntil,
	}
	if env.Cloud.Repo != (nightporter.Repo{}) {
		d.Repo = env.Cloud.Repo.String()
	}
	d.Summary, d.Edges = e.summary(w, env, r, d.Overrides, took, now)
	if len(d.Edges) > 0 {
		d.Next = &d.Edges[0]
	}
	if r.Run != "" {
		if d.Work, err = follow(ctx, tx, r.Run); err != nil {
			return nil, err
		}
	}
	if f, err := e.find(name); err == nil {
		d.Drillable = e.scratchable(f, scratchName(name)) == nil
	}
	if at, err := drilling(ctx, tx, name); err != nil || at != "" {
		if err != nil {
			return nil, err
		}
		if d.Drilling, err = follow(ctx, tx, at); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// follow reads a run with how long its steps usually take.
func follow(ctx context.Context, tx *store.Tx, id string) (*run.Run, error) {
	r, err := run.Get(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	return r, run.Expect(ctx, tx, r)
}

func (e *Environments) summary(w *catalog.World, env catalog.Environment, r row, all []Override, took []time.Duration, now time.Time) (Summary, []Edge) {
	s := Summary{
		Name: env.Name, Kind: env.Kind, Schedule: env.Schedule.Windows, Timezone: env.Schedule.Timezone, Source: "file",
		Managed: env.Cloud.Kind != "" && !protected(env) && e.cfg.Providers[env.Cloud.Kind] != nil,
	}
	edges := []Edge{}
	if !s.Managed {
		return s, edges
	}
	s.State, s.Message, s.Since, s.ObservedAt, s.Run, s.Commit = r.State, r.Message, r.Since, r.ObservedAt, r.Run, r.Commit
	if s.State == "" {
		s.State = Unknown
	}
	plan, err := e.schedule(w, env)
	if err != nil {
		s.Message = nightporter.MessageOf(err)
		return s, edges
	}
	o := wishes(all)
	want := desire(plan, env, o, r, took, now)
	s.Desired, s.Because = want.State, string(want.Rule)
	if want.Detail != "" {
		s.Because += ": " + want.Detail
	}
	for _, edge := range plan.Next(now, 3, o) {
		one := Edge{At: edge.At, State: edge.State}
		if edge.State == schedule.On && env.Schedule.ReadyBy {
			one.StartsAt = schedule.StartsAt(edge.At, took)
		}
		edges = append(edges, one)
	}
	for i := range all {
		if !now.Before(all[i].From) {
			s.Override = &all[i] // the latest wins
		}
	}
	return s, edges
}

// edges lists the changes of an environment's schedule after an instant.
func (e *Environments) edges(ctx context.Context, tx *store.Tx, name string, after time.Time, count int) ([]Edge, error) {
	w := e.cfg.Catalog.Current()
	env, ok := w.Environment(name)
	if !ok {
		return nil, nightporter.E(nightporter.NotFound, "no environment is called %q", name)
	}
	plan, err := e.schedule(w, env)
	if err != nil {
		return nil, err
	}
	all, err := overrides(ctx, tx, name, e.cfg.Clock.Now())
	if err != nil {
		return nil, err
	}
	took, err := rebuilds(ctx, tx, name, recentDrills)
	if err != nil {
		return nil, fmt.Errorf("list the edges of %s: %w", name, err)
	}
	o := wishes(all)
	o.Protected = protected(env)
	out := []Edge{}
	for _, edge := range plan.Next(after, count, o) {
		one := Edge{At: edge.At, State: edge.State}
		if edge.State == schedule.On && env.Schedule.ReadyBy {
			one.StartsAt = schedule.StartsAt(edge.At, took)
		}
		out = append(out, one)
	}
	return out, nil
}
