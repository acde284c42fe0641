package detect

import (
	"example.org/affordability/money"
	"example.org/affordability/statement"
)

// Worth is what a stream is worth a month inside a window, with the values that its median was taken from.
type Worth struct {
	Value  money.Amount
	Values []money.Amount   // months, or single payments when the beat is not a month
	Lines  []statement.Line // what the values are made of
	Beat   Beat             // what the median is multiplied by; Monthly and NoBeat: nothing
}

// Worth values a stream: the median of its months, or its middle payment times the payments in a year over twelve.
func (s *Stream) Worth(w statement.Window) Worth {
	out := Worth{Beat: s.Beat}
	if s.Beat == Monthly || s.Beat == NoBeat {
		turn := 1
		if s.Beat == Monthly {
			turn = Turn(s.Lines)
		}
		out.Values = CalendarTotals(s, w)
		from := w.To - statement.Month(len(out.Values)) + 1
		for _, l := range s.Lines {
			if m := DueMonth(l.Day, turn); m >= from && m <= w.To {
				out.Lines = append(out.Lines, l)
			}
		}
		out.Value = median(out.Values)
		return out
	}
	for _, l := range s.Lines {
		if w.Has(l.Day) {
			out.Lines = append(out.Lines, l)
		}
	}
	out.Values = amounts(out.Lines)
	out.Value = s.Beat.PerMonth(median(out.Values))
	return out
}

// RentWorth values the present rent over its last due months (see [Stream.Monthly]).
func (s *Stream) RentWorth(months int) Worth {
	out := Worth{Beat: s.Beat, Value: s.Monthly(months)}
	if s.Beat == LunarBeat {
		out.Lines = s.Lines[max(0, len(s.Lines)-months):]
		out.Values = amounts(out.Lines)
		return out
	}
	out.Beat = Monthly
	turn := Turn(s.Lines)
	totals := DueTotals(s.Lines)
	last := DueMonth(s.Last, turn)
	from := max(DueMonth(s.First, turn), last-statement.Month(months)+1)
	for m := from; m <= last; m++ {
		out.Values = append(out.Values, totals[m])
	}
	for _, l := range s.Lines {
		if DueMonth(l.Day, turn) >= from {
			out.Lines = append(out.Lines, l)
		}
	}
	return out
}
