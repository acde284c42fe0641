package main

import (
	"fmt"
	"slices"
	"strings"

	"example.org/affordability/detect"
	"example.org/affordability/money"
	"example.org/affordability/policy"
	"example.org/affordability/profile"
	"example.org/affordability/statement"
)

// counts is a confusion table of rows.
type counts struct {
	Right  int `json:"right"`
	Extra  int `json:"extra"`
	Missed int `json:"missed"`
}

func (c counts) precision() float64 { return ratio(c.Right, c.Right+c.Extra) }
func (c counts) recall() float64    { return ratio(c.Right, c.Right+c.Missed) }

func ratio(a, b int) float64 {
	if b == 0 {
		return 1
	}
	return float64(a) / float64(b)
}

func (c *counts) see(got, want bool) {
	switch {
	case got && want:
		c.Right++
	case got:
		c.Extra++
	case want:
		c.Missed++
	}
}

// life is one archetype's results.
type life struct {
	Tenants    int    `json:"tenants"`
	Rent       counts `json:"rent_rows"`
	RentRight  int    `json:"rent_within_2_percent"`
	NetRight   int    `json:"net_within_3_percent"`
	FalseRents int    `json:"false_rents"`
}

// method is one way of finding rent.
type method struct {
	Rows      counts  `json:"rows"`
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	Tenants   float64 `json:"tenants_right"` // monthly rent within 2%, or rightly none
}

type tally struct {
	tenants, netRight                  int
	rent, salary                       counts
	byLife                             map[string]*life
	keyword, largest                   counts
	rentRight, keywordRight, largRight int
	uncategorised, spent               money.Amount
}

func newTally() *tally { return &tally{byLife: map[string]*life{}} }

// judge runs one tenant and says what was wrong, or nothing.
func (y *tally) judge(s *statement.Statement, t *tenant, pol *policy.Policy) (wrong string) {
	p := profile.Compute(s, pol, nil, profile.Defaults(s, pol))
	w := s.Complete(pol.WindowMonths)
	l := y.byLife[t.Truth.Archetype]
	if l == nil {
		l = &life{}
		y.byLife[t.Truth.Archetype] = l
	}
	y.tenants++
	l.Tenants++
	big := largestOutgoings(s, w)
	var byWord, bySize []statement.Line
	for _, e := range p.Entries {
		if e.InWindow && e.Amount < 0 && e.Category != "own" && e.Category != "deposit" {
			y.spent -= e.Amount
			if e.Category == "other" {
				y.uncategorised -= e.Amount
			}
		}
		if !e.InWindow {
			continue
		}
		kind := t.kinds[e.Key]
		rent := e.Sort == detect.RentPaid || e.Sort == detect.RentBefore
		y.rent.see(rent, kind == "rent")
		l.Rent.see(rent, kind == "rent")
		y.salary.see(e.Sort == detect.SalaryIn, kind == "salary")
		word := e.Amount < 0 && slices.Contains(strings.Fields(strings.ToUpper(e.Text)), "RENT")
		y.keyword.see(word, kind == "rent")
		y.largest.see(big[e.Key], kind == "rent")
		if word {
			byWord = append(byWord, e.Line)
		}
		if big[e.Key] {
			bySize = append(bySize, e.Line)
		}
	}
	if !p.RentFound && t.Truth.Rent == 0 || t.Truth.Rent > 0 && within(p.Value("rent"), t.Truth.Rent, 2) {
		y.rentRight++
		l.RentRight++
	} else {
		wrong += fmt.Sprintf("rent %s, truth %s. ", p.Value("rent"), t.Truth.Rent)
	}
	if p.RentFound && t.Truth.Rent == 0 {
		l.FalseRents++
	}
	if want := expectedNet(s, t, w, pol); within(p.Value("net_income"), want, 3) {
		y.netRight++
		l.NetRight++
	} else {
		wrong += fmt.Sprintf("net income %s, truth %s. ", p.Value("net_income"), want)
	}
	if plainRight(byWord, t.Truth.Rent) {
		y.keywordRight++
	}
	if plainRight(bySize, t.Truth.Rent) {
		y.largRight++
	}
	return wrong
}

func within(got, want money.Amount, pct int) bool {
	return (got-want).Abs()*100 <= want*money.Amount(pct)
}

// expectedNet applies the policy's weights to the truth. Pay and benefits are the town's own figures. For uneven
// earnings the town knows only rows, so the definition is applied to the rows that are truly such: the lower of the
// middle months of the window and of its last quarter.
func expectedNet(s *statement.Statement, t *tenant, w statement.Window, pol *policy.Policy) money.Amount {
	months := map[statement.Month]money.Amount{}
	for _, l := range s.Lines {
		if t.kinds[l.Key] == "gig" {
			months[statement.MonthOf(l.Day)] += l.Amount
		}
	}
	middle := func(w statement.Window) money.Amount {
		var list []money.Amount
		for m := w.From; m <= w.To; m++ {
			list = append(list, months[m])
		}
		slices.Sort(list)
		return (list[(len(list)-1)/2] + list[len(list)/2]) / 2
	}
	gig := min(middle(w), middle(w.Recent(pol.RecentMonths)))
	return t.Truth.Pay*money.Amount(pol.WeightBP.Salary)/10000 + t.Truth.Benefit*money.Amount(pol.WeightBP.Benefit)/10000 + gig*money.Amount(pol.WeightBP.Variable)/10000
}

// largestOutgoings is the second baseline: each month's largest payment that is not a card's.
func largestOutgoings(s *statement.Statement, w statement.Window) map[string]bool {
	best := map[statement.Month]statement.Line{}
	for _, l := range s.Lines {
		if m := statement.MonthOf(l.Day); l.Settled && w.Has(l.Day) && l.Amount < best[m].Amount {
			best[m] = l
		}
	}
	keys := map[string]bool{}
	for _, l := range best {
		keys[l.Key] = true
	}
	return keys
}

// plainRight reports whether a baseline's rows give the right monthly rent: their middle monthly total.
func plainRight(lines []statement.Line, want money.Amount) bool {
	if len(lines) < 3 {
		return want == 0
	}
	totals := map[statement.Month]money.Amount{}
	for _, l := range lines {
		totals[statement.MonthOf(l.Day)] -= l.Amount
	}
	var list []money.Amount
	for _, v := range totals {
		list = append(list, v)
	}
	slices.Sort(list)
	return want > 0 && within(list[len(list)/2], want, 2)
}

// measure is a tally's summary.
type measure struct {
	Rent            method           `json:"rent"`
	Keyword         method           `json:"baseline_keyword"`
	Largest         method           `json:"baseline_largest_outgoing"`
	SalaryPrecision float64          `json:"salary_precision"`
	SalaryRecall    float64          `json:"salary_recall"`
	NetRight        float64          `json:"net_within_3_percent"`
	FalseRents      float64          `json:"false_rents_without_tenancy"`
	WorstRecall     float64          `json:"worst_recall"`
	WorstLife       string           `json:"worst_life"`
	Uncategorised   float64          `json:"uncategorised_share"`
	Lives           map[string]*life `json:"lives"`
}

func (y *tally) measure() measure {
	m := measure{
		Rent:            method{y.rent, y.rent.precision(), y.rent.recall(), ratio(y.rentRight, y.tenants)},
		Keyword:         method{y.keyword, y.keyword.precision(), y.keyword.recall(), ratio(y.keywordRight, y.tenants)},
		Largest:         method{y.largest, y.largest.precision(), y.largest.recall(), ratio(y.largRight, y.tenants)},
		SalaryPrecision: y.salary.precision(), SalaryRecall: y.salary.recall(), NetRight: ratio(y.netRight, y.tenants),
		Lives: y.byLife, WorstRecall: 1, Uncategorised: float64(y.uncategorised) / float64(max(1, y.spent)),
	}
	for name, l := range y.byLife {
		if r := l.Rent.recall(); r < m.WorstRecall {
			m.WorstRecall, m.WorstLife = r, name
		}
		if name == "no-rent" {
			m.FalseRents = ratio(l.FalseRents, l.Tenants)
		}
	}
	return m
}
