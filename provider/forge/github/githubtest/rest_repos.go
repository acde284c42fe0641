package githubtest

import (
	"net/http"
	"strings"
)

func (s *Server) getUser(w http.ResponseWriter, r *http.Request) {
	u := s.renderUser(r.PathValue("login"))
	for _, k := range []string{"company", "location", "hireable", "bio"} {
		u[k] = nil
	}
	for _, k := range []string{"public_repos", "public_gists", "followers", "following"} {
		u[k] = 0
	}
	u["blog"], u["user_view_type"] = "", "public"
	u["created_at"], u["updated_at"] = s.now(), s.now()
	writeJSON(w, http.StatusOK, u)
}

func (s *Server) listRepos(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.PathValue("org") != s.cfg.Organisation {
		writeError(w, http.StatusNotFound, "Not Found")
		return
	}
	list := []any{}
	for _, repo := range s.sorted() {
		o := s.renderRepo(repo)
		// The list has no merge settings: its schema is minimal-repository.
		for k := range o {
			if strings.HasPrefix(k, "allow_") && k != "allow_forking" {
				delete(o, k)
			}
		}
		list = append(list, o)
	}
	writeJSON(w, http.StatusOK, list)
}

func (s *Server) getRepo(w http.ResponseWriter, _ *http.Request, repo *repository) {
	writeJSON(w, http.StatusOK, s.renderRepo(repo))
}

func (s *Server) listReleases(w http.ResponseWriter, _ *http.Request, repo *repository) {
	list := []any{}
	for _, rel := range repo.releases {
		list = append(list, s.renderRelease(repo, rel))
	}
	writeJSON(w, http.StatusOK, list)
}

func (s *Server) getRelease(w http.ResponseWriter, r *http.Request, repo *repository) {
	for _, rel := range repo.releases {
		if rel.tag == r.PathValue("tag") {
			writeJSON(w, http.StatusOK, s.renderRelease(repo, rel))
			return
		}
	}
	writeError(w, http.StatusNotFound, "Not Found")
}

// postRelease publishes a release. As on GitHub, a tag that is not there is made
// at the newest commit of the target: a trap for callers.
func (s *Server) postRelease(w http.ResponseWriter, r *http.Request, repo *repository) {
	in := struct {
		TagName    string `json:"tag_name"`
		Target     string `json:"target_commitish"`
		Name, Body string
		Prerelease bool
	}{Target: "main"}
	if !decode(w, r, &in) {
		return
	}
	for _, rel := range repo.releases {
		if rel.tag == in.TagName {
			writeError(w, http.StatusUnprocessableEntity, "Validation Failed",
				object{"resource": "Release", "code": "already_exists", "field": "tag_name"})
			return
		}
	}
	refs, err := repo.refs()
	if err != nil {
		writeError(w, http.StatusInternalServerError, err.Error())
		return
	}
	if _, ok := refs["refs/tags/"+in.TagName]; !ok {
		target := refs["refs/heads/"+in.Target].commit
		if target == "" {
			writeError(w, http.StatusUnprocessableEntity, "Validation Failed",
				object{"resource": "Release", "code": "invalid", "field": "target_commitish"})
			return
		}
		if err := s.moveRef(repo, "refs/tags/"+in.TagName, target, "", botLogin); err != nil {
			writeError(w, http.StatusInternalServerError, err.Error())
			return
		}
	}
	rel := &release{
		id: s.id(), tag: in.TagName, name: or(in.Name, in.TagName), body: in.Body, prerelease: in.Prerelease,
		target: in.Target, created: s.now(), publishedAt: s.now(),
	}
	repo.releases = append(repo.releases, rel)
	s.emitRelease(repo, rel, botLogin)
	writeJSON(w, http.StatusCreated, s.renderRelease(repo, rel))
}
