// Package policy is every number that a lender, a regulator or the tax office decides. The numbers live in a
// dated file, each page shows its version, and nothing else in the service holds one.
package policy

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"

	"example.org/affordability/money"
)

//go:embed 2026-04.json
var current []byte

// Policy is one dated set of numbers. Basis points are hundredths of one per cent.
type Policy struct {
	Version        string            `json:"version"`
	Dated          string            `json:"dated"`
	Note           string            `json:"note"`
	WindowMonths   int               `json:"window_months"` // how many complete months a profile looks at
	RecentMonths   int               `json:"recent_months"` // an income is never counted above these months
	RentMonths     int               `json:"rent_months"`   // the present rent is the median of so many
	LeastMonths    int               `json:"least_months"`  // with fewer complete months there is no profile
	WeightBP       Weights           `json:"weight_bp"`
	OnTimeDays     int               `json:"on_time_days"`
	LoanToIncomeBP int64             `json:"loan_to_income_bp"`
	LoanToValueBP  int64             `json:"loan_to_value_max_bp"`
	StressAddBP    int64             `json:"stress_add_bp"`
	CautiousAddBP  int64             `json:"cautious_add_bp"`
	StressFloorBP  int64             `json:"stress_floor_bp"`
	LongFixMonths  int               `json:"long_fix_months"` // fixed at least so long: no stress
	LivingFloor    Floor             `json:"living_floor"`
	Product        Product           `json:"product"`
	Tax            Tax               `json:"tax"`
	Sources        map[string]string `json:"sources"`
}

// Weights say how much of each sort of income counts.
type Weights struct {
	Salary   int64 `json:"salary"`
	Benefit  int64 `json:"benefit"`
	Variable int64 `json:"variable"`
	Share    int64 `json:"share"`
	Other    int64 `json:"other"`
}

// Floor is the least that a household is taken to live on, in pence a month.
type Floor struct {
	FirstAdult  money.Amount `json:"first_adult"`
	SecondAdult money.Amount `json:"second_adult"`
	Child       money.Amount `json:"child"`
}

// Product is the mortgage that a profile assumes until the reader asks about another.
type Product struct {
	RateBP      int64 `json:"rate_bp"`
	FixedMonths int   `json:"fixed_months"`
	TermMonths  int   `json:"term_months"`
}

// Current returns the policy that this build carries.
func Current() (*Policy, error) { return Parse(current) }

// Parse reads a policy file and refuses unknown names and impossible numbers.
func Parse(raw []byte) (*Policy, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	var p Policy
	if err := dec.Decode(&p); err != nil {
		return nil, fmt.Errorf("reading the policy: %w", err)
	}
	switch {
	case p.Version == "" || p.Dated == "":
		return nil, errors.New("reading the policy: it has no version or date")
	case p.WindowMonths < 1 || p.RecentMonths < 1 || p.RentMonths < 1 || p.LeastMonths < 1 || p.WindowMonths < p.LeastMonths:
		return nil, errors.New("reading the policy: a number of months is not positive")
	case p.LoanToValueBP <= 0 || p.LoanToValueBP >= 10000:
		return nil, errors.New("reading the policy: loan to value must lie between 0 and 100 per cent")
	}
	return &p, nil
}

// Living returns the floor for a household.
func (f Floor) Living(adults, children int) money.Amount {
	sum := f.FirstAdult
	if adults > 1 {
		sum += f.SecondAdult * money.Amount(adults-1)
	}
	return sum + f.Child*money.Amount(children)
}
