package audit

import (
	"context"
	"encoding/json"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
)

// Filter says which entries to list. Empty fields match everything.
type Filter struct {
	Actor    string // the one who acted or on whose behalf it was
	Resource string // "release/r_1", or a kind alone: "release"
	Action   string // exactly this one
	Before   int64  // entries older than this number; 0 means from the newest
	// Holds is a piece of text that the detail must hold, as it stands there in
	// JSON. It reads every entry that the other fields match.
	Holds string
	Limit int // 0 means 100
}

// List reads entries, newest first.
func List(ctx context.Context, tx *store.Tx, f Filter) ([]Entry, error) {
	where, args := []string{"1 = 1"}, []any{}
	if f.Before > 0 {
		where, args = append(where, "seq < ?"), append(args, f.Before)
	}
	if f.Actor != "" {
		where, args = append(where, "(actor = ? OR on_behalf_of = ?)"), append(args, f.Actor, f.Actor)
	}
	if f.Resource != "" {
		kind, id, ok := strings.Cut(f.Resource, "/")
		where, args = append(where, "resource_kind = ?"), append(args, kind)
		if ok {
			where, args = append(where, "resource_id = ?"), append(args, id)
		}
	}
	if f.Action != "" {
		where, args = append(where, "action = ?"), append(args, f.Action)
	}
	if f.Holds != "" {
		// A wildcard in it matches too much at worst; LIKE itself has none that
		// both stores let be escaped alike.
		where, args = append(where, "detail LIKE ?"), append(args, "%"+f.Holds+"%")
	}
	if f.Limit <= 0 {
		f.Limit = 100
	}
	query := selectEntry + ` WHERE ` + strings.Join(where, " AND ") + ` ORDER BY seq DESC LIMIT ?`
	return scanEntries(ctx, tx, query, append(args, f.Limit)...)
}

const selectEntry = `SELECT seq, at, actor_kind, actor, method, accessor, on_behalf_of, remote,
	action, resource_kind, resource_id, decision, policy, request_id, detail FROM audit_entry`

func scanEntries(ctx context.Context, tx *store.Tx, query string, args ...any) ([]Entry, error) {
	var out []Entry
	err := tx.Each(ctx, query, args, func(scan func(...any) error) error {
		var e Entry
		var at int64
		var kind, detail string
		if err := scan(&e.Seq, &at, &kind, &e.Actor.Name, &e.Actor.Method, &e.Actor.Accessor, &e.Actor.OnBehalfOf,
			&e.Actor.Remote, &e.Action, &e.Resource.Kind, &e.Resource.ID, &e.Decision, &e.Policy, &e.RequestID, &detail); err != nil {
			return err
		}
		e.At, e.Actor.Kind, e.Detail = store.Time(at), nightporter.ActorKind(kind), json.RawMessage(detail)
		out = append(out, e)
		return nil
	})
	return out, err
}
