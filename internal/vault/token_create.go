package vault

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/policy"
	"nightporter.dev/nightporter/internal/store"
)

func (t *tokens) create(ctx context.Context, r *Request) (*Response, error) {
	return t.make(ctx, r, "", nil)
}

// createOrphan needs no more than the right to call it, unlike no_parent.
func (t *tokens) createOrphan(ctx context.Context, r *Request) (*Response, error) {
	return t.make(ctx, r, "", &tokenRole{Orphan: true, Renewable: true})
}

func (t *tokens) createByRole(ctx context.Context, r *Request) (*Response, error) {
	name := r.Vars["role"]
	role, found, err := t.role(ctx, r, name)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, Bad("unknown role %s", name)
	}
	return t.make(ctx, r, name, &role)
}

// order is a token that somebody asks for.
type order struct {
	spec        identity.Spec
	policies    []string
	ttl         time.Duration
	explicitMax time.Duration
	period      time.Duration
	noParent    bool
	id          string
	warnings    []string
}

// readOrder reads the fields of a request for a token.
func readOrder(r *Request) (o order, err error) {
	f := r.Fields()
	o.policies = f.List("policies")
	o.noParent, o.id = f.Bool("no_parent", false), f.String("id")
	o.spec = identity.Spec{
		Kind: identity.Service, DisplayName: displayName(f.String("display_name")), Meta: f.Texts("meta"), NoDefault: f.Bool("no_default_policy", false),
		Uses: f.Int("num_uses"), Fixed: !f.Bool("renewable", true),
	}
	kind := f.String("type")
	f.Ignore("entity_alias", "lease")
	if err := f.Err(); err != nil {
		return o, err
	}
	for name, into := range map[string]*time.Duration{"ttl": &o.ttl, "explicit_max_ttl": &o.explicitMax, "period": &o.period} {
		raw, ok := f.get(name)
		if !ok {
			continue
		}
		if *into, err = ParseDuration(raw); err != nil {
			return o, Bad("%s", err)
		}
		if *into < 0 {
			return o, Bad("%s must be positive", name)
		}
	}
	switch kind {
	case "", "service":
	case "batch":
		o.spec.Kind, o.spec.Fixed = identity.Batch, true
		if o.spec.Uses != 0 {
			return o, Bad("batch tokens cannot have \"num_uses\" set")
		}
		if o.period != 0 || o.explicitMax != 0 || o.id != "" {
			return o, Bad("batch tokens cannot have \"period\", \"explicit_max_ttl\" or \"id\" set")
		}
	default:
		return o, Bad("invalid 'token_type' value")
	}
	switch {
	case o.spec.Uses < 0:
		return o, Bad("number of uses cannot be negative")
	case strings.HasPrefix(o.id, "s."):
		return o, Bad("custom token ID cannot have the 's.' prefix")
	case identity.Reserved(o.id):
		return o, Bad("custom token ID cannot have the prefix of a generated one")
	case o.id != "" && (len(o.id) < 3 || len(o.id) > 256):
		return o, Bad("custom token ID must have 3 to 256 characters")
	}
	if o.policies, err = policy.Names(o.policies); err != nil {
		return o, err
	}
	if slices.Contains(o.policies, policy.WrappingName) {
		return o, Bad("cannot assign policy %q", policy.WrappingName)
	}
	return o, nil
}

// make makes a token: a child of the one that asks unless something says
// otherwise, and never able to do what that one cannot, unless sudo or a role
// says so.
func (t *tokens) make(ctx context.Context, r *Request, roleName string, role *tokenRole) (*Response, error) {
	if r.Token.Kind == identity.Batch {
		return nil, Bad("batch tokens cannot create more tokens")
	}
	o, err := readOrder(r)
	if err != nil {
		return nil, err
	}
	actor := nightporter.ActorFrom(ctx)
	sudo := t.v.cfg.Gate.May(ctx, nightporter.Action{Name: r.action.Name, Capability: nightporter.Update, Path: r.Full, Sudo: true})
	switch {
	case o.id != "" && !sudo:
		return nil, Bad("root or sudo privileges required to specify token id")
	case o.noParent && !sudo:
		return nil, Bad("root or sudo privileges required to create orphan token")
	case o.period > 0 && !sudo:
		return nil, Bad("root or sudo privileges required to create periodic token")
	}
	if err := t.choosePolicies(&o, role, actor, *r.Token, sudo); err != nil {
		return nil, err
	}
	t.bound(&o, role, *r.Token)
	spec := o.spec
	spec.ID, spec.Method, spec.Role, spec.Path = o.id, "token", roleName, r.Full
	if role != nil && role.PathSuffix != "" {
		spec.Path += "/" + role.PathSuffix
	}
	// Whoever makes a token answers for it: a person's child is that person. A
	// machine's child is called as it was asked for.
	spec.ActorKind, spec.Actor, spec.Entity = actor.Kind, actor.Name, r.Token.Entity
	if actor.Kind != nightporter.Person && spec.DisplayName != "token" {
		spec.Actor = spec.DisplayName
	}
	if !o.noParent && (role == nil || !role.Orphan) {
		spec.Parent = r.Token.Accessor
	}
	var token string
	var info identity.Info
	err = r.Do(ctx, func(tx *gate.Tx) error {
		token, info, err = t.v.cfg.Identity.Create(ctx, tx, spec)
		return err
	})
	if nightporter.CodeOf(err) == nightporter.Conflict {
		return nil, Bad("cannot create a token with a duplicate ID")
	}
	if err != nil {
		return nil, err
	}
	resp := &Response{Auth: authOf(token, info, info.Lease.IssuedAt), Warnings: o.warnings}
	for _, p := range t.v.unknownPolicies(info.Policies) {
		resp.Warn("Policy \"" + p + "\" does not exist")
	}
	return resp, nil
}

// choosePolicies decides what the new token may do.
func (t *tokens) choosePolicies(o *order, role *tokenRole, actor nightporter.Actor, parent identity.Info, sudo bool) error {
	asked := o.policies
	switch {
	case role != nil && role.limits():
		if len(asked) == 0 {
			asked = slices.Clone(role.Allowed)
			if len(role.Allowed) == 0 && len(role.AllowedGlobs) == 0 {
				asked = slices.Clone(parent.Policies)
			}
		}
		o.spec.NoDefault = o.spec.NoDefault || role.NoDefault
		if !o.spec.NoDefault && !slices.Contains(asked, policy.DefaultName) && !slices.Contains(asked, policy.RootName) {
			asked = append(asked, policy.DefaultName)
		}
		slices.Sort(asked)
		if err := role.check(asked); err != nil {
			return err
		}
	case len(asked) == 0:
		// A child has at most what its parent has been given; what the catalog
		// gives to a person follows the person.
		asked = slices.Clone(parent.Policies)
	case !sudo:
		for _, p := range asked {
			if !slices.Contains(actor.Policies, p) && p != policy.DefaultName {
				return Bad("child policies must be subset of parent")
			}
		}
	}
	if !sudo && !slices.Contains(parent.Policies, policy.DefaultName) && (role == nil || !role.limits()) {
		o.spec.NoDefault = true
	}
	if slices.Contains(asked, policy.RootName) && !slices.Contains(parent.Policies, policy.RootName) {
		return Bad("root tokens may not be created without parent token being root")
	}
	if actor.Kind == nightporter.Person {
		// Roles follow the catalog at the time of use. Written into the token,
		// they would outlive the person's place in the team.
		asked = slices.DeleteFunc(asked, t.v.cfg.Identity.Generated)
	}
	o.spec.Policies = asked
	return nil
}

// bound sets the new token's times.
func (t *tokens) bound(o *order, role *tokenRole, parent identity.Info) {
	s := &o.spec
	s.TTL, s.ExplicitMax, s.Period = o.ttl, o.explicitMax, o.period
	if role != nil {
		s.Fixed = s.Fixed || !role.Renewable
		s.Networks = role.Networks
		if role.ExplicitMax > 0 && (s.ExplicitMax == 0 || s.ExplicitMax > role.ExplicitMax) {
			s.ExplicitMax = role.ExplicitMax
		}
		if role.Period > 0 {
			s.Period = role.Period
		}
		if role.Uses > 0 && (s.Uses == 0 || s.Uses > role.Uses) {
			s.Uses = role.Uses
		}
		if role.Type == "batch" || role.Type == "default-batch" && o.spec.Kind == identity.Service {
			s.Kind, s.Fixed = identity.Batch, true
		}
	}
	m := t.v.mounts().mounts["auth/token/"]
	limit := m.MaxTTL()
	s.MaxTTL = limit
	switch {
	case slices.Contains(s.Policies, policy.RootName) && s.TTL == 0 && s.Period == 0 && s.ExplicitMax == 0 && parent.Lease.ExpiresAt.IsZero():
		s.TTL, s.MaxTTL = -1, 0
		return
	case s.TTL == 0:
		s.TTL = m.DefaultTTL()
		if s.ExplicitMax > 0 {
			s.TTL = min(s.TTL, s.ExplicitMax)
		}
	}
	if s.ExplicitMax > limit && s.Period == 0 {
		o.warnings = append(o.warnings, "Explicit max TTL of "+shortDuration(s.ExplicitMax)+" is greater than system/mount allowed value; value is being capped to "+shortDuration(limit))
		s.ExplicitMax = limit
	}
	if s.ExplicitMax > 0 {
		limit = min(limit, s.ExplicitMax)
	}
	if s.Period == 0 && s.TTL > limit {
		o.warnings = append(o.warnings, capped(s.TTL, limit))
		s.TTL = limit
	}
	s.Networks = narrower(s.Networks, parent)
}

// narrower keeps a child within its parent's networks where it has none itself.
func narrower(own []netip.Prefix, parent identity.Info) []netip.Prefix {
	if len(own) == 0 {
		return parent.Networks
	}
	return own
}

// role reads a token role.
func (t *tokens) role(ctx context.Context, r *Request, name string) (role tokenRole, found bool, err error) {
	err = r.View(ctx, func(tx *store.Tx) error {
		role, found, err = entry[tokenRole](ctx, t.v, tx, tokenRoles, name)
		return err
	})
	return role, found, err
}
