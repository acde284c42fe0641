package client_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

// A program that asks how far production is behind.
func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"items":[{"service":"ledger","repo":"github/ledger","production":{"behind":2}}]}`)
	}))
	defer server.Close()

	c, err := client.New(client.Config{Address: server.URL, Token: "npt_…"})
	if err != nil {
		fmt.Println(nightporter.MessageOf(err))
		return
	}
	rows, err := c.Board(context.Background())
	if err != nil {
		fmt.Println(nightporter.CodeOf(err), client.RequestIDOf(err))
		return
	}
	for _, row := range rows {
		fmt.Printf("%s is %d merges behind\n", row.Service, row.Production.Behind)
	}
	// Output: ledger is 2 merges behind
}
