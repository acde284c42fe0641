package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
)

// change takes a body the way most routes do.
func change(maxBody int64) httpapi.Route {
	return httpapi.Route{
		Method: "POST", Pattern: "/api/x", MaxBody: maxBody, Action: httpapi.Does("x.change", nightporter.Update, "api/x"),
		Handler: func(w http.ResponseWriter, r *http.Request) error {
			var in map[string]any
			if err := httpapi.ReadJSON(r, &in); err != nil {
				return err
			}
			return httpapi.WriteJSON(w, http.StatusOK, len(in))
		},
	}
}

func TestServerHasEveryLimit(t *testing.T) {
	t.Parallel()
	s := httpapi.NewServer(httpapi.ServerConfig{Log: slog.New(slog.DiscardHandler)})
	for name, d := range map[string]time.Duration{"ReadHeaderTimeout": s.ReadHeaderTimeout, "ReadTimeout": s.ReadTimeout, "WriteTimeout": s.WriteTimeout, "IdleTimeout": s.IdleTimeout} {
		if d <= 0 {
			t.Errorf("%s is endless", name)
		}
	}
	if s.MaxHeaderBytes <= 0 || s.MaxHeaderBytes > 64<<10 {
		t.Errorf("MaxHeaderBytes = %d", s.MaxHeaderBytes)
	}
}

// R12, in memory: many clients send one byte a second. Ten minutes of them pass
// in virtual time; each is cut off by a timeout, and a healthy request is
// answered at any moment.
func TestSlowClientsAreCutOffAndHoldUpNobody(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{
		"in the header":        "GET /api/board HTTP/1.1\r\nX-Padding: " + strings.Repeat("x", 700),
		"in the body":          "POST /api/x HTTP/1.1\r\nHost: x\r\nX-Vault-Token: ana\r\nContent-Length: 5000\r\n\r\n{" + strings.Repeat(" ", 700),
		"in a stranger's body": "POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{" + strings.Repeat(" ", 700),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := open(t, board, change(0))
				p := d.start(t)
				start := time.Now()
				var alive, longest atomic.Int64
				const clients = 200
				alive.Store(clients)
				for range clients {
					conn := p.dial()
					go func() { _, _ = io.Copy(io.Discard, conn) }()
					go func() {
						defer alive.Add(-1)
						defer conn.Close()
						// All at once up to the last header, to be fair to the
						// limit that is meant.
						head := strings.Index(request, "\r\n\r\n") + 1
						if _, err := io.WriteString(conn, request[:head]); err != nil {
							return
						}
						for _, b := range []byte(request[head:]) {
							if _, err := conn.Write([]byte{b}); err != nil {
								longest.Store(max(longest.Load(), int64(time.Since(start))))
								return
							}
							time.Sleep(time.Second)
						}
						t.Error("a slow client was heard to the end")
					}()
				}
				synctest.Wait()
				for range 10 {
					if w := ask(d, "ana", "GET", "/api/board", "", nil); w.Code != 200 {
						t.Errorf("a healthy request got %d", w.Code)
					}
					time.Sleep(time.Minute)
				}
				if n := alive.Load(); n != 0 {
					t.Errorf("%d slow clients are still there after ten minutes", n)
				}
				if d := time.Duration(longest.Load()); d > 31*time.Second {
					t.Errorf("a slow client lasted %v", d)
				}
			})
		})
	}
	t.Run("without saying anything", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			p := open(t, board).start(t)
			conn := p.dial()
			start := time.Now()
			_, _ = io.Copy(io.Discard, conn)
			if got := time.Since(start); got > 10*time.Second {
				t.Errorf("an idle connection was kept for %v", got)
			}
		})
	})
}

func TestWhatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	d := open(t, board, change(1000),
		httpapi.Route{Pattern: "/v1/{path...}", Access: httpapi.Public, MaxDepth: 32, Handler: func(w http.ResponseWriter, r *http.Request) error {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			_, _ = w.Write(b)
			return nil
		}})
	s := d.serve(t)
	send := func(t *testing.T, path string, body io.Reader, size int64) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+path, body)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = size
		req.Header.Set("X-Vault-Token", "ana")
		res, err := s.Client().Do(req)
		if err != nil {
			// The server hung up before we had sent it all, as it should.
			return 400, err.Error()
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(b)
	}
	t.Run("a body, announced or not", func(t *testing.T) {
		for _, size := range []int64{1001, 1 << 20, 1 << 30, -1} {
			body := io.LimitReader(endless{}, max(size, 64<<20))
			if code, answer := send(t, "/api/x", body, size); code != 400 {
				t.Errorf("%d bytes: %d %s", size, code, answer)
			}
		}
		if code, answer := send(t, "/api/x", strings.NewReader(`{"a":1}`), 7); code != 200 {
			t.Errorf("a small body: %d %s", code, answer)
		}
	})
	t.Run("JSON that nests too deep, before a foreign handler decodes it", func(t *testing.T) {
		for depth, want := range map[int]int{1: 200, 32: 200, 33: 400, 10_000: 400, 500_000: 400} {
			body := strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
			if depth == 500_000 {
				body = strings.Repeat("[", 2*depth)
			}
			code, answer := send(t, "/v1/secret/data/a", strings.NewReader(body), int64(len(body)))
			if code != want || want == 200 && answer != body {
				t.Errorf("depth %d: %d %.80s", depth, code, answer)
			}
		}
		// Brackets in a text are text.
		body := `{"a":"` + strings.Repeat(`[{\"`, 1000) + `"}`
		if code, answer := send(t, "/v1/secret/data/a", strings.NewReader(body), int64(len(body))); code != 200 || answer != body {
			t.Errorf("brackets in a text: %d %.80s", code, answer)
		}
	})
	t.Run("a header", func(t *testing.T) {
		for name, head := range map[string]string{
			"one huge line": "X-A: " + strings.Repeat("x", 100_000) + "\r\n",
			"very many":     strings.Repeat("X-A: b\r\n", 20_000),
			"a huge target": "",
			"a huge cookie": "Cookie: " + strings.Repeat("a=b; ", 20_000) + "\r\n",
		} {
			target := "/api/board"
			if name == "a huge target" {
				target += "?" + strings.Repeat("x", 100_000)
			}
			conn, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: x\r\n"+head+"\r\n") }()
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err == nil && (res.StatusCode < 400 || res.StatusCode >= 500) {
				t.Errorf("%s: %s", name, res.Status)
			}
			_ = conn.Close()
		}
	})
}

// R13: a thousand bodies that are cheap to send and dear to decode leave the heap
// as it was.
func TestBombsDoNotFillTheMemory(t *testing.T) {
	d := open(t, change(1<<20))
	bombs := []string{
		strings.Repeat("[", 1<<20),
		strings.Repeat(`{"a":`, 1<<17),
		`{"a":[` + strings.Repeat("{},", 300_000) + `{}]}`,
		`{"a":[` + strings.Repeat(`"",`, 300_000) + `""]}`,
		`{` + strings.Repeat(`"a":1,`, 150_000) + `"b":1}`,
		`{"a":"` + strings.Repeat("x", 2<<20) + `"}`,
		`{"a":` + strings.Repeat("9", 1<<19) + `}`,
	}
	// What was allocated and freed again counts: it is the most that there can
	// have been at once.
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var peak uint64
	for i := range 1000 {
		bomb := bombs[i%len(bombs)]
		if w := ask(d, "ana", "POST", "/api/x", bomb, nil); w.Code < 400 || w.Code >= 500 {
			t.Fatalf("%.20s: %d %.80s", bomb, w.Code, w.Body)
		}
		if i%50 == 0 {
			runtime.ReadMemStats(&after)
			peak = max(peak, after.HeapInuse)
		}
	}
	t.Logf("heap in use: %d KiB before, at most %d KiB", before.HeapInuse>>10, peak>>10)
	if grown := int64(peak) - int64(before.HeapInuse); grown > 64<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

func TestABodyThatBreaksOffIsTheClientsFault(t *testing.T) {
	t.Parallel()
	d := open(t, change(0))
	r := httptest.NewRequest("POST", "/api/x", io.MultiReader(strings.NewReader(`{"a":`), broken{}))
	r.Header.Set("X-Vault-Token", "ana")
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	if w.Code != 400 || problem(t, w).Detail != "the body did not arrive whole" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

// The whole way of a small request, without the network.
func BenchmarkRequest(b *testing.B) {
	d := &door{}
	cfg := d.config(board, change(0))
	cfg.Log = slog.New(slog.DiscardHandler)
	cfg.Authorise = func(context.Context, nightporter.Action) error { return nil }
	d.build(b, cfg)
	b.ReportAllocs()
	for b.Loop() {
		if w := ask(d, "ana", "GET", "/api/board", "", nil); w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
}

func BenchmarkCanonical(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := httpapi.Canonical("/v1/secret/data/team/app/config"); err != nil {
			b.Fatal(err)
		}
	}
}
