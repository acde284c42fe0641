package client_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

func TestEventsAreReadAsTheStandardSays(t *testing.T) {
	t.Parallel()
	server := serve(t, map[string]http.HandlerFunc{
		"GET /events?topics=board%2Crelease%2Frel_1": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "retry: 2000\n\n: ping\n\nid: e-1\ndata: one\ndata: two\n\nevent: reset\nid: e-2\ndata:missed\n\nevent: ignored\n\ndata: cut")
		},
	})
	var got []client.Event
	for e, err := range server.client(t).Events(t.Context(), "board", "release/rel_1") {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, e); len(got) == 2 {
			break
		}
	}
	want := []client.Event{{ID: "e-1", Name: "message", Data: "one\ntwo"}, {ID: "e-2", Name: "reset", Data: "missed"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEventsEndWithAnErrorThatTryingAgainDoesNotCure(t *testing.T) {
	t.Parallel()
	server := serve(t, map[string]http.HandlerFunc{
		"GET /events?topics=board": problem(http.StatusForbidden, `{"code":"denied","detail":"not for you"}`),
	})
	n := 0
	for _, err := range server.client(t).Events(t.Context(), "board") {
		if n++; nightporter.CodeOf(err) != nightporter.Denied {
			t.Errorf("err = %v, want denied", err)
		}
	}
	if n != 1 {
		t.Errorf("%d pairs, want 1", n)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestABrokenStreamGoesOnWhereItEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var from []string
		c, err := client.New(client.Config{HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			from = append(from, r.Header.Get("Last-Event-ID"))
			switch len(from) {
			case 1:
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("id: e-1\ndata: a\n\n"))}, nil
			case 2:
				return nil, errors.New("connection reset by peer")
			}
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("id: e-2\ndata: b\n\n"))}, nil
		})}})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for e, err := range c.Events(t.Context(), "board") {
			if err != nil {
				t.Fatal(err)
			}
			if got += e.Data; len(got) == 2 {
				break
			}
		}
		if diff := cmp.Diff([]string{"", "e-1", "e-1"}, from); diff != "" || got != "ab" {
			t.Errorf("asked from (-want +got):\n%s\ngot %q, want ab", diff, got)
		}
	})
}
