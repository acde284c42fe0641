package slack_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"nightporter.dev/nightporter/provider/notify"
	"nightporter.dev/nightporter/provider/notify/notifytest"
	"nightporter.dev/nightporter/provider/notify/slack"
)

func newNotifier(t *testing.T, f *notifytest.FarEnd) *slack.Notifier {
	t.Helper()
	n, err := slack.New(slack.Config{URL: f.URL + "/services/T0/B0/hidden", Client: f.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNotifier(t *testing.T) {
	t.Parallel()
	notifytest.Run(t, func(t *testing.T) notifytest.World {
		f := notifytest.NewFarEnd(t)
		return notifytest.World{Notifier: newNotifier(t, f), Received: f.Received, Break: f.Break, Secrets: []string{"hidden"}}
	})
}

// body is the shape of Slack's documentation, "Sending messages using incoming
// webhooks" and "Block Kit: section, context".
type body struct {
	Text   string
	Blocks []struct {
		Type     string
		Text     struct{ Type, Text string }
		Elements []struct{ Type, Text string }
	}
}

func send(t *testing.T, m notify.Message) body {
	t.Helper()
	f := notifytest.NewFarEnd(t)
	if err := newNotifier(t, f).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	var b body
	if err := json.Unmarshal(f.Posts()[0].Body, &b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSend(t *testing.T) {
	t.Parallel()

	t.Run("the title links to the page and the severity is a word", func(t *testing.T) {
		t.Parallel()
		b := send(t, notifytest.Message())
		want := "*Your turn:* <https://porter.example/releases/42?tab=log&amp;x=1|ledger 1.4.0 waits for an approval>"
		if len(b.Blocks) != 3 || b.Blocks[0].Text.Text != want {
			t.Fatalf("got %+v, want the heading %q", b, want)
		}
		if got := b.Blocks[1].Text.Text; got != "It brings 3 changes &amp; runs in preprod &lt;since 12:04&gt;." {
			t.Errorf("the text is %q", got)
		}
		if got := b.Blocks[2].Elements[0].Text; got != "ledger · prod · 2026-11-23 09:30 UTC" {
			t.Errorf("the foot is %q", got)
		}
	})

	t.Run("no text can call a channel or forge a link", func(t *testing.T) {
		t.Parallel()
		m := notifytest.Message()
		m.Title, m.Text, m.URL = "<!channel> <https://evil.example|ledger>", "<@U1>", "https://porter.example/a|b>c"
		b := send(t, m)
		all := b.Text + b.Blocks[0].Text.Text + b.Blocks[1].Text.Text
		if strings.Contains(all, "<!") || strings.Contains(all, "<@") || strings.Contains(all, "<https://evil") || strings.Contains(all, "a|b") {
			t.Errorf("control characters got through: %q", all)
		}
	})

	t.Run("a text that grows by escaping is cut between entities", func(t *testing.T) {
		t.Parallel()
		m := notifytest.Message()
		m.Text = strings.Repeat("&", notify.MaxText)
		got := send(t, m).Blocks[1].Text.Text
		if utf8.RuneCountInString(got) > 3000 || !strings.HasSuffix(got, "&amp;…") {
			t.Errorf("%d characters ending in %q", utf8.RuneCountInString(got), got[len(got)-12:])
		}
	})
}
