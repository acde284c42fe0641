package world

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestABrowserSendsTheFormsOfAPageAndKeepsCookies(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /r/1", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "s1"})
		fmt.Fprint(w, `<form method="get" action="/search"></form>
<form class="x" method="post" action="/r/1/reject"><input type="hidden" name="n" value="wrong"></form>
<form method="post" action="/r/1/approve?a=1&amp;b=2" data-x><input type="hidden" name="n" value="a&#34;b"><button>Go</button></form>`)
	})
	mux.HandleFunc("POST /r/1/approve", func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("session")
		if err != nil || r.Header.Get("Sec-Fetch-Site") != "same-origin" {
			http.Error(w, "who?", http.StatusForbidden)
			return
		}
		http.Redirect(w, r, "/done?"+url.Values{"n": {r.PostFormValue("n")}, "comment": {r.PostFormValue("comment")}, "b": {r.FormValue("b")}, "c": {cookie.Value}}.Encode(), http.StatusSeeOther)
	})
	mux.HandleFunc("GET /done", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "done") })
	server := httptest.NewServer(mux)
	defer server.Close()
	w := &World{Porter: &Porter{address: strings.TrimPrefix(server.URL, "http://")}}
	b, err := w.NewBrowser()
	if err != nil {
		t.Fatal(err)
	}
	page, err := b.Open(t.Context(), "/r/1")
	if err != nil || page.Status != http.StatusOK {
		t.Fatalf("got %+v, %v", page, err)
	}
	if _, err := b.Send(t.Context(), page, "/search", nil); !errors.Is(err, ErrNoForm) {
		t.Errorf("a form that changes nothing was sent: %v", err)
	}
	after, err := b.Send(t.Context(), page, "/approve", url.Values{"comment": {"good"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := `b=2&c=s1&comment=good&n=a%22b`; after.HTML != "done" || after.URL.RawQuery != want {
		t.Errorf("it led to %s with %q, want %s", after.URL, after.HTML, want)
	}
}
