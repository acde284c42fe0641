package forgetest

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nightporter.dev/nightporter/provider/forge"
)

var historyTests = []test{
	{"history follows first parents, whatever way the commits came", func(t *testing.T, h Harness) {
		h.World.AddRepo(t, "ledger")
		root := state(t, h, "ledger", "").Head
		a := h.World.Open(t, "ledger", Pull{Title: "A", Author: "ana-gh"})
		b := h.World.Open(t, "ledger", Pull{Title: "B", Author: "ben-gh"})
		h.World.PushToPull(t, "ledger", b, "ben-gh")
		ca := h.World.Merge(t, "ledger", a, Squash)
		cb := h.World.Merge(t, "ledger", b, MergeCommit)
		cc := h.World.Push(t, "ledger", "by hand", "cleo-gh")
		got := history(t, h, forge.Range{})
		type row struct {
			Commit, Parent string
			Pull           int
		}
		var rows []row
		for _, m := range got.Merges {
			r := row{Commit: m.Commit, Parent: m.Parent}
			if m.PullRequest != nil {
				r.Pull = m.PullRequest.Number
			}
			rows = append(rows, r)
			sane(t, "CommittedAt", m.CommittedAt)
		}
		want := []row{{root, "", 0}, {ca, root, a}, {cb, ca, b}, {cc, cb, 0}}
		if diff := cmp.Diff(want, rows); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		if !got.Reached || got.Head != cc {
			t.Errorf("got reached %v head %s, want true and %s", got.Reached, got.Head, cc)
		}
	}},
	{"history begins after the given commit and keeps to the limit", func(t *testing.T, h Harness) {
		h.World.AddRepo(t, "ledger")
		var line []string
		for i := range 5 {
			line = append(line, h.World.Push(t, "ledger", fmt.Sprintf("change %d", i), "ana-gh"))
		}
		since := history(t, h, forge.Range{Since: line[1]})
		if diff := cmp.Diff(line[2:], commits(since.Merges)); diff != "" || !since.Reached {
			t.Errorf("since: reached %v (-want +got):\n%s", since.Reached, diff)
		}
		last := history(t, h, forge.Range{Since: line[0], Limit: 2})
		if diff := cmp.Diff(line[3:], commits(last.Merges)); diff != "" || last.Reached || last.Rewritten() {
			t.Errorf("limit: reached %v, rewritten %v (-want +got):\n%s", last.Reached, last.Rewritten(), diff)
		}
		none := history(t, h, forge.Range{Since: line[4]})
		if len(none.Merges) != 0 || !none.Reached {
			t.Errorf("since head: got %d merges, reached %v; want none and reached", len(none.Merges), none.Reached)
		}
	}},
	{"history pages through more than one answer carries", func(t *testing.T, h Harness) {
		h.World.AddRepo(t, "ledger")
		root := state(t, h, "ledger", "").Head
		var want []string
		for i := range 60 {
			want = append(want, h.World.Push(t, "ledger", fmt.Sprintf("change %d", i), "ana-gh"))
		}
		got := history(t, h, forge.Range{Since: root})
		if diff := cmp.Diff(want, commits(got.Merges)); diff != "" || !got.Reached {
			t.Errorf("reached %v (-want +got):\n%s", got.Reached, diff)
		}
		s := state(t, h, "ledger", root)
		if !s.MergesPartial || len(s.Merges) == 0 || s.Merges[len(s.Merges)-1].Commit != s.Head {
			t.Errorf("a look at 60 new commits: got %d, partial %v; want some of the newest and partial", len(s.Merges), s.MergesPartial)
		}
	}},
	{"a rewritten branch is noticed", func(t *testing.T, h Harness) {
		h.World.AddRepo(t, "ledger")
		before := h.World.Push(t, "ledger", "soon gone", "ana-gh")
		h.World.Rewrite(t, "ledger")
		if got := history(t, h, forge.Range{Since: before}); !got.Rewritten() {
			t.Errorf("got %+v, want it rewritten", got)
		}
	}},
	{"a repository without commits has no history", func(t *testing.T, h Harness) {
		h.World.AddEmptyRepo(t, "ledger")
		got := history(t, h, forge.Range{})
		if diff := cmp.Diff(forge.History{Reached: true}, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	}},
	{"a merge tells who wrote it, who approved it and its labels at that moment", func(t *testing.T, h Harness) {
		h.World.AddRepo(t, "ledger")
		before := state(t, h, "ledger", "").Head
		n := h.World.Open(t, "ledger", Pull{Title: "Round to pence", Author: "ana-gh", Labels: []string{"patch"}})
		h.Step()
		h.World.Approve(t, "ledger", n, "ben-gh")
		h.World.PushToPull(t, "ledger", n, "cleo-gh")
		h.World.Approve(t, "ledger", n, "dan-gh")
		h.Step()
		h.World.Label(t, "ledger", n, "minor")
		h.World.Unlabel(t, "ledger", n, "patch")
		commit := h.World.Merge(t, "ledger", n, Squash)
		h.World.Label(t, "ledger", n, "major") // within the same second
		h.World.Unlabel(t, "ledger", n, "minor")
		h.World.Approve(t, "ledger", n, "eve-gh")
		m := history(t, h, forge.Range{Since: before}).Merges
		if len(m) != 1 || m[0].PullRequest == nil {
			t.Fatalf("got %+v, want one merge with a pull request", m)
		}
		pr := *m[0].PullRequest
		want := forge.MergedPull{
			Number: n, Title: "Round to pence", Authors: []string{"ana-gh", "cleo-gh"},
			Reviewers: []string{"dan-gh"}, StaleReviewers: []string{"ben-gh"}, Labels: []string{"minor"},
		}
		if diff := cmp.Diff(want, pr, cmpopts.IgnoreFields(forge.MergedPull{}, "URL", "MergedBy", "MergedAt", "FirstCommitAt")); diff != "" {
			t.Errorf("pull request (-want +got):\n%s", diff)
		}
		if m[0].Commit != commit || pr.URL == "" || pr.MergedBy == "" || m[0].Message == "" {
			t.Errorf("got commit %s, url %q, merged by %q, message %q", m[0].Commit, pr.URL, pr.MergedBy, m[0].Message)
		}
		sane(t, "MergedAt", pr.MergedAt)
		sane(t, "FirstCommitAt", pr.FirstCommitAt)
		if pr.FirstCommitAt.After(pr.MergedAt) {
			t.Errorf("first commit at %v, after the merge at %v", pr.FirstCommitAt, pr.MergedAt)
		}
	}},
}

func history(t testing.TB, h Harness, r forge.Range) forge.History {
	t.Helper()
	got, err := h.Forge.History(t.Context(), "ledger", r)
	if err != nil {
		t.Fatalf("history of ledger: %v", err)
	}
	return got
}
