package schedule

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Every zone, every change of its clocks from 2026 to 2030: a weekday schedule
// opens once and closes once on each scheduled day, at 07:00 and 21:00 of the
// zone's own clocks. The judge is Go's conversion from instants to local time,
// which has one answer; this package only computes the other direction.
func TestEveryZone(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	to := time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	zones, changes := 0, 0
	seen := map[string]string{} // zones that are links of each other are checked once
	for name := range strings.Lines(zoneNames) {
		name = strings.TrimSuffix(name, "\n")
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		times := clockChanges(zone, from, to)
		zones++
		changes += len(times)
		fingerprint := fmt.Sprint(offset(from.Unix(), zone), times)
		if _, done := seen[fingerprint]; done {
			continue
		}
		seen[fingerprint] = name
		windows, err := parseWindows("Mon-Fri 07:00-21:00")
		if err != nil {
			t.Fatal(err)
		}
		s := &Schedule{zone: zone, windows: windows}
		checkEdges(t, name, s, from, to)
		for _, change := range times {
			checkLevel(t, name, s, change)
		}
	}
	if zones < 550 || len(seen) < 50 || changes < 1000 {
		t.Errorf("checked %d zones (%d different) with %d changes; the list is gone", zones, len(seen), changes)
	}
	t.Logf("%d zones, %d different, %d changes of clocks", zones, len(seen), changes)
}

func clockChanges(zone *time.Location, from, to time.Time) []int64 {
	var times []int64
	for at := from.In(zone); ; {
		_, end := at.ZoneBounds()
		if end.IsZero() || end.After(to) {
			return times
		}
		times = append(times, end.Unix())
		at = end
	}
}

// checkEdges goes through all days of the years.
func checkEdges(t *testing.T, name string, s *Schedule, from, to time.Time) {
	t.Helper()
	starts, stops := map[string]int{}, map[string]int{}
	for _, e := range s.edges(from, to, Overrides{}) {
		local := e.At.In(s.zone)
		count, want := starts, "07:00"
		if e.State == Off {
			count, want = stops, "21:00"
		}
		if got := local.Format("15:04"); got != want || local.Weekday() == time.Saturday || local.Weekday() == time.Sunday {
			t.Errorf("%s: turned %s at %s", name, e.State, local.Format("Mon 2006-01-02 15:04 -07:00"))
		}
		count[local.Format(time.DateOnly)]++
	}
	for day := from.AddDate(0, 0, 2); day.Before(to.AddDate(0, 0, -2)); day = day.AddDate(0, 0, 1) {
		want := 1
		if day.Weekday() == time.Saturday || day.Weekday() == time.Sunday {
			want = 0
		}
		date := day.Format(time.DateOnly)
		if starts[date] != want || stops[date] != want {
			t.Errorf("%s %s: %d starts and %d stops, want %d of each", name, date, starts[date], stops[date], want)
		}
	}
}

// checkLevel asks every five minutes around a change of clocks.
func checkLevel(t *testing.T, name string, s *Schedule, change int64) {
	t.Helper()
	for at := change - 36*3600; at < change+36*3600; at += 300 {
		now := time.Unix(at, 0)
		local := now.In(s.zone)
		want := Off
		if d := local.Weekday(); d != time.Saturday && d != time.Sunday && local.Hour() >= 7 && local.Hour() < 21 {
			want = On
		}
		if got := s.Desired(now, Overrides{}); got != want {
			t.Errorf("%s at %s: got %s, want %s", name, local.Format("Mon 2006-01-02 15:04 -07:00"), got, want)
			return
		}
	}
}

// Every minute of every day with a change of clocks is resolved to an instant that
// shows it; of two such instants the first; and of none, the one that is as long
// after the gap as the time is after the start of the gap.
func TestResolveAroundEveryChange(t *testing.T) {
	t.Parallel()
	from, to := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	seen := map[string]bool{}
	for name := range strings.Lines(zoneNames) {
		zone, err := time.LoadLocation(strings.TrimSuffix(name, "\n"))
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range clockChanges(zone, from, to) {
			before, after := offset(change-1, zone), offset(change, zone)
			key := fmt.Sprint(change, before, after)
			if seen[key] {
				continue
			}
			seen[key] = true
			// The wall clock second by second would take long; changes are at
			// whole minutes everywhere in these years.
			for wall := change + min(before, after) - 7200; wall < change+max(before, after)+7200; wall += 60 {
				want := wall - before
				inFirst, inSecond := wall-before < change, wall-after >= change
				if !inFirst && inSecond {
					want = wall - after
				}
				got := resolve(int(wall/86400), int(wall%86400/60), zone)
				if got.Unix() != want {
					t.Errorf("%s at wall %s: got %s, want %s", strings.TrimSpace(name), time.Unix(wall, 0).UTC(), got, time.Unix(want, 0).UTC())
				}
			}
		}
	}
	if len(seen) < 100 {
		t.Errorf("saw %d changes only", len(seen))
	}
}
