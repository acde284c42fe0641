package security

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/store"
)

type triageBody struct {
	Owner string `json:"owner,omitempty"` // a team or a person; "" leaves it
	Note  string `json:"note,omitempty"`
}

type acceptBody struct {
	Until time.Time `json:"until"`
	Why   string    `json:"why"`
}

// Routes are this package's part of the API.
func (s *Security) Routes() []httpapi.Route {
	act := func(verb, summary string, request any, h httpapi.Handler) httpapi.Route {
		return httpapi.Route{
			Method: http.MethodPost, Pattern: "/api/security/findings/{id}/" + verb, Action: httpapi.DoesWhat(s.findingAction(verb)),
			Summary: summary, Request: request, Response: Finding{}, Handler: h,
		}
	}
	return append([]httpapi.Route{
		{
			Method: http.MethodGet, Pattern: "/api/security/posture", Action: httpapi.Does("posture.list", nightporter.Read, "api/security/posture"),
			Summary: "What each service may claim, with the proof: ?service=", Response: httpapi.List[Posture]{}, Handler: s.getPostures,
		},
		{
			Method: http.MethodGet, Pattern: "/api/security/findings", Action: httpapi.Does("finding.list", nightporter.List, "api/security/findings"),
			Summary:  "What is wrong, the first due first: ?service= ?repo= ?owner= ?check= ?rule= ?state= ?format=csv",
			Response: httpapi.List[Finding]{}, Handler: s.getFindings,
		},
		{
			Method: http.MethodGet, Pattern: "/api/security/findings/{id}", Action: httpapi.DoesWhat(s.findingAction("")),
			Summary: "One finding", Response: Finding{}, Handler: s.getFinding,
		},
		act("triage", "It is real, and this is whose it is", triageBody{}, s.postTriage),
		act("accept", "Live with it until a day; it opens by itself then", acceptBody{}, s.postAccept),
		act("reopen", "Take an acceptance or a triage back", nil, s.postReopen),
		{
			Method: http.MethodPost, Pattern: "/api/services/{name}/sarif", MaxBody: maxSARIF, Timeout: time.Minute,
			Action:  httpapi.DoesTo("finding.report", nightporter.Update, "api/services/{name}/sarif", "service", "name"),
			Summary: "A scanner's report about a service, as SARIF 2.1.0: its results become findings", Response: Report{}, Handler: s.postSARIF,
		},
	}, s.riskRoutes()...)
}

// findingAction names what a request wants, with the service that the finding is
// about.
func (s *Security) findingAction(verb string) httpapi.ActionFunc {
	return func(r *http.Request) (nightporter.Action, nightporter.Resource, error) {
		id := r.PathValue("id")
		var f *Finding
		err := s.cfg.Gate.Look(r.Context(), func(tx *store.Tx) (err error) {
			f, err = GetFinding(r.Context(), tx, id)
			return err
		})
		if err != nil {
			return nightporter.Action{}, nightporter.Resource{}, err
		}
		action := f.Action(verb)
		if verb == "" {
			action = nightporter.Action{Name: "finding.read", Capability: nightporter.Read, Path: "api/security/findings/" + cmp.Or(f.Service, "-")}
		}
		return action, nightporter.Resource{Kind: "finding", ID: id}, nil
	}
}

// view reads for a request whose route declared the action.
func (s *Security) view(r *http.Request, fn func(ctx context.Context, tx *store.Tx) error) error {
	action, resource := httpapi.ActionFrom(r.Context())
	return s.cfg.Gate.View(r.Context(), action, resource, func(tx *store.Tx) error { return fn(r.Context(), tx) })
}

func (s *Security) getPostures(w http.ResponseWriter, r *http.Request) error {
	page, err := httpapi.ReadPage(r)
	if err != nil {
		return err
	}
	name := r.URL.Query().Get("service")
	if _, ok := s.cfg.Catalog.Current().Service(name); name != "" && !ok {
		return nightporter.E(nightporter.NotFound, "no service is called %q", name)
	}
	var all []Posture
	if err := s.view(r, func(ctx context.Context, tx *store.Tx) (err error) {
		all, err = s.Postures(ctx, tx)
		return err
	}); err != nil {
		return err
	}
	if name != "" {
		all = slices.DeleteFunc(all, func(p Posture) bool { return p.Service != name })
	}
	if page.After != "" {
		i := slices.IndexFunc(all, func(p Posture) bool { return p.Service == page.After })
		if i < 0 {
			return nightporter.E(nightporter.Invalid, "after is not a cursor of this list")
		}
		all = all[i+1:]
	}
	return httpapi.WriteList(w, page, all, func(p Posture) string { return p.Service })
}

func (s *Security) getFindings(w http.ResponseWriter, r *http.Request) error {
	page, err := httpapi.ReadPage(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	f := FindingFilter{
		Service: q.Get("service"), Repo: q.Get("repo"), Owner: q.Get("owner"), Check: q.Get("check"), Rule: q.Get("rule"), State: q.Get("state"),
		After: page.After, Limit: page.Limit + 1,
	}
	if wantsCSV(r) {
		f.Limit = exportedAtMost
	}
	var list []Finding
	if err := s.view(r, func(ctx context.Context, tx *store.Tx) (err error) {
		list, err = Findings(ctx, tx, f)
		return err
	}); err != nil {
		return err
	}
	if wantsCSV(r) {
		return writeCSV(w, "findings", findingRows(list))
	}
	return httpapi.WriteList(w, page, list, FindingCursor)
}

func (s *Security) getFinding(w http.ResponseWriter, r *http.Request) error {
	var f *Finding
	if err := s.view(r, func(ctx context.Context, tx *store.Tx) (err error) {
		f, err = GetFinding(ctx, tx, r.PathValue("id"))
		return err
	}); err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, f)
}

func (s *Security) postTriage(w http.ResponseWriter, r *http.Request) error {
	var body triageBody
	if err := httpapi.ReadOptionalJSON(r, &body); err != nil {
		return err
	}
	return answer[Finding](w)(s.Triage(r.Context(), r.PathValue("id"), body.Owner, body.Note))
}

func (s *Security) postAccept(w http.ResponseWriter, r *http.Request) error {
	var body acceptBody
	if err := httpapi.ReadJSON(r, &body); err != nil {
		return err
	}
	return answer[Finding](w)(s.Accept(r.Context(), r.PathValue("id"), body.Until, body.Why))
}

func (s *Security) postReopen(w http.ResponseWriter, r *http.Request) error {
	return answer[Finding](w)(s.Reopen(r.Context(), r.PathValue("id")))
}

// answer writes what a change left.
func answer[T any](w http.ResponseWriter) func(v *T, err error) error {
	return func(v *T, err error) error {
		if err != nil {
			return err
		}
		return httpapi.WriteJSON(w, http.StatusOK, v)
	}
}
