package schedule

import "time"

// resolve is the instant at which the clocks of a zone show a minute of a day.
// Minutes may reach into the next day.
//
// RFC 5545 §3.3.5: a local time that occurs twice means the first occurrence; one
// that does not occur is read with the offset before the gap. So 01:30 on the
// night London's clocks go forward is 02:30 summer time.
func resolve(day, minute int, zone *time.Location) time.Time {
	wall := int64(day)*86400 + int64(minute)*60 // as if the zone were UTC
	// No zone is more than 26 hours away from UTC, so the offsets 36 hours
	// before and after surround every possible answer. Nearly always they agree.
	before := offset(wall-36*3600, zone)
	if before == offset(wall+36*3600, zone) && offset(wall-before, zone) == before {
		return time.Unix(wall-before, 0).UTC()
	}
	// Go through the stretches of constant offset around it, in order.
	at := time.Unix(wall-36*3600, 0).In(zone)
	answer := wall - before
	for {
		_, off := at.Zone()
		start, end := at.ZoneBounds()
		u := wall - int64(off)
		switch {
		case !start.IsZero() && u < start.Unix():
			// The wall time falls between the last stretch and this one: it is
			// in the gap, and answer was read with the offset before it.
			return time.Unix(answer, 0).UTC()
		case end.IsZero() || u < end.Unix():
			return time.Unix(u, 0).UTC() // the first stretch that shows it
		}
		answer = u
		at = end
	}
}

// offset is a zone's distance from UTC at an instant, in seconds east.
func offset(unix int64, zone *time.Location) int64 {
	_, off := time.Unix(unix, 0).In(zone).Zone()
	return int64(off)
}

// dayOf is the day that the clocks of a zone show, in days since 1970-01-01.
func dayOf(t time.Time, zone *time.Location) int {
	local := t.Unix() + offset(t.Unix(), zone)
	day := local / 86400
	if local%86400 < 0 {
		day--
	}
	return int(day)
}

// weekday of a day; 1970-01-01 was a Thursday.
func weekday(day int) int { return ((day+4)%7 + 7) % 7 }

// Week is the week that an instant is in, as the schedule's clocks show it: eight
// midnights, from Monday's to the Monday's after it. Days on which clocks change
// are shorter or longer than 24 hours.
func (s *Schedule) Week(t time.Time) [8]time.Time {
	day := dayOf(t, s.zone)
	monday := day - (weekday(day)+6)%7
	var midnights [8]time.Time
	for i := range midnights {
		midnights[i] = resolve(monday+i, 0, s.zone)
	}
	return midnights
}
