package console

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/repos"
	"nightporter.dev/nightporter/repos/standard"
)

const (
	reposPerPage  = 50
	shownPlans    = 6
	shownHistory  = 100
	shownDrifted  = 8
	planForMinute = 2 * time.Minute // a survey of thousands takes a while
)

// repoRoutes are the pages about repositories, and what can be done to them. A
// form that plans looks at the forge first, and leads to the plan.
func (c *Console) repoRoutes() []httpapi.Route {
	if c.cfg.Repos == nil {
		return nil
	}
	look := func(pattern string, action httpapi.Action, p page) httpapi.Route {
		return httpapi.Route{
			Method: http.MethodGet, Pattern: pattern, Action: action, Handler: c.show(p), Credential: httpapi.TokenOrSession, LogLevel: slog.LevelDebug,
		}
	}
	act := func(pattern string, of func(r *http.Request) (nightporter.Action, nightporter.Resource), do func(r *http.Request) (path, said string, err error)) httpapi.Route {
		return httpapi.Route{
			Method: http.MethodPost, Pattern: pattern, Credential: httpapi.TokenOrSession, MaxBody: maxForm, Timeout: planForMinute,
			Action: httpapi.DoesWhat(func(r *http.Request) (nightporter.Action, nightporter.Resource, error) {
				action, resource := of(r)
				return action, resource, takeKey(r)
			}),
			Handler: func(w http.ResponseWriter, r *http.Request) error {
				path, said, err := do(r)
				if err != nil {
					return err
				}
				c.done(w, r, path, said)
				return nil
			},
		}
	}
	planning := func(*http.Request) (nightporter.Action, nightporter.Resource) {
		return planAction(), nightporter.Resource{Kind: "plan"}
	}
	onPlan := func(verb string) func(r *http.Request) (nightporter.Action, nightporter.Resource) {
		return func(r *http.Request) (nightporter.Action, nightporter.Resource) {
			id := r.PathValue("id")
			return onPlanAction(id, verb), nightporter.Resource{Kind: "plan", ID: id}
		}
	}
	plan := func(r *http.Request, only string) (path, said string, err error) {
		p, err := c.cfg.Repos.Plan(r.Context(), r.PathValue("forge"), only)
		if err != nil {
			return "", "", err
		}
		return planURL(p.ID), "plan", nil
	}
	return []httpapi.Route{
		look("/repos", httpapi.Does("repo.list", nightporter.List, "api/repos"), page{c.matrix, matrixTwin}),
		look("/repos/{forge}/{name}", httpapi.DoesTo("repo.history", nightporter.Read, "api/repos/{forge}/{name}/history", "repo", "name"), page{c.repo, repoTwin}),
		look("/repos/plans/{id}", httpapi.DoesTo("repo.plan.read", nightporter.Read, "api/repos/plans/{id}", "plan", "id"), page{c.plan, planTwin}),
		act("/repos/{forge}/plan", planning, func(r *http.Request) (string, string, error) { return plan(r, "") }),
		act("/repos/{forge}/{name}/plan", planning, func(r *http.Request) (string, string, error) { return plan(r, r.PathValue("name")) }),
		act("/repos/plans/{id}/apply", onPlan("apply"), func(r *http.Request) (string, string, error) {
			_, err := c.cfg.Repos.Apply(r.Context(), r.PathValue("id"))
			return planURL(r.PathValue("id")), "plan-apply", err
		}),
		act("/repos/plans/{id}/undo", onPlan("undo"), func(r *http.Request) (string, string, error) {
			p, err := c.cfg.Repos.Undo(r.Context(), r.PathValue("id"))
			if err != nil {
				return "", "", err
			}
			return planURL(p.ID), "plan-undo", nil
		}),
	}
}

func planAction() nightporter.Action {
	return nightporter.Action{Name: "repo.plan", Capability: nightporter.Update, Path: "api/repos/plan"}
}

func onPlanAction(id, verb string) nightporter.Action {
	return nightporter.Action{Name: "repo." + verb, Capability: nightporter.Update, Path: "api/repos/plans/" + id + "/" + verb}
}

func planURL(id string) string { return "/repos/plans/" + url.PathEscape(id) }

func repoURL(r nightporter.Repo) string {
	return "/repos/" + url.PathEscape(r.Forge) + "/" + url.PathEscape(r.Name)
}

// fitID makes an id of a name.
func fitID(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, name)
}

func matrixTwin(ctx context.Context, v *visit) (any, error) {
	rows, err := repos.Rows(ctx, v.tx)
	return httpapi.List[repos.Row]{Items: rows}, err
}

func repoTwin(ctx context.Context, v *visit) (any, error) {
	rows, err := repos.RowsOf(ctx, v.tx, []nightporter.Repo{repoOf(v.r)})
	if err == nil && len(rows) == 0 {
		return nil, noRepo(repoOf(v.r))
	}
	if err != nil {
		return nil, err
	}
	return rows[0], nil
}

func planTwin(ctx context.Context, v *visit) (any, error) {
	return repos.GetPlan(ctx, v.tx, v.r.PathValue("id"))
}

func repoOf(r *http.Request) nightporter.Repo {
	return nightporter.Repo{Forge: r.PathValue("forge"), Name: r.PathValue("name")}
}

func noRepo(repo nightporter.Repo) error {
	return nightporter.E(nightporter.NotFound, "nothing is known of the repository %s", repo).WithHint("it may be archived, a fork, skipped, or not looked at yet")
}

// matrix answers GET /repos.
func (c *Console) matrix(ctx context.Context, v *visit) (Page, error) {
	q := v.r.URL.Query()
	number, err := strconv.Atoi(cmp.Or(q.Get("page"), "1"))
	if err != nil || number < 1 || number > 1_000_000 {
		return nil, nightporter.E(nightporter.Invalid, "page is not a page of this list")
	}
	l, err := v.layout(ctx, "Repos", "Repos")
	if err != nil {
		return nil, err
	}
	p := &Repos{Layout: l, Search: q.Get("q"), CLI: "nightporter repo list --explain"}
	standings, err := repos.Standings(ctx, v.tx)
	if err != nil {
		return nil, err
	}
	show, counts := q.Get("show"), map[string]int{}
	var shown []nightporter.Repo
	for _, s := range standings {
		counts[""]++
		for _, state := range []standard.State{standard.Drift, standard.Exempt, standard.Unknown} {
			if s.Counts[state] > 0 {
				counts[string(state)]++
			}
		}
		if strings.Contains(strings.ToLower(s.Repo.String()), strings.ToLower(p.Search)) && (show == "" || s.Counts[standard.State(show)] > 0) {
			shown = append(shown, s.Repo)
		}
	}
	address := func(show string, number int) string {
		values := url.Values{}
		for name, value := range map[string]string{"show": show, "q": p.Search} {
			if value != "" {
				values.Set(name, value)
			}
		}
		if number > 1 {
			values.Set("page", strconv.Itoa(number))
		}
		if len(values) == 0 {
			return "/repos"
		}
		return "/repos?" + values.Encode()
	}
	for _, f := range []struct{ show, text string }{{"", "all"}, {"drift", "differ"}, {"exempt", "exempt"}, {"unknown", "not all seen"}} {
		if f.show == "" || counts[f.show] > 0 || show == f.show {
			p.Filters = append(p.Filters, Filter{Text: f.text, URL: address(f.show, 1), Count: counts[f.show], Current: f.show == show})
		}
	}
	p.Total = len(shown)
	from := min((number-1)*reposPerPage, len(shown))
	to := min(from+reposPerPage, len(shown))
	if to < len(shown) {
		p.Older = address(show, number+1)
	}
	if number > 1 {
		p.Newer = address(show, number-1)
	}
	rules, err := repos.RuleNames(ctx, v.tx)
	if err != nil {
		return nil, err
	}
	for _, rule := range rules {
		p.Rules = append(p.Rules, ruleText(rule))
	}
	rows, err := repos.RowsOf(ctx, v.tx, shown[from:to])
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		p.Rows = append(p.Rows, v.repoRow(row, rules))
	}
	if len(rows) > 0 {
		p.From, p.To = from+1, to
	}
	if p.Headline, p.Detail, err = v.conformity(ctx, standings, counts); err != nil {
		return nil, err
	}
	if p.Plans, err = v.plans(ctx); err != nil {
		return nil, err
	}
	p.Forms = v.planForms(ctx)
	return p, nil
}

// ruleText is a rule as people read it: "merge methods".
func ruleText(rule standard.Rule) string { return strings.ReplaceAll(string(rule), "_", " ") }

// conformity is the first line of the matrix, and how fresh it is.
func (v *visit) conformity(ctx context.Context, standings []repos.Standing, counts map[string]int) (headline string, detail []string, err error) {
	looks, err := repos.Looks(ctx, v.tx)
	if err != nil {
		return "", nil, err
	}
	all, drift := len(standings), counts["drift"]
	switch {
	case all == 0:
		headline = "No repository was looked at yet"
	case drift == 0 && counts["unknown"] > 0:
		headline = "No repository is seen to differ"
	case drift == 0:
		headline = "Every repository holds to the standard"
	default:
		headline = sentence(words(drift)) + " of " + things(all, "repository differs", "repositories "+plural(drift, "differs", "differ"))
	}
	if n := counts["exempt"]; n > 0 {
		detail = append(detail, count(n)+" may differ until a day")
	}
	if n := counts["unknown"]; n > 0 {
		detail = append(detail, count(n)+" cannot be seen whole")
	}
	for _, l := range looks {
		switch {
		case l.Error != "":
			detail = append(detail, l.Forge+" could not be looked at: "+l.Error)
		case !l.LookedAt.IsZero():
			detail = append(detail, fmt.Sprintf("%s was looked at %s ago with %s", l.Forge, span(v.now.Sub(l.LookedAt)), things(l.Requests, "request", "requests")))
		}
	}
	return headline, detail, nil
}

// repoRow is a repository as the matrix shows it.
func (v *visit) repoRow(row repos.Row, rules []standard.Rule) RepoRow {
	out := RepoRow{ID: fitID(row.Repo.String()), Name: row.Repo.String(), URL: repoURL(row.Repo), Owner: strings.Join(v.ownersOf(row.Repo), ", "), Badge: repoBadge(row.Cells)}
	for _, rule := range rules {
		i := slices.IndexFunc(row.Cells, func(c standard.Cell) bool { return c.Rule == rule })
		if i < 0 {
			out.Marks = append(out.Marks, RuleMark{Rule: ruleText(rule)})
			continue
		}
		c := row.Cells[i]
		m := RuleMark{Rule: ruleText(rule), Badge: v.ruleBadge(c), URL: out.URL + "#rule-" + string(rule)}
		if c.State == standard.Exempt {
			m.Note = dayShort(c.Until)
		}
		out.Marks = append(out.Marks, m)
	}
	return out
}

// ownersOf are the teams that own what is built from a repository.
func (v *visit) ownersOf(repo nightporter.Repo) (owners []string) {
	for _, s := range v.world.ServicesOf(repo) {
		if !slices.Contains(owners, s.Owner) {
			owners = append(owners, s.Owner)
		}
	}
	return owners
}

func repoBadge(cells []standard.Cell) Badge {
	n := map[standard.State]int{}
	for _, c := range cells {
		n[c.State]++
	}
	switch {
	case n[standard.Drift] > 0:
		return Badge{State: Attention, Word: things(n[standard.Drift], "rule differs", "rules differ")}
	case n[standard.Unknown] > 0:
		return Badge{State: Unknown, Word: things(n[standard.Unknown], "rule not seen", "rules not seen")}
	case n[standard.Exempt] > 0:
		return Badge{State: OK, Word: "holds, " + count(n[standard.Exempt]) + " exempt"}
	}
	return Badge{State: OK, Word: "holds"}
}

func (v *visit) ruleBadge(c standard.Cell) Badge {
	switch c.State {
	case standard.OK:
		return Badge{State: OK, Word: "holds"}
	case standard.Drift:
		return Badge{State: Attention, Word: "differs"}
	case standard.Exempt:
		return Badge{State: Muted, Icon: IconHold, Word: "exempt until " + dayShort(c.Until)}
	}
	return Badge{State: Unknown, Word: "unknown"}
}

// dayShort is a date of an exception: "31 Jan 2027".
func dayShort(until string) string {
	day, err := time.Parse(time.DateOnly, until)
	if err != nil {
		return until
	}
	return day.Format("2 Jan 2006")
}

// plans are the latest.
func (v *visit) plans(ctx context.Context) (list []PlanRow, err error) {
	plans, err := repos.Plans(ctx, v.tx, "", shownPlans)
	for _, p := range plans {
		row := PlanRow{ID: p.ID, URL: planURL(p.ID), At: p.MadeAt, What: cmp.Or(p.Only, strings.Join(p.Rules, ", "), "everything"), Cost: priceText(p.Price)}
		if p.Undoes != "" {
			row.What = "takes back " + p.Undoes
		}
		switch {
		case p.Run == "" && p.Price.Changes == 0:
			row.Badge = Badge{State: OK, Word: "nothing to do"}
		case p.Run == "":
			row.Badge = Badge{State: Muted, Word: "not applied"}
		case p.Applied == p.Price.Changes:
			row.Badge = Badge{State: OK, Word: "applied"}
		default:
			row.Badge = Badge{State: Running, Word: count(p.Applied) + " of " + count(p.Price.Changes) + " made"}
		}
		list = append(list, row)
	}
	return list, err
}

func priceText(p standard.Price) string {
	if p.Changes == 0 {
		return "nothing to write"
	}
	return things(p.Changes, "change", "changes") + " in " + things(p.Requests, "write request", "write requests") + ", about " + took(time.Duration(p.Duration))
}

// planForms offer to look at a whole forge.
func (v *visit) planForms(ctx context.Context) (list []Form) {
	if !v.c.cfg.Gate.May(ctx, planAction()) {
		return nil
	}
	forges := v.world.Forges()
	for _, f := range forges {
		label := "Look now and plan"
		if len(forges) > 1 {
			label += " " + f.Name
		}
		list = append(list, Form{
			ID: "plan-" + fitID(f.Name), URL: "/repos/" + url.PathEscape(f.Name) + "/plan", Label: label, Kind: Plain, Key: rand.Text(),
			Explain: "Looks at every repository and shows what differs and what putting it right costs. It changes nothing.", CLI: "nightporter repo plan",
		})
	}
	return list
}

// repo answers GET /repos/{forge}/{name}.
func (c *Console) repo(ctx context.Context, v *visit) (Page, error) {
	repo := repoOf(v.r)
	rows, err := repos.RowsOf(ctx, v.tx, []nightporter.Repo{repo})
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, noRepo(repo)
	}
	l, err := v.layout(ctx, repo.String(), "Repos")
	if err != nil {
		return nil, err
	}
	row := rows[0]
	p := &RepoPage{Layout: l, Name: repo.String(), Badge: repoBadge(row.Cells), Looked: row.LookedAt, CLI: "nightporter repo history " + repo.String()}
	drift := 0
	for _, cell := range row.Cells {
		p.Rules = append(p.Rules, v.ruleRow(cell))
		if cell.State == standard.Drift {
			drift++
		}
	}
	p.Headline = "holds to the standard"
	if drift > 0 {
		p.Headline = "differs in " + words(drift) + " " + plural(drift, "rule", "rules")
	} else if p.Badge.State == Unknown {
		p.Headline = "cannot be seen whole"
	}
	if row.Error != "" {
		p.Banner = &Notice{State: Unknown, Title: "What is shown may be old.", Text: sentence(row.Error) + "."}
	}
	history, err := repos.History(ctx, v.tx, repo, shownHistory)
	if err != nil {
		return nil, err
	}
	for _, h := range history {
		p.History = append(p.History, RuleChange{At: h.At, Rule: ruleText(h.Rule), Badge: changeBadge(h), Have: h.Have, By: atLogin(h.Who)})
	}
	for _, s := range v.world.ServicesOf(repo) {
		p.Facts = append(p.Facts, Fact{Label: "Service", Value: s.Name, URL: "/services/" + s.Name}, Fact{Label: "Owner", Value: s.Owner})
	}
	switch {
	case drift == 0:
	case c.cfg.Gate.May(ctx, planAction()):
		p.Forms = []Form{{
			ID: "restore", URL: repoURL(repo) + "/plan", Label: "Restore…", Kind: Primary, Key: rand.Text(),
			Explain: "Looks at the forge, and shows what would be written to this repository. It changes nothing yet.",
			CLI:     "nightporter repo apply --only " + repo.Name,
		}}
	default:
		p.NotYou = "Your policies do not let you plan or apply. Operators may."
	}
	return p, nil
}

// changeBadge says what a rule became.
func changeBadge(h repos.Change) Badge {
	switch {
	case h.State == standard.OK && h.Was == standard.Drift:
		return Badge{State: OK, Word: "holds again"}
	case h.State == standard.OK:
		return Badge{State: OK, Word: "holds"}
	case h.State == standard.Drift && h.Was == standard.OK:
		return Badge{State: Attention, Word: "drifted"}
	case h.State == standard.Drift:
		return Badge{State: Attention, Word: "differs"}
	case h.State == standard.Exempt:
		return Badge{State: Muted, Icon: IconHold, Word: "exempt"}
	}
	return Badge{State: Unknown, Word: "unknown"}
}

func atLogin(login string) string {
	if login == "" {
		return ""
	}
	return "@" + login
}

func (v *visit) ruleRow(c standard.Cell) RuleRow {
	r := RuleRow{
		Rule: string(c.Rule), Badge: v.ruleBadge(c), Have: c.Have, Want: c.Want, Note: c.Note, By: atLogin(c.Who), ByAt: c.WhoAt, Since: c.Since, From: c.From,
	}
	return r
}

// drifted are the repositories that somebody changed, for their owners and for
// those who run the house: one need a repository.
func (v *visit) drifted(ctx context.Context) ([]need, error) {
	if v.c.cfg.Repos == nil {
		return nil, nil
	}
	rules, err := repos.DriftedRules(ctx, v.tx)
	if err != nil {
		return nil, err
	}
	var list []need
	more := 0
	for i := 0; i < len(rules); {
		end := i + 1
		for end < len(rules) && rules[end].Repo == rules[i].Repo {
			end++
		}
		of := rules[i:end]
		i = end
		owners := v.ownersOf(of[0].Repo)
		if !v.runsTheHouse() && !slices.ContainsFunc(owners, v.concerns) {
			continue
		}
		if len(list) == shownDrifted {
			more++
			continue
		}
		list = append(list, v.driftOf(of, owners))
	}
	if more > 0 {
		list = append(list, need{urgency: odd, Need: Need{
			ID: "repos", State: Attention, Subject: things(more, "more repository", "more repositories"), What: plural(more, "has", "have") + " drifted",
			URL: "/repos?show=drift", Act: &Link{Text: "Open", URL: "/repos?show=drift"},
		}})
	}
	return list, nil
}

// driftOf is what Home says of one repository: who changed what.
func (v *visit) driftOf(of []repos.DriftedRule, owners []string) need {
	repo, first := of[0].Repo, of[0]
	n := need{urgency: odd, Need: Need{
		ID: "repo-" + fitID(repo.String()), State: Attention, Subject: repo.Name, URL: repoURL(repo), Owner: strings.Join(owners, ", "),
		Act: &Link{Text: "Restore", URL: repoURL(repo)},
	}}
	var who, names []string
	for _, r := range of {
		names = append(names, ruleText(r.Rule))
		if by := atLogin(r.Who); by != "" && !slices.Contains(who, by) {
			who = append(who, by)
		}
		if n.Since.IsZero() || r.Since.Before(n.Since) {
			n.Since = r.Since
		}
	}
	n.What = strings.Join(names, ", ") + " changed"
	if len(names) > 3 {
		n.What = things(len(names), "rule", "rules") + " changed"
	}
	if len(who) > 0 {
		n.What += " by " + strings.Join(who, ", ")
	}
	n.Reason = "should be " + cmp.Or(first.Want, "as the standard says")
	if first.Have != "" {
		n.Reason = "is " + first.Have + ", " + n.Reason
	}
	if len(of) > 1 {
		n.Reason = ruleText(first.Rule) + " " + n.Reason
	}
	return n
}
