// Package serve is the part that acme's services share: it answers on the port
// that it is given, says what it is at /healthz, and leaves politely.
package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// commit is compiled in (see build.sh), so that a binary cannot pass for another
// one, whatever its environment says.
var commit string

var (
	mu     sync.Mutex
	checks []func() error
)

// Needs adds something that must hold for the service to be healthy.
func Needs(check func() error) {
	mu.Lock()
	defer mu.Unlock()
	checks = append(checks, check)
}

// identity is what /healthz answers.
type identity struct {
	Service     string `json:"service"`
	Version     string `json:"version"`
	Commit      string `json:"commit"`
	Environment string `json:"environment"`
	PID         int    `json:"pid"`
	Problem     string `json:"problem,omitempty"`
}

// Run serves until SIGTERM, then finishes the requests that it has.
func Run(service string, routes *http.ServeMux) {
	log.SetFlags(log.Ltime)
	me := identity{
		Service: service, Version: os.Getenv("NIGHTPORTER_VERSION"), Commit: commit,
		Environment: os.Getenv("NIGHTPORTER_ENVIRONMENT"), PID: os.Getpid(),
	}
	if err := note(me); err != nil {
		log.Fatal(err)
	}
	routes.HandleFunc("GET /healthz", me.health)
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: routes, ReadHeaderTimeout: 5 * time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	drained := make(chan error, 1)
	go func() {
		<-ctx.Done()
		log.Print("asked to end: finishing the requests that are here")
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		drained <- server.Shutdown(ctx)
	}()
	log.Printf("%s %s listens on %s", service, me.Version, server.Addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	if err := <-drained; err != nil {
		log.Fatal(err)
	}
	log.Print("done")
}

func (me identity) health(w http.ResponseWriter, _ *http.Request) {
	mu.Lock()
	list := checks
	mu.Unlock()
	status := http.StatusOK
	for _, check := range list {
		if err := check(); err != nil {
			log.Printf("not healthy: %v", err)
			me.Problem, status = err.Error(), http.StatusServiceUnavailable
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(me) // the caller may have gone
}

// note adds a line to the log of starts, which is kept outside of the service.
func note(me identity) error {
	path := os.Getenv("START_LOG")
	if path == "" {
		return nil
	}
	line, err := json.Marshal(struct {
		identity
		Instance string    `json:"instance"`
		At       time.Time `json:"at"`
	}{me, os.Getenv("NIGHTPORTER_INSTANCE"), time.Now().UTC()})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("noting the start: %w", err)
	}
	_, err = f.Write(append(line, '\n')) // one write: lines of others stay whole
	return errors.Join(err, f.Close())
}
