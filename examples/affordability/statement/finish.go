package statement

import "time"

// Span narrows what the statement covers to what an account can show: absence means something only where every
// account is visible. Zero times say nothing.
func (s *Statement) Span(first, last time.Time) {
	if !first.IsZero() {
		if d := dayOf(first); s.First.IsZero() || d.After(s.First) {
			s.First = d
		}
	}
	if !last.IsZero() {
		if d := dayOf(last); s.Last.IsZero() || d.Before(s.Last) {
			s.Last = d
		}
	}
}

// Finish sorts the lines, falls back on them for the span, and notes whether the bank showed names and texts.
func (s *Statement) Finish() {
	s.Sort()
	words := 0
	for _, l := range s.Lines {
		if l.Text != "" || l.Party != "" || l.Merchant != "" {
			words++
		}
	}
	// A few rows without words are ordinary; most without means that the consent hides them.
	s.Detail = words*2 >= len(s.Lines) && len(s.Lines) > 0
	if n := len(s.Lines); n > 0 {
		if s.First.IsZero() {
			s.First = s.Lines[0].Day
		}
		if s.Last.IsZero() {
			s.Last = s.Lines[n-1].Day
		}
	}
}

func dayOf(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}
