package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"nightporter.dev/nightporter"
)

// The envelope around a value: one byte for the format, the key's version
// (big-endian), then what GCM made: 12 bytes of nonce, the ciphertext, 16 bytes
// of tag.
const (
	envelopeFormat = 1
	envelopeHeader = 1 + 4
	// Overhead is how many bytes a ciphertext is longer than its plaintext.
	Overhead = envelopeHeader + 12 + 16
)

// ErrDamaged is in the chain of every error about a ciphertext that is not what
// was encrypted for its row: changed, moved, cut, or from another store.
var ErrDamaged = errors.New("the ciphertext does not belong here")

// Encrypt encrypts a value for one place in the store. The purpose selects the
// key: a constant of the calling package such as "secret rows", never input.
// Table, column and row say where the ciphertext will stand; [Sealer.Decrypt]
// must be told the same.
//
// Errors: [nightporter.Sealed].
func (s *Sealer) Encrypt(purpose, table, column, row string, plaintext []byte) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.keys == nil {
		return nil, errSealed()
	}
	k := s.keys.ring.current()
	aead, err := s.keys.ring.cipher(k, purpose)
	if err != nil {
		return nil, err
	}
	k.uses.Add(1)
	out := make([]byte, 0, Overhead+len(plaintext))
	out = append(out, envelopeFormat)
	out = binary.BigEndian.AppendUint32(out, k.version)
	var place [128]byte
	return aead.Seal(out, nil, plaintext, appendPlace(place[:0], table, column, row, k.version)), nil
}

// Decrypt returns what [Sealer.Encrypt] was given for the same purpose and
// place, whatever the version of the key. The caller clears the result when it
// is done with it, if it is secret.
//
// Errors: [nightporter.Sealed]; [nightporter.Internal] with [ErrDamaged].
func (s *Sealer) Decrypt(purpose, table, column, row string, ciphertext []byte) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.keys == nil {
		return nil, errSealed()
	}
	version, err := KeyVersion(ciphertext)
	if err != nil {
		return nil, damaged(table, column)
	}
	k := s.keys.ring.find(version)
	if k == nil {
		return nil, nightporter.Wrap(ErrDamaged, nightporter.Internal,
			"a value of %s.%s was encrypted with key version %d, which this key ring does not have", table, column, version)
	}
	aead, err := s.keys.ring.cipher(k, purpose)
	if err != nil {
		return nil, err
	}
	var place [128]byte
	plain, err := aead.Open(nil, nil, ciphertext[envelopeHeader:], appendPlace(place[:0], table, column, row, version))
	if err != nil {
		return nil, damaged(table, column)
	}
	return plain, nil
}

// damaged names no row: a row's id may say too much.
func damaged(table, column string) error {
	return nightporter.Wrap(ErrDamaged, nightporter.Internal, "a value of %s.%s cannot be decrypted", table, column)
}

// appendPlace writes the additional data: each part behind its length, so that
// ("ab", "c") and ("a", "bc") differ.
func appendPlace(b []byte, table, column, row string, version uint32) []byte {
	for _, part := range [...]string{table, column, row} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return binary.BigEndian.AppendUint32(b, version)
}

// KeyVersion reads which version of the data key a ciphertext was made with. The
// job that re-encrypts old rows compares it with [Status.KeyVersion].
func KeyVersion(ciphertext []byte) (uint32, error) {
	if len(ciphertext) < Overhead || ciphertext[0] != envelopeFormat {
		return 0, ErrDamaged
	}
	return binary.BigEndian.Uint32(ciphertext[1:]), nil
}

// MAC returns the HMAC-SHA256 of data under a key of its own for each purpose.
// It stays the same through rotations: use it for fingerprints and for hashes
// that are compared later, with hmac.Equal.
//
// Errors: [nightporter.Sealed].
func (s *Sealer) MAC(purpose string, data []byte) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.keys == nil {
		return nil, errSealed()
	}
	key, err := s.keys.ring.macKey(purpose)
	if err != nil {
		return nil, err
	}
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil), nil
}
