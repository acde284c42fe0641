package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Dora is how a service was delivered in a window: DORA's five metrics, and the
// rows that they were computed from.
type Dora struct {
	Service             string       `json:"service"`
	From                time.Time    `json:"from"`
	To                  time.Time    `json:"to"`
	DeploymentFrequency Figure       `json:"deployment_frequency"`
	ChangeLeadTime      Figure       `json:"change_lead_time"`
	ChangeFailRate      Figure       `json:"change_fail_rate"`
	RecoveryTime        Figure       `json:"failed_deployment_recovery_time"`
	ReworkRate          Figure       `json:"deployment_rework_rate"`
	Deployments         []Deployment `json:"deployments"`
	Before              []Deployment `json:"before"` // the last ones before the window
	Changes             []LeadChange `json:"changes"`
	Incidents           []Incident   `json:"incidents"`
}

// Figure is one metric with everything that it was computed from.
type Figure struct {
	Factor     string `json:"factor"` // throughput or instability
	Definition string `json:"definition"`
	Unit       string `json:"unit"` // per_day, seconds or ratio
	// Value is nil when there is nothing to compute it from. For times it is
	// the median.
	Value       *float64          `json:"value"`
	P90         *float64          `json:"p90,omitempty"`
	Numerator   float64           `json:"numerator"`
	Denominator float64           `json:"denominator"`
	Rows        []string          `json:"rows"` // ids of deployments; commits for the lead time
	Also        map[string]Spread `json:"also,omitempty"`
}

// Spread is the middle and the long end of some times, in seconds.
type Spread struct {
	Median *float64 `json:"median"`
	P90    *float64 `json:"p90"`
	Count  int      `json:"count"`
}

// Deployment is one attempt to bring a version of a service to production.
type Deployment struct {
	ID          string    `json:"id"`
	Environment string    `json:"environment"`
	Release     string    `json:"release"`
	Version     string    `json:"version"`
	Commit      string    `json:"commit"`
	Kind        string    `json:"kind"` // merge, promote or rollback
	Healthy     bool      `json:"healthy"`
	Hotfix      bool      `json:"hotfix"`
	Message     string    `json:"message,omitempty"`
	FinishedAt  time.Time `json:"finished_at"`
}

// LeadChange is one merge that a deployment brought to production.
type LeadChange struct {
	Deployment    string    `json:"deployment"`
	Repo          string    `json:"repo"`
	Commit        string    `json:"commit"`
	PullRequest   int64     `json:"pull_request,omitempty"`
	FirstCommitAt time.Time `json:"first_commit_at,omitzero"`
	CommittedAt   time.Time `json:"committed_at,omitzero"`
	MergedAt      time.Time `json:"merged_at,omitzero"`
	FinishedAt    time.Time `json:"finished_at"`
}

// Incident is a time in which a service did not do what it should in production.
type Incident struct {
	ID          string    `json:"id"`
	Service     string    `json:"service"`
	Environment string    `json:"environment,omitempty"`
	Deployment  string    `json:"deployment,omitempty"` // that caused it
	Cause       string    `json:"cause"`                // unhealthy, rollback or person
	Title       string    `json:"title"`
	OpenedBy    string    `json:"opened_by,omitempty"`
	ClosedBy    string    `json:"closed_by,omitempty"`
	OpenedAt    time.Time `json:"opened_at"`
	ClosedAt    time.Time `json:"closed_at,omitzero"`
}

func servicePath(name string) string { return "/api/services/" + escape(name) }

// Dora reads how a service was delivered. window is written "30d"; "" is that.
func (c *Client) Dora(ctx context.Context, service, window string) (*Dora, error) {
	q := url.Values{}
	set(q, "window", window)
	var d Dora
	if err := c.Get(ctx, servicePath(service)+"/dora", q, &d); err != nil {
		return nil, err
	}
	return &d, nil
}

// Incidents lists the incidents of a service, newest first.
func (c *Client) Incidents(ctx context.Context, service string, size int) iter.Seq2[Incident, error] {
	return pages[Incident](ctx, c, servicePath(service)+"/incidents", url.Values{}, size)
}

// OpenIncident says that a service does not do what it should in production.
// deployment is the id of the deployment or release that caused it; "" is the
// newest one, "none" none.
func (c *Client) OpenIncident(ctx context.Context, service, title, deployment string) (*Incident, error) {
	var i Incident
	err := c.call(ctx, http.MethodPost, servicePath(service)+"/incidents", nil, struct {
		Title      string `json:"title"`
		Deployment string `json:"deployment,omitempty"`
	}{title, deployment}, &i)
	if err != nil {
		return nil, err
	}
	return &i, nil
}

// CloseIncident says that the service does what it should again.
func (c *Client) CloseIncident(ctx context.Context, service, id string) (*Incident, error) {
	var i Incident
	if err := c.call(ctx, http.MethodPost, servicePath(service)+"/incidents/"+escape(id)+"/close", nil, nil, &i); err != nil {
		return nil, err
	}
	return &i, nil
}
