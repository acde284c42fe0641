package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/policy"
	"nightporter.dev/nightporter/internal/store"
)

// TokenKind tells what a token is for.
type TokenKind string

// The kinds of token.
const (
	Service TokenKind = "service" // for programs and people with a command line
	Session TokenKind = "session" // a browser's, in a cookie
	// Batch is Vault's cheap token: it cannot be renewed, has no accessor to
	// show and makes no children.
	Batch TokenKind = "batch"
	// Wrapping tokens open one wrapped answer, once.
	Wrapping TokenKind = "wrapping"
)

// prefixes let secret scanners find tokens, ours and others'.
var prefixes = map[TokenKind]string{Service: "npt_", Session: "nps_", Batch: "npb_", Wrapping: "npw_"}

// DefaultTTL is how long a token lives that nobody gave a TTL: Vault's 32 days.
const DefaultTTL = 32 * 24 * time.Hour

// Spec says what token to make.
type Spec struct {
	Kind      TokenKind // "" means Service
	ActorKind nightporter.ActorKind
	Actor     string
	// DisplayName is what Vault's clients are shown: "token-ci", "approle".
	// "" means "token".
	DisplayName string
	Entity      string   // Vault's entity_id of whoever logged in, or ""
	Method      string   // how the holder proved who it is
	Role        string   // the token role that it was made by, or ""
	Policies    []string // "default" is added, unless root is there
	NoDefault   bool     // leave "default" out
	Meta        map[string]string
	Parent      string        // accessor of the token that makes it; "" for an orphan
	Path        string        // where it was asked for: "auth/token/create"
	TTL         time.Duration // 0 means DefaultTTL; negative means for ever (root)
	MaxTTL      time.Duration // 0 means DefaultTTL
	ExplicitMax time.Duration // a limit that a period does not lift either; 0 for none
	Period      time.Duration // renewed by this much, for ever; 0 for none
	// Unopened bounds the first life of a periodic token that is handed over
	// wrapped: whoever opens it renews it. 0 means the period.
	Unopened time.Duration
	Uses     int  // 0 means any number
	Fixed    bool // not renewable
	// Networks are the addresses that may use it; nil means all.
	Networks []netip.Prefix
	// ID is a token of the caller's choice, for --dev-root-token-id; "" makes
	// a random one.
	ID string
	// Sealed belongs to wrapping tokens: the answer that they open, encrypted.
	Sealed []byte
}

// Info is a token as the store knows it: everything but the token.
type Info struct {
	Accessor    string
	Kind        TokenKind
	ActorKind   nightporter.ActorKind
	Actor       string
	DisplayName string
	Entity      string
	Method      string
	Role        string
	Policies    []string
	Meta        map[string]string
	Path        string
	Uses        int
	Period      time.Duration
	TTL         time.Duration // as it was made; 0 is for ever
	ExplicitMax time.Duration
	Networks    []netip.Prefix
	Lease       lease.Lease
}

// Spent says that the token's last use is being made: whoever serves that
// request revokes the token after it.
func (t Info) Spent() bool { return t.Uses == spent }

// NewToken makes the text of a token, for a [Spec] whose ID must be known before.
func NewToken(kind TokenKind) string { return newToken(kind) }

// Reserved says that an ID starts like the tokens that we make, or Vault.
func Reserved(id string) bool {
	for _, p := range []string{"s.", "b.", "r.", "hvs.", "hvb.", "hvr.", "npt_", "nps_", "npb_", "npw_"} {
		if strings.HasPrefix(id, p) {
			return true
		}
	}
	return false
}

// newToken is prefix, 256 random bits, and a checksum by which a scanner tells a
// token from noise.
func newToken(kind TokenKind) string {
	var b [32]byte
	rand.Read(b[:])
	body := prefixes[kind] + base64.RawURLEncoding.EncodeToString(b[:])
	return body + fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(body)))
}

// wellFormed saves the store from being asked about noise. Tokens that somebody
// chose have no prefix of ours and pass.
func wellFormed(token string) bool {
	if len(token) < 4 || len(token) > 512 {
		return false
	}
	for _, p := range prefixes {
		if strings.HasPrefix(token, p) {
			n := len(token) - 8
			return n > 0 && token[n:] == fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(token[:n])))
		}
	}
	return true
}

// hash is what the store keeps. A fast hash is right for 256 random bits.
func hash(token string) []byte {
	h := sha256.Sum256([]byte(token))
	return h[:]
}

// Create makes a token within the caller's change and returns it; it is never
// shown again. Errors: invalid for the name of a policy, conflict for an ID that
// is taken.
func (i *Identity) Create(ctx context.Context, tx *gate.Tx, s Spec) (token string, info Info, err error) {
	if s.Kind == "" {
		s.Kind = Service
	}
	if s.DisplayName == "" {
		s.DisplayName = "token"
	}
	if s.Policies, err = policy.Names(s.Policies); err != nil {
		return "", info, err
	}
	if slices.Contains(s.Policies, policy.RootName) {
		s.Policies = []string{policy.RootName}
	} else if !s.NoDefault {
		if s.Policies, err = policy.Names(append(s.Policies, policy.DefaultName)); err != nil {
			return "", info, err
		}
	}
	slices.Sort(s.Policies)
	ttl, limit := s.lives()
	if token = s.ID; token == "" {
		token = newToken(s.Kind)
	}
	info = Info{
		Accessor: newAccessor(), Kind: s.Kind, ActorKind: s.ActorKind, Actor: s.Actor, DisplayName: s.DisplayName, Entity: s.Entity,
		Method: s.Method, Role: s.Role, Policies: s.Policies, Meta: s.Meta, Path: s.Path, Uses: s.Uses, Period: s.Period,
		TTL: max(ttl, 0), ExplicitMax: s.ExplicitMax, Networks: s.Networks,
	}
	info.Lease = lease.Lease{
		ID: info.Accessor, Kind: lease.Token, Parent: s.Parent, Path: s.Path, Owner: s.Actor, State: lease.Live, IssuedAt: tx.Now(),
		Renewable: !s.Fixed && ttl > 0, Data: s.Sealed,
	}
	if ttl > 0 {
		info.Lease.ExpiresAt = tx.Now().Add(ttl)
		if s.Unopened > 0 && s.Period > 0 {
			info.Lease.ExpiresAt = tx.Now().Add(min(ttl, s.Unopened))
		}
		if limit > 0 {
			info.Lease.MaxAt = tx.Now().Add(limit)
		}
	}
	if err := lease.Create(ctx, tx.Tx, info.Lease); err != nil {
		return "", info, err
	}
	if err := insertToken(ctx, tx, hash(token), info); err != nil {
		return "", info, err
	}
	tx.Detail("accessor", info.Accessor)
	tx.Detail("policies", s.Policies)
	return token, info, nil
}

// lives is how long a token lives at first, and at most. A ttl below 0 is for
// ever, a limit of 0 is none.
func (s Spec) lives() (ttl, limit time.Duration) {
	ttl, limit = s.TTL, s.MaxTTL
	if ttl == 0 {
		ttl = DefaultTTL
		if limit > 0 {
			ttl = min(ttl, limit)
		}
	}
	if s.Period > 0 {
		ttl, limit = s.Period, 0
	} else if limit == 0 && ttl > 0 {
		limit = DefaultTTL
	}
	if s.ExplicitMax > 0 && (limit == 0 || s.ExplicitMax < limit) {
		limit = s.ExplicitMax
	}
	if limit > 0 && (ttl < 0 || ttl > limit) {
		ttl = limit
	}
	return ttl, limit
}

func insertToken(ctx context.Context, tx *gate.Tx, h []byte, t Info) error {
	n, err := tx.Exec(ctx, `INSERT INTO token (hash, accessor, kind, actor_kind, actor, display_name, entity, method, role, policies, meta, path,
		uses, period, ttl, explicit_max, networks) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING`,
		h, t.Accessor, string(t.Kind), string(t.ActorKind), t.Actor, t.DisplayName, t.Entity, t.Method, t.Role, asJSON(t.Policies),
		asJSON(t.Meta), t.Path, t.Uses, int64(t.Period), int64(t.TTL), int64(t.ExplicitMax), asJSON(t.Networks))
	if err != nil {
		return fmt.Errorf("write a token: %w", err)
	}
	if n == 0 {
		return nightporter.E(nightporter.Conflict, "there is a token with this id already")
	}
	return nil
}

// asJSON writes lists and maps of plain text, which cannot fail.
func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func newAccessor() string { return rand.Text()[:24] }

// errDead is the one answer to every token that is not good, whatever is wrong
// with it.
var errDead = nightporter.E(nightporter.Unauthenticated, "this token is not valid, or not any more")

// Authenticate turns a token into its actor. It answers unauthenticated for
// everything that is not a living token that may be used from remote. A token
// with a number of uses has one less afterwards; see [Info.Spent].
func (i *Identity) Authenticate(ctx context.Context, token, remote string) (nightporter.Actor, Info, error) {
	if !wellFormed(token) {
		return nightporter.Actor{}, Info{}, errDead
	}
	h := sha256.Sum256([]byte(token))
	info, ok := i.living.get(h, i.cfg.Now())
	if !ok {
		var err error
		if info, err = i.load(ctx, h); err != nil {
			return nightporter.Actor{}, Info{}, err
		}
	}
	if !info.from(remote) {
		return nightporter.Actor{}, Info{}, errDead
	}
	if info.Uses != 0 {
		if err := i.use(ctx, &info); err != nil {
			return nightporter.Actor{}, Info{}, err
		}
	}
	return i.ActorOf(info, remote), info, nil
}

// load reads a token from the store and remembers it while it lives.
func (i *Identity) load(ctx context.Context, h [sha256.Size]byte) (info Info, err error) {
	var chain lease.Chain
	seen := i.living.generation()
	err = i.cfg.DB.View(ctx, func(tx *store.Tx) (err error) {
		if info, err = lookup(ctx, tx, `t.hash = ?`, h[:]); err != nil {
			return err
		}
		chain, err = lease.Ancestry(ctx, tx, info.Accessor, i.cfg.Now())
		return err
	})
	if nightporter.CodeOf(err) == nightporter.NotFound {
		return info, errDead
	}
	if err == nil && info.Uses == 0 {
		i.living.put(h, info, chain, seen)
	}
	return info, err
}

// from says whether the token may be used from an address.
func (t Info) from(remote string) bool {
	if len(t.Networks) == 0 {
		return true
	}
	addr, err := netip.ParseAddr(remote)
	return err == nil && slices.ContainsFunc(t.Networks, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) })
}

// spent marks a token whose last use is being made.
const spent = -1

// use counts a use of a token that has a number of them. Whoever serves the last
// one revokes the token after it; until then spent keeps others out.
func (i *Identity) use(ctx context.Context, info *Info) error {
	if info.Uses == spent {
		return errDead
	}
	return i.gate.Keep(ctx, "token.use", func(tx *store.Tx) error {
		err := tx.QueryRow(ctx, `UPDATE token SET uses = CASE WHEN uses = 1 THEN -1 ELSE uses - 1 END
			WHERE accessor = ? AND uses > 0 RETURNING uses`, info.Accessor).Scan(&info.Uses)
		if store.IsNotFound(err) {
			return errDead
		}
		return err
	})
}

// TokensOf lists the accessors of a person's own tokens, sorted: those that they
// signed in with, not the ones that they made for programs.
func TokensOf(ctx context.Context, tx *store.Tx, person string) (accessors []string, err error) {
	err = tx.Each(ctx, `SELECT accessor FROM token WHERE actor_kind = ? AND actor = ? ORDER BY accessor`,
		[]any{string(nightporter.Person), person}, func(scan func(...any) error) error {
			var accessor string
			err := scan(&accessor)
			accessors = append(accessors, accessor)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("list the tokens of %s: %w", person, err)
	}
	return accessors, nil
}

// Find reads a token by its accessor; not_found when there is none.
func Find(ctx context.Context, tx *store.Tx, accessor string) (Info, error) {
	return lookup(ctx, tx, `t.accessor = ?`, accessor)
}

// FindToken reads a token by itself; not_found when there is none.
func FindToken(ctx context.Context, tx *store.Tx, token string) (Info, error) {
	return lookup(ctx, tx, `t.hash = ?`, hash(token))
}

func lookup(ctx context.Context, tx *store.Tx, where string, arg any) (Info, error) {
	var info Info
	var policies, meta, networks string
	err := tx.QueryRow(ctx, `SELECT t.accessor, t.kind, t.actor_kind, t.actor, t.display_name, t.entity, t.method, t.role, t.policies, t.meta,
		t.path, t.uses, t.period, t.ttl, t.explicit_max, t.networks FROM token t WHERE `+where, arg).Scan(
		&info.Accessor, &info.Kind, &info.ActorKind, &info.Actor, &info.DisplayName, &info.Entity, &info.Method, &info.Role, &policies, &meta,
		&info.Path, &info.Uses, (*int64)(&info.Period), (*int64)(&info.TTL), (*int64)(&info.ExplicitMax), &networks)
	if store.IsNotFound(err) {
		return info, nightporter.E(nightporter.NotFound, "there is no such token")
	}
	if err != nil {
		return info, fmt.Errorf("read a token: %w", err)
	}
	for text, into := range map[*string]any{&policies: &info.Policies, &meta: &info.Meta, &networks: &info.Networks} {
		if err := json.Unmarshal([]byte(*text), into); err != nil {
			return info, fmt.Errorf("read a token: %w", err)
		}
	}
	info.Lease, err = lease.Get(ctx, tx, info.Accessor)
	return info, err
}

// Renew moves a token's end by increment, or by its period or first TTL where
// that is 0, and returns it as it is then. capped says that a maximum decided.
// Errors: not_found for a dead one, conflict for one that cannot be renewed.
func (i *Identity) Renew(ctx context.Context, tx *gate.Tx, accessor string, increment time.Duration) (info Info, capped bool, err error) {
	if info, err = Find(ctx, tx.Tx, accessor); err != nil {
		return info, false, err
	}
	switch {
	case info.Period > 0:
		increment = info.Period
	case increment <= 0:
		increment = info.TTL
	}
	tx.Detail("accessor", accessor)
	tx.AfterCommit(func() { i.living.forget(accessor) })
	info.Lease.ExpiresAt, capped, err = lease.Renew(ctx, tx.Tx, accessor, increment, tx.Now())
	info.Lease.RenewedAt = tx.Now()
	return info, capped, err
}

// Opened starts the life of a token that was handed over wrapped, now that
// somebody has opened it: until then a periodic one may live for less than its
// period. Of one that is dead, or whose life has started, it changes nothing.
func (i *Identity) Opened(ctx context.Context, tx *gate.Tx, accessor string) error {
	info, err := Find(ctx, tx.Tx, accessor)
	if err == nil && info.Period > 0 && info.Lease.TTL() < info.Period {
		_, _, err = i.Renew(ctx, tx, accessor, 0)
	}
	if nightporter.CodeOf(err) == nightporter.NotFound {
		return nil
	}
	return err
}

// Revoke ends a token and its tree within the caller's change.
func (i *Identity) Revoke(ctx context.Context, tx *gate.Tx, accessor, reason string) error {
	tx.Detail("accessor", accessor)
	tx.AfterCommit(func() { i.living.forget(accessor) })
	return lease.Doom(ctx, tx.Tx, accessor, reason, tx.Now())
}

// RevokeAlone ends a token within the caller's change and leaves its children
// alive, as orphans.
func (i *Identity) RevokeAlone(ctx context.Context, tx *gate.Tx, accessor, reason string) error {
	if err := lease.Orphan(ctx, tx.Tx, accessor); err != nil {
		return err
	}
	return i.Revoke(ctx, tx, accessor, reason)
}

// Ended forgets a token whose lease has ended. The reaper calls it.
func (i *Identity) Ended(ctx context.Context, tx *gate.Tx, l lease.Lease) error {
	if l.Kind != lease.Token {
		return nil
	}
	tx.AfterCommit(func() { i.living.forget(l.ID) })
	if _, err := tx.Exec(ctx, `DELETE FROM cubbyhole WHERE accessor = ?`, l.ID); err != nil {
		return fmt.Errorf("empty a token's cubbyhole: %w", err)
	}
	if _, err := tx.Exec(ctx, `DELETE FROM token WHERE accessor = ?`, l.ID); err != nil {
		return fmt.Errorf("forget a token: %w", err)
	}
	return nil
}

// RevokeBelow ends, within the caller's change, every token that was asked for
// at prefix or below it: those of a login method that is disabled.
func (i *Identity) RevokeBelow(ctx context.Context, tx *gate.Tx, prefix, reason string) error {
	leases, err := lease.Query(ctx, tx.Tx, `WHERE kind = ? AND state <> ? AND substr(path, 1, ?) = ?`,
		string(lease.Token), string(lease.Doomed), utf8.RuneCountInString(prefix), prefix)
	if err != nil {
		return err
	}
	for _, l := range leases {
		if err := i.Revoke(ctx, tx, l.ID, reason); err != nil {
			return err
		}
	}
	tx.Detail("tokens", len(leases))
	return nil
}
