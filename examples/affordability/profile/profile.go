// Package profile turns a statement into what a lender would ask: net and gross income, rent and how well it was
// paid, spending by kind, what is left, and the loan and price that this carries, with the constraint that binds.
//
// Every amount is a [Figure] that says how it was made. Nothing here reads a clock or a network: the same statement,
// policy and answers give the same profile and the same [Profile.Hash].
package profile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"example.org/affordability/detect"
	"example.org/affordability/money"
	"example.org/affordability/policy"
	"example.org/affordability/spend"
	"example.org/affordability/statement"
)

// State says whether there is a profile at all.
type State string

// The states. Only Ready has figures.
const (
	Ready          State = "ready"
	CannotClassify State = "cannot_classify" // the consent hides names and texts
	TooShort       State = "too_short"       // too few complete months are visible
)

// Answers are what only the customer knows, and what a what-if changes.
type Answers struct {
	RateBP      int64        `json:"rate_bp"`
	FixedMonths int          `json:"fixed_months"`
	TermMonths  int          `json:"term_months"`
	Deposit     money.Amount `json:"deposit"`
	Adults      int          `json:"adults"`
	Children    int          `json:"children"`
}

// Bar is one of five separate readings from 0 to 100. It is not a credit score and the bars are never added up.
type Bar struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Value int    `json:"value"` // -1: cannot be said
	Why   string `json:"why"`
}

// Entry is one line as the pages show it.
type Entry struct {
	statement.Line
	Sort     detect.Sort `json:"sort,omitempty"`
	Category string      `json:"category_id"`
	Why      string      `json:"why"`
	InWindow bool        `json:"in_window"`
}

// Profile is the whole result.
type Profile struct {
	State      State                   `json:"state"`
	Says       string                  `json:"says"` // the state in a sentence
	Policy     string                  `json:"policy"`
	Dated      string                  `json:"policy_dated"`
	AsOf       time.Time               `json:"as_of"`
	From       string                  `json:"from"` // first and last month of the window
	To         string                  `json:"to"`
	Months     int                     `json:"months"`
	RentFound  bool                    `json:"rent_found"`
	Owner      bool                    `json:"owner"`
	Figures    []Figure                `json:"figures,omitempty"`
	Binding    string                  `json:"binding,omitempty"`
	Streams    []*detect.Stream        `json:"streams,omitempty"`
	StreamKeys map[string][]string     `json:"-"`
	Record     *Record                 `json:"rent_record,omitempty"`
	Spending   map[string]money.Amount `json:"spending,omitempty"` // a month, by category id
	Bars       []Bar                   `json:"bars,omitempty"`
	Answers    Answers                 `json:"answers"`
	Warnings   []string                `json:"warnings,omitempty"`
	Entries    []Entry                 `json:"-"`
}

// Figure finds a figure by id, or returns nil.
func (p *Profile) Figure(id string) *Figure {
	for i := range p.Figures {
		if p.Figures[i].ID == id {
			return &p.Figures[i]
		}
	}
	return nil
}

// Value is a figure's amount; 0 when there is none.
func (p *Profile) Value(id string) money.Amount {
	if f := p.Figure(id); f != nil {
		return f.Value
	}
	return 0
}

// Defaults are the answers before the customer gave any: the policy's product, one adult, and what the savings
// accounts hold as the deposit.
func Defaults(s *statement.Statement, pol *policy.Policy) Answers {
	a := Answers{RateBP: pol.Product.RateBP, FixedMonths: pol.Product.FixedMonths, TermMonths: pol.Product.TermMonths, Adults: 1}
	for _, acc := range s.Accounts {
		if acc.Type == "SVGS" && acc.Balance > 0 {
			a.Deposit += acc.Balance
		}
	}
	return a
}

// Compute makes a profile.
func Compute(s *statement.Statement, pol *policy.Policy, said spend.Corrections, ans Answers) *Profile {
	w := s.Complete(pol.WindowMonths)
	p := &Profile{State: Ready, Policy: pol.Version, Dated: pol.Dated, AsOf: s.Last, Months: w.Len(), Answers: ans, Warnings: s.Warnings}
	if w.Len() > 0 {
		p.From, p.To = w.From.Name(), w.To.Name()
	}
	switch {
	case !s.Detail:
		p.State, p.Says = CannotClassify, "Cannot classify: the bank hides who your payments were to and from, so any figure would be a guess."
		return p
	case w.Len() < pol.LeastMonths:
		p.State, p.Says = TooShort, fmt.Sprintf("Too short: the bank shows %d complete months and a profile needs %d.", w.Len(), pol.LeastMonths)
		return p
	}
	if w.Len() < pol.WindowMonths {
		p.Warnings = append(p.Warnings, fmt.Sprintf("Only %d of %d months are visible. Figures are of those.", w.Len(), pol.WindowMonths))
	}
	found := detect.Find(s, w)
	b := &builder{p: p, pol: pol, s: s, w: w, found: found}
	p.Streams, p.Owner, p.RentFound = found.Streams, found.Owner, found.Rent != nil
	b.entries(said)
	b.income()
	b.rent()
	b.spending()
	b.lending()
	b.bars()
	p.Says = b.sentence()
	return p
}

// Hash is the fingerprint of everything that the figures say, without names, keys or times of computing. A rebuilt
// service that reads the same bank gives the same hash.
func (p *Profile) Hash() string {
	type value struct {
		ID    string
		Value money.Amount
	}
	var list []value
	for _, f := range p.Figures {
		list = append(list, value{f.ID, f.Value})
	}
	raw, err := json.Marshal(struct {
		State    State
		Policy   string
		From, To string
		Values   []value
		Binding  string
		Record   *Record
		Bars     []Bar
	}{p.State, p.Policy, p.From, p.To, list, p.Binding, p.Record, p.Bars})
	if err != nil {
		return "" // plain values always marshal
	}
	h := sha256.Sum256(raw)
	return hex.EncodeToString(h[:])
}
