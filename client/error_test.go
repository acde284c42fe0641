package client_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

func TestAProblemBecomesAnErrorWithItsCode(t *testing.T) {
	t.Parallel()
	server := serve(t, map[string]http.HandlerFunc{
		"POST /api/releases/rel_1/approve": problem(http.StatusForbidden, `{"type":"urn:nightporter:problem:own_change","title":"Not your own change",
			"status":403,"detail":"ana wrote #7, which nobody else reviewed","code":"own_change","request_id":"01J","hint":"ask somebody else"}`),
	})
	_, err := server.client(t).Approve(t.Context(), "rel_1", "")
	got := []string{string(nightporter.CodeOf(err)), nightporter.MessageOf(err), nightporter.HintOf(err), client.RequestIDOf(err), err.Error()}
	want := []string{"own_change", "ana wrote #7, which nobody else reviewed", "ask somebody else", "01J", "ana wrote #7, which nobody else reviewed"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
	var answer *client.ResponseError
	if !errors.As(err, &answer) || answer.Status != http.StatusForbidden {
		t.Errorf("err = %#v, want a ResponseError with 403", err)
	}
}

func TestAnswersOfSomebodyElseSayWhoToDoubt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		code    nightporter.Code
	}{
		{"Vault's own 404", says(http.StatusNotFound, `{"errors":[]}`), nightporter.NotFound},
		{"a proxy's page", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<h1>Bad gateway</h1>", http.StatusBadGateway)
		}, nightporter.Unavailable},
		{"a page instead of JSON", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, nightporter.Internal},
		{"a problem that is cut short", problem(http.StatusConflict, `{"code":`), nightporter.Conflict},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.test/api/status", http.StatusMovedPermanently)
		}, nightporter.Unavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, map[string]http.HandlerFunc{"GET /api/status": tt.handler})
			_, err := server.client(t).Status(t.Context())
			if nightporter.CodeOf(err) != tt.code || nightporter.HintOf(err) == "" {
				t.Errorf("err = %v with code %s and hint %q, want code %s and a hint", err, nightporter.CodeOf(err), nightporter.HintOf(err), tt.code)
			}
			if n := len(server.requests()); n != 1 {
				t.Errorf("%d requests, want 1: nothing is followed or repeated", n)
			}
		})
	}
}

func TestNobodyThereIsSaidInWords(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + l.Addr().String()
	_ = l.Close() // now the port refuses
	c, err := client.New(client.Config{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Status(t.Context())
	if nightporter.CodeOf(err) != nightporter.Unavailable || err.Error() != "nothing answers at "+address || nightporter.HintOf(err) == "" {
		t.Errorf("err = %q with hint %q", err, nightporter.HintOf(err))
	}
}

func TestAContextThatEndsStaysVisible(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := serve(t, map[string]http.HandlerFunc{"GET /api/status": func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}})
	t.Cleanup(func() { close(release) })
	c := server.client(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Status(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want context.Canceled", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := c.Status(ctx); !errors.Is(err, context.DeadlineExceeded) || nightporter.CodeOf(err) != nightporter.Unavailable {
		t.Errorf("err = %v, want unavailable that is a deadline", err)
	}
}
