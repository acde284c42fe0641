package metrics

import (
	"encoding/json"
	"net/http"

	"nightporter.dev/nightporter"
)

// WriteError answers err as Prometheus's HTTP API does, so that its clients show
// the message.
func WriteError(w http.ResponseWriter, _ *http.Request, err error) {
	status, kind := http.StatusInternalServerError, "internal"
	switch nightporter.CodeOf(err) {
	case nightporter.Invalid:
		status, kind = http.StatusBadRequest, "bad_data"
	case nightporter.Unauthenticated:
		status, kind = http.StatusUnauthorized, "unauthorized"
	case nightporter.Denied:
		status, kind = http.StatusForbidden, "forbidden"
	case nightporter.NotFound:
		status, kind = http.StatusNotFound, "not_found"
	case nightporter.Limited:
		status, kind = http.StatusTooManyRequests, "unavailable"
		orRetryAfter(w, "1")
	case nightporter.Unavailable, nightporter.Sealed:
		status, kind = http.StatusServiceUnavailable, "unavailable"
		orRetryAfter(w, "5")
	}
	WriteJSON(w, status, map[string]any{"status": "error", "errorType": kind, "error": nightporter.MessageOf(err)})
}

func orRetryAfter(w http.ResponseWriter, seconds string) {
	if w.Header().Get("Retry-After") == "" {
		w.Header().Set("Retry-After", seconds)
	}
}

// WriteJSON answers v in one line, as Prometheus's HTTP API does.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // v is one of ours: strings and numbers
		b, status = []byte(`{"status":"error"}`), http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}
