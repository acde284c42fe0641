package policy

import "example.org/affordability/money"

// Tax is a year's income tax and national insurance. Sums are pence a year, rates are per cent.
type Tax struct {
	Allowance       money.Amount `json:"allowance"`
	TaperFrom       money.Amount `json:"taper_from"`
	BasicWidth      money.Amount `json:"basic_width"`
	BasicPct        int64        `json:"basic_pct"`
	HigherTo        money.Amount `json:"higher_to"`
	HigherPct       int64        `json:"higher_pct"`
	TopPct          int64        `json:"top_pct"`
	InsuranceFrom   money.Amount `json:"insurance_from"`
	InsuranceTo     money.Amount `json:"insurance_to"`
	InsurancePct    int64        `json:"insurance_pct"`
	InsuranceTopPct int64        `json:"insurance_top_pct"`
	LoanFrom        money.Amount `json:"loan_from"`
	LoanPct         int64        `json:"loan_pct"`
	PensionPct      int64        `json:"pension_pct"`
}

// Deductions are what an employer may take besides tax and insurance.
type Deductions int

// The two ends of the range that a profile reports.
const (
	None           Deductions = iota
	PensionAndLoan            // the policy's pension share, and a Plan 2 student loan
)

// Net returns what is left of a gross year.
func (t Tax) Net(gross money.Amount, d Deductions) money.Amount {
	pension, loan := money.Amount(0), money.Amount(0)
	if d == PensionAndLoan {
		pension = gross * money.Amount(t.PensionPct) / 100
		loan = slice(gross, t.LoanFrom, -1, t.LoanPct)
	}
	taxable := gross - pension
	free := t.Allowance
	if over := taxable - t.TaperFrom; over > 0 {
		free = max(0, free-over/2)
	}
	tax := slice(taxable, free, free+t.BasicWidth, t.BasicPct) + slice(taxable, free+t.BasicWidth, max(t.HigherTo, free+t.BasicWidth), t.HigherPct) +
		slice(taxable, max(t.HigherTo, free+t.BasicWidth), -1, t.TopPct)
	insurance := slice(gross, t.InsuranceFrom, t.InsuranceTo, t.InsurancePct) + slice(gross, t.InsuranceTo, -1, t.InsuranceTopPct)
	return gross - pension - loan - tax - insurance
}

// slice charges the part of a sum between two bounds; a negative upper bound means none.
func slice(sum, from, to money.Amount, pct int64) money.Amount {
	if to >= 0 {
		sum = min(sum, to)
	}
	return max(0, sum-from) * money.Amount(pct) / 100
}

// Gross returns the smallest gross year, in whole pence, that leaves at least this net. Net grows with gross, so
// a binary search finds it.
func (t Tax) Gross(net money.Amount, d Deductions) money.Amount {
	if net <= 0 {
		return 0
	}
	low, high := net, net*3+t.Allowance
	for low < high {
		if mid := low + (high-low)/2; t.Net(mid, d) >= net {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}
