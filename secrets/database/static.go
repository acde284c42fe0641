package database

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/vault"
	provider "nightporter.dev/nightporter/provider/database"
)

// StaticRole is an account of the database's own, whose password we change again
// and again. With one user name, as Vault does it, readers hold a dead password
// from the change until they ask again. With a second one the two take turns: the
// one that nobody uses gets the new password, proves it, and becomes the one that
// is handed out, while the other stays valid for another period.
type StaticRole struct {
	Name       string        `json:"-"`
	Mount      string        `json:"-"`
	DB         string        `json:"db_name"`
	Username   string        `json:"username"`
	Alternate  string        `json:"alternate_username,omitempty"` // ours
	Period     time.Duration `json:"rotation_period"`
	Statements []string      `json:"rotation_statements,omitempty"`

	// Active has Password since Rotated.
	Active   string    `json:"active"`
	Password string    `json:"password"`
	Rotated  time.Time `json:"rotated"`
	// Next is the password that NextUser is getting: committed before the database
	// hears of it, so that a crash repeats the same change.
	Next     string `json:"next,omitempty"`
	NextUser string `json:"next_user,omitempty"`
	Failed   int    `json:"failed,omitempty"`
}

// row is what the ciphertext is bound to.
func (s *StaticRole) row() string { return s.Mount + "/" + s.Name }

// static reads a static role; not_found when there is none.
func (e *Engine) static(ctx context.Context, tx *store.Tx, mount, name string) (*StaticRole, error) {
	s := &StaticRole{Name: name, Mount: mount}
	var sealed []byte
	err := tx.QueryRow(ctx, `SELECT role FROM database_static WHERE mount = ? AND name = ?`, mount, name).Scan(&sealed)
	if store.IsNotFound(err) {
		return nil, nightporter.E(nightporter.NotFound, "unknown role: %s", name)
	}
	if err == nil {
		err = e.unseal("database_static", "role", s.row(), sealed, s)
	}
	if err != nil {
		return nil, fmt.Errorf("read static role %s: %w", name, err)
	}
	return s, nil
}

func (e *Engine) putStatic(ctx context.Context, tx *gate.Tx, s *StaticRole, due time.Time) error {
	sealed, err := e.seal("database_static", "role", s.row(), s)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO database_static (mount, name, role, due_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (mount, name) DO UPDATE SET role = excluded.role, due_at = excluded.due_at`, s.Mount, s.Name, sealed, store.Micros(due))
	if err != nil {
		return fmt.Errorf("write static role %s: %w", s.Name, err)
	}
	tx.AfterCommit(func() {
		select {
		case e.staticWake <- struct{}{}:
		default:
		}
	})
	return nil
}

func (b *Backend) staticOf(ctx context.Context, r *vault.Request) (s *StaticRole, err error) {
	err = b.engine.look(ctx, func(tx *store.Tx) error {
		s, err = b.engine.static(ctx, tx, r.Mount.UUID, r.Vars["name"])
		return err
	})
	return s, err
}

func (b *Backend) readStaticRole(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	s, err := b.staticOf(ctx, r)
	if err != nil {
		return nil, err // 404
	}
	data := map[string]any{
		"db_name": s.DB, "username": s.Username, "rotation_period": int64(s.Period / time.Second), "rotation_statements": list(s.Statements),
		"last_vault_rotation": s.Rotated.Format(time.RFC3339Nano), "credential_type": "password",
	}
	if s.Alternate != "" {
		data["alternate_username"] = s.Alternate
	}
	return &vault.Response{Data: data}, nil
}

func (b *Backend) readStaticCreds(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	var s *StaticRole
	err := r.Read(ctx, func(tx *store.Tx) (err error) {
		s, err = b.engine.static(ctx, tx, r.Mount.UUID, r.Vars["name"])
		return err
	})
	if nightporter.CodeOf(err) == nightporter.NotFound {
		return nil, vault.Bad("%s", message(err))
	}
	if err != nil {
		return nil, err
	}
	ttl := max(s.Rotated.Add(s.Period).Sub(b.engine.cfg.Now()).Round(time.Second), 0)
	return &vault.Response{Data: map[string]any{
		"username": s.Active, "password": s.Password, "ttl": int64(ttl / time.Second),
		"rotation_period": int64(s.Period / time.Second), "last_vault_rotation": s.Rotated.Format(time.RFC3339Nano),
	}}, nil
}

func (b *Backend) writeStaticRole(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	e := b.engine
	s, err := b.staticOf(ctx, r)
	fresh := nightporter.CodeOf(err) == nightporter.NotFound
	switch {
	case fresh:
		s = &StaticRole{Name: r.Vars["name"], Mount: r.Mount.UUID}
	case err != nil:
		return nil, err
	case r.Creates():
		return nil, vault.Denied()
	}
	if err := readStaticFields(r, s, fresh); err != nil {
		return nil, err
	}
	taken, err := e.exists(ctx, `SELECT COUNT(*) FROM database_role WHERE mount = ? AND name = ?`, s.Mount, s.Name)
	if err != nil {
		return nil, err
	}
	if taken {
		return nil, vault.Bad("Role and Static Role names must be unique")
	}
	c, err := e.byName(ctx, s.Mount, s.DB)
	switch {
	case nightporter.CodeOf(err) == nightporter.NotFound:
		return nil, vault.RefuseIn(http.StatusInternalServerError, "%s", message(err))
	case err != nil:
		return nil, err
	case !c.allows(s.Name):
		return nil, vault.RefuseIn(http.StatusInternalServerError, "%q is not an allowed role", s.Name)
	}
	if !fresh {
		return nil, r.Do(ctx, func(tx *gate.Tx) error { return e.putStatic(ctx, tx, s, s.Rotated.Add(s.Period)) })
	}
	// The loop leaves it alone until the first change, which is made here.
	err = r.Do(ctx, func(tx *gate.Tx) error { return e.putStatic(ctx, tx, s, e.cfg.Now().Add(time.Minute)) })
	if err != nil {
		return nil, err
	}
	if err := e.rotateOne(ctx, s.Mount, s.Name); err != nil {
		own := e.after(ctx)
		undone := e.do(own, "static_role.undone", s.Name, func(tx *gate.Tx) error {
			_, err := tx.Exec(own, `DELETE FROM database_static WHERE mount = ? AND name = ?`, s.Mount, s.Name)
			return err
		})
		if undone != nil {
			return nil, undone
		}
		return nil, issueFailure(err)
	}
	return nil, nil
}

// readStaticFields puts the request's fields into the role.
func readStaticFields(r *vault.Request, s *StaticRole, fresh bool) (err error) {
	f := r.Fields()
	f.Ignore("credential_type", "credential_config", "skip_import_rotation")
	username := f.String("username")
	if f.Has("db_name") {
		s.DB = f.String("db_name")
	}
	if f.Has("alternate_username") {
		s.Alternate = f.String("alternate_username")
	}
	hasPeriod := f.Has("rotation_period")
	if hasPeriod {
		s.Period = f.Duration("rotation_period")
	}
	if f.Has("rotation_statements") {
		if s.Statements, err = statements(r.Data["rotation_statements"]); err != nil {
			return vault.Bad("error converting input for field \"rotation_statements\": %s", err)
		}
	}
	switch {
	case f.Err() != nil:
		return f.Err()
	case username == "" && fresh:
		return vault.Bad("username is a required field to create a static account")
	case username != "" && !fresh && username != s.Username:
		return vault.Bad("cannot update static account username")
	case s.DB == "":
		return vault.Bad("database name is a required field")
	case !hasPeriod && fresh:
		return vault.Bad("rotation_period is required to create static accounts")
	case s.Period < 5*time.Second:
		return vault.Bad("rotation_period must be 5 seconds or more")
	case s.Alternate != "" && s.Alternate == username:
		return vault.Bad("alternate_username must be another user")
	}
	if fresh {
		s.Username = username
	}
	return nil
}

func (b *Backend) deleteStaticRole(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	return nil, r.Do(ctx, func(tx *gate.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM database_static WHERE mount = ? AND name = ?`, r.Mount.UUID, r.Vars["name"])
		return err
	})
}

func (b *Backend) rotateRole(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	s, err := b.staticOf(ctx, r)
	if nightporter.CodeOf(err) == nightporter.NotFound {
		return nil, vault.Bad("no static role found for role name")
	}
	if err != nil {
		return nil, err
	}
	if err := r.Do(ctx, func(*gate.Tx) error { return nil }); err != nil { // asked and audited
		return nil, err
	}
	if err := b.engine.rotateOne(ctx, s.Mount, s.Name); err != nil {
		return nil, issueFailure(err)
	}
	return nil, nil
}

// rotateStatic changes the passwords that are due, each database on its own.
func (e *Engine) rotateStatic(ctx context.Context) {
	busy := newKeyedLock()
	for {
		pause := e.rotateDue(ctx, busy)
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			busy.wait()
			return
		case <-e.staticWake:
			t.Stop()
		case <-t.C:
		}
	}
}

// rotateDue starts what is due and says when to look again.
func (e *Engine) rotateDue(ctx context.Context, busy *keyedLock) time.Duration {
	type due struct{ mount, name string }
	byDB := map[string][]due{}
	var next int64
	err := e.look(ctx, func(tx *store.Tx) error {
		var list []due
		err := tx.Each(ctx, `SELECT mount, name FROM database_static WHERE due_at <= ? ORDER BY due_at LIMIT 500`,
			[]any{store.Micros(e.cfg.Now())}, func(scan func(...any) error) error {
				var d due
				err := scan(&d.mount, &d.name)
				list = append(list, d)
				return err
			})
		for _, d := range list {
			s, err := e.static(ctx, tx, d.mount, d.name)
			if err != nil {
				return err
			}
			byDB[d.mount+"/"+s.DB] = append(byDB[d.mount+"/"+s.DB], d)
		}
		if err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT COALESCE(MIN(due_at), 0) FROM database_static WHERE due_at > ?`, store.Micros(e.cfg.Now())).Scan(&next)
	})
	if err != nil {
		e.cfg.Log.WarnContext(ctx, "rotate static roles", "error", err)
		return 5 * time.Second
	}
	for db, roles := range byDB {
		busy.try(db, func() {
			for _, d := range roles {
				if err := e.rotateOne(ctx, d.mount, d.name); err != nil && ctx.Err() == nil {
					e.cfg.Log.WarnContext(ctx, "rotate a static role: "+message(err), "role", d.name, "error", err)
				}
			}
		})
	}
	if len(byDB) > 0 {
		return time.Second
	}
	if next == 0 {
		return time.Minute
	}
	return min(max(store.Time(next).Sub(e.cfg.Now()), 50*time.Millisecond), time.Minute)
}

// rotateOne changes one password now.
func (e *Engine) rotateOne(ctx context.Context, mount, name string) error {
	unlock := e.rotating.lock(mount + "/" + name)
	defer unlock()
	own := e.after(ctx)
	var s *StaticRole
	err := e.look(ctx, func(tx *store.Tx) (err error) {
		s, err = e.static(ctx, tx, mount, name)
		return err
	})
	if err != nil {
		return err
	}
	if err = e.change(ctx, own, s); err == nil {
		return nil
	}
	s.Failed++
	pause := min(10*time.Second<<min(s.Failed-1, 5), maxPause)
	return errors.Join(err, e.do(own, "static_role.failed", s.Name, func(tx *gate.Tx) error {
		return e.updateStatic(own, tx, s, e.cfg.Now().Add(pause))
	}))
}

// updateStatic writes the role unless it was deleted meanwhile.
func (e *Engine) updateStatic(ctx context.Context, tx *gate.Tx, s *StaticRole, due time.Time) error {
	var there int
	err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM database_static WHERE mount = ? AND name = ?`, s.Mount, s.Name).Scan(&there)
	if err != nil || there == 0 {
		return err
	}
	return e.putStatic(ctx, tx, s, due)
}

// change is a rotation: write the new password down, change it, prove it where
// readers still have another, hand it out.
func (e *Engine) change(ctx, own context.Context, s *StaticRole) error {
	c, err := e.byName(ctx, s.Mount, s.DB)
	if err != nil {
		return err
	}
	if _, err := e.lit(ctx, c); err != nil {
		return err
	}
	db, done, err := e.server(c.ID).use(ctx)
	if err != nil {
		return err
	}
	defer done()
	user := s.Username
	if s.Alternate != "" && s.Active == s.Username {
		user = s.Alternate
	}
	if s.Next == "" || s.NextUser != user {
		if s.Next, err = e.newPassword(ctx, c.PasswordPolicy); err != nil {
			return err
		}
		s.NextUser = user
		err = e.do(own, "static_role.rotate", s.Name, func(tx *gate.Tx) error {
			return e.updateStatic(own, tx, s, e.cfg.Now().Add(10*time.Second))
		})
		if err != nil {
			return err
		}
	}
	e.cfg.Fault("static:intended")
	err = db.ChangePassword(ctx, provider.Change{Username: user, Password: s.Next, Statements: s.Statements})
	e.cfg.Fault("static:changed")
	if err != nil {
		return err
	}
	if s.Alternate != "" {
		if err := db.Try(ctx, user, s.Next); err != nil {
			return nightporter.Wrap(err, nightporter.Unavailable, "%s has a new password and cannot log in with it: %s stays in use", user, s.Active)
		}
	}
	s.Active, s.Password, s.Rotated = user, s.Next, e.cfg.Now().UTC().Truncate(time.Microsecond)
	s.Next, s.NextUser, s.Failed = "", "", 0
	err = e.do(own, "static_role.rotated", s.Name, func(tx *gate.Tx) error {
		tx.Detail("user", user)
		return e.updateStatic(own, tx, s, s.Rotated.Add(s.Period))
	})
	e.cfg.Fault("static:closed")
	return err
}
