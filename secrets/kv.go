package secrets

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/seal"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/vault"
)

// kv keeps values that somebody wrote. A mount's option version says how: 1 has
// one value a path, 2 keeps versions of it. Paths are kept as bytes, so that
// both databases order them alike and a listing is a range of the index.
type kv struct {
	seal *seal.Sealer
	two  *vault.Paths // version 2's paths
}

var kvMigrations = []store.Migration{{Name: "secrets/0001", SQL: `
CREATE TABLE kv (
	mount TEXT NOT NULL,
	path BYTEA NOT NULL,
	value BYTEA NOT NULL,
	PRIMARY KEY (mount, path)
);
CREATE TABLE kv_config (
	mount TEXT PRIMARY KEY,
	max_versions BIGINT NOT NULL,
	cas_required BIGINT NOT NULL,
	delete_after BIGINT NOT NULL
);
CREATE TABLE kv_meta (
	mount TEXT NOT NULL,
	path BYTEA NOT NULL,
	current BIGINT NOT NULL,
	oldest BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	max_versions BIGINT NOT NULL,
	cas_required BIGINT NOT NULL,
	delete_after BIGINT NOT NULL,
	changes BIGINT NOT NULL,
	custom BYTEA,
	PRIMARY KEY (mount, path)
);
CREATE TABLE kv_version (
	mount TEXT NOT NULL,
	path BYTEA NOT NULL,
	version BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	deleted_at BIGINT NOT NULL,
	destroyed BIGINT NOT NULL,
	value BYTEA,
	PRIMARY KEY (mount, path, version)
);
`}}

const kvPurpose = "kv values"

// The bounds of one value.
const (
	maxValue = 1 << 20 // encoded, in bytes: Vault's store's
	maxPath  = 1024
)

func newKV(s *seal.Sealer) *kv {
	k := &kv{seal: s}
	k.two = k.paths()
	return k
}

// Type implements [vault.Backend].
func (k *kv) Type() string { return "kv" }

func versioned(m vault.Mount) bool { return m.Options["version"] == "2" }

// Find implements [vault.Backend].
func (k *kv) Find(vault.Operation, string) vault.Rules { return vault.Rules{} }

// Describe lists version 2's paths, for the API's description.
func (k *kv) Describe() []vault.Path { return k.two.Describe() }

// Mount implements [vault.Mounter].
func (k *kv) Mount(m *vault.Mount) error {
	switch m.Options["version"] {
	case "", "1", "2":
		return nil
	}
	return vault.Bad("nil backend of type \"kv\" returned from factory")
}

// Unmount implements [vault.Mounter].
func (k *kv) Unmount(ctx context.Context, tx *gate.Tx, m vault.Mount) error {
	for _, table := range []string{"kv", "kv_config", "kv_meta", "kv_version"} {
		if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE mount = ?`, m.UUID); err != nil {
			return fmt.Errorf("delete the values of %s: %w", m.Path, err)
		}
	}
	return nil
}

// Exists implements [vault.Backend].
func (k *kv) Exists(ctx context.Context, r *vault.Request) (bool, error) {
	if versioned(r.Mount) {
		return k.two.Exists(ctx, r)
	}
	return k.existsOne(ctx, r)
}

// Handle implements [vault.Backend].
func (k *kv) Handle(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	if versioned(r.Mount) {
		return k.handleTwo(ctx, r)
	}
	return k.handleOne(ctx, r)
}

// names lists the paths of a table below a folder, without the folder.
func names(ctx context.Context, tx *store.Tx, table, mount, folder string) ([]string, error) {
	query, args := `SELECT path FROM `+table+` WHERE mount = ?`, []any{mount}
	if folder != "" {
		// Everything from "folder/" up to "folder0": the byte after the slash.
		after := []byte(folder)
		after[len(after)-1]++
		query, args = query+` AND path >= ? AND path < ?`, append(args, []byte(folder), after)
	}
	var out []string
	err := tx.Each(ctx, query+` ORDER BY path`, args, func(scan func(...any) error) error {
		var path []byte
		if err := scan(&path); err != nil {
			return err
		}
		out = append(out, string(path[len(folder):]))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list values: %w", err)
	}
	return out, nil
}

func checkPath(path string) error {
	if len(path) > maxPath {
		return vault.Bad("the path is longer than %d bytes", maxPath)
	}
	return nil
}

// encode writes a value as JSON and encrypts it for its row.
func (k *kv) encode(table, row string, data map[string]any) ([]byte, error) {
	plain, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	if len(plain) > maxValue {
		return nil, vault.Bad("the value is larger than %d bytes", maxValue)
	}
	return k.seal.Encrypt(kvPurpose, table, "value", row, plain)
}

// decode reads a value as it was written: numbers keep their digits.
func decode(plain []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(plain))
	d.UseNumber()
	var data map[string]any
	if err := d.Decode(&data); err != nil {
		return nil, fmt.Errorf("read a value: %w", err)
	}
	return data, nil
}
