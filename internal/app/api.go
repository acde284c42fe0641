package app

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/releases"
	"nightporter.dev/nightporter/repos"
)

// routes are the house's own part of the API: what belongs to no capability.
func (a *App) routes() []httpapi.Route {
	return slices.Concat(a.identityRoutes(), []httpapi.Route{
		{
			Method: http.MethodGet, Pattern: "/api/status", Access: httpapi.Public,
			Summary: "Version and health, and more for whoever is signed in", Response: status{}, Handler: a.getStatus,
		},
		{
			Method: http.MethodGet, Pattern: "/api/runs/{id}", Action: httpapi.DoesTo("run.read", nightporter.Read, "api/runs/{id}", "run", "id"),
			Summary: "A run and its steps", Response: run.Run{}, Handler: a.getRun,
		},
		{
			Method: http.MethodPost, Pattern: "/api/runs/{id}/cancel",
			Action:  httpapi.DoesTo("run.cancel", nightporter.Update, "api/runs/{id}/cancel", "run", "id"),
			Summary: "End a run", Handler: a.cancelRun,
		},
		{
			Method: http.MethodPost, Pattern: "/api/events/{id}/retry",
			Action:  httpapi.DoesTo("event.retry", nightporter.Update, "api/events/{id}/retry", "event", "id"),
			Summary: "Deliver a parked event again", Request: retryBody{}, Handler: a.retryEvent,
		},
		{
			Method: http.MethodGet, Pattern: "/api/audit", Action: httpapi.Does("audit.list", nightporter.Read, "api/audit"),
			Summary: "The register, newest first", Response: httpapi.List[audit.Entry]{}, Handler: a.getAudit,
		},
		{
			Method: http.MethodGet, Pattern: "/api/audit/checkpoint", Action: httpapi.Does("audit.checkpoint", nightporter.Read, "api/audit/checkpoint"),
			Summary: "A signed statement of the register as it is now", Response: checkpointBody{}, Handler: a.getCheckpoint,
		},
		{
			Method: http.MethodGet, Pattern: "/api/audit/proof", Action: httpapi.Does("audit.proof", nightporter.Read, "api/audit/proof"),
			Summary: "The proof that one entry is in the register", Response: audit.Proof{}, Handler: a.getProof,
		},
		{
			Method: http.MethodPost, Pattern: "/api/audit/verify", Action: httpapi.Does("audit.verify", nightporter.Read, "api/audit/verify"),
			Summary: "Read the whole register and recompute its tree", Response: audit.Report{}, Handler: a.postVerify, Timeout: 5 * time.Minute,
		},
		{
			Method: http.MethodGet, Pattern: "/api/services", Action: httpapi.Does("service.list", nightporter.List, "api/services"),
			Summary: "The services", Response: httpapi.List[serviceBody]{}, Handler: a.getServices,
		},
		{
			Method: http.MethodGet, Pattern: "/api/services/{name}",
			Action:  httpapi.DoesTo("service.read", nightporter.Read, "api/services/{name}", "service", "name"),
			Summary: "One service", Response: serviceBody{}, Handler: a.getService,
		},
		{
			Method: http.MethodGet, Pattern: "/api/people", Action: httpapi.Does("person.list", nightporter.List, "api/people"),
			Summary: "The people of the configuration", Handler: a.getPeople,
		},
		{
			Method: http.MethodGet, Pattern: "/api/teams", Action: httpapi.Does("team.list", nightporter.List, "api/teams"),
			Summary: "The teams of the configuration", Handler: a.getTeams,
		},
		{
			Method: http.MethodGet, Pattern: "/api/environments", Action: httpapi.Does("environment.list", nightporter.List, "api/environments"),
			Summary: "The environments and what they do next", Response: httpapi.List[environments.Summary]{}, Handler: a.getEnvironments,
		},
	})
}

type status struct {
	Version   string             `json:"version"`
	Sealed    bool               `json:"sealed"`
	Ready     bool               `json:"ready"`
	StartedAt time.Time          `json:"started_at"`
	Demo      bool               `json:"demo,omitempty"`
	Store     string             `json:"store,omitempty"` // sqlite or postgres
	Forges    []repos.ForgeState `json:"forges,omitempty"`
	Parked    []outbox.Parked    `json:"parked,omitempty"`
}

func (a *App) getStatus(w http.ResponseWriter, r *http.Request) error {
	s := status{Version: a.opts.Version, Sealed: a.Sealed(), StartedAt: a.started, Demo: a.opts.Demo}
	s.Ready = !s.Sealed && a.ready(r.Context()) == nil
	if actor, err := a.authenticate(r); err == nil && actor.Name != "" {
		s.Store = string(a.db.Dialect())
		err := a.db.View(r.Context(), func(tx *store.Tx) (err error) {
			if s.Forges, err = repos.Forges(r.Context(), tx); err != nil {
				return err
			}
			s.Parked, err = outbox.ListParked(r.Context(), tx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return httpapi.WriteJSON(w, http.StatusOK, s)
}

// view reads for a request whose route declared the action.
func (a *App) view(r *http.Request, fn func(ctx context.Context, tx *store.Tx) error) error {
	action, resource := httpapi.ActionFrom(r.Context())
	return a.gate.View(r.Context(), action, resource, func(tx *store.Tx) error { return fn(r.Context(), tx) })
}

func (a *App) getRun(w http.ResponseWriter, r *http.Request) error {
	var out *run.Run
	err := a.view(r, func(ctx context.Context, tx *store.Tx) (err error) {
		if out, err = run.Get(ctx, tx, r.PathValue("id")); err != nil {
			return err
		}
		return run.Expect(ctx, tx, out)
	})
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, out)
}

func (a *App) cancelRun(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Reason string `json:"reason"`
	}
	if err := httpapi.ReadOptionalJSON(r, &body); err != nil {
		return err
	}
	if body.Reason == "" {
		body.Reason = "cancelled by " + nightporter.ActorFrom(r.Context()).Name
	}
	action, resource := httpapi.ActionFrom(r.Context())
	err := a.gate.Do(r.Context(), action, resource, func(tx *gate.Tx) error {
		tx.Detail("reason", body.Reason)
		return a.runs.Cancel(r.Context(), tx, resource.ID, body.Reason)
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

type retryBody struct {
	Listener string `json:"listener"`
}

func (a *App) retryEvent(w http.ResponseWriter, r *http.Request) error {
	var body retryBody
	if err := httpapi.ReadJSON(r, &body); err != nil {
		return err
	}
	action, resource := httpapi.ActionFrom(r.Context())
	id, err := strconv.ParseInt(resource.ID, 10, 64)
	if err != nil {
		return nightporter.E(nightporter.Invalid, "%q is not the number of an event", resource.ID)
	}
	return noContent(w, a.gate.Do(r.Context(), action, resource, func(tx *gate.Tx) error {
		tx.Detail("listener", body.Listener)
		tx.AfterCommit(a.events.Wake)
		return outbox.Retry(r.Context(), tx.Tx, id, body.Listener)
	}))
}

func (a *App) getAudit(w http.ResponseWriter, r *http.Request) error {
	page, err := httpapi.ReadPage(r)
	if err != nil {
		return err
	}
	before := int64(0)
	if page.After != "" {
		if before, err = strconv.ParseInt(page.After, 10, 64); err != nil {
			return nightporter.E(nightporter.Invalid, "after is not a cursor of this list")
		}
	}
	var entries []audit.Entry
	q := r.URL.Query()
	if err := a.view(r, func(ctx context.Context, tx *store.Tx) (err error) {
		entries, err = audit.List(ctx, tx, audit.Filter{
			Actor: q.Get("actor"), Resource: q.Get("resource"), Before: before, Limit: page.Limit + 1,
		})
		return err
	}); err != nil {
		return err
	}
	return httpapi.WriteList(w, page, entries, func(e audit.Entry) string { return strconv.FormatInt(e.Seq, 10) })
}

type checkpointBody struct {
	audit.Checkpoint
	PublicKey string `json:"public_key"`
}

func (a *App) getCheckpoint(w http.ResponseWriter, r *http.Request) error {
	c, err := a.Checkpoint(r.Context())
	if err != nil {
		return err
	}
	key, err := a.key(r.Context())
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, checkpointBody{c, key.Vkey})
}

func (a *App) getProof(w http.ResponseWriter, r *http.Request) error {
	seq, err := strconv.ParseInt(r.URL.Query().Get("entry"), 10, 64)
	if err != nil || seq < 0 {
		return nightporter.E(nightporter.Invalid, "entry must be the number of an entry")
	}
	if _, err := a.Checkpoint(r.Context()); err != nil {
		return err
	}
	var p audit.Proof
	if err := a.view(r, func(ctx context.Context, tx *store.Tx) (err error) {
		p, err = audit.Prove(ctx, tx, seq)
		return err
	}); err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, p)
}

func (a *App) postVerify(w http.ResponseWriter, r *http.Request) error {
	report, err := a.VerifyAudit(r.Context())
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, report)
}

// serviceBody is a service as the API shows it. What is declared in the file is
// read-only here, and says so.
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

func (a *App) service(w *catalog.World, s catalog.Service) serviceBody {
	return serviceBody{
		Name: s.Name, Owner: s.Owner, Repo: s.Repo, Description: s.Description, Runbook: s.Runbook, OnCall: s.OnCall,
		DependsOn: s.DependsOn, Deploy: s.Deploy.Kind, Stages: w.Stages(s.Name), Source: "file",
	}
}

func (a *App) getServices(w http.ResponseWriter, r *http.Request) error {
	world := a.catalog.Current()
	return listOf(w, r, world.Services(), func(s catalog.Service) serviceBody { return a.service(world, s) },
		func(s serviceBody) string { return s.Name })
}

func (a *App) getService(w http.ResponseWriter, r *http.Request) error {
	world := a.catalog.Current()
	s, ok := world.Service(r.PathValue("name"))
	if !ok {
		return nightporter.E(nightporter.NotFound, "no service is called %q", r.PathValue("name"))
	}
	body := a.service(world, s)
	err := a.view(r, func(ctx context.Context, tx *store.Tx) error {
		rows, err := releases.Board(ctx, tx, world)
		if i := slices.IndexFunc(rows, func(row releases.Row) bool { return row.Service == s.Name }); err == nil && i >= 0 {
			rows = a.modules.releases.Seen(rows[i : i+1])
			i = 0
			body.Board = &rows[i]
			err = releases.MarkFrozen(ctx, tx, world, a.clock.Now(), rows[i:i+1])
		}
		return err
	})
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, body)
}

type personBody struct {
	Name        string            `json:"name"`
	DisplayName string            `json:"display_name,omitempty"`
	Teams       []string          `json:"teams"`
	Logins      map[string]string `json:"logins,omitempty"`
	Source      string            `json:"source"`
}

func (a *App) getPeople(w http.ResponseWriter, r *http.Request) error {
	world := a.catalog.Current()
	return listOf(w, r, world.People(), func(p catalog.Person) personBody {
		return personBody{p.Name, p.DisplayName, slices.Concat([]string{}, world.TeamsOf(p.Name)), p.Logins, "file"}
	}, func(p personBody) string { return p.Name })
}

type teamBody struct {
	Name    string   `json:"name"`
	Members []string `json:"members"`
	Source  string   `json:"source"`
}

func (a *App) getTeams(w http.ResponseWriter, r *http.Request) error {
	return listOf(w, r, a.catalog.Current().Teams(), func(t catalog.Team) teamBody {
		return teamBody{t.Name, slices.Concat([]string{}, t.Members), "file"}
	}, func(t teamBody) string { return t.Name })
}

func (a *App) getEnvironments(w http.ResponseWriter, r *http.Request) error {
	var all []environments.Summary
	if err := a.view(r, func(ctx context.Context, tx *store.Tx) (err error) {
		all, err = a.modules.environments.List(ctx, tx)
		return err
	}); err != nil {
		return err
	}
	return listOf(w, r, all, func(e environments.Summary) environments.Summary { return e }, func(e environments.Summary) string { return e.Name })
}

// listOf answers one page of what the configuration declares.
func listOf[T, B any](w http.ResponseWriter, r *http.Request, all []T, body func(T) B, cursor func(B) string) error {
	page, err := httpapi.ReadPage(r)
	if err != nil {
		return err
	}
	items := make([]B, 0, len(all))
	for _, v := range all {
		items = append(items, body(v))
	}
	if page.After != "" {
		i := slices.IndexFunc(items, func(b B) bool { return cursor(b) == page.After })
		items = items[i+1:]
	}
	return httpapi.WriteList(w, page, items, cursor)
}
