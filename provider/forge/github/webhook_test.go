package github_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/provider/forge/github"
)

func receiver(t testing.TB) *github.Forge {
	t.Helper()
	f, err := github.New(github.Config{Organisation: "acme", WebhookSecret: func() ([]byte, error) { return []byte(secret), nil }})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func signed(event, body string) http.Header {
	h := http.Header{}
	h.Set("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
	h.Set("X-GitHub-Event", event)
	h.Set("Content-Type", "application/json")
	h.Set(forge.SignatureHeader, forge.Sign([]byte(secret), []byte(body)))
	return h
}

func TestAWebhookIsReadForItsHintOnly(t *testing.T) {
	t.Parallel()
	const ours = `"repository": {"name": "ledger", "owner": {"login": "Acme"}}, "sender": {"login": "ana-gh"}`
	for name, tt := range map[string]struct {
		event, body string
		hint        forge.Hint
		repo        string
	}{
		"a pull request":            {"pull_request", `{` + ours + `}`, forge.HintPullRequest, "ledger"},
		"a push":                    {"push", `{` + ours + `}`, forge.HintPush, "ledger"},
		"a tag":                     {"create", `{` + ours + `}`, forge.HintCreate, "ledger"},
		"a deleted tag":             {"delete", `{` + ours + `}`, forge.HintPush, "ledger"},
		"what we do not know":       {"sponsorship", `{` + ours + `}`, forge.HintOther, "ledger"},
		"fields we do not know":     {"push", `{"surprise": [1, {}], ` + ours + `}`, forge.HintPush, "ledger"},
		"no repository":             {"organization", `{"sender": {"login": "ana-gh"}}`, forge.HintOther, ""},
		"another organisation's":    {"push", `{"repository": {"name": "ledger", "owner": {"login": "evil"}}, "sender": {"login": "ana-gh"}}`, forge.HintOther, ""},
		"a push without repository": {"push", `{"sender": {"login": "ana-gh"}}`, forge.HintOther, ""},
	} {
		got, err := receiver(t).ParseWebhook(signed(tt.event, tt.body), []byte(tt.body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := forge.Delivery{ID: "72d3162e-cc78-11e3-81ab-4c9367dc0958", Event: tt.event, Hint: tt.hint, Repo: tt.repo, Sender: "ana-gh"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestASignedWebhookThatMakesNoSenseIsInvalid(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(http.Header){
		"form":        func(h http.Header) { h.Set("Content-Type", "application/x-www-form-urlencoded") },
		"no event":    func(h http.Header) { h.Del("X-GitHub-Event") },
		"no delivery": func(h http.Header) { h.Del("X-GitHub-Delivery") },
	} {
		h := signed("push", "{}")
		change(h)
		if _, err := receiver(t).ParseWebhook(h, []byte("{}")); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("%s: got %v, want it invalid", name, err)
		}
	}
	for _, body := range []string{"", "null,", "[1", `{"repository": 7}`, `{"repository": {"owner": []}}`} {
		if _, err := receiver(t).ParseWebhook(signed("push", body), []byte(body)); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("%q: got %v, want it invalid", body, err)
		}
	}
	unset, err := github.New(github.Config{Organisation: "acme"})
	check(t, err)
	if _, err := unset.ParseWebhook(signed("push", "{}"), []byte("{}")); nightporter.CodeOf(err) != nightporter.Unauthenticated {
		t.Errorf("without a secret: got %v, want it refused", err)
	}
}

// FuzzParseWebhook holds that nothing unsigned is read, that nothing signed
// panics, and that a hint names a repository.
func FuzzParseWebhook(f *testing.F) {
	f.Add("push", []byte(`{"repository": {"name": "ledger", "owner": {"login": "acme"}}, "sender": {"login": "ana-gh"}}`), "sha256=00")
	f.Add("pull_request", []byte(`{"repository": null}`), "")
	f.Add("", []byte(strings.Repeat("[", 10000)), "sha256=")
	r := receiver(f)
	f.Fuzz(func(t *testing.T, event string, body []byte, signature string) {
		h := signed(event, string(body))
		d, err := r.ParseWebhook(h, body)
		if err == nil && (d.ID == "" || d.Hint == "" || d.Hint != forge.HintOther && d.Repo == "") {
			t.Errorf("got %+v without an error", d)
		}
		h.Set(forge.SignatureHeader, signature)
		if _, err := r.ParseWebhook(h, body); err == nil && signature != forge.Sign([]byte(secret), body) {
			t.Errorf("signature %q was accepted", signature)
		}
	})
}

func BenchmarkParseWebhook(b *testing.B) {
	body := `{"repository": {"name": "ledger", "owner": {"login": "acme"}}, "sender": {"login": "ana-gh"}, "padding": "` + strings.Repeat("x", 20_000) + `"}`
	h, r := signed("push", body), receiver(b)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := r.ParseWebhook(h, []byte(body)); err != nil {
			b.Fatal(err)
		}
	}
}
