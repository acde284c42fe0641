package dashboard

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Unit says how a number is written. The browser gets it as it is and writes axes
// by the same rule, so that there is one table of units.
type Unit struct {
	// Steps hold from the first whose Below is above the number's size, or the
	// last: the number is divided by Divide and followed by Suffix.
	Steps  []UnitStep `json:"steps,omitempty"`
	Prefix string     `json:"prefix,omitempty"`
	// Binary is true where axes should break at powers of two.
	Binary bool `json:"binary,omitempty"`
	// Special names a rule that is no division: hex, hex0x, sci, locale, bool,
	// bool_yes_no, bool_on_off, dtdurationms, dtdurations, dthms, dtdhms,
	// timeticks, string or a dateTime….
	Special string `json:"special,omitempty"`
	// Decimals is how many places are shown; nil means as many as the number needs.
	Decimals *int `json:"decimals,omitempty"`
}

// UnitStep is one scale of a unit.
type UnitStep struct {
	Below  float64 `json:"below,omitempty"` // 0 in the last
	Divide float64 `json:"divide"`
	Suffix string  `json:"suffix"`
}

// Format writes v. now is for the units that compare with it.
func (u Unit) Format(v float64, now time.Time) string {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return u.Prefix + "∞"
	case math.IsInf(v, -1):
		return u.Prefix + "-∞"
	}
	if u.Special != "" {
		return u.special(v, now)
	}
	size, step := math.Abs(v), UnitStep{Divide: 1}
	for _, step = range u.Steps {
		if step.Below == 0 || size > 0 && size < step.Below || size == 0 && step.Divide >= 1 {
			break
		}
	}
	if u.Prefix != "" && v < 0 {
		return "-" + u.Prefix + decimal(size/step.Divide, u.Decimals) + step.Suffix
	}
	return u.Prefix + decimal(v/step.Divide, u.Decimals) + step.Suffix
}

// decimal writes a number with so many places, or with as many as make three
// significant digits, without zeros at the end.
func decimal(v float64, places *int) string {
	if places != nil {
		return fixed(v, max(0, min(*places, 20)))
	}
	text := fixed(v, autoDecimals(v))
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// fixed rounds half away from zero at the decimal point, as people expect of 2.5
// and as JavaScript's Math.round does for positive numbers.
func fixed(v float64, places int) string {
	factor := math.Pow(10, float64(places))
	if scaled := v * factor; math.Abs(scaled) < 1e15 {
		v = math.Floor(scaled+0.5) / factor
	}
	text := strconv.FormatFloat(v, 'f', places, 64)
	if strings.Trim(text, "-0.") == "" {
		text = strings.TrimPrefix(text, "-")
	}
	return text
}

// autoDecimals is how many places Grafana shows where a panel does not say.
func autoDecimals(v float64) int {
	if v == 0 || v == math.Trunc(v) {
		return 0
	}
	places := -int(math.Floor(math.Log10(math.Abs(v)))) + 1
	if norm := math.Abs(v) / math.Pow(10, float64(-places)); norm > 2.25 {
		places++
	}
	return max(0, min(places, 20))
}

func (u Unit) special(v float64, now time.Time) string {
	if rest, ok := strings.CutPrefix(u.Special, "time:"); ok {
		return time.UnixMilli(int64(v)).UTC().Format(layout(rest))
	}
	switch u.Special {
	case "hex":
		return strings.ToUpper(strconv.FormatInt(int64(v), 16))
	case "hex0x":
		return "0x" + strings.ToUpper(strconv.FormatInt(int64(v), 16))
	case "sci":
		places := -1
		if u.Decimals != nil {
			places = max(0, min(*u.Decimals, 20))
		}
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'e', places, 64), "e")
		n, _ := strconv.Atoi(exponent)
		if n >= 0 {
			return mantissa + "e+" + strconv.Itoa(n)
		}
		return mantissa + "e" + strconv.Itoa(n)
	case "locale":
		return grouped(decimal(v, u.Decimals))
	case "string":
		return strconv.FormatFloat(v, 'g', -1, 64)
	case "bool", "bool_yes_no", "bool_on_off":
		words := map[string][2]string{"bool": {"False", "True"}, "bool_yes_no": {"No", "Yes"}, "bool_on_off": {"Off", "On"}}[u.Special]
		if v == 0 {
			return words[0]
		}
		return words[1]
	case "dtdurationms":
		return longDuration(v / 1000)
	case "dtdurations":
		return longDuration(v)
	case "dthms", "dtdhms", "timeticks", "clocks", "clockms":
		seconds := v
		switch u.Special {
		case "timeticks":
			seconds = v / 100
		case "clockms":
			seconds = v / 1000
		}
		return clockTime(seconds, u.Special == "dtdhms")
	case "dateTimeFromNow":
		return fromNow(time.UnixMilli(int64(v)), now)
	}
	at := time.UnixMilli(int64(v)).UTC()
	today := at.Format(time.DateOnly) == now.UTC().Format(time.DateOnly)
	switch u.Special {
	case "dateTimeAsIsoNoDateIfToday":
		if today {
			return at.Format(time.TimeOnly)
		}
	case "dateTimeAsUSNoDateIfToday":
		if today {
			return at.Format("3:04:05 pm")
		}
		return at.Format("01/02/2006 3:04:05 pm")
	case "dateTimeAsUS":
		return at.Format("01/02/2006 3:04:05 pm")
	}
	return at.Format(time.DateTime)
}

// grouped puts commas between thousands.
func grouped(number string) string {
	whole, rest, point := strings.Cut(number, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if point {
		rest = "." + rest
	}
	return sign + whole + rest
}

// longDuration writes seconds in words: "1 hour, 2 minutes".
func longDuration(seconds float64) string {
	if seconds < 0 {
		return longDuration(-seconds) + " ago"
	}
	if seconds > 0 && seconds < 1 {
		return strconv.Itoa(int(math.Round(seconds*1000))) + " milliseconds"
	}
	left, parts := int64(math.Round(seconds)), []string(nil)
	for _, p := range []struct {
		seconds int64
		name    string
	}{{31536000, "year"}, {2628000, "month"}, {604800, "week"}, {86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}} {
		n := left / p.seconds
		left -= n * p.seconds
		if n == 0 {
			continue
		}
		name := p.name
		if n > 1 {
			name += "s"
		}
		parts = append(parts, strconv.FormatInt(n, 10)+" "+name)
	}
	if parts == nil {
		return "0 seconds"
	}
	return strings.Join(parts, ", ")
}

// clockTime writes seconds as hours, minutes and seconds.
func clockTime(seconds float64, days bool) string {
	sign := ""
	if seconds < 0 {
		sign, seconds = "-", -seconds
	}
	n := int64(math.Floor(seconds))
	two := func(n int64) string {
		s := strconv.FormatInt(n, 10)
		if len(s) < 2 {
			s = "0" + s
		}
		return s
	}
	hours, lead := n/3600, ""
	if days {
		lead, hours = strconv.FormatInt(hours/24, 10)+" d ", hours%24
	}
	return sign + lead + two(hours) + ":" + two(n/60%60) + ":" + two(n%60)
}

// fromNow writes how far a time is away, in the largest unit.
func fromNow(at, now time.Time) string {
	d := at.Sub(now)
	past := d < 0
	d = d.Abs()
	text := "a few seconds"
	for _, p := range []struct {
		size time.Duration
		name string
	}{{365 * 24 * time.Hour, "year"}, {30 * 24 * time.Hour, "month"}, {24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		n := int(math.Round(float64(d) / float64(p.size)))
		if d < p.size {
			continue
		}
		text = strconv.Itoa(n) + " " + p.name
		if n > 1 {
			text += "s"
		}
		break
	}
	if past {
		return text + " ago"
	}
	return "in " + text
}

// layout turns a format of moment.js, which Grafana takes, into Go's.
func layout(format string) string {
	return strings.NewReplacer("YYYY", "2006", "YY", "06", "MMMM", "January", "MMM", "Jan", "MM", "01", "DD", "02", "dddd", "Monday", "ddd", "Mon",
		"HH", "15", "hh", "03", "mm", "04", "ss", "05", "SSS", "000", "A", "PM", "a", "pm").Replace(format)
}
