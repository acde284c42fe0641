package repos_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/provider/forge/mem"
	"nightporter.dev/nightporter/repos"
	"nightporter.dev/nightporter/repos/standard"
)

type allowAll struct{}

func (allowAll) Decide(context.Context, nightporter.Actor, nightporter.Action) nightporter.Decision {
	return nightporter.Decision{Allowed: true, Policy: "test"}
}

// house is one process on a store; the forge outlives it.
type house struct {
	t     testing.TB
	url   string
	db    *store.DB
	gate  *gate.Gate
	runs  *run.Engine
	repos *repos.Repos
	moved chan string
	close func()

	mu  sync.Mutex
	now time.Time
}

const rules = `
standard:
  merge_methods: [squash]
  wiki: false
  labels: [{name: major, color: b60205}, {name: minor, color: e8894a}]
  teams: {dev: write}
  required_reviews: 1
`

type options struct {
	rules string
	url   string
	pace  time.Duration
	forge repos.Forge
	// catalog is the declared world; nil means an empty one.
	catalog *catalog.Catalog
}

func open(t testing.TB, o options) *house {
	t.Helper()
	h := &house{t: t, url: o.url, moved: make(chan string, 10000), now: time.Now()}
	if h.url == "" {
		h.url = "sqlite:" + filepath.Join(t.TempDir(), "store.db")
	}
	var err error
	ctx := context.Background()
	if h.db, err = store.Open(ctx, store.Config{URL: h.url}); err != nil {
		t.Fatal(err)
	}
	if err := h.db.Migrate(ctx, slices.Concat(audit.Migrations, outbox.Migrations, run.Migrations, repos.Migrations)); err != nil {
		t.Fatal(err)
	}
	bus := outbox.NewBus()
	outbox.On(bus, "test.drifted", func(context.Context, repos.Drifted) error { return nil })
	if h.gate, err = gate.New(gate.Config{DB: h.db, Bus: bus, Decider: allowAll{}}); err != nil {
		t.Fatal(err)
	}
	h.runs, err = run.New(run.Config{Gate: h.gate, Fence: h.db.Fence(), Log: slog.New(slog.DiscardHandler), Changed: func(id string) {
		select {
		case h.moved <- id:
		default:
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	var cfg config.Repos
	if o.rules == "" {
		o.rules = rules
	}
	if err := yaml.Unmarshal([]byte(o.rules), &cfg); err != nil {
		t.Fatal(err)
	}
	if o.pace == 0 {
		o.pace = -1
	}
	if o.catalog == nil {
		o.catalog = &catalog.Catalog{}
	}
	h.repos, err = repos.New(repos.Config{
		Gate: h.gate, Catalog: o.catalog, Forges: map[string]repos.Forge{"github": o.forge}, Runs: h.runs, Pace: o.pace,
		Standard: func() config.Repos { return cfg }, Now: h.clock, ConformEvery: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(ctx)
	var loops sync.WaitGroup
	loops.Go(func() { h.runs.Run(ctx) })
	h.close = sync.OnceFunc(func() {
		stop()
		loops.Wait()
		h.gate.Close()
		if err := h.db.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(h.close)
	return h
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) later(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func as(name string) context.Context {
	return nightporter.WithActor(context.Background(), nightporter.Actor{Kind: nightporter.Person, Name: name})
}

func (h *house) plan(only string) *standard.Plan {
	h.t.Helper()
	p, err := h.repos.Plan(as("ana"), "", only)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// apply applies a plan and waits until the run is in one of the states.
func (h *house) apply(plan string, until ...run.State) *run.Run {
	h.t.Helper()
	id, err := h.repos.Apply(as("ana"), plan)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.wait(id, until...)
}

func (h *house) wait(id string, until ...run.State) *run.Run {
	h.t.Helper()
	if len(until) == 0 {
		until = []run.State{run.Succeeded}
	}
	deadline := time.After(30 * time.Second)
	for {
		var r *run.Run
		if err := h.gate.Look(context.Background(), func(tx *store.Tx) (err error) {
			r, err = run.Get(context.Background(), tx, id)
			return err
		}); err != nil {
			h.t.Fatal(err)
		}
		if slices.Contains(until, r.State) {
			return r
		}
		if r.State.Over() {
			h.t.Fatalf("the run is %s (%s), want %v\n%+v", r.State, r.Message, until, r.Steps)
		}
		select {
		case <-h.moved:
		case <-deadline:
			h.t.Fatalf("the run is still %s, want %v\n%+v", r.State, until, r.Steps)
		}
	}
}

func (h *house) kept(id string) *repos.KeptPlan {
	h.t.Helper()
	var p *repos.KeptPlan
	if err := h.gate.Look(context.Background(), func(tx *store.Tx) (err error) {
		p, err = repos.GetPlan(context.Background(), tx, id)
		return err
	}); err != nil {
		h.t.Fatal(err)
	}
	return p
}

func (h *house) forges() (list []repos.ForgeState) {
	h.t.Helper()
	if err := h.gate.Look(context.Background(), func(tx *store.Tx) (err error) {
		list, err = repos.Forges(context.Background(), tx)
		return err
	}); err != nil {
		h.t.Fatal(err)
	}
	return list
}

func newForge(t testing.TB, names ...string) *mem.Forge {
	t.Helper()
	f, err := mem.New(mem.Config{})
	if err != nil {
		t.Fatal(err)
	}
	f.AddTeam("dev")
	for _, name := range names {
		f.AddRepo(name)
	}
	return f
}

var writes = []string{"SetRepository", "ChangeLabels", "GrantTeams", "PutRules", "DeleteRules"}

func written(f *mem.Forge) (n int) {
	for _, method := range writes {
		n += f.Calls(method)
	}
	return n
}

func TestAPlanIsAppliedOnceAndThenThereIsNothingLeft(t *testing.T) {
	t.Parallel()
	f := newForge(t, "cards", "ledger", "payments")
	h := open(t, options{forge: f})
	p := h.plan("")
	// 3 settings, 6 labels in a call, 3 grants in a call, 1 set of rules.
	if len(p.Writes) != 13 || p.Price.Requests != 6 || !p.Differs() {
		t.Errorf("got %d writes in %d requests, want 13 in 6", len(p.Writes), p.Price.Requests)
	}
	h.apply(p.ID)
	if got := written(f); got != 6 {
		t.Errorf("it took %d calls, want the 6 that the plan promised", got)
	}
	s := f.SettingsOf("ledger")
	if s.Wiki || len(s.MergeMethods) != 1 || len(s.Labels) != 2 || s.Teams["dev"] != forge.Write || s.InForce().Reviews != 1 {
		t.Errorf("ledger is %+v", s)
	}
	h.apply(p.ID)
	if again := h.plan(""); written(f) != 6 || again.Differs() {
		t.Errorf("a second apply made %d calls more, and the plan after it differs %v", written(f)-6, again.Differs())
	}
	for _, w := range h.kept(p.ID).Writes {
		if w.State != repos.Done {
			t.Errorf("%s %s is %s", w.Repo, w.Text(), w.State)
		}
		if w.Settings != nil && (w.Undo.Settings == nil || !*w.Undo.Settings.Wiki || len(w.Undo.Settings.MergeMethods) != 3) {
			t.Errorf("%s: the way back is %+v", w.Repo, w.Undo.Settings)
		}
	}
}

func TestHalfAnOrganisationPlansNothing(t *testing.T) {
	t.Parallel()
	f := newForge(t, "cards", "ledger")
	h := open(t, options{forge: f, rules: "standard: {labels: [{name: bug}], prune_labels: true}"})
	f.SetFault(mem.Fault{HalfPages: true})
	if _, err := h.repos.Plan(as("ana"), "", ""); nightporter.CodeOf(err) != nightporter.Unavailable {
		t.Errorf("got %v, want it unavailable", err)
	}
	f.SetFault(mem.Fault{})
	p := h.plan("")
	f.SetFault(mem.Fault{HalfPages: true})
	id, err := h.repos.Apply(as("ana"), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	for h.wait(id, run.Running, run.Queued).Step("look again").Message == "" {
		<-h.moved
	}
	if got := written(f); got != 0 {
		t.Errorf("%d writes were made from half of the truth", got)
	}
}

func TestAnApplyWaitsVisiblyWhenTheQuotaEnds(t *testing.T) {
	t.Parallel()
	f := newForge(t, "cards", "ledger")
	h := open(t, options{forge: f})
	p := h.plan("")
	until := time.Now().Add(2 * time.Second).Truncate(time.Second)
	var once sync.Once
	f.SetFault(mem.Fault{After: func(method string) error {
		if method == "SetRepository" {
			once.Do(func() { go f.SetFault(mem.Fault{LimitedUntil: until.Add(time.Second)}) })
		}
		return nil
	}})
	id, err := h.repos.Apply(as("ana"), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	waiting := h.wait(id, run.Waiting)
	said := ""
	for _, s := range waiting.Steps {
		if s.State == run.Waiting {
			said = s.Message
		}
	}
	if !strings.Contains(said, "quota") || !strings.Contains(said, "goes on at") {
		t.Errorf("it waits and says %q", said)
	}
	time.AfterFunc(time.Until(until.Add(1100*time.Millisecond)), h.runs.LookAll)
	h.wait(id)
	if again := h.plan(""); again.Differs() {
		t.Errorf("after the wait %d writes are left", len(again.Writes))
	}
}

// The process dies in the middle: after the forge made a change, and before we
// wrote down that it had.
func TestAKilledApplyGoesOnWithoutWritingTwice(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"SetRepository", "ChangeLabels", "PutRules"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			f := newForge(t, "cards", "ledger")
			h := open(t, options{forge: f})
			p := h.plan("")
			died := make(chan struct{})
			var once sync.Once
			f.SetFault(mem.Fault{After: func(method string) error {
				if method != at {
					return nil
				}
				once.Do(func() { close(died) })
				return &forge.UnavailableError{Doing: method, Cause: context.Canceled}
			}})
			id, err := h.repos.Apply(as("ana"), p.ID)
			if err != nil {
				t.Fatal(err)
			}
			<-died
			h.close()
			f.SetFault(mem.Fault{})
			h = open(t, options{forge: f, url: h.url})
			h.wait(id)
			if got := written(f); got != 5 { // 2 settings, labels, grants, rules
				t.Errorf("it took %d calls in both lives, want 5", got)
			}
			if left := h.plan(""); left.Differs() {
				t.Errorf("%d writes are left", len(left.Writes))
			}
			for _, w := range h.kept(p.ID).Writes {
				if w.State != repos.Done {
					t.Errorf("%s %s is %s", w.Repo, w.Text(), w.State)
				}
			}
		})
	}
}

func TestWhatSomebodyChangedSinceThePlanIsNotOverwritten(t *testing.T) {
	t.Parallel()
	f := newForge(t, "ledger")
	h := open(t, options{forge: f, rules: "standard: {wiki: false, issues: false}"})
	p := h.plan("")
	f.Configure("ledger", "ana-gh", "", func(s *forge.Settings) { s.Wiki = false })
	h.apply(p.ID)
	if w := h.kept(p.ID).Writes[0]; w.State != repos.Dropped || written(f) != 0 {
		t.Errorf("got %s and %d writes, want it dropped: nobody has seen a plan of what is there now", w.State, written(f))
	}
}

func TestWhatTheForgeRefusesIsSaidAndTheRestIsDone(t *testing.T) {
	t.Parallel()
	f := newForge(t, "cards", "ledger")
	h := open(t, options{forge: f, rules: "standard: {wiki: false}"})
	p := h.plan("")
	f.SetFault(mem.Fault{Forbidden: true})
	r := h.apply(p.ID, run.Failed)
	if !strings.Contains(r.Message, "2 refused") {
		t.Errorf("the run says %q", r.Message)
	}
	for _, w := range h.kept(p.ID).Writes {
		if w.State != repos.Failed || !strings.Contains(w.Message, "our token lacks") {
			t.Errorf("%s is %s: %q", w.Repo, w.State, w.Message)
		}
	}
}

func TestTwoAppliesOfOneForgeDoNotMix(t *testing.T) {
	t.Parallel()
	f := newForge(t, "ledger")
	h := open(t, options{forge: f})
	p := h.plan("")
	f.SetFault(mem.Fault{LimitedUntil: time.Now().Add(time.Hour)})
	h.apply(p.ID, run.Waiting)
	if _, err := h.repos.Apply(as("ben"), p.ID); nightporter.CodeOf(err) != nightporter.Conflict {
		t.Errorf("got %v, want a conflict", err)
	}
	if _, err := h.repos.Apply(as("ben"), "plan_none"); nightporter.CodeOf(err) != nightporter.NotFound {
		t.Errorf("got %v, want it not found", err)
	}
}

func TestDriftIsToldWithWhoDidIt(t *testing.T) {
	t.Parallel()
	f := newForge(t, "ledger")
	h := open(t, options{forge: f, rules: "standard: {labels: [{name: major, color: b60205}], wiki: false}"})
	h.apply(h.plan("").ID)
	h.later(time.Hour)
	h.repos.Conform(context.Background(), "github")
	h.later(time.Minute)
	f.Configure("ledger", "mallory-gh", forge.PartLabels, func(s *forge.Settings) { s.Labels, s.Wiki = nil, true })
	header, body := f.LastWebhook()
	for range 2 { // the forge delivers twice
		if err := h.repos.Receive(context.Background(), "github", header, body); err != nil {
			t.Fatal(err)
		}
	}
	p := h.plan("")
	who := map[standard.Rule]string{}
	for _, c := range p.Repos[0].Cells {
		if c.State == standard.Drift {
			who[c.Rule] = c.Who
		}
	}
	// GitHub tells nobody who switched a wiki on, so we do not guess.
	if diff := cmp.Diff(map[standard.Rule]string{standard.Labels: "mallory-gh", standard.Wiki: ""}, who); diff != "" {
		t.Errorf("who (-want +got):\n%s", diff)
	}
	h.later(time.Hour)
	if c := h.plan("").Repos[0].Cells; c[1].Who != "mallory-gh" && c[0].Who != "mallory-gh" {
		t.Errorf("the next look forgot who it was: %+v", c)
	}
	told := 0
	check(t, h.gate.Look(context.Background(), func(tx *store.Tx) error {
		return tx.QueryRow(context.Background(), `SELECT COUNT(*) FROM event WHERE name = 'RepoDrifted' AND payload LIKE '%mallory-gh%'`).Scan(&told)
	}))
	if told != 1 {
		t.Errorf("the drift of the labels was told %d times, want once", told)
	}
	var history []repos.Change
	if err := h.gate.Look(context.Background(), func(tx *store.Tx) (err error) {
		history, err = repos.History(context.Background(), tx, nightporter.Repo{Forge: "github", Name: "ledger"}, 10)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range history {
		if c.Rule == standard.Labels {
			got = append(got, fmt.Sprintf("%s<-%s %s", c.State, c.Was, c.Who))
		}
	}
	if diff := cmp.Diff([]string{"drift<-ok mallory-gh", "ok<-drift ", "drift<- "}, got); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

func TestEnforcedRulesArePutRightAndReportedOnesAreNot(t *testing.T) {
	t.Parallel()
	f := newForge(t, "ledger")
	h := open(t, options{forge: f, rules: "{mode: enforce, standard: {wiki: false}}"})
	h.repos.Conform(context.Background(), "github")
	for f.SettingsOf("ledger").Wiki {
		<-h.moved
	}
	g := newForge(t, "ledger")
	open(t, options{forge: g, rules: "{mode: report, standard: {wiki: false}}"}).repos.Conform(context.Background(), "github")
	if written(g) != 0 {
		t.Error("report mode wrote something")
	}
}

func TestRenamedAndTransferredRepositoriesLeaveNoGhosts(t *testing.T) {
	t.Parallel()
	f := newForge(t, "ledger", "cards", "gone")
	h := open(t, options{forge: f, rules: "standard: {wiki: false}"})
	h.plan("")
	f.Rename("ledger", "accounts")
	f.Remove("gone")
	h.plan("")
	var names []string
	if err := h.gate.Look(context.Background(), func(tx *store.Tx) error {
		rows, err := repos.Rows(context.Background(), tx)
		for _, r := range rows {
			names = append(names, r.Repo.Name)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"accounts", "cards"}, names); diff != "" {
		t.Errorf("matrix (-want +got):\n%s", diff)
	}
}

func TestTheSameForgeryIsRefusedEachTime(t *testing.T) {
	t.Parallel()
	f := newForge(t, "ledger")
	h := open(t, options{forge: f})
	f.Configure("ledger", "mallory-gh", forge.PartLabels, func(*forge.Settings) {})
	header, body := f.LastWebhook()
	header = header.Clone()
	for i := range 10_000 {
		header.Set(forge.SignatureHeader, forge.Sign([]byte(fmt.Sprint(i)), body))
		if err := h.repos.Receive(context.Background(), "github", header, body); nightporter.CodeOf(err) != nightporter.Unauthenticated {
			t.Fatalf("forgery %d: got %v", i, err)
		}
	}
	if got := h.repos.Refused()["github"]; got != 10_000 {
		t.Errorf("got %d refused, want 10,000", got)
	}
}
