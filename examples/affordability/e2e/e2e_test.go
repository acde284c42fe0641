package e2e

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"example.org/affordability/store"
)

// goldenTenant1 is the fingerprint of tenant 1 of seed 1. A platform that rebuilds this service from nothing and reads the
// same bank must get it again; so must every release that does not mean to change a figure.
const goldenTenant1 = "9eb4baa1def83b673e7731cbe42b7d0e39088cfefc4989aaf38e485e339665a0"

func TestAGoodDay(t *testing.T) {
	t.Parallel()
	t.Run("tenant 1 has the golden fingerprint", func(t *testing.T) {
		t.Parallel()
		a := start(t, options{}).person().connect("t0001")
		if a.Hash != goldenTenant1 {
			t.Errorf("hash %s, want %s\n%s", a.Hash, goldenTenant1, a.Profile.Says)
		}
		if a.value("rent") != 84000 {
			t.Errorf("rent %d pence, the truth is 84000", a.value("rent"))
		}
	})
	t.Run("an owner has no rent and is told so", func(t *testing.T) {
		t.Parallel()
		p := start(t, options{}).person()
		a := p.connect("t0014")
		if a.Profile.RentFound || !strings.HasPrefix(a.Profile.Says, "No rent found") {
			t.Errorf("%+v", a.Profile)
		}
		for _, path := range []string{"/profile", "/rent"} {
			if _, body := p.do(http.MethodGet, path, ""); !strings.Contains(body, "No rent found") {
				t.Errorf("%s does not say so", path)
			}
		}
	})
	t.Run("transfers between two accounts are neither income nor spending", func(t *testing.T) {
		t.Parallel()
		p := start(t, options{}).person()
		p.connect("t0001") // has a savings account
		_, body := p.do(http.MethodGet, "/v1/profiles/latest/transactions?category=own", "")
		var list struct{ Items []struct{ Amount int64 } }
		if err := json.Unmarshal([]byte(body), &list); err != nil || len(list.Items) < 10 {
			t.Fatalf("%v, %d transfers", err, len(list.Items))
		}
		sum := int64(0)
		for _, i := range list.Items {
			sum += i.Amount
		}
		if sum != 0 {
			t.Errorf("the transfers add up to %d, want 0", sum)
		}
	})
	t.Run("every page opens and every amount on it opens too", func(t *testing.T) {
		t.Parallel()
		p := start(t, options{}).person()
		p.connect("t0006")
		seen := map[string]bool{}
		queue := []string{"/profile", "/rent", "/spending", "/spending?category=food", "/what-if", "/what-if?rate=575&fixed=2&term=25&deposit=40000&adults=2&children=1", "/report", "/data"}
		for len(queue) > 0 {
			path := queue[0]
			queue = queue[1:]
			res, body := p.do(http.MethodGet, path, "")
			if res.StatusCode != http.StatusOK || !strings.Contains(body, "policy <b>2026-04</b>") {
				t.Errorf("%s → %s, policy shown: %v", path, res.Status, strings.Contains(body, "policy <b>2026-04</b>"))
			}
			for part := range strings.SplitSeq(body, `href="/figures/`) {
				if i := strings.IndexByte(part, '"'); i > 0 && !strings.HasPrefix(part, "<!doctype") {
					next := "/figures/" + strings.ReplaceAll(part[:i], "&amp;", "&")
					if !seen[next] {
						seen[next] = true
						queue = append(queue, next)
					}
				}
			}
		}
		if len(seen) < 20 {
			t.Errorf("only %d figures opened", len(seen))
		}
	})
	t.Run("a correction counts for the payee and can be taken back", func(t *testing.T) {
		t.Parallel()
		p := start(t, options{}).person()
		before := p.connect("t0002")
		_, body := p.do(http.MethodGet, "/v1/profiles/latest/transactions?category=food", "")
		var list struct{ Items []struct{ Key string } }
		if err := json.Unmarshal([]byte(body), &list); err != nil || len(list.Items) == 0 {
			t.Fatalf("%v %.200s", err, body)
		}
		path := "/v1/transactions/" + url.PathEscape(list.Items[0].Key) + "/category"
		if res, _ := p.do(http.MethodPatch, path, `{"category":"fun"}`); res.StatusCode != http.StatusNoContent {
			t.Fatalf("correct → %s", res.Status)
		}
		if after := p.wait(); after.value("essential") >= before.value("essential") || after.value("discretionary") <= before.value("discretionary") {
			t.Error("the correction changed nothing")
		}
		if res, _ := p.do(http.MethodPatch, path, `{"category":""}`); res.StatusCode != http.StatusNoContent {
			t.Fatalf("take back → %s", res.Status)
		}
		if after := p.wait(); after.Hash != before.Hash {
			t.Error("taking it back did not")
		}
		if res, _ := p.do(http.MethodPatch, path, `{"category":"yachts"}`); res.StatusCode != http.StatusBadRequest {
			t.Errorf("an unknown category → %s", res.Status)
		}
	})
	t.Run("the signed report verifies and a changed one does not", func(t *testing.T) {
		t.Parallel()
		p := start(t, options{}).person()
		p.connect("t0004")
		_, body := p.do(http.MethodGet, "/v1/profiles/latest/report", "")
		_, keyBody := p.do(http.MethodGet, "/v1/report-key", "")
		var signed struct {
			Report    json.RawMessage
			Signature []byte
		}
		var key struct{ Key string }
		if err := json.Unmarshal([]byte(body), &signed); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(keyBody), &key); err != nil {
			t.Fatal(err)
		}
		public, _ := base64.StdEncoding.DecodeString(key.Key)
		if !ed25519.Verify(public, signed.Report, signed.Signature) {
			t.Error("the report does not verify")
		}
		if ed25519.Verify(public, bytes.Replace(signed.Report, []byte(`"rent_found":true`), []byte(`"rent_found":null`), 1), signed.Signature) {
			t.Error("a changed report verifies")
		}
	})
	t.Run("a what-if changes the answer and names what holds it", func(t *testing.T) {
		t.Parallel()
		p := start(t, options{}).person()
		a := p.connect("t0001")
		res, body := p.do(http.MethodPost, "/v1/scenarios", `{"deposit":100000}`)
		var w answer
		if err := json.Unmarshal([]byte(body), &w); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s %v", res.Status, err)
		}
		if !strings.HasPrefix(w.Profile.Binding, "the deposit") || w.value("price") != 2_000_000 || w.Hash == a.Hash {
			t.Errorf("£1,000 of deposit: price %d, %s", w.value("price"), w.Profile.Binding)
		}
		for _, bad := range []string{`{"rate_bp":-1}`, `{"term_months":0}`, `{"adults":0}`, `{"deposit":-5}`, `{"hat":1}`, `nonsense{`, `{"rate_bp":1e9}`} {
			if res, _ := p.do(http.MethodPost, "/v1/scenarios", bad); res.StatusCode != http.StatusBadRequest {
				t.Errorf("%s → %s", bad, res.Status)
			}
		}
	})
}

func TestABadBank(t *testing.T) {
	t.Parallel()
	// Reads that must end in a named refusal, with nothing shown.
	for name, c := range map[string]struct{ faults, says string }{
		"a bank that pages for ever is stopped":             {"endless", "do not end"},
		"a next page on another host is refused":            {"foreign-next", "another address"},
		"an amount with part of a penny is refused":         {"sub-penny", "does not follow the standard"},
		"a bank that is always busy is given up":            {"429", "busy"},
		"a bank that is always broken is given up":          {"500", "busy"},
		"a bank that wants a new sign-in is believed":       {"403", "sign in again"},
		"a bank that takes no token says that it is over":   {"401", "ended"},
		"a consent that ends half way leaves nothing shown": {"revoke/7", "ended"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, options{})
			r.faults(c.faults)
			p := r.person()
			a := p.connect("t0002")
			if a.State != "failed" || !strings.Contains(a.Problem, c.says) || len(a.Profile.Figures) != 0 {
				t.Errorf("%s: %q, %d figures", a.State, a.Problem, len(a.Profile.Figures))
			}
			if res, body := p.do(http.MethodGet, "/profile", ""); res.StatusCode != http.StatusOK || strings.Contains(body, "What it would carry") {
				t.Errorf("the page: %s", res.Status)
			}
		})
	}
	// Reads that must end in exactly the figures of a good day.
	for name, faults := range map[string]string{
		"repeated rows are counted once":                       "repeat-rows",
		"repeated rows without ids are counted once":           "repeat-rows,no-ids",
		"a busy, broken and slow bank is waited for":           "429/4,500/5,stall/9",
		"one refused token is renewed and the reading goes on": "401/9999",
		"rows without ids count like rows with them":           "no-ids",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, options{})
			good := r.person().connect("t0002")
			r.faults(faults)
			bad := r.person().connect("t0002")
			if good.State != "ready" || bad.State != "ready" || good.Hash != bad.Hash {
				t.Errorf("good %s %s, bad %s %s %s", good.State, good.Hash, bad.State, bad.Hash, bad.Problem)
			}
		})
	}
	t.Run("an access token that ran out is renewed before the next reading", func(t *testing.T) {
		t.Parallel()
		r := start(t, options{})
		p := r.person()
		first := p.connect("t0002")
		r.mu.Lock()
		r.now = r.now.Add(20 * time.Minute)
		r.mu.Unlock()
		if res, _ := p.do(http.MethodPost, "/v1/profiles", ""); res.StatusCode != http.StatusAccepted {
			t.Fatalf("read again → %s", res.Status)
		}
		if again := p.wait(); again.State != "ready" || again.ID == first.ID || again.Hash != first.Hash {
			t.Errorf("%s %s", again.State, again.Problem)
		}
	})
	t.Run("forty days are too short for a figure", func(t *testing.T) {
		t.Parallel()
		r := start(t, options{})
		r.faults("short-history")
		p := r.person()
		a := p.connect("t0001")
		if a.Profile.State != "too_short" || len(a.Profile.Figures) != 0 {
			t.Errorf("%+v", a.Profile)
		}
		if _, body := p.do(http.MethodGet, "/profile", ""); !strings.Contains(body, "Too short") {
			t.Error("the page does not say so")
		}
	})
	t.Run("basic permissions alone say cannot classify", func(t *testing.T) {
		t.Parallel()
		r := start(t, options{permissions: []string{"ReadAccountsBasic", "ReadTransactionsBasic", "ReadTransactionsCredits", "ReadTransactionsDebits"}})
		p := r.person()
		a := p.connect("t0002")
		if a.Profile.State != "cannot_classify" || len(a.Profile.Figures) != 0 {
			t.Errorf("%s %+v", a.Problem, a.Profile)
		}
		if _, body := p.do(http.MethodGet, "/profile", ""); !strings.Contains(body, "Cannot classify") {
			t.Error("the page does not say so")
		}
	})
}

func TestWhoMayWhat(t *testing.T) {
	t.Parallel()
	t.Run("a forged callback is refused", func(t *testing.T) {
		t.Parallel()
		r := start(t, options{})
		victim, thief := r.person(), r.person()
		back := victim.approve("t0001", "approve")
		u, _ := url.Parse(back)
		spoil := func(name, value string) string {
			q := u.Query()
			q.Set(name, value)
			c := *u
			c.RawQuery = q.Encode()
			return c.String()
		}
		for name, try := range map[string]struct {
			who  *person
			path string
		}{
			"in another session": {thief, back}, "with an invented state": {victim, spoil("state", "invented")}, "without a state": {victim, spoil("state", "")},
		} {
			if res, _ := try.who.do(http.MethodGet, try.path, ""); res.StatusCode != http.StatusForbidden {
				t.Errorf("%s → %s, want 403", name, res.Status)
			}
		}
		if res, _ := victim.do(http.MethodGet, back, ""); res.StatusCode != http.StatusSeeOther {
			t.Errorf("the honest callback → %s", res.Status)
		}
		if res, _ := victim.do(http.MethodGet, back, ""); res.StatusCode != http.StatusForbidden {
			t.Errorf("the same callback again → %s, want 403", res.Status)
		}
	})
	t.Run("a callback that names another bank is refused", func(t *testing.T) {
		t.Parallel()
		p := start(t, options{}).person()
		back := p.approve("t0001", "approve")
		if res, _ := p.do(http.MethodGet, strings.Replace(back, "iss=", "iss=https%3A%2F%2Fother.example&was=", 1), ""); res.StatusCode != http.StatusForbidden {
			t.Errorf("→ %s, want 403", res.Status)
		}
	})
	t.Run("denying keeps nothing", func(t *testing.T) {
		t.Parallel()
		p := start(t, options{}).person()
		res, _ := p.do(http.MethodGet, p.approve("t0001", "deny"), "")
		if at, err := res.Location(); err != nil || at.Path != "/" {
			t.Errorf("→ %s", res.Status)
		}
		if res, _ := p.do(http.MethodGet, "/v1/profiles/latest", ""); res.StatusCode != http.StatusNotFound {
			t.Errorf("a profile all the same: %s", res.Status)
		}
	})
	t.Run("another visitor's ids look like ids that do not exist", func(t *testing.T) {
		t.Parallel()
		r := start(t, options{})
		owner, other := r.person(), r.person()
		mine := owner.connect("t0001")
		other.connect("t0002")
		res1, body1 := other.do(http.MethodGet, "/v1/profiles/"+mine.ID, "")
		res2, body2 := other.do(http.MethodGet, "/v1/profiles/NOSUCHID", "")
		if res1.StatusCode != http.StatusNotFound || res2.StatusCode != http.StatusNotFound || body1 != body2 {
			t.Errorf("%s %s / %s %s", res1.Status, body1, res2.Status, body2)
		}
		for _, path := range []string{"/streams", "/transactions", "/report"} {
			if res, _ := other.do(http.MethodGet, "/v1/profiles/"+mine.ID+path, ""); res.StatusCode != http.StatusNotFound {
				t.Errorf("%s → %s", path, res.Status)
			}
		}
		if res, _ := r.person().do(http.MethodGet, "/v1/profiles/latest", ""); res.StatusCode != http.StatusNotFound {
			t.Errorf("a stranger → %s", res.Status)
		}
	})
	t.Run("a form of another site is turned away", func(t *testing.T) {
		t.Parallel()
		p := start(t, options{}).person()
		p.connect("t0001")
		req, _ := http.NewRequest(http.MethodPost, p.service.URL+"/data/delete", strings.NewReader("sure=yes"))
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := p.browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusForbidden {
			t.Errorf("→ %s, want 403", res.Status)
		}
	})
	t.Run("after ninety days nothing is read until the customer confirms", func(t *testing.T) {
		t.Parallel()
		r := start(t, options{})
		p := r.person()
		p.connect("t0001")
		r.mu.Lock()
		r.now = r.now.Add(89*24*time.Hour + 23*time.Hour)
		r.mu.Unlock()
		if res, _ := p.do(http.MethodPost, "/v1/profiles", ""); res.StatusCode != http.StatusAccepted {
			t.Fatalf("on day 90 → %s", res.Status)
		}
		p.wait()
		r.mu.Lock()
		r.now = r.now.Add(2 * time.Hour)
		r.mu.Unlock()
		// The session ends with its ninety days too: both are asked again.
		if res, _ := p.do(http.MethodPost, "/v1/profiles", ""); res.StatusCode/100 != 4 {
			t.Errorf("on day 91 → %s", res.Status)
		}
	})
	t.Run("deleting removes every row and ends the consent at the bank", func(t *testing.T) {
		t.Parallel()
		r := start(t, options{})
		p := r.person()
		p.connect("t0001")
		if res, _ := p.do(http.MethodDelete, "/v1/me", ""); res.StatusCode != http.StatusNoContent {
			t.Fatalf("delete → %s", res.Status)
		}
		if n := r.memory.Len(); n != 0 {
			t.Errorf("%d records are left", n)
		}
		if res, _ := p.do(http.MethodGet, "/v1/profiles/latest", ""); res.StatusCode != http.StatusNotFound {
			t.Errorf("after → %s", res.Status)
		}
	})
	t.Run("revoking keeps the figures and stops the reading", func(t *testing.T) {
		t.Parallel()
		p := start(t, options{}).person()
		before := p.connect("t0001")
		_, page := p.do(http.MethodGet, "/data", "")
		id := strings.SplitN(strings.SplitN(page, `name="id" value="`, 2)[1], `"`, 2)[0]
		if res, _ := p.do(http.MethodPost, "/data/revoke", "id="+id); res.StatusCode != http.StatusSeeOther {
			t.Fatalf("revoke → %s", res.Status)
		}
		if res, _ := p.do(http.MethodPost, "/v1/profiles", ""); res.StatusCode != http.StatusConflict {
			t.Errorf("reading after → %s", res.Status)
		}
		if after := p.wait(); after.Hash != before.Hash {
			t.Error("the figures are gone")
		}
	})
}

func TestNothingPersonalLeaks(t *testing.T) {
	t.Parallel()
	r := start(t, options{})
	p := r.person()
	p.connect("t0003")
	for _, path := range []string{"/profile", "/rent", "/figures/rent", "/what-if?deposit=12345", "/nowhere?name=secret", "/v1/profiles/latest?explain=1"} {
		p.do(http.MethodGet, path, "")
	}
	_, body := p.do(http.MethodGet, "/v1/profiles/latest/transactions", "")
	var list struct{ Items []map[string]any }
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatal(err)
	}
	_, metrics := p.do(http.MethodGet, "/metrics", "")
	for _, want := range []string{`http_requests_total{route="/rent",method="GET",code="200"} 1`, `bank_readings_total{outcome="ok"} 1`, `route="unmatched"`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
	secrets := []string{"12345", "secret", "nowhere"}
	for _, i := range list.Items {
		for _, f := range []string{"key", "text", "party", "account", "party_id"} {
			if s, ok := i[f].(string); ok && len(s) > 3 {
				secrets = append(secrets, s)
			}
		}
	}
	for _, s := range secrets {
		if strings.Contains(r.log.String(), s) || strings.Contains(metrics, s) {
			t.Errorf("%q is in the log or the metrics", s)
		}
	}
	r.memory.Each(func(rec store.Record) {
		for _, s := range secrets[3:] {
			if bytes.Contains(rec.Body, []byte(s)) {
				t.Errorf("a %s record holds %q in the clear", rec.Kind, s)
			}
		}
	})
}

func TestForThePlatform(t *testing.T) {
	t.Parallel()
	r := start(t, options{})
	p := r.person()
	for path, want := range map[string]string{"/healthz": `"version":"1.2.3"`, "/livez": `"ok"`, "/readyz": `"ok"`, "/version": `"1.2.3"`, "/v1/openapi.json": `"openapi":"3.1.0"`} {
		if res, body := p.do(http.MethodGet, path, ""); res.StatusCode != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s → %s %s", path, res.Status, body)
		}
	}
	r.web.Drain()
	for path, want := range map[string]int{"/healthz": 503, "/readyz": 503, "/livez": 200, "/": 200} {
		if res, _ := p.do(http.MethodGet, path, ""); res.StatusCode != want {
			t.Errorf("draining, %s → %s, want %d", path, res.Status, want)
		}
	}
}
