package database

import (
	"context"
	"net/http"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/store"
)

// Login is who can log in to what right now, and until when.
type Login struct {
	Lease       string    `json:"id"`
	Database    string    `json:"database"` // mount and name
	Username    string    `json:"username"`
	Role        string    `json:"role"`
	Path        string    `json:"path"`
	Owner       string    `json:"owner"`
	Environment string    `json:"environment,omitempty"`
	State       string    `json:"state"` // live, or doomed: it is being taken away
	Issued      time.Time `json:"issued_at"`
	Expires     time.Time `json:"expires_at"`
	Renewed     time.Time `json:"renewed_at,omitzero"`
	Doomed      time.Time `json:"doomed_at,omitzero"`
	Parent      string    `json:"parent,omitempty"` // accessor of the token that asked for it
	Reason      string    `json:"reason,omitempty"` // why it ends
	Error       string    `json:"error,omitempty"`  // what keeps it from ending
}

// Filter chooses logins; empty fields choose all.
type Filter struct {
	Environment, Role, Username string
	// After is the lease after which to go on; Limit is at most how many. 0 is 100.
	After string
	Limit int
}

// Logins lists logins by their lease.
func (e *Engine) Logins(ctx context.Context, f Filter) (list []Login, err error) {
	if f.Limit == 0 {
		f.Limit = httpapi.DefaultLimit
	}
	err = e.look(ctx, func(tx *store.Tx) error {
		leases, err := lease.Query(ctx, tx, `WHERE kind = ? AND id > ? AND (? = '' OR environment = ?)
			AND EXISTS (SELECT 1 FROM database_login j WHERE j.lease = lease.id AND (? = '' OR j.role = ?) AND (? = '' OR j.username = ?))
			ORDER BY id LIMIT ?`, string(Kind), f.After, f.Environment, f.Environment, f.Role, f.Role, f.Username, f.Username, f.Limit)
		if err != nil || len(leases) == 0 {
			return err
		}
		args := make([]any, len(leases))
		for i, l := range leases {
			args[i] = l.ID
		}
		found := map[string]Login{}
		err = tx.Each(ctx, `SELECT j.lease, c.path, c.name, j.username, j.role FROM database_login j JOIN database_connection c ON c.id = j.connection
			WHERE j.lease IN (`+store.In(len(args))+`)`, args, func(scan func(...any) error) error {
			var l Login
			var path, name string
			err := scan(&l.Lease, &path, &name, &l.Username, &l.Role)
			l.Database = path + name
			found[l.Lease] = l
			return err
		})
		for _, l := range leases {
			v := found[l.ID]
			v.Lease, v.Path, v.Owner, v.Environment, v.State = l.ID, l.Path, l.Owner, l.Environment, string(l.State)
			v.Issued, v.Expires, v.Renewed, v.Doomed, v.Reason, v.Error = l.IssuedAt, l.ExpiresAt, l.RenewedAt, l.DoomedAt, l.Reason, l.Error
			list = append(list, v)
		}
		return err
	})
	return list, err
}

// Status is how a database is doing.
type Status struct {
	Database    string `json:"database"`
	Plugin      string `json:"plugin"`
	Environment string `json:"environment,omitempty"`
	Dark        bool   `json:"dark,omitempty"`
	Logins      int    `json:"logins"`            // live
	Ending      int    `json:"ending"`            // waiting to be taken away
	Findings    int    `json:"findings"`          // of the reconciler, not repaired
	Trouble     string `json:"trouble,omitempty"` // why it could not be worked with when it was last tried
	// Compared is when its logins were last compared with the leases; zero when
	// that was not since the start.
	Compared time.Time `json:"compared_at,omitzero"`
	// Answered is when it last did what it was asked, likewise.
	Answered time.Time `json:"answered_at,omitzero"`
}

// Databases lists the databases, by name.
func (e *Engine) Databases(ctx context.Context) (list []Status, err error) {
	err = e.look(ctx, func(tx *store.Tx) error {
		list, err = e.DatabasesIn(ctx, tx)
		return err
	})
	return list, err
}

// DatabasesIn is Databases within a snapshot that the caller reads more from.
func (e *Engine) DatabasesIn(ctx context.Context, tx *store.Tx) (list []Status, err error) {
	connections, err := e.connections(ctx, tx, `WHERE retired_at = 0 ORDER BY path, name`)
	if err != nil {
		return nil, err
	}
	for _, c := range connections {
		s := Status{Database: c.database(), Plugin: c.text("plugin_name"), Environment: e.cfg.Binding(c.database()).Environment}
		var dark int
		err := tx.QueryRow(ctx, `SELECT
				(SELECT COUNT(*) FROM database_login WHERE connection = ? AND state = 'made'),
				(SELECT COUNT(*) FROM database_login j LEFT JOIN lease l ON l.id = j.lease
					WHERE j.connection = ? AND (j.state = 'unwanted' OR j.state = 'made' AND l.state = 'doomed')),
				(SELECT COUNT(*) FROM database_finding WHERE connection = ? AND repaired = '' AND kind <> 'foreign'),
				(SELECT COUNT(*) FROM database_dark WHERE environment = ?)`, c.ID, c.ID, c.ID, s.Environment).
			Scan(&s.Logins, &s.Ending, &s.Findings, &dark)
		if err != nil {
			return nil, err
		}
		s.Dark = dark > 0
		srv := e.server(c.ID)
		if err := srv.hinders(""); err != nil {
			s.Trouble = message(err)
		}
		compared, answered, failed := srv.seen()
		s.Compared, s.Answered = compared, answered
		if failed != nil && s.Trouble == "" {
			s.Trouble = message(failed)
		}
		list = append(list, s)
	}
	return list, nil
}

// Routes are the engine's part of our own API.
func (e *Engine) Routes() []httpapi.Route {
	route := func(path, action, summary string, response any, h httpapi.Handler) httpapi.Route {
		return httpapi.Route{
			Method: http.MethodGet, Pattern: path, Summary: summary, Response: response, Handler: h,
			Action: httpapi.Does(action, nightporter.Read, "api/leases"),
		}
	}
	return []httpapi.Route{
		route("/api/leases", "lease.list", "Who can log in to what, and until when", httpapi.List[Login]{}, e.getLogins),
		route("/api/leases/tree", "lease.tree", "Who holds what: tokens, their children, and the logins that were made with them", httpapi.List[Holder]{}, e.getTree),
		{
			Method: http.MethodGet, Pattern: "/api/leases/tree/own", Summary: "What the caller holds", Response: httpapi.List[Holder]{}, Handler: e.getOwnTree,
			Action: httpapi.Does("lease.tree_own", nightporter.Read, "auth/token/lookup-self"),
		},
		route("/api/databases", "lease.databases", "The databases that logins are made in, and their trouble", httpapi.List[Status]{}, e.getDatabases),
		route("/api/databases/findings", "lease.findings", "Where databases and leases differ", httpapi.List[Finding]{}, e.getFindings),
	}
}

func (e *Engine) getLogins(w http.ResponseWriter, req *http.Request) error {
	p, err := httpapi.ReadPage(req)
	if err != nil {
		return err
	}
	q := req.URL.Query()
	list, err := e.Logins(req.Context(), Filter{
		Environment: q.Get("environment"), Role: q.Get("role"), Username: q.Get("username"), After: p.After, Limit: p.Limit + 1,
	})
	if err != nil {
		return err
	}
	return httpapi.WriteList(w, p, list, func(l Login) string { return l.Lease })
}

func (e *Engine) getDatabases(w http.ResponseWriter, req *http.Request) error {
	list, err := e.Databases(req.Context())
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, httpapi.List[Status]{Items: append([]Status{}, list...)})
}

func (e *Engine) getFindings(w http.ResponseWriter, req *http.Request) error {
	list, err := e.Findings(req.Context(), req.URL.Query().Get("database"))
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, httpapi.List[Finding]{Items: append([]Finding{}, list...)})
}
