package console_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"nightporter.dev/nightporter"
)

// message is one message of the stream.
type message struct{ event, id, data string }

// listen opens the stream and sends its messages until it ends.
func (c *client) listen(t *testing.T, header ...string) (messages <-chan message, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, "GET", c.h.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("the stream answered %d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	out := make(chan message, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(out)
		defer resp.Body.Close()
		var m message
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "event":
				m.event = value
			case "id":
				m.id = value
			case "data":
				m.data = value
			case "":
				out <- m
				m = message{}
			}
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return out, stop
}

func next(t *testing.T, messages <-chan message) message {
	t.Helper()
	select {
	case m := <-messages:
		return m
	case <-time.After(time.Minute):
		t.Fatal("the stream says nothing")
		return message{}
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	t.Run("says that something changed, and no more", func(t *testing.T) {
		t.Parallel()
		h := openHouse(t, smallWorld())
		messages, _ := h.as("vic").listen(t)
		first := next(t, messages)
		if first.event != "ping" || first.id == "" || first.data == "" {
			t.Fatalf("began with %+v, want a ping with an id", first)
		}
		h.console.Notify()
		m := next(t, messages)
		if m.event != "" || m.id == first.id || m.data != "{}" {
			t.Errorf("got %+v, want a message of its own id without content", m)
		}
	})
	t.Run("tells a hundred changes at once in few messages", func(t *testing.T) {
		t.Parallel()
		h := openHouse(t, smallWorld())
		messages, _ := h.as("vic").listen(t)
		next(t, messages)
		for range 100 {
			h.console.Notify()
		}
		last := ""
		for n := 0; ; n++ {
			if m := next(t, messages); m.event == "ping" {
				if n > 3 {
					t.Errorf("a hundred changes made %d messages", n)
				}
				break
			} else {
				last = m.id
			}
		}
		if last == "" {
			t.Error("nothing was told")
		}
	})
	t.Run("goes on after the last id", func(t *testing.T) {
		t.Parallel()
		h := openHouse(t, smallWorld())
		c := h.as("vic")
		messages, stop := c.listen(t)
		id := next(t, messages).id
		stop()
		messages, stop = c.listen(t, "Last-Event-ID", id)
		if m := next(t, messages); m.event != "ping" {
			t.Errorf("nothing happened, and the stream began with %+v", m)
		}
		stop()
		h.console.Notify()
		messages, _ = c.listen(t, "Last-Event-ID", id)
		if m := next(t, messages); m.event != "" || m.id == id {
			t.Errorf("something happened meanwhile, and the stream began with %+v", m)
		}
	})
	t.Run("says bye when the session ends", func(t *testing.T) {
		t.Parallel()
		h := openHouse(t, smallWorld())
		token := h.token(nightporter.Person, "vic")
		messages, _ := h.holding(token).listen(t)
		next(t, messages)
		h.holding(token).post("/sign-out", nil).goesTo(t, "/sign-in")
		for m := next(t, messages); m.event != "bye"; m = next(t, messages) {
		}
		if m, open := <-messages; open {
			t.Errorf("after bye came %+v", m)
		}
	})
	t.Run("says bye at a ping when the session ran out", func(t *testing.T) {
		t.Parallel()
		h := openHouse(t, smallWorld())
		messages, _ := h.as("vic").listen(t)
		next(t, messages)
		h.setTime(time.Now().Add(time.Hour))
		if m := next(t, messages); m.event != "bye" {
			t.Errorf("got %+v", m)
		}
	})
	t.Run("ends when the console closes, and new ones are refused", func(t *testing.T) {
		t.Parallel()
		h := openHouse(t, smallWorld())
		c := h.as("vic")
		messages, _ := c.listen(t)
		next(t, messages)
		h.console.Close()
		for range messages {
		}
		if a := c.get("/events"); a.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("a new stream was answered %d", a.StatusCode)
		}
	})
}

func TestStreamsLeaveNothingBehind(t *testing.T) {
	h := openHouse(t, smallWorld())
	h.waitingLedger() // all loops of the house have begun
	c := h.as("vic")
	before := goleak.IgnoreCurrent()
	for range 5 {
		messages, stop := c.listen(t)
		next(t, messages)
		stop()
	}
	r, err := http.NewRequest("HEAD", h.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	c.CloseIdleConnections()
	h.CloseClientConnections()
	goleak.VerifyNone(t, before)
}
