package statement_test

import (
	"fmt"
	"testing"
	"time"

	"example.org/affordability/statement"
)

func day(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

func TestComplete(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first, last time.Time
		want        string
		months      int
	}{
		"the running month does not count":            {day(2025, 3, 20), day(2026, 6, 15), "2025-06 2026-05", 12},
		"a month that ends today counts":              {day(2025, 3, 20), day(2026, 5, 31), "2025-06 2026-05", 12},
		"a month that begins before the view doesn't": {day(2026, 1, 2), day(2026, 6, 15), "2026-02 2026-05", 4},
		"a month that begins with the view counts":    {day(2026, 1, 1), day(2026, 6, 15), "2026-01 2026-05", 5},
		"forty days are at most one month":            {day(2026, 5, 6), day(2026, 6, 15), "2026-06 2026-05", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := statement.Statement{First: c.first, Last: c.last}
			w := s.Complete(12)
			if got := w.From.String() + " " + w.To.String(); got != c.want || w.Len() != c.months {
				t.Errorf("%s, %d months; want %s, %d", got, w.Len(), c.want, c.months)
			}
		})
	}
}

func TestSpanIsWhatEveryAccountShows(t *testing.T) {
	t.Parallel()
	var s statement.Statement
	s.Span(day(2025, 1, 1), day(2026, 6, 15))
	s.Span(day(2025, 4, 9), day(2026, 6, 10))
	s.Span(time.Time{}, time.Time{})
	if !s.First.Equal(day(2025, 4, 9)) || !s.Last.Equal(day(2026, 6, 10)) {
		t.Errorf("%s to %s", s.First, s.Last)
	}
}

func ExampleMonth() {
	m := statement.MonthOf(day(2026, 1, 31))
	fmt.Println(m, (m - 1).Name(), m.Start().Format(time.DateOnly))
	// Output: 2026-01 Dec 2025 2026-01-01
}
