package seal

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"nightporter.dev/nightporter"
)

// Storage keeps one opaque document: the wrapped keys. It holds nothing that
// opens without the unseal key.
type Storage interface {
	// Load returns the document, or nil if none was saved yet.
	Load(ctx context.Context) ([]byte, error)
	// Save replaces the document. It must be durable when it returns: rows will
	// be encrypted with keys that only the document holds.
	Save(ctx context.Context, document []byte) error
}

// Config says what a [Sealer] works with.
type Config struct {
	// Storage keeps the wrapped keys. Required.
	Storage Storage
	// Now tells the time for the age of keys. Default: time.Now.
	Now func() time.Time
}

// Kind is how a store is unsealed.
type Kind string

// The kinds of unseal key.
const (
	KeyFile Kind = "file"   // one key, read from a file at start
	Shamir  Kind = "shamir" // shares, given by people
)

// Sealer encrypts and decrypts while it is unsealed. It may be used by many
// goroutines.
type Sealer struct {
	storage Storage
	now     func() time.Time

	// work is held by whoever loads, changes and saves the document, so that
	// two changes never start from the same one.
	work sync.Mutex

	mu       sync.RWMutex
	document *document // nil until the store is initialised
	keys     *keys     // nil while sealed
	changed  chan struct{}
	shares   progress
}

// keys is what is in memory while unsealed.
type keys struct {
	root []byte
	ring *ring
}

func (k *keys) wipe() {
	clear(k.root)
	k.ring.wipe()
}

// New loads the wrapped keys. The Sealer is sealed.
func New(ctx context.Context, c Config) (*Sealer, error) {
	if c.Storage == nil {
		return nil, fmt.Errorf("making a sealer: Config.Storage is nil")
	}
	s := &Sealer{storage: c.Storage, now: c.Now, changed: make(chan struct{})}
	if s.now == nil {
		s.now = time.Now
	}
	return s, s.load(ctx)
}

// load reads the document. The caller holds work, or is the constructor.
func (s *Sealer) load(ctx context.Context) error {
	raw, err := s.storage.Load(ctx)
	if err != nil {
		return fmt.Errorf("loading the wrapped keys: %w", err)
	}
	var d *document
	if raw != nil {
		if d, err = parseDocument(raw); err != nil {
			return nightporter.Wrap(err, nightporter.Internal, "the wrapped keys in the store cannot be read")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.document = d
	return nil
}

// save writes the document and then uses it. The caller holds work.
func (s *Sealer) save(ctx context.Context, d *document) error {
	raw, err := d.marshal()
	if err != nil {
		return err
	}
	if err := s.storage.Save(ctx, raw); err != nil {
		return fmt.Errorf("saving the wrapped keys: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.document = d
	return nil
}

// Status is what sys/seal-status tells everybody.
type Status struct {
	Initialised bool
	Sealed      bool
	Kind        Kind // empty until initialised
	// Shares and Threshold are both 1 for a key file.
	Shares, Threshold int
	// Progress is how many shares of the threshold were given, under Nonce.
	Progress int
	Nonce    string
	// KeyVersion is the version that encrypts, 0 while sealed.
	KeyVersion uint32
}

// Status returns the state without asking the store.
func (s *Sealer) Status() Status {
	s.mu.RLock()
	defer s.mu.RUnlock()
	st := Status{Sealed: s.keys == nil, Progress: len(s.shares.given), Nonce: s.shares.nonce}
	if d := s.document; d != nil {
		st.Initialised, st.Kind, st.Shares, st.Threshold = true, d.Kind, d.Shares, d.Threshold
	}
	if s.keys != nil {
		st.KeyVersion = s.keys.ring.current().version
	}
	return st
}

// Sealed reports whether the keys are away.
func (s *Sealer) Sealed() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.keys == nil
}

// Seal forgets the keys and clears them. Operations that run finish first.
// Sealing what is sealed does nothing.
func (s *Sealer) Seal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shares.reset()
	if s.keys == nil {
		return
	}
	s.keys.wipe()
	s.keys = nil
	s.signal()
}

// open installs keys. The caller holds mu.
func (s *Sealer) open(k *keys) {
	s.keys = k
	s.shares.reset()
	s.signal()
}

// signal tells watchers of a change. The caller holds mu.
func (s *Sealer) signal() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Watch returns the state and a channel that is closed at the next change
// between sealed and unsealed. Both belong to the same moment, so no change is
// missed between two calls.
func (s *Sealer) Watch() (sealed bool, changed <-chan struct{}) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.keys == nil, s.changed
}

// WaitUnsealed returns when the store is unsealed, or with ctx's error.
func (s *Sealer) WaitUnsealed(ctx context.Context) error {
	for {
		sealed, changed := s.Watch()
		if !sealed {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func errSealed() error {
	return nightporter.E(nightporter.Sealed, "the store is sealed").
		WithHint("unseal it: vault operator unseal, or start the server with its key file")
}

func errNotInitialised() error {
	return nightporter.E(nightporter.Conflict, "the store is not initialised").WithHint("nightporter init")
}

// Format keeps keys out of logs: whatever the verb, only the state is printed.
func (s *Sealer) Format(f fmt.State, _ rune) {
	if s.Sealed() {
		fmt.Fprint(f, "seal.Sealer(sealed)")
	} else {
		fmt.Fprint(f, "seal.Sealer(unsealed)")
	}
}

// LogValue is Format for slog.
func (s *Sealer) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(s)) }
