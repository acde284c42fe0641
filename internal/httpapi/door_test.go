package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
)

func TestWhoIsThere(t *testing.T) {
	t.Parallel()
	t.Run("a request without a valid token gets 401 and is counted, not audited", func(t *testing.T) {
		t.Parallel()
		d := open(t, board)
		for _, who := range []string{"", "nobody"} {
			w := ask(d, who, "GET", "/api/board", "", nil)
			if p := problem(t, w); w.Code != 401 || p.Code != nightporter.Unauthenticated || w.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("got %d %+v", w.Code, p)
			}
		}
		if len(d.actions()) != 0 {
			t.Error("the policies were asked about a stranger")
		}
		if got := scrape(t, d); !strings.Contains(got, `nightporter_http_refused_total{reason="unauthenticated"} 2`) {
			t.Error(got)
		}
	})
	t.Run("a source that keeps guessing is slowed down, a valid token from there is not", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			d := &door{}
			cfg := d.config(board)
			cfg.RefusalsPerMinute = 5
			d.build(t, cfg)
			for i := range 8 {
				w := ask(d, "nobody", "GET", "/api/board", "", nil)
				want := 401
				if i >= 5 {
					want = 429
				}
				if w.Code != want || want == 429 && w.Header().Get("Retry-After") != "60" {
					t.Errorf("guess %d: %d, Retry-After %q", i, w.Code, w.Header().Get("Retry-After"))
				}
			}
			if w := ask(d, "ana", "GET", "/api/board", "", nil); w.Code != 200 {
				t.Errorf("a valid token got %d", w.Code)
			}
			time.Sleep(time.Minute)
			if w := ask(d, "nobody", "GET", "/api/board", "", nil); w.Code != 401 {
				t.Errorf("a minute later: %d", w.Code)
			}
		})
	})
	t.Run("a failure to find out is not a refusal", func(t *testing.T) {
		t.Parallel()
		d := &door{}
		cfg := d.config(board)
		cfg.Authenticate = func(*http.Request) (nightporter.Actor, error) {
			return nightporter.Actor{}, nightporter.Wrap(errors.New("disk gone"), nightporter.Unavailable, "the store does not answer")
		}
		if w := ask(d.build(t, cfg), "ana", "GET", "/api/board", "", nil); w.Code != 503 || problem(t, w).Code != nightporter.Unavailable {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	})
	t.Run("an actor without a name is nobody", func(t *testing.T) {
		t.Parallel()
		d := &door{}
		cfg := d.config(board)
		cfg.Authenticate = func(*http.Request) (nightporter.Actor, error) { return nightporter.Actor{}, nil }
		if w := ask(d.build(t, cfg), "ana", "GET", "/api/board", "", nil); w.Code != 401 {
			t.Errorf("got %d", w.Code)
		}
	})
}

func TestSessions(t *testing.T) {
	t.Parallel()
	routes := []httpapi.Route{
		{Method: "GET", Pattern: "/page", Credential: httpapi.TokenOrSession, Action: httpapi.Does("page.read", nightporter.Read, "api/page"), Handler: hello},
		{Method: "POST", Pattern: "/page", Credential: httpapi.TokenOrSession, Action: httpapi.Does("page.change", nightporter.Update, "api/page"), Handler: hello},
		{Method: "POST", Pattern: "/sign-in", Credential: httpapi.TokenOrSession, Access: httpapi.Public, Handler: hello},
		{Method: "POST", Pattern: "/api/x", Action: httpapi.Does("x.change", nightporter.Update, "api/x"), Handler: hello},
		{Method: "POST", Pattern: "/hooks/github", Access: httpapi.Public, Handler: func(w http.ResponseWriter, r *http.Request) error {
			if len(r.Cookies()) > 0 {
				t.Error("a route for tokens saw a cookie")
			}
			return hello(w, r)
		}},
	}
	cookie := header{"Cookie": "__Host-session=ana"}
	with := func(h ...string) header {
		all := header{"Cookie": "__Host-session=ana"}
		for i := 0; i < len(h); i += 2 {
			all[h[i]] = h[i+1]
		}
		return all
	}
	for name, c := range map[string]struct {
		method, target, who string
		headers             header
		want                int
	}{
		"reading needs the cookie alone":                   {"GET", "/page", "", cookie, 200},
		"a form of our own page":                           {"POST", "/page", "", with("Sec-Fetch-Site", "same-origin"), 200},
		"a form of our own page in an older browser":       {"POST", "/page", "", with("Origin", "http://example.com"), 200},
		"neither header: no browser of today":              {"POST", "/page", "", cookie, 403},
		"a foreign page":                                   {"POST", "/page", "", with("Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"), 403},
		"another name of the same site":                    {"POST", "/page", "", with("Sec-Fetch-Site", "same-site", "Origin", "http://other.example.com"), 403},
		"an origin that hides":                             {"POST", "/page", "", with("Origin", "null"), 403},
		"a foreign origin alone":                           {"POST", "/page", "", with("Origin", "https://evil.example"), 403},
		"the same host on another port":                    {"POST", "/page", "", with("Origin", "http://example.com:81"), 403},
		"signing in from a foreign page":                   {"POST", "/sign-in", "", header{"Sec-Fetch-Site": "cross-site"}, 403},
		"signing in from our own page":                     {"POST", "/sign-in", "", header{"Sec-Fetch-Site": "same-origin"}, 200},
		"a token on a page's route needs no origin":        {"POST", "/page", "ana", nil, 200},
		"an invalid token is not saved by a cookie":        {"POST", "/page", "nobody", with("Sec-Fetch-Site", "same-origin"), 401},
		"a route for tokens ignores the cookie":            {"POST", "/api/x", "", with("Sec-Fetch-Site", "same-origin"), 401},
		"a token on a route for tokens":                    {"POST", "/api/x", "ana", cookie, 200},
		"a webhook needs neither":                          {"POST", "/hooks/github", "", cookie, 200},
		"a password that a browser remembers, from abroad": {"POST", "/api/x", "", header{"Authorization": "Basic eDphbmE=", "Sec-Fetch-Site": "cross-site"}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if w := ask(open(t, routes...), c.who, c.method, c.target, "", c.headers); w.Code != c.want {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, c.want)
			}
		})
	}
	t.Run("a trusted origin may", func(t *testing.T) {
		t.Parallel()
		d := &door{}
		cfg := d.config(routes...)
		cfg.TrustedOrigins = []string{"https://ops.example"}
		if w := ask(d.build(t, cfg), "", "POST", "/page", "", with("Origin", "https://ops.example", "Sec-Fetch-Site", "cross-site")); w.Code != 200 {
			t.Errorf("got %d", w.Code)
		}
	})
}

func TestSealed(t *testing.T) {
	t.Parallel()
	vault := httpapi.Route{Pattern: "/v1/{path...}", Access: httpapi.Public, Handler: hello}
	d := &door{}
	cfg := d.config(append(httpapi.HealthRoutes(httpapi.HealthConfig{Sealed: func() bool { return d.sealed }, Metrics: d.metrics}), board, vault)...)
	routes := httpapi.HealthRoutes(httpapi.HealthConfig{Sealed: func() bool { return d.sealed }, Metrics: d.metrics})
	cfg.Routes = append(routes, board, vault)
	cfg.Errors = map[string]httpapi.ErrorWriter{"/v1/": func(w http.ResponseWriter, _ *http.Request, err error) {
		w.WriteHeader(httpapi.StatusOf(nightporter.CodeOf(err)))
		_, _ = fmt.Fprintf(w, `{"errors":[%q]}`, nightporter.MessageOf(err))
	}}
	d.build(t, cfg)
	want := map[string][2]int{ // open, sealed
		"/livez": {200, 200}, "/readyz": {200, 503}, "/metrics": {401, 401},
		"/api/board": {200, 503}, "/v1/secret/data/a": {200, 503},
		"/v1/sys/health": {200, 200}, "/v1/sys/seal-status": {200, 200}, "/v1/sys/init": {200, 200}, "/v1/sys/unseal": {200, 200}, "/v1/sys/leader": {200, 200},
		"/v1/sys/health/": {200, 503}, "/v1/sys/mounts": {200, 503},
	}
	for path, codes := range want {
		for i, sealed := range []bool{false, true} {
			d.sealed = sealed
			who := "ana"
			if path == "/metrics" {
				who = ""
			}
			w := ask(d, who, "GET", path, "", nil)
			if w.Code != codes[i] {
				t.Errorf("%s, sealed %v: %d, want %d", path, sealed, w.Code, codes[i])
			}
			if w.Code == 503 && strings.HasPrefix(path, "/v1/") && w.Body.String() != `{"errors":["the store is sealed"]}` {
				t.Errorf("%s does not speak Vault's language: %s", path, w.Body)
			}
		}
	}
}

func TestPathsAreAuthorisedAndRoutedAsOneString(t *testing.T) {
	t.Parallel()
	d := open(t, board,
		httpapi.Route{Pattern: "/v1/{path...}", Handler: hello, Action: httpapi.DoesWhat(func(r *http.Request) (nightporter.Action, nightporter.Resource, error) {
			if "/v1/"+r.PathValue("path") != r.URL.Path {
				t.Errorf("the route saw %q and the path is %q", r.PathValue("path"), r.URL.Path)
			}
			return nightporter.Action{Path: strings.TrimPrefix(r.URL.Path, "/")}, nightporter.Resource{}, nil
		})})
	tried := 0
	for _, base := range []string{"/v1/secret/data/a", "/api/board", "/v1/sys", "/"} {
		for raw := range traversals(strings.TrimSuffix(base, "/"), "sys/policies/acl/root") {
			// net/http's client would clean the path; write the line ourselves.
			r, err := readRequest("GET " + raw + " HTTP/1.1\r\nHost: x\r\nX-Vault-Token: ana\r\n\r\n")
			if err != nil {
				continue // net/http refuses it before us
			}
			tried++
			w := httptest.NewRecorder()
			d.ServeHTTP(w, r)
			if w.Code != http.StatusBadRequest {
				// A query, and the base alone, are as good as any.
				if strings.Contains(raw, "?") || raw == "" {
					continue
				}
				t.Errorf("%q: %d", raw, w.Code)
			}
		}
	}
	for _, a := range d.actions() {
		if c, err := httpapi.Canonical("/" + a.Path); err != nil || c != "/"+a.Path {
			t.Errorf("a decision was made on %q", a.Path)
		}
		if strings.Contains(a.Path, "root") {
			t.Errorf("a walk reached %q", a.Path)
		}
	}
	t.Logf("%d spellings reached the door", tried)
	if tried < 500 {
		t.Error("net/http refused nearly all: the test is broken")
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	failing := func(err error) httpapi.Route {
		return httpapi.Route{Method: "GET", Pattern: "/api/fail", Access: httpapi.Public, Handler: func(http.ResponseWriter, *http.Request) error { return err }}
	}
	t.Run("each code has the status that the API promises", func(t *testing.T) {
		t.Parallel()
		for code, want := range map[nightporter.Code]int{
			nightporter.Invalid: 400, nightporter.Unauthenticated: 401, nightporter.Denied: 403, nightporter.OwnChange: 403, nightporter.Protected: 403,
			nightporter.NotFound: 404, nightporter.Conflict: 409, nightporter.Frozen: 409, nightporter.Declared: 409, nightporter.KeyReused: 422,
			nightporter.Limited: 429, nightporter.Internal: 500, nightporter.Sealed: 503, nightporter.Unavailable: 503, "made_up": 500,
		} {
			w := ask(open(t, failing(nightporter.E(code, "so it is").WithHint("do that"))), "", "GET", "/api/fail", "", nil)
			p := problem(t, w)
			if w.Code != want || p.Code != code || p.Detail != "so it is" || p.Hint != "do that" || p.Type != "urn:nightporter:problem:"+string(code) {
				t.Errorf("%s: %d %+v", code, w.Code, p)
			}
		}
	})
	t.Run("a cause stays in the log, under the request id", func(t *testing.T) {
		t.Parallel()
		for _, err := range []error{
			errors.New("pq: password hunter2"),
			nightporter.Wrap(errors.New("pq: password hunter2"), nightporter.Internal, "something went wrong on our side"),
			nightporter.Wrap(errors.New("pq: password hunter2"), nightporter.Unavailable, "the database does not answer"),
		} {
			d := open(t, failing(err))
			w := ask(d, "", "GET", "/api/fail", "", nil)
			if strings.Contains(w.Body.String(), "hunter2") {
				t.Errorf("the answer tells: %s", w.Body)
			}
			if log := d.log.String(); !strings.Contains(log, "hunter2") || !strings.Contains(log, problem(t, w).RequestID) {
				t.Errorf("the log does not tell: %s", log)
			}
		}
	})
	t.Run("a panic is an internal error, and half an answer is cut off", func(t *testing.T) {
		t.Parallel()
		d := open(t,
			httpapi.Route{Method: "GET", Pattern: "/whole", Access: httpapi.Public, Handler: func(http.ResponseWriter, *http.Request) error { panic("boom") }},
			httpapi.Route{Method: "GET", Pattern: "/half", Access: httpapi.Public, Handler: func(w http.ResponseWriter, _ *http.Request) error {
				_, _ = io.WriteString(w, "half")
				_ = http.NewResponseController(w).Flush()
				panic("boom")
			}})
		w := ask(d, "", "GET", "/whole", "", nil)
		if problem(t, w).Code != nightporter.Internal || !strings.Contains(d.log.String(), "door_test.go") {
			t.Errorf("got %d %s, log %s", w.Code, w.Body, d.log)
		}
		s := d.serve(t)
		res, err := s.Client().Get(s.URL + "/half")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if b, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("half an answer looked whole: %q", b)
		}
		if got := scrape(t, d); !strings.Contains(got, "nightporter_http_panics_total 2") {
			t.Error(got)
		}
	})
	t.Run("nothing there, and the wrong method, are problems too", func(t *testing.T) {
		t.Parallel()
		d := open(t, board)
		if w := ask(d, "ana", "GET", "/api/nothing", "", nil); w.Code != 404 || problem(t, w).Code != nightporter.NotFound {
			t.Errorf("got %d", w.Code)
		}
		w := ask(d, "ana", "DELETE", "/api/board", "", nil)
		if p := problem(t, w); p.Code != nightporter.Invalid || w.Header().Get("Allow") != "GET, HEAD" || !strings.Contains(p.Hint, "GET") {
			t.Errorf("got %d %+v, Allow %q", w.Code, p, w.Header().Get("Allow"))
		}
	})
	t.Run("the log has no query, no token and no chosen request id", func(t *testing.T) {
		t.Parallel()
		d := open(t, board)
		w := ask(d, "ana-token", "GET", "/api/board?token=hunter2", "", header{"X-Request-Id": "forged"})
		log := d.log.String()
		if strings.Contains(log, "hunter2") || strings.Contains(log, "forged") || w.Header().Get("X-Request-Id") == "forged" {
			t.Errorf("the log tells: %s", log)
		}
		for _, want := range []string{`"path":"/api/board"`, `"status":200`, `"bytes":5`, `"actor":"ana-token"`, `"source":"192.0.2.1"`, `"request_id":"`} {
			if !strings.Contains(log, want) {
				t.Errorf("no %s in %s", want, log)
			}
		}
		if got := scrape(t, d); !strings.Contains(got, `nightporter_http_requests_total{route="/api/board",method="GET",code="200"} 1`) ||
			!strings.Contains(got, "nightporter_http_requests_in_flight 0") {
			t.Error(got)
		}
	})
	t.Run("a method that somebody made up does not become a label", func(t *testing.T) {
		t.Parallel()
		d := open(t, board)
		ask(d, "", "EVIL", "/api/board", "", nil)
		if got := scrape(t, d) + d.log.String(); strings.Contains(got, "EVIL") {
			t.Error(got)
		}
	})
	t.Run("browsers are told to be careful, errors included", func(t *testing.T) {
		t.Parallel()
		d := open(t, board)
		for _, path := range []string{"/api/board", "/nothing", "/a/../b"} {
			h := ask(d, "ana", "GET", path, "", nil).Header()
			got := []string{h.Get("X-Content-Type-Options"), h.Get("X-Frame-Options"), h.Get("Referrer-Policy"), h.Get("Cache-Control")}
			if diff := cmp.Diff([]string{"nosniff", "DENY", "same-origin", "no-store"}, got); diff != "" || !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'") {
				t.Errorf("%s: %s", path, diff)
			}
		}
	})
	t.Run("a handler that takes too long is told, and so is the client", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			d := open(t, httpapi.Route{Method: "GET", Pattern: "/slow", Access: httpapi.Public, Handler: func(_ http.ResponseWriter, r *http.Request) error {
				<-r.Context().Done()
				return fmt.Errorf("asking the database: %w", r.Context().Err())
			}})
			if w := ask(d, "", "GET", "/slow", "", nil); w.Code != 503 || problem(t, w).Code != nightporter.Unavailable {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		})
	})
	t.Run("a request that was cancelled is no fault of ours, and no success", func(t *testing.T) {
		t.Parallel()
		d := open(t, failing(fmt.Errorf("asking the database: %w", context.Canceled)))
		if w := ask(d, "", "GET", "/api/fail", "", nil); w.Code != 503 || strings.Contains(d.log.String(), `"level":"ERROR"`) {
			t.Errorf("got %d, log %s", w.Code, d.log)
		}
	})
	t.Run("an error after the answer began changes nothing but the log", func(t *testing.T) {
		t.Parallel()
		d := open(t, httpapi.Route{Method: "GET", Pattern: "/x", Access: httpapi.Public, Handler: func(w http.ResponseWriter, r *http.Request) error {
			_ = hello(w, r)
			return errors.New("too late")
		}})
		if w := ask(d, "", "GET", "/x", "", nil); w.Code != 200 || w.Body.String() != "hello" || !strings.Contains(d.log.String(), "too late") {
			t.Errorf("got %d %q, log %s", w.Code, w.Body, d.log)
		}
	})
}

func TestHealth(t *testing.T) {
	t.Parallel()
	var notReady error
	d := &door{}
	cfg := d.config()
	cfg.Routes = httpapi.HealthRoutes(httpapi.HealthConfig{Metrics: d.metrics, Ready: func(context.Context) error { return notReady }})
	d.build(t, cfg)
	t.Run("ready says why it is not", func(t *testing.T) {
		if w := ask(d, "", "GET", "/readyz", "", nil); w.Code != 200 {
			t.Errorf("got %d", w.Code)
		}
		notReady = nightporter.Wrap(errors.New("dial tcp 10.0.0.1"), nightporter.Unavailable, "the store does not answer")
		w := ask(d, "", "GET", "/readyz", "", nil)
		if p := problem(t, w); w.Code != 503 || p.Detail != "not ready: the store does not answer" {
			t.Errorf("got %+v", p)
		}
		if w := ask(d, "", "GET", "/livez", "", nil); w.Code != 200 {
			t.Errorf("alive: %d", w.Code)
		}
	})
	t.Run("metrics are open to this machine alone", func(t *testing.T) {
		local := func(remote, host, forwarded string) int {
			r := httptest.NewRequest("GET", "/metrics", nil)
			r.RemoteAddr, r.Host = remote, host
			if forwarded != "" {
				r.Header.Set("X-Forwarded-For", forwarded)
			}
			w := httptest.NewRecorder()
			d.ServeHTTP(w, r)
			return w.Code
		}
		for _, c := range []struct {
			remote, host, forwarded string
			want                    int
			why                     string
		}{
			{"127.0.0.1:5000", "127.0.0.1:8200", "", 200, "this machine"},
			{"[::1]:5000", "[::1]:8200", "", 200, "this machine"},
			{"[::ffff:127.0.0.1]:5000", "localhost:8200", "", 200, "this machine"},
			{"10.0.0.7:5000", "127.0.0.1:8200", "", 401, "another machine"},
			{"127.0.0.1:5000", "127.0.0.1:8200", "10.0.0.7", 401, "a proxy beside us"},
			{"127.0.0.1:5000", "rebound.example:8200", "", 401, "a page whose name resolves to us"},
		} {
			if got := local(c.remote, c.host, c.forwarded); got != c.want {
				t.Errorf("%s: %d, want %d", c.why, got, c.want)
			}
		}
		if w := ask(d, "ana", "GET", "/metrics", "", nil); w.Code != 200 {
			t.Errorf("with a token: %d", w.Code)
		}
		if w := ask(d, "bob", "GET", "/metrics", "", nil); w.Code != 403 {
			t.Errorf("without a policy: %d", w.Code)
		}
	})
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	t.Run("a token comes in a header, Vault's first", func(t *testing.T) {
		t.Parallel()
		for _, c := range []struct {
			headers header
			want    string
			basic   string
		}{
			{nil, "", ""},
			{header{"X-Vault-Token": "a"}, "a", "a"},
			{header{"Authorization": "Bearer b"}, "b", "b"},
			{header{"Authorization": "bearer  b "}, "b", "b"},
			{header{"X-Vault-Token": "a", "Authorization": "Bearer b"}, "a", "a"},
			{header{"Authorization": "Basic eDpj"}, "", "c"},
			{header{"Authorization": "Bearer"}, "", ""},
		} {
			r := httptest.NewRequest("GET", "/?token=q&access_token=q", nil)
			for k, v := range c.headers {
				r.Header.Set(k, v)
			}
			if got := httpapi.TokenOf(r); got != c.want {
				t.Errorf("%v: %q, want %q", c.headers, got, c.want)
			}
			if got := httpapi.TokenOrPasswordOf(r); got != c.basic {
				t.Errorf("%v: %q, want %q", c.headers, got, c.basic)
			}
		}
	})
	t.Run("a source is what our own proxies say, and nobody else", func(t *testing.T) {
		t.Parallel()
		proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		for _, c := range []struct{ remote, forwarded, want string }{
			{"192.0.2.1:1", "", "192.0.2.1"},
			{"192.0.2.1:1", "203.0.113.9", "192.0.2.1"},
			{"10.0.0.1:1", "203.0.113.9", "203.0.113.9"},
			{"10.0.0.1:1", "1.2.3.4, 203.0.113.9, 10.0.0.2", "203.0.113.9"},
			{"10.0.0.1:1", "203.0.113.9, lies", "10.0.0.1"},
			{"10.0.0.1:1", "", "10.0.0.1"},
			{"[::ffff:10.0.0.1]:1", "203.0.113.9", "203.0.113.9"},
			{"@", "203.0.113.9", "invalid IP"},
		} {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = c.remote
			if c.forwarded != "" {
				r.Header.Set("X-Forwarded-For", c.forwarded)
			}
			if got := httpapi.SourceOf(r, proxies).String(); got != c.want {
				t.Errorf("%+v: %s", c, got)
			}
		}
	})
}
