// Ledger books payments. It keeps them in memory, which is fine for a demo and
// for nothing else.
package main

import (
	"encoding/json"
	"net/http"
	"sync"

	"nightporter.dev/nightporter/demo/services/serve"
)

type entry struct {
	Account string `json:"account"`
	Cents   int64  `json:"cents"`
}

type book struct {
	mu       sync.Mutex
	balances map[string]int64
}

func main() {
	b := &book{balances: map[string]int64{}}
	routes := http.NewServeMux()
	routes.HandleFunc("POST /entries", b.post)
	routes.HandleFunc("GET /balances/{account}", b.get)
	serve.Run("ledger", routes)
}

func (b *book) post(w http.ResponseWriter, r *http.Request) {
	var e entry
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&e); err != nil || e.Account == "" {
		http.Error(w, "send an account and cents", http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	b.balances[e.Account] += e.Cents
	b.mu.Unlock()
	w.WriteHeader(http.StatusCreated)
}

func (b *book) get(w http.ResponseWriter, r *http.Request) {
	account := r.PathValue("account")
	b.mu.Lock()
	cents := b.balances[account]
	b.mu.Unlock()
	_ = json.NewEncoder(w).Encode(entry{account, cents})
}
