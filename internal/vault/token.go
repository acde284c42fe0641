package vault

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/store"
)

// tokenBackend is auth/token.
func (v *Vault) tokenBackend() Backend {
	t := &tokens{v}
	sudo := Rules{Sudo: true}
	return NewPaths("token",
		Path{Pattern: "create", Write: t.create},
		Path{Pattern: "create-orphan", Write: t.createOrphan},
		Path{Pattern: "create/{role}", Write: t.createByRole},
		Path{Pattern: "lookup", Read: t.lookupSelf, Write: t.lookup},
		Path{Pattern: "lookup-self", Read: t.lookupSelf, Write: t.lookupSelf},
		Path{Pattern: "lookup-accessor", Write: t.lookupAccessor},
		Path{Pattern: "renew", Write: t.renew},
		Path{Pattern: "renew-self", Write: t.renewSelf},
		Path{Pattern: "renew-accessor", Write: t.renewAccessor},
		Path{Pattern: "revoke", Write: t.revoke},
		Path{Pattern: "revoke-self", Write: t.revokeSelf},
		Path{Pattern: "revoke-orphan", Write: t.revokeOrphan, Rules: sudo},
		Path{Pattern: "revoke-accessor", Write: t.revokeAccessor},
		Path{Pattern: "accessors", List: t.accessors, Rules: sudo},
		Path{Pattern: "roles", List: t.roleList},
		Path{Pattern: "roles/{role}", Read: t.roleRead, Write: t.roleWrite, Delete: t.roleDelete, Exists: t.roleExists},
		Path{Pattern: "tidy", Write: t.tidy},
	)
}

// tokens answers under auth/token.
type tokens struct{ v *Vault }

// authOf is how a token is handed over.
func authOf(token string, t identity.Info, now time.Time) *Auth {
	a := &Auth{
		ClientToken: token, Accessor: t.Accessor, Policies: t.Policies, TokenPolicies: t.Policies, Metadata: t.Meta, EntityID: t.Entity,
		Renewable: t.Lease.Renewable, TokenType: kindName(t.Kind), Orphan: t.Lease.Parent == "", NumUses: t.Uses,
	}
	if t.Kind == identity.Batch {
		a.Accessor, a.Orphan = "", false
	}
	if !t.Lease.ExpiresAt.IsZero() {
		a.LeaseDuration = seconds(t.Lease.ExpiresAt.Sub(now).Round(time.Second))
	}
	return a
}

// kindName is the kind that clients of Vault know.
func kindName(k identity.TokenKind) string {
	if k == identity.Batch {
		return "batch"
	}
	return "service"
}

// lookupData is what a look-up tells. id is the token where the caller knew it.
func (t *tokens) lookupData(id string, info identity.Info) map[string]any {
	now := t.v.cfg.Now()
	data := map[string]any{
		"id": id, "accessor": info.Accessor, "policies": info.Policies, "path": info.Path, "meta": info.Meta, "display_name": info.DisplayName,
		"num_uses": info.Uses, "orphan": info.Lease.Parent == "", "creation_time": info.Lease.IssuedAt.Unix(), "creation_ttl": seconds(info.TTL),
		"expire_time": nil, "ttl": int64(0), "explicit_max_ttl": seconds(info.ExplicitMax), "entity_id": info.Entity,
		"renewable": info.Lease.Renewable, "issue_time": stamp(info.Lease.IssuedAt), "type": kindName(info.Kind),
	}
	if info.Kind == identity.Batch {
		data["accessor"], data["orphan"] = "", false
	}
	if end := info.Lease.ExpiresAt; !end.IsZero() {
		data["expire_time"], data["ttl"] = stamp(end), max(0, seconds(end.Sub(now)))
	}
	if info.Period > 0 {
		data["period"] = seconds(info.Period)
	}
	if info.Role != "" {
		data["role"] = info.Role
	}
	if at := info.Lease.RenewedAt; !at.IsZero() {
		data["last_renewal"], data["last_renewal_time"] = stamp(at), at.Unix()
	}
	if len(info.Networks) > 0 {
		data["bound_cidrs"] = networkTexts(info.Networks)
	}
	return data
}

func (t *tokens) lookupSelf(_ context.Context, r *Request) (*Response, error) {
	return &Response{Data: t.lookupData(r.Secret, *r.Token)}, nil
}

func (t *tokens) lookup(ctx context.Context, r *Request) (*Response, error) {
	token := r.Fields().String("token")
	if token == "" {
		return t.lookupSelf(ctx, r)
	}
	info, err := t.v.living(ctx, r, func(tx *store.Tx) (identity.Info, error) { return identity.FindToken(ctx, tx, token) })
	if nightporter.CodeOf(err) == nightporter.NotFound {
		return nil, Refuse(http.StatusForbidden, "bad token")
	}
	if err != nil {
		return nil, err
	}
	return &Response{Data: t.lookupData(token, info)}, nil
}

// byAccessor finds the living token of a request's accessor.
func (t *tokens) byAccessor(ctx context.Context, r *Request) (identity.Info, error) {
	accessor := r.Fields().String("accessor")
	if accessor == "" {
		return identity.Info{}, RefuseIn(http.StatusBadRequest, "missing accessor")
	}
	info, err := t.v.living(ctx, r, func(tx *store.Tx) (identity.Info, error) { return identity.Find(ctx, tx, accessor) })
	if nightporter.CodeOf(err) == nightporter.NotFound || err == nil && info.Kind == identity.Batch {
		return info, RefuseIn(http.StatusBadRequest, "invalid accessor")
	}
	return info, err
}

func (t *tokens) lookupAccessor(ctx context.Context, r *Request) (*Response, error) {
	info, err := t.byAccessor(ctx, r)
	if err != nil {
		return nil, err
	}
	return &Response{Data: t.lookupData("", info)}, nil
}

func (t *tokens) renewSelf(ctx context.Context, r *Request) (*Response, error) {
	r.Fields().Ignore("token")
	return t.renewed(ctx, r, r.Secret, *r.Token)
}

func (t *tokens) renew(ctx context.Context, r *Request) (*Response, error) {
	token := r.Fields().String("token")
	if token == "" {
		return nil, Bad("missing token ID")
	}
	info, err := t.v.living(ctx, r, func(tx *store.Tx) (identity.Info, error) { return identity.FindToken(ctx, tx, token) })
	if nightporter.CodeOf(err) == nightporter.NotFound {
		return nil, Bad("token not found")
	}
	if err != nil {
		return nil, err
	}
	return t.renewed(ctx, r, token, info)
}

func (t *tokens) renewAccessor(ctx context.Context, r *Request) (*Response, error) {
	info, err := t.byAccessor(ctx, r)
	if err != nil {
		return nil, err
	}
	return t.renewed(ctx, r, "", info)
}

func (t *tokens) renewed(ctx context.Context, r *Request, token string, info identity.Info) (*Response, error) {
	increment := r.Fields().Duration("increment")
	switch {
	case r.Fields().Err() != nil:
		return nil, r.Fields().Err()
	case info.Kind == identity.Batch:
		return nil, Bad("batch tokens cannot be renewed")
	case !info.Lease.Renewable:
		return nil, Bad("lease is not renewable")
	}
	cut := false
	err := r.Do(ctx, func(tx *gate.Tx) (err error) {
		info, cut, err = t.v.cfg.Identity.Renew(ctx, tx, info.Accessor, increment)
		return err
	})
	if nightporter.CodeOf(err) == nightporter.NotFound {
		return nil, Bad("token not found")
	}
	if err != nil {
		return nil, err
	}
	auth := authOf(token, info, t.v.cfg.Now())
	resp := &Response{Auth: auth}
	if cut {
		if increment == 0 {
			increment = info.TTL
		}
		resp.Warn(capped(increment, info.Lease.MaxAt.Sub(info.Lease.IssuedAt)))
	}
	return resp, nil
}

// end revokes a token, and answers nothing.
func (t *tokens) end(ctx context.Context, r *Request, accessor string) error {
	return r.Do(ctx, func(tx *gate.Tx) error {
		tx.AfterCommit(t.v.cfg.Leases.Wake)
		return t.v.cfg.Identity.Revoke(ctx, tx, accessor, "revoked")
	})
}

func (t *tokens) revokeSelf(ctx context.Context, r *Request) (*Response, error) {
	return nil, t.end(ctx, r, r.Token.Accessor)
}

// find reads the token that a request names, living or not.
func (t *tokens) find(ctx context.Context, r *Request) (info identity.Info, found bool, err error) {
	token := r.Fields().String("token")
	if token == "" {
		return info, false, Bad("missing token ID")
	}
	err = r.View(ctx, func(tx *store.Tx) error {
		info, err = identity.FindToken(ctx, tx, token)
		return err
	})
	if nightporter.CodeOf(err) == nightporter.NotFound {
		return info, false, nil
	}
	return info, err == nil && info.Lease.State == lease.Live, err
}

func (t *tokens) revoke(ctx context.Context, r *Request) (*Response, error) {
	info, found, err := t.find(ctx, r)
	if err != nil || !found {
		return nil, err
	}
	if info.Kind == identity.Batch {
		return nil, Bad("batch tokens cannot be revoked")
	}
	return nil, t.end(ctx, r, info.Accessor)
}

func (t *tokens) revokeOrphan(ctx context.Context, r *Request) (*Response, error) {
	info, found, err := t.find(ctx, r)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, Bad("token to revoke not found")
	}
	return nil, r.Do(ctx, func(tx *gate.Tx) error {
		tx.AfterCommit(t.v.cfg.Leases.Wake)
		return t.v.cfg.Identity.RevokeAlone(ctx, tx, info.Accessor, "revoked")
	})
}

func (t *tokens) revokeAccessor(ctx context.Context, r *Request) (*Response, error) {
	accessor := r.Fields().String("accessor")
	if accessor == "" {
		return nil, RefuseIn(http.StatusBadRequest, "missing accessor")
	}
	found := false
	err := r.View(ctx, func(tx *store.Tx) error {
		info, err := identity.Find(ctx, tx, accessor)
		if nightporter.CodeOf(err) == nightporter.NotFound {
			return nil
		}
		found = err == nil && info.Lease.State == lease.Live && info.Kind != identity.Batch
		return err
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return &Response{Warnings: []string{"No token found with this accessor"}}, nil
	}
	return nil, t.end(ctx, r, accessor)
}

func (t *tokens) accessors(ctx context.Context, r *Request) (*Response, error) {
	var keys []string
	err := r.View(ctx, func(tx *store.Tx) error {
		return tx.Each(ctx, `SELECT t.accessor FROM token t JOIN lease l ON l.id = t.accessor WHERE l.state = ? AND t.kind <> ? ORDER BY t.accessor`,
			[]any{string(lease.Live), string(identity.Batch)}, func(scan func(...any) error) error {
				var a string
				err := scan(&a)
				keys = append(keys, a)
				return err
			})
	})
	return Keys(keys), err
}

// tidy is a hint; there is nothing that needs it.
func (t *tokens) tidy(context.Context, *Request) (*Response, error) {
	t.v.cfg.Leases.Wake()
	return &Response{Status: http.StatusAccepted, Warnings: []string{
		"Tidy operation successfully started. Any information from the operation will be printed to the server's logs.",
	}}, nil
}

var notInDisplayName = regexp.MustCompile(`[^a-zA-Z0-9-]+`)

// displayName makes "token-ci-job" of "ci job".
func displayName(asked string) string {
	if asked == "" {
		return "token"
	}
	name := strings.TrimRight("token-"+notInDisplayName.ReplaceAllString(asked, "-"), "-")
	return name[:min(len(name), 100)]
}
