package prom_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/golang/snappy"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/internal/policy"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
	"nightporter.dev/nightporter/internal/telemetry"
	"nightporter.dev/nightporter/metrics"
	"nightporter.dev/nightporter/metrics/prom"
)

var tables = slices.Concat(audit.Migrations, outbox.Migrations, metrics.Migrations)

// door is the capability behind the real front door, with the real policies. A
// token is the names of its holder's policies, with commas.
type door struct {
	t        testing.TB
	metrics  *metrics.Metrics
	handler  http.Handler
	policies *policy.Set
	declared map[string]config.Workspace
	close    func()
}

func newDoor(t testing.TB, db *store.DB, dir string, declared map[string]config.Workspace) *door {
	t.Helper()
	d := newDoorWith(t, db, dir, declared, func(*metrics.Config) {})
	t.Cleanup(d.close)
	return d
}

func newDoorWith(t testing.TB, db *store.DB, dir string, declared map[string]config.Workspace, wire func(*metrics.Config)) *door {
	t.Helper()
	d := &door{t: t, declared: declared}
	var err error
	if d.policies, err = policy.NewSet(policy.Config{}); err != nil {
		t.Fatal(err)
	}
	g, err := gate.New(gate.Config{DB: db, Bus: outbox.NewBus(), Decider: d})
	if err != nil {
		t.Fatal(err)
	}
	registry := telemetry.NewRegistry()
	engine, err := prom.New(prom.Config{Dir: dir, Metrics: registry, ScrapeEvery: 100 * time.Millisecond, TargetsEvery: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	c := metrics.Config{
		Gate: g, Engine: engine, Declared: func() map[string]config.Workspace { return d.declared },
		Own: func(w io.Writer) error { _, err := registry.WriteTo(w); return err }, Changed: d.changed,
	}
	wire(&c)
	d.metrics, err = metrics.New(c)
	if err != nil {
		t.Fatal(err)
	}
	d.close = sync.OnceFunc(func() {
		d.metrics.Close()
		g.Close()
	})
	if err := d.metrics.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.changed(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.handler, err = httpapi.New(httpapi.Config{
		Routes: d.metrics.Routes(), Log: slog.New(slog.DiscardHandler), Metrics: registry,
		Errors: map[string]httpapi.ErrorWriter{"/workspaces/": metrics.WriteError},
		Authenticate: func(r *http.Request) (nightporter.Actor, error) {
			token := httpapi.TokenOrPasswordOf(r)
			if token == "" {
				return nightporter.Actor{}, nightporter.E(nightporter.Unauthenticated, "sign in first")
			}
			return nightporter.Actor{Kind: nightporter.Machine, Name: "ci", Policies: strings.Split(token, ",")}, nil
		},
		Authorise: func(ctx context.Context, action nightporter.Action) error {
			_, what := httpapi.ActionFrom(ctx)
			return g.Authorise(ctx, action, what)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *door) Decide(ctx context.Context, actor nightporter.Actor, action nightporter.Action) nightporter.Decision {
	return d.policies.DecideRequest(actor, action, policy.RequestFrom(ctx))
}

// changed writes the generated policies, as the house does.
func (d *door) changed(context.Context) error {
	bundles, err := policy.Bundles(policy.BundleConfig{})
	if err != nil {
		return err
	}
	for _, name := range d.metrics.Names() {
		own, err := policy.Workspace(name)
		if err != nil {
			return err
		}
		bundles = append(bundles, own...)
	}
	var parsed []*policy.Policy
	for _, b := range bundles {
		p, err := policy.Parse(b.Name, b.Text)
		if err != nil {
			return err
		}
		parsed = append(parsed, p)
	}
	d.policies.Replace(parsed...)
	return nil
}

func (d *door) ask(token, method, path string, body []byte, headers ...string) (int, string) {
	d.t.Helper()
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	r.RemoteAddr = "192.0.2.1:4711"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if token != "" && r.Header.Get("Authorization") == "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func (d *door) want(status int, token, method, path, body string) string {
	d.t.Helper()
	got, answer := d.ask(token, method, path, []byte(body), "Content-Type", "application/json")
	if got != status {
		d.t.Errorf("%s %s by %q: %d %.300s, want %d", method, path, token, got, answer, status)
	}
	return answer
}

func (d *door) push(token, workspace string, s ...sample) (int, string) {
	d.t.Helper()
	b, err := proto.Marshal(v1(s...))
	if err != nil {
		d.t.Fatal(err)
	}
	return d.ask(token, http.MethodPost, "/workspaces/"+workspace+"/api/v1/write", snappy.Encode(nil, b), "Content-Type", typeV1, "Content-Encoding", "snappy")
}

// A workspace's policies open that workspace and nothing else of it.
func TestATokenOpensItsWorkspaceOnly(t *testing.T) {
	t.Parallel()
	d := newDoor(t, storetest.SQLite(t, tables), t.TempDir(), map[string]config.Workspace{"payments": config.DefaultWorkspace(), "search": config.DefaultWorkspace()})
	now := time.Now().Truncate(time.Second)
	if status, body := d.push("workspace-payments-write", "payments", one("things", now, 42)); status/100 != 2 {
		t.Fatalf("write: %d %s", status, body)
	}
	query := "/api/v1/query?query=things&time=" + strconv.FormatInt(now.Unix(), 10)
	if body := d.want(200, "workspace-payments-read", "GET", "/workspaces/payments"+query, ""); !strings.Contains(body, `"42"`) {
		t.Errorf("the owner reads %s", body)
	}
	for _, c := range []struct {
		token, method, path string
		want                int
	}{
		{"", "GET", "/workspaces/payments" + query, 401},
		{"workspace-search-read", "GET", "/workspaces/payments" + query, 403},
		{"workspace-payments-write", "GET", "/workspaces/payments" + query, 403},
		{"workspace-payments-write", "POST", "/workspaces/payments" + query, 403},
		{"workspace-payments-read", "POST", "/workspaces/payments/api/v1/write", 403},
		{"workspace-payments-read", "POST", "/workspaces/search/api/v1/write", 403},
		{"workspace-payments-write", "POST", "/workspaces/search/api/v1/remote_write", 403},
		{"workspace-payments-read", "GET", "/workspaces/payments/api/v1/rules", 200},
		{"workspace-payments-write", "GET", "/workspaces/payments/api/v1/rules", 403},
		{"workspace-payments-read", "GET", "/workspaces/payments%2F..%2Fsearch" + query, 400},
		{"workspace-payments-read", "GET", "/workspaces/payments/../search" + query, 400},
		{"workspace-payments-read", "GET", "/workspaces/PAYMENTS" + query, 404},
		{"viewer", "GET", "/workspaces/nowhere" + query, 404},
		{"operator", "POST", "/workspaces/payments/api/v1/admin/tsdb/delete_series?match[]=things", 404},
		{"operator", "GET", "/workspaces/payments/api/v1/status/walreplay", 404},
		{"operator", "GET", "/workspaces/payments/api/v1/label//values", 400},
	} {
		d.want(c.want, c.token, c.method, c.path, "")
	}
	read := "workspace-payments-read"
	if status, _ := d.ask(read, "GET", "/workspaces/payments"+query, nil, "X-Scope-OrgID", "search"); status != 400 {
		t.Errorf("another tenant's header: %d, want 400", status)
	}
	if status, _ := d.ask(read, "GET", "/workspaces/payments"+query, nil, "X-Scope-OrgID", "payments"); status != 200 {
		t.Errorf("the same tenant's header: %d, want 200", status)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.SetBasicAuth("anybody", read)
	if status, _ := d.ask("", "GET", "/workspaces/payments"+query, nil, "Authorization", r.Header.Get("Authorization")); status != 200 {
		t.Errorf("a password that is the token: %d, want 200", status)
	}
	// What Grafana's data source asks for, as it asks.
	for _, path := range []string{"/query?query=1%2B1", "/labels", "/label/__name__/values", "/metadata", "/rules", "/alerts", "/status/buildinfo", "/series?match[]=things", "/status/flags", "/targets", "/query_exemplars?query=things&start=0&end=1"} {
		d.want(200, read, "GET", "/workspaces/payments/api/v1"+path, "")
	}
	if status, body := d.ask(read, "POST", "/workspaces/payments/api/v1/query_range", []byte("query=things&step=15&start="+strconv.FormatInt(now.Unix(), 10)+"&end="+strconv.FormatInt(now.Unix(), 10)), "Content-Type", "application/x-www-form-urlencoded"); status != 200 || !strings.Contains(body, `"42"`) {
		t.Errorf("a form: %d %s", status, body)
	}
}

func TestWorkspacesAreMadeChangedAndDeleted(t *testing.T) {
	t.Parallel()
	storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
		dir := t.TempDir()
		d := newDoor(t, db, dir, map[string]config.Workspace{"declared": config.DefaultWorkspace()})
		d.want(403, "viewer", "POST", "/api/workspaces", `{"name": "search"}`)
		d.want(400, "operator", "POST", "/api/workspaces", `{"name": "../search"}`)
		d.want(201, "operator", "POST", "/api/workspaces", `{"name": "search", "retention": "30d", "limits": {"active_series": 1}}`)
		d.want(409, "operator", "POST", "/api/workspaces", `{"name": "search"}`)
		d.want(409, "operator", "POST", "/api/workspaces", `{"name": "nightporter"}`)
		d.want(409, "operator", "PUT", "/api/workspaces/declared", `{"retention": "1d"}`)
		d.want(409, "operator", "DELETE", "/api/workspaces/declared", ``)
		d.want(400, "operator", "PUT", "/api/workspaces/search", `{"limits": {"active_series": -1}}`)
		now := time.Now().Truncate(time.Second)
		write := "workspace-search-write" // its policy came with it
		if status, body := d.push(write, "search", one("a", now, 1), one("b", now, 1)); status != 400 || !strings.Contains(body, "active_series") {
			t.Errorf("two series where one may be: %d %s", status, body)
		}
		d.want(200, "operator", "PUT", "/api/workspaces/search", `{"limits": {"active_series": 2}}`)
		if status, body := d.push(write, "search", one("b", now, 1)); status/100 != 2 {
			t.Errorf("after the limit was raised: %d %s", status, body)
		}
		var usage metrics.Usage
		if err := json.Unmarshal([]byte(d.want(200, "viewer", "GET", "/api/workspaces/search/usage", "")), &usage); err != nil {
			t.Fatal(err)
		}
		if usage.ActiveSeries != 2 || usage.Samples != 2 || len(usage.Refused) != 1 || usage.Refused[0].Reason != metrics.TooManySeries {
			t.Errorf("usage: %+v", usage)
		}
		var list httpapi.List[metrics.Workspace]
		if err := json.Unmarshal([]byte(d.want(200, "viewer", "GET", "/api/workspaces?limit=2", "")), &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Items) != 2 || list.Items[0].Name != "declared" || list.Items[0].Source != "file" || list.Items[1].Source != "builtin" || list.Next == "" {
			t.Errorf("the list: %+v", list)
		}
		d.want(204, "operator", "DELETE", "/api/workspaces/search", ``)
		d.want(404, "viewer", "GET", "/workspaces/search/api/v1/query?query=b", ``)
		d.want(201, "operator", "POST", "/api/workspaces", `{"name": "search"}`)
		if body := d.want(200, "viewer", "GET", "/workspaces/search/api/v1/query?query=b", ``); strings.Contains(body, `"1"`) {
			t.Errorf("samples of a deleted workspace came back: %s", body)
		}
	})
}

func TestOurOwnMetricsAreAWorkspaceFromTheStart(t *testing.T) {
	t.Parallel()
	d := newDoor(t, storetest.SQLite(t, tables), t.TempDir(), nil)
	d.want(200, "viewer", "GET", "/api/workspaces", "") // something to count
	if err := d.metrics.WriteOwn(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	series, err := d.metrics.Query(t.Context(), metrics.Own, `nightporter_http_requests_total{route="/api/workspaces",job="nightporter"}`, time.Now())
	if err != nil || len(series) != 1 || series[0].Points[0].Value != 1 {
		t.Errorf("got %v %v", series, err)
	}
	described, err := d.metrics.Metadata(t.Context(), metrics.Own, "nightporter_http_requests_total")
	if err != nil || described["nightporter_http_requests_total"].Type != "counter" {
		t.Errorf("metadata: %v %v", described, err)
	}
}
