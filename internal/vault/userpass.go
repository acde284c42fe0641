package vault

import (
	"context"
	"net/http"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/store"
)

// userpassBackend is the login by name and password.
func (v *Vault) userpassBackend() Backend {
	u := &userpass{v: v}
	u.Paths = NewPaths("userpass",
		Path{Pattern: "login/{name}", Write: u.login, Rules: Rules{Open: true}},
		Path{Pattern: "users", List: u.list},
		Path{Pattern: "users/{name}", Read: u.read, Write: u.write, Delete: u.delete, Exists: u.exists},
		Path{Pattern: "users/{name}/password", Write: u.password},
		Path{Pattern: "users/{name}/policies", Write: u.policies},
	)
	return u
}

type userpass struct {
	*Paths
	v *Vault
}

// users is where a mount's users are kept. Those of auth/userpass are the
// console's and the command line's too.
func (m Mount) users() string {
	if m.Path == "auth/"+identity.LocalUsers+"/" {
		return identity.LocalUsers
	}
	return m.UUID
}

// Mount implements [Mounter].
func (u *userpass) Mount(*Mount) error { return nil }

// Unmount implements [Mounter].
func (u *userpass) Unmount(ctx context.Context, tx *gate.Tx, m Mount) error {
	return identity.DeleteUser(ctx, tx, m.users(), "")
}

func (u *userpass) login(ctx context.Context, r *Request) (*Response, error) {
	f := r.Fields()
	password := f.String("password")
	switch {
	case f.Err() != nil:
		return nil, f.Err()
	case password == "":
		return nil, Refuse(http.StatusInternalServerError, "missing password")
	}
	user, err := u.v.cfg.Identity.CheckPassword(ctx, r.Mount.users(), r.Vars["name"], password, r.Remote)
	if nightporter.CodeOf(err) == nightporter.Unauthenticated {
		return nil, Bad("invalid username or password")
	}
	if err != nil {
		return nil, err
	}
	kind := nightporter.Machine
	if r.Mount.users() == identity.LocalUsers {
		kind = u.v.cfg.Identity.KindOf(user.Name)
	}
	return u.v.signedIn(ctx, r, somebody{
		kind: kind, name: user.Name, displayName: r.Mount.displayName() + "-" + user.Name, method: "userpass",
		meta: map[string]string{"username": user.Name}, grants: user.Grants,
	})
}

// displayName is the mount's part of a token's display name.
func (m Mount) displayName() string {
	name := m.Name()
	return notInDisplayName.ReplaceAllString(name[:len(name)-1], "-")
}

func (u *userpass) name(r *Request) (string, error) { return identity.UserName(r.Vars["name"]) }

func (u *userpass) find(ctx context.Context, r *Request) (user identity.User, found bool, err error) {
	name, err := u.name(r)
	if err != nil {
		return user, false, err
	}
	err = r.View(ctx, func(tx *store.Tx) error {
		user, err = identity.FindUser(ctx, tx, r.Mount.users(), name)
		return err
	})
	if nightporter.CodeOf(err) == nightporter.NotFound {
		return user, false, nil
	}
	return user, err == nil, err
}

func (u *userpass) exists(ctx context.Context, r *Request) (bool, error) {
	_, found, err := u.find(ctx, r)
	return found, err
}

func (u *userpass) list(ctx context.Context, r *Request) (*Response, error) {
	var names []string
	err := r.View(ctx, func(tx *store.Tx) (err error) {
		names, err = identity.Users(ctx, tx, r.Mount.users())
		return err
	})
	return Keys(names), err
}

func (u *userpass) read(ctx context.Context, r *Request) (*Response, error) {
	user, found, err := u.find(ctx, r)
	if err != nil || !found {
		return nil, err
	}
	return &Response{Data: grantsData(user.Grants)}, nil
}

// write makes or changes a user; what was not sent stays.
func (u *userpass) write(ctx context.Context, r *Request) (*Response, error) {
	name, err := u.name(r)
	if err != nil {
		return nil, err
	}
	user, found, err := u.find(ctx, r)
	if err != nil {
		return nil, err
	}
	f := r.Fields()
	password := f.String("password")
	if err := readGrants(f, &user.Grants); err != nil {
		return nil, err
	}
	if f.Has("password_hash") {
		return nil, Bad("password_hash is not supported: passwords are hashed with argon2id here")
	}
	if password == "" && !found {
		return nil, identity.ErrNoPassword
	}
	return nil, u.put(ctx, r, name, password, &user.Grants)
}

func (u *userpass) put(ctx context.Context, r *Request, name, password string, grants *identity.Grants) error {
	change := identity.UserChange{Grants: grants}
	if password != "" {
		hash, err := u.v.cfg.Identity.HashPassword(ctx, password)
		if err != nil {
			return err
		}
		change.Hash = &hash
	}
	return r.Do(ctx, func(tx *gate.Tx) error {
		if r.Creates() {
			_, err := identity.FindUser(ctx, tx.Tx, r.Mount.users(), name)
			if nightporter.CodeOf(err) != nightporter.NotFound {
				return Denied()
			}
		}
		return identity.PutUser(ctx, tx, r.Mount.users(), name, change)
	})
}

func (u *userpass) password(ctx context.Context, r *Request) (*Response, error) {
	password := r.Fields().String("password")
	user, found, err := u.find(ctx, r)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, Bad("username does not exist")
	case password == "":
		return nil, identity.ErrNoPassword
	}
	return nil, u.put(ctx, r, user.Name, password, nil)
}

func (u *userpass) policies(ctx context.Context, r *Request) (*Response, error) {
	user, found, err := u.find(ctx, r)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, Bad("username does not exist")
	}
	changed := identity.Grants{}
	f := r.Fields()
	if err := readGrants(f, &changed); err != nil {
		return nil, err
	}
	user.Grants.Policies = changed.Policies
	return nil, u.put(ctx, r, user.Name, "", &user.Grants)
}

func (u *userpass) delete(ctx context.Context, r *Request) (*Response, error) {
	name, err := u.name(r)
	if err != nil {
		return nil, err
	}
	return nil, r.Do(ctx, func(tx *gate.Tx) error { return identity.DeleteUser(ctx, tx, r.Mount.users(), name) })
}
