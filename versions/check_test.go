package versions_test

import (
	"context"
	"strings"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/provider/forge/mem"
	"nightporter.dev/nightporter/versions"
)

type allowAll struct{}

func (allowAll) Decide(context.Context, nightporter.Actor, nightporter.Action) nightporter.Decision {
	return nightporter.Decision{Allowed: true, Policy: "test"}
}

// app is a forge on which we are an App: it takes check runs.
type app struct {
	*mem.Forge
	checks map[string]forge.CheckRun
	no     error
}

func (a app) SetCheckRun(_ context.Context, _, commit string, r forge.CheckRun) error {
	if a.no == nil {
		a.checks[commit] = r
	}
	return a.no
}

func TestTheCheckIsARunForAppsAndAStatusForTokens(t *testing.T) {
	t.Parallel()
	storetest.Each(t, append(append([]store.Migration{}, append(audit.Migrations, outbox.Migrations...)...), versions.Migrations...), func(t *testing.T, db *store.DB) {
		g, err := gate.New(gate.Config{DB: db, Bus: outbox.NewBus(), Decider: allowAll{}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(g.Close)
		f, err := mem.New(mem.Config{})
		if err != nil {
			t.Fatal(err)
		}
		f.AddRepo("ledger")
		asApp := app{f, map[string]forge.CheckRun{}, nil}
		asToken := app{f, nil, &forge.NotOfferedError{What: "a check run"}}
		v, err := versions.New(versions.Config{
			Gate: g, Forges: map[string]versions.Forge{"app": asApp, "token": asToken},
			Rules: func() versions.Rules {
				return versions.Rules{Description: versions.Description{Sections: []string{"Why"}}}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		n := f.Open("ledger", mem.PR{Title: "Round", Labels: []string{"minor"}})
		state, err := f.Refresh(t.Context(), "ledger", "")
		if err != nil {
			t.Fatal(err)
		}
		head := state.Pulls[0].Head
		look := func(forgeName string) {
			t.Helper()
			err := v.Check(t.Context(), nightporter.PullRequestChanged{Repo: nightporter.Repo{Forge: forgeName, Name: "ledger"}, Number: n, Head: head, Title: "Round", Labels: []string{"minor"}})
			if err != nil {
				t.Fatal(err)
			}
		}
		look("app")
		if r := asApp.checks[head]; r.State != forge.Failure || !strings.Contains(r.Description, `no section "Why"`) || !strings.Contains(r.Text, "Before this can be merged") {
			t.Errorf("the check run is %+v, want it red, with what to do", r)
		}
		if _, ok := f.StatusOf("ledger", head, versions.StatusContext); ok {
			t.Error("there is a status beside the check run")
		}
		f.Describe("ledger", n, "## Why\nIt was wrong.")
		look("app")
		if r := asApp.checks[head]; r.State != forge.Success {
			t.Errorf("after its author wrote why, the check run is %+v", r)
		}
		look("token")
		if s, ok := f.StatusOf("ledger", head, versions.StatusContext); !ok || s.State != forge.Success {
			t.Errorf("the status is %+v", s)
		}
	})
}
