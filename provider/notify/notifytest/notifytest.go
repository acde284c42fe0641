// Package notifytest is what every [notify.Notifier] must pass.
package notifytest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/notify"
)

// World is a channel for one test, and its reader.
type World struct {
	Notifier notify.Notifier
	// Received returns what the far end took, each as the text of it.
	Received func() []string
	// Break makes the next send fail: the far end does not answer
	// (Unavailable), has enough (Limited), or refuses (Invalid).
	Break func(code nightporter.Code)
	// Secrets are texts that no error may hold.
	Secrets []string
}

// Message returns a good message.
func Message() notify.Message {
	return notify.Message{
		Key: "release/42/approval", Title: "ledger 1.4.0 waits for an approval", Text: "It brings 3 changes & runs in preprod <since 12:04>.",
		URL: "https://porter.example/releases/42?tab=log&x=1", Severity: notify.Action, Service: "ledger", Environment: "prod",
		At: time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC),
	}
}

// Run runs the suite.
func Run(t *testing.T, setup func(t *testing.T) World) {
	t.Run("a message arrives", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		if err := w.Notifier.Send(t.Context(), Message()); err != nil {
			t.Fatal(err)
		}
		got := w.Received()
		if len(got) != 1 || !strings.Contains(got[0], "ledger 1.4.0 waits for an approval") {
			t.Errorf("received %q, want the message once", got)
		}
	})
	t.Run("a broken far end says whether trying again helps and is not retried", func(t *testing.T) {
		t.Parallel()
		for _, code := range []nightporter.Code{nightporter.Unavailable, nightporter.Limited, nightporter.Invalid} {
			w := setup(t)
			w.Break(code)
			err := w.Notifier.Send(t.Context(), Message())
			if nightporter.CodeOf(err) != code {
				t.Errorf("got %v with code %q, want %q", err, nightporter.CodeOf(err), code)
			}
			for _, secret := range w.Secrets {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error %q holds a secret", err)
				}
			}
			if err := w.Notifier.Send(t.Context(), Message()); err != nil {
				t.Errorf("the message was not taken afterwards: %v", err)
			}
			if got := w.Received(); len(got) != 1 {
				t.Errorf("received %q, want one message", got)
			}
		}
	})
	t.Run("a bad message is refused before it is sent", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		for name, spoil := range map[string]func(*notify.Message){
			"no key":           func(m *notify.Message) { m.Key = "" },
			"a key of lines":   func(m *notify.Message) { m.Key = "a\r\nX-Evil: 1" },
			"no title":         func(m *notify.Message) { m.Title = " " },
			"a title of lines": func(m *notify.Message) { m.Title = "a\nb" },
			"a long text":      func(m *notify.Message) { m.Text = strings.Repeat("é", notify.MaxText+1) },
			"broken text":      func(m *notify.Message) { m.Text = "\xff" },
			"no severity":      func(m *notify.Message) { m.Severity = "" },
			"no time":          func(m *notify.Message) { m.At = time.Time{} },
			"a script":         func(m *notify.Message) { m.URL = "javascript:alert(1)" },
			"a password":       func(m *notify.Message) { m.URL = "https://ana:pw@porter.example/" },
		} {
			m := Message()
			spoil(&m)
			if err := w.Notifier.Send(t.Context(), m); nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("%s: got %v, want an invalid error", name, err)
			}
		}
		if got := w.Received(); len(got) != 0 {
			t.Errorf("received %q, want nothing", got)
		}
	})
	t.Run("a caller that gave up gets its own error", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.Notifier.Send(ctx, Message()); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
}
