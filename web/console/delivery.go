package console

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/releases"
	"nightporter.dev/nightporter/services"
)

// deliveryRoutes are the pages about how a service is delivered, and about freezes.
func (c *Console) deliveryRoutes() []httpapi.Route {
	freeze := func(verb string, do func(r *http.Request, env string, f sent) error) httpapi.Route {
		return httpapi.Route{
			Method: http.MethodPost, Pattern: "/freezes/{environment}/" + verb, Credential: httpapi.TokenOrSession, MaxBody: maxForm,
			Action: httpapi.DoesWhat(func(r *http.Request) (nightporter.Action, nightporter.Resource, error) {
				env := r.PathValue("environment")
				return freezeAction(env, verb), nightporter.Resource{Kind: "environment", ID: env}, takeKey(r)
			}),
			Handler: func(w http.ResponseWriter, r *http.Request) error {
				f, err := readSent(r)
				if err != nil {
					return err
				}
				if err := do(r, f.environment, f); err != nil {
					return err
				}
				c.done(w, r, "/freezes", "environment-"+verb)
				return nil
			},
		}
	}
	return []httpapi.Route{
		{
			Method: http.MethodGet, Pattern: "/services/{name}/dora",
			Action:  httpapi.DoesTo("service.dora", nightporter.Read, "api/services/{name}/dora", "service", "name"),
			Handler: c.show(page{c.dora, doraTwin}), Credential: httpapi.TokenOrSession, LogLevel: slog.LevelDebug,
		},
		{
			Method: http.MethodGet, Pattern: "/freezes", Action: httpapi.Does("freeze.list", nightporter.List, "api/freezes"),
			Handler: c.show(page{c.freezes, freezesTwin}), Credential: httpapi.TokenOrSession, LogLevel: slog.LevelDebug,
		},
		freeze("freeze", func(r *http.Request, env string, f sent) error {
			e, ok := c.cfg.Catalog.Current().Environment(env)
			if !ok {
				return nightporter.E(nightporter.NotFound, "no environment is called %q", env)
			}
			until, err := time.ParseInLocation(formTime, r.PostForm.Get("until"), zoneOf(e))
			if err != nil {
				return nightporter.E(nightporter.Invalid, "say until when")
			}
			return c.cfg.Releases.Freeze(r.Context(), env, until, f.comment)
		}),
		freeze("unfreeze", func(r *http.Request, env string, _ sent) error { return c.cfg.Releases.Unfreeze(r.Context(), env) }),
	}
}

// formTime is how a browser sends a day and a time.
const formTime = "2006-01-02T15:04"

func freezeAction(environment, verb string) nightporter.Action {
	return nightporter.Action{Name: "environment." + verb, Capability: nightporter.Update, Path: "api/freezes/" + environment}
}

func zoneOf(e catalog.Environment) *time.Location {
	zone, err := time.LoadLocation(cmp.Or(e.Schedule.Timezone, "UTC"))
	if err != nil {
		return time.UTC
	}
	return zone
}

// windows are the lengths of time that the page offers.
var windows = []string{"7d", "30d", "90d", "365d"}

// measured computes the metrics for the window of the address.
func (v *visit) measured(ctx context.Context) (d *services.Dora, window string, err error) {
	name := v.r.PathValue("name")
	if _, ok := v.world.Service(name); !ok {
		return nil, "", nightporter.E(nightporter.NotFound, "there is no service %s", name).WithHint("the board lists what there is")
	}
	window = cmp.Or(v.r.URL.Query().Get("window"), "30d")
	var length config.Duration
	if err := length.UnmarshalText([]byte(window)); err != nil {
		return nil, "", err
	}
	d, err = services.Measure(ctx, v.tx, name, length.Std(), v.c.cfg.RealNow())
	return d, window, err
}

func doraTwin(ctx context.Context, v *visit) (any, error) {
	d, _, err := v.measured(ctx)
	return d, err
}

// dora answers GET /services/{name}/dora.
func (c *Console) dora(ctx context.Context, v *visit) (Page, error) {
	d, window, err := v.measured(ctx)
	if err != nil {
		return nil, err
	}
	l, err := v.layout(ctx, d.Service+" delivery", "Services")
	if err != nil {
		return nil, err
	}
	p := &DoraPage{Layout: l, Name: d.Service, CLI: "nightporter service dora " + d.Service + " --window " + window}
	n := len(slices.DeleteFunc(slices.Clone(d.Deployments), func(d services.Deployment) bool { return d.Kind == string(releases.Rollback) || !d.Healthy }))
	p.Headline = "was deployed " + things(n, "time", "times") + " in " + window
	for _, w := range windows {
		link := Link{Text: w}
		if w != window {
			link.URL = "/services/" + d.Service + "/dora?window=" + w
		}
		p.Windows = append(p.Windows, link)
	}
	p.Figures = doraFigures(d)
	failed := map[string]bool{}
	for _, id := range d.ChangeFailRate.Rows {
		failed[id] = true
	}
	for _, x := range slices.Backward(d.Deployments) {
		row := DoraDeployment{
			ID: x.ID, Version: x.Version, URL: "/releases/" + x.Release, Environment: x.Environment, Kind: x.Kind, At: x.FinishedAt,
			Badge: Badge{State: OK, Word: "healthy"},
		}
		if failed[x.ID] || !x.Healthy {
			row.Badge = Badge{State: Failed, Word: "failed"}
		}
		p.Deployments = append(p.Deployments, row)
	}
	for _, x := range slices.Backward(d.Changes) {
		p.Changes = append(p.Changes, DoraChange{Commit: short(x.Commit), PullRequest: x.PullRequest, Lead: x.FinishedAt.Sub(x.CommittedAt), At: x.FinishedAt})
	}
	for _, x := range slices.Backward(d.Incidents) {
		row := DoraIncident{Title: x.Title, At: x.OpenedAt, Badge: Badge{State: Failed, Word: "open"}}
		if !x.ClosedAt.IsZero() {
			row.Badge, row.Took = Badge{State: OK, Word: "closed"}, x.ClosedAt.Sub(x.OpenedAt)
		}
		p.Incidents = append(p.Incidents, row)
	}
	return p, nil
}

// doraFigures are the five metrics in words. What has no denominator is "–".
func doraFigures(d *services.Dora) []Figure {
	of := func(label string, f services.Figure, url, detail string) Figure {
		out := Figure{Label: label, Value: "–", URL: url, Detail: detail}
		if f.Value == nil {
			return out
		}
		switch f.Unit {
		case "seconds":
			out.Value = span(time.Duration(*f.Value * float64(time.Second)).Round(time.Second))
		case "ratio":
			out.Value, out.Unit = strconv.FormatFloat(*f.Value*100, 'f', 0, 64), "%"
		default:
			out.Value, out.Unit = strconv.FormatFloat(*f.Value, 'f', 2, 64), "a day"
		}
		return out
	}
	counted := func(f services.Figure, one, many string) string {
		return fmt.Sprintf("%.0f of %s", f.Numerator, things(int(f.Denominator), one, many))
	}
	return []Figure{
		of("Deployment frequency", d.DeploymentFrequency, "#deployments", things(int(d.DeploymentFrequency.Numerator), "deployment", "deployments")),
		of("Change lead time", d.ChangeLeadTime, "#changes", "the median of "+things(int(d.ChangeLeadTime.Denominator), "change", "changes")),
		of("Change fail rate", d.ChangeFailRate, "#deployments", counted(d.ChangeFailRate, "deployment", "deployments")),
		of("Failed deployment recovery time", d.RecoveryTime, "#incidents", "the median of "+things(int(d.RecoveryTime.Denominator), "failed deployment", "failed deployments")),
		of("Deployment rework rate", d.ReworkRate, "#deployments", counted(d.ReworkRate, "deployment", "deployments")),
	}
}

func freezesTwin(ctx context.Context, v *visit) (any, error) {
	list, err := releases.Freezes(ctx, v.tx, v.world, v.c.cfg.Now())
	return httpapi.List[releases.Freeze]{Items: list}, err
}

// freezes answers GET /freezes.
func (c *Console) freezes(ctx context.Context, v *visit) (Page, error) {
	l, err := v.layout(ctx, "Freezes", "Services")
	if err != nil {
		return nil, err
	}
	all, err := releases.Freezes(ctx, v.tx, v.world, c.cfg.Now())
	if err != nil {
		return nil, err
	}
	p := &FreezesPage{Layout: l, CLI: "nightporter release freeze list"}
	var frozen []string
	for _, e := range v.environments() {
		zone := zoneOf(e)
		row := FreezeRow{Environment: e.Name, URL: v.environmentURL(e.Name), Kind: string(e.Kind), Badge: Badge{State: OK, Word: "open"}}
		inForce, byHand := false, false
		for _, f := range all {
			if f.Environment != e.Name {
				continue
			}
			line := FreezeLine{
				InForce: f.InForce, From: f.From.In(zone).Format("Mon 2 Jan 15:04"), Until: f.Until.In(zone).Format("Mon 2 Jan 15:04 MST"),
				By: "the configuration", Reason: f.Reason,
			}
			if f.Person != "" {
				line.By, byHand = "@"+f.Person, true
			}
			inForce = inForce || f.InForce
			row.Freezes = append(row.Freezes, line)
		}
		if inForce {
			row.Badge = Badge{State: Attention, Word: "frozen", Icon: IconHold}
			frozen = append(frozen, e.Name)
		}
		row.Forms = v.freezeForms(ctx, e, zone, byHand)
		p.Rows = append(p.Rows, row)
	}
	p.Headline = "Nothing is frozen"
	if len(frozen) > 0 {
		p.Headline = strings.Join(frozen, " and ") + map[bool]string{true: " is frozen", false: " are frozen"}[len(frozen) == 1]
	}
	return p, nil
}

// freezeForms are what this person may do.
func (v *visit) freezeForms(ctx context.Context, e catalog.Environment, zone *time.Location, byHand bool) []Form {
	if !v.c.cfg.Gate.May(ctx, freezeAction(e.Name, "freeze")) {
		return nil
	}
	url := "/freezes/" + e.Name
	if byHand {
		return []Form{{
			ID: "unfreeze-" + e.Name, URL: url + "/unfreeze", Label: "End the freeze", Kind: Plain, Key: rand.Text(),
			Explain: "What waits then goes on by itself.", CLI: "nightporter release unfreeze " + e.Name,
		}}
	}
	now := v.c.cfg.Now().In(zone)
	return []Form{{
		ID: "freeze-" + e.Name, URL: url + "/freeze", Label: "Freeze " + e.Name, Kind: Plain, Key: rand.Text(), Comment: "Why", CommentRequired: Required,
		Explain: "No deployment to " + e.Name + " starts until then. A rollback is still possible.",
		Until: &Until{
			Label: "Until (" + zone.String() + ")", Value: now.Add(2 * time.Hour).Round(15 * time.Minute).Format(formTime),
			Min: now.Format(formTime), Max: now.AddDate(0, 3, 0).Format(formTime),
		},
		CLI: "nightporter release freeze " + e.Name + ` --until 2h --reason "…"`,
	}}
}
