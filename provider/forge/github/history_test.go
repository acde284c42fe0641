package github_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

func ledger(t testing.TB, s *githubtest.Server) string {
	t.Helper()
	return must[string](t)(s.AddRepo("ledger", map[string]string{"README.md": "# ledger\n"}))
}

func merges(t testing.TB, f forge.Historian, since string) []forge.Merge {
	t.Helper()
	h, err := f.History(t.Context(), "ledger", forge.Range{Since: since})
	if err != nil {
		t.Fatal(err)
	}
	return h.Merges
}

func numbers(list []forge.Merge) []int {
	var n []int
	for _, m := range list {
		if m.PullRequest == nil {
			n = append(n, 0)
		} else {
			n = append(n, m.PullRequest.Number)
		}
	}
	return n
}

// GitHub connects a commit with its pull request some seconds after the merge.
// Without care the merge would look like a push without one, and get no version.
func TestAMergeThatGitHubDoesNotConnectYetIsFoundByItsNumber(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	f := connect(t, s, nil)
	before := ledger(t, s)
	a := must[int](t)(s.OpenPull("ledger", githubtest.NewPull{Title: "A", Labels: []string{"minor"}}))
	b := must[int](t)(s.OpenPull("ledger", githubtest.NewPull{Title: "B"}))
	must[string](t)(s.Merge("ledger", a, githubtest.Squash, "ana-gh"))
	must[string](t)(s.Merge("ledger", b, githubtest.MergeCommit, "ana-gh"))
	s.SetFault(githubtest.Fault{StaleAssociations: true})
	got := merges(t, f, before)
	if diff := cmp.Diff([]int{a, b}, numbers(got)); diff != "" {
		t.Fatalf("pull requests (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"minor"}, got[0].PullRequest.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}

func TestAMessageThatNamesAPullRequestIsNotBelieved(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	f := connect(t, s, nil)
	before := ledger(t, s)
	n := must[int](t)(s.OpenPull("ledger", githubtest.NewPull{Title: "A", Labels: []string{"major"}}))
	must[string](t)(s.PushDirect("ledger", fmt.Sprintf("Looks merged (#%d)", n), "mallory-gh", nil))
	must[string](t)(s.Merge("ledger", n, githubtest.Squash, "ana-gh"))
	must[string](t)(s.PushDirect("ledger", fmt.Sprintf("Looks merged again (#%d)", n), "mallory-gh", nil))
	must[string](t)(s.PushDirect("ledger", "Names nothing (#404)", "mallory-gh", nil))
	if diff := cmp.Diff([]int{0, n, 0, 0}, numbers(merges(t, f, before))); diff != "" {
		t.Errorf("pull requests (-want +got):\n%s", diff)
	}
}

func TestOfARebaseTheLastCommitHasThePullRequest(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	f := connect(t, s, nil)
	ledger(t, s)
	n := must[int](t)(s.OpenPull("ledger", githubtest.NewPull{Title: "A"}))
	must[string](t)(s.PushToPull("ledger", n, "ana-gh", nil))
	aside := must[string](t)(s.PushDirect("ledger", "aside", "ben-gh", nil))
	must[string](t)(s.Merge("ledger", n, githubtest.Rebase, "ana-gh"))
	if diff := cmp.Diff([]int{0, n}, numbers(merges(t, f, aside))); diff != "" {
		t.Errorf("pull requests (-want +got):\n%s", diff)
	}
}

func TestListsLongerThanOnePageAreReadToTheEnd(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	f := connect(t, s, nil)
	before := ledger(t, s)
	n := must[int](t)(s.OpenPull("ledger", githubtest.NewPull{Title: "Long"}))
	for range 54 {
		must[string](t)(s.PushToPull("ledger", n, "ana-gh", nil))
	}
	must[string](t)(s.PushToPull("ledger", n, "late-gh", nil))
	for i := range 90 {
		check(t, s.Label("ledger", n, fmt.Sprint("l", i%2), "ana-gh"))
		check(t, s.Unlabel("ledger", n, fmt.Sprint("l", i%2), "ana-gh"))
	}
	check(t, s.Label("ledger", n, "minor", "ana-gh"))
	check(t, s.Approve("ledger", n, "ben-gh"))
	must[string](t)(s.Merge("ledger", n, githubtest.Squash, "ana-gh"))
	pr := merges(t, f, before)[0].PullRequest
	if !slices.Equal(pr.Authors, []string{"ana-gh", "late-gh"}) || !slices.Equal(pr.Labels, []string{"minor"}) || !slices.Equal(pr.Reviewers, []string{"ben-gh"}) {
		t.Errorf("got authors %q, labels %q, reviewers %q", pr.Authors, pr.Labels, pr.Reviewers)
	}
}

func TestTheLastOpinionOfAReviewerCounts(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	f := connect(t, s, nil)
	before := ledger(t, s)
	n := must[int](t)(s.OpenPull("ledger", githubtest.NewPull{}))
	check(t, s.Approve("ledger", n, "ben-gh"))
	check(t, s.RequestChanges("ledger", n, "ben-gh"))
	check(t, s.RequestChanges("ledger", n, "dan-gh"))
	check(t, s.Approve("ledger", n, "dan-gh"))
	must[string](t)(s.Merge("ledger", n, githubtest.Squash, "ana-gh"))
	if got := merges(t, f, before)[0].PullRequest.Reviewers; !slices.Equal(got, []string{"dan-gh"}) {
		t.Errorf("got reviewers %q, want dan-gh alone", got)
	}
}

func TestMergesWithinOneSecondKeepTheirOrder(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	f := connect(t, s, nil)
	before := ledger(t, s)
	var want []int
	for range 12 {
		want = append(want, must[int](t)(s.OpenPull("ledger", githubtest.NewPull{})))
	}
	how := []githubtest.Method{githubtest.Squash, githubtest.MergeCommit}
	for i, n := range want {
		must[string](t)(s.Merge("ledger", n, how[i%2], "ana-gh"))
	}
	if diff := cmp.Diff(want, numbers(merges(t, f, before))); diff != "" {
		t.Errorf("pull requests (-want +got):\n%s", diff)
	}
}
