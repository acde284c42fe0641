package environments

import (
	"context"
	"fmt"
	"os"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments/schedule"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/store"
)

// timetable is an environment's schedule, understood.
type timetable struct {
	schedule *schedule.Schedule
	err      error
}

// schedule is the understood schedule of an environment; it is read once for each
// world. No schedule at all means always.
func (e *Environments) schedule(w *catalog.World, env catalog.Environment) (*schedule.Schedule, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.version != w.Generation() {
		e.plans, e.rest, e.version = map[string]*timetable{}, map[string]time.Time{}, w.Generation()
	}
	t := e.plans[env.Name]
	if t == nil {
		t = &timetable{}
		t.schedule, t.err = parse(w, env)
		e.plans[env.Name] = t
	}
	return t.schedule, t.err
}

// parse reads the schedule with the calendars that it names.
func parse(w *catalog.World, env catalog.Environment) (*schedule.Schedule, error) {
	spec := schedule.Spec{Windows: env.Schedule.Windows, Timezone: env.Schedule.Timezone, Except: env.Schedule.Except, Also: env.Schedule.Also}
	if spec.Windows == "" {
		spec = schedule.Spec{Windows: "always"}
	}
	calendars := map[string]schedule.Calendar{}
	for _, name := range spec.Except {
		k, ok := w.Calendar(name)
		if !ok {
			continue // a date, or a mistake that Parse reports
		}
		c, err := readCalendar(k)
		if err != nil {
			return nil, err
		}
		calendars[name] = c
	}
	return schedule.Parse(spec, calendars)
}

func readCalendar(k catalog.Calendar) (schedule.Calendar, error) {
	if k.File == "" {
		return schedule.ParseDates(k.Dates)
	}
	text, err := os.ReadFile(k.File)
	if err != nil {
		return schedule.Calendar{}, nightporter.Wrap(err, nightporter.Invalid, "the calendar %s cannot be read", k.Name)
	}
	return schedule.ParseICS(text)
}

// Check reads every schedule of a world, for whoever validates a configuration.
// The problems have the paths of the configuration file.
func Check(w *catalog.World) []catalog.Problem {
	var found []catalog.Problem
	for _, env := range w.Environments() {
		s, err := parse(w, env)
		at := catalog.Key("environments", env.Name)
		if err != nil {
			found = append(found, catalog.Problem{Path: at + ".schedule", Message: nightporter.MessageOf(err), Hint: nightporter.HintOf(err), Severity: catalog.Fatal})
			continue
		}
		now := time.Now()
		for _, empty := range s.EmptyWindows(now, now.AddDate(1, 0, 0)) {
			found = append(found, catalog.Problem{
				Path: at + ".schedule", Severity: catalog.Warning,
				Message: fmt.Sprintf("the window %s does not open on %s, because clocks change", empty.Window, empty.Day),
			})
		}
	}
	return found
}

// protected keeps an environment on, whatever anybody asks: production.
func protected(env catalog.Environment) bool { return env.Kind == nightporter.Production }

// want is what an environment should be now, and when that may change next.
type want struct {
	schedule.Decision
	// Early is set while a rebuild may run before its window: the edge.
	Early time.Time
	// Next is when to decide again at the latest.
	Next time.Time
}

// on says that the environment should be there, or be made ready.
func (w want) on() bool { return w.State == schedule.On || !w.Early.IsZero() }

// desire decides. It is pure: the same arguments give the same answer.
func desire(s *schedule.Schedule, env catalog.Environment, o schedule.Overrides, r row, rebuilds []time.Duration, now time.Time) want {
	o.Protected = o.Protected || protected(env)
	w := want{Decision: s.Decide(now, o), Next: now.Add(24 * time.Hour)}
	edges := s.Next(now, 1, o)
	if len(edges) == 0 {
		return w
	}
	w.Next = sooner(w.Next, edges[0].At)
	if w.State == schedule.On {
		if nudge := edges[0].At.Add(-env.Schedule.Nudge); nudge.After(now) {
			w.Next = sooner(w.Next, nudge)
		}
		return w
	}
	if !env.Schedule.ReadyBy || w.Rule == schedule.ByOverride {
		return w
	}
	starts := schedule.StartsAt(edges[0].At, rebuilds)
	switch {
	// What was once started early stays wanted, also when the rebuild was
	// quicker than those before it.
	case now.Before(r.EarlyUntil):
		w.Early = r.EarlyUntil
	case !now.Before(starts) && starts.Before(edges[0].At):
		w.Early = edges[0].At
	default:
		w.Next = sooner(w.Next, starts)
	}
	return w
}

func sooner(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// desireNow decides for one environment inside a transaction.
func (e *Environments) desireNow(ctx context.Context, tx *store.Tx, env catalog.Environment, r row) (want, error) {
	s, err := e.schedule(e.cfg.Catalog.Current(), env)
	if err != nil {
		return want{}, err
	}
	now := e.cfg.Clock.Now()
	all, err := overrides(ctx, tx, env.Name, now)
	if err != nil {
		return want{}, err
	}
	took, err := rebuilds(ctx, tx, env.Name, recentDrills)
	if err != nil {
		return want{}, err
	}
	return desire(s, env, wishes(all), r, took, now), nil
}

// Dark says whether an environment is down or on its way there, and until when: a
// deployment waits for it. Until is zero when nobody knows. An environment that
// this package does not manage is never dark.
func (e *Environments) Dark(ctx context.Context, name string) (dark bool, until time.Time, err error) {
	env, err := e.find(name)
	if err != nil || protected(env.Environment) {
		if code := nightporter.CodeOf(err); code == nightporter.NotFound || code == nightporter.Invalid {
			err = nil
		}
		return false, time.Time{}, err
	}
	s, err := e.schedule(e.cfg.Catalog.Current(), env.Environment)
	if err != nil {
		return false, time.Time{}, err
	}
	now := e.cfg.Clock.Now()
	err = e.look(ctx, func(tx *store.Tx) error {
		r, err := read(ctx, tx, name)
		if err != nil {
			return err
		}
		switch r.State {
		case Closing, Down, Building:
			dark = true
		case Partial:
			dark = r.Run != ""
		}
		if !dark {
			return nil
		}
		all, err := overrides(ctx, tx, name, now)
		if err != nil {
			return err
		}
		for _, edge := range s.Next(now, 1, wishes(all)) {
			if edge.State == schedule.On {
				until = edge.At
			}
		}
		return nil
	})
	return dark, until, err
}
