package bank

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"example.org/sandboxbank/town"
)

// Admin is the operator's face: the truth about every row, the faults, and a customer's change of mind. It
// belongs on its own listener, because nothing that a client of the bank can reach may know the truth.
func (b *Bank) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /tenants", func(w http.ResponseWriter, _ *http.Request) {
		type row struct {
			ID    string     `json:"id"`
			Name  string     `json:"name"`
			Truth town.Truth `json:"truth"`
		}
		var list []row
		for _, t := range b.cfg.Town.Tenants() {
			list = append(list, row{t.ID, t.Name, t.Truth})
		}
		writeJSON(w, http.StatusOK, map[string]any{"items": list})
	})
	mux.HandleFunc("GET /labels/{tenant}", func(w http.ResponseWriter, r *http.Request) {
		t := b.cfg.Town.Tenant(r.PathValue("tenant"))
		if t == nil {
			http.NotFound(w, r)
			return
		}
		writeJSON(w, http.StatusOK, map[string]any{"truth": t.Truth, "rows": labels(t)})
	})
	mux.HandleFunc("PUT /faults", func(w http.ResponseWriter, r *http.Request) {
		list, _ := io.ReadAll(io.LimitReader(r.Body, 4096))
		if err := b.cfg.Faults.Set(strings.TrimSpace(string(list))); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE /consents/{consent}", func(w http.ResponseWriter, r *http.Request) {
		if !b.Revoke(r.PathValue("consent")) {
			http.NotFound(w, r)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// label is the truth about one row, which is named by account and place because some banks give rows no id.
type label struct {
	AccountID string    `json:"account_id"`
	Index     int       `json:"index"` // in the account's rows, oldest first
	Kind      town.Kind `json:"kind"`
}

func labels(t *town.Tenant) []label {
	at := map[int]int{}
	var list []label
	for _, e := range t.Entries {
		list = append(list, label{t.Accounts[e.Account].ID, at[e.Account], e.Kind})
		at[e.Account]++
	}
	return list
}

// dumped is one line of a dump: everything about one tenant, rows as the API would show them with full consent.
type dumped struct {
	Tenant         string                       `json:"tenant"`
	Accounts       []wireAccount                `json:"accounts"`
	Transactions   map[string][]wireTransaction `json:"transactions"` // by account, oldest first
	StandingOrders []wireOrder                  `json:"standing_orders"`
	FirstAvailable string                       `json:"first_available"`
	LastAvailable  string                       `json:"last_available"`
	Truth          town.Truth                   `json:"truth"`
	Labels         []label                      `json:"labels"`
}

// Dump writes one tenant and the truth about them as a line of JSON. Two dumps with the same seed are equal.
func Dump(w io.Writer, t *town.Tenant) error {
	d := dumped{
		Tenant: t.ID, Transactions: map[string][]wireTransaction{}, StandingOrders: []wireOrder{}, Truth: t.Truth, Labels: labels(t),
		FirstAvailable: stamp(t.From), LastAvailable: stamp(t.AsOf.AddDate(0, 0, 1).Add(-1e9)),
	}
	for _, a := range t.Accounts {
		d.Accounts = append(d.Accounts, accountOf(a, true))
	}
	for _, e := range t.Entries {
		id := t.Accounts[e.Account].ID
		d.Transactions[id] = append(d.Transactions[id], transactionOf(t, e, true))
	}
	for _, o := range t.Orders {
		d.StandingOrders = append(d.StandingOrders, orderOf(t, o, true))
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(d)
}
