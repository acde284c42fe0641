package judge

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// Git reads one bare repository with the system's git.
type Git struct{ Dir string }

func (g Git) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"--git-dir", g.Dir}, args...)...)
	cmd.Env = append(cmd.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_NO_REPLACE_OBJECTS=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// Commit is the commit that a revision leads to: "main", "tags/prod".
func (g Git) Commit(ctx context.Context, revision string) (string, error) {
	return g.run(ctx, "rev-parse", "--verify", "--quiet", revision+"^{commit}")
}

// File reads a file as it is at a revision, without the empty lines at its end.
func (g Git) File(ctx context.Context, revision, path string) (string, error) {
	return g.run(ctx, "show", revision+":"+path)
}

// Count is how many commits of the first-parent line to has and from has not.
func (g Git) Count(ctx context.Context, from, to string) (int, error) {
	out, err := g.run(ctx, "rev-list", "--count", "--first-parent", from+".."+to, "--")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(out)
}

// Line is the first-parent line of main, oldest first.
func (g Git) Line(ctx context.Context) ([]string, error) {
	out, err := g.run(ctx, "rev-list", "--first-parent", "--reverse", "main", "--")
	return strings.Fields(out), err
}

// Tag is a version tag and its commit.
type Tag struct{ Name, Commit string }

// Versions are the tags v…, in the order of their commits on main. Tags on
// commits that are not on main come first.
func (g Git) Versions(ctx context.Context) ([]Tag, error) {
	line, err := g.Line(ctx)
	if err != nil {
		return nil, err
	}
	out, err := g.run(ctx, "for-each-ref", "--format=%(refname:lstrip=2) %(objectname) %(*objectname)", "refs/tags/v*")
	if err != nil {
		return nil, err
	}
	var tags []Tag
	for l := range strings.Lines(out) {
		f := strings.Fields(l)
		tags = append(tags, Tag{f[0], f[len(f)-1]})
	}
	slices.SortStableFunc(tags, func(a, b Tag) int {
		return slices.Index(line, a.Commit) - slices.Index(line, b.Commit)
	})
	return tags, nil
}
