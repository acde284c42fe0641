package detect_test

import (
	"fmt"
	"testing"
	"time"

	"example.org/affordability/detect"
	"example.org/affordability/money"
	"example.org/affordability/statement"
)

func day(m time.Month, d int) time.Time { return time.Date(2025, m, d, 0, 0, 0, 0, time.UTC) }

// life writes a statement by hand, April 2025 to mid-June 2026.
type life struct{ s *statement.Statement }

func newLife() *life {
	l := &life{&statement.Statement{First: day(3, 20), Last: day(18, 12), Accounts: []statement.Account{{ID: "main", Type: "CACC", Holder: "Ada Penhaligon", Number: "111111"}, {ID: "pot", Type: "SVGS", Holder: "Ada Penhaligon", Number: "222222"}}}}
	l.monthly(28, 2_400_00, statement.Bacs, "BODKIN LTD WAGES", "")
	return l
}

func (l *life) add(at time.Time, amount money.Amount, c statement.Channel, text, party string) {
	l.on("main", at, amount, c, text, party)
}

func (l *life) on(account string, at time.Time, amount money.Amount, c statement.Channel, text, party string) {
	if at.After(l.s.Last) || at.Before(l.s.First) {
		return
	}
	l.s.Lines = append(l.s.Lines, statement.Line{Key: fmt.Sprintf("k%04d", len(l.s.Lines)), Account: account, Day: at, Amount: amount, Settled: true, Channel: c, Text: text, PartyID: party})
}

func (l *life) monthly(d int, amount money.Amount, c statement.Channel, text, party string) {
	for m := time.Month(4); m <= 18; m++ {
		l.add(day(m, d), amount, c, text, party)
	}
}

func (l *life) find() *detect.Result {
	l.s.Finish()
	return detect.Find(l.s, l.s.Complete(12))
}

// count returns how many lines with this text have a sort.
func (l *life) count(r *detect.Result, text string, sort detect.Sort) (n int) {
	for _, x := range l.s.Lines {
		if x.Text == text && r.Sorts[x.Key] == sort {
			n++
		}
	}
	return n
}

func TestRent(t *testing.T) {
	t.Parallel()
	t.Run("a landlord who is a friend: the dinners are not rent", func(t *testing.T) {
		t.Parallel()
		l := newLife()
		l.monthly(3, -800_00, statement.Standing, "S HOLLOWAY", "999")
		for m := time.Month(4); m <= 18; m++ {
			l.add(day(m, 7), -money.Amount(1000+100*int(m)), statement.FasterOut, "S HOLLOWAY", "999")
			l.add(day(m, 19), -money.Amount(4200-100*int(m)), statement.FasterOut, "S HOLLOWAY", "999")
		}
		r := l.find()
		if r.Rent == nil || r.Rent.Median() != 800_00 || l.count(r, "S HOLLOWAY", detect.RentPaid) != 15 {
			t.Errorf("%+v, %d lines", r.Rent, l.count(r, "S HOLLOWAY", detect.RentPaid))
		}
	})
	for name, c := range map[string]struct {
		amount  money.Amount
		channel statement.Channel
		text    string
	}{
		"a nursery":                      {-700_00, statement.Standing, "HEDGEHOG NURSERY FEES"},
		"a loan":                         {-600_00, statement.Mandate, "FAIRWEATHER LOANS"},
		"a mortgage":                     {-900_00, statement.Mandate, "PIPPIN MORTGAGES"},
		"a parent with the same name":    {-500_00, statement.Standing, "J PENHALIGON"},
		"a sum that takes nearly all":    {-2_200_00, statement.Standing, "MYSTERY PERSON"},
		"a phone":                        {-30_00, statement.Mandate, "MURMUR PHONE"},
		"the holder's own savings":       {-600_00, statement.Standing, "ADA PENHALIGON"},
		"card payments at a supermarket": {-700_00, statement.Card, "MARROW SUPERMARKET"},
	} {
		t.Run(name+" is not rent", func(t *testing.T) {
			t.Parallel()
			l := newLife()
			l.monthly(5, c.amount, c.channel, c.text, "")
			if r := l.find(); r.Rent != nil {
				t.Errorf("%s: %+v", r.Rent.Who, r.Rent.Reasons)
			}
		})
	}
	t.Run("a small rent beside a mortgage needs the word", func(t *testing.T) {
		t.Parallel()
		plain, said := newLife(), newLife()
		for _, l := range []*life{plain, said} {
			l.monthly(2, -900_00, statement.Mandate, "PIPPIN MORTGAGES", "")
		}
		plain.monthly(5, -500_00, statement.Standing, "S HOLLOWAY", "")
		said.monthly(5, -500_00, statement.Standing, "S HOLLOWAY RENT", "")
		if r := plain.find(); r.Rent != nil || !r.Owner {
			t.Errorf("without the word: %+v", r.Rent)
		}
		if r := said.find(); r.Rent == nil {
			t.Error("with the word: none")
		}
	})
	t.Run("every four weeks counts thirteen times a year", func(t *testing.T) {
		t.Parallel()
		l := newLife()
		for at := day(4, 7); !at.After(l.s.Last); at = at.AddDate(0, 0, 28) {
			l.add(at, -600_00, statement.Standing, "MEADOW HOUSING", "")
		}
		if r := l.find(); r.Rent == nil || r.Rent.Beat != detect.LunarBeat || r.Rent.Monthly(6) != 650_00 {
			t.Errorf("%+v", r.Rent)
		}
	})
	t.Run("a rise shows the present rent", func(t *testing.T) {
		t.Parallel()
		l := newLife()
		for m := time.Month(4); m <= 18; m++ {
			amount := money.Amount(-800_00)
			if m >= 14 {
				amount = -840_00
			}
			l.add(day(m, 1), amount, statement.Standing, "OAKTREE LETS", "")
		}
		if r := l.find(); r.Rent == nil || r.Rent.Monthly(6) != 840_00 {
			t.Errorf("%+v", r.Rent)
		}
	})
	t.Run("a double payment after a missed month belongs to it", func(t *testing.T) {
		t.Parallel()
		l := newLife()
		for m := time.Month(4); m <= 18; m++ {
			switch m {
			case 10:
			case 11:
				l.add(day(m, 4), -1_600_00, statement.FasterOut, "OAKTREE LETS", "")
			default:
				l.add(day(m, 4), -800_00, statement.FasterOut, "OAKTREE LETS", "")
			}
		}
		r := l.find()
		if r.Rent == nil || r.Rent.Monthly(6) != 800_00 || l.count(r, "OAKTREE LETS", detect.RentPaid) != 14 {
			t.Errorf("%+v, %d lines", r.Rent, l.count(r, "OAKTREE LETS", detect.RentPaid))
		}
	})
	t.Run("two homes one after the other are both rent, and only the second is present", func(t *testing.T) {
		t.Parallel()
		l := newLife()
		for m := time.Month(4); m <= 18; m++ {
			if m < 12 {
				l.add(day(m, 1), -700_00, statement.Standing, "OLD COTTAGE RENT", "")
			} else {
				l.add(day(m, 1), -800_00, statement.Standing, "NEW COTTAGE RENT", "")
			}
		}
		l.add(day(11, 20), -900_00, statement.FasterOut, "NEW COTTAGE DEPOSIT", "")
		r := l.find()
		if r.Rent == nil || r.Rent.Median() != 800_00 || len(r.Before) != 1 || l.count(r, "OLD COTTAGE RENT", detect.RentBefore) != 8 || l.count(r, "NEW COTTAGE DEPOSIT", detect.RentPaid) != 0 {
			t.Errorf("%+v %+v", r.Rent, r.Before)
		}
	})
}

func TestIncome(t *testing.T) {
	t.Parallel()
	t.Run("pay is pay, a bonus does not raise it, and a refund is not income", func(t *testing.T) {
		t.Parallel()
		l := newLife()
		for i := range l.s.Lines {
			if l.s.Lines[i].Day.Month() == time.December {
				l.s.Lines[i].Amount *= 2
			}
		}
		l.add(day(6, 9), 49_99, statement.Card, "THE SOCK SHOP", "")
		r := l.find()
		if len(r.Streams) != 1 || r.Streams[0].Sort != detect.SalaryIn || r.Streams[0].Worth(l.s.Complete(12)).Value != 2_400_00 {
			t.Errorf("%+v", r.Streams)
		}
	})
	t.Run("a flatmate's part is not income", func(t *testing.T) {
		t.Parallel()
		l := newLife()
		l.monthly(1, -1_000_00, statement.Standing, "OAKTREE LETS", "")
		l.monthly(2, 500_00, statement.FasterIn, "B TREMAYNE", "77")
		if r := l.find(); l.count(r, "B TREMAYNE", detect.ShareIn) != 15 {
			t.Errorf("%d of 15", l.count(r, "B TREMAYNE", detect.ShareIn))
		}
	})
	t.Run("a move between two linked accounts is neither in nor out, whatever it is called", func(t *testing.T) {
		t.Parallel()
		l := newLife()
		for m := time.Month(4); m <= 18; m++ {
			l.add(day(m, 6), -700_00, statement.FasterOut, "X9", "")
			l.on("pot", day(m, 7), 700_00, statement.FasterIn, "X9", "")
		}
		if r := l.find(); l.count(r, "X9", detect.BetweenOwn) < 28 || r.Rent != nil {
			t.Errorf("%d lines, rent %v", l.count(r, "X9", detect.BetweenOwn), r.Rent)
		}
	})
	t.Run("weekly pay is worth fifty-two weeks over twelve months", func(t *testing.T) {
		t.Parallel()
		l := newLife()
		l.s.Lines = nil
		for at := day(4, 4); !at.After(l.s.Last); at = at.AddDate(0, 0, 7) {
			l.add(at, 480_00, statement.Bacs, "BODKIN LTD WAGES", "")
		}
		if r := l.find(); len(r.Streams) != 1 || r.Streams[0].Worth(l.s.Complete(12)).Value != 2_080_00 {
			t.Errorf("%+v", r.Streams)
		}
	})
}

func TestDueMonth(t *testing.T) {
	t.Parallel()
	l := newLife()
	for m := time.Month(4); m <= 18; m++ {
		at := day(m, 28)
		for at.Weekday() == time.Saturday || at.Weekday() == time.Sunday {
			at = at.AddDate(0, 0, 1)
		}
		l.add(at, -800_00, statement.Standing, "OAKTREE LETS", "")
	}
	r := l.find()
	if r.Rent == nil {
		t.Fatal("no rent")
	}
	// The rent of Saturday 28 February 2026 is paid on 2 March, and is February's.
	totals := detect.DueTotals(r.Rent.Lines)
	for m, v := range totals {
		if v != 800_00 {
			t.Errorf("%s has %s", m, v)
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add([]byte{1, 2, 3, 200, 5, 6, 7, 8})
	f.Fuzz(func(t *testing.T, raw []byte) {
		l := newLife()
		channels := []statement.Channel{statement.Standing, statement.FasterIn, statement.Card, statement.Bacs, statement.Unknown, statement.Mandate}
		for i := 0; i+3 < len(raw) && i < 400; i += 4 {
			l.add(day(4, 1).AddDate(0, 0, int(raw[i])+int(raw[i+1])), money.Amount(int(raw[i+2])-128)*500, channels[int(raw[i+3])%len(channels)], fmt.Sprint("P", raw[i+3]%16), "")
		}
		r := l.find()
		for _, st := range r.Streams {
			for _, x := range st.Lines {
				if !x.Settled || r.Sorts[x.Key] == detect.Plain {
					t.Errorf("%s holds a line that is not marked", st.Who)
				}
			}
		}
	})
}

func ExampleFind() {
	l := newLife()
	l.monthly(1, -800_00, statement.Standing, "OAKTREE LETS RENT", "")
	r := l.find()
	fmt.Println(r.Rent.Who, r.Rent.Monthly(6), r.Rent.Beat)
	// Output: OAKTREE LETS RENT £800.00 monthly
}
