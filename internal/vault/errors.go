package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
)

// Failure is an answer that clients match on: its status and its text are
// Vault's own.
type Failure struct {
	Status int
	Text   string // "" is an empty list of errors
}

func (f *Failure) Error() string { return f.Text }

// Unwrap gives it a code, for the log. Vault answers 500 to some mistakes of
// the client; those are no fault of ours.
func (f *Failure) Unwrap() error {
	code := nightporter.Invalid
	switch f.Status {
	case http.StatusForbidden:
		code = nightporter.Denied
	case http.StatusNotFound:
		code = nightporter.NotFound
	case http.StatusServiceUnavailable:
		code = nightporter.Unavailable
	}
	return nightporter.E(code, "%s", f.Text)
}

// Bad refuses a request: 400.
func Bad(format string, args ...any) error {
	return &Failure{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// Refuse refuses a request with a status.
func Refuse(status int, format string, args ...any) error {
	return &Failure{status, fmt.Sprintf(format, args...)}
}

// RefuseIn refuses with the text that Vault makes of an error that passed
// through its core: "1 error occurred: …".
func RefuseIn(status int, format string, args ...any) error {
	return &Failure{status, inCore(fmt.Sprintf(format, args...))}
}

func inCore(text string) string { return "1 error occurred:\n\t* " + text + "\n\n" }

// The failures that have one text everywhere.
var (
	errPermission   = &Failure{http.StatusForbidden, "permission denied"}
	errPath         = &Failure{http.StatusNotFound, inCore("unsupported path")}
	errOperation    = &Failure{http.StatusMethodNotAllowed, inCore("unsupported operation")}
	errNotFound     = &Failure{http.StatusNotFound, ""}
	errMethod       = &Failure{http.StatusMethodNotAllowed, ""}
	errInternalOnly = &Failure{http.StatusBadRequest, "cannot handle internal-only request operation"}
)

// failureOf is what a client of Vault is told of err.
func failureOf(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	message := nightporter.MessageOf(err)
	switch nightporter.CodeOf(err) {
	case nightporter.Unauthenticated:
		return errPermission
	case nightporter.Denied:
		return &Failure{http.StatusForbidden, inCore("permission denied")}
	case nightporter.NotFound:
		return errNotFound
	case nightporter.Sealed:
		return &Failure{http.StatusServiceUnavailable, "Vault is sealed"}
	case nightporter.Invalid, nightporter.Conflict, nightporter.Declared, nightporter.Frozen, nightporter.KeyReused:
		return &Failure{http.StatusBadRequest, message}
	case nightporter.Protected, nightporter.OwnChange:
		return &Failure{http.StatusForbidden, message}
	case nightporter.Limited:
		return &Failure{http.StatusTooManyRequests, message}
	case nightporter.Unavailable:
		return &Failure{http.StatusServiceUnavailable, message}
	}
	return &Failure{http.StatusInternalServerError, inCore(message)}
}

// Errors writes errors under /v1/ the way Vault does.
func (v *Vault) Errors() httpapi.ErrorWriter {
	return func(w http.ResponseWriter, r *http.Request, err error) {
		f := failureOf(err)
		list := []string{}
		if f.Text != "" {
			list = []string{f.Text}
		}
		body, merr := json.Marshal(map[string][]string{"errors": list})
		if merr != nil { // a list of strings
			body = []byte(`{"errors":[]}`)
		}
		send(w, r, f.Status, "application/json", append(body, '\n'))
	}
}

// send writes an answer that is complete.
func send(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	if status == http.StatusNoContent {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that went away is no fault of ours
	}
}

// Unsupported is the answer to an operation that a path does not have: 405.
func Unsupported() error { return errOperation }
