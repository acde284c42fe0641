package githubtest

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

//go:embed page.html
var pageText string

var pages = template.Must(template.New("pages").Parse(pageText))

// bumps are the labels that a newcomer can choose from.
var bumps = []string{"patch", "minor", "major", "skip-release"}

// servePage answers for a person with a browser: one page for the organisation
// and one for each repository, where pull requests are opened, labelled, reviewed
// and merged.
func (s *Server) servePage(w http.ResponseWriter, r *http.Request) {
	mux := http.NewServeMux()
	prefix := "/" + s.cfg.Organisation + "/{repo}"
	mux.HandleFunc("GET /{$}", s.indexPage)
	mux.HandleFunc("GET "+prefix, s.repoPage)
	mux.HandleFunc("GET "+prefix+"/{rest...}", func(w http.ResponseWriter, r *http.Request) {
		// Addresses that GitHub's API hands out lead to the one page there is.
		to := "/" + s.cfg.Organisation + "/" + url.PathEscape(r.PathValue("repo"))
		if number, ok := strings.CutPrefix(r.PathValue("rest"), "pull/"); ok {
			to += "#pull-" + url.QueryEscape(number)
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
	})
	mux.HandleFunc("POST "+prefix+"/pulls", s.act(func(repo string, _ int, form url.Values) error {
		return s.openSample(repo, form)
	}))
	mux.HandleFunc("POST "+prefix+"/pull/{number}/merge", s.act(func(repo string, n int, _ url.Values) error {
		_, err := s.Merge(repo, n, Squash, "ana-gh")
		return err
	}))
	mux.HandleFunc("POST "+prefix+"/pull/{number}/label", s.act(func(repo string, n int, form url.Values) error {
		for _, other := range bumps {
			if err := s.Unlabel(repo, n, other, "ana-gh"); err != nil {
				return err
			}
		}
		return s.Label(repo, n, form.Get("label"), "ana-gh")
	}))
	mux.HandleFunc("POST "+prefix+"/pull/{number}/approve", s.act(func(repo string, n int, form url.Values) error {
		return s.Approve(repo, n, form.Get("as"))
	}))
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
	// Another site's page must not press the buttons of this one.
	http.NewCrossOriginProtection().Handler(mux).ServeHTTP(w, r)
}

// openSample opens the pull request of the form.
func (s *Server) openSample(repo string, form url.Values) error {
	n := NewPull{Title: form.Get("title"), Author: form.Get("as")}
	if label := form.Get("label"); label != "" {
		n.Labels = []string{label}
	}
	if s.cfg.Sample != nil {
		n.Files = s.cfg.Sample(repo, n.Title)
	}
	_, err := s.OpenPull(repo, n)
	return err
}

// act does what a form asks and leads back to the repository's page.
func (s *Server) act(do func(repo string, number int, form url.Values) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		number, _ := strconv.Atoi(r.PathValue("number"))
		repo := r.PathValue("repo")
		if err := do(repo, number, r.PostForm); err != nil {
			s.renderPage(w, repo, http.StatusUnprocessableEntity, err.Error())
			return
		}
		http.Redirect(w, r, "/"+s.cfg.Organisation+"/"+url.PathEscape(repo), http.StatusSeeOther)
	}
}

func (s *Server) indexPage(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	names := []string{}
	for _, r := range s.sorted() {
		names = append(names, r.name)
	}
	s.mu.Unlock()
	execute(w, http.StatusOK, "index", map[string]any{"Organisation": s.cfg.Organisation, "Repos": names})
}

func (s *Server) repoPage(w http.ResponseWriter, r *http.Request) {
	s.renderPage(w, r.PathValue("repo"), http.StatusOK, "")
}

type pullView struct {
	Number   int
	Title    string
	Author   string
	Draft    bool
	Labels   []string
	Approved []string
	Statuses []Status
}

type logView struct {
	SHA, Subject string
	Tags         []string
}

func (s *Server) renderPage(w http.ResponseWriter, repo string, code int, problem string) {
	view := map[string]any{
		"Organisation": s.cfg.Organisation, "Name": repo, "Path": "/" + s.cfg.Organisation + "/" + url.PathEscape(repo),
		"Clone": s.url + "/" + s.cfg.Organisation + "/" + repo + ".git", "Error": problem, "Choices": bumps,
	}
	err := s.with(repo, func(r *repository) error {
		view["Pulls"] = r.openViews()
		log, err := r.logViews(15)
		view["Log"] = log
		return err
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	execute(w, code, "repo", view)
}

func (r *repository) openViews() []pullView {
	var list []pullView
	for _, p := range slices.Backward(r.pulls) {
		if p.state != "open" {
			continue
		}
		v := pullView{Number: p.number, Title: p.title, Author: p.author, Draft: p.draft, Labels: p.labels}
		for _, ev := range p.timeline {
			if ev.review != nil && ev.review.state == "APPROVED" && !slices.Contains(v.Approved, ev.actor) {
				v.Approved = append(v.Approved, ev.actor)
			}
		}
		seen := map[string]bool{}
		for _, st := range slices.Backward(r.statuses[p.head]) {
			if !seen[st.context] {
				seen[st.context] = true
				v.Statuses = append(v.Statuses, Status{Context: st.context, State: st.state, Description: st.description})
			}
		}
		list = append(list, v)
	}
	return list
}

func (r *repository) logViews(n int) ([]logView, error) {
	refs, err := r.refs()
	if err != nil || refs["refs/heads/main"].commit == "" {
		return nil, err
	}
	tags := map[string][]string{}
	for name, ref := range refs {
		if tag, ok := strings.CutPrefix(name, "refs/tags/"); ok {
			tags[ref.commit] = append(tags[ref.commit], tag)
		}
	}
	commits, err := r.log("refs/heads/main", "--first-parent", "-n", strconv.Itoa(n))
	var list []logView
	for _, c := range commits {
		subject, _, _ := strings.Cut(c.message, "\n")
		slices.Sort(tags[c.sha])
		list = append(list, logView{SHA: c.sha[:10], Subject: subject, Tags: tags[c.sha]})
	}
	return list, err
}

func execute(w http.ResponseWriter, code int, name string, view any) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, view); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write(b.Bytes())
}
