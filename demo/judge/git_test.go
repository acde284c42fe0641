package judge_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nightporter.dev/nightporter/demo/judge"
)

// repository is a bare repository with a few commits, made by git itself.
func repository(t *testing.T) (judge.Git, func(args ...string) string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "r.git")
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"--git-dir", dir}, args...)...)
		cmd.Env = append(cmd.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "--quiet", "--bare", "--initial-branch=main")
	return judge.Git{Dir: dir}, git
}

func TestGitIsCountedAlongTheFirstParents(t *testing.T) {
	t.Parallel()
	g, git := repository(t)
	tree := git("hash-object", "-t", "tree", "-w", "/dev/null")
	commit := func(message string, parents ...string) string {
		args := []string{"commit-tree", tree, "-m", message}
		for _, p := range parents {
			args = append(args, "-p", p)
		}
		return git(args...)
	}
	one := commit("one")
	side := commit("side", commit("more", one))
	two := commit("two", one, side) // a merge commit: one merge, whatever it brings
	three := commit("three", two)
	git("update-ref", "refs/heads/main", three)
	git("update-ref", "refs/tags/prod", one)
	git("update-ref", "refs/tags/v0.10.0", three)
	git("tag", "-m", "annotated", "v0.9.0", two)
	git("update-ref", "refs/tags/v9.0.0", side)

	if n, err := g.Count(t.Context(), "refs/tags/prod", "refs/heads/main"); err != nil || n != 2 {
		t.Errorf("prod is %d behind, %v; want 2", n, err)
	}
	line, err := g.Line(t.Context())
	if want := []string{one, two, three}; err != nil || fmt.Sprint(line) != fmt.Sprint(want) {
		t.Errorf("the line is %v, %v; want %v", line, err, want)
	}
	tags, err := g.Versions(t.Context())
	want := []judge.Tag{{Name: "v9.0.0", Commit: side}, {Name: "v0.9.0", Commit: two}, {Name: "v0.10.0", Commit: three}}
	if err != nil || fmt.Sprint(tags) != fmt.Sprint(want) {
		t.Errorf("the versions are %v, %v; want %v", tags, err, want)
	}
	if got, err := g.Commit(t.Context(), "refs/tags/v0.9.0"); err != nil || got != two {
		t.Errorf("v0.9.0 leads to %q, %v; want %s", got, err, two)
	}
	if got, err := g.Commit(t.Context(), "refs/tags/v1.0.0"); err == nil {
		t.Errorf("a tag that is not there leads to %q", got)
	}
}
