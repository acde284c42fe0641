package vault

import (
	"context"
	"strings"

	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
)

// secretMake makes a secret of a role, or takes one that somebody chose.
func (a *approle) secretMake(ctx context.Context, r *Request) (*Response, error) {
	name, role, err := a.known(ctx, r)
	if err != nil {
		return nil, err
	}
	f := r.Fields()
	id := secretID{
		Accessor: newUUID(), Created: a.v.cfg.Now().UTC(), TTL: role.SecretTTL, Uses: role.SecretUses,
		Metadata: f.Texts("metadata"), Networks: f.Networks("cidr_list"), Tokens: f.Networks("token_bound_cidrs"),
	}
	if f.Has("ttl") {
		id.TTL = f.Duration("ttl")
		if role.SecretTTL > 0 && (id.TTL == 0 || id.TTL > role.SecretTTL) {
			return nil, Bad("ttl cannot be longer than the role's secret_id_ttl")
		}
	}
	if f.Has("num_uses") {
		id.Uses = f.Int("num_uses")
		if role.SecretUses > 0 && (id.Uses == 0 || id.Uses > role.SecretUses) {
			return nil, Bad("num_uses cannot be higher than the role's secret_id_num_uses")
		}
	}
	secret, custom := newUUID(), strings.HasSuffix(r.Path, "/custom-secret-id")
	if custom {
		secret = f.String("secret_id")
	}
	switch {
	case f.Err() != nil:
		return nil, f.Err()
	case !role.BindSecretID:
		return nil, Bad("bind_secret_id is not set on the role")
	case secret == "":
		return nil, Bad("missing secret_id")
	case id.Uses < 0:
		return nil, Bad("num_uses cannot be negative")
	}
	if id.TTL > 0 {
		id.Expires = id.Created.Add(id.TTL)
	}
	key, err := a.mac(r.Mount, name, secret)
	if err != nil {
		return nil, err
	}
	err = r.Do(ctx, func(tx *gate.Tx) error {
		tx.Detail("secret_id_accessor", id.Accessor)
		_, taken, err := entry[secretID](ctx, a.v, tx.Tx, secretSpace(r.Mount, name), key)
		if err != nil || taken {
			return orElse(err, Bad("SecretID is already registered"))
		}
		if err := putEntry(ctx, a.v, tx, secretAccessors(r.Mount, name), id.Accessor, key); err != nil {
			return err
		}
		return putEntry(ctx, a.v, tx, secretSpace(r.Mount, name), key, id)
	})
	if err != nil {
		return nil, err
	}
	return &Response{Data: map[string]any{
		"secret_id": secret, "secret_id_accessor": id.Accessor, "secret_id_ttl": seconds(id.TTL), "secret_id_num_uses": id.Uses,
	}}, nil
}

func (a *approle) secretList(ctx context.Context, r *Request) (*Response, error) {
	name, _, err := a.known(ctx, r)
	if err != nil {
		return nil, err
	}
	return a.v.entryList(ctx, r, secretAccessors(r.Mount, name))
}

// findSecret reads a secret of a role by its key; found is false for one that
// has expired.
func (a *approle) findSecret(ctx context.Context, tx *store.Tx, m Mount, role, key string) (id secretID, found bool, err error) {
	id, found, err = entry[secretID](ctx, a.v, tx, secretSpace(m, role), key)
	return id, found && (id.Expires.IsZero() || a.v.cfg.Now().Before(id.Expires)), err
}

// keyOf finds the key of the secret that a request names, itself or by its
// accessor. It is "" for an accessor that the role does not have.
func (a *approle) keyOf(ctx context.Context, r *Request, role, field string) (key string, err error) {
	value := r.Fields().String(field)
	if value == "" {
		return "", Bad("missing %s", field)
	}
	if field == "secret_id" {
		return a.mac(r.Mount, role, value)
	}
	err = r.View(ctx, func(tx *store.Tx) error {
		key, _, err = entry[string](ctx, a.v, tx, secretAccessors(r.Mount, role), value)
		return err
	})
	return key, err
}

func (a *approle) secretLookup(ctx context.Context, r *Request) (*Response, error) {
	return a.lookupBy(ctx, r, "secret_id")
}

func (a *approle) accessorLookup(ctx context.Context, r *Request) (*Response, error) {
	return a.lookupBy(ctx, r, "secret_id_accessor")
}

func (a *approle) lookupBy(ctx context.Context, r *Request, field string) (*Response, error) {
	name, _, err := a.known(ctx, r)
	if err != nil {
		return nil, err
	}
	key, err := a.keyOf(ctx, r, name, field)
	if err != nil || key == "" {
		return nil, orElse(err, errNotFound)
	}
	var id secretID
	var found bool
	err = r.View(ctx, func(tx *store.Tx) error {
		id, found, err = a.findSecret(ctx, tx, r.Mount, name, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	if !found {
		if field == "secret_id" {
			return nil, nil // Vault answers 204
		}
		return nil, errNotFound
	}
	expires := "0001-01-01T00:00:00Z"
	if !id.Expires.IsZero() {
		expires = stamp(id.Expires)
	}
	metadata := id.Metadata
	if metadata == nil {
		metadata = map[string]string{}
	}
	return &Response{Data: map[string]any{
		"secret_id_accessor": id.Accessor, "secret_id_num_uses": id.Uses, "secret_id_ttl": seconds(id.TTL), "metadata": metadata,
		"creation_time": stamp(id.Created), "last_updated_time": stamp(id.Created), "expiration_time": expires,
		"cidr_list": networkTexts(id.Networks), "token_bound_cidrs": networkTexts(id.Tokens),
	}}, nil
}

func (a *approle) secretDestroy(ctx context.Context, r *Request) (*Response, error) {
	return a.destroyBy(ctx, r, "secret_id")
}

func (a *approle) accessorDestroy(ctx context.Context, r *Request) (*Response, error) {
	return a.destroyBy(ctx, r, "secret_id_accessor")
}

func (a *approle) destroyBy(ctx context.Context, r *Request, field string) (*Response, error) {
	name, _, err := a.known(ctx, r)
	if err != nil {
		return nil, err
	}
	key, err := a.keyOf(ctx, r, name, field)
	if err != nil {
		return nil, err
	}
	return nil, r.Do(ctx, func(tx *gate.Tx) error {
		id, found, err := entry[secretID](ctx, a.v, tx.Tx, secretSpace(r.Mount, name), key)
		if err != nil || !found {
			return err
		}
		return a.drop(ctx, tx, r.Mount, name, key, id.Accessor)
	})
}
