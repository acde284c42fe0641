package schedule

import (
	"maps"
	"strings"
	"time"
)

// Calendar is a set of days, such as public holidays. The zero value is empty. It
// never changes.
type Calendar struct {
	days   map[int]bool
	yearly map[monthDay]bool
}

type monthDay struct {
	month time.Month
	day   int
}

// Has tells whether a day, counted from 1970-01-01, is in the calendar.
func (c Calendar) Has(day int) bool {
	if c.days[day] {
		return true
	}
	if len(c.yearly) == 0 {
		return false
	}
	_, m, d := time.Unix(int64(day)*86400, 0).UTC().Date()
	return c.yearly[monthDay{m, d}]
}

// Len is how many entries the calendar has.
func (c Calendar) Len() int { return len(c.days) + len(c.yearly) }

func (c Calendar) with(day int) Calendar {
	return c.and(Calendar{days: map[int]bool{day: true}})
}

func (c Calendar) and(o Calendar) Calendar {
	both := Calendar{days: map[int]bool{}, yearly: map[monthDay]bool{}}
	for _, from := range []Calendar{c, o} {
		maps.Copy(both.days, from.days)
		maps.Copy(both.yearly, from.yearly)
	}
	return both
}

// last is the last dated day; what repeats each year has none.
func (c Calendar) last() int {
	last := 0
	for day := range c.days {
		last = max(last, day)
	}
	return last
}

// ParseDates makes a calendar of dates: 2026-12-25.
func ParseDates(dates []string) (Calendar, error) {
	c := Calendar{days: map[int]bool{}}
	for _, text := range dates {
		day, err := parseDay(text)
		if err != nil {
			return Calendar{}, err
		}
		c.days[day] = true
	}
	return c, nil
}

// The bounds of a calendar file.
const (
	maxICS    = 1 << 20
	maxEvents = 20_000
	maxLength = 366 // days of one event
)

// ParseICS makes a calendar of the all-day events of an iCalendar file (RFC 5545).
// Events with a time of day are left out. Of recurrence rules only "each year on
// that day" is understood; any other is refused, for a holiday that is silently
// missed turns something on or off on the wrong day.
func ParseICS(src []byte) (Calendar, error) {
	if len(src) > maxICS {
		return Calendar{}, wrong("", "the calendar is larger than %d MiB", maxICS>>20)
	}
	c := Calendar{days: map[int]bool{}, yearly: map[monthDay]bool{}}
	var e *event
	seen, events := false, 0
	for _, line := range unfold(string(src)) {
		name, params, value := property(line)
		switch {
		case name == "BEGIN" && value == "VCALENDAR":
			seen = true
		case name == "BEGIN" && value == "VEVENT":
			if events++; events > maxEvents {
				return Calendar{}, wrong("", "the calendar has more than %d events", maxEvents)
			}
			e = &event{}
		case name == "END" && value == "VEVENT" && e != nil:
			if err := e.addTo(c); err != nil {
				return Calendar{}, err
			}
			e = nil
		case e != nil:
			if err := e.set(name, params, value); err != nil {
				return Calendar{}, err
			}
		}
	}
	switch {
	case !seen:
		return Calendar{}, wrong("it starts with BEGIN:VCALENDAR", "this is not an iCalendar file")
	case e != nil:
		return Calendar{}, wrong("download it again", "the calendar ends in the middle of an event")
	}
	return c, nil
}

// event is a VEVENT while it is read.
type event struct {
	start, end int // days; 0 when not given
	yearly     bool
	timed      bool
	cancelled  bool
	summary    string
}

func (e *event) set(name, params, value string) error {
	switch name {
	case "SUMMARY":
		e.summary = value
	case "STATUS":
		e.cancelled = value == "CANCELLED"
	case "DTSTART", "DTEND":
		if len(value) != len("20261225") || strings.Contains(params, "VALUE=DATE-TIME") {
			e.timed = true
			return nil
		}
		day, err := parseDay(value[:4] + "-" + value[4:6] + "-" + value[6:])
		if err != nil {
			return wrong("write 20261225", "%s:%s of %q is not a day", name, value, e.summary)
		}
		if name == "DTSTART" {
			e.start = day
		} else {
			e.end = day
		}
	case "RRULE":
		if value != "FREQ=YEARLY" && value != "FREQ=YEARLY;INTERVAL=1" {
			return wrong("list the days one by one", "the recurrence %s of %q is not understood", value, e.summary)
		}
		e.yearly = true
	case "RDATE", "EXDATE", "DURATION":
		return wrong("list the days one by one", "%s of %q is not understood", name, e.summary)
	}
	return nil
}

func (e *event) addTo(c Calendar) error {
	if e.timed || e.cancelled || e.start == 0 {
		return nil
	}
	// RFC 5545 §3.6.1: DTEND is not included; without it the event is one day.
	end := max(e.end, e.start+1)
	if end-e.start > maxLength {
		return wrong("", "the event %q is longer than a year", e.summary)
	}
	for day := e.start; day < end; day++ {
		if e.yearly {
			_, m, d := time.Unix(int64(day)*86400, 0).UTC().Date()
			c.yearly[monthDay{m, d}] = true
		} else {
			c.days[day] = true
		}
	}
	return nil
}

// unfold splits a file into content lines (RFC 5545 §3.1): a line that starts with
// white space goes on from the one before.
func unfold(src string) []string {
	text := strings.ReplaceAll(strings.TrimPrefix(src, "\ufeff"), "\r\n", "\n")
	return strings.Split(strings.NewReplacer("\n ", "", "\n\t", "").Replace(text), "\n")
}

// property splits "DTSTART;VALUE=DATE:20261225".
func property(line string) (name, params, value string) {
	head, value, _ := strings.Cut(line, ":")
	name, params, _ = strings.Cut(head, ";")
	return strings.ToUpper(name), strings.ToUpper(params), strings.TrimSpace(value)
}

// DayNumber is a date as [Calendar.Has] counts it.
func DayNumber(year int, month time.Month, day int) int {
	return int(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}
