package environments

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments/schedule"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/cloud"
)

type (
	keepBody struct {
		// Until is an instant, a time of day in the environment's zone
		// ("23:00"), or a local day and time.
		Until string `json:"until"`
		// For is how long, "2h": instead of until.
		For    string         `json:"for"`
		State  schedule.State `json:"state"` // on, which is the default, or off
		Reason string         `json:"reason"`
	}
	pressBody struct {
		Until   string `json:"until"`
		For     string `json:"for"`
		Reason  string `json:"reason"`
		Destroy int    `json:"destroy"` // of down: allow so many resources once
	}
	drillBody struct {
		// Of is head, which the next morning builds and which is the default,
		// or good, which last came up.
		Of Revision `json:"of"`
	}
	accepted struct {
		Environment string `json:"environment"`
		Run         string `json:"run"`
	}
	// night is a run of an environment as a list shows it.
	night struct {
		run.Run
		Drill *Drill `json:"drill,omitempty"`
	}
)

// Routes are this package's part of the API. The list of environments, with those
// that nobody manages, is the house's own: see [Environments.List].
func (e *Environments) Routes() []httpapi.Route {
	route := func(method, path, verb string, c nightporter.Capability, summary string, request, response any, h httpapi.Handler) httpapi.Route {
		return httpapi.Route{
			Method: method, Pattern: "/api/environments/{name}" + path, Summary: summary, Request: request, Response: response, Handler: h,
			Action: httpapi.DoesTo("environment."+verb, c, "api/environments/{name}"+path, "environment", "name"),
		}
	}
	return []httpapi.Route{
		route(http.MethodGet, "", "read", nightporter.Read, "One environment: what it is, should be, and how it comes back", nil, Detail{}, e.getOne),
		route(http.MethodGet, "/schedule", "schedule", nightporter.Read, "When it goes on and off next", nil, httpapi.List[Edge]{}, e.getSchedule),
		route(http.MethodGet, "/runs", "runs", nightporter.Read, "Its nights and mornings, newest first", nil, httpapi.List[night]{}, e.getRuns),
		route(http.MethodGet, "/savings", "savings", nightporter.Read, "What its dark hours spared", nil, Savings{}, e.getSavings),
		route(http.MethodPost, "/up", "up", nightporter.Update, "Bring it up now", pressBody{}, accepted{}, e.press(cloud.Up)),
		route(http.MethodPost, "/down", "down", nightporter.Update, "Tear it down now", pressBody{}, accepted{}, e.press(cloud.Down)),
		route(http.MethodPost, "/drill", "drill", nightporter.Update, "Build it beside itself under another name, prove it, and clear it away", drillBody{}, accepted{}, e.postDrill),
		route(http.MethodPut, "/keep", "keep", nightporter.Update, "Keep it on, or off, until a time", keepBody{}, Override{}, e.putKeep),
		route(http.MethodDelete, "/keep", "keep", nightporter.Delete, "Let the schedule decide again", nil, nil, e.deleteKeep),
	}
}

// view reads for a request, whose route declared the action.
func (e *Environments) view(req *http.Request, fn func(ctx context.Context, tx *store.Tx) error) error {
	action, resource := httpapi.ActionFrom(req.Context())
	return e.cfg.Gate.View(req.Context(), action, resource, func(tx *store.Tx) error { return fn(req.Context(), tx) })
}

func (e *Environments) getOne(w http.ResponseWriter, req *http.Request) error {
	var d *Detail
	if err := e.view(req, func(ctx context.Context, tx *store.Tx) (err error) {
		d, err = e.Show(ctx, tx, req.PathValue("name"))
		return err
	}); err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, d)
}

// query reads the query strictly: what cannot be read is refused, not dropped.
func query(req *http.Request) (url.Values, error) {
	q, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		return nil, nightporter.Wrap(err, nightporter.Invalid, "the query cannot be read")
	}
	return q, nil
}

// instant reads an optional RFC 3339 time of the query.
func instant(q url.Values, name string, otherwise time.Time) (time.Time, error) {
	text := q.Get(name)
	if text == "" {
		return otherwise, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Year() < 1970 || t.Year() > 2200 {
		return t, nightporter.E(nightporter.Invalid, "%s must be a time such as 2026-03-27T12:00:00Z", name)
	}
	return t, nil
}

func (e *Environments) getSchedule(w http.ResponseWriter, req *http.Request) error {
	q, err := query(req)
	if err != nil {
		return err
	}
	after, err := instant(q, "after", e.cfg.Clock.Now())
	if err != nil {
		return err
	}
	count := 10
	if text := q.Get("count"); text != "" {
		if count, err = strconv.Atoi(text); err != nil || count < 1 || count > httpapi.MaxLimit {
			return nightporter.E(nightporter.Invalid, "count must be a number from 1 to %d", httpapi.MaxLimit)
		}
	}
	var edges []Edge
	if err := e.view(req, func(ctx context.Context, tx *store.Tx) (err error) {
		edges, err = e.edges(ctx, tx, req.PathValue("name"), after, count)
		return err
	}); err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, httpapi.List[Edge]{Items: edges})
}

func (e *Environments) getRuns(w http.ResponseWriter, req *http.Request) error {
	page, err := httpapi.ReadPage(req)
	if err != nil {
		return err
	}
	name := req.PathValue("name")
	var list []night
	if err := e.view(req, func(ctx context.Context, tx *store.Tx) error {
		if _, ok := e.cfg.Catalog.Current().Environment(name); !ok {
			return nightporter.E(nightporter.NotFound, "no environment is called %q", name)
		}
		all, err := runs(ctx, tx, name, min(page.Limit, 50))
		if err != nil {
			return err
		}
		drills, err := Drills(ctx, tx, name, 200)
		if err != nil {
			return err
		}
		for _, r := range all {
			n := night{Run: *r}
			for i := range drills {
				if drills[i].Run == r.ID {
					n.Drill = &drills[i]
				}
			}
			list = append(list, n)
		}
		return nil
	}); err != nil {
		return err
	}
	return httpapi.WriteList(w, page, list, func(n night) string { return n.ID })
}

func (e *Environments) getSavings(w http.ResponseWriter, req *http.Request) error {
	q, err := query(req)
	if err != nil {
		return err
	}
	to, err := instant(q, "to", e.cfg.Clock.Now())
	if err != nil {
		return err
	}
	from, err := instant(q, "from", to.AddDate(0, 0, -30))
	if err != nil {
		return err
	}
	var s Savings
	if err := e.view(req, func(ctx context.Context, tx *store.Tx) (err error) {
		s, err = e.Savings(ctx, tx, req.PathValue("name"), from, to)
		return err
	}); err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, s)
}

// Until reads when a wish should end, as an instant, a time of day or a local day
// and time, or how long from now; the zero time when nothing is said.
func (e *Environments) Until(name, text, span string) (time.Time, error) {
	now := e.cfg.Clock.Now()
	switch {
	case text != "" && span != "":
		return now, nightporter.E(nightporter.Invalid, "say until or for, not both")
	case span != "":
		d, err := time.ParseDuration(span)
		if err != nil || d <= 0 {
			return now, nightporter.E(nightporter.Invalid, "%q is not a length of time", span).WithHint("write 2h or 90m")
		}
		return now.Add(d), nil
	case text == "":
		return time.Time{}, nil
	}
	w := e.cfg.Catalog.Current()
	env, ok := w.Environment(name)
	if !ok {
		return now, nightporter.E(nightporter.NotFound, "no environment is called %q", name)
	}
	plan, err := e.schedule(w, env)
	if err != nil {
		return now, err
	}
	return plan.Until(text, now)
}

func (e *Environments) press(d cloud.Direction) httpapi.Handler {
	return func(w http.ResponseWriter, req *http.Request) error {
		var body pressBody
		if err := httpapi.ReadOptionalJSON(req, &body); err != nil {
			return err
		}
		name := req.PathValue("name")
		until, err := e.Until(name, body.Until, body.For)
		if err != nil {
			return err
		}
		if body.Destroy < 0 {
			return nightporter.E(nightporter.Invalid, "destroy must not be negative")
		}
		id, err := e.Go(req.Context(), name, d, Press{Until: until, Reason: strings.TrimSpace(body.Reason), Destroy: body.Destroy})
		if err != nil {
			return err
		}
		return httpapi.WriteJSON(w, http.StatusAccepted, accepted{Environment: name, Run: id})
	}
}

func (e *Environments) postDrill(w http.ResponseWriter, req *http.Request) error {
	var body drillBody
	if err := httpapi.ReadOptionalJSON(req, &body); err != nil {
		return err
	}
	name := req.PathValue("name")
	id, err := e.Drill(req.Context(), name, body.Of)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusAccepted, accepted{Environment: name, Run: id})
}

func (e *Environments) putKeep(w http.ResponseWriter, req *http.Request) error {
	var body keepBody
	if err := httpapi.ReadJSON(req, &body); err != nil {
		return err
	}
	name := req.PathValue("name")
	until, err := e.Until(name, body.Until, body.For)
	if err != nil {
		return err
	}
	if until.IsZero() {
		return nightporter.E(nightporter.Invalid, "say until when").WithHint(`until: "23:00", or for: 2h`)
	}
	if body.State == "" {
		body.State = schedule.On
	}
	o, err := e.Keep(req.Context(), name, Wish{State: body.State, Until: until, Reason: strings.TrimSpace(body.Reason)})
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, o)
}

func (e *Environments) deleteKeep(w http.ResponseWriter, req *http.Request) error {
	if err := e.Unkeep(req.Context(), req.PathValue("name")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
