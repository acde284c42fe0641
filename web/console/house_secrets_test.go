package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/policy"
	"nightporter.dev/nightporter/internal/seal"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/vault"
	provider "nightporter.dev/nightporter/provider/database"
	databasemem "nightporter.dev/nightporter/provider/database/mem"
	"nightporter.dev/nightporter/provider/database/mysql"
	"nightporter.dev/nightporter/provider/database/postgres"
	"nightporter.dev/nightporter/secrets"
	"nightporter.dev/nightporter/secrets/database"
)

// memory keeps the wrapped keys of a house.
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

// openSecrets puts the engine of logins behind Vault's API, mounted at database/.
// An address "mem://" is a database in memory, any other a real one. dev's are
// called database/…-dev.
func (h *wholeHouse) openSecrets(policies *policy.Set) {
	h.t.Helper()
	must := func(err error) {
		h.t.Helper()
		if err != nil {
			h.t.Fatal(err)
		}
	}
	ctx := context.Background()
	sealer, err := seal.New(ctx, seal.Config{Storage: &memory{}})
	must(err)
	must(sealer.Init(ctx, bytes.Repeat([]byte{7}, 32)))
	h.server, err = databasemem.NewServer(databasemem.Config{Username: "admin", Password: "Admin-1", Groups: []string{"pg_read_all_data"}})
	must(err)
	open := func(c provider.Config) (provider.Database, error) {
		switch {
		case c.ConnectionURL == "mem://":
			return h.server.Open(c)
		case c.Plugin == provider.PluginPostgreSQL:
			return postgres.Open(c)
		}
		return mysql.Open(c)
	}
	h.engine, err = database.New(database.Config{
		Gate: h.gate, Seal: sealer, Fence: h.db.Fence(), Now: h.time, Changed: h.moved,
		Plugins: map[string]database.Opener{provider.PluginPostgreSQL: open, provider.PluginMySQL: open},
		Binding: func(name string) database.Binding {
			if strings.HasSuffix(name, "-dev") {
				return database.Binding{Environment: "dev"}
			}
			return database.Binding{}
		},
	})
	must(err)
	reaper, err := lease.NewReaper(lease.ReaperConfig{
		Gate: h.gate, Ended: h.identity.Ended, Now: h.time, Revokers: map[lease.Kind]lease.Revoker{database.Kind: h.engine},
	})
	must(err)
	engines, err := secrets.Backends(secrets.Config{Seal: sealer})
	must(err)
	h.vault, err = vault.New(ctx, vault.Config{
		DB: h.db, Gate: h.gate, Identity: h.identity, Policies: policies, Seal: sealer, Leases: reaper,
		Backends: append(engines, h.engine.Backend()), Now: h.time,
	})
	must(err)
	must(h.vault.Enable(nightporter.WithActor(ctx, nightporter.SystemActor("init", "")), vault.Mount{Path: "database/", Type: "database"}))
}

// v1 asks Vault's API, and fails unless the answer is good.
func (h *wholeHouse) v1(token, method, path string, body map[string]any) map[string]any {
	h.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		h.t.Fatal(err)
	}
	r, err := http.NewRequest(method, h.URL+"/v1/"+path, bytes.NewReader(text))
	if err != nil {
		h.t.Fatal(err)
	}
	a := h.stranger().send(r, "X-Vault-Token", token, "Accept", "application/json")
	if a.StatusCode >= 300 {
		h.t.Fatalf("%s %s answered %d: %s", method, path, a.StatusCode, a.body)
	}
	var out map[string]any
	_ = json.Unmarshal([]byte(a.body), &out) // 204 has none
	return out
}

const createRole = `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';`

// root is a token that may do everything.
func (h *wholeHouse) root() string { return h.token(nightporter.Machine, "root", policy.RootName) }

// memDatabase configures a database in memory, with the role "app".
func (h *wholeHouse) memDatabase(name string) {
	h.t.Helper()
	root := h.root()
	h.v1(root, "POST", "database/config/"+name, map[string]any{
		"plugin_name": provider.PluginPostgreSQL, "connection_url": "mem://", "username": "admin", "password": "Admin-1", "allowed_roles": "*",
	})
	h.v1(root, "POST", "database/roles/app-"+name, map[string]any{
		"db_name": name, "creation_statements": createRole, "default_ttl": "1h", "max_ttl": "24h", "verify": false,
	})
}

// held is a login that somebody got.
type held struct{ lease, username, password string }

// take gets a login of a role.
func (h *wholeHouse) take(token, path string) held {
	h.t.Helper()
	out := h.v1(token, "GET", path, nil)
	data, _ := out["data"].(map[string]any)
	text := func(v any) string { return fmt.Sprint(v) }
	return held{text(out["lease_id"]), text(data["username"]), text(data["password"])}
}

// policy writes a policy.
func (h *wholeHouse) policy(t testing.TB, name, text string) {
	t.Helper()
	ctx := nightporter.WithActor(context.Background(), nightporter.Actor{Kind: nightporter.Machine, Name: "root", Policies: []string{policy.RootName}})
	if err := h.identity.PutPolicy(ctx, name, text); err != nil {
		t.Fatal(err)
	}
}

// everyTable lists the tables of the store.
func (h *wholeHouse) everyTable(t testing.TB) (names []string) {
	t.Helper()
	ctx := context.Background()
	err := h.db.View(ctx, func(tx *store.Tx) error {
		return tx.Each(ctx, `SELECT name FROM sqlite_master WHERE type = 'table'`, nil, func(scan func(...any) error) error {
			var name string
			err := scan(&name)
			names = append(names, name)
			return err
		})
	})
	if err != nil || len(names) < 10 {
		t.Fatalf("the store has tables %v: %v", names, err)
	}
	return names
}

// textOf is everything that a table holds, as text.
func (h *wholeHouse) textOf(t testing.TB, table string) string {
	t.Helper()
	ctx := context.Background()
	var columns, all []string
	err := h.db.View(ctx, func(tx *store.Tx) error {
		err := tx.Each(ctx, `SELECT name FROM pragma_table_info(?)`, []any{table}, func(scan func(...any) error) error {
			var name string
			err := scan(&name)
			columns = append(columns, "COALESCE(CAST("+name+" AS TEXT), '')")
			return err
		})
		if err != nil {
			return err
		}
		return tx.Each(ctx, `SELECT `+strings.Join(columns, ` || ' ' || `)+` FROM `+table, nil, func(scan func(...any) error) error {
			var text string
			err := scan(&text)
			all = append(all, text)
			return err
		})
	})
	if err != nil {
		t.Fatalf("read %s: %v", table, err)
	}
	return strings.Join(all, "\n")
}

// pgSession is a connection that somebody has open.
type pgSession struct {
	conn *pgx.Conn
}

func openSession(t testing.TB, dsn string) pgSession {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return pgSession{conn}
}

func (s pgSession) alive() bool { return s.conn.Ping(context.Background()) == nil }
