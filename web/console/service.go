package console

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/releases"
)

// deploysPerPage is how many deployments a service's page lists.
const deploysPerPage = 20

// service answers GET /services/{name}: what of it runs where?
func (c *Console) service(ctx context.Context, v *visit) (Page, error) {
	s, row, err := v.serviceRow(ctx)
	if err != nil {
		return nil, err
	}
	l, err := v.layout(ctx, s.Name, "Services")
	if err != nil {
		return nil, err
	}
	r, err := v.boardRow(ctx, row)
	if err != nil {
		return nil, err
	}
	r.Cells = slices.DeleteFunc(r.Cells, func(c Cell) bool { _, used := row.Environments[c.Environment]; return !used })
	p := &Service{
		Layout: l, Name: s.Name, Description: s.Description, Owner: s.Owner, OwnerURL: boardQuery{}.ownedBy(s.Owner).url(), Repo: s.Repo.String(),
		Badge: r.Status, Headline: ahead(row), Main: r.Main, Cells: r.Cells, Behind: r.Behind, Forms: v.holdForms(ctx, row),
		CLI: "nightporter service show " + s.Name,
	}
	p.Behind.Known = p.Behind.Known || p.Behind.Count > 0
	if row.Hold != nil {
		p.Hold = &Hold{By: row.Hold.Person, Reason: row.Hold.Reason, Since: row.Hold.At}
	}
	if rel := row.Release; rel != nil {
		p.Current = &Link{Text: "Open release " + rel.Version.String(), URL: "/releases/" + rel.ID}
	}
	if v.frozen, err = v.frozenNow(ctx); err != nil {
		return nil, err
	}
	if p.Facts, err = v.facts(ctx, s); err != nil {
		return nil, err
	}
	p.Deploys, p.Older, err = v.deploys(ctx, s.Name)
	return p, err
}

// frozenNow says of each frozen environment until when, by whom and why.
func (v *visit) frozenNow(ctx context.Context) (map[string]string, error) {
	all, err := releases.Freezes(ctx, v.tx, v.world, v.c.cfg.Now())
	out := map[string]string{}
	for _, f := range all {
		if f.InForce {
			out[f.Environment] = strings.TrimPrefix(f.String(), "frozen ")
		}
	}
	return out, err
}

// serviceRow finds the service of the path, and its row of the board.
func (v *visit) serviceRow(ctx context.Context) (catalog.Service, *releases.Row, error) {
	name := v.r.PathValue("name")
	s, ok := v.world.Service(name)
	if !ok {
		return s, nil, nightporter.E(nightporter.NotFound, "there is no service %s", name).WithHint("the board lists what there is")
	}
	rows, err := v.board(ctx)
	if err != nil {
		return s, nil, err
	}
	i := slices.IndexFunc(rows, func(r releases.Row) bool { return r.Service == name })
	if i < 0 {
		return s, nil, nightporter.E(nightporter.NotFound, "there is no service %s", name)
	}
	return s, &rows[i], nil
}

// ahead is the rest of a sentence that begins with the service's name.
func ahead(row *releases.Row) string {
	switch n := row.Production.Behind; {
	case !row.Production.Released:
		return "was never released"
	case n > 0:
		return "is " + things(n, "change", "changes") + " ahead of production"
	}
	return "is in production as it is on main"
}

// holdForms offers the one exception to "what is on main is in production".
func (v *visit) holdForms(ctx context.Context, row *releases.Row) []Form {
	if !v.c.cfg.Gate.May(ctx, holdAction(row.Service)) {
		return nil
	}
	url := "/services/" + row.Service + "/hold"
	if row.Hold != nil {
		return []Form{{
			ID: "lift", URL: url + "/lift", Label: "Lift the hold", Kind: Plain, Key: rand.Text(),
			Explain: "What waits then goes on, through its approval.", CLI: "nightporter release unhold " + row.Service,
		}}
	}
	return []Form{{
		ID: "hold", URL: url, Label: "Hold back", Kind: Plain, Key: rand.Text(), Comment: "Why", CommentRequired: Required,
		Explain: "Keeps releases of " + row.Service + " out of production until somebody lifts the hold.",
		CLI:     "nightporter release hold " + row.Service + ` --reason "…"`,
	}}
}

func holdAction(service string) nightporter.Action {
	return nightporter.Action{Name: "service.hold", Capability: nightporter.Update, Path: "api/services/" + service + "/hold"}
}

// facts are what the configuration says of a service, and where it runs.
func (v *visit) facts(ctx context.Context, s catalog.Service) ([]Fact, error) {
	var list []Fact
	add := func(label, value, url string) {
		if value != "" {
			list = append(list, Fact{Label: label, Value: value, URL: url})
		}
	}
	health := s.Health.HTTP
	if health != "" && s.Health.Within > 0 {
		health += " within " + strings.TrimSuffix(s.Health.Within.String(), "0s") // "5m", not "5m0s"
	}
	add("Health", health, "")
	add("Delivery", "DORA's five metrics", "/services/"+s.Name+"/dora")
	add("Freezes", "What takes nothing new", "/freezes")
	add("Deployed by", s.Deploy.Kind, "")
	add("On call", s.OnCall, "")
	runbook := ""
	if strings.HasPrefix(s.Runbook, "https://") || strings.HasPrefix(s.Runbook, "http://") {
		runbook = s.Runbook
	}
	add("Runbook", s.Runbook, runbook)
	logins := ""
	if len(s.Credentials) > 0 && v.c.cfg.Databases != nil {
		logins = "/secrets"
	}
	add("Logins", strings.Join(s.Credentials, ", "), logins)
	add("Depends on", strings.Join(s.DependsOn, ", "), "")
	for _, stage := range v.world.Stages(s.Name) {
		for _, env := range stage {
			p, err := releases.PlacementOf(ctx, v.tx, s.Name, env)
			if err != nil {
				return nil, err
			}
			if p != nil {
				add(env, cmp.Or(p.Address, "address unknown")+", seen "+v.shortly(p.Evidence.ObservedAt), v.environmentURL(env))
			}
			if row := v.frozen[env]; row != "" {
				add(env+" is frozen", row, "/freezes")
			}
			if e, _ := v.world.Environment(env); e.Kind == nightporter.Production {
				add("Approval", v.rule(s.Name, env), "")
			}
		}
	}
	return list, nil
}

// deploys is the history of a service, newest first, and the page after it.
func (v *visit) deploys(ctx context.Context, name string) (list []Deploy, olderURL string, err error) {
	below, err := strconv.ParseInt(cmp.Or(v.r.URL.Query().Get("after"), "0"), 10, 64)
	if err != nil || below < 0 {
		return nil, "", nightporter.E(nightporter.Invalid, "after is not a cursor of this list")
	}
	records, err := eventsOf(ctx, v.tx, nightporter.Resource{Kind: "service", ID: name}, below, deploysPerPage+1, deployed, releaseHealthy, releaseRolledBack)
	if err != nil {
		return nil, "", err
	}
	if len(records) > deploysPerPage {
		records = records[:deploysPerPage]
		olderURL = fmt.Sprintf("/services/%s?after=%d", name, records[deploysPerPage-1].ID)
	}
	for _, r := range records {
		d, err := v.deploy(r)
		if err != nil {
			return nil, "", err
		}
		if d.Version != "" {
			list = append(list, d)
		}
	}
	return list, olderURL, nil
}

// deploy is one line of the history; the zero Deploy for what another event tells
// better.
func (v *visit) deploy(r outbox.Record) (Deploy, error) {
	switch r.Name {
	case deployed:
		e, err := decode[nightporter.Deployed](r)
		if env, _ := v.world.Environment(e.Environment); err != nil || env.Kind == nightporter.Production {
			return Deploy{}, err // ReleaseHealthy tells of it
		}
		return Deploy{Version: e.Version.String(), URL: "/releases/" + e.Release, Environment: e.Environment, Badge: Badge{State: OK, Word: "healthy"}, At: r.At}, nil
	case releaseHealthy:
		e, err := decode[nightporter.ReleaseHealthy](r)
		return Deploy{
			Version: e.Version.String(), URL: "/releases/" + e.Release, Environment: e.Environment, Badge: Badge{State: OK, Word: "healthy"},
			By: strings.Join(e.ApprovedBy, ", @"), At: r.At, Changes: len(e.Merges),
		}, err
	}
	e, err := decode[nightporter.ReleaseRolledBack](r)
	return Deploy{
		Version: e.Version.String(), URL: "/releases/" + e.Release, Environment: e.Environment,
		Badge: Badge{State: Failed, Word: "rolled back", Icon: IconRolledBack}, At: r.At,
	}, err
}

// serviceBody is what /api/services/{name} answers.
type serviceBody struct {
	Name        string           `json:"name"`
	Owner       string           `json:"owner"`
	Repo        nightporter.Repo `json:"repo"`
	Description string           `json:"description,omitempty"`
	Runbook     string           `json:"runbook,omitempty"`
	OnCall      string           `json:"on_call,omitempty"`
	DependsOn   []string         `json:"depends_on,omitempty"`
	Deploy      string           `json:"deploy"`
	Stages      [][]string       `json:"stages"`
	Source      string           `json:"source"`
	Board       *releases.Row    `json:"board,omitempty"`
}

func serviceTwin(ctx context.Context, v *visit) (any, error) {
	s, row, err := v.serviceRow(ctx)
	if err != nil {
		return nil, err
	}
	return serviceBody{
		Name: s.Name, Owner: s.Owner, Repo: s.Repo, Description: s.Description, Runbook: s.Runbook, OnCall: s.OnCall, DependsOn: s.DependsOn,
		Deploy: s.Deploy.Kind, Stages: v.world.Stages(s.Name), Source: "file", Board: row,
	}, nil
}
