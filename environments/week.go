package environments

import (
	"context"
	"fmt"
	"slices"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments/schedule"
	"nightporter.dev/nightporter/internal/store"
)

// Week is what an environment should be on seven days, and what was seen of it.
// All times are the schedules' clock's.
type Week struct {
	Zone *time.Location
	Days [7]Day
}

// Day is one of them, from midnight to midnight: 23 to 25 hours.
type Day struct {
	From, To time.Time
	// Spans cover the day without a gap. Those in the past are what it should
	// have been.
	Spans []Span
	// Dark are the stretches in which nothing of it was seen.
	Dark []Stretch
	// Drills are the rebuilds that ended on the day, oldest first.
	Drills []Drill
}

// Span is a part of a day with one reason.
type Span struct {
	From, To time.Time
	schedule.Decision
}

// Stretch is a part of a day.
type Stretch struct{ From, To time.Time }

// Week reads the week that an instant is in.
func (e *Environments) Week(ctx context.Context, tx *store.Tx, name string, at time.Time) (*Week, error) {
	world := e.cfg.Catalog.Current()
	env, ok := world.Environment(name)
	if !ok {
		return nil, nightporter.E(nightporter.NotFound, "no environment is called %q", name)
	}
	plan, err := e.schedule(world, env)
	if err != nil {
		return nil, err
	}
	midnights := plan.Week(at)
	from, to := midnights[0], midnights[7]
	all, err := overrides(ctx, tx, name, from)
	if err != nil {
		return nil, err
	}
	o := wishes(of(all, name))
	o.Protected = protected(env)
	w := &Week{Zone: plan.Zone()}
	cuts := cuts(plan, o, from, to)
	for i := range w.Days {
		w.Days[i] = Day{From: midnights[i], To: midnights[i+1], Spans: spans(plan, o, cuts, midnights[i], midnights[i+1])}
	}
	now := e.cfg.Clock.Now()
	err = tx.Each(ctx, `SELECT dusk, dawn FROM environment_dark WHERE environment = ? AND dusk < ? AND (dawn = 0 OR dawn > ?) ORDER BY dusk`,
		[]any{name, store.Micros(to), store.Micros(from)}, func(scan func(...any) error) error {
			var dusk, dawn int64
			if err := scan(&dusk, &dawn); err != nil {
				return err
			}
			s := Stretch{store.Time(dusk), store.Time(dawn)}
			if dawn == 0 {
				s.To = now
			}
			for i := range w.Days {
				d := &w.Days[i]
				if part := (Stretch{later(s.From, d.From), sooner(s.To, d.To)}); part.From.Before(part.To) {
					d.Dark = append(d.Dark, part)
				}
			}
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("read the nights of %s: %w", name, err)
	}
	drills, err := drillsWhere(ctx, tx, `environment = ? AND clock_at >= ? AND clock_at < ? ORDER BY clock_at`, name, store.Micros(from), store.Micros(to))
	for _, d := range drills {
		for i := range w.Days {
			if !d.At.Before(w.Days[i].From) && d.At.Before(w.Days[i].To) {
				w.Days[i].Drills = append(w.Days[i].Drills, d)
			}
		}
	}
	return w, err
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// cuts are the instants between two at which the state or its reason may change.
func cuts(plan *schedule.Schedule, o schedule.Overrides, from, to time.Time) []time.Time {
	var list []time.Time
	for at := from.Add(-time.Microsecond); ; {
		edges := plan.Next(at, 64, o)
		for _, edge := range edges {
			if edge.At.Before(to) {
				list = append(list, edge.At)
			}
		}
		if len(edges) < 64 || !edges[63].At.Before(to) {
			break
		}
		at = edges[63].At
	}
	for _, w := range o.Wishes {
		list = append(list, w.From, w.Until)
	}
	slices.SortFunc(list, time.Time.Compare)
	return list
}

// spans cuts one day into its spans.
func spans(plan *schedule.Schedule, o schedule.Overrides, cuts []time.Time, from, to time.Time) []Span {
	var list []Span
	at := from
	for _, cut := range append(slices.Clone(cuts), to) {
		if !cut.After(at) || cut.After(to) {
			continue
		}
		s := Span{From: at, To: cut, Decision: plan.Decide(at, o)}
		at = cut
		if n := len(list); n > 0 && list[n-1].Decision == s.Decision {
			list[n-1].To = cut
			continue
		}
		list = append(list, s)
	}
	return list
}
