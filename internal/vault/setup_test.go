package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/internal/policy"
	"nightporter.dev/nightporter/internal/seal"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
	"nightporter.dev/nightporter/internal/telemetry"
	"nightporter.dev/nightporter/internal/vault"
	"nightporter.dev/nightporter/secrets"
)

// house is a server with everything below the Vault API, and its clients' view.
type house struct {
	t        testing.TB
	db       *store.DB
	gate     *gate.Gate
	identity *identity.Identity
	policies *policy.Set
	seal     *seal.Sealer
	reaper   *lease.Reaper
	vault    *vault.Vault
	server   *httptest.Server
	clock    *clock
	keys     *memory
}

// openAgain is what a restart on the same store finds.
func openAgain(t testing.TB, h *house) *house {
	t.Helper()
	h.server.Close()
	h.gate.Close()
	return openWith(t, options{unsealed: true, db: h.db, keys: h.keys})
}

// clock is a time that tests move.
type clock struct {
	mu     sync.Mutex
	offset time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

// memory keeps the wrapped keys.
type memory struct {
	mu  sync.Mutex
	doc []byte
}

func (m *memory) Load(context.Context) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.doc, nil
}

func (m *memory) Save(_ context.Context, doc []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.doc = doc
	return nil
}

type options struct {
	db       *store.DB
	keys     *memory // of an earlier house on the same db
	unsealed bool
	http     *http.Client
	backends []vault.Backend
	people   []catalog.Person
	teams    []catalog.Team
	world    catalog.Snapshot // instead of people and teams
	revokers map[lease.Kind]lease.Revoker
}

var tables = slices.Concat(audit.Migrations, outbox.Migrations, lease.Migrations, identity.Migrations, vault.Migrations, secrets.Migrations)

// open starts a house on SQLite with the root token "root".
func open(t testing.TB) *house {
	return openWith(t, options{unsealed: true})
}

func openWith(t testing.TB, o options) *house {
	t.Helper()
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	h := &house{t: t, db: o.db, clock: &clock{}}
	if h.db == nil {
		h.db = storetest.SQLite(t, tables)
	}
	var err error
	h.policies, err = policy.NewSet(policy.Config{Now: h.clock.Now})
	must(err)
	cat := &catalog.Catalog{}
	if o.people != nil || o.teams != nil {
		o.world.People, o.world.Teams = o.people, o.teams
	}
	_, err = cat.Load(o.world)
	must(err)
	h.identity, err = identity.New(identity.Config{DB: h.db, Policies: h.policies, Catalog: cat, Now: h.clock.Now})
	must(err)
	must(h.identity.LoadPolicies(ctx))
	h.gate, err = gate.New(gate.Config{DB: h.db, Bus: outbox.NewBus(), Decider: h.identity, Now: h.clock.Now})
	must(err)
	t.Cleanup(h.gate.Close)
	h.identity.Bind(h.gate)
	h.keys = o.keys
	if h.keys == nil {
		h.keys = &memory{}
	}
	h.seal, err = seal.New(ctx, seal.Config{Storage: h.keys})
	must(err)
	key := bytes.Repeat([]byte{7}, 32)
	switch {
	case o.keys != nil:
		must(h.seal.Unseal(ctx, key))
	case o.unsealed:
		must(h.seal.Init(ctx, key))
	}
	h.reaper, err = lease.NewReaper(lease.ReaperConfig{Gate: h.gate, Ended: h.identity.Ended, Now: h.clock.Now, Revokers: o.revokers})
	must(err)
	run, stop := context.WithCancel(ctx)
	var loops sync.WaitGroup
	loops.Go(func() { h.reaper.Run(run) })
	t.Cleanup(func() { stop(); loops.Wait() })
	engines, err := secrets.Backends(secrets.Config{Seal: h.seal})
	must(err)
	h.vault, err = vault.New(ctx, vault.Config{
		DB: h.db, Gate: h.gate, Identity: h.identity, Policies: h.policies, Seal: h.seal, Leases: h.reaper,
		Backends: append(engines, o.backends...), HTTP: o.http, Now: h.clock.Now,
	})
	must(err)
	handler, err := httpapi.New(httpapi.Config{
		Routes: h.vault.Routes(), Errors: map[string]httpapi.ErrorWriter{"/v1/": h.vault.Errors()},
		Log: slog.New(slog.DiscardHandler), Metrics: telemetry.NewRegistry(), Sealed: h.seal.Sealed,
	})
	must(err)
	h.server = httptest.NewServer(handler)
	t.Cleanup(h.server.Close)
	if o.unsealed && o.keys == nil {
		_, _, err = h.identity.Open(ctx, identity.Spec{
			ActorKind: nightporter.Machine, Actor: "root", Method: "token", Policies: []string{"root"}, Path: "auth/token/create", TTL: -1, ID: "root",
		})
		must(err)
	}
	return h
}

// answer is what a request was answered.
type answer struct {
	Status int
	Header http.Header
	Raw    []byte
	Body   map[string]any
}

// at reads a member of the answer: at("auth", "client_token").
func (a answer) at(path ...string) any {
	var v any = a.Body
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	return v
}

func (a answer) text(path ...string) string {
	s, _ := a.at(path...).(string)
	return s
}

// errors are the texts of an error's answer, joined.
func (a answer) errors() string {
	list, _ := a.Body["errors"].([]any)
	var texts []string
	for _, e := range list {
		texts = append(texts, e.(string))
	}
	return strings.Join(texts, "; ")
}

// ask sends a request: path below /v1/, body nil, a text as it is, or anything
// as JSON.
func (h *house) ask(token, method, path string, body any, headers ...string) answer {
	h.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			h.t.Fatal(err)
		}
		r = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, h.server.URL+"/v1/"+path, r)
	if err != nil {
		h.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("X-Vault-Token", token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := h.server.Client().Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{Status: resp.StatusCode, Header: resp.Header}
	if a.Raw, err = io.ReadAll(resp.Body); err != nil {
		h.t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(a.Raw))
	d.UseNumber()
	_ = d.Decode(&a.Body) // nil where the answer is no object
	return a
}

// want sends a request and fails the test unless the status is as given.
func (h *house) want(status int, token, method, path string, body any, headers ...string) answer {
	h.t.Helper()
	a := h.ask(token, method, path, body, headers...)
	if a.Status != status {
		h.t.Fatalf("%s %s = %d %s, want %d", method, path, a.Status, a.Raw, status)
	}
	return a
}

// m is a body.
type m map[string]any

// token makes a token with policies, as root.
func (h *house) token(body m) string {
	h.t.Helper()
	return h.want(200, "root", "POST", "auth/token/create", body).text("auth", "client_token")
}

// policy writes a policy.
func (h *house) policy(name, text string) {
	h.t.Helper()
	h.want(204, "root", "PUT", "sys/policies/acl/"+name, m{"policy": text})
}
