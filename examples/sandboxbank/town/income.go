package town

import "time"

// job is one employment.
type job struct {
	employer string
	gross    Pence
	every    string // "month" or "week"
	payday   int    // 0 last working day, else the day of the month
	from, to time.Time
	who      string
}

// hire draws a job for the whole history.
func (l *life) hire(who string) job {
	return job{employer: pick(l.c, employers), gross: l.c.grossPay(), every: "month", payday: pick(l.c, []int{0, 0, 25, 28, 15}), from: l.from.AddDate(-1, 0, 0), to: l.to, who: who}
}

// work pays the job's wages and returns a month's take-home at today's rate.
func (l *life) work(j job) Pence {
	pension := 0
	if l.c.in100(70) {
		pension = 5
	}
	loan := l.c.in100(30)
	rise := time.Time{} // April's pay round, for some
	if l.c.in100(35) {
		rise = date(l.to.Year(), time.April, 1)
		if rise.After(l.to) {
			rise = rise.AddDate(-1, 0, 0)
		}
	}
	bonusMonth := time.Month(0)
	if l.c.in100(25) {
		bonusMonth = pick(l.c, []time.Month{time.March, time.December})
	}
	other := Party{Name: j.employer}
	ref := pick(l.c, []string{"SALARY", "PAYROLL", "WAGES", j.who, "PAY 00" + string(rune('1'+l.c.between(0, 8)))})
	nonce := l.c.between(1000, 9999)
	net := func(day time.Time) Pence {
		g := j.gross
		if !rise.IsZero() && day.Before(rise) {
			g = g * 100 / 103
		}
		return takeHome(g, pension, loan)
	}
	pay := func(day time.Time, amount Pence, kind Kind) {
		if day.Before(j.from) || day.After(j.to) {
			return
		}
		l.row(onOrBefore(day), Entry{
			Amount: amount, Kind: kind, Rail: BankCredit, Other: other, Reference: ref, Nonce: nonce,
			Purpose: l.purpose("SALA"), Category: l.purpose("SALA"),
		})
	}
	if j.every == "week" {
		l.every(7, time.Friday, func(d time.Time) {
			// Hours vary a little.
			pay(d, l.c.wobble(net(d)*12/52, 3), KindSalary)
		})
	} else {
		l.months(func(first time.Time) {
			day := dayOf(first, 31)
			if j.payday > 0 {
				day = dayOf(first, j.payday)
			}
			amount := net(day) + Pence(l.c.between(-90, 90)) // a tax code's rounding
			if first.Month() == bonusMonth {
				amount += net(day) * Pence(l.c.between(25, 110)) / 100
			}
			pay(day, amount, KindSalary)
		})
	}
	l.t.Truth.GrossAnnual += j.gross
	l.t.Truth.PayEvery = j.every
	l.t.Truth.PayMonthly += net(j.to)
	return net(j.to)
}

// drive pays a gig worker: platforms settle every week and no two weeks are alike.
func (l *life) drive() Pence {
	total := Pence(0)
	for i := range l.c.between(1, 2) {
		base := l.c.pence(190, 420)
		if i == 1 {
			base /= 2
		}
		name := pick(l.c, platforms)
		nonce := l.c.between(1000, 9999)
		l.every(7, pick(l.c, []time.Weekday{time.Tuesday, time.Wednesday}), func(d time.Time) {
			if l.c.in100(7) {
				return // a week off
			}
			l.row(onOrAfter(d), Entry{Amount: l.c.wobble(base, 35), Kind: KindGig, Rail: FasterIn, Other: Party{Name: name}, Reference: "EARNINGS", Nonce: nonce})
		})
		total += base * 52 / 12 * 93 / 100
	}
	l.t.Truth.PayEvery = ""
	return total
}

// universalCredit pays a monthly benefit and returns it.
func (l *life) universalCredit(amount Pence) Pence {
	day := l.c.between(2, 27)
	l.months(func(first time.Time) {
		l.row(onOrBefore(dayOf(first, day)), Entry{
			Amount: amount + Pence(l.c.between(-300, 300)), Kind: KindBenefit, Rail: BankCredit,
			Other: Party{Name: "DWP UC"}, Reference: "UNIVERSAL CREDIT", Purpose: l.purpose("SSBE"), Category: l.purpose("SSBE"),
		})
	})
	l.t.Truth.BenefitRate += amount
	return amount
}

// childBenefit pays every four weeks.
func (l *life) childBenefit() {
	l.t.Truth.BenefitRate += 10420 * 13 / 12
	l.every(28, time.Monday, func(d time.Time) {
		l.row(onOrBefore(d), Entry{Amount: 10420, Kind: KindBenefit, Rail: BankCredit, Other: Party{Name: "HMRC CHILD BENEFIT"}, Reference: "CHB", Purpose: l.purpose("SSBE"), Category: l.purpose("SSBE")})
	})
}
