package database

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	provider "nightporter.dev/nightporter/provider/database"
)

// connection is a database as it was configured.
type connection struct {
	ID      string
	Mount   string // its mount's UUID
	Path    string // its mount's path, with the slash
	Name    string
	Retired bool // deleted; its last logins are on their way out
	settings
}

// settings are encrypted at rest.
type settings struct {
	// Details are the fields of the connection itself, as the client wrote them.
	Details            map[string]any `json:"details"`
	AllowedRoles       []string       `json:"allowed_roles"`
	RotationStatements []string       `json:"root_rotation_statements,omitempty"`
	// PersonStatements make a person's own login. Empty is the plugin's default.
	PersonStatements []string `json:"person_statements,omitempty"`
	PasswordPolicy   string   `json:"password_policy,omitempty"`
	PluginVersion    string   `json:"plugin_version,omitempty"`
}

// database is how the configuration file names it: "database/ledger-dev".
func (c *connection) database() string { return c.Path + c.Name }

func (c *connection) text(field string) string {
	s, _ := c.Details[field].(string)
	return s
}

// allows says whether a role may use the connection.
func (c *connection) allows(role string) bool {
	return slices.ContainsFunc(c.AllowedRoles, func(pattern string) bool { return matches(pattern, role) })
}

// matches is Vault's glob: a star at the beginning, at the end, or both.
func matches(pattern, text string) bool {
	if pattern == "*" {
		return true
	}
	quoted := regexp.QuoteMeta(pattern)
	for _, end := range []struct{ from, to string }{{`^\\\*`, `.*`}, {`\\\*$`, `.*`}} {
		quoted = regexp.MustCompile(end.from).ReplaceAllLiteralString(quoted, end.to)
	}
	ok, err := regexp.MatchString(`\A`+quoted+`\z`, text)
	return ok && err == nil
}

// open makes the connection's provider. It does not connect.
func (e *Engine) open(c *connection) (provider.Database, *provider.Namer, error) {
	cfg, _, err := provider.ParseConfig(c.Details)
	if err != nil {
		return nil, nil, err
	}
	opener := e.cfg.Plugins[cfg.Plugin]
	if opener == nil {
		return nil, nil, nightporter.E(nightporter.Invalid, "plugin not found in the catalog: %s", cfg.Plugin)
	}
	cfg.Dial = e.cfg.Dial
	key, err := e.key()
	if err != nil {
		return nil, nil, err
	}
	namer, err := provider.NewNamer(provider.NamerConfig{Plugin: cfg.Plugin, Template: cfg.UsernameTemplate, Key: key, Now: e.cfg.Now})
	if err != nil {
		return nil, nil, err
	}
	db, err := opener(cfg)
	return db, namer, err
}

// key makes the mark in the names of our logins. It stays the same for the life
// of the store.
func (e *Engine) key() ([]byte, error) {
	if k := e.markKey.Load(); k != nil {
		return *k, nil
	}
	k, err := e.cfg.Seal.MAC("database login names", []byte("1"))
	if err == nil {
		e.markKey.Store(&k)
	}
	return k, err
}

const sealPurpose = "database connections"

func (e *Engine) seal(table, column, row string, value any) ([]byte, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	return e.cfg.Seal.Encrypt(sealPurpose, table, column, row, text)
}

func (e *Engine) unseal(table, column, row string, sealed []byte, into any) error {
	text, err := e.cfg.Seal.Decrypt(sealPurpose, table, column, row, sealed)
	if err != nil {
		return err
	}
	defer clear(text)
	return json.Unmarshal(text, into)
}

// errNoConnection is what [Engine.find] and friends answer.
func errNoConnection(name string) error {
	return nightporter.E(nightporter.NotFound, "failed to find entry for connection with name: %q", name) // Vault's words
}

const connectionColumns = `id, mount, path, name, retired_at, settings`

// connections reads connections by a WHERE clause, with their secrets.
func (e *Engine) connections(ctx context.Context, tx *store.Tx, where string, args ...any) ([]*connection, error) {
	var list []*connection
	err := tx.Each(ctx, `SELECT `+connectionColumns+` FROM database_connection `+where, args, func(scan func(...any) error) error {
		c := &connection{}
		var retired int64
		var sealed []byte
		if err := scan(&c.ID, &c.Mount, &c.Path, &c.Name, &retired, &sealed); err != nil {
			return err
		}
		c.Retired = retired > 0
		list = append(list, c)
		return e.unseal("database_connection", "settings", c.ID, sealed, &c.settings)
	})
	if err != nil {
		return nil, fmt.Errorf("read the databases: %w", err)
	}
	return list, nil
}

// connection reads one; not_found when there is none.
func (e *Engine) connection(ctx context.Context, tx *store.Tx, mount, name string) (*connection, error) {
	list, err := e.connections(ctx, tx, `WHERE mount = ? AND name = ? AND retired_at = 0`, mount, name)
	if err == nil && len(list) == 0 {
		return nil, errNoConnection(name)
	}
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// put writes a connection within the caller's change; from then on it is used as
// written.
func (e *Engine) put(ctx context.Context, tx *gate.Tx, c *connection) error {
	sealed, err := e.seal("database_connection", "settings", c.ID, c.settings)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO database_connection (id, mount, path, name, retired_at, settings) VALUES (?, ?, ?, ?, 0, ?)
		ON CONFLICT (id) DO UPDATE SET path = excluded.path, settings = excluded.settings`, c.ID, c.Mount, c.Path, c.Name, sealed)
	if err != nil {
		return fmt.Errorf("write database %s: %w", c.Name, err)
	}
	tx.AfterCommit(func() { e.server(c.ID).reopen() })
	return nil
}

// retire takes connections out of use within the caller's change. Nothing new is
// made on them; what is out can be renewed and ends as it would have, and the row
// goes after the last login.
func (e *Engine) retire(ctx context.Context, tx *gate.Tx, where string, args ...any) error {
	if _, err := tx.Exec(ctx, `UPDATE database_connection SET retired_at = ? `+where,
		append([]any{store.Micros(tx.Now())}, args...)...); err != nil {
		return fmt.Errorf("take a database out of use: %w", err)
	}
	return e.forget(ctx, tx)
}

// forget deletes retired connections that have no login left.
func (e *Engine) forget(ctx context.Context, tx *gate.Tx) error {
	_, err := tx.Exec(ctx, `DELETE FROM database_connection WHERE retired_at > 0
		AND NOT EXISTS (SELECT 1 FROM database_login j WHERE j.connection = database_connection.id)`)
	if err != nil {
		return fmt.Errorf("forget a database: %w", err)
	}
	return nil
}
