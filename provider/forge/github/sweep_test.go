package github_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/provider/forge/github"
	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

// addMany makes repositories with one commit each and returns where they are.
func addMany(t testing.TB, s *githubtest.Server, n int) forge.Known {
	t.Helper()
	known := forge.Known{}
	for i := range n {
		name := fmt.Sprintf("service-%03d", i)
		known[name] = must[string](t)(s.AddRepo(name, map[string]string{"README.md": "# " + name + "\n"}))
	}
	return known
}

// cost is how many requests were made, and their points.
func cost(s *githubtest.Server) (requests, points int) {
	for _, r := range s.Requests() {
		requests++
		points += r.Points
	}
	return requests, points
}

// The budget is of docs/design.md, "Budgets": 1,000 repositories in 50 requests
// from cold. A hundred repositories are one request, and a hundred that all moved
// six.
func TestASweepOfAHundredRepositoriesIsOneRequest(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	f := connect(t, s, nil)
	known := addMany(t, s, 100)
	sweep := func(what string, wantMerges, maxRequests, maxPoints int) {
		t.Helper()
		s.ForgetRequests()
		states, err := f.Sweep(t.Context(), known)
		if err != nil {
			t.Fatal(err)
		}
		merges := 0
		for _, st := range states {
			merges += len(st.Merges)
		}
		requests, points := cost(s)
		t.Logf("%s: %d repositories, %d merges, %d requests, %d points", what, len(states), merges, requests, points)
		if len(states) != 100 || merges != wantMerges || requests > maxRequests || points > maxPoints {
			t.Errorf("%s: got %d repositories, %d merges, %d requests, %d points; want 100, %d, at most %d and %d",
				what, len(states), merges, requests, points, wantMerges, maxRequests, maxPoints)
		}
	}
	sweep("nothing moved", 0, 1, 13)
	for i := range 5 {
		must[string](t)(s.PushDirect(fmt.Sprintf("service-%03d", i), "by hand", "ana-gh", nil))
	}
	sweep("five moved", 5, 2, 25)
	for i := 5; i < 100; i++ {
		must[string](t)(s.PushDirect(fmt.Sprintf("service-%03d", i), "by hand", "ana-gh", nil))
	}
	sweep("all moved", 100, 6, 250)
}

func TestASweepReadsAllPages(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	f := connect(t, s, func(c *github.Config) { c.PageSize = 3 })
	addMany(t, s, 8)
	states, err := f.Sweep(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if requests, _ := cost(s); len(states) != 8 || requests != 3 {
		t.Errorf("got %d repositories in %d requests, want 8 in 3", len(states), requests)
	}
}

func TestAPageThatTakesTooLongIsHalved(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	f := connect(t, s, func(c *github.Config) { c.PageSize = 8 })
	known := addMany(t, s, 5)
	for name := range known {
		must[string](t)(s.PushDirect(name, "by hand", "ana-gh", nil))
	}
	s.SetFault(githubtest.Fault{SlowAbove: 2})
	states, err := f.Sweep(t.Context(), known)
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range states {
		if len(st.Merges) != 1 {
			t.Errorf("%s: got %d merges, want 1", st.Name, len(st.Merges))
		}
	}
	// Pages of 8, 4, then 2, 2, 1; what moved in 5, 2, 3, 1 and 2.
	if requests, _ := cost(s); len(states) != 5 || requests != 10 {
		t.Errorf("got %d repositories in %d requests, want 5 in 10", len(states), requests)
	}
	s.SetFault(githubtest.Fault{Status: 502})
	if states, err := f.Sweep(t.Context(), nil); err == nil || states != nil {
		t.Errorf("when even one repository takes too long: got %d states and %v, want none and an error", len(states), err)
	}
}

func TestARepositoryThatIsGoneBetweenThePagesIsPartial(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	f := connect(t, s, nil)
	must[string](t)(s.AddRepo("ledger", map[string]string{"a": "b"}))
	// A commit that the fake never had is as good as one that was deleted.
	state, err := f.Refresh(t.Context(), "ledger", "0123456789012345678901234567890123456789")
	if err != nil {
		t.Fatal(err)
	}
	if !state.MergesPartial || len(state.Merges) != 1 {
		t.Errorf("got %d merges, partial %v; want the one there is, and partial", len(state.Merges), state.MergesPartial)
	}
}

func TestAnOrganisationThatIsNotThereIsNotFound(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	f := connect(t, s, func(c *github.Config) { c.Organisation = "acne" })
	_, err := f.Sweep(t.Context(), nil)
	want := &forge.NotFoundError{What: "organisation acne"}
	if diff := cmp.Diff(error(want), err); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
