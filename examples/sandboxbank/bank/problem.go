package bank

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
)

// Error codes of the v4.0 code list (OBExternalStatusReason1Code).
const (
	codeFieldInvalid   = "U002"
	codeFieldMissing   = "U004"
	codeConsentStatus  = "U009"
	codeNotFound       = "U011"
	codeReauthenticate = "U028"
	codeUnexpected     = "U000"
)

type wireError struct {
	ErrorCode string
	Message   string `json:",omitempty"`
	Path      string `json:",omitempty"`
}

type wireErrors struct {
	ID      string `json:"Id,omitempty"`
	Code    string
	Message string
	Errors  []wireError
}

// refuse answers with the standard's error body.
func refuse(w http.ResponseWriter, status int, code, message, path string) {
	writeJSON(w, status, wireErrors{
		ID: truncate(w.Header().Get("x-fapi-interaction-id"), 40), Code: fmt.Sprintf("%d %s", status, http.StatusText(status)), Message: message,
		Errors: []wireError{{ErrorCode: code, Message: message, Path: path}},
	})
}

// bare answers with a status alone: the standard gives 401, 404 and 429 no body.
func bare(w http.ResponseWriter, status int) { w.WriteHeader(status) }

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the client went away
}

func truncate(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

func (b *Bank) uuid() string {
	r := b.cfg.random(16)
	r[6], r[8] = r[6]&0x0f|0x40, r[8]&0x3f|0x80
	h := hex.EncodeToString(r)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
