package prom

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/alecthomas/units"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/metrics"
)

func bytesOf(n int64) units.Base2Bytes { return units.Base2Bytes(n) }

// quiet passes only what somebody should look at: a database says a lot.
func quiet(log *slog.Logger) *slog.Logger { return slog.New(warnings{log.Handler()}) }

type warnings struct{ slog.Handler }

func (w warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && w.Handler.Enabled(ctx, l)
}
func (w warnings) WithAttrs(a []slog.Attr) slog.Handler { return warnings{w.Handler.WithAttrs(a)} }
func (w warnings) WithGroup(name string) slog.Handler   { return warnings{w.Handler.WithGroup(name)} }

// Query evaluates expr at one time.
func (e *Engine) Query(ctx context.Context, workspace, expr string, at time.Time) ([]metrics.Series, error) {
	return e.ask(ctx, workspace, func(ctx context.Context) (promql.Query, error) {
		return routedEngine{}.NewInstantQuery(ctx, routed{}, nil, expr, at)
	})
}

// maxPoints is how many points of a series a range query may ask for: web/api/v1's
// own bound.
const maxPoints = 11_000

// QueryRange evaluates expr at every step from start to end.
func (e *Engine) QueryRange(ctx context.Context, workspace, expr string, start, end time.Time, step time.Duration) ([]metrics.Series, error) {
	switch {
	case step < time.Millisecond:
		return nil, nightporter.E(nightporter.Invalid, "a step must be longer than nothing")
	case end.Before(start):
		return nil, nightporter.E(nightporter.Invalid, "the end of a range lies before its start")
	case end.Sub(start)/step > maxPoints:
		return nil, nightporter.E(nightporter.Invalid, "more than %d points of each series were asked for: use a longer step", maxPoints)
	}
	return e.ask(ctx, workspace, func(ctx context.Context) (promql.Query, error) {
		return routedEngine{}.NewRangeQuery(ctx, routed{}, nil, expr, start, end, step)
	})
}

// with holds a workspace for one question, in one of its slots.
func (e *Engine) with(ctx context.Context, name string, fn func(ctx context.Context, h *held) error) error {
	ws, err := e.find(name)
	if err != nil {
		return err
	}
	db, release, err := ws.hold()
	if err != nil {
		return err
	}
	defer release()
	leave, err := ws.slots.enter(ctx, ws.limits().QueryConcurrency)
	if err != nil {
		return err
	}
	defer leave()
	h := &held{w: ws, db: db}
	return fn(withHeld(ctx, h), h)
}

func (e *Engine) ask(ctx context.Context, name string, query func(context.Context) (promql.Query, error)) (out []metrics.Series, err error) {
	err = e.with(ctx, name, func(ctx context.Context, _ *held) error {
		q, err := query(ctx)
		if err != nil {
			return nightporter.Wrap(err, nightporter.Invalid, "%s", err.Error())
		}
		defer q.Close()
		result := q.Exec(ctx)
		if result.Err != nil {
			return queryError(result.Err)
		}
		out = plain(result)
		return nil
	})
	return out, err
}

// queryError gives a failed query its code.
func queryError(err error) error {
	var timeout promql.ErrQueryTimeout
	var canceled promql.ErrQueryCanceled
	var stored promql.ErrStorage
	switch {
	case errors.As(err, &timeout):
		return nightporter.Wrap(err, nightporter.Unavailable, "the query took longer than it may (limit query_timeout): ask for less, or raise the limit")
	case errors.As(err, &canceled):
		return nightporter.Wrap(err, nightporter.Unavailable, "the query was given up")
	case errors.As(err, &stored):
		return nightporter.Wrap(err, nightporter.Unavailable, "the samples cannot be read")
	}
	return nightporter.Wrap(err, nightporter.Invalid, "%s", err.Error())
}

// plain copies a result out of the engine's memory. Native histograms are left
// out: ask for a function of them.
func plain(r *promql.Result) []metrics.Series {
	out := []metrics.Series{}
	switch v := r.Value.(type) {
	case promql.Vector:
		for _, s := range v {
			if s.H == nil {
				out = append(out, metrics.Series{Labels: s.Metric.Map(), Points: []metrics.Point{{At: time.UnixMilli(s.T).UTC(), Value: s.F}}})
			}
		}
	case promql.Matrix:
		for _, s := range v {
			points := make([]metrics.Point, len(s.Floats))
			for i, p := range s.Floats {
				points[i] = metrics.Point{At: time.UnixMilli(p.T).UTC(), Value: p.F}
			}
			if len(points) > 0 {
				out = append(out, metrics.Series{Labels: s.Metric.Map(), Points: points})
			}
		}
	case promql.Scalar:
		out = append(out, metrics.Series{Labels: map[string]string{}, Points: []metrics.Point{{At: time.UnixMilli(v.T).UTC(), Value: v.V}}})
	}
	return out
}

// LabelNames are the names of labels of what the selectors match.
func (e *Engine) LabelNames(ctx context.Context, workspace string, selectors []string, start, end time.Time) ([]string, error) {
	return e.names(ctx, workspace, selectors, start, end, func(ctx context.Context, q storage.Querier, m []*labels.Matcher) ([]string, error) {
		names, _, err := q.LabelNames(ctx, nil, m...)
		return names, err
	})
}

// LabelValues are the values of a label of what the selectors match.
func (e *Engine) LabelValues(ctx context.Context, workspace, label string, selectors []string, start, end time.Time) ([]string, error) {
	return e.names(ctx, workspace, selectors, start, end, func(ctx context.Context, q storage.Querier, m []*labels.Matcher) ([]string, error) {
		values, _, err := q.LabelValues(ctx, label, nil, m...)
		return values, err
	})
}

func (e *Engine) names(ctx context.Context, workspace string, selectors []string, start, end time.Time,
	fn func(context.Context, storage.Querier, []*labels.Matcher) ([]string, error),
) (out []string, err error) {
	sets := [][]*labels.Matcher{nil}
	if len(selectors) > 0 {
		for _, s := range selectors {
			if err := checkExpr(s); err != nil {
				return nil, nightporter.Wrap(err, nightporter.Invalid, "%s", err.Error())
			}
		}
		if sets, err = e.parser.ParseMetricSelectors(selectors); err != nil {
			return nil, nightporter.Wrap(err, nightporter.Invalid, "%s", err.Error())
		}
	}
	err = e.with(ctx, workspace, func(ctx context.Context, h *held) error {
		q, err := h.db.Querier(start.UnixMilli(), end.UnixMilli())
		if err != nil {
			return nightporter.Wrap(err, nightporter.Unavailable, "the samples cannot be read")
		}
		defer q.Close()
		for _, m := range sets {
			names, err := fn(ctx, q, m)
			if err != nil {
				return queryError(err)
			}
			for _, name := range names {
				out = append(out, string([]byte(name))) // it lives no longer than the querier
			}
		}
		return nil
	})
	slices.Sort(out)
	return slices.Compact(out), err
}

// Metadata says what senders said of metrics.
func (e *Engine) Metadata(ctx context.Context, workspace, metric string) (out map[string]metrics.Metadata, err error) {
	err = e.with(ctx, workspace, func(_ context.Context, h *held) error {
		out = h.w.metadata.get(metric)
		return nil
	})
	return out, err
}

// Usage says what a workspace uses now.
func (e *Engine) Usage(workspace string) (metrics.Usage, error) {
	w, err := e.find(workspace)
	if err != nil {
		return metrics.Usage{}, err
	}
	return w.usage(), nil
}

// Ingest writes metrics in Prometheus's text format.
func (e *Engine) Ingest(ctx context.Context, workspace string, text io.Reader, add map[string]string, at time.Time) error {
	body, err := io.ReadAll(io.LimitReader(text, maxDecoded))
	if err != nil {
		return err
	}
	ws, err := e.find(workspace)
	if err != nil {
		return err
	}
	db, release, err := ws.hold()
	if err != nil {
		return err
	}
	defer release()
	if err := ws.roomLeft(); err != nil {
		return nightporter.Wrap(err, nightporter.Unavailable, "%s", err.Error())
	}
	h := &held{w: ws, db: db, note: &note{from: "nightporter", lenient: true}}
	app := routed{}.Appender(withHeld(ctx, h))
	if err := ingest(app, ws, body, add, at.UnixMilli()); err != nil {
		_ = app.Rollback()
		return err
	}
	if err := app.Commit(); err != nil {
		return nightporter.Wrap(err, nightporter.Unavailable, "the samples cannot be written")
	}
	e.settle(h)
	return nil
}

func ingest(app storage.Appender, ws *workspace, body []byte, add map[string]string, at int64) error {
	p := textparse.NewPromParser(body, labels.NewSymbolTable(), false)
	known := map[string]metrics.Metadata{}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nightporter.Wrap(err, nightporter.Invalid, "this is not Prometheus's text format")
		}
		switch entry {
		case textparse.EntryHelp:
			name, help := p.Help()
			d := known[string(name)]
			d.Help = string(help)
			known[string(name)] = d
		case textparse.EntryType:
			name, kind := p.Type()
			d := known[string(name)]
			d.Type = string(kind)
			known[string(name)] = d
		case textparse.EntrySeries:
			var l labels.Labels
			p.Labels(&l)
			b := labels.NewBuilder(l)
			for name, value := range add {
				b.Set(name, value)
			}
			_, _, v := p.Series()
			if _, err := app.Append(0, b.Labels(), at, v); err != nil {
				return nightporter.Wrap(err, nightporter.Unavailable, "the samples cannot be written")
			}
		}
	}
	for name, d := range known {
		ws.metadata.set(name, d)
	}
	return nil
}
