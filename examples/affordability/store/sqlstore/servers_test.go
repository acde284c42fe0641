package sqlstore_test

import (
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// server is a real database server with an administrator's connection.
type server struct {
	kind  string
	url   string // without a user
	admin *sql.DB
}

// find looks for a server's program where distributions put it.
func find(names ...string) string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		for _, pattern := range []string{"/usr/lib/postgresql/*/bin/", "/usr/sbin/", "/usr/local/pgsql/bin/"} {
			if list, _ := filepath.Glob(pattern + name); len(list) > 0 {
				return list[len(list)-1]
			}
		}
	}
	return ""
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// as makes a command run as an ordinary user: neither server runs as root.
func as(t *testing.T, name, dir string, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		return cmd
	}
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			t.Fatal(err)
		}
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return cmd
}

// folder is outside of t.TempDir, whose parents an ordinary user may not enter.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sqlstore")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd.Path, err, out)
	}
}

func launch(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGQUIT); _ = cmd.Wait() })
}

func ready(t *testing.T, db *sql.DB) {
	t.Helper()
	var err error
	for range 300 {
		if err = db.Ping(); err == nil {
			return
		}
		pause(50 * time.Millisecond)
	}
	t.Fatalf("the server does not answer: %v", err)
}

func pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

func startPostgres(t *testing.T) *server {
	t.Helper()
	initdb, postgres := find("initdb"), find("postgres")
	if initdb == "" || postgres == "" {
		t.Skip("LOUD: no PostgreSQL on this machine, so nothing is proven about it here")
	}
	dir, port := folder(t), freePort(t)
	data := filepath.Join(dir, "data")
	pw := filepath.Join(dir, "pw")
	if err := os.WriteFile(pw, []byte("boss\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, as(t, "postgres", dir, exec.Command(initdb, "-D", data, "-U", "boss", "-A", "scram-sha-256", "--pwfile="+pw)))
	launch(t, as(t, "postgres", dir, exec.Command(postgres, "-D", data, "-p", strconv.Itoa(port), "-k", dir, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off")))
	db, err := sql.Open("postgres", fmt.Sprintf("postgres://boss:boss@127.0.0.1:%d/postgres?sslmode=disable", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	ready(t, db)
	for _, q := range []string{"CREATE ROLE keeper", "GRANT ALL ON SCHEMA public TO keeper"} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	return &server{"postgres", fmt.Sprintf("postgres://127.0.0.1:%d/postgres?sslmode=disable", port), db}
}

func startMariaDB(t *testing.T) *server {
	t.Helper()
	install, daemon := find("mariadb-install-db", "mysql_install_db"), find("mariadbd", "mysqld")
	if install == "" || daemon == "" {
		t.Skip("LOUD: no MariaDB on this machine, so nothing is proven about it here")
	}
	dir, port := folder(t), freePort(t)
	data, socket := filepath.Join(dir, "data"), filepath.Join(dir, "s")
	run(t, as(t, "mysql", dir, exec.Command(install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db")))
	launch(t, as(t, "mysql", dir, exec.Command(daemon, "--no-defaults", "--datadir="+data, "--socket="+socket, "--port="+strconv.Itoa(port), "--bind-address=127.0.0.1", "--pid-file="+filepath.Join(dir, "pid"), "--innodb-flush-log-at-trx-commit=0")))
	db, err := sql.Open("mysql", "root@unix("+socket+")/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	ready(t, db)
	if _, err := db.Exec("CREATE DATABASE afford"); err != nil {
		t.Fatal(err)
	}
	return &server{"mysql", fmt.Sprintf("mysql://127.0.0.1:%d/afford", port), db}
}

// grant makes a login for a while, as a platform would.
func (s *server) grant(t *testing.T, name string) {
	t.Helper()
	list := []string{fmt.Sprintf("CREATE USER '%s'@'%%' IDENTIFIED BY 'pw-%s'", name, name), fmt.Sprintf("GRANT ALL ON afford.* TO '%s'@'%%'", name)}
	if s.kind == "postgres" {
		list = []string{fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'pw-%s' IN ROLE keeper", name, name), fmt.Sprintf("ALTER ROLE %s SET role keeper", name)}
	}
	for _, q := range list {
		if _, err := s.admin.Exec(q); err != nil {
			t.Fatalf("%s: %v", strings.SplitN(q, " ", 3)[:2], err)
		}
	}
}

// revoke ends a login and every session of it, at once.
func (s *server) revoke(t *testing.T, name string) {
	t.Helper()
	if s.kind == "postgres" {
		for _, q := range []string{"ALTER ROLE " + name + " NOLOGIN", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '" + name + "'", "DROP ROLE " + name} {
			if _, err := s.admin.Exec(q); err != nil {
				t.Fatalf("revoking: %v", err)
			}
		}
		return
	}
	if _, err := s.admin.Exec("DROP USER '" + name + "'@'%'"); err != nil {
		t.Fatalf("revoking: %v", err)
	}
	if _, err := s.admin.Exec("KILL USER '" + name + "'@'%'"); err != nil && !strings.Contains(err.Error(), "1317") && !strings.Contains(err.Error(), "1133") {
		// MariaDB may know no sessions of a user that is gone: end them one by one.
		rows, err := s.admin.Query("SELECT id FROM information_schema.processlist WHERE user = '" + name + "'")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var id int
			if rows.Scan(&id) == nil {
				_, _ = s.admin.Exec("KILL " + strconv.Itoa(id)) // it may have ended by itself
			}
		}
	}
}
