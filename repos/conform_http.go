package repos

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/repos/standard"
)

// Row is one repository of the matrix.
type Row struct {
	Repo  nightporter.Repo `json:"repo"`
	Cells []standard.Cell  `json:"cells"`
	// LookedAt is when the forge's settings were last seen whole, and Error
	// why not since then. What is shown is as old as that.
	LookedAt time.Time `json:"looked_at,omitzero"`
	Error    string    `json:"error,omitempty"`
}

// KeptPlan is a plan as it was kept, with how far its writes have come.
type KeptPlan struct {
	standard.Plan
	Only   string         `json:"only,omitempty"`
	Run    string         `json:"run,omitempty"` // of its apply
	Writes []PlannedWrite `json:"writes"`
}

// Change is one entry of a repository's history.
type Change struct {
	Rule  standard.Rule  `json:"rule"`
	At    time.Time      `json:"at"`
	State standard.State `json:"state"`
	Was   standard.State `json:"was,omitempty"`
	Have  string         `json:"have,omitempty"`
	Who   string         `json:"who,omitempty"`
}

// GetPlan reads a plan that was kept.
func GetPlan(ctx context.Context, tx *store.Tx, id string) (*KeptPlan, error) {
	var p KeptPlan
	var head string
	err := tx.QueryRow(ctx, `SELECT head, only_for, run_id FROM repo_plan WHERE id = ?`, id).Scan(&head, &p.Only, &p.Run)
	if store.IsNotFound(err) {
		return nil, nightporter.E(nightporter.NotFound, "there is no plan %q", id)
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(head), &p.Plan); err != nil {
		return nil, fmt.Errorf("read plan %s: %w", id, err)
	}
	p.Repos = []standard.RepoPlan{}
	err = tx.Each(ctx, `SELECT body FROM repo_plan_repo WHERE plan = ? ORDER BY repo`, []any{id}, func(scan func(...any) error) error {
		var body string
		if err := scan(&body); err != nil {
			return err
		}
		p.Repos = append(p.Repos, standard.RepoPlan{})
		return json.Unmarshal([]byte(body), &p.Repos[len(p.Repos)-1])
	})
	if err != nil {
		return nil, err
	}
	p.Writes, err = planWrites(ctx, tx, id, 0, 0)
	return &p, err
}

// History reads what became of a repository's rules, newest first.
func History(ctx context.Context, tx *store.Tx, repo nightporter.Repo, limit int) ([]Change, error) {
	list := []Change{}
	err := tx.Each(ctx, `SELECT rule, at, state, was, have, who FROM repo_rule_log WHERE repo = ? ORDER BY at DESC LIMIT ?`, []any{repo.String(), limit}, func(scan func(...any) error) error {
		var c Change
		var at int64
		if err := scan(&c.Rule, &at, &c.State, &c.Was, &c.Have, &c.Who); err != nil {
			return err
		}
		c.At = store.Time(at)
		list = append(list, c)
		return nil
	})
	return list, err
}

// Adopt surveys a forge and writes down the standard that most repositories have
// already. It changes nothing. The caller has asked the policy.
func (r *Repos) Adopt(ctx context.Context, forgeName string) (standard.Adoption, error) {
	name, g, err := r.governor(forgeName)
	if err != nil {
		return standard.Adoption{}, err
	}
	return adopt(ctx, name, g, r.cfg.Catalog.Current(), r.cfg.Now())
}

// surveyTime is how long a request that surveys may take.
const surveyTime = 2 * time.Minute

type planBody struct {
	// Forge is its name in the configuration; not needed when there is one.
	Forge string `json:"forge,omitempty"`
	// Only is a rule or a repository.
	Only string `json:"only,omitempty"`
}

type accepted struct {
	Run string `json:"run"`
}

// conformRoutes are the ways to the settings of repositories.
func (r *Repos) conformRoutes() []httpapi.Route {
	return []httpapi.Route{
		{
			Method: http.MethodGet, Pattern: "/api/repos", Action: httpapi.Does("repo.list", nightporter.List, "api/repos"),
			Summary: "Repositories and how they stand to each rule", Response: httpapi.List[Row]{}, Handler: r.getRepos,
		},
		{
			Method: http.MethodPost, Pattern: "/api/repos/plan", Action: httpapi.Does("repo.plan", nightporter.Update, "api/repos/plan"),
			Summary: "Look at every repository and plan what would bring it to the standard", Request: planBody{}, Response: KeptPlan{},
			Timeout: surveyTime, Handler: r.postPlan,
		},
		{
			Method: http.MethodGet, Pattern: "/api/repos/plans/{id}",
			Action:  httpapi.DoesTo("repo.plan.read", nightporter.Read, "api/repos/plans/{id}", "plan", "id"),
			Summary: "A plan, how far its writes have come, and what undoes them", Response: KeptPlan{}, Handler: r.getPlan,
		},
		{
			Method: http.MethodPost, Pattern: "/api/repos/plans/{id}/apply",
			Action:  httpapi.DoesTo("repo.apply", nightporter.Update, "api/repos/plans/{id}/apply", "plan", "id"),
			Summary: "Make a plan's writes", Response: accepted{}, Handler: r.postApply,
		},
		{
			Method: http.MethodGet, Pattern: "/api/repos/plans", Action: httpapi.Does("repo.plan.list", nightporter.List, "api/repos/plans"),
			Summary: "Plans, newest first", Response: httpapi.List[PlanSummary]{}, Handler: r.getPlans,
		},
		{
			Method: http.MethodPost, Pattern: "/api/repos/plans/{id}/undo",
			Action:  httpapi.DoesTo("repo.undo", nightporter.Update, "api/repos/plans/{id}/undo", "plan", "id"),
			Summary: "Plan what takes back the writes that an apply of this plan made", Response: KeptPlan{}, Timeout: surveyTime, Handler: r.postUndo,
		},
		{
			Method: http.MethodPost, Pattern: "/api/repos/adopt", Action: httpapi.Does("repo.adopt", nightporter.Update, "api/repos/adopt"),
			Summary: "Write down the standard that most repositories have already", Request: planBody{}, Response: standard.Adoption{},
			Timeout: surveyTime, Handler: r.postAdopt,
		},
		{
			Method: http.MethodGet, Pattern: "/api/repos/{forge}/{name}/history",
			Action:  httpapi.DoesTo("repo.history", nightporter.Read, "api/repos/{forge}/{name}/history", "repo", "name"),
			Summary: "What became of a repository's rules, newest first", Response: httpapi.List[Change]{}, Handler: r.getHistory,
		},
	}
}

func (r *Repos) getRepos(w http.ResponseWriter, req *http.Request) error {
	page, err := httpapi.ReadPage(req)
	if err != nil {
		return err
	}
	var list []Row
	action, resource := httpapi.ActionFrom(req.Context())
	err = r.cfg.Gate.View(req.Context(), action, resource, func(tx *store.Tx) error {
		list, err = Rows(req.Context(), tx)
		return err
	})
	if err != nil {
		return err
	}
	for len(list) > 0 && page.After != "" && strings.Compare(list[0].Repo.String(), page.After) <= 0 {
		list = list[1:]
	}
	return httpapi.WriteList(w, page, list, func(row Row) string { return row.Repo.String() })
}

func (r *Repos) postPlan(w http.ResponseWriter, req *http.Request) error {
	var in planBody
	if err := httpapi.ReadOptionalJSON(req, &in); err != nil {
		return err
	}
	action, resource := httpapi.ActionFrom(req.Context())
	if err := r.cfg.Gate.Authorise(req.Context(), action, resource); err != nil {
		return err
	}
	p, err := r.Plan(req.Context(), in.Forge, in.Only)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, pending(p, in.Only))
}

// pending is a plan that was made just now.
func pending(p *standard.Plan, only string) KeptPlan {
	kept := KeptPlan{Plan: *p, Only: only, Writes: []PlannedWrite{}}
	for _, write := range p.Writes {
		kept.Writes = append(kept.Writes, PlannedWrite{Write: write, State: Pending})
	}
	return kept
}

func (r *Repos) getPlans(w http.ResponseWriter, req *http.Request) error {
	page, err := httpapi.ReadPage(req)
	if err != nil {
		return err
	}
	var list []PlanSummary
	action, resource := httpapi.ActionFrom(req.Context())
	err = r.cfg.Gate.View(req.Context(), action, resource, func(tx *store.Tx) (err error) {
		list, err = Plans(req.Context(), tx, page.After, page.Limit+1)
		return err
	})
	if err != nil {
		return err
	}
	return httpapi.WriteList(w, page, list, func(p PlanSummary) string { return p.ID })
}

func (r *Repos) postUndo(w http.ResponseWriter, req *http.Request) error {
	action, resource := httpapi.ActionFrom(req.Context())
	if err := r.cfg.Gate.Authorise(req.Context(), action, resource); err != nil {
		return err
	}
	p, err := r.Undo(req.Context(), req.PathValue("id"))
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, pending(p, ""))
}

func (r *Repos) getPlan(w http.ResponseWriter, req *http.Request) error {
	var p *KeptPlan
	action, resource := httpapi.ActionFrom(req.Context())
	err := r.cfg.Gate.View(req.Context(), action, resource, func(tx *store.Tx) (err error) {
		p, err = GetPlan(req.Context(), tx, req.PathValue("id"))
		return err
	})
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, p)
}

func (r *Repos) postApply(w http.ResponseWriter, req *http.Request) error {
	action, resource := httpapi.ActionFrom(req.Context())
	if err := r.cfg.Gate.Authorise(req.Context(), action, resource); err != nil {
		return err
	}
	id, err := r.Apply(req.Context(), req.PathValue("id"))
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/runs/"+id)
	return httpapi.WriteJSON(w, http.StatusAccepted, accepted{Run: id})
}

func (r *Repos) postAdopt(w http.ResponseWriter, req *http.Request) error {
	var in planBody
	if err := httpapi.ReadOptionalJSON(req, &in); err != nil {
		return err
	}
	action, resource := httpapi.ActionFrom(req.Context())
	if err := r.cfg.Gate.Authorise(req.Context(), action, resource); err != nil {
		return err
	}
	a, err := r.Adopt(req.Context(), in.Forge)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, a)
}

func (r *Repos) getHistory(w http.ResponseWriter, req *http.Request) error {
	page, err := httpapi.ReadPage(req)
	if err != nil {
		return err
	}
	var list []Change
	action, resource := httpapi.ActionFrom(req.Context())
	err = r.cfg.Gate.View(req.Context(), action, resource, func(tx *store.Tx) (err error) {
		list, err = History(req.Context(), tx, nightporter.Repo{Forge: req.PathValue("forge"), Name: req.PathValue("name")}, page.Limit)
		return err
	})
	if err != nil {
		return err
	}
	return httpapi.WriteList(w, page, list, func(c Change) string { return c.At.Format(time.RFC3339Nano) })
}
