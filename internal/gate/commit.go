package gate

import (
	"context"
	"errors"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/internal/store"
)

// commit is the committer: it takes whatever waits, up to maxBatch changes, and
// commits it as one transaction. It waits for nothing but work: the time that a
// commit takes is what gathers the next batch.
func (g *Gate) commit(ctx context.Context) {
	var sync <-chan time.Time // runs while a relaxed commit is not synced
	for {
		var first *change
		select {
		case <-ctx.Done():
			g.drain()
			return
		case <-sync:
			if sync = nil; g.sync() != nil {
				sync = time.After(syncEvery)
			}
			continue
		case first = <-g.queue:
		}
		batch := append(make([]*change, 0, 16), first)
	gather:
		for len(batch) < maxBatch {
			select {
			case c := <-g.queue:
				batch = append(batch, c)
			default:
				break gather
			}
		}
		switch relaxed := g.commitBatch(batch); {
		case !relaxed:
			sync = nil
		case sync == nil:
			sync = time.After(syncEvery)
		}
	}
}

// drain refuses what was waiting when the gate closed.
func (g *Gate) drain() {
	for {
		select {
		case c := <-g.queue:
			c.done <- errStopping
		default:
			return
		}
	}
}

// sync makes earlier relaxed commits durable: a full commit syncs the whole log
// up to it.
func (g *Gate) sync() error {
	return g.cfg.DB.Write(context.Background(), store.Full, func(tx *store.Tx) error {
		_, err := tx.Exec(context.Background(), `UPDATE writer SET fence = fence WHERE id = 1`)
		return err
	})
}

// commitBatch runs the changes in one transaction and answers each caller. It
// reports whether the commit was relaxed: a batch of reads alone.
func (g *Gate) commitBatch(batch []*change) (relaxed bool) {
	durability := store.Relaxed
	for _, c := range batch {
		if !c.relaxed {
			durability = store.Full
		}
		g.cfg.Fault("gate:before:" + c.point)
	}
	outcomes := make([]error, len(batch))
	published := false
	ctx := context.Background()
	err := g.cfg.DB.Write(ctx, durability, func(tx *store.Tx) error {
		var entries []audit.Entry
		var records []outbox.Record
		for i, c := range batch {
			var e []audit.Entry
			var r []outbox.Record
			e, r, outcomes[i] = g.run(tx, c)
			entries, records = append(entries, e...), append(records, r...)
		}
		if err := g.log.Append(ctx, tx, entries); err != nil {
			return err
		}
		published = len(records) > 0
		return g.out.Append(ctx, tx, records)
	})
	if err != nil {
		g.log.Reset()
		g.out.Reset()
		g.cfg.Log.Error("commit changes", "changes", len(batch), "error", err)
	}
	for i, c := range batch {
		if err == nil {
			g.cfg.Fault("gate:after:" + c.point)
		}
		if outcomes[i] == nil {
			outcomes[i] = err
		}
	}
	// Wake the listeners before answering: whoever asked may wait for what
	// they do.
	if published && err == nil && g.cfg.Committed != nil {
		g.cfg.Committed()
	}
	for i, c := range batch {
		c.done <- outcomes[i]
	}
	return durability == store.Relaxed
}

// run makes one change inside its savepoint. The policy is asked again: it may
// have changed while the change waited.
func (g *Gate) run(tx *store.Tx, c *change) (entries []audit.Entry, records []outbox.Record, err error) {
	if err := c.ctx.Err(); err != nil {
		return nil, nil, err
	}
	gtx := &Tx{Tx: tx, now: g.cfg.Now().UTC().Truncate(time.Microsecond)}
	err = tx.Nested(c.ctx, func() error {
		if !c.silent && c.decision.Allowed && !g.decide(c.ctx, c.actor, c.action).Allowed {
			return nightporter.E(nightporter.Denied, "the policy changed while the request waited")
		}
		return c.fn(gtx)
	})
	if err != nil && !c.silent && refusal(c, err) {
		// The change is undone; that somebody wanted it is remembered.
		gtx.detail = map[string]any{"code": nightporter.CodeOf(err), "reason": nightporter.MessageOf(err)}
		e, eerr := c.entry(gtx)
		e.Decision = audit.Refused
		return []audit.Entry{e}, nil, errors.Join(err, eerr)
	}
	if err != nil || c.silent {
		return nil, nil, err
	}
	e, err := c.entry(gtx)
	if err != nil {
		return nil, nil, err
	}
	for _, event := range gtx.events {
		r, err := outbox.NewRecord(event, gtx.now, e.RequestID, c.actor.Cause())
		if err != nil {
			return nil, nil, err
		}
		records = append(records, r)
	}
	return []audit.Entry{e}, records, nil
}

// refusal says that a change was refused by a rule that is not about paths: who
// may approve, a freeze, a lock. An auditor asks for these first.
func refusal(c *change, err error) bool {
	if c.actor.Kind == nightporter.System {
		return false
	}
	switch nightporter.CodeOf(err) {
	case nightporter.Denied, nightporter.OwnChange, nightporter.Protected, nightporter.Frozen:
		return true
	}
	return false
}
