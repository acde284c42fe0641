package contracttest

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"example.org/sandboxbank/bank"
	"example.org/sandboxbank/town"
)

// judge is the official document.
func judge(t *testing.T) routers.Router {
	t.Helper()
	f, err := os.Open("testdata/account-info-openapi-v4.0.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		t.Fatal(err)
	}
	router, err := legacy.NewRouter(doc, openapi3.DisableExamplesValidation(), openapi3.DisableSchemaPatternValidation(), openapi3.DisableSchemaDefaultsValidation())
	if err != nil {
		t.Fatal(err)
	}
	return router
}

// judged is a client whose every answer from the account API is checked.
type judged struct {
	t       *testing.T
	router  routers.Router
	base    string
	checked map[string]int
}

func (j *judged) do(method, path, token, body string) (*http.Response, []byte) {
	j.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = j.base + bank.Prefix + path
	}
	req, err := http.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
	if err != nil {
		j.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		j.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		j.t.Fatal(err)
	}
	if err := j.verdict(method, req.URL, res, raw); err != nil {
		j.t.Errorf("%s %s → %d: %v\n%.400s", method, req.URL.Path, res.StatusCode, err, raw)
	}
	j.checked[method+" "+placeholder.ReplaceAllString(strings.TrimPrefix(req.URL.Path, bank.Prefix), "/…")+" "+res.Status]++
	return res, raw
}

// sandbox starts a bank whose good and bad answers are all checked.
func sandbox(t *testing.T, faults string) (*judged, *bank.Faults) {
	t.Helper()
	people, err := town.New(town.Config{Seed: 1, Tenants: 28, AsOf: time.Date(2026, 6, 15, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	f, err := bank.ParseFaults(faults)
	if err != nil {
		t.Fatal(err)
	}
	var h http.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	b, err := bank.New(bank.Config{
		Town: people, BaseURL: srv.URL, ClientID: "c", ClientSecret: "s", RedirectURIs: []string{"https://app.example/cb"}, Faults: f,
		Wait: func(*http.Request, time.Duration) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	h = b.Handler()
	return &judged{t: t, router: judge(t), base: srv.URL, checked: map[string]int{}}, f
}

var placeholder = regexp.MustCompile(`/(aac-|t\d)[^/]+`)

// verdict is the document's word about one answer.
func (j *judged) verdict(method string, u *url.URL, res *http.Response, body []byte) error {
	in := httptest.NewRequest(method, u.RequestURI(), nil)
	route, params, err := j.router.FindRoute(in)
	if err != nil {
		return err
	}
	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: in, PathParams: params, Route: route},
		Status:                 res.StatusCode, Header: res.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, ExcludeResponseBody: len(body) == 0},
	})
}

func (j *judged) token(form url.Values) string {
	j.t.Helper()
	req, _ := http.NewRequest(http.MethodPost, j.base+"/token", strings.NewReader(form.Encode()))
	req.SetBasicAuth("c", "s")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		j.t.Fatal(err)
	}
	defer res.Body.Close()
	var out struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil || out.AccessToken == "" {
		j.t.Fatalf("token: status %s, %v", res.Status, err)
	}
	return out.AccessToken
}

var (
	formToken  = regexp.MustCompile(`name="form" value="([^"]+)"`)
	accountBox = regexp.MustCompile(`name="account" value="([^"]+)"`)
)

// authorise walks the consent pages as a browser would and returns consent id and access token.
func (j *judged) authorise(client, permissions, tenant string) (consent, token string) {
	j.t.Helper()
	_, raw := j.do(http.MethodPost, "/account-access-consents", client, `{"Data":{"Permissions":[`+permissions+`],"ExpirationDateTime":"2099-01-01T00:00:00+00:00"},"Risk":{}}`)
	var made struct{ Data struct{ ConsentId string } }
	if err := json.Unmarshal(raw, &made); err != nil {
		j.t.Fatal(err)
	}
	verifier := strings.Repeat("v", 43)
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {"c"}, "redirect_uri": {"https://app.example/cb"}, "scope": {"accounts"}, "state": {"0123456789abcdef"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}, "consent_id": {made.Data.ConsentId}, "tenant": {tenant},
	}
	res, err := http.Get(j.base + "/authorize?" + q.Encode())
	if err != nil {
		j.t.Fatal(err)
	}
	page, _ := io.ReadAll(res.Body)
	res.Body.Close()
	form := url.Values{"decision": {"approve"}, "form": {string(formToken.FindSubmatch(page)[1])}}
	for _, m := range accountBox.FindAllSubmatch(page, -1) {
		form.Add("account", string(m[1]))
	}
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err = browser.PostForm(j.base+"/authorize", form)
	if err != nil {
		j.t.Fatal(err)
	}
	res.Body.Close()
	back, err := res.Location()
	if err != nil {
		j.t.Fatal(err)
	}
	return made.Data.ConsentId, j.token(url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {"https://app.example/cb"}, "code_verifier": {verifier}})
}

const (
	detail = `"ReadAccountsDetail","ReadBalances","ReadTransactionsDetail","ReadTransactionsCredits","ReadTransactionsDebits","ReadStandingOrdersDetail","ReadDirectDebits"`
	basic  = `"ReadAccountsBasic","ReadTransactionsBasic","ReadTransactionsCredits","ReadTransactionsDebits","ReadStandingOrdersBasic"`
)

func (j *judged) readAll(token string) {
	_, raw := j.do(http.MethodGet, "/accounts", token, "")
	var list struct {
		Data struct{ Account []struct{ AccountId string } }
	}
	if err := json.Unmarshal(raw, &list); err != nil || len(list.Data.Account) == 0 {
		j.t.Fatalf("accounts: %v %s", err, raw)
	}
	for _, a := range list.Data.Account {
		path := "/accounts/" + a.AccountId
		j.do(http.MethodGet, path, token, "")
		j.do(http.MethodGet, path+"/balances", token, "")
		j.do(http.MethodGet, path+"/standing-orders", token, "")
		for next := path + "/transactions?fromBookingDateTime=2025-04-01T00:00:00"; next != ""; {
			_, raw := j.do(http.MethodGet, next, token, "")
			var p struct{ Links struct{ Next string } }
			if err := json.Unmarshal(raw, &p); err != nil {
				j.t.Fatal(err)
			}
			next = p.Links.Next
		}
	}
}

// The judge is the standard's own document: every status and body must be one it allows.
func TestEveryAnswerObeysTheOfficialDocument(t *testing.T) {
	t.Parallel()
	t.Run("fourteen lives with and without detail", func(t *testing.T) {
		t.Parallel()
		j, _ := sandbox(t, "")
		client := j.token(url.Values{"grant_type": {"client_credentials"}})
		for _, p := range []string{detail, basic} {
			for i := range 14 {
				consent, token := j.authorise(client, p, "t00"+string(rune('0'+(i+1)/10))+string(rune('0'+(i+1)%10)))
				j.readAll(token)
				j.do(http.MethodGet, "/account-access-consents/"+consent, client, "")
				j.do(http.MethodDelete, "/account-access-consents/"+consent, client, "")
			}
		}
		t.Logf("%d kinds of answer checked: %v", len(j.checked), j.checked)
	})
	t.Run("refusals", func(t *testing.T) {
		t.Parallel()
		j, faults := sandbox(t, "")
		client := j.token(url.Values{"grant_type": {"client_credentials"}})
		for _, body := range []string{
			`{`, `{"Risk":{}}`, `{"Data":{"Permissions":["ReadBalances"]}}`, `{"Data":{"Permissions":[]},"Risk":{}}`,
			`{"Data":{"Permissions":["ReadAccountsBasic","ReadTransactionsBasic"]},"Risk":{}}`,
		} {
			if res, _ := j.do(http.MethodPost, "/account-access-consents", client, body); res.StatusCode != http.StatusBadRequest {
				t.Errorf("%s → %s, want 400", body, res.Status)
			}
		}
		_, token := j.authorise(client, detail, "t0001")
		for path, want := range map[string]int{"/accounts/none": 400, "/accounts/none/transactions": 400} {
			if res, _ := j.do(http.MethodGet, path, token, ""); res.StatusCode != want {
				t.Errorf("%s → %s, want %d", path, res.Status, want)
			}
		}
		j.do(http.MethodGet, "/accounts", "nobody", "")
		j.do(http.MethodGet, "/account-access-consents/none", client, "")
		for name, want := range map[string]int{"401": 401, "403": 403, "429": 429, "500": 500} {
			if err := faults.Set(name); err != nil {
				t.Fatal(err)
			}
			if res, _ := j.do(http.MethodGet, "/accounts", token, ""); res.StatusCode != want {
				t.Errorf("fault %s → %s", name, res.Status)
			}
		}
		for _, name := range []string{"repeat-rows", "sub-penny", "no-ids", "short-history"} {
			if err := faults.Set(name); err != nil {
				t.Fatal(err)
			}
			j.readAll(token)
		}
	})
}

// A judge that never says no proves nothing.
func TestTheJudgeNoticesABrokenAnswer(t *testing.T) {
	t.Parallel()
	j, _ := sandbox(t, "")
	_, token := j.authorise(j.token(url.Values{"grant_type": {"client_credentials"}}), detail, "t0001")
	res, raw := j.do(http.MethodGet, "/accounts", token, "")
	u, _ := url.Parse(j.base + bank.Prefix + "/accounts")
	for _, change := range [][2]string{{`"Currency":"GBP"`, `"Currency":"pounds"`}, {`"AccountTypeCode":"CACC"`, `"AccountTypeCode":"CurrentAccount"`}, {`"Data"`, `"Date"`}, {`"Nickname"`, `"Nick"`}} {
		broken := bytes.Replace(raw, []byte(change[0]), []byte(change[1]), 1)
		if bytes.Equal(broken, raw) {
			t.Fatalf("the answer has no %s to break", change[0])
		}
		if err := j.verdict(http.MethodGet, u, res, broken); err == nil {
			t.Errorf("%s passed", change[1])
		}
	}
}
