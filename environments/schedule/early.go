package schedule

import (
	"slices"
	"strings"
	"time"
)

// maxEarly is how much earlier a rebuild may start than the window.
const maxEarly = time.Hour

// recent is how many rebuilds are looked at.
const recent = 20

// StartsAt is when a rebuild starts so that the environment is ready at the edge:
// earlier by the 95th percentile of the last 20 rebuilds (oldest first), at most
// by an hour. The edge itself does not move. Without a history the rebuild starts
// at the edge.
func StartsAt(edge time.Time, rebuilds []time.Duration) time.Time {
	last := slices.Sorted(slices.Values(rebuilds[max(0, len(rebuilds)-recent):]))
	if len(last) == 0 {
		return edge
	}
	p95 := last[(len(last)*95+99)/100-1] // nearest rank
	return edge.Add(-min(max(p95, 0), maxEarly))
}

// Until reads when an override should end: a time of day, which means the next
// time that the schedule's clocks show it ("23:00"); a local day and time
// ("2026-12-24 23:00"); or an instant (RFC 3339). It must be after now.
func (s *Schedule) Until(text string, now time.Time) (time.Time, error) {
	const hint = `write "23:00", "2026-12-24 23:00" or 2026-12-24T23:00:00Z`
	text = strings.TrimSpace(text)
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		if !t.After(now) {
			return time.Time{}, wrong(hint, "%s is over", text)
		}
		return t.UTC(), nil
	}
	if date, clock, ok := strings.Cut(text, " "); ok {
		day, err := parseDay(date)
		if err != nil {
			return time.Time{}, err
		}
		minute, err := parseTime(strings.TrimSpace(clock))
		if err != nil {
			return time.Time{}, err
		}
		t := resolve(day, minute, s.zone)
		if !t.After(now) {
			return time.Time{}, wrong(hint, "%s is over", text)
		}
		return t, nil
	}
	minute, err := parseTime(text)
	if err != nil {
		return time.Time{}, wrong(hint, "%q is not an end", text)
	}
	day := dayOf(now, s.zone)
	for {
		if t := resolve(day, minute, s.zone); t.After(now) {
			return t, nil
		}
		day++
	}
}
