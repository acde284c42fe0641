package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
)

func TestIdempotency(t *testing.T) {
	t.Parallel()
	deploy := func(h httpapi.Handler) httpapi.Route {
		return httpapi.Route{
			Method: "POST", Pattern: "/api/services/{name}/deploy", Handler: h,
			Action: httpapi.DoesTo("service.deploy", nightporter.Update, "api/services/{name}/deploy", "service", "name"),
		}
	}
	setup := func(t *testing.T, routes ...httpapi.Route) *door {
		d := &door{}
		cfg := d.config(routes...)
		cfg.Idempotency = &httpapi.MemoryIdempotency{}
		return d.build(t, cfg)
	}
	counting := func(n *atomic.Int64) httpapi.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			var in map[string]any
			if err := httpapi.ReadJSON(r, &in); err != nil {
				return err
			}
			w.Header().Set("Location", "/api/runs/7")
			return httpapi.WriteJSON(w, http.StatusAccepted, map[string]any{"run": n.Add(1), "got": in})
		}
	}
	send := func(d http.Handler, who, path, key, body string) *httptest.ResponseRecorder {
		return ask(d, who, "POST", path, body, header{"Idempotency-Key": key})
	}
	const path, body = "/api/services/ledger/deploy", `{"version":"1.4.0"}`

	t.Run("the same request with the same key happens once and is answered twice", func(t *testing.T) {
		t.Parallel()
		var n atomic.Int64
		d := setup(t, deploy(counting(&n)))
		first, second := send(d, "ana", path, "k", body), send(d, "ana", path, "k", body)
		if first.Code != 202 || second.Code != 202 || first.Body.String() != second.Body.String() || n.Load() != 1 {
			t.Errorf("%d %s then %d %s, %d times", first.Code, first.Body, second.Code, second.Body, n.Load())
		}
		if second.Header().Get("Location") != "/api/runs/7" || second.Header().Get("Content-Type") != "application/json" || second.Header().Get("Idempotency-Key-Status") != "repeated" {
			t.Errorf("repeated with %v", second.Header())
		}
	})
	t.Run("a different request with the same key is refused", func(t *testing.T) {
		t.Parallel()
		var n atomic.Int64
		d := setup(t, deploy(counting(&n)))
		send(d, "ana", path, "k", body)
		for _, w := range []*httptest.ResponseRecorder{
			send(d, "ana", path, "k", `{"version":"1.5.0"}`),
			send(d, "ana", "/api/services/other/deploy", "k", body),
			send(d, "ana", path+"?dry=1", "k", body),
		} {
			if w.Code != 422 || problem(t, w).Code != nightporter.KeyReused {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		}
	})
	t.Run("a key belongs to whoever sent it, and other keys are other requests", func(t *testing.T) {
		t.Parallel()
		var n atomic.Int64
		d := setup(t, deploy(counting(&n)))
		for _, w := range []*httptest.ResponseRecorder{send(d, "ana", path, "k", body), send(d, "eve", path, "k", body), send(d, "ana", path, "l", body)} {
			if w.Code != 202 {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		}
		if n.Load() != 3 {
			t.Errorf("happened %d times, want 3", n.Load())
		}
		if w := send(d, "bob", path, "k", body); w.Code != 403 {
			t.Errorf("bob, who may not, got %d from the store", w.Code)
		}
	})
	t.Run("while the first is on its way the second is told to wait", func(t *testing.T) {
		t.Parallel()
		started, release := make(chan struct{}), make(chan struct{})
		d := setup(t, deploy(func(w http.ResponseWriter, r *http.Request) error {
			close(started)
			<-release
			return hello(w, r)
		}))
		var wg sync.WaitGroup
		wg.Go(func() {
			if w := send(d, "ana", path, "k", body); w.Code != 200 {
				t.Errorf("the first got %d", w.Code)
			}
		})
		<-started
		if w := send(d, "ana", path, "k", body); w.Code != 409 || problem(t, w).Code != nightporter.Conflict {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
		close(release)
		wg.Wait()
		if w := send(d, "ana", path, "k", body); w.Code != 200 || w.Body.String() != "hello" {
			t.Errorf("afterwards %d %s", w.Code, w.Body)
		}
	})
	t.Run("of many at once exactly one happens", func(t *testing.T) {
		t.Parallel()
		var n atomic.Int64
		d := setup(t, deploy(counting(&n)))
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				if w := send(d, "ana", path, "k", body); w.Code != 202 && w.Code != 409 {
					t.Errorf("got %d %s", w.Code, w.Body)
				}
			})
		}
		wg.Wait()
		if n.Load() != 1 {
			t.Errorf("happened %d times", n.Load())
		}
	})
	t.Run("an error, and a panic, free the key", func(t *testing.T) {
		t.Parallel()
		n := 0
		d := setup(t, deploy(func(w http.ResponseWriter, r *http.Request) error {
			n++
			switch n {
			case 1:
				return nightporter.E(nightporter.Conflict, "not now")
			case 2:
				panic("boom")
			case 3:
				w.WriteHeader(http.StatusTeapot)
				return nil
			}
			return hello(w, r)
		}))
		for i, want := range []int{409, 500, 418, 200, 200} {
			if w := send(d, "ana", path, "k", body); w.Code != want {
				t.Errorf("attempt %d: %d, want %d", i+1, w.Code, want)
			}
		}
		if n != 4 {
			t.Errorf("happened %d times, want 4", n)
		}
	})
	t.Run("a key is kept for a day, and five minutes after a crash", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var n atomic.Int64
			d := &door{}
			cfg := d.config(deploy(counting(&n)))
			store := &crashing{}
			cfg.Idempotency = store
			d.build(t, cfg)
			send(d, "ana", path, "k", body)
			time.Sleep(24*time.Hour - time.Second)
			send(d, "ana", path, "k", body)
			if n.Load() != 1 {
				t.Errorf("within a day it happened %d times", n.Load())
			}
			time.Sleep(time.Second)
			send(d, "ana", path, "k", body)
			if n.Load() != 2 {
				t.Errorf("after a day it happened %d times in all, want 2", n.Load())
			}
			store.down = true
			if w := send(d, "ana", path, "dies", body); w.Code != 202 {
				t.Errorf("an answer that cannot be kept is still an answer: %d", w.Code)
			}
			if w := send(d, "ana", path, "dies", body); w.Code != 409 {
				t.Errorf("right after the crash: %d", w.Code)
			}
			time.Sleep(5 * time.Minute)
			if w := send(d, "ana", path, "dies", body); w.Code != 202 {
				t.Errorf("five minutes later: %d", w.Code)
			}
		})
	})
	t.Run("an answer that holds a secret is never written down", func(t *testing.T) {
		t.Parallel()
		var n atomic.Int64
		route := deploy(counting(&n))
		route.Answer = httpapi.NotKept
		d := &door{}
		cfg := d.config(route)
		cfg.Idempotency = nothing{t}
		d.build(t, cfg)
		for range 2 {
			if w := send(d, "ana", path, "k", body); w.Code != 202 || w.Header().Get("Idempotency-Key-Status") != "not-kept" {
				t.Errorf("got %d %v", w.Code, w.Header())
			}
		}
	})
	t.Run("a key that is too long is refused", func(t *testing.T) {
		t.Parallel()
		if w := send(setup(t, deploy(hello)), "ana", path, strings.Repeat("k", 256), body); w.Code != 400 {
			t.Errorf("got %d", w.Code)
		}
	})
	t.Run("attempts do not pile up", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var m httpapi.MemoryIdempotency
			for i := range 10 {
				a := httpapi.Attempt{Key: strconv.Itoa(i), Expires: time.Now().Add(time.Minute)}
				if first, err := m.Reserve(t.Context(), a, time.Now()); err != nil || !first {
					t.Fatal(first, err)
				}
			}
			time.Sleep(time.Minute)
			if _, err := m.Reserve(t.Context(), httpapi.Attempt{Key: "new", Expires: time.Now().Add(time.Minute)}, time.Now()); err != nil {
				t.Fatal(err)
			}
			if _, err := m.Load(t.Context(), "3"); nightporter.CodeOf(err) != nightporter.NotFound {
				t.Errorf("got %v", err)
			}
		})
	})
}

// crashing is a store whose process dies before an answer can be kept.
type crashing struct {
	httpapi.MemoryIdempotency
	down bool
}

func (c *crashing) Complete(ctx context.Context, a httpapi.Attempt) error {
	if c.down {
		return errors.New("gone")
	}
	return c.MemoryIdempotency.Complete(ctx, a)
}

func (c *crashing) Forget(ctx context.Context, key string) error {
	if c.down {
		return errors.New("gone")
	}
	return c.MemoryIdempotency.Forget(ctx, key)
}

// nothing is a store that must not be asked.
type nothing struct{ t *testing.T }

func (n nothing) Reserve(context.Context, httpapi.Attempt, time.Time) (bool, error) {
	n.t.Error("the answer was going to be written down")
	return true, nil
}

func (n nothing) Load(context.Context, string) (httpapi.Attempt, error) {
	return httpapi.Attempt{}, nil
}
func (n nothing) Complete(context.Context, httpapi.Attempt) error { return nil }
func (n nothing) Forget(context.Context, string) error            { return nil }
