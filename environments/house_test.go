package environments_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/clock"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/cloud"
	"nightporter.dev/nightporter/provider/cloud/mem"
	"nightporter.dev/nightporter/provider/notify"
)

var migrations = slices.Concat(audit.Migrations, outbox.Migrations, run.Migrations, environments.Migrations)

// Instants of a week without anything special; London is an hour ahead of UTC.
var (
	noon  = at("2026-06-17T11:00:00Z") // Wednesday
	dusk  = at("2026-06-17T20:00:00Z")
	night = at("2026-06-17T22:00:00Z")
	dawn  = at("2026-06-18T06:00:00Z")
)

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

// world is what is outside of the process: it outlives every house.
type world struct {
	clock *clock.Manual
	cloud *mem.Provider
	dir   string

	mu    sync.Mutex
	heads map[string]string // commit by branch
	away  bool              // the forge does not answer
	log   []string          // what neighbours did, each once a run
	told  []notify.Message
	does  map[string]environments.Handover // what neighbours answer
}

func newWorld(t testing.TB) *world {
	t.Helper()
	p, err := mem.New(mem.Config{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{clock: clock.NewManual(noon), cloud: p, dir: t.TempDir(), heads: map[string]string{"main": "aaaaaaaa"}, does: map[string]environments.Handover{}}
	p.Define("dev", "aaaaaaaa", acme()...)
	return w
}

// acme is a database that keeps its rows, a cache, and two services of the
// platform that need them.
func acme() []mem.Definition {
	part := func(name string, keep cloud.Keep, needs ...string) mem.Definition {
		return mem.Definition{Component: cloud.Component{Name: name, Keep: keep, Needs: needs, Within: 2 * time.Second}}
	}
	return []mem.Definition{
		part("gateway", cloud.Forget, "bus", "cache"), part("bus", cloud.Forget, "db"), part("db", cloud.OnceItIs), part("cache", cloud.Forget),
	}
}

func (w *world) CheckoutAt(_ context.Context, _ nightporter.Repo, rev string) (string, string, func(), error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away {
		return "", "", nil, nightporter.E(nightporter.NotFound, "the repository is gone")
	}
	if head, ok := w.heads[rev]; ok {
		rev = head
	}
	return w.dir, rev, func() {}, nil
}

func (w *world) push(commit string, parts ...mem.Definition) {
	w.mu.Lock()
	w.heads["main"] = commit
	w.mu.Unlock()
	if parts != nil {
		w.cloud.Define("dev", commit, parts...)
	}
}

// neighbour does its part of a run once, however often it is asked.
func (w *world) neighbour(what, run string) (environments.Handover, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if line := what + " " + run; !slices.Contains(w.log, line) {
		w.log = append(w.log, line)
	}
	if h, ok := w.does[what]; ok {
		return h, nil
	}
	return environments.Handover{State: succeeded}, nil
}

const succeeded = run.Succeeded

func (w *world) Undeploy(_ context.Context, _, run string) (environments.Handover, error) {
	return w.neighbour("undeploy", run)
}

func (w *world) Drain(_ context.Context, _, run string) (environments.Handover, error) {
	return w.neighbour("drain", run)
}

func (w *world) Enrol(_ context.Context, _, run string, _ func(context.Context, string) ([]byte, error)) (environments.Handover, error) {
	return w.neighbour("enrol", run)
}

func (w *world) Redeploy(_ context.Context, _, run string) (environments.Handover, error) {
	return w.neighbour("redeploy", run)
}

func (w *world) Probe(_ context.Context, _, run string) (environments.Handover, error) {
	return w.neighbour("probe", run)
}

func (w *world) Tell(_ context.Context, audience string, m notify.Message) error {
	if err := m.Validate(); err != nil {
		return err
	}
	if audience != "operators" {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.ContainsFunc(w.told, func(o notify.Message) bool { return o.Key == m.Key }) {
		w.told = append(w.told, m)
	}
	return nil
}

func (w *world) titles() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, m := range w.told {
		out = append(out, m.Title)
	}
	return out
}

func (w *world) count(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, line := range w.log {
		if strings.HasPrefix(line, what+" ") {
			n++
		}
	}
	return n
}

// alive names what exists of dev, whatever anybody's records say.
func (w *world) alive(t testing.TB) []string {
	t.Helper()
	all, err := w.cloud.Inventory(context.Background(), cloud.Target{Environment: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, r := range cloud.Alive(all) {
		out = append(out, r.Component)
	}
	slices.Sort(out)
	return out
}

// house is one process on a store.
type house struct {
	*environments.Environments
	t     testing.TB
	w     *world
	db    *store.DB
	gate  *gate.Gate
	runs  *run.Engine
	moved chan struct{}
	stop  func()
	kill  func() // what is left of a dead process; it does not wait for the dead
}

type options struct {
	env   func(*catalog.Environment)
	fault func(point string)
	self  environments.Self
	price environments.Prices
	sweep time.Duration
}

func declared(change func(*catalog.Environment)) catalog.Snapshot {
	dev := catalog.Environment{
		Environment: nightporter.Environment{Name: "dev", Kind: nightporter.Development},
		Schedule:    catalog.Schedule{Windows: "Mon-Fri 07:00-21:00", Timezone: "Europe/London", FirstNight: "act", KeepMax: 12 * time.Hour},
		Cloud:       catalog.Cloud{Kind: "mem", Repo: nightporter.Repo{Forge: "hub", Name: "infra"}, Ref: "main", Dir: "."},
	}
	if change != nil {
		change(&dev)
	}
	return catalog.Snapshot{
		Forges:       []catalog.Forge{{Name: "hub", Kind: "mem"}},
		People:       []catalog.Person{{Name: "ana"}},
		Teams:        []catalog.Team{{Name: "payments", Members: []string{"ana"}}},
		Environments: []catalog.Environment{dev, {Environment: nightporter.Environment{Name: "prod", Kind: nightporter.Production}, Cloud: catalog.Cloud{Kind: "mem"}}},
		Services: []catalog.Service{{
			Service: nightporter.Service{Name: "ledger", Repo: nightporter.Repo{Forge: "hub", Name: "ledger"}, Owner: "payments"}, Deploy: catalog.Deploy{Kind: "mem"},
		}},
	}
}

type allowAll struct{}

func (allowAll) Decide(context.Context, nightporter.Actor, nightporter.Action) nightporter.Decision {
	return nightporter.Decision{Allowed: true}
}

// open starts a process.
func open(t testing.TB, db *store.DB, w *world, o options) *house {
	t.Helper()
	h := &house{t: t, w: w, db: db, moved: make(chan struct{}, 1)}
	var err error
	bus := outbox.NewBus()
	if h.gate, err = gate.New(gate.Config{DB: db, Bus: bus, Decider: allowAll{}, Fault: o.fault}); err != nil {
		t.Fatal(err)
	}
	h.runs, err = run.New(run.Config{Gate: h.gate, Fence: db.Fence(), Clock: w.clock, Changed: func(string) {
		select {
		case h.moved <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := &catalog.Catalog{}
	if _, err := c.Load(declared(o.env)); err != nil {
		t.Fatal(err)
	}
	h.Environments, err = environments.New(environments.Config{
		Gate: h.gate, Runs: h.runs, Catalog: c, Providers: map[string]cloud.Provider{"mem": w.cloud}, Source: w,
		Undeploy: w, Drain: w, Enrol: w, Redeploy: w, Probe: w, Clock: w.clock, Tell: w, Self: o.self, SweepEvery: o.sweep,
		Prices: func() environments.Prices { return o.price },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { h.runs.Run(ctx) })
	wg.Go(func() { h.Run(ctx) })
	h.kill = cancel
	h.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		h.gate.Close()
	})
	return h
}

// crasher kills a house in its n-th fault point, as kill -9 would: the committer
// ends there and then, and nothing reaches the far ends any more. What waits for
// the dead waits for ever.
type crasher struct {
	mu     sync.Mutex
	n      int
	points []string
	dead   chan struct{}
}

func (c *crasher) fault(point string) {
	c.mu.Lock()
	c.points = append(c.points, point)
	now := len(c.points) == c.n
	c.mu.Unlock()
	if now {
		close(c.dead)
		runtime.Goexit()
	}
}

func (*house) tick() <-chan time.Time { return time.After(5 * time.Millisecond) }

// show reads dev in full.
func (h *house) show() *environments.Detail {
	h.t.Helper()
	var d *environments.Detail
	err := h.db.View(context.Background(), func(tx *store.Tx) (err error) {
		d, err = h.Show(context.Background(), tx, "dev")
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return d
}

// until waits until dev is as holds says. It fails after half a minute: a limit
// for what hangs.
func (h *house) until(what string, holds func(*environments.Detail) bool) *environments.Detail {
	h.t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		d := h.show()
		if holds(d) {
			return d
		}
		select {
		case <-h.moved:
		case <-time.After(10 * time.Millisecond):
		case <-timeout:
			h.t.Fatalf("never %s: %s %q, run %s, work %+v", what, d.State, d.Message, d.Run, d.Work)
		}
	}
}

func (h *house) is(s environments.State) *environments.Detail {
	h.t.Helper()
	return h.until(string(s), func(d *environments.Detail) bool { return d.State == s && d.Run == "" })
}

// events lists the events so far by name.
func (h *house) events() []string {
	h.t.Helper()
	var names []string
	err := h.db.View(context.Background(), func(tx *store.Tx) error {
		all, err := outbox.Since(context.Background(), tx, 0, 1000)
		for _, r := range all {
			names = append(names, r.Name)
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return names
}

func as(person string) context.Context {
	return nightporter.WithActor(context.Background(), nightporter.Actor{Kind: nightporter.Person, Name: person})
}

func wantAlive(t testing.TB, w *world, want ...string) {
	t.Helper()
	if got := w.alive(t); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("alive: %v, want %v", got, want)
	}
}

func allParts() []string { return []string{"bus", "cache", "db", "gateway"} }

func component(name string, needs ...string) cloud.Component {
	return cloud.Component{Name: name, Needs: needs, Within: 2 * time.Second}
}

func (h *house) authorise(ctx context.Context, a nightporter.Action) error {
	return h.gate.Authorise(ctx, a, nightporter.Resource{})
}
