// Package statement is what a bank told us, in one shape for every bank and version of the standard.
package statement

import (
	"slices"
	"time"

	"example.org/affordability/money"
)

// Channel is how a payment travelled.
type Channel string

// The channels that banks tell apart. A code that no table knows is Unknown, never a guess.
const (
	Unknown   Channel = ""
	Mandate   Channel = "direct_debit"
	Standing  Channel = "standing_order"
	Bacs      Channel = "bacs"
	FasterIn  Channel = "faster_payment_in"
	FasterOut Channel = "faster_payment_out"
	Card      Channel = "card"
	Machine   Channel = "cash_machine"
	Own       Channel = "own_account"
	Fee       Channel = "fee"
)

// Line is one booked or pending movement.
type Line struct {
	Key      string        `json:"key"` // stable over reads, also when the bank gives no id
	Account  string        `json:"account"`
	Day      time.Time     `json:"day"` // the date in London, at midnight UTC
	Amount   money.Amount  `json:"amount"`
	Settled  bool          `json:"settled"` // booked and immutable; only these count
	Text     string        `json:"text,omitempty"`
	Channel  Channel       `json:"channel,omitempty"`
	PartyID  string        `json:"party_id,omitempty"` // sort code and account number of the other side
	Party    string        `json:"party,omitempty"`
	Merchant string        `json:"merchant,omitempty"`
	MCC      string        `json:"mcc,omitempty"`
	Purpose  string        `json:"purpose,omitempty"`  // ISO 20022 external purpose code
	Category string        `json:"category,omitempty"` // ISO 20022 category purpose code
	Balance  *money.Amount `json:"balance,omitempty"`
}

// Who is the best name that the bank gave for the other side.
func (l Line) Who() string {
	switch {
	case l.Merchant != "":
		return l.Merchant
	case l.Party != "":
		return l.Party
	case l.Text != "":
		return l.Text
	}
	return "no name given"
}

// Account is one of the customer's accounts.
type Account struct {
	ID      string       `json:"id"`
	Type    string       `json:"type"` // CACC, SVGS, …
	Name    string       `json:"name"` // what the bank calls it
	Holder  string       `json:"holder,omitempty"`
	Number  string       `json:"number,omitempty"` // sort code and account number
	Balance money.Amount `json:"balance"`
}

// Order is a standing order.
type Order struct {
	Account string       `json:"account"`
	PartyID string       `json:"party_id,omitempty"`
	Party   string       `json:"party,omitempty"`
	Amount  money.Amount `json:"amount"`
	Words   string       `json:"words,omitempty"`
}

// Statement is one reading of one consent.
type Statement struct {
	Accounts []Account `json:"accounts"`
	Lines    []Line    `json:"lines"` // oldest first
	Orders   []Order   `json:"orders"`
	First    time.Time `json:"first"`  // the first day the bank could show, whatever happened on it
	Last     time.Time `json:"last"`   // the last such day
	Detail   bool      `json:"detail"` // false when the consent hides names and texts
	Warnings []string  `json:"warnings,omitempty"`
}

// Sort puts the lines in order of day and key, so that equal readings are equal statements.
func (s *Statement) Sort() {
	slices.SortStableFunc(s.Lines, func(a, b Line) int {
		if c := a.Day.Compare(b.Day); c != 0 {
			return c
		}
		switch {
		case a.Key < b.Key:
			return -1
		case a.Key > b.Key:
			return 1
		}
		return 0
	})
}

// Month is a calendar month, counted from year 0.
type Month int

// MonthOf returns the month of a day.
func MonthOf(t time.Time) Month { return Month(t.Year()*12 + int(t.Month()) - 1) }

// Start is the first day of the month.
func (m Month) Start() time.Time {
	return time.Date(int(m)/12, time.Month(int(m)%12+1), 1, 0, 0, 0, 0, time.UTC)
}

// String writes 2026-04.
func (m Month) String() string { return m.Start().Format("2006-01") }

// Name writes Apr 2026.
func (m Month) Name() string { return m.Start().Format("Jan 2006") }

// Window is a run of complete months, both ends included.
type Window struct{ From, To Month }

// Len is the number of months.
func (w Window) Len() int { return max(0, int(w.To-w.From)+1) }

// Has reports whether a day lies inside.
func (w Window) Has(day time.Time) bool { m := MonthOf(day); return m >= w.From && m <= w.To }

// Recent returns the last n months of the window, or all of it.
func (w Window) Recent(n int) Window { return Window{max(w.From, w.To-Month(n)+1), w.To} }

// Complete returns the last complete months that the bank could show, at most n.
func (s *Statement) Complete(n int) Window {
	to := MonthOf(s.Last.AddDate(0, 0, 1)) - 1 // the month of the last day counts when that day ends it
	from := MonthOf(s.First)
	if s.First.Day() > 1 {
		from++
	}
	return Window{max(from, to-Month(n)+1), to}
}
