package app

import (
	"context"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/policy"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
	"nightporter.dev/nightporter/security"
)

// The judge is the decision that a request would get: the same Decide, asked for a
// session of each person.
func TestWhoCanReadProduction(t *testing.T) {
	t.Parallel()
	a := &App{catalog: &catalog.Catalog{}}
	service := func(name string, credentials ...string) catalog.Service {
		return catalog.Service{
			Service: nightporter.Service{Name: name, Owner: "payments", Repo: nightporter.Repo{Forge: "hub", Name: name}}, Deploy: catalog.Deploy{Kind: "mem"}, Credentials: credentials,
		}
	}
	_, err := a.catalog.Load(catalog.Snapshot{
		Forges: []catalog.Forge{{Name: "hub", Kind: "mem"}}, People: []catalog.Person{{Name: "ana"}, {Name: "ben"}},
		Teams: []catalog.Team{{Name: "payments", Members: []string{"ana"}}},
		Environments: []catalog.Environment{
			{Environment: nightporter.Environment{Name: "dev", Kind: nightporter.Development}, WhenDark: catalog.Wait},
			{Environment: nightporter.Environment{Name: "prod", Kind: nightporter.Production}, WhenDark: catalog.Wait},
		},
		Services: []catalog.Service{service("ledger", "database/creds/ledger-{environment}"), service("web")},
	})
	if err != nil {
		t.Fatal(err)
	}
	db := storetest.SQLite(t, spine)
	if a.policies, err = policy.NewSet(policy.Config{}); err == nil {
		a.identity, err = identity.New(identity.Config{DB: db, Policies: a.policies, Catalog: a.catalog})
	}
	if err == nil {
		err = a.identity.LoadPolicies(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	claims := func() map[string]security.Claim {
		out := map[string]security.Claim{}
		err := db.View(t.Context(), func(tx *store.Tx) error {
			list, err := a.proveReaders(context.Background(), tx, time.Now())
			for _, c := range list {
				out[c.About] = c
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if c := claims()["service/web"]; c.State != security.NA {
		t.Errorf("web: %+v", c)
	}
	if c := claims()["service/ledger"]; c.State != security.Pass || !strings.Contains(c.Proof, "none of 2 people") {
		t.Errorf("ledger: %+v; the roles read no secret", c)
	}
	wide, err := policy.Parse(policy.ViewerName, `path "database/creds/+" { capabilities = ["read"] }`)
	if err != nil {
		t.Fatal(err)
	}
	a.policies.Replace(wide)
	if c := claims()["service/ledger"]; c.State != security.Pass || !strings.Contains(c.Proof, "2 of 2 people can read its production credentials: ana, ben") {
		t.Errorf("ledger with a wide policy: %+v", c)
	}
}
