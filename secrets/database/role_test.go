package database_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/store"
)

func TestRoleIsTriedWhenItIsWritten(t *testing.T) {
	t.Parallel()
	h, pg, admin := onPostgres(t, options{})
	for name, test := range map[string]struct {
		body   m
		status int
		says   string
	}{
		"a good one": {m{"creation_statements": creation}, 204, ""},
		"one with an error": {
			m{"creation_statements": `CREATE NONSENSE "{{name}}"`}, 200, "the role was tried and does not work: syntax error",
		},
		"one with an error, refused": {
			m{"creation_statements": `CREATE NONSENSE "{{name}}"`, "verify": true}, 400, "syntax error",
		},
		"one with an error, not tried": {
			m{"creation_statements": `CREATE NONSENSE "{{name}}" '{{password}}'`, "verify": false}, 204, "",
		},
		"one that cannot log in": {
			m{"creation_statements": `CREATE ROLE "{{name}}" PASSWORD '{{password}}'`}, 200, "its login was made and cannot log in",
		},
		"one that does not go away": {
			m{"creation_statements": creation, "revocation_statements": `SELECT 1`}, 200, "cannot be taken away cleanly",
		},
		"one with a direct grant": {
			m{"creation_statements": []string{creation, `GRANT CONNECT ON DATABASE postgres TO "{{name}}"`}}, 200, "some 2,400",
		},
		"one of a database that is not there": {
			m{"creation_statements": creation, "db_name": "nowhere"}, 200, `there is no database "nowhere" yet`,
		},
		"one whose default is too long": {
			m{"creation_statements": creation, "default_ttl": "3h", "max_ttl": "1h"}, 200, "default_ttl 3h is longer than the longest life, 1h",
		},
	} {
		body := m{"db_name": "db"}
		for k, v := range test.body {
			body[k] = v
		}
		a := h.ask("root", "POST", "database/roles/"+strings.ReplaceAll(name, " ", "-"), body)
		if a.Status != test.status || !strings.Contains(string(a.Raw), strings.ReplaceAll(test.says, `"`, `\"`)) {
			t.Errorf("%s: %d %s, want %d %q", name, a.Status, a.Raw, test.status, test.says)
		}
	}
	// What could not be taken away cleanly has no way in, and is still being tried.
	left := pg.Column(t, "", `SELECT rolname FROM pg_roles WHERE rolname LIKE $1`, prefixOf(admin)+"%")
	open := pg.Column(t, "", `SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname LIKE $1`, prefixOf(admin)+"%")
	if len(left) != 1 || len(open) != 0 {
		t.Errorf("left: %v, with a way in: %v", left, open)
	}
	pg.Exec(t, "", `DROP ROLE "`+left[0]+`"`)
	h.eventually("closed", func() bool { return h.count(`SELECT COUNT(*) FROM database_login`) == 0 })
}

func TestNamesOfAllKinds(t *testing.T) {
	t.Parallel()
	h, pg, _ := onPostgres(t, options{})
	h.want(204, "root", "POST", "database/config/db", m{"username_template": ""})
	for _, display := range []string{`a"b'c;--`, "ünïcödé", strings.Repeat("x", 300), "a\x00b", "{{name}}"} {
		token := h.token(m{"policies": []string{"root"}, "display_name": display})
		c := h.creds(token, "app")
		if err := pg.Login(c.username, c.password, ""); err != nil {
			t.Errorf("%q: %s: %v", display, c.username, err)
		}
		h.want(204, "root", "PUT", "sys/leases/revoke", m{"lease_id": c.lease})
		if left := pg.Column(t, "", `SELECT rolname FROM pg_roles WHERE rolname = $1`, c.username); len(left) > 0 {
			t.Errorf("%q: %v is left", display, left)
		}
	}
}

// A person's own login is read-only, lives an hour, and ends when they leave.
func TestPersonsOwnLogin(t *testing.T) {
	t.Parallel()
	var left atomic.Bool
	h, pg, _ := onPostgres(t, options{
		people: []catalog.Person{{Name: "ana"}},
		mayKeep: func(_ context.Context, person, _ string, a nightporter.Action) bool {
			return person != "ana" || a.Path != "database/login/db" || !left.Load()
		},
	})
	h.want(204, "root", "PUT", "sys/policies/acl/ledger", m{"policy": `path "database/login/db" { capabilities = ["read"] }`})
	token, _, err := h.ident.Open(context.Background(), identity.Spec{
		ActorKind: nightporter.Person, Actor: "ana", DisplayName: "ana", Method: "userpass", Policies: []string{"ledger"}, Path: "auth/userpass/login",
	})
	must(t, err)
	h.want(400, "root", "GET", "database/login/db", nil) // a machine
	a := h.want(200, token, "GET", "database/login/db", nil)
	name, password := a.text("data", "username"), a.text("data", "password")
	if a.at("lease_duration") != number("3600") {
		t.Errorf("it lives %v s", a.at("lease_duration"))
	}
	db, err := pg.Open(name, password, "")
	must(t, err)
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `SELECT count(*) FROM pg_class`); err != nil {
		t.Errorf("reading: %v", err)
	}
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE public.t (a int)`); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("writing: %v", err)
	}
	must(t, h.engine.Revisit(system()))
	if n := h.count(`SELECT COUNT(*) FROM lease WHERE kind = 'database' AND owner = 'ana' AND state = 'live'`); n != 1 {
		t.Errorf("%d logins of ana", n)
	}
	left.Store(true)
	must(t, h.engine.Revisit(system()))
	h.eventually("gone", func() bool {
		return len(pg.Column(t, "", `SELECT rolname FROM pg_roles WHERE rolname = $1`, name)) == 0
	})
	if err := db.PingContext(t.Context()); err == nil {
		t.Error("the session is still open")
	}
}

// syncBuffer is a log that tests read.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

// Credentials are nowhere but in the answer: not in the store's files, its log, the
// audit entries, our log or temporary files, also when something goes wrong.
func TestCredentialsAreWrittenNowhere(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", filepath.Join(dir, "tmp"))
	must(t, os.Mkdir(filepath.Join(dir, "tmp"), 0o700))
	db, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + filepath.Join(dir, "store.db"), Ephemeral: true})
	must(t, err)
	defer db.Close()
	must(t, db.Migrate(t.Context(), tables))
	log := &syncBuffer{}
	h, pg, admin := onPostgres(t, options{db: db, log: log})
	user := "stat_" + admin
	pg.Exec(t, "", `CREATE ROLE `+user+` LOGIN PASSWORD 'x'`)
	defer pg.Exec(t, "", `DROP ROLE `+user)
	h.want(204, "root", "POST", "database/static-roles/st", m{"db_name": "db", "username": user, "rotation_period": "1h"})
	secrets := []string{"Admin-1"}
	for range 3 {
		c := h.creds("root", "app")
		secrets = append(secrets, c.password)
		h.want(200, "root", "PUT", "sys/leases/renew", m{"lease_id": c.lease})
	}
	a, err := h.try("root", "GET", "database/creds/app", nil, "Idempotency-Key", "again", "X-Vault-Wrap-TTL", "60")
	must(t, err)
	opened := h.want(200, a.text("wrap_info", "token"), "PUT", "sys/wrapping/unwrap", nil)
	a, err = h.try("root", "GET", "database/creds/app", nil, "Idempotency-Key", "again")
	must(t, err)
	static := h.want(200, "root", "GET", "database/static-creds/st", nil)
	secrets = append(secrets, opened.text("data", "password"), a.text("data", "password"), static.text("data", "password"))
	// A statement that quotes the password in its error.
	h.role("bad", m{"creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' NONSENSE '{{password}}'`})
	h.want(500, "root", "GET", "database/creds/bad", nil)
	h.want(204, "root", "POST", "database/rotate-root/db", nil)
	for _, s := range secrets {
		if len(s) < 6 {
			t.Fatalf("the test looks for %q", s)
		}
	}

	look := func(where string, b []byte) {
		for _, s := range secrets {
			if bytes.Contains(b, []byte(s)) {
				t.Errorf("%s holds a password", where)
			}
		}
	}
	var files []string
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		look(path, b)
		files = append(files, filepath.Base(path))
		return err
	}))
	if !slices.Contains(files, "store.db-wal") {
		t.Errorf("the write-ahead log was not searched: %v", files)
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	look("the log", log.b.Bytes())
}
