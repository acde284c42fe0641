package githubtest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
)

// botLogin is who everybody with a token is.
const botLogin = "nightporter[bot]"

// ServeHTTP answers for the API, for git and for people with a browser.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := s.faultNow()
	if fault.Unreachable {
		panic(http.ErrAbortHandler)
	}
	switch {
	case isAPI(r.URL.Path):
		s.serveAPI(w, r, fault)
	case strings.Contains(r.URL.Path, ".git/"):
		s.serveGit(w, r)
	default:
		s.servePage(w, r)
	}
}

func isAPI(path string) bool {
	if path == "/graphql" {
		return true
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return first == "repos" || first == "orgs" || first == "users" || first == "app"
}

// serveAPI answers one call of the API: checks the caller, does it, checks the
// traffic against the contract, and compares entity tags.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request, fault Fault) {
	body := readBody(r)
	r.Body = body.again()
	rec := httptest.NewRecorder()
	switch {
	case !s.authorised(r):
		writeError(rec, http.StatusUnauthorized, "Bad credentials")
	case s.refuse(rec, r, fault):
	default:
		r.Body = body.again()
		s.routes.ServeHTTP(rec, r)
	}
	if s.cfg.Contract != nil && fault.Status == 0 {
		r.Body = body.again()
		if err := s.cfg.Contract.checkCall(r, body.bytes, rec); err != nil {
			s.violate("%s %s: %v", r.Method, r.URL.Path, err)
		}
	}
	if !s.slow(r, rec, fault) {
		panic(http.ErrAbortHandler)
	}
	mutations := s.note(r, rec)
	if fault.LoseAnswers && r.Method != http.MethodGet && (r.URL.Path != "/graphql" || mutations > 0) {
		panic(http.ErrAbortHandler)
	}
	header := w.Header()
	for k, v := range rec.Header() {
		header[k] = v
	}
	if r.Method == http.MethodGet && rec.Code == http.StatusOK {
		sum := sha256.Sum256(rec.Body.Bytes())
		tag := `"` + hex.EncodeToString(sum[:16]) + `"`
		header.Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes()) // the caller may have gone
}

// note keeps what was asked, and returns how many mutations it held.
func (s *Server) note(r *http.Request, rec *httptest.ResponseRecorder) (mutations int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	take := func(header string) (n int) {
		if p := rec.Header().Get(header); p != "" {
			_ = json.Unmarshal([]byte(p), &n)
			rec.Header().Del(header)
		}
		return n
	}
	points, mutations := take(pointsHeader), take(mutationsHeader)
	s.requests = append(s.requests, Request{Method: r.Method, Path: r.URL.Path, Status: rec.Code, Points: points, Mutations: mutations})
	return mutations
}

func (s *Server) router() http.Handler {
	mux := http.NewServeMux()
	const repo = "/repos/{owner}/{repo}"
	mux.HandleFunc("POST /graphql", s.serveGraphQL)
	mux.HandleFunc("POST /app/installations/{installation}/access_tokens", s.postToken)
	mux.HandleFunc("GET /users/{login}", s.getUser)
	mux.HandleFunc("GET /orgs/{org}/repos", s.listRepos)
	mux.HandleFunc("GET "+repo, s.repo(s.getRepo))
	mux.HandleFunc("GET "+repo+"/pulls", s.repo(s.listPulls))
	mux.HandleFunc("POST "+repo+"/pulls", s.repo(s.postPull))
	mux.HandleFunc("GET "+repo+"/pulls/{number}", s.pull(s.getPull))
	mux.HandleFunc("PUT "+repo+"/pulls/{number}/merge", s.pull(s.putMerge))
	mux.HandleFunc("GET "+repo+"/issues/{number}/labels", s.pull(s.listLabels))
	mux.HandleFunc("POST "+repo+"/issues/{number}/labels", s.pull(s.postLabels))
	mux.HandleFunc("DELETE "+repo+"/issues/{number}/labels/{name}", s.pull(s.deleteLabel))
	mux.HandleFunc("POST "+repo+"/issues/{number}/comments", s.pull(s.postComment))
	mux.HandleFunc("GET "+repo+"/git/ref/{ref...}", s.repo(s.getRef))
	mux.HandleFunc("POST "+repo+"/git/refs", s.repo(s.postRef))
	mux.HandleFunc("PATCH "+repo+"/git/refs/{ref...}", s.repo(s.patchRef))
	mux.HandleFunc("GET "+repo+"/git/tags/{sha}", s.repo(s.getTag))
	mux.HandleFunc("GET "+repo+"/commits/{sha}", s.repo(s.getCommit))
	mux.HandleFunc("GET "+repo+"/commits/{sha}/pulls", s.repo(s.listCommitPulls))
	mux.HandleFunc("GET "+repo+"/commits/{sha}/statuses", s.repo(s.listStatuses))
	mux.HandleFunc("GET "+repo+"/commits/{sha}/check-runs", s.repo(s.listCheckRuns))
	mux.HandleFunc("POST "+repo+"/statuses/{sha}", s.repo(s.postStatus))
	mux.HandleFunc("POST "+repo+"/check-runs", s.repo(s.postCheckRun))
	mux.HandleFunc("GET "+repo+"/releases", s.repo(s.listReleases))
	mux.HandleFunc("POST "+repo+"/releases", s.repo(s.postRelease))
	mux.HandleFunc("GET "+repo+"/releases/tags/{tag...}", s.repo(s.getRelease))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { writeError(w, http.StatusNotFound, "Not Found") })
	s.settingsRoutes(mux)
	s.deploymentRoutes(mux)
	return mux
}

// repo finds the repository and lets fn work on it alone.
func (s *Server) repo(fn func(http.ResponseWriter, *http.Request, *repository)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		found, ok := s.repos[r.PathValue("repo")]
		if !ok || r.PathValue("owner") != s.cfg.Organisation {
			writeError(w, http.StatusNotFound, "Not Found")
			return
		}
		if found.archived && r.Method != http.MethodGet {
			writeError(w, http.StatusForbidden, "Repository was archived so is read-only.")
			return
		}
		fn(w, r, found)
	}
}

// pull finds the pull request as well.
func (s *Server) pull(fn func(http.ResponseWriter, *http.Request, *repository, *pull)) http.HandlerFunc {
	return s.repo(func(w http.ResponseWriter, r *http.Request, found *repository) {
		for _, p := range found.pulls {
			if itoa(p.number) == r.PathValue("number") {
				fn(w, r, found, p)
				return
			}
		}
		writeError(w, http.StatusNotFound, "Not Found")
	})
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

// decode reads a JSON body, and answers 400 when it is none.
func decode(w http.ResponseWriter, r *http.Request, v any) bool {
	if err := json.NewDecoder(r.Body).Decode(v); err != nil {
		writeError(w, http.StatusBadRequest, "Problems parsing JSON")
		return false
	}
	return true
}
