package console_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"nightporter.dev/nightporter/internal/store"
	forgemem "nightporter.dev/nightporter/provider/forge/mem"
	"nightporter.dev/nightporter/releases"
)

// runs waits until an environment runs a version of ledger.
func (h *wholeHouse) runs(environment, version string) {
	h.t.Helper()
	h.until(environment+" runs "+version, func(ctx context.Context, tx *store.Tx) bool {
		p, err := releases.PlacementOf(ctx, tx, "ledger", environment)
		if err != nil {
			h.t.Fatal(err)
		}
		return p != nil && p.Version.String() == version
	})
}

func TestApprove(t *testing.T) {
	t.Parallel()
	h := openHouse(t, smallWorld())
	rel := h.waitingLedger()
	page := "/releases/" + rel.ID
	c := h.as("ben")
	key := c.get(page).field(t, "approve", "idempotency_key")
	if len(key) < 20 {
		t.Fatalf("the form's key is %q", key)
	}
	fields := url.Values{"comment": {"looks right"}, "idempotency_key": {key}}
	c.post(page+"/approve", fields).goesTo(t, page)
	c.post(page+"/approve", fields).goesTo(t, page) // pressed twice: acts once, and nobody is told off
	c.get(page).wants(t, http.StatusOK, "Approved.", "@ben", "looks right")
	h.releaseOf("ledger", releases.Healthy)
	h.runs("prod", "0.1.0")
	a := c.get(page)
	a.wants(t, http.StatusOK, "runs in prod", "approved", "Roll back in prod")
	c.get("/services/ledger").wants(t, http.StatusOK, "is in production as it is on main", "@ben", "0.1.0")
	c.get("/").wants(t, http.StatusOK, "Nothing needs you", "Everything on main", "ledger 0.1.0 to prod 1 change, approved by @ben", "Reached production1 release")
	// A new key is a new wish, and that one is refused.
	c.post(page+"/approve", url.Values{"idempotency_key": {"another"}}).wants(t, http.StatusConflict, "does not wait for an approval", "Nothing was changed", "Back to the page")
}

func TestOnlyWhoMayApproveIsOfferedIt(t *testing.T) {
	t.Parallel()
	h := openHouse(t, smallWorld())
	h.forge.AddRepo("ledger")
	h.repos.Sweep(t.Context())
	h.merge("ledger", forgemem.PR{Title: "Mine, unseen by others", Author: "ana-gh", Labels: []string{"minor"}})
	rel := h.releaseOf("ledger", releases.Waiting)
	page := "/releases/" + rel.ID

	t.Run("not its author, when nobody reviewed it; rejecting is open to them", func(t *testing.T) {
		c := h.as("ana")
		a := c.get(page)
		a.wants(t, http.StatusOK, "You wrote #1, and nobody else reviewed it. @ben may approve.", "Reject")
		if strings.Contains(a.body, `action="`+page+`/approve"`) {
			t.Error("the page offers what the rule refuses")
		}
		c.post(page+"/approve", nil).wants(t, http.StatusForbidden, "Ana wrote #1")
	})
	t.Run("not an operator, whom the rule does not name", func(t *testing.T) {
		c := h.as("kim")
		c.get(page).wants(t, http.StatusOK, "@ana or @ben may approve.")
		c.post(page+"/approve", nil).wants(t, http.StatusForbidden, "may not decide on releases of ledger")
	})
	t.Run("not a viewer, whom the policies do not let", func(t *testing.T) {
		c := h.as("vic")
		c.get(page).wants(t, http.StatusOK, "@ana or @ben may approve.")
		c.post(page+"/approve", nil).wants(t, http.StatusForbidden, "You may not do this")
		c.post(page+"/rollback/prod", url.Values{"confirm": {"ledger"}}).wants(t, http.StatusForbidden)
	})
	t.Run("not a program", func(t *testing.T) {
		c := h.holding(h.token("machine", "ci", "root"))
		c.get(page).wants(t, http.StatusOK, "Only a person can decide.")
	})
}

func TestReject(t *testing.T) {
	t.Parallel()
	h := openHouse(t, smallWorld())
	rel := h.waitingLedger()
	page, c := "/releases/"+rel.ID, h.as("ben")
	c.post(page+"/reject", url.Values{"comment": {" "}}).wants(t, http.StatusBadRequest, "A rejection needs a reason")
	c.post(page+"/reject", url.Values{"comment": {"not on a Monday"}}).goesTo(t, page)
	h.releaseOf("ledger", releases.Rejected)
	c.get(page).wants(t, http.StatusOK, "was rejected", "Rejected by ben: not on a Monday", "Retry 0.1.0")
	c.post(page+"/retry", nil).goesTo(t, page)
	h.releaseOf("ledger", releases.Waiting)
	c.get(page).wants(t, http.StatusOK, "Trying again.", "Approve for prod")
}

func TestRollBackInProduction(t *testing.T) {
	t.Parallel()
	h := openHouse(t, smallWorld())
	c := h.as("ben")
	first := h.waitingLedger()
	c.post("/releases/"+first.ID+"/approve", nil).goesTo(t, "/releases/"+first.ID)
	h.runs("prod", "0.1.0")
	h.merge("ledger", forgemem.PR{Title: "Faster", Labels: []string{"patch"}})
	second := h.releaseOf("ledger", releases.Waiting)
	c.post("/releases/"+second.ID+"/approve", nil).goesTo(t, "/releases/"+second.ID)
	h.runs("prod", "0.1.1")
	h.releaseOf("ledger", releases.Healthy)
	page := "/releases/" + second.ID

	a := c.get(page)
	a.wants(t, http.StatusOK, "Roll back in prod", "Type ledger to confirm", "nightporter release rollback "+second.ID+" --env prod", "Roll back in dev")
	key := a.field(t, "rollback-prod", "idempotency_key")
	c.post(page+"/rollback/prod", url.Values{"comment": {"errors"}, "confirm": {"ledgre"}, "idempotency_key": {key}}).wants(t, http.StatusBadRequest, "Type ledger to roll back in prod")
	h.runs("prod", "0.1.1")
	fields := url.Values{"comment": {"errors"}, "confirm": {"ledger"}, "idempotency_key": {key}}
	a = c.post(page+"/rollback/prod", fields)
	back := a.Header.Get("Location")
	if a.StatusCode != http.StatusSeeOther || back == page {
		t.Fatalf("answered %d to %q, want the page of the new release", a.StatusCode, back)
	}
	c.post(page+"/rollback/prod", fields).goesTo(t, back)
	h.runs("prod", "0.1.0")
	h.releaseOf("ledger", releases.Healthy)
	c.get(back).wants(t, http.StatusOK, "rolled back by @ben", "Rolling back.")
	c.get(page).wants(t, http.StatusOK, "0.1.1 is marked bad.", "Rolled back in prod by ben: errors", "prodreplaced", "Bring to prod")
	c.post(page+"/rollback/prod", url.Values{"comment": {"again"}, "confirm": {"ledger"}}).wants(t, http.StatusConflict, "Prod does not run this release of ledger any more")

	t.Run("and an older version can be brought anywhere again", func(t *testing.T) {
		a := c.get("/releases/" + first.ID)
		a.wants(t, http.StatusOK, "Bring to dev")
		a = c.post("/releases/"+first.ID+"/promote/dev", nil)
		if a.StatusCode != http.StatusSeeOther {
			t.Fatalf("answered %d: %s", a.StatusCode, visible(a.body))
		}
		h.runs("dev", "0.1.0")
		c.get(a.Header.Get("Location")).wants(t, http.StatusOK, "promoted by @ben", "On its way.")
		c.post("/releases/"+first.ID+"/promote/nowhere", nil).wants(t, http.StatusNotFound, `No environment is called "nowhere"`)
	})
}

func TestHold(t *testing.T) {
	t.Parallel()
	h := openHouse(t, smallWorld())
	rel := h.waitingLedger()
	c := h.as("ben")
	c.post("/services/ledger/hold", url.Values{"comment": {""}}).wants(t, http.StatusBadRequest, "A hold needs a reason")
	c.post("/services/ledger/hold", url.Values{"comment": {"the contract starts <Thursday>"}}).goesTo(t, "/services/ledger")
	c.get("/services/ledger").wants(t, http.StatusOK, "On hold by @ben", "the contract starts &lt;Thursday&gt;", "Lift the hold", "On hold.")
	c.get("/services?show=hold").wants(t, http.StatusOK, "on hold", "1 on hold")
	c.get("/").wants(t, http.StatusOK, "ledger is on hold")
	c.post("/releases/"+rel.ID+"/approve", nil).goesTo(t, "/releases/"+rel.ID)
	h.releaseOf("ledger", releases.Held)
	c.get("/releases/"+rel.ID).wants(t, http.StatusOK, "is held before prod", "You have decided.")
	c.post("/services/ledger/hold/lift", nil).goesTo(t, "/services/ledger")
	h.releaseOf("ledger", releases.Healthy)
	c.get("/services/ledger").wants(t, http.StatusOK, "The hold is lifted.", "Hold back")
	a := h.as("vic").get("/services/ledger")
	a.wants(t, http.StatusOK, "is in production")
	if strings.Contains(a.body, "Hold back") {
		t.Error("a viewer is offered to hold")
	}
	h.as("ben").post("/services/nothing/hold", url.Values{"comment": {"x"}}).wants(t, http.StatusForbidden)
}

func TestWhatAPageSaysAfterAFormCannotBeChosenByOthers(t *testing.T) {
	t.Parallel()
	h := openHouse(t, smallWorld())
	a := h.as("ana").get("/services", "Cookie", "nightporter-said=You+have+been+hacked; nightporter="+h.token("person", "ana"))
	a.wants(t, http.StatusOK)
	if strings.Contains(a.body, "hacked") || strings.Contains(visible(a.body), "Approved.") {
		t.Error("a cookie puts words on a page")
	}
}
