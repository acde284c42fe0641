package database

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/store"
)

// Holder is a node of the tree of who holds what: a token, or a login that was
// asked for with one. A node ends with its parent at the latest.
type Holder struct {
	ID     string `json:"id"` // a token's accessor, or a login's lease
	Kind   string `json:"kind"`
	Parent string `json:"parent,omitempty"` // "" for a root, or where the parent is not the caller's to see
	Depth  int    `json:"depth"`            // 0 for a root
	Owner  string `json:"owner"`
	Path   string `json:"path"`
	// State is live or doomed, whichever its ancestors leave it.
	State   string    `json:"state"`
	Issued  time.Time `json:"issued_at"`
	Expires time.Time `json:"expires_at,omitzero"` // of its own; zero for never
	// Ends is when it ends if nobody does anything: with the first of its
	// ancestors or with itself. Zero for never.
	Ends     time.Time `json:"ends_at,omitzero"`
	Database string    `json:"database,omitempty"` // a login's
	Username string    `json:"username,omitempty"` // a login's
	Role     string    `json:"role,omitempty"`     // a login's
}

// maxTree bounds how many nodes an answer has.
const maxTree = 5000

// Roots chooses what a tree shows.
type Roots struct {
	// Of is an accessor or a lease: the way down to it, and everything below it.
	// "" is every login, with the tokens above it.
	Of string
	// Below keeps to what was made with these tokens. nil is no such bound; an
	// empty list shows nothing.
	Below []string
}

// Tree says who holds what, parents before their children. Errors: not_found for
// an Of that is not there, or not below the bound.
func (e *Engine) Tree(ctx context.Context, roots Roots) (list []Holder, err error) {
	err = e.look(ctx, func(tx *store.Tx) error {
		found := map[string]lease.Lease{}
		switch {
		case roots.Of != "":
			of, err := lease.Get(ctx, tx, roots.Of)
			if err != nil {
				return err
			}
			found[of.ID] = of
			if err := descend(ctx, tx, found, []string{of.ID}); err != nil {
				return err
			}
			if err := ascend(ctx, tx, found); err != nil {
				return err
			}
		case roots.Below != nil:
			own, err := leasesIn(ctx, tx, "id", roots.Below)
			if err != nil {
				return err
			}
			for _, l := range own {
				found[l.ID] = l
			}
			if err := descend(ctx, tx, found, roots.Below); err != nil {
				return err
			}
		default:
			logins, err := lease.Query(ctx, tx, `WHERE kind = ? ORDER BY id LIMIT ?`, string(Kind), maxTree)
			if err != nil {
				return err
			}
			for _, l := range logins {
				found[l.ID] = l
			}
			if err := ascend(ctx, tx, found); err != nil {
				return err
			}
		}
		if roots.Below != nil {
			bound(found, roots.Below)
			if _, ok := found[roots.Of]; roots.Of != "" && !ok {
				return nightporter.E(nightporter.NotFound, "there is no lease %s", roots.Of)
			}
		}
		list = arrange(found)
		return e.nameLogins(ctx, tx, list)
	})
	return list, err
}

// leasesIn reads the leases whose column is one of values.
func leasesIn(ctx context.Context, tx *store.Tx, column string, values []string) (out []lease.Lease, err error) {
	for part := range slices.Chunk(values, 500) {
		args := make([]any, len(part))
		for i, v := range part {
			args[i] = v
		}
		list, err := lease.Query(ctx, tx, `WHERE `+column+` IN (`+store.In(len(args))+`) ORDER BY id LIMIT 5000`, args...)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

// descend adds everything below parents, a level at a time.
func descend(ctx context.Context, tx *store.Tx, found map[string]lease.Lease, parents []string) error {
	for len(parents) > 0 && len(found) < maxTree {
		children, err := leasesIn(ctx, tx, "parent", parents)
		if err != nil {
			return err
		}
		parents = nil
		for _, l := range children {
			if _, ok := found[l.ID]; !ok && len(found) < maxTree {
				found[l.ID] = l
				parents = append(parents, l.ID)
			}
		}
	}
	return nil
}

// ascend adds every ancestor of what was found.
func ascend(ctx context.Context, tx *store.Tx, found map[string]lease.Lease) error {
	for {
		missing := map[string]bool{}
		for _, l := range found {
			if _, ok := found[l.Parent]; l.Parent != "" && !ok {
				missing[l.Parent] = true
			}
		}
		parents, err := leasesIn(ctx, tx, "id", sortedKeys(missing))
		if err != nil || len(parents) == 0 {
			return err // a parent that is gone has no row
		}
		for _, l := range parents {
			found[l.ID] = l
		}
	}
}

func sortedKeys(set map[string]bool) (keys []string) {
	for k := range set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// bound takes out what is neither a root nor below one.
func bound(found map[string]lease.Lease, roots []string) {
	within := func(id string) bool {
		for range 100 {
			if slices.Contains(roots, id) {
				return true
			}
			l, ok := found[id]
			if !ok || l.Parent == "" {
				return false
			}
			id = l.Parent
		}
		return false
	}
	var out []string
	for id := range found {
		if !within(id) {
			out = append(out, id)
		}
	}
	for _, id := range out {
		delete(found, id)
	}
}

// arrange puts parents before their children, and siblings by age.
func arrange(found map[string]lease.Lease) (list []Holder) {
	children := map[string][]lease.Lease{}
	for _, l := range found {
		parent := l.Parent
		if _, ok := found[parent]; !ok {
			parent = ""
		}
		children[parent] = append(children[parent], l)
	}
	var walk func(parent Holder, depth int)
	walk = func(parent Holder, depth int) {
		below := children[parent.ID]
		slices.SortFunc(below, func(a, b lease.Lease) int {
			if c := a.IssuedAt.Compare(b.IssuedAt); c != 0 {
				return c
			}
			return strings.Compare(a.ID, b.ID)
		})
		for _, l := range below {
			h := Holder{
				ID: l.ID, Kind: "login", Parent: parent.ID, Depth: depth, Owner: l.Owner, Path: l.Path, State: string(l.State),
				Issued: l.IssuedAt, Expires: l.ExpiresAt, Ends: l.ExpiresAt,
			}
			if l.Kind == lease.Token {
				h.Kind = "token"
			}
			if depth > 0 {
				if parent.State == string(lease.Doomed) {
					h.State = parent.State
				}
				if !parent.Ends.IsZero() && (h.Ends.IsZero() || parent.Ends.Before(h.Ends)) {
					h.Ends = parent.Ends
				}
			}
			list = append(list, h)
			walk(h, depth+1)
		}
	}
	walk(Holder{}, 0)
	return list
}

// nameLogins adds what the journal knows of logins.
func (e *Engine) nameLogins(ctx context.Context, tx *store.Tx, list []Holder) error {
	at := map[string]*Holder{}
	var ids []string
	for i := range list {
		if list[i].Kind == "login" {
			at[list[i].ID] = &list[i]
			ids = append(ids, list[i].ID)
		}
	}
	for part := range slices.Chunk(ids, 500) {
		args := make([]any, len(part))
		for i, v := range part {
			args[i] = v
		}
		err := tx.Each(ctx, `SELECT j.lease, c.path, c.name, j.username, j.role FROM database_login j JOIN database_connection c ON c.id = j.connection
			WHERE j.lease IN (`+store.In(len(args))+`)`, args, func(scan func(...any) error) error {
			var id, path, name, username, role string
			err := scan(&id, &path, &name, &username, &role)
			if h := at[id]; h != nil {
				h.Database, h.Username, h.Role = path+name, username, role
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// getTree answers the whole tree, for who may see all leases.
func (e *Engine) getTree(w http.ResponseWriter, req *http.Request) error {
	list, err := e.Tree(req.Context(), Roots{Of: req.URL.Query().Get("of")})
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, httpapi.List[Holder]{Items: append([]Holder{}, list...)})
}

// getOwnTree answers what the caller holds: a person by all of their tokens, a
// program by the one that it shows.
func (e *Engine) getOwnTree(w http.ResponseWriter, req *http.Request) error {
	ctx := req.Context()
	actor := nightporter.ActorFrom(ctx)
	own := []string{actor.Accessor}
	if actor.Kind == nightporter.Person {
		err := e.look(ctx, func(tx *store.Tx) (err error) {
			own, err = identity.TokensOf(ctx, tx, actor.Name)
			return err
		})
		if err != nil {
			return err
		}
	}
	list, err := e.Tree(ctx, Roots{Of: req.URL.Query().Get("of"), Below: append([]string{}, own...)})
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, httpapi.List[Holder]{Items: append([]Holder{}, list...)})
}
