package forgetest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/forge"
)

var webhookTests = []test{
	{"a webhook hints at the repository, the kind and the sender", func(t *testing.T, h Harness) {
		h.World.AddRepo(t, "ledger")
		n := h.World.Open(t, "ledger", Pull{Title: "One", Author: "ana-gh"})
		opened := parse(t, h)
		h.World.Label(t, "ledger", n, "minor")
		labelled := parse(t, h)
		h.World.Push(t, "ledger", "by hand", "ben-gh")
		pushed := parse(t, h)
		want := []forge.Delivery{
			{Hint: forge.HintPullRequest, Repo: "ledger", Sender: "ana-gh"},
			{Hint: forge.HintPullRequest, Repo: "ledger", Sender: "ana-gh"},
			{Hint: forge.HintPush, Repo: "ledger", Sender: "ben-gh"},
		}
		got := []forge.Delivery{opened, labelled, pushed}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(forge.Delivery{}, "ID", "Event")); diff != "" {
			t.Errorf("deliveries (-want +got):\n%s", diff)
		}
		if opened.ID == "" || opened.ID == labelled.ID || labelled.ID == pushed.ID {
			t.Errorf("ids are %q, %q, %q, want three", opened.ID, labelled.ID, pushed.ID)
		}
	}},
	{"a webhook that is not signed with our secret is refused", func(t *testing.T, h Harness) {
		h.World.AddRepo(t, "ledger")
		h.World.Push(t, "ledger", "by hand", "ben-gh")
		header, body := h.World.Webhook(t)
		for name, change := range map[string]func() []byte{
			"no signature":        func() []byte { header.Del(forge.SignatureHeader); return body },
			"another secret":      func() []byte { header.Set(forge.SignatureHeader, forge.Sign([]byte("guess"), body)); return body },
			"sha1":                func() []byte { header.Set(forge.SignatureHeader, "sha1=00"); return body },
			"not hexadecimal":     func() []byte { header.Set(forge.SignatureHeader, "sha256=zz"); return body },
			"a shortened one":     func() []byte { header.Set(forge.SignatureHeader, "sha256="); return body },
			"two of them":         func() []byte { header.Add(forge.SignatureHeader, "sha256=00"); return body },
			"another body":        func() []byte { return append([]byte(" "), body...) },
			"unsigned, not JSON":  func() []byte { return []byte("<html>") },
			"unsigned, not there": func() []byte { return nil },
		} {
			fresh, _ := h.World.Webhook(t)
			header = fresh.Clone()
			_, err := h.Forge.ParseWebhook(header, change())
			var bad *forge.SignatureError
			if !errors.As(err, &bad) || nightporter.CodeOf(err) != nightporter.Unauthenticated {
				t.Errorf("%s: got %v, want it refused for its signature", name, err)
			}
		}
	}},
}

func parse(t testing.TB, h Harness) forge.Delivery {
	t.Helper()
	header, body := h.World.Webhook(t)
	d, err := h.Forge.ParseWebhook(header, body)
	if err != nil {
		t.Fatalf("parse webhook: %v", err)
	}
	return d
}
