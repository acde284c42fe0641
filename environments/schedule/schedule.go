// Package schedule says when an environment is on.
//
// There is one notation, made for people:
//
//	schedule: "Mon-Fri 07:00-21:00"          or always, or never; windows separated by commas
//	timezone: Europe/London                  a name of the IANA database
//	except:   [england-and-wales, 2026-12-24] days on which no window starts
//	also:     ["2026-12-19 09:00-17:00"]     further windows on single days
//
// Windows are half-open. One whose end is before its start ends on the next day
// and belongs to the day it starts on: what except and the weekday say of that day
// decides about all of it.
//
// The state is a pure function of the instant ([Schedule.Decide]), not a series of
// edges that somebody must not miss. [Schedule.Next] lists the edges for those who
// want to see them.
//
// Clocks that change are treated as RFC 5545 §3.3.5 asks: a time that occurs twice
// means the first one, a time that is skipped is read with the offset from before
// the gap. [time.Date] promises neither, and answers differently east and west of
// Greenwich, so this package does not use it for zones.
//
// It knows nothing of the rest of the product: standard library and root package
// only.
package schedule

import (
	"fmt"
	"strings"
	"time"

	"nightporter.dev/nightporter"
)

// Spec is a schedule as somebody wrote it.
type Spec struct {
	Windows  string   // "Mon-Fri 07:00-21:00, Sat 09:00-13:00", "always", "never"
	Timezone string   // "Europe/London"; may be empty for always and never without except and also
	Except   []string // dates and names of calendars
	Also     []string // "2026-12-19 09:00-17:00"
}

// Schedule is a schedule that was understood. It never changes and any number of
// goroutines may use it.
type Schedule struct {
	spec    Spec
	zone    *time.Location
	windows []window
	also    []dayWindow
	except  Calendar
	lastDay int // the last day that except or also name; 0 when there is none
}

// window opens on some weekdays.
type window struct {
	days       [7]bool // by time.Weekday
	start, end int     // minutes after midnight; end is above 1440 when it is on the next day
	text       string
}

// dayWindow opens on one day.
type dayWindow struct {
	day        int // days since 1970-01-01
	start, end int
	text       string
}

// Problem is one thing that is wrong with a Spec.
type Problem struct {
	Field   string // "windows", "timezone", "except[1]", "also[0]"
	Message string
	Hint    string
}

// Problems is the error of a Spec, with everything that is wrong.
type Problems []Problem

// Error is the problems with their hints, one a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.Field + ": " + one.Message
		if one.Hint != "" {
			lines[i] += " (" + one.Hint + ")"
		}
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the error its code, [nightporter.Invalid], and its hint.
func (p Problems) Unwrap() error {
	if len(p) == 1 {
		return nightporter.E(nightporter.Invalid, "%s: %s", p[0].Field, p[0].Message).WithHint("%s", p[0].Hint)
	}
	return nightporter.E(nightporter.Invalid, "%s", p.Error())
}

// Parse reads a schedule. Calendars are those that Except may name; nil is fine
// when it names none. The error is a [Problems].
func Parse(spec Spec, calendars map[string]Calendar) (*Schedule, error) {
	s := &Schedule{spec: spec, zone: time.UTC}
	var found Problems
	note := func(field string, err error) {
		found = append(found, Problem{field, nightporter.MessageOf(err), nightporter.HintOf(err)})
	}
	var err error
	if s.windows, err = parseWindows(spec.Windows); err != nil {
		note("windows", err)
	}
	if spec.Timezone != "" || !s.timeless() {
		if s.zone, err = LoadZone(spec.Timezone); err != nil {
			note("timezone", err)
		}
	}
	for i, text := range spec.Except {
		if err := s.addException(text, calendars); err != nil {
			note(fmt.Sprintf("except[%d]", i), err)
		}
	}
	for i, text := range spec.Also {
		w, err := parseDayWindow(text)
		if err != nil {
			note(fmt.Sprintf("also[%d]", i), err)
		}
		s.also = append(s.also, w)
		s.lastDay = max(s.lastDay, w.day)
	}
	if len(found) > 0 {
		return nil, found
	}
	return s, nil
}

// timeless tells whether the zone does not matter.
func (s *Schedule) timeless() bool {
	word := strings.TrimSpace(s.spec.Windows)
	return (word == "always" || word == "never") && len(s.spec.Except)+len(s.spec.Also) == 0
}

func (s *Schedule) addException(text string, calendars map[string]Calendar) error {
	if looksLikeDate(text) {
		day, err := parseDay(text)
		if err != nil {
			return err
		}
		s.except = s.except.with(day)
		s.lastDay = max(s.lastDay, day)
		return nil
	}
	c, ok := calendars[text]
	if !ok {
		return nightporter.E(nightporter.Invalid, "there is no calendar %q", text).
			WithHint("declare it, or write a date: 2026-12-24")
	}
	s.except = s.except.and(c)
	s.lastDay = max(s.lastDay, c.last())
	return nil
}

// Spec is what the schedule was made of.
func (s *Schedule) Spec() Spec { return s.spec }

// Zone is where the times of the schedule are read.
func (s *Schedule) Zone() *time.Location { return s.zone }

// String is the notation with its zone: "Mon-Fri 07:00-21:00 Europe/London".
func (s *Schedule) String() string { return strings.TrimSpace(s.spec.Windows + " " + s.spec.Timezone) }
