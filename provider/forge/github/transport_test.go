package github

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The judge is a server that answers 304 whenever it is asked with its tag.
func TestTheCacheHoldsSoMuchAndNoMore(t *testing.T) {
	t.Parallel()
	full := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tag := `"` + r.URL.Path + `"`
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		full[r.URL.Path]++
		size := 10
		if r.URL.Path == "/large" {
			size = maxETagBody + 1
		}
		_, _ = io.WriteString(w, strings.Repeat("x", size))
	}))
	t.Cleanup(server.Close)
	client := &http.Client{Transport: newETags(http.DefaultTransport)}
	get := func(path string, want int) {
		t.Helper()
		resp, err := client.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || len(body) != want {
			t.Fatalf("%s: got %s with %d bytes, %v; want 200 with %d", path, resp.Status, len(body), err, want)
		}
	}
	get("/large", maxETagBody+1)
	get("/large", maxETagBody+1)
	get("/first", 10)
	get("/first", 10)
	for i := range maxETags {
		get(fmt.Sprint("/", i), 10)
	}
	get("/first", 10) // pushed out by all the others
	if full["/large"] != 2 || full["/first"] != 2 || full["/7"] != 1 {
		t.Errorf("whole answers: /large %d, /first %d, /7 %d; want 2, 2 and 1", full["/large"], full["/first"], full["/7"])
	}
}

func TestATagLeadsThroughOtherTagsToItsCommit(t *testing.T) {
	t.Parallel()
	lightweight := target{OID: "commit"}
	annotated := target{Typename: "Tag", OID: "tag", Target: &lightweight}
	nested := target{Typename: "Tag", OID: "outer", Target: &annotated}
	for _, tt := range []target{lightweight, annotated, nested} {
		if got := tt.commit(); got != "commit" {
			t.Errorf("%s: got %s", tt.OID, got)
		}
	}
}
