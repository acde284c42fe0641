package prom

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/compression"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/metrics"
)

// stripes is the size of a database's map of series. Prometheus's own default,
// 16384, costs every idle workspace 4 MiB; this costs 0.3.
const stripes = 256

// exemplars is how many a workspace keeps.
const exemplars = 1000

// workspace is one isolated store. Whoever uses its database holds it
// ([workspace.hold]), so that it is not closed under them.
type workspace struct {
	e    *Engine
	name string
	dir  string

	settings atomic.Pointer[metrics.Settings]
	promql   atomic.Pointer[promql.Engine] // by the limits of settings
	bucket   bucket
	slots    slots
	ledger   ledger
	metadata metadata
	accepted counted
	rules    ruleset
	scraper  scraper

	mu     sync.Mutex
	idle   *sync.Cond // told when held falls to 0
	db     *tsdb.DB   // nil while closed
	held   int
	used   time.Time
	gone   bool // closed for good
	failed error
	again  time.Time // when opening may be tried again

	disk struct {
		sync.Mutex
		at   time.Time
		free int64
	}
}

func newWorkspace(e *Engine, name string) *workspace {
	w := &workspace{e: e, name: name, dir: filepath.Join(e.cfg.Dir, name)}
	w.idle = sync.NewCond(&w.mu)
	w.rules.w, w.scraper.w = w, w
	w.ledger.workspace, w.ledger.numbers = name, &e.numbers
	return w
}

// set changes the settings at once, of what is open too.
func (w *workspace) set(s metrics.Settings) {
	before := w.settings.Swap(&s)
	if before != nil && *before == s {
		return
	}
	if before == nil || before.Limits.QuerySamples != s.Limits.QuerySamples || before.Limits.QueryTimeout != s.Limits.QueryTimeout {
		w.promql.Store(w.e.newPromQL(s.Limits))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.db != nil {
		if err := w.db.ApplyConfig(w.e.databaseConfig(s)); err != nil {
			w.e.cfg.Log.Error("apply settings to a workspace", "workspace", w.name, "error", err)
		}
	}
}

func (w *workspace) limits() metrics.Limits { return w.settings.Load().Limits }

// hold opens the database when it is closed. release must be called.
func (w *workspace) hold() (*tsdb.DB, func(), error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone {
		return nil, nil, nightporter.E(nightporter.NotFound, "no workspace is called %q", w.name)
	}
	now := w.e.cfg.Now()
	if w.db == nil {
		if w.failed != nil && now.Before(w.again) {
			return nil, nil, w.failed
		}
		if err := w.open(); err != nil {
			w.failed = nightporter.Wrap(err, nightporter.Unavailable, "the samples of %s cannot be opened", w.name)
			w.again = now.Add(5 * time.Second)
			w.e.cfg.Log.Error("open a workspace", "workspace", w.name, "error", err)
			return nil, nil, w.failed
		}
		w.failed = nil
	}
	w.held++
	return w.db, w.release, nil
}

func (w *workspace) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held--
	w.used = w.e.cfg.Now()
	if w.held == 0 {
		w.idle.Broadcast()
	}
}

// databaseOptions are those of every workspace.
func databaseOptions() *tsdb.Options {
	o := tsdb.DefaultOptions()
	o.StripeSize = stripes
	o.WALCompression = compression.Snappy
	o.EnableExemplarStorage, o.MaxExemplars = true, exemplars
	o.EnableDelayedCompaction = true
	return o
}

func (w *workspace) open() error {
	s := w.settings.Load()
	o := databaseOptions()
	o.RetentionDuration = max(s.Retention.Milliseconds(), 1)
	if s.Retention <= 0 {
		o.RetentionDuration = 0
	}
	o.MaxBytes = s.Limits.Bytes
	// A tenth of what is kept, as Prometheus itself does, and 31 days at most.
	o.MaxBlockDuration = max(o.MinBlockDuration, min(o.RetentionDuration/10, (31*24*time.Hour).Milliseconds()))
	o.OutOfOrderTimeWindow = w.e.cfg.OutOfOrder.Milliseconds()
	guard := &seriesGuard{w: w}
	o.SeriesLifecycleCallback = guard
	log := w.e.cfg.Log.With("workspace", w.name)
	db, err := tsdb.Open(w.dir, quiet(log), prometheus.NewRegistry(), o, nil)
	if err != nil {
		return err
	}
	guard.db.Store(db)
	if err := w.metadata.load(w.dir); err != nil {
		log.Warn("read what is known of metrics", "error", err)
	}
	w.db, w.used = db, w.e.cfg.Now()
	return nil
}

// rest closes the database when nobody has used it for a while, and writes down
// what is known of metrics.
func (w *workspace) rest(now time.Time) {
	w.metadata.save(w.dir, w.e.cfg.Log)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.db == nil || w.held > 0 || now.Sub(w.used) < w.e.cfg.IdleAfter {
		return
	}
	if err := w.close(); err != nil {
		w.e.cfg.Log.Error("close a workspace", "workspace", w.name, "error", err)
	}
}

// shut closes the database for good, once nobody holds it.
func (w *workspace) shut() error {
	w.scraper.end()
	w.rules.end()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone = true
	for w.held > 0 {
		w.idle.Wait()
	}
	return w.close()
}

func (w *workspace) close() error {
	if w.db == nil {
		return nil
	}
	w.metadata.save(w.dir, w.e.cfg.Log)
	err := w.db.Close()
	w.db = nil
	if err != nil {
		return fmt.Errorf("close workspace %s: %w", w.name, err)
	}
	return nil
}

// roomLeft says whether the disk has room for writes. It is asked at most once in
// five seconds.
func (w *workspace) roomLeft() error {
	w.disk.Lock()
	defer w.disk.Unlock()
	now := w.e.cfg.Now()
	if w.disk.at.IsZero() || now.Sub(w.disk.at) >= 5*time.Second {
		var st syscall.Statfs_t
		if err := syscall.Statfs(w.e.cfg.Dir, &st); err != nil {
			return nil // a disk that cannot be asked shows by itself
		}
		w.disk.at, w.disk.free = now, int64(st.Bavail)*int64(st.Bsize)
	}
	if w.disk.free < w.e.cfg.DiskReserve {
		return fmt.Errorf("the disk of the workspaces is full: %d MiB are left, and %d are kept free; make room, or lower retention", w.disk.free>>20, w.e.cfg.DiskReserve>>20)
	}
	return nil
}

// usage says what is used now.
func (w *workspace) usage() metrics.Usage {
	u := metrics.Usage{Refused: w.ledger.list(), Queries: w.slots.running(), Top: []metrics.Count{}, TopLabels: []metrics.Count{}}
	u.Samples, u.SamplesPerSecond = w.accepted.read(w.e.cfg.Now())
	w.mu.Lock()
	db := w.db
	if db != nil {
		w.held++
	}
	w.mu.Unlock()
	if db == nil {
		u.Bytes = folderSize(w.dir)
		return u
	}
	defer func() { // looking is no use: an idle workspace that is looked at still closes
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.held--; w.held == 0 {
			w.idle.Broadcast()
		}
	}()
	head := db.Head()
	u.Open, u.ActiveSeries, u.Bytes = true, int(head.NumSeries()), head.Size()
	for _, b := range db.Blocks() {
		u.Bytes += b.Size()
	}
	if oldest, err := db.StartTime(); err == nil && oldest > 0 && u.ActiveSeries > 0 {
		u.Oldest = time.UnixMilli(oldest).UTC()
	}
	stats := head.Stats(model.MetricNameLabel, 10)
	for _, s := range stats.IndexPostingStats.CardinalityMetricsStats {
		u.Top = append(u.Top, metrics.Count{Name: s.Name, Count: s.Count})
	}
	for _, s := range stats.IndexPostingStats.CardinalityLabelStats {
		u.TopLabels = append(u.TopLabels, metrics.Count{Name: s.Name, Count: s.Count})
	}
	return u
}

// folderSize is what a closed workspace takes on disk.
func folderSize(dir string) int64 {
	var n int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			n += info.Size()
		}
		return nil
	})
	return n
}

// seriesGuard refuses series beyond the limit where they are made, so that it
// costs nothing for those that are there.
type seriesGuard struct {
	w  *workspace
	db atomic.Pointer[tsdb.DB] // nil while the log is replayed: what was taken stays
}

func (g *seriesGuard) PreCreation(labels.Labels) error {
	db := g.db.Load()
	limit := g.w.limits().ActiveSeries
	if db == nil || limit <= 0 || db.Head().NumSeries() < uint64(limit) {
		return nil
	}
	return &refusal{reason: metrics.TooManySeries, text: fmt.Sprintf(
		"the workspace %s has its %d active series (limit active_series): send fewer label values, or raise the limit", g.w.name, limit)}
}

func (*seriesGuard) PostCreation(labels.Labels)                          {}
func (*seriesGuard) PostDeletion(map[chunks.HeadSeriesRef]labels.Labels) {}

// refusal is a sample that a limit keeps out, while the rest of its request is
// taken. To Prometheus's receiver it looks like a sample that is out of bounds:
// final, and no reason to undo the others.
type refusal struct {
	reason metrics.Reason
	text   string
}

func (r *refusal) Error() string { return r.text }

// Is makes the receiver treat it as the sample's own fault.
func (r *refusal) Is(target error) bool { return target == storage.ErrOutOfBounds }

// reasonOf says why a sample was refused, or "" when it is our fault.
func reasonOf(err error) metrics.Reason {
	var r *refusal
	switch {
	case errors.As(err, &r):
		return r.reason
	case errors.Is(err, storage.ErrDuplicateSampleForTimestamp):
		return metrics.Duplicate
	case errors.Is(err, storage.ErrOutOfOrderSample), errors.Is(err, storage.ErrOutOfBounds), errors.Is(err, storage.ErrTooOldSample):
		return metrics.OutOfOrder
	}
	return ""
}
