package githubtest_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

func TestWebhooksAreLostDoubledReorderedAndForged(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	addLedger(t, s)
	box := receive(t, s)
	label := func(l string) string {
		check(t, s.Label("ledger", 1, l, "ana-gh"))
		return s.LastWebhook().Header.Get("X-GitHub-Delivery")
	}
	must[int](t)(s.OpenPull("ledger", githubtest.NewPull{}))
	box.take(s)

	first := label("a")
	s.SetFault(githubtest.Fault{Webhooks: githubtest.Lose})
	label("lost")
	s.SetFault(githubtest.Fault{Webhooks: githubtest.Duplicate})
	double := label("b")
	s.SetFault(githubtest.Fault{Webhooks: githubtest.Hold})
	early, late := label("c"), label("d")
	s.SendHeld()
	s.SendForged()

	got := box.take(s)
	var ids []string
	for _, w := range got {
		ids = append(ids, w.Header.Get("X-GitHub-Delivery"))
	}
	want := []string{first, double, double, late, early}
	if len(ids) != 6 || !slices.Equal(ids[:5], want) {
		t.Fatalf("deliveries: got %q, want %q and a forged one", ids, want)
	}
	for i, w := range got {
		err := forge.Verify([]byte("secret"), w.Header, w.Body)
		if forged := i == 5; (err != nil) != forged {
			t.Errorf("delivery %d: verify says %v, forged is %v", i, err, forged)
		}
	}
	clean(t, s)
}

func TestAFailedDeliveryIsNotRepeated(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	addLedger(t, s)
	box := receive(t, s)
	box.code = http.StatusInternalServerError
	must[string](t)(s.PushDirect("ledger", "by hand", "ana-gh", nil))
	if got := len(box.take(s)); got != 1 {
		t.Errorf("it was sent %d times, want once", got)
	}
	if got := len(s.FailedDeliveries()); got != 1 {
		t.Errorf("%d failed deliveries are known, want 1", got)
	}
}

func TestAMergeTellsOfThePullRequestAndThePush(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	addLedger(t, s)
	n := must[int](t)(s.OpenPull("ledger", githubtest.NewPull{Labels: []string{"minor"}}))
	box := receive(t, s)
	must[string](t)(s.Merge("ledger", n, githubtest.Squash, "ben-gh"))
	var events []string
	for _, w := range box.take(s) {
		events = append(events, w.Header.Get("X-GitHub-Event"))
	}
	if diff := cmp.Diff([]string{"pull_request", "push"}, events); diff != "" {
		t.Errorf("webhooks (-want +got):\n%s", diff)
	}
	clean(t, s)
}
