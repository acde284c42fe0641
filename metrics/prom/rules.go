package prom

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/metrics"
)

const (
	maxRuleText = 256 << 10
	maxRules    = 500
	ruleEvery   = 15 * time.Second
)

// CheckRules says what is wrong with a file of rules, or how many it has.
func (e *Engine) CheckRules(text string) (n int, err error) {
	g, err := e.parseRules(text)
	if err != nil {
		return 0, err
	}
	for _, group := range g.Groups {
		n += len(group.Rules)
	}
	if n > maxRules {
		return 0, nightporter.E(nightporter.Invalid, "a file may have %d rules, and this one has %d: split it", maxRules, n)
	}
	return n, nil
}

func (e *Engine) parseRules(text string) (*rulefmt.RuleGroups, error) {
	if len(text) > maxRuleText {
		return nil, nightporter.E(nightporter.Invalid, "a file of rules may be %d KiB long: split it", maxRuleText>>10)
	}
	groups, errs := rulefmt.Parse([]byte(text), false, model.UTF8Validation, e.parser, slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		lines := make([]string, 0, min(len(errs), 10))
		for _, err := range errs[:min(len(errs), 10)] {
			lines = append(lines, err.Error())
		}
		return nil, nightporter.E(nightporter.Invalid, "%s", strings.Join(lines, "\n"))
	}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			if err := checkExpr(r.Expr); err != nil {
				return nil, nightporter.E(nightporter.Invalid, "group %s: %s", g.Name, err.Error())
			}
		}
	}
	return groups, nil
}

// ruleset runs the rules of one workspace.
type ruleset struct {
	w     *workspace
	mu    sync.Mutex
	files map[string]string // text by name
	m     *rules.Manager    // nil without rules
	ended chan struct{}     // closed when m has
	stop  context.CancelFunc
	over  bool
}

// SetRules has a workspace evaluate these files, by name, from now on. Groups that
// did not change keep their state.
func (e *Engine) SetRules(name string, files map[string]string) error {
	w, err := e.find(name)
	if err != nil {
		return err
	}
	return w.rules.set(files)
}

func (r *ruleset) set(files map[string]string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || maps.Equal(files, r.files) {
		return nil
	}
	for name, text := range files {
		if _, err := r.w.e.parseRules(text); err != nil {
			return fmt.Errorf("rules %s: %w", name, err)
		}
	}
	r.files = maps.Clone(files)
	if r.m == nil {
		if len(files) == 0 {
			return nil
		}
		r.start()
	}
	return r.m.Update(ruleEvery, slices.Sorted(maps.Keys(files)), labels.EmptyLabels(), "", nil)
}

func (r *ruleset) start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.stop, r.ended = cancel, make(chan struct{})
	r.m = rules.NewManager(&rules.ManagerOptions{
		Context: ctx, Logger: quiet(r.w.e.cfg.Log.With("workspace", r.w.name)), Registerer: prometheus.NewRegistry(), Parser: r.w.e.parser,
		Appendable: owned{r.w}, Queryable: owned{r.w}, QueryFunc: r.w.ruleQuery, ExternalURL: &url.URL{},
		// Alerts are looked at, not waited for: see [Engine.Alerts].
		NotifyFunc:      func(context.Context, string, ...*rules.Alert) {},
		OutageTolerance: time.Hour, ForGracePeriod: 10 * time.Minute, ResendDelay: time.Minute, RestoreNewRuleGroups: true,
		GroupLoader: r,
	})
	go func(m *rules.Manager, ended chan struct{}) {
		defer close(ended)
		m.Run()
	}(r.m, r.ended)
}

// end stops every evaluation and waits for it.
func (r *ruleset) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	if r.m == nil {
		return
	}
	r.stop()
	r.m.Stop()
	<-r.ended
	r.m, r.files = nil, nil
}

// Load gives Prometheus's manager a file by its name. It is called by Update, which
// holds mu.
func (r *ruleset) Load(name string, _ bool, _ model.ValidationScheme) (*rulefmt.RuleGroups, []error) {
	g, err := r.w.e.parseRules(r.files[name])
	if err != nil {
		return nil, []error{err}
	}
	return g, nil
}

// Parse is the other half of rules.GroupLoader.
func (r *ruleset) Parse(expr string) (parser.Expr, error) { return r.w.e.parser.ParseExpr(expr) }

func (r *ruleset) manager() *rules.Manager {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.m
}

// RuleGroups and AlertingRules are what /rules and /alerts show.
func (r *ruleset) RuleGroups() []*rules.Group {
	if m := r.manager(); m != nil {
		return m.RuleGroups()
	}
	return nil
}

// AlertingRules are the rules that may fire.
func (r *ruleset) AlertingRules() []*rules.AlertingRule {
	if m := r.manager(); m != nil {
		return m.AlertingRules()
	}
	return nil
}

// ruleQuery evaluates a rule with the limits of its workspace.
func (w *workspace) ruleQuery(ctx context.Context, expr string, at time.Time) (promql.Vector, error) {
	db, release, err := w.hold()
	if err != nil {
		return nil, err
	}
	defer release()
	return rules.EngineQueryFunc(routedEngine{}, routed{})(withHeld(ctx, &held{w: w, db: db}), expr, at)
}

// Alerts are the alerts of a workspace that are pending or fire, as of now.
func (e *Engine) Alerts(name string) ([]metrics.Alert, error) {
	w, err := e.find(name)
	if err != nil {
		return nil, err
	}
	var out []metrics.Alert
	for _, rule := range w.rules.AlertingRules() {
		for _, a := range rule.ActiveAlerts() {
			out = append(out, metrics.Alert{
				Name: rule.Name(), Labels: a.Labels.Map(), Annotations: a.Annotations.Map(), Firing: a.State == rules.StateFiring,
				ActiveAt: a.ActiveAt.UTC(), Value: a.Value,
			})
		}
	}
	return out, nil
}

// owned is the storage of one workspace for what works in it by itself: rules and
// scrapes. Each appender and querier holds the workspace while it lives.
type owned struct{ w *workspace }

func (o owned) Appender(ctx context.Context) storage.Appender {
	db, release, err := o.w.hold()
	if err != nil {
		return refusing{err: err}
	}
	h := &held{w: o.w, db: db, note: &note{from: "nightporter", lenient: true}}
	return &holding{appender: appender{Appender: db.Appender(ctx), w: o.w, note: h.note}, h: h, release: sync.OnceFunc(release)}
}

func (o owned) Querier(mint, maxt int64) (storage.Querier, error) {
	db, release, err := o.w.hold()
	if err != nil {
		return nil, err
	}
	q, err := db.Querier(mint, maxt)
	if err != nil {
		release()
		return nil, err
	}
	return &heldQuerier{q, sync.OnceFunc(release)}, nil
}

// holding gives its workspace back when it is done.
type holding struct {
	appender
	h       *held
	release func()
}

func (a *holding) Commit() error {
	defer a.release()
	err := a.appender.Commit()
	if err == nil {
		a.w.e.settle(a.h)
	}
	return err
}

func (a *holding) Rollback() error {
	defer a.release()
	return a.appender.Rollback()
}

type heldQuerier struct {
	storage.Querier
	release func()
}

func (q *heldQuerier) Close() error {
	defer q.release()
	return q.Querier.Close()
}
