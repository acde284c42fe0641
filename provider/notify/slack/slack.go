// Package slack posts messages to an incoming webhook of Slack, or of a chat that
// takes the same JSON (Mattermost, Rocket.Chat, Discord with /slack).
//
// Incoming webhooks know no idempotency: a message sent twice is shown twice, so
// callers must not send again what was taken.
package slack

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"nightporter.dev/nightporter/provider/notify"
)

// Config makes a [Notifier].
type Config struct {
	// URL is the incoming webhook's address. It is a secret: whoever knows it
	// can write to the channel. No default.
	URL string
	// Client posts the messages. It must guard which addresses are dialled and
	// set a timeout. No default.
	Client *http.Client
}

// Notifier posts messages to one channel.
type Notifier struct{ endpoint *notify.Endpoint }

var _ notify.Notifier = (*Notifier)(nil)

// New checks the settings. It does not connect.
func New(cfg Config) (*Notifier, error) {
	endpoint, err := notify.NewEndpoint(cfg.URL, cfg.Client)
	if err != nil {
		return nil, err
	}
	return &Notifier{endpoint: endpoint}, nil
}

// payload is the body of an incoming webhook. Text is what notifications and
// chats without blocks show.
type payload struct {
	Text   string  `json:"text"`
	Blocks []block `json:"blocks,omitempty"`
}

type block struct {
	Type     string `json:"type"`
	Text     *text  `json:"text,omitempty"`
	Elements []text `json:"elements,omitempty"`
}

type text struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// Send implements [notify.Notifier].
func (n *Notifier) Send(ctx context.Context, m notify.Message) error {
	if err := m.Validate(); err != nil {
		return err
	}
	body, err := json.Marshal(render(m))
	if err != nil {
		return fmt.Errorf("writing the message %s: %w", m.Key, err)
	}
	return n.endpoint.Post(ctx, nil, body)
}

// maxSection is Slack's limit for the text of a section, in characters.
const maxSection = 3000

func render(m notify.Message) payload {
	title := escape(m.Title)
	if m.URL != "" {
		title = "<" + strings.NewReplacer("|", "%7C", ">", "%3E").Replace(escape(m.URL)) + "|" + title + ">"
	}
	heading := "*" + mark(m.Severity) + "* " + title
	p := payload{Text: mark(m.Severity) + " " + escape(m.Title), Blocks: []block{section(heading)}}
	if m.Text != "" {
		p.Blocks = append(p.Blocks, section(cut(escape(m.Text), maxSection)))
	}
	var foot []string
	for _, part := range []string{m.Service, m.Environment, m.At.UTC().Format("2006-01-02 15:04 UTC")} {
		if part != "" {
			foot = append(foot, escape(part))
		}
	}
	p.Blocks = append(p.Blocks, block{Type: "context", Elements: []text{{Type: "mrkdwn", Text: strings.Join(foot, " · ")}}})
	return p
}

func section(s string) block { return block{Type: "section", Text: &text{Type: "mrkdwn", Text: s}} }

// mark says the severity in a word: colour alone tells nobody anything.
func mark(s notify.Severity) string {
	switch s {
	case notify.Action:
		return "Your turn:"
	case notify.Problem:
		return "Problem:"
	case notify.Critical:
		return "Critical:"
	}
	return "For information:"
}

// escape takes the meaning from Slack's three control characters ("Formatting
// text for app surfaces": &, < and > only), so that no text can mention a channel
// or hide a link.
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// cut shortens escaped text to n characters and never inside an entity.
func cut(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	s = string(r[:n-1])
	if amp := strings.LastIndexByte(s, '&'); amp > strings.LastIndexByte(s, ';') {
		s = s[:amp]
	}
	return s + "…"
}
