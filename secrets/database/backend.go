package database

import (
	"context"

	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/vault"
)

// Backend serves the engine as Vault's database secrets engine. It belongs into
// [vault.Config].Backends.
type Backend struct {
	*vault.Paths
	engine *Engine
}

var (
	_ vault.Backend = (*Backend)(nil)
	_ vault.Mounter = (*Backend)(nil)
)

// Backend makes the engine's paths.
func (e *Engine) Backend() *Backend {
	b := &Backend{engine: e}
	const (
		countConnections = `SELECT COUNT(*) FROM database_connection WHERE mount = ? AND name = ? AND retired_at = 0`
		countRoles       = `SELECT COUNT(*) FROM database_role WHERE mount = ? AND name = ?`
		countStatic      = `SELECT COUNT(*) FROM database_static WHERE mount = ? AND name = ?`
	)
	b.Paths = vault.NewPaths("database",
		vault.Path{Pattern: "config", List: b.keys(`SELECT name FROM database_connection WHERE mount = ? AND retired_at = 0`)},
		vault.Path{Pattern: "config/{name}", Read: b.readConfig, Write: b.writeConfig, Delete: b.deleteConfig, Exists: b.present(countConnections)},
		vault.Path{Pattern: "roles", List: b.keys(`SELECT name FROM database_role WHERE mount = ?`)},
		vault.Path{Pattern: "roles/{name...}", Read: b.readRole, Write: b.writeRole, Delete: b.deleteRole, Exists: b.present(countRoles)},
		vault.Path{Pattern: "creds/{name...}", Read: b.readCreds},
		vault.Path{Pattern: "static-roles", List: b.keys(`SELECT name FROM database_static WHERE mount = ?`)},
		vault.Path{Pattern: "static-roles/{name...}", Read: b.readStaticRole, Write: b.writeStaticRole, Delete: b.deleteStaticRole, Exists: b.present(countStatic)},
		vault.Path{Pattern: "static-creds/{name...}", Read: b.readStaticCreds},
		vault.Path{Pattern: "rotate-role/{name...}", Write: b.rotateRole},
		vault.Path{Pattern: "rotate-root/{name}", Write: b.rotateRoot},
		vault.Path{Pattern: "reset/{name}", Write: b.reset},
		// Ours: a look at a database, a person's own login, and what the reconciler
		// found.
		vault.Path{Pattern: "check/{name}", Write: b.checkDatabase},
		vault.Path{Pattern: "login/{name}", Read: b.readLogin},
		vault.Path{Pattern: "orphans", Read: b.readOrphans},
	)
	return b
}

// Mount implements [vault.Mounter]: there are no options.
func (b *Backend) Mount(*vault.Mount) error { return nil }

// Unmount implements [vault.Mounter]. The connections stay until the last login is
// gone.
func (b *Backend) Unmount(ctx context.Context, tx *gate.Tx, m vault.Mount) error {
	for _, table := range []string{"database_role", "database_static"} {
		if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE mount = ?`, m.UUID); err != nil {
			return err
		}
	}
	return b.engine.retire(ctx, tx, `WHERE mount = ? AND retired_at = 0`, m.UUID)
}
