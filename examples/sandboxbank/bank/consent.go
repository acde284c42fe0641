package bank

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"time"
)

// Consent states of v4.0.
const (
	awaiting   = "AWAU"
	authorised = "AUTH"
	rejected   = "RJCT"
	cancelled  = "CANC"
	expired    = "EXPD"
)

// consent is what a customer allowed, or is about to be asked to.
type consent struct {
	id          string
	status      string
	created     time.Time
	changed     time.Time
	permissions []string
	expires     time.Time // zero: never
	from, to    time.Time // zero: no bound on transactions
	tenant      string
	accounts    []string
}

func (c *consent) allows(permission string) bool { return slices.Contains(c.permissions, permission) }

// settled updates the state when the time has passed. The caller holds the lock.
func (c *consent) settled(now time.Time) string {
	if c.status == authorised && !c.expires.IsZero() && !now.Before(c.expires) {
		c.status, c.changed = expired, c.expires
	}
	return c.status
}

var knownPermissions = []string{
	"ReadAccountsBasic", "ReadAccountsDetail", "ReadBalances", "ReadBeneficiariesBasic", "ReadBeneficiariesDetail", "ReadDirectDebits", "ReadOffers",
	"ReadPAN", "ReadParty", "ReadPartyPSU", "ReadProducts", "ReadScheduledPaymentsBasic", "ReadScheduledPaymentsDetail", "ReadStandingOrdersBasic",
	"ReadStandingOrdersDetail", "ReadStatementsBasic", "ReadStatementsDetail", "ReadTransactionsBasic", "ReadTransactionsCredits", "ReadTransactionsDebits", "ReadTransactionsDetail",
}

// checkPermissions applies the rules of the standard's "Permissions" page: what it must reject.
func checkPermissions(p []string) (problem string) {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(p, n) })
	}
	rows, sides := has("ReadTransactionsBasic", "ReadTransactionsDetail"), has("ReadTransactionsCredits", "ReadTransactionsDebits")
	switch {
	case len(p) == 0:
		return "Permissions must not be empty"
	case slices.ContainsFunc(p, func(n string) bool { return !slices.Contains(knownPermissions, n) }):
		return "Permissions holds an unknown code"
	case !has("ReadAccountsBasic", "ReadAccountsDetail"):
		return "Permissions must include ReadAccountsBasic or ReadAccountsDetail"
	case rows && !sides:
		return "ReadTransactionsBasic or Detail needs ReadTransactionsCredits or Debits"
	case sides && !rows:
		return "ReadTransactionsCredits or Debits needs ReadTransactionsBasic or Detail"
	}
	return ""
}

func (b *Bank) createConsent(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Data *struct {
			Permissions             []string
			ExpirationDateTime      time.Time
			TransactionFromDateTime time.Time
			TransactionToDateTime   time.Time
		}
		Risk *struct{}
	}
	dec := json.NewDecoder(io.LimitReader(r.Body, 1<<16))
	if err := dec.Decode(&body); err != nil {
		refuse(w, http.StatusBadRequest, codeFieldInvalid, "the body is not the JSON of a consent", "")
		return
	}
	switch {
	case body.Data == nil:
		refuse(w, http.StatusBadRequest, codeFieldMissing, "Data is missing", "Data")
		return
	case body.Risk == nil:
		refuse(w, http.StatusBadRequest, codeFieldMissing, "Risk is missing", "Risk")
		return
	}
	if problem := checkPermissions(body.Data.Permissions); problem != "" {
		refuse(w, http.StatusBadRequest, codeFieldInvalid, problem, "Data.Permissions")
		return
	}
	now := b.cfg.Now().UTC()
	c := &consent{
		id: "aac-" + b.uuid(), status: awaiting, created: now, changed: now, permissions: body.Data.Permissions,
		expires: body.Data.ExpirationDateTime, from: body.Data.TransactionFromDateTime, to: body.Data.TransactionToDateTime,
	}
	if !c.expires.IsZero() && !c.expires.After(now) {
		refuse(w, http.StatusBadRequest, codeFieldInvalid, "ExpirationDateTime is in the past", "Data.ExpirationDateTime")
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.consents[c.id] = c
	b.writeConsent(w, http.StatusCreated, c)
}

func (b *Bank) readConsent(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.findConsent(w, r); c != nil {
		c.settled(b.cfg.Now())
		b.writeConsent(w, http.StatusOK, c)
	}
}

func (b *Bank) deleteConsent(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.findConsent(w, r); c != nil {
		b.cancel(c)
		delete(b.consents, c.id)
		w.WriteHeader(http.StatusNoContent)
	}
}

// findConsent answers 400 for an unknown id, as the standard asks, and returns nil. The caller holds the lock.
func (b *Bank) findConsent(w http.ResponseWriter, r *http.Request) *consent {
	c := b.consents[r.PathValue("consent")]
	if c == nil {
		refuse(w, http.StatusBadRequest, codeNotFound, "no such consent", "ConsentId")
	}
	return c
}

// cancel ends a consent and every token that hangs on it. The caller holds the lock.
func (b *Bank) cancel(c *consent) {
	c.status, c.changed = cancelled, b.cfg.Now().UTC()
	for _, held := range []map[string]*token{b.tokens, b.refresh} {
		for k, t := range held {
			if t.consent == c.id && t.kind == forCustomer {
				t.revoked = true
				held[k] = t
			}
		}
	}
}

// Revoke ends a consent as a customer would in the bank's own app. It reports whether there was one.
func (b *Bank) Revoke(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.consents[id]
	if c == nil {
		return false
	}
	b.cancel(c)
	return true
}

func (b *Bank) writeConsent(w http.ResponseWriter, status int, c *consent) {
	data := map[string]any{
		"ConsentId": c.id, "Status": c.status, "CreationDateTime": stamp(c.created), "StatusUpdateDateTime": stamp(c.changed), "Permissions": c.permissions,
	}
	for name, t := range map[string]time.Time{"ExpirationDateTime": c.expires, "TransactionFromDateTime": c.from, "TransactionToDateTime": c.to} {
		if !t.IsZero() {
			data[name] = stamp(t)
		}
	}
	if c.status == cancelled {
		data["StatusReason"] = []map[string]string{{"StatusReasonCode": "U036", "StatusReasonDescription": "Cancelled by the customer or the bank"}}
	}
	writeJSON(w, status, map[string]any{"Data": data, "Risk": struct{}{}, "Links": links{Self: b.cfg.BaseURL + Prefix + "/account-access-consents/" + c.id}, "Meta": meta{}})
}
