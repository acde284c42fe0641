// Package town invents people and a year and a quarter of their bank accounts.
//
// Everything follows from a seed and a date: the same two give the same town, byte for byte, on every machine.
// There is no floating point and no clock here, because both would break that promise. Each tenant lives one of
// fourteen lives (see [Archetypes]), and the town knows the truth about every row: which one is rent, which is
// pay, which is a friend settling a dinner. The bank serves the rows; only its operator may see the truth.
//
// All names of people, shops, employers and banks are invented.
package town

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Pence is an amount of money in whole pence. A debit is negative.
type Pence int64

// Rail is the way a payment travelled.
type Rail string

// The rails that a current account sees.
const (
	DirectDebit   Rail = "direct debit"
	StandingOrder Rail = "standing order"
	BankCredit    Rail = "bank credit" // Bacs: payroll and benefits
	FasterIn      Rail = "faster in"
	FasterOut     Rail = "faster out"
	Card          Rail = "card"
	Cash          Rail = "cash"
	Internal      Rail = "internal" // between the customer's own accounts
	Charge        Rail = "charge"
)

// Kind is the truth about a row.
type Kind string

// The kinds that an evaluation is about. Spending rows carry a [Kind] that starts with "spend:".
const (
	KindRent          Kind = "rent"
	KindSalary        Kind = "salary"
	KindBenefit       Kind = "benefit"
	KindGig           Kind = "gig"
	KindShare         Kind = "rent_share" // a flatmate's part, paid to the one who pays the landlord
	KindFriend        Kind = "friend"
	KindOwnTransfer   Kind = "own_transfer"
	KindDeposit       Kind = "deposit"
	KindDepositReturn Kind = "deposit_return"
	KindMortgage      Kind = "mortgage"
	KindBoard         Kind = "board" // a grown-up child's contribution at the parents' home
	KindRefund        Kind = "refund"
	KindReturned      Kind = "returned" // a direct debit that bounced
)

// Party is the other side of a payment.
type Party struct {
	Name     string
	SortCode string // six digits; empty when there is no bank account to show
	Number   string // eight digits
}

// Entry is one row of an account.
type Entry struct {
	Account   int // index into Tenant.Accounts
	ID        string
	At        time.Time
	Amount    Pence
	Balance   Pence // after this row
	Kind      Kind
	Rail      Rail
	Other     Party
	Reference string
	MCC       string
	Pending   bool
	Purpose   string // ISO 20022 ExternalPurpose1Code; often empty, as at real banks
	Category  string // ISO 20022 ExternalCategoryPurpose1Code
	Nonce     int    // a small stable number that dialects print as a reference
}

// Account is one bank account.
type Account struct {
	ID       string
	Savings  bool
	Holder   string
	SortCode string
	Number   string
	Opening  Pence // balance before the first row
	Closing  Pence
}

// Order is a standing order as the bank would list it.
type Order struct {
	Account   int
	ID        string
	To        Party
	Amount    Pence
	Reference string
	Day       int
	Weekly4   bool
	Last      time.Time
	Next      time.Time
}

// Truth is what the town knows and no bank does.
type Truth struct {
	Archetype   string `json:"archetype"`
	RentMonthly Pence  `json:"rent_monthly_pence"` // due each month under the present tenancy; 0 without one
	RentEvery   string `json:"rent_every"`         // "month", "4weeks" or ""
	PayEvery    string `json:"pay_every"`          // "month", "week" or ""
	GrossAnnual Pence  `json:"gross_annual_pence"` // of the main job, or both jobs of a couple
	PayMonthly  Pence  `json:"pay_monthly_pence"`  // today's take-home from employment, without bonuses
	BenefitRate Pence  `json:"benefit_monthly_pence"`
	LateRents   int    `json:"late_rents"`
	MissedRents int    `json:"missed_rents"`
}

// Tenant is one customer of the bank.
type Tenant struct {
	Number   int
	ID       string
	Name     string
	Dialect  Dialect
	Accounts []Account
	Entries  []Entry // oldest first
	Orders   []Order
	Truth    Truth
	From     time.Time // the first day the bank can show
	AsOf     time.Time
}

// Config says which town to build.
type Config struct {
	Seed    uint64
	Tenants int       // how many; tenant 1 is the same person whatever the number
	AsOf    time.Time // the last day with rows; only the date counts
}

// Town is a bank's customers.
type Town struct {
	Config
	tenants []*Tenant
}

// New builds the town. Ten tenants take about a millisecond each.
func New(cfg Config) (*Town, error) {
	if cfg.Tenants < 1 || cfg.Tenants > 20000 {
		return nil, fmt.Errorf("building a town of %d tenants: want 1 to 20000", cfg.Tenants)
	}
	if cfg.AsOf.Year() < 2021 || cfg.AsOf.Year() > 2030 {
		return nil, fmt.Errorf("building a town as of %s: bank holidays are known from 2020 to 2030", cfg.AsOf.Format(time.DateOnly))
	}
	cfg.AsOf = date(cfg.AsOf.Year(), cfg.AsOf.Month(), cfg.AsOf.Day())
	t := &Town{Config: cfg}
	for n := 1; n <= cfg.Tenants; n++ {
		t.tenants = append(t.tenants, Build(cfg.Seed, n, cfg.AsOf))
	}
	return t, nil
}

// Tenants returns everybody, in order of number.
func (t *Town) Tenants() []*Tenant { return t.tenants }

// Tenant returns one customer by id, or nil.
func (t *Town) Tenant(id string) *Tenant {
	for _, p := range t.tenants {
		if p.ID == id {
			return p
		}
	}
	return nil
}

// Build invents one tenant. It does not depend on the others, so a big town can be streamed.
func Build(seed uint64, number int, asOf time.Time) *Tenant {
	c := newChance(seed, uint64(number))
	recipe := recipes[(number-1)%len(recipes)]
	l := newLife(c, number, asOf)
	l.t.Truth.Archetype = recipe.name
	recipe.live(l)
	return l.finish()
}

// finish sorts the rows, walks the balances and gives every row its id.
func (l *life) finish() *Tenant {
	t := l.t
	slices.SortStableFunc(t.Entries, func(a, b Entry) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Account, b.Account))
	})
	balance := make([]Pence, len(t.Accounts))
	for i, a := range t.Accounts {
		balance[i] = a.Opening
	}
	for i := range t.Entries {
		e := &t.Entries[i]
		if !e.Pending {
			balance[e.Account] += e.Amount
		}
		e.Balance = balance[e.Account]
		e.ID = fmt.Sprintf("%s-%06x", t.Accounts[e.Account].ID, mix(l.c.seed, uint64(i))&0xffffff|uint64(i)<<24)
	}
	for i := range t.Accounts {
		t.Accounts[i].Closing = balance[i]
	}
	return t
}
