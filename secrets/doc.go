// Package secrets is the secrets that the product keeps and makes.
//
// Each engine is a [vault.Backend]: internal/vault has the mount table, the
// tokens and the envelope, and hands requests below a mount to its engine.
//
//	kv         values that somebody wrote, in one version or in many
//	cubbyhole  values that a token keeps for itself and that end with it
//
// Values are encrypted, each for its own row, before they reach the store. Names
// are not: they are listed and searched.
package secrets

import (
	"errors"
	"slices"

	"nightporter.dev/nightporter/internal/seal"
	"nightporter.dev/nightporter/internal/vault"
)

// Config is what the engines need.
type Config struct {
	Seal *seal.Sealer // required
}

// Migrations are the tables of the engines.
var Migrations = slices.Concat(kvMigrations)

// Backends makes the engines, for [vault.Config].
func Backends(cfg Config) ([]vault.Backend, error) {
	if cfg.Seal == nil {
		return nil, errors.New("secrets: Seal is required")
	}
	return []vault.Backend{newKV(cfg.Seal), newCubbyhole(cfg.Seal)}, nil
}
