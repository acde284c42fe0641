// Package dashboards keeps the dashboards of workspaces and draws them. A dashboard
// stays the JSON that it came in as: it is stored untouched, with its former
// versions, and exported byte for byte. What it means is package dashboard's to
// say.
//
// Beside the dashboards that people import stand those that are generated: of a
// service, of an environment, and of the porter itself. They are the same
// JSON, made anew each time, so that they can be taken to Grafana too.
//
// What happened to services and environments is remembered as marks, heard from
// events, so that a deployment or a night is a line on every graph.
package dashboards

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/metrics"
	"nightporter.dev/nightporter/metrics/dashboard"
)

// Limits on what is kept.
const (
	maxDashboards = 500 // of a workspace
	keptVersions  = 20  // of a dashboard
)

// Config is what [Dashboards] needs.
type Config struct {
	Gate    *gate.Gate       // required
	Catalog *catalog.Catalog // required
	// Querier answers the queries of panels. Required.
	Querier metrics.Querier
	// Exists says whether there is a workspace: nil, or not_found. Required.
	Exists func(workspace string) error
	// Names are the workspaces there are, sorted. Required.
	Names func() []string
	// Now is the time of marks and graphs. nil means time.Now.
	Now func() time.Time
}

// Dashboards keeps dashboards.
type Dashboards struct{ cfg Config }

// New makes the keeper.
func New(cfg Config) (*Dashboards, error) {
	if cfg.Gate == nil || cfg.Catalog == nil || cfg.Querier == nil || cfg.Exists == nil || cfg.Names == nil {
		return nil, errors.New("dashboards: Gate, Catalog, Querier, Exists and Names are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Dashboards{cfg: cfg}, nil
}

// Workspaces are the names of those there are.
func (d *Dashboards) Workspaces() []string { return d.cfg.Names() }

// Migrations are the tables of this package.
var Migrations = []store.Migration{{Name: "dashboards/0001", SQL: `
CREATE TABLE metrics_dashboard (
	workspace TEXT NOT NULL,
	uid TEXT NOT NULL,
	version BIGINT NOT NULL,
	title TEXT NOT NULL,
	tags TEXT NOT NULL,
	panels BIGINT NOT NULL,
	missing BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	saved_at BIGINT NOT NULL,
	saved_by TEXT NOT NULL,
	PRIMARY KEY (workspace, uid)
);
CREATE TABLE metrics_dashboard_version (
	workspace TEXT NOT NULL,
	uid TEXT NOT NULL,
	version BIGINT NOT NULL,
	content TEXT NOT NULL,
	saved_at BIGINT NOT NULL,
	saved_by TEXT NOT NULL,
	PRIMARY KEY (workspace, uid, version)
);
CREATE TABLE metrics_mark (
	id TEXT PRIMARY KEY,
	at BIGINT NOT NULL,
	kind TEXT NOT NULL,
	service TEXT NOT NULL,
	environment TEXT NOT NULL,
	label TEXT NOT NULL,
	url TEXT NOT NULL
);
CREATE INDEX metrics_mark_time ON metrics_mark (at);
`}}

// Where a dashboard comes from.
const (
	Imported  = "imported"
	Generated = "generated"
)

// Summary is a dashboard as a list shows it.
type Summary struct {
	Workspace string   `json:"workspace"`
	UID       string   `json:"uid"`
	Title     string   `json:"title"`
	Tags      []string `json:"tags,omitempty"`
	Source    string   `json:"source"` // imported or generated
	Panels    int      `json:"panels"`
	// Missing panels are shown as tables of their data or as words, Changed ones
	// are drawn, but not in all as Grafana would.
	Missing int       `json:"missing"`
	Changed int       `json:"changed"`
	Version int64     `json:"version,omitempty"` // 0 for a generated one
	SavedAt time.Time `json:"saved_at,omitzero"`
	SavedBy string    `json:"saved_by,omitempty"`
}

// Detail is one dashboard with its report.
type Detail struct {
	Summary
	Description string            `json:"description,omitempty"`
	Variables   []string          `json:"variables,omitempty"`
	Issues      []dashboard.Issue `json:"issues"`
}

// uidForm is what Grafana takes as a uid.
var uidForm = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,80}$`)

// Act is what the policy decides about when somebody does something to a
// workspace's dashboards; uid is "" for all of them.
func Act(workspace, uid, verb string, c nightporter.Capability) nightporter.Action {
	path := "api/workspaces/" + workspace + "/dashboards"
	if uid != "" {
		path += "/" + uid
	}
	return nightporter.Action{Name: "dashboard." + verb, Capability: c, Path: path}
}

// resource names a dashboard in the register.
func resource(workspace, uid string) nightporter.Resource {
	return nightporter.Resource{Kind: "dashboard", ID: workspace + "/" + uid}
}

// Import says how a dashboard is taken in.
type Import struct {
	// UID to keep it under. "" means the file's own, or one made of its title.
	UID string
	// Replace keeps it as a new version of one that is there; without it that is
	// a conflict.
	Replace bool
}

// Save stores a dashboard as it is and says what of it cannot be drawn.
func (d *Dashboards) Save(ctx context.Context, workspace string, raw []byte, how Import) (*Detail, error) {
	detail, err := d.Plan(workspace, raw, how)
	if err != nil {
		return nil, err
	}
	verb, can := "import", nightporter.Create
	if how.Replace {
		verb, can = "replace", nightporter.Update
	}
	err = d.cfg.Gate.Do(ctx, Act(workspace, detail.UID, verb, can), resource(workspace, detail.UID), func(tx *gate.Tx) error {
		var there, all, version int64
		if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM metrics_dashboard WHERE workspace = ?`, workspace).Scan(&all); err != nil {
			return fmt.Errorf("count the dashboards of %s: %w", workspace, err)
		}
		if err := tx.QueryRow(ctx, `SELECT COUNT(*), COALESCE(MAX(version), 0) FROM metrics_dashboard WHERE workspace = ? AND uid = ?`, workspace, detail.UID).Scan(&there, &version); err != nil {
			return fmt.Errorf("read dashboard %s: %w", detail.UID, err)
		}
		switch {
		case there > 0 && !how.Replace:
			return nightporter.E(nightporter.Conflict, "%s has a dashboard %s already", workspace, detail.UID).WithHint("replace it, which keeps its former versions, or give another uid")
		case there == 0 && all >= maxDashboards:
			return nightporter.E(nightporter.Limited, "%s has %d dashboards, which is the most", workspace, all).WithHint("delete one that nobody opens")
		}
		now, by := store.Micros(d.cfg.Now()), nightporter.ActorFrom(ctx).Name
		version++
		detail.Version, detail.SavedAt, detail.SavedBy = version, store.Time(now), by
		if there == 0 {
			// What was deleted earlier left its versions to nobody.
			if _, err := tx.Exec(ctx, `DELETE FROM metrics_dashboard_version WHERE workspace = ? AND uid = ?`, workspace, detail.UID); err != nil {
				return fmt.Errorf("clear the versions of %s: %w", detail.UID, err)
			}
		}
		if _, err := tx.Exec(ctx, `DELETE FROM metrics_dashboard WHERE workspace = ? AND uid = ?`, workspace, detail.UID); err != nil {
			return fmt.Errorf("replace dashboard %s: %w", detail.UID, err)
		}
		if _, err := tx.Exec(ctx, `INSERT INTO metrics_dashboard (workspace, uid, version, title, tags, panels, missing, changed, saved_at, saved_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			workspace, detail.UID, version, detail.Title, strings.Join(detail.Tags, "\n"), detail.Panels, detail.Missing, detail.Changed, now, by); err != nil {
			return fmt.Errorf("write dashboard %s: %w", detail.UID, err)
		}
		if _, err := tx.Exec(ctx, `INSERT INTO metrics_dashboard_version (workspace, uid, version, content, saved_at, saved_by) VALUES (?, ?, ?, ?, ?, ?)`,
			workspace, detail.UID, version, string(raw), now, by); err != nil {
			return fmt.Errorf("write a version of dashboard %s: %w", detail.UID, err)
		}
		if _, err := tx.Exec(ctx, `DELETE FROM metrics_dashboard_version WHERE workspace = ? AND uid = ? AND version <= ?`, workspace, detail.UID, version-keptVersions); err != nil {
			return fmt.Errorf("drop old versions of dashboard %s: %w", detail.UID, err)
		}
		tx.Detail("title", detail.Title)
		tx.Detail("version", version)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return detail, nil
}

// Plan says what importing a dashboard would make, and stores nothing.
func (d *Dashboards) Plan(workspace string, raw []byte, how Import) (*Detail, error) {
	if err := d.cfg.Exists(workspace); err != nil {
		return nil, err
	}
	if !utf8.Valid(raw) || strings.ContainsRune(string(raw), 0) {
		return nil, nightporter.E(nightporter.Invalid, "the dashboard is not text in UTF-8")
	}
	compiled, err := dashboard.Compile(raw)
	if err != nil {
		return nil, err
	}
	detail := describe(workspace, compiled)
	switch {
	case how.UID != "":
		detail.UID = how.UID
	case !uidForm.MatchString(detail.UID):
		detail.UID = slug(compiled.Title)
	}
	if !uidForm.MatchString(detail.UID) {
		return nil, nightporter.E(nightporter.Invalid, "a dashboard's uid is letters, digits, - and _, at most 80 of them")
	}
	if _, ok := d.generated(workspace, detail.UID); ok || strings.HasPrefix(detail.UID, generatedPrefix) {
		return nil, nightporter.E(nightporter.Conflict, "%s is the name of a generated dashboard", detail.UID).WithHint("give another uid to keep a changed copy")
	}
	return detail, nil
}

// slug makes a uid of a title.
func slug(title string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(title) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	text := strings.Trim(b.String(), "-")
	return text[:min(len(text), 80)]
}

func describe(workspace string, c *dashboard.Dashboard) *Detail {
	detail := &Detail{
		Summary:     Summary{Workspace: workspace, UID: c.UID, Title: c.Title, Tags: c.Tags, Source: Imported},
		Description: c.Description, Issues: slices.Clone(c.Issues),
	}
	if detail.Issues == nil {
		detail.Issues = []dashboard.Issue{}
	}
	worst := map[string]dashboard.Severity{}
	for _, i := range c.Issues {
		if i.Panel != "" && worst[i.Panel] != dashboard.Missing {
			worst[i.Panel] = i.Severity
		}
	}
	for _, s := range worst {
		if s == dashboard.Missing {
			detail.Missing++
		} else {
			detail.Changed++
		}
	}
	detail.Panels = count(c.Panels)
	for _, v := range c.Variables {
		detail.Variables = append(detail.Variables, v.Name)
	}
	return detail
}

// count counts panels, those of collapsed rows too, without the rows.
func count(panels []dashboard.Panel) int {
	n := 0
	for i := range panels {
		if panels[i].Kind != dashboard.Row {
			n++
		}
		n += count(panels[i].Panels)
	}
	return n
}

// List returns the dashboards of a workspace, by title: generated ones first.
func (d *Dashboards) List(ctx context.Context, tx *store.Tx, workspace string) ([]Summary, error) {
	if err := d.cfg.Exists(workspace); err != nil {
		return nil, err
	}
	var all []Summary
	for _, g := range d.allGenerated(workspace) {
		compiled, err := dashboard.Compile(g.json)
		if err != nil {
			return nil, fmt.Errorf("compile the generated dashboard %s: %w", g.uid, err)
		}
		s := describe(workspace, compiled).Summary
		s.Source = Generated
		s.Title, _, _ = strings.Cut(s.Title, " $") // without the one that it is about
		all = append(all, s)
	}
	generated := len(all)
	err := tx.Each(ctx, `SELECT uid, version, title, tags, panels, missing, changed, saved_at, saved_by FROM metrics_dashboard WHERE workspace = ?`, []any{workspace},
		func(scan func(...any) error) error {
			s := Summary{Workspace: workspace, Source: Imported}
			var tags string
			var saved int64
			if err := scan(&s.UID, &s.Version, &s.Title, &tags, &s.Panels, &s.Missing, &s.Changed, &saved, &s.SavedBy); err != nil {
				return err
			}
			s.SavedAt = store.Time(saved)
			if tags != "" {
				s.Tags = strings.Split(tags, "\n")
			}
			all = append(all, s)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("list the dashboards of %s: %w", workspace, err)
	}
	slices.SortFunc(all[generated:], func(a, b Summary) int {
		return strings.Compare(strings.ToLower(a.Title)+"\x00"+a.UID, strings.ToLower(b.Title)+"\x00"+b.UID)
	})
	return all, nil
}

// Export returns a dashboard's JSON, byte for byte as it was imported. version 0
// means the newest.
func (d *Dashboards) Export(ctx context.Context, tx *store.Tx, workspace, uid string, version int64) ([]byte, error) {
	if err := d.cfg.Exists(workspace); err != nil {
		return nil, err
	}
	if g, ok := d.generated(workspace, uid); ok {
		return g.json, nil
	}
	var content string
	var found bool
	err := tx.Each(ctx, `SELECT v.content FROM metrics_dashboard d JOIN metrics_dashboard_version v ON v.workspace = d.workspace AND v.uid = d.uid
		WHERE d.workspace = ? AND d.uid = ? AND v.version = CASE WHEN ? = 0 THEN d.version ELSE ? END`, []any{workspace, uid, version, version},
		func(scan func(...any) error) error {
			found = true
			return scan(&content)
		})
	if err != nil {
		return nil, fmt.Errorf("read dashboard %s: %w", uid, err)
	}
	if !found {
		return nil, nightporter.E(nightporter.NotFound, "%s has no dashboard %q", workspace, clip(uid))
	}
	return []byte(content), nil
}

func clip(s string) string { return s[:min(len(s), 80)] }

// Show compiles a dashboard and says what of it cannot be drawn.
func (d *Dashboards) Show(ctx context.Context, tx *store.Tx, workspace, uid string) (*dashboard.Dashboard, *Detail, error) {
	raw, err := d.Export(ctx, tx, workspace, uid, 0)
	if err != nil {
		return nil, nil, err
	}
	compiled, err := dashboard.Compile(raw)
	if err != nil {
		return nil, nil, err
	}
	detail := describe(workspace, compiled)
	detail.UID = uid
	if _, ok := d.generated(workspace, uid); ok {
		detail.Source = Generated
		return compiled, detail, nil
	}
	var saved int64
	if err := tx.QueryRow(ctx, `SELECT version, saved_at, saved_by FROM metrics_dashboard WHERE workspace = ? AND uid = ?`, workspace, uid).Scan(&detail.Version, &saved, &detail.SavedBy); err != nil {
		return nil, nil, fmt.Errorf("read dashboard %s: %w", uid, err)
	}
	detail.SavedAt = store.Time(saved)
	return compiled, detail, nil
}

// Delete removes a dashboard and its versions.
func (d *Dashboards) Delete(ctx context.Context, workspace, uid string) error {
	if err := d.cfg.Exists(workspace); err != nil {
		return err
	}
	if _, ok := d.generated(workspace, uid); ok {
		return nightporter.E(nightporter.Declared, "%s is generated and always there", clip(uid))
	}
	return d.cfg.Gate.Do(ctx, Act(workspace, uid, "delete", nightporter.Delete), resource(workspace, uid), func(tx *gate.Tx) error {
		n, err := tx.Exec(ctx, `DELETE FROM metrics_dashboard WHERE workspace = ? AND uid = ?`, workspace, uid)
		if err != nil {
			return fmt.Errorf("delete dashboard %s: %w", uid, err)
		}
		if n == 0 {
			return nightporter.E(nightporter.NotFound, "%s has no dashboard %q", workspace, clip(uid))
		}
		if _, err := tx.Exec(ctx, `DELETE FROM metrics_dashboard_version WHERE workspace = ? AND uid = ?`, workspace, uid); err != nil {
			return fmt.Errorf("delete the versions of dashboard %s: %w", uid, err)
		}
		return nil
	})
}
