package database_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/secrets/database"
)

func (h *house) proof() database.Proof {
	h.Helper()
	var list []database.Proof
	must(h.TB, h.gate.Look(context.Background(), func(tx *store.Tx) (err error) {
		list, err = h.engine.Proofs(context.Background(), tx)
		return err
	}))
	if len(list) != 1 {
		h.Fatalf("%d databases, want 1", len(list))
	}
	return list[0]
}

// The judge is pg_roles: whoever can log in there and is no lease is standing.
func TestProofs(t *testing.T) {
	t.Parallel()
	h, pg, admin := onPostgres(t, options{})
	if p := h.proof(); !p.Compared.IsZero() || p.Standing != nil {
		t.Errorf("got %+v, want nothing claimed before anybody looked", p)
	}
	c := h.creds("root", "app")
	person, group := prefixOf(admin)+"_owner", prefixOf(admin)+"_group"
	pg.Exec(t, "", `CREATE ROLE "`+person+`" LOGIN PASSWORD 'x'`, `CREATE ROLE "`+group+`" NOLOGIN`)
	t.Cleanup(func() { pg.Exec(t, "", `DROP ROLE "`+person+`"`, `DROP ROLE "`+group+`"`) })
	must(t, h.engine.Reconcile(system()))
	p := h.proof()
	canLogIn := pg.Column(t, "", `SELECT rolname FROM pg_roles WHERE rolcanlogin`)
	if !slices.Contains(p.Standing, person) || !slices.Contains(canLogIn, person) {
		t.Errorf("%s can log in and no lease stands for it; standing are %v", person, p.Standing)
	}
	for what, name := range map[string]string{"a lease": c.username, "the administrator": admin, "a group": group} {
		if slices.Contains(p.Standing, name) {
			t.Errorf("%s counts as standing: %v", what, p.Standing)
		}
	}
	if !slices.Contains(p.Roles, "database/creds/app") || p.Logins != 1 || p.Overdue != 0 || p.TooLong != 0 {
		t.Errorf("got %+v", p)
	}
	if h.clock.advance(48 * time.Hour); h.proof().Overdue != 1 {
		t.Errorf("got %+v, want one overdue: its lease has ended and it is still there", h.proof())
	}
}
