package vault

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/policy"
)

const tokenRoles = "token-role"

// tokenRole lets others make tokens that they could not make themselves, within
// what it says.
type tokenRole struct {
	Allowed         []string       `json:"allowed"`
	Disallowed      []string       `json:"disallowed"`
	AllowedGlobs    []string       `json:"allowed_globs"`
	DisallowedGlobs []string       `json:"disallowed_globs"`
	Orphan          bool           `json:"orphan"`
	Renewable       bool           `json:"renewable"`
	PathSuffix      string         `json:"path_suffix"`
	ExplicitMax     time.Duration  `json:"explicit_max"`
	Period          time.Duration  `json:"period"`
	Uses            int            `json:"uses"`
	NoDefault       bool           `json:"no_default"`
	Type            string         `json:"type"`
	Networks        []netip.Prefix `json:"networks"`
}

// limits says that the role has its own rules for policies.
func (t *tokenRole) limits() bool {
	return len(t.Allowed)+len(t.Disallowed)+len(t.AllowedGlobs)+len(t.DisallowedGlobs) > 0
}

// check refuses policies that the role does not give.
func (t *tokenRole) check(asked []string) error {
	if len(t.Allowed)+len(t.AllowedGlobs) > 0 {
		allowed := slices.Clone(t.Allowed)
		if !t.NoDefault && !slices.Contains(allowed, policy.DefaultName) {
			allowed = append(allowed, policy.DefaultName)
		}
		slices.Sort(allowed)
		for _, p := range asked {
			if !slices.Contains(allowed, p) && !globs(t.AllowedGlobs, p) {
				return Bad("token policies (%s) must be subset of the role's allowed policies (%s) or glob policies (%s)",
					quoted(asked), quoted(allowed), quoted(t.AllowedGlobs))
			}
		}
	}
	for _, p := range asked {
		if slices.Contains(t.Disallowed, p) || globs(t.DisallowedGlobs, p) {
			return Bad("token policy %q is disallowed by this role", p)
		}
	}
	return nil
}

func quoted(list []string) string {
	q := make([]string, len(list))
	for i, s := range list {
		q[i] = fmt.Sprintf("%q", s)
	}
	return "[" + strings.Join(q, " ") + "]"
}

// globs says whether a name fits one of the patterns: "*" stands for anything.
func globs(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return glob(p, name) })
}

func glob(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	rest, ok := strings.CutPrefix(name, parts[0])
	if !ok {
		return false
	}
	last := parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return strings.HasSuffix(rest, last)
}

func (t *tokens) roleList(ctx context.Context, r *Request) (*Response, error) {
	return t.v.entryList(ctx, r, tokenRoles)
}

func (t *tokens) roleExists(ctx context.Context, r *Request) (bool, error) {
	return t.v.entryExists(ctx, r, tokenRoles, r.Vars["role"])
}

func (t *tokens) roleDelete(ctx context.Context, r *Request) (*Response, error) {
	return nil, r.Do(ctx, func(tx *gate.Tx) error { return deleteEntry(ctx, tx, tokenRoles, r.Vars["role"]) })
}

func (t *tokens) roleRead(ctx context.Context, r *Request) (*Response, error) {
	role, found, err := t.role(ctx, r, r.Vars["role"])
	if err != nil || !found {
		return nil, err
	}
	data := map[string]any{
		"name": r.Vars["role"], "allowed_policies": list(role.Allowed), "disallowed_policies": list(role.Disallowed),
		"allowed_policies_glob": list(role.AllowedGlobs), "disallowed_policies_glob": list(role.DisallowedGlobs),
		"allowed_entity_aliases": nil, "orphan": role.Orphan, "renewable": role.Renewable, "path_suffix": role.PathSuffix,
		"period": int64(0), "explicit_max_ttl": int64(0), "token_period": seconds(role.Period), "token_explicit_max_ttl": seconds(role.ExplicitMax),
		"token_no_default_policy": role.NoDefault, "token_type": role.Type,
	}
	if role.Uses > 0 {
		data["token_num_uses"] = role.Uses
	}
	if len(role.Networks) > 0 {
		data["token_bound_cidrs"] = networkTexts(role.Networks)
	}
	return &Response{Data: data}, nil
}

// list is a list that is never null.
func list(l []string) []string {
	if l == nil {
		return []string{}
	}
	return l
}

var pathSuffix = regexp.MustCompile(`\A\w[\w-.]+\w\z`)

func (t *tokens) roleWrite(ctx context.Context, r *Request) (*Response, error) {
	role, found, err := t.role(ctx, r, r.Vars["role"])
	if err != nil {
		return nil, err
	}
	if !found {
		role = tokenRole{Renewable: true, Type: "default-service"}
	}
	f := r.Fields()
	for name, into := range map[string]*[]string{"allowed_policies": &role.Allowed, "disallowed_policies": &role.Disallowed} {
		if f.Has(name) {
			if *into, err = policy.Names(f.List(name)); err != nil {
				return nil, err
			}
		}
	}
	for name, into := range map[string]*[]string{"allowed_policies_glob": &role.AllowedGlobs, "disallowed_policies_glob": &role.DisallowedGlobs} {
		if f.Has(name) {
			*into = nil
			for _, g := range f.List(name) {
				*into = append(*into, strings.ToLower(g))
			}
		}
	}
	role.Orphan, role.Renewable = f.Bool("orphan", role.Orphan), f.Bool("renewable", role.Renewable)
	role.NoDefault = f.Bool("token_no_default_policy", role.NoDefault)
	for _, names := range [][2]string{{"token_period", "period"}, {"token_explicit_max_ttl", "explicit_max_ttl"}} {
		into := &role.Period
		if names[0] != "token_period" {
			into = &role.ExplicitMax
		}
		for _, name := range []string{names[1], names[0]} {
			if f.Has(name) {
				*into = f.Duration(name)
			}
		}
	}
	if f.Has("token_num_uses") {
		role.Uses = f.Int("token_num_uses")
	}
	for _, name := range []string{"bound_cidrs", "token_bound_cidrs"} {
		if f.Has(name) {
			role.Networks = f.Networks(name)
		}
	}
	if f.Has("token_type") {
		role.Type = f.String("token_type")
		if !slices.Contains([]string{"default-service", "default-batch", "service", "batch"}, role.Type) {
			return nil, Bad("invalid 'token_type' value %q", role.Type)
		}
	}
	if f.Has("path_suffix") {
		if role.PathSuffix = f.String("path_suffix"); role.PathSuffix != "" && !pathSuffix.MatchString(role.PathSuffix) {
			return nil, Bad(`given role path suffix contains invalid characters; must match \w[\w-.]+\w`)
		}
	}
	f.Ignore("allowed_entity_aliases", "token_strictly_bind_ip")
	if f.Err() != nil {
		return nil, f.Err()
	}
	if role.Uses < 0 {
		return nil, Bad("'token_num_uses' cannot be negative")
	}
	return nil, r.Do(ctx, func(tx *gate.Tx) error { return putEntry(ctx, t.v, tx, tokenRoles, r.Vars["role"], role) })
}
