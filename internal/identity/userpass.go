package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
)

// LocalUsers is the mount whose users the console and the command line know too.
const LocalUsers = "userpass"

// User is a name with a password, on one mount of the login method userpass.
type User struct {
	Name   string
	Grants Grants
	hash   string
}

// UserName brings the name of a user into its only form, before anything is
// looked up or counted by it (CVE-2025-6004). Errors: invalid.
func UserName(name string) (string, error) {
	canonical := strings.ToLower(strings.TrimSpace(name))
	if canonical == "" || len(canonical) > 100 || strings.ContainsAny(canonical, "/*+,\x00") {
		return "", nightporter.E(nightporter.Invalid, "%q cannot be the name of a user", name)
	}
	return canonical, nil
}

// HashPassword makes what a [UserChange] stores. It takes its turn: a password's
// hash costs 19 MiB for a moment.
func (i *Identity) HashPassword(ctx context.Context, password string) (string, error) {
	if len(password) > maxPassword {
		return "", nightporter.E(nightporter.Invalid, "the password is longer than 1,000 characters")
	}
	if err := i.slot(ctx); err != nil {
		return "", err
	}
	defer func() { <-i.hashing }()
	return encodePassword(password), nil
}

// UserChange is what to write about a user; nil leaves a part as it is.
type UserChange struct {
	Hash   *string // from HashPassword
	Grants *Grants
}

// ErrNoPassword is the answer to a new user without one.
var ErrNoPassword = nightporter.E(nightporter.Invalid, "must provide either password or password_hash")

// PutUser writes a user within the caller's change. Name is canonical.
func PutUser(ctx context.Context, tx *gate.Tx, mount, name string, c UserChange) error {
	u, err := FindUser(ctx, tx.Tx, mount, name)
	switch {
	case nightporter.CodeOf(err) == nightporter.NotFound && c.Hash == nil:
		return ErrNoPassword
	case err != nil && nightporter.CodeOf(err) != nightporter.NotFound:
		return err
	}
	if c.Hash != nil {
		u.hash = *c.Hash
	}
	if c.Grants != nil {
		u.Grants = *c.Grants
	}
	_, err = tx.Exec(ctx, `INSERT INTO userpass (mount, name, hash, grants, at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (mount, name) DO UPDATE SET hash = excluded.hash, grants = excluded.grants, at = excluded.at`,
		mount, name, u.hash, asJSON(u.Grants), store.Micros(tx.Now()))
	if err != nil {
		return fmt.Errorf("write a user: %w", err)
	}
	return nil
}

// FindUser reads a user; not_found when there is none.
func FindUser(ctx context.Context, tx *store.Tx, mount, name string) (User, error) {
	u := User{Name: name}
	var grants string
	err := tx.QueryRow(ctx, `SELECT hash, grants FROM userpass WHERE mount = ? AND name = ?`, mount, name).Scan(&u.hash, &grants)
	if store.IsNotFound(err) {
		return u, nightporter.E(nightporter.NotFound, "there is no such user")
	}
	if err == nil {
		err = json.Unmarshal([]byte(grants), &u.Grants)
	}
	if err != nil {
		return u, fmt.Errorf("read a user: %w", err)
	}
	return u, nil
}

// Users lists the names of a mount, sorted.
func Users(ctx context.Context, tx *store.Tx, mount string) (names []string, err error) {
	err = tx.Each(ctx, `SELECT name FROM userpass WHERE mount = ? ORDER BY name`, []any{mount}, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		names = append(names, name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return names, nil
}

// DeleteUser removes a user within the caller's change; an empty name removes
// all of the mount. One that is not there is fine.
func DeleteUser(ctx context.Context, tx *gate.Tx, mount, name string) error {
	where, args := `mount = ?`, []any{mount}
	if name != "" {
		where, args = where+` AND name = ?`, append(args, name)
	}
	if _, err := tx.Exec(ctx, `DELETE FROM userpass WHERE `+where, args...); err != nil {
		return fmt.Errorf("delete a user: %w", err)
	}
	return nil
}

// CheckPassword finds a user by name and password. Whether the name or the
// password was wrong shows neither in the error nor in the time that it takes
// (CVE-2025-6011). Errors: unauthenticated, and limited after too many tries
// from one source or for one account.
func (i *Identity) CheckPassword(ctx context.Context, mount, name, password, remote string) (User, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	account := "account:" + mount + "/" + name
	if err := i.limits.try("source:"+remote, 30, account, 10); err != nil {
		return User{}, err
	}
	var u User
	err := i.cfg.DB.View(ctx, func(tx *store.Tx) (err error) {
		u, err = FindUser(ctx, tx, mount, name)
		return err
	})
	switch nightporter.CodeOf(err) {
	case "":
	case nightporter.NotFound:
		u = User{Name: name, hash: nobody}
	default:
		return User{}, err
	}
	if err := i.slot(ctx); err != nil {
		return User{}, err
	}
	good := len(password) <= maxPassword && checkPassword(u.hash, password)
	<-i.hashing
	if !good {
		return User{}, errLogin
	}
	i.limits.forgive(account)
	return u, nil
}

// Try counts a try to log in by something that is not a password, such as an
// AppRole's secret. Errors: limited.
func (i *Identity) Try(remote, account string) error {
	return i.limits.try("login:"+remote, 600, "account:"+account, 600)
}
