package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/database"
)

const (
	// batchSize is how many roles one transaction drops. Each takes a lock, and the
	// server has 6,400 of those by default.
	batchSize = 200

	// impatiently keeps a table that somebody has locked from holding up every
	// other revocation.
	impatiently = "SET LOCAL lock_timeout = '1s'"
)

// RevokeUsers drops roles, many in one transaction.
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

// target is a role that has to go. Its name differs from the one that was asked
// for when somebody renamed it.
type target struct {
	asked string
	name  string
	oid   uint32
	// statements are the role's own revocation statements, or none.
	statements []string
}

func (t target) quoted() string { return database.QuoteName(database.PostgreSQL, t.name) }

// revocation is one batch on its way.
type revocation struct {
	db    *DB
	asked []database.Revoke
	// failures says, by asked name, what went wrong last.
	failures map[string]error
	// looked is set once the catalogue was read at the end; left are the roles that
	// it still had.
	looked bool
	left   map[string]remains
}

// remains is what the catalogue says of a role that is still there.
type remains struct {
	canLogin bool
	sessions int
}

// run does the steps. An error means that the connection is of no more use; what
// goes wrong with single roles is in failures.
func (r *revocation) run(ctx context.Context, c *pgx.Conn) error {
	names := make([]string, 0, len(r.asked))
	for _, user := range r.asked {
		if r.possible(user.Username) {
			names = append(names, user.Username)
		}
	}
	if err := settle(ctx, c, names); err != nil {
		return err
	}
	targets, superuser, err := r.find(ctx, c, names)
	if err != nil {
		return err
	}
	if len(targets) == 0 {
		return r.look(ctx, c, names)
	}
	if err := r.disable(ctx, c, targets, superuser); err != nil {
		return err
	}
	if targets, err = r.endSessions(ctx, c, targets); err != nil {
		return err
	}
	for _, step := range []func(context.Context, *pgx.Conn, []target) error{r.runOwnStatements, r.release, r.drop} {
		if err := step(ctx, c, targets); err != nil {
			return err
		}
	}
	return r.look(ctx, c, names)
}

// possible sorts out names that no role can have, and the one that must stay.
func (r *revocation) possible(name string) bool {
	switch {
	case name == r.db.connect.User:
		r.failures[name] = nightporter.E(nightporter.Invalid, "%q is the login of this connection itself", name)
		return false
	case name == "" || len(name) > maxName || strings.ContainsRune(name, 0):
		return false // and therefore not in the catalogue
	}
	return true
}

// find reads which of the roles exist, under their own name or, by the note that
// we left on them, under another one.
func (r *revocation) find(ctx context.Context, c *pgx.Conn, names []string) (targets []target, superuser bool, err error) {
	if err := c.QueryRow(ctx, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user").Scan(&superuser); err != nil {
		return nil, false, err
	}
	rows, err := c.Query(ctx, `
		SELECT rolname, rolname, oid FROM pg_roles WHERE rolname = ANY($1)
		UNION ALL
		SELECT substr(d.description, length($2) + 1), r.rolname, r.oid
		FROM pg_shdescription d JOIN pg_roles r ON r.oid = d.objoid
		WHERE d.classoid = 'pg_authid'::regclass AND starts_with(d.description, $2)
		AND substr(d.description, length($2) + 1) = ANY($1)
		AND r.rolname <> substr(d.description, length($2) + 1) AND r.rolname <> current_user
		ORDER BY 2`, names, notePrefix)
	if err != nil {
		return nil, false, err
	}
	targets, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (target, error) {
		var t target
		err := row.Scan(&t.asked, &t.name, &t.oid)
		return t, err
	})
	own := map[string][]string{}
	for _, user := range r.asked {
		own[user.Username] = user.Statements
	}
	for i, t := range targets {
		targets[i].statements = own[t.asked]
	}
	return targets, superuser, err
}

// disable shuts the roles out. It is committed before anything else is tried, so
// that whatever holds a role, nobody can use it.
func (r *revocation) disable(ctx context.Context, c *pgx.Conn, targets []target, superuser bool) error {
	shut := func(statements func(target) []string) func([]target) error {
		return func(batch []target) error {
			all := []string{"BEGIN", impatiently, durably}
			for _, t := range batch {
				all = append(all, statements(t)...)
			}
			return transaction(ctx, c, append(all, "COMMIT"))
		}
	}
	only := func(t target) []string {
		return []string{"ALTER ROLE " + t.quoted() + " NOLOGIN PASSWORD NULL"}
	}
	if superuser {
		return r.divide(targets, shut(only))
	}
	// Who is not a superuser may end the sessions and give away the tables only of
	// roles that it is a member of.
	joined := func(t target) []string {
		return append(only(t), "GRANT "+t.quoted()+" TO CURRENT_USER")
	}
	return r.divide(targets, func(batch []target) error {
		err := shut(joined)(batch)
		if len(batch) == 1 && err != nil && answered(err) {
			return shut(only)(batch)
		}
		return err
	})
}

// endSessions ends the sessions of the roles, and returns the roles that have none
// any more. The others are not dropped: who is not a superuser could not end the
// sessions of a role that is gone.
func (r *revocation) endSessions(ctx context.Context, c *pgx.Conn, targets []target) ([]target, error) {
	if r.db.config.KeepSessions {
		return targets, nil
	}
	ended := endSessions(ctx, c, oids(targets))
	if ended == nil {
		return targets, nil
	}
	if c.IsClosed() {
		return nil, ended
	}
	rows, err := c.Query(ctx, "SELECT DISTINCT usesysid FROM pg_stat_activity WHERE usesysid = ANY($1)", oids(targets))
	if err != nil {
		return nil, err
	}
	busy, err := pgx.CollectRows(rows, pgx.RowTo[uint32])
	var idle []target
	for _, t := range targets {
		if slices.Contains(busy, t.oid) {
			r.fail([]target{t}, ended)
		} else {
			idle = append(idle, t)
		}
	}
	return idle, err
}

// runOwnStatements revokes the roles that have revocation statements of their own.
func (r *revocation) runOwnStatements(ctx context.Context, c *pgx.Conn, targets []target) error {
	for _, t := range targets {
		if len(t.statements) == 0 {
			continue
		}
		statements, err := database.Statements(database.PostgreSQL, t.statements)
		for i := 0; err == nil && i < len(statements); i++ {
			statements[i], err = database.Fill(database.PostgreSQL, statements[i], database.Values{Username: t.name})
		}
		if err == nil {
			all := append([]string{"BEGIN", durably}, statements...)
			err = again(ctx, func() error { return transaction(ctx, c, append(all, "COMMIT")) })
		}
		if err != nil {
			if c.IsClosed() {
				return err
			}
			r.fail([]target{t}, err)
		}
	}
	return nil
}

// release takes away, in each other database of the cluster, what the roles own
// and were granted there. The catalogue of shared dependencies says where to look.
func (r *revocation) release(ctx context.Context, c *pgx.Conn, targets []target) error {
	byDatabase, err := r.dependents(ctx, c, targets)
	if err != nil {
		return err
	}
	for name, roles := range byDatabase {
		if name == "" {
			continue // this database, and what all of them share: drop does it
		}
		connect := r.db.connect.Copy()
		connect.Database = name
		other, err := pgx.ConnectConfig(ctx, connect)
		if err == nil {
			err = r.divide(roles, func(batch []target) error {
				return again(ctx, func() error {
					return transaction(ctx, other, slices.Concat([]string{"BEGIN", impatiently, durably}, r.disown(batch), []string{"COMMIT"}))
				})
			})
			other.Close(ctx)
		}
		if err != nil {
			// The database may just have been dropped: then nothing is left to hold the
			// roles, and otherwise drop will say so.
			r.fail(roles, fmt.Errorf("in database %s: %w", name, err))
		}
	}
	return nil
}

// dependents groups the roles without statements of their own by the database in
// which something depends on them. "" is the connected database, and what belongs
// to no database.
func (r *revocation) dependents(ctx context.Context, c *pgx.Conn, targets []target) (map[string][]target, error) {
	rows, err := c.Query(ctx, `
		SELECT DISTINCT s.refobjid, CASE WHEN d.datname = current_database() THEN '' ELSE coalesce(d.datname, '') END
		FROM pg_shdepend s LEFT JOIN pg_database d ON d.oid = s.dbid
		WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = ANY($1)`, oids(targets))
	if err != nil {
		return nil, err
	}
	found := map[string][]target{}
	var oid uint32
	var name string
	_, err = pgx.ForEachRow(rows, []any{&oid, &name}, func() error {
		i := slices.IndexFunc(targets, func(t target) bool { return t.oid == oid })
		if len(targets[i].statements) == 0 {
			found[name] = append(found[name], targets[i])
		}
		return nil
	})
	return found, err
}

// disown gives away what the roles own in one database, and takes what they were
// granted there.
func (r *revocation) disown(roles []target) []string {
	if len(roles) == 0 {
		return nil
	}
	owner := "CURRENT_USER"
	if r.db.config.ObjectOwner != "" {
		owner = database.QuoteName(database.PostgreSQL, r.db.config.ObjectOwner)
	}
	list := quotedList(roles)
	return []string{"REASSIGN OWNED BY " + list + " TO " + owner, "DROP OWNED BY " + list}
}

// drop drops the roles, with what holds them in this database.
func (r *revocation) drop(ctx context.Context, c *pgx.Conn, targets []target) error {
	var standard []target
	for _, t := range targets {
		if len(t.statements) == 0 {
			standard = append(standard, t)
		}
	}
	if len(standard) == 0 {
		return nil
	}
	byDatabase, err := r.dependents(ctx, c, standard)
	if err != nil {
		return err
	}
	here := map[uint32]bool{}
	for _, t := range byDatabase[""] {
		here[t.oid] = true
	}
	return r.divide(standard, func(batch []target) error {
		var held []target
		for _, t := range batch {
			if here[t.oid] {
				held = append(held, t)
			}
		}
		begin := []string{"BEGIN", impatiently, durably}
		if len(held) > 0 {
			begin = slices.Insert(begin, 1, grantsInTurn) // it changes the same objects
		}
		return again(ctx, func() error {
			return transaction(ctx, c, slices.Concat(begin, r.disown(held), []string{"DROP ROLE IF EXISTS " + quotedList(batch), "COMMIT"}))
		})
	})
}

// look reads the catalogue a last time: only what it says counts.
func (r *revocation) look(ctx context.Context, c *pgx.Conn, names []string) error {
	left, _, err := r.find(ctx, c, names)
	if err != nil {
		return err
	}
	r.left = map[string]remains{}
	for _, t := range left {
		var rest remains
		if err := c.QueryRow(ctx, `
			SELECT coalesce((SELECT rolcanlogin FROM pg_roles WHERE oid = $1), false),
				(SELECT count(*) FROM pg_stat_activity WHERE usesysid = $1)`, t.oid).Scan(&rest.canLogin, &rest.sessions); err != nil {
			return err
		}
		r.left[t.asked] = rest
	}
	r.looked = true
	return nil
}

// outcome says what became of one role. Err is what ended the batch early.
func (r *revocation) outcome(name string, err error) database.Outcome {
	o := database.Outcome{Username: name, State: database.Failed}
	failure := r.failures[name]
	rest, exists := r.left[name]
	switch {
	case r.looked && !exists && name != r.db.connect.User:
		o.State = database.Gone
		return o
	case !r.looked:
		if err == nil {
			err = failure
		}
		o.Reason, o.Err = why(err), explain(err, r.db.connect.Password)
		return o
	case failure == nil:
		failure = nightporter.E(nightporter.Conflict, "the role is still there after its revocation statements")
	}
	if exists && !rest.canLogin && (rest.sessions == 0 || r.db.config.KeepSessions) {
		o.State = database.Disabled
	}
	o.Reason, o.Err = why(failure), explain(failure, r.db.connect.Password)
	return o
}

// divide runs do on all roles together. When the server refuses, it divides them
// in halves, until each one that cannot be done stands alone.
func (r *revocation) divide(roles []target, do func([]target) error) error {
	err := do(roles)
	if err == nil || !answered(err) {
		return err
	}
	if len(roles) == 1 {
		r.fail(roles, err)
		return nil
	}
	half := len(roles) / 2
	if err := r.divide(roles[:half], do); err != nil {
		return err
	}
	return r.divide(roles[half:], do)
}

func (r *revocation) fail(roles []target, err error) {
	for _, t := range roles {
		r.failures[t.asked] = err
	}
}

// transaction runs statements that begin and commit by themselves, in one
// message. A COMMIT that arrives late does no harm here: it takes something away
// that has to go.
func transaction(ctx context.Context, c *pgx.Conn, statements []string) error {
	if _, err := script(ctx, c, append(slices.Clip(statements), afterwards)...); err != nil {
		if undo := rollback(ctx, c); undo != nil {
			return undo
		}
		return err
	}
	return nil
}

func oids(targets []target) []uint32 {
	all := make([]uint32, len(targets))
	for i, t := range targets {
		all[i] = t.oid
	}
	return all
}

func quotedList(targets []target) string {
	all := make([]string, len(targets))
	for i, t := range targets {
		all[i] = t.quoted()
	}
	return strings.Join(all, ", ")
}
