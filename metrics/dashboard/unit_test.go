package dashboard_test

import (
	"math"
	"testing"
	"time"

	"nightporter.dev/nightporter/metrics/dashboard"
)

// The values up to "henry" and what they become are those that Grafana's own test
// of its formats expects (packages/grafana-data/src/valueFormats), with the
// plural that it writes since version 8.
func TestNumbersAreWrittenAsGrafanaWritesThem(t *testing.T) {
	t.Parallel()
	places := func(n int) *int { return &n }
	for _, c := range []struct {
		unit     string
		decimals *int
		value    float64
		want     string
	}{
		{"currencyUSD", places(2), 1532.82, "$1.53K"},
		{"currencyKRW", places(2), 1532.82, "₩1.53K"},
		{"ms", places(4), 0.0024, "0.0024 ms"},
		{"ms", places(0), 100, "100 ms"},
		{"ms", places(2), 1250, "1.25 s"},
		{"ms", places(1), 10000086.123, "2.8 hours"},
		{"ms", places(0), 1200, "1 s"},
		{"short", places(2), 98765, "98.77 K"},
		{"short", places(6), 9876543, "9.876543 Mil"},
		{"kbytes", places(3), 10000000, "9.537 GiB"},
		{"deckbytes", places(3), 10000000, "10.000 GB"},
		{"megwatt", places(3), 1000, "1.000 GW"},
		{"kohm", places(3), 1000, "1.000 MΩ"},
		{"Mohm", places(3), 1000, "1.000 GΩ"},
		{"farad", places(3), 1000, "1.000 kF"},
		{"µfarad", places(3), 1000, "1.000 mF"},
		{"nfarad", places(3), 1000, "1.000 µF"},
		{"pfarad", places(3), 1000, "1.000 nF"},
		{"ffarad", places(3), 1000, "1.000 pF"},
		{"henry", places(3), 1000, "1.000 kH"},
		{"mhenry", places(3), 1000, "1.000 H"},
		{"µhenry", places(3), 1000, "1.000 mH"},

		{"", nil, 0.25, "0.25"},
		{"none", nil, 1234567, "1234567"},
		{"none", nil, 3.14159, "3.14"},
		{"short", nil, 0, "0"},
		{"short", nil, -1500, "-1.5 K"},
		{"percent", nil, 12.345, "12.3%"},
		{"percentunit", nil, 0.9999, "100%"},
		{"percentunit", places(2), 0.9999, "99.99%"},
		{"bytes", nil, 1536, "1.5 KiB"},
		{"bytes", nil, 0, "0 B"},
		{"decbytes", nil, 1536, "1.54 kB"},
		{"Bps", nil, 2e6, "2 MB/s"},
		{"binBps", nil, 2 << 20, "2 MiB/s"},
		{"bps", nil, 999, "999 b/s"},
		{"pps", nil, 1200, "1.2 kp/s"},
		{"ops", nil, 12, "12 ops/s"},
		{"reqps", nil, 1200, "1.2K req/s"},
		{"iops", nil, 3, "3 io/s"},
		{"s", nil, 0.0021, "2.1 ms"},
		{"s", nil, 2.1e-7, "210 ns"},
		{"s", nil, 90, "1.5 min"},
		{"s", nil, 700000, "1.16 weeks"},
		{"hertz", nil, 2.4e9, "2.4 GHz"},
		{"celsius", nil, 21.5, "21.5 °C"},
		{"suffix:cats", nil, 3, "3 cats"},
		{"prefix:n=", nil, 3, "n=3"},
		{"si:mW", nil, 1500, "1.5 W"},
		{"cats", nil, 3, "3 cats"},
		{"hex0x", nil, 255, "0xFF"},
		{"sci", places(2), 12345, "1.23e+4"},
		{"locale", nil, 1234567, "1,234,567"},
		{"bool_yes_no", nil, 0, "No"},
		{"dtdurations", nil, 3725, "1 hour, 2 minutes, 5 seconds"},
		{"dthms", nil, 3725, "01:02:05"},
		{"dtdhms", nil, 90061, "1 d 01:01:01"},
		{"dateTimeAsIso", nil, 1795381200000, "2026-11-22 21:00:00"},
		{"dateTimeFromNow", nil, 1795374000000, "2 hours ago"},
		{"none", nil, math.NaN(), "NaN"},
		{"none", nil, math.Inf(-1), "-∞"},
	} {
		u, _ := dashboard.UnitOf(c.unit)
		u.Decimals = c.decimals
		if got := u.Format(c.value, now); got != c.want {
			t.Errorf("%v in %q is written %q, want %q", c.value, c.unit, got, c.want)
		}
	}
}

func TestTimesAreReadAsInGrafanasAddresses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"now": "2026-11-22T21:00:00Z", "now-6h": "2026-11-22T15:00:00Z", "now-1d/d": "2026-11-21T00:00:00Z", "now/d": "2026-11-22T00:00:00Z",
		"now/w": "2026-11-16T00:00:00Z", "now/M": "2026-11-01T00:00:00Z", "now/M+2h": "2026-11-01T02:00:00Z", "1795381200000": "2026-11-22T21:00:00Z",
		"2026-11-22T21:00:00Z": "2026-11-22T21:00:00Z", "2026-11-22": "2026-11-22T00:00:00Z",
	} {
		got, err := dashboard.ParseTime(text, now, dashboard.Start)
		if err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%q is %v, %v; want %s", text, got, err, want)
		}
	}
	if got, _ := dashboard.ParseTime("now/d", now, dashboard.End); got.Format(time.RFC3339Nano) != "2026-11-22T23:59:59.999Z" {
		t.Errorf("the end of today is %v", got)
	}
	for _, text := range []string{"", "yesterday", "now-", "now-6", "now/", "now/x", "now-6h;", "-5", "now-99999999999d"} {
		if got, err := dashboard.ParseTime(text, now, dashboard.Start); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}
