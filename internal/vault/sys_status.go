package vault

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/policy"
	"nightporter.dev/nightporter/internal/seal"
)

func (v *Vault) statusPaths() []Path {
	open := Rules{Open: true, Bare: true}
	return []Path{
		{Pattern: "health", Read: v.health, Rules: open},
		{Pattern: "init", Read: v.initStatus, Write: v.initialise, Rules: open},
		{Pattern: "seal-status", Read: v.sealStatus, Rules: open},
		{Pattern: "unseal", Write: v.unseal, Rules: open},
		{Pattern: "leader", Read: v.leader, Rules: open},
		{Pattern: "seal", Write: v.sealNow, Rules: Rules{Sudo: true}},
		{Pattern: "key-status", Read: v.keyStatus},
		{Pattern: "rotate", Write: v.rotate, Rules: Rules{Sudo: true}},
	}
}

// cluster names this installation. There is one node, so the store's own first
// mount is what stays the same.
func (v *Vault) cluster() (name, id string) {
	id = v.mounts().mounts["sys/"].UUID
	if len(id) > 8 {
		name = "nightporter-cluster-" + id[:8]
	}
	return name, id
}

// health tells load balancers and SDKs the state by its status code, which the
// query may change.
func (v *Vault) health(_ context.Context, r *Request) (*Response, error) {
	st := v.cfg.Seal.Status()
	name, id := v.cluster()
	status, code := http.StatusOK, "activecode"
	switch {
	case !st.Initialised:
		status, code = http.StatusNotImplemented, "uninitcode"
	case st.Sealed:
		status, code = http.StatusServiceUnavailable, "sealedcode"
	}
	if text, ok := r.Data[code].(string); ok {
		n, err := strconv.Atoi(text)
		if err != nil || n < 200 || n > 599 {
			return nil, Bad("bad value for the code %s", code)
		}
		status = n
	}
	return &Response{Status: status, Bare: true, Data: map[string]any{
		"initialized": st.Initialised, "sealed": st.Sealed, "standby": false, "performance_standby": false,
		"replication_performance_mode": "disabled", "replication_dr_mode": "disabled",
		"server_time_utc": v.cfg.Now().Unix(), "version": v.cfg.Compatible, "cluster_name": name, "cluster_id": id,
	}}, nil
}

func (v *Vault) sealStatus(context.Context, *Request) (*Response, error) {
	return &Response{Bare: true, Data: v.sealData(v.cfg.Seal.Status())}, nil
}

func (v *Vault) sealData(st seal.Status) map[string]any {
	name, id := v.cluster()
	data := map[string]any{
		// Clients know "shamir"; a key file is one share of one.
		"type": "shamir", "initialized": st.Initialised, "sealed": st.Sealed, "t": st.Threshold, "n": st.Shares, "progress": st.Progress,
		"nonce": st.Nonce, "recovery_seal": false, "migration": false, "version": v.cfg.Compatible, "commit_date": "", "build_date": "",
		"storage_type": v.cfg.Storage,
	}
	if !st.Sealed {
		data["cluster_name"], data["cluster_id"] = name, id
	}
	return data
}

func (v *Vault) leader(context.Context, *Request) (*Response, error) {
	return &Response{Bare: true, Data: map[string]any{
		"ha_enabled": false, "is_self": false, "leader_address": "", "leader_cluster_address": "", "performance_standby": false,
	}}, nil
}

func (v *Vault) initStatus(context.Context, *Request) (*Response, error) {
	return &Response{Bare: true, Data: map[string]any{"initialized": v.cfg.Seal.Status().Initialised}}, nil
}

// initialise makes the keys of a new store whose configuration asks for shares.
// A store with a key file was initialised before it served anybody.
func (v *Vault) initialise(ctx context.Context, r *Request) (*Response, error) {
	f := r.Fields()
	shares, threshold := f.Int("secret_shares"), f.Int("secret_threshold")
	f.Ignore("pgp_keys", "root_token_pgp_key", "recovery_shares", "recovery_threshold", "recovery_pgp_keys", "stored_shares")
	if f.Err() != nil {
		return nil, f.Err()
	}
	if v.cfg.Seal.Status().Initialised {
		return nil, Bad("Vault is already initialized")
	}
	if f.Has("pgp_keys") && len(f.List("pgp_keys")) > 0 || f.String("root_token_pgp_key") != "" {
		return nil, Bad("encrypting the shares with PGP keys is not supported: they are shown once")
	}
	ctx = system(ctx, "init")
	parts, err := v.cfg.Seal.InitShamir(ctx, shares, threshold)
	if err != nil {
		return nil, err
	}
	root, _, err := v.cfg.Identity.Open(ctx, identity.Spec{
		ActorKind: nightporter.Machine, Actor: "root", DisplayName: "root", Method: "token", Policies: []string{policy.RootName},
		Path: "auth/token/root", TTL: -1,
	})
	if err != nil {
		return nil, err
	}
	keys, base64Keys := make([]string, len(parts)), make([]string, len(parts))
	for i, p := range parts {
		keys[i], base64Keys[i] = hex.EncodeToString(p), base64.StdEncoding.EncodeToString(p)
		clear(p)
	}
	return &Response{Bare: true, Data: map[string]any{"keys": keys, "keys_base64": base64Keys, "root_token": root}}, nil
}

// unseal takes one share. Nobody is signed in yet: the share itself is the proof.
func (v *Vault) unseal(ctx context.Context, r *Request) (*Response, error) {
	f := r.Fields()
	key, reset := f.String("key"), f.Bool("reset", false)
	f.Ignore("migrate")
	switch {
	case f.Err() != nil:
		return nil, f.Err()
	case reset:
		v.cfg.Seal.ResetUnseal()
		return v.sealStatus(ctx, r)
	case key == "":
		return nil, Bad("'key' must be specified in request body as JSON, or 'reset' set to true")
	case !v.cfg.Seal.Status().Initialised:
		return nil, Bad("Vault is not initialized")
	}
	share, err := hex.DecodeString(key)
	if err != nil {
		if share, err = base64.StdEncoding.DecodeString(key); err != nil {
			return nil, Bad("'key' must be a valid hex or base64 string")
		}
	}
	defer clear(share)
	st, err := v.cfg.Seal.UnsealShare(ctx, share)
	if err != nil {
		return nil, err
	}
	if !st.Sealed {
		v.cfg.Leases.Wake() // what is overdue goes first
	}
	return &Response{Bare: true, Data: v.sealData(st)}, nil
}

func (v *Vault) sealNow(context.Context, *Request) (*Response, error) {
	v.cfg.Seal.Seal()
	return nil, nil
}

func (v *Vault) keyStatus(ctx context.Context, r *Request) (*Response, error) {
	st := v.cfg.Seal.Status()
	return &Response{TopLevel: true, Data: map[string]any{
		"term": st.KeyVersion, "install_time": v.started.UTC().Format(time.RFC3339Nano), "encryptions": 0,
	}}, nil
}

func (v *Vault) rotate(ctx context.Context, r *Request) (*Response, error) {
	_, err := v.cfg.Seal.Rotate(ctx)
	return nil, err
}
