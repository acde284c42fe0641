package profile

import (
	"fmt"
	"strings"

	"example.org/affordability/detect"
	"example.org/affordability/money"
	"example.org/affordability/policy"
	"example.org/affordability/spend"
	"example.org/affordability/statement"
)

// builder makes the figures of one profile, in the order that a reader needs them.
type builder struct {
	p     *Profile
	pol   *policy.Policy
	s     *statement.Statement
	w     statement.Window
	found *detect.Result
	wages []Input // net pay by stream, for the gross figure
}

func (b *builder) add(f Figure) money.Amount {
	b.p.Figures = append(b.p.Figures, f)
	return f.Value
}

func (b *builder) entries(said spend.Corrections) {
	for _, l := range b.s.Lines {
		c, why := spend.Of(l, b.found.Sorts[l.Key], said)
		b.p.Entries = append(b.p.Entries, Entry{Line: l, Sort: b.found.Sorts[l.Key], Category: c.ID, Why: why, InWindow: l.Settled && b.w.Has(l.Day)})
	}
}

// income values every active stream twice, over the window and over the recent months, and counts the lower at its
// weight: nobody should lend on last month's luck or on last year's job.
func (b *builder) income() {
	weights := map[detect.Sort]struct {
		bp   int64
		name string
	}{detect.SalaryIn: {b.pol.WeightBP.Salary, "pay"}, detect.BenefitIn: {b.pol.WeightBP.Benefit, "benefit"}, detect.VariableIn: {b.pol.WeightBP.Variable, "uneven earnings"}}
	recent := b.w.Recent(b.pol.RecentMonths)
	var parts []Input
	for _, st := range b.found.Streams {
		weight, counts := weights[st.Sort]
		if !counts || !st.Active(b.s.Last) {
			continue
		}
		id, name := "income_"+st.ID, st.Who
		year := b.median(id+"_window", name+", over the window", st.Worth(b.w))
		now := b.median(id+"_recent", fmt.Sprintf("%s, last %d months", name, recent.Len()), st.Worth(recent))
		counted := b.add(Figure{
			ID: id, Name: name + " (" + weight.name + ")", Value: min(year, now).Share(weight.bp), Op: LowerShare,
			Formula: "the lower of the two, times how much of such income counts",
			Inputs:  []Input{pence("over the window", year, id+"_window"), pence("recent months", now, id+"_recent"), points("counts at", weight.bp, "policy")},
		})
		parts = append(parts, pence(name, counted, id))
		if st.Sort == detect.SalaryIn {
			b.wages = append(b.wages, pence(name, counted, id))
		}
	}
	b.add(Figure{ID: "net_income", Name: "Net income", Value: sumOf(parts), Op: Sum, Formula: "what each income counts for, added", Inputs: parts})
	low, high := money.Amount(0), money.Amount(0)
	for _, in := range b.wages {
		low += b.pol.Tax.Gross(12*money.Amount(in.Value), policy.None)
		high += b.pol.Tax.Gross(12*money.Amount(in.Value), policy.PensionAndLoan)
	}
	b.add(Figure{
		ID: "gross_income", Name: "Gross income, a year", Value: low, Op: Gross, Formula: "the yearly pay that leaves this net pay after income tax and national insurance",
		Inputs: b.wages, Note: "The low end is used. It assumes no pension and no student loan.",
	})
	b.add(Figure{
		ID: "gross_income_high", Name: "Gross income, a year, high end", Value: high, Op: Gross, Formula: "as above, when the employer also takes a pension share and a student loan",
		Inputs: b.wages, Note: "Shown for the range only.",
	})
}

// median adds the figure of one stream's worth.
func (b *builder) median(id, name string, w detect.Worth) money.Amount {
	f := Figure{ID: id, Name: name, Value: w.Value, Op: Median, Formula: "the middle month"}
	if w.Beat != detect.Monthly && w.Beat != detect.NoBeat {
		f.Beat = string(w.Beat)
		f.Formula = "the middle payment, " + f.Beat + ", as a month"
	}
	for i, v := range w.Values {
		f.Inputs = append(f.Inputs, pence(fmt.Sprintf("%d", i+1), v, ""))
	}
	for _, l := range w.Lines {
		f.Rows = append(f.Rows, l.Key)
	}
	return b.add(f)
}

func sumOf(in []Input) money.Amount {
	sum := money.Amount(0)
	for _, i := range in {
		sum += money.Amount(i.Value)
	}
	return sum
}

func (b *builder) rent() {
	if b.found.Rent == nil {
		return
	}
	rent := b.median("rent", "Rent", b.found.Rent.RentWorth(b.pol.RentMonths))
	b.p.Record = record(b.found.Rent, rent, b.w, b.pol)
}

// spending adds up each group over the window. Categories are shown too, and their months add up to the groups.
func (b *builder) spending() {
	rows := map[spend.Group][]string{}
	sums := map[spend.Group]money.Amount{}
	b.p.Spending = map[string]money.Amount{}
	totals := map[string]money.Amount{}
	for _, e := range b.p.Entries {
		c, _ := spend.ByID(e.Category)
		if !e.InWindow || c.Group == spend.Income || c.Group == spend.Moved && c.ID != "refund" {
			continue
		}
		totals[c.ID] -= e.Amount
		if c.ID == "refund" {
			continue // shown, and not taken off anything: what came back is not certain to be spending avoided
		}
		rows[c.Group] = append(rows[c.Group], e.Key)
		sums[c.Group] -= e.Amount
	}
	for id, t := range totals {
		b.p.Spending[id] = t.Divide(int64(b.w.Len()))
	}
	for _, g := range []struct {
		group spend.Group
		name  string
	}{{spend.Committed, "Committed spending"}, {spend.Essential, "Essential spending"}, {spend.Quality, "Quality of living"}, {spend.Discretionary, "Discretionary spending"}} {
		b.add(Figure{
			ID: string(g.group), Name: g.name, Value: sums[g.group].Divide(int64(b.w.Len())), Op: SumRows, Formula: "everything of this kind in the window, over its months",
			Inputs: []Input{months("months", b.w.Len(), "")}, Rows: rows[g.group],
		})
	}
}

// lending is sections 4 to 8 of the formulas: what is left, and what it carries.
func (b *builder) lending() {
	p, a, pol := b.p, b.p.Answers, b.pol
	net, committed, essential, quality := p.Value("net_income"), p.Value("committed"), p.Value("essential"), p.Value("quality")
	floor := b.add(Figure{
		ID: "floor", Name: "Living costs that lenders assume at least", Value: pol.LivingFloor.Living(a.Adults, a.Children), Op: Given,
		Formula: "the policy's amount for this household", Inputs: []Input{{"adults", int64(a.Adults), Number, "you"}, {"children", int64(a.Children), Number, "you"}},
	})
	living := b.add(Figure{
		ID: "living", Name: "Living costs", Value: max(essential+quality, floor), Op: Larger, Formula: "essential and quality of living together, or the least that lenders assume when that is more",
		Inputs: []Input{pence("essential", essential, "essential"), pence("quality of living", quality, "quality"), pence("at least", floor, "floor")},
	})
	left := b.add(Figure{
		ID: "headroom", Name: "Left for a mortgage", Value: net - committed - living, Op: Difference, Formula: "net income − committed − living costs; rent is not taken off, because it ends",
		Inputs: []Input{pence("net income", net, "net_income"), pence("committed", committed, "committed"), pence("living costs", living, "living")},
	})
	can := max(0, left)

	stressed := max(a.RateBP+pol.StressAddBP, pol.StressFloorBP)
	used, why := stressed, fmt.Sprintf("tested at %s, one step above the product's rate", Percent(stressed))
	if a.FixedMonths >= pol.LongFixMonths {
		used, why = a.RateBP, fmt.Sprintf("at the product's own %s: it is fixed for %d years, so no test applies", Percent(a.RateBP), a.FixedMonths/12)
	}
	carry := func(id, name string, payment money.Amount, from string, rate int64, note string) money.Amount {
		return b.add(Figure{
			ID: id, Name: name, Value: Loan(payment, rate, a.TermMonths), Op: Annuity, Formula: "the loan that this payment pays back over the term", Note: note,
			Inputs: []Input{pence("payment", payment, from), points("rate", rate, "policy"), months("term", a.TermMonths, "you")},
		})
	}
	affordable := carry("loan_affordable", "Loan by what is left", can, "headroom", used, why)
	carry("loan_stress", "Loan by what is left, tested "+rise(pol.StressAddBP)+" above", can, "headroom", stressed, "The regulator's least test.")
	carry("loan_cautious", "Loan by what is left, tested "+rise(pol.CautiousAddBP)+" above", can, "headroom", a.RateBP+pol.CautiousAddBP, "The older, harder test.")
	if p.RentFound {
		carry("loan_rent", "Loan that the present rent would pay", p.Value("rent"), "rent", a.RateBP, "What the same money carries as a mortgage payment. No lender decides by this.")
	}
	multiple := b.add(Figure{
		ID: "loan_income", Name: "Loan by income", Value: p.Value("gross_income").Share(pol.LoanToIncomeBP), Op: TimesBP, Formula: "gross income times the usual multiple",
		Inputs: []Input{pence("gross income", p.Value("gross_income"), "gross_income"), points("multiple", pol.LoanToIncomeBP, "policy")},
	})
	loan := b.add(Figure{
		ID: "loan", Name: "Loan", Value: min(affordable, multiple), Op: Lowest, Formula: "the lower of the two",
		Inputs: []Input{pence("by what is left", affordable, "loan_affordable"), pence("by income", multiple, "loan_income")},
	})
	b.add(Figure{
		ID: "payment", Name: "Monthly payment", Value: Repayment(loan, a.RateBP, a.TermMonths), Op: Payment, Formula: "the payment that this loan needs at the product's rate",
		Inputs: []Input{pence("loan", loan, "loan"), points("rate", a.RateBP, "you"), months("term", a.TermMonths, "you")},
	})
	b.add(Figure{ID: "deposit", Name: "Deposit", Value: a.Deposit, Op: Given, Formula: "what you told us, or what your savings accounts hold"})
	byDeposit := a.Deposit * 10000 / money.Amount(10000-pol.LoanToValueBP)
	price := b.add(Figure{
		ID: "price", Name: "Price of a home", Value: min(loan+a.Deposit, byDeposit), Op: Price, Formula: "loan + deposit, or what the deposit allows at the largest loan to value, whichever is lower",
		Inputs: []Input{pence("loan", loan, "loan"), pence("deposit", a.Deposit, "deposit"), points("largest loan to value", pol.LoanToValueBP, "policy")},
	})
	switch {
	case left <= 0:
		p.Binding = "what is left: nothing is, after committed spending and living costs"
	case price < loan+a.Deposit:
		p.Binding = "the deposit: it allows a smaller home than the loan would"
	case affordable <= multiple:
		p.Binding = "what is left each month"
	default:
		p.Binding = "income: lenders seldom lend more than " + times(pol.LoanToIncomeBP) + " times it"
	}
}

// Percent writes basis points as 4.75%.
func Percent(bp int64) string {
	if bp%100 == 0 {
		return fmt.Sprintf("%d%%", bp/100)
	}
	return fmt.Sprintf("%d.%02d%%", bp/100, bp%100)
}

// rise writes a difference of rates: one per cent of a rate is not a point.
func rise(bp int64) string {
	if bp == 100 {
		return "1 point"
	}
	return strings.TrimSuffix(Percent(bp), "%") + " points"
}

func times(bp int64) string {
	if bp%10000 == 0 {
		return fmt.Sprint(bp / 10000)
	}
	return fmt.Sprintf("%d.%d", bp/10000, bp%10000/1000)
}

func (b *builder) sentence() string {
	switch p := b.p; {
	case p.RentFound && p.Value("payment") > 0:
		return fmt.Sprintf("You pay %s rent a month. A loan of %s would cost %s.", p.Value("rent"), p.Value("loan").Pounds(), p.Value("payment"))
	case p.RentFound:
		return fmt.Sprintf("You pay %s rent a month. Nothing is left for a loan by these figures.", p.Value("rent"))
	case p.Owner:
		return "No rent found: a mortgage is paid from these accounts."
	}
	return "No rent found in these accounts."
}
