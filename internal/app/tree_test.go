package app

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/dbtest"
	"nightporter.dev/nightporter/internal/identity"
)

// holders is a house with a real database, where ana, sam and a program have logins.
type holders struct {
	*App
	t *testing.T
}

func (h holders) ask(token, method, path, body string) (status int, answer string) {
	h.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:4711"
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Vault-Token", token)
	w := httptest.NewRecorder()
	h.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func (h holders) want(status int, token, method, path, body string) string {
	h.t.Helper()
	got, answer := h.ask(token, method, path, body)
	if got != status {
		h.t.Fatalf("%s %s: %d %s, want %d", method, path, got, answer, status)
	}
	return answer
}

// signIn makes a token of a person's, or of a program's.
func (h holders) signIn(kind nightporter.ActorKind, name string, policies ...string) string {
	h.t.Helper()
	token, _, err := h.identity.Open(h.t.Context(), identity.Spec{
		ActorKind: kind, Actor: name, Method: "test", Policies: policies, Path: "auth/test",
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

// owners are those of the logins in a tree, sorted.
func (h holders) owners(answer string) []string {
	h.t.Helper()
	var list struct {
		Items []struct{ Kind, Owner, Parent, Username string }
	}
	if err := json.Unmarshal([]byte(answer), &list); err != nil {
		h.t.Fatal(err)
	}
	out := []string{}
	for _, i := range list.Items {
		if i.Kind == "login" {
			out = append(out, i.Owner)
		}
	}
	slices.Sort(out)
	return out
}

func TestWhoSeesWhatOthersHold(t *testing.T) {
	t.Parallel()
	pg := dbtest.Postgres(t)
	name := pg.Database(t)
	admin := name + "_porter"
	pg.Exec(t, "", `CREATE ROLE `+admin+` LOGIN SUPERUSER PASSWORD 'Admin-1'`)
	t.Cleanup(func() { pg.Exec(t, "", `DROP ROLE IF EXISTS `+admin) })
	dir := t.TempDir()
	cfg, err := config.Parse([]byte("people: {ana: {}, sam: {}, guest: {}}\nteams: {payments: {members: [ana, sam]}}\n"), filepath.Join(dir, "nightporter.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.DataDir = config.Path(filepath.Join(dir, "data"))
	a, err := New(t.Context(), Options{
		Config: cfg, Log: slog.New(slog.DiscardHandler), Version: "test", Dev: true, StoreURL: "sqlite:" + filepath.Join(dir, "store", "nightporter.db"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	h := holders{a, t}
	root, err := h.RootToken(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	put := func(path string, body map[string]any) {
		t.Helper()
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		if status, answer := h.ask(root, http.MethodPost, "/v1/"+path, string(text)); status >= 300 {
			t.Fatalf("%s: %d %s", path, status, answer)
		}
	}
	put("database/config/db", map[string]any{
		"plugin_name": "postgresql-database-plugin", "connection_url": "postgresql://{{username}}:{{password}}@" + pg.Addr + "/" + name + "?sslmode=disable",
		"username": admin, "password": "Admin-1", "allowed_roles": "*",
	})
	put("database/roles/app", map[string]any{
		"db_name": "db", "default_ttl": "1h", "verify": false, "creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`,
	})
	put("sys/policies/acl/app", map[string]any{"policy": `path "database/creds/app" { capabilities = ["read"] }`})
	put("sys/policies/acl/see", map[string]any{"policy": `path "api/leases" { capabilities = ["read"] }`})

	ana, again := h.signIn(nightporter.Person, "ana", "app"), h.signIn(nightporter.Person, "ana", "app")
	sam := h.signIn(nightporter.Person, "sam", "app")
	// A program that somebody named like a person.
	ci := h.signIn(nightporter.Machine, "ana", "app")
	leases := map[string]string{}
	for who, token := range map[string]string{"ana": ana, "ana again": again, "sam": sam, "ci": ci} {
		var made struct {
			LeaseID string `json:"lease_id"`
			Data    struct{ Username string }
		}
		if err := json.Unmarshal([]byte(h.want(200, token, http.MethodGet, "/v1/database/creds/app", "")), &made); err != nil {
			t.Fatal(err)
		}
		leases[who] = made.LeaseID
		t.Cleanup(func() { pg.Exec(t, "", `DROP ROLE IF EXISTS "`+made.Data.Username+`"`) })
	}

	for _, tt := range []struct {
		who, token string
		path       string
		want       []string
	}{
		{"root sees everybody", root, "/api/leases/tree", []string{"ana", "ana", "ana", "sam"}},
		{"whoever may see leases sees everybody", h.signIn(nightporter.Machine, "monitor", "see"), "/api/leases/tree", []string{"ana", "ana", "ana", "sam"}},
		{"a person sees what they hold by all their tokens", again, "/api/leases/tree/own", []string{"ana", "ana"}},
		{"and nobody else's", sam, "/api/leases/tree/own", []string{"sam"}},
		{"a program sees its own", ci, "/api/leases/tree/own", []string{"ana"}},
		{"one who holds nothing sees nothing", h.signIn(nightporter.Person, "guest"), "/api/leases/tree/own", []string{}},
	} {
		if got := h.owners(h.want(200, tt.token, http.MethodGet, tt.path, "")); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.who, got, tt.want)
		}
	}
	h.want(403, ci, http.MethodGet, "/api/leases/tree", "")
	h.want(401, "npt_wrong", http.MethodGet, "/api/leases/tree/own", "")
	h.want(404, ana, http.MethodGet, "/api/leases/tree/own?of="+leases["sam"], "")
	h.want(200, ana, http.MethodGet, "/api/leases/tree/own?of="+leases["ana again"], "")
}
