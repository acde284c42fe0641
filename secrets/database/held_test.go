package database_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
	"nightporter.dev/nightporter/provider/database/mem"
	"nightporter.dev/nightporter/secrets/database"
)

func (h *house) held(f database.HeldFilter) database.Held {
	h.Helper()
	var held database.Held
	must(h.TB, h.db.View(context.Background(), func(tx *store.Tx) (err error) {
		held, err = h.engine.Held(context.Background(), tx, f)
		return err
	}))
	return held
}

func (h *house) story(id, person string) (*database.Story, error) {
	var s *database.Story
	err := h.db.View(context.Background(), func(tx *store.Tx) (err error) {
		s, err = h.engine.Story(context.Background(), tx, id, person)
		return err
	})
	return s, err
}

func TestHeld(t *testing.T) {
	t.Parallel()
	storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
		h, server := inMemory(t, options{db: db, people: []catalog.Person{{Name: "ana", Email: "ana@acme.test"}}})
		h.role("long", m{"creation_statements": creation, "default_ttl": "10h"})
		late, early, going := h.creds("root", "long"), h.creds("root", "app"), h.creds("root", "long")
		names := func(f database.HeldFilter) (list []string) {
			for _, l := range h.held(f).Logins {
				list = append(list, l.Username)
			}
			return list
		}
		all := database.Sight{All: true}
		if got, want := names(database.HeldFilter{Sight: all}), []string{early.username, late.username, going.username}; !slices.Equal(got, want) {
			t.Errorf("held: %v, want what ends soonest first: %v", got, want)
		}

		server.Set(mem.Down)
		ana := nightporter.WithActor(t.Context(), nightporter.SystemActor("test", "ana"))
		must(t, h.engine.End(ana, nightporter.Action{Name: "lease.revoke"}, going.lease, "left"))
		h.eventually("the database was tried", func() bool { return h.held(database.HeldFilter{Sight: all}).Stuck == 1 })
		held := h.held(database.HeldFilter{Sight: all})
		if held.Total != 3 || held.Ending != 1 || held.Logins[0].Username != going.username || held.Logins[0].Error == "" {
			t.Errorf("held %d, ending %d, first %+v: want the one that does not end", held.Total, held.Ending, held.Logins[0])
		}
		if got := held.Logins[0].Reason; got != "revoked by ana: left" {
			t.Errorf("it ends because %q", got)
		}
		for page, want := range []string{going.username, early.username, late.username} {
			if got := names(database.HeldFilter{Sight: all, Skip: page, Limit: 1}); !slices.Equal(got, []string{want}) {
				t.Errorf("page %d is %v, want %s", page, got, want)
			}
		}
		if got := names(database.HeldFilter{Sight: all, Database: "database/other"}); got != nil {
			t.Errorf("another database has %v", got)
		}

		// What somebody sees is what they may act on, and no count says more.
		if got := h.held(database.HeldFilter{}); got.Total+got.Ending+len(got.Logins) > 0 {
			t.Errorf("nobody sees %+v", got)
		}
		if got := h.held(database.HeldFilter{Sight: database.Sight{Paths: []string{"database/creds/app"}}}); got.Total != 1 || got.Ending != 0 {
			t.Errorf("whoever looks after the role app sees %+v", got)
		}
		if got := h.held(database.HeldFilter{Sight: database.Sight{Person: "ana"}}); got.Total != 0 {
			t.Errorf("ana sees logins of others: %+v", got)
		}

		server.Set(mem.Up)
		var s *database.Story
		h.eventually("it is proven to be gone", func() bool {
			var err error
			s, err = h.story(going.lease, "")
			must(t, err)
			return s.Gone != nil
		})
		if !s.Left || s.Proof != "confirmed" || s.Username != going.username || s.Asked == nil || s.Revoked == nil || s.Revoked.By != "ana" || s.Database != "database/db" {
			t.Errorf("the story is %+v", s)
		}
		if slices.Contains(server.Logins(), going.username) {
			t.Error("the record says that it is gone, and the database has it")
		}
		if _, err := h.story("database/creds/app/AAAAAAAAAAAAAAAAAAAAAAAA", ""); nightporter.CodeOf(err) != nightporter.NotFound {
			t.Errorf("a login that never was: %v", err)
		}
		if err := h.engine.End(ana, nightporter.Action{Name: "lease.revoke"}, going.lease, ""); nightporter.CodeOf(err) != nightporter.NotFound {
			t.Errorf("ending it again: %v", err)
		}
	})
}

func TestEverybodySeesTheirOwnLogins(t *testing.T) {
	t.Parallel()
	h, _ := inMemory(t, options{people: []catalog.Person{{Name: "ana", Email: "ana@acme.test"}}})
	token, _, err := h.ident.Open(t.Context(), identity.Spec{
		Kind: identity.Session, ActorKind: nightporter.Person, Actor: "ana", Method: "userpass", Policies: []string{"root"}, TTL: time.Hour,
	})
	must(t, err)
	own := h.creds(token, "app")
	h.creds("root", "app")
	if got := h.held(database.HeldFilter{Sight: database.Sight{Person: "ana"}}); got.Total != 1 || got.Logins[0].Username != own.username {
		t.Errorf("ana sees %+v, want %s alone", got, own.username)
	}
	if s, err := h.story(own.lease, "ana"); err != nil || !s.Mine {
		t.Errorf("it is not ana's: %+v, %v", s, err)
	}
	if s, err := h.story(own.lease, "ben"); err != nil || s.Mine {
		t.Errorf("it is ben's: %+v, %v", s, err)
	}
}

func TestAComparisonHasItsTime(t *testing.T) {
	t.Parallel()
	h, server := inMemory(t, options{asleep: true})
	status := func() database.Status {
		list, err := h.engine.Databases(t.Context())
		must(t, err)
		return list[0]
	}
	if got := status(); !got.Compared.IsZero() || got.Trouble != "" {
		t.Errorf("before the first comparison: %+v", got)
	}
	must(t, h.engine.Reconcile(system()))
	before := status()
	if before.Compared.IsZero() || time.Since(before.Compared) > time.Minute {
		t.Errorf("compared at %s", before.Compared)
	}
	server.Set(mem.Down)
	if err := h.engine.Reconcile(system()); err == nil {
		t.Fatal("a database that is down was compared")
	}
	if got := status(); got.Trouble == "" || !got.Compared.Equal(before.Compared) {
		t.Errorf("after one that came to nothing: %+v, want its trouble and the time of the last good one", got)
	}
}

// PostgreSQL and MariaDB say themselves who is connected.
func TestSessionsOfALogin(t *testing.T) {
	t.Parallel()
	h, s, _ := onPostgres(t, options{})
	login := h.creds("root", "app")
	if got, err := h.engine.Sessions(t.Context(), login.lease); err != nil || len(got) != 0 {
		t.Fatalf("nobody is connected: %v, %v", got, err)
	}
	db, err := s.Open(login.username, login.password, "")
	must(t, err)
	defer db.Close()
	conn, err := db.Conn(t.Context())
	must(t, err)
	defer conn.Close()
	got, err := h.engine.Sessions(t.Context(), login.lease)
	if err != nil || len(got) != 1 || got[0].Client != "127.0.0.1" || got[0].State != "idle" || time.Since(got[0].Since) > time.Minute {
		t.Errorf("sessions: %+v, %v", got, err)
	}
	var pid string
	must(t, conn.QueryRowContext(t.Context(), `SELECT pg_backend_pid()::text`).Scan(&pid))
	if len(got) == 1 && got[0].ID != pid {
		t.Errorf("the session is %s, want %s", got[0].ID, pid)
	}
	if _, err := h.engine.Sessions(t.Context(), "none"); nightporter.CodeOf(err) != nightporter.NotFound {
		t.Errorf("sessions of no login: %v", err)
	}
}
