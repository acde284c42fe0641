package dbtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
)

var (
	fastMariaDB = sync.OnceValues(func() (*Server, error) {
		if dsn := os.Getenv("NIGHTPORTER_TEST_MARIADB"); dsn != "" {
			return namedMariaDB(dsn)
		}
		return retryBusy(func() (*Server, error) {
			return startMariaDB("--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync", "--sync-binlog=0",
				"--innodb-buffer-pool-size=16M", "--max-connections=300")
		})
	})
	durableMariaDB = sync.OnceValues(func() (*Server, error) {
		return retryBusy(func() (*Server, error) { return startMariaDB() })
	})
)

// MariaDB returns the MariaDB server of this test binary, started by the first
// test that asks. It speaks MySQL's protocol.
func MariaDB(t testing.TB) *Server {
	t.Helper()
	s, err := fastMariaDB()
	if err != nil {
		missing(t, MariaDBEngine, err)
	}
	return s
}

// DurableMariaDB returns a MariaDB server with its installed settings. For
// benchmarks.
func DurableMariaDB(t testing.TB) *Server {
	t.Helper()
	s, err := durableMariaDB()
	if err != nil {
		missing(t, MariaDBEngine, err)
	}
	return s
}

func namedMariaDB(dsn string) (*Server, error) {
	c, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("NIGHTPORTER_TEST_MARIADB: %w", err)
	}
	return &Server{Engine: MariaDBEngine, Addr: c.Addr, User: c.User, Password: c.Passwd}, nil
}

func startMariaDB(settings ...string) (*Server, error) {
	daemon, err := firstProgram("mariadbd", "/usr/sbin/mariadbd", "mysqld", "/usr/sbin/mysqld")
	if err != nil {
		return nil, err
	}
	install, err := firstProgram("mariadb-install-db", "mysql_install_db")
	if err != nil {
		return nil, err
	}
	home, err := newFolder("mariadb", "mysql")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &Server{Engine: MariaDBEngine, Addr: "127.0.0.1:" + port, User: "admin", Password: randomHex(12)}
	// Anonymous users would catch logins that should be refused.
	first := fmt.Sprintf("DELETE FROM mysql.global_priv WHERE User = '';\nFLUSH PRIVILEGES;\n"+
		"CREATE USER '%s'@'%%' IDENTIFIED BY '%s';\nGRANT ALL PRIVILEGES ON *.* TO '%s'@'%%' WITH GRANT OPTION;\n",
		s.User, s.Password, s.User)
	if err := home.write("first.sql", []byte(first)); err != nil {
		return nil, err
	}
	if s.CA, err = home.writeCertificate(); err != nil {
		return nil, err
	}
	if err := home.run(install, "--no-defaults", "--datadir="+home.file("data"), "--skip-test-db",
		"--auth-root-authentication-method=normal", "--skip-name-resolve"); err != nil {
		return nil, err
	}
	args := append([]string{
		"--no-defaults", "--datadir=" + home.file("data"), "--port=" + port, "--bind-address=127.0.0.1",
		"--socket=" + home.file("socket"), "--pid-file=" + home.file("pid"), "--init-file=" + home.file("first.sql"),
		"--ssl-ca=" + home.file(caFile), "--ssl-cert=" + home.file(certificateFile), "--ssl-key=" + home.file(keyFile),
		"--skip-name-resolve", "--performance-schema=off",
	}, settings...)
	if s.leash, err = home.serve("KILL", daemon, args...); err != nil {
		return nil, err
	}
	if err := home.ready(func() error { return s.Login(s.User, s.Password, "") }, "Can't start server"); err != nil {
		return nil, errors.Join(err, s.leash.Close())
	}
	return s, nil
}

func firstProgram(names ...string) (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("none of %v is installed", names)
}
