package profile_test

import (
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"example.org/affordability/detect"
	"example.org/affordability/money"
	"example.org/affordability/policy"
	"example.org/affordability/profile"
	"example.org/affordability/spend"
	"example.org/affordability/statement"
)

func current(t testing.TB) *policy.Policy {
	t.Helper()
	p, err := policy.Current()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// book writes statements by hand.
type book struct {
	s *statement.Statement
	n int
}

func (b *book) add(day time.Time, amount money.Amount, channel statement.Channel, text string) {
	b.n++
	b.s.Lines = append(b.s.Lines, statement.Line{Key: fmt.Sprintf("k%04d", b.n), Account: "a", Day: day, Amount: amount, Settled: true, Channel: channel, Text: text})
}

func day(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

// vector is the tenant of the specification: £35,000 gross, £950 rent, £300 committed, £1,200 to live on.
func vector() *statement.Statement {
	b := &book{s: &statement.Statement{First: day(2025, 3, 20), Last: day(2026, 6, 10), Accounts: []statement.Account{{ID: "a", Type: "CACC", Holder: "Ada Penhaligon"}}}}
	for m := time.Month(4); m <= 18; m++ {
		b.add(day(2025, m, 1), -950_00, statement.Standing, "OAKTREE LETS RENT")
		b.add(day(2025, m, 4), -300_00, statement.Mandate, "FAIRWEATHER LOANS")
		b.add(day(2025, m, 7), -700_00, statement.Card, "MARROW SUPERMARKET")
		b.add(day(2025, m, 9), -500_00, statement.Card, "HILLTOP SUPERMARKET")
		if m < 18 {
			b.add(day(2025, m, 28), 2_393_30, statement.Bacs, "BODKIN LTD SALARY")
		}
	}
	b.s.Finish()
	return b.s
}

func TestTheSpecificationsVector(t *testing.T) {
	t.Parallel()
	pol := current(t)
	at := func(rate int64, fixed int) *profile.Profile {
		return profile.Compute(vector(), pol, nil, profile.Answers{RateBP: rate, FixedMonths: fixed, TermMonths: 360, Deposit: 30_000_00, Adults: 1})
	}
	five, two := at(475, 60), at(475, 24)
	for _, c := range []struct {
		name string
		p    *profile.Profile
		id   string
		want string
	}{
		{"net", five, "net_income", "£2,393"},
		{"what is left", five, "headroom", "£893"},
		{"five-year fix", five, "loan_affordable", "£171,246"},
		{"two-year fix, tested at 5.75%", two, "loan_affordable", "£153,074"},
		{"tested at 7.75%", two, "loan_cautious", "£124,691"},
		{"by rent", five, "loan_rent", "£182,115"},
		{"payment", five, "payment", "£822"},
	} {
		// The specification rounds to the nearest pound, the pages cut to it.
		if got := (c.p.Value(c.id) + 50).Pounds(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, c.p.Value(c.id), c.want)
		}
	}
	// Whole pence are lost in the tax of a year, so the multiple may fall a few pence short.
	if d := 157_500_00 - five.Value("loan_income"); d < 0 || d > 50 {
		t.Errorf("by income: %s, want £157,500.00", five.Value("loan_income"))
	}
	if five.Value("loan") != five.Value("loan_income") || two.Value("loan") != two.Value("loan_affordable") {
		t.Errorf("five years bind by %q, two by %q", five.Binding, two.Binding)
	}
}

// Each figure is made again here, from what it says it is made of, by other code.
func TestEveryFigureIsWhatItSays(t *testing.T) {
	t.Parallel()
	pol := current(t)
	s := vector()
	for _, ans := range []profile.Answers{profile.Defaults(s, pol), {RateBP: 612, FixedMonths: 24, TermMonths: 300, Deposit: 41_234_56, Adults: 2, Children: 3}, {RateBP: 0, FixedMonths: 60, TermMonths: 120, Adults: 1}} {
		p := profile.Compute(s, pol, spend.Corrections{"MARROW SUPERMARKET": "fun"}, ans)
		byKey := map[string]money.Amount{}
		for _, e := range p.Entries {
			byKey[e.Key] = e.Amount
		}
		if len(p.Figures) < 18 {
			t.Fatalf("only %d figures", len(p.Figures))
		}
		for _, f := range p.Figures {
			rows := money.Amount(0)
			for _, k := range f.Rows {
				if _, ok := byKey[k]; !ok {
					t.Errorf("%s rests on row %s, which is not there", f.ID, k)
				}
				rows += byKey[k]
			}
			for _, in := range f.Inputs {
				if in.Unit == profile.Pence && in.From != "" && in.From != "policy" && in.From != "you" && p.Figure(in.From) == nil {
					t.Errorf("%s takes %s from nowhere", f.ID, in.From)
				}
				if g := p.Figure(in.From); g != nil && int64(g.Value) != in.Value && !(f.Op == profile.Annuity && g.Value < 0 && in.Value == 0) {
					t.Errorf("%s takes %s as %d, which is %d", f.ID, in.From, in.Value, g.Value)
				}
			}
			if want, ok := again(f, rows, pol); !ok {
				t.Errorf("%s: nobody knows how to do %q again", f.ID, f.Op)
			} else if want != f.Value {
				t.Errorf("%s is %s; made again it is %s", f.ID, f.Value, want)
			}
		}
	}
}

func again(f profile.Figure, rows money.Amount, pol *policy.Policy) (money.Amount, bool) {
	v := make([]money.Amount, len(f.Inputs))
	for i, in := range f.Inputs {
		v[i] = money.Amount(in.Value)
	}
	sum := func(list []money.Amount) (s money.Amount) {
		for _, x := range list {
			s += x
		}
		return s
	}
	switch f.Op {
	case profile.Given:
		return f.Value, true
	case profile.Sum:
		return sum(v), true
	case profile.Difference:
		return v[0] - sum(v[1:]), true
	case profile.Lowest:
		return slices.Min(v), true
	case profile.Larger:
		return max(v[0]+v[1], v[2]), true
	case profile.LowerShare:
		return min(v[0], v[1]) * v[2] / 10000, true
	case profile.TimesBP:
		return v[0] * v[1] / 10000, true
	case profile.SumRows:
		return (2*(-rows) + v[0]) / (2 * v[0]), true
	case profile.Price:
		return min(v[0]+v[1], v[1]*10000/(10000-v[2])), true
	case profile.Median:
		if sum(v) != max(rows, -rows) {
			return -1, true // the values must be made of the rows
		}
		slices.Sort(v)
		m := (v[(len(v)-1)/2] + v[len(v)/2] + 1) / 2
		return m * map[string]money.Amount{"": 12, "weekly": 52, "every two weeks": 26, "every four weeks": 13}[f.Beat] / 12, true
	case profile.Gross:
		d := policy.None
		if f.ID == "gross_income_high" {
			d = policy.PensionAndLoan
		}
		total := money.Amount(0)
		for _, net := range v {
			g := net * 12
			for step := money.Amount(1 << 30); step > 0; step /= 2 { // walk up in shrinking steps
				for pol.Tax.Net(g+step, d) < net*12 {
					g += step
				}
			}
			if pol.Tax.Net(g, d) < net*12 {
				g++
			}
			total += g
		}
		return total, true
	case profile.Annuity:
		return annuity(v[0], int64(v[1]), int(v[2])), true
	case profile.Payment:
		// The right payment is the one that ends nearest to nothing.
		return payment(v[0], int64(v[1]), int(v[2])), true
	}
	return 0, false
}

// annuity is what so many payments are worth today: each is divided once more by a month's interest.
func annuity(pay money.Amount, bp int64, months int) money.Amount {
	one := func() *big.Float { return new(big.Float).SetPrec(400).SetInt64(1) }
	month := new(big.Float).SetPrec(400).SetRat(big.NewRat(120000, 120000+bp))
	now, sum := one(), new(big.Float).SetPrec(400)
	for range months {
		sum.Add(sum, now.Mul(now, month))
	}
	n, _ := sum.Mul(sum, new(big.Float).SetInt64(int64(pay))).Int64()
	return money.Amount(n)
}

// payment looks for the payment whose worth is nearest to the loan, by halving.
func payment(loan money.Amount, bp int64, months int) money.Amount {
	low, high := money.Amount(0), loan+1
	for low < high {
		if mid := (low + high) / 2; annuity(mid, bp, months) >= loan {
			high = mid
		} else {
			low = mid + 1
		}
	}
	if low > 0 && 2*loan-annuity(2*(low-1), bp, months) < annuity(2*low, bp, months)-2*loan {
		return low - 1
	}
	return low
}

// An integer amortisation, month by month, must end within one payment of nothing.
func TestALoanIsPaidOffByItsPayment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		loan   money.Amount
		bp     int64
		months int
	}{{157_500_00, 475, 360}, {171_246_00, 475, 360}, {50_000_00, 1200, 60}, {999_999_99, 1, 480}} {
		pay := profile.Repayment(c.loan, c.bp, c.months)
		left := int64(c.loan)
		for range c.months {
			left += (left*c.bp + 60000) / 120000
			left -= int64(pay)
		}
		if left > int64(pay) || left < -int64(pay) {
			t.Errorf("%s at %d: %d pence are left after %d payments of %s", c.loan, c.bp, left, c.months, pay)
		}
	}
}

func TestCategoriesAddUpToTheRows(t *testing.T) {
	t.Parallel()
	p := profile.Compute(vector(), current(t), nil, profile.Answers{RateBP: 475, FixedMonths: 60, TermMonths: 360, Adults: 1})
	byCategory, all := map[string]money.Amount{}, money.Amount(0)
	for _, e := range p.Entries {
		byCategory[e.Category] += e.Amount
		all += e.Amount
	}
	sum := money.Amount(0)
	for _, v := range byCategory {
		sum += v
	}
	if sum != all {
		t.Errorf("categories %s, rows %s", sum, all)
	}
}

func TestRentRecord(t *testing.T) {
	t.Parallel()
	mark := func(change func(*statement.Statement)) *profile.Record {
		s := vector()
		change(s)
		s.Finish()
		p := profile.Compute(s, current(t), nil, profile.Answers{RateBP: 475, FixedMonths: 60, TermMonths: 360, Adults: 1})
		if p.Record == nil {
			t.Fatalf("no record: %s", p.Says)
		}
		return p.Record
	}
	rentOf := func(s *statement.Statement, m time.Month) *statement.Line {
		for i := range s.Lines {
			if s.Lines[i].Amount == -950_00 && s.Lines[i].Day.Month() == m && s.Lines[i].Day.Before(day(2026, 3, 1)) {
				return &s.Lines[i]
			}
		}
		panic("no such rent")
	}
	t.Run("twelve on time", func(t *testing.T) {
		if r := mark(func(*statement.Statement) {}); r.OnTime != 12 || r.Due != 12 || r.Streak != 12 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("ten days late is late", func(t *testing.T) {
		r := mark(func(s *statement.Statement) { l := rentOf(s, 9); l.Day = l.Day.AddDate(0, 0, 10) })
		if r.OnTime != 11 || r.Cells[3].Mark != profile.Late {
			t.Errorf("%+v", r)
		}
	})
	t.Run("a missed month and a double are one missed, and the streak begins again", func(t *testing.T) {
		r := mark(func(s *statement.Statement) {
			rentOf(s, 10).Amount = -1900_00
			rentOf(s, 9).Settled = false
		})
		if r.OnTime != 11 || r.Cells[3].Mark != profile.Missed || r.Streak != 8 {
			t.Errorf("%+v", r)
		}
	})
}

func TestNoFiguresRatherThanWrongOnes(t *testing.T) {
	t.Parallel()
	ans := profile.Answers{RateBP: 475, FixedMonths: 60, TermMonths: 360, Adults: 1}
	hidden := vector()
	for i := range hidden.Lines {
		hidden.Lines[i].Text = ""
	}
	hidden.Finish()
	if p := profile.Compute(hidden, current(t), nil, ans); p.State != profile.CannotClassify || len(p.Figures) > 0 {
		t.Errorf("hidden texts: %s, %d figures", p.State, len(p.Figures))
	}
	brief := vector()
	brief.First = day(2026, 5, 1)
	if p := profile.Compute(brief, current(t), nil, ans); p.State != profile.TooShort || len(p.Figures) > 0 {
		t.Errorf("forty days: %s, %d figures", p.State, len(p.Figures))
	}
	half := vector()
	half.First = day(2025, 12, 1)
	if p := profile.Compute(half, current(t), nil, ans); p.State != profile.Ready || p.Months != 6 || len(p.Warnings) == 0 {
		t.Errorf("half a year: %s, %d months, %v", p.State, p.Months, p.Warnings)
	}
}

func TestPendingRowsDoNotCount(t *testing.T) {
	t.Parallel()
	ans := profile.Answers{RateBP: 475, FixedMonths: 60, TermMonths: 360, Adults: 1}
	with := vector()
	with.Lines = append(with.Lines, statement.Line{Key: "p", Account: "a", Day: day(2026, 5, 30), Amount: -5000_00, Text: "BIG THING", Channel: statement.Card})
	with.Finish()
	if a, b := profile.Compute(vector(), current(t), nil, ans).Hash(), profile.Compute(with, current(t), nil, ans).Hash(); a != b {
		t.Error("a pending row changed the figures")
	}
}

func TestStreamsSayWhy(t *testing.T) {
	t.Parallel()
	s := vector()
	for _, st := range detect.Find(s, s.Complete(12)).Streams {
		sum := 0
		for _, r := range st.Reasons {
			sum += r.Points
		}
		if sum != st.Score || len(st.Reasons) == 0 {
			t.Errorf("%s: the reasons add up to %d, the score is %d", st.Who, sum, st.Score)
		}
	}
}

func ExampleLoan() {
	fmt.Println(profile.Loan(893_30, 475, 360), profile.Repayment(157_500_00, 475, 360))
	// Output: £171,245.96 £821.59
}

func BenchmarkCompute(b *testing.B) {
	pol, s := current(b), vector()
	ans := profile.Defaults(s, pol)
	for b.Loop() {
		profile.Compute(s, pol, nil, ans)
	}
}
