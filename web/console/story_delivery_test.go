package console_test

import (
	"time"

	"nightporter.dev/nightporter/web/console"
)

func doraPage() *console.DoraPage {
	ok, bad := console.Badge{State: console.OK, Word: "healthy"}, console.Badge{State: console.Failed, Word: "failed"}
	return &console.DoraPage{
		Layout: layout("affordability delivery", "Services"), Name: "affordability", Headline: "was deployed 2 times in 30d",
		Windows: []console.Link{{Text: "7d", URL: "/services/affordability/dora?window=7d"}, {Text: "30d"}, {Text: "90d", URL: "/services/affordability/dora?window=90d"}},
		Figures: []console.Figure{
			{Label: "Deployment frequency", Value: "0.07", Unit: "a day", Detail: "2 deployments", URL: "#deployments"},
			{Label: "Change lead time", Value: "3 h 20 min", Detail: "the median of 2 changes", URL: "#changes"},
			{Label: "Change fail rate", Value: "33", Unit: "%", Detail: "1 of 3 deployments", URL: "#deployments"},
			{Label: "Failed deployment recovery time", Value: "11 min", Detail: "the median of 1 failed deployment", URL: "#incidents"},
			{Label: "Deployment rework rate", Value: "–", Detail: "0 of 0 deployments", URL: "#deployments"},
		},
		Deployments: []console.DoraDeployment{
			{ID: "d3", Version: "1.8.0", URL: "/releases/r3", Environment: "prod", Badge: ok, Kind: "merge", At: before(2 * time.Hour)},
			{ID: "d2", Version: "1.7.9", URL: "/releases/r2", Environment: "prod", Badge: bad, Kind: "merge", At: before(27 * time.Hour)},
		},
		Changes:   []console.DoraChange{{Commit: "4f1c9ab", PullRequest: 219, Lead: 3*time.Hour + 20*time.Minute, At: before(2 * time.Hour)}, {Commit: "9e02c1d", Lead: 40 * time.Minute, At: before(27 * time.Hour)}},
		Incidents: []console.DoraIncident{{Title: "1.7.9 was not healthy in prod", Badge: console.Badge{State: console.OK, Word: "closed"}, At: before(27 * time.Hour), Took: 11 * time.Minute}},
		CLI:       "nightporter service dora affordability --window 30d",
	}
}

func freezesPage() *console.FreezesPage {
	return &console.FreezesPage{
		Layout: layout("Freezes", "Services"), Headline: "prod is frozen", CLI: "nightporter release freeze list",
		Rows: []console.FreezeRow{
			{Environment: "dev", URL: "/environments/dev", Kind: "development", Badge: console.Badge{State: console.OK, Word: "open"}, Forms: []console.Form{{
				ID: "freeze-dev", URL: "/freezes/dev/freeze", Label: "Freeze dev", Kind: console.Plain, Key: "k-50", Comment: "Why", CommentRequired: console.Required,
				Explain: "No deployment to dev starts until then. A rollback is still possible.", CLI: `nightporter release freeze dev --until 2h --reason "…"`,
				Until: &console.Until{Label: "Until (Europe/London)", Value: "2026-11-23T14:00", Min: "2026-11-23T12:04", Max: "2027-02-23T12:04"},
			}}},
			{Environment: "prod", URL: "/environments/prod", Kind: "production", Badge: console.Badge{State: console.Attention, Word: "frozen", Icon: console.IconHold}, Freezes: []console.FreezeLine{
				{InForce: true, From: "Mon 23 Nov 10:00", Until: "Mon 23 Nov 18:00 GMT", By: "@olu", Reason: "load test"},
				{From: "Wed 23 Dec 18:00", Until: "Mon 4 Jan 08:00 GMT", By: "the configuration", Reason: "holidays"},
			}, Forms: []console.Form{{
				ID: "unfreeze-prod", URL: "/freezes/prod/unfreeze", Label: "End the freeze", Kind: console.Plain, Key: "k-51", Explain: "What waits then goes on by itself.", CLI: "nightporter release unfreeze prod",
			}}},
		},
	}
}

func deliveryStories() map[string]console.Page {
	empty := doraPage()
	empty.Headline, empty.Deployments, empty.Changes, empty.Incidents = "was deployed 0 times in 30d", nil, nil, nil
	for i := range empty.Figures {
		empty.Figures[i].Value, empty.Figures[i].Unit = "–", ""
	}
	none := freezesPage()
	none.Headline, none.Rows = "Nothing is frozen", nil
	return map[string]console.Page{"dora-many": doraPage(), "dora-empty": empty, "freezes-many": freezesPage(), "freezes-empty": none}
}
