package schedule

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"nightporter.dev/nightporter"
)

const example = `write "Mon-Fri 07:00-21:00", always or never`

func wrong(hint, format string, args ...any) error {
	return nightporter.E(nightporter.Invalid, format, args...).WithHint("%s", hint)
}

// maxWindows bounds a schedule. A week of half hours has 336.
const maxWindows = 400

// parseWindows reads the windows of a week.
func parseWindows(text string) ([]window, error) {
	switch strings.TrimSpace(text) {
	case "":
		return nil, wrong(example, "the schedule is empty")
	case "never":
		return nil, nil
	case "always":
		return []window{{days: [7]bool{true, true, true, true, true, true, true}, end: 24 * 60, text: "always"}}, nil
	}
	if strings.Count(text, ",") >= maxWindows {
		return nil, wrong("", "the schedule has more than %d windows", maxWindows)
	}
	var windows []window
	for part := range strings.SplitSeq(text, ",") {
		w, err := parseWindow(strings.Join(strings.Fields(part), " "))
		if err != nil {
			return nil, err
		}
		windows = append(windows, w)
	}
	return windows, nil
}

func parseWindow(text string) (window, error) {
	w := window{text: text}
	days, times, ok := strings.Cut(text, " ")
	switch {
	case text == "":
		return w, wrong("remove the comma", "a window is empty")
	case text == "always" || text == "never":
		return w, wrong("use it alone", "%q cannot stand beside windows", text)
	case !ok && strings.Contains(text, ":"):
		return w, wrong(fmt.Sprintf("write %q for every day", "Mon-Sun "+text), "%q does not say on which days", text)
	case !ok:
		return w, wrong(fmt.Sprintf("write %q for whole days", text+" 00:00-24:00"), "%q does not say at which times", text)
	}
	var err error
	if w.days, err = parseDays(days); err != nil {
		return w, err
	}
	w.start, w.end, err = parseTimes(times, days+" ")
	return w, err
}

var weekdays = [7]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}

// parseDays reads "Mon-Fri", "Sat", "Mon+Wed", "Fri-Mon+Wed". Ranges wrap around
// the week.
func parseDays(text string) (days [7]bool, err error) {
	for part := range strings.SplitSeq(text, "+") {
		from, to, isRange := strings.Cut(part, "-")
		first, err := parseWeekday(from)
		if err != nil {
			return days, err
		}
		last := first
		if isRange {
			if last, err = parseWeekday(to); err != nil {
				return days, err
			}
		}
		for d := first; ; d = (d + 1) % 7 {
			days[d] = true
			if d == last {
				break
			}
		}
	}
	return days, nil
}

func parseWeekday(text string) (int, error) {
	for i, name := range weekdays {
		if strings.EqualFold(text, name) {
			return i, nil
		}
	}
	hint := "write Mon, Tue, Wed, Thu, Fri, Sat or Sun"
	for i := range weekdays {
		full := time.Weekday(i).String()
		if len(text) >= 2 && strings.HasPrefix(strings.ToLower(full), strings.ToLower(text[:min(len(text), 3)])) {
			hint = "write " + weekdays[i]
		}
	}
	return 0, wrong(hint, "%q is not a day of the week", text)
}

// parseTimes reads "07:00-21:00" as minutes. An end before the start is on the
// next day. Before is what stood in front, for the hint.
func parseTimes(text, before string) (start, end int, err error) {
	from, to, ok := strings.Cut(text, "-")
	if !ok {
		return 0, 0, wrong("write 07:00-21:00", "%q is not a span of time", text)
	}
	if start, err = parseTime(from); err != nil {
		return 0, 0, err
	}
	if end, err = parseTime(to); err != nil {
		return 0, 0, err
	}
	switch {
	case start == 24*60:
		return 0, 0, wrong("write 00:00 of the next day", "a window cannot start at 24:00")
	case start == end:
		// Some tools read this as nothing and some as a whole day; nobody can
		// know which was meant.
		return 0, 0, wrong(fmt.Sprintf("write %q for whole days, or leave the window out", before+"00:00-24:00"),
			"the window %s%s is empty", before, text)
	case end < start:
		end += 24 * 60
	}
	return start, end, nil
}

// parseTime reads "07:30" as minutes. It is strict: two digits each.
func parseTime(text string) (int, error) {
	hint := "write hours and minutes with two digits each: 07:00"
	h, m, ok := strings.Cut(text, ":")
	hour, herr := strconv.Atoi(h) // not fmt.Sscan, which reads 08 as octal
	minute, merr := strconv.Atoi(m)
	if ok && herr == nil && merr == nil && len(h) == 1 && len(m) == 2 {
		hint = "write 0" + text
	}
	digits := strings.Trim(h+m, "0123456789") == ""
	if !ok || herr != nil || merr != nil || !digits || len(h) != 2 || len(m) != 2 {
		return 0, wrong(hint, "%q is not a time of day", text)
	}
	if hour > 24 || minute > 59 || hour == 24 && minute > 0 {
		return 0, wrong("the day ends at 24:00", "%q is not a time of day", text)
	}
	return hour*60 + minute, nil
}

// parseDayWindow reads "2026-12-19 09:00-17:00".
func parseDayWindow(text string) (dayWindow, error) {
	w := dayWindow{text: strings.Join(strings.Fields(text), " ")}
	date, times, ok := strings.Cut(w.text, " ")
	if !ok {
		return w, wrong(`write "2026-12-19 09:00-17:00"`, "%q is not a window on a day", text)
	}
	var err error
	if w.day, err = parseDay(date); err != nil {
		return w, err
	}
	w.start, w.end, err = parseTimes(times, date+" ")
	return w, err
}

func looksLikeDate(text string) bool {
	return len(text) == len(time.DateOnly) && strings.Trim(text, "0123456789-") == ""
}

// parseDay reads a date as days since 1970-01-01.
func parseDay(text string) (int, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil || t.Year() < 1970 {
		return 0, wrong("write year-month-day: 2026-12-24", "%q is not a day", text)
	}
	return int(t.Unix() / 86400), nil
}

func formatDay(day int) string { return time.Unix(int64(day)*86400, 0).UTC().Format(time.DateOnly) }
