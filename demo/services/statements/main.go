// Statements will print account statements. It is brand new and was never
// released.
package main

import (
	"net/http"

	"nightporter.dev/nightporter/demo/services/serve"
)

func main() {
	serve.Run("statements", http.NewServeMux())
}
