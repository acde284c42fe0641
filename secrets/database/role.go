package database

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/vault"
)

// Role says what logins somebody may ask for.
type Role struct {
	Name       string        `json:"-"`
	DB         string        `json:"db_name"`
	Creation   []string      `json:"creation_statements"`
	Revocation []string      `json:"revocation_statements,omitempty"`
	Renewal    []string      `json:"renew_statements,omitempty"`
	Rollback   []string      `json:"rollback_statements,omitempty"`
	DefaultTTL time.Duration `json:"default_ttl,omitempty"`
	MaxTTL     time.Duration `json:"max_ttl,omitempty"`
	// MaxLeases bounds how many logins of the role are out at once. 0 is any
	// number. Ours: max_leases.
	MaxLeases int `json:"max_leases,omitempty"`
}

// role reads a role.
func (e *Engine) role(ctx context.Context, mount, name string) (role Role, found bool, err error) {
	err = e.look(ctx, func(tx *store.Tx) error {
		var text string
		err := tx.QueryRow(ctx, `SELECT role FROM database_role WHERE mount = ? AND name = ?`, mount, name).Scan(&text)
		if store.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read role %s: %w", name, err)
		}
		found = true
		return json.Unmarshal([]byte(text), &role)
	})
	role.Name = name
	return role, found, err
}

func (b *Backend) readRole(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	role, found, err := b.engine.role(ctx, r.Mount.UUID, r.Vars["name"])
	if err != nil || !found {
		return nil, err
	}
	data := map[string]any{
		"db_name": role.DB, "creation_statements": list(role.Creation), "revocation_statements": list(role.Revocation),
		"renew_statements": list(role.Renewal), "rollback_statements": list(role.Rollback),
		"default_ttl": int64(role.DefaultTTL / time.Second), "max_ttl": int64(role.MaxTTL / time.Second), "credential_type": "password",
	}
	if role.MaxLeases > 0 {
		data["max_leases"] = role.MaxLeases
	}
	return &vault.Response{Data: data}, nil
}

// list is a list also when it is empty: clients see [] and not null.
func list(texts []string) []string {
	if texts == nil {
		return []string{}
	}
	return texts
}

func (b *Backend) writeRole(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	e, name := b.engine, r.Vars["name"]
	role, found, err := e.role(ctx, r.Mount.UUID, name)
	if err != nil {
		return nil, err
	}
	trial, err := readRoleFields(r, &role)
	if err != nil {
		return nil, err
	}
	if found && r.Creates() {
		return nil, vault.Denied()
	}
	taken, err := e.exists(ctx, `SELECT COUNT(*) FROM database_static WHERE mount = ? AND name = ?`, r.Mount.UUID, name)
	if err != nil {
		return nil, err
	}
	if taken {
		return nil, vault.Bad("Role and Static Role names must be unique")
	}
	warnings, err := e.examine(ctx, r, role, trial)
	if err != nil {
		return nil, err
	}
	err = r.Do(ctx, func(tx *gate.Tx) error { return putRole(ctx, tx, r.Mount.UUID, role) })
	if err != nil || len(warnings) == 0 {
		return nil, err
	}
	return &vault.Response{Warnings: warnings}, nil
}

// putRole writes a role within the caller's change.
func putRole(ctx context.Context, tx *gate.Tx, mount string, role Role) error {
	text, err := json.Marshal(role)
	if err != nil {
		return err
	}
	tx.Detail("db_name", role.DB)
	_, err = tx.Exec(ctx, `INSERT INTO database_role (mount, name, role) VALUES (?, ?, ?)
		ON CONFLICT (mount, name) DO UPDATE SET role = excluded.role`, mount, role.Name, string(text))
	return err
}

// readRoleFields puts the request's fields into the role: what it does not name
// stays as it was.
func readRoleFields(r *vault.Request, role *Role) (trial, error) {
	f := r.Fields()
	for name, into := range map[string]*[]string{
		"creation_statements": &role.Creation, "revocation_statements": &role.Revocation,
		"renew_statements": &role.Renewal, "rollback_statements": &role.Rollback,
	} {
		if !f.Has(name) {
			continue
		}
		texts, err := statements(r.Data[name])
		if err != nil {
			return "", vault.Bad("error converting input for field %q: %s", name, err)
		}
		*into = texts
	}
	if f.Has("db_name") {
		role.DB = f.String("db_name")
	}
	if f.Has("default_ttl") {
		role.DefaultTTL = f.Duration("default_ttl")
	}
	if f.Has("max_ttl") {
		role.MaxTTL = f.Duration("max_ttl")
	}
	if f.Has("max_leases") {
		role.MaxLeases = f.Int("max_leases")
	}
	kind := f.String("credential_type")
	f.Ignore("credential_config")
	how := tryAndWarn
	if f.Has("verify") {
		if how = tryNot; f.Bool("verify", true) {
			how = tryOrRefuse
		}
	}
	switch {
	case f.Err() != nil:
		return "", f.Err()
	case role.DB == "":
		return "", vault.Bad("database name is required")
	case kind != "" && kind != "password":
		return "", vault.Bad("unsupported credential_type %q: only \"password\"", kind)
	case role.MaxLeases < 0:
		return "", vault.Bad("max_leases cannot be negative")
	}
	return how, nil
}

// statements reads a list of statements in the forms that Vault takes: an array, or
// one text, which may be a JSON array and may be base64.
func statements(v any) ([]string, error) {
	switch v := v.(type) {
	case []any:
		var out []string
		for _, item := range v {
			text, ok := item.(string)
			if !ok {
				return nil, fmt.Errorf("expected a list of strings")
			}
			out = append(out, text)
		}
		return out, nil
	case string:
		if decoded, err := base64.StdEncoding.DecodeString(v); err == nil && utf8.Valid(decoded) && strings.Contains(string(decoded), " ") {
			v = string(decoded)
		}
		if v == "" {
			return nil, nil
		}
		var out []string
		if json.Unmarshal([]byte(v), &out) == nil {
			return out, nil
		}
		return []string{v}, nil
	}
	return nil, fmt.Errorf("expected a list of strings")
}

func (b *Backend) deleteRole(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	return nil, r.Do(ctx, func(tx *gate.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM database_role WHERE mount = ? AND name = ?`, r.Mount.UUID, r.Vars["name"])
		return err
	})
}

// exists runs a query that counts.
func (e *Engine) exists(ctx context.Context, query string, args ...any) (found bool, err error) {
	err = e.look(ctx, func(tx *store.Tx) error {
		var n int
		err := tx.QueryRow(ctx, query, args...).Scan(&n)
		found = n > 0
		return err
	})
	return found, err
}

// keys lists names, for LIST.
func (b *Backend) keys(query string) vault.Handler {
	return func(ctx context.Context, r *vault.Request) (*vault.Response, error) {
		var names []string
		err := b.engine.look(ctx, func(tx *store.Tx) error {
			return tx.Each(ctx, query+` ORDER BY name`, []any{r.Mount.UUID}, func(scan func(...any) error) error {
				var name string
				err := scan(&name)
				names = append(names, name)
				return err
			})
		})
		return vault.Keys(names), err
	}
}

// present says whether there is something of the request's name.
func (b *Backend) present(query string) func(context.Context, *vault.Request) (bool, error) {
	return func(ctx context.Context, r *vault.Request) (bool, error) {
		return b.engine.exists(ctx, query, r.Mount.UUID, r.Vars["name"])
	}
}

// cappedWarning is Vault's.
func cappedWarning(asked, limit time.Duration) string {
	return fmt.Sprintf("TTL of %q exceeded the effective max_ttl of %q; TTL value is capped accordingly", short(asked), short(limit))
}

// short writes a duration as Vault does in warnings: "768h", "1h30m".
func short(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// message is what a client is told of an error of the database's.
func message(err error) string { return nightporter.MessageOf(err) }
