package console_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/security"
)

func TestSecurityPages(t *testing.T) {
	t.Parallel()
	h := openWhole(t, smallWorld())
	porter := nightporter.WithActor(context.Background(), nightporter.SystemActor("scan", ""))
	_, err := h.security.Record(porter, security.Finding{
		Key: "k1", Repo: "mem/ledger", Check: "C1", Rule: "postgres-url", Severity: nightporter.Critical, Title: `<script>alert("x")</script>`,
		Evidence: "config/app.yaml in 3efba60", Source: "secret scan",
	})
	if err != nil {
		t.Fatal(err)
	}
	id := security.FindingID("k1")
	c := h.as("ana")
	c.get("/security").wants(t, http.StatusOK, "1 of ", "fails a check", "not all proven", "1 finding open")
	c.get("/security/services/ledger").wants(t, http.StatusOK, "config/app.yaml in 3efba60", "unknown", "critical", "Look again", "nightporter audit verify")
	c.get("/security/services/nothing").wants(t, http.StatusNotFound, "No service is called")
	list := c.get("/security/findings")
	list.wants(t, http.StatusOK, "&lt;script&gt;")
	if strings.Contains(list.body, "<script>alert") {
		t.Error("a title from a repository is a script on the page")
	}
	page := c.get("/security/findings/" + id)
	page.wants(t, http.StatusOK, "It is real", "Accept until…", "postgres-url")

	t.Run("an acceptance needs a reason, and then the posture does not count it", func(t *testing.T) {
		until := h.time().Add(30 * 24 * time.Hour).Format("2006-01-02T15:04")
		c.post("/security/findings/"+id+"/accept", url.Values{"until": {until}, "idempotency_key": {"k-1"}}).wants(t, http.StatusBadRequest, "Say why")
		c.post("/security/findings/"+id+"/accept", url.Values{"until": {until}, "comment": {"test data"}, "idempotency_key": {"k-2"}}).wants(t, http.StatusSeeOther)
		c.get("/security/findings/"+id).wants(t, http.StatusOK, "is accepted until", "test data", "Open again")
		c.get("/security/findings?state=accepted").wants(t, http.StatusOK, "accepted")
		c.post("/security/findings/"+id+"/reopen", url.Values{"idempotency_key": {"k-3"}}).wants(t, http.StatusSeeOther)
		c.get("/security/findings/"+id).wants(t, http.StatusOK, "Opened again")
	})
	t.Run("whoever owns a risk sees it and may not approve it", func(t *testing.T) {
		r, err := h.security.AddRisk(porter, security.RiskDraft{
			Title: "one person knows the provider", Asset: "ledger", Pillar: security.Availability, Likelihood: 2, Impact: 4, Treatment: security.Reduce,
			Owner: "ana", Review: h.time().Add(90 * 24 * time.Hour), Findings: []string{id},
		})
		if err != nil {
			t.Fatal(err)
		}
		c.get("/security/risks").wants(t, http.StatusOK, "1 risk waits for an approval", "You own it", "The evidence proposes likelihood 3")
		c.post("/security/risks/"+r.ID+"/approve", url.Values{"idempotency_key": {"k-4"}}).wants(t, http.StatusForbidden, "somebody else has to approve it")
		c.post("/security/risks/"+r.ID+"/confirm", url.Values{"idempotency_key": {"k-5"}}).wants(t, http.StatusSeeOther)
		c.get("/security/risks").wants(t, http.StatusOK, "likelihood 3 × impact 4")
	})
}
