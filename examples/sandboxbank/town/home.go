package town

import (
	"strconv"
	"time"
)

// tenancy is a home and how its rent is paid.
type tenancy struct {
	landlord  Party
	rent      Pence
	day       int
	rail      Rail
	reference string
	from, to  time.Time // rent days in [from, to] are paid
	late      int       // per cent of rents paid 7 to 14 days late
	jitter    int       // days either side, for those who pay by hand
	nonce     int
}

// rentFor draws a rent that a household with this take-home would pay.
func (l *life) rentFor(net Pence) Pence {
	r := net * Pence(l.c.between(27, 44)) / 100
	r = max(r, 45000)
	return r / 500 * 500 // rents end in 0 or 5 pounds
}

// let draws a tenancy for the whole history.
func (l *life) let(rent Pence) tenancy {
	c := l.c
	name, rail := "", StandingOrder
	switch k := c.between(1, 10); {
	case k <= 5:
		name = pick(c, agents)
	case k <= 8:
		name = initialled(c.person())
	default:
		name = pick(c, associations)
		if c.in100(50) {
			rail = DirectDebit
		}
	}
	if rail == StandingOrder && c.in100(30) {
		rail = FasterOut
	}
	ref := pick(c, []string{"RENT", "RENT " + initialled(l.t.Name), "FLAT " + strconv.Itoa(c.between(1, 40)), "MONTHLY RENT", familyOf(l.t.Name), strconv.Itoa(c.between(2, 80)) + " MILL LANE", "RENT"})
	return tenancy{
		landlord: c.account(name), rent: rent, day: pick(c, []int{1, 1, 1, 3, 5, 10, 15, 20, 26, 28}), rail: rail, reference: ref,
		from: l.from.AddDate(-1, 0, 0), to: l.to, nonce: c.between(1000, 9999),
	}
}

func familyOf(name string) string {
	for i := range name {
		if name[i] == ' ' {
			return name[i+1:]
		}
	}
	return name
}

// rentRow writes one payment to the landlord.
func (l *life) rentRow(v tenancy, day time.Time, amount Pence) {
	l.row(day, Entry{Amount: -amount, Kind: KindRent, Rail: v.rail, Other: v.landlord, Reference: v.reference, Purpose: l.purpose("RENT"), Nonce: v.nonce})
}

// monthly pays the rent once a month. The result is the rent days that fell in the history.
func (l *life) monthly(v tenancy) {
	l.months(func(first time.Time) {
		due := dayOf(first, v.day)
		if due.Before(v.from) || due.After(v.to) {
			return
		}
		day := onOrAfter(due)
		if v.rail == FasterOut {
			day = due.AddDate(0, 0, l.c.between(-v.jitter, v.jitter)) // people pay at weekends too
		}
		if l.c.in100(v.late) {
			day = onOrAfter(due.AddDate(0, 0, l.c.between(7, 14)))
			l.t.Truth.LateRents++
		}
		l.rentRow(v, day, v.rent)
	})
	l.keep(v, "month", v.rent)
	if v.rail == StandingOrder {
		l.order(v.landlord, v.rent, v.reference, v.day)
	}
}

// keep records the present tenancy as the truth.
func (l *life) keep(v tenancy, every string, perMonth Pence) {
	l.t.Truth.RentMonthly, l.t.Truth.RentEvery = perMonth, every
	l.fixed += perMonth
}

// order lists a standing order.
func (l *life) order(to Party, amount Pence, ref string, day int) {
	last := onOrAfter(dayOf(l.to, day))
	if last.After(l.to) {
		last = onOrAfter(dayOf(monthStart(l.to).AddDate(0, -1, 0), day))
	}
	next := onOrAfter(dayOf(monthStart(last).AddDate(0, 1, 0), day))
	l.t.Orders = append(l.t.Orders, Order{ID: l.t.ID + "-so" + strconv.Itoa(len(l.t.Orders)+1), To: to, Amount: amount, Reference: ref, Day: day, Last: last, Next: next})
}

// fourWeekly pays every 28 days.
func (l *life) fourWeekly(v tenancy) {
	l.every(28, time.Monday, func(d time.Time) { l.rentRow(v, onOrAfter(d), v.rent) })
	l.keep(v, "4weeks", v.rent*13/12)
}

// inParts pays two or three times a month.
func (l *life) inParts(v tenancy) {
	parts := l.c.between(2, 3)
	v.rail = FasterOut
	l.months(func(first time.Time) {
		left := v.rent
		for i := range parts {
			part := v.rent / Pence(parts) / 100 * 100
			if i == parts-1 {
				part = left
			}
			left -= part
			l.rentRow(v, dayOf(first, 2+i*9+l.c.between(0, 2)), part)
		}
	})
	l.keep(v, "month", v.rent)
}

// missOne leaves one month out and pays two the month after.
func (l *life) missOne(v tenancy) {
	v.rail = FasterOut
	missed := monthStart(l.to).AddDate(0, -l.c.between(3, 9), 0)
	l.months(func(first time.Time) {
		switch {
		case first.Equal(missed):
			l.t.Truth.MissedRents++
		case first.Equal(missed.AddDate(0, 1, 0)):
			l.rentRow(v, dayOf(first, v.day), 2*v.rent)
		default:
			l.rentRow(v, dayOf(first, v.day).AddDate(0, 0, l.c.between(-1, 1)), v.rent)
		}
	})
	l.keep(v, "month", v.rent)
}

// share collects a part of the rent from flatmates, a few days before or after it is due.
func (l *life) share(v tenancy, mates int) {
	part := v.rent / Pence(mates+1) / 100 * 100
	for range mates {
		from := l.c.account(initialled(l.c.person()))
		ref := pick(l.c, []string{"RENT", "MY SHARE", "FLAT", "RENT X"})
		nonce := l.c.between(1000, 9999)
		l.months(func(first time.Time) {
			l.row(dayOf(first, v.day).AddDate(0, 0, l.c.between(-3, 4)), Entry{Amount: part, Kind: KindShare, Rail: FasterIn, Other: from, Reference: ref, Nonce: nonce})
		})
	}
	l.fixed -= part * Pence(mates)
}

// dinners settles small sums with a friend at odd times.
func (l *life) dinners(friend Party, many int) {
	nonce := l.c.between(1000, 9999)
	l.months(func(first time.Time) {
		for range l.c.between(0, many) {
			day := first.AddDate(0, 0, l.c.between(0, 27))
			e := Entry{Amount: -l.c.pence(6, 85), Kind: KindFriend, Rail: FasterOut, Other: friend, Reference: pick(l.c, []string{"DINNER", "THANKS", "TICKETS", "PIZZA", "TAXI"}), Nonce: nonce}
			if l.c.in100(25) {
				e.Amount, e.Rail = -e.Amount, FasterIn
			}
			l.row(day, e)
		}
	})
}
