package seal

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// ring holds every version of the data key. A ring in use does not change: a
// rotation puts a larger copy in its place.
type ring struct {
	// mac is the root of all HMAC keys. It is not rotated: fingerprints and
	// audit hashes must stay comparable.
	mac  []byte
	keys []*ringKey // versions ascending; the last one encrypts

	derived *sync.Map // derivation → *purposeKey
}

type ringKey struct {
	version uint32
	created time.Time
	key     []byte
	uses    atomic.Uint64 // encryptions, as far as counted
}

type derivation struct {
	version uint32 // 0 for the MAC key
	purpose string
}

// purposeKey is one of the two: a cipher of a version, or an HMAC key.
type purposeKey struct {
	aead cipher.AEAD
	mac  []byte
}

func newRing(now time.Time) *ring {
	r := &ring{mac: newKey(), derived: &sync.Map{}}
	r.keys = []*ringKey{{version: 1, created: now, key: newKey()}}
	return r
}

// clone copies the keys, so that one ring can be wiped while the other is in use.
func (r *ring) clone() *ring {
	c := &ring{mac: bytes.Clone(r.mac), derived: &sync.Map{}}
	for _, k := range r.keys {
		copied := &ringKey{version: k.version, created: k.created, key: bytes.Clone(k.key)}
		copied.uses.Store(k.uses.Load())
		c.keys = append(c.keys, copied)
	}
	return c
}

// add appends a version, which encrypts from then on.
func (r *ring) add(now time.Time) {
	r.keys = append(r.keys, &ringKey{version: r.current().version + 1, created: now, key: newKey()})
}

func (r *ring) current() *ringKey { return r.keys[len(r.keys)-1] }

// find returns a version, or nil. Versions count from 1 without gaps.
func (r *ring) find(version uint32) *ringKey {
	i := int64(version) - int64(r.keys[0].version)
	if i < 0 || i >= int64(len(r.keys)) {
		return nil
	}
	return r.keys[i]
}

// cipher returns the cipher of a key for a purpose.
func (r *ring) cipher(k *ringKey, purpose string) (cipher.AEAD, error) {
	id := derivation{k.version, purpose}
	if p, ok := r.derived.Load(id); ok {
		return p.(*purposeKey).aead, nil
	}
	var aead cipher.AEAD
	var err error
	shielded(func() {
		var derived []byte
		if derived, err = hkdf.Key(sha256.New, k.key, nil, "nightporter/seal/data/1/"+purpose, keySize); err == nil {
			aead, err = newAEAD(derived)
			clear(derived)
		}
	})
	if err != nil {
		return nil, err
	}
	p, _ := r.derived.LoadOrStore(id, &purposeKey{aead: aead})
	return p.(*purposeKey).aead, nil
}

// macKey returns the HMAC key for a purpose.
func (r *ring) macKey(purpose string) ([]byte, error) {
	id := derivation{0, purpose}
	if p, ok := r.derived.Load(id); ok {
		return p.(*purposeKey).mac, nil
	}
	key, err := hkdf.Key(sha256.New, r.mac, nil, "nightporter/seal/mac/1/"+purpose, keySize)
	if err != nil {
		return nil, err
	}
	p, _ := r.derived.LoadOrStore(id, &purposeKey{mac: key})
	return p.(*purposeKey).mac, nil
}

// wipe clears every key. The expanded keys inside the ciphers are only dropped:
// the standard library gives no way to clear them.
func (r *ring) wipe() {
	clear(r.mac)
	for _, k := range r.keys {
		clear(k.key)
	}
	r.derived.Range(func(_, p any) bool {
		clear(p.(*purposeKey).mac)
		return true
	})
	r.derived.Clear()
}

// The ring's encoding: format 1, the MAC root, then per key its version, time of
// creation (Unix seconds), count of uses, and bytes; numbers big-endian.
const (
	ringFormat   = 1
	ringHeader   = 1 + keySize
	ringKeyBytes = 4 + 8 + 8 + keySize
)

// marshal's result holds keys: the caller clears it.
func (r *ring) marshal() []byte {
	b := make([]byte, 0, ringHeader+len(r.keys)*ringKeyBytes)
	b = append(b, ringFormat)
	b = append(b, r.mac...)
	for _, k := range r.keys {
		b = binary.BigEndian.AppendUint32(b, k.version)
		b = binary.BigEndian.AppendUint64(b, uint64(k.created.Unix()))
		b = binary.BigEndian.AppendUint64(b, k.uses.Load())
		b = append(b, k.key...)
	}
	return b
}

// parseRing copies what it keeps.
func parseRing(b []byte) (*ring, error) {
	if len(b) < ringHeader+ringKeyBytes || b[0] != ringFormat || (len(b)-ringHeader)%ringKeyBytes != 0 {
		return nil, errors.New("the key ring has an unknown form")
	}
	r := &ring{mac: bytes.Clone(b[1:ringHeader]), derived: &sync.Map{}}
	for b = b[ringHeader:]; len(b) > 0; b = b[ringKeyBytes:] {
		k := &ringKey{
			version: binary.BigEndian.Uint32(b),
			created: time.Unix(int64(binary.BigEndian.Uint64(b[4:])), 0),
			key:     bytes.Clone(b[20:ringKeyBytes]),
		}
		k.uses.Store(binary.BigEndian.Uint64(b[12:]))
		if want := uint32(len(r.keys)) + 1; k.version != want {
			return nil, errors.New("the key ring has a gap")
		}
		r.keys = append(r.keys, k)
	}
	return r, nil
}
