package githubtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

func (s *Server) getRef(w http.ResponseWriter, r *http.Request, repo *repository) {
	refs, err := repo.refs()
	if err != nil {
		writeError(w, http.StatusInternalServerError, err.Error())
		return
	}
	found, ok := refs["refs/"+r.PathValue("ref")]
	if !ok {
		writeError(w, http.StatusNotFound, "Not Found")
		return
	}
	writeJSON(w, http.StatusOK, s.renderRef(repo, found))
}

func (s *Server) postRef(w http.ResponseWriter, r *http.Request, repo *repository) {
	var in struct{ Ref, SHA string }
	if !decode(w, r, &in) {
		return
	}
	if !strings.HasPrefix(in.Ref, "refs/") || strings.Count(in.Ref, "/") < 2 {
		writeError(w, http.StatusUnprocessableEntity, "Reference name must start with 'refs/' and have at least two slashes.")
		return
	}
	s.setRefOver(w, repo, in.Ref, in.SHA, func(exists bool) string {
		if exists {
			return "Reference already exists"
		}
		return ""
	}, http.StatusCreated)
}

func (s *Server) patchRef(w http.ResponseWriter, r *http.Request, repo *repository) {
	var in struct {
		SHA   string
		Force bool
	}
	if !decode(w, r, &in) {
		return
	}
	s.setRefOver(w, repo, "refs/"+r.PathValue("ref"), in.SHA, func(exists bool) string {
		if !exists {
			return "Reference does not exist"
		}
		if !in.Force {
			return "Update is not a fast forward"
		}
		return ""
	}, http.StatusOK)
}

// setRefOver moves a reference unless objection has one.
func (s *Server) setRefOver(w http.ResponseWriter, repo *repository, name, sha string, objection func(exists bool) string, code int) {
	refs, err := repo.refs()
	if err != nil {
		writeError(w, http.StatusInternalServerError, err.Error())
		return
	}
	old, exists := refs[name]
	if text := objection(exists); text != "" {
		writeError(w, http.StatusUnprocessableEntity, text)
		return
	}
	kind := repo.kind(sha)
	if kind == "" {
		writeError(w, http.StatusUnprocessableEntity, "Object does not exist")
		return
	}
	if err := s.moveRef(repo, name, sha, old.object, botLogin); err != nil {
		writeError(w, http.StatusUnprocessableEntity, "Reference update failed")
		return
	}
	writeJSON(w, code, s.renderRef(repo, ref{name: name, object: sha, kind: kind, commit: sha}))
}

func (s *Server) getTag(w http.ResponseWriter, r *http.Request, repo *repository) {
	refs, err := repo.refs()
	if err != nil {
		writeError(w, http.StatusInternalServerError, err.Error())
		return
	}
	for name, ref := range refs {
		if ref.object == r.PathValue("sha") && ref.kind == "tag" {
			writeJSON(w, http.StatusOK, object{
				"node_id": node("TAG", repo.id), "sha": ref.object, "url": s.api(repo) + "/git/tags/" + ref.object,
				"tag": strings.TrimPrefix(name, "refs/tags/"), "message": "",
				"tagger": object{"name": "ana-gh", "email": "ana-gh" + mailDomain, "date": s.now().Format(time.RFC3339)},
				"object": object{"type": "commit", "sha": ref.commit, "url": s.api(repo) + "/git/commits/" + ref.commit},
			})
			return
		}
	}
	writeError(w, http.StatusNotFound, "Not Found")
}

func (s *Server) getCommit(w http.ResponseWriter, r *http.Request, repo *repository) {
	c := repo.lookup(r.PathValue("sha"))
	if c == nil {
		writeError(w, http.StatusUnprocessableEntity, "No commit found for SHA: "+r.PathValue("sha"))
		return
	}
	writeJSON(w, http.StatusOK, s.renderCommit(repo, c))
}

func (s *Server) listCommitPulls(w http.ResponseWriter, r *http.Request, repo *repository) {
	list := []any{}
	for _, p := range repo.pullsOf(r.PathValue("sha")) {
		list = append(list, s.renderPull(repo, p))
	}
	writeJSON(w, http.StatusOK, list)
}

func (s *Server) postStatus(w http.ResponseWriter, r *http.Request, repo *repository) {
	in := struct {
		State, Description, Context string
		TargetURL                   string `json:"target_url"`
	}{Context: "default"}
	if !decode(w, r, &in) {
		return
	}
	sha := r.PathValue("sha")
	if repo.kind(sha) != "commit" {
		writeError(w, http.StatusUnprocessableEntity, "No commit found for SHA: "+sha)
		return
	}
	if len([]rune(in.Description)) > 140 {
		writeError(w, http.StatusUnprocessableEntity, "Validation Failed", object{
			"resource": "Status", "code": "custom", "field": "description", "message": "description is too long (maximum is 140 characters)",
		})
		return
	}
	st := &status{id: s.id(), context: in.Context, state: in.State, description: in.Description, tourl: in.TargetURL, at: s.now()}
	repo.statuses[sha] = append(repo.statuses[sha], st)
	writeJSON(w, http.StatusCreated, s.renderStatus(repo, sha, st))
}

func (s *Server) listStatuses(w http.ResponseWriter, r *http.Request, repo *repository) {
	list := []any{}
	for _, st := range slices.Backward(repo.statuses[r.PathValue("sha")]) {
		list = append(list, s.renderStatus(repo, r.PathValue("sha"), st))
	}
	writeJSON(w, http.StatusOK, list)
}

// postCheckRun keeps a check run beside the statuses: a branch rule asks for either
// by name.
func (s *Server) postCheckRun(w http.ResponseWriter, r *http.Request, repo *repository) {
	var in struct {
		Name       string
		SHA        string `json:"head_sha"`
		Status     string
		Conclusion string
		URL        string `json:"details_url"`
		Output     struct{ Title, Summary, Text string }
	}
	if !decode(w, r, &in) {
		return
	}
	if repo.kind(in.SHA) != "commit" {
		writeError(w, http.StatusUnprocessableEntity, "No commit found for SHA: "+in.SHA)
		return
	}
	if in.Status == "completed" && in.Conclusion == "" { // what GitHub's description does not say
		writeError(w, http.StatusUnprocessableEntity, "Invalid request.\n\nA conclusion is required.")
		return
	}
	state := map[string]string{"success": "success", "neutral": "error", "failure": "failure", "": "pending"}[in.Conclusion]
	st := &status{id: s.id(), context: in.Name, state: state, description: in.Output.Title, tourl: in.URL, text: in.Output.Text, at: s.now()}
	repo.statuses[in.SHA] = append(repo.statuses[in.SHA], st)
	conclusion := any(in.Conclusion)
	if in.Conclusion == "" {
		conclusion = nil
	}
	at := fmt.Sprintf("%s/repos/%s/%s/check-runs/%d", s.url, s.cfg.Organisation, repo.name, st.id)
	writeJSON(w, http.StatusCreated, object{
		"id": st.id, "node_id": node("CR", st.id), "head_sha": in.SHA, "name": in.Name, "external_id": "", "url": at, "html_url": at, "details_url": in.URL,
		"status": in.Status, "conclusion": conclusion, "started_at": stamp(st.at), "completed_at": stamp(st.at), "check_suite": object{"id": 1}, "app": nil,
		"pull_requests": []any{}, "output": object{"title": in.Output.Title, "summary": in.Output.Summary, "text": in.Output.Text, "annotations_count": 0, "annotations_url": at + "/annotations"},
	})
}
