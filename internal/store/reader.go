package store

import "context"

// takeReader waits for a place and takes the reader that was used last: its
// statements are prepared and its pages are in memory.
func (db *DB) takeReader(ctx context.Context) (*session, error) {
	select {
	case db.reading <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	db.idleMu.Lock()
	if n := len(db.idle); n > 0 {
		s := db.idle[n-1]
		db.idle = db.idle[:n-1]
		db.idleMu.Unlock()
		return s, nil
	}
	db.idleMu.Unlock()
	conn, err := db.readers.Conn(ctx)
	if err != nil {
		<-db.reading
		return nil, err
	}
	return newSession(conn, db.dialect), nil
}

// giveReader gives a reader back. PostgreSQL's go to the driver's pool, which
// knows when a server has closed them.
func (db *DB) giveReader(s *session, good bool) {
	if good && db.dialect == SQLite {
		s.trim()
		good = db.rest(s)
	}
	if !good || db.dialect != SQLite {
		s.close()
	}
	<-db.reading
}

// rest keeps a reader for the next, unless the store is closed.
func (db *DB) rest(s *session) bool {
	db.idleMu.Lock()
	defer db.idleMu.Unlock()
	if db.closed {
		return false
	}
	db.idle = append(db.idle, s)
	return true
}
