package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"

	"nightporter.dev/nightporter"
)

// Durability says what a commit waits for.
type Durability int

// The durability classes. A Relaxed commit survives the death of the process at
// once, and the death of the machine after the next Full commit.
const (
	Full    Durability = iota // on disk before the answer
	Relaxed                   // written, not yet synced: for records of reads
)

// Tx is a transaction. It is not safe for concurrent use and must not leave the
// function that it was given to.
type Tx struct {
	s     *session
	after []func()
}

// session is one connection with its prepared statements.
type session struct {
	conn    *sql.Conn
	dialect Dialect
	// stmts keeps prepared statements on SQLite, where preparing one may take
	// longer than running it. It is nil where the driver keeps them itself
	// (pgx).
	stmts map[string]*sql.Stmt
}

func newSession(conn *sql.Conn, dialect Dialect) *session {
	s := &session{conn: conn, dialect: dialect}
	if dialect == SQLite {
		s.stmts = map[string]*sql.Stmt{}
	}
	return s
}

func (s *session) close() {
	for _, st := range s.stmts {
		st.Close()
	}
	s.conn.Close()
}

func (s *session) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if st, ok := s.stmts[query]; ok {
		return st, nil
	}
	st, err := s.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s.stmts[query] = st
	return st, nil
}

// manyStmts is when a session forgets its statements: those with lists of varying
// length would fill the memory.
const manyStmts = 512

// trim is called between transactions, when nobody reads from a statement.
func (s *session) trim() {
	if len(s.stmts) <= manyStmts {
		return
	}
	for q, old := range s.stmts {
		old.Close()
		delete(s.stmts, q)
	}
}

// rebind turns "?" into "$1", "$2", … for PostgreSQL. Queries hold no literal
// question marks: values are always parameters.
func rebind(d Dialect, query string) string {
	if d != Postgres || !strings.Contains(query, "?") {
		return query
	}
	var b strings.Builder
	n := 0
	for i := range len(query) {
		if query[i] == '?' {
			n++
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(n))
			continue
		}
		b.WriteByte(query[i])
	}
	return b.String()
}

// Exec runs a statement and returns how many rows it changed. Statements are
// short and are not interrupted when ctx ends: pgx would close the connection,
// and with it the transaction that other callers share.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	ctx = context.WithoutCancel(ctx)
	var res sql.Result
	var err error
	if t.s.stmts != nil {
		var st *sql.Stmt
		if st, err = t.s.prepare(ctx, query); err != nil {
			return 0, err
		}
		res, err = st.ExecContext(ctx, args...)
	} else {
		res, err = t.s.conn.ExecContext(ctx, rebind(t.s.dialect, query), args...)
	}
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// Query runs a query. The caller closes the rows.
func (t *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	ctx = context.WithoutCancel(ctx)
	if t.s.stmts != nil {
		st, err := t.s.prepare(ctx, query)
		if err != nil {
			return nil, err
		}
		return st.QueryContext(ctx, args...)
	}
	return t.s.conn.QueryContext(ctx, rebind(t.s.dialect, query), args...)
}

// QueryRow runs a query for one row. Scan answers sql.ErrNoRows when there is
// none; see [IsNotFound].
func (t *Tx) QueryRow(ctx context.Context, query string, args ...any) *Row {
	rows, err := t.Query(ctx, query, args...)
	return &Row{rows: rows, err: err}
}

// Row is the answer to [Tx.QueryRow].
type Row struct {
	rows *sql.Rows
	err  error
}

// Scan reads the row's columns.
func (r *Row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return sql.ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	return r.rows.Close()
}

// Each calls fn for every row of a query. fn scans the row.
func (t *Tx) Each(ctx context.Context, query string, args []any, fn func(scan func(dest ...any) error) error) error {
	rows, err := t.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// AfterCommit runs fn once the transaction is committed, in order, before
// anybody is answered. It is the only place where fn of a change may touch
// memory, because the change itself may be undone or run again.
func (t *Tx) AfterCommit(fn func()) { t.after = append(t.after, fn) }

// Dialect says which database this is, for the few statements that differ.
func (t *Tx) Dialect() Dialect { return t.s.dialect }

// IsNotFound says that a query for one row had none.
func IsNotFound(err error) bool { return errors.Is(err, sql.ErrNoRows) }

// In makes "?,?,?" for a list of n values.
func In(n int) string {
	if n <= 0 {
		return "NULL"
	}
	return strings.Repeat("?,", n-1) + "?"
}

// View runs fn on one consistent snapshot. fn cannot write.
func (db *DB) View(ctx context.Context, fn func(*Tx) error) error {
	s, err := db.takeReader(ctx)
	if err != nil {
		return fmt.Errorf("read the store: %w", err)
	}
	tx := &Tx{s: s}
	// The connection is used again: it must not keep the snapshot, even when ctx
	// has ended.
	defer func() {
		_, err := tx.Exec(ctx, "ROLLBACK")
		db.giveReader(s, err == nil)
	}()
	if db.dialect == SQLite {
		// Not with ctx: SQLite may begin and then say that it was interrupted.
		_, err = tx.Exec(ctx, "BEGIN")
	} else {
		_, err = s.conn.ExecContext(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	}
	if err != nil {
		return fmt.Errorf("read the store: %w", err)
	}
	return fn(tx)
}

// Nested runs fn inside a savepoint of the transaction: an error of fn undoes
// what fn did and nothing else. Only the gate uses it, to carry many callers'
// changes in one commit.
func (t *Tx) Nested(ctx context.Context, fn func() error) (err error) {
	if _, err := t.Exec(ctx, "SAVEPOINT nested"); err != nil {
		return err
	}
	after := len(t.after)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a change: %v\n%s", p, debug.Stack())
		}
		if err == nil {
			_, err = t.Exec(ctx, "RELEASE SAVEPOINT nested")
			return
		}
		t.after = t.after[:after]
		if _, rerr := t.Exec(ctx, "ROLLBACK TO SAVEPOINT nested"); rerr != nil {
			err = errors.Join(err, rerr)
			return
		}
		if _, rerr := t.Exec(ctx, "RELEASE SAVEPOINT nested"); rerr != nil {
			err = errors.Join(err, rerr)
		}
	}()
	return fn()
}

// Write runs fn in a transaction of the one writer. Only internal/gate and this
// package call it; everything else goes through the gate. An error of fn undoes
// everything.
func (db *DB) Write(ctx context.Context, d Durability, fn func(*Tx) error) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.writer == nil {
		return nightporter.E(nightporter.Unavailable, "the store is closed")
	}
	if db.lost {
		return errTakenOver
	}
	// A half-done transaction on the only writer would be worse than a late
	// one, so the caller's deadline does not interrupt it.
	ctx = context.WithoutCancel(ctx)
	db.writer.trim()
	if err := db.beginWrite(ctx, d); err != nil {
		return err
	}
	tx := &Tx{s: db.writer}
	if err := db.runWrite(ctx, tx, fn); err != nil {
		if _, rerr := db.writer.conn.ExecContext(ctx, "ROLLBACK"); rerr != nil {
			db.reconnect(ctx)
		}
		if errors.Is(err, errTakenOver) {
			db.leave(ctx)
		}
		return err
	}
	if _, err := tx.Exec(ctx, "COMMIT"); err != nil {
		if _, rerr := db.writer.conn.ExecContext(ctx, "ROLLBACK"); rerr != nil {
			db.reconnect(ctx)
		}
		return nightporter.Wrap(err, nightporter.Unavailable, "the store could not commit")
	}
	for _, fn := range tx.after {
		fn()
	}
	return nil
}

// errTakenOver ends a writer for good: what this process remembers is old.
var errTakenOver = nightporter.E(nightporter.Unavailable, "another copy of the server has taken over")

// leave gives the writer's place back for good. A process that was fenced off and
// kept the lock would keep everybody else from writing, too.
func (db *DB) leave(ctx context.Context) {
	db.lost = true
	// When this fails the connection is broken, and the lock is gone with it.
	_, _ = db.writer.conn.ExecContext(ctx, "SELECT pg_advisory_unlock_all()")
	db.writer.close()
}

// runWrite checks the fencing number and runs fn; a panic becomes an error, so
// that one caller's bug cannot leave the writer inside a transaction.
func (db *DB) runWrite(ctx context.Context, tx *Tx, fn func(*Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a change: %v", p)
		}
	}()
	if db.fence != 0 && db.dialect == Postgres {
		var fence int64
		if err := tx.QueryRow(ctx, "SELECT fence FROM writer WHERE id = 1").Scan(&fence); err != nil {
			return err
		}
		if fence != db.fence {
			return errTakenOver
		}
	}
	return fn(tx)
}

func (db *DB) beginWrite(ctx context.Context, d Durability) error {
	full := d == Full
	tx := &Tx{s: db.writer}
	if db.dialect == SQLite {
		if full != db.full && !db.eph {
			mode := "NORMAL"
			if full {
				mode = "FULL"
			}
			if _, err := db.writer.conn.ExecContext(ctx, "PRAGMA synchronous = "+mode); err != nil {
				return fmt.Errorf("set the store's durability: %w", err)
			}
			db.full = full
		}
		_, err := tx.Exec(ctx, "BEGIN IMMEDIATE")
		return err
	}
	if _, err := tx.Exec(ctx, "BEGIN"); err != nil {
		db.reconnect(ctx)
		if _, err := (&Tx{s: db.writer}).Exec(ctx, "BEGIN"); err != nil {
			return nightporter.Wrap(err, nightporter.Unavailable, "the store's database does not answer")
		}
	}
	if !full || db.eph {
		_, err := tx.Exec(ctx, "SET LOCAL synchronous_commit = off")
		return err
	}
	return nil
}

// reconnect replaces a broken writer connection. On PostgreSQL it needs the
// advisory lock again; if another copy has it, writes fail until the process is
// restarted as a standby.
func (db *DB) reconnect(ctx context.Context) {
	old := db.writer
	old.close()
	if err := db.connectWriter(ctx); err != nil {
		db.writer = old // closed: every use fails until a later reconnect works
		return
	}
	if db.dialect == Postgres {
		var got bool
		err := db.writer.conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", int64(advisoryKey)).Scan(&got)
		if err != nil || !got {
			db.writer.close()
		}
	}
}
