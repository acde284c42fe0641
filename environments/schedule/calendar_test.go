package schedule

import (
	"os"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
)

func TestParseICS(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile("testdata/holidays.ics")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"as it is": string(src), "with the line breaks of the standard": strings.ReplaceAll(string(src), "\n", "\r\n")} {
		c, err := ParseICS([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for date, want := range map[string]bool{
			"2026-12-24": false, "2026-12-25": true, "2026-12-26": false, "2026-12-28": true,
			"2026-04-03": true, "2026-04-04": true, "2026-04-05": true, "2026-04-06": true, "2026-04-07": false,
			"2026-05-01": true, "2031-05-01": true, // each year
			"2026-07-01": false, // an appointment with a time of day
			"2026-07-02": false, // cancelled
		} {
			day, err := parseDay(date)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Has(day); got != want {
				t.Errorf("%s: %s: got %v, want %v", name, date, got, want)
			}
		}
	}

	t.Run("a schedule names it", func(t *testing.T) {
		t.Parallel()
		c, err := ParseICS(src)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Parse(Spec{Windows: "Mon-Fri 07:00-21:00", Timezone: "Europe/London", Except: []string{"england-and-wales"}},
			map[string]Calendar{"england-and-wales": c})
		if err != nil {
			t.Fatal(err)
		}
		got := s.Next(time.Date(2026, 12, 24, 22, 0, 0, 0, time.UTC), 1, Overrides{})
		if want := time.Date(2026, 12, 29, 7, 0, 0, 0, time.UTC); len(got) != 1 || !got[0].At.Equal(want) {
			t.Errorf("got %v, want the first edge at %v", got, want)
		}
	})

	t.Run("what is not understood is refused", func(t *testing.T) {
		t.Parallel()
		event := func(lines string) string {
			return "BEGIN:VCALENDAR\nBEGIN:VEVENT\n" + lines + "\nEND:VEVENT\nEND:VCALENDAR\n"
		}
		for _, text := range []string{
			"", "<html>", "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20261225",
			event("DTSTART;VALUE=DATE:20261225\nRRULE:FREQ=YEARLY;BYDAY=1MO;BYMONTH=5"),
			event("DTSTART;VALUE=DATE:20261225\nRDATE;VALUE=DATE:20271225"),
			event("DTSTART;VALUE=DATE:20261325"),
			event("DTSTART;VALUE=DATE:20260101\nDTEND;VALUE=DATE:20300101"),
			strings.Repeat("x", maxICS+1),
		} {
			if c, err := ParseICS([]byte(text)); nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("%.60q: got %d days, %v; want a refusal", text, c.Len(), err)
			}
		}
	})
}

func TestParseDates(t *testing.T) {
	t.Parallel()
	c, err := ParseDates([]string{"2026-12-24", "2027-01-04"})
	if err != nil || c.Len() != 2 || !c.Has(DayNumber(2027, time.January, 4)) {
		t.Errorf("got %v, %v", c, err)
	}
	if _, err := ParseDates([]string{"24.12.2026"}); nightporter.CodeOf(err) != nightporter.Invalid {
		t.Errorf("got %v, want a refusal", err)
	}
}

func FuzzParseICS(f *testing.F) {
	src, err := os.ReadFile("testdata/holidays.ics")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(src)
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := ParseICS(src)
		if err != nil && nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("a refusal without its code: %v", err)
		}
		c.Has(DayNumber(2026, time.December, 25))
	})
}
