package console

import (
	"fmt"
	"strings"
	"time"

	"nightporter.dev/nightporter/environments"
	"nightporter.dev/nightporter/environments/schedule"
)

// calendar draws a week and says it in words. All of it goes by the schedules'
// clock, in the zone of the schedule.
func (v *visit) calendar(w *environments.Week) *Calendar {
	now := v.c.cfg.Now()
	c := &Calendar{Title: "Week of " + w.Days[0].From.In(w.Zone).Format("2 January 2006"), Zone: w.Zone.String()}
	for _, d := range w.Days {
		day := CalendarDay{Name: d.From.In(w.Zone).Format("Mon 2"), Now: -1, Clocks: clocks(d)}
		if !now.Before(d.From) && now.Before(d.To) {
			day.Today, day.Now = true, place(d, now)
		}
		for _, hour := range []int{6, 12, 18} {
			// The hour by the clock, not the part of the day: they differ when clocks change.
			local := d.From.In(w.Zone)
			day.Ticks = append(day.Ticks, place(d, time.Date(local.Year(), local.Month(), local.Day(), hour, 0, 0, 0, w.Zone)))
		}
		for _, s := range d.Spans {
			day.Bars = append(day.Bars, CalendarBar{X: place(d, s.From), W: place(d, s.To) - place(d, s.From), Kind: kindOf(s)})
			if text := spanWords(d, s, w.Zone); text != "" {
				day.Words = append(day.Words, text)
			}
		}
		if len(day.Words) == 0 {
			day.Words = []string{"off all day"}
		}
		if day.Clocks != "" {
			day.Words = append(day.Words, day.Clocks)
		}
		for _, s := range d.Dark {
			day.Dark = append(day.Dark, CalendarBar{X: place(d, s.From), W: place(d, s.To) - place(d, s.From)})
			day.Words = append(day.Words, "seen dark "+hours(d, s.From, s.To, w.Zone))
		}
		for _, drill := range d.Drills {
			mark, text := CalendarMark{X: place(d, drill.At), State: OK}, "rebuilt at "+drill.At.In(w.Zone).Format("15:04")+" in "+took(max(drill.Took(), time.Millisecond))
			if drill.Scratch != "" {
				text = "drilled beside itself at " + drill.At.In(w.Zone).Format("15:04") + " in " + took(max(drill.Took(), time.Millisecond))
			}
			if !drill.Passed {
				mark.State, text = Failed, "rebuild failed at "+drill.At.In(w.Zone).Format("15:04")
				if drill.Scratch != "" {
					text = "a drill beside it failed at " + drill.At.In(w.Zone).Format("15:04")
				}
			}
			day.Marks, day.Words = append(day.Marks, mark), append(day.Words, text)
		}
		c.Days = append(c.Days, day)
	}
	return c
}

// place is where in a day an instant is, in percent.
func place(d environments.Day, t time.Time) float64 {
	return 100 * min(1, max(0, t.Sub(d.From).Seconds()/d.To.Sub(d.From).Seconds()))
}

// clocks says that a day is shorter or longer than others.
func clocks(d environments.Day) string {
	length := d.To.Sub(d.From)
	switch {
	case length < 24*time.Hour:
		return "clocks go forward, " + inHours(length)
	case length > 24*time.Hour:
		return "clocks go back, " + inHours(length)
	}
	return ""
}

func inHours(d time.Duration) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Hours()), ".0") + " h"
}

func kindOf(s environments.Span) string {
	switch {
	case s.Rule == schedule.ByOverride && s.State == schedule.On:
		return "kept"
	case s.Rule == schedule.ByOverride:
		return "kept-off"
	case s.Rule == schedule.ByAlso:
		return "also"
	}
	return string(s.State)
}

// spanWords says what a span is; "" for the usual dark.
func spanWords(d environments.Day, s environments.Span, zone *time.Location) string {
	when := hours(d, s.From, s.To, zone)
	switch {
	case s.Rule == schedule.ByOverride:
		return "kept " + string(s.State) + " " + when + ": " + s.Detail
	case s.Rule == schedule.ByAlso:
		return "on " + when + ", a further window"
	case s.Rule == schedule.ByExcept:
		return "off " + when + ", an exception"
	case s.State == schedule.On:
		return "on " + when
	}
	return ""
}

// hours is a stretch of a day: "07:00 to 21:00", or "all day".
func hours(d environments.Day, from, to time.Time, zone *time.Location) string {
	start, end := from.In(zone).Format("15:04"), to.In(zone).Format("15:04")
	if to.Equal(d.To) {
		end = "24:00"
	}
	if from.Equal(d.From) && to.Equal(d.To) {
		return "all day"
	}
	return start + " to " + end
}
