package console_test

import (
	"fmt"
	"time"

	"nightporter.dev/nightporter/web/console"
)

var (
	holdsBadge   = console.Badge{State: console.OK, Word: "holds"}
	differsBadge = console.Badge{State: console.Attention, Word: "differs"}
	exemptBadge  = console.Badge{State: console.Muted, Icon: console.IconHold, Word: "exempt until 31 Jan 2027"}
	unseenBadge  = console.Badge{State: console.Unknown, Word: "unknown"}
)

var ruleNames = []string{"merge methods", "wiki", "issues", "labels", "teams", "required reviews", "required checks", "up to date", "signed commits"}

func repoRow(name, owner string, b console.Badge, odd map[string]console.Badge) console.RepoRow {
	r := console.RepoRow{ID: "github-" + name, Name: "github/" + name, URL: "/repos/github/" + name, Owner: owner, Badge: b}
	for _, rule := range ruleNames {
		m := console.RuleMark{Rule: rule, Badge: holdsBadge, URL: r.URL + "#rule-" + rule}
		if b, ok := odd[rule]; ok {
			m.Badge = b
		}
		r.Marks = append(r.Marks, m)
	}
	return r
}

// reposLayout is around the pages about repositories.
func reposLayout(title string) console.Layout {
	l := layout(title, "")
	l.Rail = append(l.Rail, console.RailItem{Text: "Repos", URL: "/repos", Icon: console.IconRepos, Key: "r", Current: true})
	return l
}

func planForm() console.Form {
	return console.Form{
		ID: "plan-github", URL: "/repos/github/plan", Label: "Look now and plan", Kind: console.Plain, Key: "k-30",
		Explain: "Looks at every repository and shows what differs and what putting it right costs. It changes nothing.", CLI: "nightporter repo plan",
	}
}

func matrixPage() *console.Repos {
	odd := repoRow("base-chart", "", holdsBadge, nil)
	odd.Marks[6] = console.RuleMark{Rule: "required checks"}
	return &console.Repos{
		Layout: reposLayout("Repos"), Headline: "One of 6 repositories differs", Detail: []string{"1 may differ until a day", "1 cannot be seen whole", "github was looked at 22 min ago with 20 requests"},
		Filters: []console.Filter{{Text: "all", Count: 6, URL: "/repos", Current: true}, {Text: "differ", Count: 1, URL: "/repos?show=drift"}, {Text: "exempt", Count: 1, URL: "/repos?show=exempt"}, {Text: "not all seen", Count: 1, URL: "/repos?show=unknown"}},
		Rules:   ruleNames,
		Rows: []console.RepoRow{
			repoRow("affordability", "team-lending", holdsBadge, nil), odd,
			repoRow("ledger", "team-payments", console.Badge{State: console.Attention, Word: "2 rules differ"}, map[string]console.Badge{"labels": differsBadge, "merge methods": differsBadge}),
			repoRow("old-api", "team-payments", console.Badge{State: console.OK, Word: "holds, 1 exempt"}, map[string]console.Badge{"signed commits": exemptBadge}),
			repoRow("profiles", "team-lending", holdsBadge, nil),
			repoRow("statements", "team-mail", console.Badge{State: console.Unknown, Word: "3 rules not seen"}, map[string]console.Badge{"required reviews": unseenBadge, "up to date": unseenBadge, "signed commits": unseenBadge}),
		},
		From: 1, To: 6, Total: 6, Forms: []console.Form{planForm()}, CLI: "nightporter repo list --explain",
		Plans: []console.PlanRow{
			{ID: "plan_0660e05fb3da9", URL: "/repos/plans/plan_0660e05fb3da9", At: before(4 * time.Minute), What: "takes back plan_0660e05fb3da7", Cost: "12 changes in 7 write requests, about 7.0 s", Badge: console.Badge{State: console.Muted, Word: "not applied"}},
			{ID: "plan_0660e05fb3da8", URL: "/repos/plans/plan_0660e05fb3da8", At: before(time.Hour), What: "labels, wiki", Cost: "1 change in 1 write request, about 1.0 s", Badge: console.Badge{State: console.OK, Word: "applied"}},
			{ID: "plan_0660e05fb3da7", URL: "/repos/plans/plan_0660e05fb3da7", At: before(26 * time.Hour), What: "everything", Cost: "1,120 changes in 640 write requests, about 10 min 40 s", Badge: console.Badge{State: console.Running, Word: "812 of 1,120 made"}},
		},
	}
}

func driftRows() []console.RuleRow {
	return []console.RuleRow{
		{Rule: "merge_methods", Badge: differsBadge, Have: "merge, rebase, squash", Want: "squash", Since: before(2 * time.Hour), From: "profile strict-squash"},
		{Rule: "labels", Badge: differsBadge, Want: `major #b60205 "major change", minor #e8894a "minor change"`, By: "@mallory-gh", ByAt: before(2 * time.Hour), Since: before(2 * time.Hour), From: "profile strict-squash"},
	}
}

func repoPage() *console.RepoPage {
	return &console.RepoPage{
		Layout: reposLayout("github/ledger"), Name: "github/ledger", Headline: "differs in two rules", Badge: console.Badge{State: console.Attention, Word: "2 rules differ"}, Looked: before(22 * time.Minute),
		Rules: append(driftRows(),
			console.RuleRow{Rule: "wiki", Badge: holdsBadge, Have: "off", Want: "off", Since: before(30 * day), From: "profile strict-squash"},
			console.RuleRow{Rule: "teams", Badge: holdsBadge, Note: "also granted: contractors admin", Since: before(30 * day), From: "repos.standard"},
			console.RuleRow{Rule: "signed_commits", Badge: exemptBadge, Have: "off", Want: "on", Note: "a bot pushes (team-payments)", From: "profile strict-squash"},
			console.RuleRow{Rule: "required_reviews", Badge: unseenBadge, Note: "our token lacks administration=read", From: "profile strict-squash"}),
		History: []console.RuleChange{
			{At: before(2 * time.Hour), Rule: "labels", Badge: console.Badge{State: console.Attention, Word: "drifted"}, By: "@mallory-gh"},
			{At: before(2 * time.Hour), Rule: "merge methods", Badge: console.Badge{State: console.Attention, Word: "drifted"}, Have: "merge, rebase, squash"},
			{At: before(9 * day), Rule: "labels", Badge: console.Badge{State: console.OK, Word: "holds again"}},
		},
		Facts: []console.Fact{{Label: "Service", Value: "ledger", URL: "/services/ledger"}, {Label: "Owner", Value: "team-payments"}},
		Forms: []console.Form{{
			ID: "restore", URL: "/repos/github/ledger/plan", Label: "Restore…", Kind: console.Primary, Key: "k-31",
			Explain: "Looks at the forge, and shows what would be written to this repository. It changes nothing yet.", CLI: "nightporter repo apply --only ledger",
		}},
		CLI: "nightporter repo history github/ledger",
	}
}

func planPage() *console.PlanPage {
	return &console.PlanPage{
		Layout: reposLayout("Plan"), ID: "plan_0660e05fb3da9", Headline: "would make 4 changes in 3 write requests, about 3.0 s", Made: before(time.Minute),
		Badge: console.Badge{State: console.Attention, Word: "not applied", Icon: console.IconWaiting},
		Repos: []console.PlannedRepo{
			{ID: "ledger", Name: "ledger", URL: "/repos/github/ledger", Rules: driftRows()},
			{ID: "statements", Name: "statements", URL: "/repos/github/statements", Rules: []console.RuleRow{{Rule: "required_reviews", Badge: unseenBadge, Note: "our token lacks administration=read"}}},
		},
		Organisation: []console.PlannedLine{{Badge: console.Badge{State: console.Muted, Word: "not yet"}, Text: "set the organisation rules nightporter: 1 review, signed commits, up to date, checks nightporter/version@15368"}},
		From:         1, To: 2, Total: 2,
		Facts: []console.Fact{{Label: "Forge", Value: "github"}, {Label: "Kept to", Value: "everything"}, {Label: "Price", Value: "4 changes in 3 write requests, about 3.0 s"}, {Label: "Looking took", Value: "20 requests, 40 points"}},
		Forms: []console.Form{{
			ID: "apply", URL: "/repos/plans/plan_0660e05fb3da9/apply", Label: "Apply", Kind: console.Primary, Key: "k-32",
			Explain: "Looks once more, drops what is so already or was changed since, and makes the rest at one write a second.", CLI: "nightporter repo apply plan_0660e05fb3da9",
		}},
		CLI: "nightporter repo apply plan_0660e05fb3da9",
	}
}

// repoStories are the pages about repositories in every state.
func repoStories() map[string]console.Page {
	s := map[string]console.Page{"repos-many": matrixPage(), "repo-drift": repoPage(), "plan-new": planPage()}
	s["repos-empty"] = &console.Repos{Layout: reposLayout("Repos"), Headline: "No repository was looked at yet", Filters: matrixPage().Filters[:1], Forms: []console.Form{planForm()}}
	p := matrixPage()
	p.Headline, p.Detail, p.Rows, p.Filters, p.Plans, p.Total = "Every repository holds to the standard", []string{"github was looked at 22 min ago with 1 request"}, p.Rows[:1], p.Filters[:1], nil, 1
	s["repos-one"] = p
	p = matrixPage()
	p.Search, p.Rows, p.Total = "nothing", nil, 0
	s["repos-no-match"] = p
	p = matrixPage()
	p.Forms, p.Detail = nil, []string{"github could not be looked at: the forge does not answer"}
	p.Older, p.Total = "/repos?page=2", 1000
	s["repos-error"] = p

	r := repoPage()
	r.Headline, r.Badge, r.Forms, r.History, r.Rules = "holds to the standard", holdsBadge, nil, nil, r.Rules[2:4]
	s["repo-holds"] = r
	r = repoPage()
	r.Forms, r.NotYou = nil, "Your policies do not let you plan or apply. Operators may."
	r.Banner = &console.Notice{State: console.Unknown, Title: "What is shown may be old.", Text: "The forge does not answer."}
	s["repo-forbidden"] = r

	l := planPage()
	l.Forms, l.Headline, l.Badge = nil, "is being applied", console.Badge{State: console.Running, Word: "812 of 1,120 made"}
	l.Banner = &console.Notice{State: console.Attention, Title: "It waits.", Text: "The forge's quota is used up; goes on at 13:00:00 UTC."}
	done := console.Badge{State: console.OK, Word: "done"}
	l.Run = &console.RunView{Title: "Applying, steps 1 to 3 of 24", Started: before(9 * time.Minute), Steps: []console.Step{
		{Name: "look again", Badge: done, Started: before(9 * time.Minute), Took: 4 * time.Second, Detail: "1,120 writes to make"},
		{Name: "writes 1 to 50 of 1120", Badge: done, Started: before(9 * time.Minute), Took: 50 * time.Second, Detail: "50 made"},
		{Name: "writes 51 to 100 of 1120", Badge: console.Badge{State: console.Attention, Word: "waiting", Icon: console.IconWaiting}, Started: before(8 * time.Minute), Detail: "the forge's quota is used up; goes on at 13:00:00 UTC"},
	}}
	s["plan-waiting"] = l
	l = planPage()
	l.Headline, l.Badge = "was applied, and 1 write was refused", console.Badge{State: console.Failed, Word: "refused in part"}
	l.Refused = []console.PlannedLine{{Badge: console.Badge{State: console.Failed, Word: "refused"}, Text: "ledger: set merge_methods", Note: "the forge does not let us set up ledger: our token lacks administration=write"}}
	l.Forms = []console.Form{{ID: "undo", URL: "/repos/plans/p/undo", Label: "Undo…", Kind: console.Plain, Key: "k-33", Explain: "Shows what would take these changes back. What somebody changed since stays. It changes nothing yet.", CLI: "nightporter repo undo plan_0660e05fb3da9"}}
	s["plan-error"] = l
	s["plan-empty"] = &console.PlanPage{Layout: reposLayout("Plan"), ID: "plan_0660e05fb3dab", Headline: "finds nothing to change", Badge: console.Badge{State: console.OK, Word: "nothing to do"}, Made: before(time.Second), Facts: planPage().Facts[:2]}
	return s
}

// manyRepos is a page of the matrix as full as it gets.
func manyRepos(n int) *console.Repos {
	p := matrixPage()
	row := p.Rows[2]
	p.Rows, p.Total, p.To = nil, 1000, n
	for i := range n {
		row.Name, row.ID = fmt.Sprintf("github/ledger-%04d", i), fmt.Sprint("github-ledger-", i)
		p.Rows = append(p.Rows, row)
	}
	return p
}
