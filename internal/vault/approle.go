package vault

import (
	"context"
	"encoding/hex"
	"maps"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/store"
)

// approleBackend is the login of programs: a role's id, which may be known, and
// a secret id, which is not.
func (v *Vault) approleBackend() Backend {
	a := &approle{v: v}
	a.Paths = NewPaths("approle",
		Path{Pattern: "login", Write: a.login, Rules: Rules{Open: true}},
		Path{Pattern: "role", List: a.roleList},
		Path{Pattern: "role/{role}", Read: a.roleRead, Write: a.roleWrite, Delete: a.roleDelete, Exists: a.roleExists},
		Path{Pattern: "role/{role}/role-id", Read: a.idRead, Write: a.idWrite},
		Path{Pattern: "role/{role}/secret-id", List: a.secretList, Write: a.secretMake},
		Path{Pattern: "role/{role}/custom-secret-id", Write: a.secretMake},
		Path{Pattern: "role/{role}/secret-id/lookup", Write: a.secretLookup},
		Path{Pattern: "role/{role}/secret-id/destroy", Write: a.secretDestroy, Delete: a.secretDestroy},
		Path{Pattern: "role/{role}/secret-id-accessor/lookup", Write: a.accessorLookup},
		Path{Pattern: "role/{role}/secret-id-accessor/destroy", Write: a.accessorDestroy, Delete: a.accessorDestroy},
		Path{Pattern: "tidy/secret-id", Write: a.tidy},
	)
	return a
}

type approle struct {
	*Paths
	v *Vault
}

// appRole is a role of a mount.
type appRole struct {
	RoleID         string          `json:"role_id"`
	BindSecretID   bool            `json:"bind_secret_id"`
	SecretNetworks []netip.Prefix  `json:"secret_networks"`
	SecretUses     int             `json:"secret_uses"`
	SecretTTL      time.Duration   `json:"secret_ttl"`
	Grants         identity.Grants `json:"grants"`
}

// secretID is one secret of a role. The secret itself is not kept, only its MAC,
// which is its name.
type secretID struct {
	Accessor string            `json:"accessor"`
	Created  time.Time         `json:"created"`
	Expires  time.Time         `json:"expires"`
	TTL      time.Duration     `json:"ttl"`
	Uses     int               `json:"uses"` // 0 is any number
	Metadata map[string]string `json:"metadata"`
	Networks []netip.Prefix    `json:"networks"`
	Tokens   []netip.Prefix    `json:"tokens"`
}

// What a mount keeps, each for itself: a secret of one role is never found
// through another (CVE-2023-24999).
func roleSpace(m Mount) string                    { return "approle/" + m.UUID }
func roleIDSpace(m Mount) string                  { return "approle-id/" + m.UUID }
func secretSpace(m Mount, role string) string     { return "approle-secret/" + m.UUID + "/" + role }
func secretAccessors(m Mount, role string) string { return "approle-accessor/" + m.UUID + "/" + role }

// Mount implements [Mounter].
func (a *approle) Mount(*Mount) error { return nil }

// Unmount implements [Mounter].
func (a *approle) Unmount(ctx context.Context, tx *gate.Tx, m Mount) error {
	names, err := entryNames(ctx, tx.Tx, roleSpace(m))
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := a.dropSecrets(ctx, tx, m, name); err != nil {
			return err
		}
	}
	if err := deleteEntry(ctx, tx, roleIDSpace(m), ""); err != nil {
		return err
	}
	return deleteEntry(ctx, tx, roleSpace(m), "")
}

func (a *approle) dropSecrets(ctx context.Context, tx *gate.Tx, m Mount, role string) error {
	if err := deleteEntry(ctx, tx, secretSpace(m, role), ""); err != nil {
		return err
	}
	return deleteEntry(ctx, tx, secretAccessors(m, role), "")
}

func (a *approle) role(ctx context.Context, r *Request) (name string, role appRole, found bool, err error) {
	name = strings.ToLower(r.Vars["role"])
	err = r.View(ctx, func(tx *store.Tx) error {
		role, found, err = entry[appRole](ctx, a.v, tx, roleSpace(r.Mount), name)
		return err
	})
	return name, role, found, err
}

// mac names a secret without keeping it. Custom secrets may be short, so a plain
// hash would not do.
func (a *approle) mac(m Mount, role, secret string) (string, error) {
	b, err := a.v.cfg.Seal.MAC("approle secret ids", []byte(m.UUID+"/"+role+"/"+secret))
	return hex.EncodeToString(b), err
}

var errAppRole = Bad("invalid role or secret ID")

func (a *approle) login(ctx context.Context, r *Request) (*Response, error) {
	f := r.Fields()
	roleID, secret := f.String("role_id"), f.String("secret_id")
	switch {
	case f.Err() != nil:
		return nil, f.Err()
	case roleID == "":
		return nil, Refuse(http.StatusInternalServerError, "missing role_id")
	}
	if err := a.v.cfg.Identity.Try(r.Remote, "approle/"+r.Mount.UUID+"/"+roleID); err != nil {
		return nil, err
	}
	var name string
	var role appRole
	err := r.View(ctx, func(tx *store.Tx) error {
		var found bool
		var err error
		if name, found, err = entry[string](ctx, a.v, tx, roleIDSpace(r.Mount), roleID); err != nil || !found {
			return orElse(err, errAppRole)
		}
		if role, found, err = entry[appRole](ctx, a.v, tx, roleSpace(r.Mount), name); err != nil || !found {
			return orElse(err, errAppRole)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	meta := map[string]string{}
	if role.BindSecretID {
		if secret == "" {
			return nil, Bad("missing secret_id")
		}
		id, err := a.useSecret(ctx, r, name, secret)
		if err != nil {
			return nil, err
		}
		maps.Copy(meta, id.Metadata)
		if len(id.Tokens) > 0 {
			role.Grants.Networks = id.Tokens
		}
	}
	if !within(role.SecretNetworks, r.Remote) {
		return nil, Bad("source address %q unauthorized by CIDR restrictions on the role", r.Remote)
	}
	meta["role_name"] = name
	return a.v.signedIn(ctx, r, somebody{
		kind: nightporter.Machine, name: name, displayName: r.Mount.displayName(), method: "approle", meta: meta, grants: role.Grants,
	})
}

func orElse(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// useSecret checks a secret and counts its use. A role that may not be used from
// an address does not spend its secrets there.
func (a *approle) useSecret(ctx context.Context, r *Request, role, secret string) (id secretID, err error) {
	key, err := a.mac(r.Mount, role, secret)
	if err != nil {
		return id, err
	}
	find := func(tx *store.Tx) error {
		var found bool
		id, found, err = entry[secretID](ctx, a.v, tx, secretSpace(r.Mount, role), key)
		if err == nil && (!found || !id.Expires.IsZero() && !a.v.cfg.Now().Before(id.Expires)) {
			err = errAppRole
		}
		if err == nil && !within(id.Networks, r.Remote) {
			err = Bad("source address %q unauthorized by CIDR restrictions on the secret ID", r.Remote)
		}
		return err
	}
	// Most failures end here, without a change.
	if err := r.View(ctx, find); err != nil || id.Uses == 0 {
		return id, err
	}
	err = r.DoOpen(ctx, role, func(tx *gate.Tx) error {
		if err := find(tx.Tx); err != nil {
			return err
		}
		if id.Uses == 1 {
			return a.drop(ctx, tx, r.Mount, role, key, id.Accessor)
		}
		left := id
		left.Uses--
		return putEntry(ctx, a.v, tx, secretSpace(r.Mount, role), key, left)
	})
	return id, err
}

func (a *approle) drop(ctx context.Context, tx *gate.Tx, m Mount, role, key, accessor string) error {
	if err := deleteEntry(ctx, tx, secretAccessors(m, role), accessor); err != nil {
		return err
	}
	return deleteEntry(ctx, tx, secretSpace(m, role), key)
}

func (a *approle) roleExists(ctx context.Context, r *Request) (bool, error) {
	return a.v.entryExists(ctx, r, roleSpace(r.Mount), strings.ToLower(r.Vars["role"]))
}

func (a *approle) roleList(ctx context.Context, r *Request) (*Response, error) {
	return a.v.entryList(ctx, r, roleSpace(r.Mount))
}

func (a *approle) roleRead(ctx context.Context, r *Request) (*Response, error) {
	_, role, found, err := a.role(ctx, r)
	if err != nil || !found {
		return nil, err
	}
	data := grantsData(role.Grants)
	data["bind_secret_id"], data["local_secret_ids"] = role.BindSecretID, false
	data["secret_id_bound_cidrs"] = nil
	if len(role.SecretNetworks) > 0 {
		data["secret_id_bound_cidrs"] = networkTexts(role.SecretNetworks)
	}
	data["secret_id_num_uses"], data["secret_id_ttl"] = role.SecretUses, seconds(role.SecretTTL)
	return &Response{Data: data}, nil
}

func (a *approle) roleWrite(ctx context.Context, r *Request) (*Response, error) {
	name, role, found, err := a.role(ctx, r)
	if err != nil {
		return nil, err
	}
	if !found {
		role = appRole{BindSecretID: true, RoleID: newUUID()}
	}
	oldID := role.RoleID
	f := r.Fields()
	role.BindSecretID = f.Bool("bind_secret_id", role.BindSecretID)
	for _, field := range []string{"bound_cidr_list", "secret_id_bound_cidrs"} {
		if f.Has(field) {
			role.SecretNetworks = f.Networks(field)
		}
	}
	if f.Has("secret_id_num_uses") {
		role.SecretUses = f.Int("secret_id_num_uses")
	}
	if f.Has("secret_id_ttl") {
		role.SecretTTL = f.Duration("secret_id_ttl")
	}
	if id := f.String("role_id"); id != "" {
		role.RoleID = id
	}
	f.Ignore("local_secret_ids")
	if err := readGrants(f, &role.Grants); err != nil {
		return nil, err
	}
	switch {
	case role.SecretUses < 0:
		return nil, Bad("'secret_id_num_uses' cannot be negative")
	case !role.BindSecretID && len(role.SecretNetworks) == 0 && len(role.Grants.Networks) == 0:
		return nil, RefuseIn(http.StatusInternalServerError, "at least one constraint should be enabled on the role")
	}
	return nil, r.Do(ctx, func(tx *gate.Tx) error { return a.putRole(ctx, tx, r, name, role, oldID) })
}

// putRole writes a role and its id, which is unique within the mount.
func (a *approle) putRole(ctx context.Context, tx *gate.Tx, r *Request, name string, role appRole, oldID string) error {
	if r.Creates() {
		if _, found, err := entry[appRole](ctx, a.v, tx.Tx, roleSpace(r.Mount), name); err != nil || found {
			return orElse(err, Denied())
		}
	}
	owner, taken, err := entry[string](ctx, a.v, tx.Tx, roleIDSpace(r.Mount), role.RoleID)
	if err != nil {
		return err
	}
	if taken && owner != name {
		return Bad("role_id already in use")
	}
	if oldID != role.RoleID {
		if err := deleteEntry(ctx, tx, roleIDSpace(r.Mount), oldID); err != nil {
			return err
		}
	}
	if err := putEntry(ctx, a.v, tx, roleIDSpace(r.Mount), role.RoleID, name); err != nil {
		return err
	}
	return putEntry(ctx, a.v, tx, roleSpace(r.Mount), name, role)
}

func (a *approle) roleDelete(ctx context.Context, r *Request) (*Response, error) {
	name, role, found, err := a.role(ctx, r)
	if err != nil || !found {
		return nil, err
	}
	return nil, r.Do(ctx, func(tx *gate.Tx) error {
		if err := a.dropSecrets(ctx, tx, r.Mount, name); err != nil {
			return err
		}
		if err := deleteEntry(ctx, tx, roleIDSpace(r.Mount), role.RoleID); err != nil {
			return err
		}
		return deleteEntry(ctx, tx, roleSpace(r.Mount), name)
	})
}

// known is role for the paths below one.
func (a *approle) known(ctx context.Context, r *Request) (string, appRole, error) {
	name, role, found, err := a.role(ctx, r)
	if err == nil && !found {
		err = Refuse(http.StatusNotFound, "role %q does not exist", name)
	}
	return name, role, err
}

func (a *approle) idRead(ctx context.Context, r *Request) (*Response, error) {
	_, role, err := a.known(ctx, r)
	if err != nil {
		return nil, err
	}
	return &Response{Data: map[string]any{"role_id": role.RoleID}}, nil
}

func (a *approle) idWrite(ctx context.Context, r *Request) (*Response, error) {
	name, role, err := a.known(ctx, r)
	if err != nil {
		return nil, err
	}
	id := r.Fields().String("role_id")
	if id == "" {
		return nil, Bad("missing role_id")
	}
	oldID := role.RoleID
	role.RoleID = id
	return nil, r.Do(ctx, func(tx *gate.Tx) error { return a.putRole(ctx, tx, r, name, role, oldID) })
}

func (a *approle) tidy(context.Context, *Request) (*Response, error) {
	return &Response{Status: http.StatusAccepted, Warnings: []string{
		"Tidy operation successfully started. Any information from the operation will be printed to the server's logs.",
	}}, nil
}
