package database_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
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
	"nightporter.dev/nightporter/internal/dbtest"
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
	provider "nightporter.dev/nightporter/provider/database"
	"nightporter.dev/nightporter/provider/database/mem"
	"nightporter.dev/nightporter/provider/database/mysql"
	"nightporter.dev/nightporter/provider/database/postgres"
	"nightporter.dev/nightporter/secrets"
	"nightporter.dev/nightporter/secrets/database"
)

var tables = slices.Concat(audit.Migrations, outbox.Migrations, lease.Migrations, identity.Migrations, vault.Migrations, secrets.Migrations, database.Migrations)

// options say what house a test needs. The zero value is a house on SQLite whose
// databases are real.
type options struct {
	db      *store.DB
	keys    seal.Storage // of an earlier house on the same store
	first   bool         // keys are empty yet
	mem     *mem.Server
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	fault   func(string)
	binding func(string) database.Binding
	mayKeep func(context.Context, string, string, nightporter.Action) bool
	people  []catalog.Person
	limit   int
	log     io.Writer
	asleep  bool // nothing runs in the background
}

// house is a server with the database engine mounted at database/.
type house struct {
	testing.TB
	db     *store.DB
	gate   *gate.Gate
	ident  *identity.Identity
	reaper *lease.Reaper
	engine *database.Engine
	server *httptest.Server
	clock  *clock
	keys   seal.Storage
	stop   func()
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

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, o options) *house {
	t.Helper()
	ctx := context.Background()
	h := &house{TB: t, db: o.db, clock: &clock{}, keys: o.keys}
	if h.db == nil {
		h.db = storetest.SQLite(t, tables)
	}
	policies, err := policy.NewSet(policy.Config{Now: h.clock.Now})
	must(t, err)
	cat := &catalog.Catalog{}
	_, err = cat.Load(catalog.Snapshot{People: o.people})
	must(t, err)
	h.ident, err = identity.New(identity.Config{DB: h.db, Policies: policies, Catalog: cat, Now: h.clock.Now})
	must(t, err)
	must(t, h.ident.LoadPolicies(ctx))
	h.gate, err = gate.New(gate.Config{DB: h.db, Bus: outbox.NewBus(), Decider: h.ident, Now: h.clock.Now, Fault: o.fault})
	must(t, err)
	h.ident.Bind(h.gate)
	fresh := h.keys == nil || o.first
	if h.keys == nil {
		h.keys = &memory{}
	}
	sealer, err := seal.New(ctx, seal.Config{Storage: h.keys})
	must(t, err)
	if key := bytes.Repeat([]byte{7}, 32); fresh {
		must(t, sealer.Init(ctx, key))
	} else {
		must(t, sealer.Unseal(ctx, key))
	}
	log := slog.New(slog.DiscardHandler)
	if o.log != nil {
		log = slog.New(slog.NewJSONHandler(o.log, nil))
	}
	var v *vault.Vault
	h.engine, err = database.New(database.Config{
		PasswordPolicy: func(ctx context.Context, name string) (string, error) { return v.GeneratePassword(ctx, name) },
		Gate:           h.gate, Seal: sealer, Fence: h.db.Fence(), Plugins: plugins(o.mem), Dial: o.dial, Binding: o.binding, MayKeep: o.mayKeep,
		MaxLogins: o.limit, Log: log, Now: h.clock.Now, Fault: o.fault,
	})
	must(t, err)
	h.reaper, err = lease.NewReaper(lease.ReaperConfig{
		Gate: h.gate, Ended: h.ident.Ended, Now: h.clock.Now, Log: log, Revokers: map[lease.Kind]lease.Revoker{database.Kind: h.engine},
	})
	must(t, err)
	engines, err := secrets.Backends(secrets.Config{Seal: sealer})
	must(t, err)
	v, err = vault.New(ctx, vault.Config{
		DB: h.db, Gate: h.gate, Identity: h.ident, Policies: policies, Seal: sealer, Leases: h.reaper,
		Backends: append(engines, h.engine.Backend()), Now: h.clock.Now, Log: log,
	})
	must(t, err)
	handler, err := httpapi.New(httpapi.Config{
		Routes: v.Routes(), Errors: map[string]httpapi.ErrorWriter{"/v1/": v.Errors()}, Log: log, Metrics: telemetry.NewRegistry(), Sealed: sealer.Sealed,
	})
	must(t, err)
	h.server = httptest.NewServer(handler)
	if fresh {
		_, _, err = h.ident.Open(ctx, identity.Spec{
			ActorKind: nightporter.Machine, Actor: "root", Method: "token", Policies: []string{"root"}, Path: "auth/token/create", TTL: -1, ID: "root",
		})
		must(t, err)
		must(t, v.Enable(nightporter.WithActor(ctx, nightporter.SystemActor("test", "")), vault.Mount{Path: "database/", Type: "database"}))
	}
	run, cancel := context.WithCancel(ctx)
	var loops sync.WaitGroup
	if !o.asleep {
		loops.Go(func() { h.reaper.Run(run) })
		loops.Go(func() { h.engine.Run(run) })
	}
	h.stop = sync.OnceFunc(func() {
		h.server.Close()
		cancel()
		loops.Wait()
		h.gate.Close()
		must(t, h.engine.Close())
	})
	t.Cleanup(h.stop)
	return h
}

// again is a restart on the same store.
func (h *house) again(o options) *house {
	h.Helper()
	h.stop()
	o.db, o.keys = h.db, h.keys
	return open(h.TB, o)
}

func plugins(server *mem.Server) map[string]database.Opener {
	if server != nil {
		inMemory := func(c provider.Config) (provider.Database, error) { return server.Open(c) }
		return map[string]database.Opener{provider.PluginPostgreSQL: inMemory, provider.PluginMySQL: inMemory}
	}
	return map[string]database.Opener{
		provider.PluginPostgreSQL: func(c provider.Config) (provider.Database, error) { return postgres.Open(c) },
		provider.PluginMySQL:      func(c provider.Config) (provider.Database, error) { return mysql.Open(c) },
	}
}

// The statements of Vault's tutorial.
const (
	creation      = `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';`
	mysqlCreation = `CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; GRANT USAGE ON *.* TO '{{name}}'@'%';`
)

// inMemory is a house with a database in memory, configured as "db" with role
// "app".
func inMemory(t testing.TB, o options) (*house, *mem.Server) {
	t.Helper()
	server, err := mem.NewServer(mem.Config{Username: "admin", Password: "Admin-1"})
	must(t, err)
	o.mem = server
	h := open(t, o)
	h.want(204, "root", "POST", "database/config/db", m{
		"plugin_name": provider.PluginPostgreSQL, "connection_url": "mem://", "username": "admin", "password": "Admin-1", "allowed_roles": "*",
	})
	h.role("app", m{"creation_statements": creation})
	return h, server
}

// onPostgres is a house with a real PostgreSQL, with an administrator of its own,
// so that tests can share the server.
func onPostgres(t testing.TB, o options) (*house, *dbtest.Server, string) {
	t.Helper()
	s := dbtest.Postgres(t)
	h := open(t, o)
	return h, s, h.postgres(s, m{})
}

// postgres configures "db" with role "app" and returns the administrator's name.
func (h *house) postgres(s *dbtest.Server, more m) string {
	h.Helper()
	name := s.Database(h.TB)
	admin := "admin_" + name
	s.Exec(h.TB, "", `CREATE ROLE `+admin+` LOGIN SUPERUSER PASSWORD 'Admin-1'`)
	h.Cleanup(func() { s.Exec(h.TB, "", `DROP ROLE IF EXISTS `+admin) })
	body := m{
		"plugin_name": provider.PluginPostgreSQL, "connection_url": "postgresql://{{username}}:{{password}}@" + s.Addr + "/" + name + "?sslmode=disable",
		"username": admin, "password": "Admin-1", "allowed_roles": "*",
		"username_template": prefixOf(admin) + `-{{random 20}}`,
	}
	for k, v := range more {
		body[k] = v
	}
	h.want(204, "root", "POST", "database/config/db", body)
	h.role("app", m{"creation_statements": creation})
	return admin
}

// prefixOf begins the names of a test's logins on a server that tests share.
func prefixOf(admin string) string { return "t" + strings.TrimPrefix(admin, "admin_dbtest_") }

// role writes a role of "db" without a trial.
func (h *house) role(name string, body m) {
	h.Helper()
	all := m{"db_name": "db", "default_ttl": "1h", "max_ttl": "24h", "verify": false}
	for k, v := range body {
		all[k] = v
	}
	if a := h.ask("root", "POST", "database/roles/"+name, all); a.Status != 204 && a.Status != 200 {
		h.Fatalf("write role %s: %d %s", name, a.Status, a.Raw)
	}
}

// creds are issued credentials.
type creds struct{ lease, username, password string }

func (h *house) creds(token, role string) creds {
	h.Helper()
	a := h.want(200, token, "GET", "database/creds/"+role, nil)
	return creds{a.text("lease_id"), a.text("data", "username"), a.text("data", "password")}
}

// eventually waits until a thing is true, and fails after a minute.
func (h *house) eventually(what string, is func() bool) {
	h.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			h.Fatalf("after a minute: not %s", what)
		}
	}
}

// count counts rows of the store.
func (h *house) count(query string, args ...any) (n int) {
	h.Helper()
	must(h.TB, h.db.View(context.Background(), func(tx *store.Tx) error {
		return tx.QueryRow(context.Background(), query, args...).Scan(&n)
	}))
	return n
}

func system() context.Context {
	return nightporter.WithActor(context.Background(), nightporter.SystemActor("test", ""))
}

// answer is what a request was answered.
type answer struct {
	Status int
	Header http.Header
	Raw    []byte
	Body   map[string]any
}

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

// warnings are joined.
func (a answer) warnings() string {
	list, _ := a.Body["warnings"].([]any)
	var texts []string
	for _, w := range list {
		texts = append(texts, w.(string))
	}
	return strings.Join(texts, "; ")
}

// m is a body.
type m map[string]any

// ask sends a request: path below /v1/, body nil, a text as it is, or anything as
// JSON.
func (h *house) ask(token, method, path string, body any) answer {
	h.Helper()
	a, err := h.try(token, method, path, body)
	must(h.TB, err)
	return a
}

func (h *house) try(token, method, path string, body any, headers ...string) (a answer, err error) {
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return a, err
		}
		r = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, h.server.URL+"/v1/"+path, r)
	if err != nil {
		return a, err
	}
	if token != "" {
		req.Header.Set("X-Vault-Token", token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := h.server.Client().Do(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	a = answer{Status: resp.StatusCode, Header: resp.Header}
	if a.Raw, err = io.ReadAll(resp.Body); err != nil {
		return a, err
	}
	d := json.NewDecoder(bytes.NewReader(a.Raw))
	d.UseNumber()
	_ = d.Decode(&a.Body) // nil where the answer is no object
	return a, nil
}

// want sends a request and fails the test unless the status is as given.
func (h *house) want(status int, token, method, path string, body any) answer {
	h.Helper()
	a := h.ask(token, method, path, body)
	if a.Status != status {
		h.Fatalf("%s %s = %d %s, want %d", method, path, a.Status, a.Raw, status)
	}
	return a
}

// token makes a token with policies, as root.
func (h *house) token(body m) string {
	h.Helper()
	return h.want(200, "root", "POST", "auth/token/create", body).text("auth", "client_token")
}

// number is a number of an answer.
func number(text string) json.Number { return json.Number(text) }
