package email_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"strings"
	"sync"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/notify/email"
	"nightporter.dev/nightporter/provider/notify/notifytest"
)

// server is a mail server for one test. It offers STARTTLS and AUTH PLAIN.
type server struct {
	net.Listener
	certificate tls.Certificate
	roots       *x509.CertPool

	mu       sync.Mutex
	received []string
	lines    []string // what it was told, but for the mail itself
	clear    []string // of those, what came before TLS
	answer   string   // to the next MAIL; "" means yes
	noTLS    bool
}

func newServer(t *testing.T) *server {
	t.Helper()
	https := httptest.NewUnstartedServer(nil)
	https.StartTLS()
	t.Cleanup(https.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: l, certificate: https.TLS.Certificates[0], roots: x509.NewCertPool()}
	s.roots.AddCert(https.Certificate())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.talk(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return s
}

func (s *server) talk(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	say := func(line string) { _, _ = io.WriteString(conn, line+"\r\n") }
	r, secure := bufio.NewReader(conn), false
	say("220 mail.test ESMTP")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		s.mu.Lock()
		s.lines = append(s.lines, line)
		if !secure {
			s.clear = append(s.clear, line)
		}
		answer, noTLS := s.answer, s.noTLS
		if strings.HasPrefix(line, "MAIL") {
			s.answer = ""
		}
		s.mu.Unlock()
		switch verb, _, _ := strings.Cut(line, " "); verb {
		case "EHLO":
			if !secure && !noTLS {
				say("250-mail.test\r\n250-STARTTLS\r\n250 AUTH PLAIN")
			} else {
				say("250-mail.test\r\n250 AUTH PLAIN")
			}
		case "STARTTLS":
			say("220 go on")
			conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{s.certificate}, MinVersion: tls.VersionTLS12})
			r, secure = bufio.NewReader(conn), true
		case "MAIL":
			if answer == "hang up" {
				return
			}
			if answer != "" {
				say(answer)
				continue
			}
			say("250 ok")
		case "AUTH":
			say("235 ok")
		case "DATA":
			say("354 go on")
			var b strings.Builder
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				b.WriteString(strings.TrimPrefix(line, "."))
			}
			s.mu.Lock()
			s.received = append(s.received, b.String())
			s.mu.Unlock()
			say("250 ok")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (s *server) mails() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.received...)
}

func (s *server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

const password = "a-password-for-tests"

func newNotifier(t *testing.T, s *server, change func(*email.Config)) *email.Notifier {
	t.Helper()
	cfg := email.Config{
		Server: s.Addr().String(), From: "Porter <porter@acme.test>", To: []string{"ana@acme.test", "Zoë <zoe@acme.test>"},
		Username: "porter", Password: password, Dial: new(net.Dialer).DialContext, Roots: &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12},
	}
	if change != nil {
		change(&cfg)
	}
	n, err := email.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNotifier(t *testing.T) {
	t.Parallel()
	notifytest.Run(t, func(t *testing.T) notifytest.World {
		s := newServer(t)
		return notifytest.World{
			Notifier: newNotifier(t, s, nil),
			Received: func() (subjects []string) {
				for _, m := range s.mails() {
					got := read(t, m)
					subjects = append(subjects, got.subject+"\n"+got.text)
				}
				return subjects
			},
			Break: func(code nightporter.Code) {
				s.set(func() {
					s.answer = map[nightporter.Code]string{
						nightporter.Unavailable: "hang up", nightporter.Limited: "452 4.5.3 too many " + password, nightporter.Invalid: "550 5.1.1 no " + password,
					}[code]
				})
			},
			Secrets: []string{password},
		}
	})
}

type letter struct {
	*mail.Message
	subject, text string
}

// read reads a mail with the standard library's parsers, which judge it.
func read(t *testing.T, raw string) letter {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatalf("no mail: %v\n%s", err, raw)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	return letter{m, subject, string(text)}
}

func TestAMailIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	n := newNotifier(t, s, nil)
	m := notifytest.Message()
	m.Title, m.Text = "ledger 1.4.0 wartet auf Zoë → prod", "first\n.\n..two dots\n"+strings.Repeat("é", 400)
	for range 2 {
		if err := n.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	mails := s.mails()
	got, again := read(t, mails[0]), read(t, mails[1])
	if got.subject != "Your turn: "+m.Title {
		t.Errorf("the subject is %q", got.subject)
	}
	for _, part := range []string{m.Title, strings.ReplaceAll(m.Text, "\n", "\r\n"), m.URL, "ledger · prod · 2026-11-23 09:30 UTC"} {
		if !strings.Contains(got.text, part) {
			t.Errorf("the text %q lacks %q", got.text, part)
		}
	}
	to, err := got.Header.AddressList("To")
	if err != nil || fmt.Sprint(to) != `[<ana@acme.test> =?utf-8?q?Zo=C3=AB?= <zoe@acme.test>]` {
		t.Errorf("to is %v, %v", to, err)
	}
	if at, err := got.Header.Date(); err != nil || !at.Equal(m.At) {
		t.Errorf("the date is %v, %v", at, err)
	}
	if id := got.Header.Get("Message-ID"); id == "" || id != again.Header.Get("Message-ID") {
		t.Errorf("the same news are %q and %q: they must have one id", id, again.Header.Get("Message-ID"))
	}
	for line := range strings.Lines(mails[0]) {
		if len(line) > 998+2 { // RFC 5322 §2.1.1
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}

func TestNothingGoesInTheClear(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	if err := newNotifier(t, s, nil).Send(t.Context(), notifytest.Message()); err != nil {
		t.Fatal(err)
	}
	s.set(func() {
		for _, line := range s.clear {
			if verb, _, _ := strings.Cut(line, " "); verb != "EHLO" && verb != "STARTTLS" {
				t.Errorf("in the clear: %s", line)
			}
		}
		s.noTLS = true
	})
	if err := newNotifier(t, s, nil).Send(t.Context(), notifytest.Message()); nightporter.CodeOf(err) != nightporter.Invalid {
		t.Errorf("a server without TLS: got %v, want invalid", err)
	}
	s.set(func() { s.noTLS = false })
	n := newNotifier(t, s, func(c *email.Config) { c.Roots = nil })
	if err := n.Send(t.Context(), notifytest.Message()); nightporter.CodeOf(err) != nightporter.Invalid {
		t.Errorf("a certificate that nobody trusts: got %v, want invalid", err)
	}
	if n := len(s.mails()); n != 1 {
		t.Errorf("%d mails arrived, want 1", n)
	}
}

func TestNewRefusesBadSettings(t *testing.T) {
	t.Parallel()
	good := email.Config{Server: "mail.test:587", From: "a@acme.test", To: []string{"b@acme.test"}, Dial: new(net.Dialer).DialContext}
	for name, spoil := range map[string]func(*email.Config){
		"no port":                   func(c *email.Config) { c.Server = "mail.test" },
		"no sender":                 func(c *email.Config) { c.From = "" },
		"a sender of lines":         func(c *email.Config) { c.From = "a@acme.test>\r\nRCPT TO:<x@evil.test" },
		"nobody":                    func(c *email.Config) { c.To = nil },
		"no address":                func(c *email.Config) { c.To = []string{"ana"} },
		"no dialer":                 func(c *email.Config) { c.Dial = nil },
		"a password in the clear":   func(c *email.Config) { c.TLS, c.Username = email.Off, "porter" },
		"a protection nobody knows": func(c *email.Config) { c.TLS = "yes" },
	} {
		c := good
		spoil(&c)
		if _, err := email.New(c); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
}
