package bank

import (
	"net/http"
	"slices"

	"example.org/sandboxbank/town"
)

// reply sends data with links and the span of history that the bank can show.
func (b *Bank) reply(w http.ResponseWriter, r *http.Request, data any) {
	writeJSON(w, http.StatusOK, envelope{Data: data, Links: links{Self: b.cfg.BaseURL + r.URL.RequestURI()}})
}

// owned finds the account of the path inside the consent; an unknown or foreign id is 400 (OBIE, "Status codes").
func (b *Bank) owned(w http.ResponseWriter, r *http.Request, v view) (*town.Tenant, int) {
	t := b.cfg.Town.Tenant(v.consent.tenant)
	id := r.PathValue("account")
	if t != nil && slices.Contains(v.consent.accounts, id) {
		if i := slices.IndexFunc(t.Accounts, func(a town.Account) bool { return a.ID == id }); i >= 0 {
			return t, i
		}
	}
	refuse(w, http.StatusBadRequest, codeNotFound, "no such account", "AccountId")
	return nil, 0
}

// needs answers 403 when the consent does not hold any of the permissions.
func needs(w http.ResponseWriter, v view, any ...string) bool {
	if slices.ContainsFunc(any, v.consent.allows) {
		return true
	}
	refuse(w, http.StatusForbidden, codeConsentStatus, "the consent does not cover this", "")
	return false
}

func (b *Bank) listAccounts(w http.ResponseWriter, r *http.Request, v view) {
	t := b.cfg.Town.Tenant(v.consent.tenant)
	list := []wireAccount{}
	for _, a := range t.Accounts {
		if slices.Contains(v.consent.accounts, a.ID) {
			list = append(list, accountOf(a, v.consent.allows("ReadAccountsDetail")))
		}
	}
	b.reply(w, r, map[string]any{"Account": list})
}

func (b *Bank) oneAccount(w http.ResponseWriter, r *http.Request, v view) {
	if t, i := b.owned(w, r, v); t != nil {
		b.reply(w, r, map[string]any{"Account": []wireAccount{accountOf(t.Accounts[i], v.consent.allows("ReadAccountsDetail"))}})
	}
}

func (b *Bank) balances(w http.ResponseWriter, r *http.Request, v view) {
	if !needs(w, v, "ReadBalances") {
		return
	}
	if t, i := b.owned(w, r, v); t != nil {
		a := t.Accounts[i]
		b.reply(w, r, map[string]any{"Balance": []wireBalance{{AccountID: a.ID, CreditDebitIndicator: sign(a.Closing), Type: "ITBD", DateTime: stamp(t.AsOf), Amount: pounds(a.Closing)}}})
	}
}

func (b *Bank) standingOrders(w http.ResponseWriter, r *http.Request, v view) {
	if !needs(w, v, "ReadStandingOrdersBasic", "ReadStandingOrdersDetail") {
		return
	}
	if t, i := b.owned(w, r, v); t != nil {
		list := []wireOrder{}
		for _, o := range t.Orders {
			if o.Account == i {
				list = append(list, orderOf(t, o, v.consent.allows("ReadStandingOrdersDetail")))
			}
		}
		b.reply(w, r, map[string]any{"StandingOrder": list})
	}
}
