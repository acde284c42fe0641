package prom

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
)

// Without a workspace in the context there is an error from every door of the
// storage, never a default database and never a panic.
func TestStorageFailsClosed(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	match := labels.MustNewMatcher(labels.MatchEqual, "__name__", "up")
	q, err := routed{}.Querier(0, 1)
	if err != nil {
		t.Fatal(err)
	}
	c, err := routed{}.ChunkQuerier(0, 1)
	if err != nil {
		t.Fatal(err)
	}
	_, _, values := q.LabelValues(ctx, "job", nil)
	_, _, names := q.LabelNames(ctx, nil)
	_, exemplars := routed{}.ExemplarQuerier(ctx)
	app := routed{}.Appender(ctx)
	_, appended := app.Append(0, labels.FromStrings("__name__", "up"), 1, 1)
	_, histogram := app.AppendHistogram(0, labels.FromStrings("__name__", "up"), 1, nil, nil)
	_, instant := routedEngine{}.NewInstantQuery(ctx, routed{}, nil, "up", time.Now())
	_, ranged := routedEngine{}.NewRangeQuery(ctx, routed{}, nil, "up", time.Now(), time.Now(), time.Second)
	for what, err := range map[string]error{
		"select": q.Select(ctx, true, nil, match).Err(), "chunks": c.Select(ctx, true, nil, match).Err(), "label values": values, "label names": names,
		"exemplars": exemplars, "append": appended, "append a histogram": histogram, "commit": app.Commit(), "query": instant, "range": ranged,
	} {
		if !errors.Is(err, errNoWorkspace) {
			t.Errorf("%s: got %v, want %v", what, err, errNoWorkspace)
		}
	}
	if err := errors.Join(q.Close(), c.Close(), app.Rollback()); err != nil {
		t.Error(err)
	}
}

func TestAQuerierKeepsToItsWorkspace(t *testing.T) {
	t.Parallel()
	open := func() *tsdb.DB {
		db, err := tsdb.Open(t.TempDir(), nil, nil, tsdb.DefaultOptions(), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	a, b := withHeld(t.Context(), &held{db: open()}), withHeld(t.Context(), &held{db: open()})
	q, _ := routed{}.Querier(0, 1)
	defer q.Close()
	if _, _, err := q.LabelNames(a, nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := q.LabelNames(b, nil); err == nil {
		t.Error("a querier of one workspace answered for another one")
	}
}
