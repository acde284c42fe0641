package dashboard

import (
	"context"
	"time"
)

// Querier answers queries from one workspace. It is all that drawing needs of the
// world. Its errors are shown to whoever looks at the panel through
// nightporter.MessageOf.
type Querier interface {
	// Range evaluates an expression at each step from Start to End, both included.
	Range(ctx context.Context, q RangeQuery) (Result, error)
	// Instant evaluates an expression at one time. A scalar is one series without
	// labels.
	Instant(ctx context.Context, q InstantQuery) (Result, error)
	// LabelNames and LabelValues look at the series that match any of the
	// selectors, or at all where there is none.
	LabelNames(ctx context.Context, q LabelQuery) ([]string, error)
	LabelValues(ctx context.Context, q LabelQuery) ([]string, error)
	// Series returns the labels of the series that match.
	Series(ctx context.Context, q LabelQuery) ([]map[string]string, error)
}

// RangeQuery asks for an expression over time.
type RangeQuery struct {
	Expr       string
	Start, End time.Time
	Step       time.Duration
}

// InstantQuery asks for an expression at a time.
type InstantQuery struct {
	Expr string
	At   time.Time
}

// LabelQuery asks for names, values or series.
type LabelQuery struct {
	Label      string   // for LabelValues only
	Match      []string // series selectors
	Start, End time.Time
}

// Result is what a query answers.
type Result struct {
	Series   []Series
	Warnings []string
}

// Series is one series with its points in order of time.
type Series struct {
	Labels map[string]string // the metric's name is __name__
	Points []Point
}

// Point is a value at a time, in milliseconds since 1970. Buckets are those of a
// native histogram; nil for a plain value.
type Point struct {
	T       int64
	V       float64
	Buckets []Bucket
}

// Bucket is one bucket of a native histogram and how many observations it has.
type Bucket struct{ Lower, Upper, Count float64 }
