package services

import (
	"context"
	"net/http"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/store"
)

// DefaultWindow is what a window is when nobody says.
const DefaultWindow = 30 * 24 * time.Hour

const rebuildPath = "api/dora/rebuild"

type incidentBody struct {
	Title string `json:"title"`
	// Deployment is the id of the deployment or release that caused it: the
	// newest one when empty, "none" for none.
	Deployment string `json:"deployment,omitempty"`
}

// Routes are this package's part of the API.
func (s *Services) Routes() []httpapi.Route {
	const incidents = "api/services/{name}/incidents"
	return []httpapi.Route{
		{
			Method: http.MethodGet, Pattern: "/api/services/{name}/dora",
			Action:  httpapi.DoesTo("service.dora", nightporter.Read, "api/services/{name}/dora", "service", "name"),
			Summary: "How a service was delivered in ?window=30d: DORA's five metrics with their rows", Response: Dora{}, Handler: s.getDora,
		},
		{
			Method: http.MethodPost, Pattern: "/api/dora/rebuild", Action: httpapi.Does("service.rebuild", nightporter.Update, rebuildPath),
			Summary: "Make the rows that DORA's metrics are computed from anew, from the events of the last 90 days", Handler: s.postRebuild,
		},
		{
			Method: http.MethodGet, Pattern: "/" + incidents,
			Action:  httpapi.DoesTo("incident.list", nightporter.List, incidents, "service", "name"),
			Summary: "The newest incidents of a service", Response: httpapi.List[Incident]{}, Handler: s.getIncidents,
		},
		{
			Method: http.MethodPost, Pattern: "/" + incidents,
			Action:  httpapi.DoesTo("incident.open", nightporter.Update, incidents, "service", "name"),
			Summary: "A service does not do what it should in production", Request: incidentBody{}, Response: Incident{}, Handler: s.postIncident,
		},
		{
			Method: http.MethodPost, Pattern: "/" + incidents + "/{id}/close",
			Action:  httpapi.DoesTo("incident.close", nightporter.Update, incidents+"/{id}/close", "service", "name"),
			Summary: "The service does what it should again", Response: Incident{}, Handler: s.postClose,
		},
	}
}

func (s *Services) view(req *http.Request, fn func(ctx context.Context, tx *store.Tx) error) error {
	name := req.PathValue("name")
	if _, ok := s.cfg.Catalog.Current().Service(name); !ok {
		return nightporter.E(nightporter.NotFound, "no service is called %q", name)
	}
	action, resource := httpapi.ActionFrom(req.Context())
	return s.cfg.Gate.View(req.Context(), action, resource, func(tx *store.Tx) error { return fn(req.Context(), tx) })
}

func (s *Services) getDora(w http.ResponseWriter, req *http.Request) error {
	window := config.Duration(DefaultWindow)
	if text := req.URL.Query().Get("window"); text != "" {
		if err := window.UnmarshalText([]byte(text)); err != nil {
			return err
		}
	}
	var d *Dora
	if err := s.view(req, func(ctx context.Context, tx *store.Tx) (err error) {
		d, err = Measure(ctx, tx, req.PathValue("name"), window.Std(), s.cfg.Now())
		return err
	}); err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, d)
}

func (s *Services) postRebuild(w http.ResponseWriter, req *http.Request) error {
	if err := s.Rebuild(req.Context()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Services) getIncidents(w http.ResponseWriter, req *http.Request) error {
	page, err := httpapi.ReadPage(req)
	if err != nil {
		return err
	}
	var list []Incident
	if err := s.view(req, func(ctx context.Context, tx *store.Tx) (err error) {
		list, err = Incidents(ctx, tx, req.PathValue("name"), page.After, page.Limit+1)
		return err
	}); err != nil {
		return err
	}
	return httpapi.WriteList(w, page, list, cursor)
}

func (s *Services) postIncident(w http.ResponseWriter, req *http.Request) error {
	var body incidentBody
	if err := httpapi.ReadJSON(req, &body); err != nil {
		return err
	}
	i, err := s.OpenIncident(req.Context(), req.PathValue("name"), body.Title, body.Deployment)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusCreated, i)
}

func (s *Services) postClose(w http.ResponseWriter, req *http.Request) error {
	i, err := s.CloseIncident(req.Context(), req.PathValue("name"), req.PathValue("id"))
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, i)
}
