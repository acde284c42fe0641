package repos_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/telemetry"
	"nightporter.dev/nightporter/provider/forge"
)

// door serves the package's routes for one person. Our client is the judge of
// what comes out.
func door(t *testing.T, h *house, authorise func(nightporter.Action) error) *client.Client {
	t.Helper()
	handler, err := httpapi.New(httpapi.Config{
		Routes: h.repos.Routes(), Log: slog.New(slog.DiscardHandler), Metrics: telemetry.NewRegistry(),
		Authenticate: func(*http.Request) (nightporter.Actor, error) {
			return nightporter.Actor{Kind: nightporter.Person, Name: "ana"}, nil
		},
		Authorise: func(_ context.Context, a nightporter.Action) error { return authorise(a) },
	})
	check(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := client.New(client.Config{Address: server.URL, HTTP: server.Client()})
	check(t, err)
	return c
}

func anything(nightporter.Action) error { return nil }

func TestTheAPIPlansAppliesListsAndAdopts(t *testing.T) {
	t.Parallel()
	f := newForge(t, "cards", "ledger")
	h := open(t, options{forge: f})
	c := door(t, h, anything)
	p, err := c.PlanRepos(t.Context(), "", "")
	check(t, err)
	if !p.Differs() || p.Price.Requests != 5 || len(p.Repos) != 2 || p.Writes[0].State != "pending" {
		t.Errorf("plan: got %+v", p)
	}
	id, err := c.ApplyRepos(t.Context(), p.ID)
	check(t, err)
	if r := h.wait(id); r.State != run.Succeeded {
		t.Errorf("the run is %s", r.State)
	}
	p, err = c.RepoPlan(t.Context(), p.ID)
	check(t, err)
	if p.Run != id || p.Writes[0].State != "done" || len(p.Repos) != 2 {
		t.Errorf("kept: got run %q, writes %+v, %d repositories", p.Run, p.Writes, len(p.Repos))
	}
	rows, err := client.Collect(c.Repos(t.Context()))
	check(t, err)
	var rules []string
	for _, k := range rows[1].Cells {
		rules = append(rules, k.Rule+" "+k.State)
	}
	want := []string{"merge_methods ok", "wiki ok", "labels ok", "teams ok", "required_reviews ok"}
	if diff := cmp.Diff(want, rules); diff != "" || rows[1].Repo.Name != "ledger" || rows[1].LookedAt.IsZero() {
		t.Errorf("matrix of %+v (-want +got):\n%s", rows[1].Repo, diff)
	}
	a, err := c.AdoptRepos(t.Context(), "github")
	check(t, err)
	if a.Looked != 2 || a.Exceptions != 0 {
		t.Errorf("adopt: got %+v", a)
	}
	var history struct{ Items []map[string]any }
	check(t, c.Get(t.Context(), "/api/repos/github/ledger/history", nil, &history))
	if len(history.Items) != 10 { // five rules: drift, then ok
		t.Errorf("got %d entries of history, want 10", len(history.Items))
	}
	if _, err := c.RepoPlan(t.Context(), "plan_none"); nightporter.CodeOf(err) != nightporter.NotFound {
		t.Errorf("an unknown plan: got %v", err)
	}
}

func TestWhoMayNotApplyMayStillPlan(t *testing.T) {
	t.Parallel()
	f := newForge(t, "ledger")
	h := open(t, options{forge: f})
	c := door(t, h, func(a nightporter.Action) error {
		if a.Name == "repo.apply" {
			return nightporter.E(nightporter.Denied, "not for you")
		}
		return nil
	})
	p, err := c.PlanRepos(t.Context(), "", "")
	check(t, err)
	if _, err := c.ApplyRepos(t.Context(), p.ID); nightporter.CodeOf(err) != nightporter.Denied || written(f) != 0 {
		t.Errorf("got %v and %d writes, want it denied", err, written(f))
	}
}

func TestAWebhookComesInBySignatureAlone(t *testing.T) {
	t.Parallel()
	f := newForge(t, "ledger")
	h := open(t, options{forge: f, catalog: declared(t, "ledger")})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, err := httpapi.New(httpapi.Config{
			Routes: h.repos.Routes(), Log: slog.New(slog.DiscardHandler), Metrics: telemetry.NewRegistry(),
			Authenticate: func(*http.Request) (nightporter.Actor, error) {
				return nightporter.Actor{}, nightporter.E(nightporter.Unauthenticated, "sign in first")
			},
			Authorise: func(context.Context, nightporter.Action) error { return nil },
		})
		if err != nil {
			t.Error(err)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	post := func(change func(http.Header)) int {
		f.Push("ledger", "change", "ana-gh")
		header, body := f.LastWebhook()
		header = header.Clone()
		change(header)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/hooks/github", bytes.NewReader(body))
		check(t, err)
		req.Header = header
		resp, err := server.Client().Do(req)
		check(t, err)
		check(t, resp.Body.Close())
		return resp.StatusCode
	}
	if got := post(func(http.Header) {}); got != http.StatusAccepted {
		t.Errorf("signed: got %d, want 202", got)
	}
	if got := post(func(h http.Header) { h.Del(forge.SignatureHeader) }); got != http.StatusUnauthorized {
		t.Errorf("not signed: got %d, want 401", got)
	}
}
