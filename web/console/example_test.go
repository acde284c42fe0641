package console_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/web/console"
)

func ExampleRenderer_Render() {
	pages, err := console.NewRenderer()
	if err != nil {
		panic(err)
	}
	answer := httptest.NewRecorder()
	answer.Header().Set("Content-Security-Policy", console.ContentSecurityPolicy)
	answer.WriteHeader(http.StatusNotFound)
	err = pages.Render(answer, &console.ErrorPage{
		Layout: console.Layout{Title: "Not found"}, Code: nightporter.NotFound, Status: http.StatusNotFound,
		Headline: "There is no service ledgre", Hint: "Did you mean ledger?",
	})
	fmt.Println(err, strings.Contains(answer.Body.String(), "<h1>There is no service ledgre</h1>"))
	// Output: <nil> true
}
