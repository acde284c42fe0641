// Notifier writes to customers, or would: it counts what it is asked to send.
package main

import (
	"fmt"
	"net/http"
	"sync/atomic"

	"nightporter.dev/nightporter/demo/services/serve"
)

func main() {
	var sent atomic.Int64
	routes := http.NewServeMux()
	routes.HandleFunc("POST /messages", func(w http.ResponseWriter, _ *http.Request) {
		sent.Add(1)
		w.WriteHeader(http.StatusAccepted)
	})
	routes.HandleFunc("GET /messages/count", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, sent.Load())
	})
	serve.Run("notifier", routes)
}
