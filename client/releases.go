package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"

	"nightporter.dev/nightporter"
)

// BoardRow is one service on the board.
type BoardRow struct {
	Service      string           `json:"service"`
	Owner        string           `json:"owner"`
	Repo         nightporter.Repo `json:"repo"`
	Environments map[string]Cell  `json:"environments"`
	Production   Production       `json:"production"`
	// Release is the newest release that is not over, or that ended badly.
	Release *Release `json:"release,omitempty"`
	Hold    *Hold    `json:"hold,omitempty"`
}

// Cell is what one environment runs of a service.
type Cell struct {
	Version string `json:"version,omitempty"`
	Commit  string `json:"commit,omitempty"`
	// State is none, healthy, deploying, waiting, held, rolled_back, failed or
	// unknown.
	State   string    `json:"state"`
	Since   time.Time `json:"since,omitzero"`
	Release string    `json:"release,omitempty"`
	// Frozen is set while no deployment to the environment starts.
	Frozen   *Freeze               `json:"frozen,omitempty"`
	Evidence *nightporter.Evidence `json:"evidence,omitempty"`
}

// Production says how far production is behind main.
type Production struct {
	Behind           int       `json:"behind"` // merges
	OldestUnreleased time.Time `json:"oldest_unreleased,omitzero"`
	Changes          []Change  `json:"changes"` // the first of them, oldest first
	Released         bool      `json:"released"`
}

// Change is one merge.
type Change struct {
	Commit      string    `json:"commit"`
	PullRequest int       `json:"pull_request,omitempty"`
	Title       string    `json:"title"`
	URL         string    `json:"url,omitempty"`
	Authors     []string  `json:"authors,omitempty"`
	Version     string    `json:"version,omitempty"`
	MergedAt    time.Time `json:"merged_at"`
}

// Hold is somebody's reason why a service does not go on to production now.
type Hold struct {
	Service string    `json:"service"`
	Reason  string    `json:"reason"`
	Person  string    `json:"person"`
	At      time.Time `json:"at"`
}

// Release is one version of one service on its way.
type Release struct {
	ID      string           `json:"id"`
	Service string           `json:"service"`
	Repo    nightporter.Repo `json:"repo"`
	Version string           `json:"version"`
	Commit  string           `json:"commit"`
	Place   int64            `json:"place"`
	Kind    string           `json:"kind"` // merge, promote, rollback
	// Target is the one environment of a promotion or rollback; "" means the
	// whole pipeline.
	Target string `json:"target,omitempty"`
	// State is building, waiting_for_artifact, deploying, waiting, held, healthy, rolled_back,
	// failed, rejected, superseded or cancelled.
	State     string    `json:"state"`
	Message   string    `json:"message,omitempty"`
	Bad       string    `json:"bad,omitempty"` // why the version is marked bad
	Run       string    `json:"run"`
	Cause     string    `json:"cause,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// ReleaseDetail is a release with everything that a person who decides about it
// wants to see.
type ReleaseDetail struct {
	Release
	WaitsFor     string      `json:"waits_for,omitempty"` // an environment
	WaitingSince time.Time   `json:"waiting_since,omitzero"`
	Approvers    []string    `json:"approvers,omitempty"`
	Votes        []Vote      `json:"votes"`
	Changes      []Change    `json:"changes"`
	Work         *Run        `json:"work,omitempty"`
	Environments []Placement `json:"environments"`
	// Freezes are in force in environments that it still has to enter.
	Freezes []Freeze `json:"freezes,omitempty"`
	// Overrides say why it may pass a freeze.
	Overrides []FreezeOverride `json:"overrides,omitempty"`
}

// Freeze is a reason why no deployment to an environment starts until a time.
type Freeze struct {
	Environment string    `json:"environment"`
	From        time.Time `json:"from"`
	Until       time.Time `json:"until"`
	Reason      string    `json:"reason"`
	Person      string    `json:"person,omitempty"` // "" for one of the configuration
	Source      string    `json:"source"`           // api or file
	// InForce is false for one of the configuration that has not begun.
	InForce bool `json:"in_force"`
}

// FreezeOverride is somebody's reason to deploy although an environment is frozen.
type FreezeOverride struct {
	Environment string    `json:"environment"`
	Reason      string    `json:"reason"`
	Person      string    `json:"person"`
	At          time.Time `json:"at"`
}

// Vote is one person's word on a release.
type Vote struct {
	Person   string    `json:"person"`
	Approved bool      `json:"approved"`
	Comment  string    `json:"comment,omitempty"`
	At       time.Time `json:"at"`
}

// Placement is what one environment runs of a service, as it was last seen.
type Placement struct {
	Service     string               `json:"service"`
	Environment string               `json:"environment"`
	Version     string               `json:"version"`
	Commit      string               `json:"commit"`
	Release     string               `json:"release"`
	Address     string               `json:"address,omitempty"`
	Since       time.Time            `json:"since"`
	Evidence    nightporter.Evidence `json:"evidence"`
}

// Accepted answers a verb on a release. Run is the work to follow; it is empty
// when the verb only let a run go on.
type Accepted struct {
	Release string `json:"release"`
	Run     string `json:"run,omitempty"`
}

// Board reads what runs where and how far production is behind.
func (c *Client) Board(ctx context.Context) ([]BoardRow, error) {
	return all[BoardRow](ctx, c, "/api/board")
}

// ReleaseFilter says which releases to list. Empty fields match everything.
type ReleaseFilter struct {
	Service string
	State   string
	// PageSize is how many to ask for at once; 0 means as many as possible.
	PageSize int
}

// Releases lists releases, newest first.
func (c *Client) Releases(ctx context.Context, f ReleaseFilter) iter.Seq2[Release, error] {
	q := url.Values{}
	set(q, "service", f.Service)
	set(q, "state", f.State)
	return pages[Release](ctx, c, "/api/releases", q, f.PageSize)
}

// Release reads one release in full.
func (c *Client) Release(ctx context.Context, id string) (*ReleaseDetail, error) {
	var d ReleaseDetail
	if err := c.Get(ctx, "/api/releases/"+escape(id), nil, &d); err != nil {
		return nil, err
	}
	return &d, nil
}

type verbBody struct {
	Comment     string `json:"comment,omitempty"`
	Environment string `json:"environment,omitempty"`
	// OverrideFreeze is set from the context, for the verbs that deploy.
	OverrideFreeze string `json:"override_freeze,omitempty"`
}

type overrideKey struct{}

// WithFreezeOverride makes Approve, Retry, Promote and Deploy pass a freeze, for a
// reason. It needs a policy of its own.
func WithFreezeOverride(ctx context.Context, reason string) context.Context {
	return context.WithValue(ctx, overrideKey{}, reason)
}

func freezeOverride(ctx context.Context) string {
	reason, _ := ctx.Value(overrideKey{}).(string)
	return reason
}

func (c *Client) verb(ctx context.Context, id, verb string, body verbBody) (Accepted, error) {
	var out Accepted
	switch verb {
	case "approve", "retry", "promote":
		body.OverrideFreeze = freezeOverride(ctx)
	}
	err := c.call(ctx, http.MethodPost, "/api/releases/"+escape(id)+"/"+verb, nil, body, &out)
	return out, err
}

// Approve says yes to the environment that a release waits for. Errors: conflict
// when it does not wait; denied or own_change when it is not for this person to
// decide.
func (c *Client) Approve(ctx context.Context, id, comment string) (Accepted, error) {
	return c.verb(ctx, id, "approve", verbBody{Comment: comment})
}

// Reject says no: the release ends.
func (c *Client) Reject(ctx context.Context, id, comment string) (Accepted, error) {
	return c.verb(ctx, id, "reject", verbBody{Comment: comment})
}

// Retry deploys the same version again.
func (c *Client) Retry(ctx context.Context, id string) (Accepted, error) {
	return c.verb(ctx, id, "retry", verbBody{})
}

// Rollback brings back what ran before in an environment; "" is the one that the
// server finds meant, usually production.
func (c *Client) Rollback(ctx context.Context, id, environment, reason string) (Accepted, error) {
	return c.verb(ctx, id, "rollback", verbBody{Comment: reason, Environment: environment})
}

// Promote brings a release's version into an environment.
func (c *Client) Promote(ctx context.Context, id, environment string) (Accepted, error) {
	return c.verb(ctx, id, "promote", verbBody{Environment: environment})
}

// Deploy brings a version of a service into an environment, as a new release.
func (c *Client) Deploy(ctx context.Context, service, version, environment string) (*Release, error) {
	var out Release
	err := c.call(ctx, http.MethodPost, "/api/services/"+escape(service)+"/deploy", nil, struct {
		Version     string `json:"version"`
		Environment string `json:"environment"`
		Override    string `json:"override_freeze,omitempty"`
	}{version, environment, freezeOverride(ctx)}, &out)
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// Hold keeps a service's releases before production until Unhold.
func (c *Client) Hold(ctx context.Context, service, reason string) error {
	return c.call(ctx, http.MethodPut, "/api/services/"+escape(service)+"/hold", nil, struct {
		Reason string `json:"reason"`
	}{reason}, nil)
}

// Unhold lets a service's releases go on.
func (c *Client) Unhold(ctx context.Context, service string) error {
	return c.call(ctx, http.MethodDelete, "/api/services/"+escape(service)+"/hold", nil, nil, nil)
}

// Freezes lists the freezes in force, and those that the configuration has for
// later.
func (c *Client) Freezes(ctx context.Context) ([]Freeze, error) {
	return all[Freeze](ctx, c, "/api/freezes")
}

// Freeze lets no deployment to an environment start until a time.
func (c *Client) Freeze(ctx context.Context, environment string, until time.Time, reason string) error {
	return c.call(ctx, http.MethodPut, "/api/freezes/"+escape(environment), nil, struct {
		Until  time.Time `json:"until"`
		Reason string    `json:"reason"`
	}{until.UTC(), reason}, nil)
}

// Unfreeze ends a freeze.
func (c *Client) Unfreeze(ctx context.Context, environment string) error {
	return c.call(ctx, http.MethodDelete, "/api/freezes/"+escape(environment), nil, nil, nil)
}
