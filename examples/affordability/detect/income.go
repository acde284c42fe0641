package detect

import (
	"time"

	"example.org/affordability/money"
	"example.org/affordability/statement"
)

// ownTransfers marks what moves between the customer's own accounts: by the bank's word, by account number, by
// name, and by two equal and opposite lines within two days on linked accounts.
func (f *finder) ownTransfers() {
	numbers := map[string]bool{}
	for _, a := range f.s.Accounts {
		if a.Number != "" {
			numbers[a.Number] = true
		}
	}
	waiting := map[money.Amount][]statement.Line{}
	for _, l := range f.s.Lines {
		if !l.Settled {
			continue
		}
		switch l.Channel {
		case statement.Card, statement.Machine, statement.Mandate, statement.Bacs, statement.Fee:
			continue
		}
		if l.Channel == statement.Own || (l.PartyID != "" && numbers[l.PartyID]) || (l.Amount < 0 && f.holder(l)) {
			f.sorts[l.Key] = BetweenOwn
		}
		rest := waiting[-l.Amount][:0]
		matched := false
		for _, o := range waiting[-l.Amount] {
			if !matched && o.Account != l.Account && l.Day.Sub(o.Day) <= 48*time.Hour {
				f.sorts[l.Key], f.sorts[o.Key], matched = BetweenOwn, BetweenOwn, true
				continue
			}
			rest = append(rest, o)
		}
		waiting[-l.Amount] = rest
		if !matched {
			waiting[l.Amount] = append(waiting[l.Amount], l)
		}
	}
}

// Scores that are accepted, and sums that are too small to be what they seem.
const (
	enoughForPay  = 6
	enoughForRent = 8
	smallPay      = 200_00 // a month: less is seldom a job
	smallEarnings = 80_00  // a month: less is seldom work
)

// incomes labels what comes in: benefits, pay, and uneven earnings.
func (f *finder) incomes(in []*group) {
	for _, g := range in {
		first := g.lines[0]
		if first.Channel == statement.Card || first.Channel == statement.Mandate || first.Channel == statement.Own {
			continue // refunds and returned debits
		}
		st := newStream(g, g.lines)
		switch {
		case f.isBenefit(st):
			f.keep(st, BenefitIn)
		case f.isSalary(st):
			f.keep(st, SalaryIn)
		case f.isVariable(st):
			f.keep(st, VariableIn)
		default:
			continue
		}
		if st.Active(f.s.Last) {
			f.income += st.Beat.PerMonth(st.usual(f.w))
		}
	}
}

// usual is the stream's middle payment for a beat, or the middle month when there is no beat to multiply.
func (s *Stream) usual(w statement.Window) money.Amount {
	if s.Beat == NoBeat || s.Beat == Monthly || s.Sort == VariableIn {
		s.Beat = cmpBeat(s)
		return median(CalendarTotals(s, w))
	}
	return s.Median()
}

// cmpBeat keeps a monthly beat and gives uneven earnings none, so that nothing multiplies a month.
func cmpBeat(s *Stream) Beat {
	if s.Beat == Monthly {
		return Monthly
	}
	return NoBeat
}

// CalendarTotals adds a stream up by calendar month, from its first month in the window; empty months count as
// zero. Monthly pay that a weekend moves into the month before is taken for the month it is for.
func CalendarTotals(s *Stream, w statement.Window) []money.Amount {
	by := map[statement.Month]money.Amount{}
	turn := 1
	if s.Beat == Monthly {
		turn = Turn(s.Lines)
	}
	for _, l := range s.Lines {
		by[DueMonth(l.Day, turn)] += l.Amount.Abs()
	}
	from := max(w.From, DueMonth(s.First, turn))
	if s.Sort == VariableIn && s.First.Day() > 7 && from == statement.MonthOf(s.First) && from < w.To {
		from++ // a month that began late says nothing about a usual one
	}
	var list []money.Amount
	for m := from; m <= w.To; m++ {
		list = append(list, by[m])
	}
	return list
}

func (f *finder) isBenefit(st *Stream) bool {
	word, ok := says(st.Lines, stateWords)
	switch {
	case coded(st.Lines, "SSBE", "BENE", "GOVT"):
		st.because(enoughForPay, "the bank marks it as a benefit")
	case ok:
		st.because(enoughForPay, "its name says “"+word+"”")
	default:
		return false
	}
	return len(st.Lines) >= 2
}

func (f *finder) isSalary(st *Stream) bool {
	if len(st.Lines) < 2 {
		return false
	}
	if st.Lines[0].Channel == statement.Bacs {
		st.because(2, "it arrives by Bacs, as payrolls do")
	}
	if st.Beat != NoBeat && cadence(st.Lines, st.Beat) >= 70 {
		st.because(2, "it comes "+string(st.Beat))
	}
	if alike(amounts(st.Lines), 15) >= 60 {
		st.because(2, "most payments are alike")
	}
	if coded(st.Lines, "SALA") {
		st.because(4, "the bank marks it as salary")
	} else if word, ok := says(st.Lines, payWords); ok {
		st.because(2, "its text says “"+word+"”")
	}
	if _, ok := says(st.Lines, firmWords); ok {
		st.because(1, "the payer's name is a firm's")
	}
	if st.Lines[0].Channel == statement.FasterIn && personal(st.Lines[0]) {
		st.because(-6, "the payer is a person")
	}
	if st.Beat.PerMonth(st.Median()) < smallPay {
		st.because(-3, "it is small")
	}
	return st.Score >= enoughForPay
}

// isVariable accepts uneven earnings: often, for months, from something that is not a person.
func (f *finder) isVariable(st *Stream) bool {
	if len(st.Lines) < 8 || personal(st.Lines[0]) {
		return false
	}
	months := map[statement.Month]bool{}
	for _, l := range st.Lines {
		months[statement.MonthOf(l.Day)] = true
	}
	total := money.Amount(0)
	for _, l := range st.Lines {
		total += l.Amount
	}
	if len(months) < 3 || len(st.Lines) < 2*len(months) || total/money.Amount(len(months)) < smallEarnings {
		return false
	}
	st.because(enoughForPay, "many uneven payments, month after month, from one firm")
	return true
}

func (s *Stream) because(points int, why string) {
	s.Score += points
	s.Reasons = append(s.Reasons, Reason{points, why})
}

// shares labels what flatmates pay back: a person, every month, the same sum, less than the rent.
func (f *finder) shares(in []*group) {
	if f.rent == nil {
		return
	}
	for _, g := range in {
		for _, part := range clusters(g.lines) {
			if f.sorts[part[0].Key] != Plain || len(part) < 3 || part[0].Channel == statement.Bacs {
				continue
			}
			st := newStream(g, part)
			if cadence(part, Monthly) >= 60 && alike(amounts(part), 5) >= 70 && st.Median() < f.rent.monthly() {
				st.because(1, "a steady monthly sum from a person, smaller than the rent")
				f.keep(st, ShareIn)
			}
		}
	}
}
