package mem_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/provider/forge/forgetest"
	"nightporter.dev/nightporter/provider/forge/mem"
)

func TestTheForgeInMemoryKeepsTheContract(t *testing.T) {
	t.Parallel()
	forgetest.Run(t, func(t *testing.T) forgetest.Harness {
		f := newForge(t, mem.Config{})
		return forgetest.Harness{Forge: f, World: world{f}}
	})
}

func newForge(t testing.TB, cfg mem.Config) *mem.Forge {
	t.Helper()
	f, err := mem.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// world lets the conformance suite move the forge in memory.
type world struct{ f *mem.Forge }

func (w world) AddRepo(_ testing.TB, repo string)      { w.f.AddRepo(repo) }
func (w world) AddEmptyRepo(_ testing.TB, repo string) { w.f.AddEmptyRepo(repo) }
func (w world) Archive(_ testing.TB, repo string)      { w.f.Archive(repo) }
func (w world) Push(_ testing.TB, repo, message, login string) string {
	return w.f.Push(repo, message, login).Commit
}
func (w world) Rewrite(_ testing.TB, repo string) string { return w.f.Rewrite(repo) }
func (w world) PushTag(_ testing.TB, repo, tag, commit string, _ forgetest.TagKind) {
	w.f.PushTag(repo, tag, commit)
}

func (w world) Open(_ testing.TB, repo string, p forgetest.Pull) int {
	return w.f.Open(repo, mem.PR{Title: p.Title, Author: p.Author, Labels: p.Labels, Draft: p.Draft})
}

func (w world) PushToPull(_ testing.TB, repo string, n int, login string) string {
	return w.f.PushToPull(repo, n, login)
}
func (w world) HeadOf(_ testing.TB, repo string, n int) string      { return w.f.HeadOf(repo, n) }
func (w world) Label(_ testing.TB, repo string, n int, l string)    { w.f.Label(repo, n, l) }
func (w world) Unlabel(_ testing.TB, repo string, n int, l string)  { w.f.Unlabel(repo, n, l) }
func (w world) Approve(_ testing.TB, repo string, n int, by string) { w.f.Approve(repo, n, by) }
func (w world) Merge(_ testing.TB, repo string, n int, _ forgetest.Method) string {
	return w.f.MergePull(repo, n).Commit
}

func (w world) Status(_ testing.TB, repo, commit, context string) (forge.Status, bool) {
	return w.f.StatusOf(repo, commit, context)
}

func (w world) Release(_ testing.TB, repo, tag string) (forge.Release, bool) {
	return w.f.ReleaseOf(repo, tag)
}
func (w world) Webhook(testing.TB) (http.Header, []byte) { return w.f.LastWebhook() }

func TestWebhooksAreLostDoubledAndReordered(t *testing.T) {
	t.Parallel()
	var got []string
	var f *mem.Forge
	f = newForge(t, mem.Config{Deliver: func(h http.Header, body []byte) {
		d, err := f.ParseWebhook(h, body)
		if err != nil {
			t.Error(err)
		}
		got = append(got, d.ID)
	}})
	push := func() { f.Push("ledger", "change", "ana-gh") }
	push()
	f.SetFault(mem.Fault{Webhooks: mem.Lose})
	push()
	f.SetFault(mem.Fault{Webhooks: mem.Duplicate})
	push()
	f.SetFault(mem.Fault{Webhooks: mem.Hold})
	push()
	push()
	f.SendHeld()
	want := []string{"mem-1", "mem-3", "mem-3", "mem-5", "mem-4"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("deliveries (-want +got):\n%s", diff)
	}
}

func TestAForgeThatIsDownLimitedOrForbiddenSaysSo(t *testing.T) {
	t.Parallel()
	f := newForge(t, mem.Config{})
	f.AddRepo("ledger")
	until := time.Now().Add(time.Hour)
	f.SetFault(mem.Fault{Down: true})
	_, err := f.Sweep(t.Context(), nil)
	wantAs[*forge.UnavailableError](t, err)
	f.SetFault(mem.Fault{LimitedUntil: until})
	_, err = f.Tags(t.Context(), "ledger")
	wantAs[*forge.RateLimitedError](t, err)
	f.SetFault(mem.Fault{Forbidden: true})
	wantAs[*forge.ForbiddenError](t, f.MoveTag(t.Context(), "ledger", "prod", "x"))
	f.SetFault(mem.Fault{})
	if _, err := f.Sweep(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if got := f.Calls("Sweep"); got != 2 {
		t.Errorf("got %d sweeps, want 2", got)
	}
}

func TestALostAnswerLeavesTheWorkDone(t *testing.T) {
	t.Parallel()
	f := newForge(t, mem.Config{})
	commit := f.Push("ledger", "change", "ana-gh").Commit
	lost := errors.New("connection reset")
	f.SetFault(mem.Fault{After: func(method string) error {
		if method == "CreateTag" {
			return lost
		}
		return nil
	}})
	if err := f.CreateTag(t.Context(), "ledger", "v1.0.0", commit); !errors.Is(err, lost) {
		t.Fatalf("got %v, want %v", err, lost)
	}
	wantAs[*forge.TagExistsError](t, f.CreateTag(t.Context(), "ledger", "v1.0.0", commit))
}

func TestASlowForgeLetsTheContextEndFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newForge(t, mem.Config{})
		f.SetFault(mem.Fault{Slow: time.Minute})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := f.Sweep(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		if _, err := f.Sweep(t.Context(), nil); err != nil {
			t.Errorf("with patience: %v", err)
		}
	})
}

func wantAs[E error](t *testing.T, err error) {
	t.Helper()
	var want E
	if !errors.As(err, &want) {
		t.Errorf("got %v, want a %T", err, want)
	}
}

func ExampleForge_Merge() {
	f, _ := mem.New(mem.Config{})
	f.AddRepo("ledger")
	known := f.Push("ledger", "where we stopped", "ana-gh").Commit
	f.Merge("ledger", mem.PR{Title: "Round to pence", Labels: []string{"minor"}, Reviewers: []string{"ben-gh"}})

	state, _ := f.Refresh(context.Background(), "ledger", known)
	for _, m := range state.Merges {
		pr := m.PullRequest
		fmt.Println(pr.Number, pr.Title, pr.Labels, pr.Authors, pr.Reviewers)
	}
	// Output: 1 Round to pence [minor] [ana-gh] [ben-gh]
}
func (w world) AddTeam(_ testing.TB, slug string) { w.f.AddTeam(slug) }
