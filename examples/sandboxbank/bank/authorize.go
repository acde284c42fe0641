package bank

import (
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"example.org/sandboxbank/town"
)

//go:embed pages/*.html pages/*.css
var pages embed.FS

// listed is how many customers the sign-in page shows; the rest are found by name.
const listed = 42

// request is a checked authorisation request.
type request struct {
	consent, redirectURI, state, challenge string
}

// pending is an authorisation page that waits for its answer. The form token makes sure that the answer comes
// from a page this bank drew.
type pending struct {
	request
	tenant  string
	expires time.Time
}

// page is what the template draws.
type page struct {
	Problem     string
	CSS         template.CSS
	Query       url.Values
	Tenants     []*town.Tenant
	More        int
	Search      string
	Tenant      *town.Tenant
	FormToken   string
	Permissions []string
	Expires     string
	Client      string
}

// Link returns the address of this page for one customer.
func (p page) Link(tenant string) string {
	q := url.Values{}
	for k, v := range p.Query {
		q[k] = v
	}
	q.Set("tenant", tenant)
	q.Del("search")
	return "/authorize?" + q.Encode()
}

// check validates an authorisation request (RFC 6749 §4.1.1, RFC 7636 §4.3). When the client or the redirect
// address is wrong the customer is told here and is sent nowhere; any other problem goes back to the client.
func (b *Bank) check(q url.Values) (req request, problem, oauthCode string) {
	req = request{consent: q.Get("consent_id"), redirectURI: q.Get("redirect_uri"), state: q.Get("state"), challenge: q.Get("code_challenge")}
	switch {
	case q.Get("client_id") != b.cfg.ClientID:
		return req, "The app that sent you here is not known to this bank.", ""
	case !slices.Contains(b.cfg.RedirectURIs, req.redirectURI):
		return req, "The app asked to return to an address it has not registered.", ""
	case q.Get("response_type") != "code":
		return req, "", "unsupported_response_type"
	case q.Get("scope") != "accounts":
		return req, "", "invalid_scope"
	case len(req.state) < 16, q.Get("code_challenge_method") != "S256", len(req.challenge) != 43:
		return req, "", "invalid_request"
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.consents[req.consent]; c == nil || (c.status != awaiting && c.settled(b.cfg.Now()) != authorised) {
		return req, "", "invalid_request"
	}
	return req, "", ""
}

func (b *Bank) showAuthorise(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	req, problem, code := b.check(q)
	switch {
	case problem != "":
		b.draw(w, http.StatusBadRequest, page{Problem: problem})
		return
	case code != "":
		b.back(w, r, req, url.Values{"error": {code}})
		return
	}
	b.mu.Lock()
	c := *b.consents[req.consent]
	b.mu.Unlock()
	p := page{Query: q, Client: b.cfg.ClientID, Search: q.Get("search"), Permissions: inWords(c.permissions)}
	if !c.expires.IsZero() {
		p.Expires = c.expires.Format("2 January 2006")
	}
	if id := q.Get("tenant"); id != "" {
		if p.Tenant = b.cfg.Town.Tenant(id); p.Tenant == nil {
			b.draw(w, http.StatusBadRequest, page{Problem: "There is no such customer."})
			return
		}
		p.FormToken = b.secret()
		b.mu.Lock()
		b.forms[hashed(p.FormToken)] = pending{request: req, tenant: id, expires: b.cfg.Now().Add(10 * time.Minute)}
		b.mu.Unlock()
	} else {
		for _, t := range b.cfg.Town.Tenants() {
			if p.Search != "" && !strings.Contains(strings.ToLower(t.Name+" "+t.ID), strings.ToLower(p.Search)) {
				continue
			}
			if len(p.Tenants) < listed {
				p.Tenants = append(p.Tenants, t)
			} else {
				p.More++
			}
		}
	}
	b.draw(w, http.StatusOK, p)
}

func (b *Bank) decideAuthorise(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	if err := r.ParseForm(); err != nil {
		b.draw(w, http.StatusBadRequest, page{Problem: "The form cannot be read."})
		return
	}
	f := r.PostForm
	key := hashed(f.Get("form"))
	b.mu.Lock()
	form, ok := b.forms[key]
	delete(b.forms, key)
	b.mu.Unlock()
	if !ok || b.cfg.Now().After(form.expires) {
		b.draw(w, http.StatusBadRequest, page{Problem: "This page has expired. Go back to the app and start again."})
		return
	}
	if f.Get("decision") != "approve" {
		b.mu.Lock()
		if c := b.consents[form.consent]; c != nil && c.status == awaiting {
			c.status, c.changed = rejected, b.cfg.Now().UTC()
		}
		b.mu.Unlock()
		b.back(w, r, form.request, url.Values{"error": {"access_denied"}})
		return
	}
	t := b.cfg.Town.Tenant(form.tenant)
	var chosen []string
	for _, a := range t.Accounts {
		if slices.Contains(f["account"], a.ID) {
			chosen = append(chosen, a.ID)
		}
	}
	if len(chosen) == 0 {
		b.draw(w, http.StatusBadRequest, page{Problem: "Tick at least one account. Go back and try again."})
		return
	}
	code := b.secret()
	b.mu.Lock()
	c := b.consents[form.consent]
	if c == nil || (c.tenant != "" && c.tenant != form.tenant) {
		b.mu.Unlock()
		b.back(w, r, form.request, url.Values{"error": {"invalid_request"}})
		return
	}
	c.status, c.changed, c.tenant, c.accounts = authorised, b.cfg.Now().UTC(), form.tenant, chosen
	b.grants[hashed(code)] = &grant{consent: c.id, redirectURI: form.redirectURI, challenge: form.challenge, expires: b.cfg.Now().Add(codeLife)}
	b.mu.Unlock()
	b.back(w, r, form.request, url.Values{"code": {code}})
}

// back returns to the client with its state and with our name (RFC 9207).
func (b *Bank) back(w http.ResponseWriter, r *http.Request, req request, q url.Values) {
	q.Set("state", req.state)
	q.Set("iss", b.cfg.BaseURL)
	sep := "?"
	if strings.Contains(req.redirectURI, "?") {
		sep = "&"
	}
	http.Redirect(w, r, req.redirectURI+sep+q.Encode(), http.StatusSeeOther)
}

// inWords says what a list of permissions means.
func inWords(permissions []string) []string {
	say := []struct{ code, words string }{
		{"ReadAccountsDetail", "Your account names, sort codes and numbers"},
		{"ReadAccountsBasic", "Your account types"},
		{"ReadBalances", "Your balances"},
		{"ReadTransactionsDetail", "Your transactions, with who they were to and from"},
		{"ReadTransactionsBasic", "Your transactions, without names"},
		{"ReadStandingOrdersDetail", "Your standing orders"},
		{"ReadDirectDebits", "Your direct debits"},
	}
	var words []string
	for _, s := range say {
		if slices.Contains(permissions, s.code) {
			words = append(words, s.words)
		}
	}
	return words
}

func (b *Bank) draw(w http.ResponseWriter, status int, p page) {
	css, _ := pages.ReadFile("pages/bank.css") // embedded
	p.CSS = template.CSS(css)
	t, err := template.ParseFS(pages, "pages/authorize.html")
	if err != nil {
		http.Error(w, "template", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Frame-Options", "DENY") // a framed approval could be clicked by mistake
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	_ = t.Execute(w, p) // the browser went away
}
