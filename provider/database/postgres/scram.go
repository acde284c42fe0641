package postgres

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"nightporter.dev/nightporter"
)

// scramIterations is PostgreSQL's own number.
const scramIterations = 4096

// scramVerifier computes what PostgreSQL would store for a password (RFC 5803,
// RFC 7677), so that the password itself reaches neither the server nor its log.
// Only ASCII: other characters would have to be prepared as in RFC 4013 first.
func scramVerifier(password string) (string, error) {
	for _, c := range []byte(password) {
		if c < ' ' || c > '~' {
			return "", nightporter.E(nightporter.Invalid, "password_authentication %q takes printable ASCII passwords only", "scram-sha-256")
		}
	}
	salt := make([]byte, 16)
	rand.Read(salt) // never fails: crypto/rand ends the program instead
	salted, err := pbkdf2.Key(sha256.New, password, salt, scramIterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("computing the SCRAM verifier: %w", err)
	}
	stored := sha256.Sum256(sign(salted, "Client Key"))
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", scramIterations, encode(salt), encode(stored[:]), encode(sign(salted, "Server Key"))), nil
}

func sign(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
