package process_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"nightporter.dev/nightporter/provider/cloud"
	"nightporter.dev/nightporter/provider/cloud/cloudtest"
	"nightporter.dev/nightporter/provider/cloud/process"
)

// TestARealPostgresOverNight keeps the rows of a real server while it, and its
// folder, do not exist. The judges are psql, /proc and the inode of the folder.
func TestARealPostgresOverNight(t *testing.T) {
	t.Parallel()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		t.Skip("NOT TESTED: no PostgreSQL is installed under /usr/lib/postgresql")
	}
	bin := filepath.Dir(found[len(found)-1])
	cfg := process.Config{SameUser: process.Allowed}
	if os.Geteuid() == 0 { // PostgreSQL refuses to run as root
		if _, err := user.Lookup("postgres"); err != nil {
			t.Skip("NOT TESTED: we are root and there is no user postgres to run it as")
		}
		cfg = process.Config{RunAs: "postgres"}
	}
	// A folder that another user can reach.
	base, err := os.MkdirTemp("", "night-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: filepath.Join(base, "cloud"), db: freePort(t)}
	cfg.Dir = s.dir
	if s.provider, err = process.New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for pid := range s.alive("") {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		s.provider.Close()
	})
	dir := t.TempDir()
	text := fmt.Sprintf(`
components:
  - name: db
    kind: process
    prepare: [%[1]s/initdb, -D, "{data}/pg", -A, trust, --no-sync, -U, porter]
    command: [%[1]s/postgres, -D, "{data}/pg", -p, "{port}", -k, "{data}", -h, 127.0.0.1, -c, fsync=off]
    port: %[2]d
    ready: {command: [%[1]s/pg_isready, -h, 127.0.0.1, -p, "{port}"]}
    stop: INT
    grace: 20s
    keep: data
`, bin, s.db)
	if err := os.WriteFile(filepath.Join(dir, process.FileName), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code := cloud.Code{Commit: "a", Dir: dir}
	sql := func(query string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), filepath.Join(bin, "psql"), "-h", "127.0.0.1", "-p", fmt.Sprint(s.db), "-U", "porter", "-Atc", query, "postgres").CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v %s", query, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	up := func(key string) uint64 {
		t.Helper()
		if o := s.do(s.up, key, "db", code); o.State != cloud.Succeeded {
			t.Fatalf("%+v", o)
		}
		s.ready("db")
		info, err := os.Stat(filepath.Join(s.dir, "live/dev/data/db"))
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t).Ino
	}
	const hash = `SELECT md5(string_agg(n::text, ',' ORDER BY n)) FROM ledger`
	evening := up("up")
	sql(`CREATE TABLE ledger AS SELECT generate_series(1, 10000) AS n`)
	before, pids := sql(hash), s.alive("db")

	s.do(func(r cloud.Request) (cloud.Token, error) { return s.provider.Capture(t.Context(), r) }, "capture", "db", cloud.Code{})
	s.do(s.down, "down", "db", cloud.Code{})
	s.do(s.down, "rest", cloud.Rest, cloud.Code{})
	if left := s.alive(""); len(left) > 0 {
		t.Errorf("processes in the night: %v", left)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "live/dev")); !os.IsNotExist(err) {
		t.Errorf("a folder in the night: %v", err)
	}

	s.do(func(r cloud.Request) (cloud.Token, error) { return s.provider.Restore(t.Context(), r) }, "restore", "db", cloud.Code{})
	morning := up("again")
	if after := sql(hash); after != before {
		t.Errorf("the rows hash to %s, at dusk to %s", after, before)
	}
	if morning == evening {
		t.Log("the file system gave the same inode number again; the folder was gone in between all the same")
	}
	for pid := range s.alive("db") {
		if pids[pid] {
			t.Errorf("process %d lived through the night", pid)
		}
	}
}

// ready waits until a component is good.
func (s *site) ready(component string) {
	s.t.Helper()
	var p cloud.Probe
	cloudtest.Eventually(s.t.(*testing.T), component+" is good", func() bool {
		var err error
		if p, err = s.provider.Probe(s.t.Context(), dev, component); err != nil {
			s.t.Fatal(err)
		}
		return p.Good || p.Hopeless
	})
	if !p.Good {
		s.t.Fatalf("%s: %+v", component, p)
	}
}
