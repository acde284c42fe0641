package config

import (
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"0s": 0, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "30d": 720 * time.Hour, "2w": 336 * time.Hour,
		"1d12h": 36 * time.Hour, "250ms": 250 * time.Millisecond, "1m5ms": time.Minute + 5*time.Millisecond, "08m": 8 * time.Minute,
	} {
		var d, back Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.Std() != want {
			t.Errorf("%s: got %v, %v; want %v", text, d.Std(), err, want)
		}
		if err := back.UnmarshalText([]byte(d.String())); err != nil || back != d {
			t.Errorf("%s is written %s and read back as %v, %v", text, d, back.Std(), err)
		}
	}
	for _, text := range []string{"", "5", "m", "-5m", "5 m", "1m1h", "5m5m", "1.5h", "5M", "5min", "15251w", "99999999999999999999s"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %v, want an error", text, d)
		}
	}
}

func TestRemind(t *testing.T) {
	t.Parallel()
	var r Remind
	if err := r.UnmarshalText([]byte("1d  team-payments")); err != nil || r.After.Std() != 24*time.Hour || r.Who != "team-payments" {
		t.Errorf("got %v, %v", r, err)
	}
	if b, _ := r.MarshalText(); string(b) != "1d team-payments" {
		t.Errorf("got %s", b)
	}
}

func TestDate(t *testing.T) {
	t.Parallel()
	var d Date
	if err := d.UnmarshalText([]byte("2028-02-29")); err != nil || d != "2028-02-29" {
		t.Errorf("got %v, %v", d, err)
	}
	for _, text := range []string{"2027-02-29", "2027-2-1", "29.2.2028", ""} {
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}
