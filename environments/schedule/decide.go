package schedule

import (
	"cmp"
	"slices"
	"time"
)

// State is what an environment should be.
type State string

// The states.
const (
	On  State = "on"
	Off State = "off"
)

// Rule says what decided. They are listed from the strongest.
type Rule string

// The rules, in the order in which they win.
const (
	ByProtection Rule = "protection" // nobody turns it off
	ByOverride   Rule = "override"   // somebody asked for it, the latest wins
	ByAlso       Rule = "also"       // a further window
	ByExcept     Rule = "except"     // a day without windows
	ByWindows    Rule = "windows"    // the week
)

// Decision is a state with its reason.
type Decision struct {
	State State
	Rule  Rule
	// Detail is what the rule found: the window, the day, the reason of the
	// override. Empty when no window is open.
	Detail string
}

// Override is a person's wish that goes before the schedule for a while.
type Override struct {
	State  State
	From   time.Time // included
	Until  time.Time // excluded; an override always ends
	SetAt  time.Time // the latest that covers an instant wins
	Reason string
}

// Overrides is what goes before the schedule. The zero value is nothing.
type Overrides struct {
	// Protected keeps the environment on, whatever anybody asks.
	Protected bool
	// Wishes need no order; at equal SetAt the later in the list wins.
	Wishes []Override
}

// Desired is the state at an instant.
func (s *Schedule) Desired(t time.Time, o Overrides) State { return s.Decide(t, o).State }

// Decide is the state at an instant, and why.
func (s *Schedule) Decide(t time.Time, o Overrides) Decision {
	if o.Protected {
		return Decision{On, ByProtection, ""}
	}
	if w, ok := o.at(t); ok {
		return Decision{w.State, ByOverride, w.Reason}
	}
	today := dayOf(t, s.zone)
	for _, w := range s.also {
		if near(today, w.day) && s.covers(w.day, w.start, w.end, t) {
			return Decision{On, ByAlso, w.text}
		}
	}
	excepted := Decision{Off, ByWindows, ""}
	// A window of tomorrow can be open today: where clocks go back over
	// midnight, the evening comes twice.
	for day := today - 2; day <= today+1; day++ {
		for i := range s.windows {
			w := &s.windows[i]
			if !w.days[weekday(day)] || !s.covers(day, w.start, w.end, t) {
				continue
			}
			if s.except.Has(day) {
				excepted = Decision{Off, ByExcept, formatDay(day)}
				continue
			}
			return Decision{On, ByWindows, w.text}
		}
	}
	return excepted
}

// near tells whether a window that starts on day can be open on today.
func near(today, day int) bool { return day >= today-2 && day <= today+1 }

func (s *Schedule) covers(day, start, end int, t time.Time) bool {
	return !t.Before(resolve(day, start, s.zone)) && t.Before(resolve(day, end, s.zone))
}

// at is the wish that wins at an instant.
func (o Overrides) at(t time.Time) (win Override, ok bool) {
	for _, w := range o.Wishes {
		if !t.Before(w.From) && t.Before(w.Until) && (!ok || !w.SetAt.Before(win.SetAt)) {
			win, ok = w, true
		}
	}
	return win, ok
}

// Edge is an instant at which the state changes. The state holds from At on.
type Edge struct {
	At    time.Time `json:"at"` // UTC
	State State     `json:"state"`
}

// maxEdges bounds one answer of Next.
const maxEdges = 10_000

// Next lists the n next edges after an instant, at most 10,000. There are fewer
// when nothing changes any more within a hundred years. A change that happens at
// the instant itself is not listed: it has happened.
func (s *Schedule) Next(after time.Time, n int, o Overrides) []Edge {
	n = min(n, maxEdges)
	if n <= 0 || o.Protected {
		return []Edge{}
	}
	// Windows repeat each week, so a stretch without any edge after everything
	// that is dated means that there will be none.
	horizon := time.Unix(int64(s.lastDay)*86400, 0)
	for _, w := range o.Wishes {
		horizon = later(horizon, w.Until)
	}
	horizon = later(horizon, after).Add(21 * 24 * time.Hour)
	for span := time.Duration(16) * 24 * time.Hour; ; span *= 4 {
		limit := after.Add(span)
		edges := s.edges(after, limit, o)
		if len(edges) >= n {
			return edges[:n]
		}
		if limit.After(horizon) && (len(edges) == 0 || edges[len(edges)-1].At.Before(limit.Add(-21*24*time.Hour))) || span > maxSpan {
			return edges
		}
	}
}

// maxSpan ends a search that dates in the far future would make long. 10,000
// edges of a weekly schedule are 96 years.
const maxSpan = 100 * 365 * 24 * time.Hour

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// edges are the changes in (after, limit].
func (s *Schedule) edges(after, limit time.Time, o Overrides) []Edge {
	edges := []Edge{}
	state := s.Desired(after, o)
	for _, at := range s.boundaries(after, limit, o) {
		if next := s.Desired(at, o); next != state {
			edges = append(edges, Edge{at.UTC(), next})
			state = next
		}
	}
	return edges
}

// boundaries are all instants in (after, limit] at which anything starts or ends,
// in order and each once.
func (s *Schedule) boundaries(after, limit time.Time, o Overrides) []time.Time {
	var all []time.Time
	add := func(t time.Time) {
		if t.After(after) && !t.After(limit) {
			all = append(all, t)
		}
	}
	for day := dayOf(after, s.zone) - 2; day <= dayOf(limit, s.zone)+1; day++ {
		for i := range s.windows {
			if w := &s.windows[i]; w.days[weekday(day)] {
				add(resolve(day, w.start, s.zone))
				add(resolve(day, w.end, s.zone))
			}
		}
	}
	for _, w := range s.also {
		add(resolve(w.day, w.start, s.zone))
		add(resolve(w.day, w.end, s.zone))
	}
	for _, w := range o.Wishes {
		add(w.From)
		add(w.Until)
	}
	slices.SortFunc(all, func(a, b time.Time) int { return cmp.Compare(a.UnixNano(), b.UnixNano()) })
	return slices.CompactFunc(all, time.Time.Equal)
}

// OnFor is how long the environment is on between two instants. A day on which
// clocks change has 23, 24.5 or 25 hours of it.
func (s *Schedule) OnFor(from, to time.Time, o Overrides) time.Duration {
	var total time.Duration
	state, since := s.Desired(from, o), from
	for _, e := range s.edges(from, to, o) {
		if state == On {
			total += e.At.Sub(since)
		}
		state, since = e.State, e.At
	}
	if state == On && to.After(since) {
		total += to.Sub(since)
	}
	return total
}

// Empty is a window that does not open on a day, because clocks change.
type Empty struct {
	Day    string // "2026-03-29"
	Window string
}

// EmptyWindows lists the windows between two instants whose end is not after
// their start once clocks are taken into account. They are not mistakes, but
// worth a warning.
func (s *Schedule) EmptyWindows(from, to time.Time) []Empty {
	var found []Empty
	for day := dayOf(from, s.zone); day <= dayOf(to, s.zone); day++ {
		for _, w := range s.windows {
			if w.days[weekday(day)] && !s.except.Has(day) && s.isEmpty(day, w.start, w.end) {
				found = append(found, Empty{formatDay(day), w.text})
			}
		}
		for _, w := range s.also {
			if w.day == day && s.isEmpty(day, w.start, w.end) {
				found = append(found, Empty{formatDay(day), w.text})
			}
		}
	}
	return found
}

func (s *Schedule) isEmpty(day, start, end int) bool {
	return !resolve(day, end, s.zone).After(resolve(day, start, s.zone))
}
