package bank

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Lifetimes of what the bank hands out.
const (
	codeLife   = time.Minute
	accessLife = 15 * time.Minute
)

type tokenKind int

const (
	forClient tokenKind = iota
	forCustomer
)

// token is an access or refresh token; only its hash is kept.
type token struct {
	kind    tokenKind
	consent string
	expires time.Time // zero for refresh tokens: they live as long as their consent
	revoked bool
}

// grant is an authorisation code that has not been exchanged yet.
type grant struct {
	consent     string
	redirectURI string
	challenge   string
	expires     time.Time
	used        bool
}

func hashed(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }

func (b *Bank) secret() string { return base64.RawURLEncoding.EncodeToString(b.cfg.random(32)) }

// metadata is RFC 8414.
func (b *Bank) metadata(w http.ResponseWriter, _ *http.Request) {
	u := b.cfg.BaseURL
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer": u, "authorization_endpoint": u + "/authorize", "token_endpoint": u + "/token", "scopes_supported": []string{"accounts"},
		"response_types_supported": []string{"code"}, "grant_types_supported": []string{"authorization_code", "client_credentials", "refresh_token"},
		"code_challenge_methods_supported": []string{"S256"}, "token_endpoint_auth_methods_supported": []string{"client_secret_basic"},
		"authorization_response_iss_parameter_supported": true,
	})
}

// oauthError is RFC 6749 §5.2.
func oauthError(w http.ResponseWriter, status int, code, description string) {
	writeJSON(w, status, map[string]string{"error": code, "error_description": description})
}

func (b *Bank) issueToken(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	id, secret, ok := r.BasicAuth()
	if s, err := url.QueryUnescape(secret); err == nil { // RFC 6749 §2.3.1: both halves are form-encoded
		secret = s
	}
	if !ok || subtle.ConstantTimeCompare([]byte(id), []byte(b.cfg.ClientID)) != 1 || subtle.ConstantTimeCompare([]byte(hashed(secret)), []byte(hashed(b.cfg.ClientSecret))) != 1 {
		w.Header().Set("WWW-Authenticate", `Basic realm="token"`)
		oauthError(w, http.StatusUnauthorized, "invalid_client", "client authentication failed")
		return
	}
	if err := r.ParseForm(); err != nil {
		oauthError(w, http.StatusBadRequest, "invalid_request", "the form cannot be read")
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch f := r.PostForm; f.Get("grant_type") {
	case "client_credentials":
		b.hand(w, token{kind: forClient}, false)
	case "authorization_code":
		b.exchange(w, f)
	case "refresh_token":
		b.renew(w, f)
	default:
		oauthError(w, http.StatusBadRequest, "unsupported_grant_type", "use client_credentials, authorization_code or refresh_token")
	}
}

// exchange turns a code into tokens: once, within a minute, for whoever knows the verifier (RFC 7636 §4.6).
func (b *Bank) exchange(w http.ResponseWriter, f url.Values) {
	g := b.grants[hashed(f.Get("code"))]
	if g == nil || b.cfg.Now().After(g.expires) {
		oauthError(w, http.StatusBadRequest, "invalid_grant", "the code is unknown or has expired")
		return
	}
	if g.used { // RFC 6749 §4.1.2: a code seen twice ends what the first use gave
		if c := b.consents[g.consent]; c != nil {
			b.cancel(c)
		}
		oauthError(w, http.StatusBadRequest, "invalid_grant", "the code was used before")
		return
	}
	sum := sha256.Sum256([]byte(f.Get("code_verifier")))
	if g.redirectURI != f.Get("redirect_uri") || subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(g.challenge)) != 1 {
		oauthError(w, http.StatusBadRequest, "invalid_grant", "the code does not belong to this request")
		return
	}
	g.used = true
	b.hand(w, token{kind: forCustomer, consent: g.consent}, true)
}

func (b *Bank) renew(w http.ResponseWriter, f url.Values) {
	t := b.refresh[hashed(f.Get("refresh_token"))]
	if t == nil || t.revoked || b.consents[t.consent] == nil || b.consents[t.consent].settled(b.cfg.Now()) != authorised {
		oauthError(w, http.StatusBadRequest, "invalid_grant", "the refresh token is not valid")
		return
	}
	t.revoked = true // one use each
	b.hand(w, token{kind: forCustomer, consent: t.consent}, true)
}

// hand issues an access token and, for a customer, a refresh token. The caller holds the lock.
func (b *Bank) hand(w http.ResponseWriter, t token, withRefresh bool) {
	t.expires = b.cfg.Now().Add(accessLife)
	access := b.secret()
	b.tokens[hashed(access)] = &t
	answer := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": int(accessLife / time.Second), "scope": "accounts"}
	if withRefresh {
		again := b.secret()
		b.refresh[hashed(again)] = &token{kind: forCustomer, consent: t.consent}
		answer["refresh_token"] = again
	}
	writeJSON(w, http.StatusOK, answer)
}

// bearer finds the token of a request, or nil. The caller holds the lock.
func (b *Bank) bearer(r *http.Request) *token {
	raw, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil
	}
	t := b.tokens[hashed(raw)]
	if t == nil || t.revoked || !b.cfg.Now().Before(t.expires) {
		return nil
	}
	return t
}

// client guards what the aggregator does in its own name.
func (b *Bank) client(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		t := b.bearer(r)
		b.mu.Unlock()
		if t == nil || t.kind != forClient {
			bare(w, http.StatusUnauthorized)
			return
		}
		next(w, r)
	})
}

// view is what one request of a customer's token may see.
type view struct {
	consent consent // a copy
	faults  shown
}

// customer guards what is read in a customer's name, and is where faults strike.
func (b *Bank) customer(next func(http.ResponseWriter, *http.Request, view)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		t := b.bearer(r)
		var c *consent
		if t != nil {
			c = b.consents[t.consent]
		}
		var v view
		status := ""
		if c != nil {
			status = c.settled(b.cfg.Now())
			v.consent = *c
			v.consent.accounts = slices.Clone(c.accounts)
		}
		b.mu.Unlock()
		switch {
		case t == nil || t.kind != forCustomer || c == nil:
			bare(w, http.StatusUnauthorized)
			return
		case status != authorised:
			refuse(w, http.StatusForbidden, codeConsentStatus, "the consent is not authorised any more", "")
			return
		}
		var stopped bool
		if v.faults, stopped = b.strike(w, r, v.consent.id); stopped {
			return
		}
		next(w, r, v)
	})
}
