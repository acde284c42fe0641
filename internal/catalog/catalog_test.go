package catalog_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
)

// house is a small world without problems.
func house() catalog.Snapshot {
	return catalog.Snapshot{
		Forges: []catalog.Forge{{Name: "github", Kind: "github", Organisation: "acme"}},
		People: []catalog.Person{
			{Name: "ana", Logins: map[string]string{"github": "Ana-GH"}},
			{Name: "ben", Logins: map[string]string{"github": "ben-gh"}},
			{Name: "eve"},
		},
		Teams: []catalog.Team{
			{Name: "team-payments", Members: []string{"ben", "ana"}},
			{Name: "team-platform", Members: []string{"ana"}},
		},
		Operators: []string{"team-platform", "eve"},
		Calendars: []catalog.Calendar{{Name: "bank-holidays", Dates: []string{"2026-12-25"}}},
		Environments: []catalog.Environment{
			{
				Environment: nightporter.Environment{Name: "dev", Kind: nightporter.Development},
				Schedule:    catalog.Schedule{Windows: "Mon-Fri 07:00-21:00", Timezone: "Europe/London", Except: []string{"bank-holidays", "2026-12-24"}},
				Cloud:       catalog.Cloud{Kind: "terraform", Repo: nightporter.Repo{Forge: "github", Name: "infra"}},
			},
			{Environment: nightporter.Environment{Name: "preprod", Kind: nightporter.Staging}},
			{
				Environment: nightporter.Environment{Name: "prod", Kind: nightporter.Production},
				Approval: catalog.Approval{
					Count: 1, From: []string{"owner"}, Author: catalog.Reviewed,
					Remind: []catalog.Reminder{{After: 4 * time.Hour, Who: "owner"}, {After: 24 * time.Hour, Who: "operators"}},
				},
			},
		},
		Pipeline: [][]string{{"dev", "preprod"}, {"prod"}},
		Services: []catalog.Service{
			{
				Service: nightporter.Service{Name: "ledger", Repo: nightporter.Repo{Forge: "github", Name: "ledger"}, Owner: "team-payments"},
				Deploy:  catalog.Deploy{Kind: "process"},
			},
			{
				Service:      nightporter.Service{Name: "docs", Repo: nightporter.Repo{Forge: "github", Name: "docs"}, Owner: "team-platform"},
				Deploy:       catalog.Deploy{Kind: "process"},
				DependsOn:    []string{"ledger"},
				Environments: []string{"dev", "prod"},
				Approval:     map[string]catalog.Approval{"prod": {}},
			},
		},
	}
}

func load(t *testing.T, s catalog.Snapshot) *catalog.World {
	t.Helper()
	var c catalog.Catalog
	w, err := c.Load(s)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return w
}

func TestCatalog(t *testing.T) {
	t.Parallel()

	t.Run("an empty catalog answers", func(t *testing.T) {
		t.Parallel()
		var c catalog.Catalog
		w := c.Current()
		if w.Generation() != 0 || len(w.Services()) != 0 || len(w.Stages("x")) != 0 {
			t.Errorf("got generation %d, services %v, stages %v; want an empty world", w.Generation(), w.Services(), w.Stages("x"))
		}
	})

	t.Run("a wrong snapshot changes nothing", func(t *testing.T) {
		t.Parallel()
		var c catalog.Catalog
		before, err := c.Load(house())
		if err != nil {
			t.Fatal(err)
		}
		wrong := house()
		wrong.Services[0].Owner = "team-paymnts"
		_, err = c.Load(wrong)
		if got := nightporter.CodeOf(err); got != nightporter.Invalid {
			t.Errorf("code of %v: got %q, want invalid", err, got)
		}
		if c.Current() != before {
			t.Error("the world changed")
		}
		after, err := c.Load(house())
		if err != nil {
			t.Fatal(err)
		}
		if after.Generation() != before.Generation()+1 {
			t.Errorf("generation: got %d after %d", after.Generation(), before.Generation())
		}
	})

	t.Run("the caller's later changes do not reach the world", func(t *testing.T) {
		t.Parallel()
		s := house()
		w := load(t, s)
		s.Teams[0].Members[0] = "mallory"
		s.Services[1].Approval["prod"] = catalog.Approval{Count: 9}
		s.Environments[2].Approval.From[0] = "mallory"
		s.People[0].Logins["github"] = "mallory"
		s.Pipeline[0][0] = "mallory"
		if diff := cmp.Diff(load(t, house()).Services(), w.Services()); diff != "" {
			t.Errorf("services (-want +got):\n%s", diff)
		}
		if got := w.Approvers("ledger", "prod"); !slices.Equal(got, []string{"ana", "ben"}) {
			t.Errorf("approvers: got %v, want ana and ben", got)
		}
		if got := w.Stages("ledger")[0][0]; got != "dev" {
			t.Errorf("stage: got %q, want dev", got)
		}
	})

	t.Run("readers see whole worlds while others load", func(t *testing.T) {
		t.Parallel()
		var c catalog.Catalog
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 50 {
					if _, err := c.Load(house()); err != nil {
						t.Error(err)
					}
				}
			})
			wg.Go(func() {
				last := uint64(0)
				for range 500 {
					w := c.Current()
					if w.Generation() < last {
						t.Errorf("generation went back from %d to %d", last, w.Generation())
					}
					last = w.Generation()
					if n := len(w.Services()); n != 0 && n != 2 {
						t.Errorf("saw %d services", n)
					}
				}
			})
		}
		wg.Wait()
		if got := c.Current().Generation(); got != 200 {
			t.Errorf("generation: got %d, want 200", got)
		}
	})
}

func TestWorld(t *testing.T) {
	t.Parallel()
	w := load(t, house())

	t.Run("a forge login finds its person whatever the case", func(t *testing.T) {
		t.Parallel()
		p, ok := w.PersonByForgeLogin("github", "ana-gh")
		if !ok || p.Name != "ana" {
			t.Errorf("got %v %v, want ana", p, ok)
		}
		if p, ok := w.PersonByForgeLogin("gitea", "ana-gh"); ok {
			t.Errorf("another forge's login found %v", p)
		}
	})

	t.Run("teams and owners", func(t *testing.T) {
		t.Parallel()
		if got := w.TeamsOf("ana"); !slices.Equal(got, []string{"team-payments", "team-platform"}) {
			t.Errorf("teams of ana: got %v", got)
		}
		if owner, ok := w.OwnerOf("ledger"); !ok || owner.Name != "team-payments" {
			t.Errorf("owner of ledger: got %v %v", owner, ok)
		}
		if owner, ok := w.OwnerOf("nothing"); ok {
			t.Errorf("owner of an unknown service: got %v", owner)
		}
		if !w.IsOperator("eve") || !w.IsOperator("ana") || w.IsOperator("ben") {
			t.Error("operators: want eve by name and ana by team, not ben")
		}
	})

	t.Run("a service's own approval rule wins over the environment's", func(t *testing.T) {
		t.Parallel()
		if w.ApprovalFor("docs", "prod").Needed() {
			t.Error("docs asked for an approval")
		}
		if !w.ApprovalFor("ledger", "prod").Needed() {
			t.Error("ledger asked for none")
		}
	})

	t.Run("an unknown environment lets nothing in", func(t *testing.T) {
		t.Parallel()
		if a := w.ApprovalFor("ledger", "prd"); !a.Needed() || len(w.Approvers("ledger", "prd")) != 0 {
			t.Errorf("got %v, want an approval that nobody can give", a)
		}
	})

	t.Run("a service passes only its own environments", func(t *testing.T) {
		t.Parallel()
		want := [][]string{{"dev"}, {"prod"}}
		if diff := cmp.Diff(want, w.Stages("docs")); diff != "" {
			t.Errorf("stages (-want +got):\n%s", diff)
		}
	})

	t.Run("without a pipeline production comes last", func(t *testing.T) {
		t.Parallel()
		s := house()
		s.Pipeline = nil
		w := load(t, s)
		want := [][]string{{"dev", "preprod"}, {"prod"}}
		if diff := cmp.Diff(want, w.Stages("ledger")); diff != "" {
			t.Errorf("stages (-want +got):\n%s", diff)
		}
		if got := slices.Collect(w.Production()); !slices.Equal(got, []string{"prod"}) {
			t.Errorf("production: got %v", got)
		}
	})

	t.Run("repositories are listed once", func(t *testing.T) {
		t.Parallel()
		if got := fmt.Sprint(w.Repositories()); got != "[github/docs github/infra github/ledger]" {
			t.Errorf("got %s", got)
		}
	})
}

func TestNearest(t *testing.T) {
	t.Parallel()
	zoo := []string{"timezone", "schedule", "approval", "prod", "preprod"}
	for word, want := range map[string]string{
		"timezome": "timezone", "tiemzone": "timezone", "Schedule": "schedule",
		"aproval": "approval", "prd": "prod", "elephant": "", "": "",
	} {
		if got := catalog.Nearest(word, zoo); got != want {
			t.Errorf("Nearest(%q): got %q, want %q", word, got, want)
		}
	}
}

func ExampleCatalog() {
	var c catalog.Catalog
	if _, err := c.Load(house()); err != nil {
		fmt.Println(err)
		return
	}
	w := c.Current()
	fmt.Println(w.Stages("ledger"))
	fmt.Println(w.Approvers("ledger", "prod"))
	// Output:
	// [[dev preprod] [prod]]
	// [ana ben]
}

func BenchmarkLoad1000Services(b *testing.B) {
	s := house()
	template := s.Services[0]
	for i := range 1000 {
		v := template
		v.Name = fmt.Sprintf("service-%d", i)
		s.Services = append(s.Services, v)
	}
	var c catalog.Catalog
	for b.Loop() {
		if _, err := c.Load(s); err != nil {
			b.Fatal(err)
		}
	}
}
