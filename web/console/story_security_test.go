package console_test

import (
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/web/console"
)

func securityLayout(title string) console.Layout {
	l := layout(title, "")
	l.Rail = append(l.Rail, console.RailItem{Text: "Security", URL: "/security", Icon: console.IconSecurity, Key: "y", Current: true})
	return l
}

func postureRow(service, owner string, letters ...console.Badge) console.PostureRow {
	r := console.PostureRow{Service: service, URL: "/security/services/" + service, Owner: owner}
	for i, pillar := range []string{"confidentiality", "integrity", "availability", "misuse"} {
		r.Marks = append(r.Marks, console.PillarMark{Badge: letters[i], Pillar: pillar, URL: r.URL + "#" + pillar, Fresh: "4 of 6 proven"})
	}
	return r
}

var (
	letterA = console.Badge{State: console.OK, Word: "A"}
	letterC = console.Badge{State: console.Attention, Word: "C"}
	letterE = console.Badge{State: console.Failed, Word: "E"}
	noProof = console.Badge{State: console.Unknown, Word: "not all proven"}
)

func findingRows() []console.FindingRow {
	return []console.FindingRow{
		{ID: "fnd_1", URL: "/security/findings/fnd_1", Title: "A database password in the repository", Where: "config/app.yaml in 3efba60", Service: "ledger", Owner: "team-payments", Severity: console.Badge{State: console.Failed, Word: "critical"}, State: console.Badge{State: console.Failed, Word: "open"}, Due: before(2 * time.Hour), Overdue: true},
		{ID: "fnd_2", URL: "/security/findings/fnd_2", Title: "A long random text", Where: "test/data/keys_of_a_very_long_name_that_goes_on.json in 99c1d2a", Service: "github/old-api", Severity: console.Badge{State: console.Muted, Word: "low"}, State: console.Badge{State: console.Unknown, Word: "to be looked at"}, Due: noon.Add(80 * day)},
	}
}

func securityBoard() *console.SecurityBoard {
	return &console.SecurityBoard{
		Layout: securityLayout("Security"), Headline: "2 of 3 services fail a check", Detail: []string{"2 findings open", "1 overdue", "1 risk waits for an approval"},
		Pillars: []string{"confidentiality", "integrity", "availability", "misuse"}, Total: 2, Risks: 1, CLI: "nightporter security posture",
		Rows: []console.PostureRow{
			postureRow("ledger", "team-payments", letterE, noProof, letterA, letterA), postureRow("gateway", "team-payments", noProof, letterC, noProof, console.Badge{State: console.Muted, Word: "n.a."}),
			postureRow("statements", "team-mail", letterA, letterA, letterA, letterA),
		},
		Findings: findingRows(),
	}
}

func posturePage() *console.PosturePage {
	check := func(id string, b console.Badge, claim, proof string) console.PostureCheck {
		return console.PostureCheck{ID: id, Claim: claim, Badge: b, Proof: proof, Event: "DrillPassed run_3", At: before(3 * time.Hour), Fresh: "7d", URL: "/environments/dev", CLI: "nightporter env runs dev"}
	}
	pass, fail := console.Badge{State: console.OK, Word: "pass"}, console.Badge{State: console.Failed, Word: "fail"}
	leak := check("C1", fail, "No live static credential is in the history of the repository", "a database password in the repository (config/app.yaml in 3efba60)")
	leak.Severity = nightporter.Critical
	return &console.PosturePage{
		Layout: securityLayout("ledger, security"), Service: "ledger", URL: "/services/ledger", Owner: "team-payments", Headline: "fails 1 check; 2 cannot be proven", CLI: "nightporter security posture ledger",
		Pillars: []console.PostureSection{
			{ID: "confidentiality", Title: "confidentiality", Badge: letterE, Fresh: "2 of 3 proven", Checks: []console.PostureCheck{leak, check("C3", pass, "Every lease is within its maximum, and no revocation is overdue", "3 live leases of database/ledger, none overdue")}},
			{ID: "availability", Title: "availability", Badge: noProof, Fresh: "1 of 3 proven", Checks: []console.PostureCheck{
				check("A1", console.Badge{State: console.Attention, Word: "stale"}, "An environment of it was rebuilt from code, in time", "dev was rebuilt from nothing in 6m0s"),
				{ID: "A3", Claim: "A backup was restored and compared", Badge: console.Badge{State: console.Unknown, Word: "unknown"}, Proof: "no restore has been rehearsed", Fresh: "30d", CLI: "nightporter security posture ledger"},
				{ID: "M2", Claim: "Nothing is alive in the dark", Badge: console.Badge{State: console.Muted, Word: "n.a."}, Proof: "prod does not sleep", CLI: "nightporter env status prod"},
			}},
		},
	}
}

func findingPage() *console.FindingPage {
	return &console.FindingPage{
		Layout: securityLayout("A database password"), Title: "A database password in the repository", Headline: "was due 10:00", Badge: console.Badge{State: console.Failed, Word: "open"},
		Severity: console.Badge{State: console.Failed, Word: "critical"}, CLI: "nightporter security finding show fnd_1",
		Facts: []console.Fact{{Label: "Where", Value: "config/app.yaml in 3efba60"}, {Label: "Service", Value: "ledger", URL: "/security/services/ledger"}, {Label: "Owner", Value: "team-payments"}},
		Forms: []console.Form{
			{ID: "triage", URL: "/security/findings/fnd_1/triage", Label: "It is real", Kind: console.Primary, Key: "k-50", Explain: "Says that somebody looked. It stays due, and only a new test closes it.", Comment: "What did you see? (optional)", CLI: "nightporter security finding triage fnd_1"},
			{ID: "accept", URL: "/security/findings/fnd_1/accept", Label: "Accept until…", Kind: console.Plain, Key: "k-51", Explain: "You live with it until then. It opens by itself on that day.", Comment: "Why", CommentRequired: console.Required, Until: &console.Until{Label: "Until (UTC)", Value: "2026-12-20T12:00", Min: "2026-11-20T12:00", Max: "2027-11-20T12:00"}},
		},
	}
}

func risksPage() *console.RisksPage {
	return &console.RisksPage{
		Layout: securityLayout("Risks"), Headline: "1 risk waits for an approval", CLI: `nightporter security risk add --title "…" --asset ledger`,
		Filters: []console.Filter{{Text: "standing", Count: 2, URL: "/security/risks", Current: true}, {Text: "open", Count: 1, URL: "/security/risks?state=open"}, {Text: "closed", URL: "/security/risks?state=closed"}},
		Rows: []console.RiskRow{
			{ID: "rsk_1", Title: "One person knows the payment provider", Score: 12, Badge: console.Badge{State: console.Attention, Word: "open", Icon: console.IconWaiting}, Meta: []string{"ledger", "availability", "likelihood 3 × impact 4", "reduce", "owned by team-payments", "review 31 Mar 2027"}, Plan: "Pair on it", Note: "its review was due on 2026-11-01", Findings: []console.Link{{Text: "fnd_1", URL: "/security/findings/fnd_1"}}, Forms: []console.Form{{ID: "approve-rsk_1", URL: "/security/risks/rsk_1/approve", Label: "Approve…", Kind: console.Plain, Key: "k-52", Explain: "Agrees to what is done about it, until its review.", CLI: "nightporter security risk approve rsk_1"}}},
			{ID: "rsk_2", Title: "The office is flooded", Score: 5, Badge: console.Badge{State: console.OK, Word: "approved"}, Meta: []string{"the office", "availability", "approved by ana"}, NotYou: "You own it: somebody else approves it."},
		},
	}
}

// securityStories are the pages about security in every state.
func securityStories() map[string]console.Page {
	s := map[string]console.Page{
		"security-many": securityBoard(), "posture-fails": posturePage(), "finding-open": findingPage(), "risks-many": risksPage(),
		"findings-many": &console.FindingsPage{
			Layout: securityLayout("Findings"), Headline: "1 finding is overdue", Rows: findingRows(), Older: "/security/findings?after=1~fnd_2", CLI: "nightporter security findings",
			Filters: []console.Filter{{Text: "open", Count: 2, URL: "/security/findings?state=standing", Current: true}, {Text: "fixed", Count: 1, URL: "/security/findings?state=fixed"}},
		},
		"security-empty": &console.SecurityBoard{Layout: securityLayout("Security"), Headline: "No services yet"},
		"findings-empty": &console.FindingsPage{Layout: securityLayout("Findings"), Headline: "Nothing is open", Filters: []console.Filter{{Text: "open", URL: "/security/findings?state=standing", Current: true}}},
		"risks-empty":    &console.RisksPage{Layout: securityLayout("Risks"), Headline: "No risk is written down", CLI: "nightporter security risk add"},
	}
	f := findingPage()
	f.Forms, f.NotYou, f.Headline, f.Badge = nil, "team-payments decides about it.", "is gone", console.Badge{State: console.OK, Word: "fixed"}
	f.Banner = &console.Notice{State: console.OK, Title: "Fixed 11:00.", Text: "the login was refused"}
	s["finding-fixed"] = f
	return s
}
