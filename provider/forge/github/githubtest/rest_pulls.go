package githubtest

import (
	"errors"
	"net/http"
)

func (s *Server) listPulls(w http.ResponseWriter, r *http.Request, repo *repository) {
	want := or(r.URL.Query().Get("state"), "open")
	list := []any{}
	for _, p := range repo.pulls {
		if want == "all" || p.state == want {
			list = append(list, s.renderPull(repo, p))
		}
	}
	writeJSON(w, http.StatusOK, list)
}

func (s *Server) getPull(w http.ResponseWriter, _ *http.Request, repo *repository, p *pull) {
	writeJSON(w, http.StatusOK, s.renderPull(repo, p))
}

func (s *Server) postPull(w http.ResponseWriter, r *http.Request, repo *repository) {
	var in struct {
		Title, Head, Base, Body string
		Draft                   bool
	}
	if !decode(w, r, &in) {
		return
	}
	refs, err := repo.refs()
	if err != nil {
		writeError(w, http.StatusInternalServerError, err.Error())
		return
	}
	head, base := refs["refs/heads/"+in.Head].commit, refs["refs/heads/"+in.Base].commit
	if head == "" || base == "" || in.Base != "main" {
		writeError(w, http.StatusUnprocessableEntity, "Validation Failed",
			object{"resource": "PullRequest", "code": "invalid", "field": "head"})
		return
	}
	author := botLogin
	if c := repo.lookup(head); c != nil {
		author = or(c.author.login(), botLogin)
	}
	p := s.openPull(repo, NewPull{Branch: in.Head, Title: in.Title, Body: in.Body, Author: author, Draft: in.Draft}, base, head)
	writeJSON(w, http.StatusCreated, s.renderPull(repo, p))
}

func (s *Server) putMerge(w http.ResponseWriter, r *http.Request, repo *repository, p *pull) {
	in := struct {
		Method string `json:"merge_method"`
		SHA    string
	}{Method: string(MergeCommit)}
	if r.ContentLength != 0 && !decode(w, r, &in) {
		return
	}
	if in.SHA != "" && in.SHA != p.head {
		writeError(w, http.StatusConflict, "Head branch was modified. Review and try the merge again.")
		return
	}
	sha, err := s.merge(repo, p, Method(in.Method), botLogin)
	switch {
	case errors.Is(err, errNotMergeable):
		writeError(w, http.StatusMethodNotAllowed, err.Error())
	case err != nil:
		writeError(w, http.StatusUnprocessableEntity, err.Error())
	default:
		writeJSON(w, http.StatusOK, object{"sha": sha, "merged": true, "message": "Pull Request successfully merged"})
	}
}

func (s *Server) listLabels(w http.ResponseWriter, _ *http.Request, repo *repository, p *pull) {
	list := []any{}
	for _, l := range p.labels {
		list = append(list, s.renderLabel(repo, l))
	}
	writeJSON(w, http.StatusOK, list)
}

func (s *Server) postLabels(w http.ResponseWriter, r *http.Request, repo *repository, p *pull) {
	var in struct{ Labels []string }
	if !decode(w, r, &in) {
		return
	}
	for _, l := range in.Labels {
		s.label(repo, p, l, botLogin)
	}
	s.listLabels(w, r, repo, p)
}

func (s *Server) deleteLabel(w http.ResponseWriter, r *http.Request, repo *repository, p *pull) {
	if !p.hasLabel(r.PathValue("name")) {
		writeError(w, http.StatusNotFound, "Label does not exist")
		return
	}
	s.unlabel(repo, p, r.PathValue("name"), botLogin)
	s.listLabels(w, r, repo, p)
}

func (s *Server) postComment(w http.ResponseWriter, r *http.Request, repo *repository, p *pull) {
	var in struct{ Body string }
	if !decode(w, r, &in) {
		return
	}
	p.comments = append(p.comments, in.Body)
	id := s.id()
	at := s.api(repo) + "/issues/comments/" + itoa(int(id))
	writeJSON(w, http.StatusCreated, object{
		"id": id, "node_id": node("IC", id), "url": at, "html_url": s.page(repo) + "/pull/" + itoa(p.number) + "#comment",
		"issue_url": s.api(repo) + "/issues/" + itoa(p.number), "body": in.Body, "user": s.renderUser(botLogin),
		"created_at": s.now(), "updated_at": s.now(), "author_association": "MEMBER", "performed_via_github_app": nil,
	})
}
