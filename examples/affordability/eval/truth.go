package main

import (
	"encoding/json"
	"fmt"
	"time"

	"example.org/affordability/money"
	"example.org/affordability/obie"
	"example.org/affordability/statement"
)

// tenant is one line of a dump: what a bank shows, and the truth that it does not.
type tenant struct {
	Tenant         string                       `json:"tenant"`
	Accounts       []obie.Account               `json:"accounts"`
	Transactions   map[string][]json.RawMessage `json:"transactions"`
	FirstAvailable time.Time                    `json:"first_available"`
	LastAvailable  time.Time                    `json:"last_available"`
	Truth          truth                        `json:"truth"`
	Labels         []struct {
		AccountID string `json:"account_id"`
		Index     int    `json:"index"`
		Kind      string `json:"kind"`
	} `json:"labels"`

	kinds map[string]string // by line key
	lines []statement.Line
}

// truth is what the town knows. Amounts are pence a month unless the name says otherwise.
type truth struct {
	Archetype string       `json:"archetype"`
	Rent      money.Amount `json:"rent_monthly_pence"`
	Pay       money.Amount `json:"pay_monthly_pence"`
	Benefit   money.Amount `json:"benefit_monthly_pence"`
}

func decode(raw []byte) (*tenant, error) {
	var t tenant
	if err := json.Unmarshal(raw, &t); err != nil {
		return nil, err
	}
	dec, err := obie.NewDecoder()
	if err != nil {
		return nil, err
	}
	keys := map[string][]string{}
	for _, a := range t.Accounts {
		var lines []statement.Line
		for _, raw := range t.Transactions[a.AccountID] {
			var x obie.Transaction
			if err := json.Unmarshal(raw, &x); err != nil {
				return nil, err
			}
			l, err := dec.Line(x)
			if err != nil {
				return nil, err
			}
			lines = append(lines, l)
		}
		obie.Keys(lines)
		for _, l := range lines {
			keys[a.AccountID] = append(keys[a.AccountID], l.Key)
		}
		t.lines = append(t.lines, lines...)
	}
	t.kinds = map[string]string{}
	for _, l := range t.Labels {
		if l.Index >= len(keys[l.AccountID]) {
			return nil, fmt.Errorf("label %d of account %s has no row", l.Index, l.AccountID)
		}
		t.kinds[keys[l.AccountID][l.Index]] = l.Kind
	}
	return &t, nil
}

// statement is what the service would have read, with or without the bank's purpose codes.
func (t *tenant) statement(codes bool) *statement.Statement {
	s := &statement.Statement{}
	dec := &obie.Decoder{}
	for _, a := range t.Accounts {
		s.Accounts = append(s.Accounts, dec.Account(a))
	}
	for _, l := range t.lines {
		if !codes {
			l.Purpose, l.Category = "", ""
		}
		s.Lines = append(s.Lines, l)
	}
	s.Span(t.FirstAvailable, t.LastAvailable)
	s.Finish()
	return s
}
