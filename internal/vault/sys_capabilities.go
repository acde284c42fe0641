package vault

import (
	"context"
	"net/http"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/policy"
	"nightporter.dev/nightporter/internal/store"
)

func (v *Vault) capabilityPaths() []Path {
	return []Path{
		{Pattern: "capabilities", Write: v.capabilities},
		{Pattern: "capabilities-self", Write: v.capabilitiesSelf},
		{Pattern: "capabilities-accessor", Write: v.capabilitiesAccessor},
		{Pattern: "internal/ui/resultant-acl", Read: v.resultantACL},
	}
}

func (v *Vault) capabilitiesSelf(ctx context.Context, r *Request) (*Response, error) {
	r.Fields().Ignore("token")
	return v.capabilitiesOf(r, v.aclOf(nightporter.ActorFrom(ctx)))
}

func (v *Vault) capabilities(ctx context.Context, r *Request) (*Response, error) {
	token := r.Fields().String("token")
	if token == "" {
		return nil, RefuseIn(http.StatusInternalServerError, "no token found")
	}
	return v.capabilitiesBy(ctx, r, "invalid token", func(tx *store.Tx) (identity.Info, error) {
		return identity.FindToken(ctx, tx, token)
	})
}

func (v *Vault) capabilitiesAccessor(ctx context.Context, r *Request) (*Response, error) {
	accessor := r.Fields().String("accessor")
	return v.capabilitiesBy(ctx, r, "invalid accessor", func(tx *store.Tx) (identity.Info, error) {
		return identity.Find(ctx, tx, accessor)
	})
}

func (v *Vault) capabilitiesBy(ctx context.Context, r *Request, missing string, find func(*store.Tx) (identity.Info, error)) (*Response, error) {
	info, err := v.living(ctx, r, find)
	if nightporter.CodeOf(err) == nightporter.NotFound {
		return nil, RefuseIn(http.StatusBadRequest, "%s", missing)
	}
	if err != nil {
		return nil, err
	}
	return v.capabilitiesOf(r, v.aclOf(v.cfg.Identity.ActorOf(info, "")))
}

// living reads a token that somebody named; not_found when it is dead.
func (v *Vault) living(ctx context.Context, r *Request, find func(*store.Tx) (identity.Info, error)) (info identity.Info, err error) {
	err = r.View(ctx, func(tx *store.Tx) error {
		if info, err = find(tx); err != nil {
			return err
		}
		_, err = lease.Ancestry(ctx, tx, info.Accessor, v.cfg.Now())
		return err
	})
	return info, err
}

func (v *Vault) capabilitiesOf(r *Request, acl *policy.ACL) (*Response, error) {
	f := r.Fields()
	paths := f.List("paths")
	if len(paths) == 0 {
		paths = f.List("path")
	}
	f.Ignore("path")
	if f.Err() != nil {
		return nil, f.Err()
	}
	if len(paths) == 0 {
		return nil, Bad("paths must be supplied")
	}
	data := map[string]any{}
	for _, p := range paths {
		if p == "" {
			return nil, RefuseIn(http.StatusBadRequest, "missing path")
		}
		data[p] = acl.Capabilities(p)
	}
	if len(paths) == 1 {
		data["capabilities"] = data[paths[0]]
	}
	return &Response{Data: data, TopLevel: true}, nil
}

// resultantACL is what Vault's own console asks for: the policies of the token
// as one list.
func (v *Vault) resultantACL(ctx context.Context, _ *Request) (*Response, error) {
	acl := v.aclOf(nightporter.ActorFrom(ctx))
	exact, glob := map[string]any{}, map[string]any{}
	for _, g := range acl.Grants() {
		caps := map[string]any{"capabilities": g.Capabilities}
		if prefix, ok := strings.CutSuffix(g.Pattern, "*"); ok {
			glob[prefix] = caps
		} else {
			exact[g.Pattern] = caps
		}
	}
	return &Response{Data: map[string]any{"root": acl.IsRoot(), "exact_paths": exact, "glob_paths": glob}}, nil
}
