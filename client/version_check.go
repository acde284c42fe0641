package client

import (
	"context"
	"net/http"

	"nightporter.dev/nightporter"
)

// PullToCheck is a pull request to judge: by its Number, which the forge is asked
// about, or by what it says.
type PullToCheck struct {
	Number int      `json:"number,omitempty"`
	Labels []string `json:"labels"`
	Title  string   `json:"title"`
	Body   string   `json:"body,omitempty"`
}

// VersionVerdict is what the check says of a pull request.
type VersionVerdict struct {
	OK       bool             `json:"ok"`
	Says     string           `json:"says"`           // in a line
	Bump     nightporter.Bump `json:"bump,omitempty"` // what it would count as
	Problems []string         `json:"problems,omitempty"`
}

// CheckVersion says whether a pull request may be merged.
func (c *Client) CheckVersion(ctx context.Context, repo nightporter.Repo, p PullToCheck) (VersionVerdict, error) {
	var v VersionVerdict
	err := c.call(ctx, http.MethodPost, "/api/versions/check", nil, struct {
		Repo nightporter.Repo `json:"repo"`
		PullToCheck
	}{repo, p}, &v)
	return v, err
}
