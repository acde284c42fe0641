package console_test

import (
	"fmt"
	"maps"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/web/console"
)

// The story that every test and every screenshot tells: a Monday at noon in a
// house with six services, each in another state.

var noon = time.Date(2026, 11, 23, 12, 4, 31, 0, time.UTC)

func before(d time.Duration) time.Time { return noon.Add(-d) }

const day = 24 * time.Hour

func layout(title, page string) console.Layout {
	rail := []console.RailItem{
		{Text: "Home", URL: "/", Icon: console.IconHome, Key: "h", Count: 3},
		{Text: "Services", URL: "/services", Icon: console.IconServices, Key: "s"},
		{Text: "Environments", URL: "/environments", Icon: console.IconEnvs, Key: "e"},
		{Text: "Secrets", URL: "/secrets", Icon: console.IconSecrets, Key: "x"},
	}
	foot := []console.RailItem{{Text: "Activity", URL: "/activity", Icon: console.IconActivity, Key: "a"}}
	for i := range rail {
		rail[i].Current = rail[i].Text == page
	}
	foot[0].Current = page == "Activity"
	return console.Layout{
		Title: title, Now: noon, Live: true, Rail: rail, Foot: foot,
		Person:    &console.Viewer{Name: "ana", Role: "owner in team-lending"},
		NextEvent: &console.NextEvent{Text: "dev, preprod go dark", At: noon.Add(8*time.Hour + 56*time.Minute)},
	}
}

var unshipped = []console.Change{
	{Number: 219, Title: "Round monthly income to the penny, not the pound", URL: "http://forge.test/acme/affordability/pull/219", Authors: []string{"ana"}, Bump: nightporter.PatchBump, Version: "1.8.1", Merged: before(3 * time.Hour)},
	{Number: 214, Title: "Recognise gig-economy income in the profile", URL: "http://forge.test/acme/affordability/pull/214", Authors: []string{"ana", "tom"}, Bump: nightporter.Minor, Version: "1.8.0", Merged: before(27 * time.Hour), Flags: []string{"migration"}},
	{Number: 211, Title: "Keep the consent id in the log line", URL: "http://forge.test/acme/affordability/pull/211", Authors: []string{"mia"}, Bump: nightporter.PatchBump, Version: "1.7.8", Merged: before(30 * time.Hour)},
	{Number: 209, Title: "Retry the bank once when it answers 503", URL: "http://forge.test/acme/affordability/pull/209", Authors: []string{"sam"}, Bump: nightporter.PatchBump, Version: "1.7.7", Merged: before(51 * time.Hour)},
	{Number: 208, Title: "Spell “affordability” right in the e-mail", URL: "http://forge.test/acme/affordability/pull/208", Authors: []string{"mia"}, Version: "1.7.6", Merged: before(70 * time.Hour), Flags: []string{"no label: counted as patch"}},
	{Title: "Raise the memory limit to 256 MiB", Commit: "9e02c1d", Authors: []string{"tom"}, Bump: nightporter.PatchBump, Version: "1.7.5", Merged: before(3 * day)},
}

func cell(environment, version string, state console.State, word string, since time.Duration) console.Cell {
	kind := map[string]nightporter.EnvironmentKind{"dev": nightporter.Development, "preprod": nightporter.Staging, "prod": nightporter.Production}[environment]
	c := console.Cell{Environment: environment, Kind: kind, Version: version, State: state, Word: word, Commit: "4f1c9ab"}
	if since > 0 {
		c.Since = before(since)
	}
	if version != "" {
		c.URL = "/releases/" + version
	}
	return c
}

func behind(c console.Cell) console.Cell {
	c.Behind = true
	return c
}

func with(c console.Cell, icon console.Icon, note string) console.Cell {
	c.Icon, c.Note = icon, note
	return c
}

func main_(version string, ago time.Duration) console.MainCell {
	return console.MainCell{Version: version, Commit: "4f1c9ab", URL: "http://forge.test/acme", At: before(ago)}
}

func upToDate() console.Behind { return console.Behind{Known: true} }

func rows() []console.BoardRow {
	return []console.BoardRow{
		{
			Service: "affordability", URL: "/services/affordability", Owner: "team-lending", Main: main_("1.8.1", 3*time.Hour),
			Cells: []console.Cell{
				cell("dev", "1.8.1", console.OK, "healthy", 3*time.Hour), cell("preprod", "1.8.1", console.OK, "healthy", 2*time.Hour+50*time.Minute),
				behind(cell("prod", "1.7.4", console.OK, "healthy", 4*day)),
			},
			Behind: console.Behind{Known: true, Changes: unshipped, Count: 6, Oldest: before(3 * day)},
			Status: console.Badge{State: console.Attention, Word: "waits for approval", Icon: console.IconWaiting}, Since: before(2*time.Hour + 14*time.Minute),
			Act: &console.Link{Text: "Review 1.8.1", URL: "/releases/affordability-1.8.1"},
		},
		{
			Service: "ledger", URL: "/services/ledger", Owner: "team-payments", Main: main_("0.9.0", 5*time.Hour),
			Cells: []console.Cell{
				cell("dev", "0.9.0", console.OK, "healthy", 5*time.Hour),
				behind(with(cell("preprod", "0.8.9", console.Failed, "rolled back", 4*time.Hour+51*time.Minute), console.IconRolledBack, "")),
				behind(cell("prod", "0.8.8", console.OK, "healthy", 6*day)),
			},
			Behind: console.Behind{Known: true, Count: 2, Oldest: before(5 * time.Hour), Changes: []console.Change{
				{Number: 88, Title: "Post entries in one batch", URL: "http://forge.test/acme/ledger/pull/88", Authors: []string{"sam"}, Bump: nightporter.Minor, Version: "0.9.0", Merged: before(5 * time.Hour)},
				{Number: 87, Title: "Index the journal by day", URL: "http://forge.test/acme/ledger/pull/87", Authors: []string{"sam"}, Bump: nightporter.PatchBump, Version: "0.8.9", Merged: before(5 * time.Hour)},
			}},
			Status: console.Badge{State: console.Failed, Word: "0.9.0 marked bad"}, Note: "no answer on /healthz within 5 min",
			Act: &console.Link{Text: "See why", URL: "/releases/ledger-0.9.0"},
		},
		{
			Service: "notifier", URL: "/services/notifier", Owner: "team-payments", Main: main_("2.4.0", 26*time.Hour),
			Cells: []console.Cell{
				cell("dev", "2.4.0", console.OK, "healthy", 26*time.Hour), cell("preprod", "2.4.0", console.OK, "healthy", 26*time.Hour),
				behind(cell("prod", "2.3.1", console.OK, "healthy", 9*day)),
			},
			Behind: console.Behind{Known: true, Count: 1, Oldest: before(26 * time.Hour), Changes: []console.Change{
				{Number: 41, Title: "Send by the new SMS provider", URL: "http://forge.test/acme/notifier/pull/41", Authors: []string{"lee"}, Bump: nightporter.Minor, Version: "2.4.0", Merged: before(26 * time.Hour)},
			}},
			Status: console.Badge{State: console.Attention, Word: "on hold", Icon: console.IconHold}, Since: before(25 * time.Hour), Note: "@lee: the SMS contract starts Thursday",
			Act: &console.Link{Text: "Open", URL: "/services/notifier"},
		},
		{
			Service: "profiles", URL: "/services/profiles", Owner: "team-lending", Main: main_("3.0.2", 2*time.Minute),
			Cells: []console.Cell{
				cell("dev", "3.0.2", console.Running, "deploying", 50*time.Second), behind(cell("preprod", "3.0.1", console.Running, "deploying", 50*time.Second)),
				behind(cell("prod", "3.0.1", console.Unknown, "no answer", 4*time.Minute)),
			},
			Behind: console.Behind{Known: true, Count: 1, Oldest: before(2 * time.Minute), Changes: []console.Change{
				{Number: 160, Title: "Drop the old address format", URL: "http://forge.test/acme/profiles/pull/160", Authors: []string{"mia"}, Bump: nightporter.PatchBump, Version: "3.0.2", Merged: before(2 * time.Minute)},
			}},
			Status: console.Badge{State: console.Running, Word: "deploying 3.0.2"}, Since: before(50 * time.Second),
		},
		{
			Service: "statements", URL: "/services/statements", Owner: "team-lending", Main: console.MainCell{Unversioned: 3},
			Cells:  []console.Cell{cell("dev", "", console.Muted, "never", 0), cell("preprod", "", console.Muted, "never", 0), cell("prod", "", console.Muted, "never", 0)},
			Behind: console.Behind{Text: "never released"},
			Status: console.Badge{State: console.Muted, Word: "no version yet"}, Note: "merge with a label to cut 0.1.0",
		},
		{
			Service: "gateway", URL: "/services/gateway", Owner: "team-platform", Main: main_("4.2.2", 4*day),
			Cells: []console.Cell{
				cell("dev", "4.2.2", console.OK, "healthy", 4*day), cell("preprod", "4.2.2", console.OK, "healthy", 4*day), cell("prod", "4.2.2", console.OK, "healthy", 4*day),
			},
			Behind: upToDate(), Status: console.Badge{State: console.OK, Word: "in production"}, Since: before(4 * day),
		},
	}
}

func board() *console.Board {
	return &console.Board{
		Layout:  layout("Services", "Services"),
		Summary: console.BoardSummary{Services: 6, Behind: 4, Waiting: 1, Failed: 1, Held: 1, Oldest: before(3 * day)},
		Environments: []console.BoardEnvironment{
			{Name: "dev", Kind: nightporter.Development}, {Name: "preprod", Kind: nightporter.Staging}, {Name: "prod", Kind: nightporter.Production},
		},
		Rows: rows(),
		Filters: []console.Filter{
			{Text: "All", Count: 6, URL: "/services", Current: true},
			{Text: "Behind", Count: 4, URL: "/services?show=behind"},
			{Text: "Waiting", Count: 1, URL: "/services?show=waiting"},
			{Text: "Failed", Count: 1, URL: "/services?show=failed"},
			{Text: "On hold", Count: 1, URL: "/services?show=hold"},
		},
		From: 1, To: 6, Total: 6, CLI: "nightporter release board",
	}
}

func boardOf(n int) *console.Board {
	b := board()
	b.Filters, b.Rows, b.Total, b.To = nil, nil, n, n
	b.Summary = console.BoardSummary{Services: n}
	for i := range n {
		row := rows()[i%6]
		row.Service = fmt.Sprintf("%s-%d", row.Service, i)
		b.Rows = append(b.Rows, row)
	}
	return b
}

func home() *console.Home {
	return &console.Home{
		Layout: layout("Home", "Home"),
		Needs: []console.Need{
			{ID: "ledger-0.9.0", State: console.Failed, Subject: "ledger 0.9.0", What: "was rolled back in preprod", URL: "/releases/ledger-0.9.0", Reason: "no answer on /healthz within 5 min; 0.8.9 runs again", Owner: "team-payments", Since: before(4*time.Hour + 51*time.Minute), Act: &console.Link{Text: "See why", URL: "/releases/ledger-0.9.0"}},
			{ID: "affordability-1.8.1", State: console.Attention, Icon: console.IconWaiting, Subject: "affordability 1.8.1", What: "waits for approval to prod", URL: "/releases/affordability-1.8.1", Reason: "6 changes, healthy in preprod", Owner: "team-lending", Since: before(2*time.Hour + 14*time.Minute), Act: &console.Link{Text: "Review", URL: "/releases/affordability-1.8.1"}},
			{ID: "affordability-208", State: console.Attention, Subject: "affordability #208", What: "was merged without a label", URL: "http://forge.test/acme/affordability/pull/208", Reason: "counted as patch, became 1.7.6", Owner: "@mia", Since: before(70 * time.Hour), Act: &console.Link{Text: "Open", URL: "/services/affordability"}},
		},
		Figures: []console.Figure{
			{Label: "Production behind main", Value: "4", Unit: "of 6 services", Detail: "oldest change 3 d", URL: "/services?show=behind"},
			{Label: "Deployments", Value: "4.1", Unit: "a day", Detail: "30 days, prod only", URL: "/services"},
			{Label: "Merge to production", Value: "3 h 20", Unit: "median", Detail: "30 days, 86 changes", URL: "/services"},
			{Label: "Failed changes", Value: "6%", Detail: "restored in 11 min, median", URL: "/services?show=failed"},
		},
		Handled: []console.Handled{
			{At: before(2 * time.Hour), State: console.OK, Text: "profiles 3.0.1 to prod", More: "1 change, approved by @tom, healthy after 41 s", URL: "/releases/profiles-3.0.1"},
			{At: before(4*time.Hour + 51*time.Minute), State: console.Failed, Icon: console.IconRolledBack, Text: "ledger back to 0.8.9 in preprod", More: "the health check failed; nothing else was touched", URL: "/releases/ledger-0.9.0"},
			{At: before(5 * time.Hour), State: console.OK, Text: "dev and preprod rebuilt in 4 min 12 s", More: "22 of 22 checks passed", URL: "/activity"},
			{At: before(15 * time.Hour), State: console.Muted, Icon: console.IconAsleep, Text: "Lights out in dev and preprod", More: "14 workloads, 3 database logins revoked", URL: "/activity"},
			{At: before(19 * time.Hour), State: console.OK, Text: "gateway 4.2.2: tag prod moved", URL: "/releases/gateway-4.2.2"},
		},
		HandledTotal: 31, HandledURL: "/activity?actor=system",
	}
}

func stop(name string, state console.State, word, detail string, took time.Duration) console.StageItem {
	return console.StageItem{Name: name, Badge: console.Badge{State: state, Word: word}, Detail: detail, Took: took}
}

func waitingRelease() *console.Release {
	approval := stop("approval", console.Attention, "waiting", "0 of 1", 0)
	approval.Gate, approval.Icon, approval.Since = true, console.IconWaiting, before(2*time.Hour+14*time.Minute)
	step := func(name, env string, ago, took time.Duration, detail string) console.Step {
		return console.Step{Name: name, Environment: env, Badge: console.Badge{State: console.OK, Word: "done"}, Started: before(ago), Took: took, Detail: detail}
	}
	return &console.Release{
		Layout: layout("affordability 1.8.1", "Services"),
		ID:     "affordability-1.8.1", Service: "affordability", ServiceURL: "/services/affordability", Version: "1.8.1",
		Commit: "4f1c9ab", CommitURL: "http://forge.test/acme/affordability/commit/4f1c9ab", Owner: "team-lending",
		Badge: console.Badge{State: console.Attention, Word: "waiting", Icon: console.IconWaiting}, Headline: "waits for approval to prod",
		Opened: before(3 * time.Hour), OpenedBy: "merge of #219 by @ana",
		Stages: []console.Stage{
			{Items: []console.StageItem{stop("build", console.OK, "built", "sha256:90c1…", 41*time.Second)}},
			{Items: []console.StageItem{stop("dev", console.OK, "healthy", "", 38*time.Second), stop("preprod", console.OK, "healthy", "", 44*time.Second)}},
			{Items: []console.StageItem{approval}},
			{Items: []console.StageItem{stop("prod", console.Muted, "not yet", "1.7.4 runs", 0)}},
		},
		Steps: []console.Step{
			step("build", "", 180*time.Minute, 41*time.Second, "commit 4f1c9ab, artifact sha256:90c1b4…"),
			step("start", "dev", 179*time.Minute, 1200*time.Millisecond, "pid 4312, port 41237"),
			step("observe health", "dev", 179*time.Minute, 36*time.Second, "GET http://127.0.0.1:41237/healthz answered 200"),
			step("start", "preprod", 179*time.Minute, 1400*time.Millisecond, "pid 4319, port 41240"),
			step("observe health", "preprod", 178*time.Minute, 42*time.Second, "GET http://127.0.0.1:41240/healthz answered 200"),
			{Name: "wait for approval", Badge: console.Badge{State: console.Attention, Word: "waiting", Icon: console.IconWaiting}, Started: before(2*time.Hour + 14*time.Minute), Detail: "team-lending is reminded at 14:00"},
			{Name: "start", Environment: "prod", Badge: console.Badge{State: console.Muted, Word: "not yet"}},
		},
		Forms: []console.Form{
			{ID: "approve", URL: "/releases/affordability-1.8.1/approve", Label: "Approve for prod", Kind: console.Primary, Explain: "Brings 6 changes to production in place of 1.7.4. If it is not healthy within 5 min, 1.7.4 comes back.", Comment: "Comment (optional)", Key: "k-1", CLI: "nightporter release approve affordability-1.8.1"},
			{ID: "reject", URL: "/releases/affordability-1.8.1/reject", Label: "Reject", Kind: console.Plain, Explain: "1.8.1 stays out of production. The next merge opens a new release.", Comment: "Why", CommentRequired: console.Required, Key: "k-2", CLI: "nightporter release reject affordability-1.8.1"},
			{ID: "rollback", URL: "/releases/affordability-1.8.1/rollback", Label: "Roll back", Kind: console.Danger, Explain: "Puts 1.7.4 back in dev and preprod.", Comment: "Why", CommentRequired: console.Required, Confirm: "affordability", Key: "k-3", CLI: "nightporter release rollback affordability-1.8.1"},
		},
		Changes: unshipped,
		Rule:    "1 of team-lending. Who wrote a change may approve what somebody else has reviewed.",
		CLI:     "nightporter release show affordability-1.8.1",
	}
}

func failedRelease() *console.Release {
	r := waitingRelease()
	r.Layout = layout("ledger 0.9.0", "Services")
	r.ID, r.Service, r.ServiceURL, r.Version, r.Owner = "ledger-0.9.0", "ledger", "/services/ledger", "0.9.0", "team-payments"
	r.Badge, r.Headline = console.Badge{State: console.Failed, Word: "rolled back", Icon: console.IconRolledBack}, "was rolled back in preprod"
	r.Opened, r.OpenedBy = before(5*time.Hour), "merge of #88 by @sam"
	r.Banner = &console.Notice{State: console.Failed, Title: "0.9.0 is marked bad.", Text: "It was not healthy in preprod and goes no further by itself. 0.8.9 runs there again. Retry deploys it once more, for a cause that was not the version's."}
	r.Stages = []console.Stage{
		{Items: []console.StageItem{stop("build", console.OK, "built", "sha256:1b7e…", 39*time.Second)}},
		{Items: []console.StageItem{stop("dev", console.OK, "healthy", "", 35*time.Second), {Name: "preprod", Badge: console.Badge{State: console.Failed, Word: "rolled back", Icon: console.IconRolledBack}, Detail: "0.8.9 runs again", Took: 5*time.Minute + 9*time.Second}}},
		{Items: []console.StageItem{{Name: "approval", Gate: true, Badge: console.Badge{State: console.Muted, Word: "not asked"}}}},
		{Items: []console.StageItem{stop("prod", console.Muted, "not yet", "0.8.8 runs", 0)}},
	}
	failed := console.Badge{State: console.Failed, Word: "failed"}
	r.Steps = append(r.Steps[:4:4],
		console.Step{Name: "observe health", Environment: "preprod", Badge: failed, Started: before(296 * time.Minute), Took: 5 * time.Minute, Attempts: 60, Detail: "GET http://127.0.0.1:41251/healthz: connection refused"},
		console.Step{Name: "roll back to 0.8.9", Environment: "preprod", Badge: console.Badge{State: console.OK, Word: "done"}, Started: before(291 * time.Minute), Took: 9 * time.Second, Detail: "GET http://127.0.0.1:41248/healthz answered 200"})
	r.Log = &console.Log{Title: "ledger 0.9.0 in preprod, last 20 lines", URL: "/releases/ledger-0.9.0/log?environment=preprod", Lines: []string{
		`07:12:58 INFO  starting ledger 0.9.0 commit=77ab01e`, `07:12:58 INFO  listening on 127.0.0.1:41251`, `07:12:58 INFO  connecting to database ledger-preprod`,
		`07:12:59 INFO  applying migration 0031_batch_entries`, `07:12:59 ERROR migration 0031_batch_entries: column "batch_id" of relation "entries" already exists`,
		`07:12:59 INFO  rolling migration back`, `07:12:59 WARN  retry 1 of 5 in 2s`, `07:13:01 INFO  applying migration 0031_batch_entries`,
		`07:13:01 ERROR migration 0031_batch_entries: column "batch_id" of relation "entries" already exists`, `07:13:01 WARN  retry 2 of 5 in 4s`,
		`07:13:05 INFO  applying migration 0031_batch_entries`, `07:13:05 ERROR migration 0031_batch_entries: column "batch_id" of relation "entries" already exists`,
		`07:13:05 WARN  retry 3 of 5 in 8s`, `07:13:13 INFO  applying migration 0031_batch_entries`, `07:13:13 ERROR migration 0031_batch_entries: column "batch_id" of relation "entries" already exists`,
		`07:13:13 WARN  retry 4 of 5 in 16s`, `07:13:29 INFO  applying migration 0031_batch_entries`, `07:13:29 ERROR migration 0031_batch_entries: column "batch_id" of relation "entries" already exists`,
		`07:13:29 FATAL giving up: <database> is not at version 31`, `exit status 1`,
	}}
	r.Forms = []console.Form{
		{ID: "retry", URL: "/releases/ledger-0.9.0/retry", Label: "Retry in preprod", Kind: console.Primary, Explain: "Deploys the same bytes again and watches /healthz for 5 min.", Comment: "What changed since (optional)", Key: "k-4", CLI: "nightporter release retry ledger-0.9.0"},
		{ID: "reject", URL: "/releases/ledger-0.9.0/reject", Label: "Give up on 0.9.0", Kind: console.Plain, Comment: "Why", CommentRequired: console.Required, Key: "k-5", CLI: "nightporter release reject ledger-0.9.0"},
	}
	r.Changes = rows()[1].Behind.Changes
	r.Rule = "1 of team-payments, once preprod is healthy."
	r.CLI = "nightporter release show ledger-0.9.0"
	return r
}

func doneRelease() *console.Release {
	r := waitingRelease()
	r.Badge, r.Headline = console.Badge{State: console.OK, Word: "in production"}, "is in production"
	r.Stages[2].Items[0] = console.StageItem{Name: "approval", Gate: true, Badge: console.Badge{State: console.OK, Word: "approved"}, Detail: "@tom", Took: 2 * time.Hour}
	r.Stages[3].Items[0] = stop("prod", console.OK, "healthy", "", 41*time.Second)
	r.Forms = nil
	r.Approvals = []console.Approval{{Who: "tom", Badge: console.Badge{State: console.OK, Word: "approved"}, Comment: "Checked the migration on a copy.", At: before(10 * time.Minute)}}
	r.Changes, r.ChangesNote = unshipped[:1], ""
	return r
}

func service() *console.Service {
	row := rows()[2]
	return &console.Service{
		Layout: layout("notifier", "Services"),
		Name:   "notifier", Description: "Sends text messages and e-mail", Owner: "team-payments", Repo: "github/notifier", RepoURL: "http://forge.test/acme/notifier",
		Badge: row.Status, Headline: "is 1 change ahead of production", Main: row.Main, Cells: row.Cells,
		Hold:   &console.Hold{By: "lee", Reason: "The SMS contract starts Thursday.", Since: before(25 * time.Hour)},
		Forms:  []console.Form{{ID: "lift", URL: "/services/notifier/hold/lift", Label: "Lift the hold", Kind: console.Plain, Explain: "2.4.0 then asks for its approval.", Key: "k-6", CLI: "nightporter release unhold notifier"}},
		Behind: row.Behind,
		Deploys: []console.Deploy{
			{Version: "2.4.0", URL: "/releases/notifier-2.4.0", Environment: "preprod", Badge: console.Badge{State: console.OK, Word: "healthy"}, At: before(26 * time.Hour), Took: 44 * time.Second, Changes: 1},
			{Version: "2.4.0", URL: "/releases/notifier-2.4.0", Environment: "dev", Badge: console.Badge{State: console.OK, Word: "healthy"}, At: before(26 * time.Hour), Took: 39 * time.Second, Changes: 1},
			{Version: "2.3.1", URL: "/releases/notifier-2.3.1", Environment: "prod", Badge: console.Badge{State: console.OK, Word: "healthy"}, By: "lee", At: before(9 * day), Took: 41 * time.Second, Changes: 3},
			{Version: "2.3.0", URL: "/releases/notifier-2.3.0", Environment: "prod", Badge: console.Badge{State: console.Failed, Word: "rolled back", Icon: console.IconRolledBack}, By: "lee", At: before(10 * day), Took: 312 * time.Second, Changes: 2},
		},
		Older:   "/services/notifier?after=4",
		Facts:   []console.Fact{{Label: "Health", Value: "/healthz within 5 min"}, {Label: "Deployed by", Value: "process"}, {Label: "Approval", Value: "1 of team-payments"}},
		Current: &console.Link{Text: "Open release 2.4.0", URL: "/releases/notifier-2.4.0"},
		CLI:     "nightporter service show notifier",
	}
}

func activity() *console.Activity {
	done := console.Badge{State: console.OK, Word: "done"}
	return &console.Activity{
		Layout: layout("Activity", "Activity"),
		Entries: []console.Entry{
			{Number: 88214, At: before(2 * time.Second), Who: "sam", Kind: nightporter.Person, Did: "release.approve", To: "release/affordability-1.8.1", ToURL: "/releases/affordability-1.8.1", Result: console.Badge{State: console.Failed, Word: "denied"}, Reason: "wrote #209 and nobody reviewed it", RequestID: "req-7f3a91", Remote: "10.2.0.14"},
			{Number: 88213, At: before(50 * time.Second), Who: "releases", Kind: nightporter.System, OnBehalfOf: "mia", Did: "release.deploy", To: "release/profiles-3.0.2 in dev", ToURL: "/releases/profiles-3.0.2", Result: done, RequestID: "req-7f3a88"},
			{Number: 88212, At: before(55 * time.Second), Who: "versions", Kind: nightporter.System, OnBehalfOf: "mia", Did: "version.cut", To: "repo/github/profiles 3.0.2", Result: done, RequestID: "req-7f3a88"},
			{Number: 88199, At: before(41 * time.Minute), Who: "ci-ledger", Kind: nightporter.Machine, Did: "artifact.announce", To: "service/ledger", ToURL: "/services/ledger", Result: done, RequestID: "req-7f2b10", Remote: "10.2.0.9"},
			{Number: 88102, At: before(2 * time.Hour), Who: "tom", Kind: nightporter.Person, Did: "release.approve", To: "release/profiles-3.0.1", ToURL: "/releases/profiles-3.0.1", Result: done, RequestID: "req-7e9914", Remote: "10.2.0.31"},
			{Number: 87990, At: before(25 * time.Hour), Who: "lee", Kind: nightporter.Person, Did: "service.hold", To: "service/notifier", ToURL: "/services/notifier", Result: done, RequestID: "req-7c0031", Remote: "10.2.0.20"},
		},
		Today: console.ActivityToday{Entries: 412, People: 9, Refused: 3},
		Chain: console.Chain{State: console.OK, Entries: 88214, Signed: 88210, SignedAt: before(time.Minute), CLI: "nightporter audit verify"},
		Older: "/activity?after=87990", CLI: "nightporter audit list --json",
	}
}

func entry() *console.EntryPage {
	return &console.EntryPage{
		Layout: layout("Entry 88102", "Activity"), Entry: activity().Entries[4],
		Facts:  []console.Fact{{Label: "Who", Value: "person tom", URL: "/activity?actor=tom"}, {Label: "Token", Value: "QX7PB2"}, {Label: "Policy", Value: "service-owner-team-lending"}},
		Detail: []console.Fact{{Label: "comment", Value: "Checked the migration on a copy."}, {Label: "environment", Value: "prod"}},
		Proof: console.Proof{
			State: console.OK, Text: "It is in the tree of 88,210 entries that was signed at 12:03.",
			Leaf: "0fMe0hLCw1xwmZrA4hYxVjhOnkxO2zn1H2jlU1y7KWs=", Hashes: []string{"KxCu5RPyzPgnOY0W3rM7m4n5mTzkMk4TkPXwrSfDnL8=", "wIqJPfvFqgJKxVyWcSxy4cBq2HrjE2cyAxUB1b2V9h0="}, Root: "n7C6J3rFyX0jNfLGKmQsvH7QpPpVV0iCkmW3Wj3T0JE=",
		},
		CLI: "nightporter audit proof 88102",
	}
}

func forbidden() *console.ErrorPage {
	return &console.ErrorPage{
		Layout: layout("Not allowed", ""), Code: nightporter.Denied, Status: 403,
		Headline: "You may not see this release", Message: "Your policies (viewer, team-payments) do not reach it.",
		Needs: "read on api/releases/affordability/prod", Grantors: []string{"kim", "olu"}, RequestID: "req-7f3a91",
		Back: &console.Link{Text: "Back to Home", URL: "/"},
	}
}

// stories is every page in every state that it has a face for.
func stories() map[string]console.Page {
	s := map[string]console.Page{
		"home-many": home(), "board-many": board(), "release-waiting": waitingRelease(), "release-failed": failedRelease(), "release-done": doneRelease(),
		"service-many": service(), "activity-many": activity(), "error-forbidden": forbidden(),
	}
	maps.Copy(s, secretStories())
	maps.Copy(s, environmentStories())
	maps.Copy(s, repoStories())
	maps.Copy(s, deliveryStories())
	maps.Copy(s, securityStories())
	unreachable := console.Notice{State: console.Unknown, Title: "The forge has not answered since 11:58.", Text: "What is on main may be newer than this page; deployments go on."}

	h := home()
	h.Needs, h.Handled, h.HandledTotal, h.Figures = nil, nil, 0, nil
	h.Calm = "Everything on main is in production."
	h.Rail[0].Count = 0
	s["home-empty"] = h
	h = home()
	h.Needs, h.Handled, h.HandledTotal = h.Needs[1:2], h.Handled[:1], 1
	h.Rail[0].Count = 1
	h.Needs[0].Snooze = &console.Form{ID: "snooze-1", URL: "/needs/affordability-1.8.1/snooze", Label: "Snooze", Kind: console.Plain, Comment: "Why", CommentRequired: console.Required, Key: "k-9"}
	s["home-one"] = h
	h = home()
	h.Notices = []console.Notice{unreachable}
	h.DemoClock = time.Date(2026, 11, 23, 20, 58, 0, 0, time.UTC)
	h.NextEvent = &console.NextEvent{Text: "dev, preprod go dark", At: h.DemoClock.Add(2 * time.Minute), URL: "/environments"}
	s["home-error"] = h

	s["board-empty"] = &console.Board{Layout: layout("Services", "Services")}
	b := board()
	b.Rows, b.Total, b.Filters, b.Summary = b.Rows[5:], 1, nil, console.BoardSummary{Services: 1}
	s["board-one"] = b
	b = board()
	b.Notices = []console.Notice{unreachable}
	for i := range b.Rows {
		for j := range b.Rows[i].Cells {
			c := &b.Rows[i].Cells[j]
			c.State, c.Word, c.Icon, c.Since = console.Unknown, "unknown", "", before(6*time.Minute)
		}
	}
	b.Environments[0].Badge = &console.Badge{State: console.Muted, Word: "asleep", Icon: console.IconAsleep}
	s["board-error"] = b
	b = board()
	b.Rows, b.Search, b.Query = nil, "ledgre", "ledgre"
	s["board-no-match"] = b

	r := waitingRelease()
	r.Forms, r.NotYou = nil, "You wrote #219, and nobody else reviewed it. @tom, @mia or @kim may approve."
	s["release-forbidden"] = r
	s["release-empty"] = &console.Release{
		Layout: layout("gateway 0.1.0", "Services"), ID: "gateway-0.1.0", Service: "gateway", ServiceURL: "/services/gateway", Version: "0.1.0", Commit: "00aa11b",
		Owner: "team-platform", Badge: console.Badge{State: console.Running, Word: "building"}, Headline: "is being built", Opened: before(4 * time.Second), OpenedBy: "first release",
		Stages: []console.Stage{
			{Items: []console.StageItem{{Name: "build", Badge: console.Badge{State: console.Running, Word: "building"}, Since: before(4 * time.Second)}}},
			{Items: []console.StageItem{stop("dev", console.Muted, "not yet", "", 0)}},
			{Items: []console.StageItem{stop("prod", console.Muted, "not yet", "", 0)}},
		},
		ChangesNote: "The first release: production runs nothing yet.",
	}

	v := service()
	v.Hold, v.Forms, v.Current, v.Deploys, v.Older, v.Facts, v.Behind = nil, nil, nil, nil, "", nil, console.Behind{Text: "never released"}
	v.Name, v.Headline, v.Badge, v.Main, v.Cells = "statements", "was never released", console.Badge{State: console.Muted, Word: "no version yet"}, console.MainCell{Unversioned: 3}, rows()[4].Cells
	s["service-empty"] = v
	v = service()
	v.Deploys, v.Older, v.Notices = v.Deploys[:1], "", []console.Notice{unreachable}
	s["service-one"] = v

	a := activity()
	a.Entries, a.Older, a.Chain, a.Today = nil, "", console.Chain{State: console.Unknown}, console.ActivityToday{}
	s["activity-empty"] = a
	a = activity()
	a.Entries, a.Filter, a.Older, a.Newer = a.Entries[4:5], console.ActivityFilter{Actor: "tom", Result: "done"}, "", "/activity?actor=tom"
	s["activity-one"] = a
	a = activity()
	a.Chain = console.Chain{State: console.Failed, Entries: 88000, Signed: 88210, SignedAt: before(time.Hour), Problem: "The last checkpoint covers 88,210 entries, the register holds 88,000.", CLI: "nightporter audit verify"}
	s["activity-error"] = a

	s["entry-signed"] = entry()
	e := entry()
	e.Proof, e.Detail = console.Proof{State: console.Unknown, Text: "No checkpoint covers it yet. One is signed within a minute of a change."}, nil
	s["entry-new"] = e

	s["error-not-found"] = &console.ErrorPage{Layout: layout("Not found", ""), Code: nightporter.NotFound, Status: 404, Headline: "There is no release ledger-9.9.9", Message: "It may never have been cut, or you may not see it.", Hint: "The board lists what there is.", Back: &console.Link{Text: "Open the board", URL: "/services"}, CLI: "nightporter release list", RequestID: "req-7f3a92"}
	s["error-sealed"] = &console.ErrorPage{Layout: console.Layout{Title: "Sealed", Now: noon}, Code: nightporter.Sealed, Status: 503, Headline: "The house is locked", Message: "The store is sealed: nothing is read, written, deployed or revoked until an operator unseals it.", CLI: "vault operator unseal", RequestID: "req-7f3a93"}
	s["error-internal"] = &console.ErrorPage{Layout: layout("Our fault", ""), Code: nightporter.Internal, Status: 500, Headline: "Something went wrong on our side", Message: "Nothing was changed. The cause is in the server's log under the request below.", RequestID: "req-7f3a94", Back: &console.Link{Text: "Try again", URL: "/services"}}

	s["signin-empty"] = &console.SignIn{Layout: console.Layout{Title: "Sign in", Now: noon}, URL: "/sign-in", Next: "/"}
	s["signin-error"] = &console.SignIn{Layout: console.Layout{Title: "Sign in", Now: noon}, URL: "/sign-in", Next: "/", Name: "ana", Problem: "Name and password do not match."}
	s["signin-code"] = &console.SignIn{Layout: console.Layout{Title: "Sign in", Now: noon}, CodeURL: "/sign-in/code", Next: "/", Code: "np-one-time"}
	return s
}

// themed sets the theme that the cookie would set.
func themed(p console.Page, theme string) console.Page {
	switch p := p.(type) {
	case *console.Home:
		p.Theme = theme
	case *console.Board:
		p.Theme = theme
	case *console.Release:
		p.Theme = theme
	case *console.Service:
		p.Theme = theme
	case *console.Activity:
		p.Theme = theme
	case *console.EntryPage:
		p.Theme = theme
	case *console.ErrorPage:
		p.Theme = theme
	case *console.SignIn:
		p.Theme = theme
	case *console.Secrets:
		p.Theme = theme
	case *console.LoginPage:
		p.Theme = theme
	case *console.IssuedLogin:
		p.Theme = theme
	case *console.Environments:
		p.Theme = theme
	case *console.EnvironmentPage:
		p.Theme = theme
	case *console.Repos:
		p.Theme = theme
	case *console.RepoPage:
		p.Theme = theme
	case *console.SecurityBoard:
		p.Theme = theme
	case *console.PosturePage:
		p.Theme = theme
	case *console.FindingsPage:
		p.Theme = theme
	case *console.FindingPage:
		p.Theme = theme
	case *console.RisksPage:
		p.Theme = theme
	case *console.PlanPage:
		p.Theme = theme
	}
	return p
}
