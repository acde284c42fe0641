package console

import (
	"strings"
	"testing"
	"time"
)

func TestSpansOfTime(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]struct{ span, brief, took string }{
		-time.Hour:                      {"moments", "now", ""},
		800 * time.Millisecond:          {"moments", "now", "0.8 s"},
		41 * time.Second:                {"moments", "now", "41 s"},
		59*time.Minute + 59*time.Second: {"59 min", "59 min", "59 min 59 s"},
		time.Hour:                       {"1 h", "1 h", "1 h 0 min"},
		134 * time.Minute:               {"2 h 14 min", "2 h", "2 h 14 min"},
		7*time.Hour + 30*time.Minute:    {"7 h", "7 h", "7 h 30 min"},
		47*time.Hour + 59*time.Minute:   {"47 h", "47 h", "47 h 59 min"},
		48 * time.Hour:                  {"2 d", "2 d", "48 h 0 min"},
	} {
		if got := span(d); got != want.span {
			t.Errorf("span(%s) = %q, want %q", d, got, want.span)
		}
		if got := brief(d); got != want.brief {
			t.Errorf("brief(%s) = %q, want %q", d, got, want.brief)
		}
		if got := took(d); got != want.took {
			t.Errorf("took(%s) = %q, want %q", d, got, want.took)
		}
	}
}

func TestStampsAreAsShortAsTheyMayBe(t *testing.T) {
	t.Parallel()
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 7, 3, 0, 30, 0, 0, london) // 23:30 UTC of the day before
	for ago, want := range map[time.Duration]string{
		10 * time.Minute:     "00:20",
		time.Hour:            "Thu 23:30",
		5 * 24 * time.Hour:   "Sun 00:30",
		6 * 24 * time.Hour:   "27 Jun 00:30",
		200 * 24 * time.Hour: "14 Dec 2025 23:30",
	} {
		got := string(stamp(now.Add(-ago).UTC(), now))
		if !strings.Contains(got, ">"+want+"<") {
			t.Errorf("stamp of %s ago = %s, want %s", ago, got, want)
		}
	}
	if got := stamp(time.Time{}, now); got != "" {
		t.Errorf("a zero time is shown as %q", got)
	}
}

func TestAnIconNameCannotCarryMarkup(t *testing.T) {
	t.Parallel()
	if got := icon(`ok"><script>`); got != "" {
		t.Errorf("icon wrote %q", got)
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 88214: "88,214", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := count(n); got != want {
			t.Errorf("count(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestInitials(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"ana": "A", "ana-maria": "AM", "élise": "É", "": "", "a b c": "AB"} {
		if got := initials(name); got != want {
			t.Errorf("initials(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestBoardHeadline(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]BoardSummary{
		"There are no services yet":                          {},
		"Production runs what is on main":                    {Services: 1},
		"Production is behind main":                          {Services: 1, Behind: 1},
		"Production runs what is on main, in all 6 services": {Services: 6},
		"Production is behind main in four of six services":  {Services: 6, Behind: 4},
		"Production is behind main in 214 of 1,000 services": {Services: 1000, Behind: 214},
	} {
		if got := (&Board{Summary: s}).Headline(); got != want {
			t.Errorf("%+v: %q, want %q", s, got, want)
		}
	}
}

func TestActivityHeadline(t *testing.T) {
	t.Parallel()
	some := []Entry{{}}
	for want, a := range map[string]Activity{
		"Nothing happened yet":      {},
		"Nobody did that":           {Filter: ActivityFilter{Actor: "ana"}},
		"Who did that":              {Entries: some, Filter: ActivityFilter{Actor: "ana"}},
		"Nobody did anything today": {Entries: some},
		"1 entry today":             {Entries: some, Today: ActivityToday{Entries: 1}},
		"412 entries today, by 1 person and the porter; 3 refused": {Entries: some, Today: ActivityToday{Entries: 412, People: 1, Refused: 3}},
	} {
		if got := a.Headline(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestTemplatesNeverActByScript keeps what the policy would refuse out of the
// templates, where nobody would see it fail without a browser.
func TestTemplatesNeverActByScript(t *testing.T) {
	t.Parallel()
	files, err := templateFiles.ReadDir("templates")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := templateFiles.ReadFile("templates/" + file.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{" style=", " onclick=", " onsubmit=", "javascript:", "<style", "hx-on", "http://", "https://"} {
			if strings.Contains(string(text), bad) {
				t.Errorf("%s contains %q", file.Name(), bad)
			}
		}
	}
}
