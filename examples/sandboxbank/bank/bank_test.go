package bank_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/sandboxbank/bank"
	"example.org/sandboxbank/town"
)

const (
	callback = "https://app.example/cb"
	detail   = `"ReadAccountsDetail","ReadBalances","ReadTransactionsDetail","ReadTransactionsCredits","ReadTransactionsDebits","ReadStandingOrdersDetail"`
)

var verifier = strings.Repeat("verify", 8)

// rig is a running bank with a clock that only moves when told to.
type rig struct {
	t      *testing.T
	bank   *bank.Bank
	faults *bank.Faults
	url    string
	admin  string
	log    *bytes.Buffer
	mu     sync.Mutex
	now    time.Time
	waited time.Duration
}

func start(t *testing.T) *rig {
	t.Helper()
	people, err := town.New(town.Config{Seed: 1, Tenants: 28, AsOf: time.Date(2026, 6, 15, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, faults: bank.NoFaults(), log: &bytes.Buffer{}, now: time.Date(2026, 6, 15, 9, 0, 0, 0, time.UTC)}
	var h http.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { h.ServeHTTP(w, q) }))
	t.Cleanup(srv.Close)
	r.url = srv.URL
	r.bank, err = bank.New(bank.Config{
		Town: people, BaseURL: srv.URL, ClientID: "app", ClientSecret: "s3cret", RedirectURIs: []string{callback}, Faults: r.faults, PageSize: 50,
		Log: slog.New(slog.NewTextHandler(r.log, nil)), Now: func() time.Time { r.mu.Lock(); defer r.mu.Unlock(); return r.now },
		Wait: func(_ *http.Request, d time.Duration) { r.mu.Lock(); defer r.mu.Unlock(); r.waited += d },
	})
	if err != nil {
		t.Fatal(err)
	}
	h = r.bank.Handler()
	admin := httptest.NewServer(r.bank.Admin())
	t.Cleanup(admin.Close)
	r.admin = admin.URL
	return r
}

func (r *rig) later(d time.Duration) { r.mu.Lock(); defer r.mu.Unlock(); r.now = r.now.Add(d) }

func (r *rig) token(form url.Values) (int, map[string]any) {
	r.t.Helper()
	req, _ := http.NewRequest(http.MethodPost, r.url+"/token", strings.NewReader(form.Encode()))
	req.SetBasicAuth("app", "s3cret")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r.json(req)
}

func (r *rig) json(req *http.Request) (int, map[string]any) {
	r.t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	out := map[string]any{}
	raw, _ := io.ReadAll(res.Body)
	if len(raw) > 0 && strings.Contains(res.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(raw, &out); err != nil {
			r.t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
		}
	}
	return res.StatusCode, out
}

func (r *rig) get(path, token string) (int, map[string]any) {
	r.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = r.url + bank.Prefix + path
	}
	req, _ := http.NewRequest(http.MethodGet, path, nil)
	req.Header.Set("Authorization", "Bearer "+token)
	return r.json(req)
}

func (r *rig) consent(permissions string) string {
	r.t.Helper()
	_, tok := r.token(url.Values{"grant_type": {"client_credentials"}})
	req, _ := http.NewRequest(http.MethodPost, r.url+bank.Prefix+"/account-access-consents", strings.NewReader(`{"Data":{"Permissions":[`+permissions+`],"ExpirationDateTime":"2026-09-13T00:00:00Z"},"Risk":{}}`))
	req.Header.Set("Authorization", "Bearer "+tok["access_token"].(string))
	status, body := r.json(req)
	if status != http.StatusCreated {
		r.t.Fatalf("consent: %d %v", status, body)
	}
	return body["Data"].(map[string]any)["ConsentId"].(string)
}

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (r *rig) ask(consent string) url.Values {
	return url.Values{
		"response_type": {"code"}, "client_id": {"app"}, "redirect_uri": {callback}, "scope": {"accounts"}, "state": {"state-0123456789"},
		"code_challenge": {challenge()}, "code_challenge_method": {"S256"}, "consent_id": {consent},
	}
}

var (
	formToken = regexp.MustCompile(`name="form" value="([^"]+)"`)
	boxes     = regexp.MustCompile(`name="account" value="([^"]+)"`)
	browser   = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
)

func (r *rig) open(q url.Values) (*http.Response, string) {
	r.t.Helper()
	res, err := browser.Get(r.url + "/authorize?" + q.Encode())
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, _ := io.ReadAll(res.Body)
	return res, string(raw)
}

// decide answers the authorisation page and returns the query that the client gets.
func (r *rig) decide(q url.Values, tenant, decision string) url.Values {
	r.t.Helper()
	q.Set("tenant", tenant)
	_, page := r.open(q)
	m := formToken.FindStringSubmatch(page)
	if m == nil {
		r.t.Fatalf("no form on the page:\n%s", page)
	}
	form := url.Values{"form": {m[1]}, "decision": {decision}}
	for _, b := range boxes.FindAllStringSubmatch(page, -1) {
		form.Add("account", b[1])
	}
	res, err := browser.PostForm(r.url+"/authorize", form)
	if err != nil {
		r.t.Fatal(err)
	}
	res.Body.Close()
	back, err := res.Location()
	if err != nil {
		r.t.Fatalf("status %s: %v", res.Status, err)
	}
	return back.Query()
}

func (r *rig) exchange(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
}

// connect runs the whole flow and returns the consent and the tokens.
func (r *rig) connect(permissions, tenant string) (consent, access, refresh string) {
	r.t.Helper()
	consent = r.consent(permissions)
	back := r.decide(r.ask(consent), tenant, "approve")
	status, tok := r.token(r.exchange(back.Get("code")))
	if status != http.StatusOK {
		r.t.Fatalf("exchange: %d %v", status, tok)
	}
	return consent, tok["access_token"].(string), tok["refresh_token"].(string)
}

func (r *rig) accounts(access string) []string {
	r.t.Helper()
	status, body := r.get("/accounts", access)
	if status != http.StatusOK {
		r.t.Fatalf("accounts: %d", status)
	}
	var ids []string
	for _, a := range body["Data"].(map[string]any)["Account"].([]any) {
		ids = append(ids, a.(map[string]any)["AccountId"].(string))
	}
	return ids
}

func TestAuthorisation(t *testing.T) {
	t.Parallel()
	t.Run("approving returns a code, the state and the bank's name", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		back := r.decide(r.ask(r.consent(detail)), "t0001", "approve")
		if back.Get("code") == "" || back.Get("state") != "state-0123456789" || back.Get("iss") != r.url {
			t.Errorf("back with %v", back)
		}
	})
	t.Run("denying rejects the consent", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		back := r.decide(r.ask(r.consent(detail)), "t0001", "deny")
		if back.Get("error") != "access_denied" || back.Get("code") != "" {
			t.Errorf("back with %v", back)
		}
	})
	t.Run("an unknown client or return address is told here and sent nowhere", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		for name, value := range map[string]string{"client_id": "other", "redirect_uri": "https://evil.example/cb"} {
			q := r.ask(r.consent(detail))
			q.Set(name, value)
			if res, _ := r.open(q); res.StatusCode != http.StatusBadRequest {
				t.Errorf("%s=%s → %s", name, value, res.Status)
			}
		}
	})
	t.Run("a request without state or with a plain challenge goes back as an error", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		for name, value := range map[string]string{"state": "", "code_challenge_method": "plain", "code_challenge": "short", "consent_id": "aac-none", "response_type": "token", "scope": "payments"} {
			q := r.ask(r.consent(detail))
			q.Set(name, value)
			res, _ := r.open(q)
			back, err := res.Location()
			if err != nil || back.Query().Get("error") == "" || back.Host != "app.example" {
				t.Errorf("%s=%q → %s %v", name, value, res.Status, back)
			}
		}
	})
	t.Run("a form that this bank did not draw is refused", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		res, err := browser.PostForm(r.url+"/authorize", url.Values{"form": {"made-up"}, "decision": {"approve"}})
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("status %s, want 400", res.Status)
		}
	})
	t.Run("the page finds people by name and never shows the truth about them", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		_, page := r.open(r.ask(r.consent(detail)))
		for _, a := range town.Archetypes() {
			if strings.Contains(page, a) {
				t.Errorf("the page says %q", a)
			}
		}
	})
}

func TestTokens(t *testing.T) {
	t.Parallel()
	t.Run("a code works once, and its second use ends the first one's tokens", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		back := r.decide(r.ask(r.consent(detail)), "t0001", "approve")
		_, tok := r.token(r.exchange(back.Get("code")))
		if status, _ := r.token(r.exchange(back.Get("code"))); status != http.StatusBadRequest {
			t.Errorf("second exchange → %d, want 400", status)
		}
		if status, _ := r.get("/accounts", tok["access_token"].(string)); status != http.StatusUnauthorized {
			t.Errorf("reading after a replayed code → %d, want 401", status)
		}
	})
	t.Run("a code needs its verifier, its return address and its minute", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		for name, spoil := range map[string]func(url.Values){
			"verifier": func(f url.Values) { f.Set("code_verifier", strings.Repeat("x", 48)) },
			"address":  func(f url.Values) { f.Set("redirect_uri", "https://app.example/other") },
			"minute":   func(url.Values) { r.later(2 * time.Minute) },
		} {
			f := r.exchange(r.decide(r.ask(r.consent(detail)), "t0001", "approve").Get("code"))
			spoil(f)
			if status, _ := r.token(f); status != http.StatusBadRequest {
				t.Errorf("wrong %s → %d, want 400", name, status)
			}
		}
	})
	t.Run("a wrong secret gets 401", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		req, _ := http.NewRequest(http.MethodPost, r.url+"/token", strings.NewReader("grant_type=client_credentials"))
		req.SetBasicAuth("app", "wrong")
		if status, _ := r.json(req); status != http.StatusUnauthorized {
			t.Errorf("status %d", status)
		}
	})
	t.Run("a refresh token works once and access tokens end after fifteen minutes", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		_, access, refresh := r.connect(detail, "t0001")
		r.later(16 * time.Minute)
		if status, _ := r.get("/accounts", access); status != http.StatusUnauthorized {
			t.Errorf("an old access token → %d", status)
		}
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}
		status, tok := r.token(form)
		if status != http.StatusOK {
			t.Fatalf("refresh → %d", status)
		}
		if status, _ := r.get("/accounts", tok["access_token"].(string)); status != http.StatusOK {
			t.Errorf("the new access token → %d", status)
		}
		if status, _ := r.token(form); status != http.StatusBadRequest {
			t.Errorf("the same refresh token again → %d", status)
		}
	})
	t.Run("a client's own token reads no customer and a customer's token makes no consent", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		_, tok := r.token(url.Values{"grant_type": {"client_credentials"}})
		if status, _ := r.get("/accounts", tok["access_token"].(string)); status != http.StatusUnauthorized {
			t.Errorf("client token on accounts → %d", status)
		}
		consent, access, _ := r.connect(detail, "t0001")
		if status, _ := r.get("/account-access-consents/"+consent, access); status != http.StatusUnauthorized {
			t.Errorf("customer token on consents → %d", status)
		}
	})
}

func TestConsent(t *testing.T) {
	t.Parallel()
	t.Run("it ends at its expiry", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		_, _, refresh := r.connect(detail, "t0001")
		r.later(100 * 24 * time.Hour)
		if status, _ := r.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}); status != http.StatusBadRequest {
			t.Errorf("refresh after expiry → %d", status)
		}
	})
	t.Run("it shows only its own tenant's accounts", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		_, a, _ := r.connect(detail, "t0001")
		_, b, _ := r.connect(detail, "t0002")
		if status, _ := r.get("/accounts/"+r.accounts(a)[0]+"/transactions", b); status != http.StatusBadRequest {
			t.Errorf("another tenant's account → %d, want 400", status)
		}
	})
	t.Run("a customer who changes their mind ends the reading at once", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		consent, access, _ := r.connect(detail, "t0001")
		req, _ := http.NewRequest(http.MethodDelete, r.admin+"/consents/"+consent, nil)
		if status, _ := r.json(req); status != http.StatusNoContent {
			t.Fatalf("revoke → %d", status)
		}
		if status, _ := r.get("/accounts", access); status != http.StatusUnauthorized {
			t.Errorf("reading after → %d", status)
		}
	})
	t.Run("without detail the rows hold no text, balance, merchant or account", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		_, access, _ := r.connect(`"ReadAccountsBasic","ReadTransactionsBasic","ReadTransactionsCredits","ReadTransactionsDebits"`, "t0002")
		_, body := r.get("/accounts/"+r.accounts(access)[0]+"/transactions", access)
		raw, _ := json.Marshal(body)
		for _, field := range []string{"TransactionInformation", `"Balance"`, "MerchantDetails", "CreditorAccount", "DebtorAccount"} {
			if bytes.Contains(raw, []byte(field)) {
				t.Errorf("the rows show %s", field)
			}
		}
	})
}

// rows follows every page and returns the rows.
func (r *rig) rows(access, account string) (rows []map[string]any, pages int) {
	r.t.Helper()
	for next := "/accounts/" + account + "/transactions"; next != ""; pages++ {
		status, body := r.get(next, access)
		if status != http.StatusOK || pages > 200 {
			r.t.Fatalf("page %d → %d", pages, status)
		}
		for _, x := range body["Data"].(map[string]any)["Transaction"].([]any) {
			rows = append(rows, x.(map[string]any))
		}
		next, _ = body["Links"].(map[string]any)["Next"].(string)
	}
	return rows, pages
}

func TestPaging(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, access, _ := r.connect(detail, "t0005")
	account := r.accounts(access)[0]
	people, _ := town.New(town.Config{Seed: 1, Tenants: 5, AsOf: time.Date(2026, 6, 15, 0, 0, 0, 0, time.UTC)})
	want := 0
	for _, e := range people.Tenants()[4].Entries {
		if e.Account == 0 {
			want++
		}
	}
	t.Run("the pages together are the whole account", func(t *testing.T) {
		rows, pages := r.rows(access, account)
		if len(rows) != want || pages != (want+49)/50 {
			t.Errorf("%d rows on %d pages, want %d rows", len(rows), pages, want)
		}
	})
	t.Run("a page word that the bank did not write is refused", func(t *testing.T) {
		if status, _ := r.get("/accounts/"+account+"/transactions?page=MTAwLjF8YWFhYWFhYWFhYWFh", access); status != http.StatusBadRequest {
			t.Errorf("status %d", status)
		}
	})
	t.Run("repeated rows appear when the fault says so", func(t *testing.T) {
		if err := r.faults.Set("repeat-rows"); err != nil {
			t.Fatal(err)
		}
		if rows, _ := r.rows(access, account); len(rows) <= want {
			t.Errorf("%d rows, want more than %d", len(rows), want)
		}
	})
	t.Run("a stall waits two seconds", func(t *testing.T) {
		if err := r.faults.Set("stall"); err != nil {
			t.Fatal(err)
		}
		r.get("/accounts", access)
		if r.waited != 2*time.Second {
			t.Errorf("waited %s", r.waited)
		}
	})
}

func TestTheTruthStaysWithTheOperator(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, access, _ := r.connect(detail, "t0001")
	for _, path := range []string{"/labels/t0001", "/tenants"} {
		if status, _ := r.get(r.url+path, access); status != http.StatusNotFound {
			t.Errorf("the bank answers %s with %d", path, status)
		}
		if status, body := r.get(r.admin+path, ""); status != http.StatusOK || len(body) == 0 {
			t.Errorf("the operator gets %d for %s", status, path)
		}
	}
}

func TestLogHoldsNoSecretAndNoName(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, access, refresh := r.connect(detail, "t0001")
	r.rows(access, r.accounts(access)[0])
	people, _ := town.New(town.Config{Seed: 1, Tenants: 1, AsOf: time.Date(2026, 6, 15, 0, 0, 0, 0, time.UTC)})
	p := people.Tenants()[0]
	for _, secret := range []string{access, refresh, "s3cret", verifier, p.Name, p.ID, p.Accounts[0].Number} {
		if strings.Contains(r.log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

func FuzzParseFaults(f *testing.F) {
	for _, s := range []string{"", "429", "stall/5,429/7", "x", "500/0", ",,", "revoke/-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) { _, _ = bank.ParseFaults(list) })
}

func ExampleParseFaults() {
	_, err := bank.ParseFaults("stall/5,500/0")
	fmt.Println(err)
	// Output: reading fault "500/0": want a count after the slash
}
