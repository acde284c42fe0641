package schedule_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments/schedule"
)

func at(t testing.TB, text string) time.Time {
	t.Helper()
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z"} {
		if instant, err := time.Parse(layout, text); err == nil {
			return instant
		}
	}
	t.Fatalf("%q is not an instant", text)
	return time.Time{}
}

func parse(t testing.TB, spec schedule.Spec) *schedule.Schedule {
	t.Helper()
	s, err := schedule.Parse(spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func list(edges []schedule.Edge) []string {
	out := []string{}
	for _, e := range edges {
		out = append(out, string(e.State)+" "+e.At.Format("2006-01-02T15:04Z"))
	}
	return out
}

// The expected instants were computed apart from this code and their local times
// checked with ICU, on the release 2025c of the zone database.
func TestTrickyEdges(t *testing.T) {
	t.Parallel()
	const (
		london   = "Europe/London"
		newYork  = "America/New_York"
		lordHowe = "Australia/Lord_Howe"
		week     = "Mon-Fri 07:00-21:00"
	)
	for _, tt := range []struct {
		name  string
		spec  schedule.Spec
		after string
		want  []string
	}{
		{
			"clocks go forward over the weekend in London",
			schedule.Spec{Windows: week, Timezone: london},
			"2026-03-27T12:00Z",
			[]string{"off 2026-03-27T21:00Z", "on 2026-03-30T06:00Z", "off 2026-03-30T20:00Z"},
		},
		{
			"clocks go back over the weekend in New York",
			schedule.Spec{Windows: week, Timezone: newYork},
			"2026-10-30T16:00Z",
			[]string{"off 2026-10-31T01:00Z", "on 2026-11-02T12:00Z", "off 2026-11-03T02:00Z"},
		},
		{
			"half an hour changes on Lord Howe",
			schedule.Spec{Windows: week, Timezone: lordHowe},
			"2026-04-03T01:00Z",
			[]string{"off 2026-04-03T10:00Z", "on 2026-04-05T20:30Z"},
		},
		{
			"a start that is skipped is read with the offset before",
			schedule.Spec{Windows: "Sun 01:30-06:00", Timezone: london},
			"2026-03-28T12:00Z",
			[]string{"on 2026-03-29T01:30Z", "off 2026-03-29T05:00Z"},
		},
		{
			"an end that comes twice means the first",
			schedule.Spec{Windows: "Sat 20:00-01:30", Timezone: newYork},
			"2026-10-31T12:00Z",
			[]string{"on 2026-11-01T00:00Z", "off 2026-11-01T05:30Z"},
		},
		{
			"a gap of half an hour",
			schedule.Spec{Windows: "Sun 02:15-10:00", Timezone: lordHowe},
			"2026-10-03T00:00Z",
			[]string{"on 2026-10-03T15:45Z", "off 2026-10-03T23:00Z"},
		},
		{
			"after a gap of half an hour 02:30 exists",
			schedule.Spec{Windows: "Sun 02:30-10:00", Timezone: lordHowe},
			"2026-10-03T00:00Z",
			[]string{"on 2026-10-03T15:30Z"},
		},
		{
			"a window whose end is not after its start does not open",
			schedule.Spec{Windows: "Sun 01:30-02:00", Timezone: london},
			"2026-03-28T12:00Z",
			[]string{"on 2026-04-05T00:30Z"},
		},
		{
			"the day of 25 hours",
			schedule.Spec{Windows: "Sun 00:00-24:00", Timezone: london},
			"2026-10-24T12:00Z",
			[]string{"on 2026-10-24T23:00Z", "off 2026-10-26T00:00Z"},
		},
		{
			"a night belongs to the day it starts on",
			schedule.Spec{Windows: "Mon-Fri 22:00-06:00", Timezone: london, Except: []string{"2026-12-25"}},
			"2026-12-24T23:00Z",
			[]string{"off 2026-12-25T06:00Z", "on 2026-12-28T22:00Z"},
		},
		{
			"a Friday night ends on Saturday",
			schedule.Spec{Windows: "Fri 20:00-06:00", Timezone: london},
			"2026-06-05T12:00Z",
			[]string{"on 2026-06-05T19:00Z", "off 2026-06-06T05:00Z", "on 2026-06-12T19:00Z"},
		},
		{
			"windows that touch are one",
			schedule.Spec{Windows: "Mon 07:00-12:00, Mon 12:00-24:00, Tue 00:00-08:00", Timezone: london},
			"2026-06-01T00:00Z",
			[]string{"on 2026-06-01T06:00Z", "off 2026-06-02T07:00Z"},
		},
		{
			"08 and 09 are hours",
			schedule.Spec{Windows: "Mon 08:00-09:00", Timezone: "UTC"},
			"2026-06-01T00:00Z",
			[]string{"on 2026-06-01T08:00Z", "off 2026-06-01T09:00Z"},
		},
		{
			"ranges wrap around the week",
			schedule.Spec{Windows: "Sat-Mon+Wed 10:00-11:00", Timezone: "UTC"},
			"2026-06-02T00:00Z",
			[]string{"on 2026-06-03T10:00Z", "off 2026-06-03T11:00Z", "on 2026-06-06T10:00Z"},
		},
		{
			"also adds to a day that except took away",
			schedule.Spec{Windows: week, Timezone: "UTC", Except: []string{"2026-06-01"}, Also: []string{"2026-06-01 09:00-10:00"}},
			"2026-05-31T00:00Z",
			[]string{"on 2026-06-01T09:00Z", "off 2026-06-01T10:00Z", "on 2026-06-02T07:00Z"},
		},
		{
			"never with a single day",
			schedule.Spec{Windows: "never", Timezone: "UTC", Also: []string{"2026-12-19 22:00-02:00"}},
			"2026-06-01T00:00Z",
			[]string{"on 2026-12-19T22:00Z", "off 2026-12-20T02:00Z"},
		},
		{
			"always without a day",
			schedule.Spec{Windows: "always", Timezone: london, Except: []string{"2026-10-25"}},
			"2026-06-01T00:00Z",
			[]string{"off 2026-10-24T23:00Z", "on 2026-10-26T00:00Z"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := list(parse(t, tt.spec).Next(at(t, tt.after), len(tt.want), schedule.Overrides{}))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("edges (-want +got):\n%s", diff)
			}
		})
	}

	t.Run("keep on until 01:30 on the night clocks go back means the first", func(t *testing.T) {
		t.Parallel()
		s := parse(t, schedule.Spec{Windows: "Mon-Fri 07:00-21:00", Timezone: london})
		now := at(t, "2026-10-24T20:00Z")
		until, err := s.Until("01:30", now)
		if err != nil {
			t.Fatal(err)
		}
		keep := schedule.Overrides{Wishes: []schedule.Override{{State: schedule.On, From: now, Until: until, SetAt: now}}}
		want := []string{"off 2026-10-25T00:30Z", "on 2026-10-26T07:00Z"}
		if diff := cmp.Diff(want, list(s.Next(now, 2, keep))); diff != "" {
			t.Errorf("edges (-want +got):\n%s", diff)
		}
	})

	t.Run("days have 23, 24, 24.5 and 25 hours", func(t *testing.T) {
		t.Parallel()
		for _, tt := range []struct {
			zone, from, to string
			want           time.Duration
		}{
			{london, "2026-10-24T12:00Z", "2026-10-27T00:00Z", 25 * time.Hour},
			{london, "2026-03-28T12:00Z", "2026-03-31T00:00Z", 23 * time.Hour},
			{london, "2026-06-06T12:00Z", "2026-06-09T00:00Z", 24 * time.Hour},
			{lordHowe, "2026-04-03T12:00Z", "2026-04-07T00:00Z", 24*time.Hour + 30*time.Minute},
		} {
			s := parse(t, schedule.Spec{Windows: "Sun 00:00-24:00", Timezone: tt.zone})
			if got := s.OnFor(at(t, tt.from), at(t, tt.to), schedule.Overrides{}); got != tt.want {
				t.Errorf("%s from %s: got %v, want %v", tt.zone, tt.from, got, tt.want)
			}
		}
	})

	t.Run("a window that clocks make empty is worth a warning", func(t *testing.T) {
		t.Parallel()
		s := parse(t, schedule.Spec{Windows: "Sun 01:30-02:00", Timezone: london})
		got := s.EmptyWindows(at(t, "2026-01-01T00:00Z"), at(t, "2026-12-31T00:00Z"))
		if diff := cmp.Diff([]schedule.Empty{{Day: "2026-03-29", Window: "Sun 01:30-02:00"}}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	s := parse(t, schedule.Spec{
		Windows: "Mon-Fri 07:00-21:00", Timezone: "UTC",
		Except: []string{"2026-06-03"}, Also: []string{"2026-06-03 09:00-10:00"},
	})
	day := at(t, "2026-06-01T00:00Z") // a Monday
	wish := func(state schedule.State, set time.Duration) schedule.Override {
		return schedule.Override{State: state, From: day, Until: day.Add(time.Hour * 24 * 7), SetAt: day.Add(set), Reason: fmt.Sprint(set)}
	}
	for _, tt := range []struct {
		name string
		at   string
		o    schedule.Overrides
		want schedule.Decision
	}{
		{"inside a window", "2026-06-01T12:00Z", schedule.Overrides{}, schedule.Decision{State: schedule.On, Rule: schedule.ByWindows, Detail: "Mon-Fri 07:00-21:00"}},
		{"the start is included", "2026-06-01T07:00Z", schedule.Overrides{}, schedule.Decision{State: schedule.On, Rule: schedule.ByWindows, Detail: "Mon-Fri 07:00-21:00"}},
		{"the end is not", "2026-06-01T21:00Z", schedule.Overrides{}, schedule.Decision{State: schedule.Off, Rule: schedule.ByWindows}},
		{"except beats windows", "2026-06-03T12:00Z", schedule.Overrides{}, schedule.Decision{State: schedule.Off, Rule: schedule.ByExcept, Detail: "2026-06-03"}},
		{"also beats except", "2026-06-03T09:30:00Z", schedule.Overrides{}, schedule.Decision{State: schedule.On, Rule: schedule.ByAlso, Detail: "2026-06-03 09:00-10:00"}},
		{"an override beats also", "2026-06-03T09:30:00Z", schedule.Overrides{Wishes: []schedule.Override{wish(schedule.Off, 1)}}, schedule.Decision{State: schedule.Off, Rule: schedule.ByOverride, Detail: "1ns"}},
		{
			"the latest override wins, whatever the order", "2026-06-01T12:00Z",
			schedule.Overrides{Wishes: []schedule.Override{wish(schedule.On, 3), wish(schedule.Off, 2)}},
			schedule.Decision{State: schedule.On, Rule: schedule.ByOverride, Detail: "3ns"},
		},
		{
			"protection beats everything", "2026-06-01T23:00Z",
			schedule.Overrides{Protected: true, Wishes: []schedule.Override{wish(schedule.Off, 1)}},
			schedule.Decision{State: schedule.On, Rule: schedule.ByProtection},
		},
		{"an override ends by itself", "2026-06-08T23:00Z", schedule.Overrides{Wishes: []schedule.Override{wish(schedule.On, 1)}}, schedule.Decision{State: schedule.Off, Rule: schedule.ByWindows}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, s.Decide(at(t, tt.at), tt.o)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}

	t.Run("nothing follows when nothing changes", func(t *testing.T) {
		t.Parallel()
		for _, word := range []string{"always", "never"} {
			if got := parse(t, schedule.Spec{Windows: word}).Next(day, 5, schedule.Overrides{}); len(got) != 0 {
				t.Errorf("%s: got %v", word, got)
			}
		}
		if got := s.Next(day, 5, schedule.Overrides{Protected: true}); len(got) != 0 {
			t.Errorf("protected: got %v", got)
		}
	})

	t.Run("many edges", func(t *testing.T) {
		t.Parallel()
		if got := s.Next(day, 1000, schedule.Overrides{}); len(got) != 1000 || got[999].State != schedule.Off {
			t.Errorf("got %d edges", len(got))
		}
	})
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		spec       schedule.Spec
		want, hint string
	}{
		{schedule.Spec{Windows: ""}, "windows: the schedule is empty", "Mon-Fri 07:00-21:00"},
		{schedule.Spec{Windows: "Mon-Fri 07:00-21:00,"}, "windows: a window is empty", "remove the comma"},
		{schedule.Spec{Windows: "Sat-Sun 03:00-03:00"}, "windows: the window Sat-Sun 03:00-03:00 is empty", `"Sat-Sun 00:00-24:00"`},
		{schedule.Spec{Windows: "07:00-21:00"}, `windows: "07:00-21:00" does not say on which days`, `"Mon-Sun 07:00-21:00"`},
		{schedule.Spec{Windows: "Mon-Fri"}, `windows: "Mon-Fri" does not say at which times`, `"Mon-Fri 00:00-24:00"`},
		{schedule.Spec{Windows: "Monday 07:00-21:00"}, `windows: "Monday" is not a day of the week`, "write Mon"},
		{schedule.Spec{Windows: "Mo-Fr 07:00-21:00"}, `windows: "Mo" is not a day of the week`, "write Mon"},
		{schedule.Spec{Windows: "1-5 07:00-21:00"}, `windows: "1" is not a day of the week`, "write Mon, Tue"},
		{schedule.Spec{Windows: "Mon-Fri 7:00-21:00"}, `windows: "7:00" is not a time of day`, "write 07:00"},
		{schedule.Spec{Windows: "Mon-Fri 07:00-9pm"}, `windows: "9pm" is not a time of day`, "two digits"},
		{schedule.Spec{Windows: "Mon-Fri 07:00-24:30"}, `windows: "24:30" is not a time of day`, "24:00"},
		{schedule.Spec{Windows: "Mon-Fri 24:00-07:00"}, "windows: a window cannot start at 24:00", "00:00"},
		{schedule.Spec{Windows: "Mon-Fri 07:60-21:00"}, `windows: "07:60" is not a time of day`, ""},
		{schedule.Spec{Windows: "Mon-Fri +7:00-21:00"}, `windows: "+7:00" is not a time of day`, ""},
		{schedule.Spec{Windows: "always, Mon 07:00-08:00"}, `windows: "always" cannot stand beside windows`, "alone"},
		{schedule.Spec{Windows: "0 7 * * 1-5"}, `windows: "0" is not a day of the week`, ""},
		{schedule.Spec{Windows: "Mon 07:00-08:00", Timezone: "Local"}, `timezone: "Local" depends on the machine`, ""},
		{schedule.Spec{Windows: "always", Timezone: "UTC", Except: []string{"2026-02-30"}}, `except[0]: "2026-02-30" is not a day`, ""},
		{schedule.Spec{Windows: "always", Timezone: "UTC", Except: []string{"england-and-wales"}}, `except[0]: there is no calendar "england-and-wales"`, ""},
		{schedule.Spec{Windows: "never", Timezone: "UTC", Also: []string{"2026-12-19"}}, `also[0]: "2026-12-19" is not a window on a day`, ""},
		{schedule.Spec{Windows: "never", Timezone: "UTC", Also: []string{"2026-12-19 09:00-09:00"}}, `also[0]: the window 2026-12-19 09:00-09:00 is empty`, ""},
		{schedule.Spec{Windows: "never", Also: []string{"2026-12-19 09:00-10:00"}}, `timezone: the schedule has no time zone`, ""},
	} {
		spec := tt.spec
		if spec.Timezone == "" && strings.HasPrefix(tt.want, "windows") {
			spec.Timezone = "UTC"
		}
		_, err := schedule.Parse(spec, nil)
		if nightporter.CodeOf(err) != nightporter.Invalid || nightporter.MessageOf(err) != tt.want || !strings.Contains(nightporter.HintOf(err), tt.hint) {
			t.Errorf("%+v:\ngot  %v\nwant %s … %s", tt.spec, err, tt.want, tt.hint)
		}
	}

	t.Run("all mistakes at once", func(t *testing.T) {
		t.Parallel()
		_, err := schedule.Parse(schedule.Spec{Windows: "Mun 07:00-08:00", Timezone: "BST", Except: []string{"x"}, Also: []string{"y"}}, nil)
		problems, ok := err.(schedule.Problems)
		if !ok || len(problems) != 4 {
			t.Errorf("got %v, want four problems", err)
		}
	})
}

func TestUntil(t *testing.T) {
	t.Parallel()
	s := parse(t, schedule.Spec{Windows: "Mon-Fri 07:00-21:00", Timezone: "Europe/London"})
	now := at(t, "2026-06-01T20:00Z") // 21:00 in London
	for text, want := range map[string]string{
		"23:00":                "2026-06-01T22:00Z",
		"21:00":                "2026-06-02T20:00Z", // now is not after now
		"02:00":                "2026-06-02T01:00Z",
		"24:00":                "2026-06-01T23:00Z",
		"2026-06-03 08:30":     "2026-06-03T07:30Z",
		"2026-06-01T22:30:00Z": "2026-06-01T22:30Z",
	} {
		if got, err := s.Until(text, now); err != nil || !got.Equal(at(t, want)) {
			t.Errorf("%s: got %v, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "soon", "11pm", "2026-06-01 21:00", "2026-06-01T20:00:00Z", "2026-06-31 08:00"} {
		if got, err := s.Until(text, now); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("%q: got %v, %v; want a refusal", text, got, err)
		}
	}
}

func TestStartsAt(t *testing.T) {
	t.Parallel()
	edge := at(t, "2026-06-01T07:00Z")
	minutes := func(n ...int) (list []time.Duration) {
		for _, m := range n {
			list = append(list, time.Duration(m)*time.Minute)
		}
		return list
	}
	twenty := []int{20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}
	for _, tt := range []struct {
		name     string
		rebuilds []time.Duration
		want     string
	}{
		{"without a history it starts at the edge", nil, "2026-06-01T07:00Z"},
		{"one rebuild says it all", minutes(12), "2026-06-01T06:48Z"},
		{"one in twenty may take longer", minutes(twenty...), "2026-06-01T06:41Z"},
		{"older rebuilds do not count", append(minutes(59, 58, 57), minutes(twenty...)...), "2026-06-01T06:41Z"},
		{"never more than an hour", minutes(180), "2026-06-01T06:00Z"},
	} {
		if got := schedule.StartsAt(edge, tt.rebuilds); !got.Equal(at(t, tt.want)) {
			t.Errorf("%s: got %v, want %s", tt.name, got, tt.want)
		}
	}
}

func ExampleSchedule_Next() {
	s, err := schedule.Parse(schedule.Spec{Windows: "Mon-Fri 07:00-21:00", Timezone: "Europe/London"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	after := time.Date(2026, 3, 27, 22, 0, 0, 0, time.UTC)
	edges, _ := json.Marshal(s.Next(after, 2, schedule.Overrides{}))
	fmt.Println(string(edges))
	// Output: [{"at":"2026-03-30T06:00:00Z","state":"on"},{"at":"2026-03-30T20:00:00Z","state":"off"}]
}

func FuzzParse(f *testing.F) {
	f.Add("Mon-Fri 07:00-21:00", "Europe/London", "2026-12-24", "2026-12-19 09:00-17:00", int64(1774612800))
	f.Add("Sat-Mon+Wed 22:00-06:00, Thu 00:00-24:00", "Australia/Lord_Howe", "", "", int64(1775300000))
	f.Add("always", "UTC", "2026-12-24", "", int64(0))
	f.Fuzz(func(t *testing.T, windows, zone, except, also string, unix int64) {
		spec := schedule.Spec{Windows: windows, Timezone: zone}
		if except != "" {
			spec.Except = []string{except}
		}
		if also != "" {
			spec.Also = []string{also}
		}
		s, err := schedule.Parse(spec, nil)
		if err != nil {
			if nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("a refusal without its code: %v", err)
			}
			return
		}
		after := time.Unix(unix%(1<<33), 0)
		state := s.Desired(after, schedule.Overrides{})
		last := after
		for _, e := range s.Next(after, 4, schedule.Overrides{}) {
			if !e.At.After(last) || e.State == state {
				t.Fatalf("%v after %v %v: edges must move on and change the state", e, last, state)
			}
			if got := s.Desired(e.At, schedule.Overrides{}); got != e.State {
				t.Fatalf("at %v: desired %v, edge %v", e.At, got, e.State)
			}
			if got := s.Desired(e.At.Add(-time.Nanosecond), schedule.Overrides{}); got != state {
				t.Fatalf("just before %v: desired %v, want %v", e.At, got, state)
			}
			last, state = e.At, e.State
		}
	})
}

// A week of the controller's decisions for 10,000 environments: each minute it
// asks for all of them.
func BenchmarkTick10000Environments(b *testing.B) {
	schedules := fleet(b)
	now := time.Date(2026, 3, 27, 0, 0, 0, 0, time.UTC)
	on := 0
	for b.Loop() {
		now = now.Add(time.Minute)
		for _, s := range schedules {
			if s.Desired(now, schedule.Overrides{}) == schedule.On {
				on++
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(schedules)), "ns/decision")
}

func BenchmarkWeek10000Environments(b *testing.B) {
	schedules := fleet(b)
	start := time.Date(2026, 3, 27, 0, 0, 0, 0, time.UTC)
	for b.Loop() {
		for _, s := range schedules {
			if got := s.Next(start, 10, schedule.Overrides{}); len(got) != 10 {
				b.Fatal(got)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(schedules)), "ns/environment-week")
}

func fleet(b *testing.B) []*schedule.Schedule {
	zones := []string{"Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"}
	schedules := make([]*schedule.Schedule, 10_000)
	for i := range schedules {
		schedules[i] = parse(b, schedule.Spec{
			Windows: "Mon-Fri 07:00-21:00", Timezone: zones[i%len(zones)],
			Except: []string{"2026-12-25"}, Also: []string{"2026-12-19 09:00-17:00"},
		})
	}
	return schedules
}
