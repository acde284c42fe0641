package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"nightporter.dev/nightporter"
)

// Problem is the body of an answer that is an error, as application/problem+json
// (RFC 9457) with three members of ours: code, request_id and hint.
type Problem struct {
	Type      string           `json:"type"`
	Title     string           `json:"title"`
	Status    int              `json:"status"`
	Detail    string           `json:"detail,omitempty"`
	Code      nightporter.Code `json:"code"`
	RequestID string           `json:"request_id,omitempty"`
	Hint      string           `json:"hint,omitempty"`
}

// ErrorWriter answers a request with an error. [WriteProblem] is ours; foreign
// protocols such as Vault's have their own.
type ErrorWriter func(w http.ResponseWriter, r *http.Request, err error)

// StatusOf returns the HTTP status that the API promises for a code. An unknown
// code is a fault of ours.
func StatusOf(code nightporter.Code) int {
	switch code {
	case nightporter.Invalid:
		return http.StatusBadRequest
	case nightporter.Unauthenticated:
		return http.StatusUnauthorized
	case nightporter.Denied, nightporter.OwnChange, nightporter.Protected:
		return http.StatusForbidden
	case nightporter.NotFound:
		return http.StatusNotFound
	case nightporter.Conflict, nightporter.Frozen, nightporter.Declared:
		return http.StatusConflict
	case nightporter.KeyReused:
		return http.StatusUnprocessableEntity
	case nightporter.Limited:
		return http.StatusTooManyRequests
	case nightporter.Sealed, nightporter.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// ProblemOf says what a client may know of err.
func ProblemOf(ctx context.Context, err error) Problem {
	err = classify(err)
	code := nightporter.CodeOf(err)
	return Problem{
		Type:      "urn:nightporter:problem:" + string(code),
		Title:     titles[code],
		Status:    StatusOf(code),
		Detail:    nightporter.MessageOf(err),
		Code:      code,
		RequestID: nightporter.RequestIDFrom(ctx),
		Hint:      nightporter.HintOf(err),
	}
}

// titles do not change with the occurrence (RFC 9457 §3.1.3).
var titles = map[nightporter.Code]string{
	nightporter.Invalid:         "The request is wrong",
	nightporter.Unauthenticated: "Not signed in",
	nightporter.Denied:          "Not allowed",
	nightporter.OwnChange:       "Not your own change",
	nightporter.Protected:       "Protected",
	nightporter.NotFound:        "Not found",
	nightporter.Conflict:        "Not now",
	nightporter.Frozen:          "Frozen",
	nightporter.Declared:        "Declared in the configuration",
	nightporter.KeyReused:       "Idempotency-Key used before",
	nightporter.Limited:         "Too much, too fast",
	nightporter.Internal:        "Something went wrong",
	nightporter.Sealed:          "Sealed",
	nightporter.Unavailable:     "Unavailable",
}

// classify gives a code to errors of the standard library that are not our
// fault.
func classify(err error) error {
	var coded *nightporter.Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &coded):
		return err
	case errors.As(err, &tooLarge):
		return nightporter.Wrap(err, nightporter.Invalid, "the body is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, context.DeadlineExceeded):
		return nightporter.Wrap(err, nightporter.Unavailable, "it took too long")
	case errors.Is(err, context.Canceled):
		// The client hung up, usually. One that only closed its half of the
		// connection still reads, and must not take silence for success.
		return nightporter.Wrap(err, nightporter.Unavailable, "the request was cancelled")
	}
	return err
}

// WriteProblem answers with err as application/problem+json. It writes nothing
// about the cause, and does not log.
func WriteProblem(w http.ResponseWriter, r *http.Request, err error) {
	p := ProblemOf(r.Context(), err)
	h := w.Header()
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer") // RFC 9110 §15.5.2 demands one
	case http.StatusServiceUnavailable:
		if h.Get("Retry-After") == "" {
			h.Set("Retry-After", "5")
		}
	}
	writeJSON(w, "application/problem+json", p.Status, p)
}

// retryAfter tells a client when to come back, in whole seconds, at least one.
func retryAfter(w http.ResponseWriter, d time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int((d+time.Second-1)/time.Second))))
}
