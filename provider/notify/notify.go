// Package notify is the contract between whoever has news for people and the
// channels that people read: a chat, a mailbox, a program of their own.
//
// A channel is told, never asked: who retries, how often, and in which hours is
// decided by the caller, which keeps each message until it is delivered. A
// message that is sent again carries the same key.
package notify

import (
	"context"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"nightporter.dev/nightporter"
)

// Severity says how much a message wants from its reader.
type Severity string

// The severities.
const (
	Info     Severity = "info"     // good to know: a release is in production
	Action   Severity = "action"   // somebody has to decide: a release waits for an approval
	Problem  Severity = "problem"  // something went wrong and was handled: rolled back
	Critical Severity = "critical" // something is wrong now and needs a person
)

// Message is one piece of news. It must never hold a secret: channels are read by
// many and kept for long.
type Message struct {
	// Key is the same for the same news, however often it is sent, so that a
	// channel can leave out what it has shown. At most 200 printable ASCII
	// characters: "release/42/approval/4h".
	Key string `json:"key"`
	// Title is one line: "ledger 1.4.0 waits for an approval". At most 200
	// characters.
	Title string `json:"title"`
	// Text says more, as plain text. At most 3,000 characters. May be empty.
	Text string `json:"text,omitempty"`
	// URL is the page that shows it. May be empty.
	URL         string    `json:"url,omitempty"`
	Severity    Severity  `json:"severity"`
	Service     string    `json:"service,omitempty"`
	Environment string    `json:"environment,omitempty"`
	At          time.Time `json:"at"`
}

// Limits of a message, in characters.
const (
	MaxKey   = 200
	MaxTitle = 200
	MaxText  = 3000
)

// Notifier sends messages to one channel.
type Notifier interface {
	// Send returns nil when the channel has taken the message. Unavailable
	// means that trying again later helps, Limited that it helps much later,
	// Invalid that the message or the channel's settings are wrong and it never
	// will. It may be called by many goroutines, returns within its client's
	// timeout, and never retries by itself. No error of it holds the channel's
	// address or secret.
	Send(ctx context.Context, m Message) error
}

// Validate checks what every channel needs. Senders call it first.
func (m Message) Validate() error {
	if m.Key == "" || len(m.Key) > MaxKey || strings.ContainsFunc(m.Key, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return nightporter.E(nightporter.Invalid, "a message has the key %q, which must be 1 to %d printable characters", m.Key, MaxKey)
	}
	if strings.TrimSpace(m.Title) == "" || strings.ContainsAny(m.Title, "\r\n") || utf8.RuneCountInString(m.Title) > MaxTitle {
		return nightporter.E(nightporter.Invalid, "the title of message %s must be one line of 1 to %d characters", m.Key, MaxTitle)
	}
	if utf8.RuneCountInString(m.Text) > MaxText {
		return nightporter.E(nightporter.Invalid, "the text of message %s is longer than %d characters", m.Key, MaxText)
	}
	if !utf8.ValidString(m.Title) || !utf8.ValidString(m.Text) {
		return nightporter.E(nightporter.Invalid, "message %s is not valid UTF-8", m.Key)
	}
	switch m.Severity {
	case Info, Action, Problem, Critical:
	default:
		return nightporter.E(nightporter.Invalid, "message %s has the unknown severity %q", m.Key, m.Severity)
	}
	if m.At.IsZero() {
		return nightporter.E(nightporter.Invalid, "message %s does not say when it happened", m.Key)
	}
	if m.URL == "" {
		return nil
	}
	if u, err := url.Parse(m.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nightporter.E(nightporter.Invalid, "the link of message %s is not an address of a web page", m.Key)
	}
	return nil
}
