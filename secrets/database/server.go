package database

import (
	"context"
	"sync"
	"time"

	"nightporter.dev/nightporter/internal/store"
	provider "nightporter.dev/nightporter/provider/database"
)

// server is a connection as this process has it: opened when it is first needed,
// opened again after each change of its settings, and with the keeper that takes
// its logins away.
type server struct {
	e  *Engine
	id string

	// password is held for writing while the administrator's password changes:
	// nobody may log in with either one then. Every call is bounded by the
	// connection's timeout, so the lock is too.
	password sync.RWMutex

	mu      sync.Mutex
	live    *opened
	settled bool // no rotation is half done

	keeper keeper
}

// opened is one opening of a connection. It is closed when nobody uses it any
// more and it is not the present one.
type opened struct {
	*connection
	provider.Database
	namer *provider.Namer

	users int
	stale bool
}

// server returns the one of a connection's id. It need not exist.
func (e *Engine) server(id string) *server {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.servers[id]
	if s == nil {
		s = &server{e: e, id: id}
		s.keeper.wake = make(chan struct{}, 1)
		e.servers[id] = s
	}
	return s
}

// use opens the connection and keeps the administrator's password as it is until
// done is called. A rotation that a crash interrupted is resolved first.
func (s *server) use(ctx context.Context) (db *opened, done func(), err error) {
	if err := s.resolve(ctx); err != nil {
		return nil, nil, err
	}
	s.password.RLock()
	db, giveBack, err := s.borrow(ctx)
	if err != nil {
		s.password.RUnlock()
		return nil, nil, err
	}
	return db, func() {
		giveBack()
		s.password.RUnlock()
	}, nil
}

// borrow is use for whoever holds the password.
func (s *server) borrow(ctx context.Context) (*opened, func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live == nil {
		o, err := s.e.openServer(ctx, s.id)
		if err != nil {
			return nil, nil, err
		}
		s.live = o
	}
	o := s.live
	o.users++
	return o, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		o.users--
		o.closeIfDone()
	}, nil
}

// openServer reads a connection and opens it. It does not connect.
func (e *Engine) openServer(ctx context.Context, id string) (*opened, error) {
	var c *connection
	err := e.look(ctx, func(tx *store.Tx) error {
		list, err := e.connections(ctx, tx, `WHERE id = ?`, id)
		if err == nil && len(list) == 0 {
			return errNoConnection(id)
		}
		if err == nil {
			c = list[0]
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	db, namer, err := e.open(c)
	if err != nil {
		return nil, err
	}
	return &opened{connection: c, Database: db, namer: namer}, nil
}

// reopen lets whoever uses the connection finish, and opens it afresh for the
// next.
func (s *server) reopen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live != nil {
		s.live.stale = true
		s.live.closeIfDone()
		s.live = nil
	}
}

// close ends the connections at once: calls in progress end with an error.
func (s *server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live != nil {
		_ = s.live.Close() // there is nobody to tell
		s.live = nil
	}
}

func (o *opened) closeIfDone() {
	if o.stale && o.users == 0 {
		_ = o.Close() // the sessions end with their connections anyway
	}
}

// leeway is how much longer than its lease a login is valid in the database:
// Vault's five seconds.
const leeway = 5 * time.Second
