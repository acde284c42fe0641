package mysql

import (
	"context"
	"slices"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/database"
)

// batchSize is how many logins one statement drops.
const batchSize = 200

// RevokeUsers drops logins, many in one statement.
func (db *DB) RevokeUsers(ctx context.Context, users []database.Revoke) []database.Outcome {
	outcomes := make([]database.Outcome, 0, len(users))
	for batch := range slices.Chunk(users, batchSize) {
		r := revocation{db: db, asked: batch, failures: map[string]error{}}
		err := db.borrow(ctx, r.run)
		for _, user := range batch {
			outcomes = append(outcomes, r.outcome(user.Username, err))
		}
	}
	return outcomes
}

// revocation is one batch on its way.
type revocation struct {
	db    *DB
	asked []database.Revoke
	// failures says, by name, what went wrong last.
	failures map[string]error
	// looked is set once the catalogue was read at the end; left are the logins that
	// it still had, and whether they are shut out.
	looked bool
	left   map[string]bool
}

// run does the steps. An error means that the connection is of no more use; what
// goes wrong with single logins is in failures.
func (r *revocation) run(ctx context.Context, c *conn) error {
	var names []string
	for _, user := range r.asked {
		if user.Username == r.db.connect.User {
			r.failures[user.Username] = nightporter.E(nightporter.Invalid, "%q is the login of this connection itself", user.Username)
		} else if user.Username != "" {
			names = append(names, user.Username)
		}
	}
	if len(names) == 0 {
		r.looked = true
		return nil
	}
	if err := settle(ctx, c, names); err != nil {
		return err
	}
	found, err := accounts(ctx, c, names)
	if err != nil {
		return err
	}
	if err := r.divide(ctx, c, found, "ALTER USER ", " ACCOUNT LOCK"); err != nil {
		return err
	}
	if found, err = r.endSessions(ctx, c, found); err != nil {
		return err
	}
	standard, err := r.runOwnStatements(ctx, c, found)
	if err != nil {
		return err
	}
	if err := r.divide(ctx, c, standard, "DROP USER IF EXISTS ", ""); err != nil {
		return err
	}
	// A server without ACCOUNT LOCK may have let somebody in before the drop.
	if _, err := r.endSessions(ctx, c, found); err != nil {
		return err
	}
	return r.look(ctx, c, names)
}

// endSessions kills the connections of the logins, and returns the logins that
// have none any more.
func (r *revocation) endSessions(ctx context.Context, c *conn, found []account) ([]account, error) {
	if r.db.config.KeepSessions || len(found) == 0 {
		return found, nil
	}
	where := " FROM information_schema.PROCESSLIST WHERE USER IN (" + quoteAll(users(found)) + ")"
	ended := untilNone(ctx, c, "SELECT ID"+where+" AND ID <> CONNECTION_ID()", "its sessions do not end")
	if ended == nil {
		return found, nil
	}
	busy, err := column[string](ctx, c, "SELECT DISTINCT USER"+where)
	if err != nil {
		return nil, err
	}
	var idle []account
	for _, a := range found {
		if slices.Contains(busy, a.user) {
			r.failures[a.user] = ended
		} else {
			idle = append(idle, a)
		}
	}
	return idle, nil
}

// runOwnStatements revokes the logins that have revocation statements of their
// own, and returns the others.
func (r *revocation) runOwnStatements(ctx context.Context, c *conn, found []account) ([]account, error) {
	var standard []account
	done := map[string]bool{}
	for _, a := range found {
		i := slices.IndexFunc(r.asked, func(u database.Revoke) bool { return u.Username == a.user })
		if i < 0 || len(r.asked[i].Statements) == 0 {
			standard = append(standard, a)
			continue
		}
		if done[a.user] {
			continue
		}
		done[a.user] = true
		statements, err := fill(r.asked[i].Statements, database.Values{Username: a.user})
		if err == nil {
			err = execute(ctx, c, statements)
			if err != nil && !answered(err) {
				return nil, err
			}
		}
		if err != nil {
			r.failures[a.user] = err
		}
	}
	return standard, nil
}

// look reads the catalogue a last time: only what it says counts.
func (r *revocation) look(ctx context.Context, c *conn, names []string) error {
	logins, err := inventory(ctx, c, names)
	if err != nil {
		return err
	}
	r.left = map[string]bool{}
	for _, l := range logins {
		r.left[l.Name] = !l.CanLogin && (l.Sessions == 0 || r.db.config.KeepSessions)
	}
	r.looked = true
	return nil
}

// outcome says what became of one login. Err is what ended the batch early.
func (r *revocation) outcome(name string, err error) database.Outcome {
	o := database.Outcome{Username: name, State: database.Failed}
	failure := r.failures[name]
	shut, exists := r.left[name]
	switch {
	case r.looked && !exists && name != r.db.connect.User:
		o.State = database.Gone
		return o
	case !r.looked:
		if err == nil {
			err = errBroken
		}
		failure = err
	case failure == nil:
		failure = nightporter.E(nightporter.Conflict, "the login is still there after its revocation statements")
	}
	if shut {
		o.State = database.Disabled
	}
	o.Reason, o.Err = why(failure), explain(failure, r.db.connect.Passwd)
	return o
}

// divide runs a statement for all logins together. When the server refuses, it
// divides them in halves, until each one that cannot be done stands alone.
func (r *revocation) divide(ctx context.Context, c *conn, all []account, before, after string) error {
	if len(all) == 0 {
		return nil
	}
	_, err := c.ExecContext(ctx, before+list(all)+after)
	if err == nil || !answered(err) {
		return err
	}
	if isNumber(err, errSyntax) && after != "" {
		return nil // older than ACCOUNT LOCK
	}
	if len(all) == 1 {
		r.failures[all[0].user] = err
		return nil
	}
	half := len(all) / 2
	if err := r.divide(ctx, c, all[:half], before, after); err != nil {
		return err
	}
	return r.divide(ctx, c, all[half:], before, after)
}

func users(found []account) []string {
	names := make([]string, len(found))
	for i, a := range found {
		names[i] = a.user
	}
	return slices.Compact(names)
}
