package console

import (
	"context"
	"net/http"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/releases"
)

// formRoutes are the actions. Each form is a plain POST, asks for what the API's
// route of the same action asks for, calls the same method, and answers with 303.
func (c *Console) formRoutes() []httpapi.Route {
	onRelease := func(verb, tail string, env func(*releases.Detail, *http.Request) string, act releaseAct) httpapi.Route {
		return httpapi.Route{
			Method: http.MethodPost, Pattern: "/releases/{id}/" + verb + tail, Credential: httpapi.TokenOrSession, MaxBody: maxForm,
			Action: httpapi.DoesWhat(func(r *http.Request) (nightporter.Action, nightporter.Resource, error) {
				d, err := c.detail(r)
				if err != nil {
					return nightporter.Action{}, nightporter.Resource{}, err
				}
				return releases.Act(d.Service, env(d, r), verb), nightporter.Resource{Kind: "release", ID: d.ID}, takeKey(r)
			}),
			Handler: c.postRelease(verb, act),
		}
	}
	named := func(_ *releases.Detail, r *http.Request) string { return r.PathValue("environment") }
	onHold := func(pattern, name string, act func(ctx context.Context, service, reason string) error) httpapi.Route {
		return httpapi.Route{
			Method: http.MethodPost, Pattern: pattern, Credential: httpapi.TokenOrSession, MaxBody: maxForm,
			Action: httpapi.DoesWhat(func(r *http.Request) (nightporter.Action, nightporter.Resource, error) {
				action := holdAction(r.PathValue("name"))
				action.Name = "service." + name
				return action, nightporter.Resource{Kind: "service", ID: r.PathValue("name")}, takeKey(r)
			}),
			Handler: c.postHold(name, act),
		}
	}
	r := c.cfg.Releases
	return []httpapi.Route{
		onRelease("approve", "", c.waitsFor, func(ctx context.Context, d *releases.Detail, f sent) (string, error) {
			return d.ID, r.Approve(ctx, d.ID, f.comment)
		}),
		onRelease("reject", "", c.waitsFor, func(ctx context.Context, d *releases.Detail, f sent) (string, error) {
			if f.comment == "" {
				return "", nightporter.E(nightporter.Invalid, "a rejection needs a reason: whoever wrote the change will read it")
			}
			return d.ID, r.Reject(ctx, d.ID, f.comment)
		}),
		onRelease("retry", "", c.firstOf, func(ctx context.Context, d *releases.Detail, _ sent) (string, error) {
			_, err := r.Retry(ctx, d.ID)
			return d.ID, err
		}),
		onRelease("promote", "/{environment}", named, func(ctx context.Context, d *releases.Detail, f sent) (string, error) {
			rel, err := r.Promote(ctx, d.Service, d.Version.String(), f.environment)
			return idOf(rel, d), err
		}),
		onRelease("rollback", "/{environment}", named, c.rollback),
		onHold("/services/{name}/hold", "hold", r.Hold),
		onHold("/services/{name}/hold/lift", "unhold", func(ctx context.Context, service, _ string) error { return r.Unhold(ctx, service) }),
	}
}

// sent is what a form holds.
type sent struct {
	comment, confirm, environment string
}

// releaseAct does something to a release and returns the one to show afterwards.
type releaseAct func(ctx context.Context, d *releases.Detail, f sent) (id string, err error)

// detail reads the release of the path. Nobody is told anything of it here: the
// action that it names is authorised next.
func (c *Console) detail(r *http.Request) (d *releases.Detail, err error) {
	err = c.cfg.Gate.Look(r.Context(), func(tx *store.Tx) error {
		d, err = c.cfg.Releases.Show(r.Context(), tx, r.PathValue("id"))
		return err
	})
	return d, err
}

// waitsFor is the environment that an approval is about: the one that the release
// waits for, or else the last on its way.
func (c *Console) waitsFor(d *releases.Detail, _ *http.Request) string {
	if d.WaitsFor != "" {
		return d.WaitsFor
	}
	return releaseView{visit: &visit{c: c, world: c.cfg.Catalog.Current()}, d: d}.last()
}

// firstOf is the environment whose path rules acting on a whole release.
func (c *Console) firstOf(d *releases.Detail, _ *http.Request) string {
	if d.Target != "" {
		return d.Target
	}
	for _, stage := range c.cfg.Catalog.Current().Stages(d.Service) {
		return stage[0]
	}
	return "none"
}

// takeKey puts a form's idempotency key where the front door looks for it: a form
// cannot send headers. It also reads the form, within the route's limit.
func takeKey(r *http.Request) error {
	if err := readForm(r); err != nil {
		return err
	}
	if key := r.PostForm.Get("idempotency_key"); key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	return nil
}

func readSent(r *http.Request) (sent, error) {
	if err := readForm(r); err != nil {
		return sent{}, err
	}
	return sent{
		comment: strings.TrimSpace(r.PostForm.Get("comment")), confirm: strings.TrimSpace(r.PostForm.Get("confirm")),
		environment: r.PathValue("environment"),
	}, nil
}

func (c *Console) postRelease(verb string, act releaseAct) httpapi.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		f, err := readSent(r)
		if err != nil {
			return err
		}
		d, err := c.detail(r)
		if err != nil {
			return err
		}
		id, err := act(r.Context(), d, f)
		if err != nil {
			return err
		}
		c.done(w, r, "/releases/"+id, verb)
		return nil
	}
}

// rollback brings back what ran before. What somebody saw on the page must still
// be so: a second press must not take back the version before, too.
func (c *Console) rollback(ctx context.Context, d *releases.Detail, f sent) (string, error) {
	env, _ := c.cfg.Catalog.Current().Environment(f.environment)
	if env.Kind == nightporter.Production && f.confirm != d.Service {
		return "", nightporter.E(nightporter.Invalid, "type %s to roll back in %s", d.Service, f.environment)
	}
	for _, p := range d.Environments {
		if p.Environment == f.environment && p.Release == d.ID {
			rel, err := c.cfg.Releases.Rollback(ctx, d.Service, f.environment, f.comment)
			return idOf(rel, d), err
		}
	}
	return "", nightporter.E(nightporter.Conflict, "%s does not run this release of %s any more", f.environment, d.Service)
}

// idOf is the release that came of an action, or the one that it was done to.
func idOf(rel *releases.Release, d *releases.Detail) string {
	if rel == nil || rel.ID == "" {
		return d.ID
	}
	return rel.ID
}

func (c *Console) postHold(name string, act func(ctx context.Context, service, reason string) error) httpapi.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		f, err := readSent(r)
		if err != nil {
			return err
		}
		service := r.PathValue("name")
		if err := act(r.Context(), service, f.comment); err != nil {
			return err
		}
		c.done(w, r, "/services/"+service, name)
		return nil
	}
}

// flashCookie carries the name of one of flashes to the next page. It ends by
// itself: a page that is live is fetched again within moments, and must still say
// what just happened.
const (
	flashCookie  = "nightporter-said"
	flashSeconds = 20
)

// flashes are what a page says after a form was sent. The cookie holds a name
// only, so nobody can put words on a page.
var flashes = map[string]Notice{
	"approve":              {State: OK, Title: "Approved.", Text: "It goes on as soon as nothing else keeps it."},
	"reject":               {State: Muted, Title: "Rejected.", Text: "The version stays out."},
	"retry":                {State: Running, Title: "Trying again.", Text: "The same version is deployed wherever it does not run yet."},
	"promote":              {State: Running, Title: "On its way.", Text: "This release brings the version into that environment alone."},
	"rollback":             {State: Running, Title: "Rolling back.", Text: "This release brings back what ran before."},
	"hold":                 {State: Attention, Title: "On hold.", Text: "Nothing of it reaches production until somebody lifts the hold."},
	"environment-keep":     {State: OK, Title: "Kept.", Text: "The schedule decides again after that."},
	"environment-unkeep":   {State: OK, Title: "The schedule decides again."},
	"environment-up":       {State: Running, Title: "Waking.", Text: "It is built from its code. This page follows."},
	"environment-drill":    {State: Running, Title: "Being drilled.", Text: "It is built beside itself and cleared away again. This page follows."},
	"environment-down":     {State: Running, Title: "Lights out.", Text: "It is torn down as at dusk. This page follows."},
	"environment-freeze":   {State: Attention, Title: "Frozen.", Text: "No deployment starts there. A rollback is still possible."},
	"environment-unfreeze": {State: OK, Title: "Not frozen any more.", Text: "What waits goes on by itself."},
	"revoke":               {State: Running, Title: "Revoked.", Text: "It is being taken away. The page says when the database has confirmed that it is gone."},
	"plan":                 {State: OK, Title: "Looked.", Text: "Nothing was changed. This is what an apply would do."},
	"plan-undo":            {State: OK, Title: "Looked.", Text: "Nothing was changed. This is what would take it back."},
	"plan-apply":           {State: Running, Title: "Applying.", Text: "It looks once more first. This page follows."},
	"unhold":               {State: OK, Title: "The hold is lifted.", Text: "What waits goes on, through its approval."},
	"finding-triage":       {State: OK, Title: "Noted.", Text: "It is real, and stays due. Only a new test closes it."},
	"finding-accept":       {State: Muted, Title: "Accepted.", Text: "It opens by itself on that day."},
	"finding-reopen":       {State: Attention, Title: "Open again.", Text: "It is due by its severity from now on."},
	"risk-approve":         {State: OK, Title: "Approved.", Text: "It opens by itself when its review is due, or a finding of it comes back."},
	"risk-confirm":         {State: Attention, Title: "Confirmed.", Text: "Somebody who does not own it has to approve it again."},
	"risk-close":           {State: Muted, Title: "Closed."},
}

func flashOf(r *http.Request) string {
	cookie, err := r.Cookie(flashCookie)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// done answers a form that was obeyed.
func (c *Console) done(w http.ResponseWriter, r *http.Request, path, said string) {
	c.Notify()
	http.SetCookie(w, &http.Cookie{
		Name: flashCookie, Value: said, Path: path, MaxAge: flashSeconds, HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode,
	})
	http.Redirect(w, r, path, http.StatusSeeOther)
}
