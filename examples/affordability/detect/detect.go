// Package detect finds what repeats in a statement and says what it is: the rent, the pay, a benefit, a
// flatmate's part.
//
// Streams come first, labels second. Movements are grouped by the other side, each group is split where its
// amounts jump, and only then is the rhythm looked at: a landlord may also be a friend, and a rent must not drown in
// shared dinners. Each label is a sum of points, and each point is a sentence that the page shows.
package detect

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.org/affordability/money"
	"example.org/affordability/statement"
)

// Sort is what a stream or a line is.
type Sort string

// The sorts that matter to a profile. A line without a stream has none.
const (
	Plain        Sort = ""
	RentPaid     Sort = "rent"
	RentBefore   Sort = "rent_before" // of an earlier home
	SalaryIn     Sort = "salary"
	BenefitIn    Sort = "benefit"
	VariableIn   Sort = "variable" // gig work and other uneven earnings
	ShareIn      Sort = "share"    // a flatmate's part of the rent: not income
	BetweenOwn   Sort = "own"      // between the customer's own accounts
	DepositPaid  Sort = "tenancy_deposit"
	HomeLoan     Sort = "mortgage"
	OtherRegular Sort = "regular"
)

// Reason is one term of a score.
type Reason struct {
	Points int    `json:"points"`
	Why    string `json:"why"`
}

// Stream is a run of payments that belong together.
type Stream struct {
	ID      string           `json:"id"`
	Sort    Sort             `json:"sort"`
	Who     string           `json:"who"`
	Beat    Beat             `json:"beat"`
	Score   int              `json:"score"`
	Reasons []Reason         `json:"reasons,omitempty"`
	First   time.Time        `json:"first"`
	Last    time.Time        `json:"last"`
	Lines   []statement.Line `json:"-"` // oldest first
}

// Median is the usual size of one payment.
func (s *Stream) Median() money.Amount {
	return median(amounts(s.Lines))
}

// Keys are the keys of the lines.
func (s *Stream) Keys() []string {
	keys := make([]string, len(s.Lines))
	for i, l := range s.Lines {
		keys[i] = l.Key
	}
	return keys
}

// Active reports whether the stream still ran on a day: not silent for longer than one and a half periods, and never
// called over for less than three weeks of silence.
func (s *Stream) Active(on time.Time) bool {
	return !s.Last.Before(on.AddDate(0, 0, -max(21, s.Beat.days()*3/2+2)))
}

// Result is what was found.
type Result struct {
	Streams []*Stream
	Rent    *Stream         // the present home, or nil
	Before  []*Stream       // earlier homes
	Owner   bool            // a mortgage is paid
	Sorts   map[string]Sort // by line key
}

// Find looks at the settled lines of a statement. The window bounds what is judged, not what is grouped.
func Find(s *statement.Statement, w statement.Window) *Result {
	f := &finder{s: s, w: w, sorts: map[string]Sort{}}
	f.ownTransfers()
	in, out := f.groups()
	f.incomes(in)
	f.rents(out)
	f.shares(in)
	r := &Result{Streams: f.found, Rent: f.rent, Before: f.before, Owner: f.owner, Sorts: f.sorts}
	slices.SortStableFunc(r.Streams, func(a, b *Stream) int {
		return cmp.Or(a.First.Compare(b.First), strings.Compare(a.Who, b.Who), cmp.Compare(a.Median(), b.Median()))
	})
	for i, st := range r.Streams {
		st.ID = fmt.Sprintf("s%d", i+1)
	}
	return r
}

type finder struct {
	s      *statement.Statement
	w      statement.Window
	sorts  map[string]Sort
	found  []*Stream
	rent   *Stream
	before []*Stream
	owner  bool
	income money.Amount // all regular income a month, unweighted
}

// keep adds a stream to the result and marks its lines.
func (f *finder) keep(st *Stream, sort Sort) *Stream {
	st.Sort = sort
	for _, l := range st.Lines {
		f.sorts[l.Key] = sort
	}
	f.found = append(f.found, st)
	return st
}

// group is everything to or from one other side.
type group struct {
	who   string
	lines []statement.Line
}

// groups collects settled lines by direction and other side.
func (f *finder) groups() (in, out []*group) {
	index := map[string]*group{}
	for _, l := range f.s.Lines {
		if !l.Settled || f.sorts[l.Key] == BetweenOwn || l.Amount == 0 {
			continue
		}
		side := "out"
		if l.Amount > 0 {
			side = "in"
		}
		key := side + "|" + Payee(l)
		g := index[key]
		if g == nil {
			g = &group{who: l.Who()}
			index[key] = g
			if l.Amount > 0 {
				in = append(in, g)
			} else {
				out = append(out, g)
			}
		}
		g.lines = append(g.lines, l)
	}
	return in, out
}

// Payee is the identity of the other side as far as a bank shows it: its account, else its words without what
// changes from one payment to the next.
func Payee(l statement.Line) string {
	if l.PartyID != "" {
		return "account " + l.PartyID
	}
	if l.Merchant != "" {
		return strings.ToUpper(l.Merchant)
	}
	words := strings.Fields(strings.ToUpper(l.Text))
	if l.Channel == statement.Card || l.Channel == statement.Machine || l.Channel == statement.Mandate {
		words = slices.DeleteFunc(words, hasDigit)
	}
	return strings.Join(words, " ")
}

func hasDigit(s string) bool { return strings.ContainsAny(s, "0123456789") }

// clusters splits lines where the size jumps: the next larger is more than three tenths above.
func clusters(lines []statement.Line) [][]statement.Line {
	sorted := slices.Clone(lines)
	slices.SortStableFunc(sorted, func(a, b statement.Line) int { return cmp.Compare(a.Amount.Abs(), b.Amount.Abs()) })
	var out [][]statement.Line
	start := 0
	for i := 1; i <= len(sorted); i++ {
		if i == len(sorted) || sorted[i].Amount.Abs()*10 > sorted[i-1].Amount.Abs()*13 {
			part := slices.Clone(sorted[start:i])
			slices.SortStableFunc(part, func(a, b statement.Line) int { return a.Day.Compare(b.Day) })
			out, start = append(out, part), i
		}
	}
	return out
}

func amounts(lines []statement.Line) []money.Amount {
	list := make([]money.Amount, len(lines))
	for i, l := range lines {
		list[i] = l.Amount.Abs()
	}
	return list
}

// median returns the middle value, or the rounded mean of the two middle ones; 0 for none.
func median(list []money.Amount) money.Amount {
	if len(list) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(list))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]).Divide(2)
	}
	return s[len(s)/2]
}

// alike returns how many of the values lie within pct per cent of their median, as per cent.
func alike(list []money.Amount, pct int) int {
	if len(list) == 0 {
		return 0
	}
	m, close := median(list), 0
	for _, a := range list {
		if (a-m).Abs()*100 <= m*money.Amount(pct) {
			close++
		}
	}
	return close * 100 / len(list)
}

func newStream(g *group, lines []statement.Line) *Stream {
	return &Stream{Who: g.who, Lines: lines, Beat: beatOf(lines), First: lines[0].Day, Last: lines[len(lines)-1].Day}
}
