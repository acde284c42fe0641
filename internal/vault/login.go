package vault

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/policy"
)

// What the login methods share: the token_* fields and the token at the end.

// readGrants reads the token_* fields that were sent into g, with the names from
// before they had that prefix.
func readGrants(f *Fields, g *identity.Grants) error {
	for _, name := range []string{"policies", "token_policies"} {
		if f.Has(name) {
			names, err := policy.Names(f.List(name))
			if err != nil {
				return err
			}
			if slices.Contains(names, policy.RootName) {
				return Bad("root policy cannot be granted by a login method")
			}
			g.Policies = names
		}
	}
	for _, name := range []string{"ttl", "token_ttl"} {
		if f.Has(name) {
			g.TTL = f.Duration(name)
		}
	}
	for _, name := range []string{"max_ttl", "token_max_ttl"} {
		if f.Has(name) {
			g.MaxTTL = f.Duration(name)
		}
	}
	for _, name := range []string{"period", "token_period"} {
		if f.Has(name) {
			g.Period = f.Duration(name)
		}
	}
	if f.Has("token_explicit_max_ttl") {
		g.ExplicitMax = f.Duration("token_explicit_max_ttl")
	}
	for _, name := range []string{"num_uses", "token_num_uses"} {
		if f.Has(name) {
			g.Uses = f.Int(name)
		}
	}
	g.NoDefault = f.Bool("token_no_default_policy", g.NoDefault)
	for _, name := range []string{"bound_cidrs", "token_bound_cidrs"} {
		if f.Has(name) {
			g.Networks = f.Networks(name)
		}
	}
	if f.Has("token_type") {
		switch kind := f.String("token_type"); kind {
		case "", "default", "default-service", "service":
			g.Kind = ""
		case "batch", "default-batch":
			g.Kind = identity.Batch
		default:
			return Bad("invalid 'token_type' value %q", kind)
		}
	}
	f.Ignore("token_strictly_bind_ip")
	switch {
	case f.Err() != nil:
		return f.Err()
	case g.Uses < 0:
		return Bad("'token_num_uses' cannot be negative")
	case g.MaxTTL > 0 && g.TTL > g.MaxTTL:
		return Bad("'token_ttl' cannot be greater than 'token_max_ttl'")
	}
	return nil
}

// grantsData is how g is read back.
func grantsData(g identity.Grants) map[string]any {
	kind := "default"
	if g.Kind != "" {
		kind = string(g.Kind)
	}
	return map[string]any{
		"token_policies": list(g.Policies), "token_ttl": seconds(g.TTL), "token_max_ttl": seconds(g.MaxTTL), "token_period": seconds(g.Period),
		"token_explicit_max_ttl": seconds(g.ExplicitMax), "token_num_uses": g.Uses, "token_no_default_policy": g.NoDefault,
		"token_bound_cidrs": networkTexts(g.Networks), "token_strictly_bind_ip": false, "token_type": kind,
	}
}

func networkTexts(networks []netip.Prefix) []string {
	out := []string{}
	for _, n := range networks {
		if n.IsSingleIP() {
			out = append(out, n.Addr().String())
		} else {
			out = append(out, n.String())
		}
	}
	return out
}

// within says whether an address is in one of the networks; none means all.
func within(networks []netip.Prefix, remote string) bool {
	if len(networks) == 0 {
		return true
	}
	addr, err := netip.ParseAddr(remote)
	return err == nil && slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) })
}

// somebody is who has logged in.
type somebody struct {
	kind        nightporter.ActorKind
	name        string // of the actor
	displayName string
	method      string
	meta        map[string]string
	grants      identity.Grants
}

// signedIn makes the token of a login that succeeded.
func (v *Vault) signedIn(ctx context.Context, r *Request, s somebody) (*Response, error) {
	if !within(s.grants.Networks, r.Remote) {
		return nil, errPermission
	}
	spec := r.Mount.loginGrants(s.grants).Spec()
	spec.ActorKind, spec.Actor, spec.DisplayName, spec.Method, spec.Meta, spec.Path = s.kind, s.name, s.displayName, s.method, s.meta, r.Full
	spec.Entity = entityID(r.Mount.Accessor, string(s.kind), s.name)
	token, info, err := v.cfg.Identity.Open(ctx, spec)
	if err != nil {
		return nil, err
	}
	resp := &Response{Auth: authOf(token, info, info.Lease.IssuedAt)}
	for _, p := range v.unknownPolicies(info.Policies) {
		resp.Warn("Policy \"" + p + "\" does not exist")
	}
	return resp, nil
}

// entityID is Vault's entity_id: the same for the same name on the same mount,
// and a UUID in form. There are no entities here; clients only show it.
func entityID(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	b := h.Sum(nil)[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80 // RFC 9562 §5.8, version 8
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
