package outbox

import (
	"context"
	"fmt"
	"time"

	"nightporter.dev/nightporter/internal/store"
)

// pruneBatch keeps a transaction short.
const pruneBatch = 500

// Prune removes events that are older than [Keep] and that nobody waits for any
// more, up to 500 of them, and returns how many: who gets 500 asks again. It runs
// inside the spine's bookkeeping, once an hour or so. The newest event always
// stays: its number is what the next one follows.
func Prune(ctx context.Context, tx *store.Tx, now time.Time) (int64, error) {
	n, err := tx.Exec(ctx, `DELETE FROM event WHERE id IN (
		SELECT e.id FROM event e WHERE e.at < ? AND e.id < (SELECT MAX(id) FROM event)
			AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.event_id = e.id)
		ORDER BY e.id LIMIT ?)`, store.Micros(now.Add(-Keep)), pruneBatch)
	if err != nil {
		return 0, fmt.Errorf("remove old events: %w", err)
	}
	return n, nil
}
