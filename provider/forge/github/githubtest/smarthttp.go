package githubtest

import (
	"net/http"
	"net/http/cgi"
	"os/exec"
	"strings"
)

// serveGit answers git's smart HTTP protocol with git's own server, and tells of
// what a push changed.
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/"+s.cfg.Organisation+"/")
	name, _, _ := strings.Cut(path, ".git/")
	s.mu.Lock()
	repo, ok := s.repos[name]
	s.mu.Unlock()
	if !ok || path == r.URL.Path {
		http.NotFound(w, r)
		return
	}
	user, password, _ := r.BasicAuth()
	if !s.good(password) {
		w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
		http.Error(w, "Authentication required", http.StatusUnauthorized)
		return
	}
	git, err := exec.LookPath("git")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	backend := &cgi.Handler{
		Path: git, Args: []string{"http-backend"},
		Env: []string{
			"GIT_PROJECT_ROOT=" + s.cfg.Dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_PROTOCOL=" + r.Header.Get("Git-Protocol"),
			"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		},
	}
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
		backend.ServeHTTP(w, r)
		return
	}
	// A push: while it runs nothing else moves, so that what differs after it
	// is what it did.
	s.mu.Lock()
	defer s.mu.Unlock()
	before, err := repo.refs()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	backend.ServeHTTP(w, r)
	after, err := repo.refs()
	if err != nil {
		s.violate("git push to %s: %v", name, err)
		return
	}
	for name, ref := range after {
		if before[name].object != ref.object {
			s.pushed(repo, name, before[name].object, ref.object, or(user, "ana-gh"))
		}
	}
	for name, ref := range before {
		if _, still := after[name]; !still {
			s.emitPush(repo, name, ref.object, "", or(user, "ana-gh"))
		}
	}
}
