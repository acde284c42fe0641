// Package seal encrypts what the service keeps: bank tokens, statements, answers. The database holds only sealed
// bytes, so a copy of it tells nobody anything without the key.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// ErrSealed means that sealed bytes do not open: another key, another place, or damage.
var ErrSealed = errors.New("sealed data does not open with this key")

// Box seals and opens. It is safe for concurrent use.
type Box struct {
	aead cipher.AEAD
	sign ed25519.PrivateKey
}

// New takes a key of 32 bytes or more as base64. A separate key for signatures is derived from it (RFC 5869).
func New(key string) (*Box, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(key))
	if err != nil || len(raw) < 32 {
		return nil, errors.New("the sealing key must be at least 32 random bytes in base64: make one with `openssl rand -base64 32`")
	}
	boxKey, err := hkdf.Key(sha256.New, raw, nil, "affordability box v1", 32)
	if err != nil {
		return nil, err
	}
	signKey, err := hkdf.Key(sha256.New, raw, nil, "affordability report v1", ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(boxKey)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Box{aead: aead, sign: ed25519.NewKeyFromSeed(signKey)}, nil
}

// NewKey returns a fresh random key.
func NewKey() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	return base64.StdEncoding.EncodeToString(raw)
}

// Seal encrypts. The place, such as "consent/alice/7", must be the same when opening: a row that is copied over another
// does not open there.
func (b *Box) Seal(plain []byte, place string) []byte {
	return b.aead.Seal(nil, nil, plain, []byte(place))
}

// Open decrypts what [Box.Seal] made for the same place.
func (b *Box) Open(sealed []byte, place string) ([]byte, error) {
	plain, err := b.aead.Open(nil, nil, sealed, []byte(place))
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", strings.SplitN(place, "/", 2)[0], ErrSealed)
	}
	return plain, nil
}

// Sign signs a report (Ed25519).
func (b *Box) Sign(report []byte) []byte { return ed25519.Sign(b.sign, report) }

// PublicKey verifies reports.
func (b *Box) PublicKey() ed25519.PublicKey { return b.sign.Public().(ed25519.PublicKey) }
