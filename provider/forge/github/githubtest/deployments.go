package githubtest

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

// deployment is one deployment with its statuses, oldest first.
type deployment struct {
	id                                  int64
	sha, ref, task, environment, reason string
	production                          bool
	at                                  time.Time
	statuses                            []*deploymentStatus
}

type deploymentStatus struct {
	id                         int64
	state, description, logURL string
	at                         time.Time
}

// Deployment is a deployment as a test sees it.
type Deployment struct {
	Commit, Environment, Task, Description string
	Production                             bool
	// States are all that were reported, oldest first; LogURL is the last one's.
	States []string
	LogURL string
}

// Deployments returns the deployments of a repository, oldest first.
func (s *Server) Deployments(repo string) (list []Deployment, err error) {
	err = s.with(repo, func(r *repository) error {
		for _, d := range r.deployments {
			out := Deployment{Commit: d.sha, Environment: d.environment, Task: d.task, Description: d.reason, Production: d.production}
			for _, st := range d.statuses {
				out.States, out.LogURL = append(out.States, st.state), st.logURL
			}
			list = append(list, out)
		}
		return nil
	})
	return list, err
}

func (s *Server) deploymentRoutes(mux *http.ServeMux) {
	const at = "/repos/{owner}/{repo}/deployments"
	mux.HandleFunc("GET "+at, s.repo(s.listDeployments))
	mux.HandleFunc("POST "+at, s.repo(s.postDeployment))
	mux.HandleFunc("GET "+at+"/{deployment}/statuses", s.repo(s.listDeploymentStatuses))
	mux.HandleFunc("POST "+at+"/{deployment}/statuses", s.repo(s.postDeploymentStatus))
	mux.HandleFunc("PATCH /repos/{owner}/{repo}/releases/{release}", s.repo(s.patchRelease))
}

func (s *Server) listDeployments(w http.ResponseWriter, r *http.Request, repo *repository) {
	q, list := r.URL.Query(), []any{}
	fits := func(name, have string) bool { return q.Get(name) == "" || q.Get(name) == have }
	for _, d := range slices.Backward(repo.deployments) {
		if fits("sha", d.sha) && fits("ref", d.ref) && fits("task", d.task) && fits("environment", d.environment) {
			list = append(list, s.renderDeployment(repo, d))
		}
	}
	writeJSON(w, http.StatusOK, list)
}

func (s *Server) postDeployment(w http.ResponseWriter, r *http.Request, repo *repository) {
	in := struct {
		Ref, Task, Environment, Description string
		Production                          bool      `json:"production_environment"`
		AutoMerge                           *bool     `json:"auto_merge"`
		Contexts                            *[]string `json:"required_contexts"`
	}{Task: "deploy", Environment: "production"}
	if !decode(w, r, &in) {
		return
	}
	if repo.kind(in.Ref) != "commit" {
		writeError(w, http.StatusUnprocessableEntity, "No ref found for: "+in.Ref)
		return
	}
	// As on GitHub: without an empty list it waits for every status.
	if in.Contexts == nil || len(*in.Contexts) > 0 {
		writeError(w, http.StatusConflict, "Conflict: Commit status checks failed for "+in.Ref+".")
		return
	}
	d := &deployment{
		id: s.id(), sha: in.Ref, ref: in.Ref, task: in.Task, environment: in.Environment, reason: in.Description, production: in.Production, at: s.now(),
	}
	repo.deployments = append(repo.deployments, d)
	writeJSON(w, http.StatusCreated, s.renderDeployment(repo, d))
}

func (repo *repository) deployment(id string) *deployment {
	for _, d := range repo.deployments {
		if strconv.FormatInt(d.id, 10) == id {
			return d
		}
	}
	return nil
}

func (s *Server) listDeploymentStatuses(w http.ResponseWriter, r *http.Request, repo *repository) {
	d := repo.deployment(r.PathValue("deployment"))
	if d == nil {
		writeError(w, http.StatusNotFound, "Not Found")
		return
	}
	list := []any{}
	for _, st := range slices.Backward(d.statuses) {
		list = append(list, s.renderDeploymentStatus(repo, d, st))
	}
	writeJSON(w, http.StatusOK, list)
}

func (s *Server) postDeploymentStatus(w http.ResponseWriter, r *http.Request, repo *repository) {
	var in struct {
		State, Description string
		LogURL             string `json:"log_url"`
	}
	if !decode(w, r, &in) {
		return
	}
	d := repo.deployment(r.PathValue("deployment"))
	if d == nil {
		writeError(w, http.StatusNotFound, "Not Found")
		return
	}
	st := &deploymentStatus{id: s.id(), state: in.State, description: in.Description, logURL: in.LogURL, at: s.now()}
	d.statuses = append(d.statuses, st)
	writeJSON(w, http.StatusCreated, s.renderDeploymentStatus(repo, d, st))
}

func (s *Server) deploymentAPI(r *repository, d *deployment) string {
	return s.api(r) + "/deployments/" + strconv.FormatInt(d.id, 10)
}

func (s *Server) renderDeployment(r *repository, d *deployment) object {
	at := s.deploymentAPI(r, d)
	return object{
		"id": d.id, "node_id": node("DE", d.id), "sha": d.sha, "ref": d.ref, "task": d.task, "environment": d.environment,
		"original_environment": d.environment, "production_environment": d.production, "transient_environment": false,
		"payload": object{}, "description": d.reason, "creator": s.renderUser(botLogin), "url": at, "statuses_url": at + "/statuses",
		"repository_url": s.api(r), "created_at": d.at.Format(time.RFC3339), "updated_at": d.at.Format(time.RFC3339),
	}
}

func (s *Server) renderDeploymentStatus(r *repository, d *deployment, st *deploymentStatus) object {
	at := s.deploymentAPI(r, d)
	return object{
		"id": st.id, "node_id": node("DES", st.id), "state": st.state, "description": st.description, "creator": s.renderUser(botLogin),
		"environment": d.environment, "target_url": st.logURL, "log_url": st.logURL, "deployment_url": at, "repository_url": s.api(r),
		"url": at + "/statuses/" + strconv.FormatInt(st.id, 10), "created_at": st.at.Format(time.RFC3339), "updated_at": st.at.Format(time.RFC3339),
	}
}

func (s *Server) patchRelease(w http.ResponseWriter, r *http.Request, repo *repository) {
	var in struct {
		Body *string
	}
	if !decode(w, r, &in) {
		return
	}
	for _, rel := range repo.releases {
		if strconv.FormatInt(rel.id, 10) == r.PathValue("release") {
			if in.Body != nil {
				rel.body = *in.Body
			}
			writeJSON(w, http.StatusOK, s.renderRelease(repo, rel))
			return
		}
	}
	writeError(w, http.StatusNotFound, "Not Found")
}
