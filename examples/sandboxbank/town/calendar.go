package town

import "time"

func date(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

func monthStart(t time.Time) time.Time { return date(t.Year(), t.Month(), 1) }

// dayOf returns the given day of the month of t, or its last day when the month is shorter.
func dayOf(t time.Time, day int) time.Time {
	last := date(t.Year(), t.Month()+1, 0)
	if day > last.Day() {
		return last
	}
	return date(t.Year(), t.Month(), day)
}

// closed reports a day on which English and Welsh banks move no Bacs payments or standing orders.
func closed(t time.Time) bool {
	if w := t.Weekday(); w == time.Saturday || w == time.Sunday {
		return true
	}
	y, m, d := t.Date()
	if (m == time.January && d == 1) || (m == time.December && (d == 25 || d == 26)) {
		return true
	}
	// A holiday that falls on a weekend moves to the next working day.
	if m == time.January && (d == 2 || d == 3) && t.Weekday() == time.Monday {
		return true
	}
	if m == time.December && (d == 27 || d == 28) && (t.Weekday() == time.Monday || t.Weekday() == time.Tuesday) {
		return true
	}
	if t.Weekday() == time.Monday && ((m == time.May && (d <= 7 || d >= 25)) || (m == time.August && d >= 25)) {
		return true
	}
	e := easter(y)
	return t.Equal(e.AddDate(0, 0, -2)) || t.Equal(e.AddDate(0, 0, 1))
}

// easter is the anonymous Gregorian computus (Meeus, Astronomical Algorithms, ch. 8).
func easter(y int) time.Time {
	a, b, c := y%19, y/100, y%100
	d, e := b/4, b%4
	g := (8*b + 13) / 25
	h := (19*a + b - d - g + 15) % 30
	i, k := c/4, c%4
	l := (32 + 2*e + 2*i - h - k) % 7
	m := (a + 11*h + 22*l) / 451
	month := (h + l - 7*m + 114) / 31
	return date(y, time.Month(month), (h+l-7*m+114)%31+1)
}

// onOrAfter moves to the next working day: what a standing order or direct debit does.
func onOrAfter(t time.Time) time.Time {
	for closed(t) {
		t = t.AddDate(0, 0, 1)
	}
	return t
}

// onOrBefore moves to the last working day: what a payroll does.
func onOrBefore(t time.Time) time.Time {
	for closed(t) {
		t = t.AddDate(0, 0, -1)
	}
	return t
}
