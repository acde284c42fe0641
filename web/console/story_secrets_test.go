package console_test

import (
	"fmt"
	"time"

	"nightporter.dev/nightporter/web/console"
)

func loginRow(username, db, role, owner, environment string, b console.Badge, issued, left time.Duration) console.LoginRow {
	r := console.LoginRow{
		Username: username, URL: "/secrets/logins/database/creds/" + role + "/7QX4M2", Database: db, Role: role, Owner: owner, Environment: environment,
		Badge: b, Issued: before(issued), Expires: noon.Add(left),
	}
	if left > 0 {
		r.Left = int(100 * left / (issued + left))
	}
	return r
}

var (
	liveBadge   = console.Badge{State: console.OK, Word: "live"}
	soonBadge   = console.Badge{State: console.Attention, Word: "ends soon", Icon: console.IconWaiting}
	endingBadge = console.Badge{State: console.Running, Word: "ending"}
	stuckBadge  = console.Badge{State: console.Failed, Word: "does not end"}
)

func ownLoginForm(db string) *console.Form {
	return &console.Form{
		ID: "login-to-" + db, URL: "/secrets/login/database/" + db, Label: "Log in as yourself", Kind: console.Plain,
		Explain: "Makes a login in your name, for an hour at most. The password is shown once, and the login ends with your session here.",
		CLI:     "nightporter secret login " + db,
	}
}

func secretsPage() *console.Secrets {
	return &console.Secrets{
		Layout: layout("Secrets", "Secrets"), Headline: "Six logins are out", Detail: []string{"1 is being ended", "the next ends at 12:09"},
		Logins: []console.LoginRow{
			loginRow("v-token-ledger-qF2k8Lw0aZ-1795369471", "database/ledger-preprod", "ledger", "ledger", "preprod", endingBadge, time.Hour, -time.Minute),
			loginRow("v-token-reports-m3Tz71xQeB-1795366171", "database/ledger", "reports", "nightly-report", "", soonBadge, 55*time.Minute, 5*time.Minute),
			loginRow("v-token-ledger-8sHd02PqRa-1795367971", "database/ledger", "ledger", "ledger", "", liveBadge, 25*time.Minute, 35*time.Minute),
			loginRow("v-token-afford-Zk19cXw2Vm-1795368571", "database/affordability-dev", "affordability", "affordability", "dev", liveBadge, 15*time.Minute, 45*time.Minute),
			loginRow("v-token-afford-b7Qn40LsTe-1795368871", "database/affordability", "affordability", "affordability", "", liveBadge, 10*time.Minute, 50*time.Minute),
			func() console.LoginRow {
				r := loginRow("v-token-ana-x0m8n36ganmh-1795369171", "database/affordability-dev", "", "ana", "dev", liveBadge, 5*time.Minute, 55*time.Minute)
				return r
			}(),
			loginRow("v-token-profile-Yw51bDg8Kj-1795357471", "database/profiles", "profiles", "profiles", "", liveBadge, 2*time.Hour, 9*time.Hour),
		},
		From: 1, To: 7, Total: 7,
		Filter: console.SecretsFilter{Environments: []string{"dev", "preprod"}, Databases: []string{"database/affordability", "database/affordability-dev", "database/ledger", "database/ledger-preprod", "database/profiles"}},
		Databases: []console.DatabaseRow{
			{Name: "database/affordability", Kind: "PostgreSQL", Badge: console.Badge{State: console.OK, Word: "answers"}, Counted: true, Logins: 1, Compared: before(22 * time.Minute)},
			{Name: "database/affordability-dev", Kind: "PostgreSQL", Environment: "dev", Badge: console.Badge{State: console.OK, Word: "answers"}, Counted: true, Logins: 2, Findings: 1, Compared: before(22 * time.Minute), Form: ownLoginForm("affordability-dev")},
			{Name: "database/ledger", Kind: "PostgreSQL", Badge: console.Badge{State: console.OK, Word: "answers"}, Counted: true, Logins: 2, Compared: before(22 * time.Minute), Form: ownLoginForm("ledger")},
			{Name: "database/ledger-preprod", Kind: "PostgreSQL", Environment: "preprod", Badge: console.Badge{State: console.Muted, Icon: console.IconAsleep, Word: "dark"}, Counted: true, Ending: 1, Compared: before(3 * time.Hour)},
			{Name: "database/profiles", Kind: "MySQL", Badge: console.Badge{State: console.Unknown, Word: "not asked lately"}, Counted: true, Logins: 1},
		},
		CLI: "nightporter secret lease list",
	}
}

func loginPage() *console.LoginPage {
	return &console.LoginPage{
		Layout: layout("v-token-reports-m3Tz71xQeB-1795366171", "Secrets"), Username: "v-token-reports-m3Tz71xQeB-1795366171",
		Headline: "can log in to database/ledger until 12:09", Badge: soonBadge,
		Facts: []console.Fact{
			{Label: "Held by", Value: "nightly-report"},
			{Label: "Database", Value: "database/ledger"},
			{Label: "Role", Value: "reports"},
			{Label: "Asked for at", Value: "database/creds/reports"},
		},
		Moments: []console.Moment{
			{Badge: console.Badge{State: console.Muted, Word: "asked for"}, Text: "by nightly-report", At: before(55 * time.Minute), URL: "/activity/88140"},
			{Badge: console.Badge{State: console.Attention, Word: "ends", Icon: console.IconWaiting}, Text: "by itself at 12:09"},
		},
		Sessions: []console.SessionRow{
			{ID: "4121", Client: "10.2.0.31", Program: "nightly-report", Database: "ledger", State: "active", Since: before(54 * time.Minute)},
			{ID: "4198", Client: "10.2.0.31", Program: "psql", Database: "ledger", State: "idle", Since: before(8 * time.Minute)},
		},
		Forms: []console.Form{{
			ID: "revoke", URL: "/secrets/revoke/database/creds/reports/7QX4M2", Label: "Revoke", Kind: console.Danger, Key: "k-11", Comment: "Why (optional)", Confirm: "ledger",
			Explain: "nightly-report loses access to database/ledger as v-token-reports-m3Tz71xQeB-1795366171. It has 2 sessions open, which end with it.",
			CLI:     "nightporter secret lease revoke database/creds/reports/7QX4M2",
		}},
		Tree: []console.Branch{{
			Text: "nightly-report", Sub: "token by approle", Badge: liveBadge, Expires: noon.Add(7 * time.Hour),
			Children: []console.Branch{
				{Text: "nightly-report", Sub: "token by token", Badge: liveBadge, Expires: noon.Add(2 * time.Hour), Children: []console.Branch{
					{Text: "database/creds/reports", Sub: "login of nightly-report", Badge: soonBadge, Expires: noon.Add(5 * time.Minute), URL: "/secrets/logins/a", Here: true},
					{Text: "database/creds/reports", Sub: "login of nightly-report", Badge: endingBadge, Expires: before(time.Minute), URL: "/secrets/logins/b"},
				}},
				{Text: "database/creds/ledger-read", Sub: "login of nightly-report", Badge: liveBadge, Expires: noon.Add(40 * time.Minute), URL: "/secrets/logins/c"},
			},
			More: 3,
		}},
		CLI: "nightporter secret lease list --username v-token-reports-m3Tz71xQeB-1795366171",
	}
}

// secretStories are the pages about secrets in every state.
func secretStories() map[string]console.Page {
	s := map[string]console.Page{"secrets-many": secretsPage(), "login-live": loginPage()}
	p := &console.Secrets{Layout: layout("Secrets", "Secrets"), Headline: "Nobody holds a login now", Hint: "nightporter secret db add NAME --plugin postgresql …"}
	s["secrets-empty"] = p

	p = secretsPage()
	p.Headline, p.Detail, p.Logins, p.From, p.To, p.Total = "One login is out", []string{"the next ends at 12:39"}, p.Logins[2:3], 1, 1, 1
	p.Databases, p.Filter.Environments = p.Databases[2:3], nil
	s["secrets-one"] = p

	p = secretsPage()
	p.Headline, p.Detail = "Two logins should be gone and are not", []string{"6 logins are out", "the next ends at 12:09"}
	for i := range 2 {
		p.Logins[i].Badge, p.Logins[i].Note, p.Logins[i].Left = stuckBadge, "the database does not answer: connection refused", 0
	}
	p.Logins[1].Owner, p.Logins[1].Role, p.Logins[1].Expires = "", "ledger", time.Time{}
	p.Databases[3].Badge, p.Databases[3].Note = console.Badge{State: console.Failed, Word: "does not answer"}, "the database does not answer: connection refused"
	p.Older, p.Total = "/secrets?page=2", 57
	s["secrets-error"] = p

	// What a developer sees: their own, and where they may log in.
	p = secretsPage()
	p.Headline, p.Detail, p.CLI, p.Filter = "You hold or look after one login", []string{"the next ends at 12:59"}, "", console.SecretsFilter{}
	p.Logins, p.From, p.To, p.Total = p.Logins[5:6], 1, 1, 1
	p.Databases = []console.DatabaseRow{{Name: "database/affordability-dev", Kind: "PostgreSQL", Environment: "dev", Badge: console.Badge{State: console.OK, Word: "answers"}, Form: ownLoginForm("affordability-dev")}}
	s["secrets-forbidden"] = p

	p = secretsPage()
	p.Logins, p.Total, p.From, p.To, p.Headline, p.Detail = nil, 0, 0, 0, "Nobody has such a login", nil
	p.Filter.Owner = "nobody"
	s["secrets-no-match"] = p

	l := loginPage()
	l.Headline, l.Badge, l.Forms, l.Sessions = "is being ended", endingBadge, nil, nil
	l.SessionsNote = "The database has no session of it now."
	l.Notices = []console.Notice{{State: console.Running, Title: "Revoked.", Text: "It is being taken away. The page says when the database has confirmed that it is gone."}}
	revoked := console.Moment{Badge: console.Badge{State: console.Attention, Word: "revoked"}, Text: "by kim", At: before(2 * time.Second), URL: "/activity/88214"}
	l.Moments = []console.Moment{l.Moments[0], revoked, {Badge: console.Badge{State: console.Running, Word: "ending…"}, Text: "the database has not confirmed it yet", At: before(2 * time.Second)}}
	s["login-ending"] = l

	l = loginPage()
	l.Headline, l.Badge, l.Forms, l.Sessions, l.Tree, l.CLI = "is gone, confirmed by the database at 12:04", console.Badge{State: console.OK, Word: "gone"}, nil, nil, nil, ""
	l.Moments = []console.Moment{l.Moments[0], revoked, {Badge: console.Badge{State: console.OK, Word: "gone"}, Text: "confirmed by the database", At: before(time.Second), URL: "/activity/88215"}}
	s["login-gone"] = l

	l = loginPage()
	l.Headline, l.Badge, l.Forms, l.Sessions, l.Tree = "should be gone and is not", stuckBadge, nil, nil, nil
	l.SessionsNote = "Not known: the database did not answer in 2s."
	l.Moments = []console.Moment{l.Moments[0], revoked, {Badge: stuckBadge, Text: "the database does not answer: connection refused. It is tried again until it is gone", At: before(9 * time.Minute)}}
	s["login-error"] = l

	s["login-issued"] = &console.IssuedLogin{
		Layout: func() console.Layout { l := layout("Your login", "Secrets"); l.Live = false; return l }(), Database: "database/ledger",
		Username: "v-token-ana-x0m8n36ganmh-1795369171", Password: "3VfF1y1jbzomFfeGc-tm", Address: "db.acme.test:5432/ledger",
		Command: "psql postgresql://v-token-ana-x0m8n36ganmh-1795369171@db.acme.test:5432/ledger", Ends: noon.Add(time.Hour), Session: noon.Add(30 * time.Minute),
		URL: "/secrets/logins/database/login/ledger/7QX4M2", CLI: "nightporter secret lease revoke database/login/ledger/7QX4M2",
	}
	return s
}

// manyLogins is a page of the list as full as it gets.
func manyLogins(n int) *console.Secrets {
	p := secretsPage()
	row := p.Logins[2]
	p.Logins, p.Total, p.To = nil, 20_000, n
	for i := range n {
		row.Username = fmt.Sprintf("v-token-ledger-%010d-1795367971", i)
		p.Logins = append(p.Logins, row)
	}
	return p
}
