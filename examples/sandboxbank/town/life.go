package town

import (
	"fmt"
	"time"
)

// historyDays is how far back the bank can show: fifteen months, so that twelve complete ones are always inside.
const historyDays = 457

// life is one tenant while they are being invented.
type life struct {
	c        *chance
	t        *Tenant
	from, to time.Time // first and last day with rows

	pay   Pence // a month's take-home of the household, as it is today
	fixed Pence // what leaves every month whatever happens
	coded bool  // whether this tenant's bank fills in purpose codes
}

func newLife(c *chance, number int, asOf time.Time) *life {
	t := &Tenant{
		Number:  number,
		ID:      fmt.Sprintf("t%04d", number),
		Name:    c.person(),
		Dialect: Dialect(c.between(0, 2)),
		From:    asOf.AddDate(0, 0, -historyDays),
		AsOf:    asOf,
	}
	l := &life{c: c, t: t, from: t.From, to: asOf, coded: c.in100(60)}
	l.open(t.Name, false, c.pence(150, 2600))
	return l
}

// open adds an account and returns its index.
func (l *life) open(holder string, savings bool, opening Pence) int {
	p := l.c.account(holder)
	i := len(l.t.Accounts)
	l.t.Accounts = append(l.t.Accounts, Account{
		ID: fmt.Sprintf("%s-%d-%04x", l.t.ID, i+1, l.c.next()&0xffff), Savings: savings,
		Holder: holder, SortCode: p.SortCode, Number: p.Number, Opening: opening,
	})
	return i
}

// row writes one entry on the main account, unless the day is outside the history.
func (l *life) row(day time.Time, e Entry) {
	if day.Before(l.from) || day.After(l.to) || e.Amount == 0 {
		return
	}
	e.At = day.Add(time.Duration(l.c.between(6*60, 21*60)) * time.Minute)
	if e.Rail == BankCredit || e.Rail == DirectDebit || e.Rail == StandingOrder {
		e.At = day.Add(3 * time.Hour)
	}
	// Card payments of the last two days have not settled: they will be booked under another id and may change.
	e.Pending = e.Rail == Card && !day.Before(l.to.AddDate(0, 0, -1))
	l.t.Entries = append(l.t.Entries, e)
}

// months calls f with the first day of every calendar month that touches the history.
func (l *life) months(f func(first time.Time)) {
	for m := monthStart(l.from); !m.After(l.to); m = m.AddDate(0, 1, 0) {
		f(m)
	}
}

// every calls f each n days, starting somewhere in the first n.
func (l *life) every(n int, weekday time.Weekday, f func(day time.Time)) {
	d := l.from
	for d.Weekday() != weekday {
		d = d.AddDate(0, 0, 1)
	}
	if n > 7 {
		d = d.AddDate(0, 0, 7*l.c.between(0, n/7-1))
	}
	for ; !d.After(l.to); d = d.AddDate(0, 0, n) {
		f(d)
	}
}

// purpose returns a code most of the time, when this bank fills codes in at all.
func (l *life) purpose(code string) string {
	if l.coded && l.c.in100(80) {
		return code
	}
	return ""
}

// twin writes the two sides of a move between the customer's own accounts.
func (l *life) twin(day time.Time, from, to int, amount Pence, rail Rail) {
	a, b := l.t.Accounts[from], l.t.Accounts[to]
	l.row(day, Entry{Account: from, Amount: -amount, Kind: KindOwnTransfer, Rail: rail, Other: Party{b.Holder, b.SortCode, b.Number}, Reference: "SAVINGS"})
	l.row(day, Entry{Account: to, Amount: amount, Kind: KindOwnTransfer, Rail: Internal, Other: Party{a.Holder, a.SortCode, a.Number}, Reference: "SAVINGS"})
}
