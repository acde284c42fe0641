package dashboards

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/metrics/dashboard"
)

// Drawn is a panel with what happened in its time.
type Drawn struct {
	*dashboard.Drawing
	// Twin is the same data as tables. It is there when ?twin=true asks for it.
	Twin []dashboard.Grille `json:"twin,omitempty"`
}

// Routes are this package's part of the API.
func (d *Dashboards) Routes() []httpapi.Route {
	const one = "/api/workspaces/{name}/dashboards/{uid}"
	act := func(verb string, c nightporter.Capability) httpapi.Action {
		return httpapi.DoesWhat(func(r *http.Request) (nightporter.Action, nightporter.Resource, error) {
			workspace, uid := r.PathValue("name"), r.PathValue("uid")
			return Act(workspace, uid, verb, c), resource(workspace, uid), nil
		})
	}
	return []httpapi.Route{
		{
			Method: http.MethodGet, Pattern: "/api/workspaces/{name}/dashboards", Action: act("list", nightporter.List),
			Summary: "The dashboards of a workspace", Response: httpapi.List[Summary]{}, Handler: d.getAll,
		},
		{
			Method: http.MethodPost, Pattern: "/api/workspaces/{name}/dashboards", Action: act("import", nightporter.Create), MaxBody: dashboard.MaxBytes + 1,
			Summary: "Import a dashboard: the body is Grafana's JSON as it is; ?replace=true, ?uid=, ?dry_run=true for the report alone", Response: Detail{}, Handler: d.post,
		},
		{Method: http.MethodGet, Pattern: one, Action: act("read", nightporter.Read), Summary: "A dashboard, and what of it cannot be drawn", Response: Detail{}, Handler: d.getOne},
		{Method: http.MethodGet, Pattern: one + "/export", Action: act("read", nightporter.Read), Summary: "A dashboard's JSON as it was imported; ?version= for a former one", Handler: d.getExport},
		{Method: http.MethodDelete, Pattern: one, Action: act("delete", nightporter.Delete), Summary: "Delete a dashboard", Handler: d.delete},
		{
			Method: http.MethodGet, Pattern: one + "/panels/{panel}", Credential: httpapi.TokenOrSession, Timeout: 2 * time.Minute,
			Action: httpapi.DoesWhat(func(r *http.Request) (nightporter.Action, nightporter.Resource, error) {
				// Drawing asks the workspace, so that is what one must be allowed.
				workspace, uid := r.PathValue("name"), r.PathValue("uid")
				return nightporter.Action{Name: "dashboard.draw", Capability: nightporter.Read, Path: "api/workspaces/" + workspace + "/query"}, resource(workspace, uid), nil
			}),
			Summary: "The finished drawing of a panel; ?from=, ?to=, ?var-NAME=, ?points=, ?twin=true", Response: Drawn{}, Handler: d.getPanel,
		},
	}
}

// view reads for a request, whose route declared the action.
func (d *Dashboards) view(r *http.Request, fn func(ctx context.Context, tx *store.Tx) error) error {
	action, what := httpapi.ActionFrom(r.Context())
	return d.cfg.Gate.View(r.Context(), action, what, func(tx *store.Tx) error { return fn(r.Context(), tx) })
}

func (d *Dashboards) getAll(w http.ResponseWriter, r *http.Request) error {
	page, err := httpapi.ReadPage(r)
	if err != nil {
		return err
	}
	var all []Summary
	if err := d.view(r, func(ctx context.Context, tx *store.Tx) (err error) {
		all, err = d.List(ctx, tx, r.PathValue("name"))
		return err
	}); err != nil {
		return err
	}
	// The order is that of titles, so that the cursor is a place in it.
	if page.After != "" {
		for i := range all {
			if all[i].UID == page.After {
				all = all[i+1:]
				break
			}
		}
	}
	return httpapi.WriteList(w, page, all, func(s Summary) string { return s.UID })
}

func (d *Dashboards) post(w http.ResponseWriter, r *http.Request) error {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nightporter.Wrap(err, nightporter.Invalid, "the query cannot be read")
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, dashboard.MaxBytes+1))
	if err != nil {
		return nightporter.Wrap(err, nightporter.Invalid, "the dashboard could not be read")
	}
	how := Import{UID: q.Get("uid"), Replace: q.Get("replace") == "true"}
	if q.Get("dry_run") == "true" {
		detail, err := d.Plan(r.PathValue("name"), raw, how)
		if err != nil {
			return err
		}
		return httpapi.WriteJSON(w, http.StatusOK, detail)
	}
	detail, err := d.Save(r.Context(), r.PathValue("name"), raw, how)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusCreated, detail)
}

func (d *Dashboards) getOne(w http.ResponseWriter, r *http.Request) error {
	var detail *Detail
	if err := d.view(r, func(ctx context.Context, tx *store.Tx) (err error) {
		_, detail, err = d.Show(ctx, tx, r.PathValue("name"), r.PathValue("uid"))
		return err
	}); err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, detail)
}

func (d *Dashboards) getExport(w http.ResponseWriter, r *http.Request) error {
	version := int64(0)
	if text := r.URL.Query().Get("version"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 {
			return nightporter.E(nightporter.Invalid, "version must be a number from 1")
		}
		version = n
	}
	var raw []byte
	if err := d.view(r, func(ctx context.Context, tx *store.Tx) (err error) {
		raw, err = d.Export(ctx, tx, r.PathValue("name"), r.PathValue("uid"), version)
		return err
	}); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Disposition", `attachment; filename="`+slug(r.PathValue("uid"))+`.json"`)
	_, err := w.Write(raw)
	return err
}

func (d *Dashboards) delete(w http.ResponseWriter, r *http.Request) error {
	if err := d.Delete(r.Context(), r.PathValue("name"), r.PathValue("uid")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// AskOf reads what to look at from an address, in Grafana's form: from, to and
// var-NAME, which may come several times.
func AskOf(q url.Values) dashboard.Ask {
	ask := dashboard.Ask{From: q.Get("from"), To: q.Get("to"), Values: map[string][]string{}}
	for name, values := range q {
		if variable, ok := strings.CutPrefix(name, "var-"); ok && len(values) <= 1000 {
			ask.Values[variable] = values
		}
	}
	return ask
}

func (d *Dashboards) getPanel(w http.ResponseWriter, r *http.Request) error {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nightporter.Wrap(err, nightporter.Invalid, "the query cannot be read")
	}
	points, err := strconv.Atoi(q.Get("points"))
	if err != nil && q.Get("points") != "" || points < 0 || points > 11000 {
		return nightporter.E(nightporter.Invalid, "points must be a number from 0 to 11000")
	}
	workspace, uid := r.PathValue("name"), r.PathValue("uid")
	var compiled *dashboard.Dashboard
	// The store is read first and let go: a query may take long.
	if err := d.view(r, func(ctx context.Context, tx *store.Tx) (err error) {
		compiled, _, err = d.Show(ctx, tx, workspace, uid)
		return err
	}); err != nil {
		return err
	}
	ask := AskOf(q)
	ask.Now, ask.Panel = d.cfg.Now(), r.PathValue("panel")
	view, err := compiled.Resolve(r.Context(), d.Querier(workspace), ask)
	if err != nil {
		return err
	}
	drawn := Drawn{}
	if drawn.Drawing, err = view.Draw(r.Context(), d.Querier(workspace), ask.Panel, points); err != nil {
		return err
	}
	if q.Get("twin") == "true" {
		drawn.Twin = view.Twin(drawn.Drawing)
	}
	return httpapi.WriteJSON(w, http.StatusOK, drawn)
}
