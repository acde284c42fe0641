package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"nightporter.dev/nightporter"
)

// Entry is one line of the audit log.
type Entry struct {
	Seq       int64                `json:"seq"` // from 0, without gaps
	At        time.Time            `json:"at"`
	Actor     nightporter.Actor    `json:"actor"`
	Action    string               `json:"action"` // "release.approve"
	Resource  nightporter.Resource `json:"resource"`
	Decision  string               `json:"decision"` // "allowed" or "denied"
	Policy    string               `json:"policy,omitempty"`
	RequestID string               `json:"request_id,omitempty"`
	Detail    json.RawMessage      `json:"detail,omitempty"`
}

// Checkpoint is a signed statement of the log's size and root. Note is the text
// that is signed; kept outside, it is an anchor.
type Checkpoint struct {
	Size int64     `json:"size"`
	At   time.Time `json:"at"`
	Root string    `json:"root"` // base64
	Note string    `json:"note"`
	// PublicKey checks the signature; keep it elsewhere too.
	PublicKey string `json:"public_key,omitempty"`
}

// Proof shows that one entry is in the log of a checkpoint (RFC 6962 §2.1.1).
type Proof struct {
	Entry      Entry      `json:"entry"`
	Leaf       string     `json:"leaf"`   // base64 of the leaf's hash
	Hashes     []string   `json:"hashes"` // base64, from the leaf up
	Checkpoint Checkpoint `json:"checkpoint"`
}

// Report is what a verification of the log found. Damage is empty when it is
// whole.
type Report struct {
	Entries     int64    `json:"entries"`
	Checkpoints int      `json:"checkpoints"`
	Root        string   `json:"root"`
	Damage      []string `json:"damage,omitempty"`
}

// AuditFilter says which entries to list. Empty fields match everything.
type AuditFilter struct {
	Actor    string // the one who acted, or on whose behalf it was
	Resource string // "release/rel_1", or a kind alone: "release"
	// PageSize is how many to ask for at once; 0 means as many as possible.
	PageSize int
}

// Audit lists the entries of the log, newest first.
func (c *Client) Audit(ctx context.Context, f AuditFilter) iter.Seq2[Entry, error] {
	q := url.Values{}
	set(q, "actor", f.Actor)
	set(q, "resource", f.Resource)
	return pages[Entry](ctx, c, "/api/audit", q, f.PageSize)
}

// Checkpoint reads the newest checkpoint.
func (c *Client) Checkpoint(ctx context.Context) (Checkpoint, error) {
	var out Checkpoint
	err := c.Get(ctx, "/api/audit/checkpoint", nil, &out)
	return out, err
}

// Proof reads the proof of one entry. Its error is conflict while no checkpoint
// covers the entry yet.
func (c *Client) Proof(ctx context.Context, entry int64) (Proof, error) {
	var out Proof
	err := c.Get(ctx, "/api/audit/proof", url.Values{"entry": {strconv.FormatInt(entry, 10)}}, &out)
	return out, err
}

// VerifyAudit has the server recompute its whole log, which takes a few seconds
// for a million entries. A server that lies verifies itself gladly: against that,
// verify a copy of its store.
func (c *Client) VerifyAudit(ctx context.Context) (Report, error) {
	var out Report
	err := c.call(ctx, http.MethodPost, "/api/audit/verify", nil, nil, &out)
	return out, err
}
