package mirror

import (
	"context"
	"fmt"
	"io"
	"strings"

	"nightporter.dev/nightporter"
)

// headRef is where a mirror keeps what the remote's HEAD points to.
const headRef = "refs/nightporter/head"

// Branches brings all branches of a repository up to date, and forgets those that
// are gone. It returns the commit of the default branch, "" for a repository without
// one, and the commits of all of them. Errors: not_found and unavailable.
func (m *Mirror) Branches(ctx context.Context, repo nightporter.Repo) (head string, tips []string, err error) {
	remote, bare, err := m.bare(ctx, repo)
	if err != nil {
		return "", nil, err
	}
	lock := m.lock(repo)
	lock.Lock()
	defer lock.Unlock()
	credentials, err := remote.Credentials(ctx, repo.Name)
	if err != nil {
		return "", nil, err
	}
	fetch := []string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--force", "--prune", remote.CloneURL(repo.Name), "+refs/heads/*:refs/heads/*"}
	if _, err := m.git(ctx, bare, authorization(credentials), fetch...); err != nil {
		return "", nil, nightporter.Wrap(err, nightporter.Unavailable, "%s could not be fetched", repo)
	}
	fetch[len(fetch)-1] = "+HEAD:" + headRef
	// A repository without commits has no HEAD to fetch.
	if _, err := m.git(ctx, bare, authorization(credentials), fetch...); err == nil {
		out, err := m.git(ctx, bare, nil, "rev-parse", "--verify", "--quiet", headRef+"^{commit}")
		if err != nil {
			return "", nil, nightporter.Wrap(err, nightporter.Unavailable, "%s could not be read", repo)
		}
		head = strings.TrimSpace(out)
	}
	out, err := m.git(ctx, bare, nil, "for-each-ref", "--format=%(objectname)", "refs/heads")
	if err != nil {
		return "", nil, nightporter.Wrap(err, nightporter.Unavailable, "%s could not be read", repo)
	}
	return head, strings.Fields(out), nil
}

// Log writes what `git log` prints with args about a repository as it was last
// fetched. since are commits whose history is left out; those that the mirror does
// not have are passed over. git's failure is an error, and what was written until
// then is not all.
func (m *Mirror) Log(ctx context.Context, repo nightporter.Repo, since []string, w io.Writer, args ...string) error {
	_, bare, err := m.bare(ctx, repo)
	if err != nil {
		return err
	}
	for n, c := range since {
		if n == 0 {
			args = append(args[:len(args):len(args)], "--not")
		}
		if !isCommit(c) {
			return nightporter.E(nightporter.Invalid, "%q is no commit", c)
		}
		if _, err := m.git(ctx, bare, nil, "cat-file", "-e", c+"^{commit}"); err == nil {
			args = append(args, c)
		}
	}
	cmd := m.command(ctx, bare, nil, args...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = w, &limited{w: &said, left: 500}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("git log of %s: %w: %s", repo, err, strings.TrimSpace(said.String()))
	}
	return nil
}

// bare returns a repository's mirror and makes an empty one where there is none.
func (m *Mirror) bare(ctx context.Context, repo nightporter.Repo) (Remote, string, error) {
	remote := m.cfg.Remotes[repo.Forge]
	if remote == nil {
		return nil, "", nightporter.E(nightporter.NotFound, "no forge is called %q", repo.Forge)
	}
	if !plainName(repo.Name) {
		return nil, "", nightporter.E(nightporter.Invalid, "%q cannot be fetched", repo)
	}
	lock := m.lock(repo)
	lock.Lock()
	defer lock.Unlock()
	bare, err := m.ready(ctx, repo)
	return remote, bare, err
}

// limited keeps the beginning of what a process says.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	if _, err := l.w.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}
