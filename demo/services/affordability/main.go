// Affordability says how large a mortgage may be, by a rule of thumb. The real
// one is in examples/affordability.
package main

import (
	"encoding/json"
	"net/http"
	"strconv"

	"nightporter.dev/nightporter/demo/services/serve"
)

func main() {
	routes := http.NewServeMux()
	routes.HandleFunc("GET /limit", func(w http.ResponseWriter, r *http.Request) {
		income, err := strconv.ParseInt(r.FormValue("income"), 10, 64)
		if err != nil || income < 0 {
			http.Error(w, "income must be a yearly amount", http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]int64{"limit": income * 9 / 2})
	})
	serve.Run("affordability", routes)
}
