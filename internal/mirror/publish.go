package mirror

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"nightporter.dev/nightporter"
)

// maxPublished bounds a file that is read back.
const maxPublished = 1 << 20

// Publish adds a commit with one file, and nothing else in its tree, to a branch,
// and pushes it without force: what was there stays. A file that is as it should be
// already gets no commit. Errors: unavailable when the forge does not take it.
func (m *Mirror) Publish(ctx context.Context, repo nightporter.Repo, branch, file, text, message string) error {
	if !plainRef(branch) || !plainName(file) {
		return nightporter.E(nightporter.Invalid, "%q of %q cannot be written", file, branch)
	}
	parent, have, err := m.published(ctx, repo, branch, file)
	if err != nil || parent != "" && have == text {
		return err
	}
	remote, bare, err := m.bare(ctx, repo)
	if err != nil {
		return err
	}
	credentials, err := remote.Credentials(ctx, repo.Name)
	if err != nil {
		return err
	}
	blob, err := m.feed(ctx, bare, text, "hash-object", "-w", "--stdin")
	if err != nil {
		return err
	}
	tree, err := m.feed(ctx, bare, "100644 blob "+blob+"\t"+file+"\n", "mktree")
	if err != nil {
		return err
	}
	args := []string{"commit-tree", tree}
	if parent != "" {
		args = append(args, "-p", parent)
	}
	commit, err := m.feed(ctx, bare, message+"\n", args...)
	if err != nil {
		return err
	}
	push := []string{"push", "--quiet", "--no-verify", remote.CloneURL(repo.Name), commit + ":refs/heads/" + branch}
	if _, err := m.git(ctx, bare, authorization(credentials), push...); err != nil {
		return nightporter.Wrap(err, nightporter.Unavailable, "%s did not take the commit on %s", repo, branch)
	}
	return nil
}

// Published reads a file of a branch as it is at the forge; "" when there is none.
func (m *Mirror) Published(ctx context.Context, repo nightporter.Repo, branch, file string) (string, error) {
	if !plainRef(branch) || !plainName(file) {
		return "", nightporter.E(nightporter.Invalid, "%q of %q cannot be read", file, branch)
	}
	_, text, err := m.published(ctx, repo, branch, file)
	return text, err
}

func (m *Mirror) published(ctx context.Context, repo nightporter.Repo, branch, file string) (commit, text string, err error) {
	_, tips, err := m.Branches(ctx, repo)
	if err != nil || len(tips) == 0 {
		return "", "", err
	}
	_, bare, err := m.bare(ctx, repo)
	if err != nil {
		return "", "", err
	}
	out, err := m.git(ctx, bare, nil, "for-each-ref", "--format=%(objectname)", "refs/heads/"+branch)
	if commit = strings.TrimSpace(out); err != nil || commit == "" {
		return "", "", err
	}
	text, err = m.git(ctx, bare, nil, "cat-file", "blob", commit+":"+file)
	if err != nil {
		return commit, "", nil // the branch is somebody's, and has no such file
	}
	if len(text) > maxPublished {
		return commit, "", nightporter.E(nightporter.Invalid, "%s of %s is too large", file, repo)
	}
	return commit, text, nil
}

// feed runs git with a text on its standard input and returns what it prints.
func (m *Mirror) feed(ctx context.Context, bare, text string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	cmd := m.command(ctx, bare, []string{"user.name=Nightporter", "user.email=nightporter@localhost"}, args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(text), &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}
