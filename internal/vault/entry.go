package vault

import (
	"context"
	"encoding/json"
	"fmt"

	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
)

// Entries are the small records of login methods and of sys: roles, configs,
// password policies. They are encrypted, each for its own place. A space is
// "what/mount's UUID", so that nothing outlives its mount.

const entryPurpose = "vault entries"

func entryRow(space, name string) string { return space + "/" + name }

// putEntry writes a record within the caller's change.
func putEntry[T any](ctx context.Context, v *Vault, tx *gate.Tx, space, name string, value T) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	sealed, err := v.cfg.Seal.Encrypt(entryPurpose, "vault_entry", "value", entryRow(space, name), text)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO vault_entry (space, name, value) VALUES (?, ?, ?)
		ON CONFLICT (space, name) DO UPDATE SET value = excluded.value`, space, name, sealed)
	if err != nil {
		return fmt.Errorf("write an entry of %s: %w", space, err)
	}
	return nil
}

// entry reads a record; found is false when there is none.
func entry[T any](ctx context.Context, v *Vault, tx *store.Tx, space, name string) (value T, found bool, err error) {
	var sealed []byte
	err = tx.QueryRow(ctx, `SELECT value FROM vault_entry WHERE space = ? AND name = ?`, space, name).Scan(&sealed)
	if store.IsNotFound(err) {
		return value, false, nil
	}
	if err != nil {
		return value, false, fmt.Errorf("read an entry of %s: %w", space, err)
	}
	err = v.openEntry(space, name, sealed, &value)
	return value, err == nil, err
}

func (v *Vault) openEntry(space, name string, sealed []byte, into any) error {
	text, err := v.cfg.Seal.Decrypt(entryPurpose, "vault_entry", "value", entryRow(space, name), sealed)
	if err != nil {
		return err
	}
	defer clear(text)
	return json.Unmarshal(text, into)
}

// entryNames lists a space, sorted.
func entryNames(ctx context.Context, tx *store.Tx, space string) (names []string, err error) {
	err = tx.Each(ctx, `SELECT name FROM vault_entry WHERE space = ? ORDER BY name`, []any{space}, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		names = append(names, name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the entries of %s: %w", space, err)
	}
	return names, nil
}

// deleteEntry removes a record within the caller's change; an empty name removes
// the whole space. What is not there is fine.
func deleteEntry(ctx context.Context, tx *gate.Tx, space, name string) error {
	where, args := `space = ?`, []any{space}
	if name != "" {
		where, args = where+` AND name = ?`, append(args, name)
	}
	if _, err := tx.Exec(ctx, `DELETE FROM vault_entry WHERE `+where, args...); err != nil {
		return fmt.Errorf("delete an entry of %s: %w", space, err)
	}
	return nil
}

// entryList answers a list of a space's names.
func (v *Vault) entryList(ctx context.Context, r *Request, space string) (*Response, error) {
	var names []string
	err := r.View(ctx, func(tx *store.Tx) (err error) {
		names, err = entryNames(ctx, tx, space)
		return err
	})
	return Keys(names), err
}

// entryExists says whether there is a record.
func (v *Vault) entryExists(ctx context.Context, r *Request, space, name string) (found bool, err error) {
	err = r.View(ctx, func(tx *store.Tx) error {
		var n int
		err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM vault_entry WHERE space = ? AND name = ?`, space, name).Scan(&n)
		found = n > 0
		return err
	})
	return found, err
}
