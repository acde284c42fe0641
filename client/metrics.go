package client

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"nightporter.dev/nightporter"
)

// Workspace is an isolated store of samples with its limits.
type Workspace struct {
	Name      string          `json:"name"`
	Source    string          `json:"source"`    // file, api or builtin
	Retention string          `json:"retention"` // "15d"
	Limits    WorkspaceLimits `json:"limits"`
	CreatedAt time.Time       `json:"created_at,omitzero"`
	CreatedBy string          `json:"created_by,omitempty"`
	Remote    bool            `json:"remote,omitempty"`
	Usage     *WorkspaceUsage `json:"usage,omitempty"` // of one workspace, not of a list
}

// WorkspaceLimits bound a workspace. 0 means no limit.
type WorkspaceLimits struct {
	ActiveSeries     int    `json:"active_series"`
	SamplesPerSecond int    `json:"samples_per_second"`
	SamplesBurst     int    `json:"samples_burst"`
	Labels           int    `json:"labels"`
	LabelBytes       int    `json:"label_bytes"`
	Bytes            int64  `json:"bytes"`
	QuerySamples     int    `json:"query_samples"`
	QueryTimeout     string `json:"query_timeout"` // "2m"
	QueryConcurrency int    `json:"query_concurrency"`
}

// WorkspaceUsage is what a workspace uses now.
type WorkspaceUsage struct {
	Open             bool             `json:"open"`
	ActiveSeries     int              `json:"active_series"`
	SamplesPerSecond float64          `json:"samples_per_second"`
	Samples          uint64           `json:"samples"`
	Bytes            int64            `json:"bytes"`
	Queries          int              `json:"queries"`
	Oldest           time.Time        `json:"oldest,omitzero"`
	Refused          []RefusedSamples `json:"refused"`
	Top              []NamedCount     `json:"top"`
	TopLabels        []NamedCount     `json:"top_labels"`
}

// RefusedSamples are samples that a workspace did not take.
type RefusedSamples struct {
	Reason  string    `json:"reason"`
	Sender  string    `json:"sender"`
	Count   uint64    `json:"count"`
	Message string    `json:"message"`
	At      time.Time `json:"at"`
}

// NamedCount is a name with how many there are.
type NamedCount struct {
	Name  string `json:"name"`
	Count uint64 `json:"count"`
}

// WorkspaceChange is what may be set of a workspace: a retention such as "30d", and
// limits by their names. What is left out stays.
type WorkspaceChange struct {
	Retention string         `json:"retention,omitempty"`
	Limits    map[string]any `json:"limits,omitempty"`
}

func workspacePath(name string) string { return "/api/workspaces/" + escape(name) }

// Workspaces lists the metrics workspaces that the caller may see.
func (c *Client) Workspaces(ctx context.Context) ([]Workspace, error) {
	return all[Workspace](ctx, c, "/api/workspaces")
}

// Workspace reads one workspace with its usage.
func (c *Client) Workspace(ctx context.Context, name string) (*Workspace, error) {
	var w Workspace
	if err := c.Get(ctx, workspacePath(name), nil, &w); err != nil {
		return nil, err
	}
	return &w, nil
}

// CreateWorkspace makes a workspace.
func (c *Client) CreateWorkspace(ctx context.Context, name string, change WorkspaceChange) (*Workspace, error) {
	var w Workspace
	err := c.call(ctx, http.MethodPost, "/api/workspaces", nil, struct {
		Name string `json:"name"`
		WorkspaceChange
	}{name, change}, &w)
	if err != nil {
		return nil, err
	}
	return &w, nil
}

// ChangeWorkspace changes retention and limits at once.
func (c *Client) ChangeWorkspace(ctx context.Context, name string, change WorkspaceChange) (*Workspace, error) {
	var w Workspace
	if err := c.call(ctx, http.MethodPut, workspacePath(name), nil, change, &w); err != nil {
		return nil, err
	}
	return &w, nil
}

// DeleteWorkspace deletes a workspace with its samples.
func (c *Client) DeleteWorkspace(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, workspacePath(name), nil, nil, nil)
}

// MetricSeries is what a query answers with.
type MetricSeries struct {
	Labels map[string]string `json:"labels"`
	Points []MetricPoint     `json:"points"`
}

// MetricPoint is one value. JSON has it as text where it is no number: "NaN",
// "+Inf".
type MetricPoint struct {
	At    time.Time
	Value float64
}

// MarshalJSON writes {"at": …, "value": …}.
func (p MetricPoint) MarshalJSON() ([]byte, error) {
	var value any = p.Value
	if math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
		value = strconv.FormatFloat(p.Value, 'f', -1, 64)
	}
	return json.Marshal(struct {
		At    time.Time `json:"at"`
		Value any       `json:"value"`
	}{p.At, value})
}

// QueryMetrics evaluates a PromQL expression in a workspace at one time; zero is
// now.
func (c *Client) QueryMetrics(ctx context.Context, workspace, expr string, at time.Time) ([]MetricSeries, error) {
	q := url.Values{"query": {expr}}
	if !at.IsZero() {
		q.Set("time", seconds(at))
	}
	return c.promql(ctx, workspace, "query", q)
}

// QueryMetricsRange evaluates it at every step of a range.
func (c *Client) QueryMetricsRange(ctx context.Context, workspace, expr string, start, end time.Time, step time.Duration) ([]MetricSeries, error) {
	return c.promql(ctx, workspace, "query_range", url.Values{
		"query": {expr}, "start": {seconds(start)}, "end": {seconds(end)}, "step": {strconv.FormatFloat(step.Seconds(), 'f', -1, 64)},
	})
}

func seconds(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', -1, 64)
}

// promql asks Prometheus's own API, whose answers differ from ours.
func (c *Client) promql(ctx context.Context, workspace, what string, q url.Values) ([]MetricSeries, error) {
	var answer struct {
		Data struct {
			Type   string          `json:"resultType"`
			Result json.RawMessage `json:"result"`
		} `json:"data"`
	}
	if err := c.Get(ctx, "/workspaces/"+escape(workspace)+"/api/v1/"+what, q, &answer); err != nil {
		return nil, err
	}
	if answer.Data.Type == "scalar" || answer.Data.Type == "string" {
		var p rawPoint
		if err := json.Unmarshal(answer.Data.Result, &p); err != nil {
			return nil, unreadable(err)
		}
		point, err := p.point()
		return []MetricSeries{{Labels: map[string]string{}, Points: []MetricPoint{point}}}, err
	}
	var list []struct {
		Metric map[string]string `json:"metric"`
		Value  *rawPoint         `json:"value"`
		Values []rawPoint        `json:"values"`
	}
	if err := json.Unmarshal(answer.Data.Result, &list); err != nil {
		return nil, unreadable(err)
	}
	out := make([]MetricSeries, 0, len(list))
	for _, s := range list {
		if s.Value != nil {
			s.Values = []rawPoint{*s.Value}
		}
		series := MetricSeries{Labels: s.Metric, Points: make([]MetricPoint, 0, len(s.Values))}
		for _, raw := range s.Values {
			p, err := raw.point()
			if err != nil {
				return nil, err
			}
			series.Points = append(series.Points, p)
		}
		out = append(out, series)
	}
	return out, nil
}

func unreadable(err error) error {
	return nightporter.Wrap(err, nightporter.Internal, "the answer to the query cannot be read")
}

// rawPoint is Prometheus's [seconds, "value"].
type rawPoint [2]json.RawMessage

func (p rawPoint) point() (MetricPoint, error) {
	var at float64
	var text string
	if err := json.Unmarshal(p[0], &at); err != nil {
		return MetricPoint{}, unreadable(err)
	}
	if err := json.Unmarshal(p[1], &text); err != nil {
		return MetricPoint{}, unreadable(err)
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return MetricPoint{}, unreadable(fmt.Errorf("value %q: %w", text, err))
	}
	return MetricPoint{time.UnixMilli(int64(math.Round(at * 1000))).UTC(), v}, nil
}

// RuleFile is a file of recording and alerting rules in Prometheus's YAML.
type RuleFile struct {
	Name      string    `json:"name"`
	Text      string    `json:"text"`
	Rules     int       `json:"rules"`
	Source    string    `json:"source"` // api, or builtin for the platform's own
	ChangedAt time.Time `json:"changed_at,omitzero"`
	ChangedBy string    `json:"changed_by,omitempty"`
}

// AlertGroup is the alerts of one name for one service in one environment.
type AlertGroup struct {
	Workspace   string    `json:"workspace"`
	Name        string    `json:"name"`
	Service     string    `json:"service,omitempty"`
	Environment string    `json:"environment,omitempty"`
	State       string    `json:"state"` // pending or firing
	ActiveAt    time.Time `json:"active_at"`
	Summary     string    `json:"summary,omitempty"`
	Severity    string    `json:"severity,omitempty"`
	// Quiet says why nobody is told: an environment is dark, or a silence's reason.
	Quiet  string    `json:"quiet,omitempty"`
	ToldAt time.Time `json:"told_at,omitzero"`
}

// Silence keeps alerts quiet until it ends.
type Silence struct {
	ID        string            `json:"id"`
	Match     map[string]string `json:"match"`
	Until     time.Time         `json:"until"`
	Reason    string            `json:"reason"`
	Person    string            `json:"person"`
	CreatedAt time.Time         `json:"created_at"`
}

// Rules lists the files of rules of a workspace.
func (c *Client) Rules(ctx context.Context, workspace string) ([]RuleFile, error) {
	return all[RuleFile](ctx, c, workspacePath(workspace)+"/rules")
}

// SaveRules writes a file of rules. Its error is invalid when they do not parse.
func (c *Client) SaveRules(ctx context.Context, workspace, file, text string) (*RuleFile, error) {
	var out RuleFile
	err := c.call(ctx, http.MethodPut, workspacePath(workspace)+"/rules/"+escape(file), nil, map[string]string{"text": text}, &out)
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// DeleteRules removes a file of rules.
func (c *Client) DeleteRules(ctx context.Context, workspace, file string) error {
	return c.call(ctx, http.MethodDelete, workspacePath(workspace)+"/rules/"+escape(file), nil, nil, nil)
}

// Alerts lists the alerts of a workspace that are pending or fire.
func (c *Client) Alerts(ctx context.Context, workspace string) ([]AlertGroup, error) {
	return all[AlertGroup](ctx, c, workspacePath(workspace)+"/alerts")
}

// Silence keeps alerts with these labels quiet for a time such as "2h".
func (c *Client) Silence(ctx context.Context, workspace string, match map[string]string, lasts, reason string) (*Silence, error) {
	var out Silence
	err := c.call(ctx, http.MethodPost, workspacePath(workspace)+"/silences", nil, map[string]any{"match": match, "for": lasts, "reason": reason}, &out)
	if err != nil {
		return nil, err
	}
	return &out, nil
}
