package githubtest

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"
)

// Fault is what goes wrong until the next [Server.SetFault]. The zero Fault is
// nothing.
type Fault struct {
	// Unreachable closes every connection without an answer.
	Unreachable bool
	// Status, unless 0, is what every call of the API answers: 502.
	Status int
	// LimitedUntil, unless zero, refuses every call of the API until then for
	// having asked too much.
	LimitedUntil time.Time
	// Forbidden, unless empty, refuses every REST call that writes for want of
	// this permission: "contents=write".
	Forbidden string
	// SlowAbove, unless 0, lets a GraphQL query for pages of more repositories
	// than that time out, as GitHub does when it works longer than 10 seconds.
	SlowAbove int
	// LoseAnswers does what a REST call that writes asks, and then closes the
	// connection without an answer.
	LoseAnswers bool
	// StaleAssociations lets GraphQL not know yet which pull request brought a
	// commit, as on GitHub in the seconds after a merge.
	StaleAssociations bool
	// Latency is how long each call of the API takes, and PerNode what each
	// element of a list in a GraphQL answer adds.
	Latency, PerNode time.Duration
	// Secondary, unless 0, refuses every write for having come too fast, and
	// asks to wait this long.
	Secondary time.Duration
	// HalfPages lets GraphQL show half of a page of repositories and say that
	// it was the last one.
	HalfPages bool
	// Stale lets GraphQL tell repositories' settings as they were when this
	// fault was set.
	Stale bool
	// HideTeams and HideOrganisationRules refuse to show those.
	HideTeams, HideOrganisationRules bool
	// Webhooks says what happens to the next webhooks.
	Webhooks WebhookFault
}

// WebhookFault is what happens to webhooks.
type WebhookFault int

// The faults of webhooks.
const (
	Deliver   WebhookFault = iota // each once, in order
	Lose                          // none arrives
	Duplicate                     // each arrives twice, with one id
	Hold                          // none arrives until [Server.SendHeld], which sends them in reverse order
)

// SetFault replaces the fault that is in force.
func (s *Server) SetFault(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
	for _, r := range s.repos {
		r.stale = nil
		if f.Stale {
			c := r.conf.clone()
			r.stale = &c
		}
	}
}

func (s *Server) faultNow() Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

// refuse answers for the fault in force, and says whether it did.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, f Fault) bool {
	limited := s.now().Before(f.LimitedUntil)
	w.Header().Set("X-RateLimit-Limit", "5000")
	w.Header().Set("X-RateLimit-Remaining", "4999")
	w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(s.now().Add(time.Hour).Unix(), 10))
	if left, reset, ok := s.spend(); ok {
		w.Header().Set("X-RateLimit-Limit", strconv.Itoa(s.cfg.Quota))
		w.Header().Set("X-RateLimit-Remaining", strconv.Itoa(max(0, left)))
		w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10))
		if left < 0 {
			limited, f.LimitedUntil = true, reset
		}
	}
	switch {
	case f.Status != 0:
		writeError(w, f.Status, "Server Error")
	case limited:
		w.Header().Set("X-RateLimit-Remaining", "0")
		w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(f.LimitedUntil.Unix(), 10))
		if r.URL.Path == "/graphql" {
			writeJSON(w, http.StatusOK, map[string]any{"errors": []any{map[string]any{
				"type": "RATE_LIMITED", "message": "API rate limit exceeded for installation ID 1.",
			}}})
			return true
		}
		writeError(w, http.StatusForbidden, "API rate limit exceeded for installation ID 1.")
	case f.Secondary > 0 && r.Method != http.MethodGet && !isQuery(r):
		w.Header().Set("Retry-After", strconv.Itoa(int(f.Secondary.Seconds())))
		writeJSON(w, http.StatusForbidden, map[string]any{
			"message":           "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
			"documentation_url": "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits",
		})
	case f.Forbidden != "" && r.Method != http.MethodGet && r.URL.Path != "/graphql":
		w.Header().Set("X-Accepted-GitHub-Permissions", f.Forbidden)
		writeError(w, http.StatusForbidden, "Resource not accessible by integration")
	default:
		return false
	}
	return true
}

// quota is what an hour allows.
type quota struct {
	used  int
	reset time.Time
}

// spend takes one from the quota and says what is left.
func (s *Server) spend() (left int, reset time.Time, ok bool) {
	if s.cfg.Quota == 0 {
		return 0, time.Time{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); !now.Before(s.quota.reset) {
		s.quota = quota{reset: now.Add(time.Hour)}
	}
	s.quota.used++
	return s.cfg.Quota - s.quota.used, s.quota.reset, true
}

// isQuery says whether a call of GraphQL only reads.
func isQuery(r *http.Request) bool {
	if r.URL.Path != "/graphql" {
		return false
	}
	body := readBody(r)
	r.Body = body.again()
	return !bytes.Contains(body.bytes, []byte(`"query":"mutation`)) && !bytes.Contains(body.bytes, []byte(`"query":"\nmutation`))
}

// slow takes the time that the fault says, and says whether the caller is still
// there.
func (s *Server) slow(r *http.Request, rec *httptest.ResponseRecorder, f Fault) bool {
	nodes, _ := strconv.Atoi(rec.Header().Get(nodesHeader))
	rec.Header().Del(nodesHeader)
	wait := f.Latency + time.Duration(nodes)*f.PerNode
	if wait == 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

func writeError(w http.ResponseWriter, code int, message string, errors ...map[string]any) {
	body := map[string]any{
		"message": message, "status": fmt.Sprint(code),
		"documentation_url": "https://docs.github.com/rest",
	}
	if len(errors) > 0 {
		body["errors"] = errors
	}
	writeJSON(w, code, body)
}
