// Package mirror fetches other people's git repositories, carefully: for builds,
// for infrastructure code, and for scans.
//
// A fetch runs git with an environment of its own, without hooks, prompts, system
// configuration or protocols beyond those allowed, bounded in time and size.
// Credentials reach git through its environment, never through the URL or argv,
// and a checkout is written by this package from `git archive`, so that nothing
// in a repository (attributes, filters, submodules, symbolic links that lead
// outside) runs or writes anywhere else.
package mirror

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"nightporter.dev/nightporter"
)

// Credentials are what git presents. They may be short-lived.
type Credentials struct{ Username, Password string }

// Remote says where a repository is.
type Remote interface {
	// CloneURL is an address without credentials.
	CloneURL(repo string) string
	// Credentials are valid now.
	Credentials(ctx context.Context, repo string) (Credentials, error)
}

// Config is what a [Mirror] needs.
type Config struct {
	Dir     string            // required: mirrors and checkouts live here
	Remotes map[string]Remote // by the forge's name
	// Protocols are those that git may speak. nil means https alone.
	Protocols []string
	Timeout   time.Duration // of one fetch; 0 means 2 min
	MaxBytes  int64         // of one checkout; 0 means 1 GiB
	MaxFiles  int           // of one checkout; 0 means 100,000
}

// Mirror keeps bare copies of repositories and makes checkouts of them.
type Mirror struct {
	cfg   Config
	mu    sync.Mutex
	locks map[nightporter.Repo]*sync.Mutex
}

// New makes a mirror and removes checkouts that an earlier process left.
func New(cfg Config) (*Mirror, error) {
	if cfg.Dir == "" {
		return nil, errors.New("mirror: Dir is required")
	}
	if cfg.Protocols == nil {
		cfg.Protocols = []string{"https"}
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 2 * time.Minute
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 1 << 30
	}
	if cfg.MaxFiles == 0 {
		cfg.MaxFiles = 100_000
	}
	m := &Mirror{cfg: cfg, locks: map[nightporter.Repo]*sync.Mutex{}}
	if err := os.RemoveAll(m.checkouts()); err != nil {
		return nil, fmt.Errorf("clear old checkouts: %w", err)
	}
	if err := os.MkdirAll(m.checkouts(), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of checkouts: %w", err)
	}
	return m, nil
}

func (m *Mirror) checkouts() string { return filepath.Join(m.cfg.Dir, "checkouts") }

// Checkout returns a folder with the files of a commit; the caller calls done
// when it has finished with it. Errors: not_found when the repository or the
// commit is not there, unavailable when the forge does not answer, invalid when
// the tree is larger than allowed.
func (m *Mirror) Checkout(ctx context.Context, repo nightporter.Repo, commit string) (dir string, done func(), err error) {
	bare, err := m.Fetch(ctx, repo, commit)
	if err != nil {
		return "", nil, err
	}
	dir, err = os.MkdirTemp(m.checkouts(), "tree-")
	if err != nil {
		return "", nil, fmt.Errorf("make a checkout: %w", err)
	}
	done = func() { os.RemoveAll(dir) }
	if err := m.unpack(ctx, bare, commit, dir); err != nil {
		done()
		return "", nil, fmt.Errorf("check out %s of %s: %w", commit, repo, err)
	}
	return dir, done, nil
}

// CheckoutAt is [Mirror.Checkout] for a branch as it is now, a full name of a ref
// ("refs/tags/v1.4.0"), or a full commit id.
// It also says which commit that was.
func (m *Mirror) CheckoutAt(ctx context.Context, repo nightporter.Repo, rev string) (dir, commit string, done func(), err error) {
	commit = rev
	if !isCommit(rev) {
		if commit, err = m.head(ctx, repo, rev); err != nil {
			return "", "", nil, err
		}
	}
	dir, done, err = m.Checkout(ctx, repo, commit)
	return dir, commit, done, err
}

// head asks the remote what a branch points to; the commit is fetched with it.
func (m *Mirror) head(ctx context.Context, repo nightporter.Repo, branch string) (string, error) {
	ref := branch
	if !strings.HasPrefix(ref, "refs/tags/") {
		ref = "refs/heads/" + branch
	}
	bare, err := m.Fetch(ctx, repo, "+"+ref+":"+ref)
	if err != nil {
		return "", err
	}
	out, err := m.git(ctx, bare, nil, "rev-parse", "--verify", "--quiet", ref+"^{commit}")
	if err != nil {
		return "", nightporter.E(nightporter.NotFound, "%s has no branch %s", repo, branch)
	}
	return strings.TrimSpace(out), nil
}

// Fetch brings the bare mirror of a repository up to a commit, or to what a
// refspec names, and returns its folder. It asks the forge only when the commit is not there yet.
func (m *Mirror) Fetch(ctx context.Context, repo nightporter.Repo, commit string) (bare string, err error) {
	remote := m.cfg.Remotes[repo.Forge]
	if remote == nil {
		return "", nightporter.E(nightporter.NotFound, "no forge is called %q", repo.Forge)
	}
	if !plainName(repo.Name) || !plainRef(commit) {
		return "", nightporter.E(nightporter.Invalid, "%q at %q cannot be fetched", repo, commit)
	}
	lock := m.lock(repo)
	lock.Lock()
	defer lock.Unlock()
	if bare, err = m.ready(ctx, repo); err != nil {
		return "", err
	}
	if isCommit(commit) {
		if _, err := m.git(ctx, bare, nil, "cat-file", "-e", commit+"^{commit}"); err == nil {
			return bare, nil
		}
	}
	credentials, err := remote.Credentials(ctx, repo.Name)
	if err != nil {
		return "", err
	}
	fetch := []string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--force", remote.CloneURL(repo.Name)}
	if _, err = m.git(ctx, bare, authorization(credentials), append(fetch, commit)...); err != nil && isCommit(commit) {
		// Not every server gives single commits (uploadpack.allowAnySHA1InWant).
		_, err = m.git(ctx, bare, authorization(credentials), append(fetch, "+refs/heads/*:refs/heads/*")...)
	}
	if err != nil {
		return "", nightporter.Wrap(err, nightporter.Unavailable, "%s could not be fetched", repo)
	}
	if isCommit(commit) {
		if _, err := m.git(ctx, bare, nil, "cat-file", "-e", commit+"^{commit}"); err != nil {
			return "", nightporter.E(nightporter.NotFound, "%s has no commit %s", repo, commit)
		}
	}
	return bare, nil
}

// ready returns the folder of a mirror, made empty where there is none. The caller
// has the repository's lock.
func (m *Mirror) ready(ctx context.Context, repo nightporter.Repo) (bare string, err error) {
	bare = filepath.Join(m.cfg.Dir, "mirrors", repo.Forge, repo.Name+".git")
	if _, err := os.Stat(filepath.Join(bare, "HEAD")); err != nil {
		if err := os.MkdirAll(filepath.Dir(bare), 0o700); err != nil {
			return "", fmt.Errorf("make the folder of mirrors: %w", err)
		}
		if _, err := m.git(ctx, "", nil, "init", "--bare", "--quiet", bare); err != nil {
			return "", fmt.Errorf("make a mirror of %s: %w", repo, err)
		}
	}
	return bare, nil
}

func (m *Mirror) lock(repo nightporter.Repo) *sync.Mutex {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[repo] == nil {
		m.locks[repo] = &sync.Mutex{}
	}
	return m.locks[repo]
}

// authorization hands the credentials to git as configuration in its
// environment, which argv and the URL would show to other users and logs.
func authorization(c Credentials) []string {
	if c == (Credentials{}) {
		return nil
	}
	basic := base64.StdEncoding.EncodeToString([]byte(c.Username + ":" + c.Password))
	return []string{"http.extraHeader=Authorization: Basic " + basic}
}

// command prepares git with nothing but what it is told.
func (m *Mirror) command(ctx context.Context, dir string, config []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", args...)
	if dir != "" {
		cmd.Args = append([]string{"git", "--git-dir=" + dir}, args...)
	}
	config = append([]string{
		"core.hooksPath=/dev/null", "core.fsmonitor=false", "gc.auto=0", "credential.helper=", "protocol.allow=never",
		"transfer.fsckObjects=true", "http.followRedirects=false", "safe.directory=*",
	}, config...)
	for _, p := range m.cfg.Protocols {
		config = append(config, "protocol."+p+".allow=always")
	}
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=/bin/false", fmt.Sprintf("GIT_CONFIG_COUNT=%d", len(config)),
	}
	for i, c := range config {
		key, value, _ := strings.Cut(c, "=")
		cmd.Env = append(cmd.Env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, key), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, value))
	}
	// Helpers such as git-remote-https die with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

func (m *Mirror) git(ctx context.Context, dir string, config []string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	var stderr bytes.Buffer
	cmd := m.command(ctx, dir, config, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		text := strings.TrimSpace(stderr.String())
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, text[max(0, len(text)-500):])
	}
	return string(out), nil
}

// unpack writes a commit's files to dir.
func (m *Mirror) unpack(ctx context.Context, bare, commit, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	cmd := m.command(ctx, bare, nil, "archive", "--format=tar", commit)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	werr := m.write(tar.NewReader(out), dir)
	if werr != nil {
		cancel()
	}
	if err := cmd.Wait(); err != nil && werr == nil {
		return err
	}
	return werr
}

// write copies an archive into dir. os.Root refuses every name that leads
// outside, through symbolic links too.
func (m *Mirror) write(archive *tar.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	left, files := m.cfg.MaxBytes, 0
	for {
		h, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if files++; files > m.cfg.MaxFiles {
			return nightporter.E(nightporter.Invalid, "the commit has more than %d files", m.cfg.MaxFiles)
		}
		name := filepath.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(name, 0o755)
		case tar.TypeSymlink:
			if filepath.IsAbs(h.Linkname) || !filepath.IsLocal(filepath.Join(filepath.Dir(name), h.Linkname)) {
				return nightporter.E(nightporter.Invalid, "the link %s leads out of the repository", name)
			}
			err = root.Symlink(h.Linkname, name)
		case tar.TypeReg:
			if left -= h.Size; left < 0 {
				return nightporter.E(nightporter.Invalid, "the commit is larger than %d MiB", m.cfg.MaxBytes>>20)
			}
			err = writeFile(root, name, archive, fs.FileMode(h.Mode)&0o755|0o600)
		}
		if err != nil {
			return err
		}
	}
}

func writeFile(root *os.Root, name string, from io.Reader, mode fs.FileMode) error {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, from); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func isCommit(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}

// plainName keeps a repository's name one harmless segment of a path.
func plainName(s string) bool {
	return s != "" && len(s) <= 200 && s[0] != '.' && s[0] != '-' && !strings.ContainsFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
	})
}

// plainRef keeps a ref from being read as an option.
func plainRef(s string) bool {
	return s != "" && len(s) <= 200 && s[0] != '-' && !strings.Contains(s, "..") && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune(`\^?*[~`, c)
	})
}
