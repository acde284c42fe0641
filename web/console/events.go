package console

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/telemetry"
)

// How a stream paces itself.
const (
	pingEvery   = 4 * time.Second        // pages call themselves stale after 10 s
	leastApart  = 250 * time.Millisecond // between two messages
	streamAge   = 15 * time.Minute       // then the browser comes back, and is authenticated anew
	sendTimeout = 10 * time.Second       // a client that does not read is dropped
	maxStreams  = 1000
)

// hub counts changes and tells the open pages that there was one. It keeps no
// content: a page that hears of a change fetches itself, with its own rights.
type hub struct {
	epoch  string // tells this process's ids from those of another
	closed chan struct{}
	once   sync.Once

	mu      sync.Mutex
	changes uint64
	news    chan struct{} // closed by the next change
	streams int
}

func newHub() *hub {
	return &hub{epoch: telemetry.NewRequestID(), closed: make(chan struct{}), news: make(chan struct{})}
}

func (h *hub) close() { h.once.Do(func() { close(h.closed) }) }

func (h *hub) notify() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changes++
	close(h.news)
	h.news = make(chan struct{})
}

// last is the number of the last change.
func (h *hub) last() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changes
}

// state returns the id of the last change, and what the next one closes.
func (h *hub) state() (id string, news <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.epoch + "-" + strconv.FormatUint(h.changes, 10), h.news
}

func (h *hub) enter() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.closed:
		return nightporter.E(nightporter.Unavailable, "the server is stopping")
	default:
	}
	if h.streams >= maxStreams {
		return nightporter.E(nightporter.Limited, "too many pages are open").WithHint("the page works without live updates; reload it to see changes")
	}
	h.streams++
	return nil
}

func (h *hub) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.streams--
}

// events streams to one page, in the format of the HTML standard, §9.2.
// templates/README.md has the messages. It runs in the request's goroutine and
// starts no other.
func (c *Console) events(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead { // GET's pattern takes it too
		return nil
	}
	if err := c.hub.enter(); err != nil {
		return err
	}
	defer c.hub.leave()
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep messages to itself
	s := stream{w: w, control: http.NewResponseController(w)}
	c.follow(r.Context(), s, r.Header.Get("Last-Event-ID"))
	return nil // the answer has begun
}

// follow tells a page of changes until it goes, or its session ends. seen is the
// id of the last change that the page knows; "" for a page that has just loaded.
func (c *Console) follow(ctx context.Context, s stream, seen string) {
	ping, age := time.NewTicker(pingEvery), time.NewTimer(streamAge)
	defer ping.Stop()
	defer age.Stop()
	id, news := c.hub.state()
	first := "retry: 2000\nid: " + id + "\nevent: ping\ndata: {}\n\n"
	if seen != "" && seen != id {
		first = "retry: 2000\nid: " + id + "\ndata: {}\n\n"
	}
	for ok := s.send(first); ok; {
		select {
		case <-ctx.Done():
			return
		case <-c.hub.closed:
			return
		case <-age.C:
			return
		case <-ping.C:
			if c.alive(ctx) {
				ok = s.send("event: ping\ndata: {}\n\n")
				continue
			}
			s.send("event: bye\ndata: {}\n\n")
			return
		case <-news:
		}
		if !c.alive(ctx) {
			s.send("event: bye\ndata: {}\n\n")
			return
		}
		id, news = c.hub.state()
		ok = s.send("id: "+id+"\ndata: {}\n\n") && rest(ctx, c.hub.closed)
	}
}

// rest keeps messages apart: what happens meanwhile is told in one.
func rest(ctx context.Context, closed <-chan struct{}) bool {
	pause := time.NewTimer(leastApart)
	defer pause.Stop()
	select {
	case <-pause.C:
		return true
	case <-ctx.Done():
	case <-closed:
	}
	return false
}

// alive says whether the session of a stream still is, and may still listen. A
// store that does not answer now is not the end of a session.
func (c *Console) alive(ctx context.Context) bool {
	action, _ := httpapi.ActionFrom(ctx)
	if !c.cfg.Gate.May(ctx, action) {
		return false
	}
	alive := false
	err := c.cfg.Gate.Look(ctx, func(tx *store.Tx) (err error) {
		alive, err = lease.Alive(ctx, tx, nightporter.ActorFrom(ctx).Accessor, c.cfg.RealNow())
		return err
	})
	return alive || err != nil && nightporter.CodeOf(err) != nightporter.NotFound
}

// stream writes to one page.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// send writes a message and says whether the page took it in time.
func (s stream) send(message string) bool {
	// Not every ResponseWriter of a test has deadlines; a server's has.
	_ = s.control.SetWriteDeadline(time.Now().Add(sendTimeout))
	_, err := s.w.Write([]byte(message))
	return err == nil && s.control.Flush() == nil
}
