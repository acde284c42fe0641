package console_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments"
	"nightporter.dev/nightporter/internal/store"
	cloudmem "nightporter.dev/nightporter/provider/cloud/mem"
)

func TestEnvironmentsOfAnEmptyHouse(t *testing.T) {
	t.Parallel()
	world := smallWorld()
	world.Environments, world.Pipeline, world.Services = nil, nil, nil
	h := openWhole(t, world)
	c := h.as("ana")
	c.get("/environments").wants(t, http.StatusOK, "There are no environments yet", "nightporter validate")
	c.get("/environments/dev").wants(t, http.StatusNotFound, `No environment is called "dev"`)
}

func TestProductionNeverSleeps(t *testing.T) {
	t.Parallel()
	h := openWhole(t, smallWorld()) // dev is made of nothing that we know
	c := h.as("kim")
	c.get("/environments").wants(t, http.StatusOK, "No environment is torn down at night", "never sleeps", "not managed", "Production has no schedule")
	a := c.get("/environments/prod")
	a.wants(t, http.StatusOK, "prod never sleeps", "Production has no schedule and no buttons")
	if strings.Contains(a.body, "/environments/prod/down") || strings.Contains(a.body, `class="week"`) {
		t.Error("the page of production offers to tear it down, or draws a week")
	}
	h = openWhole(t, nightly())
	c = h.as("kim")
	c.post("/environments/prod/down", url.Values{"confirm": {"prod"}, "comment": {"x"}}).wants(t, http.StatusForbidden)
	c.post("/environments/prod/keep", url.Values{"until": {"2026-06-17T23:00"}, "comment": {"x"}}).wants(t, http.StatusForbidden)
}

func TestAnEnvironmentsWeek(t *testing.T) {
	t.Parallel()
	h := awake(t)
	c := h.as("kim")
	c.get("/environments").wants(t, http.StatusOK, "Dev is up", "goes dark at 21:00", "Today: on 07:00 to 21:00")
	a := c.get("/environments/dev")
	a.wants(t, http.StatusOK, "dev is up, and goes dark at 21:00", "Should be on, by its schedule, Mon-Fri 07:00-21:00.", "Week of 15 June 2026", "Europe/London",
		"Wed 17 today", "on 07:00 to 21:00", "Sat 20off all day", "Keep on until…", "Sleep now", "Type dev to confirm", "There is no price list")
	if n := strings.Count(a.body, `class="strip"`); n != 7 {
		t.Errorf("the week has %d days", n)
	}
	t.Run("on days on which clocks change it has 23 and 25 hours", func(t *testing.T) {
		c.get("/environments/dev?week=2026-03-25").wants(t, http.StatusOK, "Week of 23 March 2026", "Sun 29off all dayclocks go forward, 23 h")
		c.get("/environments/dev?week=2026-10-21").wants(t, http.StatusOK, "Week of 19 October 2026", "clocks go back, 25 h")
		c.get("/environments/dev?week=tomorrow").wants(t, http.StatusBadRequest, "Week must be a day")
	})
}

func TestKeepAnEnvironmentOn(t *testing.T) {
	t.Parallel()
	h := awake(t)
	c := h.as("ana") // a developer
	page := "/environments/dev"
	key := c.get(page).field(t, "keep", "idempotency_key")
	c.post(page+"/keep", url.Values{"until": {"2026-06-17T23:00"}, "idempotency_key": {key}}).wants(t, http.StatusBadRequest, "Say why")
	c.post(page+"/keep", url.Values{"until": {"2026-06-19T23:00"}, "comment": {"x"}}).wants(t, http.StatusBadRequest, "can be kept on for 12h")
	c.post(page+"/keep", url.Values{"until": {"soon"}, "comment": {"x"}}).wants(t, http.StatusBadRequest)
	c.post(page+"/keep", url.Values{"comment": {"x"}}).wants(t, http.StatusBadRequest, "Say until when")
	c.post(page+"/keep", url.Values{"until": {"2026-06-17T23:00"}, "comment": {"load test"}}).goesTo(t, page)
	c.get(page).wants(t, http.StatusOK, "Kept on until 23:00 by @ana.", "Load test", "kept on", "to 23:00: load test (ana)", "goes dark at 23:00", "Let the schedule decide")
	c.post(page+"/unkeep", nil).goesTo(t, page)
	c.get(page).wants(t, http.StatusOK, "The schedule decides again.", "goes dark at 21:00")
}

func TestANightAndAMorningOnItsPage(t *testing.T) {
	t.Parallel()
	h := openWhole(t, nightly())
	h.prices = environments.Prices{Currency: "EUR", Items: map[string]environments.Price{"mem": {Hour: 1, AsOf: "2026-06-01", Source: "sample"}}}
	h.environment("dev", environments.Up)
	h.tick(t, wednesday.Add(time.Minute))
	page, kim := "/environments/dev", h.as("kim")
	kim.post(page+"/down", url.Values{"comment": {"done for today"}, "confirm": {"prod"}}).wants(t, http.StatusBadRequest, "Type dev to tear it down")
	kim.post(page+"/down", url.Values{"confirm": {"dev"}}).wants(t, http.StatusBadRequest, "Say why")
	h.as("vic").post(page+"/down", url.Values{"comment": {"x"}, "confirm": {"dev"}}).wants(t, http.StatusForbidden, "You may not do this", "does not grant update")
	kim.post(page+"/down", url.Values{"comment": {"done for today"}, "confirm": {"dev"}}).goesTo(t, page)
	h.environment("dev", environments.Down)
	h.tick(t, wednesday.Add(3*time.Hour))
	kim = h.as("kim") // three hours are too long for a session that nobody uses
	kim.get(page).wants(t, http.StatusOK, "dev is dark", "Kept off until", "Wake", "seen dark", "EUR", "SAMPLES", "Avoided at list price", "Not saved")
	kim.get("/").wants(t, http.StatusOK, "Lights out in dev")

	kim.post(page+"/up", url.Values{"comment": {"a demo"}}).goesTo(t, page)
	h.environment("dev", environments.Up)
	kim.get(page).wants(t, http.StatusOK, "Does it come back?", "2 of 2 drills", "passed", "May take20 min", "rebuilt at", "build gateway")
	kim.get("/").wants(t, http.StatusOK, "dev was rebuilt in")
}

func TestAnEnvironmentThatDoesNotComeBack(t *testing.T) {
	t.Parallel()
	h := openWhole(t, nightly())
	h.environment("dev", environments.Up)
	page, kim := "/environments/dev", h.as("kim")
	kim.post(page+"/down", url.Values{"comment": {"try it"}, "confirm": {"dev"}}).goesTo(t, page)
	h.environment("dev", environments.Down)
	h.cloud.Rule(cloudmem.Rule{Component: "gateway", Verb: "Up", Behaviour: cloudmem.Behaviour{Fails: "no capacity", Lines: []string{"quota of <gateways> exceeded"}}})
	kim.post(page+"/up", nil).goesTo(t, page)
	h.until("it failed twice, and rests", func(ctx context.Context, tx *store.Tx) bool {
		d, err := h.envs.Show(ctx, tx, "dev")
		if err != nil {
			t.Fatal(err)
		}
		return d.Failures > 1 && d.Run == ""
	})
	a := kim.get(page)
	a.wants(t, http.StatusOK, "dev is incomplete", "The last run did not get to its end.", "no capacity", "1 of 3 drills", "failed")
	if strings.Contains(a.body, "<gateways>") {
		t.Error("the log is not escaped")
	}
	kim.get("/").wants(t, http.StatusOK, "dev is incomplete")
	h.as("ana").get("/").wants(t, http.StatusOK, "Nothing needs you")
}

func TestWhatTheTwinsOfEnvironmentsAnswer(t *testing.T) {
	t.Parallel()
	h := awake(t)
	token := h.token(nightporter.Person, "ana")
	a := h.stranger().get("/environments/dev", "X-Vault-Token", token, "Accept", "application/json")
	if a.StatusCode != http.StatusOK || !strings.Contains(a.body, `"state":"up"`) {
		t.Errorf("answered %d: %s", a.StatusCode, a.body)
	}
	a = h.stranger().get("/environments", "X-Vault-Token", token, "Accept", "application/json")
	if a.StatusCode != http.StatusOK || !strings.Contains(a.body, `"items":[{"name":"dev"`) {
		t.Errorf("answered %d: %s", a.StatusCode, a.body)
	}
}

func TestADrillOnThePageOfAnEnvironment(t *testing.T) {
	t.Parallel()
	h := awake(t)
	page, ana := "/environments/dev", h.as("ana") // a developer
	ana.get(page).wants(t, http.StatusOK, "Drill now", "dev is not touched", "nightporter env drill dev")
	h.as("kim").post("/environments/prod/drill", nil).wants(t, http.StatusForbidden)
	ana.post(page+"/drill", nil).goesTo(t, page)
	h.until("it was drilled", func(ctx context.Context, tx *store.Tx) bool {
		d, err := h.envs.Show(ctx, tx, "dev")
		if err != nil {
			t.Fatal(err)
		}
		return d.Drilling == nil && slices.ContainsFunc(d.Drills, func(d environments.Drill) bool { return d.Scratch == "dev.drill" })
	})
	ana.get(page).wants(t, http.StatusOK, "dev is up", "beside it", "drilled beside itself at", "clear what an earlier drill left", "prove that nothing is left")
	ana.get("/").wants(t, http.StatusOK, "dev could be rebuilt in")
}
