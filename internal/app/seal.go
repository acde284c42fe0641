package app

import (
	"context"
	"os"
	"path/filepath"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/seal"
	"nightporter.dev/nightporter/internal/store"
)

// migrations are the tables of what only the whole house keeps.
var migrations = []store.Migration{{Name: "app/0001", SQL: `
CREATE TABLE seal (
	id BIGINT PRIMARY KEY,
	document BYTEA NOT NULL
);
CREATE TABLE setting (
	name TEXT PRIMARY KEY,
	value BYTEA NOT NULL
);
CREATE TABLE idempotency (
	key TEXT PRIMARY KEY,
	request TEXT NOT NULL,
	status BIGINT NOT NULL,
	content_type TEXT NOT NULL,
	location TEXT NOT NULL,
	body BYTEA NOT NULL,
	expires_at BIGINT NOT NULL
);
CREATE INDEX idempotency_expiry ON idempotency (expires_at);
`}}

// sealStorage keeps the wrapped keys in the store.
type sealStorage struct{ a *App }

func (s sealStorage) Load(ctx context.Context) (document []byte, err error) {
	err = s.a.db.View(ctx, func(tx *store.Tx) error {
		err := tx.QueryRow(ctx, `SELECT document FROM seal WHERE id = 1`).Scan(&document)
		if store.IsNotFound(err) {
			return nil
		}
		return err
	})
	return document, err
}

func (s sealStorage) Save(ctx context.Context, document []byte) error {
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("seal", nightporter.ActorFrom(ctx).Name))
	return s.a.gate.Do(ctx, nightporter.Action{Name: "seal.write"}, nightporter.Resource{Kind: "seal", ID: "keys"}, func(tx *gate.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO seal (id, document) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET document = excluded.document`, document)
		return err
	})
}

// keyFile is where the unseal key is, and where it must not be.
func (a *App) keyFile() seal.KeyFileConfig {
	c := seal.KeyFileConfig{Path: string(a.config.Load().Seal.Path), Credentials: os.Getenv("CREDENTIALS_DIRECTORY")}
	if p := a.db.Path(); p != "" {
		c.StoreFolder = filepath.Dir(p)
	}
	return c
}

// unseal opens the seal where the key is at hand. A development store is
// initialised with a key that nobody keeps.
func (a *App) unseal(ctx context.Context) error {
	switch {
	case a.opts.Dev:
		key := make([]byte, 32) // nobody keeps a secret in such a store
		if a.sealer.Status().Initialised {
			return a.sealer.Unseal(ctx, key)
		}
		return a.sealer.Init(ctx, key)
	case a.sealer.Status().Initialised && a.config.Load().Seal.Kind == "file":
		key, err := seal.ReadKeyFile(a.keyFile())
		if err != nil {
			return err
		}
		defer clear(key)
		if err := a.sealer.Unseal(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// Initialise makes the keys of a new store, with a new key file, and unseals it.
func (a *App) Initialise(ctx context.Context) error {
	key, err := seal.CreateKeyFile(a.keyFile())
	if err != nil {
		return err
	}
	defer clear(key)
	if err := a.sealer.Init(ctx, key); err != nil {
		return err
	}
	if !a.sealer.Sealed() {
		return nil
	}
	return a.sealer.Unseal(ctx, key)
}

// key returns the key that signs checkpoints; it is made at the first use.
func (a *App) key(ctx context.Context) (audit.Key, error) {
	if k := a.auditKey.Load(); k != nil {
		return *k, nil
	}
	var sealed []byte
	err := a.db.View(ctx, func(tx *store.Tx) error {
		err := tx.QueryRow(ctx, `SELECT value FROM setting WHERE name = 'audit.key'`).Scan(&sealed)
		if store.IsNotFound(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return audit.Key{}, err
	}
	var k audit.Key
	if sealed == nil {
		if k, err = a.newKey(ctx); err != nil {
			return audit.Key{}, err
		}
	} else {
		plain, err := a.sealer.Decrypt("audit", "setting", "value", "audit.key", sealed)
		if err != nil {
			return audit.Key{}, err
		}
		k.Skey = string(plain)
		if k.Vkey, err = audit.PublicKey(k.Skey); err != nil {
			return audit.Key{}, err
		}
	}
	a.auditKey.Store(&k)
	return k, nil
}

func (a *App) newKey(ctx context.Context) (audit.Key, error) {
	k, err := audit.NewKey()
	if err != nil {
		return k, err
	}
	sealed, err := a.sealer.Encrypt("audit", "setting", "value", "audit.key", []byte(k.Skey))
	if err != nil {
		return k, err
	}
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("audit", ""))
	err = a.gate.Do(ctx, nightporter.Action{Name: "audit.key"}, nightporter.Resource{Kind: "audit", ID: "key"}, func(tx *gate.Tx) error {
		tx.Detail("public_key", k.Vkey)
		if _, err := tx.Exec(ctx, `INSERT INTO setting (name, value) VALUES ('audit.key', ?)`, sealed); err != nil {
			return err
		}
		// The public half stands in the clear, so that a copy of the store can
		// be verified without the unseal key.
		_, err := tx.Exec(ctx, `INSERT INTO setting (name, value) VALUES ('audit.public_key', ?)`, []byte(k.Vkey))
		return err
	})
	return k, err
}
