package gitea_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/provider/forge/gitea"
)

// answering is a Gitea that gives one answer to everything.
func answering(t testing.TB, status int, header map[string]string, body string) *gitea.Forge {
	t.Helper()
	return serving(t, func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
}

func serving(t testing.TB, h http.HandlerFunc) *gitea.Forge {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	f, err := gitea.New(gitea.Config{
		BaseURL: s.URL, Organisation: "acme", Now: func() time.Time { return time.Unix(1_800_000_000, 0) },
		Token: func(context.Context) (string, error) { return "t0ken", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAnswersBecomeTheContractsErrors(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	var (
		missing     *forge.NotFoundError
		forbidden   *forge.ForbiddenError
		limited     *forge.RateLimitedError
		unavailable *forge.UnavailableError
	)
	_, err := answering(t, 404, nil, `{"message":"nothing"}`).Tags(ctx, "ledger")
	if !errors.As(err, &missing) {
		t.Errorf("404: got %v", err)
	}
	_, err = answering(t, 403, nil, `{"message":"token does not have at least one of required scope(s)"}`).Tags(ctx, "ledger")
	if !errors.As(err, &forbidden) || !strings.Contains(forbidden.Reason, "scope") {
		t.Errorf("403: got %v, want Gitea's own words", err)
	}
	_, err = answering(t, 423, nil, `{}`).Tags(ctx, "ledger")
	if !errors.As(err, &forbidden) || forbidden.Reason != "it is archived" {
		t.Errorf("423: got %v", err)
	}
	_, err = answering(t, 429, map[string]string{"Retry-After": "30"}, `slow down`).Tags(ctx, "ledger")
	if !errors.As(err, &limited) || limited.Until.Unix() != 1_800_000_030 {
		t.Errorf("429: got %v", err)
	}
	for name, f := range map[string]*gitea.Forge{
		"502": answering(t, 502, nil, `<html>`), "no JSON": answering(t, 200, map[string]string{"X-Total-Count": "1"}, `<html>`),
		"endless": answering(t, 200, nil, `["`+strings.Repeat("a", 33<<20)+`"]`),
	} {
		if _, err := f.Tags(ctx, "ledger"); !errors.As(err, &unavailable) || nightporter.CodeOf(err) != nightporter.Unavailable {
			t.Errorf("%s: got %.200v", name, err)
		}
	}
}

// Half a list is an error: nothing is removed because it was not on the half that
// came.
func TestHalfAListIsNoList(t *testing.T) {
	t.Parallel()
	f := serving(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Total-Count", "3")
		if r.URL.Query().Get("page") == "1" {
			fmt.Fprint(w, `[{"id":1,"name":"a","empty":true},{"id":2,"name":"b","empty":true}]`)
			return
		}
		fmt.Fprint(w, `[]`)
	})
	var partial *forge.PartialError
	if _, err := f.Sweep(context.Background(), nil); !errors.As(err, &partial) || partial.Got != 2 || partial.Want != 3 {
		t.Errorf("sweep: got %v, want 2 of 3", err)
	}
	if _, err := f.Survey(context.Background(), forge.SurveyWants{}); !errors.As(err, &partial) {
		t.Errorf("survey: got %v, want it partial", err)
	}
}

// What the token may not see of a repository is unknown, and never drift.
func TestWhatTheTokenMayNotSeeIsUnknown(t *testing.T) {
	t.Parallel()
	f := serving(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/repos"):
			w.Header().Set("X-Total-Count", "1")
			fmt.Fprint(w, `[{"id":1,"name":"ledger","default_branch":"main","allow_squash_merge":true}]`)
		case strings.HasSuffix(r.URL.Path, "/labels"):
			w.Header().Set("X-Total-Count", "0")
			fmt.Fprint(w, `[]`)
		default:
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"message":"must be an owner"}`)
		}
	})
	s, err := f.Survey(context.Background(), forge.SurveyWants{})
	if err != nil {
		t.Fatal(err)
	}
	r := s.Repos[0]
	if r.Unknown[forge.PartTeams] == "" || r.Unknown[forge.PartRules] == "" || r.Unknown[forge.PartLabels] != "" || s.Unknown[forge.PartTeams] == "" {
		t.Errorf("unknown are %v and %v, want teams and rules, with why", r.Unknown, s.Unknown)
	}
	if s.OrganisationRules.Yes || r.NotOffered["squash_title"] == "" {
		t.Error("it offers what Gitea does not have")
	}
}

func TestATokenIsInNoAddressAndNoError(t *testing.T) {
	t.Parallel()
	var seen []string
	f := serving(t, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.URL.String())
		if r.Header.Get("Authorization") != "token t0ken" {
			t.Errorf("the request has the authorization %q", r.Header.Get("Authorization"))
		}
		w.WriteHeader(500)
	})
	_, err := f.Tags(context.Background(), "ledger")
	if text := fmt.Sprint(err, seen, f.CloneURL("ledger")); strings.Contains(text, "t0ken") || len(seen) != 1 {
		t.Errorf("got %s", text)
	}
	for _, bad := range []string{"", "git.acme.test", "https://ana:secret@git.acme.test", "file:///etc"} {
		if _, err := gitea.New(gitea.Config{BaseURL: bad, Organisation: "acme"}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v, want it refused without a word of it", bad, err)
		}
	}
}

func FuzzWebhook(f *testing.F) {
	g, err := gitea.New(gitea.Config{BaseURL: "https://git.acme.test", Organisation: "acme", WebhookSecret: func() ([]byte, error) { return []byte("s"), nil }})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("push", []byte(`{"repository":{"name":"ledger","owner":{"login":"acme"}},"sender":{"login":"ana"}}`))
	f.Add("pull_request_label", []byte(`{`))
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		h := http.Header{"X-Gitea-Event": {event}, "X-Gitea-Delivery": {"1"}, "Content-Type": {"application/json"}, forge.SignatureHeader: {forge.Sign([]byte("s"), body)}}
		if d, err := g.ParseWebhook(h, body); err != nil && nightporter.CodeOf(err) != nightporter.Invalid || err == nil && d.Repo == "" && d.Hint != forge.HintOther {
			t.Errorf("%q %q: %+v, %v", event, body, d, err)
		}
	})
}
