package mirror_test

import (
	"slices"
	"strings"
	"testing"

	"nightporter.dev/nightporter"
)

func TestHistory(t *testing.T) {
	t.Parallel()
	ctx, o := t.Context(), newOrigin(t)
	m := newMirror(t, o, nil)
	if head, tips, err := m.Branches(ctx, repo); err != nil || head != "" || len(tips) != 0 {
		t.Errorf("an empty repository has %q %q: %v", head, tips, err)
	}
	first := o.commit(map[string]string{"a": "1"})
	second := o.commit(map[string]string{"a": "2"})
	o.git("checkout", "--quiet", "-b", "side", first)
	side := o.commit(map[string]string{"b": "1"})
	o.git("checkout", "--quiet", "main")
	log := func(since ...string) []string {
		t.Helper()
		var b strings.Builder
		if err := m.Log(ctx, repo, since, &b, "log", "--format=%H", "--branches"); err != nil {
			t.Fatal(err)
		}
		return slices.Sorted(slices.Values(strings.Fields(b.String())))
	}
	sorted := func(list ...string) []string { return slices.Sorted(slices.Values(list)) }

	head, tips, err := m.Branches(ctx, repo)
	if err != nil || head != second || !slices.Equal(sorted(tips...), sorted(second, side)) {
		t.Errorf("got %s, %q: %v", head, tips, err)
	}
	if got := log(); !slices.Equal(got, sorted(first, second, side)) {
		t.Errorf("all of it is %q", got)
	}
	if got := log(second, strings.Repeat("ab", 20)); !slices.Equal(got, []string{side}) {
		t.Errorf("since %s, and a commit that nobody has, there is %q", second, got)
	}
	t.Run("a branch that is gone is not read any more", func(t *testing.T) {
		o.git("branch", "-D", "side")
		if _, tips, err := m.Branches(ctx, repo); err != nil || !slices.Equal(tips, []string{second}) {
			t.Errorf("got %q: %v", tips, err)
		}
	})
	t.Run("what git cannot read is an error, and so is what is no commit", func(t *testing.T) {
		if err := m.Log(ctx, repo, nil, &strings.Builder{}, "log", strings.Repeat("0", 40)); err == nil {
			t.Error("no error")
		}
		if err := m.Log(ctx, repo, []string{"--output=/tmp/x"}, &strings.Builder{}, "log", "--branches"); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("got %v", err)
		}
	})
}

func TestPublish(t *testing.T) {
	t.Parallel()
	ctx, o := t.Context(), newOrigin(t)
	o.commit(map[string]string{"README": "1"})
	m := newMirror(t, o, nil)
	if text, err := m.Published(ctx, repo, "kept", "note"); err != nil || text != "" {
		t.Errorf("before the first: %q: %v", text, err)
	}
	for _, text := range []string{"one\n", "one\n", "two\n"} {
		if err := m.Publish(ctx, repo, "kept", "note", text, "a note"); err != nil {
			t.Fatal(err)
		}
		if got, err := m.Published(ctx, repo, "kept", "note"); err != nil || got != text {
			t.Errorf("got %q, want %q: %v", got, text, err)
		}
	}
	if got := o.git("log", "--format=%s", "kept"); got != "a note\na note" {
		t.Errorf("the branch has %q", got)
	}
	if got := o.git("ls-tree", "--name-only", "kept"); got != "note" {
		t.Errorf("its tree has %q", got)
	}
	t.Run("a branch that somebody wrote anew is not forced", func(t *testing.T) {
		if err := m.Publish(ctx, repo, "main", "note", "x", "a note"); err == nil {
			t.Error("the branch that is checked out took it") // git refuses that one
		}
	})
}
