package secrets

import (
	"context"
	"fmt"
	"strings"

	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/vault"
)

// Version 1: one value a path, written and read as a whole.

func (k *kv) existsOne(ctx context.Context, r *vault.Request) (found bool, err error) {
	err = r.View(ctx, func(tx *store.Tx) error {
		found, err = hasOne(ctx, tx, r)
		return err
	})
	return found, err
}

func hasOne(ctx context.Context, tx *store.Tx, r *vault.Request) (bool, error) {
	var n int
	err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM kv WHERE mount = ? AND path = ?`, r.Mount.UUID, []byte(r.Path)).Scan(&n)
	return n > 0, err
}

func (k *kv) handleOne(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	if err := checkPath(r.Path); err != nil {
		return nil, err
	}
	switch r.Op {
	case vault.Read:
		return k.readOne(ctx, r)
	case vault.Write:
		return k.writeOne(ctx, r)
	case vault.List:
		r.Fields() // none are known, and the rest is told
		var found []string
		err := r.View(ctx, func(tx *store.Tx) (err error) {
			found, err = names(ctx, tx, "kv", r.Mount.UUID, folderOf(r.Path))
			return err
		})
		return vault.Keys(entriesOf(found)), err
	case vault.Delete:
		return nil, r.Do(ctx, func(tx *gate.Tx) error {
			if _, err := tx.Exec(ctx, `DELETE FROM kv WHERE mount = ? AND path = ?`, r.Mount.UUID, []byte(r.Path)); err != nil {
				return fmt.Errorf("delete a value: %w", err)
			}
			return nil
		})
	}
	return nil, vault.Unsupported()
}

func rowOne(r *vault.Request) string { return r.Mount.UUID + "/" + r.Path }

func (k *kv) readOne(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	var sealed []byte
	err := r.Read(ctx, func(tx *store.Tx) error {
		err := tx.QueryRow(ctx, `SELECT value FROM kv WHERE mount = ? AND path = ?`, r.Mount.UUID, []byte(r.Path)).Scan(&sealed)
		if store.IsNotFound(err) {
			return nil
		}
		return err
	})
	if err != nil || sealed == nil {
		return nil, err
	}
	plain, err := k.seal.Decrypt(kvPurpose, "kv", "value", rowOne(r), sealed)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	data, err := decode(plain)
	if err != nil {
		return nil, err
	}
	resp := &vault.Response{Data: data, Lease: vault.Lease{Duration: r.Mount.DefaultTTL()}}
	for _, name := range []string{"lease", "ttl"} {
		// How long a reader may keep the value, in its writer's words.
		if raw, ok := data[name]; ok {
			if ttl, err := vault.ParseDuration(raw); err == nil && ttl > 0 {
				resp.Lease.Duration = ttl
			}
		}
	}
	return resp, nil
}

func (k *kv) writeOne(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	switch {
	case strings.HasSuffix(r.Path, "/"):
		return nil, vault.Bad("cannot write to a path ending in '/'")
	case r.Path == "":
		return nil, vault.Bad("missing path")
	case len(r.Data) == 0:
		return nil, vault.Bad("missing data fields")
	}
	sealed, err := k.encode("kv", rowOne(r), r.Data)
	if err != nil {
		return nil, err
	}
	return nil, r.Do(ctx, func(tx *gate.Tx) error {
		if r.Creates() {
			if found, err := hasOne(ctx, tx.Tx, r); err != nil || found {
				return firstErr(err, vault.Denied())
			}
		}
		_, err := tx.Exec(ctx, `INSERT INTO kv (mount, path, value) VALUES (?, ?, ?)
			ON CONFLICT (mount, path) DO UPDATE SET value = excluded.value`, r.Mount.UUID, []byte(r.Path), sealed)
		if err != nil {
			return fmt.Errorf("write a value: %w", err)
		}
		return nil
	})
}
