package lease

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
)

// Outcome is how ending one lease went.
type Outcome struct {
	// Err is nil when what the lease stood for is confirmed to be gone.
	Err error
}

// Revoker ends what leases of one kind stand for. It is given up to 500 at once
// and answers for each. An outcome without an error lets the lease end; any
// error has it tried again, with pauses up to five minutes, for ever.
type Revoker interface {
	Revoke(ctx context.Context, leases []Lease) []Outcome
}

// ReaperConfig is what a [Reaper] needs.
type ReaperConfig struct {
	Gate     *gate.Gate       // required
	Revokers map[Kind]Revoker // kinds without one need nothing outside
	Ended    func(ctx context.Context, tx *gate.Tx, l Lease) error
	Log      *slog.Logger     // nil is silent
	Now      func() time.Time // nil means time.Now; never a demo's clock
}

// Reaper ends what has expired or was doomed.
type Reaper struct {
	cfg  ReaperConfig
	wake chan struct{}

	mu   sync.Mutex
	busy map[string]chan struct{} // what a revoker has at this moment; closed when it answers
}

const (
	batch    = 500
	maxPause = 5 * time.Minute
)

// NewReaper makes a reaper; Run starts it.
func NewReaper(cfg ReaperConfig) (*Reaper, error) {
	if cfg.Gate == nil {
		return nil, errors.New("lease: Gate is required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Ended == nil {
		cfg.Ended = func(context.Context, *gate.Tx, Lease) error { return nil }
	}
	return &Reaper{cfg: cfg, wake: make(chan struct{}, 1), busy: map[string]chan struct{}{}}, nil
}

// Wake says that something was doomed. It never blocks.
func (r *Reaper) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run reaps until ctx ends.
func (r *Reaper) Run(ctx context.Context) {
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("lease", ""))
	for {
		more, err := r.pass(ctx)
		if err != nil && ctx.Err() == nil {
			r.cfg.Log.ErrorContext(ctx, "end leases", "error", err)
		}
		pause := time.Duration(0)
		if !more || err != nil {
			pause = r.rest(ctx)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-r.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// rest is how long until the next lease expires or the next retry is due, between
// the shortest that is worth a look and a minute.
func (r *Reaper) rest(ctx context.Context) time.Duration {
	next := int64(0)
	err := r.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(ctx, `SELECT COALESCE(MIN(at), 0) FROM (
			SELECT MIN(expires_at) AS at FROM lease WHERE state = 'live' AND expires_at > 0
			UNION ALL SELECT MIN(not_before) FROM lease WHERE state = 'doomed') AS t`).Scan(&next)
	})
	if err != nil {
		return time.Second
	}
	if next == 0 {
		return time.Minute
	}
	return min(max(store.Time(next).Sub(r.cfg.Now()), 200*time.Millisecond), time.Minute)
}

// pass does one round: what has expired is doomed, the children of the doomed
// are doomed, and the doomed are ended. more says that a batch was full.
func (r *Reaper) pass(ctx context.Context) (more bool, err error) {
	now := r.cfg.Now()
	expired, err := r.ids(ctx, `SELECT id FROM lease WHERE state = 'live' AND expires_at > 0 AND expires_at <= ? LIMIT ?`, store.Micros(now), batch)
	if err != nil {
		return false, err
	}
	if err := r.doom(ctx, expired, "expired"); err != nil {
		return false, err
	}
	orphaned, err := r.ids(ctx, `SELECT c.id FROM lease p JOIN lease c ON c.parent = p.id
		WHERE p.state = 'doomed' AND c.state <> 'doomed' LIMIT ?`, batch)
	if err != nil {
		return false, err
	}
	if err := r.doom(ctx, orphaned, "its token ended"); err != nil {
		return false, err
	}
	ended, err := r.end(ctx, now)
	return len(expired) == batch || len(orphaned) == batch || ended == batch, err
}

func (r *Reaper) ids(ctx context.Context, query string, args ...any) (ids []string, err error) {
	err = r.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		return tx.Each(ctx, query, args, func(scan func(...any) error) error {
			var id string
			if err := scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
			return nil
		})
	})
	return ids, err
}

func (r *Reaper) doom(ctx context.Context, ids []string, reason string) error {
	if len(ids) == 0 {
		return nil
	}
	return r.do(ctx, "lease.doom", "leases", func(tx *gate.Tx) error {
		tx.Detail("leases", len(ids))
		tx.Detail("reason", reason)
		args := []any{store.Micros(tx.Now()), reason}
		for _, id := range ids {
			args = append(args, id)
		}
		_, err := tx.Exec(ctx, `UPDATE lease SET state = 'doomed', doomed_at = ?, reason = ?, not_before = 0
			WHERE state <> 'doomed' AND id IN (`+store.In(len(ids))+`)`, args...)
		return err
	})
}

// end asks the revokers for what is due.
func (r *Reaper) end(ctx context.Context, now time.Time) (n int, err error) {
	var due []Lease
	err = r.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		// A parent goes when its children have been told. No pause is longer
		// than the longest: one that is, is from a clock that was set back.
		due, err = Query(ctx, tx, `WHERE state = 'doomed' AND (not_before <= ? OR not_before > ?)
			AND NOT EXISTS (SELECT 1 FROM lease c WHERE c.parent = lease.id AND c.state <> 'doomed')
			ORDER BY not_before, doomed_at LIMIT ?`, store.Micros(now), store.Micros(now.Add(maxPause)), batch)
		return err
	})
	if err != nil || len(due) == 0 {
		return 0, err
	}
	_, _, err = r.revoke(ctx, due)
	return len(due), err
}

// Finish ends doomed leases now and waits for it: for somebody who asked to be
// told how it went. It returns the first reason why one of them is still there;
// the reaper goes on trying. Leases that are not doomed are left alone.
func (r *Reaper) Finish(ctx context.Context, ids []string) error {
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("lease", nightporter.ActorFrom(ctx).Cause()))
	for len(ids) > 0 {
		n := min(len(ids), batch)
		if err := r.finish(ctx, ids[:n]); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

func (r *Reaper) finish(ctx context.Context, ids []string) error {
	wanted := make([]Lease, len(ids))
	for i, id := range ids {
		wanted[i].ID = id
	}
	for {
		due, err := r.doomed(ctx, wanted)
		if err != nil || len(due) == 0 {
			return err
		}
		others, failed, err := r.revoke(ctx, due)
		if err := errors.Join(failed, err, ctx.Err()); err != nil || len(others) == 0 {
			return err
		}
		// The loop in the background has some of them: ask again after it.
		for _, other := range others {
			select {
			case <-other:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// doomed reads again those of leases that still wait to be ended.
func (r *Reaper) doomed(ctx context.Context, leases []Lease) (due []Lease, err error) {
	if len(leases) == 0 {
		return nil, nil
	}
	args := make([]any, len(leases))
	for i, l := range leases {
		args[i] = l.ID
	}
	err = r.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		due, err = Query(ctx, tx, `WHERE state = 'doomed' AND id IN (`+store.In(len(args))+`) ORDER BY not_before, doomed_at`, args...)
		return err
	})
	return due, err
}

// take marks those leases as being ended that nobody else is ending, and returns
// what to wait on for the rest.
func (r *Reaper) take(leases []Lease) (mine []Lease, others []<-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range leases {
		if other, ok := r.busy[l.ID]; ok {
			others = append(others, other)
			continue
		}
		r.busy[l.ID] = make(chan struct{})
		mine = append(mine, l)
	}
	return mine, others
}

func (r *Reaper) release(leases []Lease) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range leases {
		close(r.busy[l.ID])
		delete(r.busy, l.ID)
	}
}

// revoke asks the revokers, kind by kind and side by side, so that one database
// that hangs keeps nobody else's logins alive. What another call has already is
// left to it: others says when it is done. failed is the first outcome that was
// not good, err a fault of ours.
func (r *Reaper) revoke(ctx context.Context, due []Lease) (others []<-chan struct{}, failed, err error) {
	mine, others := r.take(due)
	defer r.release(mine)
	// Whoever had one of them a moment ago may have ended it since it was read.
	if due, err = r.doomed(ctx, mine); err != nil {
		return others, nil, err
	}
	byKind := map[Kind][]Lease{}
	for _, l := range due {
		byKind[l.Kind] = append(byKind[l.Kind], l)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	for kind, leases := range byKind {
		wg.Go(func() {
			outcomes := make([]Outcome, len(leases))
			if rev := r.cfg.Revokers[kind]; rev != nil {
				outcomes = rev.Revoke(ctx, leases)
			}
			if ctx.Err() != nil {
				return
			}
			kerr := r.settle(ctx, leases, outcomes)
			mu.Lock()
			defer mu.Unlock()
			err = errors.Join(err, kerr)
			for _, o := range outcomes {
				if o.Err != nil && failed == nil {
					failed = o.Err
				}
			}
		})
	}
	wg.Wait()
	return others, failed, err
}

func (r *Reaper) settle(ctx context.Context, leases []Lease, outcomes []Outcome) error {
	return r.do(ctx, "lease.end", string(leases[0].Kind), func(tx *gate.Tx) error {
		var ended []any
		for i, l := range leases {
			if err := outcomes[i].Err; err != nil {
				pause := min(time.Second<<min(l.Attempts, 10), maxPause)
				if _, err := tx.Exec(ctx, `UPDATE lease SET attempts = attempts + 1, not_before = ?, error = ? WHERE id = ?`,
					store.Micros(r.cfg.Now().Add(pause)), nightporter.MessageOf(err), l.ID); err != nil {
					return err
				}
				continue
			}
			ended = append(ended, l.ID)
			if err := r.cfg.Ended(ctx, tx, l); err != nil {
				return err
			}
		}
		tx.Detail("ended", len(ended))
		tx.Detail("failed", len(leases)-len(ended))
		_, err := tx.Exec(ctx, `DELETE FROM lease WHERE id IN (`+store.In(len(ended))+`)`, ended...)
		return err
	})
}

func (r *Reaper) do(ctx context.Context, action, id string, fn func(*gate.Tx) error) error {
	return r.cfg.Gate.Do(ctx, nightporter.Action{Name: action}, nightporter.Resource{Kind: "lease", ID: id}, fn)
}
