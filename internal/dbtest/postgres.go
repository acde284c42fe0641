package dbtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

var (
	fastPostgres = sync.OnceValues(func() (*Server, error) {
		if dsn := os.Getenv("NIGHTPORTER_TEST_POSTGRES"); dsn != "" {
			return namedPostgres(dsn)
		}
		return retryBusy(func() (*Server, error) {
			return startPostgres("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off",
				"-c", "shared_buffers=32MB", "-c", "max_connections=300")
		})
	})
	durablePostgres = sync.OnceValues(func() (*Server, error) {
		return retryBusy(func() (*Server, error) { return startPostgres() })
	})
)

// Postgres returns the PostgreSQL server of this test binary, started by the
// first test that asks.
func Postgres(t testing.TB) *Server {
	t.Helper()
	s, err := fastPostgres()
	if err != nil {
		missing(t, PostgreSQL, err)
	}
	return s
}

// DurablePostgres returns a PostgreSQL server with its installed settings: it
// syncs every commit to disk. For benchmarks.
func DurablePostgres(t testing.TB) *Server {
	t.Helper()
	s, err := durablePostgres()
	if err != nil {
		missing(t, PostgreSQL, err)
	}
	return s
}

// StartPostgres starts a PostgreSQL server for whoever is no test: the demo. It
// ends with [Server.Close], or with the process.
func StartPostgres() (*Server, error) {
	return retryBusy(func() (*Server, error) {
		return startPostgres("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off",
			"-c", "shared_buffers=32MB", "-c", "max_connections=100")
	})
}

func namedPostgres(dsn string) (*Server, error) {
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("NIGHTPORTER_TEST_POSTGRES: %w", err)
	}
	return &Server{
		Engine:   PostgreSQL,
		Addr:     fmt.Sprintf("%s:%d", c.Host, c.Port),
		User:     c.User,
		Password: c.Password,
	}, nil
}

func startPostgres(settings ...string) (*Server, error) {
	bin, err := postgresFolder()
	if err != nil {
		return nil, err
	}
	home, err := newFolder("postgres", "postgres")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &Server{Engine: PostgreSQL, Addr: "127.0.0.1:" + port, User: "postgres", Password: randomHex(12)}
	if err := home.write("password", []byte(s.Password+"\n")); err != nil {
		return nil, err
	}
	if s.CA, err = home.writeCertificate(); err != nil {
		return nil, err
	}
	if err := home.run(filepath.Join(bin, "initdb"), "--pgdata="+home.file("data"), "--username="+s.User,
		"--pwfile="+home.file("password"), "--auth=scram-sha-256", "--no-sync", "--no-instructions",
		"--locale=C", "--encoding=UTF8"); err != nil {
		return nil, err
	}
	args := append([]string{
		"-D", home.file("data"), "-p", port, "-h", "127.0.0.1", "-k", home.path,
		"-c", "ssl=on", "-c", "ssl_cert_file=" + home.file(certificateFile), "-c", "ssl_key_file=" + home.file(keyFile),
	}, settings...)
	// QUIT is PostgreSQL's immediate shutdown: it takes its children and its
	// shared memory with it.
	s.home = home.path
	if s.leash, err = home.serve("QUIT", filepath.Join(bin, "postgres"), args...); err != nil {
		return nil, err
	}
	if err := home.ready(func() error { return s.Login(s.User, s.Password, "") }, "could not create any TCP/IP sockets"); err != nil {
		return nil, errors.Join(err, s.leash.Close())
	}
	return s, nil
}

// postgresFolder finds the newest installed server. Debian keeps them out of
// PATH, one folder a version.
func postgresFolder() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", errors.New("initdb is neither in PATH nor in /usr/lib/postgresql/*/bin")
	}
	return filepath.Dir(slices.Max(found)), nil
}
