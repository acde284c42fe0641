package githubtest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"
)

// bare is a bare git repository, worked on with the system's git.
type bare struct {
	dir     string
	commits map[string]*commit // what was read once; commits never change
}

// commit is what git knows of one.
type commit struct {
	sha, tree    string
	parents      []string
	author       identity
	committer    identity
	message      string
	authored, at time.Time
}

type identity struct{ name, email string }

// mailDomain is where the people of this GitHub have their mail: it is how a
// commit's author is known to be one of them.
const mailDomain = "@users.acme.test"

func person(login string) identity { return identity{login, login + mailDomain} }

// login is who this is here, or "" for somebody whom nobody knows.
func (i identity) login() string {
	login, ok := strings.CutSuffix(i.email, mailDomain)
	if !ok {
		return ""
	}
	return login
}

func initBare(dir string) (*bare, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, err
	}
	b := &bare{dir: dir, commits: map[string]*commit{}}
	if _, err := b.git(nil, nil, "init", "--quiet", "--bare", "--initial-branch=main", dir); err != nil {
		return nil, err
	}
	// git's own server refuses pushes over HTTP unless told otherwise.
	_, err := b.git(nil, nil, "config", "http.receivepack", "true")
	return b, err
}

// git runs git in the repository, away from anybody's own configuration.
func (b *bare) git(stdin []byte, env []string, args ...string) (string, error) {
	if args[0] != "init" {
		args = append([]string{"--git-dir", b.dir}, args...)
	}
	cmd := exec.CommandContext(context.Background(), "git", args...)
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + b.dir, "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
	}, env...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimRight(stdout.String(), "\n"), nil
}

// write commits files on top of parent and makes branch point there. Parent ""
// starts a new history.
func (b *bare) write(branch, parent, message string, author identity, when time.Time, files map[string]string) (string, error) {
	var in bytes.Buffer
	stamp := fmt.Sprintf("%s <%s> %d +0000", author.name, author.email, when.Unix())
	fmt.Fprintf(&in, "commit refs/heads/%s\nmark :1\nauthor %s\ncommitter %s\ndata %d\n%s\n", branch, stamp, stamp, len(message), message)
	if parent != "" {
		fmt.Fprintf(&in, "from %s\n", parent)
	}
	paths := make([]string, 0, len(files))
	for path := range files {
		paths = append(paths, path)
	}
	sort.Strings(paths)
	for _, path := range paths {
		mode := "100644"
		if strings.HasPrefix(files[path], "#!") {
			mode = "100755"
		}
		fmt.Fprintf(&in, "M %s inline %s\ndata %d\n%s\n", mode, strconv.Quote(path), len(files[path]), files[path])
	}
	in.WriteString("get-mark :1\n")
	return b.git(in.Bytes(), nil, "fast-import", "--quiet", "--force")
}

// join makes a commit of the tree that merging head into base gives.
func (b *bare) join(base, head string, parents []string, message string, author identity, when time.Time) (string, error) {
	tree, err := b.git(nil, nil, "merge-tree", "--write-tree", base, head)
	if err != nil {
		return "", err
	}
	args := []string{"commit-tree", tree, "-F", "-"}
	for _, p := range parents {
		args = append(args, "-p", p)
	}
	date := fmt.Sprintf("%d +0000", when.Unix())
	return b.git([]byte(message), []string{
		"GIT_AUTHOR_NAME=" + author.name, "GIT_AUTHOR_EMAIL=" + author.email, "GIT_AUTHOR_DATE=" + date,
		"GIT_COMMITTER_NAME=GitHub", "GIT_COMMITTER_EMAIL=noreply@github.com", "GIT_COMMITTER_DATE=" + date,
	}, args...)
}

// ref is what one reference points at.
type ref struct {
	name   string // refs/heads/main
	object string
	kind   string // commit or tag
	commit string // what object leads to
}

// refs returns all branches and tags by full name. It asks git each time: people
// push to the repository's folder too.
func (b *bare) refs() (map[string]ref, error) {
	out, err := b.git(nil, nil, "for-each-ref", "--format=%(refname) %(objectname) %(objecttype) %(*objectname)", "refs/heads", "refs/tags")
	if err != nil {
		return nil, err
	}
	refs := map[string]ref{}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		r := ref{name: f[0], object: f[1], kind: f[2], commit: f[1]}
		if len(f) == 4 {
			r.commit = f[3]
		}
		refs[r.name] = r
	}
	return refs, nil
}

// setRef makes a reference point at object; from is what it must point at now,
// "" for nothing at all, "*" for whatever.
func (b *bare) setRef(name, object, from string) error {
	args := []string{"update-ref", name, object}
	switch from {
	case "*":
	case "":
		args = append(args, strings.Repeat("0", 40))
	default:
		args = append(args, from)
	}
	_, err := b.git(nil, nil, args...)
	return err
}

// annotate makes an annotated tag object for a commit and returns it.
func (b *bare) annotate(tag, sha, message string, tagger identity, when time.Time) (string, error) {
	in := fmt.Sprintf("object %s\ntype commit\ntag %s\ntagger %s <%s> %d +0000\n\n%s\n", sha, tag, tagger.name, tagger.email, when.Unix(), message)
	return b.git([]byte(in), nil, "mktag")
}

// kind is the type of an object, "" when there is none.
func (b *bare) kind(sha string) string {
	out, err := b.git(nil, nil, "cat-file", "-t", sha)
	if err != nil {
		return ""
	}
	return out
}

// lookup returns one commit, or nil.
func (b *bare) lookup(sha string) *commit {
	if c, ok := b.commits[sha]; ok {
		return c
	}
	if list, err := b.log(sha, "-n", "1"); err == nil && len(list) == 1 {
		return list[0]
	}
	return nil
}

// log runs git log for a revision or range, newest first as git orders it.
func (b *bare) log(revision string, options ...string) ([]*commit, error) {
	const format = "--format=%H%x1f%T%x1f%P%x1f%an%x1f%ae%x1f%at%x1f%cn%x1f%ce%x1f%ct%x1f%B"
	args := append([]string{"log", "-z", format}, options...)
	out, err := b.git(nil, nil, append(args, revision, "--")...)
	if err != nil {
		return nil, err
	}
	var list []*commit
	for entry := range strings.SplitSeq(out, "\x00") {
		f := strings.SplitN(entry, "\x1f", 10)
		if len(f) != 10 {
			continue
		}
		c := &commit{
			sha: f[0], tree: f[1], parents: strings.Fields(f[2]),
			author: identity{f[3], f[4]}, authored: unix(f[5]),
			committer: identity{f[6], f[7]}, at: unix(f[8]), message: strings.TrimRight(f[9], "\n"),
		}
		b.commits[c.sha] = c
		list = append(list, c)
	}
	return list, nil
}

func unix(s string) time.Time {
	n, _ := strconv.ParseInt(s, 10, 64)
	return time.Unix(n, 0).UTC()
}

// authors are the logins of a commit's author and of those whom its message
// names as co-authors, as GitHub reads them.
func (c *commit) authors() []identity {
	list := []identity{c.author}
	for line := range strings.Lines(c.message) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "Co-authored-by: ")
		name, email, found := strings.Cut(strings.TrimSuffix(rest, ">"), " <")
		if ok && found {
			list = append(list, identity{name, email})
		}
	}
	return list
}
