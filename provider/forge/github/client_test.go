package github_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/provider/forge/github"
	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

func wantAs[E error](t *testing.T, what string, err error) (got E) {
	t.Helper()
	if !errors.As(err, &got) {
		t.Errorf("%s: got %v, want a %T", what, err, got)
	}
	return got
}

func TestGitHubsRefusalsHaveTypes(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	head := ledger(t, s)
	reset := time.Now().Add(30 * time.Minute).Truncate(time.Second).UTC()
	for name, tt := range map[string]struct {
		fault githubtest.Fault
		write bool
		check func(*testing.T, string, error)
	}{
		"limited": {githubtest.Fault{LimitedUntil: reset}, true, func(t *testing.T, what string, err error) {
			if got := wantAs[*forge.RateLimitedError](t, what, err); got != nil && !got.Until.Equal(reset) {
				t.Errorf("%s: until %v, want %v", what, got.Until, reset)
			}
		}},
		"forbidden": {githubtest.Fault{Forbidden: "contents=write"}, false, func(t *testing.T, what string, err error) {
			if got := wantAs[*forge.ForbiddenError](t, what, err); got != nil && got.Needs != "contents=write" {
				t.Errorf("%s: needs %q, want contents=write", what, got.Needs)
			}
		}},
		"down":        {githubtest.Fault{Status: http.StatusInternalServerError}, true, unavailable},
		"gateway":     {githubtest.Fault{Status: http.StatusBadGateway}, true, unavailable},
		"unreachable": {githubtest.Fault{Unreachable: true}, true, unavailable},
	} {
		// A forge for each: go-github remembers a limit and does not ask again.
		f := connect(t, s, nil)
		s.SetFault(tt.fault)
		tt.check(t, name+", write", f.CreateTag(t.Context(), "ledger", "v1.0.0", head))
		if tt.write {
			_, err := connect(t, s, nil).Refresh(t.Context(), "ledger", "")
			tt.check(t, name+", read", err)
		}
	}
}

func unavailable(t *testing.T, what string, err error) {
	t.Helper()
	wantAs[*forge.UnavailableError](t, what, err)
}

func TestAContextThatEndsIsSaidAsItIs(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	f := connect(t, s, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Sweep(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestALostAnswerIsFoundDoneTheNextTime(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	f := connect(t, s, nil)
	head := ledger(t, s)
	s.SetFault(githubtest.Fault{LoseAnswers: true})
	unavailable(t, "create tag", f.CreateTag(t.Context(), "ledger", "v1.0.0", head))
	unavailable(t, "move tag", f.MoveTag(t.Context(), "ledger", "prod", head))
	_, err := f.CreateRelease(t.Context(), "ledger", forge.Release{Tag: "v1.0.0"})
	unavailable(t, "release", err)
	s.SetFault(githubtest.Fault{})
	exists := wantAs[*forge.TagExistsError](t, "again", f.CreateTag(t.Context(), "ledger", "v1.0.0", head))
	if exists != nil && exists.Commit != head {
		t.Errorf("it points to %s, want %s", exists.Commit, head)
	}
	check(t, f.MoveTag(t.Context(), "ledger", "prod", head))
	must[string](t)(f.CreateRelease(t.Context(), "ledger", forge.Release{Tag: "v1.0.0"}))
	if got := must[[]githubtest.Release](t)(s.Releases("ledger")); len(got) != 1 {
		t.Errorf("there are %d releases, want 1", len(got))
	}
}

// GitHub makes a missing tag on whatever commit is newest when a release asks for
// it. That would be a version that nobody cut.
func TestAReleaseOfATagThatIsNotThereMakesNone(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	f := connect(t, s, nil)
	ledger(t, s)
	_, err := f.CreateRelease(t.Context(), "ledger", forge.Release{Tag: "v1.0.0"})
	wantAs[*forge.NotFoundError](t, "release", err)
	if tags := must[map[string]string](t)(s.Tags("ledger")); len(tags) != 0 {
		t.Errorf("tags appeared: %v", tags)
	}
}

func TestADescriptionIsCutToWhatGitHubTakes(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	f := connect(t, s, nil)
	head := ledger(t, s)
	check(t, f.SetStatus(t.Context(), "ledger", head, forge.Status{Context: "c", State: forge.Pending, Description: strings.Repeat("é", 200)}))
	got := must[map[string]githubtest.Status](t)(s.Statuses("ledger", head))["c"].Description
	if want := strings.Repeat("é", 139) + "…"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestACommentIsOffered(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	ledger(t, s)
	n := must[int](t)(s.OpenPull("ledger", githubtest.NewPull{}))
	c, err := forge.Offer[forge.Commenter](connect(t, s, nil), "comments on pull requests")
	check(t, err)
	check(t, c.Comment(t.Context(), "ledger", n, "Released in **v1.0.0**."))
	if got := must[[]string](t)(s.Comments("ledger", n)); len(got) != 1 || got[0] != "Released in **v1.0.0**." {
		t.Errorf("got comments %q", got)
	}
	wantAs[*forge.NotFoundError](t, "no such pull request", c.Comment(t.Context(), "ledger", 99, "x"))
}

func TestATokenThatIsWrongIsForbiddenAndNeverPrinted(t *testing.T) {
	t.Parallel()
	s := startFake(t, func(c *githubtest.Config) { c.Token = "good" })
	head := ledger(t, s)
	f := connect(t, s, func(c *github.Config) {
		c.Token = func(context.Context) (string, error) { return "bad-secret-token", nil }
	})
	err := f.CreateTag(t.Context(), "ledger", "v1.0.0", head)
	wantAs[*forge.ForbiddenError](t, "create tag", err)
	if strings.Contains(err.Error(), "bad-secret-token") {
		t.Errorf("the token is in %q", err)
	}
	_, err = f.Sweep(t.Context(), nil)
	wantAs[*forge.ForbiddenError](t, "sweep", err)
}

func TestARedirectToAnotherHostDoesNotTakeTheTokenAlong(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Header.Get("Authorization"))
	}))
	t.Cleanup(elsewhere.Close)
	host := strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)
	api := httptest.NewServer(http.RedirectHandler(host, http.StatusTemporaryRedirect))
	t.Cleanup(api.Close)
	f, err := github.New(github.Config{
		BaseURL: api.URL, Organisation: "acme",
		Token: func(context.Context) (string, error) { return "secret-token", nil },
	})
	check(t, err)
	_, _ = f.Sweep(t.Context(), nil) // what comes back makes no sense
	mu.Lock()
	defer mu.Unlock()
	if len(seen) == 0 {
		t.Fatal("the redirect was not followed, so the test proves nothing")
	}
	for _, header := range seen {
		if header != "" {
			t.Errorf("the other host got %q", header)
		}
	}
}

func TestAnAppSignsInAndRefusalsSayWhatToCheck(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	s := startFake(t, func(c *githubtest.Config) { c.App = &githubtest.App{ID: 7, Installation: 42, Key: &key.PublicKey} })
	head := ledger(t, s)
	as := func(installation int64) *github.Forge {
		return connect(t, s, func(c *github.Config) { c.App = &github.App{ID: 7, Installation: installation, Key: text} })
	}
	f := as(42)
	check(t, f.CreateTag(t.Context(), "ledger", "v1.0.0", head))
	must[[]forge.RepoState](t)(f.Sweep(t.Context(), nil))
	clone(t, f, head)
	tokens := 0
	for _, r := range s.Requests() {
		if strings.HasSuffix(r.Path, "/access_tokens") {
			tokens++
		}
	}
	if tokens != 1 {
		t.Errorf("it asked for %d tokens, want 1 for all requests", tokens)
	}
	forbidden := wantAs[*forge.ForbiddenError](t, "another installation", as(43).CreateTag(t.Context(), "ledger", "v2.0.0", head))
	if forbidden != nil && !strings.Contains(forbidden.Reason, "installation") {
		t.Errorf("the reason is %q", forbidden.Reason)
	}
	if _, err := github.New(github.Config{Organisation: "acme", App: &github.App{ID: 7, Key: []byte("no key")}}); err == nil || strings.Contains(err.Error(), "no key") {
		t.Errorf("a bad key: got %v, want an error that does not quote it", err)
	}
}

// clone fetches with the system's git, which gets the password from the
// environment by way of a credential helper.
func clone(t *testing.T, f *github.Forge, want string) {
	t.Helper()
	c, err := f.GitCredentials(t.Context(), "ledger")
	check(t, err)
	dir := filepath.Join(t.TempDir(), "ledger")
	helper := `!f() { echo username="$GIT_USER"; echo password="$GIT_PASSWORD"; }; f`
	cmd := exec.CommandContext(t.Context(), "git", "-c", "credential.helper="+helper, "clone", "--quiet", f.CloneURL("ledger"), dir)
	cmd.Env = append(cmd.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0", "GIT_USER="+c.Username, "GIT_PASSWORD="+c.Password)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git clone: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), "git", "-C", dir, "rev-parse", "HEAD").Output()
	if got := strings.TrimSpace(string(out)); err != nil || got != want {
		t.Errorf("the clone is at %q (%v), want %q", got, err, want)
	}
}

func TestWhatDidNotChangeIsAskedForWithItsTag(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	head := ledger(t, s)
	var mu sync.Mutex
	var calls []github.Call
	f := connect(t, s, func(c *github.Config) {
		c.Trace = func(_ context.Context, call github.Call) {
			mu.Lock()
			defer mu.Unlock()
			calls = append(calls, call)
		}
	})
	check(t, s.PushTag("ledger", "v1.0.0", head, "ana-gh", githubtest.Lightweight))
	conditional := 0
	transport := countingTransport{func(r *http.Request, resp *http.Response) {
		if resp.StatusCode == http.StatusNotModified && r.Header.Get("If-None-Match") != "" {
			conditional++
		}
	}}
	g := connect(t, s, func(c *github.Config) { c.Client = &http.Client{Transport: transport} })
	for range 3 {
		exists := wantAs[*forge.TagExistsError](t, "create", g.CreateTag(t.Context(), "ledger", "v1.0.0", head))
		if exists != nil && exists.Commit != head {
			t.Errorf("it points to %s, want %s", exists.Commit, head)
		}
	}
	if conditional != 2 {
		t.Errorf("%d answers were 304, want 2 of 3", conditional)
	}
	next := must[string](t)(s.PushDirect("ledger", "next", "ana-gh", nil))
	check(t, s.PushTag("ledger", "v1.0.0", next, "ana-gh", githubtest.Lightweight))
	exists := wantAs[*forge.TagExistsError](t, "create", g.CreateTag(t.Context(), "ledger", "v1.0.0", head))
	if exists != nil && exists.Commit != next {
		t.Errorf("after the tag moved it points to %s, want %s", exists.Commit, next)
	}

	must[map[string]string](t)(f.Tags(t.Context(), "ledger"))
	mu.Lock()
	defer mu.Unlock()
	if len(calls) != 1 || calls[0].Method != "POST" || calls[0].Path != "/graphql" || calls[0].Status != 200 || calls[0].Remaining != 4999 {
		t.Errorf("got trace %+v", calls)
	}
}

type countingTransport struct {
	seen func(*http.Request, *http.Response)
}

func (c countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		c.seen(r, resp)
	}
	return resp, err
}

func TestTheUserAgentCarriesTheRequest(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	ledger(t, s)
	var agent string
	f := connect(t, s, func(c *github.Config) {
		c.UserAgent = "nightporter/1.2.3"
		c.RequestID = nightporter.RequestIDFrom
		c.Client = &http.Client{Transport: countingTransport{func(r *http.Request, _ *http.Response) { agent = r.Header.Get("User-Agent") }}}
	})
	must[map[string]string](t)(f.Tags(nightporter.WithRequestID(t.Context(), "r-17"), "ledger"))
	if want := "nightporter/1.2.3 (request r-17)"; agent != want {
		t.Errorf("got %q, want %q", agent, want)
	}
}

func TestAddressesFollowFromTheAPIs(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		"":                                  "https://github.com/acme/ledger.git",
		"https://api.github.com/":           "https://github.com/acme/ledger.git",
		"https://api.acme.ghe.com":          "https://acme.ghe.com/acme/ledger.git",
		"https://git.example.com/api/v3":    "https://git.example.com/acme/ledger.git",
		"https://example.com/git/api/v3/":   "https://example.com/git/acme/ledger.git",
		"http://127.0.0.1:4000":             "http://127.0.0.1:4000/acme/ledger.git",
		"https://user:secret@git.acme.test": "",
		"no address":                        "",
	} {
		f, err := github.New(github.Config{BaseURL: base, Organisation: "acme"})
		if err != nil {
			if want != "" || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v", base, err)
			}
			continue
		}
		if got := f.CloneURL("ledger"); got != want {
			t.Errorf("%s: got %q, want %q", base, got, want)
		}
	}
}
