package client_test

import (
	"net/http"
	"testing"
	"time"

	"nightporter.dev/nightporter/client"
)

func TestReposArePlannedAppliedAndAdopted(t *testing.T) {
	t.Parallel()
	r := serve(t, map[string]http.HandlerFunc{
		"POST /api/repos/plan":               says(200, `{"id":"plan_1","counts":{"drift":1},"price":{"requests":1120,"duration":"18m40s"},"writes":[{"n":1}]}`),
		"GET /api/repos/plans/plan_1":        says(200, `{"id":"plan_1","run":"run_1","writes":[{"n":1,"state":"done"}]}`),
		"POST /api/repos/plans/plan_1/apply": says(202, `{"run":"run_1"}`),
		"POST /api/repos/adopt":              says(200, `{"yaml":"repos: {}\n","looked":7}`),
		"GET /api/repos?limit=1000":          says(200, `{"items":[{"repo":"github/ledger","cells":[{"rule":"wiki","state":"drift","who":"mallory-gh"}]}]}`),
	})
	c := r.client(t)
	p, err := c.PlanRepos(t.Context(), "github", "wiki")
	if err != nil || !p.Differs() || time.Duration(p.Price.Duration) != 1120*time.Second {
		t.Errorf("plan: got %+v, %v", p, err)
	}
	if body := r.requests()[0].body; body != `{"forge":"github","only":"wiki"}` {
		t.Errorf("it asked with %s", body)
	}
	if run, err := c.ApplyRepos(t.Context(), "plan_1"); err != nil || run != "run_1" {
		t.Errorf("apply: got %q, %v", run, err)
	}
	if p, err = c.RepoPlan(t.Context(), "plan_1"); err != nil || p.Writes[0].State != "done" || p.Run != "run_1" {
		t.Errorf("read: got %+v, %v", p, err)
	}
	if a, err := c.AdoptRepos(t.Context(), ""); err != nil || a.Looked != 7 {
		t.Errorf("adopt: got %+v, %v", a, err)
	}
	rows, err := client.Collect(c.Repos(t.Context()))
	if err != nil || len(rows) != 1 || rows[0].Cells[0].Who != "mallory-gh" {
		t.Errorf("list: got %+v, %v", rows, err)
	}
}
