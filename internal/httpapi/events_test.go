package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/telemetry"
)

// tab is an open page: what its EventSource has read.
type tab struct {
	res    *http.Response
	lines  *bufio.Scanner
	lastID string
}

type message struct{ Name, Data string }

// next reads one message, passing over comments and pings.
func (t *tab) next() (message, bool) {
	var m message
	var data []string
	for t.lines.Scan() {
		field, value, _ := strings.Cut(t.lines.Text(), ": ")
		switch field {
		case "id":
			t.lastID = value
		case "event":
			m.Name = value
		case "data":
			data = append(data, value)
		case "":
			if data != nil {
				m.Data = strings.Join(data, "\n")
				return m, true
			}
		}
	}
	return m, false
}

// hub is a hub behind a server in memory, in a bubble of testing/synctest.
type hub struct {
	*httpapi.Events
	door   *door
	pipes  *pipes
	client *http.Client
	revoke atomic.Bool
}

func newHub(t *testing.T, cfg httpapi.EventsConfig) *hub {
	t.Helper()
	h := &hub{}
	cfg.Metrics = telemetry.NewRegistry()
	cfg.Allow = func(ctx context.Context, topic string) error {
		if topic == "secret" || h.revoke.Load() || nightporter.ActorFrom(ctx).Name == "" {
			return nightporter.E(nightporter.Denied, "not for you")
		}
		return nil
	}
	events, err := httpapi.NewEvents(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.Events = events
	h.door = open(t, events.Route(httpapi.Does("events.listen", nightporter.Read, "api/events")))
	h.door.metrics = cfg.Metrics
	h.pipes = h.door.start(t)
	transport := &http.Transport{DialContext: h.pipes.dialContext, DisableKeepAlives: true}
	h.client = &http.Client{Transport: transport}
	t.Cleanup(events.Close) // before the server shuts down
	return h
}

func (h *hub) get(t *testing.T, query, lastID string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://porter/events?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", "ana")
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := h.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func (h *hub) open(t *testing.T, topics, lastID string) *tab {
	t.Helper()
	res := h.get(t, "topics="+topics, lastID)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("got %s %v", res.Status, res.Header)
	}
	synctest.Wait() // the stream has started
	return &tab{res: res, lines: bufio.NewScanner(res.Body)}
}

func (h *hub) say(t *testing.T, topic, name, data string) {
	t.Helper()
	if err := h.Publish(httpapi.Event{Topic: topic, Name: name, Data: data}); err != nil {
		t.Fatal(err)
	}
}

func (h *hub) clients(t *testing.T) string {
	t.Helper()
	for l := range strings.Lines(scrape(t, h.door)) {
		if v, ok := strings.CutPrefix(l, "nightporter_events_clients "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func want(t *testing.T, tab *tab, messages ...message) {
	t.Helper()
	for _, w := range messages {
		got, ok := tab.next()
		if !ok {
			t.Fatalf("the stream ended (%v), want %+v", tab.lines.Err(), w)
		}
		if diff := cmp.Diff(w, got); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	bubble := func(name string, f func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, f)
		})
	}
	bubble("a page gets the events of its topics, line by line", func(t *testing.T) {
		h := newHub(t, httpapi.EventsConfig{})
		tab := h.open(t, "board,release/42", "")
		h.say(t, "board", "", "<p>\none\r\ntwo\rthree</p>")
		h.say(t, "release/7", "step", "not asked for")
		h.say(t, "release/42", "step", "deploying")
		want(t, tab, message{"", "<p>\none\ntwo\nthree</p>"}, message{"step", "deploying"})
	})
	bubble("a page hears at most four times a second, and then the newest of each", func(t *testing.T) {
		h := newHub(t, httpapi.EventsConfig{})
		tab := h.open(t, "board", "")
		start := time.Now()
		deliveries := 0
		go func() {
			for i := range 1000 { // 100 a second for ten seconds
				h.say(t, "board", "count", fmt.Sprint(i))
				time.Sleep(10 * time.Millisecond)
			}
			h.say(t, "board", "end", "")
		}()
		last := ""
		for {
			m, ok := tab.next()
			if !ok {
				t.Fatal("the stream ended")
			}
			if m.Name == "end" {
				break
			}
			last = m.Data
			deliveries++
		}
		if took := time.Since(start); last != "999" || deliveries > 4*int(took.Seconds()+1) || deliveries < 30 {
			t.Errorf("%d deliveries in %v, the last of them %s", deliveries, took, last)
		}
	})
	bubble("a page that comes back gets what it missed", func(t *testing.T) {
		h := newHub(t, httpapi.EventsConfig{})
		tab := h.open(t, "board", "")
		h.say(t, "board", "a", "1")
		want(t, tab, message{"a", "1"})
		_ = tab.res.Body.Close()
		synctest.Wait()
		h.say(t, "board", "b", "2")
		h.say(t, "other", "b", "x")
		h.say(t, "board", "b", "3")
		h.say(t, "board", "c", "4")
		tab = h.open(t, "board", tab.lastID)
		want(t, tab, message{"b", "3"}, message{"c", "4"})
	})
	bubble("a page that missed too much, or knew another process, is told to start afresh", func(t *testing.T) {
		h := newHub(t, httpapi.EventsConfig{Keep: 4})
		tab := h.open(t, "board", "")
		h.say(t, "board", "a", "1")
		want(t, tab, message{"a", "1"})
		_ = tab.res.Body.Close()
		for i := range 5 {
			h.say(t, "board", fmt.Sprint(i), "x")
		}
		for _, id := range []string{tab.lastID, "otherepoch-3", "nonsense", strings.Split(tab.lastID, "-")[0] + "-99"} {
			again := h.open(t, "board", id)
			want(t, again, message{"reset", "missed events"})
			_ = again.res.Body.Close()
		}
	})
	bubble("a page that does not read is dropped, and holds up nobody", func(t *testing.T) {
		h := newHub(t, httpapi.EventsConfig{})
		h.open(t, "board", "") // reads nothing
		quick := h.open(t, "board", "")
		quick.lines.Buffer(nil, 1<<20)
		ended := make(chan bool)
		go func() {
			for {
				if m, ok := quick.next(); !ok || m.Name == "end" {
					ended <- ok
					return
				}
			}
		}()
		for i := range 20 { // more than the buffers between the two hold
			h.say(t, "board", fmt.Sprint(i%3), strings.Repeat("x", 60<<10))
			time.Sleep(time.Second)
		}
		h.say(t, "board", "end", "")
		if !<-ended {
			t.Error("the page that read was dropped")
		}
		if got := scrape(t, h.door); !strings.Contains(got, "nightporter_events_dropped_total 1\n") {
			t.Error(got)
		}
	})
	bubble("a stream shows that it lives, outlasts the server's timeouts, and ends with age", func(t *testing.T) {
		h := newHub(t, httpapi.EventsConfig{})
		tab := h.open(t, "board", "")
		start := time.Now()
		pings := 0
		for tab.lines.Scan() {
			if tab.lines.Text() == ": ping" {
				pings++
			}
		}
		if age := time.Since(start); age != 15*time.Minute || pings < 70 {
			t.Errorf("ended after %v with %d pings, %v", age, pings, tab.lines.Err())
		}
	})
	bubble("a stream does not outlive its token", func(t *testing.T) {
		h := newHub(t, httpapi.EventsConfig{})
		tab := h.open(t, "board", "")
		h.revoke.Store(true)
		start := time.Now()
		for tab.lines.Scan() {
		}
		if took := time.Since(start); took > 12*time.Second {
			t.Errorf("it went on for %v", took)
		}
	})
	bubble("a page that is closed leaves nothing behind", func(t *testing.T) {
		h := newHub(t, httpapi.EventsConfig{})
		var tabs []*tab
		for range 20 {
			tabs = append(tabs, h.open(t, "board", ""))
		}
		if got := h.clients(t); got != "20" {
			t.Errorf("%s clients, want 20", got)
		}
		for _, tab := range tabs {
			_ = tab.res.Body.Close()
		}
		synctest.Wait()
		if got := h.clients(t); got != "0" {
			t.Errorf("%s clients are left", got)
		}
	})
	bubble("only so many pages at once", func(t *testing.T) {
		h := newHub(t, httpapi.EventsConfig{MaxClients: 2})
		h.open(t, "board", "")
		second := h.open(t, "board", "")
		if res := h.get(t, "topics=board", ""); res.StatusCode != 429 {
			t.Errorf("the third got %s", res.Status)
		}
		_ = second.res.Body.Close()
		synctest.Wait()
		h.open(t, "board", "")
	})
	bubble("a HEAD is answered and holds no stream", func(t *testing.T) {
		h := newHub(t, httpapi.EventsConfig{})
		w := ask(h.door, "ana", "HEAD", "/events?topics=board", "", nil)
		if w.Code != 200 || w.Header().Get("Content-Type") != "text/event-stream" {
			t.Errorf("got %d %v", w.Code, w.Header())
		}
	})
	bubble("a topic that one may not hear, or that is none, is refused before the stream", func(t *testing.T) {
		h := newHub(t, httpapi.EventsConfig{})
		var many []string
		for i := range 33 {
			many = append(many, fmt.Sprint(i))
		}
		for query, want := range map[string]int{
			"topics=board,secret": 403, "": 400, "topics=": 400, "topics=a,,b": 400, "topics=a%0ab": 400,
			"topics=" + strings.Join(many, ","): 400, "topics=" + strings.Repeat("x", 300): 400,
		} {
			if res := h.get(t, query, ""); res.StatusCode != want {
				t.Errorf("%.40s: %s, want %d", query, res.Status, want)
			}
		}
	})
	t.Run("an event that would break the stream is refused", func(t *testing.T) {
		t.Parallel()
		events, err := httpapi.NewEvents(httpapi.EventsConfig{Allow: func(context.Context, string) error { return nil }, Metrics: telemetry.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range []httpapi.Event{{}, {Topic: "a\nb"}, {Topic: "a,b"}, {Topic: "a", Name: "x\ndata: y"}, {Topic: "a", Data: strings.Repeat("x", 64<<10+1)}} {
			if err := events.Publish(ev); err == nil {
				t.Errorf("%.40q was published", fmt.Sprint(ev))
			}
		}
		events.Close()
		events.Close()
		if _, err := httpapi.NewEvents(httpapi.EventsConfig{Metrics: telemetry.NewRegistry()}); err == nil {
			t.Error("a hub without a rule who may listen")
		}
	})
}

func BenchmarkPublish(b *testing.B) {
	events, err := httpapi.NewEvents(httpapi.EventsConfig{Allow: func(context.Context, string) error { return nil }, Metrics: telemetry.NewRegistry()})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := events.Publish(httpapi.Event{Topic: "board", Data: "<p>"}); err != nil {
			b.Fatal(err)
		}
	}
}
