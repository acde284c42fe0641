package seal

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"

	"nightporter.dev/nightporter"
)

// Init makes the keys of a new store under a key from a file and unseals it. A
// store is initialised once: later it is a [nightporter.Conflict].
func (s *Sealer) Init(ctx context.Context, key []byte) error {
	k, err := s.init(ctx, key, KeyFile, 1, 1)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open(k)
	return nil
}

// InitShamir makes the keys of a new store and returns the shares of its unseal
// key, which exist nowhere else. The store stays sealed, as in Vault. The caller
// clears the shares after it gave them out.
func (s *Sealer) InitShamir(ctx context.Context, shares, threshold int) ([][]byte, error) {
	unseal := newKey()
	defer clear(unseal)
	parts, err := split(unseal, shares, threshold)
	if err != nil {
		return nil, err
	}
	k, err := s.init(ctx, unseal, Shamir, shares, threshold)
	if err != nil {
		return nil, err
	}
	k.wipe()
	return parts, nil
}

func (s *Sealer) init(ctx context.Context, unseal []byte, kind Kind, shares, threshold int) (*keys, error) {
	if len(unseal) != keySize {
		return nil, errKeyLength()
	}
	s.work.Lock()
	defer s.work.Unlock()
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	if s.Status().Initialised {
		return nil, nightporter.E(nightporter.Conflict, "the store is initialised already")
	}
	d := &document{Format: documentFormat, Kind: kind, Shares: shares, Threshold: threshold}
	k := &keys{root: newKey(), ring: newRing(s.now())}
	err := d.wrapRoot(unseal, k.root)
	if err == nil {
		err = d.wrapRing(k.root, k.ring)
	}
	if err == nil {
		err = s.save(ctx, d)
	}
	if err != nil {
		k.wipe()
		return nil, err
	}
	return k, nil
}

// Unseal opens a store of kind [KeyFile]. A wrong key is [nightporter.Invalid].
// Unsealing what is unsealed does nothing. The caller clears the key.
func (s *Sealer) Unseal(ctx context.Context, key []byte) error {
	s.work.Lock()
	defer s.work.Unlock()
	d, err := s.sealedDocument(ctx)
	if d == nil {
		return err
	}
	if d.Kind != KeyFile {
		return nightporter.E(nightporter.Conflict, "this store is unsealed with key shares, not with a key file").
			WithHint("vault operator unseal")
	}
	return s.unsealWith(d, key)
}

// sealedDocument loads what is to be opened. It returns nil and no error when
// there is nothing to do. The caller holds work.
func (s *Sealer) sealedDocument(ctx context.Context) (*document, error) {
	if !s.Sealed() {
		return nil, nil
	}
	// Another process may have initialised or rekeyed since.
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	if s.document == nil {
		return nil, errNotInitialised()
	}
	return s.document, nil
}

func (s *Sealer) unsealWith(d *document, unseal []byte) error {
	if len(unseal) != keySize {
		return errKeyLength()
	}
	root, err := d.openRoot(unseal)
	if err != nil {
		return nightporter.E(nightporter.Invalid, "this key does not open this store")
	}
	ring, err := d.openRing(root)
	if err != nil {
		clear(root)
		return nightporter.Wrap(err, nightporter.Internal, "the key is right, but the key ring in the store is damaged").
			WithHint("restore the store from a backup")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open(&keys{root: root, ring: ring})
	return nil
}

func errKeyLength() error {
	return nightporter.E(nightporter.Invalid, "an unseal key has %d bytes", keySize)
}

// progress is the shares that were given so far.
type progress struct {
	given [][]byte
	nonce string
}

func (p *progress) reset() {
	for _, s := range p.given {
		clear(s)
	}
	*p = progress{}
}

// has compares without telling by its time how much of a share was right.
func (p *progress) has(share []byte) bool {
	found := 0
	for _, s := range p.given {
		found |= subtle.ConstantTimeCompare(s, share)
	}
	return found == 1
}

// UnsealShare gives one share of a store of kind [Shamir]. With the last one that
// is needed the store opens; the status says so. A share that was given before
// changes nothing. Shares that together do not open the store are
// [nightporter.Invalid] and all of them have to be given again: nobody can say
// which one was wrong. The caller clears the share.
func (s *Sealer) UnsealShare(ctx context.Context, share []byte) (Status, error) {
	s.work.Lock()
	defer s.work.Unlock()
	d, err := s.sealedDocument(ctx)
	if d == nil {
		return s.Status(), err
	}
	if d.Kind != Shamir {
		return s.Status(), nightporter.E(nightporter.Conflict, "this store is unsealed with its key file, not with shares")
	}
	want := keySize + 1
	if d.Shares == 1 {
		want = keySize
	}
	if len(share) != want {
		return s.Status(), nightporter.E(nightporter.Invalid, "a key share of this store has %d bytes", want)
	}
	given := s.addShare(share, d.Threshold)
	if given == nil {
		return s.Status(), nil
	}
	key, err := combine(given)
	for _, g := range given {
		clear(g)
	}
	if err == nil {
		err = s.unsealWith(d, key)
		clear(key)
	}
	if err != nil {
		s.ResetUnseal()
		if nightporter.CodeOf(err) != nightporter.Internal || key == nil {
			err = nightporter.E(nightporter.Invalid, "these key shares do not open this store; give all of them again")
		}
	}
	return s.Status(), err
}

// addShare returns copies of all shares once there are enough, and nil before.
func (s *Sealer) addShare(share []byte, threshold int) [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shares.nonce == "" {
		var nonce [16]byte
		rand.Read(nonce[:])
		s.shares.nonce = hex.EncodeToString(nonce[:])
	}
	if !s.shares.has(share) {
		s.shares.given = append(s.shares.given, bytes.Clone(share))
	}
	if len(s.shares.given) < threshold {
		return nil
	}
	var all [][]byte
	for _, g := range s.shares.given {
		all = append(all, bytes.Clone(g))
	}
	return all
}

// ResetUnseal forgets the shares given so far.
func (s *Sealer) ResetUnseal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shares.reset()
}
