package detect

import (
	"cmp"
	"fmt"
	"slices"

	"example.org/affordability/money"
	"example.org/affordability/statement"
)

// rents judges every group that goes out and keeps the present home, earlier homes and the mortgage.
func (f *finder) rents(out []*group) {
	f.owner = f.mortgage(out)
	var good []*Stream
	for _, g := range out {
		for _, part := range clusters(g.lines) {
			if st := f.judge(g, part); st != nil {
				good = append(good, st)
			}
		}
	}
	// The best score wins; between equals, the larger sum.
	slices.SortStableFunc(good, func(a, b *Stream) int {
		return cmp.Or(-cmp.Compare(a.Score, b.Score), -cmp.Compare(a.monthly(), b.monthly()))
	})
	for _, st := range good {
		if f.rent == nil && st.Active(f.s.Last) {
			f.rent = st
		}
	}
	if f.rent == nil {
		return
	}
	for _, st := range good {
		// An earlier home ends about when the present one begins.
		if st != f.rent && st.Last.Before(f.rent.First.AddDate(0, 0, 20)) && st.First.Before(f.rent.First) && len(f.before) == 0 {
			f.before = append(f.before, st)
		}
	}
	for i, st := range append([]*Stream{f.rent}, f.before...) {
		f.complete(out, st)
		if i == 0 {
			f.keep(st, RentPaid)
		} else {
			f.keep(st, RentBefore)
		}
	}
}

// monthly is what the stream costs a month at its usual size.
func (s *Stream) monthly() money.Amount {
	if s.Beat == LunarBeat {
		return s.Beat.PerMonth(s.Median())
	}
	var totals []money.Amount
	for _, t := range DueTotals(s.Lines) {
		totals = append(totals, t)
	}
	return median(totals)
}

// Monthly is the present monthly value of a rent: the middle of the last so many due months, because a rent moves
// in steps and stays. Every four weeks counts thirteen times a year.
func (s *Stream) Monthly(months int) money.Amount {
	if s.Beat == LunarBeat {
		n := max(0, len(s.Lines)-months)
		return s.Beat.PerMonth(median(amounts(s.Lines[n:])))
	}
	totals := DueTotals(s.Lines)
	last := statement.Month(0)
	for m := range totals {
		last = max(last, m)
	}
	first := DueMonth(s.First, Turn(s.Lines))
	var list []money.Amount
	for m := max(first, last-statement.Month(months)+1); m <= last; m++ {
		list = append(list, totals[m])
	}
	return median(list)
}

// mortgage finds a home loan, which makes a rent unlikely.
func (f *finder) mortgage(out []*group) bool {
	found := false
	for _, g := range out {
		_, word := says(g.lines, homeLoanWords)
		if !word && !coded(g.lines, "HLRP") && !together(g.lines, "BUILDING SOC") {
			continue
		}
		if st := newStream(g, g.lines); len(g.lines) >= 3 && st.Beat == Monthly {
			st.because(enoughForRent, "its name is a mortgage's")
			f.keep(st, HomeLoan)
			found = true
		}
	}
	return found
}

// judge scores one candidate and returns it when it is likely enough to be a rent.
func (f *finder) judge(g *group, part []statement.Line) *Stream {
	switch part[0].Channel {
	case statement.Card, statement.Machine, statement.Fee, statement.Own:
		return nil
	}
	part = slices.DeleteFunc(slices.Clone(part), func(l statement.Line) bool {
		return f.sorts[l.Key] != Plain || statement.MonthOf(l.Day) < f.w.From-3 || f.isDeposit(l)
	})
	if len(part) < 3 {
		return nil
	}
	st := newStream(g, part)
	totals := DueTotals(part)
	var months []money.Amount
	for _, t := range totals {
		months = append(months, t)
	}
	if n := len(totals); n >= 3 {
		st.because(2, fmt.Sprintf("paid in %d months", n))
		if n >= 6 {
			st.because(1, "for half a year or longer")
		}
	}
	byMonth, byPayment := alike(months, 12), alike(amounts(part), 12)
	if byMonth >= 70 || (st.Beat == LunarBeat && byPayment >= 70) {
		st.because(2, "about the same each month")
	}
	if even := f.covered(totals); st.Beat == Monthly || st.Beat == LunarBeat || (even && byMonth >= 70) {
		st.because(2, "it keeps a rhythm")
		if st.Beat != LunarBeat {
			st.Beat = Monthly
		}
	}
	m := st.monthly()
	switch {
	case f.income == 0:
		st.because(-3, "no income to compare with")
	case m*100 >= f.income*15 && m*100 <= f.income*65:
		st.because(2, fmt.Sprintf("it takes %d%% of what comes in", m*100/f.income))
	default:
		st.because(-3, fmt.Sprintf("it takes %d%% of what comes in", m*100/f.income))
	}
	f.clues(st)
	if st.Score < enoughForRent {
		return nil
	}
	return st
}

// clues are the points for words, codes and names.
func (f *finder) clues(st *Stream) {
	part := st.Lines
	home := coded(part, "RENT")
	if home {
		st.because(3, "the bank marks it as rent")
	} else if word, ok := says(part, homeWords); ok {
		home = true
		st.because(3, "its text says “"+word+"”")
	}
	if c := part[0].Channel; c == statement.Standing || c == statement.FasterOut {
		st.because(1, "it is a standing order or bank transfer")
	}
	if exact := alike(amounts(part), 0); exact >= 80 {
		st.because(1, "the same to the penny")
	}
	if word, ok := says(part, notHomeWords); ok {
		st.because(-6, "its text says “"+word+"”")
	}
	if together(part, "COUNCIL TAX") {
		st.because(-6, "it is council tax")
	}
	if slices.ContainsFunc(part, func(l statement.Line) bool { return lender(l.MCC) }) {
		st.because(-6, "the payee is a bank or lender")
	}
	if f.kin(part) && !home {
		st.because(-4, "the payee has the account holder's family name")
	}
	if f.owner && !home {
		st.because(-6, "a mortgage is paid too")
	}
}

func lender(mcc string) bool { return mcc == "6010" || mcc == "6011" || mcc == "6012" || mcc == "6051" }

func (f *finder) isDeposit(l statement.Line) bool {
	_, ok := says([]statement.Line{l}, []string{"DEPOSIT"})
	return ok
}

// covered reports whether nearly all months between the first and the last have a payment.
func (f *finder) covered(totals map[statement.Month]money.Amount) bool {
	first, last := statement.Month(1<<30), statement.Month(0)
	for m := range totals {
		first, last = min(first, m), max(last, m)
	}
	return len(totals) >= 3 && len(totals)*100 >= int(last-first+1)*80
}

// complete adds what belongs to a rent but fell outside its cluster: a double payment after a missed month, and
// marks a deposit paid to the same landlord about when the tenancy began.
func (f *finder) complete(out []*group, st *Stream) {
	usual := st.Median()
	mine := map[string]bool{}
	for _, l := range st.Lines {
		mine[l.Key] = true
	}
	payee := Payee(st.Lines[0])
	for _, g := range out {
		for _, l := range g.lines {
			if Payee(l) != payee || mine[l.Key] || f.sorts[l.Key] != Plain || statement.MonthOf(l.Day) < f.w.From-3 {
				continue
			}
			switch a := l.Amount.Abs(); {
			case f.isDeposit(l):
				f.sorts[l.Key] = DepositPaid
			case (a-2*usual).Abs()*100 <= 2*usual*3:
				st.Lines = append(st.Lines, l)
			}
		}
	}
	// A first payment that is larger by up to three tenths, once, is a deposit without the word.
	if first := st.Lines[0].Amount.Abs(); len(st.Lines) > 3 && first*100 > usual*108 && first*100 <= usual*130 && st.Lines[1].Amount.Abs()*100 < usual*104 && st.Lines[1].Day.Sub(st.Lines[0].Day).Hours() < 24*20 {
		f.sorts[st.Lines[0].Key] = DepositPaid
		st.Lines = st.Lines[1:]
	}
	slices.SortStableFunc(st.Lines, func(a, b statement.Line) int { return a.Day.Compare(b.Day) })
	st.First, st.Last = st.Lines[0].Day, st.Lines[len(st.Lines)-1].Day
}
