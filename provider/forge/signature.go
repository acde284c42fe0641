package forge

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
)

// SignatureHeader carries a webhook's signature on GitHub, Gitea and Forgejo.
const SignatureHeader = "X-Hub-Signature-256"

// Sign returns the value of [SignatureHeader] for body: "sha256=" and the
// HMAC-SHA256 in hexadecimal.
func Sign(secret, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// Verify checks the signature of body in constant time. An empty secret verifies
// nothing: it would let anybody sign.
func Verify(secret []byte, header http.Header, body []byte) error {
	if len(secret) == 0 {
		return &SignatureError{Reason: "no secret is configured"}
	}
	given := header.Values(SignatureHeader)
	if len(given) != 1 {
		return &SignatureError{Reason: "not exactly one signature"}
	}
	hexsum, ok := strings.CutPrefix(given[0], "sha256=")
	if !ok {
		return &SignatureError{Reason: "signature is not sha256"}
	}
	sum, err := hex.DecodeString(hexsum)
	if err != nil {
		return &SignatureError{Reason: "signature is not hexadecimal"}
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	if !hmac.Equal(sum, mac.Sum(nil)) {
		return &SignatureError{Reason: "signature does not match"}
	}
	return nil
}
