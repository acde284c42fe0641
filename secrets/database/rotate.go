package database

import (
	"context"
	"net/http"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/vault"
	provider "nightporter.dev/nightporter/provider/database"
)

// The rotation of an administrator's password has two phases. Both passwords are
// committed to database_rotation; the database changes; the new one logs in, and
// only then is the old one forgotten. A crash between any two leaves both in the
// journal, and [server.resolve] asks the database which one it is.

// passwords are the two of a rotation.
type passwords struct {
	Old string `json:"old"`
	New string `json:"new"`
}

func (b *Backend) rotateRoot(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	s, _, err := b.serverOf(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := s.rotate(ctx, r.Do); err != nil {
		return nil, issueFailure(err)
	}
	return nil, nil
}

// rotate gives the administrator a password that nobody knows.
func (s *server) rotate(ctx context.Context, as doer) error {
	if err := s.resolve(ctx); err != nil {
		return err
	}
	s.password.Lock()
	defer s.password.Unlock()
	db, done, err := s.borrow(ctx)
	if err != nil {
		return err
	}
	defer done()
	user := db.text("username")
	switch {
	case user == "":
		return vault.RefuseIn(http.StatusInternalServerError, "unable to rotate root credentials: no username in configuration")
	case hasOwnPassword(db.connection):
		return vault.RefuseIn(http.StatusInternalServerError, "unable to rotate root credentials: write {{password}} into connection_url, and the password into its own field")
	}
	next, err := s.e.newPassword(ctx, db.PasswordPolicy)
	if err != nil {
		return err
	}
	sealed, err := s.e.seal("database_rotation", "passwords", s.id, passwords{Old: db.text("password"), New: next})
	if err != nil {
		return err
	}
	s.setSettled(false)
	err = as(ctx, func(tx *gate.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO database_rotation (connection, passwords, started_at) VALUES (?, ?, ?)`, s.id, sealed, store.Micros(tx.Now()))
		return err
	})
	if err != nil {
		return err
	}
	s.e.cfg.Fault("root:intended")
	changed := db.ChangePassword(ctx, provider.Change{Username: user, Password: next, Statements: db.RotationStatements})
	s.e.cfg.Fault("root:changed")
	// From here on it is finished, whether or not somebody waits for it.
	kept, err := s.prove(s.e.after(ctx), db)
	switch {
	case err != nil:
		s.poke()
		return err
	case !kept:
		return changed
	}
	return nil
}

// hasOwnPassword says that the password stands in the address, where it cannot be
// changed.
func hasOwnPassword(c *connection) bool {
	address := c.text("connection_url")
	return hidePassword(address) != address || c.text("password") == ""
}

func (s *server) setSettled(settled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled = settled
}

func (s *server) isSettled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settled
}

// resolve finishes or undoes a rotation that was interrupted.
func (s *server) resolve(ctx context.Context) error {
	if s.isSettled() {
		return nil
	}
	s.password.Lock()
	defer s.password.Unlock()
	if s.isSettled() {
		return nil
	}
	pending, err := s.e.exists(ctx, `SELECT COUNT(*) FROM database_rotation WHERE connection = ?`, s.id)
	if err != nil {
		return err
	}
	if !pending {
		s.setSettled(true)
		return nil
	}
	db, done, err := s.borrow(ctx)
	if err != nil {
		return err
	}
	defer done()
	_, err = s.prove(s.e.after(ctx), db)
	return err
}

// prove asks the database which of the two passwords it takes, and closes the
// journal with that one. kept says that it was the new one. The caller holds the
// password.
func (s *server) prove(ctx context.Context, db *opened) (kept bool, err error) {
	var both passwords
	err = s.e.look(ctx, func(tx *store.Tx) error {
		var sealed []byte
		if err := tx.QueryRow(ctx, `SELECT passwords FROM database_rotation WHERE connection = ?`, s.id).Scan(&sealed); err != nil {
			return err
		}
		return s.e.unseal("database_rotation", "passwords", s.id, sealed, &both)
	})
	if err != nil {
		return false, err
	}
	user := db.text("username")
	newErr := db.Try(ctx, user, both.New)
	if nightporter.CodeOf(newErr) == nightporter.Denied {
		if err := db.Try(ctx, user, both.Old); err != nil {
			if nightporter.CodeOf(err) == nightporter.Denied {
				return false, nightporter.Wrap(err, nightporter.Unavailable, "the database takes neither the old nor the new password of %q", user).
					WithHint("write the password that is valid to the database's config")
			}
			return false, err
		}
		// The old one works now. A change that is still on its way must not arrive
		// later.
		if err := db.Settle(ctx, user); err != nil {
			return false, err
		}
		newErr = db.Try(ctx, user, both.New)
	}
	s.e.cfg.Fault("root:tried")
	switch {
	case newErr == nil:
		return true, s.adopt(ctx, db, both.New)
	case nightporter.CodeOf(newErr) != nightporter.Denied:
		return false, newErr
	}
	err = s.e.do(ctx, "database.rotation.undone", s.id, func(tx *gate.Tx) error {
		tx.AfterCommit(func() { s.setSettled(true) })
		_, err := tx.Exec(ctx, `DELETE FROM database_rotation WHERE connection = ?`, s.id)
		return err
	})
	return false, err
}

// adopt makes a proven password the connection's own, and forgets the old one.
func (s *server) adopt(ctx context.Context, db *opened, password string) error {
	c := *db.connection
	details := make(map[string]any, len(c.Details))
	for k, v := range c.Details {
		details[k] = v
	}
	details["password"] = password
	c.Details = details
	err := s.e.do(ctx, "database.rotation.done", s.id, func(tx *gate.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM database_rotation WHERE connection = ?`, s.id); err != nil {
			return err
		}
		tx.AfterCommit(func() { s.setSettled(true) })
		return s.e.put(ctx, tx, &c)
	})
	s.e.cfg.Fault("root:closed")
	return err
}
