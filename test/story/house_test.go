// Package story plays the three flows of docs/design.md through the whole house,
// in memory and in fake time. demo/ plays the same on real git repositories and
// real processes.
package story_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/app"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/dbtest"
	"nightporter.dev/nightporter/provider/deploy"
	deploymem "nightporter.dev/nightporter/provider/deploy/mem"
	"nightporter.dev/nightporter/provider/forge"
	forgemem "nightporter.dev/nightporter/provider/forge/mem"
	"nightporter.dev/nightporter/provider/notify"
	notifymem "nightporter.dev/nightporter/provider/notify/mem"
	"nightporter.dev/nightporter/releases"
	"nightporter.dev/nightporter/versions"
)

const declared = `
forges: {hub: {kind: mem, sweep: 1m}}
people:
  ana: {hub: ana-gh}
  sam: {hub: sam-gh}
  guest: {}
teams: {payments: {members: [ana, sam]}}
operators: [sam]
environments:
  dev: {kind: development}
  preprod: {kind: staging}
  prod: {kind: production, approval: {from: [owner], remind: [4h owner, 24h operators]}}
pipeline: [[dev, preprod], [prod]]
services:
  - {name: ledger, repo: hub/ledger, owner: payments, deploy: {kind: mem, run: [ledger]}, health: {http: /healthz}}
`

// house is a running house with its far ends in memory.
type house struct {
	t       *testing.T
	dir     string
	forge   *forgemem.Forge
	deploy  *deploymem.Deployer
	told    *notifymem.Notifier
	app     *app.App
	stop    func()
	webhook bool // deliver webhooks
	store   string
	// pass lets time pass: fake time in a bubble, and real time until the next
	// commit outside one.
	pass  func()
	fault func(string)
}

// inHouse runs a story in a bubble of fake time.
func inHouse(t *testing.T, story func(t *testing.T, h *house)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, dir)
		h.pass = func() {
			time.Sleep(100 * time.Millisecond) // fake: this is how it passes
			synctest.Wait()
		}
		h.open()
		defer func() { h.stop() }()
		story(t, h)
	})
}

func newHouse(t *testing.T, dir string) *house {
	h := &house{
		t: t, dir: dir, told: &notifymem.Notifier{}, webhook: true,
		store: "sqlite:" + filepath.Join(dir, "store", "nightporter.db"),
	}
	var err error
	if h.forge, err = forgemem.New(forgemem.Config{Deliver: h.deliver}); err != nil {
		t.Fatal(err)
	}
	// The first sweep must find it: what a repository already has when it is
	// seen first was not merged under our eyes.
	h.forge.AddRepo("ledger")
	if h.deploy, err = deploymem.New(deploymem.Config{}); err != nil {
		t.Fatal(err)
	}
	return h
}

// onPostgres runs a story on a real PostgreSQL, in real time: network connections
// do not wait for a bubble's clock.
func onPostgres(t *testing.T, story func(t *testing.T, h *house)) {
	t.Helper()
	h := newHouse(t, t.TempDir())
	server := dbtest.Postgres(t)
	h.store = server.DSN(server.Database(t))
	committed := make(chan struct{}, 1)
	h.fault = func(string) {
		select {
		case committed <- struct{}{}:
		default:
		}
	}
	h.pass = func() {
		select {
		case <-committed:
		case <-time.After(20 * time.Millisecond):
		}
	}
	h.open()
	defer func() { h.stop() }()
	story(t, h)
}

// open starts a process on the store and the far ends as they are.
func (h *house) open() {
	h.t.Helper()
	cfg, err := config.Parse([]byte(declared), filepath.Join(h.dir, "nightporter.yaml"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.app, err = app.New(context.Background(), app.Options{
		Config: cfg, Log: slog.New(slog.DiscardHandler), Version: "test", Dev: true,
		StoreURL: h.store, Fault: h.fault,
		Providers: &app.Providers{
			Forges:     map[string]forge.Forge{"hub": h.forge},
			Deployers:  map[string]deploy.Deployer{"mem": h.deploy},
			Source:     source{},
			Channels:   map[string][]notify.Notifier{"payments": {h.told}, "operators": {h.told}},
			SweepEvery: time.Minute,
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

func (h *house) deliver(header http.Header, body []byte) {
	if h.webhook && h.app != nil {
		if err := h.app.Webhook(context.Background(), "hub", header, body); err != nil {
			h.t.Errorf("webhook: %v", err)
		}
	}
}

// source gives empty checkouts: builds in memory look at nothing.
type source struct{}

func (source) Checkout(context.Context, nightporter.Repo, string) (string, func(), error) {
	return "/nonexistent", func() {}, nil
}

// merge merges a labelled pull request and returns its commit.
func (h *house) merge(title, label string) string {
	h.t.Helper()
	pr := forgemem.PR{Title: title, Author: "ana-gh", Reviewers: []string{"sam-gh"}}
	if label != "" {
		pr.Labels = []string{label}
	}
	return h.forge.Merge("ledger", pr).Commit
}

// until lets time pass until the newest release of ledger is as holds says.
func (h *house) until(what string, holds func(*releases.Release) bool) *releases.Release {
	h.t.Helper()
	var last *releases.Release
	for range 3000 {
		list, err := h.app.Releases(context.Background(), releases.Filter{Service: "ledger", Limit: 1})
		if err != nil {
			h.t.Fatal(err)
		}
		if len(list) > 0 {
			if last = list[0]; holds(last) {
				return last
			}
		}
		h.pass()
	}
	h.t.Fatalf("never %s: %+v", what, last)
	return nil
}

func (h *house) waits(version string) *releases.Release {
	h.t.Helper()
	return h.until(version+" waits for an approval", func(r *releases.Release) bool {
		return r.Version.String() == version && r.State == releases.Waiting
	})
}

// runs asks the far end itself what serves in an environment.
func (h *house) runs(env string) string {
	h.t.Helper()
	instances, err := h.deploy.Running(context.Background(), "ledger", env)
	if err != nil {
		h.t.Fatal(err)
	}
	if i, ok := deploy.Find(instances, deploy.Serving); ok {
		return i.Version.String()
	}
	return "nothing"
}

func (h *house) wantRuns(dev, preprod, prod string) {
	h.t.Helper()
	got := fmt.Sprintf("%s %s %s", h.runs("dev"), h.runs("preprod"), h.runs("prod"))
	if want := strings.Join([]string{dev, preprod, prod}, " "); got != want {
		h.t.Errorf("dev preprod prod run %s, want %s", got, want)
	}
}

func as(person string) context.Context {
	return nightporter.WithActor(context.Background(), nightporter.Actor{
		Kind: nightporter.Person, Name: person, Method: "test", Policies: []string{"root"},
	})
}

func (h *house) approve(r *releases.Release, person string) error {
	return h.app.Approve(as(person), r.ID, "looks good")
}

func (h *house) release(version string) {
	h.t.Helper()
	if err := h.approve(h.waits(version), "sam"); err != nil {
		h.t.Fatal(err)
	}
	h.until(version+" is healthy", func(r *releases.Release) bool { return r.Version.String() == version && r.State == releases.Healthy })
}

func prBy(author string, labels ...string) forgemem.PR {
	return forgemem.PR{Title: "a change", Author: author, Labels: labels}
}

// first is the first commit of a repository.
func (h *house) first(repo string) string {
	h.t.Helper()
	history, err := h.forge.History(context.Background(), repo, forge.Range{})
	if err != nil || len(history.Merges) == 0 {
		h.t.Fatalf("history of %s: %v", repo, err)
	}
	return history.Merges[0].Commit
}

func (h *house) ledger() []versions.Row {
	h.t.Helper()
	rows, err := h.app.Versions(context.Background(), nightporter.Repo{Forge: "hub", Name: "ledger"})
	if err != nil {
		h.t.Fatal(err)
	}
	return rows
}

func (h *house) newest() *releases.Release {
	h.t.Helper()
	return h.until("there is a release", func(*releases.Release) bool { return true })
}

// reload gives the house another configuration, as SIGHUP does.
func (h *house) reload(text string) {
	h.t.Helper()
	cfg, err := config.Parse([]byte(text), filepath.Join(h.dir, "nightporter.yaml"))
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.app.Reload(context.Background(), cfg); err != nil {
		h.t.Fatal(err)
	}
}

// audited says whether the register has an entry of an action whose detail holds
// a text.
func (h *house) audited(action, detail string) bool {
	h.t.Helper()
	entries, err := h.app.Register(context.Background(), audit.Filter{Limit: 1000})
	if err != nil {
		h.t.Fatal(err)
	}
	return slices.ContainsFunc(entries, func(e audit.Entry) bool {
		return e.Action == action && strings.Contains(string(e.Detail), detail)
	})
}
