package lease

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"nightporter.dev/nightporter/internal/store"
)

// Below reads the leases of a kind-less prefix: those whose path is prefix or
// stands below it, folder by folder ("database/creds/ro" is not below
// "database/creds/r"). An empty prefix means all. Tokens are left out: they are
// named by their accessor and ended through internal/identity.
//
// Text is compared by length and not with LIKE or a range: a path may hold "%",
// and PostgreSQL orders by the collation of its operating system.
func Below(ctx context.Context, tx *store.Tx, prefix string) ([]Lease, error) {
	prefix = strings.TrimSuffix(prefix, "/")
	if prefix == "" {
		return Query(ctx, tx, `WHERE kind <> ? ORDER BY id`, string(Token))
	}
	folder := prefix + "/"
	return Query(ctx, tx, `WHERE kind <> ? AND (path = ? OR substr(path, 1, ?) = ? OR id = ?) ORDER BY id`,
		string(Token), prefix, utf8.RuneCountInString(folder), folder, prefix)
}

// DoomBelow ends every lease of [Below] within the caller's change and returns
// the ids of those that were alive.
func DoomBelow(ctx context.Context, tx *store.Tx, prefix, reason string, now time.Time) ([]string, error) {
	leases, err := Below(ctx, tx, prefix)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, l := range leases {
		if l.State == Doomed {
			continue
		}
		if err := Doom(ctx, tx, l.ID, reason, now); err != nil {
			return nil, err
		}
		ids = append(ids, l.ID)
	}
	return ids, nil
}

// Orphan cuts the children of a lease off, so that they outlive it.
func Orphan(ctx context.Context, tx *store.Tx, parent string) error {
	if _, err := tx.Exec(ctx, `UPDATE lease SET parent = '' WHERE parent = ?`, parent); err != nil {
		return fmt.Errorf("cut the children of lease %s off: %w", parent, err)
	}
	return nil
}

// Count counts the leases that are not tokens, by their path.
func Count(ctx context.Context, tx *store.Tx) (map[string]int, error) {
	counts := map[string]int{}
	err := tx.Each(ctx, `SELECT path, COUNT(*) FROM lease WHERE kind <> ? GROUP BY path`, []any{string(Token)}, func(scan func(...any) error) error {
		var path string
		var n int
		if err := scan(&path, &n); err != nil {
			return err
		}
		counts[path] = n
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count leases: %w", err)
	}
	return counts, nil
}
