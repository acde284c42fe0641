package database

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
	provider "nightporter.dev/nightporter/provider/database"
)

// A keeper takes the logins of one database away, and finishes rotations that
// were interrupted. It works on its own, so a database that hangs holds up only
// itself.
//
// It never gives up. A login that the database does not let go is tried again with
// pauses up to five minutes. A database that does not answer is asked every few
// seconds whether it does, which costs one login attempt, and everything that
// waits goes first thing when it does.
type keeper struct {
	wake chan struct{}

	mu      sync.Mutex
	started bool
	waiters []chan struct{} // of the next pass
	trouble error           // why the database cannot be worked with
	failed  int             // how often in a row
	notes   map[string]note // by user name: what holds a login

	compared     time.Time // when logins and leases were last compared, in this process
	incomparable error     // why the last attempt came to nothing
	answered     time.Time // when a login was last made or renewed there
	standing     []string  // the logins that nobody leases, of the last comparison
}

type note struct {
	err      error
	attempts int
	next     time.Time
}

const (
	keeperBatch = 200
	maxPause    = 5 * time.Minute
	maxProbe    = 10 * time.Second
)

// poke says that something has to be done. It never blocks.
func (s *server) poke() {
	s.start()
	select {
	case s.keeper.wake <- struct{}{}:
	default:
	}
}

// start starts the keeper's loop once the engine runs.
func (s *server) start() {
	s.e.mu.Lock()
	ctx := s.e.life
	s.e.mu.Unlock()
	k := &s.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	if ctx == nil || k.started || ctx.Err() != nil {
		return
	}
	k.started = true
	s.e.keepers.Go(func() { s.keep(ctx) })
}

// tried returns a channel that is closed when everything that waits now has been
// tried once.
func (s *server) tried() <-chan struct{} {
	k := &s.keeper
	done := make(chan struct{})
	k.mu.Lock()
	k.waiters = append(k.waiters, done)
	k.mu.Unlock()
	s.poke()
	return done
}

// keep is the keeper's loop.
func (s *server) keep(ctx context.Context) {
	for {
		pause := s.pass(ctx)
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-s.keeper.wake:
			t.Stop()
		case <-t.C:
		}
	}
}

// pass does what has to be done, and says when to look again.
func (s *server) pass(ctx context.Context) time.Duration {
	k := &s.keeper
	k.mu.Lock()
	waiters := k.waiters
	k.waiters = nil
	k.mu.Unlock()
	err := s.work(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, w := range waiters {
		close(w)
	}
	if err != nil && ctx.Err() == nil {
		if k.trouble == nil {
			s.e.cfg.Log.WarnContext(ctx, "logins wait to be taken away: "+nightporter.MessageOf(err), "connection", s.id, "error", err)
		}
		k.trouble = err
		k.failed++
		return min(500*time.Millisecond<<min(k.failed, 8), maxProbe)
	}
	k.trouble, k.failed = nil, 0
	pause := maxPause
	for _, n := range k.notes {
		pause = min(pause, max(n.next.Sub(s.e.cfg.Now()), 100*time.Millisecond))
	}
	return pause
}

// work is one pass. Its error is the database's trouble, not a login's.
func (s *server) work(ctx context.Context) error {
	if dark, err := s.e.isDark(ctx, s.id); err != nil || dark {
		return err
	}
	if err := s.resolve(ctx); err != nil {
		return err
	}
	for {
		due, more, err := s.due(ctx)
		if err != nil || len(due) == 0 {
			return err
		}
		if err := s.takeAway(ctx, due); err != nil {
			return err
		}
		if !more {
			return nil
		}
	}
}

// due are the logins that have to go and may be tried now; more says that there
// are others.
func (s *server) due(ctx context.Context) (due []entry, more bool, err error) {
	k := &s.keeper
	k.mu.Lock()
	held := len(k.notes)
	k.mu.Unlock()
	limit := keeperBatch + held + 64 // some of them wait for their turn, or are being made
	var found []entry
	err = s.e.look(ctx, func(tx *store.Tx) (err error) {
		found, err = entries(ctx, tx, `JOIN lease l ON l.id = j.lease
			WHERE l.state = 'doomed' AND l.kind = ? AND j.connection = ? AND j.state <> ? ORDER BY l.doomed_at LIMIT ?`,
			string(Kind), s.id, string(buried), limit)
		if err != nil {
			return err
		}
		others, err := entries(ctx, tx, `WHERE j.state = ? AND j.connection = ? LIMIT ?`, string(unwanted), s.id, limit)
		found = append(found, others...)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	now := s.e.cfg.Now()
	seen := map[string]bool{}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, en := range found {
		if n, ok := k.notes[en.username]; seen[en.username] || ok && now.Before(n.next) || s.e.making(en.login) {
			continue
		}
		seen[en.username] = true
		due = append(due, en)
	}
	if len(found) < limit {
		// Whatever else is noted has been closed by somebody else.
		there := map[string]bool{}
		for _, en := range found {
			there[en.username] = true
		}
		maps.DeleteFunc(k.notes, func(name string, _ note) bool { return !there[name] })
	}
	return due, len(found) >= limit && len(due) > 0, nil
}

// takeAway ends logins: confirmed ones are closed, the others noted. It fails when
// the database answered nothing at all.
func (s *server) takeAway(ctx context.Context, due []entry) error {
	for batch := range slices.Chunk(due, keeperBatch) {
		db, done, err := s.use(ctx)
		if err != nil {
			return err
		}
		s.e.cfg.Fault("revoke:before")
		users := make([]provider.Revoke, len(batch))
		for i, en := range batch {
			users[i] = provider.Revoke{Username: en.username, Statements: en.Revocation}
		}
		outcomes := db.RevokeUsers(ctx, users)
		done()
		s.e.cfg.Fault("revoke:done")
		var gone []login
		var trouble error
		for i, o := range outcomes {
			switch {
			case o.State == provider.Gone:
				gone = append(gone, batch[i].login)
			case o.State == provider.Failed && (nightporter.CodeOf(o.Err) == nightporter.Unavailable || nightporter.CodeOf(o.Err) == nightporter.Denied):
				trouble = o.Err
			}
		}
		if len(gone) > 0 {
			if err := s.e.end(ctx, gone, confirmed); err != nil {
				return err
			}
			s.e.cfg.Fault("revoke:closed")
		}
		s.note(batch, outcomes)
		if trouble != nil && len(gone) == 0 {
			return trouble
		}
	}
	return nil
}

// note remembers what holds logins, and when to try them again.
func (s *server) note(batch []entry, outcomes []provider.Outcome) {
	k := &s.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, o := range outcomes {
		name := batch[i].username
		if o.State == provider.Gone {
			delete(k.notes, name)
			continue
		}
		if k.notes == nil {
			k.notes = map[string]note{}
		}
		n := k.notes[name]
		n.err = o.Err
		if o.State == provider.Disabled {
			n.err = nightporter.Wrap(o.Err, nightporter.Conflict, "nobody can log in with it any more, but the database does not let it go: %s", o.Reason)
		}
		if code := nightporter.CodeOf(o.Err); o.State == provider.Failed && (code == nightporter.Unavailable || code == nightporter.Denied) {
			// The database's trouble, not this login's: first thing when it is over.
			n.next = time.Time{}
		} else {
			n.next = s.e.cfg.Now().Add(min(time.Second<<min(n.attempts, 9), maxPause))
			n.attempts++
		}
		k.notes[name] = n
	}
}

// why says what keeps a login from going.
func (s *server) why(username string) error {
	if err := s.hinders(username); err != nil {
		return err
	}
	return nightporter.E(nightporter.Unavailable, "its login is being taken away")
}

// hinders says what went wrong with taking a login away; nil while it is merely on
// its way.
func (s *server) hinders(username string) error {
	k := &s.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	if n, ok := k.notes[username]; ok && n.err != nil {
		return n.err
	}
	return k.trouble
}

// troubled says that the database was not to be worked with when it was last
// tried.
func (s *server) troubled() bool {
	s.keeper.mu.Lock()
	defer s.keeper.mu.Unlock()
	return s.keeper.trouble != nil
}

// answers says that the database works: whatever waits for it goes now.
func (s *server) answers() {
	s.keeper.mu.Lock()
	s.keeper.incomparable, s.keeper.answered = nil, s.e.cfg.Now()
	s.keeper.mu.Unlock()
	if s.troubled() {
		s.poke()
	}
}
