package githubtest

import (
	"net/http"
	"slices"
	"time"
)

// checkRun is one run of a check, as GitHub Actions reports it.
type checkRun struct {
	id                       int64
	name, status, conclusion string
	at                       time.Time
}

// ReportCheck reports a check run on a commit, as CI does. A conclusion of "" is a
// run that is still at work.
func (s *Server) ReportCheck(repo, commit, name, conclusion string) error {
	return s.with(repo, func(r *repository) error {
		run := &checkRun{id: s.id(), name: name, status: "completed", conclusion: conclusion, at: s.now()}
		if conclusion == "" {
			run.status = "in_progress"
		}
		if r.checks == nil {
			r.checks = map[string][]*checkRun{}
		}
		r.checks[commit] = append(r.checks[commit], run)
		return nil
	})
}

// listCheckRuns answers with the newest run of each name, as filter=latest does.
func (s *Server) listCheckRuns(w http.ResponseWriter, r *http.Request, repo *repository) {
	sha, name := r.PathValue("sha"), r.URL.Query().Get("check_name")
	if repo.kind(sha) != "commit" {
		writeError(w, http.StatusUnprocessableEntity, "No commit found for SHA: "+sha)
		return
	}
	list, seen := []any{}, map[string]bool{}
	for _, run := range slices.Backward(repo.checks[sha]) {
		if seen[run.name] || name != "" && run.name != name {
			continue
		}
		seen[run.name] = true
		list = append(list, s.renderCheckRun(repo, sha, run))
	}
	writeJSON(w, http.StatusOK, object{"total_count": len(list), "check_runs": list})
}

func (s *Server) renderCheckRun(r *repository, sha string, run *checkRun) object {
	at := s.api(r) + "/check-runs/" + itoa(int(run.id))
	o := object{
		"id": run.id, "node_id": node("CR", run.id), "head_sha": sha, "external_id": "", "url": at,
		"html_url": s.page(r) + "/runs/" + itoa(int(run.id)), "details_url": nil, "name": run.name, "status": run.status,
		"conclusion": nil, "started_at": run.at.Format(time.RFC3339), "completed_at": nil,
		"output": object{
			"title": nil, "summary": nil, "text": nil, "annotations_count": 0, "annotations_url": at + "/annotations",
		},
		"check_suite": object{"id": run.id + 1}, "app": nil, "pull_requests": []any{},
	}
	if run.conclusion != "" {
		o["conclusion"], o["completed_at"] = run.conclusion, run.at.Format(time.RFC3339)
	}
	return o
}
