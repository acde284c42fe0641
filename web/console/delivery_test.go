package console_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"
)

func TestFreezesAndDelivery(t *testing.T) {
	t.Parallel()
	h := openHouse(t, smallWorld())
	h.waitingLedger()
	c := h.holding(h.root())
	c.get("/freezes").wants(t, http.StatusOK, "Nothing is frozen", "Freeze prod", "Deployments start as they come.")
	c.post("/freezes/prod/freeze", url.Values{"comment": {""}, "until": {"2099-01-01T10:00"}}).wants(t, http.StatusBadRequest, "A freeze needs a reason")
	c.post("/freezes/prod/freeze", url.Values{"comment": {"load <test>"}, "until": {"soon"}}).wants(t, http.StatusBadRequest, "Say until when")
	c.post("/freezes/nowhere/freeze", url.Values{"comment": {"x"}, "until": {"2099-01-01T10:00"}}).wants(t, http.StatusNotFound)
	until := time.Now().UTC().Add(48 * time.Hour).Format("2006-01-02T15:04")
	c.post("/freezes/prod/freeze", url.Values{"comment": {"load <test>"}, "until": {until}}).goesTo(t, "/freezes")
	c.get("/freezes").wants(t, http.StatusOK, "prod is frozen", "load &lt;test&gt;", "End the freeze", "Frozen.")
	c.get("/services/ledger").wants(t, http.StatusOK, "prod is frozen", "load &lt;test&gt;")
	h.stranger().post("/freezes/prod/unfreeze", nil).wants(t, http.StatusUnauthorized)
	c.post("/freezes/prod/unfreeze", nil).goesTo(t, "/freezes")
	c.get("/freezes").wants(t, http.StatusOK, "Nothing is frozen")

	c.get("/services/ledger").wants(t, http.StatusOK, "DORA's five metrics")
	c.get("/services/ledger/dora").wants(t, http.StatusOK, "was deployed 0 times in 30d", "Change lead time", "–", "None in this time.")
	c.get("/services/ledger/dora?window=7d").wants(t, http.StatusOK, "in 7d")
	c.get("/services/ledger/dora?window=often").wants(t, http.StatusBadRequest)
	c.get("/services/nobody/dora").wants(t, http.StatusNotFound)
}
