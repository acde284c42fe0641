package client_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"nightporter.dev/nightporter/client"
)

// asked is a request as the server saw it.
type asked struct {
	method, path, body string
	header             http.Header
}

// recorder is a server that answers what it was told to and remembers what it
// was asked.
type recorder struct {
	*httptest.Server
	mu   sync.Mutex
	seen []asked
}

// serve answers by "METHOD /path?query"; anything else is a test's mistake.
func serve(t *testing.T, answers map[string]http.HandlerFunc) *recorder {
	t.Helper()
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.seen = append(r.seen, asked{req.Method, req.URL.RequestURI(), strings.TrimSpace(string(body)), req.Header.Clone()})
		r.mu.Unlock()
		answer := answers[req.Method+" "+req.URL.RequestURI()]
		if answer == nil {
			t.Errorf("the client asked for %s %s, which nobody expected", req.Method, req.URL.RequestURI())
			http.Error(w, "unexpected", http.StatusTeapot)
			return
		}
		answer(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *recorder) requests() []asked {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]asked(nil), r.seen...)
}

func (r *recorder) client(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Address: r.URL, Token: "npt_test", HTTP: r.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// says answers with JSON.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// problem answers with a problem, in the words of internal/httpapi.
func problem(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}
