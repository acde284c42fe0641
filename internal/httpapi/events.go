package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/telemetry"
)

// Event is a hint that something changed, for pages that are open: usually the
// new HTML of a part of them. It says how something is now, not what was done to
// it, so that of two with the same topic and name the newer one is enough.
type Event struct {
	// Topic is what it is about: "board", "release/42". Clients ask for topics.
	Topic string
	// Name is the event's name in the browser; "" is a plain message, which
	// htmx swaps in.
	Name string
	// Data is the text. The client gets it line by line as it is here.
	Data string
}

// EventsConfig is what a hub is made from.
type EventsConfig struct {
	// Allow says whether the context's actor may listen to a topic. It is
	// asked at the start and again at each ping, so that a stream does not
	// outlive its token. Required.
	Allow func(ctx context.Context, topic string) error
	// Keep is how many events are kept for clients that come back or lag.
	// Default 1024.
	Keep int
	// Ping is the time between two signs of life. Default 12 s.
	Ping time.Duration
	// Every is the least time between two deliveries to a client. Default
	// 250 ms.
	Every time.Duration
	// MaxAge ends a stream; the browser comes back by itself. Default 15 min.
	MaxAge time.Duration
	// MaxClients bounds the streams that are open at once. Default 1000.
	MaxClients int
	// Metrics takes the counts. Required.
	Metrics *telemetry.Registry
}

// The bounds of what an event and a client may ask for.
const (
	maxEventData = 64 << 10
	maxTopics    = 32
	maxTopicLen  = 200
)

// Events hands events to every open page that asked for their topic. Publishing
// never waits for a client: all of them read one ring, each at its own pace, and
// one that falls out of it is told to start afresh. Make one with [NewEvents].
type Events struct {
	cfg     EventsConfig
	epoch   string // tells this process's ids from those of another
	clients telemetry.GaugeSeries
	dropped telemetry.CounterSeries
	closed  chan struct{}

	mu    sync.Mutex
	ring  []Event // event n is at n % len
	last  uint64  // number of the newest event; the first one is 1
	news  chan struct{}
	count int
	once  sync.Once
}

// NewEvents returns a hub. Call [Events.Close] when the server shuts down, or the
// open streams keep it from ending.
func NewEvents(cfg EventsConfig) (*Events, error) {
	if cfg.Allow == nil || cfg.Metrics == nil {
		return nil, errors.New("events need to know who may listen, and metrics")
	}
	if cfg.Keep <= 0 {
		cfg.Keep = 1024
	}
	if cfg.MaxClients <= 0 {
		cfg.MaxClients = 1000
	}
	cfg.Ping = orDefault(cfg.Ping, 12*time.Second)
	cfg.Every = orDefault(cfg.Every, 250*time.Millisecond)
	cfg.MaxAge = orDefault(cfg.MaxAge, 15*time.Minute)
	return &Events{
		cfg:     cfg,
		epoch:   telemetry.NewRequestID(),
		clients: cfg.Metrics.Gauge("nightporter_events_clients", "Event streams that are open.").With(),
		dropped: cfg.Metrics.Counter("nightporter_events_dropped_total", "Event streams that were ended because the client did not read.").With(),
		closed:  make(chan struct{}),
		ring:    make([]Event, cfg.Keep),
		news:    make(chan struct{}),
	}, nil
}

// Publish hands e to everybody who listens to its topic. It does not block. It
// fails only for an event that could not be written: a line break in a name or
// topic, or data of more than 64 KiB.
func (e *Events) Publish(ev Event) error {
	if !validTopic(ev.Topic) || strings.ContainsAny(ev.Name, "\r\n\x00") {
		return nightporter.E(nightporter.Internal, "event %q of %q has no usable name", ev.Name, ev.Topic)
	}
	if len(ev.Data) > maxEventData {
		return nightporter.E(nightporter.Internal, "event %q of %q is larger than %d bytes", ev.Name, ev.Topic, maxEventData)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	e.ring[e.last%uint64(len(e.ring))] = ev
	close(e.news)
	e.news = make(chan struct{})
	return nil
}

// Close ends every stream and refuses new ones. It may be called twice.
func (e *Events) Close() { e.once.Do(func() { close(e.closed) }) }

// Route is GET /events?topics=board,release/42.
func (e *Events) Route(access Action) Route {
	return Route{
		Method: "GET", Pattern: "/events", Action: access, Handler: e.serve,
		Credential: TokenOrSession, Timeout: -1, LogLevel: slog.LevelDebug,
	}
}

// numbered is an event with its place.
type numbered struct {
	Event
	n uint64
}

// since returns the events after n of the topics, oldest first and of each topic
// and name only the newest, together with the number to go on from and the
// channel that the next event closes. gap says that some were already gone.
func (e *Events) since(n uint64, topics map[string]bool) (list []numbered, upTo uint64, gap bool, news <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	kept := uint64(len(e.ring))
	if n > e.last || e.last-n > kept {
		return nil, e.last, true, e.news
	}
	type of struct{ topic, name string }
	newer := make(map[of]bool)
	for i := e.last; i > n; i-- {
		ev := e.ring[i%kept]
		if key := (of{ev.Topic, ev.Name}); topics[ev.Topic] && !newer[key] {
			newer[key] = true
			list = append(list, numbered{ev, i})
		}
	}
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return list, e.last, false, e.news
}

// enter counts a client in, or says that there are enough.
func (e *Events) enter() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.count >= e.cfg.MaxClients {
		return nightporter.E(nightporter.Limited, "too many pages are open").WithHint("the page works without live updates; reload it to see changes")
	}
	e.count++
	e.clients.Set(float64(e.count))
	return nil
}

func (e *Events) leave() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.count--
	e.clients.Set(float64(e.count))
}

func validTopic(t string) bool {
	return t != "" && len(t) <= maxTopicLen && !strings.ContainsAny(t, ",\r\n\x00")
}
