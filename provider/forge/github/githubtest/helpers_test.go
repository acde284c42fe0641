package githubtest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

func start(t testing.TB, change func(*githubtest.Config)) *githubtest.Server {
	t.Helper()
	contract, err := githubtest.SharedContract()
	if err != nil {
		t.Fatal(err)
	}
	cfg := githubtest.Config{Dir: t.TempDir(), Contract: contract}
	if change != nil {
		change(&cfg)
	}
	s, err := githubtest.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// clean fails the test for every violation.
func clean(t testing.TB, s *githubtest.Server) {
	t.Helper()
	for _, v := range s.Violations() {
		t.Errorf("violation: %s", v)
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func addLedger(t testing.TB, s *githubtest.Server) string {
	t.Helper()
	return must[string](t)(s.AddRepo("ledger", map[string]string{"README.md": "# ledger\n", "run.sh": "#!/bin/sh\necho up\n"}))
}

// call makes one request and decodes its JSON answer.
func call(t testing.TB, s *githubtest.Server, method, path string, body any) (int, map[string]any) {
	t.Helper()
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		check(t, err)
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, in)
	check(t, err)
	resp, err := http.DefaultClient.Do(req)
	check(t, err)
	defer resp.Body.Close()
	raw := must[[]byte](t)(io.ReadAll(resp.Body))
	var out map[string]any
	if len(raw) > 0 && raw[0] == '{' {
		check(t, json.Unmarshal(raw, &out))
	}
	return resp.StatusCode, out
}

// git runs the system's git as a person would.
func git(t testing.TB, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=ana-gh", "GIT_AUTHOR_EMAIL=ana-gh@users.acme.test", "GIT_COMMITTER_NAME=ana-gh", "GIT_COMMITTER_EMAIL=ana-gh@users.acme.test")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func mustGit(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := git(t, dir, args...)
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// inbox receives webhooks.
type inbox struct {
	mu   sync.Mutex
	got  []githubtest.Webhook
	code int
}

func receive(t testing.TB, s *githubtest.Server) *inbox {
	t.Helper()
	s.Flush() // what is on its way is not for this one
	in := &inbox{code: http.StatusNoContent}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		in.mu.Lock()
		defer in.mu.Unlock()
		in.got = append(in.got, githubtest.Webhook{Header: r.Header, Body: body})
		w.WriteHeader(in.code)
	}))
	t.Cleanup(server.Close)
	s.AddHook(server.URL)
	return in
}

// take returns what has arrived since the last time.
func (in *inbox) take(s *githubtest.Server) []githubtest.Webhook {
	s.Flush()
	in.mu.Lock()
	defer in.mu.Unlock()
	got := in.got
	in.got = nil
	return got
}
