package gitea_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/provider/forge/forgetest"
	"nightporter.dev/nightporter/provider/forge/gitea"
)

const (
	secret   = "webhook secret"
	admin    = "porter-admin"
	password = "A-long-enough-password-1"
)

// The suite, word for word, against a Gitea that runs for real. GITEA_BIN names its
// binary; GITEA_STATIC_ROOT its folder of templates, for one that was built without
// them.
func TestARealGiteaKeepsTheContract(t *testing.T) {
	bin := os.Getenv("GITEA_BIN")
	if bin == "" {
		const missing = "GITEA_BIN is not set: the contract is NOT RUN against a real Gitea"
		fmt.Fprintln(os.Stderr, missing)
		t.Skip(missing)
	}
	s := startGitea(t, bin)
	var orgs atomic.Int64
	t.Run("suite", func(t *testing.T) {
		forgetest.Run(t, func(t *testing.T) forgetest.Harness {
			w := s.organisation(t, fmt.Sprintf("acme-%d", orgs.Add(1)))
			f, err := gitea.New(gitea.Config{
				BaseURL: s.url, Organisation: w.org, AtOnce: 4,
				Token:         func(context.Context) (string, error) { return s.token, nil },
				WebhookSecret: func() ([]byte, error) { return []byte(secret), nil },
			})
			if err != nil {
				t.Fatal(err)
			}
			return forgetest.Harness{Forge: f, World: w, Step: nextSecond}
		})
	})
}

// nextSecond passes when the world's clock shows another second: Gitea keeps times
// in whole ones.
func nextSecond() { <-time.After(1100 * time.Millisecond) }

// realGitea is a Gitea process and what it sent.
type realGitea struct {
	url, token string
	hooks      *httptest.Server

	mu         sync.Mutex
	deliveries map[string][]delivery // by organisation
	arrived    chan struct{}
}

type delivery struct {
	header http.Header
	body   []byte
}

func startGitea(t *testing.T, bin string) *realGitea {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	s := &realGitea{url: fmt.Sprintf("http://127.0.0.1:%d", port), deliveries: map[string][]delivery{}, arrived: make(chan struct{})}
	ini := fmt.Sprintf(`
RUN_MODE = prod
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
WORK_PATH = %[1]s
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = %[2]d
ROOT_URL = http://127.0.0.1:%[2]d/
OFFLINE_MODE = true
DISABLE_SSH = true
STATIC_ROOT_PATH = %[3]s
[database]
DB_TYPE = sqlite3
PATH = %[1]s/gitea.db
SQLITE_JOURNAL_MODE = WAL
[repository]
ROOT = %[1]s/repos
DEFAULT_BRANCH = main
[security]
INSTALL_LOCK = true
SECRET_KEY = not-a-secret-key-for-tests
INTERNAL_TOKEN = eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJuYmYiOjE3MDAwMDAwMDB9.c2lnbmF0dXJl
PASSWORD_HASH_ALGO = pbkdf2_v1
[service]
DISABLE_REGISTRATION = true
[webhook]
ALLOWED_HOST_LIST = loopback
[actions]
ENABLED = false
[cron]
ENABLED = false
[log]
LEVEL = error
`, dir, port, os.Getenv("GITEA_STATIC_ROOT"))
	config := filepath.Join(dir, "app.ini")
	if err := os.WriteFile(config, []byte(ini), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) *exec.Cmd {
		cmd := exec.Command(bin, append([]string{"--config", config, "--work-path", dir}, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+dir, "USER=root")
		return cmd
	}
	if out, err := run("migrate").CombinedOutput(); err != nil {
		t.Fatalf("gitea migrate: %v\n%s", err, out)
	}
	out, err := run("admin", "user", "create", "--admin", "--username", admin, "--password", password, "--email", admin+"@acme.test", "--must-change-password=false").CombinedOutput()
	if err != nil {
		t.Fatalf("gitea admin user create: %v\n%s", err, out)
	}
	server := run("web")
	var said bytes.Buffer
	server.Stdout, server.Stderr = &said, &said
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = server.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = server.Process.Signal(os.Interrupt)
		<-ended
		if t.Failed() {
			t.Logf("gitea said:\n%s", said.String())
		}
	})
	s.hooks = httptest.NewServer(http.HandlerFunc(s.receive))
	t.Cleanup(s.hooks.Close)
	deadline := time.After(time.Minute)
	for {
		if resp, err := http.Get(s.url + "/api/healthz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		select {
		case <-ended:
			t.Fatalf("gitea ended:\n%s", said.String())
		case <-deadline:
			t.Fatalf("gitea does not answer:\n%s", said.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
	var made struct {
		Sha1 string `json:"sha1"`
	}
	r, _ := http.NewRequest(http.MethodPost, s.url+"/api/v1/users/"+admin+"/tokens", strings.NewReader(`{"name":"porter","scopes":["all"]}`))
	r.SetBasicAuth(admin, password)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&made); err != nil || made.Sha1 == "" {
		t.Fatalf("no token: %s %v", resp.Status, err)
	}
	s.token = made.Sha1
	for _, login := range []string{"ana-gh", "ben-gh", "cleo-gh", "dan-gh", "eve-gh"} {
		s.must(t, "", http.MethodPost, "/admin/users", map[string]any{"username": login, "email": login + "@acme.test", "password": password, "must_change_password": false}, nil)
	}
	return s
}

func (s *realGitea) receive(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	org := strings.TrimPrefix(r.URL.Path, "/")
	s.deliveries[org] = append(s.deliveries[org], delivery{r.Header.Clone(), body})
	close(s.arrived)
	s.arrived = make(chan struct{})
}

// ask asks Gitea as somebody; "" is the administrator.
func (s *realGitea) ask(as, method, path string, body, out any) (int, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequest(method, s.url+"/api/v1"+path, bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "token "+s.token)
	r.Header.Set("Content-Type", "application/json")
	if as != "" {
		r.Header.Set("Sudo", as)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	if resp.StatusCode/100 != 2 {
		return resp.StatusCode, fmt.Errorf("%s %s: %s %s", method, path, resp.Status, answer)
	}
	if out != nil {
		return resp.StatusCode, json.Unmarshal(answer, out)
	}
	return resp.StatusCode, nil
}

func (s *realGitea) must(t testing.TB, as, method, path string, body, out any) {
	t.Helper()
	if _, err := s.ask(as, method, path, body, out); err != nil {
		t.Fatal(err)
	}
}

// organisation makes a world of its own.
func (s *realGitea) organisation(t testing.TB, name string) *realWorld {
	t.Helper()
	w := &realWorld{s: s, org: name}
	s.must(t, "", http.MethodPost, "/orgs", map[string]any{"username": name}, nil)
	var teams []struct{ ID int64 }
	s.must(t, "", http.MethodGet, "/orgs/"+name+"/teams", nil, &teams)
	for _, login := range []string{"ana-gh", "ben-gh", "cleo-gh", "dan-gh", "eve-gh"} {
		s.must(t, "", http.MethodPut, fmt.Sprintf("/teams/%d/members/%s", teams[0].ID, login), nil, nil)
	}
	s.must(t, "", http.MethodPost, "/orgs/"+name+"/hooks", map[string]any{
		"type": "gitea", "active": true, "events": []string{"push", "pull_request", "pull_request_label", "pull_request_sync"},
		"config": map[string]string{"url": s.hooks.URL + "/" + name, "content_type": "json", "secret": secret},
	}, nil)
	return w
}

// realWorld is what people do to one organisation.
type realWorld struct {
	s     *realGitea
	org   string
	files atomic.Int64

	// The newest webhook is the newest of this event after so many.
	event string
	after int
}

func (w *realWorld) expect(event string) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	w.event, w.after = event, len(w.s.deliveries[w.org])
}

func (w *realWorld) at(repo string) string { return "/repos/" + w.org + "/" + repo }

func (w *realWorld) AddRepo(t testing.TB, repo string) {
	w.s.must(t, "", http.MethodPost, "/orgs/"+w.org+"/repos", map[string]any{"name": repo, "auto_init": true, "default_branch": "main"}, nil)
}

func (w *realWorld) AddEmptyRepo(t testing.TB, repo string) {
	w.s.must(t, "", http.MethodPost, "/orgs/"+w.org+"/repos", map[string]any{"name": repo, "default_branch": "main"}, nil)
}

func (w *realWorld) Archive(t testing.TB, repo string) {
	w.s.must(t, "", http.MethodPatch, w.at(repo), map[string]any{"archived": true}, nil)
}

// commit writes a new file.
func (w *realWorld) commit(t testing.TB, repo, branch, newBranch, message, login string) string {
	t.Helper()
	var out struct{ Commit struct{ Sha string } }
	who := map[string]string{"name": login, "email": login + "@acme.test"}
	body := map[string]any{"branch": branch, "message": message, "content": base64.StdEncoding.EncodeToString([]byte(message)), "author": who, "committer": who}
	if newBranch != "" {
		body["new_branch"] = newBranch
	}
	w.s.must(t, login, http.MethodPost, fmt.Sprintf("%s/contents/file-%d.txt", w.at(repo), w.files.Add(1)), body, &out)
	return out.Commit.Sha
}

func (w *realWorld) Push(t testing.TB, repo, message, login string) string {
	w.expect("push")
	return w.commit(t, repo, "main", "", message, login)
}

func (w *realWorld) Rewrite(t testing.TB, repo string) string {
	t.Helper()
	dir := t.TempDir()
	u, err := url.Parse(w.s.url)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(admin, password)
	git := func(args ...string) string {
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=ana", "-c", "user.email=ana-gh@acme.test"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "HOME="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %s: %v\n%s", args[0], err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q", "-b", "main")
	git("commit", "-q", "--allow-empty", "-m", "anew")
	git("push", "-q", "--force", u.String()+"/"+w.org+"/"+repo+".git", "main")
	return git("rev-parse", "HEAD")
}

func (w *realWorld) PushTag(t testing.TB, repo, tag, commit string, kind forgetest.TagKind) {
	_, _ = w.s.ask("", http.MethodDelete, w.at(repo)+"/tags/"+url.PathEscape(tag), nil, nil)
	body := map[string]any{"tag_name": tag, "target": commit}
	if kind == forgetest.Annotated {
		body["message"] = "annotated"
	}
	w.s.must(t, "", http.MethodPost, w.at(repo)+"/tags", body, nil)
}

func (w *realWorld) label(t testing.TB, repo, name string) int64 {
	t.Helper()
	var list []struct {
		ID   int64
		Name string
	}
	w.s.must(t, "", http.MethodGet, w.at(repo)+"/labels", nil, &list)
	for _, l := range list {
		if l.Name == name {
			return l.ID
		}
	}
	var made struct{ ID int64 }
	w.s.must(t, "", http.MethodPost, w.at(repo)+"/labels", map[string]string{"name": name, "color": "#ededed"}, &made)
	return made.ID
}

func (w *realWorld) Open(t testing.TB, repo string, p forgetest.Pull) int {
	w.expect("pull_request")
	branch := fmt.Sprintf("change-%d", w.files.Load()+1)
	w.commit(t, repo, "main", branch, p.Title, p.Author)
	title := p.Title
	if p.Draft {
		title = "WIP: " + title
	}
	ids := []int64{}
	for _, l := range p.Labels {
		ids = append(ids, w.label(t, repo, l))
	}
	var out struct{ Number int }
	w.s.must(t, p.Author, http.MethodPost, w.at(repo)+"/pulls", map[string]any{"title": title, "head": branch, "base": "main", "labels": ids}, &out)
	return out.Number
}

type realPull struct {
	Head        struct{ Ref, Sha string }
	Merged      bool
	MergeCommit string `json:"merge_commit_sha"`
}

func (w *realWorld) pull(t testing.TB, repo string, n int) (p realPull) {
	t.Helper()
	w.s.must(t, "", http.MethodGet, fmt.Sprintf("%s/pulls/%d", w.at(repo), n), nil, &p)
	return p
}

func (w *realWorld) PushToPull(t testing.TB, repo string, n int, login string) string {
	w.expect("pull_request")
	return w.commit(t, repo, w.pull(t, repo, n).Head.Ref, "", "more", login)
}

func (w *realWorld) HeadOf(t testing.TB, repo string, n int) string {
	return w.pull(t, repo, n).Head.Sha
}

func (w *realWorld) Label(t testing.TB, repo string, n int, label string) {
	id := w.label(t, repo, label)
	w.expect("pull_request")
	w.s.must(t, "ana-gh", http.MethodPost, fmt.Sprintf("%s/issues/%d/labels", w.at(repo), n), map[string]any{"labels": []int64{id}}, nil)
}

func (w *realWorld) Unlabel(t testing.TB, repo string, n int, label string) {
	id := w.label(t, repo, label)
	w.expect("pull_request")
	w.s.must(t, "ana-gh", http.MethodDelete, fmt.Sprintf("%s/issues/%d/labels/%d", w.at(repo), n, id), nil, nil)
}

func (w *realWorld) Approve(t testing.TB, repo string, n int, login string) {
	p := w.pull(t, repo, n)
	status, err := w.s.ask(login, http.MethodPost, fmt.Sprintf("%s/pulls/%d/reviews", w.at(repo), n), map[string]any{"event": "APPROVED", "body": "good", "commit_id": p.Head.Sha}, nil)
	if p.Merged && status == http.StatusUnprocessableEntity {
		return // Gitea lets nobody approve what is merged
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Merge waits while Gitea checks whether it can be merged.
func (w *realWorld) Merge(t testing.TB, repo string, n int, how forgetest.Method) string {
	t.Helper()
	w.expect("pull_request")
	deadline := time.After(30 * time.Second)
	for {
		status, err := w.s.ask("ana-gh", http.MethodPost, fmt.Sprintf("%s/pulls/%d/merge", w.at(repo), n), map[string]any{"Do": string(how)}, nil)
		if err == nil {
			break
		}
		if status != http.StatusMethodNotAllowed && status != http.StatusConflict {
			t.Fatal(err)
		}
		select {
		case <-deadline:
			t.Fatal(err)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return w.pull(t, repo, n).MergeCommit
}

func (w *realWorld) Status(t testing.TB, repo, commit, context string) (forge.Status, bool) {
	var list []struct {
		ID                           int64
		Context, Status, Description string
		TargetURL                    string `json:"target_url"`
	}
	w.s.must(t, "", http.MethodGet, w.at(repo)+"/commits/"+commit+"/statuses", nil, &list)
	newest, found := int64(0), forge.Status{}
	for _, st := range list { // within a second their order says nothing
		if st.Context == context && st.ID > newest {
			newest, found = st.ID, forge.Status{Context: st.Context, State: forge.StatusState(st.Status), Description: st.Description, TargetURL: st.TargetURL}
		}
	}
	return found, newest > 0
}

func (w *realWorld) Release(_ testing.TB, repo, tag string) (forge.Release, bool) {
	var r struct {
		Tag        string `json:"tag_name"`
		Name, Body string
		Prerelease bool
	}
	_, err := w.s.ask("", http.MethodGet, w.at(repo)+"/releases/tags/"+tag, nil, &r)
	return forge.Release{Tag: r.Tag, Name: r.Name, Notes: r.Body, Prerelease: r.Prerelease}, err == nil
}

func (w *realWorld) Webhook(t testing.TB) (http.Header, []byte) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		w.s.mu.Lock()
		arrived := w.s.arrived
		list := w.s.deliveries[w.org]
		for i := len(list) - 1; i >= w.after; i-- {
			if list[i].header.Get("X-Gitea-Event") == w.event {
				w.s.mu.Unlock()
				return list[i].header, list[i].body
			}
		}
		w.s.mu.Unlock()
		select {
		case <-arrived:
		case <-deadline:
			t.Fatalf("no webhook %q arrived", w.event)
		}
	}
}

func (w *realWorld) AddTeam(t testing.TB, slug string) {
	w.s.must(t, "", http.MethodPost, "/orgs/"+w.org+"/teams", map[string]any{
		"name": slug, "permission": "write", "units": []string{"repo.code", "repo.issues", "repo.pulls", "repo.releases"},
	}, nil)
}
