package metrics

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
)

type createBody struct {
	Name string `json:"name"`
	Change
}

// Routes are this package's part of the API, and Prometheus's own for every
// workspace.
func (m *Metrics) Routes() []httpapi.Route {
	route := func(method, path, verb string, c nightporter.Capability, summary string, request, response any, h httpapi.Handler) httpapi.Route {
		return httpapi.Route{
			Method: method, Pattern: "/api/workspaces/{name}" + path, Summary: summary, Request: request, Response: response, Handler: h,
			Action: httpapi.DoesTo("workspace."+verb, c, "api/workspaces/{name}"+path, "workspace", "name"),
		}
	}
	return append(m.ruleRoutes(), []httpapi.Route{
		{
			Method: http.MethodGet, Pattern: "/api/workspaces", Action: httpapi.Does("workspace.list", nightporter.List, "api/workspaces"),
			Summary: "The metrics workspaces that the caller may see", Response: httpapi.List[Workspace]{}, Handler: m.getAll,
		},
		{
			Method: http.MethodPost, Pattern: "/api/workspaces", Action: httpapi.Does("workspace.create", nightporter.Create, "api/workspaces"),
			Summary: "Make a metrics workspace", Request: createBody{}, Response: Workspace{}, Handler: m.post,
		},
		route(http.MethodGet, "", "read", nightporter.Read, "A metrics workspace with its usage", nil, Workspace{}, m.getOne),
		route(http.MethodPut, "", "update", nightporter.Update, "Change its retention and limits, at once; what is left out stays", Change{}, Workspace{}, m.put),
		route(http.MethodDelete, "", "delete", nightporter.Delete, "Delete it with its samples", nil, nil, m.delete),
		route(http.MethodGet, "/usage", "usage", nightporter.Read, "What it uses, and what it refused", nil, Usage{}, m.getUsage),
		{
			// Prometheus's own API, of each workspace. Queries come by POST too.
			Pattern: "/workspaces/{name}/api/v1/{path...}", Action: httpapi.DoesWhat(does), Handler: m.serve, Answer: httpapi.NotKept,
			MaxBody: 5 << 20, Timeout: 15 * time.Minute,
		},
	}...)
}

// reads are the paths of Prometheus's API that tell what a workspace holds. What is
// not named here, in writes or in rules is not served.
var reads = []string{
	"query", "query_range", "query_exemplars", "format_query", "parse_query", "labels", "series", "metadata", "read",
	"targets", "targets/metadata", "scrape_pools", "alertmanagers", "features",
	"status/buildinfo", "status/runtimeinfo", "status/flags", "status/config", "status/tsdb",
}

var (
	writes = []string{"write", "remote_write"}
	rules  = []string{"rules", "alerts"}
)

// does says what a request of Prometheus's API wants, as a policy path: a query is
// a query by whichever method it comes.
func does(r *http.Request) (nightporter.Action, nightporter.Resource, error) {
	name, path := r.PathValue("name"), r.PathValue("path")
	what := resource(name)
	label, isLabel := strings.CutPrefix(path, "label/")
	switch method := r.Method; {
	case !ValidName(name):
	case slices.Contains(writes, path):
		if method == http.MethodPost {
			return Act(name, "write", "write", nightporter.Update), what, nil
		}
		return nightporter.Action{}, what, nightporter.E(nightporter.Invalid, "samples are written with POST")
	case method != http.MethodGet && method != http.MethodPost:
	case slices.Contains(rules, path):
		return Act(name, "rules", "rules", nightporter.Read), what, nil
	case slices.Contains(reads, path), isLabel && len(label) > len("/values") && strings.HasSuffix(label, "/values"):
		return Act(name, "query", "query", nightporter.Read), what, nil
	}
	return nightporter.Action{}, what, nightporter.E(nightporter.NotFound, "there is nothing at this path of a workspace")
}

// serve hands a request to the engine once the policy has allowed it.
func (m *Metrics) serve(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if org := r.Header.Get("X-Scope-OrgID"); org != "" && org != name {
		return nightporter.E(nightporter.Invalid, "X-Scope-OrgID says another workspace than the address").WithHint("leave the header out")
	}
	ws, err := m.Get(name)
	if err != nil {
		return err
	}
	if ws.Remote {
		return nightporter.E(nightporter.Unavailable, "the workspace %s is remote, which is not part of this version", name)
	}
	if t := ws.Limits.QueryTimeout.Std(); t > 0 {
		// The server's own bound is shorter than a query may take.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(t + 10*time.Second))
	}
	m.Serve(w, r, name, "/"+r.PathValue("path"), Sender(nightporter.ActorFrom(r.Context()).Name))
	return nil
}

func (m *Metrics) getAll(w http.ResponseWriter, r *http.Request) error {
	page, err := httpapi.ReadPage(r)
	if err != nil {
		return err
	}
	items := []Workspace{}
	for _, name := range m.Names() {
		if name > page.After && m.cfg.Gate.May(r.Context(), Act(name, "", "read", nightporter.Read)) {
			if ws, err := m.Get(name); err == nil {
				items = append(items, ws)
			}
		}
	}
	return httpapi.WriteList(w, page, items, func(ws Workspace) string { return ws.Name })
}

func (m *Metrics) post(w http.ResponseWriter, r *http.Request) error {
	var body createBody
	if err := httpapi.ReadJSON(r, &body); err != nil {
		return err
	}
	ws, err := m.Create(r.Context(), body.Name, body.Change)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusCreated, ws)
}

func (m *Metrics) getOne(w http.ResponseWriter, r *http.Request) error {
	ws, err := m.Show(r.PathValue("name"))
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, ws)
}

func (m *Metrics) put(w http.ResponseWriter, r *http.Request) error {
	var body Change
	if err := httpapi.ReadJSON(r, &body); err != nil {
		return err
	}
	ws, err := m.Update(r.Context(), r.PathValue("name"), body)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, ws)
}

func (m *Metrics) delete(w http.ResponseWriter, r *http.Request) error {
	if err := m.Delete(r.Context(), r.PathValue("name")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (m *Metrics) getUsage(w http.ResponseWriter, r *http.Request) error {
	ws, err := m.Show(r.PathValue("name"))
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, ws.Usage)
}
