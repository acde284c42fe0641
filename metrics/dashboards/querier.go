package dashboards

import (
	"context"
	"time"

	"nightporter.dev/nightporter/metrics"
	"nightporter.dev/nightporter/metrics/dashboard"
)

// Querier answers the queries of panels from one workspace. Whoever uses it for a
// person has checked that they may query it.
func (d *Dashboards) Querier(workspace string) dashboard.Querier {
	return querier{d.cfg.Querier, workspace}
}

type querier struct {
	from      metrics.Querier
	workspace string
}

func result(all []metrics.Series, err error) (dashboard.Result, error) {
	r := dashboard.Result{Series: make([]dashboard.Series, len(all))}
	for i, s := range all {
		points := make([]dashboard.Point, len(s.Points))
		for k, p := range s.Points {
			points[k] = dashboard.Point{T: p.At.UnixMilli(), V: p.Value}
		}
		r.Series[i] = dashboard.Series{Labels: s.Labels, Points: points}
	}
	return r, err
}

func (q querier) Range(ctx context.Context, r dashboard.RangeQuery) (dashboard.Result, error) {
	return result(q.from.QueryRange(ctx, q.workspace, r.Expr, r.Start, r.End, r.Step))
}

func (q querier) Instant(ctx context.Context, i dashboard.InstantQuery) (dashboard.Result, error) {
	return result(q.from.Query(ctx, q.workspace, i.Expr, i.At))
}

func (q querier) LabelNames(ctx context.Context, l dashboard.LabelQuery) ([]string, error) {
	return q.from.LabelNames(ctx, q.workspace, l.Match, l.Start, l.End)
}

func (q querier) LabelValues(ctx context.Context, l dashboard.LabelQuery) ([]string, error) {
	return q.from.LabelValues(ctx, q.workspace, l.Label, l.Match, l.Start, l.End)
}

// Series are the labels of what matched in the time, of the last day of it at
// most: a list of names need not read more.
func (q querier) Series(ctx context.Context, l dashboard.LabelQuery) ([]map[string]string, error) {
	span := min(max(l.End.Sub(l.Start), time.Minute), 24*time.Hour).Round(time.Second)
	var all []map[string]string
	for _, match := range l.Match {
		series, err := q.from.Query(ctx, q.workspace, "last_over_time("+match+"["+span.String()+"])", l.End)
		if err != nil {
			return nil, err
		}
		for _, s := range series {
			all = append(all, s.Labels)
		}
	}
	return all, nil
}
