package gate_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store/storetest"
)

// Whoever still wants a change while the house closes is told no; nobody is left
// waiting for a committer that has gone.
func TestClose(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t, migrations)
	for round := range 20 {
		g := newGate(t, db, allowAll)
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				name := fmt.Sprintf("r%d-%d", round, i)
				err := g.Do(as("ana"), write, thing(name), insert(context.Background(), name))
				made := count(t, db, `SELECT COUNT(*) FROM thing WHERE name = ?`, name) == 1
				if code := nightporter.CodeOf(err); err != nil && code != nightporter.Unavailable || made != (err == nil) {
					t.Errorf("got %v, and the change was made: %v", err, made)
				}
			})
		}
		g.Close()
		wg.Wait()
		if err := g.Do(as("ana"), write, thing("late"), insert(context.Background(), "late")); nightporter.CodeOf(err) != nightporter.Unavailable {
			t.Errorf("got %v, want unavailable once it is closed", err)
		}
	}
}
