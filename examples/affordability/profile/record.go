package profile

import (
	"slices"
	"time"

	"example.org/affordability/detect"
	"example.org/affordability/money"
	"example.org/affordability/policy"
	"example.org/affordability/statement"
)

// Mark is the word for one due rent.
type Mark string

// The marks.
const (
	OnTime Mark = "on time"
	Late   Mark = "late"
	Missed Mark = "missed"
	Part   Mark = "part paid"
)

// Cell is one due rent.
type Cell struct {
	Name string       `json:"name"` // "Apr 2026", or the day for a rent by weeks
	Due  time.Time    `json:"due"`
	Paid money.Amount `json:"paid"`
	On   time.Time    `json:"on,omitzero"` // the day on which it was paid in full
	Mark Mark         `json:"mark"`
	Days int          `json:"days,omitempty"` // late by so many
}

// Record is a year of rents.
type Record struct {
	Cells  []Cell `json:"cells"`
	OnTime int    `json:"on_time"`
	Due    int    `json:"due"`
	Streak int    `json:"streak"` // on time without a break, up to now
}

// record lists the due rents of a window. The due day is not known to a bank, so it is taken to be the usual day.
func record(st *detect.Stream, rent money.Amount, w statement.Window, pol *policy.Policy) *Record {
	var cells []Cell
	if st.Beat == detect.LunarBeat {
		cells = byPayment(st, w, pol)
	} else {
		cells = byMonth(st, rent, w, pol)
	}
	r := &Record{Cells: cells, Due: len(cells)}
	for _, c := range cells {
		if c.Mark == OnTime {
			r.OnTime++
			r.Streak++
		} else {
			r.Streak = 0
		}
	}
	return r
}

func byMonth(st *detect.Stream, rent money.Amount, w statement.Window, pol *policy.Policy) []Cell {
	turn := detect.Turn(st.Lines)
	by := map[statement.Month][]statement.Line{}
	for _, l := range st.Lines {
		m := detect.DueMonth(l.Day, turn)
		by[m] = append(by[m], l)
	}
	// The usual day on which a month's rent was paid in full, counted from the turn of the month.
	full := func(m statement.Month) (day time.Time, paid money.Amount) {
		need := min(rent, total(by[m])) // an earlier, lower rent was full too
		for _, l := range by[m] {
			if paid += l.Amount.Abs(); paid*100 >= need*95 && day.IsZero() {
				day = l.Day
			}
		}
		return day, paid
	}
	var offsets []int
	for m := range by {
		day, _ := full(m)
		offsets = append(offsets, int(day.Sub(begin(m, turn)).Hours()/24))
	}
	slices.Sort(offsets)
	usual := offsets[(len(offsets)-1)/2]
	var cells []Cell
	for m := max(w.From, detect.DueMonth(st.First, turn)); m <= w.To; m++ {
		c := Cell{Name: m.Name(), Due: workday(begin(m, turn).AddDate(0, 0, usual))}
		c.On, c.Paid = full(m)
		switch days := int(c.On.Sub(c.Due).Hours() / 24); {
		case c.Paid == 0:
			c.Mark = Missed
		case c.Paid*100 < rent*80:
			c.Mark = Part
		case days > pol.OnTimeDays:
			c.Mark, c.Days = Late, days
		default:
			c.Mark = OnTime
		}
		cells = append(cells, c)
	}
	return cells
}

func total(lines []statement.Line) money.Amount {
	sum := money.Amount(0)
	for _, l := range lines {
		sum += l.Amount.Abs()
	}
	return sum
}

// begin is the day on which a due month begins (see [detect.Turn]).
func begin(m statement.Month, turn int) time.Time {
	if turn > 15 {
		return m.Start().AddDate(0, 0, turn-32)
	}
	return m.Start().AddDate(0, 0, turn-1)
}

func byPayment(st *detect.Stream, w statement.Window, pol *policy.Policy) []Cell {
	var cells []Cell
	for i, l := range st.Lines {
		if !w.Has(l.Day) {
			continue
		}
		c := Cell{Name: l.Day.Format("2 Jan 06"), Due: l.Day, On: l.Day, Paid: l.Amount.Abs(), Mark: OnTime}
		if i > 0 {
			prev := st.Lines[i-1].Day
			for miss := prev.AddDate(0, 0, 28); int(l.Day.Sub(miss).Hours()/24) >= 21; miss = miss.AddDate(0, 0, 28) {
				cells = append(cells, Cell{Name: miss.Format("2 Jan 06"), Due: miss, Mark: Missed})
				prev = miss
			}
			c.Due = workday(prev.AddDate(0, 0, 28))
			if days := int(l.Day.Sub(c.Due).Hours() / 24); days > pol.OnTimeDays {
				c.Mark, c.Days = Late, days
			}
		}
		cells = append(cells, c)
	}
	return cells
}

// workday moves a weekend to Monday. Bank holidays need no table here: the days of grace cover them.
func workday(t time.Time) time.Time {
	for t.Weekday() == time.Saturday || t.Weekday() == time.Sunday {
		t = t.AddDate(0, 0, 1)
	}
	return t
}
