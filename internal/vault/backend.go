package vault

import (
	"context"
	"encoding/json"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/store"
)

// Backend is a type of secrets engine or login method. One value serves every
// mount of its type: what belongs to a mount is kept under [Mount.UUID].
// [NewPaths] makes one from a list of paths.
type Backend interface {
	// Type is what sys/mounts calls it: "kv", "database".
	Type() string
	// Find says what a path of the backend asks for, before anybody is let in.
	Find(op Operation, path string) Rules
	// Exists says whether a write to the request's path would change something
	// that is there ("update") or make it ("create"). Paths that do not know
	// the difference answer true. It decides nothing and reveals nothing: the
	// policies are asked after it.
	Exists(ctx context.Context, r *Request) (bool, error)
	// Handle answers. nil means that there is nothing: 404 for a read or a
	// list, 204 for everything else.
	Handle(ctx context.Context, r *Request) (*Response, error)
}

// Mounter is a Backend that wants to know of its mounts.
type Mounter interface {
	// Mount checks a mount's options before it is made, and may fill them in.
	// Errors are shown.
	Mount(m *Mount) error
	// Unmount deletes what the mount kept, within the change that removes it.
	// Leases below its path are doomed by the caller.
	Unmount(ctx context.Context, tx *gate.Tx, m Mount) error
}

// Rules is what must hold before a request reaches its backend.
type Rules struct {
	// Open paths need no token: logins and health.
	Open bool
	// Sudo paths need that capability too.
	Sudo bool
	// Bare paths answer without the envelope, and HEAD like GET.
	Bare bool
}

// Operation is what a request does, in Vault's words.
type Operation string

// The operations. A write is [nightporter.Create] or [nightporter.Update] to a
// policy.
const (
	Read   Operation = "read"
	List   Operation = "list"
	Write  Operation = "write"
	Patch  Operation = "patch"
	Delete Operation = "delete"
	Head   Operation = "head" // granted by no capability, as in Vault
)

// Request is what a backend answers.
type Request struct {
	Op    Operation
	Mount Mount
	// Path is below the mount, without a slash in front. Full has the mount's
	// path before it.
	Path, Full string
	// Vars are the path's variables, by the names of the pattern.
	Vars map[string]string
	// Data are the fields of the body, or of the query where the operation has
	// no body. Numbers are json.Number. Read them with Fields.
	Data map[string]any
	// Token is who asks; nil on an open path without one.
	Token *identity.Info
	// Secret is the token itself, for the few answers that repeat it.
	Secret string
	// Remote is the address of the client.
	Remote string
	// WrapTTL is the wrapping that was asked for; 0 for none.
	WrapTTL time.Duration

	vault    *Vault
	action   nightporter.Action
	resource nightporter.Resource
	fields   *Fields
}

// Creates says that the policies were asked for "create": the thing was not
// there. A backend that finds it there inside its change refuses with [Denied],
// because then nobody has asked for "update".
func (r *Request) Creates() bool { return r.action.Capability == nightporter.Create }

// Denied is the answer to what the policies do not allow.
func Denied() error { return nightporter.E(nightporter.Denied, "permission denied") }

// Now is the time of tokens and leases; never a demo's clock.
func (r *Request) Now() time.Time { return r.vault.cfg.Now() }

// Do makes a change through the gate, as the request's action.
func (r *Request) Do(ctx context.Context, fn func(*gate.Tx) error) error {
	return r.vault.cfg.Gate.Do(ctx, r.action, r.resource, fn)
}

// Read reads a secret through the gate: the audit entry is written before the
// caller gets it.
func (r *Request) Read(ctx context.Context, fn func(*store.Tx) error) error {
	return r.vault.cfg.Gate.Read(ctx, r.action, r.resource, fn)
}

// View reads what is not secret. The policies were asked already.
func (r *Request) View(ctx context.Context, fn func(*store.Tx) error) error {
	return r.vault.cfg.DB.View(ctx, fn)
}

// DoOpen makes the change of a request on an open path, for which the path's own
// rules have decided: the system does it, on behalf of whoever is named.
func (r *Request) DoOpen(ctx context.Context, cause string, fn func(*gate.Tx) error) error {
	actor := nightporter.SystemActor("vault", cause)
	actor.Remote = r.Remote
	ctx = nightporter.WithActor(ctx, actor)
	return r.vault.cfg.Gate.Do(ctx, nightporter.Action{Name: r.action.Name}, r.resource, fn)
}

// Response is what a backend answers.
type Response struct {
	// Status is the HTTP status; 0 means 200.
	Status int
	Data   map[string]any
	// TopLevel repeats Data's members beside data, as old paths do.
	TopLevel bool
	// Bare makes Data the whole body.
	Bare bool
	// Empty answers the status with no body.
	Empty bool
	// Warnings are shown by clients.
	Warnings []string
	Auth     *Auth
	// Lease is set when what was handed out ends.
	Lease Lease
	// Body, with ContentType, replaces everything, for what is not JSON.
	Body        []byte
	ContentType string

	wrap *wrapInfo
	// opened is a whole envelope that was wrapped before.
	opened json.RawMessage
}

// Warn adds a warning.
func (r *Response) Warn(text string) { r.Warnings = append(r.Warnings, text) }

// Lease is the part of an answer that says how long it holds.
type Lease struct {
	ID        string
	Duration  time.Duration
	Renewable bool
}

// Auth is the part of an answer that hands a token over.
type Auth struct {
	ClientToken    string            `json:"client_token"`
	Accessor       string            `json:"accessor"`
	Policies       []string          `json:"policies"`
	TokenPolicies  []string          `json:"token_policies"`
	Metadata       map[string]string `json:"metadata"`
	LeaseDuration  int64             `json:"lease_duration"`
	Renewable      bool              `json:"renewable"`
	EntityID       string            `json:"entity_id"`
	TokenType      string            `json:"token_type"`
	Orphan         bool              `json:"orphan"`
	MFARequirement any               `json:"mfa_requirement"`
	NumUses        int               `json:"num_uses"`
}

// Keys is the answer to a list, or nil, which is 404, when it is empty.
func Keys(keys []string) *Response {
	if len(keys) == 0 {
		return nil
	}
	return &Response{Data: map[string]any{"keys": keys}}
}
