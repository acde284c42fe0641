package scan_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/security/scan"
	"nightporter.dev/nightporter/test/corpus"
)

// TestMain is also the child: as it should be, and as it must not be believed.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[1] != scan.Command {
		os.Exit(m.Run())
	}
	if err := child(os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func child(behaviour string, args []string) error {
	var report bytes.Buffer
	switch behaviour {
	case "good":
		return scan.Child(args, os.Stdin, os.Stdout)
	case "deaf": // says that it read all, and reports no hit
		if err := scan.Child(args, os.Stdin, &report); err != nil {
			return err
		}
		lines := bytes.SplitAfter(bytes.TrimSpace(report.Bytes()), []byte("\n"))
		_, err := os.Stdout.Write(lines[len(lines)-1])
		return err
	case "early": // ends well, without its last line
		return scan.Child(args, os.Stdin, io.Discard)
	case "few": // lost some rules
		if err := scan.Child(args, os.Stdin, &report); err != nil {
			return err
		}
		_, err := io.WriteString(os.Stdout, strings.Replace(report.String(), `"rules":231`, `"rules":78`, 1))
		return err
	case "noisy":
		_, err := io.WriteString(os.Stdout, strings.Repeat("x", 1<<20))
		return err
	case "dead":
		return errors.New("a panic")
	case "slow":
		_, err := io.Copy(io.Discard, os.Stdin)
		time.Sleep(time.Hour) // until it is killed
		return err
	case "greedy":
		go func() { _, _ = io.Copy(io.Discard, os.Stdin) }()
		return scan.Child(args, greedy{}, os.Stdout)
	case "look": // says what it has of ours
		dir, _ := os.Getwd()
		b, _ := json.Marshal([]string{strings.Join(os.Environ(), " "), dir, strings.Join(os.Args, " ")})
		return errors.New(string(b))
	}
	return errors.New("what?")
}

// greedy is read after the limits are set, and takes all memory that it gets.
type greedy struct{}

func (greedy) Read([]byte) (int, error) {
	var all [][]byte
	for range 1 << 10 {
		b := make([]byte, 16<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		all = append(all, b)
	}
	return len(all), errors.New("there was memory for everything")
}

func newScanner(t *testing.T, behaviour string, change func(*scan.Config)) *scan.Scanner {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := scan.Config{Command: []string{self, scan.Command, behaviour}, Memory: memory}
	if change != nil {
		change(&c)
	}
	s, err := scan.NewScanner(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// repository is a real one, made by git.
type repository struct {
	t   *testing.T
	dir string
}

func newRepository(t *testing.T) repository {
	t.Helper()
	r := repository{t, t.TempDir()}
	r.git("init", "--quiet", "--initial-branch=main")
	return r
}

func (r repository) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=ana", "GIT_AUTHOR_EMAIL=ana@acme.test", "GIT_COMMITTER_NAME=ana", "GIT_COMMITTER_EMAIL=ana@acme.test")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r repository) write(path, text string) {
	r.t.Helper()
	full := filepath.Join(r.dir, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(text), 0o644)); err != nil {
		r.t.Fatal(err)
	}
}

func (r repository) commit() string {
	r.t.Helper()
	r.git("add", "--all")
	r.git("commit", "--quiet", "--message=change")
	return r.git("rev-parse", "HEAD")
}

// history is git's own, as the mirror will run it.
func (r repository) history(args ...string) scan.History {
	return func(ctx context.Context, w io.Writer) error {
		cmd := exec.CommandContext(ctx, "git", append(append([]string{"--git-dir=" + filepath.Join(r.dir, ".git")}, scan.GitLog...), args...)...)
		cmd.Stdout = w
		return cmd.Run()
	}
}

func hits(t *testing.T, s *scan.Scanner, h scan.History) (list []scan.Hit, r scan.Result) {
	t.Helper()
	r, err := s.Scan(t.Context(), h, func(h scan.Hit) error {
		list = append(list, h)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list, r
}

const leak = "database:\n  user: ledger\n  password: Maple7713!\n"

func TestScan(t *testing.T) {
	t.Parallel()
	t.Run("a password is found where it came in, with its commit and line, also when it is gone again", func(t *testing.T) {
		t.Parallel()
		r := newRepository(t)
		r.write("main.go", "package main\n")
		r.commit()
		r.write("config/dev.yaml", leak)
		bad := r.commit()
		r.write("config/dev.yaml", "database:\n  user: ledger\n")
		r.commit()
		got, result := hits(t, newScanner(t, "good", nil), r.history("HEAD"))
		if len(got) != 1 || got[0].Commit != bad || got[0].Path != "config/dev.yaml" || got[0].Line != 3 || string(got[0].Secret) != "Maple7713!" ||
			got[0].Login == nil || got[0].Login.User != "ledger" {
			t.Errorf("got %+v", got)
		}
		if result.Commits != 3 || result.Rules != 231 {
			t.Errorf("it saw %+v", result)
		}
	})
	t.Run("only the commits that are new are read, with the lines around a change to understand it by", func(t *testing.T) {
		t.Parallel()
		r := newRepository(t)
		r.write("deploy.yaml", "env:\n- name: DB_PASSWORD\n  value: Old-Lantern55\n")
		before := r.commit()
		r.write("deploy.yaml", "env:\n- name: DB_PASSWORD\n  value: New-Lantern77\n")
		r.commit()
		got, result := hits(t, newScanner(t, "good", nil), r.history(before+"..HEAD"))
		if len(got) != 1 || string(got[0].Secret) != "New-Lantern77" || got[0].Line != 3 || result.Commits != 1 {
			t.Errorf("got %+v of %+v", got, result)
		}
	})
	t.Run("what a merge alone brought is found", func(t *testing.T) {
		t.Parallel()
		r := newRepository(t)
		r.write("a.env", "A=1\n")
		r.commit()
		r.git("checkout", "--quiet", "-b", "side")
		r.write("b.env", "B=1\n")
		r.commit()
		r.git("checkout", "--quiet", "main")
		r.write("c.env", "C=1\n")
		r.commit()
		r.git("merge", "--quiet", "--no-commit", "--no-ff", "side")
		r.write("a.env", "A=1\nDB_PASSWORD=Thistle2931\n")
		bad := r.commit()
		got, _ := hits(t, newScanner(t, "good", nil), r.history("HEAD"))
		if len(got) != 1 || got[0].Commit != bad || got[0].Line != 2 {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("files that are declared binary, odd names and long lines hide nothing", func(t *testing.T) {
		t.Parallel()
		r := newRepository(t)
		r.write(".gitattributes", "* -diff\n*.env binary\n")
		r.write("ä \"b\".env", "DB_PASSWORD=Thistle2931\n")
		r.write("x.dat", "\x00\x01\npostgres://app:Quarry8812@db/app\n")
		r.write("min.js", strings.Repeat("x", 64<<10-30)+` mysql://app:Otter44121@db/app `+strings.Repeat("y", 200<<10)+" mysql://app:Pigeon9913@db/app\n")
		r.commit()
		got, _ := hits(t, newScanner(t, "good", nil), r.history("HEAD"))
		var seen []string
		for _, h := range got {
			seen = append(seen, fmt.Sprintf("%s:%d %s", h.Path, h.Line, string(h.Secret)))
		}
		slices.Sort(seen)
		want := []string{"min.js:1 Otter44121", "min.js:1 Pigeon9913", "x.dat:2 Quarry8812", `ä "b".env:1 Thistle2931`}
		if !slices.Equal(slices.Compact(seen), want) {
			t.Errorf("got %q, want %q", seen, want)
		}
	})
	t.Run("a line that asks scanners to look away is a hit that says so", func(t *testing.T) {
		t.Parallel()
		r := newRepository(t)
		r.write("a.env", "DB_PASSWORD=Thistle2931 # gitleaks:allow\n")
		r.commit()
		if got, _ := hits(t, newScanner(t, "good", nil), r.history("HEAD")); len(got) != 1 || !got[0].Allowed {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a whole corpus is found in a history as it is in text", func(t *testing.T) {
		t.Parallel()
		r, samples, want := newRepository(t), corpus.Make(11, 2), 0
		d := newDetector(t)
		for _, s := range samples {
			r.write(s.Path, s.Text)
			want += len(d.Scan(s.Path, s.Text))
		}
		r.commit()
		if got, _ := hits(t, newScanner(t, "good", nil), r.history("HEAD")); len(got) != want {
			t.Errorf("got %d, want %d", len(got), want)
		}
	})
}

func TestARunThatDidNotSeeEverythingIsFailed(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.write("dev.yaml", leak)
	r.commit()
	whole := r.history("HEAD")
	broken := newRepository(t)
	broken.write("dev.yaml", leak)
	head := broken.commit()
	blob := broken.git("rev-parse", "HEAD:dev.yaml")
	if err := os.Remove(filepath.Join(broken.dir, ".git/objects", blob[:2], blob[2:])); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, behaviour string
		change          func(*scan.Config)
		history         scan.History
		want            string
	}{
		{"git fails in the middle: an object is gone", "good", nil, broken.history(head), "could not be read to its end"},
		{"git fails at once: no such commit", "good", nil, r.history(strings.Repeat("0", 40)), "could not be read to its end"},
		{"the child finds nothing of what was planted", "deaf", nil, whole, "missed 4 of the secrets"},
		{"the child ends without saying so", "early", nil, whole, "did not finish"},
		{"the child lost rules", "few", nil, whole, "has 78 rules, not 231"},
		{"the child writes something else", "noisy", nil, whole, "did not finish"},
		{"the child dies", "dead", nil, whole, "did not finish"},
		{"the child takes too long", "slow", func(c *scan.Config) { c.Timeout = 100 * time.Millisecond }, whole, "did not finish"},
		{"there is more history than allowed", "good", func(c *scan.Config) { c.MaxBytes = 100 }, whole, "could not be read to its end"},
		{"there are more hits than allowed", "good", func(c *scan.Config) { c.MaxHits = 1 }, func(ctx context.Context, w io.Writer) error {
			return errors.Join(whole(ctx, w), whole(ctx, w))
		}, "did not finish"},
		{"there is no such program", "good", func(c *scan.Config) { c.Command = []string{"/nonexistent"} }, whole, "could not be started"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			_, err := newScanner(t, c.behaviour, c.change).Scan(t.Context(), c.history, func(scan.Hit) error { return nil })
			if nightporter.CodeOf(err) != nightporter.Unavailable || !strings.Contains(nightporter.MessageOf(err), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "Maple7713") {
				t.Errorf("the error holds the secret: %v", err)
			}
		})
	}
	t.Run("the child wants more memory than it may have", func(t *testing.T) {
		if race {
			t.Skip("the race detector needs all the memory there is")
		}
		t.Parallel()
		s := newScanner(t, "greedy", func(c *scan.Config) { c.Memory = 256 << 20 })
		_, err := s.Scan(t.Context(), whole, func(scan.Hit) error { return nil })
		if err == nil || strings.Contains(err.Error(), "for everything") || !strings.Contains(err.Error(), "memory") {
			t.Errorf("got %v", err)
		}
	})
}

// The judge is the operating system: what the child itself can see.
func TestTheChildHasNothingOfOurs(t *testing.T) {
	t.Setenv("NIGHTPORTER_TOKEN", "np_mine")
	_, err := newScanner(t, "look", nil).Scan(t.Context(), func(context.Context, io.Writer) error { return nil }, func(scan.Hit) error { return nil })
	if err == nil {
		t.Fatal("no error")
	}
	_, text, _ := strings.Cut(err.Error(), "[")
	for _, ours := range []string{"NIGHTPORTER", "HOME=", "PATH=", "TOKEN"} {
		if strings.Contains(text, ours) {
			t.Errorf("it has %s: %s", ours, text)
		}
	}
	if !strings.Contains(text, `"/"`) || !strings.Contains(text, "GOTRACEBACK=none") {
		t.Errorf("it says %v", err)
	}
}

func TestSecretPrintsAsNothing(t *testing.T) {
	t.Parallel()
	h := scan.Hit{Secret: "Maple7713!"}
	b, err := json.Marshal(h)
	if text := fmt.Sprintf("%v %+v %#v %s %s", h, h, h, h.Secret, b); err != nil || strings.Contains(text, "Maple") {
		t.Errorf("%v: %s", err, text)
	}
}
