// Package obie reads accounts from a bank that speaks the UK Open Banking account and transaction API.
//
// Version 4.0 is decoded here; another version is another decoder of the same [statement.Statement]. A bank is
// outside input: pages may repeat, loop or point elsewhere, ids may be missing, and the customer may end the
// consent between two pages. Each of these is an error with a name or is put right, and none becomes a number.
package obie

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Errors that a caller tells apart.
var (
	ErrConsentEnded   = errors.New("the bank no longer accepts this consent")
	ErrReauthenticate = errors.New("the bank asks the customer to sign in again")
	ErrBusy           = errors.New("the bank is too busy or not answering")
	ErrEndless        = errors.New("the bank's pages do not end")
	ErrForeignPage    = errors.New("the bank's next page is on another host")
	ErrAnswer         = errors.New("the bank's answer does not follow the standard")
)

// Limits on what one reading may take.
const (
	maxPages    = 400
	maxBody     = 8 << 20
	maxAttempts = 4
	maxWait     = 8 * time.Second
	// Life is how long a consent may be read before the customer confirms it again.
	Life = 90 * 24 * time.Hour
)

// Permissions are exactly what a profile needs.
var permissions = []string{"ReadAccountsDetail", "ReadBalances", "ReadTransactionsDetail", "ReadTransactionsCredits", "ReadTransactionsDebits", "ReadStandingOrdersDetail", "ReadDirectDebits"}

// Config says which bank and as whom.
type Config struct {
	Issuer       string       // required: the bank's address, like https://bank.example
	ClientID     string       // required
	ClientSecret string       // required
	RedirectURI  string       // required: our callback
	Permissions  []string     // nil: what a profile needs
	HTTP         *http.Client // nil: ten seconds a request, no redirects followed
	Now          func() time.Time
	Sleep        func(context.Context, time.Duration) error // nil: a timer
}

// Bank is a connection to one bank.
type Bank struct {
	cfg  Config
	base *url.URL
}

// Tokens are what reads one customer's accounts.
type Tokens struct {
	Access  string    `json:"access"`
	Refresh string    `json:"refresh"`
	Expires time.Time `json:"expires"`
}

// New checks the configuration.
func New(cfg Config) (*Bank, error) {
	base, err := url.Parse(cfg.Issuer)
	if err != nil || base.Host == "" || (base.Scheme != "https" && base.Scheme != "http") {
		return nil, errors.New("the bank's address must be a URL like https://bank.example")
	}
	if cfg.ClientID == "" || cfg.ClientSecret == "" || cfg.RedirectURI == "" {
		return nil, errors.New("a bank needs a client id, a client secret and our callback address")
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Sleep == nil {
		cfg.Sleep = sleep
	}
	if cfg.Permissions == nil {
		cfg.Permissions = permissions
	}
	return &Bank{cfg: cfg, base: base}, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Consent asks the bank for a consent and returns its id. It carries no end of its own: since 2022 it is for us to
// ask the customer again every ninety days ([Life]) and to stop reading without an answer.
func (b *Bank) Consent(ctx context.Context) (id string, err error) {
	own, err := b.token(ctx, url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}})
	if err != nil {
		return "", fmt.Errorf("signing in to the bank: %w", err)
	}
	body, err := json.Marshal(map[string]any{"Data": map[string]any{"Permissions": b.cfg.Permissions}, "Risk": struct{}{}})
	if err != nil {
		return "", err
	}
	var made struct {
		Data struct {
			ConsentID string `json:"ConsentId"`
		}
	}
	if err := b.call(ctx, http.MethodPost, b.url("/account-access-consents"), own.Access, body, &made); err != nil {
		return "", fmt.Errorf("asking for a consent: %w", err)
	}
	if made.Data.ConsentID == "" {
		return "", fmt.Errorf("asking for a consent: %w: no id", ErrAnswer)
	}
	return made.Data.ConsentID, nil
}

// Revoke ends a consent at the bank. A consent that the bank no longer knows counts as ended.
func (b *Bank) Revoke(ctx context.Context, id string) error {
	own, err := b.token(ctx, url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}})
	if err != nil {
		return fmt.Errorf("signing in to the bank: %w", err)
	}
	err = b.call(ctx, http.MethodDelete, b.url("/account-access-consents/"+url.PathEscape(id)), own.Access, nil, nil)
	var refused *refusal
	if errors.As(err, &refused) && refused.status == http.StatusBadRequest {
		return nil
	}
	return err
}

// AuthorizeURL is where the customer approves the consent (RFC 6749 §4.1.1 with RFC 7636).
func (b *Bank) AuthorizeURL(consent, state, challenge string) string {
	q := url.Values{
		"response_type": {"code"}, "client_id": {b.cfg.ClientID}, "redirect_uri": {b.cfg.RedirectURI}, "scope": {"accounts"}, "state": {state},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"}, "consent_id": {consent},
	}
	return strings.TrimSuffix(b.cfg.Issuer, "/") + "/authorize?" + q.Encode()
}

// Issuer is the name that the bank puts into its answers (RFC 9207).
func (b *Bank) Issuer() string { return b.cfg.Issuer }

// Exchange turns an authorisation code into tokens.
func (b *Bank) Exchange(ctx context.Context, code, verifier string) (Tokens, error) {
	return b.token(ctx, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {b.cfg.RedirectURI}, "code_verifier": {verifier}})
}

// Renew uses a refresh token. The old one is spent, so the caller must keep the new ones.
func (b *Bank) Renew(ctx context.Context, t Tokens) (Tokens, error) {
	return b.token(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {t.Refresh}})
}

func (b *Bank) token(ctx context.Context, form url.Values) (Tokens, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(b.cfg.Issuer, "/")+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		return Tokens{}, err
	}
	req.SetBasicAuth(url.QueryEscape(b.cfg.ClientID), url.QueryEscape(b.cfg.ClientSecret)) // RFC 6749 §2.3.1
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := b.cfg.HTTP.Do(req)
	if err != nil {
		return Tokens{}, fmt.Errorf("%w: %w", ErrBusy, scrub(err))
	}
	defer res.Body.Close()
	var out struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
		ExpiresIn    int64  `json:"expires_in"`
		Error        string `json:"error"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxBody)).Decode(&out); err != nil {
		return Tokens{}, fmt.Errorf("%w: token answer %d is not JSON", ErrAnswer, res.StatusCode)
	}
	switch {
	case out.Error == "invalid_grant":
		return Tokens{}, ErrConsentEnded
	case res.StatusCode != http.StatusOK || out.AccessToken == "":
		return Tokens{}, fmt.Errorf("%w: token answer %d", ErrAnswer, res.StatusCode)
	}
	return Tokens{Access: out.AccessToken, Refresh: out.RefreshToken, Expires: b.cfg.Now().Add(time.Duration(out.ExpiresIn) * time.Second)}, nil
}

// scrub drops the address from a transport error: it may carry a code or a state.
func scrub(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func (b *Bank) url(path string) string {
	return strings.TrimSuffix(b.cfg.Issuer, "/") + "/open-banking/v4.0/aisp" + path
}

// refusal is an answer that was not a success.
type refusal struct {
	status int
	code   string // the standard's U0xx, when there was one
}

func (r *refusal) Error() string {
	return strings.TrimSpace(fmt.Sprintf("the bank answered %d %s", r.status, r.code))
}

// call sends one request and decodes the answer. It waits and tries again when the bank is busy or broken: reads
// and consents may be repeated without harm.
func (b *Bank) call(ctx context.Context, method, address, token string, body []byte, into any) error {
	for attempt := 1; ; attempt++ {
		wait, err := b.once(ctx, method, address, token, body, into)
		if wait < 0 || err == nil {
			return err
		}
		if attempt == maxAttempts {
			return fmt.Errorf("%w after %d tries: %w", ErrBusy, attempt, err)
		}
		if wait == 0 {
			wait = time.Duration(attempt*attempt) * 250 * time.Millisecond
		}
		if err := b.cfg.Sleep(ctx, min(wait, maxWait)); err != nil {
			return err
		}
	}
}

// once returns a negative wait when another try is pointless, zero when the usual pause is right.
func (b *Bank) once(ctx context.Context, method, address, token string, body []byte, into any) (time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(string(body)))
	if err != nil {
		return -1, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("x-fapi-interaction-id", interaction())
	if ip, ok := ctx.Value(present{}).(string); ok {
		req.Header.Set("x-fapi-customer-ip-address", ip)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	res, err := b.cfg.HTTP.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return -1, ctx.Err()
		}
		return 0, scrub(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil {
		return 0, scrub(err)
	}
	if len(raw) > maxBody {
		return -1, fmt.Errorf("%w: more than %d bytes", ErrAnswer, maxBody)
	}
	switch {
	case res.StatusCode/100 == 2:
		if into == nil {
			return -1, nil
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return -1, fmt.Errorf("%w: not the expected JSON", ErrAnswer)
		}
		return -1, nil
	case res.StatusCode == http.StatusTooManyRequests:
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After")) // absent or odd: the usual pause
		return time.Duration(max(0, seconds)) * time.Second, &refusal{status: res.StatusCode}
	case res.StatusCode >= 500:
		return 0, &refusal{status: res.StatusCode}
	}
	var e struct{ Errors []struct{ ErrorCode string } }
	r := &refusal{status: res.StatusCode}
	if json.Unmarshal(raw, &e) == nil && len(e.Errors) > 0 && len(e.Errors[0].ErrorCode) == 4 {
		r.code = e.Errors[0].ErrorCode
	}
	switch {
	case res.StatusCode == http.StatusUnauthorized:
		return -1, fmt.Errorf("%w: %w", ErrConsentEnded, r)
	case res.StatusCode == http.StatusForbidden && r.code == "U028":
		return -1, fmt.Errorf("%w: %w", ErrReauthenticate, r)
	case res.StatusCode == http.StatusForbidden:
		return -1, fmt.Errorf("%w: %w", ErrConsentEnded, r)
	}
	return -1, r
}

// present is the context key of [Attended].
type present struct{}

// Attended says that the customer is at their screen, at this address. A bank counts other reads against a limit,
// so the header must not be sent without a customer.
func Attended(ctx context.Context, ip string) context.Context {
	return context.WithValue(ctx, present{}, ip)
}

func interaction() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
