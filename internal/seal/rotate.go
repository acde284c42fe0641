package seal

import (
	"bytes"
	"context"
	"time"

	"nightporter.dev/nightporter"
)

// When [Sealer.Maintain] rotates the data key. With random nonces of 96 bits a
// key may encrypt 2^32 values before a collision is worth a thought (NIST
// SP 800-38D §8.3).
const (
	MaxUses = 1 << 32
	MaxAge  = 90 * 24 * time.Hour
)

// Rotate adds a new version of the data key and encrypts with it from now on.
// Older versions keep decrypting. It returns the new version.
func (s *Sealer) Rotate(ctx context.Context) (uint32, error) {
	s.work.Lock()
	defer s.work.Unlock()
	return s.rotate(ctx)
}

// rotate saves the larger ring before anything is encrypted with it. The caller
// holds work.
func (s *Sealer) rotate(ctx context.Context) (uint32, error) {
	if err := s.reload(ctx); err != nil {
		return 0, err
	}
	d, k, err := s.opened()
	if err != nil {
		return 0, err
	}
	defer clear(k.root)
	k.ring.add(s.now())
	if err = d.wrapRing(k.root, k.ring); err == nil {
		err = s.save(ctx, &d)
	}
	if err != nil {
		k.ring.wipe()
		return 0, err
	}
	return k.ring.current().version, s.install(k.ring)
}

// Maintain is for a clock, once an hour: it stores how often the data key was
// used, and rotates it when it is due. It reports whether it did.
func (s *Sealer) Maintain(ctx context.Context) (rotated bool, err error) {
	s.work.Lock()
	defer s.work.Unlock()
	if err := s.reload(ctx); err != nil {
		return false, err
	}
	d, k, err := s.opened()
	if err != nil {
		return false, err
	}
	defer k.wipe()
	if c := k.ring.current(); c.uses.Load() >= MaxUses || s.now().Sub(c.created) >= MaxAge {
		_, err := s.rotate(ctx)
		return err == nil, err
	}
	if err := d.wrapRing(k.root, k.ring); err != nil {
		return false, err
	}
	return false, s.save(ctx, &d)
}

// Reload takes up what another process changed: a standby calls it when it takes
// over.
func (s *Sealer) Reload(ctx context.Context) error {
	s.work.Lock()
	defer s.work.Unlock()
	return s.reload(ctx)
}

// reload keeps the ring in memory unless the store has more versions. The caller
// holds work.
func (s *Sealer) reload(ctx context.Context) error {
	if err := s.load(ctx); err != nil {
		return err
	}
	d, k, err := s.opened()
	if err != nil {
		return err
	}
	defer k.wipe()
	stored, err := d.openRing(k.root)
	if err != nil {
		return nightporter.Wrap(err, nightporter.Internal, "the key ring in the store does not belong to this store's key")
	}
	if stored.current().version <= k.ring.current().version {
		stored.wipe()
		return nil
	}
	return s.install(stored)
}

// opened returns copies of the document and the keys, or [nightporter.Sealed].
// They are copies because Seal clears the originals at any time: a ring of
// zeroes must never be saved. The caller wipes them.
func (s *Sealer) opened() (document, *keys, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.keys == nil {
		return document{}, nil, errSealed()
	}
	if s.document == nil {
		return document{}, nil, errNotInitialised()
	}
	return *s.document, &keys{root: bytes.Clone(s.keys.root), ring: s.keys.ring.clone()}, nil
}

// install makes r the ring in use, unless the store was sealed meanwhile.
func (s *Sealer) install(r *ring) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		r.wipe()
		return errSealed()
	}
	s.keys.ring.wipe() // nobody reads it: readers hold mu
	s.keys.ring = r
	return nil
}

// Rekey puts the store under a new key from a file, from a file or from shares
// before. One value is rewritten; no row is. The store must be unsealed, and the
// caller must have asked the policy.
func (s *Sealer) Rekey(ctx context.Context, key []byte) error {
	return s.rekey(ctx, key, KeyFile, 1, 1)
}

// RekeyShamir puts the store under new shares and returns them. The old ones
// open it no more.
func (s *Sealer) RekeyShamir(ctx context.Context, shares, threshold int) ([][]byte, error) {
	unseal := newKey()
	defer clear(unseal)
	parts, err := split(unseal, shares, threshold)
	if err != nil {
		return nil, err
	}
	if err := s.rekey(ctx, unseal, Shamir, shares, threshold); err != nil {
		return nil, err
	}
	return parts, nil
}

func (s *Sealer) rekey(ctx context.Context, unseal []byte, kind Kind, shares, threshold int) error {
	if len(unseal) != keySize {
		return errKeyLength()
	}
	s.work.Lock()
	defer s.work.Unlock()
	if err := s.reload(ctx); err != nil {
		return err
	}
	d, k, err := s.opened()
	if err != nil {
		return err
	}
	defer k.wipe()
	d.Kind, d.Shares, d.Threshold = kind, shares, threshold
	if err := d.wrapRoot(unseal, k.root); err != nil {
		return err
	}
	return s.save(ctx, &d)
}
