package town

import "time"

// bill takes a direct debit every month and adds it to what is fixed.
func (l *life) bill(b biller, amount Pence, vary int) {
	day := l.c.between(1, 28)
	l.months(func(first time.Time) {
		d := onOrAfter(dayOf(first, day))
		l.row(d, Entry{Amount: -l.c.wobble(amount, vary), Kind: Kind("spend:" + b.spend), Rail: DirectDebit, Other: Party{Name: b.name}, MCC: b.mcc, Reference: "DD"})
	})
	l.fixed += amount
}

// household pays what every household pays.
func (l *life) household(people int) {
	c := l.c
	council := pick(c, councils)
	tax, day := c.pence(95, 210), c.between(1, 28)
	l.months(func(first time.Time) {
		if m := first.Month(); m == time.February || m == time.March {
			return // ten instalments, April to January
		}
		l.row(onOrAfter(dayOf(first, day)), Entry{Amount: -tax, Kind: "spend:council_tax", Rail: DirectDebit, Other: Party{Name: council.name}, MCC: council.mcc})
	})
	l.fixed += tax * 10 / 12

	energy, base, eday := pick(c, energyFirms), c.pence(55, 120)*Pence(2+people)/3, c.between(1, 28)
	l.months(func(first time.Time) {
		amount := base
		if m := first.Month(); m >= time.November || m <= time.February {
			amount = base * 13 / 10
		}
		l.row(onOrAfter(dayOf(first, eday)), Entry{Amount: -amount, Kind: "spend:energy", Rail: DirectDebit, Other: Party{Name: energy.name}, MCC: energy.mcc})
	})
	l.fixed += base * 11 / 10

	l.bill(pick(c, waterFirms), c.pence(22, 48), 0)
	l.bill(pick(c, broadbandFirms), c.pence(24, 44), 0)
	l.bill(pick(c, mobileFirms), c.pence(9, 38), 4)
	l.bill(licensing, 1454, 0)
	if c.in100(60) {
		l.bill(pick(c, insurers), c.pence(12, 65), 0)
	}
	if c.in100(70) {
		l.bill(pick(c, streamers), c.pence(6, 18), 0)
	}
	if c.in100(40) {
		l.bill(pick(c, gyms), c.pence(18, 45), 0)
	}
}

// debts adds what is owed to lenders, for some.
func (l *life) debts() {
	c := l.c
	room := l.pay / 100
	if c.in100(28) {
		l.bill(pick(c, carLenders), room*Pence(c.between(7, 12)), 0)
	}
	if c.in100(18) {
		l.bill(pick(c, loanFirms), room*Pence(c.between(4, 9)), 0)
	}
	if c.in100(40) {
		l.bill(pick(c, cardFirms), room*Pence(c.between(2, 8)), 40)
	}
	if c.in100(20) {
		l.bill(pick(c, bnplFirms), room*Pence(c.between(1, 3)), 20)
	}
}

// nursery is as large and as regular as a rent.
func (l *life) nursery() {
	n := pick(l.c, nurseries)
	amount := l.pay * Pence(l.c.between(16, 24)) / 100
	to, day, nonce := l.c.account(n.name), l.c.between(1, 28), l.c.between(1000, 9999)
	l.months(func(first time.Time) {
		l.row(onOrAfter(dayOf(first, day)), Entry{Amount: -l.c.wobble(amount, 6), Kind: "spend:childcare", Rail: StandingOrder, Other: to, MCC: "", Reference: pick(l.c, []string{"NURSERY FEES", "FEES"}), Nonce: nonce})
	})
	l.fixed += amount
}

// save moves money to the customer's own savings account.
func (l *life) save() {
	to := l.open(l.t.Name, true, l.c.pence(200, 9000))
	amount := l.pay * Pence(l.c.between(5, 18)) / 100 / 1000 * 1000
	day := l.c.between(1, 28)
	l.months(func(first time.Time) { l.twin(onOrAfter(dayOf(first, day)), 0, to, amount, StandingOrder) })
	l.fixed += amount
	// And back again when the month was long.
	l.months(func(first time.Time) {
		if l.c.in100(20) {
			l.twin(first.AddDate(0, 0, l.c.between(18, 26)), to, 0, amount/2/1000*1000, Internal)
		}
	})
}

// live spends most of what is left on a year of ordinary days.
func (l *life) live() {
	c := l.c
	left := l.pay - l.fixed
	left = left * Pence(c.between(62, 98)) / 100
	left = max(left, l.pay*18/100)
	visits := []struct {
		shops []shop
		part  int // per cent of what is left
		days  int // one visit in so many days
	}{{groceries, 42, 4}, {travel, 17, 5}, {leisure, 20, 6}, {shopping, 21, 9}}
	for _, v := range visits {
		each := left * Pence(v.part) / 100 * Pence(v.days) / 30
		for d := l.from; !d.After(l.to); d = d.AddDate(0, 0, 1) {
			odds := 100 / v.days
			if d.Month() == time.December && d.Day() < 25 && v.days > 4 {
				odds = odds * 17 / 10 // Christmas
			}
			if !c.in100(odds) {
				continue
			}
			s := pick(c, v.shops)
			mid := Pence(s.lo+s.hi) * 50
			l.row(d, Entry{Amount: -max(each*c.wobble(mid, 60)/meanOf(v.shops), 120), Kind: Kind("spend:" + s.spend), Rail: Card, Other: Party{Name: s.name}, MCC: s.mcc})
		}
	}
	l.months(func(first time.Time) {
		if c.in100(45) {
			l.row(first.AddDate(0, 0, c.between(0, 27)), Entry{Amount: -Pence(c.between(1, 6)) * 1000, Kind: "spend:cash", Rail: Cash, Other: Party{Name: "CASH MACHINE"}, MCC: "6011"})
		}
		if c.in100(12) { // something came back
			s, amount, day := pick(c, shopping), c.pence(10, 70), first.AddDate(0, 0, c.between(0, 20))
			l.row(day, Entry{Amount: -amount, Kind: Kind("spend:" + s.spend), Rail: Card, Other: Party{Name: s.name}, MCC: s.mcc})
			l.row(day.AddDate(0, 0, c.between(2, 7)), Entry{Amount: amount, Kind: KindRefund, Rail: Card, Other: Party{Name: s.name}, MCC: s.mcc})
		}
	})
	l.dinners(c.account(initialled(c.person())), 2)
	if c.in100(12) {
		l.gamble()
	}
	if c.in100(10) {
		l.bounce()
	}
}

func meanOf(shops []shop) Pence {
	sum := 0
	for _, s := range shops {
		sum += (s.lo + s.hi) * 50
	}
	return Pence(sum / len(shops))
}

func (l *life) gamble() {
	l.every(7, time.Saturday, func(d time.Time) {
		if l.c.in100(60) {
			l.row(d, Entry{Amount: -l.c.pence(betting.lo, betting.hi), Kind: "spend:gambling", Rail: Card, Other: Party{Name: betting.name}, MCC: betting.mcc})
		}
	})
}

// bounce returns a direct debit the day after, and the bank charges for it.
func (l *life) bounce() {
	day := onOrAfter(l.to.AddDate(0, -l.c.between(2, 10), 0))
	b, amount := pick(l.c, energyFirms), l.c.pence(60, 110)
	l.row(day, Entry{Amount: -amount, Kind: Kind("spend:" + b.spend), Rail: DirectDebit, Other: Party{Name: b.name}, MCC: b.mcc})
	next := onOrAfter(day.AddDate(0, 0, 1))
	l.row(next, Entry{Amount: amount, Kind: KindReturned, Rail: DirectDebit, Other: Party{Name: b.name}, Reference: "UNPAID DD", MCC: b.mcc})
	l.row(next, Entry{Amount: -500, Kind: "spend:bank_charge", Rail: Charge, Other: Party{Name: "UNPAID ITEM FEE"}})
}
