package terraform_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/cloud"
	"nightporter.dev/nightporter/provider/cloud/cloudtest"
	"nightporter.dev/nightporter/provider/cloud/terraform"
)

// binary is the real terraform or tofu. Without one the test says loudly that it
// was not run.
func binary(t testing.TB) string {
	t.Helper()
	for _, name := range []string{os.Getenv("TERRAFORM_BIN"), os.Getenv("TOFU_BIN"), "terraform", "tofu"} {
		if name == "" {
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("NOT RUN: there is no terraform and no tofu here; set TERRAFORM_BIN or TOFU_BIN")
	return ""
}

// site is a far end of files: each thing is a folder that a provisioner makes and
// removes, and a ledger that it appends to. Terraform's state is not asked.
type site struct {
	t        testing.TB
	dir      string // the provider's
	far      string // what exists
	ledger   string
	target   cloud.Target
	provider *terraform.Provider
}

func newSite(t testing.TB) *site {
	t.Helper()
	settings, err := json.Marshal(map[string]any{"binary": binary(t), "state": "local", "max_destroy": 100})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: filepath.Join(t.TempDir(), "tf"), far: t.TempDir(), target: cloud.Target{Environment: "dev", Settings: settings}}
	s.ledger = filepath.Join(t.TempDir(), "ledger")
	s.open()
	t.Cleanup(func() { _ = s.provider.Close() })
	return s
}

func (s *site) open() *terraform.Provider {
	s.t.Helper()
	p, err := terraform.New(terraform.Config{Dir: s.dir, SameUser: terraform.Allowed})
	if err != nil {
		s.t.Fatal(err)
	}
	s.provider = p
	return p
}

// thing is a configuration that makes one folder of the far end.
func (s *site) thing(name, spec, marked, create string) string {
	return fmt.Sprintf(`
variable "environment" {}
resource "terraform_data" %[1]q {
  input = {
    nightporter_environment = %[3]s
    path = "%[4]s/${var.environment}-%[1]s"
    spec = %[2]q
  }
  triggers_replace = [%[2]q]
  provisioner "local-exec" {
    command = <<EOT
%[6]s
mkdir -p '${self.input.path}' && echo empty >'${self.input.path}/rows' && echo '${var.environment} %[1]s' >>'%[5]s'
EOT
  }
  provisioner "local-exec" {
    when    = destroy
    command = "rm -rf '${self.input.path}'"
  }
}
output "login" {
  value     = "%[1]s-first-login"
  sensitive = true
}
`, name, spec, marked, s.far, s.ledger, create)
}

const ours = "var.environment"

// code writes a commit with the files of its components.
func (s *site) code(commit, more string, files map[string]string) cloud.Code {
	s.t.Helper()
	dir := s.t.TempDir()
	text := fmt.Sprintf(`
components:
  - name: app
    needs: [db]
    ready: [test, -e, "%[1]s/{environment}-app/rows"]
  - name: db
    keep: dump
    dump: [cp, "%[1]s/{environment}-db/rows", "{capture}/rows"]
    load: [cp, "{capture}/rows", "%[1]s/{environment}-db/rows"]
%[2]s`, s.far, more)
	if err := os.WriteFile(filepath.Join(dir, terraform.FileName), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	for name, text := range files {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "main.tf"), []byte(text), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	return cloud.Code{Commit: commit, Dir: dir}
}

func (s *site) good() cloud.Code {
	return s.code("good", "", map[string]string{"db": s.thing("db", "1", ours, ""), "app": s.thing("app", "1", ours, "")})
}

func (s *site) made(component string) int {
	b, _ := os.ReadFile(s.ledger)
	n := 0
	for line := range strings.Lines(string(b)) {
		if strings.TrimSpace(line) == "dev "+component {
			n++
		}
	}
	return n
}

func (s *site) exists(component string) bool {
	_, err := os.Stat(filepath.Join(s.far, "dev-"+component))
	return err == nil
}

// over takes a verb to its end.
func (s *site) over(v func() (cloud.Token, error), target cloud.Target) cloud.Observation {
	s.t.Helper()
	token, err := v()
	if err != nil {
		s.t.Fatal(err)
	}
	var o cloud.Observation
	cloudtest.Eventually(s.t.(*testing.T), "it is over", func() bool {
		if o, err = s.provider.Observe(s.t.Context(), target, token); err != nil {
			s.t.Fatal(err)
		}
		return o.State != cloud.Running
	})
	return o
}

func (s *site) up(target cloud.Target, key, component string, code cloud.Code) cloud.Observation {
	s.t.Helper()
	return s.over(func() (cloud.Token, error) {
		return s.provider.Up(s.t.Context(), cloud.Request{Target: target, Key: key, Component: component, Code: code})
	}, target)
}

func (s *site) down(target cloud.Target, key, component string) cloud.Observation {
	s.t.Helper()
	return s.over(func() (cloud.Token, error) {
		return s.provider.Down(s.t.Context(), cloud.Request{Target: target, Key: key, Component: component})
	}, target)
}

// TestConformance runs the real binary. The judges are folders and a ledger that
// provisioners write.
func TestConformance(t *testing.T) {
	t.Parallel()
	cloudtest.Run(t, func(t *testing.T) cloudtest.World {
		s := newSite(t)
		rows := filepath.Join(s.far, "dev-db", "rows")
		return cloudtest.World{
			Provider: s.provider, Target: s.target, Good: s.good(),
			Changed: s.code("changed", "", map[string]string{"db": s.thing("db", "1", ours, ""), "app": s.thing("app", "2", ours, "")}),
			Broken:  s.code("broken", "  - {name: x, needs: [nothing]}\n", nil),
			Made:    s.made, Exists: s.exists,
			Write: func(t *testing.T, data string) {
				if err := os.WriteFile(rows, []byte(data), 0o644); err != nil {
					t.Fatal(err)
				}
			},
			Read: func(t *testing.T) string {
				b, err := os.ReadFile(rows)
				if err != nil {
					t.Fatal(err)
				}
				return string(b)
			},
			Plant: func(t *testing.T) {
				// Last month's component, which the code does not have any more.
				old := s.code("old", "  - name: ghost\n", map[string]string{
					"db": s.thing("db", "1", ours, ""), "app": s.thing("app", "1", ours, ""), "ghost": s.thing("ghost", "1", ours, ""),
				})
				if o := s.up(s.target, "ghost", "ghost", old); o.State != cloud.Succeeded {
					t.Fatalf("%+v", o)
				}
			},
			Kill: func(t *testing.T) {
				if err := os.RemoveAll(filepath.Join(s.far, "dev-app")); err != nil {
					t.Fatal(err)
				}
			},
			Restart: func(t *testing.T) cloud.Provider {
				if err := s.provider.Close(); err != nil {
					t.Fatal(err)
				}
				return s.open()
			},
		}
	})
}

// A plan that would touch what does not carry this environment's mark is refused,
// and nothing is touched.
func TestOnlyWhatIsMarkedIsTouched(t *testing.T) {
	t.Parallel()
	for name, marked := range map[string]string{"somebody else's": `"prod"`, "nobody's": `""`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			code := s.code("bad", "", map[string]string{"db": s.thing("db", "1", marked, ""), "app": s.thing("app", "1", ours, "")})
			o := s.up(s.target, "up", "db", code)
			if o.State != cloud.Failed || o.Retryable || !strings.Contains(o.Message, "the plan touches terraform_data.db, which is marked as") {
				t.Errorf("got %+v", o)
			}
			if s.exists("db") || s.made("db") > 0 {
				t.Error("it was made all the same")
			}
		})
	}
}

// Beside the first a second one is built, from its own state; a backend's would be
// the same one, so that is refused.
func TestASecondOneBesideTheFirst(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	code := s.good()
	if o := s.up(s.target, "db", "db", code); o.State != cloud.Succeeded {
		t.Fatalf("%+v", o)
	}
	second, err := s.provider.Scratch(s.target, "dev.drill")
	if err != nil {
		t.Fatal(err)
	}
	if o := s.up(second, "drill-db", "db", code); o.State != cloud.Succeeded {
		t.Fatalf("%+v", o)
	}
	beside := filepath.Join(s.far, "dev.drill-db")
	if _, err := os.Stat(beside); err != nil {
		t.Error(err)
	}
	if o := s.down(second, "rest", cloud.Rest); o.State != cloud.Succeeded {
		t.Fatalf("%+v", o)
	}
	if _, err := os.Stat(beside); !os.IsNotExist(err) || !s.exists("db") {
		t.Errorf("the second: %v, the first is there: %v", err, s.exists("db"))
	}
	if _, err := s.provider.Scratch(cloud.Target{Environment: "dev"}, "dev.drill"); nightporter.CodeOf(err) != nightporter.Invalid {
		t.Errorf("with a backend: %v, want invalid", err)
	}
}

// A secret output is read by its name, as databases name it.
func TestOutputsOfABuild(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if o := s.up(s.target, "db", "db", s.good()); o.State != cloud.Succeeded {
		t.Fatalf("%+v", o)
	}
	b, err := s.provider.Output(t.Context(), s.target, "terraform.login")
	if err != nil || string(b) != "db-first-login" {
		t.Errorf("got %q %v", b, err)
	}
}

// Terraform is killed in the middle of an apply, with the porter gone as well. What
// it began ends making the thing: no state knows it. The inventory finds it, and the
// tear-down takes it away. The judges are /proc and the folder.
func TestWhatAKilledTerraformLeftBehind(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	gate := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	began := filepath.Join(t.TempDir(), "began")
	list := fmt.Sprintf(`inventory: [sh, -c, "for d in %[1]s/{environment}-*; do test -e $d && printf '{\"id\":\"%%s\",\"kind\":\"folder\"}\\n' $d; done; true"]
remove: [rm, -rf, "{id}"]
`, s.far)
	code := s.code("slow", list, map[string]string{
		"db": s.thing("db", "1", ours, fmt.Sprintf("echo $PPID >'%s'; read -r go <'%s'", began, gate)), "app": s.thing("app", "1", ours, ""),
	})
	token, err := s.provider.Up(t.Context(), cloud.Request{Target: s.target, Key: "up", Component: "db", Code: code})
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	cloudtest.Eventually(t, "the provisioner is at work", func() bool {
		if _, err := s.provider.Observe(t.Context(), s.target, token); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(began)
		if err != nil || !strings.HasSuffix(string(b), "\n") {
			return false
		}
		_, err = fmt.Sscanf(string(b), "%d", &pid)
		return err == nil
	})
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err != nil || !strings.Contains("terraform tofu", strings.TrimSpace(string(comm))) {
		t.Fatalf("process %d is %q %v, want terraform", pid, comm, err)
	}
	if err := s.provider.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.open()
	if o, err := s.provider.Observe(t.Context(), s.target, token); err != nil || o.State != cloud.Running {
		t.Errorf("while what it began is at work: %+v %v, want running", o, err)
	}
	if err := os.WriteFile(gate, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	var o cloud.Observation
	cloudtest.Eventually(t, "it is over", func() bool {
		if o, err = s.provider.Observe(t.Context(), s.target, token); err != nil {
			t.Fatal(err)
		}
		return o.State != cloud.Running
	})
	if o.State != cloud.Failed || !o.Retryable || !s.exists("db") {
		t.Fatalf("after the kill: %+v, and the thing is there: %v", o, s.exists("db"))
	}
	all, err := s.provider.Inventory(t.Context(), s.target)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, r := range all {
		found = found || r.ID == "orphan:"+filepath.Join(s.far, "dev-db")
	}
	if !found {
		t.Errorf("the inventory does not list what was made: %+v", all)
	}
	if o := s.down(s.target, "rest", cloud.Rest); o.State != cloud.Succeeded {
		t.Fatalf("%+v", o)
	}
	left, err := s.provider.Inventory(t.Context(), s.target)
	if err != nil || len(left) > 0 || s.exists("db") {
		t.Errorf("left: %v %v, the folder %v", left, err, s.exists("db"))
	}
}

// A cancelled apply is interrupted, not killed: terraform writes down what it made.
func TestACancelledApplyIsInterrupted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := filepath.Join(t.TempDir(), "began")
	code := s.code("slow", "", map[string]string{
		"db": s.thing("db", "1", ours, fmt.Sprintf("echo x >'%s'; sleep 600", began)), "app": s.thing("app", "1", ours, ""),
	})
	token, err := s.provider.Up(t.Context(), cloud.Request{Target: s.target, Key: "up", Component: "db", Code: code})
	if err != nil {
		t.Fatal(err)
	}
	cloudtest.Eventually(t, "the provisioner is at work", func() bool {
		if _, err := s.provider.Observe(t.Context(), s.target, token); err != nil {
			t.Fatal(err)
		}
		_, err := os.Stat(began)
		return err == nil
	})
	begun := time.Now()
	cloudtest.Eventually(t, "it is cancelled", func() bool {
		p, err := s.provider.Cancel(t.Context(), s.target, "up")
		if err != nil {
			t.Fatal(err)
		}
		return p == cloud.Done
	})
	o, err := s.provider.Observe(t.Context(), s.target, token)
	if err != nil || !strings.Contains(strings.Join(o.Lines, "\n"), "Stopping operation...") {
		t.Errorf("after %s: %+v %v, want terraform's own words about an interrupt", time.Since(begun), o, err)
	}
	if o := s.down(s.target, "rest", cloud.Rest); o.State != cloud.Succeeded {
		t.Fatalf("the lock was not given back: %+v", o)
	}
}
