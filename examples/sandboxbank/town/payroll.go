package town

// takeHome returns a month's pay after income tax and national insurance for a gross year (England, tax code
// 1257L, category A), after a pension share of the gross and, when asked, a Plan 2 student loan.
func takeHome(gross Pence, pensionPct int, studentLoan bool) Pence {
	const pound = 100
	pension := gross * Pence(pensionPct) / 100
	taxable := gross - pension
	allowance := Pence(12570 * pound)
	if taxable > 100000*pound {
		allowance -= (taxable - 100000*pound) / 2
		allowance = max(allowance, 0)
	}
	tax := band(taxable, allowance, allowance+37700*pound, 20)
	tax += band(taxable, allowance+37700*pound, 125140*pound, 40)
	tax += band(taxable, 125140*pound, 1<<50, 45)
	ni := band(gross, 12570*pound, 50270*pound, 8) + band(gross, 50270*pound, 1<<50, 2)
	net := gross - pension - tax - ni
	if studentLoan {
		net -= band(gross, 28470*pound, 1<<50, 9)
	}
	return net / 12
}

// band taxes the part of p between lo and hi.
func band(p, lo, hi Pence, pct int) Pence {
	part := min(p, hi) - lo
	return max(part, 0) * Pence(pct) / 100
}

// wages are gross years in pounds at every fifth percentile, invented in the shape of British full-time pay.
var wages = []int{22800, 23700, 24600, 25500, 26400, 27400, 28500, 29600, 30800, 32100, 33500, 35000, 36700, 38600, 40800, 43400, 46600, 50700, 56500, 66000}

// grossPay draws a year's pay.
func (c *chance) grossPay() Pence {
	i := c.between(0, len(wages)-2)
	return Pence(c.between(wages[i], wages[i+1])) * 100
}
