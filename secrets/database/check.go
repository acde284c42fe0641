package database

import (
	"context"
	"net/http"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/vault"
	provider "nightporter.dev/nightporter/provider/database"
)

// Check is what was found when a database was looked at on request.
type Check struct {
	Database string `json:"database"` // mount and name
	Plugin   string `json:"plugin_name"`
	// OK says that every step worked and that nothing is left to repair.
	OK    bool   `json:"ok"`
	Steps []Step `json:"steps"`
	// Found is how many logins differed from the leases in this look, by the kind
	// of the [Finding]; Unrepaired is how many of them are left.
	Found      map[string]int `json:"found"`
	Unrepaired int            `json:"unrepaired"`
	// ComparedAt is when its logins were last compared with the leases; zero when
	// they never were since this process started.
	ComparedAt time.Time `json:"compared_at,omitzero"`
}

// Step is one thing that the administrator must be able to do.
type Step struct {
	Name   string `json:"name"` // connect, login or compare
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// The logins that prove that the administrator can make and take away any.
var probes = map[provider.Dialect]string{
	provider.PostgreSQL: `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';`,
	provider.MySQL:      `CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}';`,
}

// checkDatabase answers check/:name: it logs in as the administrator, makes, uses
// and takes away one login, and compares the logins with the leases. What goes
// wrong there is part of the answer.
func (b *Backend) checkDatabase(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	s, c, err := b.serverOf(ctx, r)
	if err != nil {
		return nil, vault.RefuseIn(http.StatusNotFound, "%s", message(err))
	}
	out := Check{Database: c.database(), Plugin: c.text("plugin_name"), Found: map[string]int{}}
	e := b.engine
	if _, err := e.lit(ctx, c); err != nil {
		out.step("connect", err, "")
	} else {
		e.check(ctx, s, c, r.Do, &out)
	}
	out.ComparedAt, _, _ = s.seen()
	out.OK = out.Unrepaired == 0
	for _, step := range out.Steps {
		out.OK = out.OK && step.OK
	}
	return &vault.Response{Data: map[string]any{
		"database": out.Database, "plugin_name": out.Plugin, "ok": out.OK, "steps": out.Steps, "found": out.Found,
		"unrepaired": out.Unrepaired, "compared_at": out.ComparedAt,
	}}, nil
}

func (e *Engine) check(ctx context.Context, s *server, c *connection, as doer, out *Check) {
	err := s.verify(ctx)
	if out.step("connect", err, "logged in as the administrator"); err != nil {
		return
	}
	err = e.try(ctx, s, Role{Name: "check", Creation: []string{probes[dialect(out.Plugin)]}}, as)
	out.step("login", err, "a login was made, used and taken away")
	began := e.cfg.Now()
	err = s.reconcile(e.after(ctx))
	s.noteCompared(err)
	if err == nil {
		err = e.look(ctx, func(tx *store.Tx) error {
			return tx.Each(ctx, `SELECT kind, COUNT(*), SUM(CASE WHEN repaired = '' AND kind <> ? THEN 1 ELSE 0 END) FROM database_finding
				WHERE connection = ? AND last_at >= ? GROUP BY kind`, []any{Foreign, c.ID, store.Micros(began)}, func(scan func(...any) error) error {
				var kind string
				var n, left int
				err := scan(&kind, &n, &left)
				out.Found[kind] = n
				out.Unrepaired += left
				return err
			})
		})
	}
	out.step("compare", err, "logins and leases were compared")
}

// step notes how a step went.
func (c *Check) step(name string, err error, done string) {
	s := Step{Name: name, OK: err == nil, Detail: done}
	if err != nil {
		if s.Detail = message(err); nightporter.HintOf(err) != "" {
			s.Detail += ": " + nightporter.HintOf(err)
		}
	}
	c.Steps = append(c.Steps, s)
}

// verify logs in as the administrator.
func (s *server) verify(ctx context.Context) error {
	db, done, err := s.use(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := db.Verify(ctx); err != nil {
		return err
	}
	s.answers()
	return nil
}
