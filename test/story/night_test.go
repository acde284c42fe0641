package story_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/app"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/provider/cloud"
	cloudmem "nightporter.dev/nightporter/provider/cloud/mem"
	"nightporter.dev/nightporter/provider/deploy"
	deploymem "nightporter.dev/nightporter/provider/deploy/mem"
	"nightporter.dev/nightporter/provider/forge"
	forgemem "nightporter.dev/nightporter/provider/forge/mem"
	"nightporter.dev/nightporter/provider/notify"
	notifymem "nightporter.dev/nightporter/provider/notify/mem"
)

// withNights is the house of the other stories with a dev that sleeps.
var withNights = strings.Replace(declared, "  dev: {kind: development}\n", `  dev:
    kind: development
    schedule: "Mon-Fri 07:00-21:00"
    timezone: Europe/London
    first_night: act
    ready_by: "off"
    nudge: 30m
    cloud: {kind: mem, repo: hub/infra}
`, 1)

// infra is the repository of dev's infrastructure: its newest commit.
type infra struct {
	mu   sync.Mutex
	head string
	dir  string
}

func (i *infra) push(commit string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.head = commit
}

func (i *infra) CheckoutAt(_ context.Context, _ nightporter.Repo, rev string) (string, string, func(), error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if rev == "main" {
		rev = i.head
	}
	return i.dir, rev, func() {}, nil
}

// Commits of the infrastructure: one that is good, one that adds a component, one
// that is broken.
const (
	first  = "1111111111111111111111111111111111111111"
	adds   = "2222222222222222222222222222222222222222"
	broken = "3333333333333333333333333333333333333333"
)

// TestNights plays three working days. Time in the bubble starts on Saturday, 1
// January 2000, at midnight; London is on UTC.
func TestNights(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := &house{t: t, dir: dir, told: &notifymem.Notifier{}, webhook: true}
		code := &infra{head: first, dir: dir}
		clouds, err := cloudmem.New(cloudmem.Config{})
		if err != nil {
			t.Fatal(err)
		}
		db := cloudmem.Definition{Component: cloud.Component{Name: "db", Keep: cloud.OnceItIs}}
		search := cloudmem.Definition{Component: cloud.Component{Name: "search", Needs: []string{"db"}}}
		clouds.Define("dev", first, db)
		clouds.Define("dev", adds, db, search)
		clouds.Define("dev", broken, db, cloudmem.Definition{Component: cloud.Component{Name: "search", Needs: []string{"nothing"}}})
		clouds.Rule(cloudmem.Rule{Verb: "Up", Behaviour: cloudmem.Behaviour{Takes: 4 * time.Minute}})
		if h.forge, err = forgemem.New(forgemem.Config{Deliver: h.deliver}); err != nil {
			t.Fatal(err)
		}
		if h.deploy, err = deploymem.New(deploymem.Config{}); err != nil {
			t.Fatal(err)
		}
		h.openNights(withNights, clouds, code)
		defer func() { h.stop() }()
		until := func(text string) {
			t.Helper()
			at, err := time.Parse("2006-01-02 15:04", text)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Until(at)) // fake time
			synctest.Wait()
		}
		dev := func(want ...string) {
			t.Helper()
			all, err := clouds.Inventory(context.Background(), cloud.Target{Environment: "dev"})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range cloud.Alive(all) {
				got = append(got, r.Component)
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s: dev has %v, want %v", time.Now().Format("Mon 15:04"), got, want)
			}
		}

		// A merge at the weekend waits for dev; preprod never sleeps.
		h.forge.AddRepo("ledger")
		h.forge.AddRepo("infra")
		time.Sleep(2 * time.Second)
		h.merge("add interest", "minor")
		until("2000-01-02 12:00")
		dev()
		if got := h.runs("dev") + " " + h.runs("preprod"); got != "nothing 0.1.0" {
			t.Errorf("on Sunday dev and preprod run %s", got)
		}

		// Monday morning builds dev and brings what waited.
		until("2000-01-03 07:15")
		dev("db")
		if got := h.runs("dev"); got != "0.1.0" {
			t.Errorf("on Monday dev runs %s", got)
		}
		clouds.SetData("dev", "db", "rows of Monday")

		// Before dusk people are told; the evening's commit adds a component.
		until("2000-01-03 20:59")
		dev("db")
		if !h.wasTold("dev goes dark at 21:00 GMT") {
			t.Error("nobody was told that dev goes dark")
		}
		code.push(adds)
		until("2000-01-03 21:10")
		dev()
		if got := h.runs("dev"); got != "nothing" {
			t.Errorf("in the night dev runs %s", got)
		}
		until("2000-01-04 06:59")
		dev()

		// Dawn: the added component is there, the rows are, the version is.
		until("2000-01-04 07:30")
		dev("db", "search")
		if rows, _ := clouds.Data("dev", "db"); rows != "rows of Monday" {
			t.Errorf("db holds %q", rows)
		}
		if got := h.runs("dev"); got != "0.1.0" {
			t.Errorf("on Tuesday dev runs %s", got)
		}

		// The next evening's commit is broken: by morning it was caught, the last
		// good one runs, and people know.
		clouds.SetData("dev", "db", "rows of Tuesday")
		code.push(broken)
		until("2000-01-04 23:00")
		dev()
		until("2000-01-05 07:30")
		dev("db", "search")
		if rows, _ := clouds.Data("dev", "db"); rows != "rows of Tuesday" {
			t.Errorf("db holds %q", rows)
		}
		if got := h.runs("dev"); got != "0.1.0" {
			t.Errorf("on Wednesday dev runs %s", got)
		}
		if !h.wasTold("dev could not be built from 3333333; 2222222 runs instead") {
			t.Error("nobody was told of the broken commit")
		}
		for _, effect := range clouds.Ledger() {
			if !strings.Contains(effect, " dev/") {
				t.Errorf("the night touched %s", effect)
			}
		}
	})
}

func (h *house) wasTold(title string) bool {
	return slices.ContainsFunc(h.told.Shown(), func(m notify.Message) bool { return m.Title == title })
}

// openNights starts a process whose dev is made of something.
func (h *house) openNights(text string, clouds cloud.Provider, code *infra) {
	h.t.Helper()
	cfg, err := config.Parse([]byte(text), filepath.Join(h.dir, "nightporter.yaml"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.app, err = app.New(context.Background(), app.Options{
		Config: cfg, Log: slog.New(slog.DiscardHandler), Version: "test", Dev: true,
		StoreURL: "sqlite:" + filepath.Join(h.dir, "store", "nightporter.db"),
		Providers: &app.Providers{
			Forges: map[string]forge.Forge{"hub": h.forge}, Deployers: map[string]deploy.Deployer{"mem": h.deploy}, Source: source{},
			Clouds: map[string]cloud.Provider{"mem": clouds}, Infrastructure: code,
			Channels:   map[string][]notify.Notifier{"payments": {h.told}, "operators": {h.told}},
			SweepEvery: time.Hour,
		},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { h.app.Run(ctx) })
	h.stop = func() {
		cancel()
		wg.Wait()
		if err := h.app.Close(); err != nil {
			h.t.Errorf("close: %v", err)
		}
	}
}
