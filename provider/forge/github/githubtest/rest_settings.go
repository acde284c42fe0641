package githubtest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// How repositories are set up, in the REST API.

func (s *Server) settingsRoutes(mux *http.ServeMux) {
	const repo, org = "/repos/{owner}/{repo}", "/orgs/{org}"
	mux.HandleFunc("PATCH "+repo, s.repo(s.patchRepo))
	mux.HandleFunc("GET "+repo+"/labels", s.repo(s.listRepoLabels))
	mux.HandleFunc("PUT "+repo+"/branches/{branch}/protection", s.repo(s.putProtection))
	mux.HandleFunc("DELETE "+repo+"/branches/{branch}/protection", s.repo(s.deleteProtection))
	mux.HandleFunc("POST "+repo+"/branches/{branch}/protection/required_signatures", s.repo(s.postSignatures))
	mux.HandleFunc("DELETE "+repo+"/branches/{branch}/protection/required_signatures", s.repo(s.deleteSignatures))
	mux.HandleFunc("POST "+repo+"/rulesets", s.repo(s.postRuleset))
	mux.HandleFunc("PUT "+repo+"/rulesets/{id}", s.repo(s.putRuleset))
	mux.HandleFunc("DELETE "+repo+"/rulesets/{id}", s.repo(s.deleteRuleset))
	mux.HandleFunc("POST "+org+"/rulesets", s.org(s.postRuleset))
	mux.HandleFunc("PUT "+org+"/rulesets/{id}", s.org(s.putRuleset))
	mux.HandleFunc("DELETE "+org+"/rulesets/{id}", s.org(s.deleteRuleset))
	mux.HandleFunc("GET "+org+"/properties/values", s.org(s.listProperties))
	mux.HandleFunc("DELETE "+org+"/teams/{team}/repos/{owner}/{repo}", s.repo(s.deleteTeamRepo))
}

func (s *Server) deleteTeamRepo(w http.ResponseWriter, r *http.Request, repo *repository) {
	if s.teams[r.PathValue("team")] == 0 || r.PathValue("org") != s.cfg.Organisation {
		writeError(w, http.StatusNotFound, "Not Found")
		return
	}
	repo.conf = repo.conf.clone()
	delete(repo.conf.Teams, r.PathValue("team"))
	w.WriteHeader(http.StatusNoContent)
}

// org lets fn work for the organisation, alone.
func (s *Server) org(fn func(http.ResponseWriter, *http.Request, *repository)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if r.PathValue("org") != s.cfg.Organisation {
			writeError(w, http.StatusNotFound, "Not Found")
			return
		}
		fn(w, r, nil)
	}
}

func (s *Server) patchRepo(w http.ResponseWriter, r *http.Request, repo *repository) {
	var in struct {
		Issues   *bool   `json:"has_issues"`
		Wiki     *bool   `json:"has_wiki"`
		Projects *bool   `json:"has_projects"`
		Merge    *bool   `json:"allow_merge_commit"`
		Squash   *bool   `json:"allow_squash_merge"`
		Rebase   *bool   `json:"allow_rebase_merge"`
		Delete   *bool   `json:"delete_branch_on_merge"`
		Title    *string `json:"squash_merge_commit_title"`
		Message  *string `json:"squash_merge_commit_message"`
		Branch   *string `json:"default_branch"`
	}
	if !decode(w, r, &in) {
		return
	}
	if in.Branch != nil && *in.Branch != "main" {
		writeError(w, http.StatusUnprocessableEntity, "Validation Failed", object{"resource": "Repository", "code": "invalid", "field": "default_branch"})
		return
	}
	c := repo.conf.clone()
	for from, to := range map[*bool]*bool{
		in.Issues: &c.Issues, in.Wiki: &c.Wiki, in.Projects: &c.Projects, in.Merge: &c.MergeCommit,
		in.Squash: &c.Squash, in.Rebase: &c.Rebase, in.Delete: &c.DeleteBranchOnMerge,
	} {
		if from != nil {
			*to = *from
		}
	}
	if in.Title != nil {
		c.SquashTitle = *in.Title
	}
	if in.Message != nil {
		c.SquashMessage = *in.Message
	}
	if !c.MergeCommit && !c.Squash && !c.Rebase {
		writeError(w, http.StatusUnprocessableEntity, "Sorry, you need to allow at least one merge strategy. (no_merge_method)")
		return
	}
	repo.conf = c
	writeJSON(w, http.StatusOK, s.renderRepo(repo))
}

// listRepoLabels pages by 30 unless asked otherwise: what the tool that this
// replaces did not know.
func (s *Server) listRepoLabels(w http.ResponseWriter, r *http.Request, repo *repository) {
	size, _ := strconv.Atoi(r.URL.Query().Get("per_page"))
	if size == 0 {
		size = 30
	}
	number, _ := strconv.Atoi(r.URL.Query().Get("page"))
	from := min(max(number-1, 0)*size, len(repo.conf.Labels))
	list := []any{}
	for _, l := range repo.conf.Labels[from:min(from+size, len(repo.conf.Labels))] {
		list = append(list, s.renderLabelOf(repo, l))
	}
	writeJSON(w, http.StatusOK, list)
}

func (s *Server) renderLabelOf(r *repository, l Label) object {
	o := s.renderLabel(r, l.Name)
	o["id"], o["node_id"], o["color"], o["description"] = l.id, node("LA", l.id), l.Color, l.Description
	return o
}

func (s *Server) renderTeam(slug string) object {
	id := s.teams[slug]
	at := fmt.Sprintf("%s/orgs/%s/teams/%s", s.url, s.cfg.Organisation, slug)
	return object{
		"id": id, "node_id": node("T", id), "name": slug, "slug": slug, "description": nil, "privacy": "closed", "permission": "pull",
		"url": at, "html_url": at, "members_url": at + "/members{/member}", "repositories_url": at + "/repos", "parent": nil,
		"notification_setting": "notifications_enabled", "type": "organization", "organization_id": 1,
	}
}

func (s *Server) putProtection(w http.ResponseWriter, r *http.Request, repo *repository) {
	var in struct {
		Checks *struct {
			Strict   bool     `json:"strict"`
			Contexts []string `json:"contexts"`
			Checks   []struct {
				Context string `json:"context"`
				App     *int64 `json:"app_id"`
			} `json:"checks"`
		} `json:"required_status_checks"`
		Reviews *struct {
			Count int `json:"required_approving_review_count"`
		} `json:"required_pull_request_reviews"`
		Linear bool `json:"required_linear_history"`
	}
	if !decode(w, r, &in) {
		return
	}
	p := &Protection{Linear: in.Linear}
	if repo.conf.Protection != nil {
		p.SignedCommit = repo.conf.Protection.SignedCommit // has an endpoint of its own
	}
	if in.Reviews != nil {
		p.Reviews = in.Reviews.Count
	}
	if in.Checks != nil {
		p.UpToDate = in.Checks.Strict
		for _, c := range in.Checks.Checks {
			check := RequiredCheck{Name: c.Context}
			if c.App != nil && *c.App > 0 {
				check.App = *c.App
			}
			p.Checks = append(p.Checks, check)
		}
	}
	repo.conf.Protection = p
	writeJSON(w, http.StatusOK, object{"url": s.api(repo) + "/branches/main/protection", "required_linear_history": object{"enabled": p.Linear}})
}

func (s *Server) deleteProtection(w http.ResponseWriter, _ *http.Request, repo *repository) {
	if repo.conf.Protection == nil {
		writeError(w, http.StatusNotFound, "Branch not protected")
		return
	}
	repo.conf.Protection = nil
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) postSignatures(w http.ResponseWriter, _ *http.Request, repo *repository) {
	if repo.conf.Protection == nil {
		writeError(w, http.StatusNotFound, "Branch not protected")
		return
	}
	repo.conf.Protection.SignedCommit = true
	writeJSON(w, http.StatusOK, object{"url": s.api(repo) + "/branches/main/protection/required_signatures", "enabled": true})
}

func (s *Server) deleteSignatures(w http.ResponseWriter, _ *http.Request, repo *repository) {
	if repo.conf.Protection == nil {
		writeError(w, http.StatusNotFound, "Branch not protected")
		return
	}
	repo.conf.Protection.SignedCommit = false
	w.WriteHeader(http.StatusNoContent)
}

// readRuleset reads a ruleset from a request's body, or answers why not. repo is
// nil for the organisation.
func (s *Server) readRuleset(w http.ResponseWriter, r *http.Request, repo *repository) *Ruleset {
	if repo == nil && s.cfg.Plan != FullPlan || s.cfg.Plan == ClassicPlan {
		writeError(w, http.StatusForbidden, "Upgrade to GitHub Team to enable this feature.")
		return nil
	}
	var in struct {
		Name        string
		Enforcement string
		Conditions  struct {
			Ref struct {
				Include []string
			} `json:"ref_name"`
			Name struct {
				Include, Exclude []string
			} `json:"repository_name"`
		}
		Rules []Rule
	}
	if !decode(w, r, &in) {
		return nil
	}
	rs := &Ruleset{
		Name: in.Name, Enforcement: in.Enforcement, Refs: in.Conditions.Ref.Include, Rules: in.Rules,
		Include: in.Conditions.Name.Include, Exclude: in.Conditions.Name.Exclude,
	}
	if repo != nil {
		rs.Repo = repo.name
	}
	return rs
}

func (s *Server) postRuleset(w http.ResponseWriter, r *http.Request, repo *repository) {
	rs := s.readRuleset(w, r, repo)
	if rs == nil {
		return
	}
	if slices.ContainsFunc(s.rulesets, func(o *Ruleset) bool { return o.Repo == rs.Repo && o.Name == rs.Name }) {
		writeError(w, http.StatusUnprocessableEntity, "Validation Failed: Name must be unique")
		return
	}
	rs.ID = s.id()
	s.rulesets = append(s.rulesets, rs)
	writeJSON(w, http.StatusCreated, s.renderRuleset(rs))
}

func (s *Server) findRuleset(w http.ResponseWriter, r *http.Request, repo *repository) int {
	owner := ""
	if repo != nil {
		owner = repo.name
	}
	i := slices.IndexFunc(s.rulesets, func(o *Ruleset) bool {
		return strconv.FormatInt(o.ID, 10) == r.PathValue("id") && o.Repo == owner
	})
	if i < 0 {
		writeError(w, http.StatusNotFound, "Not Found")
	}
	return i
}

func (s *Server) putRuleset(w http.ResponseWriter, r *http.Request, repo *repository) {
	i := s.findRuleset(w, r, repo)
	if i < 0 {
		return
	}
	rs := s.readRuleset(w, r, repo)
	if rs == nil {
		return
	}
	rs.ID = s.rulesets[i].ID
	s.rulesets[i] = rs
	writeJSON(w, http.StatusOK, s.renderRuleset(rs))
}

func (s *Server) deleteRuleset(w http.ResponseWriter, r *http.Request, repo *repository) {
	i := s.findRuleset(w, r, repo)
	if i < 0 {
		return
	}
	s.rulesets = slices.Delete(s.rulesets, i, i+1)
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) renderRuleset(rs *Ruleset) object {
	kind, source := "Organization", s.cfg.Organisation
	conditions := object{"ref_name": object{"include": anys(rs.Refs), "exclude": []any{}}}
	if rs.Repo != "" {
		kind, source = "Repository", s.cfg.Organisation+"/"+rs.Repo
	} else {
		conditions["repository_name"] = object{"include": anys(rs.Include), "exclude": anys(rs.Exclude), "protected": false}
	}
	rules := []any{}
	for _, rule := range rs.Rules {
		o := object{"type": rule.Type}
		if rule.Parameters != nil {
			o["parameters"] = rule.Parameters
		}
		rules = append(rules, o)
	}
	return object{
		"id": rs.ID, "node_id": node("RRS", rs.ID), "name": rs.Name, "target": "branch", "source_type": kind, "source": source,
		"enforcement": rs.Enforcement, "conditions": conditions, "rules": rules, "bypass_actors": []any{},
		"created_at": s.now(), "updated_at": s.now(),
	}
}

func (s *Server) listProperties(w http.ResponseWriter, r *http.Request, _ *repository) {
	q := r.URL.Query()
	size, _ := strconv.Atoi(q.Get("per_page"))
	if size == 0 {
		size = 30
	}
	number, _ := strconv.Atoi(q.Get("page"))
	all := s.sorted()
	from := min(max(number-1, 0)*size, len(all))
	to := min(from+size, len(all))
	list := []any{}
	for _, repo := range all[from:to] {
		properties := []any{}
		for name, value := range repo.conf.Properties {
			properties = append(properties, object{"property_name": name, "value": value})
		}
		list = append(list, object{
			"repository_id": repo.id, "repository_name": repo.name, "repository_full_name": s.cfg.Organisation + "/" + repo.name, "properties": properties,
		})
	}
	if to < len(all) {
		u := *r.URL
		q.Set("page", itoa(max(number, 1)+1))
		u.RawQuery = q.Encode()
		w.Header().Set("Link", "<"+s.url+strings.TrimSuffix(u.RequestURI(), "&")+`>; rel="next"`)
	}
	writeJSON(w, http.StatusOK, list)
}
