package metrics

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
)

// RuleFile is a file of recording and alerting rules, in Prometheus's own YAML.
type RuleFile struct {
	Name string `json:"name"`
	Text string `json:"text"`
	// Rules is how many it has.
	Rules     int       `json:"rules"`
	Source    string    `json:"source"` // api, or builtin for the platform's own
	ChangedAt time.Time `json:"changed_at,omitzero"`
	ChangedBy string    `json:"changed_by,omitempty"`
}

// builtinRules are those that every workspace with services has from the first
// deployment.
const (
	builtinName  = "nightporter"
	builtinRules = `groups:
- name: nightporter
  rules:
  - alert: ServiceDown
    expr: nightporter_service_up == 0
    for: 1m
    labels:
      severity: critical
    annotations:
      summary: '{{ $labels.service }} does not serve in {{ $labels.environment }}'
`
)

var fileRule = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`)

// maxRuleFiles is how many files of rules one workspace may have.
const maxRuleFiles = 100

// Rules lists the files of rules of a workspace, with the platform's own.
func (m *Metrics) Rules(ctx context.Context, workspace string) ([]RuleFile, error) {
	if _, err := m.Get(workspace); err != nil {
		return nil, err
	}
	var list []RuleFile
	err := m.cfg.Gate.Look(ctx, func(tx *store.Tx) (err error) {
		list, err = ruleFiles(ctx, tx, workspace)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the rules of %s: %w", workspace, err)
	}
	for i := range list {
		list[i].Rules, _ = m.CheckRules(list[i].Text) // they were right when they were written
	}
	if m.servesIn(workspace) {
		list = append([]RuleFile{{Name: builtinName, Text: builtinRules, Rules: 1, Source: FromBuiltin}}, list...)
	}
	return list, nil
}

func ruleFiles(ctx context.Context, tx *store.Tx, workspace string) ([]RuleFile, error) {
	list := []RuleFile{}
	err := tx.Each(ctx, `SELECT name, text, changed_at, changed_by FROM metrics_rules WHERE workspace = ? ORDER BY name`, []any{workspace}, func(scan func(...any) error) error {
		f := RuleFile{Source: FromAPI}
		var at int64
		err := scan(&f.Name, &f.Text, &at, &f.ChangedBy)
		f.ChangedAt = store.Time(at)
		list = append(list, f)
		return err
	})
	return list, err
}

func ruleAction(workspace, file, verb string, c nightporter.Capability) nightporter.Action {
	return nightporter.Action{Name: "rules." + verb, Capability: c, Path: "api/workspaces/" + workspace + "/rules/" + file}
}

// SaveRules writes a file of rules and evaluates it from now on. Rules that do not
// parse are refused, each with its place. Errors: invalid, not_found, declared.
func (m *Metrics) SaveRules(ctx context.Context, workspace, name, text string) (*RuleFile, error) {
	if _, err := m.Get(workspace); err != nil {
		return nil, err
	}
	switch {
	case name == builtinName:
		return nil, nightporter.E(nightporter.Declared, "the rules %s are the platform's own", name)
	case !fileRule.MatchString(name):
		return nil, nightporter.E(nightporter.Invalid, "%q cannot be the name of a file of rules", name).WithHint("use small letters, digits, dots and dashes: ledger")
	}
	n, err := m.CheckRules(text)
	if err != nil {
		return nil, err
	}
	out := &RuleFile{Name: name, Text: text, Rules: n, Source: FromAPI, ChangedBy: nightporter.ActorFrom(ctx).Name}
	err = m.cfg.Gate.Do(ctx, ruleAction(workspace, name, "save", nightporter.Update), resource(workspace), func(tx *gate.Tx) error {
		out.ChangedAt = tx.Now()
		tx.Detail("file", name)
		tx.Detail("rules", n)
		var files int
		if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM metrics_rules WHERE workspace = ? AND name <> ?`, workspace, name).Scan(&files); err != nil {
			return err
		}
		if files >= maxRuleFiles {
			return nightporter.E(nightporter.Invalid, "a workspace may have %d files of rules", maxRuleFiles)
		}
		_, err := tx.Exec(ctx, `INSERT INTO metrics_rules (workspace, name, text, changed_at, changed_by) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (workspace, name) DO UPDATE SET text = excluded.text, changed_at = excluded.changed_at, changed_by = excluded.changed_by`,
			workspace, name, text, store.Micros(tx.Now()), out.ChangedBy)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, m.loadRules(ctx, workspace)
}

// DeleteRules removes a file of rules.
func (m *Metrics) DeleteRules(ctx context.Context, workspace, name string) error {
	if _, err := m.Get(workspace); err != nil {
		return err
	}
	err := m.cfg.Gate.Do(ctx, ruleAction(workspace, name, "delete", nightporter.Delete), resource(workspace), func(tx *gate.Tx) error {
		tx.Detail("file", name)
		n, err := tx.Exec(ctx, `DELETE FROM metrics_rules WHERE workspace = ? AND name = ?`, workspace, name)
		if err == nil && n == 0 {
			return nightporter.E(nightporter.NotFound, "%s has no rules %q", workspace, name)
		}
		return err
	})
	if err != nil {
		return err
	}
	return m.loadRules(ctx, workspace)
}

// loadRules has the engine evaluate what the store holds.
func (m *Metrics) loadRules(ctx context.Context, workspace string) error {
	list, err := m.Rules(ctx, workspace)
	if err != nil {
		return err
	}
	files := map[string]string{}
	for _, f := range list {
		files[f.Name] = f.Text
	}
	return m.SetRules(workspace, files)
}

// servesIn says whether services were seen in a workspace.
func (m *Metrics) servesIn(workspace string) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.serving[workspace]
}

// Instance is a running copy of a service, as whoever deployed it says.
type Instance struct {
	Service, Owner, Environment string
	Address                     string // host and port; "" when it has none
	Up                          bool
}

// WorkspaceOf is where the metrics of a service are: in the workspace that names it
// in the configuration, or else in the one called as its owner, or else in our own.
func (m *Metrics) WorkspaceOf(service, owner string) string {
	for name, d := range m.cfg.Declared() {
		for _, s := range d.Services {
			if s == service {
				return name
			}
		}
	}
	if _, err := m.Get(owner); err == nil {
		return owner
	}
	return Own
}

// follow scrapes what is deployed, and writes down whether it serves. Instances
// that cannot be asked for are left as they were.
func (m *Metrics) follow(ctx context.Context, at time.Time) error {
	targets := map[string][]Target{}
	for name, d := range m.cfg.Declared() {
		for _, t := range d.Targets {
			address, path, found := strings.Cut(t, "/")
			if found {
				path = "/" + path
			}
			targets[name] = append(targets[name], Target{Address: address, Path: path, Labels: map[string]string{"job": "static"}})
		}
	}
	up := map[string]map[[2]string]bool{}
	if m.cfg.Instances != nil {
		instances, err := m.cfg.Instances(ctx)
		if err != nil {
			return err
		}
		for _, i := range instances {
			ws := m.WorkspaceOf(i.Service, i.Owner)
			if i.Address != "" && i.Up {
				targets[ws] = append(targets[ws], Target{Address: i.Address, Labels: map[string]string{"job": i.Service, "service": i.Service, "environment": i.Environment}})
			}
			if up[ws] == nil {
				up[ws] = map[[2]string]bool{}
			}
			key := [2]string{i.Service, i.Environment}
			up[ws][key] = up[ws][key] || i.Up
		}
	}
	for _, name := range m.Names() {
		if err := m.followIn(ctx, name, targets[name], up[name], at); err != nil {
			return fmt.Errorf("follow the services of %s: %w", name, err)
		}
	}
	return nil
}

func (m *Metrics) followIn(ctx context.Context, name string, targets []Target, up map[[2]string]bool, at time.Time) error {
	if ws, err := m.Get(name); err != nil || ws.Remote {
		return nil // gone, or elsewhere
	}
	if err := m.SetTargets(name, targets); err != nil {
		return err
	}
	if len(up) == 0 {
		return nil
	}
	m.mu.Lock()
	first := !m.serving[name]
	m.serving[name] = true
	m.mu.Unlock()
	if first {
		if err := m.loadRules(ctx, name); err != nil {
			return err
		}
	}
	var b strings.Builder
	b.WriteString("# HELP nightporter_service_up Whether a deployed service serves, as whoever deployed it sees.\n# TYPE nightporter_service_up gauge\n")
	for key := range maps.Keys(up) {
		value := 0
		if up[key] {
			value = 1
		}
		fmt.Fprintf(&b, "nightporter_service_up{service=%q,environment=%q} %d\n", key[0], key[1], value)
	}
	return m.Ingest(ctx, name, strings.NewReader(b.String()), map[string]string{"job": "nightporter"}, at)
}
