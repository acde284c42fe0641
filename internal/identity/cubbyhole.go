package identity

import (
	"context"
	"fmt"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
)

// A cubbyhole is what a token keeps for itself. Nobody else reads it, and it
// ends with the token. Values come encrypted; see [CubbyholeRow].

// maxCubbyhole is how many values one token may keep.
const maxCubbyhole = 1000

// CubbyholeRow names a value's row for internal/seal.
func CubbyholeRow(accessor, name string) string { return accessor + "/" + name }

// PutCubbyhole writes a value within the caller's change. Errors: limited when
// the cubbyhole is full.
func PutCubbyhole(ctx context.Context, tx *gate.Tx, accessor, name string, sealed []byte) error {
	var n int
	err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM cubbyhole WHERE accessor = ? AND name <> ?`, accessor, name).Scan(&n)
	if err != nil {
		return fmt.Errorf("count a cubbyhole: %w", err)
	}
	if n >= maxCubbyhole {
		return nightporter.E(nightporter.Limited, "a cubbyhole holds at most %d values", maxCubbyhole)
	}
	_, err = tx.Exec(ctx, `INSERT INTO cubbyhole (accessor, name, value) VALUES (?, ?, ?)
		ON CONFLICT (accessor, name) DO UPDATE SET value = excluded.value`, accessor, name, sealed)
	if err != nil {
		return fmt.Errorf("write to a cubbyhole: %w", err)
	}
	return nil
}

// Cubbyhole reads a value, or nil when there is none.
func Cubbyhole(ctx context.Context, tx *store.Tx, accessor, name string) (sealed []byte, err error) {
	err = tx.QueryRow(ctx, `SELECT value FROM cubbyhole WHERE accessor = ? AND name = ?`, accessor, name).Scan(&sealed)
	if store.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a cubbyhole: %w", err)
	}
	return sealed, nil
}

// CubbyholeNames lists the names below a folder: "" or one that ends in a slash.
func CubbyholeNames(ctx context.Context, tx *store.Tx, accessor, folder string) (names []string, err error) {
	err = tx.Each(ctx, `SELECT name FROM cubbyhole WHERE accessor = ?`, []any{accessor}, func(scan func(...any) error) error {
		var name string
		if err := scan(&name); err != nil {
			return err
		}
		if rest, ok := strings.CutPrefix(name, folder); ok {
			names = append(names, rest)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list a cubbyhole: %w", err)
	}
	return names, nil
}

// DeleteCubbyhole removes a value within the caller's change. One that is not
// there is fine.
func DeleteCubbyhole(ctx context.Context, tx *gate.Tx, accessor, name string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM cubbyhole WHERE accessor = ? AND name = ?`, accessor, name); err != nil {
		return fmt.Errorf("delete from a cubbyhole: %w", err)
	}
	return nil
}
