package metrics

import (
	"context"
	"time"
)

// Point is one value of a series.
type Point struct {
	At    time.Time `json:"at"`
	Value float64   `json:"value"` // may be NaN or infinite
}

// Series is what a query answers with: labels, with the metric's name under
// __name__ where the expression kept it, and points in order of time. An instant
// query gives each series one point; a scalar is one series without labels.
type Series struct {
	Labels map[string]string `json:"labels"`
	Points []Point           `json:"points"`
}

// Querier asks a workspace, in plain values. It asks no policy: whoever calls it
// for a person has checked that they may (api/workspaces/NAME/query). The limits
// of the workspace hold. Errors: not_found for a workspace that there is not,
// invalid for an expression that does not parse or breaks a limit, limited while
// too many queries run, unavailable when the time is up.
type Querier interface {
	// Query evaluates expr at one time.
	Query(ctx context.Context, workspace, expr string, at time.Time) ([]Series, error)
	// QueryRange evaluates expr at start, start+step, … up to end.
	QueryRange(ctx context.Context, workspace, expr string, start, end time.Time, step time.Duration) ([]Series, error)
	// LabelNames are the names of labels, sorted, of the series that any of the
	// selectors matches ("up", `{job="x"}`); of all series without selectors.
	LabelNames(ctx context.Context, workspace string, selectors []string, start, end time.Time) ([]string, error)
	// LabelValues are the values of one label, sorted, in the same way. The
	// names of metrics are the values of __name__.
	LabelValues(ctx context.Context, workspace, label string, selectors []string, start, end time.Time) ([]string, error)
	// Metadata says what is known of metrics, by name; of one when metric is
	// not "".
	Metadata(ctx context.Context, workspace, metric string) (map[string]Metadata, error)
}

// Metadata describes a metric, as its sender did.
type Metadata struct {
	Type string `json:"type"` // counter, gauge, histogram, summary, unknown, …
	Help string `json:"help"`
	Unit string `json:"unit"`
}
