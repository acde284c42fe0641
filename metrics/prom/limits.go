package prom

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/telemetry"
	"nightporter.dev/nightporter/metrics"
)

// bucket bounds samples a second. A request is taken while there is any room, and
// what it takes too much the next ones wait for: so a request that is larger than
// the bucket is late once, and not refused for ever.
type bucket struct {
	mu    sync.Mutex
	room  float64
	at    time.Time
	begun bool
}

// take asks for n samples. When it refuses, wait says for how long.
func (b *bucket) take(n, perSecond, burst int, now time.Time) (wait time.Duration) {
	if perSecond <= 0 {
		return 0
	}
	size := float64(max(burst, perSecond))
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.begun {
		b.begun, b.room, b.at = true, size, now
	}
	b.room = min(size, b.room+now.Sub(b.at).Seconds()*float64(perSecond))
	b.at = now
	if b.room <= 0 {
		return max(time.Second, time.Duration((1-b.room)/float64(perSecond)*float64(time.Second)))
	}
	b.room -= float64(n)
	return 0
}

// slots bound how many queries run at once.
type slots struct {
	mu      sync.Mutex
	n       int
	waiting []chan struct{}
}

// maxWaiting is how many queries may wait for a slot, as a multiple of the slots:
// a page of dashboards asks for many at once.
const maxWaiting = 10

// enter waits for a slot. leave gives it back.
func (s *slots) enter(ctx context.Context, limit int) (leave func(), err error) {
	s.mu.Lock()
	if limit <= 0 || s.n < limit {
		s.n++
		s.mu.Unlock()
		return s.leave, nil
	}
	if len(s.waiting) >= limit*maxWaiting {
		s.mu.Unlock()
		return nil, nightporter.E(nightporter.Limited, "%d queries run and %d wait (limit query_concurrency): ask again in a moment, or raise the limit", limit, limit*maxWaiting)
	}
	turn := make(chan struct{})
	s.waiting = append(s.waiting, turn)
	s.mu.Unlock()
	select {
	case <-turn:
		return s.leave, nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	i := slices.Index(s.waiting, turn)
	if i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
	}
	s.mu.Unlock()
	if i < 0 { // the slot was given just now
		s.leave()
	}
	return nil, nightporter.Wrap(ctx.Err(), nightporter.Limited, "no slot for a query became free in time (limit query_concurrency): ask for less at once, or raise the limit")
}

// leave hands the slot to whoever waits longest.
func (s *slots) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) > 0 {
		close(s.waiting[0])
		s.waiting = s.waiting[1:]
		return
	}
	s.n--
}

func (s *slots) running() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// maxSenders is how many lines a ledger has: senders are names of tokens, which
// somebody could make many of.
const maxSenders = 200

// ledger counts what was refused, by reason and sender.
type ledger struct {
	workspace string
	numbers   *numbers

	mu    sync.Mutex
	lines map[ledgerKey]*metrics.Refused
}

type ledgerKey struct {
	reason metrics.Reason
	from   metrics.Sender
}

func (l *ledger) refuse(reason metrics.Reason, from metrics.Sender, n uint64, message string, at time.Time) {
	l.mu.Lock()
	key := ledgerKey{reason, from}
	line := l.lines[key]
	if line == nil {
		if len(l.lines) >= maxSenders {
			key.from = metrics.Sender(telemetry.Overflow)
		}
		if line = l.lines[key]; line == nil {
			line = &metrics.Refused{Reason: reason, Sender: key.from}
			if l.lines == nil {
				l.lines = map[ledgerKey]*metrics.Refused{}
			}
			l.lines[key] = line
		}
	}
	line.Count, line.Message, line.At = line.Count+n, message, at
	l.mu.Unlock()
	l.numbers.refused.With(l.workspace, string(reason), string(key.from)).Add(float64(n))
}

func (l *ledger) list() []metrics.Refused {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]metrics.Refused, 0, len(l.lines))
	for _, line := range l.lines {
		out = append(out, *line)
	}
	slices.SortFunc(out, func(a, b metrics.Refused) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Sender, b.Sender))
	})
	return out
}

// counted counts samples, and how many came in the last minute.
type counted struct {
	mu      sync.Mutex
	total   uint64
	seconds [60]uint64
	at      int64 // the second that was counted last
}

func (c *counted) add(n uint64, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forward(now)
	c.total += n
	c.seconds[c.at%60] += n
}

func (c *counted) read(now time.Time) (total uint64, perSecond float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forward(now)
	var sum uint64
	for _, n := range c.seconds {
		sum += n
	}
	return c.total, float64(sum) / 60
}

func (c *counted) forward(now time.Time) {
	second := max(now.Unix(), c.at)
	for s := max(c.at+1, second-59); s <= second; s++ {
		c.seconds[s%60] = 0
	}
	c.at = second
}

// numbers are the counts of all workspaces, in Nightporter's own metrics.
type numbers struct {
	samples, refused telemetry.Counter
	queries          telemetry.Histogram
}

func (e *Engine) measure(r *telemetry.Registry) numbers {
	each := func(value func(*workspace, metrics.Usage) float64) func() []telemetry.Sample {
		return func() (out []telemetry.Sample) {
			for _, w := range e.all() {
				out = append(out, telemetry.Sample{Labels: []string{w.name}, Value: value(w, w.brief())})
			}
			return out
		}
	}
	r.GaugeFunc("nightporter_workspace_active_series", "Series of a workspace that got a sample in the last hours; 0 while it is closed.",
		each(func(_ *workspace, u metrics.Usage) float64 { return float64(u.ActiveSeries) }), "workspace")
	r.GaugeFunc("nightporter_workspace_open", "Whether the store of a workspace is in memory.",
		each(func(_ *workspace, u metrics.Usage) float64 {
			if u.Open {
				return 1
			}
			return 0
		}), "workspace")
	r.GaugeFunc("nightporter_workspace_queries", "Queries that run in a workspace.",
		each(func(_ *workspace, u metrics.Usage) float64 { return float64(u.Queries) }), "workspace")
	r.GaugeFunc("nightporter_workspace_limit", "The limits of a workspace; one that is 0 does not hold.", func() (out []telemetry.Sample) {
		for _, w := range e.all() {
			l := w.limits()
			for _, v := range []struct {
				name  string
				value float64
			}{
				{"active_series", float64(l.ActiveSeries)},
				{"bytes", float64(l.Bytes)},
				{"query_concurrency", float64(l.QueryConcurrency)},
				{"samples_per_second", float64(l.SamplesPerSecond)},
			} {
				out = append(out, telemetry.Sample{Labels: []string{w.name, v.name}, Value: v.value})
			}
		}
		return out
	}, "workspace", "limit")
	return numbers{
		samples: r.Counter("nightporter_workspace_samples_total", "Samples that a workspace accepted.", "workspace"),
		refused: r.Counter("nightporter_workspace_refused_samples_total", "Samples that a workspace refused.", "workspace", "reason", "sender"),
		queries: r.Histogram("nightporter_workspace_query_seconds", "Time to answer a query of a workspace.",
			[]float64{0.001, 0.01, 0.1, 1, 10}, "workspace"),
	}
}

// brief is the part of the usage that costs nothing.
func (w *workspace) brief() metrics.Usage {
	u := metrics.Usage{Queries: w.slots.running()}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.db != nil {
		u.Open, u.ActiveSeries = true, int(w.db.Head().NumSeries())
	}
	return u
}
