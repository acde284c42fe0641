package security

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
)

// Treatment is what is done about a risk.
type Treatment string

// The treatments (ISO 31000 §6.5.2).
const (
	Avoid  Treatment = "avoid"
	Reduce Treatment = "reduce"
	Share  Treatment = "share"
	Live   Treatment = "accept"
)

// RiskState is where a risk stands.
type RiskState string

// The states of risks.
const (
	RiskOpen     RiskState = "open"     // nobody has approved what is to be done about it
	RiskApproved RiskState = "approved" // somebody who is not its owner has, until its review
	RiskClosed   RiskState = "closed"   // it is gone
)

// Risk is something that may happen, and what people decided about it.
type Risk struct {
	ID         string    `json:"id"`
	Title      string    `json:"title"`
	Asset      string    `json:"asset"` // a service, or anything else that has a name
	Pillar     Pillar    `json:"pillar"`
	Likelihood int       `json:"likelihood"` // 1 to 5
	Impact     int       `json:"impact"`     // 1 to 5
	Score      int       `json:"score"`      // their product
	Treatment  Treatment `json:"treatment"`
	Plan       string    `json:"plan,omitempty"` // what is done, in words
	Owner      string    `json:"owner"`          // a team or a person
	State      RiskState `json:"state"`
	Review     time.Time `json:"review"`             // when an approval ends
	Findings   []string  `json:"findings,omitempty"` // ids
	Approver   string    `json:"approver,omitempty"`
	ApprovedAt time.Time `json:"approved_at,omitzero"`
	CreatedBy  string    `json:"created_by"`
	CreatedAt  time.Time `json:"created_at"`
	ChangedAt  time.Time `json:"changed_at"`
	// Reopened says why it opened by itself.
	Reopened string `json:"reopened,omitempty"`
	// Proposal is another likelihood that its findings speak for. A person
	// confirms it, or does not.
	Proposal *Proposal `json:"proposal,omitempty"`
}

// Proposal is a likelihood that evidence speaks for.
type Proposal struct {
	Likelihood int    `json:"likelihood"`
	Why        string `json:"why"`
}

// RiskDraft is what people say of a risk.
type RiskDraft struct {
	Title      string    `json:"title"`
	Asset      string    `json:"asset"`
	Pillar     Pillar    `json:"pillar"`
	Likelihood int       `json:"likelihood"`
	Impact     int       `json:"impact"`
	Treatment  Treatment `json:"treatment"`
	Plan       string    `json:"plan,omitempty"`
	Owner      string    `json:"owner,omitempty"` // "" means the team of the service Asset
	Review     time.Time `json:"review"`
	Findings   []string  `json:"findings,omitempty"`
}

// risksPath is where risks are kept: one path for all of them, because a risk is
// rarely one service's alone.
const risksPath = "api/security/risks"

// check completes a draft, or says what is wrong with it.
func (s *Security) checkDraft(d *RiskDraft) error {
	d.Title, d.Asset, d.Plan = strings.TrimSpace(d.Title), strings.TrimSpace(d.Asset), strings.TrimSpace(d.Plan)
	if team, ok := s.cfg.Catalog.Current().OwnerOf(d.Asset); ok && d.Owner == "" {
		d.Owner = team.Name
	}
	now := s.cfg.Now()
	switch {
	case d.Title == "" || len(d.Title) > 300 || d.Asset == "" || len(d.Asset) > 100 || len(d.Plan) > 2000:
		return nightporter.E(nightporter.Invalid, "a risk needs a title of at most 300 characters, and an asset of at most 100")
	case !slices.Contains(Pillars(), d.Pillar):
		return nightporter.E(nightporter.Invalid, "%q is no pillar", d.Pillar).WithHint("confidentiality, integrity, availability or misuse")
	case d.Likelihood < 1 || d.Likelihood > 5 || d.Impact < 1 || d.Impact > 5:
		return nightporter.E(nightporter.Invalid, "likelihood and impact are from 1 to 5")
	case !slices.Contains([]Treatment{Avoid, Reduce, Share, Live}, d.Treatment):
		return nightporter.E(nightporter.Invalid, "%q is no treatment", d.Treatment).WithHint("avoid, reduce, share or accept")
	case !s.known(d.Owner):
		return nightporter.E(nightporter.Invalid, "no team or person is called %q, and somebody must own the risk", d.Owner)
	case !d.Review.After(now) || d.Review.After(now.Add(longestAcceptance)):
		return nightporter.E(nightporter.Invalid, "the review is a day within the next year")
	case len(d.Findings) > 50:
		return nightporter.E(nightporter.Invalid, "a risk has at most 50 findings")
	}
	slices.Sort(d.Findings)
	d.Findings = slices.Compact(d.Findings)
	return nil
}

// AddRisk writes a risk into the register. Errors: invalid, not_found for a finding.
func (s *Security) AddRisk(ctx context.Context, d RiskDraft) (*Risk, error) {
	if err := s.checkDraft(&d); err != nil {
		return nil, err
	}
	var b [8]byte
	rand.Read(b[:])
	id := "rsk_" + hex.EncodeToString(b[:])
	return s.changeRisk(ctx, "risk.add", risksPath, id, func(tx *gate.Tx, _ *Risk) error {
		tx.Detail("title", d.Title)
		_, err := tx.Exec(ctx, `INSERT INTO security_risk (id, title, asset, pillar, likelihood, impact, treatment, plan, owner, state, review_at,
			findings, approver, approved_at, created_by, created_at, changed_at, reopened) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0, ?, ?, ?, '')`,
			id, d.Title, d.Asset, string(d.Pillar), d.Likelihood, d.Impact, string(d.Treatment), d.Plan, d.Owner, string(RiskOpen), store.Micros(d.Review),
			asJSON(d.Findings), nightporter.ActorFrom(ctx).Cause(), store.Micros(tx.Now()), store.Micros(tx.Now()))
		if err != nil {
			return err
		}
		return linked(ctx, tx.Tx, d.Findings)
	})
}

// ReviseRisk says something else of a risk. It opens: what was approved was
// something else. Errors: conflict for one that is closed.
func (s *Security) ReviseRisk(ctx context.Context, id string, d RiskDraft) (*Risk, error) {
	if err := s.checkDraft(&d); err != nil {
		return nil, err
	}
	return s.changeRisk(ctx, "risk.revise", risksPath+"/revise", id, func(tx *gate.Tx, r *Risk) error {
		if r.State == RiskClosed {
			return nightporter.E(nightporter.Conflict, "%s is closed", id)
		}
		_, err := tx.Exec(ctx, `UPDATE security_risk SET title = ?, asset = ?, pillar = ?, likelihood = ?, impact = ?, treatment = ?, plan = ?, owner = ?,
			state = ?, review_at = ?, findings = ?, approver = '', approved_at = 0, changed_at = ?, reopened = '' WHERE id = ?`,
			d.Title, d.Asset, string(d.Pillar), d.Likelihood, d.Impact, string(d.Treatment), d.Plan, d.Owner, string(RiskOpen),
			store.Micros(d.Review), asJSON(d.Findings), store.Micros(tx.Now()), id)
		if err != nil {
			return err
		}
		return linked(ctx, tx.Tx, d.Findings)
	})
}

// ConfirmRisk takes over the likelihood that the findings speak for. An approval
// ends with it. Errors: conflict when nothing is proposed.
func (s *Security) ConfirmRisk(ctx context.Context, id string) (*Risk, error) {
	return s.changeRisk(ctx, "risk.confirm", risksPath+"/confirm", id, func(tx *gate.Tx, r *Risk) error {
		if r.Proposal == nil {
			return nightporter.E(nightporter.Conflict, "nothing speaks for another likelihood of %s", id)
		}
		tx.Detail("likelihood", r.Proposal.Likelihood)
		tx.Detail("why", r.Proposal.Why)
		_, err := tx.Exec(ctx, `UPDATE security_risk SET likelihood = ?, state = ?, approver = '', approved_at = 0, changed_at = ? WHERE id = ?`,
			r.Proposal.Likelihood, string(RiskOpen), store.Micros(tx.Now()), id)
		return err
	})
}

// ApproveRisk agrees to what is done about a risk, until its review. The owner may
// not: neither the person, nor anybody of a team that owns it. Errors: own_change,
// conflict for one that is not open.
func (s *Security) ApproveRisk(ctx context.Context, id string) (*Risk, error) {
	who := nightporter.ActorFrom(ctx)
	return s.changeRisk(ctx, "risk.approve", risksPath+"/approve", id, func(tx *gate.Tx, r *Risk) error {
		world := s.cfg.Catalog.Current()
		team, _ := world.Team(r.Owner)
		switch {
		case who.Kind != nightporter.Person:
			return nightporter.E(nightporter.Denied, "a person approves a risk")
		case r.State != RiskOpen:
			return nightporter.E(nightporter.Conflict, "%s is %s", id, r.State)
		case who.Name == r.Owner || slices.Contains(team.Members, who.Name):
			return nightporter.E(nightporter.OwnChange, "%s owns it: somebody else has to approve it", r.Owner)
		case !r.Review.After(tx.Now()):
			return nightporter.E(nightporter.Conflict, "its review was on %s: give it another day first", r.Review.Format(time.DateOnly))
		}
		tx.Detail("score", r.Score)
		_, err := tx.Exec(ctx, `UPDATE security_risk SET state = ?, approver = ?, approved_at = ?, changed_at = ?, reopened = '' WHERE id = ?`,
			string(RiskApproved), who.Name, store.Micros(tx.Now()), store.Micros(tx.Now()), id)
		return err
	})
}

// CloseRisk says that a risk is gone, and why. Errors: conflict while a finding of it
// stands.
func (s *Security) CloseRisk(ctx context.Context, id, why string) (*Risk, error) {
	if why = strings.TrimSpace(why); why == "" || len(why) > 1000 {
		return nil, nightporter.E(nightporter.Invalid, "say why it is gone, in at most 1000 characters")
	}
	return s.changeRisk(ctx, "risk.close", risksPath+"/close", id, func(tx *gate.Tx, r *Risk) error {
		if r.State == RiskClosed {
			return nightporter.E(nightporter.Conflict, "%s is closed", id)
		}
		for _, f := range r.Findings {
			if got, err := GetFinding(ctx, tx.Tx, f); err != nil || got.Standing() {
				return nightporter.E(nightporter.Conflict, "its finding %s stands", f)
			}
		}
		tx.Detail("why", why)
		_, err := tx.Exec(ctx, `UPDATE security_risk SET state = ?, changed_at = ?, reopened = ? WHERE id = ?`,
			string(RiskClosed), store.Micros(tx.Now()), "closed: "+why, id)
		return err
	})
}

// linked makes sure that each finding exists.
func linked(ctx context.Context, tx *store.Tx, ids []string) error {
	for _, id := range ids {
		if _, err := GetFinding(ctx, tx, id); err != nil {
			return err
		}
	}
	return nil
}

func (s *Security) changeRisk(ctx context.Context, name, path, id string, fn func(tx *gate.Tx, r *Risk) error) (out *Risk, err error) {
	action := nightporter.Action{Name: name, Capability: nightporter.Update, Path: path}
	err = s.cfg.Gate.Do(ctx, action, nightporter.Resource{Kind: "risk", ID: id}, func(tx *gate.Tx) error {
		var before *Risk
		if name != "risk.add" {
			if before, err = GetRisk(ctx, tx.Tx, id, s.cfg.Now()); err != nil {
				return err
			}
		}
		if err := fn(tx, before); err != nil {
			return err
		}
		out, err = GetRisk(ctx, tx.Tx, id, s.cfg.Now())
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// review opens the approved risks whose review has come, and those with a finding
// that opened again since.
func (s *Security) review(ctx context.Context, now time.Time) error {
	var all []Risk
	if err := s.cfg.Gate.Look(ctx, func(tx *store.Tx) (err error) {
		all, err = Risks(ctx, tx, RiskFilter{State: string(RiskApproved)}, now)
		return err
	}); err != nil {
		return err
	}
	for _, r := range all {
		why, err := s.due(ctx, r, now)
		if err != nil {
			return err
		}
		if why == "" {
			continue
		}
		err = s.cfg.Gate.Do(ctx, nightporter.Action{Name: "risk.reopen"}, nightporter.Resource{Kind: "risk", ID: r.ID}, func(tx *gate.Tx) error {
			n, err := tx.Exec(ctx, `UPDATE security_risk SET state = ?, approver = '', approved_at = 0, changed_at = ?, reopened = ?
				WHERE id = ? AND state = ? AND approved_at = ?`,
				string(RiskOpen), store.Micros(tx.Now()), why, r.ID, string(RiskApproved), store.Micros(r.ApprovedAt))
			if err != nil || n == 0 {
				return err
			}
			tx.Detail("why", why)
			tx.Publish(nightporter.RiskReopened{ID: r.ID, Title: r.Title, Owner: r.Owner, Why: why})
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Security) due(ctx context.Context, r Risk, now time.Time) (why string, err error) {
	if !r.Review.After(now) {
		return "its review was due on " + r.Review.Format(time.DateOnly), nil
	}
	if len(r.Findings) == 0 {
		return "", nil
	}
	err = s.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		list, err := findingsOf(ctx, tx, r.Findings)
		for _, f := range list {
			if f.State == Open && f.Reopened > 0 && f.ChangedAt.After(r.ApprovedAt) {
				why = "its finding " + f.ID + " opened again"
			}
		}
		return err
	})
	return why, err
}

func findingsOf(ctx context.Context, tx *store.Tx, ids []string) ([]Finding, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	return findings(ctx, tx, `WHERE id IN (`+store.In(len(ids))+`) ORDER BY id`, args...)
}

// propose says what likelihood the findings of a risk speak for: at least 3 while one
// stands, 5 when one is overdue, and 1 when all of them are fixed.
func propose(r Risk, list []Finding, now time.Time) *Proposal {
	if r.State == RiskClosed || len(list) == 0 {
		return nil
	}
	standing, overdue := 0, 0
	for _, f := range list {
		if f.Standing() {
			standing++
			if !f.Due.After(now) {
				overdue++
			}
		}
	}
	p := Proposal{Likelihood: r.Likelihood}
	switch {
	case overdue > 0:
		p = Proposal{5, fmt.Sprintf("%d of its findings are overdue", overdue)}
	case standing > 0:
		p = Proposal{max(r.Likelihood, 3), fmt.Sprintf("%d of its findings stand", standing)}
	case !slices.ContainsFunc(list, func(f Finding) bool { return f.State != Fixed }):
		p = Proposal{1, "each of its findings is fixed, by proof"}
	}
	if p.Likelihood == r.Likelihood {
		return nil
	}
	return &p
}

// RiskFilter narrows a list of risks. Empty fields narrow nothing.
type RiskFilter struct {
	Asset, Owner, State string
}

// Risks lists the register, the highest score first.
func Risks(ctx context.Context, tx *store.Tx, f RiskFilter, now time.Time) ([]Risk, error) {
	where, args := "1 = 1", []any{}
	for column, value := range map[string]string{"asset": f.Asset, "owner": f.Owner, "state": f.State} {
		if value != "" {
			where, args = where+" AND "+column+" = ?", append(args, value)
		}
	}
	return risks(ctx, tx, now, `WHERE `+where+` ORDER BY likelihood * impact DESC, id`, args...)
}

// GetRisk reads one risk. Errors: not_found.
func GetRisk(ctx context.Context, tx *store.Tx, id string, now time.Time) (*Risk, error) {
	list, err := risks(ctx, tx, now, `WHERE id = ?`, id)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, nightporter.E(nightporter.NotFound, "there is no risk %s", id)
	}
	return &list[0], nil
}

func risks(ctx context.Context, tx *store.Tx, now time.Time, where string, args ...any) ([]Risk, error) {
	var out []Risk
	err := tx.Each(ctx, `SELECT id, title, asset, pillar, likelihood, impact, treatment, plan, owner, state, review_at, findings, approver,
		approved_at, created_by, created_at, changed_at, reopened FROM security_risk `+where, args, func(scan func(...any) error) error {
		var r Risk
		var review, approved, created, changed int64
		var linked string
		if err := scan(&r.ID, &r.Title, &r.Asset, (*string)(&r.Pillar), &r.Likelihood, &r.Impact, (*string)(&r.Treatment), &r.Plan, &r.Owner,
			(*string)(&r.State), &review, &linked, &r.Approver, &approved, &r.CreatedBy, &created, &changed, &r.Reopened); err != nil {
			return err
		}
		r.Score = r.Likelihood * r.Impact
		r.Review, r.ApprovedAt, r.CreatedAt, r.ChangedAt = store.Time(review), store.Time(approved), store.Time(created), store.Time(changed)
		out = append(out, r)
		return json.Unmarshal([]byte(linked), &out[len(out)-1].Findings)
	})
	if err != nil {
		return nil, fmt.Errorf("read the risks: %w", err)
	}
	for i := range out {
		list, err := findingsOf(ctx, tx, out[i].Findings)
		if err != nil {
			return nil, err
		}
		out[i].Proposal = propose(out[i], list, now)
	}
	return out, nil
}

func asJSON(list []string) string {
	b, _ := json.Marshal(slices.Concat([]string{}, list)) // strings always encode
	return string(b)
}
