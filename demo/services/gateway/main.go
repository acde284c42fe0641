// Gateway is the door to acme's other services: it knows which paths there are.
package main

import (
	"encoding/json"
	"net/http"

	"nightporter.dev/nightporter/demo/services/serve"
)

func main() {
	paths := map[string]string{"/payments": "ledger", "/profile": "affordability", "/messages": "notifier"}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /routes", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(paths)
	})
	serve.Run("gateway", routes)
}
