package console_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
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
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/internal/policy"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
	"nightporter.dev/nightporter/internal/telemetry"
	"nightporter.dev/nightporter/internal/vault"
	"nightporter.dev/nightporter/metrics/dashboards"
	cloudmem "nightporter.dev/nightporter/provider/cloud/mem"
	databasemem "nightporter.dev/nightporter/provider/database/mem"
	"nightporter.dev/nightporter/provider/deploy"
	deploymem "nightporter.dev/nightporter/provider/deploy/mem"
	"nightporter.dev/nightporter/provider/forge"
	forgemem "nightporter.dev/nightporter/provider/forge/mem"
	"nightporter.dev/nightporter/releases"
	"nightporter.dev/nightporter/repos"
	"nightporter.dev/nightporter/secrets"
	"nightporter.dev/nightporter/secrets/database"
	"nightporter.dev/nightporter/security"
	"nightporter.dev/nightporter/services"
	"nightporter.dev/nightporter/versions"
	"nightporter.dev/nightporter/web/console"
)

var migrations = slices.Concat(audit.Migrations, outbox.Migrations, lease.Migrations, identity.Migrations, run.Migrations, vault.Migrations,
	secrets.Migrations, database.Migrations, repos.Migrations, versions.Migrations, releases.Migrations, environments.Migrations, dashboards.Migrations, services.Migrations, security.Migrations)

// wholeHouse is everything behind the console, as the application puts it
// together: a real store, a real gate, the real capabilities, and a forge and a
// deploy target in memory.
type wholeHouse struct {
	*httptest.Server
	t          testing.TB
	console    *console.Console
	db         *store.DB
	gate       *gate.Gate
	identity   *identity.Identity
	catalog    *catalog.Catalog
	releases   *releases.Releases
	repos      *repos.Repos
	security   *security.Security
	forge      *forgemem.Forge
	deploy     *deploymem.Deployer
	engine     *database.Engine
	server     *databasemem.Server // what the mem:// databases are
	vault      *vault.Vault
	cloud      *cloudmem.Provider
	clock      *clock.Manual // of schedules
	envs       *environments.Environments
	dashboards *dashboards.Dashboards
	prices     environments.Prices
	standard   config.Repos // of repositories

	mu   sync.Mutex
	news chan struct{} // closed when something moved
	now  time.Time     // zero: the real time
}

const password = "a long enough password"

// smallWorld has two services of two teams, and people in every part.
func smallWorld() catalog.Snapshot {
	service := func(name, owner string) catalog.Service {
		return catalog.Service{
			Service:     nightporter.Service{Name: name, Repo: nightporter.Repo{Forge: "mem", Name: name}, Owner: owner},
			Description: "keeps the " + name, Runbook: "https://runbooks.acme.test/" + name,
			Deploy: catalog.Deploy{Kind: "mem", Run: []string{"./bin/" + name}}, Health: catalog.Health{HTTP: "/healthz", Within: 5 * time.Second},
		}
	}
	person := func(name string) catalog.Person {
		return catalog.Person{Name: name, Email: name + "@acme.test", Logins: map[string]string{"mem": name + "-gh"}}
	}
	return catalog.Snapshot{
		Forges:    []catalog.Forge{{Name: "mem", Kind: "mem", Organisation: "acme"}},
		People:    []catalog.Person{person("ana"), person("ben"), person("kim"), person("vic")},
		Teams:     []catalog.Team{{Name: "team-mail", Members: []string{"ben"}}, {Name: "team-payments", Members: []string{"ana", "ben"}}},
		Operators: []string{"kim"},
		Environments: []catalog.Environment{
			{Environment: nightporter.Environment{Name: "dev", Kind: nightporter.Development}},
			{
				Environment: nightporter.Environment{Name: "prod", Kind: nightporter.Production},
				Approval:    catalog.Approval{Count: 1, From: []string{catalog.Owner}, Author: catalog.Reviewed},
			},
		},
		Pipeline: [][]string{{"dev"}, {"prod"}},
		Services: []catalog.Service{service("ledger", "team-payments"), service("notifier", "team-mail")},
	}
}

// openHouse opens a house with a world.
func openHouse(t testing.TB, world catalog.Snapshot) *wholeHouse {
	t.Helper()
	return openWith(t, world, console.Config{}, releasesOnly)
}

// openWhole opens a house with a world, and with everything that pages are about.
func openWhole(t testing.TB, world catalog.Snapshot) *wholeHouse {
	t.Helper()
	return openWith(t, world, console.Config{}, everything)
}

// extent is how much is behind a console.
type extent int

const (
	releasesOnly extent = iota
	everything          // logins and environments too
)

// openDemo opens a house whose schedules go by a demo's clock.
func openDemo(t testing.TB) *wholeHouse {
	t.Helper()
	dusk := time.Date(2026, 11, 23, 20, 58, 0, 0, time.UTC)
	return openWith(t, smallWorld(), console.Config{
		Demo: true, Now: func() time.Time { return dusk },
		NextEvent: func() *console.NextEvent {
			return &console.NextEvent{Text: "dev goes dark", At: dusk.Add(2 * time.Minute)}
		},
	}, releasesOnly)
}

// openWith opens a house whose console has some settings of its own.
func openWith(t testing.TB, world catalog.Snapshot, cfg console.Config, much extent) *wholeHouse {
	t.Helper()
	h := &wholeHouse{t: t, catalog: &catalog.Catalog{}, db: storetest.SQLite(t, migrations), news: make(chan struct{})}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := h.catalog.Load(world)
	must(err)
	policies, err := policy.NewSet(policy.Config{})
	must(err)
	h.identity, err = identity.New(identity.Config{DB: h.db, Policies: policies, Catalog: h.catalog, Now: h.time})
	must(err)
	must(h.identity.LoadPolicies(t.Context()))
	bus := outbox.NewBus()
	var dispatcher *outbox.Dispatcher
	h.gate, err = gate.New(gate.Config{DB: h.db, Bus: bus, Decider: h.identity, Now: h.time, Committed: func() { dispatcher.Wake(); h.moved() }})
	must(err)
	h.identity.Bind(h.gate)
	dispatcher = outbox.NewDispatcher(outbox.DispatcherConfig{Bus: bus, DB: h.db, Gate: h.gate, Log: slog.New(slog.DiscardHandler)})
	engine, err := run.New(run.Config{Gate: h.gate, Fence: h.db.Fence(), Changed: func(string) { h.moved() }})
	must(err)
	h.forge, err = forgemem.New(forgemem.Config{})
	must(err)
	h.deploy, err = deploymem.New(deploymem.Config{})
	must(err)
	h.repos, err = repos.New(repos.Config{
		Gate: h.gate, Catalog: h.catalog, Forges: map[string]repos.Forge{"mem": h.forge}, Runs: engine, Pace: -1, Now: h.time,
		Standard: func() config.Repos {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.standard
		},
	})
	must(err)
	v, err := versions.New(versions.Config{Gate: h.gate, Forges: map[string]versions.Forge{"mem": h.forge}})
	must(err)
	h.releases, err = releases.New(releases.Config{
		Gate: h.gate, Runs: engine, Catalog: h.catalog, Deployers: map[string]deploy.Deployer{"mem": h.deploy},
		Forges: map[string]forge.Tagger{"mem": h.forge},
	})
	must(err)
	if much == everything {
		h.openSecrets(policies)
		h.openEnvironments(engine)
		h.openDashboards()
	}
	outbox.On(bus, "repos.drifted", func(context.Context, repos.Drifted) error { return nil })
	outbox.On(bus, "versions.cut", v.Cut)
	outbox.On(bus, "releases.record", h.releases.Record)
	outbox.On(bus, "releases.open", h.releases.Open)
	cfg.Gate, cfg.Catalog, cfg.Identity, cfg.Releases, cfg.RealNow, cfg.Version = h.gate, h.catalog, h.identity, h.releases, h.time, "0.0.0-test"
	errorWriters := map[string]httpapi.ErrorWriter{}
	var v1 []httpapi.Route
	if much == everything {
		h.security, err = security.New(security.Config{Gate: h.gate, Catalog: h.catalog, Now: h.time})
		must(err)
		cfg.Databases, cfg.Vault, cfg.Environments, cfg.Repos, cfg.Security = h.engine, h.vault, h.envs, h.repos, h.security
		cfg.Now = h.clock.Now
		cfg.Dashboards = h.dashboards
		errorWriters["/v1/"], v1 = h.vault.Errors(), slices.Concat(h.vault.Routes(), h.dashboards.Routes())
	}
	cfg.Refused = func() map[string]int64 { return map[string]int64{"mem": 2} }
	h.console, err = console.New(cfg)
	must(err)
	errorWriters["/"] = h.console.WriteError
	door, err := httpapi.New(httpapi.Config{
		Routes: slices.Concat(h.console.Routes(), h.releases.Routes(), v1), Authenticate: h.authenticate,
		Authorise: func(ctx context.Context, a nightporter.Action) error {
			_, resource := httpapi.ActionFrom(ctx)
			return h.gate.Authorise(ctx, a, resource)
		},
		Log: slog.New(slog.DiscardHandler), Metrics: telemetry.NewRegistry(), Idempotency: &httpapi.MemoryIdempotency{},
		Errors: errorWriters, RefusalsPerMinute: 10_000,
	})
	must(err)
	h.Server = httptest.NewUnstartedServer(nil)
	h.Config = httpapi.NewServer(httpapi.ServerConfig{Handler: door, Log: slog.New(slog.DiscardHandler)})
	h.Start()

	ctx, cancel := context.WithCancel(context.Background())
	var loops sync.WaitGroup
	loops.Go(func() { dispatcher.Run(ctx) })
	loops.Go(func() { engine.Run(ctx) })
	if much == everything {
		loops.Go(func() { h.engine.Run(ctx) })
		loops.Go(func() { h.envs.Run(ctx) })
	}
	t.Cleanup(func() {
		h.console.Close()
		h.CloseClientConnections()
		h.Close()
		cancel()
		loops.Wait()
		h.gate.Close()
		if h.engine != nil {
			if err := h.engine.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return h
}

func (h *wholeHouse) authenticate(r *http.Request) (nightporter.Actor, error) {
	token, method := httpapi.TokenOf(r), "token"
	if token == "" {
		token, method = console.TokenFromCookie(r), "session"
	}
	actor, _, err := h.identity.Authenticate(r.Context(), token, "")
	actor.Method = method
	return actor, err
}

// time is the real time, unless a test has set another.
func (h *wholeHouse) time() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.now.IsZero() {
		return time.Now().UTC()
	}
	return h.now
}

func (h *wholeHouse) setTime(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = now
}

// moved tells the open pages, and the test, that something changed.
func (h *wholeHouse) moved() {
	h.mu.Lock()
	close(h.news)
	h.news = make(chan struct{})
	c := h.console
	h.mu.Unlock()
	if c != nil {
		c.Notify()
	}
}

// until waits for a fact of the store.
func (h *wholeHouse) until(what string, fact func(ctx context.Context, tx *store.Tx) bool) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		h.mu.Lock()
		news := h.news
		h.mu.Unlock()
		holds := false
		if err := h.db.View(ctx, func(tx *store.Tx) error { holds = fact(ctx, tx); return nil }); err != nil {
			h.t.Fatalf("waiting until %s: %v", what, err)
		}
		if holds {
			return
		}
		select {
		case <-news:
		case <-ctx.Done():
			h.t.Fatalf("it never came so far that %s", what)
		}
	}
}

// merge merges a pull request of ana's, which ben has reviewed, and has the
// forge swept.
func (h *wholeHouse) merge(repo string, pr forgemem.PR) {
	h.t.Helper()
	if pr.Author == "" {
		pr.Author, pr.Reviewers = "ana-gh", []string{"ben-gh"}
	}
	h.forge.Merge(repo, pr)
	h.repos.Sweep(context.Background())
}

// releaseOf waits until the newest release of a service is in a state.
func (h *wholeHouse) releaseOf(service string, state releases.State) *releases.Release {
	h.t.Helper()
	var found *releases.Release
	h.until(service+" is "+string(state), func(ctx context.Context, tx *store.Tx) bool {
		list, err := releases.List(ctx, tx, releases.Filter{Service: service, Limit: 1})
		if err != nil {
			h.t.Fatal(err)
		}
		if len(list) == 0 || list[0].State != state {
			return false
		}
		found = list[0]
		return true
	})
	return found
}

// waitingLedger brings ledger as far as to wait for its approval: version 0.1.0
// is the first that the house sees.
func (h *wholeHouse) waitingLedger() *releases.Release {
	h.t.Helper()
	h.forge.AddRepo("ledger")
	h.forge.AddRepo("notifier")
	h.repos.Sweep(context.Background())
	h.merge("ledger", forgemem.PR{Title: "Post entries in one batch", Labels: []string{"minor"}})
	return h.releaseOf("ledger", releases.Waiting)
}

// token makes a program's token for somebody.
func (h *wholeHouse) token(kind nightporter.ActorKind, name string, policies ...string) string {
	h.t.Helper()
	token, _, err := h.identity.Open(context.Background(), identity.Spec{Kind: identity.Session, ActorKind: kind, Actor: name, Method: "test", Policies: policies})
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

// setPassword lets somebody sign in by name.
func (h *wholeHouse) setPassword(name string) {
	h.t.Helper()
	ctx := nightporter.WithActor(context.Background(), nightporter.SystemActor("test", ""))
	if err := h.identity.SetPassword(ctx, name, password, nil); err != nil {
		h.t.Fatal(err)
	}
}

// client is a browser without scripts.
type client struct {
	h *wholeHouse
	*http.Client
}

// stranger is a browser without a session. It does not follow redirects.
func (h *wholeHouse) stranger() *client {
	jar, _ := cookiejar.New(nil)
	return &client{h, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// as is the browser of somebody who is signed in.
func (h *wholeHouse) as(name string) *client {
	h.t.Helper()
	return h.holding(h.token(nightporter.Person, name))
}

func (h *wholeHouse) holding(token string) *client {
	c := h.stranger()
	u, _ := url.Parse(h.URL)
	c.Jar.SetCookies(u, []*http.Cookie{{Name: "nightporter", Value: token, Path: "/"}})
	return c
}

// answer is what came back.
type answer struct {
	*http.Response
	body string
}

func (c *client) send(r *http.Request, header ...string) answer {
	c.h.t.Helper()
	if r.Header.Get("Accept") == "" {
		r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		c.h.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.h.t.Fatal(err)
	}
	return answer{resp, string(b)}
}

func (c *client) get(path string, header ...string) answer {
	c.h.t.Helper()
	r, err := http.NewRequest("GET", c.h.URL+path, nil)
	if err != nil {
		c.h.t.Fatal(err)
	}
	return c.send(r, header...)
}

// post sends a form as a page of ours would.
func (c *client) post(path string, fields url.Values, header ...string) answer {
	c.h.t.Helper()
	r, err := http.NewRequest("POST", c.h.URL+path, strings.NewReader(fields.Encode()))
	if err != nil {
		c.h.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return c.send(r, header...)
}

// wants fails unless the answer has a status and holds the texts.
func (a answer) wants(t testing.TB, status int, texts ...string) {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s answered %d, want %d:\n%s", a.Request.Method, a.Request.URL.Path, a.StatusCode, status, visible(a.body))
	}
	page := visible(a.body)
	for _, text := range texts {
		if !strings.Contains(page, text) {
			t.Errorf("%s does not say %q:\n%s", a.Request.URL.Path, text, page)
		}
	}
}

// visible is a page's text, near enough, without its icons.
func visible(html string) string {
	if _, main, ok := strings.Cut(html, "<main"); ok {
		html = "<main" + main
	}
	var b strings.Builder
	inTag := false
	for _, r := range html {
		switch {
		case r == '<':
			inTag = true
		case r == '>':
			inTag = false
		case !inTag:
			b.WriteRune(r)
		}
	}
	return strings.NewReplacer("&#39;", "'", "&#34;", `"`, "&amp;", "&").Replace(strings.Join(strings.Fields(b.String()), " "))
}

func (a answer) goesTo(t testing.TB, path string) {
	t.Helper()
	if got := a.Header.Get("Location"); a.StatusCode != http.StatusSeeOther || got != path {
		t.Fatalf("%s %s answered %d to %q, want 303 to %q: %s", a.Request.Method, a.Request.URL.Path, a.StatusCode, got, path, visible(a.body))
	}
}

// field finds the value of a hidden field in the form with an id.
func (a answer) field(t testing.TB, form, name string) string {
	t.Helper()
	_, rest, ok := strings.Cut(a.body, fmt.Sprintf(`id="%s" method="post"`, form))
	if !ok {
		t.Fatalf("%s has no form %s: %s", a.Request.URL.Path, form, visible(a.body))
	}
	_, rest, _ = strings.Cut(rest, fmt.Sprintf(`name="%s" value="`, name))
	value, _, _ := strings.Cut(rest, `"`)
	return value
}
