package metrics

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/notify"
)

// Group is the alerts of one name for one service in one environment: what people
// are told of at once.
type Group struct {
	Workspace   string    `json:"workspace"`
	Name        string    `json:"name"`
	Service     string    `json:"service,omitempty"`
	Environment string    `json:"environment,omitempty"`
	State       string    `json:"state"` // pending or firing
	ActiveAt    time.Time `json:"active_at"`
	Summary     string    `json:"summary,omitempty"`
	Severity    string    `json:"severity,omitempty"`
	Alerts      []Alert   `json:"alerts"`
	// Quiet says why nobody is told: "dev is dark", or the reason of a silence.
	Quiet string `json:"quiet,omitempty"`
	// ToldAt is when its owner was told; zero while nobody was.
	ToldAt time.Time `json:"told_at,omitzero"`
}

func (g Group) key() string {
	return strings.Join([]string{g.Workspace, g.Name, g.Service, g.Environment}, "/")
}

// Silence keeps alerts that have these labels quiet for a while.
type Silence struct {
	ID        string            `json:"id"`
	Match     map[string]string `json:"match"` // every label must have this value; alertname is the rule's name
	Until     time.Time         `json:"until"`
	Reason    string            `json:"reason"`
	Person    string            `json:"person"`
	CreatedAt time.Time         `json:"created_at"`
}

func (s Silence) covers(a Alert) bool {
	for name, value := range s.Match {
		if name == "alertname" && a.Name == value {
			continue
		}
		if a.Labels[name] != value {
			return false
		}
	}
	return true
}

// Silences lists the silences of a workspace that have not ended.
func (m *Metrics) Silences(ctx context.Context, workspace string, now time.Time) (list []Silence, err error) {
	if _, err := m.Get(workspace); err != nil {
		return nil, err
	}
	list = []Silence{}
	err = m.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		return tx.Each(ctx, `SELECT id, labels, until_at, reason, person, created_at FROM metrics_silence WHERE workspace = ? AND until_at > ? ORDER BY id`,
			[]any{workspace, store.Micros(now)}, func(scan func(...any) error) error {
				var s Silence
				var text string
				var until, created int64
				if err := scan(&s.ID, &text, &until, &s.Reason, &s.Person, &created); err != nil {
					return err
				}
				s.Until, s.CreatedAt = store.Time(until), store.Time(created)
				list = append(list, s)
				return json.Unmarshal([]byte(text), &list[len(list)-1].Match)
			})
	})
	return list, err
}

// maxSilence is how long a silence may last: what is quiet for longer is no alert.
const maxSilence = 30 * 24 * time.Hour

// Silence keeps alerts quiet. Errors: invalid without a match, a reason, or an end
// within 30 days.
func (m *Metrics) Silence(ctx context.Context, workspace string, match map[string]string, lasts time.Duration, reason string) (*Silence, error) {
	if _, err := m.Get(workspace); err != nil {
		return nil, err
	}
	reason = strings.TrimSpace(reason)
	switch {
	case len(match) == 0 || len(match) > 20:
		return nil, nightporter.E(nightporter.Invalid, "a silence names the labels that it is about").WithHint(`{"alertname": "ServiceDown", "service": "ledger"}`)
	case lasts <= 0 || lasts > maxSilence:
		return nil, nightporter.E(nightporter.Invalid, "a silence lasts up to 30 days")
	case reason == "" || len(reason) > 500:
		return nil, nightporter.E(nightporter.Invalid, "a silence needs a reason of at most 500 characters")
	}
	text, err := json.Marshal(match)
	if err != nil {
		return nil, err
	}
	s := &Silence{Match: match, Reason: reason, Person: nightporter.ActorFrom(ctx).Name}
	err = m.cfg.Gate.Do(ctx, Act(workspace, "silences", "silence", nightporter.Create), resource(workspace), func(tx *gate.Tx) error {
		s.CreatedAt, s.Until = tx.Now(), tx.Now().Add(lasts)
		s.ID = fmt.Sprintf("sil_%014x%s", tx.Now().UnixMicro(), strings.ToLower(rand.Text()[:6]))
		tx.Detail("match", match)
		tx.Detail("until", s.Until)
		tx.Detail("reason", reason)
		_, err := tx.Exec(ctx, `INSERT INTO metrics_silence (id, workspace, labels, until_at, reason, person, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			s.ID, workspace, string(text), store.Micros(s.Until), reason, s.Person, store.Micros(s.CreatedAt))
		return err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// EndSilence lets its alerts speak again.
func (m *Metrics) EndSilence(ctx context.Context, workspace, id string) error {
	action := nightporter.Action{Name: "workspace.unsilence", Capability: nightporter.Delete, Path: "api/workspaces/" + workspace + "/silences/" + id}
	return m.cfg.Gate.Do(ctx, action, resource(workspace), func(tx *gate.Tx) error {
		tx.Detail("silence", id)
		n, err := tx.Exec(ctx, `DELETE FROM metrics_silence WHERE id = ? AND workspace = ?`, id, workspace)
		if err == nil && n == 0 {
			return nightporter.E(nightporter.NotFound, "%s has no silence %q", workspace, id)
		}
		return err
	})
}

// told is what people know of a group.
type told struct {
	key, workspace, title, service, environment string
	since, at                                   time.Time
}

// Groups are the alerts of a workspace, those that fire first.
func (m *Metrics) Groups(ctx context.Context, workspace string, now time.Time) ([]Group, error) {
	alerts, err := m.Alerts(workspace)
	if err != nil {
		return nil, err
	}
	byKey := map[string]*Group{}
	for _, a := range alerts {
		g := Group{Workspace: workspace, Name: a.Name, Service: a.Labels["service"], Environment: a.Labels["environment"], State: "pending", ActiveAt: a.ActiveAt}
		known := byKey[g.key()]
		if known == nil {
			known = &g
			byKey[g.key()] = known
		}
		if a.Firing {
			known.State = "firing"
		}
		if a.ActiveAt.Before(known.ActiveAt) {
			known.ActiveAt = a.ActiveAt
		}
		known.Summary = cmp.Or(known.Summary, a.Annotations["summary"], a.Annotations["description"])
		known.Severity = cmp.Or(known.Severity, a.Labels["severity"])
		known.Alerts = append(known.Alerts, a)
	}
	if len(byKey) == 0 {
		return []Group{}, nil
	}
	silences, err := m.Silences(ctx, workspace, now)
	if err != nil {
		return nil, err
	}
	known, err := m.told(ctx, workspace)
	if err != nil {
		return nil, err
	}
	out := make([]Group, 0, len(byKey))
	for key, g := range byKey {
		if g.Quiet, err = m.quiet(ctx, *g, silences); err != nil {
			return nil, err
		}
		g.ToldAt = known[key].at
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b Group) int {
		return cmp.Or(cmp.Compare(a.State, b.State), a.ActiveAt.Compare(b.ActiveAt), cmp.Compare(a.key(), b.key()))
	})
	return out, nil
}

// quiet says why nobody is told of a group, or "".
func (m *Metrics) quiet(ctx context.Context, g Group, silences []Silence) (string, error) {
	if g.Environment != "" && m.cfg.Dark != nil {
		dark, err := m.cfg.Dark(ctx, g.Environment)
		if err != nil && nightporter.CodeOf(err) != nightporter.NotFound {
			return "", err
		}
		if dark {
			return g.Environment + " is dark", nil
		}
	}
	for _, s := range silences {
		if !slices.ContainsFunc(g.Alerts, func(a Alert) bool { return !s.covers(a) }) {
			return s.Reason, nil
		}
	}
	return "", nil
}

func (m *Metrics) told(ctx context.Context, workspace string) (map[string]told, error) {
	out := map[string]told{}
	err := m.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		return tx.Each(ctx, `SELECT id, title, service, environment, since, told_at FROM metrics_told WHERE workspace = ?`, []any{workspace}, func(scan func(...any) error) error {
			t := told{workspace: workspace}
			var since, at int64
			if err := scan(&t.key, &t.title, &t.service, &t.environment, &since, &at); err != nil {
				return err
			}
			t.since, t.at = store.Time(since), store.Time(at)
			out[t.key] = t
			return nil
		})
	})
	return out, err
}

// tell compares what fires with what people were told, and tells the difference.
// What cannot be told now is tried again by the next look: the message keeps its
// key, so that a channel shows it once.
func (m *Metrics) tell(ctx context.Context, workspace string, now time.Time) error {
	groups, err := m.Groups(ctx, workspace, now)
	if err != nil {
		return err
	}
	known, err := m.told(ctx, workspace)
	if err != nil {
		return err
	}
	var errs []error
	for _, g := range groups {
		t, ok := known[g.key()]
		delete(known, g.key())
		if g.State != "firing" || g.Quiet != "" || ok && !t.at.IsZero() {
			continue
		}
		if !ok {
			t = told{key: g.key(), workspace: workspace, title: titleOf(g), service: g.Service, environment: g.Environment, since: g.ActiveAt}
			if err := m.note(ctx, t); err != nil {
				return err
			}
		}
		if err := m.send(ctx, t, g, now); err != nil {
			errs = append(errs, err)
			continue
		}
		t.at = now
		if err := m.note(ctx, t); err != nil {
			return err
		}
	}
	for _, t := range slices.SortedFunc(maps.Values(known), func(a, b told) int { return cmp.Compare(a.key, b.key) }) {
		if err := m.over(ctx, t, now); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func titleOf(g Group) string {
	title := g.Summary
	if title == "" {
		title = g.Name
		if g.Service != "" {
			title += ": " + g.Service
		}
		if g.Environment != "" {
			title += " in " + g.Environment
		}
	}
	if len(g.Alerts) > 1 {
		title += fmt.Sprintf(" (and %d more)", len(g.Alerts)-1)
	}
	line := []rune(strings.Join(strings.Fields(title), " "))
	return string(line[:min(len(line), notify.MaxTitle-20)])
}

// audience is the owner of a service, or the operators where nobody owns it.
func (m *Metrics) audience(service string) string {
	if m.cfg.Owned != nil && m.cfg.Owned(service) {
		return "owner"
	}
	return "operators"
}

func (m *Metrics) message(t told, state string, at time.Time) notify.Message {
	key := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, fmt.Sprintf("alert/%s/%d/%s", t.key, t.since.Unix(), state))
	msg := notify.Message{Key: key[:min(len(key), notify.MaxKey)], Title: t.title, Service: t.service, Environment: t.environment, Severity: notify.Problem, At: at}
	if m.cfg.Page != nil {
		msg.URL = m.cfg.Page(t.workspace)
	}
	return msg
}

func (m *Metrics) send(ctx context.Context, t told, g Group, now time.Time) error {
	if m.cfg.Tell == nil {
		return nil
	}
	msg := m.message(t, "fires", now)
	if g.Severity == "critical" || g.Severity == "page" {
		msg.Severity = notify.Critical
	}
	var lines []string
	for _, a := range g.Alerts {
		line := a.Annotations["description"]
		if line == "" {
			line = fmt.Sprintf("%s is %g", labelText(a.Labels), a.Value)
		}
		lines = append(lines, line)
		if len(lines) == 10 {
			break
		}
	}
	text := []rune(strings.Join(lines, "\n"))
	msg.Text = string(text[:min(len(text), notify.MaxText)])
	return m.cfg.Tell(ctx, m.audience(t.service), msg)
}

func labelText(l map[string]string) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(l)) {
		pairs = append(pairs, name+"="+l[name])
	}
	return strings.Join(pairs, " ")
}

// over says that a group does not fire any more, to those who were told that it
// did. An environment that went dark took its alerts with it, which is no news.
func (m *Metrics) over(ctx context.Context, t told, now time.Time) error {
	if !t.at.IsZero() && m.cfg.Tell != nil {
		quiet, err := m.quiet(ctx, Group{Environment: t.environment}, nil)
		if err != nil {
			return err
		}
		if quiet == "" {
			msg := m.message(t, "over", now)
			msg.Severity, msg.Title = notify.Info, "Over: "+t.title
			if err := m.cfg.Tell(ctx, m.audience(t.service), msg); err != nil {
				return err
			}
		}
	}
	return m.asPorter(ctx, "alert.over", t.workspace, func(ctx context.Context, tx *gate.Tx) error {
		tx.Detail("alert", t.key)
		_, err := tx.Exec(ctx, `DELETE FROM metrics_told WHERE id = ?`, t.key)
		return err
	})
}

// note writes down what people are told, before and after they are.
func (m *Metrics) note(ctx context.Context, t told) error {
	name := "alert.fires"
	if !t.at.IsZero() {
		name = "alert.told"
	}
	return m.asPorter(ctx, name, t.workspace, func(ctx context.Context, tx *gate.Tx) error {
		tx.Detail("alert", t.key)
		at := int64(0)
		if !t.at.IsZero() {
			at = store.Micros(t.at)
		}
		_, err := tx.Exec(ctx, `INSERT INTO metrics_told (id, workspace, title, service, environment, since, told_at) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET told_at = excluded.told_at`, t.key, t.workspace, t.title, t.service, t.environment, store.Micros(t.since), at)
		return err
	})
}

func (m *Metrics) asPorter(ctx context.Context, name, workspace string, fn func(context.Context, *gate.Tx) error) error {
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("metrics", ""))
	return m.cfg.Gate.Do(ctx, nightporter.Action{Name: name}, resource(workspace), func(tx *gate.Tx) error { return fn(ctx, tx) })
}

// Look looks once: it scrapes what is deployed from now on, and tells people of
// what fires. [Metrics.Run] does it all the time.
func (m *Metrics) Look(ctx context.Context, now time.Time) error {
	errs := []error{m.follow(ctx, now)}
	for _, name := range m.Names() {
		if ws, err := m.Get(name); err != nil || ws.Remote {
			continue
		}
		errs = append(errs, m.tell(ctx, name, now))
	}
	return errors.Join(errs...)
}
