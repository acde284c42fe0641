package releases

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
)

// Detail is a release with everything that a person who decides about it wants
// to see.
type Detail struct {
	Release
	// WaitsFor is the environment that it waits to enter; "" when it does not.
	WaitsFor string `json:"waits_for,omitempty"`
	// WaitingSince is when that began.
	WaitingSince time.Time `json:"waiting_since,omitzero"`
	// Approvers may decide; the rule about authors is applied when they do.
	Approvers []string `json:"approvers,omitempty"`
	Votes     []Vote   `json:"votes"`
	// Changes are the merges that it brings to production, oldest first.
	Changes []Change `json:"changes"`
	Work    *run.Run `json:"work"`
	// Freezes are in force in environments that it still has to enter.
	Freezes []Freeze `json:"freezes,omitempty"`
	// Overrides say why it may pass a freeze.
	Overrides []Override `json:"overrides,omitempty"`
	// Environments are what the service's environments run now.
	Environments []Placement `json:"environments"`
}

// Show reads a release in full.
func (r *Releases) Show(ctx context.Context, tx *store.Tx, id string) (*Detail, error) {
	rel, err := Get(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	world := r.cfg.Catalog.Current()
	d := &Detail{Release: *rel, Votes: []Vote{}, Changes: []Change{}}
	if d.Work, err = run.Get(ctx, tx, rel.Run); err != nil {
		return nil, err
	}
	if err := run.Expect(ctx, tx, d.Work); err != nil {
		return nil, err
	}
	decides := ""
	for _, s := range d.Work.Steps {
		if s.Kind == kindArrival && s.State == run.Waiting {
			d.WaitingSince = s.StartedAt
		}
		if s.Kind != kindApprove {
			continue
		}
		env := strings.TrimPrefix(s.Name, "approve ")
		decides = env
		if !s.State.Over() && s.State != run.Pending {
			d.WaitsFor, d.WaitingSince = env, s.StartedAt
			d.Approvers = world.Approvers(rel.Service, env)
		}
	}
	if err := r.showFreezes(ctx, tx, d); err != nil {
		return nil, err
	}
	if decides != "" {
		votes, err := Votes(ctx, tx, id, decides)
		if err != nil {
			return nil, err
		}
		d.Votes = append(d.Votes, votes...)
	}
	if d.Environments, err = placements(ctx, tx, `WHERE service = ? ORDER BY environment`, rel.Service); err != nil {
		return nil, err
	}
	merges, err := r.brings(ctx, tx, rel, decides)
	if err != nil {
		return nil, err
	}
	for _, m := range merges {
		d.Changes = append(d.Changes, Change{
			Commit: m.Commit, PullRequest: m.PullRequest, Title: m.Title, URL: m.URL, Authors: m.Authors, MergedAt: m.MergedAt,
		})
	}
	return d, nil
}

// showFreezes adds what a release meets on the rest of its way.
func (r *Releases) showFreezes(ctx context.Context, tx *store.Tx, d *Detail) error {
	all, err := frozen(ctx, tx, r.cfg.Catalog.Current(), r.cfg.Now())
	if err != nil {
		return err
	}
	for _, s := range d.Work.Steps {
		if f, ok := all[strings.TrimPrefix(s.Name, "deploy ")]; ok && s.Kind == kindDeploy && s.State == run.Pending && d.Kind != Rollback {
			d.Freezes = append(d.Freezes, f)
		}
	}
	d.Overrides, err = Overrides(ctx, tx, d.ID)
	return err
}

// brings are the merges that a release brings, or has brought, to an environment;
// "" means the last of the pipeline.
func (r *Releases) brings(ctx context.Context, tx *store.Tx, rel *Release, env string) ([]nightporter.Merged, error) {
	if env == "" {
		for _, stage := range r.cfg.Catalog.Current().Stages(rel.Service) {
			env = stage[len(stage)-1]
		}
	}
	var after int64
	err := tx.QueryRow(ctx, `SELECT COALESCE(MAX(place), 0) FROM release_deploy
		WHERE service = ? AND environment = ? AND state = 'healthy' AND place < ?`, rel.Service, env, rel.Place).Scan(&after)
	if err != nil {
		return nil, err
	}
	return Merges(ctx, tx, rel.Repo, after, rel.Place)
}

// Routes are this package's part of the API.
func (r *Releases) Routes() []httpapi.Route {
	comment := struct {
		Comment string `json:"comment"`
	}{}
	passing := struct {
		Comment        string `json:"comment"`
		OverrideFreeze string `json:"override_freeze,omitempty"`
	}{}
	return []httpapi.Route{
		{
			Method: http.MethodGet, Pattern: "/api/board", Action: httpapi.Does("board.read", nightporter.Read, "api/board"),
			Summary: "What runs where, and how far production is behind", Response: httpapi.List[Row]{}, Handler: r.getBoard,
		},
		{
			Method: http.MethodGet, Pattern: "/api/releases", Action: httpapi.Does("release.list", nightporter.List, "api/releases"),
			Summary: "Releases, newest first", Response: httpapi.List[Release]{}, Handler: r.getReleases,
		},
		{
			Method: http.MethodGet, Pattern: "/api/releases/{id}",
			Action:  httpapi.DoesTo("release.read", nightporter.Read, "api/releases/{id}", "release", "id"),
			Summary: "One release with its steps, votes and changes", Response: Detail{}, Handler: r.getRelease,
		},
		r.verb("approve", "Approve the environment that a release waits for", passing, func(ctx context.Context, id string, b verbBody) (string, error) {
			return "", r.OverrideFreeze(b.OverrideFreeze).Approve(ctx, id, b.Comment)
		}),
		r.verb("reject", "Reject a release that waits", comment, func(ctx context.Context, id string, b verbBody) (string, error) {
			return "", r.Reject(ctx, id, b.Comment)
		}),
		r.verb("retry", "Deploy the same version again", passing, func(ctx context.Context, id string, b verbBody) (string, error) {
			return r.OverrideFreeze(b.OverrideFreeze).Retry(ctx, id)
		}),
		r.verb("rollback", "Bring back what ran before this release", comment, func(ctx context.Context, id string, b verbBody) (string, error) {
			rel, err := r.at(ctx, id)
			if err != nil {
				return "", err
			}
			back, err := r.Rollback(ctx, rel.Service, b.Environment, b.Comment)
			return runOf(back), err
		}),
		r.verb("promote", "Bring this release's version into an environment", passing, func(ctx context.Context, id string, b verbBody) (string, error) {
			rel, err := r.at(ctx, id)
			if err != nil {
				return "", err
			}
			up, err := r.OverrideFreeze(b.OverrideFreeze).Promote(ctx, rel.Service, rel.Version.String(), b.Environment)
			return runOf(up), err
		}),
		{
			Method: http.MethodPost, Pattern: "/api/services/{name}/deploy",
			// The environment stands in the body, so the gate decides on the
			// environment's own path too.
			Action:  httpapi.DoesTo("service.deploy", nightporter.Update, "api/services/{name}/deploy", "service", "name"),
			Summary: "Bring a version into an environment", Request: deployBody{}, Response: Release{}, Handler: r.postDeploy,
		},
		{
			Method: http.MethodPost, Pattern: "/api/services/{name}/artifacts",
			Action:  httpapi.DoesTo("artifact.add", nightporter.Update, "api/services/{name}/artifacts", "service", "name"),
			Summary: "CI says that the image of a commit exists", Request: artifactBody{}, Response: Artifact{}, Handler: r.postArtifact,
		},
		{
			Method: http.MethodPut, Pattern: "/api/services/{name}/hold",
			Action:  httpapi.DoesTo("service.hold", nightporter.Update, "api/services/{name}/hold", "service", "name"),
			Summary: "Keep a service's releases before production", Request: reasonBody{}, Handler: r.putHold,
		},
		{
			Method: http.MethodDelete, Pattern: "/api/services/{name}/hold",
			Action:  httpapi.DoesTo("service.unhold", nightporter.Update, "api/services/{name}/hold", "service", "name"),
			Summary: "Let a service's releases go on", Handler: r.deleteHold,
		},
		{
			Method: http.MethodGet, Pattern: "/api/freezes", Action: httpapi.Does("freeze.list", nightporter.List, "api/freezes"),
			Summary: "The freezes in force, and those that the configuration has for later", Response: httpapi.List[Freeze]{}, Handler: r.getFreezes,
		},
		{
			Method: http.MethodPut, Pattern: "/api/freezes/{environment}",
			Action:  httpapi.DoesTo("environment.freeze", nightporter.Update, "api/freezes/{environment}", "environment", "environment"),
			Summary: "Keep everything out of an environment until a time", Request: freezeBody{}, Handler: r.putFreeze,
		},
		{
			Method: http.MethodDelete, Pattern: "/api/freezes/{environment}",
			Action:  httpapi.DoesTo("environment.unfreeze", nightporter.Update, "api/freezes/{environment}", "environment", "environment"),
			Summary: "End a freeze", Handler: r.deleteFreeze,
		},
	}
}

type (
	verbBody struct {
		Comment     string `json:"comment"`
		Environment string `json:"environment"`
		// OverrideFreeze is why the release may pass a freeze: approve,
		// retry and promote.
		OverrideFreeze string `json:"override_freeze"`
	}
	deployBody struct {
		Version        string `json:"version"`
		Environment    string `json:"environment"`
		OverrideFreeze string `json:"override_freeze,omitempty"`
	}
	artifactBody struct {
		Commit string `json:"commit"`
		Image  string `json:"image"`
		Digest string `json:"digest"`
	}
	reasonBody struct {
		Reason string `json:"reason"`
	}
	freezeBody struct {
		Until  time.Time `json:"until"`
		Reason string    `json:"reason"`
	}
)

// accepted answers long work: the run to follow.
type accepted struct {
	Release string `json:"release"`
	Run     string `json:"run,omitempty"`
}

// verb is a route that acts on a release. Its action's path names the service
// and the environment, which are looked up from the id.
func (r *Releases) verb(name, summary string, request any, act func(ctx context.Context, id string, body verbBody) (string, error)) httpapi.Route {
	return httpapi.Route{
		Method: http.MethodPost, Pattern: "/api/releases/{id}/" + name, Summary: summary, Request: request, Response: accepted{},
		Action: httpapi.DoesWhat(func(req *http.Request) (nightporter.Action, nightporter.Resource, error) {
			id := req.PathValue("id")
			rel, err := r.at(req.Context(), id)
			if err != nil {
				return nightporter.Action{}, nightporter.Resource{}, err
			}
			env := r.environmentOf(req.Context(), rel, name)
			return Act(rel.Service, env, name), nightporter.Resource{Kind: "release", ID: id}, nil
		}),
		Handler: func(w http.ResponseWriter, req *http.Request) error {
			var body verbBody
			if err := httpapi.ReadOptionalJSON(req, &body); err != nil {
				return err
			}
			id := req.PathValue("id")
			if body.Environment == "" {
				rel, err := r.at(req.Context(), id)
				if err != nil {
					return err
				}
				body.Environment = r.environmentOf(req.Context(), rel, name)
			}
			runID, err := act(req.Context(), id, body)
			if err != nil {
				return err
			}
			status := http.StatusOK
			if runID != "" {
				status = http.StatusAccepted
			}
			return httpapi.WriteJSON(w, status, accepted{Release: id, Run: runID})
		},
	}
}

// environmentOf is the environment that a verb means when nobody says: the one
// that the release waits for, or production.
func (r *Releases) environmentOf(ctx context.Context, rel *Release, verb string) string {
	if verb == "retry" {
		return r.first(rel)
	}
	if _, env, _, err := r.waiting(ctx, rel.ID); err == nil {
		return env
	}
	if rel.Target != "" {
		return rel.Target
	}
	last := r.first(rel)
	for _, stage := range r.cfg.Catalog.Current().Stages(rel.Service) {
		last = stage[len(stage)-1]
	}
	return last
}

func (r *Releases) at(ctx context.Context, id string) (rel *Release, err error) {
	err = r.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		rel, err = Get(ctx, tx, id)
		return err
	})
	return rel, err
}

func runOf(rel *Release) string {
	if rel == nil {
		return ""
	}
	return rel.Run
}

// view reads for a request, whose route declared the action.
func (r *Releases) view(req *http.Request, fn func(ctx context.Context, tx *store.Tx) error) error {
	action, resource := httpapi.ActionFrom(req.Context())
	return r.cfg.Gate.View(req.Context(), action, resource, func(tx *store.Tx) error { return fn(req.Context(), tx) })
}

func (r *Releases) getBoard(w http.ResponseWriter, req *http.Request) error {
	page, err := httpapi.ReadPage(req)
	if err != nil {
		return err
	}
	var rows []Row
	if err := r.view(req, func(ctx context.Context, tx *store.Tx) (err error) {
		if rows, err = Board(ctx, tx, r.cfg.Catalog.Current()); err != nil {
			return err
		}
		rows = r.Seen(rows)
		return MarkFrozen(ctx, tx, r.cfg.Catalog.Current(), r.cfg.Now(), rows)
	}); err != nil {
		return err
	}
	for i, row := range rows {
		if row.Service == page.After {
			rows = rows[i+1:]
			break
		}
	}
	return httpapi.WriteList(w, page, rows, func(r Row) string { return r.Service })
}

func (r *Releases) getReleases(w http.ResponseWriter, req *http.Request) error {
	page, err := httpapi.ReadPage(req)
	if err != nil {
		return err
	}
	var list []*Release
	if err := r.view(req, func(ctx context.Context, tx *store.Tx) (err error) {
		q := req.URL.Query()
		list, err = List(ctx, tx, Filter{Service: q.Get("service"), State: State(q.Get("state")), After: page.After, Limit: page.Limit + 1})
		return err
	}); err != nil {
		return err
	}
	return httpapi.WriteList(w, page, list, func(r *Release) string { return r.ID })
}

func (r *Releases) getRelease(w http.ResponseWriter, req *http.Request) error {
	var d *Detail
	if err := r.view(req, func(ctx context.Context, tx *store.Tx) (err error) {
		d, err = r.Show(ctx, tx, req.PathValue("id"))
		return err
	}); err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, d)
}

func (r *Releases) postDeploy(w http.ResponseWriter, req *http.Request) error {
	var body deployBody
	if err := httpapi.ReadJSON(req, &body); err != nil {
		return err
	}
	rel, err := r.OverrideFreeze(body.OverrideFreeze).Promote(req.Context(), req.PathValue("name"), body.Version, body.Environment)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusAccepted, rel)
}

func (r *Releases) postArtifact(w http.ResponseWriter, req *http.Request) error {
	var body artifactBody
	if err := httpapi.ReadJSON(req, &body); err != nil {
		return err
	}
	a, err := r.HasArtifact(req.Context(), Artifact{Service: req.PathValue("name"), Commit: body.Commit, Image: body.Image, Digest: body.Digest})
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, a)
}

func (r *Releases) putHold(w http.ResponseWriter, req *http.Request) error {
	var body reasonBody
	if err := httpapi.ReadJSON(req, &body); err != nil {
		return err
	}
	return noContent(w, r.Hold(req.Context(), req.PathValue("name"), strings.TrimSpace(body.Reason)))
}

func (r *Releases) deleteHold(w http.ResponseWriter, req *http.Request) error {
	return noContent(w, r.Unhold(req.Context(), req.PathValue("name")))
}

func (r *Releases) getFreezes(w http.ResponseWriter, req *http.Request) error {
	page, err := httpapi.ReadPage(req)
	if err != nil {
		return err
	}
	var list []Freeze
	if err := r.view(req, func(ctx context.Context, tx *store.Tx) (err error) {
		list, err = Freezes(ctx, tx, r.cfg.Catalog.Current(), r.cfg.Now())
		return err
	}); err != nil {
		return err
	}
	// Declared freezes have no id; their place in the sorted list is as good.
	key := func(f Freeze) string { return f.Environment + "@" + f.From.Format(time.RFC3339Nano) + "/" + f.Source }
	if i := slices.IndexFunc(list, func(f Freeze) bool { return key(f) == page.After }); i >= 0 {
		list = list[i+1:]
	}
	return httpapi.WriteList(w, page, list, key)
}

func (r *Releases) putFreeze(w http.ResponseWriter, req *http.Request) error {
	var body freezeBody
	if err := httpapi.ReadJSON(req, &body); err != nil {
		return err
	}
	return noContent(w, r.Freeze(req.Context(), req.PathValue("environment"), body.Until, strings.TrimSpace(body.Reason)))
}

func (r *Releases) deleteFreeze(w http.ResponseWriter, req *http.Request) error {
	return noContent(w, r.Unfreeze(req.Context(), req.PathValue("environment")))
}

func noContent(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
