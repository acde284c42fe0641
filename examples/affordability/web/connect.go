package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"example.org/affordability/obie"
	"example.org/affordability/store"
)

// flowLife is how long a customer may stay on the bank's pages.
const flowLife = 15 * time.Minute

// begin asks the bank for a consent and returns where to send the customer.
func (s *Server) begin(ctx context.Context, v visitor) (id, address string, err error) {
	bankID, err := s.cfg.Bank.Consent(ctx)
	if err != nil {
		return "", "", err
	}
	now := s.cfg.Now()
	c := consent{ID: newID(), BankID: bankID, Status: waiting, Made: now}
	if err := s.put(ctx, store.Consent, v.id, c.ID, "", c); err != nil {
		return "", "", err
	}
	state, verifier := newID(), newID()+newID()
	sum := sha256.Sum256([]byte(verifier))
	if err := s.put(ctx, store.Flow, v.id, newID(), hashed(state), flow{Consent: c.ID, Verifier: verifier, Until: now.Add(flowLife)}); err != nil {
		return "", "", err
	}
	return c.ID, s.cfg.Bank.AuthorizeURL(bankID, state, base64.RawURLEncoding.EncodeToString(sum[:])), nil
}

func (s *Server) doConnect(w http.ResponseWriter, r *http.Request, v visitor) {
	v, err := s.welcome(w, r, v)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	_, address, err := s.begin(r.Context(), v)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// callback is where the bank sends the customer back. The state must be one that this very session began, once; the
// answer must name the bank that was asked (RFC 9207).
func (s *Server) callback(w http.ResponseWriter, r *http.Request, v visitor) {
	q := r.URL.Query()
	rec, err := s.cfg.Store.Find(r.Context(), store.Flow, hashed(q.Get("state")))
	if errors.Is(err, store.ErrNotFound) || err == nil && (v.id == "" || rec.Owner != v.id) {
		s.fail(w, r, errForged)
		return
	}
	var f flow
	if err == nil {
		err = s.open(rec, &f)
	}
	if err == nil {
		err = s.cfg.Store.Delete(r.Context(), store.Flow, v.id, rec.ID) // one use
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if s.cfg.Now().After(f.Until) || subtle.ConstantTimeCompare([]byte(q.Get("iss")), []byte(s.cfg.Bank.Issuer())) != 1 {
		s.fail(w, r, errForged)
		return
	}
	var c consent
	if err := s.get(r.Context(), store.Consent, v.id, f.Consent, &c); err != nil {
		s.fail(w, r, err)
		return
	}
	if q.Get("error") != "" || q.Get("code") == "" {
		_ = s.cfg.Store.Delete(r.Context(), store.Consent, v.id, c.ID) // nothing was given
		http.Redirect(w, r, "/?denied=1", http.StatusSeeOther)
		return
	}
	if c.Tokens, err = s.cfg.Bank.Exchange(r.Context(), q.Get("code"), f.Verifier); err != nil {
		s.fail(w, r, err)
		return
	}
	c.Status, c.Confirmed = given, s.cfg.Now()
	if err := s.put(r.Context(), store.Consent, v.id, c.ID, "", c); err != nil {
		s.fail(w, r, err)
		return
	}
	if _, err := s.startReading(r.Context(), v, c, clientIP(r)); err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/profile", http.StatusSeeOther)
}

func clientIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// startReading records the reading, then reads the bank in the background.
func (s *Server) startReading(ctx context.Context, v visitor, c consent, ip string) (string, error) {
	p := reading{ID: newID(), State: underWay, Made: s.cfg.Now()}
	if old, err := s.latest(ctx, v); err == nil {
		p.Answers = old.Answers
	}
	if err := s.put(ctx, store.Profile, v.id, p.ID, "", p); err != nil {
		return "", err
	}
	s.jobs.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, 2*time.Minute)
		defer cancel()
		err := s.read(obie.Attended(ctx, ip), v, c, p)
		if err == nil {
			return
		}
		s.metrics.bank(outcome(err))
		s.cfg.Log.Warn("reading the bank failed", "outcome", outcome(err))
		p.State, p.Problem = failed, problemOf(err).says
		keep, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer stop()
		if err := s.put(keep, store.Profile, v.id, p.ID, "", p); err != nil {
			s.cfg.Log.Error("keeping the outcome of a reading failed", "error", err)
		}
	})
	return p.ID, nil
}

// read fetches the statement. A token that has run out is renewed once; a consent that the bank ended is marked so.
func (s *Server) read(ctx context.Context, v visitor, c consent, p reading) error {
	if !c.readable(s.cfg.Now()) {
		return errConfirm
	}
	renew := func() error {
		t, err := s.cfg.Bank.Renew(ctx, c.Tokens)
		if err != nil {
			return err
		}
		c.Tokens = t
		return s.put(ctx, store.Consent, v.id, c.ID, "", c) // the old refresh token is spent
	}
	renewed := s.cfg.Now().After(c.Tokens.Expires.Add(-30 * time.Second))
	if renewed {
		if err := renew(); err != nil {
			return s.mark(ctx, v, c, err)
		}
	}
	st, err := s.cfg.Bank.Read(ctx, c.Tokens.Access)
	if errors.Is(err, obie.ErrConsentEnded) && !renewed {
		if err = renew(); err == nil {
			st, err = s.cfg.Bank.Read(ctx, c.Tokens.Access)
		}
	}
	if err != nil {
		return s.mark(ctx, v, c, err)
	}
	if err := s.put(ctx, store.Lines, v.id, p.ID, "", st); err != nil {
		return err
	}
	p.State = isReady
	if err := s.put(ctx, store.Profile, v.id, p.ID, "", p); err != nil {
		return err
	}
	s.metrics.bank("ok")
	return nil
}

// mark notes that the bank ended a consent.
func (s *Server) mark(ctx context.Context, v visitor, c consent, err error) error {
	if errors.Is(err, obie.ErrConsentEnded) || errors.Is(err, obie.ErrReauthenticate) {
		c.Status, c.Tokens = ended, obie.Tokens{}
		if keep := s.put(ctx, store.Consent, v.id, c.ID, "", c); keep != nil {
			return errors.Join(err, keep)
		}
	}
	return err
}

// revoke ends a consent at the bank and here. What was read stays until the visitor deletes it.
func (s *Server) revoke(ctx context.Context, c *consent) error {
	if c.Status == given {
		if err := s.cfg.Bank.Revoke(ctx, c.BankID); err != nil {
			return fmt.Errorf("ending the consent: %w", err)
		}
	}
	c.Status, c.Tokens = ended, obie.Tokens{}
	return nil
}

func (s *Server) doRead(w http.ResponseWriter, r *http.Request, v visitor) {
	c, err := s.usable(r.Context(), v)
	if err == nil {
		_, err = s.startReading(r.Context(), v, *c, clientIP(r))
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/profile", http.StatusSeeOther)
}

// usable finds the newest consent that may be read.
func (s *Server) usable(ctx context.Context, v visitor) (*consent, error) {
	list, err := s.consents(ctx, v)
	if err != nil {
		return nil, err
	}
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].readable(s.cfg.Now()) {
			return &list[i], nil
		}
	}
	for _, c := range list {
		if c.Status == given {
			return nil, errConfirm
		}
	}
	return nil, errNoConsent
}

func (s *Server) doConfirm(w http.ResponseWriter, r *http.Request, v visitor) {
	var c consent
	err := s.get(r.Context(), store.Consent, v.id, r.PostFormValue("id"), &c)
	if err == nil && c.Status == given {
		c.Confirmed = s.cfg.Now()
		err = s.put(r.Context(), store.Consent, v.id, c.ID, "", c)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/data?confirmed=1", http.StatusSeeOther)
}

func (s *Server) doRevoke(w http.ResponseWriter, r *http.Request, v visitor) {
	var c consent
	err := s.get(r.Context(), store.Consent, v.id, r.PostFormValue("id"), &c)
	if err == nil {
		if err = s.revoke(r.Context(), &c); err == nil {
			err = s.put(r.Context(), store.Consent, v.id, c.ID, "", c)
		}
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/data?revoked=1", http.StatusSeeOther)
}

func (s *Server) doDelete(w http.ResponseWriter, r *http.Request, v visitor) {
	if r.PostFormValue("sure") != "yes" {
		http.Redirect(w, r, "/data#delete", http.StatusSeeOther)
		return
	}
	if err := s.forget(r.Context(), v); err != nil {
		s.fail(w, r, err)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: s.cookieName(), Path: "/", MaxAge: -1, HttpOnly: true, Secure: s.secure(), SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/?"+url.Values{"deleted": {"1"}}.Encode(), http.StatusSeeOther)
}

// forget ends every consent at the bank and removes everything. When the bank does not answer, the data goes all the
// same: the right to be forgotten does not wait for a third party, and a consent that nobody holds tokens for is inert.
func (s *Server) forget(ctx context.Context, v visitor) error {
	if v.id == "" {
		return store.ErrNotFound
	}
	list, err := s.consents(ctx, v)
	if err != nil {
		s.cfg.Log.Warn("reading consents before deleting failed", "error", err)
	}
	for i := range list {
		if err := s.revoke(ctx, &list[i]); err != nil {
			s.metrics.bank("revoke_failed")
		}
	}
	return s.cfg.Store.DeleteOwner(ctx, v.id)
}
