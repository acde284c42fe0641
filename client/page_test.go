package client_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

func ids(releases []client.Release) []string {
	out := []string{}
	for _, r := range releases {
		out = append(out, r.ID)
	}
	return out
}

func TestAListIsReadPageByPage(t *testing.T) {
	t.Parallel()
	answers := map[string]http.HandlerFunc{
		"GET /api/releases?limit=2":             says(http.StatusOK, `{"items":[{"id":"rel_4"},{"id":"rel_3"}],"next":"rel_3"}`),
		"GET /api/releases?after=rel_3&limit=2": says(http.StatusOK, `{"items":[{"id":"rel_2"},{"id":"rel_1"}],"next":"rel_1"}`),
		"GET /api/releases?after=rel_1&limit=2": says(http.StatusOK, `{"items":[]}`),
		"GET /api/releases?limit=3":             says(http.StatusOK, `{"items":[{"id":"rel_4"}],"next":"rel_4"}`),
		"GET /api/releases?after=rel_4&limit=3": problem(http.StatusServiceUnavailable, `{"code":"sealed","detail":"the store is sealed"}`),
		"GET /api/releases?limit=1":             says(http.StatusOK, `{"items":[{"id":"rel_4"}],"next":"same"}`),
		"GET /api/releases?after=same&limit=1":  says(http.StatusOK, `{"items":[{"id":"rel_3"}],"next":"same"}`),
	}
	t.Run("to its end", func(t *testing.T) {
		t.Parallel()
		server := serve(t, answers)
		got, err := client.Collect(server.client(t).Releases(t.Context(), client.ReleaseFilter{PageSize: 2}))
		if diff := cmp.Diff([]string{"rel_4", "rel_3", "rel_2", "rel_1"}, ids(got)); diff != "" || err != nil {
			t.Errorf("(-want +got):\n%s%v", diff, err)
		}
	})
	t.Run("no further than it is wanted", func(t *testing.T) {
		t.Parallel()
		server := serve(t, answers)
		got, err := client.First(server.client(t).Releases(t.Context(), client.ReleaseFilter{PageSize: 2}), 2)
		if diff := cmp.Diff([]string{"rel_4", "rel_3"}, ids(got)); diff != "" || err != nil {
			t.Errorf("(-want +got):\n%s%v", diff, err)
		}
		if n := len(server.requests()); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
	t.Run("with an error at the end", func(t *testing.T) {
		t.Parallel()
		server := serve(t, answers)
		got, err := client.Collect(server.client(t).Releases(t.Context(), client.ReleaseFilter{PageSize: 3}))
		if diff := cmp.Diff([]string{"rel_4"}, ids(got)); diff != "" || nightporter.CodeOf(err) != nightporter.Sealed {
			t.Errorf("(-want +got):\n%s%v", diff, err)
		}
	})
	t.Run("never in a circle", func(t *testing.T) {
		t.Parallel()
		server := serve(t, answers)
		got, err := client.Collect(server.client(t).Releases(t.Context(), client.ReleaseFilter{PageSize: 1}))
		if diff := cmp.Diff([]string{"rel_4", "rel_3"}, ids(got)); diff != "" || err != nil {
			t.Errorf("(-want +got):\n%s%v", diff, err)
		}
	})
}
