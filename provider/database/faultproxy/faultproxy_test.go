package faultproxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"nightporter.dev/nightporter/provider/database/faultproxy"
)

// echo is a server that remembers the lines it was sent and says them back.
type echo struct {
	net.Listener
	mu    sync.Mutex
	heard []string
}

func startEcho(t *testing.T) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{Listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go e.serve(c)
		}
	}()
	return e
}

func (e *echo) serve(c net.Conn) {
	defer c.Close()
	for lines := bufio.NewScanner(c); lines.Scan(); {
		e.mu.Lock()
		e.heard = append(e.heard, lines.Text())
		e.mu.Unlock()
		fmt.Fprintln(c, lines.Text())
	}
}

func (e *echo) has(line string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, h := range e.heard {
		if h == line {
			return true
		}
	}
	return false
}

type client struct {
	net.Conn
	lines *bufio.Reader
}

func setup(t *testing.T) (*echo, *faultproxy.Proxy, func() *client) {
	t.Helper()
	e := startEcho(t)
	p, err := faultproxy.New(e.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return e, p, func() *client {
		c, err := p.Dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return &client{c, bufio.NewReader(c)}
	}
}

// say sends a line and returns the answer.
func (c *client) say(line string) (string, error) {
	if _, err := fmt.Fprintln(c, line); err != nil {
		return "", err
	}
	answer, err := c.lines.ReadString('\n')
	return strings.TrimSpace(answer), err
}

func TestProxy(t *testing.T) {
	t.Parallel()

	t.Run("without a fault passes everything on", func(t *testing.T) {
		t.Parallel()
		_, _, dial := setup(t)
		c := dial()
		for _, line := range []string{"one", "two"} {
			if got, err := c.say(line); err != nil || got != line {
				t.Errorf("say(%q) = %q, %v", line, got, err)
			}
		}
	})

	t.Run("strikes at the message that was asked for, and once", func(t *testing.T) {
		t.Parallel()
		_, p, dial := setup(t)
		p.Inject(faultproxy.Reset, 2)
		c := dial()
		if _, err := c.say("one"); err != nil {
			t.Errorf("first message: %v", err)
		}
		if p.Struck() {
			t.Error("struck at the first message")
		}
		if _, err := c.say("two"); err == nil {
			t.Error("second message was answered")
		}
		if !p.Struck() {
			t.Error("did not strike at the second message")
		}
		if _, err := dial().say("three"); err != nil {
			t.Errorf("a new connection: %v", err)
		}
	})

	t.Run("reset delivers a part only", func(t *testing.T) {
		t.Parallel()
		e, p, dial := setup(t)
		p.Inject(faultproxy.Reset, 1)
		if _, err := dial().say("a whole line"); err == nil {
			t.Error("was answered")
		}
		if e.has("a whole line") {
			t.Error("the server heard the whole line")
		}
	})

	t.Run("a lost answer was heard by the server", func(t *testing.T) {
		t.Parallel()
		e, p, dial := setup(t)
		p.Inject(faultproxy.LoseAnswer, 1)
		if got, err := dial().say("commit"); err == nil {
			t.Errorf("got an answer: %q", got)
		}
		if !e.has("commit") {
			t.Error("the server did not hear it")
		}
	})

	t.Run("refuse lasts until it is healed", func(t *testing.T) {
		t.Parallel()
		_, p, dial := setup(t)
		p.Inject(faultproxy.Refuse, 1)
		if _, err := dial().say("anybody?"); err == nil {
			t.Error("was answered")
		}
		if c, err := p.Dial(t.Context(), "", ""); err == nil { // it may not even get that far
			if _, err := (&client{c, bufio.NewReader(c)}).say("anybody?"); err == nil {
				t.Error("a new connection was answered")
			}
			c.Close()
		}
		p.Heal()
		if _, err := dial().say("anybody?"); err != nil {
			t.Errorf("after healing: %v", err)
		}
	})

	t.Run("hang says nothing, and then resets", func(t *testing.T) {
		t.Parallel()
		e, p, dial := setup(t)
		p.Inject(faultproxy.Hang, 1)
		c := dial()
		if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		var timeout net.Error
		if _, err := c.say("anybody?"); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("got %v, want a timeout", err)
		}
		p.Heal()
		if err := c.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); err == nil {
			t.Error("the connection ended in good order")
		}
		if e.has("anybody?") {
			t.Error("the server heard it")
		}
	})

	t.Run("late delivers after its sender has gone", func(t *testing.T) {
		t.Parallel()
		e, p, dial := setup(t)
		p.Inject(faultproxy.Late, 1)
		c := dial()
		if _, err := fmt.Fprintln(c, "create"); err != nil {
			t.Fatal(err)
		}
		<-p.Strike()
		c.Close()
		if e.has("create") {
			t.Error("delivered at once")
		}
		p.Heal()
		if !e.has("create") {
			t.Error("not delivered")
		}
	})
}
