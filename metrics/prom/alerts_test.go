package prom_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
	"nightporter.dev/nightporter/metrics"
	"nightporter.dev/nightporter/provider/notify"
)

// world is what is deployed, what sleeps, and what people were told.
type world struct {
	mu        sync.Mutex
	instances []metrics.Instance
	dark      map[string]bool
	broken    bool // the channel takes nothing
	told      []string
}

func (w *world) Instances(context.Context) ([]metrics.Instance, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.instances, nil
}

func (w *world) tell(_ context.Context, audience string, m notify.Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		return errors.New("the channel does not answer")
	}
	w.told = append(w.told, fmt.Sprintf("%s %s: %s", audience, m.Severity, m.Title))
	return nil
}

func (w *world) wire(c *metrics.Config) {
	w.dark = map[string]bool{}
	c.Instances, c.Tell = w.Instances, w.tell
	c.Dark = func(_ context.Context, environment string) (bool, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.dark[environment], nil
	}
	c.Owned = func(service string) bool { return service == "ledger" }
}

// until looks again and again, in the bubble's time, until what people were told is
// this, or an hour has passed.
func (w *world) until(t *testing.T, d *door, want ...string) {
	t.Helper()
	got := ""
	for range 4 * 60 {
		if err := d.metrics.Look(t.Context(), time.Now()); err != nil && !w.broken {
			t.Fatal(err)
		}
		w.mu.Lock()
		got = strings.Join(w.told, "\n")
		w.mu.Unlock()
		if got == strings.Join(want, "\n") {
			return
		}
		time.Sleep(15 * time.Second) // the bubble's clock: nobody waits
		synctest.Wait()
	}
	t.Fatalf("told:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
}

// nothing looks for a while, in which nobody is told anything further.
func (w *world) nothing(t *testing.T, d *door, lasts time.Duration) {
	t.Helper()
	w.mu.Lock()
	before := len(w.told)
	w.mu.Unlock()
	for range int(lasts / (15 * time.Second)) {
		if err := d.metrics.Look(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Second)
		synctest.Wait()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.told) != before {
		t.Fatalf("told %v", w.told[before:])
	}
}

func TestAnAlertReachesTheOwnerOfItsService(t *testing.T) {
	t.Parallel()
	db, dir := storetest.SQLite(t, tables), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		d := newDoorWith(t, db, dir, nil, w.wire)
		defer d.close()
		ledger := metrics.Instance{Service: "ledger", Owner: "payments", Environment: "dev", Up: true}
		w.instances = []metrics.Instance{ledger}
		w.nothing(t, d, 5*time.Minute)

		ledger.Up = false
		w.instances = []metrics.Instance{ledger}
		down := "owner critical: ledger does not serve in dev"
		w.broken = true
		w.nothingBroken(t, d, 5*time.Minute)
		w.broken = false
		w.until(t, d, down)
		w.nothing(t, d, 10*time.Minute) // told once

		ledger.Up = true
		w.instances = []metrics.Instance{ledger}
		over := "owner info: Over: ledger does not serve in dev"
		w.until(t, d, down, over)

		w.dark["dev"] = true
		ledger.Up = false
		w.instances = []metrics.Instance{ledger}
		w.nothing(t, d, 10*time.Minute)
		groups, err := d.metrics.Groups(t.Context(), metrics.Own, time.Now())
		if err != nil || len(groups) != 1 || groups[0].Quiet != "dev is dark" || groups[0].State != "firing" {
			t.Errorf("in the dark: %+v %v", groups, err)
		}
		w.dark["dev"] = false
		w.until(t, d, down, over, down)
	})
}

// nothingBroken is nothing, while the channel's errors are expected.
func (w *world) nothingBroken(t *testing.T, d *door, lasts time.Duration) {
	t.Helper()
	for range int(lasts / (15 * time.Second)) {
		_ = d.metrics.Look(t.Context(), time.Now())
		time.Sleep(15 * time.Second)
		synctest.Wait()
	}
}

func TestASilenceKeepsAnAlertQuietUntilItEnds(t *testing.T) {
	t.Parallel()
	db, dir := storetest.SQLite(t, tables), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		d := newDoorWith(t, db, dir, nil, w.wire)
		defer d.close()
		rules := `{"text": "groups: [{name: g, rules: [{alert: Always, expr: vector(1), labels: {service: search}}]}]"}`
		d.want(200, "workspace-nightporter-rules", "PUT", "/api/workspaces/nightporter/rules/always", rules)
		d.want(403, "workspace-nightporter-read", "POST", "/api/workspaces/nightporter/silences", `{"match": {"alertname": "Always"}, "for": "1h", "reason": "known"}`)
		d.want(400, "workspace-nightporter-rules", "POST", "/api/workspaces/nightporter/silences", `{"match": {}, "for": "1h", "reason": "known"}`)
		d.want(201, "workspace-nightporter-rules", "POST", "/api/workspaces/nightporter/silences", `{"match": {"alertname": "Always"}, "for": "1h", "reason": "known"}`)
		w.nothing(t, d, 50*time.Minute)
		w.until(t, d, "operators problem: Always: search")
	})
}

func TestRulesThatDoNotParseAreRefused(t *testing.T) {
	t.Parallel()
	storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
		d := newDoor(t, db, t.TempDir(), nil)
		const path = "/api/workspaces/nightporter/rules/ledger"
		body := func(text string) string {
			b, _ := json.Marshal(map[string]string{"text": text})
			return string(b)
		}
		good := "groups:\n- name: g\n  rules:\n  - record: job:things:rate5m\n    expr: sum by (job) (rate(things_total[5m]))\n"
		for what, text := range map[string]string{
			"an expression":      strings.Replace(good, "sum by (job) (", "sum by (job", 1),
			"a field":            strings.Replace(good, "record:", "recrod:", 1),
			"two groups alike":   good + strings.TrimPrefix(good, "groups:\n"),
			"no YAML":            "{{{{",
			"a nested bomb":      "groups: [{name: g, rules: [{record: r, expr: '" + strings.Repeat("(", 5_000) + "1" + strings.Repeat(")", 5_000) + "'}]}]",
			"a file without end": strings.Repeat("# nothing\n", 40_000),
		} {
			if answer := d.want(400, "operator", "PUT", path, body(text)); !strings.Contains(answer, `"code":"invalid"`) {
				t.Errorf("%s: %s", what, answer)
			}
		}
		d.want(403, "viewer", "PUT", path, body(good))
		d.want(409, "operator", "PUT", "/api/workspaces/nightporter/rules/nightporter", body(good))
		d.want(200, "operator", "PUT", path, body(good))
		var list httpapi.List[metrics.RuleFile]
		if err := json.Unmarshal([]byte(d.want(200, "viewer", "GET", "/api/workspaces/nightporter/rules", "")), &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Items) != 1 || list.Items[0].Text != good || list.Items[0].Rules != 1 {
			t.Errorf("the list: %+v", list)
		}
		if answer := d.want(200, "viewer", "GET", "/workspaces/nightporter/api/v1/rules", ""); !strings.Contains(answer, "job:things:rate5m") {
			t.Errorf("Prometheus's own list: %s", answer)
		}
		d.want(204, "operator", "DELETE", path, "")
		d.want(404, "operator", "DELETE", path, "")
	})
}

// What is deployed is scraped, into the workspace of its owner, by Prometheus's own
// scraper, and what is gone leaves no line behind.
func TestTargetsFollowWhatIsDeployed(t *testing.T) {
	t.Parallel()
	scraped := make(chan struct{}, 100)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "# TYPE orders_total counter\norders_total{kind=\"new\"} 7\n")
		scraped <- struct{}{}
	}))
	defer service.Close()
	w := &world{}
	d := newDoorWith(t, storetest.SQLite(t, tables), t.TempDir(), nil, w.wire)
	d.want(201, "operator", "POST", "/api/workspaces", `{"name": "payments"}`)
	w.instances = []metrics.Instance{{Service: "ledger", Owner: "payments", Environment: "dev", Address: strings.TrimPrefix(service.URL, "http://"), Up: true}}
	if err := d.metrics.Look(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	<-scraped
	<-scraped // the first one is written
	series, err := d.metrics.Query(t.Context(), "payments", `orders_total{service="ledger",environment="dev",job="ledger",kind="new"}`, time.Now())
	if err != nil || len(series) != 1 || series[0].Points[0].Value != 7 {
		t.Errorf("got %v %v", series, err)
	}
	if answer := d.want(200, "viewer", "GET", "/workspaces/payments/api/v1/targets", ""); !strings.Contains(answer, strings.TrimPrefix(service.URL, "http://")) {
		t.Errorf("targets: %s", answer)
	}
	if series, err := d.metrics.Query(t.Context(), metrics.Own, `orders_total`, time.Now()); err != nil || len(series) != 0 {
		t.Errorf("another workspace has it: %v %v", series, err)
	}
	_, err = d.metrics.Query(t.Context(), "payments", `nightporter_service_up{service="ledger"} == 1`, time.Now())
	if err != nil {
		t.Error(err)
	}
}
