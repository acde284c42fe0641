package cli

import (
	"fmt"
	"time"
)

// ago is how long ago t was, in one unit: "3 d", "5 h", "2 min". Nothing for the
// zero time.
func (c *CLI) ago(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return brief(c.cfg.Now().Sub(t))
}

// since is ago as a part of a sentence.
func (c *CLI) since(t time.Time) string {
	s := c.ago(t)
	switch s {
	case "":
		return "never"
	case "now":
		return "just now"
	}
	return s + " ago"
}

func brief(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

// clockwise is a duration as a clock shows it: "0:42", "12:05", "1:02:03".
func clockwise(d time.Duration) string {
	s := int(d.Seconds())
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// stamp is a time in full, where people are.
func (c *CLI) stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(c.cfg.Now().Location()).Format("2006-01-02 15:04:05")
}

// parseUntil reads when something ends: RFC 3339, a local "2026-12-24 18:00" or
// date, a time of day ("18:00": the next one), or how long from now ("2h").
func parseUntil(s string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, later(s, t, now)
	}
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, later(s, t, now)
		}
	}
	if t, err := time.Parse("15:04", s); err == nil {
		at := time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), 0, 0, now.Location())
		if !at.After(now) {
			at = time.Date(now.Year(), now.Month(), now.Day()+1, t.Hour(), t.Minute(), 0, 0, now.Location())
		}
		return at, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return now.Add(d), nil
	}
	return time.Time{}, usage("%q is not a time", s).hint(`write 18:00, 2h, "2026-12-24 18:00" or 2026-12-24T18:00:00Z`)
}

func later(s string, t, now time.Time) error {
	if t.After(now) {
		return nil
	}
	return usage("%s has passed", s)
}

// count is a number with its noun: "1 merge", "3 merges".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
