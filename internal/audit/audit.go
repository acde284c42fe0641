// Package audit is the register: one entry for every change, refusal and read of
// a secret, in the transaction of what it records.
//
// The entries are the leaves of an RFC 6962 Merkle tree whose nodes stand beside
// them in the store. Somebody who edits, removes, inserts or reorders entries
// must rebuild the tree, and then no longer matches the signed checkpoints.
// Whoever owns both the store and the signing key can rebuild everything: that
// is why checkpoints are meant to be anchored in a place that he does not own.
//
// Order of writing: [Log.Append] runs inside the gate's transaction and keeps
// the tree's right edge in memory; [Log.Reset] forgets it after a failed commit.
package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
)

// Migrations are the tables of the log.
var Migrations = []store.Migration{{Name: "audit/0001", SQL: `
CREATE TABLE audit_entry (
	seq BIGINT PRIMARY KEY,
	at BIGINT NOT NULL,
	actor_kind TEXT NOT NULL,
	actor TEXT NOT NULL,
	method TEXT NOT NULL,
	accessor TEXT NOT NULL,
	on_behalf_of TEXT NOT NULL,
	remote TEXT NOT NULL,
	action TEXT NOT NULL,
	resource_kind TEXT NOT NULL,
	resource_id TEXT NOT NULL,
	decision TEXT NOT NULL,
	policy TEXT NOT NULL,
	request_id TEXT NOT NULL,
	detail TEXT NOT NULL
);
CREATE INDEX audit_entry_resource ON audit_entry (resource_kind, resource_id, seq);
CREATE INDEX audit_entry_actor ON audit_entry (actor, seq);
CREATE TABLE audit_node (
	position BIGINT PRIMARY KEY,
	hash BYTEA NOT NULL
);
CREATE TABLE audit_checkpoint (
	size BIGINT PRIMARY KEY,
	note TEXT NOT NULL
);
`}}

// Entry is one line of the register.
type Entry struct {
	Seq       int64                `json:"seq"` // from 0, without gaps
	At        time.Time            `json:"at"`
	Actor     nightporter.Actor    `json:"actor"`
	Action    string               `json:"action"`   // "release.approve"
	Resource  nightporter.Resource `json:"resource"` // {"release","r_…"}
	Decision  string               `json:"decision"` // "allowed" or "denied"
	Policy    string               `json:"policy,omitempty"`
	RequestID string               `json:"request_id,omitempty"`
	// Detail holds what the change wants to be remembered by: names and
	// numbers, never a secret. It is JSON.
	Detail json.RawMessage `json:"detail,omitempty"`
}

// Decisions.
const (
	Allowed = "allowed"
	Refused = "denied"
)

// Log appends to the register. Its methods belong to the gate's committer and
// are not safe for concurrent use.
type Log struct {
	loaded bool
	size   int64
	// edge holds, by level, the root of the complete subtree that ends at
	// size: all that the next leaf's ancestors can need.
	edge map[int]tlog.Hash
}

// Append writes entries to the end of the log within tx and numbers them.
func (l *Log) Append(ctx context.Context, tx *store.Tx, entries []Entry) error {
	if err := l.load(ctx, tx); err != nil {
		return err
	}
	rows := make([]any, 0, len(entries)*entryColumns)
	var nodes []any
	for i := range entries {
		e := &entries[i]
		e.Seq = l.size
		e.At = e.At.UTC().Truncate(time.Microsecond)
		if e.Detail == nil {
			e.Detail = json.RawMessage("{}")
		}
		rows = append(rows, e.values()...)
		hashes, err := tlog.StoredHashesForRecordHash(l.size, tlog.RecordHash(e.leaf()), tlog.HashReaderFunc(l.readEdge))
		if err != nil {
			return fmt.Errorf("hash audit entry %d: %w", l.size, err)
		}
		at := tlog.StoredHashIndex(0, l.size)
		for level, h := range hashes {
			nodes = append(nodes, at+int64(level), h[:])
			l.edge[level] = h
		}
		l.size++
	}
	if err := insert(ctx, tx, insertEntry, entryColumns, rows); err != nil {
		return fmt.Errorf("write the audit entries: %w", err)
	}
	if err := insert(ctx, tx, insertNode, 2, nodes); err != nil {
		return fmt.Errorf("write the audit tree: %w", err)
	}
	return nil
}

// Reset forgets what is in memory. The gate calls it when a commit failed.
func (l *Log) Reset() { *l = Log{} }

// Size is how many entries the log has after the last Append.
func (l *Log) Size() int64 { return l.size }

func (l *Log) load(ctx context.Context, tx *store.Tx) error {
	if l.loaded {
		return nil
	}
	var size int64
	if err := tx.QueryRow(ctx, `SELECT COALESCE(MAX(seq), -1) + 1 FROM audit_entry`).Scan(&size); err != nil {
		return fmt.Errorf("read the audit log's size: %w", err)
	}
	l.edge = map[int]tlog.Hash{}
	// The right edge of a tree of size n is one complete subtree for every
	// bit of n (RFC 6962 §2.1).
	for level := 0; size>>level > 0; level++ {
		if size>>level&1 == 0 {
			continue
		}
		h, err := readNode(ctx, tx, tlog.StoredHashIndex(level, size>>level-1))
		if err != nil {
			return err
		}
		l.edge[level] = h
	}
	l.size, l.loaded = size, true
	return nil
}

// readEdge answers the hashes that tlog needs to add one leaf: the left
// siblings on the way up, which are all on the right edge.
func (l *Log) readEdge(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		level, _ := tlog.SplitStoredHashIndex(index)
		h, ok := l.edge[level]
		if !ok {
			return nil, fmt.Errorf("the tree's right edge has no level %d", level)
		}
		out[i] = h
	}
	return out, nil
}

func readNode(ctx context.Context, tx *store.Tx, position int64) (tlog.Hash, error) {
	var b []byte
	if err := tx.QueryRow(ctx, `SELECT hash FROM audit_node WHERE position = ?`, position).Scan(&b); err != nil {
		return tlog.Hash{}, fmt.Errorf("read node %d of the audit tree: %w", position, err)
	}
	if len(b) != tlog.HashSize {
		return tlog.Hash{}, fmt.Errorf("node %d of the audit tree has %d bytes", position, len(b))
	}
	return tlog.Hash(b), nil
}

const entryColumns = 15

const insertEntry = `INSERT INTO audit_entry (seq, at, actor_kind, actor, method, accessor, on_behalf_of, remote,
	action, resource_kind, resource_id, decision, policy, request_id, detail) VALUES `

const insertNode = `INSERT INTO audit_node (position, hash) VALUES `

func (e *Entry) values() []any {
	return []any{
		e.Seq, store.Micros(e.At), string(e.Actor.Kind), e.Actor.Name, e.Actor.Method, e.Actor.Accessor,
		e.Actor.OnBehalfOf, e.Actor.Remote, e.Action, e.Resource.Kind, e.Resource.ID, e.Decision, e.Policy,
		e.RequestID, string(e.Detail),
	}
}

// insert writes rows of width columns in chunks of fixed sizes, so that the few
// statements stay prepared.
func insert(ctx context.Context, tx *store.Tx, head string, width int, values []any) error {
	for _, chunk := range []int{64, 8, 1} {
		tuple := "(" + store.In(width) + ")"
		query := head + tuple + strings.Repeat(","+tuple, chunk-1)
		for len(values) >= chunk*width {
			if _, err := tx.Exec(ctx, query, values[:chunk*width]...); err != nil {
				return err
			}
			values = values[chunk*width:]
		}
	}
	return nil
}
