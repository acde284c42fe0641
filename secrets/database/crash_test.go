package database_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"nightporter.dev/nightporter/internal/dbtest"
	"nightporter.dev/nightporter/internal/store"
)

// killPoints are where the process is killed, each under load.
var killPoints = []string{
	"issue:intended", "gate:before:login.make", "issue:made", "gate:after:login.make", "issue:live",
	"renew:before", "renew:done",
	"revoke:before", "revoke:done", "gate:before:login.gone", "gate:after:login.gone", "revoke:closed",
	"root:intended", "root:changed", "root:tried", "gate:before:database.rotation.done", "gate:after:database.rotation.done", "root:closed",
	"static:intended", "static:changed", "gate:before:static_role.rotated", "static:closed",
}

// keyFile keeps the wrapped keys of a process that is killed.
type keyFile string

func (f keyFile) Load(context.Context) ([]byte, error) {
	b, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

func (f keyFile) Save(_ context.Context, doc []byte) error {
	return os.WriteFile(string(f), doc, 0o600)
}

// After kill -9 at any point there is no login that the store does not know, no
// acknowledged lease is lost, and there is a way in. PostgreSQL's own catalogue
// judges.
func TestKilled(t *testing.T) {
	t.Parallel()
	for _, point := range killPoints {
		t.Run("on sqlite at "+point, func(t *testing.T) {
			t.Parallel()
			killed(t, "sqlite:"+filepath.Join(t.TempDir(), "store.db"), point)
		})
	}
	for _, point := range []string{"issue:intended", "issue:made", "revoke:done", "root:changed", "root:tried", "static:changed"} {
		t.Run("on postgres at "+point, func(t *testing.T) {
			t.Parallel()
			s := dbtest.Postgres(t)
			killed(t, s.DSN(s.Database(t)), point)
		})
	}
}

func killed(t *testing.T, url, point string) {
	pg := dbtest.Postgres(t)
	name := pg.Database(t)
	admin, static := "admin_"+name, "static_"+name
	pg.Exec(t, "", `CREATE ROLE `+admin+` LOGIN SUPERUSER PASSWORD 'Admin-1'`, `CREATE ROLE `+static+` LOGIN PASSWORD 'x'`)
	t.Cleanup(func() { pg.Exec(t, "", `DROP ROLE `+admin, `DROP ROLE `+static) })
	keys := keyFile(filepath.Join(t.TempDir(), "keys"))

	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledChild$", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), "DATABASE_CRASH_POINT="+point, "DATABASE_CRASH_STORE="+url, "DATABASE_CRASH_KEYS="+string(keys),
		"DATABASE_CRASH_ADDR="+pg.Addr, "DATABASE_CRASH_NAME="+name)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	acknowledged, told := map[string][2]string{}, []string{}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		switch {
		case len(f) == 4 && f[0] == "ISSUED":
			acknowledged[f[1]] = [2]string{f[2], f[3]}
		case len(f) == 2 && f[0] == "REVOKING":
			delete(acknowledged, f[1])
		default:
			told = append(told, lines.Text())
		}
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child was not killed at %s: %v\n%s", point, err, strings.Join(told, "\n"))
	}

	db, err := store.Open(t.Context(), store.Config{URL: url, Ephemeral: true})
	must(t, err)
	t.Cleanup(func() { db.Close() })
	h := open(t, options{db: db, keys: keys})
	h.eventually("recovered", func() bool {
		return h.count(`SELECT COUNT(*) FROM database_login WHERE state <> 'made'`)+
			h.count(`SELECT COUNT(*) FROM lease WHERE kind = 'database' AND state <> 'live'`)+
			h.count(`SELECT COUNT(*) FROM database_rotation`) == 0
	})
	var known []string
	must(t, db.View(t.Context(), func(tx *store.Tx) error {
		return tx.Each(t.Context(), `SELECT j.username FROM database_login j JOIN lease l ON l.id = j.lease WHERE l.state = 'live'`, nil, func(scan func(...any) error) error {
			var name string
			err := scan(&name)
			known = append(known, name)
			return err
		})
	}))
	slices.Sort(known)
	there := pg.Column(t, "", `SELECT rolname FROM pg_roles WHERE rolname LIKE $1 ORDER BY rolname COLLATE "C"`, prefixOf(admin)+"%")
	if !slices.Equal(known, there) {
		t.Errorf("pg_roles has\n%v\nand the store knows\n%v", there, known)
	}
	for lease, c := range acknowledged {
		if n := h.count(`SELECT COUNT(*) FROM lease WHERE id = ? AND state = 'live'`, lease); n != 1 {
			t.Errorf("the acknowledged lease %s is lost", lease)
		}
		if err := pg.Login(c[0], c[1], ""); err != nil {
			t.Errorf("%s does not log in any more: %v", c[0], err)
		}
	}
	h.creds("root", "app")
	// A static password that was being changed is right again after its repetition.
	h.want(204, "root", "POST", "database/rotate-role/st", nil)
	a := h.want(200, "root", "GET", "database/static-creds/st", nil)
	if err := pg.Login(a.text("data", "username"), a.text("data", "password"), ""); err != nil {
		t.Errorf("the static role does not log in: %v", err)
	}
	t.Logf("killed at %s with %d leases acknowledged", point, len(acknowledged))
}

// TestKilledChild is the process that is killed.
func TestKilledChild(t *testing.T) {
	point := os.Getenv("DATABASE_CRASH_POINT")
	if point == "" {
		return // it is a part of TestKilled
	}
	url, name := os.Getenv("DATABASE_CRASH_STORE"), os.Getenv("DATABASE_CRASH_NAME")
	db, err := store.Open(t.Context(), store.Config{URL: url, Ephemeral: true})
	must(t, err)
	must(t, db.Migrate(t.Context(), tables))
	var armed atomic.Bool
	var hits atomic.Int64
	nth := int64(4)
	if strings.Contains(point, "root") || strings.Contains(point, "rotat") || strings.Contains(point, "static") {
		nth = 2
	}
	h := open(t, options{db: db, keys: keyFile(os.Getenv("DATABASE_CRASH_KEYS")), first: true, fault: func(at string) {
		if armed.Load() && at == point && hits.Add(1) == nth {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}})
	h.want(204, "root", "POST", "database/config/db", m{
		"plugin_name": "postgresql-database-plugin", "username": "admin_" + name, "password": "Admin-1", "allowed_roles": "*",
		"connection_url":    "postgresql://{{username}}:{{password}}@" + os.Getenv("DATABASE_CRASH_ADDR") + "/" + name + "?sslmode=disable",
		"username_template": prefixOf("admin_"+name) + `-{{random 20}}`,
	})
	h.role("app", m{"creation_statements": creation})
	h.want(204, "root", "POST", "database/static-roles/st", m{"db_name": "db", "username": "static_" + name, "rotation_period": "1h"})
	armed.Store(true)
	var workers sync.WaitGroup
	for i := range 4 {
		workers.Go(func() {
			for n := i; ; n++ {
				a, err := h.try("root", "GET", "database/creds/app", nil)
				if err != nil || a.Status != 200 {
					fmt.Println("creds:", err, a.Status, string(a.Raw))
					continue
				}
				fmt.Printf("ISSUED %s %s %s\n", a.text("lease_id"), a.text("data", "username"), a.text("data", "password"))
				if a, err := h.try("root", "PUT", "sys/leases/renew", m{"lease_id": a.text("lease_id"), "increment": "2h"}); err != nil || a.Status != 200 {
					fmt.Println("renew:", err, a.Status, string(a.Raw))
				}
				if n%2 == 0 {
					fmt.Printf("REVOKING %s\n", a.text("lease_id"))
					_, _ = h.try("root", "PUT", "sys/leases/revoke", m{"lease_id": a.text("lease_id")})
				}
			}
		})
	}
	for {
		for _, path := range []string{"database/rotate-root/db", "database/rotate-role/st"} {
			if a, err := h.try("root", "POST", path, nil); err != nil || a.Status != 204 {
				fmt.Println(path, err, a.Status, string(a.Raw))
			}
		}
	}
}
