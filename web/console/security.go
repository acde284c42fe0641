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
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/security"
)

const (
	findingsPerPage = 50
	firstFindings   = 5
	localMinute     = "2006-01-02T15:04"
)

// securityRoutes are the pages about security, and what can be done to findings and
// risks.
func (c *Console) securityRoutes() []httpapi.Route {
	if c.cfg.Security == nil {
		return nil
	}
	look := func(pattern string, action httpapi.Action, p page) httpapi.Route {
		return httpapi.Route{
			Method: http.MethodGet, Pattern: pattern, Action: action, Handler: c.show(p), Credential: httpapi.TokenOrSession, LogLevel: slog.LevelDebug,
		}
	}
	act := func(pattern string, of func(r *http.Request) (nightporter.Action, string, error), do func(r *http.Request, f sent) (path, said string, err error)) httpapi.Route {
		return httpapi.Route{
			Method: http.MethodPost, Pattern: pattern, Credential: httpapi.TokenOrSession, MaxBody: maxForm,
			Action: httpapi.DoesWhat(func(r *http.Request) (nightporter.Action, nightporter.Resource, error) {
				action, kind, err := of(r)
				if err != nil {
					return action, nightporter.Resource{}, err
				}
				return action, nightporter.Resource{Kind: kind, ID: r.PathValue("id")}, takeKey(r)
			}),
			Handler: func(w http.ResponseWriter, r *http.Request) error {
				f, err := readSent(r)
				if err != nil {
					return err
				}
				path, said, err := do(r, f)
				if err != nil {
					return err
				}
				c.done(w, r, path, said)
				return nil
			},
		}
	}
	onFinding := func(verb string) func(r *http.Request) (nightporter.Action, string, error) {
		return func(r *http.Request) (action nightporter.Action, kind string, err error) {
			err = c.cfg.Gate.Look(r.Context(), func(tx *store.Tx) error {
				f, err := security.GetFinding(r.Context(), tx, r.PathValue("id"))
				if err == nil {
					action = f.Action(verb)
				}
				return err
			})
			return action, "finding", err
		}
	}
	onRisk := func(verb string) func(*http.Request) (nightporter.Action, string, error) {
		return func(*http.Request) (nightporter.Action, string, error) { return security.RiskAction(verb), "risk", nil }
	}
	s := c.cfg.Security
	findingPath := func(r *http.Request) string { return "/security/findings/" + url.PathEscape(r.PathValue("id")) }
	posture := httpapi.Does("posture.list", nightporter.Read, "api/security/posture")
	return []httpapi.Route{
		look("/security", posture, page{c.securityBoard, postureTwin}),
		look("/security/services/{name}", httpapi.DoesWhat(func(r *http.Request) (nightporter.Action, nightporter.Resource, error) {
			return nightporter.Action{Name: "posture.list", Capability: nightporter.Read, Path: "api/security/posture"},
				nightporter.Resource{Kind: "service", ID: r.PathValue("name")}, nil
		}), page{c.posture, nil}),
		look("/security/findings", httpapi.Does("finding.list", nightporter.List, "api/security/findings"), page{c.findings, nil}),
		look("/security/findings/{id}", httpapi.DoesWhat(func(r *http.Request) (nightporter.Action, nightporter.Resource, error) {
			return nightporter.Action{Name: "finding.list", Capability: nightporter.List, Path: "api/security/findings"},
				nightporter.Resource{Kind: "finding", ID: r.PathValue("id")}, nil
		}), page{c.finding, nil}),
		look("/security/risks", httpapi.Does("risk.list", nightporter.List, "api/security/risks"), page{c.risks, nil}),
		act("/security/findings/{id}/triage", onFinding("triage"), func(r *http.Request, f sent) (string, string, error) {
			_, err := s.Triage(r.Context(), r.PathValue("id"), "", f.comment)
			return findingPath(r), "finding-triage", err
		}),
		act("/security/findings/{id}/accept", onFinding("accept"), func(r *http.Request, f sent) (string, string, error) {
			until, err := time.ParseInLocation(localMinute, r.PostForm.Get("until"), c.cfg.RealNow().Location())
			if err != nil {
				return "", "", nightporter.E(nightporter.Invalid, "say until which day")
			}
			_, err = s.Accept(r.Context(), r.PathValue("id"), until, f.comment)
			return findingPath(r), "finding-accept", err
		}),
		act("/security/findings/{id}/reopen", onFinding("reopen"), func(r *http.Request, _ sent) (string, string, error) {
			_, err := s.Reopen(r.Context(), r.PathValue("id"))
			return findingPath(r), "finding-reopen", err
		}),
		act("/security/risks/{id}/approve", onRisk("approve"), func(r *http.Request, _ sent) (string, string, error) {
			_, err := s.ApproveRisk(r.Context(), r.PathValue("id"))
			return "/security/risks", "risk-approve", err
		}),
		act("/security/risks/{id}/confirm", onRisk("confirm"), func(r *http.Request, _ sent) (string, string, error) {
			_, err := s.ConfirmRisk(r.Context(), r.PathValue("id"))
			return "/security/risks", "risk-confirm", err
		}),
		act("/security/risks/{id}/close", onRisk("close"), func(r *http.Request, f sent) (string, string, error) {
			_, err := s.CloseRisk(r.Context(), r.PathValue("id"), f.comment)
			return "/security/risks", "risk-close", err
		}),
	}
}

func postureTwin(ctx context.Context, v *visit) (any, error) {
	list, err := v.c.cfg.Security.Postures(ctx, v.tx)
	return httpapi.List[security.Posture]{Items: list}, err
}

// mark draws a letter. Only an A is green; the word says what the letter does.
func mark(letter string) Badge {
	switch letter {
	case "A":
		return Badge{State: OK, Word: "A"}
	case "D", "E":
		return Badge{State: Failed, Word: letter}
	case "B", "C":
		return Badge{State: Attention, Word: letter}
	case "–":
		return Badge{State: Muted, Word: "n.a."}
	}
	return Badge{State: Unknown, Word: "not all proven"}
}

func proven(v security.PillarView) string { return fmt.Sprintf("%d of %d proven", v.Proven, v.Of) }

// securityBoard answers GET /security.
func (c *Console) securityBoard(ctx context.Context, v *visit) (Page, error) {
	l, err := v.layout(ctx, "Security", "Security")
	if err != nil {
		return nil, err
	}
	all, err := c.cfg.Security.Postures(ctx, v.tx)
	if err != nil {
		return nil, err
	}
	p := &SecurityBoard{Layout: l, CLI: "nightporter security posture"}
	for _, pillar := range security.Pillars() {
		p.Pillars = append(p.Pillars, string(pillar))
	}
	failing := 0
	for _, one := range all {
		row := PostureRow{Service: one.Service, URL: postureURL(one.Service), Owner: one.Owner}
		bad := false
		for _, pv := range one.Pillars {
			m := PillarMark{Badge: mark(pv.Letter), Pillar: string(pv.Pillar), URL: postureURL(one.Service) + "#" + string(pv.Pillar), Fresh: proven(pv)}
			bad = bad || m.State == Failed || m.State == Attention
			row.Marks = append(row.Marks, m)
		}
		if bad {
			failing++
		}
		p.Rows = append(p.Rows, row)
	}
	if c.cfg.Gate.May(ctx, nightporter.Action{Name: "finding.list", Capability: nightporter.List, Path: "api/security/findings"}) {
		list, err := security.Findings(ctx, v.tx, security.FindingFilter{})
		if err != nil {
			return nil, err
		}
		overdue := 0
		for _, f := range list {
			if f.Due.Before(v.now) {
				overdue++
			}
		}
		p.Total = len(list)
		for _, f := range list[:min(firstFindings, len(list))] {
			p.Findings = append(p.Findings, v.findingRow(f))
		}
		p.Detail = append(p.Detail, things(len(list), "finding", "findings")+" open", count(overdue)+" overdue")
		risks, err := security.Risks(ctx, v.tx, security.RiskFilter{State: string(security.RiskOpen)}, v.now)
		if err != nil {
			return nil, err
		}
		p.Risks = len(risks)
		p.Detail = append(p.Detail, things(p.Risks, "risk waits", "risks wait")+" for an approval")
	}
	switch {
	case len(all) == 0:
		p.Headline = "No services yet"
	case failing > 0:
		p.Headline = fmt.Sprintf("%s of %s %s a check", count(failing), things(len(all), "service", "services"), plural(failing, "fails", "fail"))
	default:
		p.Headline = "No check fails"
	}
	return p, nil
}

func postureURL(service string) string { return "/security/services/" + url.PathEscape(service) }

// posture answers GET /security/services/{name}.
func (c *Console) posture(ctx context.Context, v *visit) (Page, error) {
	name := v.r.PathValue("name")
	one, err := c.cfg.Security.GetPosture(ctx, v.tx, name)
	if err != nil {
		return nil, err
	}
	l, err := v.layout(ctx, name+", security", "Security")
	if err != nil {
		return nil, err
	}
	p := &PosturePage{Layout: l, Service: name, URL: "/services/" + url.PathEscape(name), Owner: one.Owner, CLI: "nightporter security posture " + name}
	failed, open := 0, 0
	for _, pv := range one.Pillars {
		s := PostureSection{ID: string(pv.Pillar), Title: string(pv.Pillar), Badge: mark(pv.Letter), Fresh: proven(pv)}
		for _, cell := range pv.Cells {
			check := PostureCheck{
				ID: cell.ID, Claim: cell.Claim, Badge: cellBadge(cell.State), Proof: cell.Proof, Event: cell.Event, At: cell.At, Fresh: cell.FreshFor,
				URL: c.existing(cell.Page), CLI: cell.See,
			}
			switch cell.State {
			case security.Fail:
				failed++
				check.Severity = cell.Severity
			case security.Stale, security.Unknown:
				open++
			}
			s.Checks = append(s.Checks, check)
		}
		p.Pillars = append(p.Pillars, s)
	}
	p.Headline = "can prove everything"
	if failed > 0 || open > 0 {
		p.Headline = "fails " + things(failed, "check", "checks") + "; " + count(open) + " cannot be proven"
	}
	return p, nil
}

// existing leaves out the address of a page that this console does not have.
func (c *Console) existing(page string) string {
	switch {
	case page == "/audit":
		return "/activity"
	case strings.HasPrefix(page, "/secrets") && c.cfg.Databases == nil, strings.HasPrefix(page, "/environments") && c.cfg.Environments == nil,
		strings.HasPrefix(page, "/repos") && c.cfg.Repos == nil:
		return ""
	}
	return page
}

func cellBadge(s security.State) Badge {
	switch s {
	case security.Pass:
		return Badge{State: OK, Word: "pass"}
	case security.Fail:
		return Badge{State: Failed, Word: "fail"}
	case security.Stale:
		return Badge{State: Attention, Word: "stale"}
	case security.NA:
		return Badge{State: Muted, Word: "n.a."}
	}
	return Badge{State: Unknown, Word: "unknown"}
}

func severityBadge(s nightporter.Severity) Badge {
	switch s {
	case nightporter.Critical, nightporter.High:
		return Badge{State: Failed, Word: string(s)}
	case nightporter.Medium:
		return Badge{State: Attention, Word: string(s)}
	}
	return Badge{State: Muted, Word: string(s)}
}

func findingBadge(f security.Finding) Badge {
	switch {
	case f.State == security.Fixed:
		return Badge{State: OK, Word: "fixed"}
	case f.State == security.Accepted:
		return Badge{State: Muted, Word: "accepted", Icon: IconHold}
	case f.State == security.Triaged:
		return Badge{State: Attention, Word: "triaged"}
	case f.Suspect:
		return Badge{State: Unknown, Word: "to be looked at"}
	}
	return Badge{State: Failed, Word: "open"}
}

func (v *visit) findingRow(f security.Finding) FindingRow {
	row := FindingRow{
		ID: f.ID, URL: "/security/findings/" + f.ID, Title: f.Title, Where: f.Evidence, Service: cmp.Or(f.Service, f.Repo), Owner: f.Owner,
		Severity: severityBadge(f.Severity), State: findingBadge(f),
	}
	if f.Standing() {
		row.Due, row.Overdue = f.Due, f.Due.Before(v.now)
	}
	return row
}

// findings answers GET /security/findings.
func (c *Console) findings(ctx context.Context, v *visit) (Page, error) {
	q := v.r.URL.Query()
	l, err := v.layout(ctx, "Findings", "Security")
	if err != nil {
		return nil, err
	}
	state := cmp.Or(q.Get("state"), "standing")
	list, err := security.Findings(ctx, v.tx, security.FindingFilter{
		Service: q.Get("service"), Owner: q.Get("owner"), State: state, After: q.Get("after"), Limit: findingsPerPage + 1,
	})
	if err != nil {
		return nil, err
	}
	p := &FindingsPage{Layout: l, CLI: "nightporter security findings"}
	if len(list) > findingsPerPage {
		list = list[:findingsPerPage]
		next := url.Values{"state": {state}, "after": {security.FindingCursor(list[len(list)-1])}}
		for _, name := range []string{"service", "owner"} {
			if q.Get(name) != "" {
				next.Set(name, q.Get(name))
			}
		}
		p.Older = "/security/findings?" + next.Encode()
	}
	overdue := 0
	for _, f := range list {
		row := v.findingRow(f)
		if row.Overdue {
			overdue++
		}
		p.Rows = append(p.Rows, row)
	}
	for _, one := range []struct{ text, state string }{{"open", "standing"}, {"accepted", "accepted"}, {"fixed", "fixed"}, {"all", "all"}} {
		var n int
		where, args := "state = ?", []any{one.state}
		switch one.state {
		case "standing":
			where, args = "state IN ('open', 'triaged')", nil
		case "all":
			where, args = "1 = 1", nil
		}
		if err := v.tx.QueryRow(ctx, `SELECT COUNT(*) FROM security_finding WHERE `+where, args...).Scan(&n); err != nil {
			return nil, fmt.Errorf("count the findings: %w", err)
		}
		p.Filters = append(p.Filters, Filter{Text: one.text, Count: n, URL: "/security/findings?state=" + one.state, Current: one.state == state})
	}
	switch {
	case len(p.Rows) == 0:
		p.Headline = "Nothing is here"
		if state == "standing" {
			p.Headline = "Nothing is open"
		}
	case overdue > 0:
		p.Headline = things(overdue, "finding is", "findings are") + " overdue"
	case state == "standing":
		p.Headline = "Nothing is overdue"
	default:
		p.Headline = "Findings"
	}
	return p, nil
}

// finding answers GET /security/findings/{id}.
func (c *Console) finding(ctx context.Context, v *visit) (Page, error) {
	f, err := security.GetFinding(ctx, v.tx, v.r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	l, err := v.layout(ctx, f.Title, "Security")
	if err != nil {
		return nil, err
	}
	p := &FindingPage{Layout: l, Title: f.Title, Badge: findingBadge(*f), Severity: severityBadge(f.Severity), CLI: "nightporter security finding show " + f.ID}
	switch {
	case f.State == security.Fixed:
		p.Headline = "is gone"
		p.Banner = &Notice{State: OK, Title: "Fixed " + v.shortly(f.FixedAt) + ".", Text: f.Proof}
	case f.Accepted != nil:
		p.Headline = "is accepted until " + f.Accepted.Until.In(v.now.Location()).Format("2 Jan 2006")
		p.Banner = &Notice{State: Muted, Title: f.Accepted.By + " lives with it.", Text: f.Accepted.Why + " It opens by itself then."}
	case f.Due.Before(v.now):
		p.Headline = "was due " + v.shortly(f.Due)
	default:
		p.Headline = "is due " + v.shortly(f.Due)
	}
	fact := func(label, value, page string) {
		if value != "" {
			p.Facts = append(p.Facts, Fact{Label: label, Value: value, URL: page})
		}
	}
	fact("Where", f.Evidence, "")
	if f.Service != "" {
		fact("Service", f.Service, postureURL(f.Service))
	}
	fact("Repository", f.Repo, "")
	fact("Owner", f.Owner, "")
	fact("Rule", f.Rule, "")
	fact("Check", f.Check, "")
	fact("Found by", f.Source, "")
	fact("First seen", v.shortly(f.FirstSeenAt), "")
	fact("Last seen", v.shortly(f.LastSeenAt), "")
	fact("Note", f.Note, "")
	if f.Reopened > 0 {
		fact("Opened again", things(f.Reopened, "time", "times"), "")
	}
	p.Forms, p.NotYou = v.findingForms(ctx, *f)
	return p, nil
}

func (v *visit) findingForms(ctx context.Context, f security.Finding) (list []Form, notYou string) {
	may := func(verb string) bool { return v.c.cfg.Gate.May(ctx, f.Action(verb)) }
	form := func(verb, label string, kind FormKind, explain string) Form {
		return Form{
			ID: verb, URL: "/security/findings/" + f.ID + "/" + verb, Label: label, Kind: kind, Key: rand.Text(), Explain: explain,
			CLI: "nightporter security finding " + verb + " " + f.ID,
		}
	}
	if f.State == security.Fixed {
		return nil, ""
	}
	if !may("triage") && !may("accept") {
		return nil, cmp.Or(f.Owner, "An operator") + " decides about it."
	}
	if f.State == security.Open && may("triage") {
		one := form("triage", "It is real", Primary, "Says that somebody looked. It stays due, and only a new test closes it.")
		one.Comment = "What did you see? (optional)"
		list = append(list, one)
	}
	if f.State != security.Accepted && may("accept") {
		one := form("accept", "Accept until…", Plain, "You live with it until then. It opens by itself on that day.")
		one.Comment, one.CommentRequired = "Why", Required
		now := v.now
		one.Until = &Until{
			Label: "Until (" + now.Location().String() + ")", Value: now.AddDate(0, 1, 0).Format(localMinute), Min: now.Format(localMinute),
			Max: now.AddDate(1, 0, 0).Format(localMinute),
		}
		one.CLI += ` --until 2027-01-31 --reason "…"`
		list = append(list, one)
	}
	if f.State != security.Open && may("reopen") {
		list = append(list, form("reopen", "Open again", Plain, "Takes the decision back. It is due by its severity from now on."))
	}
	return list, ""
}

// risks answers GET /security/risks.
func (c *Console) risks(ctx context.Context, v *visit) (Page, error) {
	l, err := v.layout(ctx, "Risks", "Security")
	if err != nil {
		return nil, err
	}
	all, err := security.Risks(ctx, v.tx, security.RiskFilter{}, v.now)
	if err != nil {
		return nil, err
	}
	p := &RisksPage{Layout: l, CLI: `nightporter security risk add --title "…" --asset ledger --pillar availability --likelihood 3 --impact 4 --review 2027-03-31`}
	state := v.r.URL.Query().Get("state")
	counts := map[security.RiskState]int{}
	for _, r := range all {
		counts[r.State]++
		if state == "" && r.State != security.RiskClosed || state == string(r.State) {
			p.Rows = append(p.Rows, v.riskRow(ctx, r))
		}
	}
	p.Filters = []Filter{
		{Text: "standing", Count: counts[security.RiskOpen] + counts[security.RiskApproved], URL: "/security/risks", Current: state == ""},
	}
	for _, s := range []security.RiskState{security.RiskOpen, security.RiskApproved, security.RiskClosed} {
		p.Filters = append(p.Filters, Filter{Text: string(s), Count: counts[s], URL: "/security/risks?state=" + string(s), Current: state == string(s)})
	}
	switch n := counts[security.RiskOpen]; {
	case len(all) == 0:
		p.Headline = "No risk is written down"
	case n > 0:
		p.Headline = things(n, "risk waits", "risks wait") + " for an approval"
	default:
		p.Headline = "Every risk is decided about"
	}
	return p, nil
}

func (v *visit) riskRow(ctx context.Context, r security.Risk) RiskRow {
	row := RiskRow{
		ID: r.ID, Title: r.Title, Score: r.Score, Plan: r.Plan, Note: r.Reopened,
		Meta: []string{
			r.Asset, string(r.Pillar), fmt.Sprintf("likelihood %d × impact %d", r.Likelihood, r.Impact), string(r.Treatment), "owned by " + r.Owner,
			"review " + r.Review.In(v.now.Location()).Format("2 Jan 2006"),
		},
	}
	for _, id := range r.Findings {
		row.Findings = append(row.Findings, Link{id, "/security/findings/" + id})
	}
	form := func(verb, label string, kind FormKind, explain string) Form {
		return Form{
			ID: verb + "-" + r.ID, URL: "/security/risks/" + r.ID + "/" + verb, Label: label, Kind: kind, Key: rand.Text(), Explain: explain,
			CLI: "nightporter security risk " + verb + " " + r.ID,
		}
	}
	may := func(verb string) bool { return v.c.cfg.Gate.May(ctx, security.RiskAction(verb)) }
	switch r.State {
	case security.RiskApproved:
		row.Badge = Badge{State: OK, Word: "approved"}
		row.Meta = append(row.Meta, "approved by "+r.Approver)
	case security.RiskClosed:
		row.Badge = Badge{State: Muted, Word: "closed"}
		return row
	default:
		row.Badge = Badge{State: Attention, Word: "open", Icon: IconWaiting}
		team, _ := v.world.Team(r.Owner)
		switch {
		case v.actor.Name == r.Owner || slices.Contains(team.Members, v.actor.Name):
			row.NotYou = "You own it: somebody else approves it."
		case v.actor.Kind == nightporter.Person && may("approve"):
			row.Forms = append(row.Forms, form("approve", "Approve…", Plain, "Agrees to what is done about it, until its review."))
		}
	}
	if r.Proposal != nil {
		row.Note = strings.TrimSpace(row.Note + fmt.Sprintf(" The evidence proposes likelihood %d: %s.", r.Proposal.Likelihood, r.Proposal.Why))
		if may("confirm") {
			row.Forms = append(row.Forms, form("confirm", "Confirm the likelihood…", Plain, "Takes over what the evidence proposes. The risk has to be approved again."))
		}
	}
	if may("close") {
		one := form("close", "Close…", Plain, "Says that it is gone.")
		one.Comment, one.CommentRequired, one.CLI = "Why", Required, one.CLI+` --reason "…"`
		row.Forms = append(row.Forms, one)
	}
	return row
}
