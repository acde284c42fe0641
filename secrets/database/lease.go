package database

import (
	"context"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/vault"
	provider "nightporter.dev/nightporter/provider/database"
)

var (
	_ lease.Revoker      = (*Engine)(nil)
	_ vault.LeaseRenewer = (*Backend)(nil)
)

// patience is how long the reaper's loop waits for a keeper: enough for a database
// that works. Others answer for themselves.
const patience = time.Second

// Revoke implements [lease.Revoker]: it hands doomed leases to the keepers of
// their databases. A caller with a deadline wants to know how it went, and is told
// after every database has tried. The reaper has none, and is not held up.
func (e *Engine) Revoke(ctx context.Context, leases []lease.Lease) []lease.Outcome {
	before, err := e.journal(ctx, leases)
	if err != nil {
		return all(leases, err)
	}
	_, waits := ctx.Deadline()
	var tries []<-chan struct{}
	for id := range connectionsOf(before) {
		s := e.server(id)
		if !waits && s.troubled() {
			continue // it goes on by itself, and tells with the next question
		}
		tries = append(tries, s.tried())
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	limit := timeout.C
	if waits {
		limit = nil
	}
wait:
	for _, try := range tries {
		select {
		case <-try:
		case <-limit:
			break wait
		case <-ctx.Done():
			break wait
		}
	}
	left, err := e.journal(context.WithoutCancel(ctx), leases)
	if err != nil {
		return all(leases, err)
	}
	outcomes := make([]lease.Outcome, len(leases))
	for i, l := range leases {
		if en, ok := left[l.ID]; ok {
			outcomes[i].Err = e.server(en.connection).why(en.username)
		}
	}
	return outcomes
}

func all(leases []lease.Lease, err error) []lease.Outcome {
	outcomes := make([]lease.Outcome, len(leases))
	for i := range outcomes {
		outcomes[i].Err = err
	}
	return outcomes
}

func connectionsOf(journal map[string]entry) map[string]bool {
	ids := map[string]bool{}
	for _, en := range journal {
		ids[en.connection] = true
	}
	return ids
}

// journal reads the rows of leases, by the lease's id. A lease without one has
// nothing outside.
func (e *Engine) journal(ctx context.Context, leases []lease.Lease) (map[string]entry, error) {
	if len(leases) == 0 {
		return nil, nil
	}
	args := make([]any, len(leases))
	for i, l := range leases {
		args[i] = l.ID
	}
	found := make(map[string]entry, len(leases))
	err := e.look(ctx, func(tx *store.Tx) error {
		list, err := entries(ctx, tx, `WHERE j.lease IN (`+store.In(len(args))+`)`, args...)
		for _, en := range list {
			if en.State != buried {
				found[en.Lease] = en
			}
		}
		return err
	})
	return found, err
}

// RenewLease implements [vault.LeaseRenewer]: see [Engine.Renew].
func (b *Backend) RenewLease(ctx context.Context, l lease.Lease, end time.Time) error {
	return b.engine.Renew(ctx, l, end)
}

// Renew makes a lease's login good until end: the database is told the new end
// before the lease promises it.
func (e *Engine) Renew(ctx context.Context, l lease.Lease, end time.Time) error {
	journal, err := e.journal(ctx, []lease.Lease{l})
	if err != nil {
		return err
	}
	en, ok := journal[l.ID]
	if !ok || en.State != made {
		return vault.Bad("lease not found")
	}
	s := e.server(en.connection)
	db, done, err := s.use(ctx)
	if err != nil {
		return err
	}
	defer done()
	e.cfg.Fault("renew:before")
	err = db.RenewUser(ctx, provider.Renew{Username: en.username, Expiration: end.Add(leeway), Statements: en.Renewal})
	e.cfg.Fault("renew:done")
	if nightporter.CodeOf(err) == nightporter.NotFound {
		// Somebody dropped it by hand: the lease stands for nothing.
		if err := e.unwant(e.after(ctx), "its login was dropped in the database", en.login); err != nil {
			return err
		}
		return vault.Bad("the login %s is not in the database any more: its lease was ended", en.username)
	}
	if err != nil {
		return vault.RefuseIn(500, "failed to renew entry: %s", nightporter.MessageOf(err))
	}
	s.answers()
	return nil
}
