package client

import (
	"context"
	"iter"
	"net/url"
	"time"

	"nightporter.dev/nightporter"
)

// Status is how the server is. Without a token only the first fields are there.
type Status struct {
	Version   string    `json:"version"`
	Sealed    bool      `json:"sealed"`
	Ready     bool      `json:"ready"`
	StartedAt time.Time `json:"started_at,omitzero"`
	// Demo is set when schedules and waits go by the clock of a demo.
	Demo   bool    `json:"demo,omitempty"`
	Store  string  `json:"store,omitempty"` // "sqlite" or "postgres"
	Forges []Forge `json:"forges,omitempty"`
	// Parked are events that a listener refused: something that should have
	// followed a change did not.
	Parked []Parked `json:"parked,omitempty"`
}

// Parked is an event that waits for a person.
type Parked struct {
	EventID  int64  `json:"event_id"`
	Name     string `json:"name"`    // "VersionCut"
	Subject  string `json:"subject"` // "repo/github/ledger"
	Listener string `json:"listener"`
	Attempts int64  `json:"attempts"`
	Error    string `json:"error"`
}

// Forge says how a forge was when it was last asked.
type Forge struct {
	Name    string    `json:"name"`
	SweptAt time.Time `json:"swept_at,omitzero"` // when everything was last seen
	// FailingSince is set while the forge does not answer: what it would tell
	// is unknown since then.
	FailingSince time.Time `json:"failing_since,omitzero"`
	Error        string    `json:"error,omitempty"`
}

// Version is one line of a repository's ledger: what became of a merge.
type Version struct {
	Repo    nightporter.Repo `json:"repo"`
	Place   int64            `json:"place"` // counts the merges, from 1
	Commit  string           `json:"commit"`
	Version string           `json:"version,omitempty"` // "" for one that rides along
	Bump    string           `json:"bump,omitempty"`
	State   string           `json:"state"` // intended, cut, rides
	// Flag says what a person should look at: a missing label.
	Flag  string             `json:"flag,omitempty"`
	Merge nightporter.Merged `json:"merge"`
	At    time.Time          `json:"at"`
}

// Service is a service of the configuration.
type Service struct {
	Name        string           `json:"name"`
	Repo        nightporter.Repo `json:"repo"`
	Owner       string           `json:"owner"`
	Description string           `json:"description,omitempty"`
	Runbook     string           `json:"runbook,omitempty"`
	OnCall      string           `json:"on_call,omitempty"`
	DependsOn   []string         `json:"depends_on,omitempty"`
	Deploy      string           `json:"deploy,omitempty"` // the kind of its target
	// Stages are its way to production: the environments of one stage get a
	// version at the same time.
	Stages [][]string `json:"stages"`
	Source string     `json:"source,omitempty"` // file or api
	// Board is its row of the board; nil in a list.
	Board *BoardRow `json:"board,omitempty"`
}

// Person is somebody of the configuration.
type Person struct {
	Name        string            `json:"name"`
	DisplayName string            `json:"display_name,omitempty"`
	Teams       []string          `json:"teams"`
	Logins      map[string]string `json:"logins,omitempty"` // by forge
	Source      string            `json:"source,omitempty"`
}

// Team is a team of the configuration.
type Team struct {
	Name    string   `json:"name"`
	Members []string `json:"members"`
	Source  string   `json:"source,omitempty"`
}

// Status reads how the server is. It needs no token for the basics, and answers
// while the server is sealed.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	var s Status
	if err := c.Get(ctx, "/api/status", nil, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// Forges lists how the forges were when they were last asked.
func (c *Client) Forges(ctx context.Context) ([]Forge, error) {
	return all[Forge](ctx, c, "/api/forges")
}

// Versions reads the ledger of a repository, newest first.
func (c *Client) Versions(ctx context.Context, repo nightporter.Repo) iter.Seq2[Version, error] {
	return c.VersionsPaged(ctx, repo, 0)
}

// VersionsPaged is Versions with a page size, for readers of the newest few.
func (c *Client) VersionsPaged(ctx context.Context, repo nightporter.Repo, size int) iter.Seq2[Version, error] {
	return pages[Version](ctx, c, "/api/versions", url.Values{"repo": {repo.String()}}, size)
}

// Services lists the services.
func (c *Client) Services(ctx context.Context) ([]Service, error) {
	return all[Service](ctx, c, "/api/services")
}

// Service reads one service.
func (c *Client) Service(ctx context.Context, name string) (*Service, error) {
	var s Service
	if err := c.Get(ctx, "/api/services/"+escape(name), nil, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// People lists the people.
func (c *Client) People(ctx context.Context) ([]Person, error) {
	return all[Person](ctx, c, "/api/people")
}

// Teams lists the teams.
func (c *Client) Teams(ctx context.Context) ([]Team, error) {
	return all[Team](ctx, c, "/api/teams")
}
