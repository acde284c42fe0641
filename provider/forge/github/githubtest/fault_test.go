package githubtest_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

func TestFaultsLastUntilTheyAreTakenBack(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	first := addLedger(t, s)
	const repo = "/repos/acme/ledger"
	status := func(method, path string, body any) int {
		code, _ := call(t, s, method, path, body)
		return code
	}
	tag := func(name string) map[string]any { return map[string]any{"ref": "refs/tags/" + name, "sha": first} }
	s.SetFault(githubtest.Fault{Status: http.StatusBadGateway})
	if got := status("GET", repo, nil); got != http.StatusBadGateway {
		t.Errorf("down: got %d", got)
	}
	s.SetFault(githubtest.Fault{LimitedUntil: time.Now().Add(time.Hour)})
	if got := status("GET", repo, nil); got != http.StatusForbidden {
		t.Errorf("limited: got %d", got)
	}
	s.SetFault(githubtest.Fault{Forbidden: "contents=write"})
	if got := status("GET", repo, nil); got != http.StatusOK {
		t.Errorf("forbidden to write, a read: got %d", got)
	}
	if got := status("POST", repo+"/git/refs", tag("a")); got != http.StatusForbidden {
		t.Errorf("forbidden to write, a write: got %d", got)
	}
	for name, f := range map[string]githubtest.Fault{"unreachable": {Unreachable: true}, "lost answer": {LoseAnswers: true}} {
		s.SetFault(f)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL()+repo+"/pulls/1/merge", nil)
		check(t, err)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			t.Errorf("%s: got an answer, %s", name, resp.Status)
		}
	}
	s.SetFault(githubtest.Fault{})
	if got := status("POST", repo+"/git/refs", tag("b")); got != http.StatusCreated {
		t.Errorf("no fault: got %d", got)
	}
	clean(t, s)
}

func Example() {
	dir, _ := os.MkdirTemp("", "github")
	defer os.RemoveAll(dir)
	s, err := githubtest.Start(githubtest.Config{Dir: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	_, _ = s.AddRepo("ledger", map[string]string{"README.md": "# ledger\n"})
	number, _ := s.OpenPull("ledger", githubtest.NewPull{Title: "Round to pence", Author: "ana-gh", Labels: []string{"minor"}})
	_ = s.Approve("ledger", number, "ben-gh")
	commit, _ := s.Merge("ledger", number, githubtest.Squash, "ana-gh")

	req, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, s.URL()+"/repos/acme/ledger/commits/"+commit+"/pulls", nil)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println("pull request", number, "merged,", resp.Status)
	// Output: pull request 1 merged, 200 OK
}
