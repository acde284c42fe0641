package identity_test

import (
	"testing"
	"time"

	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
)

// BenchmarkRevokeParentOf20000 ends a token with 20,000 children: how long until
// the children are dead, and until the store has forgotten them.
func BenchmarkRevokeParentOf20000(b *testing.B) {
	const children = 20_000
	db := storetest.SQLite(b, tables)
	d := newDesk(b, db)
	r, err := lease.NewReaper(lease.ReaperConfig{Gate: d.gate, Now: d.Now, Ended: d.Ended})
	if err != nil {
		b.Fatal(err)
	}
	go r.Run(d.ctx)
	for b.Loop() {
		b.StopTimer()
		_, parent := d.token(identity.Spec{TTL: time.Hour})
		var last string
		for range children / 1000 {
			d.do(func(tx *gate.Tx) (err error) {
				for range 1000 {
					if last, _, err = d.Create(d.ctx, tx, identity.Spec{Actor: "ci", TTL: time.Hour, Parent: parent.Accessor}); err != nil {
						return err
					}
				}
				return nil
			})
		}
		b.StartTimer()
		started := time.Now()
		d.do(func(tx *gate.Tx) error { return d.Revoke(d.ctx, tx, parent.Accessor, "test") })
		if d.works(last) {
			b.Fatal("a child works")
		}
		b.ReportMetric(float64(time.Since(started).Microseconds())/1000, "ms-until-dead")
		for left := 1; left > 0; r.Wake() {
			err := db.View(d.ctx, func(tx *store.Tx) error {
				return tx.QueryRow(d.ctx, `SELECT COUNT(*) FROM lease`).Scan(&left)
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
