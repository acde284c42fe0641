package mirror_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/mirror"
)

// origin is a real repository on disk; git itself is the judge.
type origin struct {
	t   *testing.T
	dir string
}

func newOrigin(t *testing.T) *origin {
	o := &origin{t, filepath.Join(t.TempDir(), "ledger.git")}
	o.git("init", "--quiet", "--initial-branch=main", o.dir)
	return o
}

func (o *origin) git(args ...string) string {
	o.t.Helper()
	cmd := exec.Command("git", args...)
	if _, err := os.Stat(o.dir); err == nil {
		cmd.Dir = o.dir
	}
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@test",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@test")
	out, err := cmd.CombinedOutput()
	if err != nil {
		o.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (o *origin) commit(files map[string]string) string {
	o.t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(o.dir, name), []byte(text), 0o755); err != nil {
			o.t.Fatal(err)
		}
	}
	o.git("add", "-A")
	o.git("commit", "--quiet", "-m", "a commit")
	return o.git("rev-parse", "HEAD")
}

func (o *origin) CloneURL(string) string { return "file://" + o.dir }

func (o *origin) Credentials(context.Context, string) (mirror.Credentials, error) {
	return mirror.Credentials{}, nil
}

var repo = nightporter.Repo{Forge: "f", Name: "ledger"}

func newMirror(t *testing.T, o *origin, edit func(*mirror.Config)) *mirror.Mirror {
	t.Helper()
	cfg := mirror.Config{Dir: t.TempDir(), Remotes: map[string]mirror.Remote{"f": o}, Protocols: []string{"file"}}
	if edit != nil {
		edit(&cfg)
	}
	m, err := mirror.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestCheckout(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	t.Run("a checkout holds the files of exactly that commit", func(t *testing.T) {
		t.Parallel()
		o := newOrigin(t)
		first := o.commit(map[string]string{"main.go": "one"})
		o.commit(map[string]string{"main.go": "two"})
		m := newMirror(t, o, nil)
		dir, done, err := m.Checkout(ctx, repo, first)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(dir, "main.go"))
		if err != nil || string(got) != "one" {
			t.Errorf("got %q, %v, want the first commit's file", got, err)
		}
		done()
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Error("the checkout stayed after done")
		}
	})
	t.Run("a branch is what it is now, and the commit is told", func(t *testing.T) {
		t.Parallel()
		o := newOrigin(t)
		o.commit(map[string]string{"main.go": "one"})
		m := newMirror(t, o, nil)
		for _, text := range []string{"one", "two"} {
			want := o.commit(map[string]string{"main.go": text, "again": text})
			dir, commit, done, err := m.CheckoutAt(ctx, repo, "main")
			if err != nil {
				t.Fatal(err)
			}
			defer done()
			got, err := os.ReadFile(filepath.Join(dir, "again"))
			if err != nil || string(got) != text || commit != want {
				t.Errorf("got %q at %s, %v; want %q at %s", got, commit, err, text, want)
			}
		}
		if _, _, _, err := m.CheckoutAt(ctx, repo, "nope"); nightporter.CodeOf(err) == "" {
			t.Error("a branch that is not there was checked out")
		}
	})
	t.Run("a commit that is not there is not found", func(t *testing.T) {
		t.Parallel()
		o := newOrigin(t)
		o.commit(map[string]string{"a": "a"})
		_, _, err := newMirror(t, o, nil).Checkout(ctx, repo, strings.Repeat("a", 40))
		if nightporter.CodeOf(err) != nightporter.NotFound {
			t.Errorf("got %v, want not_found", err)
		}
	})
	t.Run("a link that leads out of the repository is refused", func(t *testing.T) {
		t.Parallel()
		o := newOrigin(t)
		if err := os.Symlink("/etc", filepath.Join(o.dir, "etc")); err != nil {
			t.Fatal(err)
		}
		commit := o.commit(map[string]string{"a": "a"})
		if _, _, err := newMirror(t, o, nil).Checkout(ctx, repo, commit); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("got %v, want it refused", err)
		}
	})
	t.Run("a tree over the limit is refused", func(t *testing.T) {
		t.Parallel()
		o := newOrigin(t)
		commit := o.commit(map[string]string{"big": strings.Repeat("x", 5000)})
		m := newMirror(t, o, func(c *mirror.Config) { c.MaxBytes = 4000 })
		if _, _, err := m.Checkout(ctx, repo, commit); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("got %v, want it refused", err)
		}
	})
	t.Run("a protocol that is not allowed is not spoken", func(t *testing.T) {
		t.Parallel()
		o := newOrigin(t)
		commit := o.commit(map[string]string{"a": "a"})
		m := newMirror(t, o, func(c *mirror.Config) { c.Protocols = nil })
		if _, _, err := m.Checkout(ctx, repo, commit); nightporter.CodeOf(err) != nightporter.Unavailable {
			t.Errorf("got %v, want it refused", err)
		}
	})
	t.Run("names that git would read as options are refused", func(t *testing.T) {
		t.Parallel()
		m := newMirror(t, newOrigin(t), nil)
		for _, ref := range []string{"--upload-pack=touch /tmp/x", "-x", "a..b", "a b", ""} {
			if _, err := m.Fetch(ctx, repo, ref); nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("ref %q: got %v, want it refused", ref, err)
			}
		}
		for _, name := range []string{"../x", "-x", ".git", "a/b"} {
			if _, err := m.Fetch(ctx, nightporter.Repo{Forge: "f", Name: name}, "main"); nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("name %q: got %v, want it refused", name, err)
			}
		}
	})
}
