package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"time"

	"nightporter.dev/nightporter"
)

// Posture is what a service may claim about its security, pillar by pillar.
type Posture struct {
	Service string          `json:"service"`
	Owner   string          `json:"owner"`
	Pillars []PosturePillar `json:"pillars"`
}

// PosturePillar is one pillar of a service. Letter says the worst that fails: A
// nothing, B low, C medium, D high, E critical; "?" while nothing fails but
// something is stale or unknown.
type PosturePillar struct {
	Pillar string        `json:"pillar"`
	Letter string        `json:"letter"`
	Proven int           `json:"proven"`
	Of     int           `json:"of"`
	Cells  []PostureCell `json:"cells"`
}

// PostureCell is one check of a service, with what proves it.
type PostureCell struct {
	ID       string               `json:"id"`
	Pillar   string               `json:"pillar"`
	Claim    string               `json:"claim"`
	Severity nightporter.Severity `json:"severity"`
	State    string               `json:"state"` // pass, fail, stale, unknown or n.a.
	Proof    string               `json:"proof"`
	Event    string               `json:"event,omitempty"`
	At       time.Time            `json:"at,omitzero"`
	Age      string               `json:"age,omitempty"`
	FreshFor string               `json:"fresh_for,omitempty"`
	See      string               `json:"see"`
	Page     string               `json:"page,omitempty"`
}

// Finding is something that is wrong, and whose it is.
type Finding struct {
	ID          string               `json:"id"`
	Service     string               `json:"service,omitempty"`
	Repo        string               `json:"repo,omitempty"`
	Check       string               `json:"check,omitempty"`
	Rule        string               `json:"rule"`
	Severity    nightporter.Severity `json:"severity"`
	Title       string               `json:"title"`
	Evidence    string               `json:"evidence"`
	Source      string               `json:"source"`
	Suspect     bool                 `json:"suspect,omitempty"`
	Owner       string               `json:"owner,omitempty"`
	State       string               `json:"state"` // open, triaged, accepted or fixed
	Note        string               `json:"note,omitempty"`
	Due         time.Time            `json:"due"`
	FirstSeenAt time.Time            `json:"first_seen_at"`
	LastSeenAt  time.Time            `json:"last_seen_at"`
	ChangedAt   time.Time            `json:"changed_at"`
	Accepted    *Acceptance          `json:"accepted,omitempty"`
	FixedAt     time.Time            `json:"fixed_at,omitzero"`
	Proof       string               `json:"proof,omitempty"`
	Reopened    int                  `json:"reopened,omitempty"`
}

// Acceptance is somebody's decision to live with something until a day.
type Acceptance struct {
	Until time.Time `json:"until"`
	By    string    `json:"by"`
	Why   string    `json:"why"`
}

// FindingQuery narrows a list of findings. Empty fields narrow nothing, but State:
// "" is what is open or triaged.
type FindingQuery struct {
	Service, Repo, Owner, Check, Rule, State string
}

// Postures lists what each service may claim; service narrows it to one.
func (c *Client) Postures(ctx context.Context, service string) iter.Seq2[Posture, error] {
	q := url.Values{}
	set(q, "service", service)
	return pages[Posture](ctx, c, "/api/security/posture", q, 0)
}

// Findings lists what is wrong, the first due first.
func (c *Client) Findings(ctx context.Context, f FindingQuery, size int) iter.Seq2[Finding, error] {
	q := url.Values{}
	for name, value := range map[string]string{
		"service": f.Service, "repo": f.Repo, "owner": f.Owner, "check": f.Check, "rule": f.Rule, "state": f.State,
	} {
		set(q, name, value)
	}
	return pages[Finding](ctx, c, "/api/security/findings", q, size)
}

// Finding reads one finding.
func (c *Client) Finding(ctx context.Context, id string) (*Finding, error) {
	var f Finding
	if err := c.Get(ctx, "/api/security/findings/"+escape(id), nil, &f); err != nil {
		return nil, err
	}
	return &f, nil
}

// TriageFinding says that a finding is real. owner is whose it is; "" leaves it.
func (c *Client) TriageFinding(ctx context.Context, id, owner, note string) (*Finding, error) {
	return c.changeFinding(ctx, id, "triage", struct {
		Owner string `json:"owner,omitempty"`
		Note  string `json:"note,omitempty"`
	}{owner, note})
}

// AcceptFinding lives with a finding until a day. It opens by itself then.
func (c *Client) AcceptFinding(ctx context.Context, id string, until time.Time, why string) (*Finding, error) {
	return c.changeFinding(ctx, id, "accept", struct {
		Until time.Time `json:"until"`
		Why   string    `json:"why"`
	}{until, why})
}

// ReopenFinding takes an acceptance or a triage back.
func (c *Client) ReopenFinding(ctx context.Context, id string) (*Finding, error) {
	return c.changeFinding(ctx, id, "reopen", nil)
}

func (c *Client) changeFinding(ctx context.Context, id, verb string, body any) (*Finding, error) {
	var f Finding
	if err := c.call(ctx, http.MethodPost, "/api/security/findings/"+escape(id)+"/"+verb, nil, body, &f); err != nil {
		return nil, err
	}
	return &f, nil
}

// Risk is something that may happen, and what people decided about it.
type Risk struct {
	ID         string    `json:"id"`
	Title      string    `json:"title"`
	Asset      string    `json:"asset"`
	Pillar     string    `json:"pillar"`
	Likelihood int       `json:"likelihood"` // 1 to 5
	Impact     int       `json:"impact"`     // 1 to 5
	Score      int       `json:"score"`
	Treatment  string    `json:"treatment"` // avoid, reduce, share or accept
	Plan       string    `json:"plan,omitempty"`
	Owner      string    `json:"owner"`
	State      string    `json:"state"` // open, approved or closed
	Review     time.Time `json:"review"`
	Findings   []string  `json:"findings,omitempty"`
	Approver   string    `json:"approver,omitempty"`
	ApprovedAt time.Time `json:"approved_at,omitzero"`
	CreatedBy  string    `json:"created_by"`
	CreatedAt  time.Time `json:"created_at"`
	ChangedAt  time.Time `json:"changed_at"`
	Reopened   string    `json:"reopened,omitempty"` // why
	// Proposal is another likelihood that its findings speak for.
	Proposal *struct {
		Likelihood int    `json:"likelihood"`
		Why        string `json:"why"`
	} `json:"proposal,omitempty"`
}

// RiskDraft is what people say of a risk. Owner may be "" when Asset is a service.
type RiskDraft struct {
	Title      string    `json:"title"`
	Asset      string    `json:"asset"`
	Pillar     string    `json:"pillar"`
	Likelihood int       `json:"likelihood"`
	Impact     int       `json:"impact"`
	Treatment  string    `json:"treatment"`
	Plan       string    `json:"plan,omitempty"`
	Owner      string    `json:"owner,omitempty"`
	Review     time.Time `json:"review"`
	Findings   []string  `json:"findings,omitempty"`
}

// RiskQuery narrows the register. Empty fields narrow nothing.
type RiskQuery struct {
	Asset, Owner, State string
}

// Risks lists the register, the highest score first.
func (c *Client) Risks(ctx context.Context, f RiskQuery) iter.Seq2[Risk, error] {
	q := url.Values{}
	set(q, "asset", f.Asset)
	set(q, "owner", f.Owner)
	set(q, "state", f.State)
	return pages[Risk](ctx, c, "/api/security/risks", q, 0)
}

// Risk reads one risk.
func (c *Client) Risk(ctx context.Context, id string) (*Risk, error) {
	var r Risk
	if err := c.Get(ctx, "/api/security/risks/"+escape(id), nil, &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// AddRisk writes a risk into the register.
func (c *Client) AddRisk(ctx context.Context, d RiskDraft) (*Risk, error) {
	return c.changeRisk(ctx, "", d)
}

// ReviseRisk says something else of a risk: it has to be approved again.
func (c *Client) ReviseRisk(ctx context.Context, id string, d RiskDraft) (*Risk, error) {
	return c.changeRisk(ctx, "/"+escape(id)+"/revise", d)
}

// DecideRisk approves a risk ("approve"), or takes over the likelihood that its
// findings speak for ("confirm"). Errors: own_change for its owner who approves.
func (c *Client) DecideRisk(ctx context.Context, id, verb string) (*Risk, error) {
	return c.changeRisk(ctx, "/"+escape(id)+"/"+escape(verb), nil)
}

// CloseRisk says that a risk is gone.
func (c *Client) CloseRisk(ctx context.Context, id, why string) (*Risk, error) {
	return c.changeRisk(ctx, "/"+escape(id)+"/close", struct {
		Why string `json:"why"`
	}{why})
}

func (c *Client) changeRisk(ctx context.Context, path string, body any) (*Risk, error) {
	var r Risk
	if err := c.call(ctx, http.MethodPost, "/api/security/risks"+path, nil, body, &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// SARIFReport is what a scanner's report changed.
type SARIFReport struct {
	New      int      `json:"new"`
	Reopened int      `json:"reopened"`
	Known    int      `json:"known"`
	Fixed    int      `json:"fixed"`
	Tools    []string `json:"tools"`
}

// SendSARIF sends a scanner's report about a service, as SARIF 2.1.0.
func (c *Client) SendSARIF(ctx context.Context, service string, report []byte) (*SARIFReport, error) {
	var r SARIFReport
	if err := c.call(ctx, http.MethodPost, servicePath(service)+"/sarif", nil, json.RawMessage(report), &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// Access is what one person may do at a path, with the policy that decides.
type Access struct {
	Person     string `json:"person"`
	Path       string `json:"path"`
	Capability string `json:"capability"`
	Allowed    bool   `json:"allowed"`
	Policy     string `json:"policy,omitempty"`
	Pattern    string `json:"pattern,omitempty"`
	Reason     string `json:"reason,omitempty"`
}

// Access lists which people may do what at a path. path "" is where production's
// credentials are lent, capability "" is read. With a person refusals are listed too,
// each with its reason.
func (c *Client) Access(ctx context.Context, path, capability, person string) iter.Seq2[Access, error] {
	q := url.Values{}
	set(q, "path", path)
	set(q, "capability", capability)
	set(q, "person", person)
	return pages[Access](ctx, c, "/api/security/access", q, 0)
}
