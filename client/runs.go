package client

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"nightporter.dev/nightporter"
)

// Run is work of many steps as it stands.
type Run struct {
	ID      string               `json:"id"`
	Kind    string               `json:"kind"`
	Subject nightporter.Resource `json:"subject"`
	// State is queued, running, waiting, paused, succeeded, failed or
	// cancelled.
	State      string    `json:"state"`
	Message    string    `json:"message,omitempty"`
	Cause      string    `json:"cause,omitempty"`
	RequestID  string    `json:"request_id,omitempty"`
	CreatedAt  time.Time `json:"created_at"`
	StartedAt  time.Time `json:"started_at,omitzero"`
	FinishedAt time.Time `json:"finished_at,omitzero"`
	Steps      []Step    `json:"steps"`
}

// Step is one step of a run.
type Step struct {
	N     int      `json:"n"`
	Name  string   `json:"name"` // "deploy dev"
	Kind  string   `json:"kind"` // "release.deploy"
	After []string `json:"after,omitempty"`
	// State is pending, starting, running, waiting, succeeded, failed,
	// cancelled or skipped.
	State      string          `json:"state"`
	Attempts   int             `json:"attempts"` // how many were made
	Message    string          `json:"message,omitempty"`
	Lines      []string        `json:"lines,omitempty"` // last output
	Output     json.RawMessage `json:"output,omitempty"`
	NotBefore  time.Time       `json:"not_before,omitzero"`
	StartedAt  time.Time       `json:"started_at,omitzero"`
	FinishedAt time.Time       `json:"finished_at,omitzero"`
	// Expected is how long it usually takes; 0 when nobody knows.
	Expected Duration `json:"expected,omitzero"`
}

// Over says that nothing more will happen.
func (r *Run) Over() bool { return over(r.State) }

// Over says that nothing more will happen to the step.
func (s *Step) Over() bool { return over(s.State) }

func over(state string) bool {
	switch state {
	case "succeeded", "failed", "cancelled", "skipped":
		return true
	}
	return false
}

// Duration is a time.Duration that is "1h30m" in JSON.
type Duration time.Duration

// MarshalText writes "1h30m0s".
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(b []byte) error {
	parsed, err := time.ParseDuration(string(b))
	*d = Duration(parsed)
	return err
}

// Run reads a run with its steps.
func (c *Client) Run(ctx context.Context, id string) (*Run, error) {
	var r Run
	if err := c.Get(ctx, "/api/runs/"+escape(id), nil, &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// CancelRun ends a run at its next step boundary.
func (c *Client) CancelRun(ctx context.Context, id, reason string) error {
	return c.call(ctx, http.MethodPost, "/api/runs/"+escape(id)+"/cancel", nil, struct {
		Reason string `json:"reason"`
	}{reason}, nil)
}
