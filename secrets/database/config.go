package database

import (
	"context"
	"crypto/rand"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/vault"
	provider "nightporter.dev/nightporter/provider/database"
)

// byName reads a connection; not_found when there is none.
func (e *Engine) byName(ctx context.Context, mount, name string) (c *connection, err error) {
	err = e.look(ctx, func(tx *store.Tx) error {
		c, err = e.connection(ctx, tx, mount, name)
		return err
	})
	return c, err
}

// serverOf finds the server of a request; a connection that is not there is
// Vault's error.
func (b *Backend) serverOf(ctx context.Context, r *vault.Request) (*server, *connection, error) {
	c, err := b.engine.byName(ctx, r.Mount.UUID, r.Vars["name"])
	if nightporter.CodeOf(err) == nightporter.NotFound {
		return nil, nil, vault.RefuseIn(http.StatusInternalServerError, "%s", message(err))
	}
	if err != nil {
		return nil, nil, err
	}
	return b.engine.server(c.ID), c, nil
}

// secretDetails never leave the store.
var secretDetails = []string{"password", "private_key", "tls_certificate_key", "plugin_name"}

func (b *Backend) readConfig(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	c, err := b.engine.byName(ctx, r.Mount.UUID, r.Vars["name"])
	if nightporter.CodeOf(err) == nightporter.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	details := maps.Clone(c.Details)
	maps.DeleteFunc(details, func(name string, _ any) bool { return slices.Contains(secretDetails, name) })
	details["connection_url"] = hidePassword(c.text("connection_url"))
	data := map[string]any{
		"plugin_name": c.text("plugin_name"), "plugin_version": c.PluginVersion, "connection_details": details,
		"allowed_roles": list(c.AllowedRoles), "password_policy": c.PasswordPolicy,
		"root_credentials_rotate_statements": list(c.RotationStatements),
	}
	if len(c.PersonStatements) > 0 {
		data["person_statements"] = c.PersonStatements
	}
	return &vault.Response{Data: data}, nil
}

// inKeyValues is a password in a list of key=value pairs, or in a query.
var inKeyValues = regexp.MustCompile(`(?i)(password\s*=\s*)('[^']*'|[^\s&]+)`)

// hidePassword keeps a password that stands in the address itself out of what is
// shown. A placeholder is none.
func hidePassword(address string) string {
	scheme, rest, isURL := strings.Cut(address, "://")
	if !isURL {
		scheme, rest = "", address
	} else {
		scheme += "://"
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		if user, password, ok := strings.Cut(rest[:at], ":"); ok && !strings.Contains(password, "{{") {
			rest = user + ":*****" + rest[at:]
		}
	}
	return scheme + inKeyValues.ReplaceAllStringFunc(rest, func(m string) string {
		parts := inKeyValues.FindStringSubmatch(m)
		if strings.Contains(parts[2], "{{") {
			return m
		}
		return parts[1] + "*****"
	})
}

// ownFields are those of the engine. All others belong to the connection.
var ownFields = []string{
	"allowed_roles", "verify_connection", "root_rotation_statements", "root_credentials_rotate_statements", "password_policy",
	"plugin_version", "person_statements",
}

func (b *Backend) writeConfig(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	e, name := b.engine, r.Vars["name"]
	c, err := e.byName(ctx, r.Mount.UUID, name)
	switch {
	case nightporter.CodeOf(err) == nightporter.NotFound:
		c = &connection{ID: rand.Text(), Mount: r.Mount.UUID, Path: r.Mount.Path, Name: name, settings: settings{Details: map[string]any{}}}
	case err != nil:
		return nil, err
	case r.Creates():
		return nil, vault.Denied()
	}
	// A rotation of the password must not write what was read before this.
	s := e.server(c.ID)
	s.password.Lock()
	defer s.password.Unlock()
	if again, err := e.byName(ctx, r.Mount.UUID, name); err == nil {
		c = again
	}
	verify, err := e.readConfigFields(r, c)
	if err != nil {
		return nil, err
	}
	db, _, err := e.open(c)
	if err != nil {
		return nil, vault.Bad("error creating database object: %s", message(err))
	}
	defer db.Close()
	if verify {
		if err := db.Verify(ctx); err != nil {
			return nil, vault.Bad("error creating database object: error verifying connection: %s", message(err))
		}
	}
	return nil, r.Do(ctx, func(tx *gate.Tx) error {
		if r.Fields().Has("password") {
			// Whoever gives the password ends the rotation that was under way.
			if _, err := tx.Exec(ctx, `DELETE FROM database_rotation WHERE connection = ?`, c.ID); err != nil {
				return err
			}
		}
		c.Path = r.Mount.Path
		tx.AfterCommit(s.poke)
		return e.put(ctx, tx, c)
	})
}

// readConfigFields puts the request's fields into the connection: what it does
// not name stays as it was.
func (e *Engine) readConfigFields(r *vault.Request, c *connection) (verify bool, err error) {
	f := r.Fields()
	verify = f.Bool("verify_connection", true)
	f.Ignore(ownFields...)
	if f.Has("allowed_roles") {
		c.AllowedRoles = f.List("allowed_roles")
	}
	if f.Has("password_policy") {
		c.PasswordPolicy = f.String("password_policy")
	}
	if f.Has("plugin_version") {
		c.PluginVersion = f.String("plugin_version")
	}
	for field, into := range map[string]*[]string{
		"root_credentials_rotate_statements": &c.RotationStatements, "root_rotation_statements": &c.RotationStatements,
		"person_statements": &c.PersonStatements,
	} {
		if f.Has(field) {
			if *into, err = statements(r.Data[field]); err != nil {
				return false, vault.Bad("error converting input for field %q: %s", field, err)
			}
		}
	}
	if f.Err() != nil {
		return false, f.Err()
	}
	c.Details = maps.Clone(c.Details)
	for field, value := range r.Data {
		if !slices.Contains(ownFields, field) && value != nil {
			c.Details[field] = value
		}
	}
	plugin := c.text("plugin_name")
	switch {
	case plugin == "":
		return false, vault.Bad("empty plugin name")
	case e.cfg.Plugins[plugin] == nil:
		const missing = "\n\t* plugin not found in the catalog: "
		return false, vault.Bad("error creating database object: invalid database version: 2 errors occurred:%s%s%s%s\n\n", missing, plugin, missing, plugin)
	}
	_, unknown, err := provider.ParseConfig(c.Details)
	if err != nil {
		return false, vault.Bad("error creating database object: %s", message(err))
	}
	// What nobody knows is not kept: it might be a misspelt secret.
	for _, field := range unknown {
		delete(c.Details, field)
	}
	for field := range c.Details {
		f.Ignore(field)
	}
	return verify, nil
}

func (b *Backend) deleteConfig(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	return nil, r.Do(ctx, func(tx *gate.Tx) error {
		return b.engine.retire(ctx, tx, `WHERE mount = ? AND name = ? AND retired_at = 0`, r.Mount.UUID, r.Vars["name"])
	})
}

// reset closes a connection's sessions and opens it afresh.
func (b *Backend) reset(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	s, _, err := b.serverOf(ctx, r)
	if err != nil {
		return nil, err
	}
	return nil, r.Do(ctx, func(tx *gate.Tx) error {
		tx.AfterCommit(func() {
			s.close()
			s.poke()
		})
		return nil
	})
}
