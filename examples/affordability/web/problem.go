package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"example.org/affordability/obie"
	"example.org/affordability/store"
)

// Errors of this package.
var (
	errNotFound  = store.ErrNotFound
	errForged    = errors.New("the answer does not belong to a request of this session")
	errConfirm   = errors.New("the consent must be confirmed again")
	errNoConsent = errors.New("no bank is connected")
	errInput     = errors.New("the input is not valid")
)

// problem is what a reader gets for an error: a code for programs, a sentence for people, nothing of the cause.
type problem struct {
	status int
	code   string
	says   string
}

func problemOf(err error) problem {
	for _, p := range []struct {
		err error
		problem
	}{
		{errForged, problem{http.StatusForbidden, "denied", "This answer does not belong to a connection that you began here. Start again from the first page."}},
		{errConfirm, problem{http.StatusForbidden, "confirm", "Ninety days have passed. Confirm on the data page that we may read your accounts again."}},
		{errNoConsent, problem{http.StatusConflict, "conflict", "No bank is connected."}},
		{errInput, problem{http.StatusBadRequest, "invalid", "One of the values is missing or out of range."}},
		{store.ErrNotFound, problem{http.StatusNotFound, "not_found", "There is nothing here for you."}},
		{obie.ErrConsentEnded, problem{http.StatusBadGateway, "consent_ended", "Your bank says that the consent has ended. Connect again to read it."}},
		{obie.ErrReauthenticate, problem{http.StatusBadGateway, "reauthenticate", "Your bank asks you to sign in again. Connect again to read it."}},
		{obie.ErrBusy, problem{http.StatusServiceUnavailable, "bank_unavailable", "Your bank is busy or does not answer. Nothing was kept; try again in a few minutes."}},
		{obie.ErrEndless, problem{http.StatusBadGateway, "bank_answer", "Your bank’s pages do not end, so the reading was stopped. No figures were made from part of it."}},
		{obie.ErrForeignPage, problem{http.StatusBadGateway, "bank_answer", "Your bank pointed to another address, so the reading was stopped. No figures were made from part of it."}},
		{obie.ErrAnswer, problem{http.StatusBadGateway, "bank_answer", "Your bank sent something that does not follow the standard, so the reading was stopped rather than guessed."}},
	} {
		if errors.Is(err, p.err) {
			return p.problem
		}
	}
	return problem{http.StatusInternalServerError, "internal", "Something went wrong on our side."}
}

// outcome is the error as a metric label and a log word: one of a few, never a text from outside.
func outcome(err error) string { return problemOf(err).code }

// fail answers with a page or, for programs, with RFC 9457.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	if p.status == http.StatusInternalServerError {
		s.cfg.Log.Error("request failed", "route", r.Pattern, "error", err)
	}
	if strings.HasPrefix(r.URL.Path, "/v1/") && r.URL.Path != "/v1/callback" {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(p.status)
		_ = json.NewEncoder(w).Encode(map[string]any{"type": "about:blank", "title": http.StatusText(p.status), "status": p.status, "detail": p.says, "code": p.code}) // the client went away
		return
	}
	s.draw(w, r, p.status, "problem", view{Title: "This did not work", Problem: p.says})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the client went away
}
