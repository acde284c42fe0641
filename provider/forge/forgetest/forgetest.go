// Package forgetest is the conformance suite of forges: [Run] holds an
// implementation to what provider/forge promises. Each test moves a [World], as
// people would, and then asks the forge.
package forgetest

import (
	"net/http"
	"testing"
	"time"

	"nightporter.dev/nightporter/provider/forge"
)

// Harness is one implementation under test and the world that it looks at.
type Harness struct {
	Forge forge.Forge
	World World
	// Step moves the world's clock on by a few seconds, so that what follows
	// has a later time. Nil when the world's clock is the real one.
	Step func()
}

// Pull is a pull request as a test wants it.
type Pull struct {
	Title  string
	Author string // forge login
	Labels []string
	Draft  bool
}

// Method is a way to merge.
type Method string

// The ways to merge.
const (
	Squash      Method = "squash"
	MergeCommit Method = "merge"
)

// TagKind is a kind of git tag.
type TagKind string

// The kinds of tag.
const (
	Lightweight TagKind = "lightweight"
	Annotated   TagKind = "annotated"
)

// World is what people do to a forge. A method that cannot do its work ends the
// test.
type World interface {
	// AddRepo makes a repository with one commit on its default branch.
	AddRepo(t testing.TB, repo string)
	AddEmptyRepo(t testing.TB, repo string)
	Archive(t testing.TB, repo string)
	// Push commits to the default branch without a pull request.
	Push(t testing.TB, repo, message, login string) (commit string)
	// Rewrite replaces the default branch by a single new commit.
	Rewrite(t testing.TB, repo string) (commit string)
	// PushTag makes a tag by hand, or moves it.
	PushTag(t testing.TB, repo, tag, commit string, kind TagKind)

	// Open makes a branch with one commit and opens a pull request for it.
	Open(t testing.TB, repo string, p Pull) (number int)
	// PushToPull adds a commit by login to its branch.
	PushToPull(t testing.TB, repo string, number int, login string) (commit string)
	HeadOf(t testing.TB, repo string, number int) (commit string)
	Label(t testing.TB, repo string, number int, label string)
	Unlabel(t testing.TB, repo string, number int, label string)
	Approve(t testing.TB, repo string, number int, login string)
	Merge(t testing.TB, repo string, number int, how Method) (commit string)

	// Status is the latest status of a context on a commit.
	Status(t testing.TB, repo, commit, context string) (forge.Status, bool)
	// Release is the release of a tag.
	Release(t testing.TB, repo, tag string) (forge.Release, bool)
	// Webhook is the newest webhook that the world made, signed.
	Webhook(t testing.TB) (http.Header, []byte)
}

// Run runs the suite. Each test gets a world of its own from setup.
func Run(t *testing.T, setup func(t *testing.T) Harness) {
	t.Helper()
	run := func(name string, test func(*testing.T, Harness)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t)
			if h.Step == nil {
				h.Step = func() {}
			}
			test(t, h)
		})
	}
	for _, group := range [][]test{sweepTests, historyTests, writeTests, checkTests, webhookTests, settingsTests} {
		for _, tt := range group {
			run(tt.name, tt.run)
		}
	}
}

type test struct {
	name string
	run  func(*testing.T, Harness)
}

// state refreshes one repository.
func state(t testing.TB, h Harness, repo, since string) forge.RepoState {
	t.Helper()
	s, err := h.Forge.Refresh(t.Context(), repo, since)
	if err != nil {
		t.Fatalf("refresh %s: %v", repo, err)
	}
	return s
}

func sane(t testing.TB, what string, at time.Time) {
	t.Helper()
	if at.Year() < 2000 || at.Location() != time.UTC {
		t.Errorf("%s is %v, want a time of this century in UTC", what, at)
	}
}
