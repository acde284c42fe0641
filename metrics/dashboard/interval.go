package dashboard

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"nightporter.dev/nightporter"
)

const (
	// maxPoints is how many points of a series a query may ask for: Prometheus'
	// own limit.
	maxPoints = 11000
	// defaultPoints is asked for where neither panel nor browser says how wide the
	// panel is.
	defaultPoints = 1000
	// defaultScrape is what Grafana takes for the scrape interval.
	defaultScrape = 15 * time.Second
)

// niceSteps are the steps that Grafana rounds to: the first whose limit is above
// the exact step.
var niceSteps = []struct{ below, step time.Duration }{
	{10 * time.Millisecond, time.Millisecond},
	{15 * time.Millisecond, 10 * time.Millisecond},
	{35 * time.Millisecond, 20 * time.Millisecond},
	{75 * time.Millisecond, 50 * time.Millisecond},
	{150 * time.Millisecond, 100 * time.Millisecond},
	{350 * time.Millisecond, 200 * time.Millisecond},
	{750 * time.Millisecond, 500 * time.Millisecond},
	{1500 * time.Millisecond, time.Second},
	{3500 * time.Millisecond, 2 * time.Second},
	{7500 * time.Millisecond, 5 * time.Second},
	{12500 * time.Millisecond, 10 * time.Second},
	{17500 * time.Millisecond, 15 * time.Second},
	{25 * time.Second, 20 * time.Second},
	{45 * time.Second, 30 * time.Second},
	{90 * time.Second, time.Minute},
	{210 * time.Second, 2 * time.Minute},
	{450 * time.Second, 5 * time.Minute},
	{750 * time.Second, 10 * time.Minute},
	{1050 * time.Second, 15 * time.Minute},
	{1500 * time.Second, 20 * time.Minute},
	{2700 * time.Second, 30 * time.Minute},
	{5400 * time.Second, time.Hour},
	{9000 * time.Second, 2 * time.Hour},
	{16200 * time.Second, 3 * time.Hour},
	{32400 * time.Second, 6 * time.Hour},
	{86400 * time.Second, 12 * time.Hour},
	{7 * 24 * time.Hour, 24 * time.Hour},
	{21 * 24 * time.Hour, 7 * 24 * time.Hour},
	{42 * 24 * time.Hour, 30 * 24 * time.Hour},
}

// stepOf returns the step of a range drawn in so many points, not below least.
func stepOf(span time.Duration, points int, least time.Duration) time.Duration {
	if points <= 0 {
		points = defaultPoints
	}
	exact := span / time.Duration(points)
	step := 365 * 24 * time.Hour
	for _, nice := range niceSteps {
		if exact < nice.below {
			step = nice.step
			break
		}
	}
	return max(step, least, safeStep(span))
}

// safeStep is the smallest step that stays within Prometheus' limit.
func safeStep(span time.Duration) time.Duration {
	step := time.Duration(math.Ceil(span.Seconds()/maxPoints)) * time.Second
	if span <= maxPoints*time.Millisecond*100 {
		return time.Millisecond
	}
	return step
}

// rateInterval is $__rate_interval: at least four scrapes, so that a rate always
// sees two samples even where one is missing.
func rateInterval(step, scrape time.Duration) time.Duration {
	return max(step+scrape, 4*scrape)
}

// promDuration writes a duration as PromQL and Grafana do: "1m", not "1m0s".
func promDuration(d time.Duration) string {
	for _, u := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if d >= u.size && d%u.size == 0 {
			return strconv.FormatInt(int64(d/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
}

var durationPattern = regexp.MustCompile(`^(\d+(?:\.\d+)?)(ms|s|m|h|d|w|M|y)`)

// parseDuration reads "30s", "1h30m", "7d", and Grafana's M (month) and y.
func parseDuration(text string) (time.Duration, bool) {
	text = strings.TrimPrefix(strings.TrimSpace(text), ">")
	if text == "" {
		return 0, false
	}
	var sum float64
	for text != "" {
		m := durationPattern.FindStringSubmatch(text)
		if m == nil {
			return 0, false
		}
		n, _ := strconv.ParseFloat(m[1], 64)
		sum += n * float64(unitSize[m[2]])
		text = text[len(m[0]):]
	}
	if sum > float64(100*365*24*time.Hour) {
		return 0, false
	}
	return time.Duration(sum), true
}

var unitSize = map[string]time.Duration{
	"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
	"w": 7 * 24 * time.Hour, "M": 30 * 24 * time.Hour, "y": 365 * 24 * time.Hour,
}

// ParseTime reads a time as Grafana's addresses and files hold it: "now",
// "now-6h", "now/d", "now-1d/d", milliseconds since 1970, or RFC 3339. A rounded
// end of a range ("now/d") is the end of the day, so up says which is meant.
func ParseTime(text string, now time.Time, edge Edge) (time.Time, error) {
	bad := func() (time.Time, error) {
		return time.Time{}, nightporter.E(nightporter.Invalid, "%q is not a time: write now-6h, now/d, milliseconds or 2026-11-22T21:00:00Z.", cut(text, 40))
	}
	text = strings.TrimSpace(text)
	rest, relative := strings.CutPrefix(text, "now")
	if !relative {
		if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
			if ms < 0 || ms > 253402300799999 {
				return bad()
			}
			return time.UnixMilli(ms).UTC(), nil
		}
		for _, form := range []string{time.RFC3339Nano, time.DateTime, "2006-01-02T15:04", time.DateOnly} {
			if at, err := time.Parse(form, text); err == nil {
				return at.UTC(), nil
			}
		}
		return bad()
	}
	at := now.UTC()
	for rest != "" {
		op := rest[0]
		rest = rest[1:]
		if op == '/' {
			if rest == "" {
				return bad()
			}
			rounded, ok := round(at, rest[0], edge)
			if !ok {
				return bad()
			}
			at, rest = rounded, rest[1:]
			continue
		}
		m := durationPattern.FindStringSubmatch(rest)
		if m == nil || op != '+' && op != '-' {
			return bad()
		}
		d, ok := parseDuration(m[0])
		if !ok {
			return bad()
		}
		if op == '-' {
			d = -d
		}
		at, rest = at.Add(d), rest[len(m[0]):]
	}
	return at, nil
}

// Edge is an end of a range.
type Edge int

// The ends of a range.
const (
	Start Edge = iota
	End
)

func round(at time.Time, unit byte, edge Edge) (time.Time, bool) {
	y, m, d := at.Date()
	var from, to time.Time
	switch unit {
	case 's', 'm', 'h':
		size := unitSize[string(unit)]
		from = at.Truncate(size)
		to = from.Add(size)
	case 'd':
		from = time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
		to = from.AddDate(0, 0, 1)
	case 'w':
		from = time.Date(y, m, d-(int(at.Weekday())+6)%7, 0, 0, 0, 0, time.UTC)
		to = from.AddDate(0, 0, 7)
	case 'M':
		from = time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
		to = from.AddDate(0, 1, 0)
	case 'y':
		from = time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC)
		to = from.AddDate(1, 0, 0)
	default:
		return at, false
	}
	if edge == End {
		return to.Add(-time.Millisecond), true
	}
	return from, true
}

// cut shortens text for a message.
func cut(text string, n int) string {
	runes := []rune(text)
	if len(runes) <= n {
		return text
	}
	return fmt.Sprintf("%s…", string(runes[:n]))
}
