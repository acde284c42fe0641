package console_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/repos"
)

func planURL(id string) string { return "/repos/plans/" + id }

func (h *wholeHouse) setStandard(s config.Repos) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.standard = s
}

// alike has ledger and notifier on the forge, and brings them to a standard.
func (h *wholeHouse) alike() {
	h.t.Helper()
	h.forge.AddRepo("ledger")
	h.forge.AddRepo("notifier")
	h.setStandard(config.Repos{Standard: config.Standard{Wiki: new(false), Labels: []config.Label{{Name: "major", Color: "b60205"}}}})
	ctx := context.Background()
	p, err := h.repos.Plan(ctx, "mem", "")
	if err != nil {
		h.t.Fatal(err)
	}
	id, err := h.repos.Apply(ctx, p.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	h.applied(id)
}

// applied waits until a run is over.
func (h *wholeHouse) applied(id string) {
	h.t.Helper()
	h.until("the run "+id+" is over", func(ctx context.Context, tx *store.Tx) bool {
		r, err := run.Get(ctx, tx, id)
		if err != nil {
			h.t.Fatal(err)
		}
		return r.State.Over()
	})
}

// driftedLedger is a house where mallory-gh has removed the labels of ledger.
func (h *wholeHouse) driftedLedger() {
	h.t.Helper()
	h.alike()
	h.forge.Configure("ledger", "mallory-gh", forge.PartLabels, func(s *forge.Settings) { s.Labels = nil })
	header, body := h.forge.LastWebhook()
	ctx := context.Background()
	if err := h.repos.Receive(ctx, "mem", header, body); err != nil {
		h.t.Fatal(err)
	}
	h.repos.Conform(ctx, "mem")
}

func (h *wholeHouse) lastPlan() (id string) {
	h.t.Helper()
	h.until("there is a plan", func(ctx context.Context, tx *store.Tx) bool {
		list, err := repos.Plans(ctx, tx, "", 1)
		if err != nil {
			h.t.Fatal(err)
		}
		if len(list) > 0 {
			id = list[0].ID
		}
		return len(list) > 0
	})
	return id
}

func TestReposOfAHouseThatAsksForNothing(t *testing.T) {
	t.Parallel()
	h := openWhole(t, smallWorld())
	kim := h.as("kim")
	kim.get("/repos").wants(t, http.StatusOK, "No repository was looked at yet", "One standard for every repository", "nightporter repo adopt", "Look now and plan")
	kim.get("/repos/mem/nothing").wants(t, http.StatusNotFound, "Nothing is known of the repository")
	kim.get("/repos/plans/plan_none").wants(t, http.StatusNotFound)
	kim.get("/repos?page=x").wants(t, http.StatusBadRequest)
}

// The whole way of a drift: Home says who, the repository's page offers to restore
// it, the plan shows what that writes, and the forge is as it was.
func TestADriftIsRestoredFromHome(t *testing.T) {
	t.Parallel()
	h := openWhole(t, smallWorld())
	h.driftedLedger()
	kim := h.as("kim")
	kim.get("/").wants(t, http.StatusOK, "One thing needs you", "labels changed by @mallory-gh", "should be major #b60205", "team-payments", "Restore")
	kim.get("/repos").wants(t, http.StatusOK, "One of 2 repositories differs", "mem/ledger", "1 rule differs", "mem/notifier", "holds")
	kim.get("/repos?show=drift&q=LEDG").wants(t, http.StatusOK, "mem/ledger", "1 repository")
	a := kim.get("/repos/mem/ledger")
	a.wants(t, http.StatusOK, "differs in one rule", "changed by @mallory-gh", "drifted", "holds again", "Restore…")

	a = kim.post("/repos/mem/ledger/plan", url.Values{"idempotency_key": {a.field(t, "restore", "idempotency_key")}})
	page := a.Header.Get("Location")
	if a.StatusCode != http.StatusSeeOther || page != planURL(h.lastPlan()) {
		t.Fatalf("Restore answered %d to %q, want the plan", a.StatusCode, page)
	}
	if len(h.forge.SettingsOf("ledger").Labels) != 0 {
		t.Fatal("looking wrote something")
	}
	a = kim.get(page)
	a.wants(t, http.StatusOK, "would make 1 change in 1 write request", "labels", "major #b60205", "changed by @mallory-gh", "not applied", "Apply")
	fields := url.Values{"idempotency_key": {a.field(t, "apply", "idempotency_key")}}
	kim.post(page+"/apply", fields).goesTo(t, page)
	kim.post(page+"/apply", fields).goesTo(t, page) // pressed twice: acts once
	var kept *repos.KeptPlan
	h.until("the plan is applied", func(ctx context.Context, tx *store.Tx) (over bool) {
		var err error
		if kept, err = repos.GetPlan(ctx, tx, h.lastPlan()); err != nil {
			t.Fatal(err)
		}
		return kept.Run != ""
	})
	h.applied(kept.Run)
	if labels := h.forge.SettingsOf("ledger").Labels; len(labels) != 1 || labels[0].Name != "major" {
		t.Errorf("the forge has the labels %v", labels)
	}
	kim.get(page).wants(t, http.StatusOK, "was applied: 1 change was made", "look again", "Undo…")
	kim.get("/").wants(t, http.StatusOK, "Nothing needs you")
	kim.get("/repos/mem/ledger").wants(t, http.StatusOK, "holds to the standard")

	a = kim.post(page+"/undo", nil)
	back := a.Header.Get("Location")
	if a.StatusCode != http.StatusSeeOther || back == page || len(h.forge.SettingsOf("ledger").Labels) != 1 {
		t.Errorf("Undo answered %d to %q, want a plan of its own and nothing written", a.StatusCode, back)
	}
	kim.get(back).wants(t, http.StatusOK, "would take back, with 1 change", "no major", "Takes back")
}

func TestWhoHearsOfADriftAndWhoMayRestoreIt(t *testing.T) {
	t.Parallel()
	h := openWhole(t, smallWorld())
	h.driftedLedger()
	ana := h.as("ana") // her team owns ledger
	ana.get("/").wants(t, http.StatusOK, "labels changed by @mallory-gh")
	ana.get("/repos/mem/ledger").wants(t, http.StatusOK, "Your policies do not let you plan or apply. Operators may.")
	ana.post("/repos/mem/ledger/plan", nil).wants(t, http.StatusForbidden, "You may not do this")
	ana.post("/repos/mem/plan", nil).wants(t, http.StatusForbidden)
	page := planURL(h.lastPlan())
	ana.post(page+"/apply", nil).wants(t, http.StatusForbidden)
	ana.post(page+"/undo", nil).wants(t, http.StatusForbidden)
	if a := h.as("vic").get("/"); strings.Contains(a.body, "mallory") {
		t.Error("somebody whose team does not own it hears of it")
	}
}

func TestAProgramReadsWhatThePagesShow(t *testing.T) {
	t.Parallel()
	h := openWhole(t, smallWorld())
	h.driftedLedger()
	kim := h.as("kim")
	for path, want := range map[string]string{
		"/repos": `"repo":"mem/ledger"`, "/repos/mem/ledger": `"who":"mallory-gh"`, planURL(h.lastPlan()): `"state":"done"`,
	} {
		a := kim.get(path, "Accept", "application/json")
		if a.StatusCode != http.StatusOK || !json.Valid([]byte(a.body)) || !strings.Contains(a.body, want) {
			t.Errorf("%s answered %d without %s: %.300s", path, a.StatusCode, want, a.body)
		}
	}
}
