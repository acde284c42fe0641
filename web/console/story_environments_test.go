package console_test

import (
	"time"

	"nightporter.dev/nightporter/web/console"
)

func day_(name string, words []string, bars ...console.CalendarBar) console.CalendarDay {
	return console.CalendarDay{Name: name, Bars: bars, Words: words, Ticks: []float64{25, 50, 75}, Now: -1}
}

func window(x, w float64, kind string) console.CalendarBar {
	return console.CalendarBar{X: x, W: w, Kind: kind}
}

func week() *console.Calendar {
	usual := func(name string, more ...string) console.CalendarDay {
		d := day_(name, append([]string{"on 07:00 to 21:00"}, more...), window(29.17, 58.33, "on"))
		return d
	}
	mon, tue, wed := usual("Mon 23", "seen dark 00:00 to 06:56", "rebuilt at 06:56 in 4 min 12 s"), usual("Tue 24"), usual("Wed 25", "kept on 21:00 to 23:00: load test (ana)")
	mon.Today, mon.Now = true, 50.3
	mon.Dark, mon.Marks = []console.CalendarBar{window(0, 28.9, "")}, []console.CalendarMark{{X: 28.9, State: console.OK}}
	wed.Bars = append(wed.Bars, window(87.5, 8.33, "kept"))
	sat := day_("Sat 28", []string{"on 09:00 to 17:00, a further window"}, window(37.5, 33.33, "also"))
	sun := day_("Sun 29", []string{"off all day", "clocks go forward, 23 h"})
	sun.Clocks = "clocks go forward, 23 h"
	return &console.Calendar{
		Title: "Week of 23 November 2026", Zone: "Europe/London", Days: []console.CalendarDay{mon, tue, wed, usual("Thu 26"), usual("Fri 27"), sat, sun},
		Newer: "/environments/dev?week=2026-11-30", Older: "/environments/dev?week=2026-11-22",
	}
}

func environmentPage() *console.EnvironmentPage {
	ok := console.Badge{State: console.OK, Word: "passed"}
	until := &console.Until{Label: "Until (Europe/London)", Value: "2026-11-23T16:00", Min: "2026-11-23T12:04", Max: "2026-11-24T00:04"}
	trend := &console.Trend{Width: 154, Height: 64, Budget: 14, Label: "The last 10 rebuilds, oldest first; the newest took 4 min 12 s, and may take 20 min 0 s"}
	for i, h := range []float64{14, 12, 13, 15, 12, 60, 13, 14, 12, 13} {
		state := console.OK
		if i == 5 {
			state = console.Failed
		}
		trend.Bars = append(trend.Bars, console.TrendBar{X: float64(16 * i), Y: 64 - h, W: 10, H: h, State: state})
	}
	done := console.Badge{State: console.OK, Word: "done"}
	return &console.EnvironmentPage{
		Layout: layout("dev", "Environments"), Name: "dev", Headline: "is up, and goes dark at 21:00", Kind: "development", Badge: console.Badge{State: console.OK, Word: "up"},
		Seen: before(5*time.Hour + 8*time.Minute), Because: "Should be on, by its schedule, Mon-Fri 07:00-21:00.",
		Forms: []console.Form{
			{ID: "keep", URL: "/environments/dev/keep", Label: "Keep on until…", Kind: console.Plain, Key: "k-20", Explain: "The schedule decides again after that. At most 12 h from now.", Until: until, Comment: "Why", CommentRequired: console.Required, CLI: `nightporter env keep dev --until 23:00 --reason "…"`},
			{ID: "drill", URL: "/environments/dev/drill", Label: "Drill now", Kind: console.Plain, Key: "k-23", Explain: "Builds it a second time beside itself, from the code that the next morning builds and what was last captured. It is proven good, timed and cleared away. dev is not touched.", CLI: "nightporter env drill dev"},
			{ID: "down", URL: "/environments/dev/down", Label: "Sleep now", Kind: console.Danger, Key: "k-21", Explain: "Tears it down now, as at dusk: services end, database logins are revoked, everything is destroyed and built again from code.", Comment: "Why", CommentRequired: console.Required, Confirm: "dev", CLI: "nightporter env down dev"},
		},
		Week:     week(),
		Recovery: []console.Figure{{Label: "Came back", Value: "9", Unit: "of 10 drills", Detail: "the last twenty at most"}, {Label: "Half take at most", Value: "4 min 12 s", Detail: "95 of 100 at most 4 min 58 s"}, {Label: "May take", Value: "20 min", Detail: "the rto of its schedule"}},
		Trend:    trend,
		Drills: []console.DrillRow{
			{At: before(2 * time.Hour), Took: 181 * time.Second, Badge: ok, Commit: "1f3c9ab", Beside: true, Note: "beside it, as dev.drill", Steps: []console.Step{{Name: "fetch", Badge: done, Took: time.Second}, {Name: "restore db", Badge: done, Took: 40 * time.Second}, {Name: "clear", Badge: done, Took: 9 * time.Second}}},
			{At: before(5*time.Hour + 8*time.Minute), Took: 252 * time.Second, Badge: ok, Commit: "1f3c9ab", Steps: []console.Step{{Name: "fetch", Badge: done, Took: time.Second}, {Name: "build db", Badge: done, Took: 141 * time.Second}, {Name: "build gateway", Badge: done, Took: 38 * time.Second}, {Name: "probe", Badge: done, Took: 12 * time.Second}}},
			{At: before(3 * day), Took: 24 * time.Minute, Badge: console.Badge{State: console.Failed, Word: "failed"}, Commit: "77ab01e", Note: "took 24m0s, and may take 20m0s", Steps: []console.Step{{Name: "build db", Badge: console.Badge{State: console.Failed, Word: "failed"}, Took: 20 * time.Minute}}, Log: &console.Log{Title: "build db, last lines", Lines: []string{"waiting for the volume", "waiting for the volume"}}},
			{At: before(4 * day), Took: 258 * time.Second, Badge: ok, Commit: "09dd1c2", Note: "fell back from 5510aa9: build gateway: no such image"},
		},
		Savings: &console.SavingsView{
			Priced: true,
			Rows: []console.SavingsRow{
				{Period: "the week above", Hours: "6.9 h in 1 night", Scheduled: "7.0 h", List: "EUR 11.04", Cash: "EUR 7.73"},
				{Period: "last 30 days", Hours: "391.2 h in 30 nights", Scheduled: "402.0 h", List: "EUR 625.92", Cash: "EUR 438.14"},
			},
			Notes: []string{"Hours are counted from the proof that nothing was left to the proof that all was back.", "Not saved: what stays while it is dark (captures, disks, addresses), minimum charges, and the rebuilds themselves.", "11 of 14 resources are priced; the others count as nothing."},
		},
		Facts: []console.Fact{{Label: "Schedule", Value: "Mon-Fri 07:00-21:00"}, {Label: "Time zone", Value: "Europe/London"}, {Label: "Built from", Value: "github/infra main dev"}, {Label: "Runs commit", Value: "1f3c9ab"}},
		CLI:   "nightporter env status dev",
	}
}

func environmentsPage() *console.Environments {
	row := func(name, kind string, b console.Badge, next, because string) console.EnvironmentRow {
		r := console.EnvironmentRow{Name: name, URL: "/environments/" + name, Kind: kind, Badge: b, Seen: before(5 * time.Hour), Next: next, Because: because}
		today := week().Days[0]
		r.Today = &today
		return r
	}
	prod := row("prod", "production", console.Badge{State: console.Muted, Word: "never sleeps"}, "", "Production has no schedule: nothing here can tear it down.")
	prod.Today, prod.Seen = nil, time.Time{}
	const because = "Should be on, by its schedule, Mon-Fri 07:00-21:00."
	return &console.Environments{
		Layout: layout("Environments", "Environments"), Headline: "Preprod is on its way, dev is up",
		Rows: []console.EnvironmentRow{
			row("dev", "development", console.Badge{State: console.OK, Word: "up"}, "goes dark at 21:00", because),
			row("preprod", "staging", console.Badge{State: console.Running, Word: "being built"}, "goes dark at 21:00", because),
			prod,
		},
		CLI: "nightporter env status",
	}
}

// environmentStories are the pages about environments in every state.
func environmentStories() map[string]console.Page {
	s := map[string]console.Page{"environments-many": environmentsPage(), "environment-up": environmentPage()}
	s["environments-empty"] = &console.Environments{Layout: layout("Environments", "Environments"), Headline: "There are no environments yet"}
	l := environmentsPage()
	l.Rows, l.Headline = l.Rows[:1], "Dev is up"
	s["environments-one"] = l
	l = environmentsPage()
	l.Headline = "Dev is incomplete, preprod is on its way"
	l.Rows[0].Badge, l.Rows[0].Note = console.Badge{State: console.Failed, Word: "incomplete"}, "build gateway: no capacity"
	s["environments-error"] = l

	p := environmentPage()
	p.Forms, p.NotYou = nil, "Your policies do not let you wake it, keep it on or tear it down. Developers and operators may."
	s["environment-forbidden"] = p
	s["environment-production"] = &console.EnvironmentPage{
		Layout: layout("prod", "Environments"), Name: "prod", Headline: "never sleeps", Kind: "production", Badge: console.Badge{State: console.Muted, Word: "never sleeps"},
		Because: "Production has no schedule: nothing here can tear it down.", NotYou: "Production has no schedule and no buttons: independent locks keep the night away from it.", CLI: "nightporter env status prod",
	}

	p = environmentPage()
	p.Headline, p.Badge = "is being built", console.Badge{State: console.Running, Word: "being built"}
	done, working, later := console.Badge{State: console.OK, Word: "done"}, console.Badge{State: console.Running, Word: "running"}, console.Badge{State: console.Muted, Word: "not yet"}
	p.Run = &console.RunView{
		Title: "Coming back", Started: before(192 * time.Second), Expected: 252 * time.Second,
		Steps: []console.Step{
			{Name: "fetch", Badge: done, Started: before(192 * time.Second), Took: time.Second, Detail: "main is 1f3c9ab"},
			{Name: "build db", Badge: done, Started: before(191 * time.Second), Took: 141 * time.Second, Detail: "good after 141 s, 4.2 GB restored"},
			{Name: "build gateway", Badge: working, Started: before(50 * time.Second), Expected: 38 * time.Second, Attempts: 2},
			{Name: "enrol", Badge: later},
			{Name: "redeploy", Badge: later},
			{Name: "probe", Badge: later},
		},
		Log: &console.Log{State: console.Running, Title: "build gateway, last lines", Lines: []string{"pulling the image", "listening on :28080", "GET /healthz answered 503"}},
	}
	p.Week, p.Trend, p.Recovery, p.Drills, p.Savings = nil, nil, nil, nil, nil
	s["environment-building"] = p

	p = environmentPage()
	p.Headline, p.Badge = "is incomplete", console.Badge{State: console.Failed, Word: "incomplete"}
	p.Banner = &console.Notice{State: console.Failed, Title: "The last run did not get to its end.", Text: "Build gateway: no capacity. It is tried again by itself at 12:09."}
	p.Forms = append([]console.Form{{ID: "up", URL: "/environments/dev/up", Label: "Wake", Kind: console.Primary, Key: "k-22", Explain: "Builds it from its code, and keeps it up until then. It is a drill like any other.", Until: p.Forms[0].Until, Comment: "Why (optional)", CLI: "nightporter env up dev"}}, p.Forms...)
	p.Savings.Priced = false
	p.Drills = p.Drills[2:3]
	s["environment-error"] = p
	return s
}
