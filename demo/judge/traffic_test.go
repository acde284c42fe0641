package judge

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestTrafficCountsEveryAnswerAndForgivesNone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bad  int64 // this one is answered 503, and asked once
		says string
	}{
		"all good":     {0, ""},
		"one was not":  {7, "503"},
		"the last one": {20, "503"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if asked.Add(1) == c.bad {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
			}))
			defer srv.Close()
			n, _, err := Send(t.Context(), &http.Client{}, srv.URL, 20, time.Millisecond).Wait()
			if n != 20 || asked.Load() != 20 {
				t.Errorf("%d answers to %d requests, want 20", n, asked.Load())
			}
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}
