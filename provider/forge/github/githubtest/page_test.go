package githubtest_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

func TestANewcomerOpensLabelsReviewsAndMergesInABrowser(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *githubtest.Config) {
		c.Sample = func(_, title string) map[string]string { return map[string]string{"hello.txt": title + "\n"} }
	})
	addLedger(t, s)
	get := func(path string) string {
		resp, err := http.Get(s.URL() + path)
		check(t, err)
		defer resp.Body.Close()
		return string(must[[]byte](t)(io.ReadAll(resp.Body)))
	}
	post := func(path string, form url.Values, header ...string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+path, strings.NewReader(form.Encode()))
		check(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		check(t, err)
		check(t, resp.Body.Close())
		return resp.StatusCode
	}
	contains := func(path string, want ...string) {
		t.Helper()
		page := get(path)
		for _, w := range want {
			if !strings.Contains(page, w) {
				t.Errorf("%s does not show %q:\n%s", path, w, page)
			}
		}
	}
	contains("/", `href="/acme/ledger"`)
	contains("/acme/ledger", "None is open.", "git clone "+s.URL()+"/acme/ledger.git")
	post("/acme/ledger/pulls", url.Values{"title": {"<b>Warmer</b>"}, "as": {"ana-gh"}, "label": {"minor"}})
	contains("/acme/ledger", "&lt;b&gt;Warmer&lt;/b&gt;", "minor", "Merge</button>")
	post("/acme/ledger/pull/1/label", url.Values{"label": {"major"}})
	post("/acme/ledger/pull/1/approve", url.Values{"as": {"ben-gh"}})
	call(t, s, "POST", "/repos/acme/ledger/statuses/"+must[string](t)(s.HeadOf("ledger", 1)),
		map[string]any{"state": "success", "context": "nightporter/version", "description": "major: 2.0.0"})
	contains("/acme/ledger/pull/1", "major</span>", "approved by ben-gh", "major: 2.0.0")
	if got := post("/acme/ledger/pull/1/merge", nil, "Sec-Fetch-Site", "cross-site"); got != http.StatusForbidden {
		t.Errorf("another site pressed Merge: got %d, want 403", got)
	}
	if got := post("/acme/ledger/pull/1/approve", url.Values{"as": {"ana-gh"}}); got != http.StatusUnprocessableEntity {
		t.Errorf("the author approved: got %d, want 422", got)
	}
	post("/acme/ledger/pull/1/merge", nil)
	contains("/acme/ledger", "None is open.", "&lt;b&gt;Warmer&lt;/b&gt; (#1)")
	if got := mustGit(t, s.GitDir("ledger"), "show", "main:hello.txt"); got != "<b>Warmer</b>" {
		t.Errorf("main has %q", got)
	}
	if got := post("/acme/ledger/pull/1/merge", nil); got != http.StatusUnprocessableEntity {
		t.Errorf("a second merge: got %d, want 422", got)
	}
	clean(t, s)
}
