package database

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/store"
)

// Story is a login from its beginning to its proven end, read from the journal
// while it stands there and from the register afterwards.
type Story struct {
	Login
	// Mine says that a token of the person who was named asked for it.
	Mine bool
	// Asked and Revoked are the register's entries about its beginning, and
	// about somebody who ended it; nil where there is none.
	Asked, Revoked *Mark
	// Gone is the entry that says how its end was proven; nil until there is
	// one. A login that left the journal without one is not proven to be gone:
	// of many that end together the register names the first fifty.
	Gone  *Mark
	Proof string // of Gone: confirmed by the database, or vanished with it
	// Left says that the journal does not hold it any more.
	Left bool
}

// Mark is an entry of the register.
type Mark struct {
	Entry int64
	At    time.Time
	By    string
}

// Story tells of the login of a lease, as person may hear it. Errors: not_found
// when neither the journal nor the register knows it.
func (e *Engine) Story(ctx context.Context, tx *store.Tx, id, person string) (*Story, error) {
	list, err := e.held(ctx, tx, heldRows+` AND j.lease = ?`, []any{id})
	if err != nil {
		return nil, err
	}
	s := &Story{Left: len(list) == 0}
	if !s.Left {
		s.Login = list[0]
		var n int
		if err := tx.QueryRow(ctx, `SELECT COUNT(*)`+heldRows+` AND j.lease = ? AND `+mine, id, person, person, person).Scan(&n); err != nil {
			return nil, err
		}
		s.Mine = person != "" && n > 0
	}
	connection, err := e.asked(ctx, tx, id, s, person)
	if err != nil {
		return nil, err
	}
	if s.Left && s.Asked == nil {
		return nil, nightporter.E(nightporter.NotFound, "there is no such login")
	}
	revoked, err := audit.List(ctx, tx, audit.Filter{Resource: nightporter.Resource{Kind: "lease", ID: id}.String(), Action: "lease.revoke", Limit: 20})
	if err != nil {
		return nil, err
	}
	for _, en := range revoked {
		if en.Decision == audit.Allowed {
			s.Revoked = markOf(en)
		}
	}
	if !s.Left || connection == "" {
		return s, nil
	}
	return s, e.gone(ctx, tx, connection, s)
}

func markOf(e audit.Entry) *Mark {
	return &Mark{Entry: e.Seq, At: e.At, By: nightporter.Actor{Kind: e.Actor.Kind, Name: e.Actor.Name, OnBehalfOf: e.Actor.OnBehalfOf}.Cause()}
}

// asked finds the entry of the request that a login was made for, which names it
// and its connection.
func (e *Engine) asked(ctx context.Context, tx *store.Tx, id string, s *Story, person string) (connection string, err error) {
	i := strings.LastIndexByte(id, '/')
	if i < 0 {
		return "", nil
	}
	found, err := audit.List(ctx, tx, audit.Filter{Resource: "database/" + id[:i], Holds: id[i+1:], Limit: 10})
	if err != nil {
		return "", err
	}
	for _, en := range found {
		var detail struct {
			Lease, Login, Connection string
		}
		if json.Unmarshal(en.Detail, &detail) != nil || detail.Lease != id {
			continue
		}
		s.Asked = markOf(en)
		if s.Left {
			s.Login = Login{
				Lease: id, Path: id[:i], Username: detail.Login, Owner: s.Asked.By, Issued: en.At,
				State: string(lease.Doomed), Database: e.databaseOf(ctx, tx, detail.Connection),
			}
			s.Mine = person != "" && en.Actor.Kind == nightporter.Person && en.Actor.Name == person
		}
		return detail.Connection, nil
	}
	return "", nil
}

// databaseOf names a connection; "" when it is gone too.
func (e *Engine) databaseOf(ctx context.Context, tx *store.Tx, connection string) string {
	var path, name string
	if tx.QueryRow(ctx, `SELECT path, name FROM database_connection WHERE id = ?`, connection).Scan(&path, &name) != nil {
		return ""
	}
	return path + name
}

// gone finds the entry that says how the end of a login was proven.
func (e *Engine) gone(ctx context.Context, tx *store.Tx, connection string, s *Story) error {
	found, err := audit.List(ctx, tx, audit.Filter{Resource: "database/" + connection, Action: "login.gone", Holds: `"` + s.Username + `"`, Limit: 10})
	if err != nil {
		return err
	}
	for _, en := range found {
		var detail struct {
			Logins []string
			Proof  string
		}
		if json.Unmarshal(en.Detail, &detail) == nil && slices.Contains(detail.Logins, s.Username) {
			s.Gone, s.Proof = markOf(en), detail.Proof
			return nil
		}
	}
	return nil
}
