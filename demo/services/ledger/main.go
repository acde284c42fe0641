// Ledger books payments. It keeps them in the database that DATABASE_URL names,
// with a login that is lent to it. Without one it keeps them in memory, which is
// fine for a demo and for nothing else.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"sync"

	"nightporter.dev/nightporter/demo/services/serve"
)

type entry struct {
	Account string `json:"account"`
	Cents   int64  `json:"cents"`
}

// books is where bookings are kept.
type books interface {
	book(ctx context.Context, e entry) error
	balance(ctx context.Context, account string) (cents int64, err error)
	count(ctx context.Context) (int64, error)
}

func main() {
	d := desk{&memory{balances: map[string]int64{}}}
	if address := os.Getenv("DATABASE_URL"); address != "" {
		db, err := openDatabase(context.Background(), address)
		if err != nil {
			log.Fatal(err)
		}
		d.books = db
	}
	routes := http.NewServeMux()
	routes.HandleFunc("POST /entries", d.post)
	routes.HandleFunc("GET /balances/{account}", d.get)
	routes.HandleFunc("GET /bookings", d.bookings)
	serve.Run("ledger", routes)
}

// desk answers requests.
type desk struct{ books }

func (d desk) post(w http.ResponseWriter, r *http.Request) {
	var e entry
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&e); err != nil || e.Account == "" {
		http.Error(w, "send an account and cents", http.StatusBadRequest)
		return
	}
	if err := d.book(r.Context(), e); err != nil {
		unavailable(w, err)
		return
	}
	w.WriteHeader(http.StatusCreated)
}

func (d desk) get(w http.ResponseWriter, r *http.Request) {
	account := r.PathValue("account")
	cents, err := d.balance(r.Context(), account)
	if err != nil {
		unavailable(w, err)
		return
	}
	_ = json.NewEncoder(w).Encode(entry{account, cents})
}

func (d desk) bookings(w http.ResponseWriter, r *http.Request) {
	n, err := d.count(r.Context())
	if err != nil {
		unavailable(w, err)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]int64{"bookings": n})
}

func unavailable(w http.ResponseWriter, err error) {
	log.Printf("the books are closed: %v", err)
	http.Error(w, "the books are closed for a moment", http.StatusServiceUnavailable)
}

// memory keeps bookings until the process ends.
type memory struct {
	mu       sync.Mutex
	balances map[string]int64
	booked   int64
}

func (m *memory) book(_ context.Context, e entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.balances[e.Account] += e.Cents
	m.booked++
	return nil
}

func (m *memory) balance(_ context.Context, account string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.balances[account], nil
}

func (m *memory) count(context.Context) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.booked, nil
}
