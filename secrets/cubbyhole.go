package secrets

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/seal"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/vault"
)

// cubbyhole is what each token keeps for itself.
type cubbyhole struct{ seal *seal.Sealer }

func newCubbyhole(s *seal.Sealer) *cubbyhole { return &cubbyhole{s} }

const cubbyholePurpose = "cubbyhole"

// Type implements [vault.Backend].
func (c *cubbyhole) Type() string { return "cubbyhole" }

// Find implements [vault.Backend].
func (c *cubbyhole) Find(vault.Operation, string) vault.Rules { return vault.Rules{} }

// Exists implements [vault.Backend]. It is asked before the policies are, about
// the caller's own values only.
func (c *cubbyhole) Exists(ctx context.Context, r *vault.Request) (found bool, err error) {
	err = r.View(ctx, func(tx *store.Tx) error {
		value, err := identity.Cubbyhole(ctx, tx, r.Token.Accessor, r.Path)
		found = value != nil
		return err
	})
	return found, err
}

// Handle implements [vault.Backend].
func (c *cubbyhole) Handle(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	switch r.Op {
	case vault.Read:
		return c.read(ctx, r)
	case vault.List:
		return c.list(ctx, r)
	case vault.Write:
		return c.write(ctx, r)
	case vault.Delete:
		return nil, r.Do(ctx, func(tx *gate.Tx) error { return identity.DeleteCubbyhole(ctx, tx, r.Token.Accessor, r.Path) })
	}
	return nil, vault.Unsupported()
}

func (c *cubbyhole) read(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	var sealed []byte
	err := r.Read(ctx, func(tx *store.Tx) (err error) {
		sealed, err = identity.Cubbyhole(ctx, tx, r.Token.Accessor, r.Path)
		return err
	})
	if err != nil || sealed == nil {
		return nil, err
	}
	plain, err := c.seal.Decrypt(cubbyholePurpose, "cubbyhole", "value", identity.CubbyholeRow(r.Token.Accessor, r.Path), sealed)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	data, err := decode(plain)
	return &vault.Response{Data: data}, err
}

func (c *cubbyhole) list(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	var names []string
	err := r.View(ctx, func(tx *store.Tx) (err error) {
		names, err = identity.CubbyholeNames(ctx, tx, r.Token.Accessor, folderOf(r.Path))
		return err
	})
	return vault.Keys(entriesOf(names)), err
}

func (c *cubbyhole) write(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	if len(r.Data) == 0 {
		return nil, vault.RefuseIn(http.StatusInternalServerError, "missing data fields")
	}
	if r.Path == "" || strings.HasSuffix(r.Path, "/") {
		return nil, vault.Bad("cannot write to a path ending in '/'")
	}
	plain, err := json.Marshal(r.Data)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	sealed, err := c.seal.Encrypt(cubbyholePurpose, "cubbyhole", "value", identity.CubbyholeRow(r.Token.Accessor, r.Path), plain)
	if err != nil {
		return nil, err
	}
	return nil, r.Do(ctx, func(tx *gate.Tx) error {
		if r.Creates() {
			if old, err := identity.Cubbyhole(ctx, tx.Tx, r.Token.Accessor, r.Path); err != nil || old != nil {
				return firstErr(err, vault.Denied())
			}
		}
		return identity.PutCubbyhole(ctx, tx, r.Token.Accessor, r.Path, sealed)
	})
}

func firstErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}
