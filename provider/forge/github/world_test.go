package github_test

import (
	"net/http"
	"testing"

	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/provider/forge/forgetest"
	"nightporter.dev/nightporter/provider/forge/github"
	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

const secret = "webhook secret"

// startFake starts a fake GitHub that is held to GitHub's own descriptions. What
// breaks them fails the test.
func startFake(t testing.TB, change func(*githubtest.Config)) *githubtest.Server {
	t.Helper()
	contract, err := githubtest.SharedContract()
	if err != nil {
		t.Fatal(err)
	}
	cfg := githubtest.Config{Dir: t.TempDir(), Secret: []byte(secret), Contract: contract}
	if change != nil {
		change(&cfg)
	}
	s, err := githubtest.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		for _, v := range s.Violations() {
			t.Errorf("violation of GitHub's contract: %s", v)
		}
	})
	return s
}

// connect makes a Forge that talks to the fake.
func connect(t testing.TB, s *githubtest.Server, change func(*github.Config)) *github.Forge {
	t.Helper()
	cfg := github.Config{
		BaseURL: s.URL(), Organisation: s.Organisation(),
		WebhookSecret: func() ([]byte, error) { return []byte(secret), nil },
		Client:        &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}},
	}
	t.Cleanup(cfg.Client.CloseIdleConnections)
	if change != nil {
		change(&cfg)
	}
	f, err := github.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestGitHubKeepsTheContract(t *testing.T) {
	t.Parallel()
	forgetest.Run(t, func(t *testing.T) forgetest.Harness {
		s := startFake(t, nil)
		return forgetest.Harness{Forge: connect(t, s, nil), World: world{s}}
	})
}

// world lets the conformance suite move the fake GitHub.
type world struct{ s *githubtest.Server }

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w world) AddRepo(t testing.TB, repo string) {
	must[string](t)(w.s.AddRepo(repo, map[string]string{"README.md": "# " + repo + "\n"}))
}
func (w world) AddEmptyRepo(t testing.TB, repo string) { must[string](t)(w.s.AddRepo(repo, nil)) }
func (w world) Archive(t testing.TB, repo string)      { check(t, w.s.Archive(repo)) }
func (w world) Push(t testing.TB, repo, message, login string) string {
	return must[string](t)(w.s.PushDirect(repo, message, login, nil))
}

func (w world) Rewrite(t testing.TB, repo string) string {
	return must[string](t)(w.s.Rewrite(repo, "ana-gh"))
}

func (w world) PushTag(t testing.TB, repo, tag, commit string, kind forgetest.TagKind) {
	check(t, w.s.PushTag(repo, tag, commit, "ana-gh", githubtest.TagKind(kind)))
}

func (w world) Open(t testing.TB, repo string, p forgetest.Pull) int {
	return must[int](t)(w.s.OpenPull(repo, githubtest.NewPull{Title: p.Title, Author: p.Author, Labels: p.Labels, Draft: p.Draft}))
}

func (w world) PushToPull(t testing.TB, repo string, n int, login string) string {
	return must[string](t)(w.s.PushToPull(repo, n, login, nil))
}

func (w world) HeadOf(t testing.TB, repo string, n int) string {
	return must[string](t)(w.s.HeadOf(repo, n))
}

func (w world) Label(t testing.TB, repo string, n int, label string) {
	check(t, w.s.Label(repo, n, label, "ana-gh"))
}

func (w world) Unlabel(t testing.TB, repo string, n int, label string) {
	check(t, w.s.Unlabel(repo, n, label, "ana-gh"))
}

func (w world) Approve(t testing.TB, repo string, n int, login string) {
	check(t, w.s.Approve(repo, n, login))
}

func (w world) Merge(t testing.TB, repo string, n int, how forgetest.Method) string {
	return must[string](t)(w.s.Merge(repo, n, githubtest.Method(how), "ana-gh"))
}

func (w world) Status(t testing.TB, repo, commit, context string) (forge.Status, bool) {
	st, ok := must[map[string]githubtest.Status](t)(w.s.Statuses(repo, commit))[context]
	return forge.Status{Context: st.Context, State: forge.StatusState(st.State), Description: st.Description, TargetURL: st.TargetURL}, ok
}

func (w world) Release(t testing.TB, repo, tag string) (forge.Release, bool) {
	for _, r := range must[[]githubtest.Release](t)(w.s.Releases(repo)) {
		if r.Tag == tag {
			return forge.Release{Tag: r.Tag, Name: r.Name, Notes: r.Body, Prerelease: r.Prerelease}, true
		}
	}
	return forge.Release{}, false
}

func (w world) Webhook(testing.TB) (http.Header, []byte) {
	last := w.s.LastWebhook()
	return last.Header, last.Body
}

func (w world) AddTeam(_ testing.TB, slug string) { w.s.AddTeam(slug) }
