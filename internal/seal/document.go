package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// keySize is the length of every key in bytes: AES-256.
const keySize = 32

// document is what the store keeps. Kind, shares and threshold are readable
// while sealed; the root key's wrapping authenticates them.
type document struct {
	Format    int    `json:"format"`
	Kind      Kind   `json:"kind"`
	Shares    int    `json:"shares"`
	Threshold int    `json:"threshold"`
	Root      []byte `json:"root"` // wrapped by the unseal key
	Ring      []byte `json:"ring"` // wrapped by the root key
}

const documentFormat = 1

// maxDocument bounds what is parsed; ten thousand rotations fit.
const maxDocument = 1 << 20

func parseDocument(raw []byte) (*document, error) {
	if len(raw) > maxDocument {
		return nil, fmt.Errorf("the document has %d bytes, at most %d are read", len(raw), maxDocument)
	}
	d := &document{}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(d); err != nil {
		return nil, fmt.Errorf("parsing the document: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("parsing the document: there is more text after it")
	}
	switch {
	case d.Format != documentFormat:
		return nil, fmt.Errorf("the document has format %d, this version reads %d", d.Format, documentFormat)
	case d.Kind != KeyFile && d.Kind != Shamir:
		return nil, fmt.Errorf("the document has the unknown kind %q", d.Kind)
	case d.Kind == KeyFile && (d.Shares != 1 || d.Threshold != 1):
		return nil, errors.New("the document gives a key file shares")
	}
	if err := validShares(d.Shares, d.Threshold); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *document) marshal() ([]byte, error) { return json.Marshal(d) }

// rootContext is the additional data of the wrapped root key. It binds what
// stands beside it, so that nobody lowers the threshold in the store.
func (d *document) rootContext() []byte {
	return fmt.Appendf(nil, "nightporter/seal/root/%d/%s/%d/%d", d.Format, d.Kind, d.Shares, d.Threshold)
}

func ringContext() []byte { return []byte("nightporter/seal/ring/1") }

// wrapRoot puts the root key under an unseal key.
func (d *document) wrapRoot(unseal, root []byte) (err error) {
	d.Root, err = wrap(unseal, root, d.rootContext())
	return err
}

// openRoot fails for any unseal key but the right one.
func (d *document) openRoot(unseal []byte) ([]byte, error) {
	root, err := unwrap(unseal, d.Root, d.rootContext())
	if err == nil && len(root) != keySize {
		err = errors.New("the root key has the wrong length")
	}
	return root, err
}

func (d *document) wrapRing(root []byte, r *ring) (err error) {
	plain := r.marshal()
	defer clear(plain)
	d.Ring, err = wrap(root, plain, ringContext())
	return err
}

func (d *document) openRing(root []byte) (*ring, error) {
	plain, err := unwrap(root, d.Ring, ringContext())
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return parseRing(plain)
}

// wrap encrypts a key under another one. The wrapping key is derived first, so
// that a key never serves two algorithms.
func wrap(key, plain, context []byte) (sealed []byte, err error) {
	shielded(func() {
		var aead cipher.AEAD
		if aead, err = wrappingCipher(key); err == nil {
			sealed = aead.Seal(nil, nil, plain, context)
		}
	})
	return sealed, err
}

func unwrap(key, sealed, context []byte) (plain []byte, err error) {
	shielded(func() {
		var aead cipher.AEAD
		if aead, err = wrappingCipher(key); err == nil {
			plain, err = aead.Open(nil, nil, sealed, context)
		}
	})
	return plain, err
}

func wrappingCipher(key []byte) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, key, nil, "nightporter/seal/wrap/1", keySize)
	if err != nil {
		return nil, err
	}
	defer clear(derived)
	return newAEAD(derived)
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// newKey returns random bytes. crypto/rand never fails: it ends the program
// instead.
func newKey() []byte {
	k := make([]byte, keySize)
	rand.Read(k)
	return k
}
