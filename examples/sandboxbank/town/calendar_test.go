package town

import (
	"testing"
	"time"
)

// The judge is the list at gov.uk/bank-holidays for England and Wales.
func TestClosed(t *testing.T) {
	t.Parallel()
	holidays := map[string]bool{
		"2025-01-01": true, "2025-04-18": true, "2025-04-21": true, "2025-05-05": true, "2025-05-26": true, "2025-08-25": true, "2025-12-25": true, "2025-12-26": true,
		"2026-01-01": true, "2026-04-03": true, "2026-04-06": true, "2026-05-04": true, "2026-05-25": true, "2026-08-31": true, "2026-12-25": true, "2026-12-28": true,
	}
	for d := date(2025, time.January, 1); d.Year() < 2027; d = d.AddDate(0, 0, 1) {
		weekend := d.Weekday() == time.Saturday || d.Weekday() == time.Sunday
		if got, want := closed(d), weekend || holidays[d.Format(time.DateOnly)]; got != want {
			t.Errorf("closed(%s %s) = %v, want %v", d.Format(time.DateOnly), d.Weekday(), got, want)
		}
	}
}

// 2026/27 rates; the vector is the one of the affordability service's specification.
func TestTakeHome(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		gross, want Pence
	}{
		{"under the allowance nothing is taken", 1_200_000, 100_000},
		{"basic rate", 3_500_000, 2_871_960 / 12},
		{"higher rate", 6_000_000, (6_000_000 - 754_000 - 389_200 - 301_600 - 19_460) / 12},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := takeHome(c.gross, 0, false); got != c.want {
				t.Errorf("takeHome(%d) = %d, want %d", c.gross, got, c.want)
			}
		})
	}
}
