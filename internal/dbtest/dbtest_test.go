package dbtest_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter/internal/dbtest"
)

// engines is each server under its name.
func engines() map[string]func(testing.TB) *dbtest.Server {
	return map[string]func(testing.TB) *dbtest.Server{
		"postgres": dbtest.Postgres,
		"mariadb":  dbtest.MariaDB,
	}
}

func TestServer(t *testing.T) {
	t.Parallel()
	for name, start := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)

			t.Run("gives each test a database of its own", func(t *testing.T) {
				a, b := s.Database(t), s.Database(t)
				s.Exec(t, a, "CREATE TABLE room (number INT)", "INSERT INTO room VALUES (12)")
				s.Exec(t, b, "CREATE TABLE room (number INT)")
				if diff := cmp.Diff([]string{"12"}, s.Column(t, a, "SELECT number FROM room")); diff != "" {
					t.Errorf("rooms of the first database (-want +got):\n%s", diff)
				}
				if rooms := s.Column(t, b, "SELECT number FROM room"); len(rooms) != 0 {
					t.Errorf("rooms of the second database: got %v, want none", rooms)
				}
			})
			t.Run("refuses a wrong password", func(t *testing.T) {
				if err := s.Login(s.User, "wrong", ""); err == nil {
					t.Error("a wrong password logged in")
				}
				if err := s.Login(s.User, "", ""); err == nil {
					t.Error("an empty password logged in")
				}
			})
			t.Run("is the same one for the whole test binary", func(t *testing.T) {
				if again := start(t); again != s {
					t.Errorf("got a second server at %s", again.Addr)
				}
			})
		})
	}
}

// TestServersEndWithTheirTestBinary kills a test binary with -9 and looks for
// what it leaves.
func TestServersEndWithTheirTestBinary(t *testing.T) {
	t.Parallel()
	dbtest.Postgres(t) // a loud skip where there is none
	dbtest.MariaDB(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self, "-test.run=^TestChildHoldsServers$", "-test.v")
	child.Env = append(os.Environ(), "DBTEST_CHILD=1", "NIGHTPORTER_TEST_POSTGRES=", "NIGHTPORTER_TEST_MARIADB=")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	said := readUntil(t, out, "holding")
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil {
		t.Error("the child was not killed")
	}
	gone := 0
	for _, line := range strings.Split(said, "\n") {
		engine, folder, found := strings.Cut(line, " runs in ")
		if !found {
			continue
		}
		engine = engine[strings.LastIndex(engine, " ")+1:]
		eventually(t, engine+" leaves no folder", func() bool {
			_, err := os.Stat(folder)
			return errors.Is(err, fs.ErrNotExist)
		})
		gone++
	}
	if gone != 2 {
		t.Errorf("looked at the folders of %d servers, want 2:\n%s", gone, said)
	}
}

func TestChildHoldsServers(t *testing.T) {
	if os.Getenv("DBTEST_CHILD") != "1" {
		t.Log("only does something as the child of TestServersEndWithTheirTestBinary")
		return
	}
	p := dbtest.Postgres(t)
	t.Logf("postgres runs in %s", strings.TrimSuffix(p.Column(t, "", "SHOW data_directory")[0], "/data"))
	m := dbtest.MariaDB(t)
	t.Logf("mariadb runs in %s", strings.TrimSuffix(m.Column(t, "", "SELECT @@datadir")[0], "/data/"))
	t.Log("holding")
	select {}
}

func readUntil(t *testing.T, r interface{ Read([]byte) (int, error) }, word string) string {
	t.Helper()
	var said strings.Builder
	b := make([]byte, 4096)
	for !strings.Contains(said.String(), word) {
		n, err := r.Read(b)
		said.Write(b[:n])
		if err != nil {
			t.Fatalf("the child ended early: %v\n%s", err, said.String())
		}
	}
	return said.String()
}

// eventually waits for another process, which gives no signal.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 1500 {
		if holds() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("not after 30 s: %s", what)
}

func BenchmarkDatabase(b *testing.B) {
	for name, start := range engines() {
		b.Run(name, func(b *testing.B) {
			s := start(b)
			for b.Loop() {
				s.Database(b)
			}
		})
	}
}
