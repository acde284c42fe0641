package sabotage

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTheForgesFrontSwallowsOneTagAndPassesEverythingElseOn(t *testing.T) {
	t.Parallel()
	forge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "forge: %s %s %s", r.Method, r.URL.Path, body)
	}))
	defer forge.Close()
	address, stop, err := swallowTag("refs/tags/prod")(forge.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for _, c := range []struct {
		method, path, body, want string
		status                   int
	}{
		{"POST", "/repos/acme/ledger/git/refs", `{"ref":"refs/tags/prod","sha":"abc"}`, `"sha":"abc"`, 201},
		{"PATCH", "/repos/acme/ledger/git/refs/tags/prod", `{"sha":"abc","force":true}`, `"ref":"refs/tags/prod"`, 200},
		{"POST", "/repos/acme/ledger/git/refs", `{"ref":"refs/tags/dev","sha":"abc"}`, `forge: POST /repos/acme/ledger/git/refs {"ref"`, 200},
		{"GET", "/repos/acme/ledger/git/ref/tags/prod", ``, `forge: GET /repos/acme/ledger/git/ref/tags/prod`, 200},
		{"POST", "/graphql", `{"query":"refs/tags/prod"}`, `forge: POST /graphql`, 200},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, address+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || !strings.Contains(string(got), c.want) {
			t.Errorf("%s %s: got %d %s, %v; want %d %s", c.method, c.path, resp.StatusCode, got, err, c.status, c.want)
		}
	}
}

func TestEverySabotageSaysWhatItDoesAndWhoMustNotice(t *testing.T) {
	t.Parallel()
	for _, s := range All() {
		if s.What == "" || s.Step == "" || s.plan == nil && s.before == nil && s.after == nil {
			t.Errorf("%s says too little or does nothing: %+v", s.Name, s)
		}
		if found, err := Named(s.Name); err != nil || found.Name != s.Name {
			t.Errorf("%s is not found: %v", s.Name, err)
		}
	}
	if _, err := Named("rain"); err == nil {
		t.Error("there is a sabotage called rain")
	}
}
