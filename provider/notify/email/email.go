// Package email sends messages by SMTP (RFC 5321) to the addresses of a team.
//
// A mail is plain text. Its Message-ID is made from the message's key, so that a
// mail that was sent twice, because the answer to the first was lost, is one for
// mailboxes that sort by it. It says that a program wrote it (RFC 3834), so that
// nobody's holiday notice answers.
package email

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/notify"
)

// TLS says how the connection is protected.
type TLS string

// The ways. The zero value is StartTLS.
const (
	// StartTLS begins in the clear and refuses to go on so (RFC 3207).
	StartTLS TLS = "starttls"
	// Implicit begins with TLS (RFC 8314).
	Implicit TLS = "tls"
	// Off sends in the clear: for a server on this machine. It never signs in.
	Off TLS = "off"
)

// Config makes a [Notifier].
type Config struct {
	// Server is host and port: "smtp.acme.test:587". No default.
	Server string
	// From and To are addresses: "porter@acme.test", "Ana <ana@acme.test>". No
	// default.
	From string
	To   []string
	// Username and Password sign in, with PLAIN and never in the clear. No
	// Username means not to.
	Username string
	Password string
	TLS      TLS
	// Dial connects. It must guard which addresses are reached. No default.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Roots judge the server's certificate; nil means the machine's. For tests.
	Roots *tls.Config
	// Timeout bounds one message. Default: 30 s.
	Timeout time.Duration
}

// Notifier sends mail to some addresses.
type Notifier struct {
	cfg  Config
	host string
	from *mail.Address
	to   []*mail.Address
}

var _ notify.Notifier = (*Notifier)(nil)

// New checks the settings. It does not connect.
func New(cfg Config) (*Notifier, error) {
	host, _, err := net.SplitHostPort(cfg.Server)
	if err != nil || host == "" {
		return nil, nightporter.E(nightporter.Invalid, "the mail server %q is no host and port", cfg.Server).WithHint("write smtp.acme.test:587")
	}
	if cfg.Dial == nil {
		return nil, nightporter.E(nightporter.Invalid, "nobody connects to the mail server")
	}
	if cfg.TLS == "" {
		cfg.TLS = StartTLS
	}
	if !slices.Contains([]TLS{StartTLS, Implicit, Off}, cfg.TLS) {
		return nil, nightporter.E(nightporter.Invalid, "%q is no way to protect mail", cfg.TLS).WithHint("write starttls, tls or off")
	}
	if cfg.TLS == Off && cfg.Username != "" {
		return nil, nightporter.E(nightporter.Invalid, "a password would travel to the mail server in the clear").WithHint("use starttls or tls, or no username")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 30 * time.Second
	}
	n := &Notifier{cfg: cfg, host: host}
	if n.from, err = mail.ParseAddress(cfg.From); err != nil {
		return nil, nightporter.E(nightporter.Invalid, "the sender %q is no address", cfg.From)
	}
	for _, to := range cfg.To {
		a, err := mail.ParseAddress(to)
		if err != nil {
			return nil, nightporter.E(nightporter.Invalid, "%q is no address", to)
		}
		n.to = append(n.to, a)
	}
	if len(n.to) == 0 {
		return nil, nightporter.E(nightporter.Invalid, "mail has no receiver").WithHint("write to: [ana@acme.test], or give the team's members an email")
	}
	return n, nil
}

// Send implements [notify.Notifier].
func (n *Notifier) Send(ctx context.Context, m notify.Message) error {
	if err := m.Validate(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	body, err := n.render(m)
	if err != nil {
		return fmt.Errorf("writing the mail %s: %w", m.Key, err)
	}
	within, cancel := context.WithTimeout(ctx, n.cfg.Timeout)
	defer cancel()
	if err := n.deliver(within, body); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return explain(err)
	}
	return nil
}

// deliver speaks SMTP. The server has taken the mail when it has answered the end
// of the data: what goes wrong after that is nothing to try again for.
func (n *Notifier) deliver(ctx context.Context, body []byte) error {
	conn, err := n.cfg.Dial(ctx, "tcp", n.cfg.Server)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // says nothing once the mail is taken
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	secure := &tls.Config{ServerName: n.host, MinVersion: tls.VersionTLS12}
	if n.cfg.Roots != nil {
		secure.RootCAs = n.cfg.Roots.RootCAs
	}
	if n.cfg.TLS == Implicit {
		conn = tls.Client(conn, secure)
	}
	c, err := smtp.NewClient(conn, n.host)
	if err != nil {
		return err
	}
	if n.cfg.TLS == StartTLS {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return nightporter.E(nightporter.Invalid, "the mail server offers no TLS").WithHint("use another port, or mail: {tls: off} for a server on this machine")
		}
		if err := c.StartTLS(secure); err != nil {
			return err
		}
	}
	if n.cfg.Username != "" {
		if err := c.Auth(smtp.PlainAuth("", n.cfg.Username, n.cfg.Password, n.host)); err != nil {
			return err
		}
	}
	if err := c.Mail(n.from.Address); err != nil {
		return err
	}
	for _, to := range n.to {
		if err := c.Rcpt(to.Address); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(body); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_ = c.Quit()
	return nil
}

// explain turns the server's answer into the errors that [notify.Notifier.Send]
// promises. Its words are for the operator only: some servers repeat what they were
// told.
func explain(err error) error {
	var coded *nightporter.Error
	if errors.As(err, &coded) {
		return err
	}
	var answer *textproto.Error
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &certificate):
		return nightporter.Wrap(err, nightporter.Invalid, "the mail server's certificate is not trusted")
	case !errors.As(err, &answer):
		return nightporter.Wrap(err, nightporter.Unavailable, "the mail server does not answer")
	case answer.Code == 452, answer.Code == 552: // RFC 5321 §4.5.3.1.9: too many, or too much
		return nightporter.E(nightporter.Limited, "the mail server answers %d: too many messages", answer.Code)
	case answer.Code == 535, answer.Code == 530:
		return nightporter.E(nightporter.Invalid, "the mail server answers %d: it does not let us sign in", answer.Code).
			WithHint("check mail.username and mail.password_file")
	case answer.Code >= 400 && answer.Code < 500:
		return nightporter.E(nightporter.Unavailable, "the mail server answers %d", answer.Code)
	}
	return nightporter.E(nightporter.Invalid, "the mail server refuses the message: it answers %d", answer.Code).
		WithHint("check the addresses of mail.from and of the team")
}

// subjects say the severity in a word.
var subjects = map[notify.Severity]string{
	notify.Action: "Your turn: ", notify.Problem: "Problem: ", notify.Critical: "Critical: ",
}

func (n *Notifier) render(m notify.Message) ([]byte, error) {
	var to []string
	for _, a := range n.to {
		to = append(to, a.String())
	}
	sum := sha256.Sum256([]byte(m.Key))
	_, domain, _ := strings.Cut(n.from.Address, "@")
	var b bytes.Buffer
	for _, h := range [][2]string{
		{"From", n.from.String()},
		{"To", strings.Join(to, ",\r\n ")},
		{"Subject", mime.QEncoding.Encode("utf-8", subjects[m.Severity]+m.Title)},
		{"Date", m.At.UTC().Format(time.RFC1123Z)},
		{"Message-ID", "<" + hex.EncodeToString(sum[:16]) + "@" + domain + ">"},
		{"Auto-Submitted", "auto-generated"},
		{"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"},
		{"Content-Transfer-Encoding", "quoted-printable"},
	} {
		b.WriteString(h[0] + ": " + h[1] + "\r\n")
	}
	b.WriteString("\r\n")
	text := quotedprintable.NewWriter(&b)
	parts := []string{m.Title, m.Text, m.URL}
	foot := slices.DeleteFunc([]string{m.Service, m.Environment, m.At.UTC().Format("2006-01-02 15:04 UTC")}, func(s string) bool { return s == "" })
	parts = append(parts, strings.Join(foot, " · "))
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	_, err := io.WriteString(text, strings.ReplaceAll(strings.Join(parts, "\n\n")+"\n", "\n", "\r\n"))
	return b.Bytes(), errors.Join(err, text.Close())
}
