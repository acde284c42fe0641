package prom

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/annotations"
)

// errNoWorkspace is what every store answers when nobody said which workspace is
// meant. There is no default one.
var errNoWorkspace = errors.New("no workspace was chosen for this request")

type heldKey struct{}

// held is a workspace that a request holds, with its open database.
type held struct {
	w    *workspace
	db   *tsdb.DB
	note *note // what the request's samples met; nil for one that only reads
}

func withHeld(ctx context.Context, h *held) context.Context {
	return context.WithValue(ctx, heldKey{}, h)
}

func heldFrom(ctx context.Context) (*held, error) {
	h, _ := ctx.Value(heldKey{}).(*held)
	if h == nil {
		return nil, errNoWorkspace
	}
	return h, nil
}

// routed is the storage that the shared API sees. Prometheus's queriers are made
// without a context and asked with one, so that the workspace's own querier is made
// by the first question.
type routed struct{}

var (
	_ storage.SampleAndChunkQueryable = routed{}
	_ storage.ExemplarQueryable       = routed{}
	_ storage.Appendable              = routed{}
)

func (routed) Querier(mint, maxt int64) (storage.Querier, error) {
	return &querier{late[storage.Querier]{make: func(db *tsdb.DB) (storage.Querier, error) { return db.Querier(mint, maxt) }}}, nil
}

func (routed) ChunkQuerier(mint, maxt int64) (storage.ChunkQuerier, error) {
	return &chunkQuerier{late[storage.ChunkQuerier]{make: func(db *tsdb.DB) (storage.ChunkQuerier, error) { return db.ChunkQuerier(mint, maxt) }}}, nil
}

func (routed) ExemplarQuerier(ctx context.Context) (storage.ExemplarQuerier, error) {
	h, err := heldFrom(ctx)
	if err != nil {
		return nil, err
	}
	return h.db.ExemplarQuerier(ctx)
}

func (routed) Appender(ctx context.Context) storage.Appender {
	h, err := heldFrom(ctx)
	if err != nil {
		return refusing{err: err}
	}
	return &appender{Appender: h.db.Appender(ctx), w: h.w, note: h.note}
}

// late is a querier that is made when it is first asked. One belongs to one
// question: it keeps to the database that it was first asked for.
type late[Q storage.LabelQuerier] struct {
	make func(*tsdb.DB) (Q, error)
	db   *tsdb.DB
	made Q
}

func (l *late[Q]) of(ctx context.Context) (q Q, err error) {
	h, err := heldFrom(ctx)
	switch {
	case err != nil:
		return q, err
	case l.db == nil:
		if l.made, err = l.make(h.db); err != nil {
			return q, err
		}
		l.db = h.db
	case l.db != h.db:
		return q, errors.New("a querier was asked for two workspaces")
	}
	return l.made, nil
}

func (l *late[Q]) LabelValues(ctx context.Context, name string, hints *storage.LabelHints, m ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	q, err := l.of(ctx)
	if err != nil {
		return nil, nil, err
	}
	return q.LabelValues(ctx, name, hints, m...)
}

func (l *late[Q]) LabelNames(ctx context.Context, hints *storage.LabelHints, m ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	q, err := l.of(ctx)
	if err != nil {
		return nil, nil, err
	}
	return q.LabelNames(ctx, hints, m...)
}

func (l *late[Q]) Close() error {
	if l.db == nil {
		return nil
	}
	return l.made.Close()
}

type querier struct{ late[storage.Querier] }

func (q *querier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, m ...*labels.Matcher) storage.SeriesSet {
	made, err := q.of(ctx)
	if err != nil {
		return storage.ErrSeriesSet(err)
	}
	return made.Select(ctx, sorted, hints, m...)
}

type chunkQuerier struct{ late[storage.ChunkQuerier] }

func (q *chunkQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, m ...*labels.Matcher) storage.ChunkSeriesSet {
	made, err := q.of(ctx)
	if err != nil {
		return storage.ErrChunkSeriesSet(err)
	}
	return made.Select(ctx, sorted, hints, m...)
}

// routedEngine gives each workspace's queries its own limits.
type routedEngine struct{}

func (routedEngine) NewInstantQuery(ctx context.Context, q storage.Queryable, o promql.QueryOpts, expr string, at time.Time) (promql.Query, error) {
	h, err := heldFrom(ctx)
	if err != nil {
		return nil, err
	}
	if err := h.w.e.checkQuery(expr, 0); err != nil {
		return nil, err
	}
	return h.w.promql.Load().NewInstantQuery(ctx, q, o, expr, at)
}

func (routedEngine) NewRangeQuery(ctx context.Context, q storage.Queryable, o promql.QueryOpts, expr string, start, end time.Time, step time.Duration) (promql.Query, error) {
	h, err := heldFrom(ctx)
	if err != nil {
		return nil, err
	}
	if err := h.w.e.checkQuery(expr, end.Sub(start)); err != nil {
		return nil, err
	}
	return h.w.promql.Load().NewRangeQuery(ctx, q, o, expr, start, end, step)
}

const (
	maxExpr    = 64 << 10
	maxNesting = 200
)

var (
	errLongExpr = errors.New("the expression is longer than 64 KiB: select with a regular expression, or record a part of it by a rule")
	errDeepExpr = errors.New("the expression nests deeper than 200 levels: record a part of it by a rule")
)

// maxSubquerySteps is how many steps a subquery may have. The engine makes room for
// all of them at once where the inner expression does not change with time, and
// counts samples only afterwards: count_over_time(vector(1)[30y:1s]) takes 8 GB.
const maxSubquerySteps = 500_000

// subqueryStep is the step of a subquery that names none.
const subqueryStep = time.Minute

var errSubquery = fmt.Errorf("a subquery would have more than %d steps: use a longer step, or record its inner part by a rule", maxSubquerySteps)

// checkQuery refuses queries that would cost far more than they say. What does not
// parse passes: the engine says so better.
func (e *Engine) checkQuery(expr string, span time.Duration) error {
	if err := checkExpr(expr); err != nil {
		return err
	}
	tree, err := e.parser.ParseExpr(expr)
	if err != nil {
		return nil
	}
	var found error
	parser.Inspect(tree, func(n parser.Node, path []parser.Node) error {
		s, ok := n.(*parser.SubqueryExpr)
		if !ok {
			return nil
		}
		covers := span + s.Range // what the subqueries around it ask of this one
		for _, p := range path {
			if outer, ok := p.(*parser.SubqueryExpr); ok {
				covers += outer.Range
			}
		}
		step := s.Step
		if step <= 0 {
			step = subqueryStep
		}
		if covers/step > maxSubquerySteps {
			found = errSubquery
		}
		return nil
	})
	return found
}

// checkExpr refuses expressions that are cheap to send and whose tree would be
// deeper than a stack should be.
func checkExpr(expr string) error {
	if len(expr) > maxExpr {
		return errLongExpr
	}
	depth, signs := 0, 0
	quote := byte(0)
	for i := 0; i < len(expr); i++ {
		c := expr[i]
		if quote != 0 {
			switch {
			case c == '\\' && quote != '`':
				i++
			case c == quote:
				quote = 0
			}
			continue
		}
		switch c {
		case '"', '\'', '`':
			quote, signs = c, 0
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth, signs = depth-1, 0
		case '+', '-':
			signs++
		case ' ', '\t', '\n', '\r':
		default:
			signs = 0
		}
		if depth+signs > maxNesting {
			return errDeepExpr
		}
	}
	return nil
}
