package prom

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// corpusStorage is one of our databases behind our own routing: what the corpus
// writes it writes to a workspace's database, and what it asks goes the way of a
// request.
type corpusStorage struct {
	*tsdb.DB
	routed
	w *workspace
}

func (s corpusStorage) StartTime() (int64, error) { return s.DB.StartTime() }
func (s corpusStorage) Close() error              { return s.DB.Close() }
func (s corpusStorage) Querier(mint, maxt int64) (storage.Querier, error) {
	q, err := s.routed.Querier(mint, maxt)
	return inWorkspace{q, &held{w: s.w, db: s.DB}}, err
}

func (s corpusStorage) ChunkQuerier(mint, maxt int64) (storage.ChunkQuerier, error) {
	return s.DB.ChunkQuerier(mint, maxt)
}

func (s corpusStorage) ExemplarQuerier(ctx context.Context) (storage.ExemplarQuerier, error) {
	return s.DB.ExemplarQuerier(ctx)
}
func (s corpusStorage) Appender(ctx context.Context) storage.Appender { return s.DB.Appender(ctx) }

// inWorkspace puts the workspace into the context, as Serve does.
type inWorkspace struct {
	storage.Querier
	h *held
}

func (q inWorkspace) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, m ...*labels.Matcher) storage.SeriesSet {
	return q.Querier.Select(withHeld(ctx, q.h), sorted, hints, m...)
}

// Prometheus's own corpus, on a database with our options and behind our routing.
// The options of the engine are those that the corpus is written for: some of it
// is about experiments that our engines leave off.
func TestPromQLIsPrometheuss(t *testing.T) {
	t.Parallel()
	engine := promqltest.NewTestEngineWithOpts(t, promql.EngineOpts{
		MaxSamples: 50_000_000, Timeout: 100 * time.Second, LookbackDelta: 5 * time.Minute,
		NoStepSubqueryIntervalFn: func(int64) int64 { return subqueryStep.Milliseconds() },
		EnableAtModifier:         true, EnableNegativeOffset: true, EnableDelayedNameRemoval: true, UseStartTimestamps: true,
		Parser: parser.NewParser(promqltest.TestParserOpts),
	})
	promqltest.RunBuiltinTestsWithStorage(t, engine, func(t testing.TB) storage.Storage {
		o := databaseOptions()
		o.MinBlockDuration = (24 * time.Hour).Milliseconds() // as the corpus asks: it writes samples far apart
		o.MaxBlockDuration = o.MinBlockDuration
		o.RetentionDuration = 0
		o.EnableSTStorage, o.FloatChunkEncoding, o.EnableHistogramSTEncoding = true, chunkenc.EncXOR2, true
		db, err := tsdb.Open(t.TempDir(), nil, nil, o, nil)
		if err != nil {
			t.Fatal(err)
		}
		return corpusStorage{DB: db, w: &workspace{}}
	})
}
