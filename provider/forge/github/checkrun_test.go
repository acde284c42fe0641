package github_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/provider/forge/github"
	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

// GitHub's own description judges the request and the answer.
func TestAnAppMakesCheckRunsAndATokenDoesNot(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	s := startFake(t, func(c *githubtest.Config) {
		c.App = &githubtest.App{ID: 7, Installation: 42, Key: &key.PublicKey}
	})
	f := connect(t, s, func(c *github.Config) { c.App = &github.App{ID: 7, Installation: 42, Key: text} })
	must[string](t)(s.AddRepo("ledger", map[string]string{"README.md": "# ledger\n"}))
	n := must[int](t)(s.OpenPull("ledger", githubtest.NewPull{Title: "One", Author: "ana-gh", Labels: []string{"minor"}, Body: "## Why\nIt was wrong."}))
	head := must[string](t)(s.HeadOf("ledger", n))
	for _, state := range []forge.StatusState{forge.Pending, forge.Broken, forge.Failure, forge.Success} {
		check(t, f.SetCheckRun(t.Context(), "ledger", head, forge.CheckRun{
			Status: forge.Status{Context: "nightporter/version", State: state, Description: strings.Repeat("long ", 60), TargetURL: "http://127.0.0.1:8200/repos"},
			Text:   "Before this can be merged:\n\n- add one label",
		}))
		got := must[map[string]githubtest.Status](t)(s.Statuses("ledger", head))["nightporter/version"]
		if got.State != string(state) || !strings.Contains(got.Text, "add one label") {
			t.Errorf("%s became %+v", state, got)
		}
	}
	err = f.SetCheckRun(t.Context(), "ledger", strings.Repeat("ab", 20), forge.CheckRun{Status: forge.Status{Context: "x", State: forge.Success, Description: "x"}})
	if nightporter.CodeOf(err) != nightporter.NotFound {
		t.Errorf("a commit that is not there: got %v, want not found", err)
	}
	d, err := f.ReadPull(t.Context(), "ledger", n)
	check(t, err)
	if d.Body != "## Why\nIt was wrong." || d.Title != "One" || len(d.Labels) != 1 || d.Head != head || d.UpdatedAt.IsZero() {
		t.Errorf("got %+v", d)
	}
	if _, err := f.ReadPull(t.Context(), "ledger", 99); nightporter.CodeOf(err) != nightporter.NotFound {
		t.Errorf("a pull request that is not there: got %v, want not found", err)
	}
	var missing *forge.NotOfferedError
	if err := connect(t, startFake(t, nil), nil).SetCheckRun(t.Context(), "ledger", head, forge.CheckRun{}); !errors.As(err, &missing) {
		t.Errorf("with a token: got %v, want it not offered", err)
	}
}
