package vault

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/store"
)

func (v *Vault) leasePaths() []Path {
	sudo := Rules{Sudo: true}
	return []Path{
		{Pattern: "leases/lookup", Write: v.leaseLookup, List: v.leaseList, Rules: Rules{}},
		{Pattern: "leases/lookup/{prefix...}", List: v.leaseList, Rules: sudo},
		{Pattern: "leases/renew", Write: v.leaseRenew},
		{Pattern: "leases/renew/{id...}", Write: v.leaseRenew},
		{Pattern: "renew", Write: v.leaseRenew},
		{Pattern: "renew/{id...}", Write: v.leaseRenew},
		{Pattern: "leases/revoke", Write: v.leaseRevoke},
		{Pattern: "leases/revoke/{id...}", Write: v.leaseRevoke},
		{Pattern: "revoke", Write: v.leaseRevoke},
		{Pattern: "revoke/{id...}", Write: v.leaseRevoke},
		{Pattern: "leases/revoke-prefix/{prefix...}", Write: v.leaseRevokePrefix, Rules: sudo},
		{Pattern: "revoke-prefix/{prefix...}", Write: v.leaseRevokePrefix, Rules: sudo},
		{Pattern: "leases/revoke-force/{prefix...}", Write: v.leaseRevokeForce, Rules: sudo},
		{Pattern: "revoke-force/{prefix...}", Write: v.leaseRevokeForce, Rules: sudo},
		{Pattern: "leases/count", Read: v.leaseCount},
		{Pattern: "leases/tidy", Write: v.leaseTidy},
		{Pattern: "leases", Read: v.leaseStuck},
	}
}

// Vault names the lease of a token after the path where it was asked for; ours
// are named by the accessor. "auth/token/create/ACCESSOR" means that one.

func vaultID(l lease.Lease) string {
	if l.Kind == lease.Token {
		return l.Path + "/" + l.ID
	}
	return l.ID
}

// findLease reads a living lease by Vault's name for it; not_found otherwise.
func findLease(ctx context.Context, tx *store.Tx, id string, now time.Time) (lease.Lease, error) {
	l, err := lease.Get(ctx, tx, id)
	if nightporter.CodeOf(err) == nightporter.NotFound {
		i := strings.LastIndexByte(id, '/')
		if i < 0 {
			return l, err
		}
		if l, err = lease.Get(ctx, tx, id[i+1:]); err == nil && (l.Kind != lease.Token || l.Path != id[:i]) {
			err = nightporter.E(nightporter.NotFound, "there is no such lease")
		}
	} else if err == nil && l.Kind == lease.Token {
		// An accessor alone is no lease id: auth/token/*-accessor takes it.
		err = nightporter.E(nightporter.NotFound, "there is no such lease")
	}
	if err == nil && l.State != lease.Doomed {
		_, err = lease.Ancestry(ctx, tx, l.ID, now)
	}
	return l, err
}

func (r *Request) leaseID() (string, error) {
	id := r.Vars["id"]
	if id == "" {
		id = r.Fields().String("lease_id")
	}
	r.Fields().Ignore("lease_id", "url_lease_id")
	if id == "" {
		return "", Bad("lease_id must be specified")
	}
	return strings.TrimSuffix(id, "/"), nil
}

func (v *Vault) leaseLookup(ctx context.Context, r *Request) (*Response, error) {
	id, err := r.leaseID()
	if err != nil {
		return nil, err
	}
	var l lease.Lease
	err = r.View(ctx, func(tx *store.Tx) error {
		l, err = findLease(ctx, tx, id, v.cfg.Now())
		return err
	})
	if nightporter.CodeOf(err) == nightporter.NotFound || err == nil && l.State == lease.Doomed && l.Error == "" {
		return nil, Bad("invalid lease")
	}
	if err != nil {
		return nil, err
	}
	data := map[string]any{
		"id": vaultID(l), "path": l.Path, "issue_time": stamp(l.IssuedAt), "renewable": l.Renewable, "last_renewal": nil, "expire_time": nil, "ttl": int64(0),
	}
	if !l.RenewedAt.IsZero() {
		data["last_renewal"] = stamp(l.RenewedAt)
	}
	if !l.ExpiresAt.IsZero() {
		data["expire_time"], data["ttl"] = stamp(l.ExpiresAt), seconds(l.ExpiresAt.Sub(v.cfg.Now()))
	}
	if l.State == lease.Doomed {
		// It is dead, and what it stood for cannot be reached yet.
		data["revoke_error"], data["renewable"] = l.Error, false
	}
	return &Response{Data: data}, nil
}

func (v *Vault) leaseList(ctx context.Context, r *Request) (*Response, error) {
	prefix := strings.TrimSuffix(r.Vars["prefix"], "/")
	if prefix != "" {
		prefix += "/"
	}
	var keys []string
	err := r.View(ctx, func(tx *store.Tx) error {
		leases, err := lease.Query(ctx, tx, `WHERE state = ?`, string(lease.Live))
		for _, l := range leases {
			rest, ok := strings.CutPrefix(vaultID(l), prefix)
			if !ok || rest == "" {
				continue
			}
			if folder, _, deeper := strings.Cut(rest, "/"); deeper {
				rest = folder + "/"
			}
			keys = append(keys, rest)
		}
		return err
	})
	slices.Sort(keys)
	return Keys(slices.Compact(keys)), err
}

func (v *Vault) leaseRenew(ctx context.Context, r *Request) (*Response, error) {
	f := r.Fields().Validated()
	increment := f.Duration("increment")
	if f.Err() != nil {
		return nil, f.Err()
	}
	id, err := r.leaseID()
	if err != nil {
		return nil, err
	}
	f.Ignore("url_increment")
	var l lease.Lease
	err = r.View(ctx, func(tx *store.Tx) error {
		l, err = findLease(ctx, tx, id, v.cfg.Now())
		return err
	})
	switch {
	case nightporter.CodeOf(err) == nightporter.NotFound || err == nil && l.State != lease.Live:
		return nil, Bad("lease not found")
	case err != nil:
		return nil, err
	case l.Kind == lease.Token:
		return nil, Bad("tokens are renewed at auth/token/renew")
	case !l.Renewable:
		return nil, Bad("lease is not renewable")
	}
	now := v.cfg.Now()
	if !l.MaxAt.IsZero() && !now.Before(l.MaxAt) {
		return nil, Bad("past the max TTL, cannot renew")
	}
	if increment == 0 {
		increment = l.TTL()
	}
	asked := increment
	end := now.Add(increment)
	resp := &Response{Lease: Lease{ID: l.ID, Renewable: true}}
	if !l.MaxAt.IsZero() && end.After(l.MaxAt) {
		end = l.MaxAt
		resp.Warn(capped(asked, l.MaxAt.Sub(l.IssuedAt)))
	}
	m, _, _ := v.mounts().find(l.Path)
	if b, ok := v.backendOf(m).(LeaseRenewer); ok {
		// The far end first: a lease must not promise what the database will
		// not keep.
		if err := b.RenewLease(ctx, l, end); err != nil {
			return nil, err
		}
	}
	err = r.Do(ctx, func(tx *gate.Tx) error {
		tx.Detail("lease", l.ID)
		_, _, err := lease.Renew(ctx, tx.Tx, l.ID, end.Sub(tx.Now()), tx.Now())
		return err
	})
	if nightporter.CodeOf(err) == nightporter.NotFound {
		return nil, Bad("lease not found")
	}
	if err != nil {
		return nil, err
	}
	resp.Lease.Duration = end.Sub(now).Round(time.Second)
	if t := r.tokenEnd(ctx, l); !t.IsZero() && t.Before(end) {
		resp.Warn("the token that asked for this lease ends first, at " + stamp(t) + ", and the lease with it")
	}
	return resp, nil
}

// tokenEnd is when the nearest of a lease's ancestors ends, or zero.
func (r *Request) tokenEnd(ctx context.Context, l lease.Lease) (end time.Time) {
	if l.Parent == "" {
		return end
	}
	_ = r.View(ctx, func(tx *store.Tx) error { // a missing warning is no reason to fail
		chain, err := lease.Ancestry(ctx, tx, l.Parent, r.vault.cfg.Now())
		end = chain.Until
		return err
	})
	return end
}

// TokenEnd is when the request's token ends, with everything that it asked for;
// zero is never.
func (r *Request) TokenEnd(ctx context.Context) time.Time {
	if r.Token == nil {
		return time.Time{}
	}
	return r.tokenEnd(ctx, lease.Lease{Parent: r.Token.Accessor})
}

func (v *Vault) leaseRevoke(ctx context.Context, r *Request) (*Response, error) {
	f := r.Fields()
	sync := f.Bool("sync", true)
	id, err := r.leaseID()
	if err == nil {
		err = f.Err()
	}
	if err != nil {
		return nil, err
	}
	return v.endLeases(ctx, r, sync, func(tx *gate.Tx) ([]string, error) {
		l, err := findLease(ctx, tx.Tx, id, tx.Now())
		if nightporter.CodeOf(err) == nightporter.NotFound {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		tx.Detail("lease", l.ID)
		if l.Kind == lease.Token {
			return []string{l.ID}, v.cfg.Identity.Revoke(ctx, tx, l.ID, "revoked")
		}
		return []string{l.ID}, lease.Doom(ctx, tx.Tx, l.ID, "revoked", tx.Now())
	})
}

func (v *Vault) leaseRevokePrefix(ctx context.Context, r *Request) (*Response, error) {
	f := r.Fields()
	sync := f.Bool("sync", true)
	if f.Err() != nil {
		return nil, f.Err()
	}
	return v.endLeases(ctx, r, sync, v.doomBelow(ctx, r))
}

// leaseRevokeForce is Vault's way to forget leases that cannot be revoked, with
// the logins still there. Here it ends them like revoke-prefix and does not
// wait; nothing is forgotten before the database has confirmed it.
func (v *Vault) leaseRevokeForce(ctx context.Context, r *Request) (*Response, error) {
	r.Fields().Ignore("sync")
	return v.endLeases(ctx, r, false, v.doomBelow(ctx, r))
}

func (v *Vault) doomBelow(ctx context.Context, r *Request) func(*gate.Tx) ([]string, error) {
	prefix := strings.TrimSuffix(r.Vars["prefix"], "/")
	return func(tx *gate.Tx) ([]string, error) {
		ids, err := lease.DoomBelow(ctx, tx.Tx, prefix, "revoked", tx.Now())
		if err != nil {
			return nil, err
		}
		tx.Detail("leases", len(ids))
		if prefix != "auth" && !strings.HasPrefix(prefix, "auth/") {
			return ids, nil
		}
		return ids, v.cfg.Identity.RevokeBelow(ctx, tx, prefix+"/", "revoked")
	}
}

// endLeases dooms leases and, when somebody wants to know, waits until they are
// gone.
func (v *Vault) endLeases(ctx context.Context, r *Request, sync bool, doom func(*gate.Tx) ([]string, error)) (*Response, error) {
	var ids []string
	err := r.Do(ctx, func(tx *gate.Tx) (err error) {
		tx.AfterCommit(v.cfg.Leases.Wake)
		ids, err = doom(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	if !sync {
		if len(ids) > 0 {
			return &Response{Status: http.StatusAccepted, Warnings: []string{"The revocation goes on in the background until everything is gone."}}, nil
		}
		return nil, nil
	}
	if err := v.cfg.Leases.Finish(ctx, ids); err != nil {
		return nil, Bad("failed to revoke, and being tried again until it works: %s", nightporter.MessageOf(err))
	}
	return nil, nil
}

// leaseCount and leaseStuck answer for irrevocable leases. There are none: what
// cannot be revoked is tried until it can. What waits longer is listed.
func (v *Vault) leaseCount(ctx context.Context, r *Request) (*Response, error) {
	f := r.Fields()
	f.Ignore("include_child_namespaces")
	if f.String("type") != "irrevocable" {
		return nil, nil
	}
	counts, total := map[string]int{}, 0
	stuck, err := v.stuck(ctx, r)
	for _, l := range stuck {
		m, _, _ := v.mounts().find(l.Path)
		counts[m.Accessor]++
		total++
	}
	return &Response{Data: map[string]any{"lease_count": total, "counts": counts}}, err
}

func (v *Vault) leaseStuck(ctx context.Context, r *Request) (*Response, error) {
	f := r.Fields()
	f.Ignore("include_child_namespaces", "limit")
	if f.String("type") != "irrevocable" {
		return nil, nil
	}
	stuck, err := v.stuck(ctx, r)
	leases := []map[string]string{}
	for _, l := range stuck {
		leases = append(leases, map[string]string{"lease_id": l.ID, "error": l.Error})
	}
	return &Response{Data: map[string]any{"lease_count": len(leases), "leases": leases}}, err
}

// stuck are the leases whose end was tried as often as Vault tries, and more.
func (v *Vault) stuck(ctx context.Context, r *Request) (leases []lease.Lease, err error) {
	err = r.View(ctx, func(tx *store.Tx) error {
		leases, err = lease.Query(ctx, tx, `WHERE state = ? AND attempts >= 6 ORDER BY doomed_at LIMIT 10000`, string(lease.Doomed))
		return err
	})
	return leases, err
}

func (v *Vault) leaseTidy(context.Context, *Request) (*Response, error) {
	v.cfg.Leases.Wake()
	return &Response{Status: http.StatusAccepted, Warnings: []string{
		"Tidy operation successfully started. Any information from the operation will be printed to the server's logs.",
	}}, nil
}
