package environments

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments/schedule"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/provider/cloud"
)

// simulate plays the controller against a perfect far end, and lists when it was
// started and stopped.
func simulate(t testing.TB, zone string, from, to time.Time) (starts, stops []time.Time) {
	t.Helper()
	s, err := schedule.Parse(schedule.Spec{Windows: "Mon-Fri 07:00-21:00", Timezone: zone}, nil)
	if err != nil {
		t.Fatal(err)
	}
	env := catalog.Environment{
		Environment: nightporter.Environment{Name: "dev", Kind: nightporter.Development},
		Schedule:    catalog.Schedule{FirstNight: "act", ReadyBy: true},
	}
	r := row{State: Down}
	for now := from; now.Before(to); {
		w := desire(s, env, schedule.Overrides{}, r, nil, now)
		switch choose(env, r, w, "", now, now) {
		case build:
			r.State, r.EarlyUntil = Up, w.Early
			starts = append(starts, now)
		case destroy:
			r.State = Down
			stops = append(stops, now)
		}
		if !w.Next.After(now) {
			t.Fatalf("at %s it asks to be asked again at %s", now, w.Next)
		}
		now = w.Next
	}
	return starts, stops
}

// zones are all of the IANA database that differ between two instants, by the name
// that comes first.
func zones(t *testing.T, from, to time.Time) map[string]*time.Location {
	t.Helper()
	list, err := os.ReadFile("schedule/zones.txt")
	if err != nil {
		t.Fatal(err)
	}
	all, seen := map[string]*time.Location{}, map[string]bool{}
	for name := range strings.Lines(string(list)) {
		if strings.HasPrefix(name, "Etc/") || !strings.Contains(name, "/") {
			continue // offsets and abbreviations are refused
		}
		loc, err := time.LoadLocation(strings.TrimSpace(name))
		if err != nil {
			t.Fatal(err)
		}
		changes := []string{from.In(loc).Format("-0700")}
		for at := from.In(loc); ; {
			_, end := at.ZoneBounds()
			if end.IsZero() || end.After(to) {
				break
			}
			changes, at = append(changes, end.Format(time.RFC3339)), end
		}
		if key := strings.Join(changes, " "); !seen[key] {
			seen[key], all[strings.TrimSpace(name)] = true, loc
		}
	}
	if len(all) < 50 {
		t.Fatalf("only %d zones differ; the list is gone", len(all))
	}
	return all
}

// In every zone, whatever its clocks do, each working day has exactly one
// start and one stop. The judge counts days with package time's own calendar.
func TestOneStartAndOneStopEachWorkingDay(t *testing.T) {
	t.Parallel()
	from, to := at2("2026-01-04T12:00:00Z"), at2("2030-12-29T12:00:00Z") // Sundays
	for zone, loc := range zones(t, from, to) {
		t.Run(zone, func(t *testing.T) {
			t.Parallel()
			starts, stops := simulate(t, zone, from, to)
			perDay := map[string][2]int{}
			for i, list := range [][]time.Time{starts, stops} {
				for _, at := range list {
					day := at.In(loc).Format(time.DateOnly)
					n := perDay[day]
					n[i]++
					perDay[day] = n
				}
			}
			for day := from.In(loc).AddDate(0, 0, 1); day.Before(to); day = day.AddDate(0, 0, 1) {
				want := [2]int{1, 1}
				if wd := day.Weekday(); wd == time.Saturday || wd == time.Sunday {
					want = [2]int{}
				}
				if got := perDay[day.Format(time.DateOnly)]; got != want {
					t.Errorf("%s: %d starts and %d stops, want %v", day.Format(time.DateOnly), got[0], got[1], want)
				}
			}
		})
	}
}

// Whatever has happened, what the controller does never leads away from what is
// wanted, and production is never torn down.
func TestChooseNeverLeadsAway(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	states := []State{Unknown, Up, Closing, Down, Building, Verifying, Partial}
	now := at2("2026-06-17T20:00:00Z")
	for range 200_000 {
		pick := func() time.Time {
			return []time.Time{{}, now.Add(-time.Hour), now.Add(time.Hour)}[rng.IntN(3)]
		}
		r := row{State: states[rng.IntN(len(states))], Turned: rng.IntN(2) == 0, NotBefore: pick(), Rehearsed: pick(), SparedUntil: pick()}
		going := cloud.Direction("")
		if rng.IntN(3) == 0 {
			r.Run, going = "run", []cloud.Direction{cloud.Up, cloud.Down}[rng.IntN(2)]
		}
		w := want{Decision: schedule.Decision{State: []schedule.State{schedule.On, schedule.Off}[rng.IntN(2)], Rule: schedule.ByWindows}, Early: pick()}
		env := catalog.Environment{Schedule: catalog.Schedule{FirstNight: []string{"act", "plan"}[rng.IntN(2)]}}
		switch a := choose(env, r, w, going, now, now); {
		case (a == destroy || a == rehearse) && (w.on() || r.Run != "" || r.State == Down):
			t.Fatalf("%s of %+v wanting %+v", a, r, w)
		case a == build && (!w.on() || r.Run != "" || r.State == Up):
			t.Fatalf("%s of %+v wanting %+v", a, r, w)
		case a == destroy && env.Schedule.FirstNight == "plan" && r.Rehearsed.IsZero():
			t.Fatalf("%s before the first night was rehearsed", a)
		case a == turn && w.on() == (going == cloud.Up):
			t.Fatalf("turned away from %+v", w)
		case a == nothing && r.Run == "" && !now.Before(r.NotBefore) && w.on() != (r.State == Up) && r.State != Down && !now.Before(r.SparedUntil):
			t.Fatalf("nothing about %+v wanting %+v", r, w)
		}
	}
}

func at2(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

func TestSavings(t *testing.T) {
	t.Parallel()
	prices, err := ParsePrices([]byte(`
currency: EUR
prices:
  vm: {hour: 0.10, as_of: 2026-11-01, source: list}
  db: {hour: 1.00, as_of: 2026-11-01, source: contract, covered: 0.75}
`))
	if err != nil {
		t.Fatal(err)
	}
	use := spared{Usage: map[string]used{"vm": {Quantity: 10, Resources: 10}, "db": {Quantity: 1, Resources: 1}, "cdn": {Quantity: 1, Resources: 1}}, Free: 2}
	from, to := at2("2026-06-01T00:00:00Z"), at2("2026-07-01T00:00:00Z")
	s := savings([]darkness{
		{at2("2026-05-31T20:00:00Z"), at2("2026-06-01T06:00:00Z"), use}, // six hours of it count
		{at2("2026-06-17T20:00:00Z"), at2("2026-06-18T00:00:00Z"), use},
		{at2("2026-06-30T22:00:00Z"), time.Time{}, use}, // still dark: two hours so far
	}, prices, from, to)
	if s.Hours != 12 || s.Nights != 3 {
		t.Errorf("%v hours in %d nights, want 12 in 3", s.Hours, s.Nights)
	}
	if near := func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }; !near(s.AtListPrice, 24) || !near(s.Cash, 15) {
		t.Errorf("%v at list price and %v cash, want 24 and 15: three quarters of db are paid for anyway", s.AtListPrice, s.Cash)
	}
	if s.Priced != 11 || s.Resources != 14 {
		t.Errorf("%d of %d priced, want 11 of 14", s.Priced, s.Resources)
	}
	// Nothing is counted twice and nothing that did not happen yet.
	if s := savings(nil, prices, from, to); s.AtListPrice != 0 || s.Hours != 0 {
		t.Errorf("no night spared %+v", s)
	}
}

func FuzzParsePrices(f *testing.F) {
	f.Add([]byte("currency: EUR\nprices: {vm: {hour: 0.1, as_of: 2026-11-01, source: list}}"))
	f.Add([]byte("prices: {vm: {hour: .nan}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParsePrices(text)
		if err != nil {
			if nightporter.CodeOf(err) != nightporter.Invalid {
				t.Fatalf("%v is not invalid", err)
			}
			return
		}
		for key, v := range p.Items {
			if !(v.Hour >= 0) || !(v.Covered >= 0 && v.Covered <= 1) {
				t.Fatalf("accepted %s %+v", key, v)
			}
		}
	})
}

// BenchmarkWeekOf10000 decides about 10,000 environments for a week, as often as
// anything can change.
func BenchmarkWeekOf10000(b *testing.B) {
	s, err := schedule.Parse(schedule.Spec{Windows: "Mon-Fri 07:00-21:00", Timezone: "Europe/London"}, nil)
	if err != nil {
		b.Fatal(err)
	}
	env := catalog.Environment{Schedule: catalog.Schedule{FirstNight: "act", ReadyBy: true, Nudge: 30 * time.Minute}}
	took := []time.Duration{10 * time.Minute}
	from := at2("2026-06-14T12:00:00Z")
	for b.Loop() {
		decisions := 0
		for range 10_000 {
			r := row{State: Down}
			for now := from; now.Before(from.AddDate(0, 0, 7)); {
				w := desire(s, env, schedule.Overrides{}, r, took, now)
				switch choose(env, r, w, "", now, now) {
				case build:
					r.State, r.EarlyUntil = Up, w.Early
				case destroy:
					r.State = Down
				}
				decisions++
				now = w.Next
			}
		}
		b.ReportMetric(float64(decisions), "decisions/op")
	}
}
