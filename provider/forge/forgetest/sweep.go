package forgetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/forge"
)

var sweepTests = []test{
	{"a sweep sees every repository, sorted", func(t *testing.T, h Harness) {
		h.World.AddRepo(t, "ledger")
		h.World.AddEmptyRepo(t, "blank")
		h.World.AddRepo(t, "old-api")
		h.World.Archive(t, "old-api")
		states, err := h.Forge.Sweep(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		type row struct {
			Name, Branch           string
			HasHead, Archived, Nil bool
		}
		var got []row
		for _, s := range states {
			got = append(got, row{s.Name, s.DefaultBranch, s.Head != "", s.Archived, s.Empty})
			sane(t, "ObservedAt", s.ObservedAt)
			if s.ID == "" || s.Fork || len(s.Merges) != 0 {
				t.Errorf("%s: got id %q, fork %v, %d merges; want an id, no fork, no merges", s.Name, s.ID, s.Fork, len(s.Merges))
			}
		}
		want := []row{{"blank", "", false, false, true}, {"ledger", "main", true, false, false}, {"old-api", "main", true, true, false}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
	}},
	{"a sweep tells what arrived since the known commit, and nothing where nothing did", func(t *testing.T, h Harness) {
		h.World.AddRepo(t, "ledger")
		h.World.AddRepo(t, "quiet")
		known := forge.Known{"ledger": state(t, h, "ledger", "").Head, "quiet": state(t, h, "quiet", "").Head}
		n := h.World.Open(t, "ledger", Pull{Title: "Round to pence", Author: "ana-gh", Labels: []string{"minor"}})
		first := h.World.Merge(t, "ledger", n, Squash)
		second := h.World.Push(t, "ledger", "hotfix", "ben-gh")
		states, err := h.Forge.Sweep(t.Context(), known)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string][]string{}
		for _, s := range states {
			got[s.Name] = commits(s.Merges)
			if s.MergesPartial {
				t.Errorf("%s: merges are partial, want whole", s.Name)
			}
		}
		want := map[string][]string{"ledger": {first, second}, "quiet": nil}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("merges (-want +got):\n%s", diff)
		}
	}},
	{"a refresh sees what a sweep sees", func(t *testing.T, h Harness) {
		h.World.AddRepo(t, "ledger")
		before := state(t, h, "ledger", "").Head
		n := h.World.Open(t, "ledger", Pull{Title: "One", Author: "ana-gh", Labels: []string{"patch"}})
		h.World.Approve(t, "ledger", n, "ben-gh")
		merged := h.World.Merge(t, "ledger", n, MergeCommit)
		h.World.PushTag(t, "ledger", "v1.0.0", merged, Annotated)
		h.World.Open(t, "ledger", Pull{Title: "Two", Author: "ben-gh", Draft: true})
		swept, err := h.Forge.Sweep(t.Context(), forge.Known{"ledger": before})
		if err != nil {
			t.Fatal(err)
		}
		refreshed := state(t, h, "ledger", before)
		if diff := cmp.Diff(swept, []forge.RepoState{refreshed}, cmpopts.IgnoreFields(forge.RepoState{}, "ObservedAt")); diff != "" {
			t.Errorf("refresh differs from sweep (-sweep +refresh):\n%s", diff)
		}
	}},
	{"a refresh says when the known commit is too far back or gone", func(t *testing.T, h Harness) {
		h.World.AddRepo(t, "ledger")
		before := state(t, h, "ledger", "").Head
		h.World.Rewrite(t, "ledger")
		if s := state(t, h, "ledger", before); !s.MergesPartial {
			t.Error("the branch was rewritten and the merges are not partial")
		}
	}},
	{"open pull requests come with head, labels and draft, the latest change first", func(t *testing.T, h Harness) {
		h.World.AddRepo(t, "ledger")
		one := h.World.Open(t, "ledger", Pull{Title: "One", Author: "ana-gh", Labels: []string{"patch", "bug"}})
		h.Step()
		two := h.World.Open(t, "ledger", Pull{Title: "Two", Author: "ben-gh", Draft: true})
		h.Step()
		gone := h.World.Open(t, "ledger", Pull{Title: "Gone", Author: "ben-gh"})
		h.World.Merge(t, "ledger", gone, Squash)
		h.Step()
		h.World.Label(t, "ledger", one, "docs")
		h.World.Unlabel(t, "ledger", one, "bug")
		head := h.World.PushToPull(t, "ledger", one, "ana-gh")
		want := []forge.Pull{
			{Number: one, Title: "One", Author: "ana-gh", Head: head, Base: "main", Labels: []string{"docs", "patch"}},
			{Number: two, Title: "Two", Author: "ben-gh", Head: h.World.HeadOf(t, "ledger", two), Base: "main", Draft: true},
		}
		got := state(t, h, "ledger", "").Pulls
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(forge.Pull{}, "URL", "UpdatedAt"), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("pulls (-want +got):\n%s", diff)
		}
		for _, p := range got {
			if p.URL == "" {
				t.Errorf("pull request %d has no address", p.Number)
			}
		}
	}},
	{"more open pull requests than a look carries are said to be more", func(t *testing.T, h Harness) {
		h.World.AddRepo(t, "ledger")
		for range 11 {
			h.World.Open(t, "ledger", Pull{Title: "Many", Author: "ana-gh"})
		}
		if s := state(t, h, "ledger", ""); !s.PullsPartial || len(s.Pulls) == 0 {
			t.Errorf("got %d pull requests, partial %v; want some and partial", len(s.Pulls), s.PullsPartial)
		}
	}},
	{"an unknown repository is not found", func(t *testing.T, h Harness) {
		_, err := h.Forge.Refresh(t.Context(), "nothing", "")
		if got := nightporter.CodeOf(err); got != nightporter.NotFound {
			t.Errorf("got %q (%v), want %q", got, err, nightporter.NotFound)
		}
		_, err = h.Forge.History(t.Context(), "nothing", forge.Range{})
		if got := nightporter.CodeOf(err); got != nightporter.NotFound {
			t.Errorf("history: got %q (%v), want %q", got, err, nightporter.NotFound)
		}
	}},
}

func commits(merges []forge.Merge) []string {
	var c []string
	for _, m := range merges {
		c = append(c, m.Commit)
	}
	return c
}
