package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// RepoScan is how the last search of a repository for secrets went.
type RepoScan struct {
	Repo      string    `json:"repo"`
	State     string    `json:"state,omitempty"` // scanned or failed; "" before the first
	Message   string    `json:"message,omitempty"`
	Head      string    `json:"head,omitempty"`
	Rules     int       `json:"rules,omitempty"`
	Commits   int       `json:"commits"`
	Hits      int       `json:"hits"`
	ScannedAt time.Time `json:"scanned_at,omitzero"`
	FullAt    time.Time `json:"full_at,omitzero"`
}

// Leak is a secret that was found in a repository: where, and what became of it.
type Leak struct {
	ID     string `json:"id"`
	Repo   string `json:"repo"`
	Rule   string `json:"rule"`
	Commit string `json:"commit"`
	Path   string `json:"path"`
	Line   int    `json:"line"`
	Places int    `json:"places"`
	Login  *struct {
		Kind     string `json:"kind,omitempty"`
		User     string `json:"user,omitempty"`
		Host     string `json:"host,omitempty"`
		Port     string `json:"port,omitempty"`
		Database string `json:"database,omitempty"`
	} `json:"login,omitempty"` // nil for what is no database's password
	Suspect  bool        `json:"suspect,omitempty"`
	SeenAt   time.Time   `json:"seen_at"`
	TriedAt  time.Time   `json:"tried_at,omitzero"`
	Tried    []LeakTried `json:"tried,omitempty"`
	Repaired []struct {
		Database string `json:"database"`
		User     string `json:"user"`
		Role     string `json:"role,omitempty"`
		Static   string `json:"static,omitempty"`
		Warning  string `json:"warning,omitempty"`
	} `json:"repaired,omitempty"`
}

// LeakTried is what one database said to a password that was found.
type LeakTried struct {
	Database string `json:"database"`
	User     string `json:"user"`
	State    string `json:"state"` // live, refused or unknown
	Reason   string `json:"reason,omitempty"`
}

// Scans lists how the last search of each repository went.
func (c *Client) Scans(ctx context.Context) iter.Seq2[RepoScan, error] {
	return pages[RepoScan](ctx, c, "/api/security/scans", url.Values{}, 0)
}

// Scan starts to look for secrets in a repository, "" for all, and returns the runs
// to follow. full reads it from its beginning. Errors: conflict while a scan of it is
// under way.
func (c *Client) Scan(ctx context.Context, repo string, full bool) (runs []string, err error) {
	body := struct {
		Repo string `json:"repo,omitempty"`
		Full bool   `json:"full,omitempty"`
	}{repo, full}
	var out struct {
		Runs []string `json:"runs"`
	}
	err = c.call(ctx, http.MethodPost, "/api/security/scans", nil, body, &out)
	return out.Runs, err
}

// Leak reads what is known about the secret of a finding. Errors: not_found for a
// finding that is none.
func (c *Client) Leak(ctx context.Context, finding string) (*Leak, error) {
	var l Leak
	if err := c.call(ctx, http.MethodGet, "/api/security/findings/"+escape(finding)+"/leak", nil, nil, &l); err != nil {
		return nil, err
	}
	return &l, nil
}

// TestLeak starts to try a found password once more and returns the run.
func (c *Client) TestLeak(ctx context.Context, finding string) (run string, err error) {
	return c.leakRun(ctx, finding, "test")
}

// RepairLeak starts to make a found password worthless and returns the run. Errors:
// conflict when no database let it in when it was last tried.
func (c *Client) RepairLeak(ctx context.Context, finding string) (run string, err error) {
	return c.leakRun(ctx, finding, "repair")
}

func (c *Client) leakRun(ctx context.Context, finding, verb string) (string, error) {
	var out struct {
		Run string `json:"run"`
	}
	err := c.call(ctx, http.MethodPost, "/api/security/findings/"+escape(finding)+"/"+verb, nil, struct{}{}, &out)
	return out.Run, err
}

// Weakness is something of an installation that is weaker than it should be.
type Weakness struct {
	Level   string `json:"level"` // "problem" or "advice"
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Doctor lists what is weak in the server's installation. Errors: denied for
// whoever is no operator.
func (c *Client) Doctor(ctx context.Context) iter.Seq2[Weakness, error] {
	return pages[Weakness](ctx, c, "/api/doctor", url.Values{}, 0)
}

// Anchored is how a place outside keeps checkpoints of the audit log.
type Anchored struct {
	Place        string    `json:"place"`
	Size         int64     `json:"size"` // entries that its newest checkpoint covers
	KeptAt       time.Time `json:"kept_at,omitzero"`
	FailingSince time.Time `json:"failing_since,omitzero"`
	Error        string    `json:"error,omitempty"`
}

// Anchors lists the places outside that keep checkpoints.
func (c *Client) Anchors(ctx context.Context) iter.Seq2[Anchored, error] {
	return pages[Anchored](ctx, c, "/api/audit/anchors", url.Values{}, 0)
}
