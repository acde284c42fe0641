package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"nightporter.dev/nightporter"
)

// serve streams events to one client, in the format of the HTML standard, "9.2
// Server-sent events". It runs in the request's goroutine and starts no other.
func (e *Events) serve(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	topics, err := readTopics(r.URL.Query().Get("topics"))
	if err != nil {
		return err
	}
	if err := e.allowed(ctx, topics); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead { // GET's pattern takes it too
		return nil
	}
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	h.Set("X-Accel-Buffering", "no") // nginx would keep events to itself
	s := &stream{w: w, control: http.NewResponseController(w), epoch: e.epoch}
	at, fresh := e.resume(r.Header.Get("Last-Event-ID"))
	s.text("retry: 2000\n\n")
	if !fresh {
		s.reset(at)
	}
	return e.run(ctx, s, topics, at)
}

// run delivers until the client goes, lags behind for good or may not listen any
// more. A nil answer has begun, so nothing but nil can be returned.
func (e *Events) run(ctx context.Context, s *stream, topics map[string]bool, at uint64) error {
	ping := time.NewTicker(e.cfg.Ping)
	defer ping.Stop()
	age := time.NewTimer(e.cfg.MaxAge)
	defer age.Stop()
	pause := time.NewTimer(0) // until the next delivery may go out
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.closed:
			return nil
		case <-age.C:
			return nil
		case <-pause.C:
		}
		list, upTo, gap, news := e.since(at, topics)
		if gap {
			s.reset(upTo)
		}
		for _, ev := range list {
			s.event(ev)
		}
		at = upTo
		if !s.flush() {
			e.dropped.Inc()
			return nil
		}
		// Wait for news; meanwhile show that we live.
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return nil
			case <-e.closed:
				return nil
			case <-age.C:
				return nil
			case <-news:
				waiting = false
			case <-ping.C:
				if e.allowed(ctx, topics) != nil {
					return nil // coming back, the client is told why
				}
				s.text(": ping\n\n")
				if !s.flush() {
					e.dropped.Inc()
					return nil
				}
			}
		}
		pause.Reset(e.cfg.Every)
	}
}

func (e *Events) allowed(ctx context.Context, topics map[string]bool) error {
	for t := range topics {
		if err := e.cfg.Allow(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// resume reads Last-Event-ID: where to go on, and false when what happened since
// is not known any more.
func (e *Events) resume(lastID string) (at uint64, fresh bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if lastID == "" {
		return e.last, true
	}
	epoch, number, _ := strings.Cut(lastID, "-")
	n, err := strconv.ParseUint(number, 10, 64)
	if epoch != e.epoch || err != nil || n > e.last || e.last-n > uint64(len(e.ring)) {
		return e.last, false
	}
	return n, true
}

func readTopics(s string) (map[string]bool, error) {
	topics := make(map[string]bool)
	for t := range strings.SplitSeq(s, ",") {
		if !validTopic(t) {
			return nil, nightporter.E(nightporter.Invalid, "topics must be names with commas between them").WithHint("/events?topics=board,release/42")
		}
		topics[t] = true
	}
	if len(topics) > maxTopics {
		return nil, nightporter.E(nightporter.Invalid, "at most %d topics", maxTopics)
	}
	return topics, nil
}

// stream writes to one client. After a failed write it stays failed.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	epoch   string
	buf     strings.Builder
}

// sendTimeout is how long a client may leave a delivery unread before it is
// dropped.
const sendTimeout = 10 * time.Second

func (s *stream) text(t string) { s.buf.WriteString(t) }

// reset tells the page that it missed something and should load itself again.
func (s *stream) reset(at uint64) {
	s.event(numbered{Event{Name: "reset", Data: "missed events"}, at})
}

func (s *stream) event(ev numbered) {
	s.buf.WriteString("id: " + s.epoch + "-" + strconv.FormatUint(ev.n, 10) + "\n")
	if ev.Name != "" {
		s.buf.WriteString("event: " + ev.Name + "\n")
	}
	data := lineBreaks.Replace(ev.Data)
	for l := range strings.SplitSeq(data, "\n") {
		s.buf.WriteString("data: " + l + "\n")
	}
	s.buf.WriteByte('\n')
}

// The three line ends of the standard.
var lineBreaks = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// flush sends what was written, and says whether the client took it in time.
func (s *stream) flush() bool {
	// Not every ResponseWriter of a test has deadlines; a server's has.
	_ = s.control.SetWriteDeadline(time.Now().Add(sendTimeout))
	_, err := s.w.Write([]byte(s.buf.String()))
	s.buf.Reset()
	return err == nil && s.control.Flush() == nil
}
