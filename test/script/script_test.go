package script_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"nightporter.dev/nightporter/internal/dbtest"
)

var update = flag.Bool("update", false, "write what the pages show anew")

// binary is the folder of the nightporter that everything here runs.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "nightporter-script-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-tags", "nokube", "-ldflags", "-X main.version=0.1.0", "-o", filepath.Join(dir, "nightporter"),
		"nightporter.dev/nightporter/cmd/nightporter")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build nightporter: %v\n%s", err, out)
		return 1
	}
	binary = dir
	return m.Run()
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", Setup: setUp, Cmds: commands(), RequireExplicitExec: true, RequireUniqueNames: true, UpdateScripts: *update,
		Condition: func(cond string) (bool, error) {
			if cond != "root" {
				return false, fmt.Errorf("nobody knows the condition %q", cond)
			}
			return os.Geteuid() == 0, nil
		},
	})
}

// Scripts that need a database have a real PostgreSQL, with one of their own in it.
// The judge is psql, in the file `judge`, as the superuser.
func TestDatabaseScripts(t *testing.T) {
	t.Parallel()
	server := dbtest.Postgres(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/database", Cmds: commands(), RequireExplicitExec: true, RequireUniqueNames: true, UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			if err := setUp(e); err != nil {
				return err
			}
			name := server.Database(t)
			host, port, _ := strings.Cut(server.Addr, ":")
			for variable, value := range map[string]string{"DB": name, "PGHOST": host, "PGPORT": port} {
				e.Setenv(variable, value)
			}
			judge := fmt.Sprintf("exec psql -X -A -t -q -v ON_ERROR_STOP=1 %q -c \"$*\"\n", server.DSN(name))
			return os.WriteFile(filepath.Join(e.WorkDir, "judge"), []byte(judge), 0o600)
		},
	})
}

// commands are what scripts may say beside testscript's own.
func commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"serve":    serve,    // starts a server, and points the next commands at it
		"end":      end,      // ends it
		"hup":      hup,      // has it read its configuration again
		"grepwait": grepWait, // waits until a file has a line
		"http":     request,  // asks the server without its own client
		"forge":    forge,    // acts at the fake GitHub
		"until":    until,    // types a command until it prints what is expected
		"status":   status,   // types a command that ends with an exit code
		"damage":   damage,   // changes one entry of the register in a store's file
		"root":     root,     // uses the root token that init printed
	}
}

// setUp gives a script an environment of its own, with the real binary first on
// the PATH and nothing of the caller's.
func setUp(e *testscript.Env) error {
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		return fmt.Errorf("ask go for its cache: %w", err)
	}
	home := filepath.Join(e.WorkDir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	for name, value := range map[string]string{
		"PATH": binary + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME": home, "LANG": "C.UTF-8", "TZ": "UTC",
		// Builds use the cache that is here already, and no network.
		"GOCACHE": strings.TrimSpace(string(cache)), "GOPROXY": "off", "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local", "GOTELEMETRY": "off",
	} {
		e.Setenv(name, value)
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	e.Setenv("SOURCE", filepath.Dir(filepath.Dir(here)))
	e.Values[worldKey{}] = &world{stop: e.Defer}
	return nil
}
