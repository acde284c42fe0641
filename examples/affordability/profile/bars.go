package profile

import (
	"fmt"
	"slices"
	"time"

	"example.org/affordability/detect"
	"example.org/affordability/money"
	"example.org/affordability/spend"
	"example.org/affordability/statement"
)

// bars are five separate readings. Each says what it counted; none is weighed against another.
func (b *builder) bars() {
	b.p.Bars = []Bar{b.rentBar(), b.stabilityBar(), b.headroomBar(), b.dataBar(), b.conductBar()}
}

func (b *builder) rentBar() Bar {
	bar := Bar{ID: "rent_record", Name: "Rent record", Value: -1, Why: "no rent found"}
	if r := b.p.Record; r != nil && r.Due > 0 {
		bar.Value, bar.Why = 100*r.OnTime/r.Due, fmt.Sprintf("%d of %d rents on time, the last %d without a break", r.OnTime, r.Due, r.Streak)
	}
	return bar
}

func (b *builder) stabilityBar() Bar {
	totals := map[statement.Month]money.Amount{}
	for _, st := range b.found.Streams {
		if st.Sort != detect.SalaryIn && st.Sort != detect.BenefitIn && st.Sort != detect.VariableIn {
			continue
		}
		turn := 1
		if st.Beat == detect.Monthly {
			turn = detect.Turn(st.Lines)
		}
		for _, l := range st.Lines {
			totals[detect.DueMonth(l.Day, turn)] += l.Amount
		}
	}
	var list []money.Amount
	for m := b.w.From; m <= b.w.To; m++ {
		list = append(list, totals[m])
	}
	sorted := slices.Sorted(slices.Values(list))
	middle := sorted[len(sorted)/2]
	if middle == 0 {
		return Bar{ID: "income", Name: "Income stability", Value: -1, Why: "no regular income found"}
	}
	near := 0
	for _, v := range list {
		if v*100 >= middle*90 { // a bonus does not make an income unsteady
			near++
		}
	}
	return Bar{ID: "income", Name: "Income stability", Value: 100 * near / len(list), Why: fmt.Sprintf("%d of %d months reached nine tenths of the usual %s", near, len(list), middle)}
}

func (b *builder) headroomBar() Bar {
	left, against, name := b.p.Value("headroom"), b.p.Value("rent"), "the present rent"
	if against == 0 {
		against, name = b.p.Value("payment"), "the payment"
	}
	if against == 0 {
		return Bar{ID: "headroom", Name: "Headroom", Value: 0, Why: "nothing is left after committed spending and living costs"}
	}
	return Bar{ID: "headroom", Name: "Headroom", Value: int(max(0, min(100, left*100/against))), Why: fmt.Sprintf("%s is left each month against %s of %s", left, name, against)}
}

func (b *builder) dataBar() Bar {
	known, all := money.Amount(0), money.Amount(0)
	for _, e := range b.p.Entries {
		c, _ := spend.ByID(e.Category)
		if !e.InWindow || e.Amount > 0 || c.Group == spend.Moved {
			continue
		}
		all -= e.Amount
		if e.Category != "other" {
			known -= e.Amount
		}
	}
	part := money.Amount(0)
	if all > 0 {
		part = known * 100 / all
	}
	return Bar{
		ID: "data", Name: "Completeness", Value: int(part) * b.w.Len() / b.pol.WindowMonths,
		Why: fmt.Sprintf("%d of %d months visible, %d%% of spending categorised", b.w.Len(), b.pol.WindowMonths, part),
	}
}

// conductBar looks at overdrawn days, returned direct debits and gambling.
func (b *builder) conductBar() Bar {
	overdrawn := map[time.Time]bool{}
	returned, gambled := 0, money.Amount(0)
	for _, e := range b.p.Entries {
		if !e.InWindow {
			continue
		}
		if e.Balance != nil && *e.Balance < 0 {
			overdrawn[e.Day] = true
		}
		if e.Amount > 0 && e.Channel == statement.Mandate {
			returned++
		}
		if e.Category == "gambling" {
			gambled -= e.Amount
		}
	}
	share := int64(0)
	if net := b.p.Value("net_income"); net > 0 {
		share = int64(gambled.Divide(int64(b.w.Len())) * 100 / net)
	}
	value := max(0, 100-len(overdrawn)-10*returned-2*int(share))
	return Bar{ID: "conduct", Name: "Conduct", Value: value, Why: fmt.Sprintf("100 less 1 for each of %d overdrawn days, 10 for each of %d returned debits, and 2 for each per cent of income gambled (%d%%)", len(overdrawn), returned, share)}
}
