package console_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/internal/policy"
	"nightporter.dev/nightporter/internal/store"
	deploymem "nightporter.dev/nightporter/provider/deploy/mem"
	forgemem "nightporter.dev/nightporter/provider/forge/mem"
	"nightporter.dev/nightporter/releases"
)

// manyServices opens a house of n services, two hundred and fifty a team.
func manyServices(t testing.TB, n int) *wholeHouse {
	t.Helper()
	world := smallWorld()
	first := world.Services[0]
	world.Services = nil
	for i := range n {
		service := first
		service.Name = fmt.Sprintf("service-%04d", i)
		service.Repo.Name = service.Name
		if i >= 250 {
			service.Owner = fmt.Sprintf("team-%d", i/250)
			if i%250 == 0 {
				world.Teams = append(world.Teams, catalog.Team{Name: service.Owner, Members: []string{"vic"}})
			}
		}
		world.Services = append(world.Services, service)
	}
	return openHouse(t, world)
}

func TestPagesOfAnEmptyHouse(t *testing.T) {
	t.Parallel()
	world := smallWorld()
	world.Services = nil
	h := openHouse(t, world)
	c := h.as("ana")
	c.get("/").wants(t, http.StatusOK, "Nothing needs you", "No service is declared yet", "Nothing happened yet")
	c.get("/services").wants(t, http.StatusOK, "There are no services yet", "nightporter validate")
	c.get("/services/ledger").wants(t, http.StatusNotFound, "There is no service ledger", "Back to Home")
	c.get("/releases/rel_1").wants(t, http.StatusNotFound, "There is no release rel_1")
	c.get("/activity?actor=nobody").wants(t, http.StatusOK, "Nobody did that", "No entry matches")
	c.get("/activity/999").wants(t, http.StatusNotFound, "The register has no entry 999")
	c.get("/activity/x").wants(t, http.StatusNotFound, "The register has no entry x")
	a := c.get("/nothing/here")
	a.wants(t, http.StatusNotFound, "There is nothing at this path")
	if !strings.Contains(a.body, `href="/services"`) {
		t.Error("the page about a wrong path has no rail for somebody who is signed in")
	}
}

func TestPagesOfOneRelease(t *testing.T) {
	t.Parallel()
	h := openHouse(t, smallWorld())
	rel := h.waitingLedger()
	page := "/releases/" + rel.ID
	c := h.as("ben")
	c.get("/").wants(t, http.StatusOK, "One thing needs you", "ledger 0.1.0 waits for approval to prod", "1 change, healthy in dev", "Review",
		"Production behind main1 of 2 services", "ledger 0.1.0 was cut from #1 by @ana-gh", "ledger 0.1.0 to dev")
	c.get("/services").wants(t, http.StatusOK, "Production is behind main in one of two services", "1 waits for approval", "Review 0.1.0", "0.1.0 waits")
	c.get("/services/ledger").wants(t, http.StatusOK, "ledger was never released", "Open release 0.1.0", "Post entries in one batch", "/healthz within 5s", "127.0.0.1:")
	c.get("/services/notifier").wants(t, http.StatusOK, "notifier was never released", "Merge a pull request with exactly one of the labels")
	c.get(page).wants(t, http.StatusOK, "waits for approval to prod", "merge of #1 by @ana-gh", "Approve for prod", "nightporter release approve "+rel.ID,
		"1 change for production", "0 of 1", "1 of team-payments for prod", "waiting for an approval for prod")
	c.get("/activity?resource=release/"+rel.ID).wants(t, http.StatusOK, "Who did that", "release.wait", "none signed yet")
	c.get("/activity/0").wants(t, http.StatusOK, "repos did repo.observe", "No checkpoint covers it yet")

	t.Run("JSON twins answer as the API does", func(t *testing.T) {
		token := h.token(nightporter.Person, "ben")
		api := func(path string) (out any) {
			a := h.stranger().get(path, "X-Vault-Token", token, "Accept", "application/json")
			if err := json.Unmarshal([]byte(a.body), &out); err != nil || a.StatusCode != http.StatusOK {
				t.Fatalf("%s answered %d: %s", path, a.StatusCode, a.body)
			}
			return out
		}
		for twin, of := range map[string]string{"/services": "/api/board", page: "/api" + page, "/services?limit=1": "/api/board?limit=1", "/services?after=ledger": "/api/board?after=ledger"} {
			if diff := cmp.Diff(api(of), api(twin)); diff != "" {
				t.Errorf("%s is not as %s, -API +twin:\n%s", twin, of, diff)
			}
		}
		service, _ := api("/services/ledger").(map[string]any)
		if service["name"] != "ledger" || service["source"] != "file" || service["board"] == nil {
			t.Errorf("the service is %v", service)
		}
		entries, _ := api("/activity?limit=2").(map[string]any)
		if list, _ := entries["items"].([]any); len(list) != 2 || entries["next"] == nil {
			t.Errorf("the register is %v", entries)
		}
		if entry, _ := api("/activity/0").(map[string]any); entry["entry"] == nil {
			t.Errorf("the entry is %v", entry)
		}
	})
}

func TestAnEntryIsProvenAgainstWhatWasSigned(t *testing.T) {
	t.Parallel()
	h := openHouse(t, smallWorld())
	c := h.as("ana")
	key, err := audit.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if err := h.db.Write(ctx, store.Full, func(tx *store.Tx) error { _, err := audit.Sign(ctx, tx, key, time.Now()); return err }); err != nil {
		t.Fatal(err)
	}
	c.get("/activity").wants(t, http.StatusOK, "1 entry, all signed at")
	c.get("/activity/0").wants(t, http.StatusOK, "identity did login", "It is in the tree of 1 entries that was signed at")
	// Somebody edits the register behind our back.
	if err := h.db.Write(ctx, store.Full, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE audit_entry SET actor = 'nobody' WHERE seq = 0`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	c.get("/activity/0").wants(t, http.StatusOK, "It does not fit the tree")
	if err := h.db.Write(ctx, store.Full, func(tx *store.Tx) error { _, err := tx.Exec(ctx, `DELETE FROM audit_entry`); return err }); err != nil {
		t.Fatal(err)
	}
	c.get("/activity").wants(t, http.StatusOK, "The last checkpoint covers 1 entries, the register holds 0")
}

func TestPagesOfManyServices(t *testing.T) {
	t.Parallel()
	h := manyServices(t, 250)
	c := h.as("ana")
	a := c.get("/services")
	a.wants(t, http.StatusOK, "1 to 100 of 250", "No service was released yet", "service-0000", "service-0099", "Next")
	if n := strings.Count(a.body, `<tr role="row" id="row-`); n != 100 {
		t.Errorf("the page has %d rows, want 100", n)
	}
	c.get("/services?page=3").wants(t, http.StatusOK, "201 to 250 of 250", "Previous")
	c.get("/services?page=99").wants(t, http.StatusOK, "201 to 250 of 250")
	c.get("/services?page=-1").wants(t, http.StatusOK, "1 to 100 of 250")
	c.get("/services?q=0007").wants(t, http.StatusOK, "service-0007", "1 service")
	c.get("/services?q=nothing").wants(t, http.StatusOK, "No service matches “nothing”")
	c.get("/services?owner=team-mail").wants(t, http.StatusOK, "No service matches")
	c.get("/services?owner=team-payments&q=00").wants(t, http.StatusOK, "1 to 100 of 102")
	c.get("/").wants(t, http.StatusOK, "Nothing needs you", "No service was released yet", "0 of 250 services")
}

// somethingAt makes n changes, so that the register has pages.
func (h *wholeHouse) somethingAt(n int) {
	h.t.Helper()
	ctx := nightporter.WithActor(context.Background(), nightporter.Actor{Kind: nightporter.Person, Name: "kim", Policies: []string{policy.RootName}})
	for i := range n {
		action := nightporter.Action{Name: "test.even", Capability: nightporter.Update, Path: "api/test"}
		if i%2 == 1 {
			action.Name = "test.odd"
		}
		if err := h.gate.Do(ctx, action, nightporter.Resource{Kind: "test", ID: fmt.Sprint(i)}, func(*gate.Tx) error { return nil }); err != nil {
			h.t.Fatal(err)
		}
	}
}

func TestTheRegisterIsFilteredAndPaged(t *testing.T) {
	t.Parallel()
	h := openHouse(t, smallWorld())
	c := h.as("ana")
	h.somethingAt(240)
	seen := map[string]bool{}
	for path, pages := "/activity?action=test.odd", 0; path != ""; pages++ {
		a := c.get(path)
		a.wants(t, http.StatusOK)
		for line := range strings.Lines(a.body) {
			if _, id, ok := strings.Cut(line, `id="entry-`); ok {
				id, _, _ = strings.Cut(id, `"`)
				if seen[id] {
					t.Fatalf("entry %s is on two pages", id)
				}
				seen[id] = true
			}
		}
		if strings.Contains(a.body, ">test.even<") {
			t.Fatal("the filter lets others through")
		}
		if pages > 5 {
			t.Fatal("the pages do not end")
		}
		path = ""
		if _, next, ok := strings.Cut(a.body, `rel="next" href="`); ok {
			next, _, _ = strings.Cut(next, `"`)
			path = strings.ReplaceAll(next, "&amp;", "&")
		}
	}
	if len(seen) != 120 {
		t.Errorf("the pages hold %d entries, want 120", len(seen))
	}
	h.as("vic").post("/services/ledger/hold", url.Values{"comment": {"mine"}}).wants(t, http.StatusForbidden)
	c.get("/activity?result=denied").wants(t, http.StatusOK, "vic", "service.hold", "denied")
	c.get("/activity?result=done&actor=vic").wants(t, http.StatusOK, "login")
	c.get("/activity?action=test").wants(t, http.StatusOK, "test.odd", "test.even")
	c.get("/activity?after=x").wants(t, http.StatusBadRequest, "After is not a cursor")
}

func TestPagesOfAFailedRelease(t *testing.T) {
	t.Parallel()
	h := openHouse(t, smallWorld())
	h.forge.AddRepo("ledger")
	h.repos.Sweep(t.Context())
	lines := make([]string, 30)
	for i := range lines {
		lines[i] = fmt.Sprintf("line %d of <ledger>", i)
	}
	h.deploy.Rule(deploymem.Rule{Service: "ledger", Environment: "dev", Behaviour: deploymem.Behaviour{Fails: "exited with status 3", Lines: lines}})
	h.merge("ledger", forgemem.PR{Title: "Break it", Labels: []string{"patch"}})
	rel := h.releaseOf("ledger", releases.Broken)
	c := h.as("ana")
	a := c.get("/releases/" + rel.ID)
	a.wants(t, http.StatusOK, "failed in dev", "is marked bad", "exited with status 3", "in dev, last 20 lines", "line 29", "Retry 0.1.0")
	if strings.Contains(a.body, "line 9 of") || strings.Contains(a.body, "<ledger>") {
		t.Error("the log is longer than twenty lines, or not escaped")
	}
	c.get("/").wants(t, http.StatusOK, "ledger 0.1.0 failed", "See why")
	c.get("/services?show=failed").wants(t, http.StatusOK, "0.1.0 failed here", "See why")
	h.as("vic").get("/").wants(t, http.StatusOK, "Nothing needs you") // it is not vic's to mend
	h.as("kim").get("/").wants(t, http.StatusOK, "ledger 0.1.0 failed")
}

func TestAMergeWithoutALabelIsFlaggedOnHome(t *testing.T) {
	t.Parallel()
	h := openHouse(t, smallWorld())
	h.forge.AddRepo("ledger")
	h.repos.Sweep(t.Context())
	h.merge("ledger", forgemem.PR{Title: "Forgot"})
	rel := h.releaseOf("ledger", releases.Waiting)
	h.as("ana").get("/").wants(t, http.StatusOK, "Two things need you", "ledger #1 was merged without a label", "counted as patch, became 0.1.0")
	h.as("ana").get("/releases/"+rel.ID).wants(t, http.StatusOK, "no label: counted as patch")
}

func TestPagesWhenThingsAreWrong(t *testing.T) {
	t.Parallel()
	t.Run("a forge that does not answer is said on every page, and is the operators' to mend", func(t *testing.T) {
		t.Parallel()
		h := openHouse(t, smallWorld())
		h.waitingLedger()
		h.forge.SetFault(forgemem.Fault{Down: true})
		h.repos.Sweep(t.Context())
		for _, path := range []string{"/", "/services", "/services/ledger", "/activity"} {
			h.as("vic").get(path).wants(t, http.StatusOK, "mem has not answered since")
		}
		h.as("kim").get("/").wants(t, http.StatusOK, "mem does not answer", "unknown since")
	})
	t.Run("an event that nobody can take is shown to operators", func(t *testing.T) {
		t.Parallel()
		h := openHouse(t, smallWorld())
		park(t, h)
		h.as("kim").get("/").wants(t, http.StatusOK, "VersionCut of repo/mem/ledger is stuck", "releases.open refused it 8 times: too hot")
	})
	t.Run("webhooks with a wrong signature are counted for operators", func(t *testing.T) {
		t.Parallel()
		h := openHouse(t, smallWorld())
		h.as("kim").get("/").wants(t, http.StatusOK, "Webhooks refused2 with a wrong signature")
	})
	t.Run("a store that is gone is our fault, and tells nothing of it", func(t *testing.T) {
		t.Parallel()
		h := openWhole(t, smallWorld())
		c := h.as("ana")
		h.db.Close()
		for _, path := range everyPage {
			a := c.get(path)
			a.wants(t, http.StatusInternalServerError, "Something went wrong on our side", "Request")
			if strings.Contains(a.body, "sql") {
				t.Errorf("the page tells of the inside: %s", visible(a.body))
			}
		}
	})
}

// park leaves an event that a listener refused for good, as the dispatcher does.
func park(t *testing.T, h *wholeHouse) {
	t.Helper()
	ctx := t.Context()
	if err := h.db.Write(ctx, store.Full, func(tx *store.Tx) error {
		if err := outbox.NewWriter(outbox.NewBus()).Append(ctx, tx, []outbox.Record{{Name: "VersionCut", Subject: "repo/mem/ledger", Payload: json.RawMessage("{}"), At: time.Now().Add(-48 * time.Hour)}}); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO delivery (event_id, listener, subject, state, attempts, not_before, error) VALUES (1, 'releases.open', 'repo/mem/ledger', 'parked', 8, 0, 'too hot')`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestPagesThatSomebodyMayNotSee(t *testing.T) {
	t.Parallel()
	h := openWhole(t, smallWorld())
	rel := h.waitingLedger()
	c := h.holding(h.token(nightporter.Machine, "ci")) // has the policy "default" alone
	for _, path := range []string{"/", "/services", "/services/ledger", "/releases/" + rel.ID, "/activity", "/activity/0", "/secrets", "/secrets/logins/database/creds/app/x", "/environments", "/environments/dev", "/repos", "/repos/mem/ledger", "/repos/plans/plan_1", "/security", "/security/services/ledger", "/security/findings", "/security/findings/fnd_1", "/security/risks"} {
		c.get(path).wants(t, http.StatusForbidden, "You may not do this", "Back to Home")
	}
	a := c.get("/events")
	if a.StatusCode != http.StatusForbidden || a.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("/events answered %d %s", a.StatusCode, a.Header.Get("Content-Type"))
	}
}

func TestADemosClockIsRedOnEveryPage(t *testing.T) {
	t.Parallel()
	h := openDemo(t)
	for _, path := range []string{"/", "/services", "/services/ledger", "/activity"} {
		a := h.as("ana").get(path)
		if !strings.Contains(a.body, `<strong class="demo-clock">demo clock Mon 20:58</strong>`) || !strings.Contains(a.body, "dev goes dark") {
			t.Errorf("%s does not show the demo's clock and what comes next", path)
		}
	}
}

func TestFavicon(t *testing.T) {
	t.Parallel()
	h := openHouse(t, smallWorld())
	a := h.stranger().get("/favicon.ico")
	if a.StatusCode != http.StatusFound {
		t.Fatalf("answered %d", a.StatusCode)
	}
	icon := h.stranger().get(a.Header.Get("Location"))
	if icon.StatusCode != http.StatusOK || icon.Header.Get("Content-Type") != "image/svg+xml" || !strings.Contains(icon.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("the icon answered %d with %v", icon.StatusCode, icon.Header)
	}
}
