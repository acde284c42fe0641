package client

import (
	"context"
	"iter"
	"net/http"
	"time"

	"nightporter.dev/nightporter"
)

// RepoRow is one repository and how it stands to each rule.
type RepoRow struct {
	Repo  nightporter.Repo `json:"repo"`
	Cells []RuleCell       `json:"cells"`
	// LookedAt is when the forge was last seen whole, and Error why not since.
	LookedAt time.Time `json:"looked_at,omitzero"`
	Error    string    `json:"error,omitempty"`
}

// RuleCell is one rule of one repository.
type RuleCell struct {
	Rule string `json:"rule"`
	// State is ok, drift, exempt or unknown.
	State string `json:"state"`
	Have  string `json:"have,omitempty"`
	Want  string `json:"want,omitempty"`
	Note  string `json:"note,omitempty"`
	Until string `json:"until,omitempty"` // the last day of an exception
	// Who is known to have changed it, a forge login.
	Who   string    `json:"who,omitempty"`
	WhoAt time.Time `json:"who_at,omitzero"`
	Since time.Time `json:"since,omitzero"`
	From  string    `json:"from,omitempty"` // the section that asks for it
}

// RepoPlan is what would bring every repository to the standard.
type RepoPlan struct {
	ID     string         `json:"id"`
	Forge  string         `json:"forge"`
	MadeAt time.Time      `json:"made_at"`
	Repos  []PlannedRepo  `json:"repos"`
	Writes []PlannedWrite `json:"writes"`
	Price  PlanPrice      `json:"price"`
	Survey struct {
		Requests int `json:"requests"`
		Points   int `json:"points"`
	} `json:"survey"`
	Notes  []string       `json:"notes,omitempty"`
	Counts map[string]int `json:"counts"` // rules by state
	Only   string         `json:"only,omitempty"`
	Rules  []string       `json:"rules,omitempty"`  // those that writes are kept to; empty means all
	Undoes string         `json:"undoes,omitempty"` // the plan that it takes back
	Run    string         `json:"run,omitempty"`    // of its apply
}

// PlannedRepo is one repository of a plan.
type PlannedRepo struct {
	Repo    string     `json:"repo"`
	Skipped string     `json:"skipped,omitempty"` // why it is not looked at
	Cells   []RuleCell `json:"cells"`
}

// PlannedWrite is one change that an apply makes. What it is in full, and what
// undoes it, is in the API's JSON.
type PlannedWrite struct {
	N       int      `json:"n"`
	Repo    string   `json:"repo,omitempty"` // "" for the organisation's rules
	For     []string `json:"for"`
	State   string   `json:"state"` // pending, started, done, failed, dropped
	Message string   `json:"message,omitempty"`
}

// PlanPrice is what an apply costs.
type PlanPrice struct {
	Changes  int      `json:"changes"`
	Requests int      `json:"requests"`
	Duration Duration `json:"duration"`
}

// Differs says whether a rule does not hold that should, or an apply has
// something to write.
func (p *RepoPlan) Differs() bool {
	return p.Counts["drift"] > 0 || len(p.Writes) > 0
}

// Adoption is the standard that most repositories have already.
type Adoption struct {
	YAML       string `json:"yaml"` // the section repos of nightporter.yaml
	Looked     int    `json:"looked"`
	Exceptions int    `json:"exceptions"`
}

// surveyTimeout is how long a request that looks at every repository may take.
const surveyTimeout = 3 * time.Minute

type planBody struct {
	Forge string `json:"forge,omitempty"`
	Only  string `json:"only,omitempty"`
}

// Repos lists the repositories and how they stand to each rule, by name.
func (c *Client) Repos(ctx context.Context) iter.Seq2[RepoRow, error] {
	return pages[RepoRow](ctx, c, "/api/repos", nil, 0)
}

// PlanRepos looks at every repository and plans what would bring it to the
// standard. Forge may be "" when there is one; only is a rule or a repository, or
// "" for all.
func (c *Client) PlanRepos(ctx context.Context, forge, only string) (*RepoPlan, error) {
	ctx, cancel := context.WithTimeout(ctx, surveyTimeout)
	defer cancel()
	var p RepoPlan
	if err := c.call(ctx, http.MethodPost, "/api/repos/plan", nil, planBody{forge, only}, &p); err != nil {
		return nil, err
	}
	return &p, nil
}

// RepoPlan reads a plan and how far its writes have come.
func (c *Client) RepoPlan(ctx context.Context, id string) (*RepoPlan, error) {
	var p RepoPlan
	if err := c.Get(ctx, "/api/repos/plans/"+escape(id), nil, &p); err != nil {
		return nil, err
	}
	return &p, nil
}

// ApplyRepos makes a plan's writes and returns the run to follow. Errors:
// conflict while another apply of the forge is under way.
func (c *Client) ApplyRepos(ctx context.Context, plan string) (run string, err error) {
	var out struct {
		Run string `json:"run"`
	}
	err = c.call(ctx, http.MethodPost, "/api/repos/plans/"+escape(plan)+"/apply", nil, struct{}{}, &out)
	return out.Run, err
}

// UndoRepos plans what takes back the writes that an apply of a plan made. It
// changes nothing. Errors: conflict when nothing of the plan was made.
func (c *Client) UndoRepos(ctx context.Context, plan string) (*RepoPlan, error) {
	ctx, cancel := context.WithTimeout(ctx, surveyTimeout)
	defer cancel()
	var p RepoPlan
	if err := c.call(ctx, http.MethodPost, "/api/repos/plans/"+escape(plan)+"/undo", nil, struct{}{}, &p); err != nil {
		return nil, err
	}
	return &p, nil
}

// PlanSummary is a plan in a list.
type PlanSummary struct {
	ID      string    `json:"id"`
	Forge   string    `json:"forge"`
	MadeAt  time.Time `json:"made_at"`
	Only    string    `json:"only,omitempty"`
	Rules   []string  `json:"rules,omitempty"` // those that it was kept to
	Undoes  string    `json:"undoes,omitempty"`
	Run     string    `json:"run,omitempty"` // of its apply
	Price   PlanPrice `json:"price"`
	Applied int       `json:"applied"` // writes that were made
}

// RepoPlans lists the plans, newest first.
func (c *Client) RepoPlans(ctx context.Context, limit int) iter.Seq2[PlanSummary, error] {
	return pages[PlanSummary](ctx, c, "/api/repos/plans", nil, limit)
}

// RepoChange is one entry of a repository's history.
type RepoChange struct {
	Rule  string    `json:"rule"`
	At    time.Time `json:"at"`
	State string    `json:"state"`
	Was   string    `json:"was,omitempty"` // the state before
	Have  string    `json:"have,omitempty"`
	Who   string    `json:"who,omitempty"` // a forge login
}

// RepoHistory lists what became of a repository's rules, newest first.
func (c *Client) RepoHistory(ctx context.Context, repo nightporter.Repo, limit int) iter.Seq2[RepoChange, error] {
	return pages[RepoChange](ctx, c, "/api/repos/"+escape(repo.Forge)+"/"+escape(repo.Name)+"/history", nil, limit)
}

// AdoptRepos writes down the standard that most repositories have already.
func (c *Client) AdoptRepos(ctx context.Context, forge string) (*Adoption, error) {
	ctx, cancel := context.WithTimeout(ctx, surveyTimeout)
	defer cancel()
	var a Adoption
	if err := c.call(ctx, http.MethodPost, "/api/repos/adopt", nil, planBody{Forge: forge}, &a); err != nil {
		return nil, err
	}
	return &a, nil
}
