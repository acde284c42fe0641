package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/identity"
)

var everyPage = []string{"/", "/services", "/services/ledger", "/releases/rel_1", "/activity", "/activity/0", "/secrets", "/secrets/logins/database/creds/app/x", "/environments", "/environments/dev"}

func TestSignIn(t *testing.T) {
	t.Parallel()
	h := openWhole(t, smallWorld())
	h.setPassword("ana")
	form := func(fields ...string) url.Values {
		v := url.Values{"username": {"ana"}, "password": {password}}
		for i := 0; i < len(fields); i += 2 {
			v.Set(fields[i], fields[i+1])
		}
		return v
	}

	t.Run("a browser without a session is led there from every page, and back", func(t *testing.T) {
		t.Parallel()
		for _, page := range everyPage {
			want := "/sign-in?next=" + url.QueryEscape(page)
			if page == "/" {
				want = "/sign-in"
			}
			h.stranger().get(page).goesTo(t, want)
		}
		c := h.stranger()
		c.get("/services?show=behind").goesTo(t, "/sign-in?next=%2Fservices%3Fshow%3Dbehind")
		a := c.get("/sign-in?next=%2Fservices%3Fshow%3Dbehind")
		a.wants(t, http.StatusOK, "Sign in to Nightporter")
		if !strings.Contains(a.body, `name="next" value="/services?show=behind"`) {
			t.Error("the form does not remember where to go")
		}
		c.post("/sign-in", form("next", "/services?show=behind")).goesTo(t, "/services?show=behind")
		c.get("/services?show=behind").wants(t, http.StatusOK)
		c.get("/sign-in?next=/activity").goesTo(t, "/activity")
	})
	t.Run("a program without a token gets a problem, not a page", func(t *testing.T) {
		t.Parallel()
		for _, page := range append(everyPage, "/events") {
			a := h.stranger().get(page, "Accept", "application/json")
			if a.StatusCode != http.StatusUnauthorized || a.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s answered %d, %s", page, a.StatusCode, a.Header.Get("Content-Type"))
			}
		}
	})
	t.Run("the cookie is kept from scripts and from other sites", func(t *testing.T) {
		t.Parallel()
		a := h.stranger().post("/sign-in", form())
		a.goesTo(t, "/")
		cookies := a.Cookies()
		if len(cookies) != 1 {
			t.Fatalf("got cookies %v, want one", cookies)
		}
		c := cookies[0]
		if c.Name != "nightporter" || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || !strings.HasPrefix(c.Value, "nps_") {
			t.Errorf("the cookie is %v", c)
		}
		a = h.holding(c.Value).get("/")
		for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if policy := a.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'self'") || strings.Contains(policy, "unsafe") {
			t.Errorf("the policy is %q", policy)
		}
	})
	t.Run("a wrong password and an unknown name get the same answer, and no cookie", func(t *testing.T) {
		t.Parallel()
		for _, fields := range []url.Values{form("password", "wrong"), form("username", "nobody<script>")} {
			a := h.stranger().post("/sign-in", fields)
			a.wants(t, http.StatusUnauthorized, "Invalid username or password.")
			if len(a.Cookies()) > 0 || strings.Contains(a.body, "<script>") {
				t.Errorf("got cookies %v and page %s", a.Cookies(), a.body)
			}
		}
	})
	t.Run("next leads to paths of ours only", func(t *testing.T) {
		t.Parallel()
		for _, next := range []string{"//evil.test", "https://evil.test/", "/\\evil.test", "\\\\evil.test", "/\t/evil.test", "javascript:alert(1)", "evil", "/sign-out"} {
			h.stranger().post("/sign-in", form("next", next)).goesTo(t, "/")
		}
	})
	t.Run("another site cannot sign a browser in", func(t *testing.T) {
		t.Parallel()
		for _, site := range []string{"cross-site", "same-site"} {
			a := h.stranger().post("/sign-in", form(), "Sec-Fetch-Site", site)
			a.wants(t, http.StatusForbidden, "You may not do this")
			if len(a.Cookies()) > 0 {
				t.Error("a cookie was set")
			}
		}
	})
}

func TestOneTimeCode(t *testing.T) {
	t.Parallel()
	h := openHouse(t, smallWorld())
	code := func() string {
		ctx := nightporter.WithActor(t.Context(), nightporter.SystemActor("test", ""))
		code, err := h.identity.NewCode(ctx, "ana")
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	t.Run("a link shows a button, and only pressing it signs in, once", func(t *testing.T) {
		c, secret := h.stranger(), code()
		for range 2 { // fetching the link costs nothing
			a := c.get("/sign-in/code?code=" + secret)
			a.wants(t, http.StatusOK, "Come in", "Open the console")
			if len(a.Cookies()) > 0 {
				t.Fatal("a GET signed in")
			}
		}
		c.post("/sign-in/code", url.Values{"code": {secret}}).goesTo(t, "/")
		c.get("/").wants(t, http.StatusOK)
		h.stranger().post("/sign-in/code", url.Values{"code": {secret}}).wants(t, http.StatusUnauthorized, "This sign-in link was used")
	})
	t.Run("a forged code signs nobody in", func(t *testing.T) {
		a := h.stranger().post("/sign-in/code", url.Values{"code": {"AAAAAAAAAAAAAAAAAAAAAAAAAA"}})
		a.wants(t, http.StatusUnauthorized)
		if len(a.Cookies()) > 0 {
			t.Error("a cookie was set")
		}
	})
	t.Run("a code from elsewhere than this machine is not taken", func(t *testing.T) {
		secret := code()
		for _, header := range [][]string{{"X-Forwarded-For", "192.0.2.7"}, {"Via", "1.1 proxy"}} {
			a := h.stranger().post("/sign-in/code", url.Values{"code": {secret}}, header...)
			a.wants(t, http.StatusUnauthorized)
			h.stranger().get("/sign-in/code?code="+secret, header...).goesTo(t, "/sign-in")
		}
	})
}

func TestSession(t *testing.T) {
	t.Parallel()
	t.Run("signing out ends it, not only in this browser", func(t *testing.T) {
		t.Parallel()
		h := openHouse(t, smallWorld())
		token := h.token(nightporter.Person, "ana")
		c, thief := h.holding(token), h.holding(token)
		c.post("/sign-out", nil).goesTo(t, "/sign-in")
		thief.get("/").goesTo(t, "/sign-in")
		c.get("/").goesTo(t, "/sign-in")
	})
	t.Run("another site cannot sign out, approve or hold", func(t *testing.T) {
		t.Parallel()
		h := openHouse(t, smallWorld())
		c := h.as("ana")
		for _, path := range []string{"/sign-out", "/releases/rel_1/approve", "/services/ledger/hold"} {
			c.post(path, url.Values{"comment": {"x"}}, "Sec-Fetch-Site", "cross-site").wants(t, http.StatusForbidden)
			c.post(path, url.Values{"comment": {"x"}}, "Sec-Fetch-Site", "", "Origin", "https://evil.test").wants(t, http.StatusForbidden)
			c.post(path, url.Values{"comment": {"x"}}, "Sec-Fetch-Site", "").wants(t, http.StatusForbidden)
		}
		c.get("/").wants(t, http.StatusOK)
	})
	t.Run("one that ended leads to the sign-in page, and a form says that nothing was changed", func(t *testing.T) {
		t.Parallel()
		h := openHouse(t, smallWorld())
		c := h.as("ana")
		c.get("/services").wants(t, http.StatusOK)
		h.setTime(time.Now().Add(identity.SessionIdle + time.Second))
		c.get("/services").goesTo(t, "/sign-in?next=%2Fservices")
		c.post("/services/ledger/hold", url.Values{"comment": {"x"}}, "Referer", h.URL+"/services/ledger").
			wants(t, http.StatusUnauthorized, "Your session has ended", "Nothing was changed", "Sign in")
	})
	t.Run("a revoked one ends at once", func(t *testing.T) {
		t.Parallel()
		h := openHouse(t, smallWorld())
		token := h.token(nightporter.Person, "ana")
		_, info, err := h.identity.Authenticate(t.Context(), token, "")
		if err != nil {
			t.Fatal(err)
		}
		ctx := nightporter.WithActor(t.Context(), nightporter.SystemActor("test", ""))
		err = h.gate.Do(ctx, nightporter.Action{Name: "token.revoke"}, nightporter.Resource{Kind: "token", ID: info.Accessor}, func(tx *gate.Tx) error {
			return h.identity.Revoke(ctx, tx, info.Accessor, "stolen")
		})
		if err != nil {
			t.Fatal(err)
		}
		h.holding(token).get("/").goesTo(t, "/sign-in")
	})
	t.Run("cookies that are not a session are nobody", func(t *testing.T) {
		t.Parallel()
		h := openHouse(t, smallWorld())
		for _, token := range []string{"x", "nps_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA00000000", strings.Repeat("a", 600)} {
			h.holding(token).get("/").goesTo(t, "/sign-in")
		}
	})
}
