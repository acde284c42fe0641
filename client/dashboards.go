package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Dashboard is a dashboard of a workspace.
type Dashboard struct {
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
	Version int64     `json:"version,omitempty"`
	SavedAt time.Time `json:"saved_at,omitzero"`
	SavedBy string    `json:"saved_by,omitempty"`
}

// DashboardDetail is a dashboard with its report.
type DashboardDetail struct {
	Dashboard
	Description string           `json:"description,omitempty"`
	Variables   []string         `json:"variables,omitempty"`
	Issues      []DashboardIssue `json:"issues"`
}

// DashboardIssue is one thing that is not drawn as Grafana would draw it.
type DashboardIssue struct {
	Panel    string `json:"panel,omitempty"`
	Title    string `json:"title,omitempty"`
	Severity string `json:"severity"` // missing or changed
	Feature  string `json:"feature"`
	Message  string `json:"message"`
}

// DashboardImport says how a dashboard is taken in.
type DashboardImport struct {
	UID     string // "" means the file's own
	Replace bool   // as a new version of one that is there
	DryRun  bool   // the report alone
}

func dashboardPath(workspace, uid string) string {
	return workspacePath(workspace) + "/dashboards/" + escape(uid)
}

// Dashboards lists the dashboards of a workspace.
func (c *Client) Dashboards(ctx context.Context, workspace string) ([]Dashboard, error) {
	return all[Dashboard](ctx, c, workspacePath(workspace)+"/dashboards")
}

// Dashboard reads what a dashboard holds, and what of it cannot be drawn.
func (c *Client) Dashboard(ctx context.Context, workspace, uid string) (*DashboardDetail, error) {
	var d DashboardDetail
	if err := c.Get(ctx, dashboardPath(workspace, uid), nil, &d); err != nil {
		return nil, err
	}
	return &d, nil
}

// ImportDashboard stores Grafana's JSON as it is.
func (c *Client) ImportDashboard(ctx context.Context, workspace string, raw []byte, how DashboardImport) (*DashboardDetail, error) {
	q := url.Values{}
	if how.UID != "" {
		q.Set("uid", how.UID)
	}
	if how.Replace {
		q.Set("replace", "true")
	}
	if how.DryRun {
		q.Set("dry_run", "true")
	}
	var d DashboardDetail
	if err := c.call(ctx, http.MethodPost, workspacePath(workspace)+"/dashboards", q, verbatim(raw), &d); err != nil {
		return nil, err
	}
	return &d, nil
}

// ExportDashboard reads a dashboard's JSON byte for byte; version 0 is the newest.
func (c *Client) ExportDashboard(ctx context.Context, workspace, uid string, version int64) ([]byte, error) {
	q := url.Values{}
	if version > 0 {
		q.Set("version", strconv.FormatInt(version, 10))
	}
	resp, err := c.send(ctx, request{method: http.MethodGet, path: dashboardPath(workspace, uid) + "/export", query: q, accept: "application/json"})
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the dashboard %s: %w", uid, err)
	}
	return raw, nil
}

// DeleteDashboard deletes a dashboard and its versions.
func (c *Client) DeleteDashboard(ctx context.Context, workspace, uid string) error {
	return c.call(ctx, http.MethodDelete, dashboardPath(workspace, uid), nil, nil, nil)
}
