package vault

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/policy"
)

func (v *Vault) policyPaths() []Path {
	return []Path{
		{Pattern: "policies/acl", List: v.policyList},
		{Pattern: "policies/acl/{name...}", Read: v.policyRead("policy"), Write: v.policyWrite, Delete: v.policyDelete},
		// The first generation of the same.
		{Pattern: "policy", Read: v.policyList, List: v.policyList},
		{Pattern: "policy/{name...}", Read: v.policyRead("rules"), Write: v.policyWrite, Delete: v.policyDelete},
	}
}

func (v *Vault) policyList(_ context.Context, r *Request) (*Response, error) {
	names := append(v.cfg.Policies.Names(), policy.RootName)
	// A wrapping token's policy is nobody's to give.
	names = slices.DeleteFunc(names, func(n string) bool { return n == policy.WrappingName })
	slices.Sort(names)
	data := map[string]any{"keys": names}
	if strings.HasPrefix(r.Path, "policy") {
		data["policies"] = names
		return &Response{Data: data, TopLevel: true}, nil
	}
	return &Response{Data: data}, nil
}

// policyName brings the name of a request into its only form and says whether
// that changed it.
func policyName(r *Request) (name string, changed bool, err error) {
	name, err = policy.Name(r.Vars["name"])
	return name, name != r.Vars["name"], err
}

func (v *Vault) policyRead(text string) Handler {
	return func(ctx context.Context, r *Request) (*Response, error) {
		name, _, err := policyName(r)
		if err != nil {
			return nil, err
		}
		data := map[string]any{
			"name": name, text: "", "version": 0, "cas_required": false,
			"allow_slashes_in_identity_templates": false, "allow_wildcards_in_identity_templates": false,
		}
		if name != policy.RootName {
			p, err := v.cfg.Identity.Policy(ctx, name)
			if err != nil {
				return nil, err
			}
			data[text], data["version"], data["modified"] = p.Text, p.Version, stamp(p.Modified)
		}
		return &Response{Data: data, TopLevel: text == "rules"}, nil
	}
}

func (v *Vault) policyWrite(ctx context.Context, r *Request) (*Response, error) {
	name, changed, err := policyName(r)
	if err != nil {
		return nil, err
	}
	f := r.Fields()
	text := f.String("policy")
	if text == "" {
		text = f.String("rules")
	}
	f.Ignore("rules", "cas", "cas_required", "ttl", "expiration")
	switch {
	case f.Err() != nil:
		return nil, f.Err()
	case name == policy.RootName || name == policy.WrappingName:
		return nil, Bad("cannot update %q policy", name)
	case text == "":
		return nil, Bad("'policy' parameter not supplied or empty")
	}
	if decoded, err := base64.StdEncoding.DecodeString(text); err == nil {
		text = string(decoded)
	}
	err = v.cfg.Identity.PutPolicy(ctx, name, text)
	var parse *policy.ParseError
	if errors.As(err, &parse) {
		return nil, Bad("failed to parse policy: %s", parse.Original)
	}
	if err != nil {
		return nil, err
	}
	if changed {
		return &Response{Warnings: []string{"policy name was converted to " + name}}, nil
	}
	return nil, nil
}

func (v *Vault) policyDelete(ctx context.Context, r *Request) (*Response, error) {
	name, _, err := policyName(r)
	switch {
	case err != nil:
		return nil, err
	case name == policy.DefaultName:
		return nil, Bad("cannot delete default policy")
	case name == policy.RootName || name == policy.WrappingName:
		return nil, Bad("cannot delete %q policy", name)
	}
	return nil, v.cfg.Identity.DeletePolicy(ctx, name)
}

// hasPolicies says which of these policies do not exist.
func (v *Vault) unknownPolicies(names []string) (unknown []string) {
	for _, n := range names {
		if _, ok := v.cfg.Policies.Get(n); !ok && n != policy.RootName {
			unknown = append(unknown, n)
		}
	}
	return unknown
}

// aclOf is what a token may do.
func (v *Vault) aclOf(a nightporter.Actor) *policy.ACL { return v.cfg.Policies.ACL(a) }
