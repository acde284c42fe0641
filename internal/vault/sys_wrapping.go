package vault

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/policy"
	"nightporter.dev/nightporter/internal/store"
)

func (v *Vault) wrappingPaths() []Path {
	return []Path{
		{Pattern: "wrapping/wrap", Write: v.wrapData},
		{Pattern: "wrapping/unwrap", Write: v.unwrap, Rules: Rules{Open: true}},
		{Pattern: "wrapping/lookup", Read: v.wrapLookup, Write: v.wrapLookup, Rules: Rules{Open: true}},
		{Pattern: "wrapping/rewrap", Write: v.rewrap},
	}
}

// errWrapping is the one answer to every wrapping token that is not good.
var errWrapping = Bad("wrapping token is not valid or does not exist")

// wrapped is an answer that waits to be opened. It is kept encrypted with the
// wrapping token's lease, under the hash of that token, and goes with it.
type wrapped struct {
	Path     string        `json:"path"`
	At       time.Time     `json:"at"`
	TTL      time.Duration `json:"ttl"`
	Answer   envelope      `json:"answer"`
	Accessor string        `json:"accessor,omitempty"`
}

const wrapPurpose = "wrapped answers"

func wrapRow(token string) string {
	h := sha256.Sum256([]byte(token))
	return hex.EncodeToString(h[:])
}

// wrap puts an answer away and returns the one that names its token.
func (v *Vault) wrap(ctx context.Context, r *Request, resp *Response, ttl time.Duration) (*Response, error) {
	w := wrapped{Path: r.Full, At: v.cfg.Now().UTC(), TTL: ttl, Answer: resp.envelope("")}
	if resp.Auth != nil {
		w.Accessor = resp.Auth.Accessor
	}
	return v.putAway(ctx, w)
}

// HandOver makes a token for somebody who did not ask for it, and returns another
// one that opens it, once and within ttl. Nobody else ever sees the first.
func (v *Vault) HandOver(ctx context.Context, spec identity.Spec, ttl time.Duration) (token string, err error) {
	ctx = system(ctx, nightporter.ActorFrom(ctx).Cause())
	var made string
	var info identity.Info
	action := nightporter.Action{Name: "token.handover"}
	err = v.cfg.Gate.Do(ctx, action, nightporter.Resource{Kind: "token", ID: spec.DisplayName}, func(tx *gate.Tx) (err error) {
		made, info, err = v.cfg.Identity.Create(ctx, tx, spec)
		return err
	})
	if err != nil {
		return "", err
	}
	auth := authOf(made, info, info.Lease.IssuedAt)
	if info.Period > 0 {
		auth.LeaseDuration = seconds(info.Period) // which starts when it is opened
	}
	answer := Response{Auth: auth}
	resp, err := v.putAway(ctx, wrapped{
		Path: spec.Path, At: v.cfg.Now().UTC(), TTL: ttl, Answer: answer.envelope(""), Accessor: info.Accessor,
	})
	if err != nil {
		return "", err
	}
	return resp.wrap.Token, nil
}

func (v *Vault) putAway(ctx context.Context, w wrapped) (*Response, error) {
	token := identity.NewToken(identity.Wrapping)
	text, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	sealed, err := v.cfg.Seal.Encrypt(wrapPurpose, "lease", "data", wrapRow(token), text)
	if err != nil {
		return nil, err
	}
	var info identity.Info
	ctx = system(ctx, nightporter.ActorFrom(ctx).Cause())
	err = v.cfg.Gate.Do(ctx, nightporter.Action{Name: "wrapping.create"}, nightporter.Resource{Kind: "wrapping", ID: w.Path}, func(tx *gate.Tx) error {
		_, info, err = v.cfg.Identity.Create(ctx, tx, identity.Spec{
			ID: token, Kind: identity.Wrapping, ActorKind: nightporter.Machine, Actor: "wrapping", Method: "wrapping", Path: w.Path,
			Policies: []string{policy.WrappingName}, NoDefault: true, TTL: w.TTL, ExplicitMax: w.TTL, Uses: 1, Fixed: true, Sealed: sealed,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Response{wrap: &wrapInfo{
		Token: token, Accessor: info.Accessor, TTL: seconds(w.TTL), CreationTime: stamp(w.At), CreationPath: w.Path, WrappedAccessor: w.Accessor,
	}}, nil
}

// findWrapped reads what a wrapping token opens.
func (v *Vault) findWrapped(ctx context.Context, tx *store.Tx, token string) (w wrapped, info identity.Info, err error) {
	info, err = identity.FindToken(ctx, tx, token)
	if err == nil && (info.Kind != identity.Wrapping || info.Uses != 1) {
		return w, info, errWrapping
	}
	if err == nil {
		_, err = lease.Ancestry(ctx, tx, info.Accessor, v.cfg.Now())
	}
	if nightporter.CodeOf(err) == nightporter.NotFound {
		return w, info, errWrapping
	}
	if err != nil {
		return w, info, err
	}
	text, err := v.cfg.Seal.Decrypt(wrapPurpose, "lease", "data", wrapRow(token), info.Lease.Data)
	if err != nil {
		return w, info, err
	}
	defer clear(text)
	return w, info, json.Unmarshal(text, &w)
}

// open takes what a wrapping token opens, once.
func (v *Vault) open(ctx context.Context, token string) (w wrapped, err error) {
	cause := nightporter.ActorFrom(ctx).Cause()
	ctx = system(ctx, cause)
	err = v.cfg.Gate.Do(ctx, nightporter.Action{Name: "wrapping.open"}, nightporter.Resource{Kind: "wrapping", ID: "answer"}, func(tx *gate.Tx) error {
		var info identity.Info
		if w, info, err = v.findWrapped(ctx, tx.Tx, token); err != nil {
			return err
		}
		tx.Detail("path", w.Path)
		if w.Accessor != "" {
			if err := v.cfg.Identity.Opened(ctx, tx, w.Accessor); err != nil {
				return err
			}
		}
		return v.cfg.Identity.Revoke(ctx, tx, info.Accessor, "opened")
	})
	return w, err
}

func (v *Vault) wrapData(_ context.Context, r *Request) (*Response, error) {
	if r.WrapTTL == 0 {
		return nil, Bad("endpoint requires response wrapping to be used")
	}
	return &Response{Data: r.Data}, nil
}

// unwrap opens an answer: with the wrapping token as the request's own, or with
// another one that may call this path and names it.
func (v *Vault) unwrap(ctx context.Context, r *Request) (*Response, error) {
	f := r.Fields()
	token := f.String("token")
	if f.Err() != nil {
		return nil, f.Err()
	}
	if token == "" {
		token = r.Secret
	} else if token != r.Secret {
		var err error
		if ctx, err = v.signIn(ctx, r); err != nil {
			return nil, err
		}
		if r.Token.Spent() {
			defer v.endSpent(ctx, r.Token)
		}
		if ctx, err = v.authorise(ctx, r, v.sys, Rules{}); err != nil {
			return nil, err
		}
	}
	w, err := v.open(ctx, token)
	if err != nil {
		return nil, err
	}
	w.Answer.RequestID = nightporter.RequestIDFrom(ctx)
	body, err := json.Marshal(w.Answer)
	return &Response{opened: body}, err
}

func (v *Vault) wrapLookup(ctx context.Context, r *Request) (*Response, error) {
	f := r.Fields()
	token := f.String("token")
	if token == "" && r.Op == Read {
		token = r.Secret
	}
	if f.Err() != nil || token == "" {
		return nil, errWrapping
	}
	var w wrapped
	err := r.View(ctx, func(tx *store.Tx) (err error) {
		w, _, err = v.findWrapped(ctx, tx, token)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Response{Data: map[string]any{"creation_path": w.Path, "creation_time": stamp(w.At), "creation_ttl": seconds(w.TTL)}}, nil
}

// rewrap changes the token of a wrapped answer without anybody seeing it.
func (v *Vault) rewrap(ctx context.Context, r *Request) (*Response, error) {
	f := r.Fields()
	token := f.String("token")
	if f.Err() != nil {
		return nil, f.Err()
	}
	if r.WrapTTL > 0 {
		return nil, Bad("rewrap keeps the TTL that the answer was wrapped with")
	}
	w, err := v.open(ctx, token)
	if err != nil {
		return nil, err
	}
	w.At = v.cfg.Now().UTC()
	return v.putAway(ctx, w)
}
