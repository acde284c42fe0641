package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"nightporter.dev/nightporter"
)

// Repo names a repository as `forge/name`.
type Repo = nightporter.Repo

// Path is a file or folder on this machine. A relative path starts at the folder
// of the configuration file; after reading, it is absolute if that folder was.
type Path string

// Date is a day, written 2026-12-24.
type Date string

// UnmarshalText refuses what is not a day of the calendar.
func (d *Date) UnmarshalText(b []byte) error {
	if _, err := time.Parse(time.DateOnly, string(b)); err != nil {
		return nightporter.E(nightporter.Invalid, "%q is not a day", b).WithHint("write year-month-day: 2026-12-24")
	}
	*d = Date(b)
	return nil
}

// Moment is a time, written 2026-12-24 18:00, 2026-12-24 for its midnight, or as
// RFC 3339. The first two are in the zone of the environment.
type Moment string

var momentLayouts = []string{"2006-01-02 15:04", time.DateOnly}

// UnmarshalText refuses what is not a time.
func (m *Moment) UnmarshalText(b []byte) error {
	if Moment(b).In(time.UTC).IsZero() {
		return nightporter.E(nightporter.Invalid, "%q is not a time", b).WithHint("write 2026-12-24 18:00")
	}
	*m = Moment(b)
	return nil
}

// In is the time in a zone; zero when the text is not one.
func (m Moment) In(zone *time.Location) time.Time {
	if t, err := time.Parse(time.RFC3339, string(m)); err == nil {
		return t.UTC()
	}
	for _, layout := range momentLayouts {
		if t, err := time.ParseInLocation(layout, string(m), zone); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// Duration is a length of time, written as numbers with units from weeks to
// milliseconds: `5m`, `1h30m`, `30d`, `2w`. A day is 24 hours.
type Duration time.Duration

// Std is the duration as the standard library knows it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

var units = []struct {
	name string
	size time.Duration
}{
	{"w", 7 * 24 * time.Hour},
	{"d", 24 * time.Hour},
	{"h", time.Hour},
	{"m", time.Minute},
	{"s", time.Second},
	{"ms", time.Millisecond},
}

// UnmarshalText reads a duration. Units go from large to small, each once.
func (d *Duration) UnmarshalText(b []byte) error {
	bad := nightporter.E(nightporter.Invalid, "%q is not a duration", b).WithHint("write a number and a unit: 5m, 1h30m, 30d")
	rest, total, next := string(b), time.Duration(0), 0
	if rest == "" {
		return bad
	}
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		letters := len(rest[digits:]) - len(strings.TrimLeft(rest[digits:], "abcdefghijklmnopqrstuvwxyz"))
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil {
			return bad
		}
		unit := -1
		for i := next; i < len(units); i++ {
			if units[i].name == rest[digits:digits+letters] {
				unit = i
			}
		}
		if unit < 0 {
			return bad
		}
		size := units[unit].size
		if n > math.MaxInt64/int64(size) || time.Duration(n)*size > math.MaxInt64-total {
			return nightporter.E(nightporter.Invalid, "%q is too long", b)
		}
		total += time.Duration(n) * size
		rest, next = rest[digits+letters:], unit+1
	}
	*d = Duration(total)
	return nil
}

// String writes the duration as it is read: "1h30m", "30d".
func (d Duration) String() string {
	if d == 0 {
		return "0s"
	}
	var text strings.Builder
	rest := time.Duration(d)
	if rest < 0 {
		text.WriteByte('-')
		rest = -rest
	}
	for _, u := range units {
		// Weeks are read but not written: 30d is plainer than 4w2d.
		if u.name == "w" || rest < u.size {
			continue
		}
		fmt.Fprintf(&text, "%d%s", rest/u.size, u.name)
		rest %= u.size
	}
	return text.String()
}

// MarshalText writes String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Remind is who is told after how long, written `4h owner`.
type Remind struct {
	After Duration
	Who   string // owner, operators, a team or a person
}

// UnmarshalText reads "4h owner".
func (r *Remind) UnmarshalText(b []byte) error {
	after, who, ok := strings.Cut(strings.TrimSpace(string(b)), " ")
	who = strings.TrimSpace(who)
	if !ok || who == "" || strings.Contains(who, " ") {
		return nightporter.E(nightporter.Invalid, "%q is not a reminder", b).WithHint("write how long and whom: 4h owner")
	}
	r.Who = who
	return r.After.UnmarshalText([]byte(after))
}

// MarshalText writes what UnmarshalText reads.
func (r Remind) MarshalText() ([]byte, error) { return []byte(r.After.String() + " " + r.Who), nil }
