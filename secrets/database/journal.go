package database

import (
	"context"
	"encoding/json"
	"fmt"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/store"
)

// login names a login: names are unique on one server.
type login struct{ connection, username string }

// entry is a login's row in the journal.
type entry struct {
	login
	Lease string
	Role  string
	State loginState
	Statements
}

// Statements are what the login's role said when it was made. They stay with the
// login, so that it can be renewed and taken away after the role is gone.
type Statements struct {
	Revocation []string `json:"revocation,omitempty"`
	Renewal    []string `json:"renewal,omitempty"`
}

func (s Statements) text() string {
	if len(s.Revocation) == 0 && len(s.Renewal) == 0 {
		return ""
	}
	b, err := json.Marshal(s)
	if err != nil { // lists of texts
		panic(err)
	}
	return string(b)
}

const entryColumns = `j.connection, j.username, j.lease, j.role, j.state, j.statements`

// entries reads the journal.
func entries(ctx context.Context, tx *store.Tx, rest string, args ...any) ([]entry, error) {
	var list []entry
	err := tx.Each(ctx, `SELECT `+entryColumns+` FROM database_login j `+rest, args, func(scan func(...any) error) error {
		var en entry
		var statements string
		if err := scan(&en.connection, &en.username, &en.Lease, &en.Role, &en.State, &statements); err != nil {
			return err
		}
		list = append(list, en)
		if statements == "" {
			return nil
		}
		return json.Unmarshal([]byte(statements), &list[len(list)-1].Statements)
	})
	if err != nil {
		return nil, fmt.Errorf("read the journal of logins: %w", err)
	}
	return list, nil
}

// intend writes a name down, before the database hears of it.
func (e *Engine) intend(ctx context.Context, tx *gate.Tx, en entry) error {
	_, err := tx.Exec(ctx, `INSERT INTO database_login (connection, username, lease, role, state, fence, made_at, statements)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, en.connection, en.username, en.Lease, en.Role, string(en.State), e.cfg.Fence,
		store.Micros(tx.Now()), en.text())
	if err != nil {
		return fmt.Errorf("write down the login %s: %w", en.username, err)
	}
	return nil
}

// confirm says that the database has the login, and starts the lease. It answers
// not_found when the lease was ended meanwhile.
func confirm(ctx context.Context, tx *gate.Tx, en entry) error {
	n, err := tx.Exec(ctx, `UPDATE lease SET state = 'live' WHERE id = ? AND state = 'intended'`, en.Lease)
	if err == nil && n == 0 {
		return nightporter.E(nightporter.NotFound, "the lease was ended while its login was being made")
	}
	if err == nil {
		_, err = tx.Exec(ctx, `UPDATE database_login SET state = ? WHERE connection = ? AND username = ?`, string(made), en.connection, en.username)
	}
	if err != nil {
		return fmt.Errorf("start the lease of %s: %w", en.username, err)
	}
	return nil
}

// unwant hands logins to their keepers, with their leases.
func (e *Engine) unwant(ctx context.Context, reason string, logins ...login) error {
	if len(logins) == 0 {
		return nil
	}
	return e.do(ctx, "login.unwant", logins[0].connection, func(tx *gate.Tx) error {
		tx.Detail("logins", names(logins))
		tx.Detail("reason", reason)
		for _, l := range logins {
			if err := e.unwantIn(ctx, tx, l, reason, ""); err != nil {
				return err
			}
		}
		return nil
	})
}

// abandon is unwant for intents that nobody works on any more. Whoever does is
// asked inside the change: an intent is in flight before it is written and until
// its outcome is.
func (e *Engine) abandon(ctx context.Context, reason string, logins ...login) error {
	return e.do(ctx, "login.abandon", logins[0].connection, func(tx *gate.Tx) error {
		tx.Detail("logins", names(logins))
		for _, l := range logins {
			if e.making(l) {
				continue
			}
			if err := e.unwantIn(ctx, tx, l, reason, intended); err != nil {
				return err
			}
		}
		return nil
	})
}

// unwantIn ends a login that is in a state; "" is any.
func (e *Engine) unwantIn(ctx context.Context, tx *gate.Tx, l login, reason string, from loginState) error {
	tx.AfterCommit(func() { e.server(l.connection).poke() })
	var id string
	err := tx.QueryRow(ctx, `UPDATE database_login SET state = ? WHERE connection = ? AND username = ? AND state <> ? AND (? = '' OR state = ?) RETURNING lease`,
		string(unwanted), l.connection, l.username, string(buried), string(from), string(from)).Scan(&id)
	if store.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("end the login %s: %w", l.username, err)
	}
	return lease.Doom(ctx, tx.Tx, id, reason, tx.Now())
}

// proof is why a login may be closed.
type proof string

const (
	confirmed proof = "confirmed" // its database said that it is gone
	vanished  proof = "vanished"  // its database itself is gone, by the cloud's inventory
)

// end closes logins and their leases, up to 500 at once. The names of those that
// vanished are kept.
func (e *Engine) end(ctx context.Context, logins []login, why proof) error {
	return e.do(ctx, "login.gone", logins[0].connection, func(tx *gate.Tx) error {
		tx.Detail("logins", names(logins))
		tx.Detail("proof", string(why))
		args := make([]any, 0, len(logins)+1)
		args = append(args, logins[0].connection)
		for _, l := range logins {
			args = append(args, l.username)
		}
		which := `connection = ? AND username IN (` + store.In(len(logins)) + `)`
		if _, err := tx.Exec(ctx, `DELETE FROM lease WHERE id IN (SELECT lease FROM database_login WHERE `+which+`)`, args...); err != nil {
			return fmt.Errorf("end leases: %w", err)
		}
		change := `DELETE FROM database_login WHERE ` + which
		if why == vanished {
			change = `UPDATE database_login SET state = 'buried' WHERE state <> 'buried' AND ` + which
		}
		n, err := tx.Exec(ctx, change, args...)
		if err != nil {
			return fmt.Errorf("close the journal: %w", err)
		}
		tx.AfterCommit(func() { e.total.Add(-n) })
		return e.forget(ctx, tx)
	})
}

// names lists the logins for the audit log; of many, the first ones and how many.
func names(logins []login) []string {
	const enough = 50
	var list []string
	for _, l := range logins[:min(len(logins), enough)] {
		list = append(list, l.username)
	}
	if more := len(logins) - enough; more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return list
}

// begin keeps the keeper away from a login that is being made in this process.
func (e *Engine) begin(l login) (end func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inflight[l] = true
	return func() {
		e.mu.Lock()
		delete(e.inflight, l)
		e.mu.Unlock()
	}
}

func (e *Engine) making(l login) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.inflight[l]
}
