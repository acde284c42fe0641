package town

import "time"

// recipe is one of the lives that a tenant may lead.
type recipe struct {
	name string
	live func(*life)
}

// recipes stand in order of tenant number: tenant 1 is steady, tenant 2 a couple, and so on, round and round.
var recipes = []recipe{
	{"steady", steady},
	{"couple", couple},
	{"irregular", irregular},
	{"weekly-paid", weeklyPaid},
	{"four-weekly-rent", fourWeeklyRent},
	{"sharer", sharer},
	{"gig-worker", gigWorker},
	{"moved", moved},
	{"housing-benefit", housingBenefit},
	{"split-payments", splitPayments},
	{"missed-month", missedMonth},
	{"rent-rise", rentRise},
	{"friend-landlord", friendLandlord},
	{"no-rent", noRent},
}

// Archetypes returns the names of the fourteen lives, in order of tenant number.
func Archetypes() []string {
	names := make([]string, len(recipes))
	for i, r := range recipes {
		names[i] = r.name
	}
	return names
}

// settle adds the parts that all lives share, once pay and home are known.
func (l *life) settle(people int) {
	l.household(people)
	l.debts()
	if l.c.in100(45) {
		l.save()
	}
	l.live()
}

func steady(l *life) {
	l.pay = l.work(l.hire(l.t.Name))
	l.monthly(l.let(l.rentFor(l.pay)))
	l.settle(1)
}

// couple: two wages into one joint account.
func couple(l *life) {
	partner := pick(l.c, firstNames) + " " + pick(l.c, familyNames)
	l.t.Accounts[0].Holder = initialled(l.t.Name) + " & " + initialled(partner)
	a, b := l.hire(l.t.Name), l.hire(partner)
	for b.employer == a.employer {
		b.employer = pick(l.c, employers)
	}
	l.pay = l.work(a) + l.work(b)
	l.monthly(l.let(l.rentFor(l.pay)))
	if l.c.in100(45) {
		l.childBenefit()
		l.nursery()
	}
	l.settle(2)
}

// irregular pays by hand, a few days early or late, and sometimes much too late.
func irregular(l *life) {
	l.pay = l.work(l.hire(l.t.Name))
	v := l.let(l.rentFor(l.pay))
	v.rail, v.jitter, v.late = FasterOut, 3, 15
	v.day = l.c.between(5, 14)
	l.monthly(v)
	l.settle(1)
}

func weeklyPaid(l *life) {
	j := l.hire(l.t.Name)
	j.every = "week"
	l.pay = l.work(j)
	l.monthly(l.let(l.rentFor(l.pay)))
	l.settle(1)
}

func fourWeeklyRent(l *life) {
	l.pay = l.work(l.hire(l.t.Name))
	v := l.let(l.rentFor(l.pay) * 12 / 13 / 100 * 100)
	v.landlord = l.c.account(pick(l.c, associations))
	l.fourWeekly(v)
	l.settle(1)
}

// sharer pays the whole rent of a shared flat and collects the others' parts.
func sharer(l *life) {
	l.pay = l.work(l.hire(l.t.Name))
	mates := l.c.between(1, 2)
	v := l.let(l.rentFor(l.pay) * Pence(100+20*mates) / 100 / 500 * 500)
	l.monthly(v)
	l.share(v, mates)
	l.settle(1)
}

func gigWorker(l *life) {
	l.pay = l.drive()
	v := l.let(l.rentFor(l.pay))
	v.jitter = 2
	l.monthly(v)
	l.settle(1)
}

// moved changed home and job in the year, with a deposit out and the old one back.
func moved(l *life) {
	c := l.c
	day := monthStart(l.to).AddDate(0, -c.between(4, 8), c.between(0, 20))
	old, now := l.hire(l.t.Name), l.hire(l.t.Name)
	for now.employer == old.employer {
		now.employer = pick(c, employers)
	}
	now.gross = old.gross * Pence(c.between(102, 118)) / 100
	old.to, now.from = day.AddDate(0, 0, -10), day.AddDate(0, 0, -9)
	l.work(old)
	l.t.Truth.GrossAnnual, l.t.Truth.PayMonthly = 0, 0
	l.pay = l.work(now)
	first := l.let(l.rentFor(l.pay * 92 / 100))
	first.to = day
	second := l.let(l.rentFor(l.pay))
	second.from = day.AddDate(0, 0, 5)
	for second.landlord.Name == first.landlord.Name {
		second.landlord = c.account(pick(c, agents))
	}
	l.monthly(first)
	l.fixed = 0
	l.t.Orders = nil
	l.monthly(second)
	l.row(onOrAfter(day.AddDate(0, 0, -6)), Entry{Amount: -second.rent * 15 / 13, Kind: KindDeposit, Rail: FasterOut, Other: second.landlord, Reference: pick(c, []string{"DEPOSIT", "TENANCY DEPOSIT", "HOLDING AND DEPOSIT"}), Nonce: second.nonce})
	l.row(onOrAfter(day.AddDate(0, 0, c.between(12, 30))), Entry{Amount: first.rent * 15 / 13, Kind: KindDepositReturn, Rail: FasterIn, Other: Party{Name: "Haven Deposit Scheme"}, Reference: "DEPOSIT RETURN"})
	l.settle(1)
}

// housingBenefit: a part-time wage, and a benefit that covers part of the rent.
func housingBenefit(l *life) {
	j := l.hire(l.t.Name)
	j.gross = l.c.pence(13000, 19500) / 100 * 100
	l.pay = l.work(j)
	l.pay += l.universalCredit(l.c.pence(380, 720))
	if l.c.in100(60) {
		l.childBenefit()
	}
	l.monthly(l.let(l.rentFor(l.pay)))
	l.settle(2)
}

func splitPayments(l *life) {
	l.pay = l.work(l.hire(l.t.Name))
	l.inParts(l.let(l.rentFor(l.pay)))
	l.settle(1)
}

func missedMonth(l *life) {
	l.pay = l.work(l.hire(l.t.Name))
	v := l.let(l.rentFor(l.pay))
	v.day = l.c.between(3, 20)
	l.missOne(v)
	l.settle(1)
}

// rentRise: five per cent more, some time in the year.
func rentRise(l *life) {
	l.pay = l.work(l.hire(l.t.Name))
	before := l.let(l.rentFor(l.pay) * 100 / 105 / 100 * 100)
	after := before
	after.rent = before.rent * 105 / 100
	after.from = monthStart(l.to).AddDate(0, -l.c.between(4, 9), 0)
	before.to = after.from.AddDate(0, 0, -1)
	l.monthly(before)
	l.fixed, l.t.Orders = 0, nil
	l.monthly(after)
	l.settle(1)
}

// friendLandlord: the landlord is a friend, so rent and dinners go to the same name.
func friendLandlord(l *life) {
	l.pay = l.work(l.hire(l.t.Name))
	v := l.let(l.rentFor(l.pay))
	v.landlord = l.c.account(initialled(l.c.person()))
	if v.rail == DirectDebit {
		v.rail = StandingOrder
	}
	l.monthly(v)
	friend := v.landlord
	if l.c.in100(50) { // the same person's other account: only the name is the same
		friend = l.c.account(v.landlord.Name)
	}
	l.dinners(friend, 4)
	l.settle(1)
}

// noRent: an owner with a mortgage, or somebody who lives with their parents.
func noRent(l *life) {
	l.pay = l.work(l.hire(l.t.Name))
	if l.c.in100(55) {
		lender := pick(l.c, lenders)
		amount := l.rentFor(l.pay) + Pence(l.c.between(0, 99))
		day := l.c.between(1, 28)
		l.months(func(first time.Time) {
			l.row(onOrAfter(dayOf(first, day)), Entry{Amount: -amount, Kind: KindMortgage, Rail: DirectDebit, Other: Party{Name: lender}, Reference: "MTG " + l.t.ID[1:] + "7731", MCC: "6012"})
		})
		l.fixed += amount
		if l.c.in100(30) {
			l.nursery()
		}
		l.settle(2)
		return
	}
	parent := l.c.account(pick(l.c, firstNames)[:1] + " " + familyOf(l.t.Name))
	amount := l.c.pence(100, 280) / 1000 * 1000
	day := l.c.between(1, 28)
	ref := pick(l.c, []string{"BOARD", "KEEP", "HOUSE MONEY"})
	l.months(func(first time.Time) {
		l.row(onOrAfter(dayOf(first, day)), Entry{Amount: -amount, Kind: KindBoard, Rail: StandingOrder, Other: parent, Reference: ref})
	})
	l.order(parent, amount, ref, day)
	l.fixed += amount
	l.bill(pick(l.c, mobileFirms), l.c.pence(9, 38), 4)
	l.debts()
	l.save()
	l.live()
}
