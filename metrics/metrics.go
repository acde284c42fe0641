package metrics

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/notify"
)

// Own is the workspace of Nightporter's own metrics. It is there from the first
// start, and may be declared in the file to change its limits.
const Own = "nightporter"

// Config is what [Metrics] needs.
type Config struct {
	Gate   *gate.Gate // required
	Engine Engine     // required
	// Declared are the workspaces of the configuration. Required.
	Declared func() map[string]config.Workspace
	// Own writes Nightporter's own metrics in Prometheus's text format. nil
	// leaves its workspace empty.
	Own func(io.Writer) error
	// Instance is the label of Nightporter's own metrics. Default "nightporter".
	Instance string
	// Changed is told after workspaces came or went: their policies follow.
	Changed func(context.Context) error
	// Instances are the running copies of services, to be scraped. An error means
	// that nobody knows now. nil for none.
	Instances func(context.Context) ([]Instance, error)
	// Dark says whether an environment sleeps: its alerts are quiet then. nil
	// means never.
	Dark func(ctx context.Context, environment string) (bool, error)
	// Owned says whether a service has an owner who can be told. nil means no.
	Owned func(service string) bool
	// Tell sends a message to the owner of its service, or to the operators. nil
	// tells nobody.
	Tell func(ctx context.Context, audience string, m notify.Message) error
	// Page is the address of a workspace's page. nil for none.
	Page func(workspace string) string
	// Every is how often Nightporter's own metrics are written, what is deployed
	// is looked at, and people are told of alerts. Default 15 s.
	Every time.Duration
	Log   *slog.Logger
}

// Metrics keeps workspaces. What it answers to questions is [Querier]'s.
type Metrics struct {
	Engine
	cfg Config

	loading sync.Mutex
	mu      sync.RWMutex
	known   map[string]Workspace
	serving map[string]bool // workspaces in which services were seen
}

// New makes the capability. [Metrics.Load] reads the workspaces.
func New(cfg Config) (*Metrics, error) {
	if cfg.Gate == nil || cfg.Engine == nil || cfg.Declared == nil {
		return nil, errors.New("metrics: Gate, Engine and Declared are required")
	}
	if cfg.Changed == nil {
		cfg.Changed = func(context.Context) error { return nil }
	}
	if cfg.Every <= 0 {
		cfg.Every = 15 * time.Second
	}
	if cfg.Instance == "" {
		cfg.Instance = Own
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Metrics{Engine: cfg.Engine, cfg: cfg, known: map[string]Workspace{}, serving: map[string]bool{}}, nil
}

// Migrations are the tables of this package.
var Migrations = []store.Migration{{Name: "metrics/0001", SQL: `
CREATE TABLE metrics_workspace (
	name TEXT PRIMARY KEY,
	settings TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	created_by TEXT NOT NULL,
	removed_at BIGINT NOT NULL
);
`}, {Name: "metrics/0002", SQL: `
CREATE TABLE metrics_rules (
	workspace TEXT NOT NULL,
	name TEXT NOT NULL,
	text TEXT NOT NULL,
	changed_at BIGINT NOT NULL,
	changed_by TEXT NOT NULL,
	PRIMARY KEY (workspace, name)
);
CREATE TABLE metrics_silence (
	id TEXT PRIMARY KEY,
	workspace TEXT NOT NULL,
	labels TEXT NOT NULL,
	until_at BIGINT NOT NULL,
	reason TEXT NOT NULL,
	person TEXT NOT NULL,
	created_at BIGINT NOT NULL
);
CREATE INDEX metrics_silence_workspace ON metrics_silence (workspace, until_at);
CREATE TABLE metrics_told (
	id TEXT PRIMARY KEY,
	workspace TEXT NOT NULL,
	title TEXT NOT NULL,
	service TEXT NOT NULL,
	environment TEXT NOT NULL,
	since BIGINT NOT NULL,
	told_at BIGINT NOT NULL
);
`}}

// Where a workspace comes from.
const (
	FromFile    = "file"
	FromAPI     = "api"
	FromBuiltin = "builtin" // Nightporter's own
)

// Workspace is an isolated store of samples with its limits.
type Workspace struct {
	Name      string          `json:"name"`
	Source    string          `json:"source"` // file, api or builtin
	Retention config.Duration `json:"retention"`
	Limits    Limits          `json:"limits"`
	CreatedAt time.Time       `json:"created_at,omitzero"`
	CreatedBy string          `json:"created_by,omitempty"`
	// Remote is set for one whose samples are kept elsewhere.
	Remote bool   `json:"remote,omitempty"`
	Usage  *Usage `json:"usage,omitempty"`
}

// Change is what a caller may set. nil leaves a part as it is.
type Change struct {
	Retention *config.Duration `json:"retention,omitempty"`
	Limits    *LimitsChange    `json:"limits,omitempty"`
}

// LimitsChange changes limits, each for itself.
type LimitsChange struct {
	ActiveSeries     *int             `json:"active_series,omitempty"`
	SamplesPerSecond *int             `json:"samples_per_second,omitempty"`
	SamplesBurst     *int             `json:"samples_burst,omitempty"`
	Labels           *int             `json:"labels,omitempty"`
	LabelBytes       *int             `json:"label_bytes,omitempty"`
	Bytes            *int64           `json:"bytes,omitempty"`
	QuerySamples     *int             `json:"query_samples,omitempty"`
	QueryTimeout     *config.Duration `json:"query_timeout,omitempty"`
	QueryConcurrency *int             `json:"query_concurrency,omitempty"`
}

// settings are what the table keeps of a workspace.
type settings struct {
	Retention config.Duration `json:"retention"`
	Limits    Limits          `json:"limits"`
}

func set[T any](into *T, v *T) {
	if v != nil {
		*into = *v
	}
}

// apply changes s, or says what is wrong.
func (c Change) apply(s *settings) error {
	set(&s.Retention, c.Retention)
	if l := c.Limits; l != nil {
		set(&s.Limits.ActiveSeries, l.ActiveSeries)
		set(&s.Limits.SamplesPerSecond, l.SamplesPerSecond)
		set(&s.Limits.SamplesBurst, l.SamplesBurst)
		set(&s.Limits.Labels, l.Labels)
		set(&s.Limits.LabelBytes, l.LabelBytes)
		set(&s.Limits.Bytes, l.Bytes)
		set(&s.Limits.QuerySamples, l.QuerySamples)
		set(&s.Limits.QueryTimeout, l.QueryTimeout)
		set(&s.Limits.QueryConcurrency, l.QueryConcurrency)
	}
	l := s.Limits
	if min(int64(l.ActiveSeries), int64(l.SamplesPerSecond), int64(l.SamplesBurst), int64(l.Labels), int64(l.LabelBytes), l.Bytes,
		int64(l.QuerySamples), int64(l.QueryTimeout), int64(l.QueryConcurrency)) < 0 {
		return nightporter.E(nightporter.Invalid, "a limit is 0, for none, or more")
	}
	if s.Retention.Std() < time.Hour {
		return nightporter.E(nightporter.Invalid, "samples are kept for an hour or longer").WithHint("retention: 15d")
	}
	return nil
}

func limitsOf(l config.Limits) Limits {
	return Limits{
		ActiveSeries: l.ActiveSeries, SamplesPerSecond: l.SamplesPerSecond, SamplesBurst: l.SamplesBurst, Labels: l.Labels, LabelBytes: l.LabelBytes,
		Bytes: int64(l.Bytes), QuerySamples: l.QuerySamples, QueryTimeout: l.QueryTimeout, QueryConcurrency: l.QueryConcurrency,
	}
}

// Load reads the workspaces of the configuration and of the store, and has the
// engine follow. What is declared goes before what was made by the API. Folders of
// workspaces that are declared no longer stay: only a person deletes samples.
func (m *Metrics) Load(ctx context.Context) error {
	m.loading.Lock()
	defer m.loading.Unlock()
	next := map[string]Workspace{}
	standard := config.DefaultWorkspace()
	next[Own] = Workspace{Name: Own, Source: FromBuiltin, Retention: standard.Retention, Limits: limitsOf(standard.Limits)}
	var going []string
	err := m.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		return tx.Each(ctx, `SELECT name, settings, created_at, created_by, removed_at FROM metrics_workspace`, nil, func(scan func(...any) error) error {
			w := Workspace{Source: FromAPI}
			var text string
			var created, removed int64
			if err := scan(&w.Name, &text, &created, &w.CreatedBy, &removed); err != nil {
				return err
			}
			if removed != 0 {
				going = append(going, w.Name)
				return nil
			}
			var s settings
			if err := json.Unmarshal([]byte(text), &s); err != nil {
				return fmt.Errorf("read the settings of workspace %s: %w", w.Name, err)
			}
			w.Retention, w.Limits, w.CreatedAt = s.Retention, s.Limits, store.Time(created)
			next[w.Name] = w
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("read the workspaces: %w", err)
	}
	for name, d := range m.cfg.Declared() {
		if !ValidName(name) {
			continue // the configuration says so when it is read
		}
		next[name] = Workspace{Name: name, Source: FromFile, Retention: d.Retention, Limits: limitsOf(d.Limits), Remote: d.Remote != nil}
	}
	m.mu.Lock()
	before := m.known
	m.known = next
	m.mu.Unlock()
	for name := range before {
		if w, ok := next[name]; !ok || w.Remote {
			m.Forget(name)
		}
	}
	for name, w := range next {
		if !w.Remote {
			m.Configure(name, Settings{Retention: w.Retention.Std(), Limits: w.Limits})
		}
	}
	for name, w := range next {
		if w.Remote {
			continue
		}
		if err := m.loadRules(ctx, name); err != nil {
			m.cfg.Log.Error("load the rules of a workspace", "workspace", name, "error", err)
		}
	}
	for _, name := range going {
		if err := m.removed(ctx, name); err != nil {
			m.cfg.Log.Error("delete a workspace", "workspace", name, "error", err)
		}
	}
	return nil
}

// Names are the names of all workspaces, sorted.
func (m *Metrics) Names() []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	names := make([]string, 0, len(m.known))
	for name := range m.known {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Get is one workspace, without its usage. Errors: not_found.
func (m *Metrics) Get(name string) (Workspace, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	w, ok := m.known[name]
	if !ok {
		return w, nightporter.E(nightporter.NotFound, "no workspace is called %q", name)
	}
	return w, nil
}

// Show is one workspace with its usage.
func (m *Metrics) Show(name string) (Workspace, error) {
	w, err := m.Get(name)
	if err != nil || w.Remote {
		return w, err
	}
	u, err := m.Usage(name)
	w.Usage = &u
	return w, err
}

// Act is what the policy decides about for a part of a workspace: "query", "write",
// "rules", "usage"; "" for itself.
func Act(name, part, verb string, c nightporter.Capability) nightporter.Action {
	path := "api/workspaces/" + name
	if part != "" {
		path += "/" + part
	}
	return nightporter.Action{Name: "workspace." + verb, Capability: c, Path: path}
}

func resource(name string) nightporter.Resource {
	return nightporter.Resource{Kind: "workspace", ID: name}
}

// Create makes a workspace. Errors: invalid, and conflict for a name that is taken.
func (m *Metrics) Create(ctx context.Context, name string, c Change) (Workspace, error) {
	if !ValidName(name) {
		return Workspace{}, nightporter.E(nightporter.Invalid, "%q cannot be the name of a workspace", name).WithHint("use small letters, digits and dashes: team-payments")
	}
	if _, err := m.Get(name); err == nil {
		return Workspace{}, nightporter.E(nightporter.Conflict, "there is a workspace %s already", name)
	}
	standard := config.DefaultWorkspace()
	s := settings{standard.Retention, limitsOf(standard.Limits)}
	if err := c.apply(&s); err != nil {
		return Workspace{}, err
	}
	action := nightporter.Action{Name: "workspace.create", Capability: nightporter.Create, Path: "api/workspaces"}
	err := m.cfg.Gate.Do(ctx, action, resource(name), func(tx *gate.Tx) error {
		text, err := json.Marshal(s)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `INSERT INTO metrics_workspace (name, settings, created_at, created_by, removed_at) VALUES (?, ?, ?, ?, 0) ON CONFLICT DO NOTHING`,
			name, string(text), store.Micros(tx.Now()), nightporter.ActorFrom(ctx).Name)
		if err == nil && n == 0 {
			return nightporter.E(nightporter.Conflict, "there is a workspace %s, or it is being deleted", name)
		}
		return err
	})
	if err != nil {
		return Workspace{}, err
	}
	if err := m.changed(ctx); err != nil {
		return Workspace{}, err
	}
	return m.Get(name)
}

// Update changes retention and limits at once. Errors: not_found, declared.
func (m *Metrics) Update(ctx context.Context, name string, c Change) (Workspace, error) {
	w, err := m.own(name)
	if err != nil {
		return w, err
	}
	err = m.cfg.Gate.Do(ctx, Act(name, "", "update", nightporter.Update), resource(name), func(tx *gate.Tx) error {
		var text string
		err := tx.QueryRow(ctx, `SELECT settings FROM metrics_workspace WHERE name = ? AND removed_at = 0`, name).Scan(&text)
		if store.IsNotFound(err) {
			return nightporter.E(nightporter.NotFound, "no workspace is called %q", name)
		}
		if err != nil {
			return err
		}
		var s settings
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return err
		}
		if err := c.apply(&s); err != nil {
			return err
		}
		b, err := json.Marshal(s)
		if err != nil {
			return err
		}
		tx.Detail("settings", json.RawMessage(b))
		_, err = tx.Exec(ctx, `UPDATE metrics_workspace SET settings = ? WHERE name = ?`, string(b), name)
		return err
	})
	if err != nil {
		return w, err
	}
	if err := m.changed(ctx); err != nil {
		return w, err
	}
	return m.Get(name)
}

// Delete removes a workspace with its samples. What a crash leaves of it is removed
// by the next [Metrics.Load].
func (m *Metrics) Delete(ctx context.Context, name string) error {
	if _, err := m.own(name); err != nil {
		return err
	}
	err := m.cfg.Gate.Do(ctx, Act(name, "", "delete", nightporter.Delete), resource(name), func(tx *gate.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE metrics_workspace SET removed_at = ? WHERE name = ? AND removed_at = 0`, store.Micros(tx.Now()), name)
		return err
	})
	if err != nil {
		return err
	}
	return m.changed(ctx)
}

// removed deletes the samples of a workspace that is marked, and then the mark.
func (m *Metrics) removed(ctx context.Context, name string) error {
	if _, err := m.Get(name); err == nil {
		return nil // declared in the file since: its samples are somebody's
	}
	if err := m.Remove(ctx, name); err != nil {
		return err
	}
	ctx = nightporter.WithActor(context.WithoutCancel(ctx), nightporter.SystemActor("metrics", nightporter.ActorFrom(ctx).Cause()))
	return m.cfg.Gate.Do(ctx, nightporter.Action{Name: "workspace.deleted"}, resource(name), func(tx *gate.Tx) error {
		for _, table := range []string{"metrics_rules", "metrics_silence", "metrics_told"} {
			if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE workspace = ?`, name); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `DELETE FROM metrics_workspace WHERE name = ? AND removed_at <> 0`, name)
		return err
	})
}

// own is a workspace that the API may change.
func (m *Metrics) own(name string) (Workspace, error) {
	w, err := m.Get(name)
	if err == nil && w.Source != FromAPI {
		hint := "change workspaces." + name + " there"
		if w.Source == FromBuiltin {
			hint = "write workspaces: {" + name + ": {…}} into the configuration to change its limits"
		}
		return w, nightporter.E(nightporter.Declared, "the workspace %s is not made by the API", name).WithHint("%s", hint)
	}
	return w, err
}

func (m *Metrics) changed(ctx context.Context) error {
	if err := m.Load(ctx); err != nil {
		return err
	}
	return m.cfg.Changed(ctx)
}

// Run keeps the engine's house, and writes Nightporter's own metrics into their
// workspace, until ctx ends.
func (m *Metrics) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { m.Engine.Run(ctx) })
	tick := time.NewTicker(m.cfg.Every)
	defer tick.Stop()
	for {
		if err := errors.Join(m.WriteOwn(ctx, time.Now()), m.Look(ctx, time.Now())); err != nil && ctx.Err() == nil {
			m.cfg.Log.Error("look after the workspaces", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// WriteOwn writes Nightporter's own metrics once.
func (m *Metrics) WriteOwn(ctx context.Context, at time.Time) error {
	if m.cfg.Own == nil {
		return nil
	}
	var text bytes.Buffer
	if err := m.cfg.Own(&text); err != nil {
		return err
	}
	return m.Ingest(ctx, Own, &text, map[string]string{"job": Own, "instance": strings.TrimSpace(m.cfg.Instance)}, at)
}
