package metrics

import (
	"net/http"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/httpapi"
)

type (
	rulesBody struct {
		// Text is Prometheus's own YAML.
		Text string `json:"text"`
	}
	silenceBody struct {
		Match  map[string]string `json:"match"`
		For    config.Duration   `json:"for"`
		Reason string            `json:"reason"`
	}
)

// ruleRoutes are the parts about rules, alerts and silences.
func (m *Metrics) ruleRoutes() []httpapi.Route {
	route := func(method, path, name string, c nightporter.Capability, summary string, request, response any, h httpapi.Handler) httpapi.Route {
		return httpapi.Route{
			Method: method, Pattern: "/api/workspaces/{name}" + path, Summary: summary, Request: request, Response: response, Handler: h,
			Action: httpapi.DoesTo(name, c, "api/workspaces/{name}"+path, "workspace", "name"),
		}
	}
	return []httpapi.Route{
		route(http.MethodGet, "/rules", "rules.list", nightporter.Read, "The files of recording and alerting rules", nil, httpapi.List[RuleFile]{}, m.getRules),
		route(http.MethodPut, "/rules/{file}", "rules.save", nightporter.Update, "Write a file of rules in Prometheus's YAML; one that does not parse is refused", rulesBody{}, RuleFile{}, m.putRules),
		route(http.MethodDelete, "/rules/{file}", "rules.delete", nightporter.Delete, "Remove a file of rules", nil, nil, m.deleteRules),
		route(http.MethodGet, "/alerts", "alert.list", nightporter.Read, "The alerts that are pending or fire, and who was told", nil, httpapi.List[Group]{}, m.getAlerts),
		route(http.MethodGet, "/silences", "silence.list", nightporter.Read, "The silences that have not ended", nil, httpapi.List[Silence]{}, m.getSilences),
		route(http.MethodPost, "/silences", "silence.create", nightporter.Create, "Keep alerts quiet for a while", silenceBody{}, Silence{}, m.postSilence),
		route(http.MethodDelete, "/silences/{id}", "silence.delete", nightporter.Delete, "End a silence", nil, nil, m.deleteSilence),
	}
}

func (m *Metrics) getRules(w http.ResponseWriter, r *http.Request) error {
	list, err := m.Rules(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, httpapi.List[RuleFile]{Items: list})
}

func (m *Metrics) putRules(w http.ResponseWriter, r *http.Request) error {
	var body rulesBody
	if err := httpapi.ReadJSON(r, &body); err != nil {
		return err
	}
	f, err := m.SaveRules(r.Context(), r.PathValue("name"), r.PathValue("file"), body.Text)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, f)
}

func (m *Metrics) deleteRules(w http.ResponseWriter, r *http.Request) error {
	if err := m.DeleteRules(r.Context(), r.PathValue("name"), r.PathValue("file")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (m *Metrics) getAlerts(w http.ResponseWriter, r *http.Request) error {
	list, err := m.Groups(r.Context(), r.PathValue("name"), time.Now())
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, httpapi.List[Group]{Items: list})
}

func (m *Metrics) getSilences(w http.ResponseWriter, r *http.Request) error {
	list, err := m.Silences(r.Context(), r.PathValue("name"), time.Now())
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, httpapi.List[Silence]{Items: list})
}

func (m *Metrics) postSilence(w http.ResponseWriter, r *http.Request) error {
	var body silenceBody
	if err := httpapi.ReadJSON(r, &body); err != nil {
		return err
	}
	s, err := m.Silence(r.Context(), r.PathValue("name"), body.Match, body.For.Std(), body.Reason)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusCreated, s)
}

func (m *Metrics) deleteSilence(w http.ResponseWriter, r *http.Request) error {
	if err := m.EndSilence(r.Context(), r.PathValue("name"), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
