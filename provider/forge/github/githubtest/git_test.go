package githubtest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

// The judge of these tests is the system's git, as a client.

func TestGitClonesWhatWasAddedAndPushesWhatIsNew(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *githubtest.Config) { c.Token = "t0ken" })
	first := addLedger(t, s)
	url := strings.Replace(s.URL(), "http://", "http://x-access-token:t0ken@", 1) + "/acme/ledger.git"
	dir := filepath.Join(t.TempDir(), "ledger")
	mustGit(t, "", "clone", "--quiet", url, dir)
	if got := mustGit(t, dir, "rev-parse", "HEAD"); got != first {
		t.Errorf("clone is at %s, want %s", got, first)
	}
	info, err := os.Stat(filepath.Join(dir, "run.sh"))
	if err != nil || info.Mode().Perm()&0o100 == 0 {
		t.Errorf("run.sh: %v, %v; want it executable", info, err)
	}
	if out, err := git(t, "", "ls-remote", s.URL()+"/acme/ledger.git"); err == nil {
		t.Errorf("without the token git got %q", out)
	}

	number := must[int](t)(s.OpenPull("ledger", githubtest.NewPull{Branch: "rounding", Title: "Round"}))
	box := receive(t, s)
	mustGit(t, dir, "fetch", "--quiet")
	mustGit(t, dir, "checkout", "--quiet", "rounding")
	mustGit(t, dir, "commit", "--quiet", "--allow-empty", "-m", "more")
	mustGit(t, dir, "push", "--quiet")
	mustGit(t, dir, "tag", "-a", "v0.1.0", "-m", "by hand")
	mustGit(t, dir, "push", "--quiet", "origin", "v0.1.0")
	head := mustGit(t, dir, "rev-parse", "HEAD")
	if got := must[string](t)(s.HeadOf("ledger", number)); got != head {
		t.Errorf("the pull request is at %s, want what was pushed, %s", got, head)
	}
	if diff := cmp.Diff(map[string]string{"v0.1.0": head}, must[map[string]string](t)(s.Tags("ledger"))); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	var events []string
	for _, w := range box.take(s) {
		events = append(events, w.Header.Get("X-GitHub-Event"))
	}
	if diff := cmp.Diff([]string{"push", "pull_request", "create", "push"}, events); diff != "" {
		t.Errorf("webhooks (-want +got):\n%s", diff)
	}
	mustGit(t, dir, "push", "--quiet", "origin", ":v0.1.0")
	if tags := must[map[string]string](t)(s.Tags("ledger")); len(tags) != 0 {
		t.Errorf("the tag was deleted and is there: %v", tags)
	}
	clean(t, s)
}

func TestEachWayToMergeLeavesTheHistoryThatGitHubLeaves(t *testing.T) {
	t.Parallel()
	for how, want := range map[githubtest.Method]string{
		githubtest.Squash:      "Round (#1)",
		githubtest.MergeCommit: "Merge pull request #1 from acme/rounding",
		githubtest.Rebase:      "More for Round\nRound",
	} {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			before := addLedger(t, s)
			n := must[int](t)(s.OpenPull("ledger", githubtest.NewPull{Branch: "rounding", Title: "Round"}))
			must[string](t)(s.PushToPull("ledger", n, "cleo-gh", nil))
			aside := must[string](t)(s.PushDirect("ledger", "Aside", "ben-gh", nil))
			commit := must[string](t)(s.Merge("ledger", n, how, "ben-gh"))
			got := mustGit(t, s.GitDir("ledger"), "log", "--first-parent", "--format=%s", aside+".."+commit)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("first-parent line (-want +got):\n%s", diff)
			}
			body := mustGit(t, s.GitDir("ledger"), "log", "-1", "--format=%(trailers:key=Co-authored-by,valueonly)", commit)
			if wantBody := "cleo-gh <cleo-gh@users.acme.test>"; how == githubtest.Squash && body != wantBody {
				t.Errorf("co-authors: got %q, want %q", body, wantBody)
			}
			mustGit(t, s.GitDir("ledger"), "merge-base", "--is-ancestor", before, commit)
			mustGit(t, s.GitDir("ledger"), "fsck", "--strict")
			if _, err := s.Merge("ledger", n, how, "ben-gh"); err == nil {
				t.Error("it was merged twice")
			}
			clean(t, s)
		})
	}
}

func TestAConflictIsNotMerged(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	addLedger(t, s)
	n := must[int](t)(s.OpenPull("ledger", githubtest.NewPull{Files: map[string]string{"README.md": "one\n"}}))
	before := must[string](t)(s.PushDirect("ledger", "Other", "ben-gh", map[string]string{"README.md": "two\n"}))
	if _, err := s.Merge("ledger", n, githubtest.Squash, "ana-gh"); err == nil {
		t.Error("a conflict was merged")
	}
	if got := must[string](t)(s.Head("ledger")); got != before {
		t.Errorf("main is at %s, want it left at %s", got, before)
	}
}

func TestNamesThatWouldLeaveTheFolderAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	addLedger(t, s)
	for _, name := range []string{"", "ledger", "../ledger", "a/b", ".git", `a\b`} {
		if _, err := s.AddRepo(name, nil); err == nil {
			t.Errorf("repository %q was added", name)
		}
	}
}
