package database

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	provider "nightporter.dev/nightporter/provider/database"
)

// bound are the connections of an environment.
func (e *Engine) bound(ctx context.Context, environment string) (list []*connection, err error) {
	err = e.look(ctx, func(tx *store.Tx) error {
		all, err := e.connections(ctx, tx, `ORDER BY path, name`)
		for _, c := range all {
			if e.cfg.Binding(c.database()).Environment == environment {
				list = append(list, c)
			}
		}
		return err
	})
	return list, err
}

// lit returns the environment of a database, and an error while that is dark.
func (e *Engine) lit(ctx context.Context, c *connection) (string, error) {
	environment := e.cfg.Binding(c.database()).Environment
	if environment == "" {
		return "", nil
	}
	dark, err := e.exists(ctx, `SELECT COUNT(*) FROM database_dark WHERE environment = ?`, environment)
	if err == nil && dark {
		err = errDark(environment)
	}
	return environment, err
}

func errDark(environment string) error {
	return nightporter.E(nightporter.Unavailable, "environment %s is dark: its databases hand out no logins until it is up", environment)
}

// isDark says that a connection's environment is gone, so that nothing can be done
// there.
func (e *Engine) isDark(ctx context.Context, id string) (dark bool, err error) {
	err = e.look(ctx, func(tx *store.Tx) error {
		var path, name string
		err := tx.QueryRow(ctx, `SELECT path, name FROM database_connection WHERE id = ?`, id).Scan(&path, &name)
		if store.IsNotFound(err) {
			return nil
		}
		environment := e.cfg.Binding(path + name).Environment
		if err != nil || environment == "" {
			return err
		}
		var n int
		err = tx.QueryRow(ctx, `SELECT COUNT(*) FROM database_dark WHERE environment = ? AND gone = 1`, environment).Scan(&n)
		dark = n > 0
		return err
	})
	return dark, err
}

// drainPatience bounds one call of [Engine.Drain]: it is a step of a run, which
// asks again.
const drainPatience = 3 * time.Second

// Drain ends every login of the databases of an environment, before the
// environment goes. From its first commit on nobody gets another one there. It
// returns nil when every database has confirmed that they are gone, and
// unavailable while one has not: calling it again goes on.
func (e *Engine) Drain(ctx context.Context, environment string) error {
	if environment == "" {
		return nightporter.E(nightporter.Protected, "a database without an environment is production: it is never drained")
	}
	ctx = e.as(ctx, nightporter.ActorFrom(ctx).Cause())
	connections, err := e.bound(ctx, environment)
	if err != nil {
		return err
	}
	err = e.do(ctx, "database.drain", environment, func(tx *gate.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO database_dark (environment, since, gone) VALUES (?, ?, 0) ON CONFLICT (environment) DO NOTHING`,
			environment, store.Micros(tx.Now()))
		return err
	})
	if err != nil {
		return err
	}
	for _, c := range connections {
		if err := e.unwantAll(ctx, c.ID, "environment "+environment+" goes dark"); err != nil {
			return err
		}
	}
	var tries []<-chan struct{}
	for _, c := range connections {
		tries = append(tries, e.server(c.ID).tried())
	}
	limit := time.NewTimer(drainPatience)
	defer limit.Stop()
wait:
	for _, try := range tries {
		select {
		case <-try:
		case <-limit.C:
			break wait
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, c := range connections {
		left, err := e.standing(ctx, c.ID)
		if err != nil {
			return err
		}
		if len(left) > 0 {
			return nightporter.Wrap(e.server(c.ID).why(left[0].username), nightporter.Unavailable,
				"%d logins of %s are not confirmed to be gone", len(left), c.database())
		}
	}
	return nil
}

// unwantAll hands all logins of a connection to its keeper.
func (e *Engine) unwantAll(ctx context.Context, id, reason string) error {
	left, err := e.standing(ctx, id)
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(left, 250) {
		if err := e.unwant(ctx, reason, batch...); err != nil {
			return err
		}
	}
	return nil
}

// standing are the logins that a connection's database may have.
func (e *Engine) standing(ctx context.Context, id string) (logins []login, err error) {
	err = e.look(ctx, func(tx *store.Tx) error {
		list, err := entries(ctx, tx, `WHERE j.connection = ? AND j.state <> ?`, id, string(buried))
		for _, en := range list {
			logins = append(logins, en.login)
		}
		return err
	})
	return logins, err
}

// Gone closes what is left of an environment's logins without their databases'
// word. Only whoever has proof that the databases do not exist may call it: the
// environment's inventory is empty. The names are remembered, because a backup may
// bring them back.
func (e *Engine) Gone(ctx context.Context, environment string) error {
	if environment == "" {
		return nightporter.E(nightporter.Protected, "a database without an environment is production: it is never gone")
	}
	ctx = e.as(ctx, nightporter.ActorFrom(ctx).Cause())
	connections, err := e.bound(ctx, environment)
	if err != nil {
		return err
	}
	err = e.do(ctx, "database.gone", environment, func(tx *gate.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO database_dark (environment, since, gone) VALUES (?, ?, 1)
			ON CONFLICT (environment) DO UPDATE SET gone = 1`, environment, store.Micros(tx.Now()))
		return err
	})
	if err != nil {
		return err
	}
	for _, c := range connections {
		left, err := e.standing(ctx, c.ID)
		if err != nil {
			return err
		}
		for batch := range slices.Chunk(left, 250) {
			if err := e.end(ctx, batch, vanished); err != nil {
				return err
			}
		}
		e.server(c.ID).reopen()
	}
	return nil
}

// remember is how long the names of vanished logins are kept.
const remember = 90 * 24 * time.Hour

// Enrol takes the databases of an environment that was built again back into use:
// it logs in with what the build put out, drops every login of ours that the data
// brought back, and changes the administrator's password. output reads a value of
// the build. It may be called again after any failure.
func (e *Engine) Enrol(ctx context.Context, environment string, output Output) error {
	ctx = e.as(ctx, nightporter.ActorFrom(ctx).Cause())
	connections, err := e.bound(ctx, environment)
	if err != nil {
		return err
	}
	for _, c := range connections {
		if c.Retired {
			continue
		}
		if err := e.enrol(ctx, c, output); err != nil {
			return fmt.Errorf("enrol %s: %w", c.database(), err)
		}
	}
	return e.do(ctx, "database.enrolled", environment, func(tx *gate.Tx) error {
		for _, c := range connections {
			// The data has brought old passwords back.
			if _, err := tx.Exec(ctx, `UPDATE database_static SET due_at = ? WHERE mount = ?`, store.Micros(tx.Now()), c.Mount); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, `DELETE FROM database_login WHERE state = ? AND made_at < ?`,
			string(buried), store.Micros(tx.Now().Add(-remember))); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM database_dark WHERE environment = ?`, environment)
		return err
	})
}

// Output reads a value that an environment's build put out. It is a secret.
type Output func(ctx context.Context, name string) ([]byte, error)

func (e *Engine) enrol(ctx context.Context, c *connection, output Output) error {
	s := e.server(c.ID)
	name := e.cfg.Binding(c.database()).Bootstrap
	if name != "" {
		// "terraform.ledger_admin" is the output ledger_admin.
		text, err := output(ctx, name[strings.LastIndexByte(name, '.')+1:])
		if err != nil {
			return err
		}
		defer clear(text)
		if err := s.bootstrap(ctx, string(text)); err != nil {
			return err
		}
	}
	if err := s.dropReturned(ctx); err != nil {
		return err
	}
	if name == "" {
		return nil
	}
	return s.rotate(ctx, func(ctx context.Context, fn func(*gate.Tx) error) error {
		return e.do(ctx, "database.rotate", c.Name, fn)
	})
}

// bootstrap writes the settings that an output of the build names: a password, or
// a JSON object with connection_url, username and password.
func (s *server) bootstrap(ctx context.Context, output string) error {
	s.password.Lock()
	defer s.password.Unlock()
	s.reopen()
	now, err := s.e.openServer(ctx, s.id)
	if err != nil {
		return err
	}
	defer now.Close()
	fields := map[string]string{}
	if text := strings.TrimSpace(output); strings.HasPrefix(text, "{") {
		if json.Unmarshal([]byte(text), &fields) != nil { // its error would quote the password
			return nightporter.E(nightporter.Invalid, "the bootstrap output is no JSON object of texts")
		}
	} else {
		fields["password"] = text
	}
	c := *now.connection
	c.Details = map[string]any{}
	for field, value := range now.Details {
		c.Details[field] = value
	}
	for _, field := range []string{"connection_url", "username", "password"} {
		if value, ok := fields[field]; ok {
			c.Details[field] = value
		}
	}
	db, _, err := s.e.open(&c)
	if err != nil {
		return err
	}
	defer db.Close()
	err = db.Verify(ctx)
	if nightporter.CodeOf(err) == nightporter.Denied && now.Verify(ctx) == nil {
		return nil // it was enrolled before: its password has been changed already
	}
	if err != nil {
		return err
	}
	return s.e.do(ctx, "database.bootstrap", s.id, func(tx *gate.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM database_rotation WHERE connection = ?`, s.id); err != nil {
			return err
		}
		return s.e.put(ctx, tx, &c)
	})
}

// dropReturned takes the logins away that the data brought back: all that bear our
// mark or stand in the journal. None of them has a living lease.
func (s *server) dropReturned(ctx context.Context) error {
	db, done, err := s.use(ctx)
	if err != nil {
		return err
	}
	logins, err := db.Inventory(ctx)
	var back []provider.Login
	if err == nil {
		known, kerr := s.e.known(ctx, s.id)
		// Another environment's logins may live on the same server.
		others, oerr := s.e.knownElsewhere(ctx, s.id, serverOf(db.text("connection_url")))
		err = errors.Join(kerr, oerr)
		for _, l := range logins {
			if _, ours := known[l.Name]; !ours && others[l.Name] {
				continue
			}
			if _, ours := known[l.Name]; (ours || db.namer.Marked(l.Name)) && !untouchable(db, l) {
				back = append(back, l)
			}
		}
	}
	done()
	if err != nil || len(back) == 0 {
		return err
	}
	for batch := range slices.Chunk(back, 250) {
		if err := s.claim(ctx, "the data brought it back", batch...); err != nil {
			return err
		}
	}
	db, done, err = s.use(ctx)
	if err != nil {
		return err
	}
	users := make([]provider.Revoke, len(back))
	for i, l := range back {
		users[i] = provider.Revoke{Username: l.Name}
	}
	outcomes := db.RevokeUsers(ctx, users)
	done()
	var gone []login
	for _, o := range outcomes {
		switch o.State {
		case provider.Gone:
			gone = append(gone, login{s.id, o.Username})
		case provider.Failed: // a disabled one is harmless, and its keeper goes on
			err = o.Err
		}
	}
	for batch := range slices.Chunk(gone, 250) {
		if err := s.e.end(ctx, batch, confirmed); err != nil {
			return err
		}
	}
	return err
}
