package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"nightporter.dev/nightporter"
)

// Environment is an environment of the configuration in one line of a list. What
// nobody manages has no state.
type Environment struct {
	Name string                      `json:"name"`
	Kind nightporter.EnvironmentKind `json:"kind"`
	// Managed says that Nightporter builds it and tears it down.
	Managed bool `json:"managed,omitempty"`
	// State is unknown, up, closing, down, building, verifying or partial.
	State   string `json:"state,omitempty"`
	Message string `json:"message,omitempty"`
	// Since is by the schedules' clock, ObservedAt real.
	Since      time.Time `json:"since,omitzero"`
	ObservedAt time.Time `json:"observed_at,omitzero"`
	Run        string    `json:"run,omitempty"` // the active one
	Commit     string    `json:"commit,omitempty"`
	Schedule   string    `json:"schedule,omitempty"` // "" for always on
	Timezone   string    `json:"timezone,omitempty"`
	// Desired is what it should be now, on or off, and Because why.
	Desired string `json:"desired,omitempty"`
	Because string `json:"because,omitempty"`
	Next    *Edge  `json:"next,omitempty"` // the next change
	// Override is the wish that counts now.
	Override *Override `json:"override,omitempty"`
	Source   string    `json:"source,omitempty"`
}

// Edge is a change that a schedule will bring.
type Edge struct {
	At    time.Time `json:"at"`
	State string    `json:"state"` // on or off
	// StartsAt is when the rebuild begins, so that all is ready at the edge.
	StartsAt time.Time `json:"starts_at,omitzero"`
}

// Override is somebody's wish to have an environment on or off for a while.
type Override struct {
	ID     string    `json:"id"`
	State  string    `json:"state"` // on or off
	From   time.Time `json:"from"`
	Until  time.Time `json:"until"`
	SetAt  time.Time `json:"set_at"`
	Reason string    `json:"reason"`
	Person string    `json:"person"`
}

// EnvironmentDetail is an environment in full.
type EnvironmentDetail struct {
	Environment
	GoodCommit string     `json:"good_commit,omitempty"` // what last came up well
	Repo       string     `json:"repo,omitempty"`
	Ref        string     `json:"ref,omitempty"`
	Dir        string     `json:"dir,omitempty"`
	Edges      []Edge     `json:"edges"`
	Overrides  []Override `json:"overrides"`
	Recovery   Recovery   `json:"recovery"`
	Drills     []Drill    `json:"drills"` // newest first
	Failures   int        `json:"failures,omitempty"`
	// NotBefore is when it is tried again by itself, in real time.
	NotBefore time.Time `json:"not_before,omitzero"`
	// RehearsedAt is when its first night showed what it would do; SparedUntil
	// is when that night ends.
	RehearsedAt time.Time `json:"rehearsed_at,omitzero"`
	SparedUntil time.Time `json:"spared_until,omitzero"`
	Work        *Run      `json:"work,omitempty"` // the active run
	// Drillable says that it can be built beside itself, and Drilling is the
	// run that does.
	Drillable bool `json:"drillable,omitempty"`
	Drilling  *Run `json:"drilling,omitempty"`
}

// Recovery is how long an environment takes to come back, of its last rebuilds.
type Recovery struct {
	Drills       int       `json:"drills"`
	Passed       int       `json:"passed"`
	P50          string    `json:"p50,omitempty"`
	P95          string    `json:"p95,omitempty"`
	Budget       string    `json:"budget,omitempty"`
	LastPassedAt time.Time `json:"last_passed_at,omitzero"`
}

// Drill is one rebuild.
type Drill struct {
	Run          string      `json:"run"`
	Environment  string      `json:"environment"`
	Passed       bool        `json:"passed"`
	Commit       string      `json:"commit,omitempty"`
	FellBackFrom string      `json:"fell_back_from,omitempty"` // the commit that could not be built
	Reason       string      `json:"reason,omitempty"`
	Failure      string      `json:"failure,omitempty"`
	Step         string      `json:"step,omitempty"` // where it stopped
	Lines        []string    `json:"lines,omitempty"`
	Steps        []DrillStep `json:"steps"`
	StartedAt    time.Time   `json:"started_at"`
	FinishedAt   time.Time   `json:"finished_at"`
	// Scratch is the name that it was built under beside the environment
	// itself; "" for a rebuild of the environment.
	Scratch string `json:"scratch,omitempty"`
}

// DrillStep is how long one step of a rebuild took.
type DrillStep struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	State   string  `json:"state"`
	// Lines are what proved it, for the step that probes: who answered what.
	Lines []string `json:"lines,omitempty"`
}

// Night is a run of an environment, with the drill that it was, if any.
type Night struct {
	Run
	Drill *Drill `json:"drill,omitempty"`
}

// Savings is what the dark hours of an environment spared. Hours are observed,
// not read off the schedule.
type Savings struct {
	Environment    string        `json:"environment"`
	From           time.Time     `json:"from"`
	To             time.Time     `json:"to"`
	Hours          float64       `json:"hours"` // dark
	Nights         int           `json:"nights"`
	ScheduledHours float64       `json:"scheduled_hours"`
	Currency       string        `json:"currency,omitempty"` // "" without a price list
	AtListPrice    float64       `json:"usage_avoided_at_list_price"`
	Cash           float64       `json:"estimated_cash"` // less what commitments pay for anyway
	Items          []SavingsItem `json:"items"`
	Priced         int           `json:"priced"` // of Resources
	Resources      int           `json:"resources"`
	Notes          []string      `json:"notes"`
}

// SavingsItem is one key of the price list.
type SavingsItem struct {
	Key         string  `json:"key"`
	UnitHours   float64 `json:"unit_hours"`
	AtListPrice float64 `json:"usage_avoided_at_list_price"`
	Cash        float64 `json:"estimated_cash"`
	Source      string  `json:"source,omitempty"` // of the price; "" for an unknown one
	AsOf        string  `json:"as_of,omitempty"`
}

// Press is what may be said when an environment is brought up or down by hand.
// All of it may be left out.
type Press struct {
	// Until is when the schedule decides again: an instant, or a time of day in
	// the environment's zone ("23:00"). For says how long instead: "2h".
	Until  string `json:"until,omitempty"`
	For    string `json:"for,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Destroy allows a tear-down of so many resources, once.
	Destroy int `json:"destroy,omitempty"`
}

// Keep is a wish to have an environment on, or off, for a while.
type Keep struct {
	Until  string `json:"until,omitempty"` // as in [Press]; this or For
	For    string `json:"for,omitempty"`
	State  string `json:"state,omitempty"` // on, which is the default, or off
	Reason string `json:"reason"`
}

// Environments lists the environments, by name.
func (c *Client) Environments(ctx context.Context) ([]Environment, error) {
	return all[Environment](ctx, c, "/api/environments")
}

func environmentPath(name, rest string) string { return "/api/environments/" + escape(name) + rest }

// Environment reads one environment in full.
func (c *Client) Environment(ctx context.Context, name string) (*EnvironmentDetail, error) {
	var d EnvironmentDetail
	if err := c.Get(ctx, environmentPath(name, ""), nil, &d); err != nil {
		return nil, err
	}
	return &d, nil
}

// Schedule lists an environment's next changes after an instant; the zero time is
// the server's now, and 0 is the server's choice of how many.
func (c *Client) Schedule(ctx context.Context, name string, after time.Time, count int) ([]Edge, error) {
	q := url.Values{}
	setTime(q, "after", after)
	if count > 0 {
		q.Set("count", strconv.Itoa(count))
	}
	var page list[Edge]
	if err := c.Get(ctx, environmentPath(name, "/schedule"), q, &page); err != nil {
		return nil, err
	}
	return page.Items, nil
}

// Nights lists the last runs of an environment, newest first, 50 at most.
func (c *Client) Nights(ctx context.Context, name string, limit int) ([]Night, error) {
	q := url.Values{}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	var page list[Night]
	if err := c.Get(ctx, environmentPath(name, "/runs"), q, &page); err != nil {
		return nil, err
	}
	return page.Items, nil
}

// Savings reads what dark hours spared between two instants of the schedules'
// clock; zero times are the last 30 days.
func (c *Client) Savings(ctx context.Context, name string, from, to time.Time) (*Savings, error) {
	q := url.Values{}
	setTime(q, "from", from)
	setTime(q, "to", to)
	var s Savings
	if err := c.Get(ctx, environmentPath(name, "/savings"), q, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// Up brings an environment up now and returns the run to follow. Errors:
// protected for production.
func (c *Client) Up(ctx context.Context, name string, p Press) (run string, err error) {
	return c.press(ctx, name, "/up", p)
}

// Down tears an environment down now and returns the run to follow. Errors:
// conflict when it is down; protected for production.
func (c *Client) Down(ctx context.Context, name string, p Press) (run string, err error) {
	return c.press(ctx, name, "/down", p)
}

// Drill builds an environment beside itself under another name and clears it away
// again; of is head or good, and "" means head. It returns the run to follow.
// Errors: invalid where that cannot be done; conflict while it is being done.
func (c *Client) Drill(ctx context.Context, name, of string) (run string, err error) {
	var out struct {
		Run string `json:"run"`
	}
	err = c.call(ctx, http.MethodPost, environmentPath(name, "/drill"), nil, map[string]string{"of": of}, &out)
	return out.Run, err
}

func (c *Client) press(ctx context.Context, name, verb string, p Press) (string, error) {
	var out struct {
		Run string `json:"run"`
	}
	err := c.call(ctx, http.MethodPost, environmentPath(name, verb), nil, p, &out)
	return out.Run, err
}

// Keep lets a wish go before the schedule until it ends.
func (c *Client) Keep(ctx context.Context, name string, k Keep) (*Override, error) {
	var o Override
	if err := c.call(ctx, http.MethodPut, environmentPath(name, "/keep"), nil, k, &o); err != nil {
		return nil, err
	}
	return &o, nil
}

// Unkeep takes every wish about an environment back.
func (c *Client) Unkeep(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, environmentPath(name, "/keep"), nil, nil, nil)
}

func setTime(q url.Values, key string, t time.Time) {
	if !t.IsZero() {
		q.Set(key, t.UTC().Format(time.RFC3339))
	}
}
