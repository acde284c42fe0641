package detect

import (
	"time"

	"example.org/affordability/money"
	"example.org/affordability/statement"
)

// Beat is the rhythm of a stream.
type Beat string

// The rhythms of British pay and rent.
const (
	NoBeat    Beat = ""
	Weekly    Beat = "weekly"
	TwoWeekly Beat = "every two weeks"
	LunarBeat Beat = "every four weeks"
	Monthly   Beat = "monthly"
)

// days is the length of one period.
func (b Beat) days() int {
	switch b {
	case Weekly:
		return 7
	case TwoWeekly:
		return 14
	case LunarBeat:
		return 28
	}
	return 31
}

// PerMonth turns one period's amount into a month's: a year has 52 weeks, 26 fortnights, 13 times four weeks.
func (b Beat) PerMonth(a money.Amount) money.Amount {
	switch b {
	case Weekly:
		return (a * 52).Divide(12)
	case TwoWeekly:
		return (a * 26).Divide(12)
	case LunarBeat:
		return (a * 13).Divide(12)
	}
	return a
}

// fits are the gaps in days that belong to each beat, counting weekends and bank holidays.
var fits = []struct {
	beat     Beat
	from, to int
}{{Weekly, 5, 9}, {TwoWeekly, 11, 17}, {LunarBeat, 25, 31}, {Monthly, 24, 37}}

// beatOf returns the rhythm that most gaps follow, or none when fewer than half follow any.
func beatOf(lines []statement.Line) Beat {
	best, most := NoBeat, 49
	for _, f := range fits {
		share := cadence(lines, f.beat)
		// Four weeks and a month overlap; a day of the month that stays is a month, a weekday that stays is four weeks.
		if f.beat == LunarBeat && !sameWeekday(lines) {
			continue
		}
		if share > most {
			best, most = f.beat, share
		}
	}
	return best
}

// cadence is the share of gaps, in per cent, that fit a beat. One missed period is forgiven where most are not
// missed; otherwise every four weeks would be every two with a hole in each.
func cadence(lines []statement.Line, b Beat) int {
	from, to := 0, 0
	for _, f := range fits {
		if f.beat == b {
			from, to = f.from, f.to
		}
	}
	direct, skipped, all := 0, 0, 0
	for i := 1; i < len(lines); i++ {
		gap := int(lines[i].Day.Sub(lines[i-1].Day) / (24 * time.Hour))
		switch {
		case gap == 0:
			continue
		case gap >= from && gap <= to:
			direct++
		case gap >= from+b.days() && gap <= to+b.days():
			skipped++
		}
		all++
	}
	switch {
	case all == 0:
		return 0
	case direct > skipped:
		return (direct + skipped) * 100 / all
	}
	return direct * 100 / all
}

// sameWeekday reports whether nearly all gaps are close to 28 days: a monthly stream has at most two such months a year
// and drifts over the weekdays.
func sameWeekday(lines []statement.Line) bool {
	near, all := 0, 0
	for i := 1; i < len(lines); i++ {
		gap := int(lines[i].Day.Sub(lines[i-1].Day) / (24 * time.Hour))
		all++
		if (gap >= 26 && gap <= 29) || gap == 56 {
			near++
		}
	}
	return all > 0 && near*100 >= all*75
}

// Turn is the day of the month on which a stream's month begins: a little before the usual first payment, in the
// longest stretch of the month without any. A rent due on the 1st that arrives on the 29th belongs to the month ahead;
// one due on the 28th that a weekend moves to the 2nd belongs to the month behind.
func Turn(lines []statement.Line) int {
	var used [32]bool
	for _, l := range lines {
		used[l.Day.Day()] = true
	}
	bestStart, bestLen := 1, -1
	for start := 1; start <= 31; start++ {
		n := 0
		for n < 31 && !used[(start-1+n)%31+1] {
			n++
		}
		if n > bestLen {
			bestStart, bestLen = start, n
		}
	}
	end := bestStart + bestLen // the first used day after the stretch
	return (end-1-min(4, bestLen/2)+62)%31 + 1
}

// DueMonth is the month that a payment is for, given the turn.
func DueMonth(day time.Time, turn int) statement.Month {
	if turn > 15 { // the month begins in the second half of the one before
		return statement.MonthOf(day.AddDate(0, 0, 32-turn))
	}
	return statement.MonthOf(day.AddDate(0, 0, 1-turn))
}

// DueTotals adds a stream up by the month that each payment is for.
func DueTotals(lines []statement.Line) map[statement.Month]money.Amount {
	turn := Turn(lines)
	totals := map[statement.Month]money.Amount{}
	for _, l := range lines {
		totals[DueMonth(l.Day, turn)] += l.Amount.Abs()
	}
	return totals
}
