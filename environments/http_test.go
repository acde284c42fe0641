package environments_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/store/storetest"
	"nightporter.dev/nightporter/internal/telemetry"
)

func TestAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := open(t, storetest.SQLite(t, migrations), w, options{price: environments.Prices{
		Currency: "EUR", Items: map[string]environments.Price{"mem": {Hour: 1, AsOf: "2026-06-01", Source: "list"}},
	}})
	defer h.stop()
	h.is(environments.Up)
	api, err := httpapi.New(httpapi.Config{
		Routes: h.Routes(), Log: slog.New(slog.DiscardHandler), Metrics: telemetry.NewRegistry(),
		Authenticate: func(*http.Request) (nightporter.Actor, error) {
			return nightporter.Actor{Kind: nightporter.Person, Name: "ana"}, nil
		},
		Authorise: h.authorise,
	})
	if err != nil {
		t.Fatal(err)
	}
	call := func(method, path, body string) (int, map[string]any) {
		t.Helper()
		req := httptest.NewRequest(method, path, strings.NewReader(body))
		req.Header.Set("X-Vault-Token", "t")
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		res := httptest.NewRecorder()
		api.ServeHTTP(res, req)
		var out map[string]any
		if res.Body.Len() > 0 {
			if err := json.Unmarshal(res.Body.Bytes(), &out); err != nil {
				t.Fatalf("%s %s: %v in %s", method, path, err, res.Body)
			}
		}
		return res.Code, out
	}
	for _, tt := range []struct {
		method, path, body string
		status             int
		holds              string // in the JSON
	}{
		{"GET", "/api/environments/dev", "", 200, `"state":"up"`},
		{"GET", "/api/environments/nowhere", "", 404, `"code":"not_found"`},
		{"GET", "/api/environments/dev/schedule?after=2026-03-27T12:00:00Z&count=3", "", 200, `"at":"2026-03-27T21:00:00Z","state":"off"`},
		{"GET", "/api/environments/dev/schedule?after=2026-03-27T12:00:00Z&count=3", "", 200, `"at":"2026-03-30T06:00:00Z"`},
		{"GET", "/api/environments/dev/schedule?count=0", "", 400, `"code":"invalid"`},
		{"GET", "/api/environments/dev/schedule?after=yesterday", "", 400, `"code":"invalid"`},
		{"GET", "/api/environments/dev/runs", "", 200, `"drill":`},
		{"PUT", "/api/environments/dev/keep", `{"until":"23:00","reason":"load test"}`, 200, `"until":"2026-06-17T22:00:00Z"`},
		{"PUT", "/api/environments/dev/keep", `{"for":"2h","until":"23:00","reason":"x"}`, 400, `"code":"invalid"`},
		{"PUT", "/api/environments/dev/keep", `{"reason":"x"}`, 400, `"code":"invalid"`},
		{"PUT", "/api/environments/prod/keep", `{"for":"1h","state":"off","reason":"x"}`, 403, `"code":"protected"`},
		{"GET", "/api/environments/dev", "", 200, `"person":"ana"`},
		{"DELETE", "/api/environments/dev/keep", "", 204, ""},
		{"POST", "/api/environments/prod/down", "", 403, `"code":"protected"`},
		{"POST", "/api/environments/dev/down", `{"for":"6h","reason":"done for today"}`, 202, `"run":"run_`},
	} {
		status, out := call(tt.method, tt.path, tt.body)
		b, _ := json.Marshal(out)
		if status != tt.status || !strings.Contains(string(b), tt.holds) {
			t.Errorf("%s %s %s: %d %s, want %d with %s", tt.method, tt.path, tt.body, status, b, tt.status, tt.holds)
		}
	}
	h.is(environments.Down)
	w.clock.Set(noon.Add(3 * time.Hour))
	status, out := call("GET", "/api/environments/dev/savings?from=2026-06-17T00:00:00Z", "")
	if status != 200 || out["hours"] != 3.0 || out["usage_avoided_at_list_price"] != 12.0 || out["currency"] != "EUR" {
		t.Errorf("savings: %d %v, want three hours of four things at 1 EUR", status, out)
	}
}
